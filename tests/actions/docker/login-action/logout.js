const { readFileSync, writeFileSync } = require("fs");
const { join } = require("path");

if (process.env.STATE_logout !== "true") process.exit();
const file = join(process.env.HOME, ".docker", "config.json");
const config = JSON.parse(readFileSync(file, "utf8"));
delete config.auths[process.env.STATE_registry];
writeFileSync(file, JSON.stringify(config));
console.log(`Removing login credentials for ${process.env.STATE_registry}, ${Object.keys(config.auths).length} left`);
