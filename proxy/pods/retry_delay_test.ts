import assert from "node:assert/strict";
import { FIRST_RETRY_MS, MAX_RETRY_MS, retryDelayMs } from "./retry_delay.ts";

Deno.test("the wait doubles up to a bound, with jitter over its upper half", () => {
  assert.equal(retryDelayMs(1, 0), FIRST_RETRY_MS / 2);
  assert.equal(retryDelayMs(1, 0.999_999), FIRST_RETRY_MS);
  assert.equal(retryDelayMs(3, 0.5), 3 * FIRST_RETRY_MS);
  assert.equal(retryDelayMs(1000, 0), MAX_RETRY_MS / 2);
});

Deno.test("the server may ask for more", () => {
  assert.equal(retryDelayMs(1, 0, 5000), 5000);
});
