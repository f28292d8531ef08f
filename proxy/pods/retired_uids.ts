/**
 * UIDs that the kubelet was shown and that the API server then declared gone. A UID belongs to one pod for ever: were
 * it given to another, the kubelet would give the first one's name, namespace, folders and sandbox to the second one's
 * spec (`pkg/kubelet/config/config.go checkAndUpdatePod` overwrites the spec of a known UID, and never the name).
 *
 * That a deletion was sent does not mean that the kubelet has acted on it: within a watch's initial events, client-go
 * keeps it in a store that it may throw away; after an ERROR event, or a page of a list that fails, it reads no
 * further. So nothing is forgotten until a later watch resumes behind the deletion, and even then the latest ones are
 * kept. Real API servers never use a UID twice (RFC 4122), so honest clusters never notice.
 *
 * @module
 */

/**
 * How many retired UIDs are remembered, at about 500 bytes each, that the kubelet may not have let go of. Beyond it nothing
 * more is admitted.
 */
export const MAX_RETIRED_UIDS = 20_000;

/** How many are remembered once the kubelet has surely let go of them: the latest. A node runs some hundreds of pods. */
export const MAX_SETTLED_UIDS = 1_000;

/** A UID that has had its pod. */
export interface RetiredUid {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  /** Lower-case hexadecimal SHA-256 of what was signed; nothing for a mirror pod. */
  readonly signedHash?: string;
  /** It was being stopped, or had been: then it never comes back. */
  readonly stopped: boolean;
}

/** The retired UIDs, oldest first. */
export interface RetiredUids {
  get(uid: string): RetiredUid | undefined;
  values(): Iterable<RetiredUid>;
  readonly size: number;
  /** No room is left, and none can be made. */
  readonly full: boolean;
  /**
   * Adds one.
   *
   * @param moment when, on a count that never goes back; see {@linkcode RetiredUids.settle}
   */
  add(retired: RetiredUid, moment: number): void;
  delete(uid: string): void;
  /** The kubelet has shown that it knows all that was sent until then. */
  settle(moment: number): void;
}

/**
 * @param limit for tests
 * @param settledLimit for tests
 */
export function createRetiredUids(limit = MAX_RETIRED_UIDS, settledLimit = MAX_SETTLED_UIDS): RetiredUids {
  const retired = new Map<string, { pod: RetiredUid; moment: number }>();
  let settled = -1;

  function oldestSettled(): string | undefined {
    for (const [uid, { moment }] of retired) {
      return moment <= settled ? uid : undefined;
    }
    return undefined;
  }

  return {
    get: (uid) => retired.get(uid)?.pod,
    *values() {
      for (const { pod } of retired.values()) yield pod;
    },
    get size() {
      return retired.size;
    },
    get full() {
      return retired.size >= limit && oldestSettled() === undefined;
    },
    add(pod, moment) {
      retired.delete(pod.uid);
      retired.set(pod.uid, { pod, moment });
      while (retired.size > Math.min(limit, settledLimit)) {
        const oldest = oldestSettled();
        if (oldest === undefined) {
          break;
        }
        retired.delete(oldest);
      }
    },
    delete(uid) {
      retired.delete(uid);
    },
    settle(moment) {
      settled = Math.max(settled, moment);
    },
  };
}
