/**
 * How long to wait before a request is tried again.
 *
 * @module
 */

/** Wait after the first failure, in milliseconds. */
export const FIRST_RETRY_MS = 1_000;

/** Longest wait, in milliseconds: an API server that comes back after minutes is noticed within one. */
export const MAX_RETRY_MS = 60_000;

/**
 * Exponential backoff with jitter: between half of the doubled wait and all of it, so that many nodes do not come back
 * at once.
 *
 * @param failures how many tries have failed so far, at least 1
 * @param random a number from 0 up to, but not including, 1
 * @param leastMs what the server asked for, if it did
 * @returns milliseconds
 */
export function retryDelayMs(failures: number, random: number, leastMs = 0): number {
  const full = Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(failures - 1, 30));
  return Math.max(leastMs, Math.round(full / 2 + (full / 2) * random));
}
