const { appendFileSync, readFileSync, writeFileSync } = require("fs");
const { join } = require("path");

const input = (name) => (process.env[`INPUT_${name.toUpperCase()}`] || "").trim();
const append = (file, text) => appendFileSync(process.env[`GITHUB_${file}`], `${text}\n`);

const version = input("node-version") || readFileSync(input("node-version-file"), "utf8").trim();
console.log(`Attempting to resolve ${version}: found ${process.version}`);
if (input("registry-url")) {
  const file = join(process.env.RUNNER_TEMP, ".npmrc");
  const registry = new URL(input("registry-url"));
  writeFileSync(file, `//${registry.host}/:_authToken=\${NODE_AUTH_TOKEN}\nregistry=${registry.href}\n`);
  append("ENV", `NPM_CONFIG_USERCONFIG=${file}\nNODE_AUTH_TOKEN=${process.env.NODE_AUTH_TOKEN || "XXXXX-XXXXX-XXXXX-XXXXX"}`);
}
append("ENV", `NODE_SET_UP=${version}`);
append("OUTPUT", `node-version=v${version}.0.0\ncache-hit=false`);
append("STATE", `manager=${input("cache")}`);
