const { appendFileSync } = require("fs");
const { input, key } = require("./key");

for (const line of input("workspaces").trim().split("\n")) console.log(`workspace: ${line.trim()}`);
console.log(`Cache Key: ${key()}`);
appendFileSync(process.env.GITHUB_OUTPUT, "cache-hit=false\n");
appendFileSync(process.env.GITHUB_STATE, `key<<END\n${key()}\nEND\n`);
