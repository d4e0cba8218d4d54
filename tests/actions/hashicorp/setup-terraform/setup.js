const { appendFileSync, chmodSync, copyFileSync, mkdirSync, writeFileSync } = require("fs");
const { join } = require("path");

const bin = join(process.env.RUNNER_TEMP, "terraform");
mkdirSync(bin, { recursive: true });
copyFileSync(join(__dirname, "terraform.sh"), join(bin, "terraform-bin"));
copyFileSync(join(__dirname, "wrapper.sh"), join(bin, "terraform"));
for (const name of ["terraform", "terraform-bin"]) chmodSync(join(bin, name), 0o755);
appendFileSync(process.env.GITHUB_PATH, `${bin}\n`);
appendFileSync(process.env.GITHUB_ENV, `TERRAFORM_CLI_PATH=${bin}\n`);
