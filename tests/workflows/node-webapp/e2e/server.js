const { readFileSync } = require("fs");
const [folder, port] = process.argv.slice(2);

const server = require("http").createServer((request, response) => {
  try {
    response.end(readFileSync(folder + request.url));
  } catch {
    response.writeHead(404).end();
  }
});
server.listen(Number(port), () => console.log(`ready on ${port}`));
