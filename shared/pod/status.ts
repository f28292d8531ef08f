/**
 * The status of a pod as it is forwarded: what the schema knows, without what would steer the kubelet.
 *
 * @module
 */
import type { Problem } from "../errors.ts";
import {
  deepFreeze,
  getOwn,
  isDeeplyFrozen,
  isJsonObject,
  type JsonObject,
  type JsonValue,
} from "../json.ts";
import { isIpAddress } from "./grammar.ts";
import { failure, type RebuildFailure } from "./rebuild_failure.ts";
import { decode, type Field, fieldSegment, fieldsOf } from "./schema.ts";

/** When a pod is built, and whether the kubelet knows it. */
export interface SightingOptions {
  /** The node's clock. */
  now: Date;
  /** The kubelet has not been shown the pod before. */
  first: boolean;
}

/**
 * Builds the status: what the schema knows, without the fields that would steer the kubelet. Fields that the schema
 * does not know are dropped, so that a newer API server does not break the node; a wrong type in one that it knows
 * is refused.
 *
 * @param status the status as the API server sent it; a pod may have none
 */
export function rebuildPodStatus(
  status: JsonValue | undefined,
): { ok: true; status: JsonObject } | RebuildFailure {
  const { value, problems } = decode("PodStatus", knownFields("PodStatus", status ?? {}), "status");
  if (problems.length > 0) return { ok: false, code: "pod-malformed", problems };
  const { phase } = value;
  if (phase !== undefined && !isPhase(phase)) {
    return failure("pod-malformed", "status.phase", `is none of ${[...PHASES].join(", ")}`);
  }
  checkStatusTexts("PodStatus", value, "status", problems);
  if (problems.length > 0) return { ok: false, code: "pod-malformed", problems };
  return {
    ok: true,
    status: Object.fromEntries(Object.entries(value).filter(([key]) => !STEERING.has(key))),
  };
}

/** `lasting` tells that it is the same at any later time, once the kubelet has been shown the pod. */
export type ForwardedStatus = { ok: true; status: JsonObject; lasting: boolean } | RebuildFailure;

/**
 * The status of a pod that may run. A pod is not stopped for a status that does not fit: then its phase alone is kept.
 *
 * Two things in it would switch off what the owner signed: the kubelet counts activeDeadlineSeconds from a startTime
 * that it finds (`pkg/kubelet/status/status_manager.go`), and leaves out its check of AppArmor for a pod that already
 * runs (`pkg/kubelet/lifecycle/handlers.go`).
 */
export function forwardedStatus(live: JsonObject, { now, first }: SightingOptions): ForwardedStatus {
  const rebuilt = rebuildOnce(getOwn(live, "status"));
  if (!rebuilt.ok) return rebuilt;
  const { startedAt } = rebuilt;
  const fromFuture = startedAt !== undefined && !(startedAt <= now);
  const ranElsewhere = first && (rebuilt.status.phase === "Running" || rebuilt.status.phase === "Unknown");
  if (!fromFuture && !ranElsewhere) return { ok: true, status: rebuilt.status, lasting: true };
  const status = { ...rebuilt.status };
  if (fromFuture) delete status.startTime;
  if (ranElsewhere) status.phase = "Pending";
  return { ok: true, status, lasting: false };
}

/** A status that was built, and its startTime if it has one. */
type BuiltStatus = { ok: true; status: JsonObject; startedAt: Date | undefined };

/** What was built of statuses that cannot change. */
const built = new WeakMap<object, BuiltStatus>();

/** Builds the status, or its phase alone if it does not fit. */
function rebuildOnce(status: JsonValue | undefined): BuiltStatus | RebuildFailure {
  const unchangeable = isJsonObject(status) && isDeeplyFrozen(status) ? status : undefined;
  const known = unchangeable === undefined ? undefined : built.get(unchangeable);
  if (known !== undefined) return known;
  const whole = rebuildPodStatus(status);
  const phase = isJsonObject(status) ? getOwn(status, "phase") : undefined;
  const rebuilt = whole.ok ? whole : rebuildPodStatus(phase === undefined ? {} : { phase });
  if (!rebuilt.ok) return rebuilt;
  const { startTime } = rebuilt.status;
  const startedAt = typeof startTime === "string" ? new Date(startTime) : undefined;
  const made: BuiltStatus = { ok: true, status: rebuilt.status, startedAt };
  if (unchangeable !== undefined) {
    deepFreeze(made.status);
    built.set(unchangeable, made);
  }
  return made;
}

/** Whether this is one of the five phases of pods. */
export function isPhase(value: JsonValue | undefined): value is string {
  return typeof value === "string" && PHASES.has(value);
}

const PHASES: ReadonlySet<string> = new Set(["Pending", "Running", "Succeeded", "Failed", "Unknown"]);

/**
 * Fields of the status that would steer the kubelet: the cgroup tier (`qos.GetPodQOS` trusts it), and which claims
 * and devices are prepared for the pod.
 */
const STEERING: ReadonlySet<string> = new Set([
  "qosClass",
  "resourceClaimStatuses",
  "extendedResourceClaimStatus",
  "nodeAllocatableResourceClaimStatuses",
]);

/** Texts of the status that are prose: containers write their own termination messages. */
const PROSE: ReadonlySet<string> = new Set(["message"]);

/** Longest text of the status that is not prose: a mount path, the longest, has at most 4096 characters. */
export const MAX_STATUS_TEXT_CHARACTERS = 4096;

/** Longest prose: the kubelet caps termination messages at 4 KiB a container (`pkg/kubelet/kuberuntime`). */
export const MAX_STATUS_PROSE_CHARACTERS = 64 * 1024;

const CONTROL_CHARACTERS = /\p{Cc}/u;

/** A container's ID as the runtime gives it, `containerd://…`; the kubelet looks up logs by it. */
const CONTAINER_ID = /^[a-z0-9][a-z0-9.+-]{0,31}:\/\/[0-9A-Za-z_.-]{1,256}$/;

/** The addresses of a status: `hostIP`, `podIP`, and `ip` in the lists of them. Containers are told of them. */
const ADDRESSES: ReadonlySet<string> = new Set(["hostIP", "podIP", "ip"]);

/** Checks that every text of a decoded status is of bounded length and, where it is not prose, has no controls. */
function checkStatusTexts(type: string, object: JsonObject, path: string, problems: Problem[]): void {
  const fields = fieldsOf(type);
  for (const [name, value] of Object.entries(object)) {
    const field = fields.get(name);
    if (field === undefined) continue;
    const at = path + fieldSegment(name);
    if (field.type !== undefined) {
      for (const item of Array.isArray(value) ? value : [value]) {
        if (isJsonObject(item)) checkStatusTexts(field.type, item, at, problems);
      }
      continue;
    }
    const texts = Array.isArray(value) ? value : isJsonObject(value) ? Object.entries(value).flat() : [value];
    for (const text of texts) {
      if (typeof text !== "string") continue;
      const fits = PROSE.has(name)
        ? text.length <= MAX_STATUS_PROSE_CHARACTERS
        : text.length <= MAX_STATUS_TEXT_CHARACTERS && !CONTROL_CHARACTERS.test(text) &&
          (name !== "containerID" || CONTAINER_ID.test(text)) &&
          // Go leaves an empty address out or not, depending on the field.
          (!ADDRESSES.has(name) || text === "" || isIpAddress(text));
      if (!fits) problems.push({ path: at, message: "is too long or not what a kubelet writes" });
    }
  }
}

/** A copy without the fields that the schema does not know, at every level. */
function knownFields(type: string, value: JsonValue): JsonValue {
  if (!isJsonObject(value)) return value;
  const known: JsonObject = {};
  for (const [name, field] of fieldsOf(type)) {
    const member = getOwn(value, name);
    if (member !== undefined) known[name] = knownMembers(field, member);
  }
  return known;
}

function knownMembers(field: Field, value: JsonValue): JsonValue {
  const { type, shape } = field;
  if (type === undefined) return value;
  if (shape === "list" && Array.isArray(value)) return value.map((item) => knownFields(type, item));
  return knownFields(type, value);
}
