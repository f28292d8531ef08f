/**
 * How many of a kind of request are held in memory at the same time.
 *
 * @module
 */
import type { Log } from "../log.ts";
import { statusResponse } from "../status.ts";

/** Places for requests. */
export interface Slots {
  /** Runs work in a place of its own, or answers 429, which client-go tries again after the time that it names. */
  run(work: () => Promise<Response>): Promise<Response>;
}

/**
 * @param max how many there are
 * @param what is refused over it, in the plural
 */
export function createSlots(max: number, what: string, log: Log): Slots {
  let taken = 0;
  return {
    async run(work) {
      if (taken >= max) {
        log.error("request-refused", `${max} ${what} are under way already`, { code: 429 });
        return statusResponse(429, "TooManyRequests", `kubelet-proxy: too many ${what} are under way`, {
          retryAfterSeconds: 1,
        });
      }
      taken++;
      try {
        return await work();
      } finally {
        taken--;
      }
    },
  };
}
