const { appendFileSync, chmodSync, mkdirSync, readFileSync, writeFileSync } = require("fs");
const { join } = require("path");

const file = process.env.INPUT_PACKAGE_JSON_FILE;
const wanted = (JSON.parse(readFileSync(file, "utf8")).packageManager || "").replace(/^pnpm@/, "");
if (process.env.INPUT_VERSION && wanted) {
  console.log("::error::Multiple versions of pnpm specified");
  process.exit(1);
}
const bin = join(process.env.HOME, "setup-pnpm", "bin");
mkdirSync(bin, { recursive: true });
writeFileSync(join(bin, "pnpm"), `#!/bin/sh\nexec node ${join(bin, "pnpm.js")} ${wanted} "$@"\n`);
writeFileSync(join(bin, "pnpm.js"), readFileSync(join(__dirname, "pnpm.js")));
chmodSync(join(bin, "pnpm"), 0o755);
appendFileSync(process.env.GITHUB_PATH, `${bin}\n`);
appendFileSync(process.env.GITHUB_OUTPUT, `bin_dest=${bin}\n`);
