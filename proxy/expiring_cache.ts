/**
 * Remembers answers for a while, the least recently used first out.
 *
 * @module
 */
import type { Clock } from "./clock.ts";

/** A bounded memory. */
export class ExpiringCache<T> {
  readonly #entries = new Map<string, { value: T; until: number }>();

  /** @param maxEntries most answers that are remembered */
  constructor(readonly maxEntries: number, readonly clock: Clock) {}

  /** The answer, if it is remembered and still holds. */
  get(key: string): T | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.#entries.delete(key);
    if (entry.until <= this.clock.now().getTime()) return undefined;
    // Put back last, so that the map's order is that of the latest use.
    this.#entries.set(key, entry);
    return entry.value;
  }

  /** Remembers an answer for so many milliseconds. */
  set(key: string, value: T, ttlMs: number): void {
    this.#entries.delete(key);
    this.#entries.set(key, { value, until: this.clock.now().getTime() + ttlMs });
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= this.maxEntries) return;
      this.#entries.delete(oldest);
    }
  }

  /** How many answers are remembered, also such that no longer hold. */
  get size(): number {
    return this.#entries.size;
  }
}

/** A key of fixed length for what may be long or secret: its SHA-256 in hexadecimal. */
export async function digestKey(text: string): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text))).toHex();
}
