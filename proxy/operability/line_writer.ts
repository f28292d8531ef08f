/**
 * Writes the log in the background. Whoever reads it may be slow or hang: a pipe that is full, a disk that does not answer. A
 * write that waits for the reader would stop every request with it, so lines wait here, and what finds no room is left
 * out and counted.
 *
 * @module
 */
import type { Clock } from "../clock.ts";

/**
 * Most characters that wait to be written: some thousands of lines, more than a node logs in the minute in which its reader is
 * restarted.
 */
export const MAX_WAITING_LOG_CHARACTERS = 1024 * 1024;

/** What a writer is made of. */
export interface LineWriterOptions {
  /**
   * Writes some of the bytes, and resolves when it has.
   *
   * @returns how many
   */
  write: (bytes: Uint8Array) => Promise<number>;
  clock: Clock;
  /** Called when there is room again, with the number of lines that were left out since the last call. */
  recovered: (lost: number) => void;
}

/** Takes lines and does not wait. */
export interface LineWriter {
  /** Takes a line with its line feed. Never throws, never waits. */
  write(line: string): void;
  /** Lines that were left out since the start. */
  readonly lost: number;
  /**
   * Waits until all lines are written.
   *
   * @param deadlineMs longest wait in milliseconds
   */
  flush(deadlineMs: number): Promise<void>;
}

/** Makes a writer; nothing is written before the first line. */
export function createLineWriter({ write, clock, recovered }: LineWriterOptions): LineWriter {
  let waiting: string[] = [];
  let characters = 0;
  let lost = 0;
  let untold = 0;
  let failing = false;
  let running: Promise<void> | undefined;

  async function writeAll(text: string): Promise<void> {
    let rest = new TextEncoder().encode(text);
    while (rest.length > 0) {
      rest = rest.subarray(await write(rest));
    }
  }

  function lose(lines: number): void {
    lost += lines;
    untold += lines;
  }

  /** Tells of what was left out, where it would have stood. */
  function tell(): void {
    if (untold > 0 && characters === 0 && !failing) {
      const told = untold;
      untold = 0;
      recovered(told);
    }
  }

  async function drain(): Promise<void> {
    while (waiting.length > 0) {
      const lines = waiting;
      waiting = [];
      characters = 0;
      tell();
      try {
        await writeAll(lines.join(""));
        failing = false;
      } catch {
        // Nobody is left to tell: the log itself is what fails. The next line tries again.
        failing = true;
        lose(lines.length);
      }
      tell();
    }
    // At once, not when the promise is settled: a line that came in between would wait for the next one.
    running = undefined;
  }

  return {
    write(line) {
      if (characters + line.length > MAX_WAITING_LOG_CHARACTERS) {
        lose(1);
        return;
      }
      waiting.push(line);
      characters += line.length;
      running ??= drain();
    },
    get lost() {
      return lost;
    },
    async flush(deadlineMs) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const cancel = clock.after(deadlineMs, resolve);
      await Promise.race([running, promise]);
      cancel();
    },
  };
}
