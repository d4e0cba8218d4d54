const { existsSync } = require("fs");
const { input } = require("./key");

if (input("save-if") !== "true") console.log("not saved: save-if");
else console.log(`saved ${process.env.STATE_key}: ${existsSync("target") ? "target" : "nothing"}`);
