const { appendFileSync, readdirSync, readFileSync } = require("fs");

if (process.env.STATE_count !== undefined) {
  console.log(`post: ${process.env.STATE_count} of ${process.env.INPUT_PATH}, ${process.env.INPUT_LEVEL}`);
  process.exit();
}
let count = 0;
for (const name of readdirSync(process.env.INPUT_PATH)) {
  const at = readFileSync(`${process.env.INPUT_PATH}/${name}`, "utf8").split("\n").findIndex((line) => line.includes("TODO"));
  if (at < 0) continue;
  count += 1;
  console.log(`::${process.env.INPUT_LEVEL} file=${process.env.INPUT_PATH}/${name},line=${at + 1}::something is to do`);
}
appendFileSync(process.env.GITHUB_OUTPUT, `count=${count}\n`);
appendFileSync(process.env.GITHUB_STATE, `count=${count}\n`);
