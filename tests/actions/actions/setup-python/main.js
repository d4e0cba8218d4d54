const { appendFileSync, chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } = require("fs");
const { join } = require("path");

const input = (name) => (process.env[`INPUT_${name.toUpperCase()}`] || "").trim();
const append = (file, text) => appendFileSync(process.env[`GITHUB_${file}`], `${text}\n`);

const version = input("python-version") || readFileSync(input("python-version-file"), "utf8").trim();
if (/-dev$/.test(version) && input("allow-prereleases") !== "true") {
  console.log(`::error title=Preview::${version} is a preview`);
  process.exit(1);
}
const home = join(process.env.RUNNER_TOOL_CACHE, "Python", version, "x64");
mkdirSync(join(home, "bin"), { recursive: true });
const program = join(home, "bin", "python");
writeFileSync(program, `#!/bin/sh\nPYTHON_SET_UP=${version} exec python3 "$@"\n`);
chmodSync(program, 0o755);
append("PATH", join(home, "bin"));
append("ENV", `pythonLocation=${home}`);
append("OUTPUT", `python-version=${version}\npython-path=${program}\ncache-hit=false`);
append("STATE", `cache=${input("cache")}`);
console.log(`::group::Installed versions`);
console.log(`Successfully set up CPython (${version})`);
console.log("::endgroup::");
if (existsSync(join(__dirname, "matcher.json")))
  console.log(`::add-matcher::${join(__dirname, "matcher.json")}`);
