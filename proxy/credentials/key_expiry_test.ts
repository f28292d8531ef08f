import assert from "node:assert/strict";
import type { VerificationKey } from "@signed-pods/shared/keys";
import { createKeyExpiry, EXPIRY_WARNING_MS, WARNING_INTERVAL_MS } from "./key_expiry.ts";
import { ManualClock } from "../../tests/fakes/clock.ts";
import { MemoryLog } from "../../tests/fakes/log.ts";
import { Owner } from "../../tests/fakes/owner.ts";

const { verificationKey: trusted } = await Owner.create();
const START = new Date("2026-01-01T00:00:00Z");
const at = (ms: number) => new Date(START.getTime() + ms);

async function warnings(keys: VerificationKey[], days: number): Promise<string[]> {
  const clock = new ManualClock(START);
  const log = new MemoryLog();
  const expiry = createKeyExpiry(clock, log);
  expiry.watch(keys);
  await clock.advance(days * WARNING_INTERVAL_MS);
  expiry.close();
  assert.equal(clock.timers, 0);
  return log.events();
}

Deno.test("warnings begin 30 days ahead, one each day, and go on when the key has expired", async () => {
  const key = { ...trusted, notAfter: at(EXPIRY_WARNING_MS + WARNING_INTERVAL_MS / 2) };
  assert.deepEqual(await warnings([key], 0), []);
  assert.deepEqual(await warnings([key], 1), ["verification-key-expiring"]);
  assert.equal((await warnings([key], 30)).length, 30);
  assert.equal((await warnings([key], 31)).at(-1), "verification-key-expired");
});

Deno.test("a key that is not valid yet is named, a bare key has no dates", async () => {
  assert.deepEqual(await warnings([trusted], 100), []);
  const future = { ...trusted, notBefore: at(1), notAfter: at(100 * WARNING_INTERVAL_MS) };
  assert.deepEqual(await warnings([future], 1), ["verification-key-not-yet-valid"]);
});

Deno.test("other keys take the place of those before", async () => {
  const clock = new ManualClock(START);
  const log = new MemoryLog();
  const expiry = createKeyExpiry(clock, log);
  expiry.watch([{ ...trusted, notAfter: at(-1) }]);
  expiry.watch([trusted]);
  await clock.advance(10 * WARNING_INTERVAL_MS);
  assert.deepEqual(log.events(), ["verification-key-expired"]);
  expiry.close();
});
