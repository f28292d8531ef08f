/**
 * The metadata of a pod as it is forwarded: identity, versions and times, each checked, and those labels and annotations
 * that Kubernetes adds after signing, each with its own pattern.
 *
 * @module
 */
import type { Problem } from "../errors.ts";
import { getOwn, isJsonObject, type JsonObject, type JsonValue, objectAt } from "../json.ts";
import type { AllowVerdict, WorkloadReference } from "../verdict.ts";
import {
  isDigits,
  isDnsLabel,
  isDnsSubdomain,
  isLabelValue,
  isResourceVersion,
  isTime,
  isUid,
  MAX_LABEL_LENGTH,
} from "./grammar.ts";
import { failure, type RebuildFailure } from "./rebuild_failure.ts";
import { isIndex, isTemplateHash, jobNameFits } from "./workload.ts";

/** What every pod needs to be told apart. */
export type Identity = { ok: true; uid: string; namespace: string; name: string } | RebuildFailure;

/** By this annotation the kubelet knows the API server's copies of its static pods. */
export const MIRROR_ANNOTATION = "kubernetes.io/config.mirror";

export const COMPLETION_INDEX_KEY = "batch.kubernetes.io/job-completion-index";

/**
 * Longest unsigned annotation, in UTF-16 code units, be it on the list or allowed by the owner. The limit range's has about 60
 * characters a container.
 */
export const MAX_UNSIGNED_ANNOTATION_CHARACTERS: number = 16 * 1024;

/**
 * Reads UID (RFC 4122, lower case), namespace (DNS label) and name (DNS subdomain) of a pod.
 *
 * @param live the pod as the API server sent it
 */
export function readIdentity(live: JsonObject): Identity {
  const metadata = getOwn(live, "metadata");
  if (!isJsonObject(metadata)) return failure("identity-conflict", "metadata", "is missing or not an object");
  const uid = getOwn(metadata, "uid");
  const namespace = getOwn(metadata, "namespace");
  const name = getOwn(metadata, "name");
  const problems: Problem[] = [];
  const uidFits = typeof uid === "string" && isUid(uid);
  const namespaceFits = typeof namespace === "string" && isDnsLabel(namespace);
  const nameFits = typeof name === "string" && isDnsSubdomain(name);
  if (!uidFits) problems.push({ path: "metadata.uid", message: "is not a UUID in lower case" });
  if (!namespaceFits) problems.push({ path: "metadata.namespace", message: "is not a DNS label" });
  if (!nameFits) problems.push({ path: "metadata.name", message: "is not a DNS subdomain" });
  if (!uidFits || !namespaceFits || !nameFits) return { ok: false, code: "identity-conflict", problems };
  return { ok: true, uid, namespace, name };
}

/** Whether the kubelet will take this pod for a mirror of a static pod: it goes by the annotation's presence alone. */
export function isMirrorPod(live: JsonObject): boolean {
  return Object.hasOwn(annotationsOf(live), MIRROR_ANNOTATION);
}

export type Metadata = { ok: true; name: string; value: JsonObject } | RebuildFailure;

/**
 * Identity, versions and times; labels and annotations are another matter.
 *
 * @param identity what {@linkcode readIdentity} says of this pod
 */
export function readMetadata(live: JsonObject, identity: Identity = readIdentity(live)): Metadata {
  if (!identity.ok) return identity;
  const { name, namespace, uid } = identity;
  const metadata = getOwn(live, "metadata");
  const field = (key: string): JsonValue =>
    (isJsonObject(metadata) ? getOwn(metadata, key) : undefined) ?? null;
  const problems: Problem[] = [];
  const value: JsonObject = { name, namespace, uid };
  const take = (key: string, required: boolean, fits: (found: JsonValue) => boolean, message: string) => {
    const found = field(key);
    if (found === null && !required) return;
    if (fits(found)) value[key] = found;
    else problems.push({ path: `metadata.${key}`, message });
  };
  const isText = (grammar: (text: string) => boolean) => (found: JsonValue) =>
    typeof found === "string" && grammar(found);
  const isCount = (found: JsonValue) =>
    typeof found === "number" && Number.isSafeInteger(found) && found >= 0;
  take("resourceVersion", true, isText(isResourceVersion), "is not a decimal number");
  take("generation", false, isCount, "is not a number from 0");
  take("creationTimestamp", false, isText(isTime), "is not a time (RFC 3339)");
  take("deletionTimestamp", false, isText(isTime), "is not a time (RFC 3339)");
  take("deletionGracePeriodSeconds", false, isCount, "is not a number of seconds from 0");
  return problems.length > 0 ? { ok: false, code: "pod-malformed", problems } : { ok: true, name, value };
}

/** What a pattern may look at beside the value. */
interface MetadataContext {
  podName: string;
  /** Absent in the spec form, where nothing ties the pod to a workload. */
  workload: WorkloadReference | undefined;
  completionIndex: string | undefined;
  /** The pod's annotations, as received. */
  annotations: JsonObject;
  labels: JsonObject;
}

/** Whether a value on the list is one that Kubernetes writes. */
type Pattern = (value: string, context: MetadataContext) => boolean;

/** A label or annotation that is forwarded although nobody signed it. */
export interface UnsignedKey {
  /** The values that are let through. */
  readonly fits: Pattern;
  /** The same in words. */
  readonly form: string;
}

const POD_NAME_LABEL: UnsignedKey = {
  // With a signed StatefulSet these two are made, not taken.
  fits: (value, { podName, workload }) => workload === undefined && value === podName,
  form: "the pod's name; made by the proxy for a signed StatefulSet, taken in the spec form only",
};
const POD_INDEX: UnsignedKey = {
  fits: isPodIndex,
  form:
    "the ordinal in the pod's name; made by the proxy for a signed StatefulSet, taken in the spec form only",
};
const JOB_NAME: UnsignedKey = { fits: isJobName, form: "the name of a Job that gives its pod this name" };
const UID_OF_CONTROLLER: UnsignedKey = { fits: isUid, form: "a UUID in lower case" };
const COMPLETION_INDEX: UnsignedKey = {
  fits: isCompletionIndex,
  form:
    "the completion index in the pod's name; label and annotation are there with the same value, or neither",
};
const TOPOLOGY: UnsignedKey = { fits: isTopology, form: "a label's value that is not empty" };

/**
 * Labels that controllers and the scheduler add to pods. All others are dropped, since runtimes and, through the
 * downward API, containers see labels.
 */
export const UNSIGNED_LABELS: ReadonlyMap<string, UnsignedKey> = new Map([
  ["pod-template-hash", {
    fits: isTemplateHash,
    form: "1 to 10 characters of `bcdfghjklmnpqrstvwxz2456789`",
  }],
  ["controller-revision-hash", {
    fits: isRevision,
    form: "such a hash alone, or behind the StatefulSet's name and `-`",
  }],
  ["pod-template-generation", { fits: isDigits, form: "digits" }],
  ["statefulset.kubernetes.io/pod-name", POD_NAME_LABEL],
  ["apps.kubernetes.io/pod-index", POD_INDEX],
  ["job-name", JOB_NAME],
  ["batch.kubernetes.io/job-name", JOB_NAME],
  ["controller-uid", UID_OF_CONTROLLER],
  ["batch.kubernetes.io/controller-uid", UID_OF_CONTROLLER],
  [COMPLETION_INDEX_KEY, COMPLETION_INDEX],
  ["topology.kubernetes.io/zone", TOPOLOGY],
  ["topology.kubernetes.io/region", TOPOLOGY],
]);

/** Annotations that Kubernetes adds to pods and that are forwarded. */
export const UNSIGNED_ANNOTATIONS: ReadonlyMap<string, UnsignedKey> = new Map([
  ["kubernetes.io/limit-ranger", {
    fits: isLimitRangerNote,
    form:
      "`LimitRanger plugin set: `, then parts joined by `; `, each `RESOURCES request for container NAME` or with " +
      "`limit` or `init container`, at most 16384 characters; RESOURCES are cpu, memory and ephemeral-storage joined by `, `",
  }],
  ["kubectl.kubernetes.io/restartedAt", { fits: isTime, form: "a time (RFC 3339)" }],
  [COMPLETION_INDEX_KEY, COMPLETION_INDEX],
]);

/** What the kubelet writes into the mirrors of its static pods (`pkg/kubelet/types/pod_update.go`). */
export const MIRROR_ANNOTATIONS: ReadonlyMap<string, (value: string) => boolean> = new Map([
  [MIRROR_ANNOTATION, isStaticPodHash],
  ["kubernetes.io/config.hash", isStaticPodHash],
  ["kubernetes.io/config.seen", isTime],
  ["kubernetes.io/config.source", (value: string) => ["file", "http", "api"].includes(value)],
]);

/** A hash of the static pod's file, or the UID that the file itself gives (`pkg/kubelet/config/common.go`). */
export function isStaticPodHash(value: string): boolean {
  return /^[0-9A-Za-z-]{1,64}$/.test(value);
}

/** DaemonSets write the hash alone, StatefulSets the name of the ControllerRevision, `name-hash`. */
function isRevision(value: string, { workload }: MetadataContext): boolean {
  if (value.length > MAX_LABEL_LENGTH) return false;
  if (isTemplateHash(value)) return true;
  const dash = value.lastIndexOf("-");
  const owner = value.slice(0, Math.max(dash, 0));
  if (!isTemplateHash(value.slice(dash + 1))) return false;
  return workload === undefined
    ? isDnsSubdomain(owner)
    : workload.kind === "StatefulSet" && workload.name === owner;
}

function isPodIndex(value: string, { podName, workload }: MetadataContext): boolean {
  return workload === undefined && isIndex(value) && podName.endsWith(`-${value}`);
}

function isJobName(value: string, { podName, workload, completionIndex }: MetadataContext): boolean {
  if (value.length > MAX_LABEL_LENGTH || !isDnsSubdomain(value)) return false;
  // Without a workload, a Job's pods still begin with its name, as far as it was not cut.
  if (workload === undefined) return podName.startsWith(value.slice(0, 40));
  return jobNameFits(workload, value, podName, completionIndex);
}

/** The label and the annotation are the same number; in the template form also the one in the pod's name. */
function isCompletionIndex(value: string, context: MetadataContext): boolean {
  const { labels, annotations, workload, completionIndex, podName } = context;
  if (!isIndex(value)) return false;
  if (getOwn(labels, COMPLETION_INDEX_KEY) !== value || getOwn(annotations, COMPLETION_INDEX_KEY) !== value) {
    return false;
  }
  return workload === undefined ? podName.includes(`-${value}-`) : value === completionIndex;
}

function isTopology(value: string): boolean {
  return value !== "" && isLabelValue(value);
}

const LIMIT_RANGER_RESOURCE = "(?:cpu|memory|ephemeral-storage)";
const LIMIT_RANGER_PART = `${LIMIT_RANGER_RESOURCE}(?:, ${LIMIT_RANGER_RESOURCE}){0,2} ` +
  `(?:request|limit) for (?:init )?container [0-9a-z-]{1,63}`;
const LIMIT_RANGER_NOTE = new RegExp(
  `^LimitRanger plugin set: ${LIMIT_RANGER_PART}(?:; ${LIMIT_RANGER_PART})*$`,
);

/** For example `LimitRanger plugin set: cpu, memory request for container app; cpu limit for init container b`. */
function isLimitRangerNote(value: string): boolean {
  return value.length <= MAX_UNSIGNED_ANNOTATION_CHARACTERS && LIMIT_RANGER_NOTE.test(value);
}

export function unsignedLabels(
  live: JsonObject,
  verdict: AllowVerdict,
  podName: string,
): Record<string, string> {
  const context = metadataContext(live, verdict, podName);
  return allowed(context.labels, UNSIGNED_LABELS, context);
}

/** These follow from the pod's name, so that an API server cannot take them away from whoever reads them either. */
export function statefulSetLabels({ ordinal }: AllowVerdict, podName: string): Record<string, string> {
  if (ordinal === undefined) return {};
  return { "statefulset.kubernetes.io/pod-name": podName, "apps.kubernetes.io/pod-index": ordinal };
}

export function unsignedAnnotations(live: JsonObject, verdict: AllowVerdict): Record<string, string> {
  const name = getOwn(objectAt(live, "metadata"), "name");
  const context = metadataContext(live, verdict, typeof name === "string" ? name : "");
  return allowed(context.annotations, UNSIGNED_ANNOTATIONS, context);
}

function metadataContext(live: JsonObject, verdict: AllowVerdict, podName: string): MetadataContext {
  const { workload, completionIndex } = verdict;
  const metadata = objectAt(live, "metadata");
  return {
    podName,
    workload,
    completionIndex,
    annotations: objectAt(metadata, "annotations"),
    labels: objectAt(metadata, "labels"),
  };
}

function allowed(
  received: JsonObject,
  list: ReadonlyMap<string, UnsignedKey>,
  context: MetadataContext,
): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [key, { fits }] of list) {
    const value = getOwn(received, key);
    if (typeof value === "string" && fits(value, context)) kept[key] = value;
  }
  return kept;
}

export function annotationsOf(live: JsonObject): JsonObject {
  return objectAt(objectAt(live, "metadata"), "annotations");
}

/** Whoever deletes a pod may shorten the grace period that the owner signed, and not lengthen it. */
export function withinGracePeriod(metadata: JsonObject, spec: JsonObject): JsonObject {
  const { deletionGracePeriodSeconds: asked } = metadata;
  const { terminationGracePeriodSeconds: signed } = spec;
  if (typeof asked !== "number" || typeof signed !== "number" || asked <= signed) return metadata;
  return { ...metadata, deletionGracePeriodSeconds: signed };
}
