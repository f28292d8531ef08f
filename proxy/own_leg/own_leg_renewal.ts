/**
 * Renews the certificates between kubelet and proxy while the proxy runs. What is written is put in force by those who follow
 * the files: the proxy within seconds, the kubelet at its next connection, or within five minutes.
 *
 * @module
 */
import { formatTime } from "@signed-pods/shared/time";
import type { Clock } from "../clock.ts";
import type { Log } from "../log.ts";
import type { ReloadCounts } from "../credentials/reload_counts.ts";
import type { OwnLegFile } from "./own_leg_files.ts";
import { type OwnLegWishes, planOwnLeg } from "./own_leg_plan.ts";
import type { PrivateFolder } from "./private_folder.ts";
import { createRenewalAttempts } from "./renewal_attempt.ts";

/** Time between two looks, in milliseconds: a day's certificate has eight hours left when it is due. */
export const RENEWAL_INTERVAL_MS = 60_000;

/** What renews. */
export interface OwnLegRenewal {
  folder: PrivateFolder<OwnLegFile>;
  wishes: OwnLegWishes;
  clock: Clock;
  log: Log;
  counts: ReloadCounts;
}

/** Looks at once, and then again and again, and renews what is due. */
export function renewOwnLeg({ folder, wishes, clock, log, counts }: OwnLegRenewal): { close(): void } {
  const count = counts.of("own-leg");
  let closed = false;
  let cancel = () => {};
  const attempt = createRenewalAttempts({
    count,
    log,
    event: "own-leg-not-renewed",
    fields: { folder: wishes.folder },
  });

  async function renew(): Promise<void> {
    const plan = await planOwnLeg(await folder.read(), wishes, clock.now());
    if (!plan.ok) {
      throw new Error(plan.problems.map(({ path, message }) => `"${path}" ${message}`).join("; "));
    }
    for (const { file, text, reason, notAfter } of plan.writes) {
      await folder.write(file, text);
      count.taken++;
      log.info("own-leg-renewed", `"${file}" was written anew: it ${reason}`, {
        folder: wishes.folder,
        ...(notAfter === undefined ? {} : { notAfter: formatTime(notAfter) }),
      });
    }
  }

  async function look(): Promise<void> {
    await attempt(renew);
    if (!closed) cancel = clock.after(RENEWAL_INTERVAL_MS, () => void look());
  }

  void look();
  return {
    close() {
      closed = true;
      cancel();
    },
  };
}
