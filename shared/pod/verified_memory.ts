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

/** What is remembered of one signature. */
interface Remembered<T> {
  /** By text. One that is still being made may yet turn out to be a refusal. */
  readonly entries: Map<string, { made: Promise<T | DenyVerdict>; kept: boolean }>;
  /** How many are kept. */
  kept: number;
}

/**
 * Remembers what has been verified, by signature and text, least recently used first out. Refusals are not remembered, so that
 * an API server which makes them up pushes nothing out; and nothing is that depends on the time.
 */
export class VerifiedMemory<T extends object> {
  readonly #signatures = new Map<string, Remembered<T>>();
  #size = 0;
  #characters = 0;

  /** Whether anything of the signature is remembered. */
  hasSignature(signature: string): boolean {
    return (this.#signatures.get(signature)?.kept ?? 0) > 0;
  }

  /** Whether the value is remembered. */
  has(signature: string, text: string): boolean {
    return this.#signatures.get(signature)?.entries.get(text)?.kept === true;
  }

  /** Gives the remembered value, or makes it; whoever asks meanwhile waits for the same. */
  async get(
    signature: string,
    text: string,
    make: () => Promise<T | DenyVerdict>,
  ): Promise<T | DenyVerdict> {
    const remembered = this.#signatures.get(signature) ?? { entries: new Map(), kept: 0 };
    // Deleted first, so that the map's order is that of the latest use.
    this.#signatures.delete(signature);
    this.#signatures.set(signature, remembered);
    const known = remembered.entries.get(text);
    if (known !== undefined) return await known.made;
    const entry = { made: make(), kept: false };
    remembered.entries.set(text, entry);
    this.#size++;
    this.#characters += signature.length + text.length;
    let keep = false;
    try {
      const value = await entry.made;
      keep = !("decision" in value);
      return value;
    } finally {
      if (remembered.entries.get(text) === entry) {
        if (keep) {
          entry.kept = true;
          remembered.kept++;
        } else {
          this.#forget(signature, remembered, text);
        }
      }
      this.#trim();
    }
  }

  #trim(): void {
    while (this.#size > MAX_REMEMBERED || this.#characters > MAX_REMEMBERED_CHARACTERS) {
      const [oldest] = this.#signatures;
      if (oldest === undefined) return;
      const [signature, remembered] = oldest;
      for (const text of remembered.entries.keys()) this.#forget(signature, remembered, text);
    }
  }

  #forget(signature: string, remembered: Remembered<T>, text: string): void {
    const entry = remembered.entries.get(text);
    if (entry === undefined) return;
    remembered.entries.delete(text);
    if (entry.kept) remembered.kept--;
    this.#size--;
    this.#characters -= signature.length + text.length;
    if (remembered.entries.size === 0 && this.#signatures.get(signature) === remembered) {
      this.#signatures.delete(signature);
    }
  }
}
