const { execFileSync } = require("child_process");
const { appendFileSync, readFileSync } = require("fs");
const { matchesGlob } = require("path");

const { pull_request: pull } = JSON.parse(readFileSync(process.env.GITHUB_EVENT_PATH, "utf8"));
const changed = execFileSync("git", ["diff", "--name-only", "HEAD~1"], { encoding: "utf8" }).trim().split("\n");
const wanted = [];
let label = "";
for (const line of readFileSync(process.env["INPUT_CONFIGURATION-PATH"], "utf8").split("\n")) {
  const head = line.match(/^([^\s#].*):$/);
  if (head) label = head[1].replace(/"/g, "");
  const globs = line.match(/any-glob-to-any-file: (.*)$/);
  if (globs && changed.some((file) => matchesGlob(file, globs[1].replace(/'/g, "")))) wanted.push(label);
}
const had = pull.labels.map((each) => each.name);
const fresh = wanted.filter((name) => !had.includes(name));
console.log(`labels of #${pull.number}: ${[...had, ...fresh].join(", ")}`);
appendFileSync(process.env.GITHUB_OUTPUT, `new-labels=${fresh.join(",")}\nall-labels=${[...had, ...fresh].join(",")}\n`);
