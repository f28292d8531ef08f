/**
 * Which resourceVersions this process has given to the kubelet.
 *
 * client-go resumes a broken watch at the last resourceVersion that it received, without listing again. A proxy that
 * has just started has not shown the pods up to there, so it would let the kubelet keep pods it never judged, and
 * would not know what the kubelet holds. Such a watch is answered with 410 Gone.
 *
 * @module
 */

/**
 * How many versions are remembered. A client resumes at one of the last that it received; this many events do not fit
 * into the buffers between proxy and kubelet.
 */
export const MAX_SERVED_VERSIONS = 10_000;

/** A resourceVersion as kube-apiserver makes it: an unsigned 64-bit integer in decimal. */
const RESOURCE_VERSION = /^[0-9]{1,20}$/;

/** Tells whether a text may be a resourceVersion. To clients it is opaque, but all that etcd gives are digits. */
export function isResourceVersion(text: unknown): text is string {
  return typeof text === "string" && RESOURCE_VERSION.test(text);
}

/** Remembers the latest versions that were served. */
export interface ServedVersions {
  add(resourceVersion: string): void;
  has(resourceVersion: string): boolean;
}

/** @param limit how many to remember */
export function createServedVersions(limit = MAX_SERVED_VERSIONS): ServedVersions {
  const versions = new Set<string>();
  return {
    add(resourceVersion) {
      // Deleted first, so that the set's order is that of the latest use.
      versions.delete(resourceVersion);
      versions.add(resourceVersion);
      if (versions.size > limit) {
        for (const oldest of versions) {
          versions.delete(oldest);
          break;
        }
      }
    },
    has: (resourceVersion) => versions.has(resourceVersion),
  };
}
