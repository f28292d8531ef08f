/**
 * Watches of which nothing is heard. When the network is cut without a word, the connection to the API server stays open
 * for ever: `http_client/` sends no keepalives. A kubelet that is connected directly notices by the pings of HTTP/2;
 * towards the proxy it speaks HTTP/1.1, which has none.
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import type { Log } from "../log.ts";

/**
 * Longest silence of a watch, in milliseconds; then it is ended, cleanly for the kubelet, which resumes it. With
 * allowWatchBookmarks, which all reflectors set, kube-apiserver sends a BOOKMARK about every minute.
 */
export const WATCH_SILENCE_TIMEOUT_MS = 180_000;

/** Notices the silence of one watch. */
export interface WatchSilence {
  /** The next bytes are waited for, from now on. */
  wait(): void;
  /** They came. Until the next wait nobody listens, so that a kubelet which reads slowly is no silence. */
  heard(): void;
  /** The watch has ended. */
  end(): void;
}

/**
 * One timer for a watch, not one for each of its chunks: when it rings, it looks since when nothing was heard. A clock that is set
 * forward may end a watch early, which costs a resumption; one that is set back delays the end by no more than twice the timeout.
 *
 * @param path what is watched, for the log
 * @param onSilence called once, when the silence is too long
 */
export function createWatchSilence(
  clock: Clock,
  log: Log,
  path: string,
  onSilence: () => void,
): WatchSilence {
  let waitingSinceMs: number | undefined;
  let ended = false;
  let cancel: (() => void) | undefined;

  function ring(delayMs: number): void {
    cancel = clock.after(delayMs, () => {
      cancel = undefined;
      if (waitingSinceMs === undefined) {
        // The next wait sets the timer.
        return;
      }
      // A wait that has yet to begin is that of a clock which was set back.
      waitingSinceMs = Math.min(waitingSinceMs, clock.now().getTime());
      const leftMs = WATCH_SILENCE_TIMEOUT_MS - (clock.now().getTime() - waitingSinceMs);
      if (leftMs > 0) {
        ring(leftMs);
        return;
      }
      ended = true;
      log.warn(
        "watch-silent",
        "the API server sent nothing on a watch, not even a bookmark; the watch ends",
        {
          path,
          seconds: WATCH_SILENCE_TIMEOUT_MS / 1000,
        },
      );
      onSilence();
    });
  }

  return {
    wait() {
      waitingSinceMs = clock.now().getTime();
      if (cancel === undefined && !ended) {
        ring(WATCH_SILENCE_TIMEOUT_MS);
      }
    },
    heard() {
      waitingSinceMs = undefined;
    },
    end() {
      ended = true;
      cancel?.();
      cancel = undefined;
    },
  };
}
