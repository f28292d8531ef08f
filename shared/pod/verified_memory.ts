/**
 * What a verifier has found out once and need not find out again.
 *
 * @module
 */
import type { DenyVerdict } from "../verdict.ts";

/** Most signed texts that are remembered, at some 2 KiB and more each: a node runs some hundreds of pods of fewer workloads. */
export const MAX_REMEMBERED = 1024;

/** Most characters of signed texts that are remembered, all together. */
export const MAX_REMEMBERED_CHARACTERS = 16 * 1024 * 1024;

/**
 * Remembers what has been verified, least recently used first out. Refusals are not remembered, so that an API server
 * which makes them up pushes nothing out; and nothing is that depends on the time.
 */
export class VerifiedMemory<T extends object> {
  readonly #entries = new Map<string, Promise<T | DenyVerdict>>();
  readonly #made = new Set<string>();
  #characters = 0;

  /** Whether the value is remembered. One that is still being made may yet turn out to be a refusal. */
  has(key: string): boolean {
    return this.#made.has(key);
  }

  /** Gives the remembered value, or makes it; whoever asks meanwhile waits for the same. */
  async get(key: string, make: () => Promise<T | DenyVerdict>): Promise<T | DenyVerdict> {
    const known = this.#entries.get(key);
    if (known !== undefined) {
      this.#entries.delete(key);
      this.#entries.set(key, known);
      return await known;
    }
    const made = make();
    this.#entries.set(key, made);
    this.#characters += key.length;
    let keep = false;
    try {
      const value = await made;
      keep = !("decision" in value);
      return value;
    } finally {
      if (!keep) this.#forget(key, made);
      else if (this.#entries.get(key) === made) this.#made.add(key);
      this.#trim();
    }
  }

  #trim(): void {
    for (const key of this.#entries.keys()) {
      if (this.#entries.size <= MAX_REMEMBERED && this.#characters <= MAX_REMEMBERED_CHARACTERS) return;
      this.#forget(key, this.#entries.get(key));
    }
  }

  #forget(key: string, entry: Promise<T | DenyVerdict> | undefined): void {
    if (entry === undefined || this.#entries.get(key) !== entry) return;
    this.#entries.delete(key);
    this.#made.delete(key);
    this.#characters -= key.length;
  }
}
