/**
 * A verifier whose keys can change while the proxy runs: what one set of keys has verified is never remembered for
 * another, since each set has a verifier of its own.
 *
 * @module
 */
import type { PodVerifier } from "../pods/judge.ts";

/** A verifier that stands for the latest one. */
export interface ReplaceableVerifier extends PodVerifier {
  /** From now on pods are judged by this one. */
  replace(verifier: PodVerifier): void;
}

/** @param first judges until it is replaced */
export function createReplaceableVerifier(first: PodVerifier): ReplaceableVerifier {
  let current = first;
  return {
    verifyPod: (pod, time) => current.verifyPod(pod, time),
    verifyKnown: (pod, identity, time) => current.verifyKnown?.(pod, identity, time),
    replace(verifier) {
      current = verifier;
    },
  };
}
