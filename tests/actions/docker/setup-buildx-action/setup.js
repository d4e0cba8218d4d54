const { appendFileSync } = require("fs");

appendFileSync(process.env.GITHUB_OUTPUT, "name=builder-1\n");
appendFileSync(process.env.GITHUB_STATE, "builder=builder-1\n");
console.log(`builder-1 by ${process.env.INPUT_DRIVER}`);
