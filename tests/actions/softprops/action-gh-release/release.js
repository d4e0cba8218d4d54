const { appendFileSync, readFileSync, globSync, statSync } = require("fs");
const { basename } = require("path");

const input = (name) => (process.env[`INPUT_${name.toUpperCase()}`] || "").trim();
const { GITHUB_OUTPUT, GITHUB_REPOSITORY, GITHUB_SERVER_URL } = process.env;

const assets = [];
for (const pattern of input("files").split("\n").map((line) => line.trim()).filter(Boolean)) {
  const found = globSync(pattern).filter((file) => statSync(file).isFile()).sort();
  if (!found.length && input("fail_on_unmatched_files") === "true") {
    console.log(`::error::Pattern '${pattern}' does not match any files.`);
    process.exit(1);
  }
  assets.push(...found.map((file) => basename(file)));
}
const body = input("body_path") ? readFileSync(input("body_path"), "utf8") : input("body");
console.log(`release ${input("name") || input("tag_name")}, draft ${input("draft")}, prerelease ${input("prerelease")}`);
for (const asset of assets) console.log(`asset ${asset}`);
for (const line of body.trim().split("\n")) console.log(`> ${line}`);
const url = `${GITHUB_SERVER_URL}/${GITHUB_REPOSITORY}/releases/tag/${input("tag_name")}`;
appendFileSync(GITHUB_OUTPUT, `url=${url}\nassets=${JSON.stringify(assets)}\n`);
