/**
 * One attempt to renew something, of many.
 *
 * @module
 */
import { messageOf } from "@signed-pods/shared/errors";
import type { Log, LogFields } from "../log.ts";
import type { ReloadCount } from "../credentials/reload_counts.ts";

/** Where attempts are told and counted. */
export interface RenewalTelling {
  count: ReloadCount;
  log: Log;
  /** Name of the log's event for a failure. */
  event: string;
  fields: LogFields;
}

/** How an attempt ended. */
export type RenewalOutcome = { ok: true } | { ok: false; error: unknown };

/** Makes what runs attempts. A failure is logged and counted once for each problem, however often it is met. */
export function createRenewalAttempts(
  { count, log, event, fields }: RenewalTelling,
): (renew: () => Promise<void>) => Promise<RenewalOutcome> {
  let told = "";
  return async (renew) => {
    try {
      await renew();
      told = "";
      count.stale = false;
      return { ok: true };
    } catch (error) {
      const problem = messageOf(error);
      count.stale = true;
      if (problem !== told) {
        told = problem;
        count.refused++;
        log.error(event, problem, fields);
      }
      return { ok: false, error };
    }
  };
}
