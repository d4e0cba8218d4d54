const input = (name) => process.env[`INPUT_${name.toUpperCase()}`];
console.log(`stale after ${input("days-before-stale")}, closed after ${input("days-before-close")} days, but for ${input("exempt-issue-labels")}`);
for (const line of input("stale-issue-message").split("\n")) console.log(`says: ${line}`);
require("fs").appendFileSync(process.env.GITHUB_OUTPUT, "staled-issues-prs=[]\n");
