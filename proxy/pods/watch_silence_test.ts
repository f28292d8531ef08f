import assert from "node:assert/strict";
import { ManualClock } from "../../tests/fakes/clock.ts";
import { MemoryLog } from "../../tests/fakes/log.ts";
import { createWatchSilence, WATCH_SILENCE_TIMEOUT_MS, type WatchSilence } from "./watch_silence.ts";

const MINUTE_MS = 60_000;

interface Bench {
  clock: ManualClock;
  silence: WatchSilence;
  /** How often the silence was too long. */
  silent(): number;
}

function makeBench(clock = new ManualClock()): Bench {
  let silent = 0;
  const silence = createWatchSilence(clock, new MemoryLog(), "/api/v1/pods", () => void silent++);
  return { clock, silence, silent: () => silent };
}

Deno.test("the silence counts from the last wait, to the millisecond, with one timer", async () => {
  const { clock, silence, silent } = makeBench();
  for (let minute = 0; minute < 10; minute++) {
    silence.wait();
    await clock.advance(MINUTE_MS);
    silence.heard();
    assert.ok(clock.timers <= 1);
  }
  silence.wait();
  await clock.advance(WATCH_SILENCE_TIMEOUT_MS - 1);
  assert.equal(silent(), 0);
  await clock.advance(1);
  assert.equal(silent(), 1);
  assert.equal(clock.timers, 0);
});

Deno.test("nobody who does not wait hears a silence", async () => {
  const { clock, silence, silent } = makeBench();
  silence.wait();
  silence.heard();
  await clock.advance(3 * WATCH_SILENCE_TIMEOUT_MS);
  assert.deepEqual([silent(), clock.timers], [0, 0]);
  silence.wait();
  await clock.advance(WATCH_SILENCE_TIMEOUT_MS);
  assert.equal(silent(), 1);
});

Deno.test("a watch that has ended is silent without anybody being told", async () => {
  const { clock, silence, silent } = makeBench();
  silence.wait();
  silence.end();
  silence.wait();
  await clock.advance(WATCH_SILENCE_TIMEOUT_MS);
  assert.deepEqual([silent(), clock.timers], [0, 0]);
});

Deno.test("a clock that is set back delays the end by no more than the timeout once more", async () => {
  class StepClock extends ManualClock {
    stepMs = 0;
    override now(): Date {
      return new Date(super.now().getTime() + this.stepMs);
    }
  }
  const clock = new StepClock();
  const { silence, silent } = makeBench(clock);
  silence.wait();
  clock.stepMs = -24 * 60 * MINUTE_MS;
  await clock.advance(WATCH_SILENCE_TIMEOUT_MS);
  assert.equal(silent(), 0);
  await clock.advance(WATCH_SILENCE_TIMEOUT_MS);
  assert.equal(silent(), 1);
});
