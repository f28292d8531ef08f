import assert from "node:assert/strict";
import { FIRST_RETRY_MS, MAX_RETRY_MS } from "../pods/retry_delay.ts";
import { FIRST_REFUSED_RETRY_MS, MAX_REFUSED_RETRY_MS, RenewalPace } from "./renewal_pace.ts";

const DAY_MS = 86_400_000;
/** The largest number that random gives, nearly. */
const LATE = () => 1 - Number.EPSILON;

Deno.test("waits after refusals are doubled up to an hour, and scattered", () => {
  const pace = new RenewalPace(LATE);
  const waits = Array.from({ length: 8 }, () => pace.refused(30 * DAY_MS));
  assert.deepEqual(waits, [1, 2, 4, 8, 16, 32, 60, 60].map((factor) => factor * FIRST_REFUSED_RETRY_MS));
  assert.equal(waits.at(-1), MAX_REFUSED_RETRY_MS);
  const early = new RenewalPace(() => 0);
  assert.equal(early.refused(30 * DAY_MS), FIRST_REFUSED_RETRY_MS / 2);
});

Deno.test("a certificate that ends soon is tried for often enough, one that has ended as seldom as any", () => {
  for (
    const [restMs, longestMs] of [[1_200_000, 120_000], [60_000, 60_000], [0, MAX_REFUSED_RETRY_MS]] as const
  ) {
    const pace = new RenewalPace(LATE);
    const waits = Array.from({ length: 10 }, () => pace.refused(restMs));
    assert.equal(Math.max(...waits), longestMs);
  }
});

Deno.test("outages and refusals are counted apart", () => {
  const pace = new RenewalPace(LATE);
  pace.refused(DAY_MS);
  const outages = Array.from({ length: 8 }, () => pace.unanswered());
  assert.deepEqual(outages.slice(0, 3), [1, 2, 4].map((factor) => factor * FIRST_RETRY_MS));
  assert.equal(outages.at(-1), MAX_RETRY_MS);
  assert.equal(pace.refused(DAY_MS), 2 * FIRST_REFUSED_RETRY_MS);
  pace.unanswered();
  pace.answered();
  assert.equal(pace.unanswered(), FIRST_RETRY_MS);
  assert.equal(pace.refused(DAY_MS), 4 * FIRST_REFUSED_RETRY_MS);
  pace.done();
  assert.equal(pace.refused(DAY_MS), FIRST_REFUSED_RETRY_MS);
});
