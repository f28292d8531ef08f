/**
 * The last verdicts, in memory.
 *
 * @module
 */

/** How many are kept: all pods of a large node several times over. */
export const MAX_RECENT_DECISIONS = 1_000;

/** Lines of JSON; the oldest makes room for a new one. */
export class RecentDecisions {
  readonly #lines: string[] = [];
  #total = 0;

  add(line: string): void {
    this.#lines[this.#total++ % MAX_RECENT_DECISIONS] = line;
  }

  /** A JSON object: how many there were since the start, and those that are kept, the newest first. */
  text(): string {
    const next = this.#total % MAX_RECENT_DECISIONS;
    const newestFirst = [...this.#lines.slice(next), ...this.#lines.slice(0, next)].reverse();
    return `{"total":${this.#total},"decisions":[${newestFirst.map((line) => `\n${line}`).join(",")}]}\n`;
  }
}
