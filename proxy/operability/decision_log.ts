/**
 * The decision log: one line of JSON for each verdict that is new or has changed, in a file that is rotated by size:
 * `FILE`, `FILE.1` (the newest before it), `FILE.2`, …
 *
 * Nothing waits for it. Lines are written in the background, those that are waiting at once; what cannot be written is
 * counted and left out, and no pod is judged otherwise for that. The file is opened for each write, so that it may also be
 * moved away by hand.
 *
 * @module
 */
import { messageOf } from "@signed-pods/shared/errors";
import type { Clock } from "../clock.ts";
import type { Log } from "../log.ts";

/** A file that would become larger is rotated, in bytes. A line has about 500: 30,000 verdicts. */
export const MAX_DECISION_LOG_BYTES: number = 16 * 1024 * 1024;

/** Files that are kept beside the current one: 64 MiB in all. Older ones are overwritten. */
export const DECISION_LOGS_KEPT = 3;

/** Most lines that wait to be written. A disk that hangs must not fill memory. */
export const MAX_WAITING_DECISIONS = 1_000;

/** What the log asks of the file system. Every function throws what the system says. */
export interface DecisionFiles {
  /** In bytes; undefined if there is no such file. */
  size(path: string): Promise<number | undefined>;
  /** The byte at a position. */
  byteAt(path: string, position: number): Promise<number | undefined>;
  /** Appends, and makes the file if there is none. */
  append(path: string, text: string): Promise<void>;
  /** Does nothing if there is no such file. */
  rename(from: string, to: string): Promise<void>;
}

/** What a log is made of. */
export interface DecisionLogOptions {
  path: string;
  files: DecisionFiles;
  clock: Clock;
  log: Log;
  /** Called with the number of lines that are lost. */
  lost: (lines: number) => void;
  /** Default: {@linkcode MAX_DECISION_LOG_BYTES}. */
  maxBytes?: number;
}

/** A log that is written in the background. */
export interface DecisionLog {
  /** Takes a line without its line feed. Never throws, never waits. */
  write(line: string): void;
  /**
   * Waits until all lines are written.
   *
   * @param deadlineMs longest wait in milliseconds
   */
  close(deadlineMs: number): Promise<void>;
}

/** The files that a log may read and write, for permissions. */
export function decisionLogPaths(path: string): string[] {
  return [path, ...Array.from({ length: DECISION_LOGS_KEPT }, (_, index) => `${path}.${index + 1}`)];
}

/** Makes a log; the file is opened with the first line. */
export function createDecisionLog(options: DecisionLogOptions): DecisionLog {
  const { path, files, clock, log, maxBytes = MAX_DECISION_LOG_BYTES } = options;
  const paths = decisionLogPaths(path);
  let waiting: string[] = [];
  let running: Promise<void> | undefined;
  let failing = false;
  /** The file is known to end with a whole line. */
  let whole = false;

  function lose(lines: number, reason: string): void {
    options.lost(lines);
    if (!failing) {
      failing = true;
      log.error("decision-log-failed", `verdicts are not written: ${reason}`, { path });
    }
  }

  async function drain(): Promise<void> {
    while (waiting.length > 0) {
      const lines = waiting;
      waiting = [];
      try {
        await append(lines.map((line) => `${line}\n`).join(""));
        if (failing) {
          failing = false;
          log.info("decision-log-recovered", "verdicts are written again", { path });
        }
      } catch (error) {
        whole = false;
        lose(lines.length, messageOf(error));
      }
    }
    // At once, not when the promise is settled: a line that came in between would wait for the next one.
    running = undefined;
  }

  async function append(text: string): Promise<void> {
    let size = await files.size(path) ?? 0;
    if (size > 0 && size + new TextEncoder().encode(text).length > maxBytes) {
      for (let index = paths.length - 2; index >= 0; index--) {
        await files.rename(paths[index] ?? path, paths[index + 1] ?? path);
      }
      size = 0;
    }
    // A full disk, or a power failure, may have cut the last line.
    const isCut = !whole && size > 0 && await files.byteAt(path, size - 1) !== LINE_FEED;
    await files.append(path, isCut ? `\n${text}` : text);
    whole = true;
  }

  return {
    write(line) {
      if (waiting.length >= MAX_WAITING_DECISIONS) {
        lose(1, "too many of them are waiting");
        return;
      }
      waiting.push(line);
      running ??= drain();
    },
    async close(deadlineMs) {
      if (running === undefined) {
        return;
      }
      const deadline = Promise.withResolvers<void>();
      const cancel = clock.after(deadlineMs, () => deadline.resolve());
      await Promise.race([running, deadline.promise]);
      cancel();
    },
  };
}

const LINE_FEED = 0x0a;

/** Only the proxy's user may read which pods the node has. */
const FILE_MODE = 0o600;

/** The files of this machine. */
export const systemDecisionFiles: DecisionFiles = {
  async size(path) {
    try {
      return (await Deno.stat(path)).size;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) {
        return undefined;
      }
      throw error;
    }
  },
  async byteAt(path, position) {
    using file = await Deno.open(path);
    await file.seek(position, Deno.SeekMode.Start);
    const byte = new Uint8Array(1);
    return await file.read(byte) === 1 ? byte[0] : undefined;
  },
  append: (path, text) => Deno.writeTextFile(path, text, { append: true, mode: FILE_MODE }),
  async rename(from, to) {
    try {
      await Deno.rename(from, to);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) {
        throw error;
      }
    }
  },
};
