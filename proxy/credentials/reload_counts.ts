/**
 * Counts of what became of changed files, for whoever watches the proxy.
 *
 * @module
 */

/** What became of the changes of one set of files. */
export interface ReloadCount {
  /** Changes that are, or were, in force. */
  taken: number;
  /** Changes that were refused, each once. */
  refused: number;
  /** What lies there now is not what is in force. */
  stale: boolean;
}

/** Counts by the name of the set of files. */
export class ReloadCounts {
  readonly #counts = new Map<string, ReloadCount>();

  /** The count of one set, to be read and changed. */
  of(name: string): ReloadCount {
    const known = this.#counts.get(name);
    if (known !== undefined) {
      return known;
    }
    const count: ReloadCount = { taken: 0, refused: 0, stale: false };
    this.#counts.set(name, count);
    return count;
  }

  /** All that there are. */
  entries(): Iterable<[string, Readonly<ReloadCount>]> {
    return this.#counts.entries();
  }
}
