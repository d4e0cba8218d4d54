const { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } = require("fs");
const { join } = require("path");

const { INPUT_REGISTRY, INPUT_USERNAME, INPUT_PASSWORD, INPUT_LOGOUT, HOME, GITHUB_STATE } = process.env;
const registry = INPUT_REGISTRY || "docker.io";
if (!INPUT_USERNAME || !INPUT_PASSWORD) {
  console.log("::error::Username and password required");
  process.exit(1);
}
const file = join(HOME, ".docker", "config.json");
mkdirSync(join(HOME, ".docker"), { recursive: true });
const config = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : { auths: {} };
const auth = Buffer.from(`${INPUT_USERNAME}:${INPUT_PASSWORD}`).toString("base64");
config.auths[registry] = { auth };
writeFileSync(file, JSON.stringify(config));
console.log(`::add-mask::${auth}`);
console.log(`Login Succeeded: ${registry} as ${INPUT_USERNAME} with ${INPUT_PASSWORD} (${auth})`);
appendFileSync(GITHUB_STATE, `registry=${registry}\nlogout=${INPUT_LOGOUT}\n`);
