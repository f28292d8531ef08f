/**
 * Which resourceVersions this process has given to the kubelet.
 *
 * client-go resumes a broken watch at the last resourceVersion that it received, without listing again. A proxy that
 * has just started has not shown the pods up to there, so it would let the kubelet keep pods it never judged, and
 * would not know what the kubelet holds. Such a watch is answered with 410 Gone.
 *
 * @module
 */
import { isResourceVersion as hasGrammar } from "@signed-pods/shared/pod/grammar";

/**
 * How many versions are remembered at least; there are never more than twice as many. A client resumes at one of the
 * last that it received; this many events do not fit into the buffers between proxy and kubelet.
 */
export const MAX_SERVED_VERSIONS = 10_000;

/** Tells whether a value is a text, and as a text a resourceVersion. */
export function isResourceVersion(value: unknown): value is string {
  return typeof value === "string" && hasGrammar(value);
}

/** Remembers the latest versions that were served. */
export interface ServedVersions {
  /**
   * @param moment of the judge's count, at or before which everything was sent that was sent before this version; one from
   * before the last {@linkcode ServedVersions.forgetUntil} adds nothing
   */
  add(resourceVersion: string, moment: number): void;
  /** The moment with which the version was added first; nothing if it was not, or is forgotten. */
  momentOf(resourceVersion: string): number | undefined;
  /** What was judged before this moment must be judged again: nobody may resume there. */
  forgetUntil(moment: number): void;
}

/**
 * Two halves take turns: when the younger one is full, the older one is dropped. That costs the same for each version, however
 * many there are.
 *
 * @param limit how many to remember at least
 */
export function createServedVersions(limit = MAX_SERVED_VERSIONS): ServedVersions {
  let younger = new Map<string, number>();
  let older = new Map<string, number>();
  let earliest = 0;
  const momentOf = (resourceVersion: string) => younger.get(resourceVersion) ?? older.get(resourceVersion);
  return {
    add(resourceVersion, moment) {
      if (moment < earliest || younger.has(resourceVersion)) {
        return;
      }
      if (younger.size >= limit) {
        older = younger;
        younger = new Map();
      }
      younger.set(resourceVersion, older.get(resourceVersion) ?? moment);
    },
    momentOf,
    forgetUntil(moment) {
      earliest = moment;
      younger.clear();
      older.clear();
    },
  };
}
