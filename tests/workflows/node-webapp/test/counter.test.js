const test = require("node:test");
const assert = require("node:assert");
const { add } = require("../src/counter");

test("it counts", () => assert.equal(add(1), 2));
test("it counts in steps", () => assert.equal(add(1, 5), 6));
