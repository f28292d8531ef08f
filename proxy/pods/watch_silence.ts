/**
 * Watches of which nothing is heard. When the network is cut without a word, the connection to the API server stays open
 * for ever: `http_client/` sends no keepalives. A kubelet that is connected directly notices by the pings of HTTP/2;
 * towards the proxy these say nothing about the API server.
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

/**
 * Waits for the next bytes of a watch.
 *
 * @param path what is watched, for the log
 * @param end called when they do not come
 * @returns a function that tells that they came
 */
export function afterSilence(clock: Clock, log: Log, path: string, end: () => void): () => void {
  return clock.after(WATCH_SILENCE_TIMEOUT_MS, () => {
    log.warn("watch-silent", "the API server sent nothing on a watch, not even a bookmark; the watch ends", {
      path,
      seconds: WATCH_SILENCE_TIMEOUT_MS / 1000,
    });
    end();
  });
}
