const { execFileSync } = require("child_process");
const { appendFileSync, existsSync, readFileSync } = require("fs");
const { matchesGlob } = require("path");

const given = process.env.INPUT_FILTERS;
const text = existsSync(given.trim()) ? readFileSync(given.trim(), "utf8") : given;
const filters = {};
let name = "";
for (const line of text.split("\n")) {
  const head = line.match(/^(\S+):\s*$/);
  const pattern = line.match(/^\s+-\s+'?([^']+?)'?\s*$/);
  if (head) filters[(name = head[1])] = [];
  else if (pattern) filters[name].push(pattern[1]);
}
const base = process.env.INPUT_BASE || "HEAD~1";
const changed = execFileSync("git", ["diff", "--name-only", base, "HEAD"], { encoding: "utf8" }).trim().split("\n");
const out = (key, value) => appendFileSync(process.env.GITHUB_OUTPUT, `${key}=${value}\n`);
const changes = [];
for (const [key, patterns] of Object.entries(filters)) {
  const files = changed.filter((file) => patterns.some((pattern) => matchesGlob(file, pattern)));
  out(key, files.length > 0);
  out(`${key}_count`, files.length);
  if (process.env["INPUT_LIST-FILES"] === "json") out(`${key}_files`, JSON.stringify(files));
  if (files.length) changes.push(key);
  console.log(`Filter ${key} = ${files.length > 0}`);
}
out("changes", JSON.stringify(changes));
