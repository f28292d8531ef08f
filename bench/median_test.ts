import assert from "node:assert/strict";
import { median } from "./median.ts";

Deno.test("the median is the middle, in any order", () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 3, 2]), 2.5);
  assert.equal(median([10, 9]), 9.5);
  assert.equal(median([7]), 7);
  assert.ok(Number.isNaN(median([])));
});
