const { spawnSync } = require("child_process");
const { mkdirSync, readFileSync } = require("fs");

const [version, command, ...rest] = process.argv.slice(2);
const { scripts } = JSON.parse(readFileSync("package.json", "utf8"));
if (command === "--version") console.log(version);
else if (command === "store") console.log(`${process.env.HOME}/.pnpm-store/v10`);
else if (command === "install") {
  mkdirSync("node_modules/.bin", { recursive: true });
  console.log(`Lockfile is up to date, ${rest.join(" ")}`);
} else {
  const name = command === "run" ? rest.shift() : command;
  console.log(`> ${scripts[name]}`);
  const words = rest[0] === "--" ? rest.slice(1) : rest;
  const quoted = words.map((word) => `'${word}'`).join(" ");
  process.exit(spawnSync("sh", ["-c", `${scripts[name]} ${quoted}`], { stdio: "inherit" }).status);
}
