/**
 * How long to wait before the cluster is asked again for a certificate. That it said no and that it did not answer are counted
 * apart: an outage neither shortens the waits after refusals nor lengthens them.
 *
 * @module
 */
import { backoffMs, retryDelayMs } from "../pods/retry_delay.ts";

/** Wait after the first refusal, in milliseconds: an administrator who mends it need not wait for long. */
export const FIRST_REFUSED_RETRY_MS = 60_000;

/**
 * Longest wait after refusals, in milliseconds: each try leaves an object in the cluster, which is kept there for an hour if it is
 * denied (`pkg/controller/certificates/cleaner/cleaner.go`).
 */
export const MAX_REFUSED_RETRY_MS = 3_600_000;

/** Part of a certificate's rest that is waited at most: a short-lived one is tried for several times before it ends. */
const REST_PART = 0.1;

/** Waits between the tries to renew one certificate. */
export class RenewalPace {
  readonly #random: () => number;
  #refusals = 0;
  #outages = 0;

  /** @param random gives numbers from 0 up to, but not including, 1 */
  constructor(random: () => number) {
    this.#random = random;
  }

  /**
   * The cluster said no.
   *
   * @param restMs how long the present certificate holds; nothing or less if it has ended
   * @returns milliseconds
   */
  refused(restMs: number): number {
    this.#outages = 0;
    this.#refusals++;
    const maxMs = restMs <= 0
      ? MAX_REFUSED_RETRY_MS
      : Math.max(FIRST_REFUSED_RETRY_MS, Math.min(MAX_REFUSED_RETRY_MS, restMs * REST_PART));
    return backoffMs({ firstMs: FIRST_REFUSED_RETRY_MS, maxMs }, this.#refusals, this.#random());
  }

  /**
   * The cluster did not answer, or with what means nothing.
   *
   * @returns milliseconds
   */
  unanswered(): number {
    this.#outages++;
    return retryDelayMs(this.#outages, this.#random());
  }

  /** The cluster answered. */
  answered(): void {
    this.#outages = 0;
  }

  /** The certificate was renewed, or needs not be. */
  done(): void {
    this.#refusals = 0;
    this.#outages = 0;
  }
}
