/**
 * The few fields that are read from a pod as the API server sent it, before or without judging it. None of them is
 * passed on from here.
 *
 * @module
 */
import {
  isDeeplyFrozen,
  type JsonObject,
  type JsonValue,
  objectAt,
  objectsAt,
} from "@signed-pods/shared/json";
import { isTime } from "@signed-pods/shared/pod/grammar";
import { type Identity, isMirrorPod, readIdentity } from "@signed-pods/shared/pod/metadata";
import type { BuiltPod } from "./built_pod.ts";
import { podKey } from "./ledger.ts";
import { REJECTION_REASON } from "./rejection.ts";

/** Longest controller UID that is used as a key; a real one has 36 characters. */
const MAX_UID_LENGTH = 64;

/** Whether a phase is one that no pod leaves again (Kubernetes, "Pod Lifecycle"). */
export function isTerminalPhase(phase: JsonValue | undefined): boolean {
  return phase === "Failed" || phase === "Succeeded";
}

/** The pod's status.phase is terminal. */
export function hasTerminalPhase(pod: JsonObject): boolean {
  return isTerminalPhase(objectAt(pod, "status")["phase"]);
}

/** Somebody has asked for the pod's deletion. */
export function isBeingDeleted(pod: JsonObject): boolean {
  return typeof objectAt(pod, "metadata")["deletionTimestamp"] === "string";
}

/**
 * When the pod was marked Failed because a node refused it; nothing if it was not, or ended otherwise. Whoever forges it
 * delays the next refusal of the same controller, by no more than the longest pause.
 */
export function rejectedAt(pod: JsonObject): Date | undefined {
  const status = objectAt(pod, "status");
  if (status["phase"] !== "Failed" || status["reason"] !== REJECTION_REASON) {
    return undefined;
  }
  const ready = objectsAt(status, "conditions").find((condition) => condition["type"] === "Ready");
  const since = ready?.["lastTransitionTime"];
  return typeof since === "string" && isTime(since) ? new Date(since) : undefined;
}

/** The Node object that the pod is bound to. */
export function nodeNameOf(pod: JsonObject): JsonValue | undefined {
  return objectAt(pod, "spec")["nodeName"];
}

/** UID of the owner that makes a new pod in the place of this one; none for a bare pod. */
export function controllerOf(pod: JsonObject): string | undefined {
  const owner = objectsAt(objectAt(pod, "metadata"), "ownerReferences").find((one) =>
    one["controller"] === true
  );
  const uid = owner?.["uid"];
  return typeof uid === "string" && uid.length <= MAX_UID_LENGTH ? uid : undefined;
}

/** The pod's metadata.resourceVersion, whatever it is. */
export function resourceVersionOf(pod: JsonObject): JsonValue | undefined {
  return objectAt(pod, "metadata")["resourceVersion"];
}

/** What the judge reads from a pod. All of it follows from the pod alone. */
export interface LivePod {
  readonly object: JsonObject;
  readonly identity: Identity;
  /** Of its namespace and name; empty without a proper identity. */
  readonly key: string;
  readonly mirror: boolean;
  readonly nodeName: JsonValue | undefined;
  readonly controller: string | undefined;
  readonly refusedAt: Date | undefined;
  readonly terminal: boolean;
  readonly deleting: boolean;
  readonly resourceVersion: string | undefined;
  /** What was built of it last. */
  built: BuiltPod | undefined;
}

/** What was read from pods that cannot change. */
const read = new WeakMap<JsonObject, LivePod>();

/** Reads these things, once from a pod that cannot change. */
export function readLivePod(object: JsonObject): LivePod {
  const known = read.get(object);
  if (known !== undefined) {
    return known;
  }
  const identity = readIdentity(object);
  const resourceVersion = resourceVersionOf(object);
  const live: LivePod = {
    object,
    identity,
    key: identity.ok ? podKey(identity.namespace, identity.name) : "",
    mirror: isMirrorPod(object),
    nodeName: nodeNameOf(object),
    controller: controllerOf(object),
    refusedAt: rejectedAt(object),
    terminal: hasTerminalPhase(object),
    deleting: isBeingDeleted(object),
    resourceVersion: typeof resourceVersion === "string" ? resourceVersion : undefined,
    built: undefined,
  };
  if (isDeeplyFrozen(object)) {
    read.set(object, live);
  }
  return live;
}
