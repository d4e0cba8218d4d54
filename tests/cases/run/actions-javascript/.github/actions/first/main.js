const fs = require("fs");
const input = (name) => process.env[`INPUT_${name.replace(/ /g, "_").toUpperCase()}`];
console.log(`main: ${input("my name")} ${input("some-number")} ${input("defaulted")} in ${process.cwd()}`);
console.log(`node is ${process.versions.node.split(".")[0] >= 16 ? "new enough" : "too old"}`);
fs.appendFileSync(process.env.GITHUB_OUTPUT, "out=from node\n");
fs.appendFileSync(process.env.GITHUB_ENV, "VARIABLE=set\n");
fs.appendFileSync(process.env.GITHUB_STATE, "began=at noon\n");
console.log("::save-state name=old::as well");
