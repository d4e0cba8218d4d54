const { readdirSync, readFileSync } = require("fs");
const { join } = require("path");

const { INPUT_ARGS: args, INPUT_VERSION: version } = process.env;
const folder = process.env["INPUT_WORKING-DIRECTORY"];
console.log(`Running [golangci-lint@${version} run ${args}] in [${folder}] ...`);
let found = 0;
for (const file of readdirSync(folder).filter((name) => name.endsWith(".sh")))
  readFileSync(join(folder, file), "utf8").split("\n").forEach((line, at) => {
    if (!/\s$/.test(line)) return;
    found += 1;
    console.log(`::error file=${join(folder, file)},line=${at + 1},col=${line.length}::trailing space (whitespace)`);
  });
console.log(found ? `issues found: ${found}` : "golangci-lint found no issues");
process.exitCode = found ? 1 : 0;
