import assert from "node:assert/strict";
import { digestKey, ExpiringCache } from "./expiring_cache.ts";

function setUp(maxEntries = 2) {
  const time = { now: 0 };
  const cache = new ExpiringCache<number>(maxEntries, {
    now: () => new Date(time.now),
    after: () => () => {},
  });
  return { time, cache };
}

Deno.test("answers are remembered until their time has passed", () => {
  const { time, cache } = setUp();
  cache.set("a", 1, 100);
  time.now = 99;
  assert.equal(cache.get("a"), 1);
  time.now = 100;
  assert.equal(cache.get("a"), undefined);
  assert.equal(cache.size, 0);
  cache.set("a", 2, 100);
  cache.set("a", 3, 200);
  time.now = 250;
  assert.equal(cache.get("a"), 3);
});

Deno.test("refuses to grow: the least recently used goes", () => {
  const { cache } = setUp();
  cache.set("a", 1, 100);
  cache.set("b", 2, 100);
  assert.equal(cache.get("a"), 1);
  cache.set("c", 3, 100);
  assert.deepEqual([cache.get("a"), cache.get("b"), cache.get("c"), cache.size], [1, undefined, 3, 2]);
});

Deno.test("keys are digests", async () => {
  const key = await digestKey("canary");
  assert.match(key, /^[0-9a-f]{64}$/);
  assert.notEqual(key, await digestKey("canary2"));
});
