/**
 * How long to wait before a request is tried again.
 *
 * @module
 */

/** Wait after the first failure, in milliseconds. */
export const FIRST_RETRY_MS = 1_000;

/** Longest wait, in milliseconds: an API server that comes back after minutes is noticed within one. */
export const MAX_RETRY_MS = 60_000;

/** The first wait and the longest, in milliseconds. */
export interface Backoff {
  firstMs: number;
  maxMs: number;
}

/**
 * Exponential backoff with jitter: between half of the doubled wait and all of it, so that many nodes do not come back
 * at once.
 *
 * @param failures how many tries have failed so far, at least 1
 * @param random a number from 0 up to, but not including, 1
 * @returns milliseconds
 */
export function backoffMs({ firstMs, maxMs }: Backoff, failures: number, random: number): number {
  const full = Math.min(maxMs, firstMs * 2 ** Math.min(failures - 1, 30));
  return Math.round(full / 2 + (full / 2) * random);
}

/**
 * The wait before a request to the API server is tried again.
 *
 * @param failures how many tries have failed so far, at least 1
 * @param random a number from 0 up to, but not including, 1
 * @param leastMs what the server asked for, if it did
 * @returns milliseconds
 */
export function retryDelayMs(failures: number, random: number, leastMs = 0): number {
  return Math.max(leastMs, backoffMs({ firstMs: FIRST_RETRY_MS, maxMs: MAX_RETRY_MS }, failures, random));
}
