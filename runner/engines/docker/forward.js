// Listens on localhost and passes connections on: PORT=HOST:PORT ... Says `ready` when it listens.
const net = require("net");
const forwards = process.argv.slice(1).filter((word) => word.includes("="));
let open = forwards.length * 2;
const found = new Set();
for (const forward of forwards) {
  const [port, target] = forward.split("=");
  const [host, inside] = target.split(":");
  for (const address of ["127.0.0.1", "::1"]) {
    const server = net.createServer({ allowHalfOpen: true }, (client) => {
      const other = net.connect({ port: Number(inside), host, allowHalfOpen: true });
      client.on("error", () => other.destroy());
      other.on("error", () => client.destroy());
      client.pipe(other);
      other.pipe(client);
    });
    server.on("listening", () => (found.add(port), settle()));
    server.on("error", settle);
    server.listen(Number(port), address);
  }
}
function settle() {
  open -= 1;
  if (open > 0) return;
  const missing = forwards.map((each) => each.split("=")[0]).filter((port) => !found.has(port));
  process.stdout.on("error", () => {});
  console.log(missing.length ? `taken ${missing.join(" ")}` : "ready");
}
