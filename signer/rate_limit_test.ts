import assert from "node:assert/strict";
import { createRateLimiter, MAX_TRACKED_CLIENTS, SIGNING_RATE } from "./rate_limit.ts";

Deno.test("a client may ask for a burst, then at a steady rate", () => {
  let nowMs = 0;
  const limiter = createRateLimiter({ perSecond: 2, burst: 3 }, () => nowMs);
  const taken = () => limiter.take("a").admitted;
  assert.deepEqual([taken(), taken(), taken(), taken()], [true, true, true, false]);
  nowMs = 499;
  assert.equal(taken(), false);
  nowMs = 500;
  assert.deepEqual([taken(), taken()], [true, false]);
  nowMs = 1_000_000;
  assert.deepEqual([taken(), taken(), taken(), taken()], [true, true, true, false]);
});

Deno.test("refuses with the time until the next one, in whole seconds, at least one", () => {
  let nowMs = 0;
  const slow = createRateLimiter({ perSecond: 0.1, burst: 1 }, () => nowMs);
  assert.deepEqual(slow.take("a"), { admitted: true });
  assert.deepEqual(slow.take("a"), { admitted: false, retryAfterSeconds: 10 });
  nowMs = 4500;
  assert.deepEqual(slow.take("a"), { admitted: false, retryAfterSeconds: 6 });
  const fast = createRateLimiter({ perSecond: 100, burst: 1 }, () => 0);
  fast.take("a");
  assert.deepEqual(fast.take("a"), { admitted: false, retryAfterSeconds: 1 });
});

Deno.test("one client does not spend what another has", () => {
  const limiter = createRateLimiter({ perSecond: 1, burst: 1 }, () => 0);
  assert.equal(limiter.take("a").admitted, true);
  assert.equal(limiter.take("a").admitted, false);
  assert.equal(limiter.take("b").admitted, true);
});

Deno.test("refuses clients beyond those that are told apart as if they were one, until the others are idle", () => {
  let nowMs = 0;
  const limiter = createRateLimiter({ perSecond: 1, burst: 2 }, () => nowMs);
  for (let client = 0; client < MAX_TRACKED_CLIENTS; client++) limiter.take(`client ${client}`);
  assert.equal(limiter.take("x").admitted, true);
  assert.equal(limiter.take("y").admitted, true);
  assert.equal(limiter.take("z").admitted, false);
  // Who is known already is not touched by them.
  assert.equal(limiter.take("client 0").admitted, true);
  nowMs = 2000;
  for (const client of ["u", "v", "w", "x", "y", "z"]) assert.equal(limiter.take(client).admitted, true);
});

Deno.test("the rate of signing admits a repository at once, and not much more", () => {
  const limiter = createRateLimiter(SIGNING_RATE, () => 0);
  let admitted = 0;
  while (limiter.take("a").admitted) admitted++;
  assert.equal(admitted, SIGNING_RATE.burst);
});
