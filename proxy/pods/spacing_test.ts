import assert from "node:assert/strict";
import { createSpacing, PAUSES_MS, QUIET_MS } from "./spacing.ts";

Deno.test("the first goes at once, the next after 10 s, 20 s, and so on up to 5 min", () => {
  const spacing = createSpacing();
  let nowMs = 0;
  const pauses: number[] = [];
  assert.equal(spacing.take("rs", nowMs), 0);
  for (let count = 0; count < 8; count++) {
    const leftMs = spacing.take("rs", nowMs);
    pauses.push(leftMs / 1000);
    assert.equal(spacing.take("rs", nowMs + leftMs - 1), 1);
    nowMs += leftMs;
    assert.equal(spacing.take("rs", nowMs), 0);
  }
  assert.deepEqual(pauses, [10, 20, 40, 80, 160, 300, 300, 300]);
});

Deno.test("controllers do not wait for each other", () => {
  const spacing = createSpacing();
  assert.equal(spacing.take("one", 0), 0);
  assert.equal(spacing.take("two", 0), 0);
});

Deno.test("after ten quiet minutes a controller starts afresh", () => {
  const spacing = createSpacing();
  let nowMs = 0;
  for (let count = 0; count < 4; count++) {
    nowMs += spacing.take("rs", nowMs);
    spacing.take("rs", nowMs);
  }
  nowMs += QUIET_MS;
  assert.equal(spacing.take("rs", nowMs), 0);
  assert.equal(spacing.take("rs", nowMs), PAUSES_MS[0]);
});

Deno.test("the wait is foretold from the place in the queue", () => {
  const spacing = createSpacing();
  assert.equal(spacing.estimateMs("rs", 0, 0), 0);
  spacing.take("rs", 0);
  assert.deepEqual([0, 1, 2, 9].map((before) => spacing.estimateMs("rs", before, 4000) / 1000), [
    6,
    26,
    66,
    6 + 20 + 40 + 80 + 160 + 5 * 300,
  ]);
});

Deno.test("the controller that has been quiet for longest is forgotten over the bound", () => {
  const spacing = createSpacing(2);
  spacing.take("one", 0);
  spacing.take("two", 0);
  spacing.take("one", 1);
  spacing.take("three", 2);
  assert.equal(spacing.take("one", 3) > 0, true);
  assert.equal(spacing.take("two", 4), 0);
});
