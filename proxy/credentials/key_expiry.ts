/**
 * Warns before the certificates of trusted keys end: from then on they admit no pod, and signing again takes its time.
 *
 * @module
 */
import type { VerificationKey } from "@signed-pods/shared/keys";
import type { Clock } from "../clock.ts";
import type { Log } from "../log.ts";

const DAY_MS = 24 * 3_600_000;

/** How long before a certificate ends the warnings begin, in milliseconds: time to make a key and sign all workloads. */
export const EXPIRY_WARNING_MS: number = 30 * DAY_MS;

/** Time between two warnings, in milliseconds. */
export const WARNING_INTERVAL_MS: number = DAY_MS;

/** Warns once a day. */
export interface KeyExpiry {
  /** These keys are trusted from now on: warns of them at once, then daily. */
  watch(keys: readonly VerificationKey[]): void;
  close(): void;
}

/** Makes the one that warns; of no key yet. */
export function createKeyExpiry(clock: Clock, log: Log): KeyExpiry {
  let cancel = () => {};

  function warn(keys: readonly VerificationKey[]): void {
    const now = clock.now();
    for (const { id, subject, source, notBefore, notAfter, namespaces } of keys) {
      const fields = {
        keyId: id,
        subject,
        source,
        notBefore: notBefore?.toISOString(),
        notAfter: notAfter?.toISOString(),
        namespaces,
      };
      if (notBefore !== undefined && now < notBefore) {
        log.warn("verification-key-not-yet-valid", "this key admits no pod yet", fields);
      }
      if (notAfter === undefined) {
        continue;
      }
      const leftMs = notAfter.getTime() - now.getTime();
      if (leftMs < 0) {
        log.warn("verification-key-expired", "this key admits no new pod; those that run stay", fields);
      } else if (leftMs <= EXPIRY_WARNING_MS) {
        const days = Math.floor(leftMs / DAY_MS);
        log.warn("verification-key-expiring", "this key's certificate ends soon; sign with another one", {
          ...fields,
          days,
        });
      }
    }
    cancel = clock.after(WARNING_INTERVAL_MS, () => warn(keys));
  }

  return {
    watch(keys) {
      cancel();
      warn(keys);
    },
    close: () => cancel(),
  };
}
