/**
 * Time as the proxy's parts see it, so that tests need no real seconds.
 *
 * @module
 */

/** A clock with timers. */
export interface Clock {
  /** The current time. */
  now(): Date;
  /**
   * Calls back once, later.
   *
   * @param delayMs milliseconds from now; zero or less means as soon as possible
   * @returns a function that calls the timer off
   */
  after(delayMs: number, callback: () => void): () => void;
}

/** The clock and the timers of the runtime. */
export const systemClock: Clock = {
  now: () => new Date(),
  after(delayMs, callback) {
    const id = setTimeout(callback, Math.max(0, delayMs));
    return () => clearTimeout(id);
  },
};
