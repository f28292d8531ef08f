/**
 * When the next refused pod of a controller may be failed. A ReplicaSet makes a new pod as soon as one fails, so
 * without a pause refusals make hundreds of pods a minute. The pauses are those of CrashLoopBackOff.
 *
 * @module
 */

/** Pauses between the refusals of one controller, in milliseconds; the last one repeats. */
export const PAUSES_MS: readonly number[] = [10_000, 20_000, 40_000, 80_000, 160_000, 300_000];

/** After this long without a refusal a controller starts afresh, in milliseconds. */
export const QUIET_MS = 600_000;

/** Most controllers that are remembered. Each needs a refused pod on this node; the longest quiet is dropped. */
export const MAX_CONTROLLERS = 5_000;

/** The pauses of one controller. */
interface Pauses {
  /** Refusals so far. */
  count: number;
  /** When the next may follow, in milliseconds since the epoch. */
  nextAt: number;
  /** When something was refused, or waited to be, last. */
  activeAt: number;
}

/** Spaces refusals out, per controller. */
export interface Spacing {
  /**
   * Whether a pod may be failed now; if so, the pause begins.
   *
   * @param nowMs milliseconds since the epoch
   * @returns 0 if it may, otherwise how many milliseconds are left
   */
  take(controller: string, nowMs: number): number;
  /** Milliseconds until a pod that has this many others of its controller waiting before it may be failed. */
  estimateMs(controller: string, waitingBefore: number, nowMs: number): number;
  /** Counts a refusal of an earlier process, so that a restart does not begin the pauses afresh. */
  recall(controller: string, refusedAtMs: number, nowMs: number): void;
}

/** @param maxControllers for tests, and for what else is spaced out */
export function createSpacing(maxControllers = MAX_CONTROLLERS): Spacing {
  const controllers = new Map<string, Pauses>();

  function keep(controller: string, pauses: Pauses): void {
    // Deleted first, so that the map's order is that of the latest activity.
    controllers.delete(controller);
    controllers.set(controller, pauses);
    if (controllers.size > maxControllers) {
      for (const oldest of controllers.keys()) {
        controllers.delete(oldest);
        break;
      }
    }
  }

  /** The controller's pauses, unless it has been quiet; asking counts as being active. */
  function current(controller: string, nowMs: number): Pauses {
    const found = controllers.get(controller);
    const pauses = found !== undefined && nowMs - found.activeAt < QUIET_MS
      ? found
      : { count: 0, nextAt: nowMs, activeAt: nowMs };
    pauses.activeAt = nowMs;
    keep(controller, pauses);
    return pauses;
  }

  return {
    take(controller, nowMs) {
      const pauses = current(controller, nowMs);
      if (pauses.nextAt > nowMs) {
        return pauses.nextAt - nowMs;
      }
      pauses.nextAt = nowMs + pauseMs(pauses.count);
      pauses.count++;
      return 0;
    },
    estimateMs(controller, waitingBefore, nowMs) {
      const pauses = current(controller, nowMs);
      const growing = Math.min(waitingBefore, Math.max(0, PAUSES_MS.length - pauses.count));
      let wait = Math.max(0, pauses.nextAt - nowMs);
      for (let before = 0; before < growing; before++) {
        wait += pauseMs(pauses.count + before);
      }
      return wait + (waitingBefore - growing) * pauseMs(PAUSES_MS.length);
    },
    recall(controller, refusedAtMs, nowMs) {
      // Whoever says a time in the future makes the pause no longer than it can be.
      const at = Math.min(refusedAtMs, nowMs);
      const { count, nextAt, activeAt } = controllers.get(controller) ?? { count: 0, nextAt: 0, activeAt: 0 };
      const latest = Math.max(activeAt, at);
      keep(controller, {
        count: count + 1,
        nextAt: Math.max(nextAt, latest + pauseMs(count)),
        activeAt: latest,
      });
    },
  };
}

function pauseMs(count: number): number {
  return PAUSES_MS[Math.min(count, PAUSES_MS.length - 1)] ?? 0;
}
