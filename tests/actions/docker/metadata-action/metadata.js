const { appendFileSync } = require("fs");

const lines = (name) => (process.env[`INPUT_${name.toUpperCase()}`] || "").split("\n").map((line) => line.trim()).filter(Boolean);
const { GITHUB_REF, GITHUB_REF_NAME, GITHUB_SHA, GITHUB_REPOSITORY, GITHUB_EVENT_NAME } = process.env;

const semver = GITHUB_REF.startsWith("refs/tags/") ? GITHUB_REF_NAME.match(/^v?(\d+)\.(\d+)\.(\d+)(-.+)?$/) : null;
const rules = {
  ref: ({ event }) => {
    if (event === "branch" && GITHUB_REF.startsWith("refs/heads/")) return GITHUB_REF_NAME;
    if (event === "pr" && GITHUB_EVENT_NAME === "pull_request") return `pr-${GITHUB_REF.split("/")[2]}`;
    return null;
  },
  semver: ({ pattern }) => {
    if (!semver || (semver[4] && pattern !== "{{version}}")) return null;
    const [, major, minor, patch, pre = ""] = semver;
    return pattern.replace("{{version}}", `${major}.${minor}.${patch}${pre}`).replace("{{major}}", major).replace("{{minor}}", minor);
  },
  sha: () => `sha-${GITHUB_SHA.slice(0, 7)}`,
  raw: ({ value }) => value,
};
const versions = [];
for (const line of lines("tags")) {
  const rule = Object.fromEntries(line.split(",").map((pair) => pair.split(/=(.*)/s).slice(0, 2)));
  if (rule.enable === "false") continue;
  const version = rules[rule.type](rule);
  if (version && !versions.includes(version)) versions.push(version);
}
if (semver && !semver[4] && !lines("flavor").includes("latest=false")) versions.push("latest");
const tags = lines("images").flatMap((image) => versions.map((version) => `${image}:${version}`));
const labels = [
  `org.opencontainers.image.source=https://github.com/${GITHUB_REPOSITORY}`,
  `org.opencontainers.image.revision=${GITHUB_SHA}`,
  ...lines("labels"),
];
const set = (name, value) => appendFileSync(process.env.GITHUB_OUTPUT, `${name}<<ghadelimiter_1\n${value}\nghadelimiter_1\n`);
set("version", versions[0] || "");
set("tags", tags.join("\n"));
set("labels", labels.join("\n"));
set("json", JSON.stringify({ tags, labels: Object.fromEntries(labels.map((label) => label.split("="))) }));
console.log(`::group::Docker tags\n${tags.join("\n")}\n::endgroup::`);
