/** The references of one node's pods, as an operator has them who set nothing. */
import {
  createPodReferences,
  type PodReferences,
  type PodReferencesOptions,
} from "../../proxy/objects/pod_references.ts";
import { ManualClock } from "./clock.ts";

export function makeReferences(options: Partial<PodReferencesOptions> = {}): PodReferences {
  return createPodReferences({
    mode: "enforce",
    keys: [],
    runtimeClasses: new Map(),
    clock: new ManualClock(),
    refresh: () => {},
    refreshRuntimeClasses: () => {},
    warn: () => {},
    ...options,
  });
}
