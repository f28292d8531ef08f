/**
 * Follows files: what changes in them is put in force while the proxy runs, and what is wrong with a change is said
 * once, while the last good one stays in force.
 *
 * The files are read again and again, and compared. A notification of the kernel belongs to an inode: it is lost when a
 * symbolic link is turned, a folder is replaced by another, or a mount takes the place of a file, and each of these is
 * how certificates are renewed somewhere. Sizes and times say nothing about a file that is written in place within one
 * tick of the clock. A few small files every few seconds cost next to nothing.
 *
 * A change is looked at only after it has been there, unchanged, for a moment: a certificate whose key is still to come,
 * or half of a list of authorities, is nobody's intention.
 *
 * @module
 */
import { messageOf } from "@signed-pods/shared/errors";
import type { Clock } from "../clock.ts";
import type { FileContents, LoadedFiles } from "./file_set.ts";
import type { Log } from "../log.ts";
import type { ReloadCounts } from "./reload_counts.ts";

/** Time between two readings, in milliseconds: renewals come hours before the old certificate ends. */
export const READING_INTERVAL_MS = 5_000;

/** How long a change must lie there before it is looked at, in milliseconds: longer than writing two files takes. */
export const SETTLING_MS = 1_000;

/** What a follower is made of. */
export interface FollowerOptions<T> {
  loaded: LoadedFiles<T>;
  /** Puts what has changed in force; if it throws, the change counts as refused. */
  apply: (value: T) => void | Promise<void>;
  clock: Clock;
  log: Log;
  counts: ReloadCounts;
}

/** Follows one set of files. */
export interface FileFollower {
  /**
   * Looks at once, without waiting for the next reading; a change must settle all the same. Files that were read a moment
   * ago are not read again, so that no peer can keep the disk busy.
   *
   * @returns whether a change has been put in force
   */
  refresh(): Promise<boolean>;
  /** Reads no more. */
  close(): void;
}

/** Starts to follow files that were loaded before. */
export function followFiles<T>(options: FollowerOptions<T>): FileFollower {
  const { loaded: { set, contents }, apply, clock, log, counts } = options;
  const count = counts.of(set.name);
  let inForce = fingerprint(contents);
  let refused: string | undefined;
  let running: Promise<boolean> | undefined;
  let closed = false;
  let readAtMs = Number.NEGATIVE_INFINITY;
  let cancelTimer = schedule();
  let wake = () => {};

  function schedule(): () => void {
    return clock.after(READING_INTERVAL_MS, () => {
      check().finally(() => {
        if (!closed) {
          cancelTimer = schedule();
        }
      });
    });
  }

  /** One at a time: whoever asks meanwhile gets the answer of the one that runs. */
  function check(): Promise<boolean> {
    running ??= read().finally(() => running = undefined);
    return running;
  }

  async function read(): Promise<boolean> {
    readAtMs = clock.now().getTime();
    const first = fingerprint(await set.read());
    if (closed || first === inForce || first === refused) {
      if (first === inForce && refused !== undefined) {
        refused = undefined;
        count.stale = false;
        log.info("files-restored", "the files are again what is in force", { files: set.name });
      }
      return false;
    }
    await settle();
    if (closed) {
      return false;
    }
    const found = await set.read();
    // What still changes is looked at the next time.
    return fingerprint(found) === first && await take(first, found);
  }

  function settle(): Promise<void> {
    return new Promise((resolve) => {
      const cancel = clock.after(SETTLING_MS, resolve);
      wake = () => {
        cancel();
        resolve();
      };
    });
  }

  async function take(print: string, found: FileContents): Promise<boolean> {
    let problems: string[];
    try {
      const parsed = await set.parse(found);
      if (parsed.ok) {
        await apply(parsed.value);
        inForce = print;
        refused = undefined;
        count.taken++;
        count.stale = false;
        log.info("files-reloaded", "changed files are in force", { files: set.name });
        return true;
      }
      problems = parsed.problems.map(({ path, message }) => `${path} ${message}`);
    } catch (error) {
      problems = [messageOf(error)];
    }
    refused = print;
    count.refused++;
    count.stale = true;
    log.error("files-refused", "changed files cannot be used; those from before stay in force", {
      files: set.name,
      problems,
    });
    return false;
  }

  return {
    async refresh() {
      const isFresh = Math.abs(clock.now().getTime() - readAtMs) < SETTLING_MS;
      return !closed && (running !== undefined || !isFresh) && await check();
    },
    close() {
      closed = true;
      cancelTimer();
      wake();
    },
  };
}

/** The same text for the same files, and no other. */
function fingerprint(contents: FileContents): string {
  return JSON.stringify([...contents].sort(([a], [b]) => a < b ? -1 : a > b ? 1 : 0));
}
