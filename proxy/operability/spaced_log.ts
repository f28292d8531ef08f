/**
 * Log lines that a peer can cause as often as it likes: at most one in a second, with how many were left out before it.
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import type { Log, LogFields } from "../log.ts";

/** Shortest time between two such lines, in milliseconds: enough to see that it goes on, and nothing fills a disk. */
export const LINE_SPACING_MS = 1_000;

/** Makes a warning that is spaced out, whatever message it has. `omitted` is how many came since the line before. */
export function spacedWarning(
  log: Log,
  clock: Clock,
  event: string,
): (message: string, fields: LogFields) => void {
  let toldAtMs = -Infinity;
  let omitted = 0;
  return (message, fields) => {
    const nowMs = clock.now().getTime();
    // A clock that was set back begins afresh.
    if (nowMs >= toldAtMs && nowMs - toldAtMs < LINE_SPACING_MS) {
      omitted++;
      return;
    }
    log.warn(event, message, omitted === 0 ? fields : { ...fields, omitted });
    toldAtMs = nowMs;
    omitted = 0;
  };
}
