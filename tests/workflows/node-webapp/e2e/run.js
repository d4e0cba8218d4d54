const { mkdirSync, writeFileSync } = require("fs");

const get = async (path) => fetch(process.env.BASE_URL + path);
const tests = {
  "serves the counter": async () => (await get("/counter.js")).ok,
  "knows its commit": async () => (await (await get("/counter.js")).text()).includes(process.env.GITHUB_SHA),
  "knows its API": async () => (await (await get("/counter.js")).text()).includes("https://api.example/v1"),
  "has an icon": async () => process.env.ICON_OPTIONAL === "1" || (await get("/icon.svg")).ok,
};

(async () => {
  const [shard, total] = process.argv.at(-1).replace("--shard=", "").split("/").map(Number);
  const lines = [];
  for (const [index, [name, run]] of Object.entries(tests).entries())
    if (index % total === shard - 1) lines.push(`${(await run()) ? "ok" : "not ok"} ${name}`);
  mkdirSync("blob-report");
  writeFileSync(`blob-report/report-${shard}.txt`, `${lines.join("\n")}\n`);
  console.log(lines.join("\n"));
  process.exit(lines.some((line) => line.startsWith("not")) ? 1 : 0);
})();
