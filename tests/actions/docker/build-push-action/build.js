const { createHash } = require("crypto");
const { appendFileSync, existsSync, readFileSync, readdirSync, statSync } = require("fs");
const { join } = require("path");

const input = (name) => (process.env[`INPUT_${name.toUpperCase()}`] || "").trim();
const lines = (name) => input(name).split("\n").map((line) => line.trim()).filter(Boolean);

const hash = createHash("sha256");
const add = (path) => {
  if (statSync(path).isDirectory()) readdirSync(path).sort().forEach((name) => add(join(path, name)));
  else hash.update(readFileSync(path));
};
const context = input("context") || ".";
add(join(context, "src"));
hash.update(readFileSync(input("file") || join(context, "Dockerfile")));
for (const name of ["platforms", "build-args"]) hash.update(lines(name).join("\n"));
const digest = `sha256:${hash.digest("hex")}`;

const pushes = input("push") === "true" || input("outputs").includes("push=true");
if (pushes) {
  const file = join(process.env.HOME, ".docker", "config.json");
  const registry = (lines("tags")[0] || input("outputs").match(/name=([^,]+)/)[1]).split("/")[0];
  const known = existsSync(file) && JSON.parse(readFileSync(file, "utf8")).auths[registry];
  if (!known) {
    console.log(`::error::denied: not logged in to ${registry}`);
    process.exit(1);
  }
}
for (const argument of lines("build-args")) console.log(`ARG ${argument}`);
for (const secret of lines("secrets")) console.log(`secret ${secret}`);
for (const label of lines("labels")) console.log(`LABEL ${label}`);
for (const tag of lines("tags")) console.log(`${pushes ? "pushed" : "built"} ${tag}`);
console.log(`${input("platforms") || "linux/amd64"} ${digest.slice(0, 15)} cache ${lines("cache-from").join("+")}`);
appendFileSync(process.env.GITHUB_OUTPUT, `digest=${digest}\nimageid=${digest}\n`);
