/**
 * A clock that has one timer for all waits of the same length. Each request waits with two, and nearly always calls them off
 * within a millisecond; a timer of the runtime costs more than the waiting is worth.
 *
 * @module
 */
import type { Clock } from "./clock.ts";

/** Steps that a wait is divided into: what is waited for ends up to one step early, and never late. */
export const SHARED_TIMER_STEPS = 8;

/** One wait. */
interface Wait {
  /** The step in which it began. */
  step: number;
  callback: () => void;
}

/**
 * The same clock; waits of the given lengths share a timer for each length, which runs only while somebody waits.
 *
 * @param lengthsMs in milliseconds; far longer than a timer's precision matters to whoever waits
 */
export function withSharedTimers(clock: Clock, lengthsMs: readonly number[]): Clock {
  const shared = new Map(lengthsMs.map((lengthMs) => [lengthMs, sharedTimer(clock, lengthMs)]));
  return {
    now: () => clock.now(),
    after(delayMs, callback) {
      const wait = shared.get(delayMs);
      return wait === undefined ? clock.after(delayMs, callback) : wait(callback);
    },
  };
}

function sharedTimer(clock: Clock, lengthMs: number): (callback: () => void) => () => void {
  /** In the order in which they began. */
  const waits = new Set<Wait>();
  let step = 0;
  let running = false;

  function run(): void {
    running = true;
    clock.after(lengthMs / SHARED_TIMER_STEPS, () => {
      step++;
      try {
        for (const wait of waits) {
          if (step - wait.step < SHARED_TIMER_STEPS) {
            break;
          }
          waits.delete(wait);
          wait.callback();
        }
      } finally {
        // Also if a callback has failed: the others still wait, and end one step later.
        running = false;
        if (waits.size > 0) {
          run();
        }
      }
    });
  }

  return (callback) => {
    const wait = { step, callback };
    waits.add(wait);
    if (!running) {
      run();
    }
    return () => void waits.delete(wait);
  };
}
