import assert from "node:assert/strict";
import fc from "fast-check";
import { ManualClock } from "../tests/fakes/clock.ts";
import { SHARED_TIMER_STEPS, withSharedTimers } from "./shared_timers.ts";

const LENGTH_MS = 800;
const STEP_MS = LENGTH_MS / SHARED_TIMER_STEPS;

Deno.test("one timer for all waits of a length, and none while nobody waits", async () => {
  const manual = new ManualClock();
  const clock = withSharedTimers(manual, [LENGTH_MS]);
  const cancels = Array.from(
    { length: 10 },
    () => clock.after(LENGTH_MS, () => assert.fail("it was called off")),
  );
  assert.equal(manual.timers, 1);
  cancels.forEach((cancel) => cancel());
  await manual.advance(STEP_MS);
  assert.equal(manual.timers, 0);
  clock.after(LENGTH_MS + 1, () => {});
  clock.after(LENGTH_MS + 1, () => {});
  assert.equal(manual.timers, 2, "other lengths have timers of their own");
  assert.deepEqual(clock.now(), manual.now());
});

Deno.test("each wait ends once, at most a step early and never late, unless it is called off", async () => {
  const wait = fc.record({ pauseMs: fc.nat(LENGTH_MS), cancelMs: fc.option(fc.nat(2 * LENGTH_MS)) });
  await fc.assert(
    fc.asyncProperty(fc.array(wait, { minLength: 1, maxLength: 5 }), async (waits) => {
      const manual = new ManualClock();
      const clock = withSharedTimers(manual, [LENGTH_MS]);
      const now = () => manual.now().getTime();
      const endedMs = waits.map((): number[] => []);
      for (const [index, { pauseMs, cancelMs }] of waits.entries()) {
        await manual.advance(pauseMs);
        const began = now();
        const cancel = clock.after(LENGTH_MS, () => endedMs[index]?.push(now() - began));
        if (cancelMs !== null) manual.after(cancelMs, cancel);
      }
      await manual.advance(3 * LENGTH_MS);
      for (const [index, { cancelMs }] of waits.entries()) {
        const ended = endedMs[index] ?? [];
        assert.ok(ended.every((ms) => ms > LENGTH_MS - STEP_MS && ms <= LENGTH_MS), String(ended));
        if (cancelMs === null) assert.equal(ended.length, 1);
        else if (cancelMs <= LENGTH_MS - STEP_MS) assert.equal(ended.length, 0);
        else assert.ok(ended.length <= 1);
      }
      assert.equal(manual.timers, 0);
    }),
    { numRuns: 20 },
  );
});

Deno.test("who begins to wait when another wait ends waits as long", async () => {
  const manual = new ManualClock();
  const clock = withSharedTimers(manual, [LENGTH_MS]);
  let ended = 0;
  const again = () => {
    ended++;
    if (ended < 3) clock.after(LENGTH_MS, again);
  };
  clock.after(LENGTH_MS, again);
  for (let turn = 1; turn <= 3; turn++) {
    await manual.advance(LENGTH_MS - STEP_MS - 1);
    assert.equal(ended, turn - 1);
    await manual.advance(STEP_MS + 1);
    assert.equal(ended, turn);
  }
});

Deno.test("a callback that fails keeps nobody else from ending", async () => {
  const manual = new ManualClock();
  const clock = withSharedTimers(manual, [LENGTH_MS]);
  const ended: string[] = [];
  clock.after(LENGTH_MS, () => {
    throw new Error("canary");
  });
  clock.after(LENGTH_MS, () => ended.push("the same step"));
  await manual.advance(STEP_MS);
  clock.after(LENGTH_MS, () => ended.push("the next step"));
  await assert.rejects(manual.advance(LENGTH_MS - STEP_MS), /canary/);
  await manual.advance(STEP_MS);
  assert.deepEqual(ended, ["the same step", "the next step"]);
  clock.after(LENGTH_MS, () => ended.push("later"));
  await manual.advance(LENGTH_MS);
  assert.equal(ended.at(-1), "later");
  assert.equal(manual.timers, 0);
});
