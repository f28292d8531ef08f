/**
 * Builds what the kubelet is shown. The kubelet neither validates nor defaults the pods it gets, makes host paths of
 * their UIDs and names, and hands labels and annotations to the runtime: so nothing is passed on as it was received.
 * Every pod is put together anew from the verdict's spec, and from live values that each have a type and a grammar.
 *
 * @module
 */
import type { Problem } from "../errors.ts";
import { getOwn, isJsonObject, type JsonObject, type JsonValue, objectAt, objectsAt } from "../json.ts";
import type { AllowVerdict, DenyCode, WorkloadReference } from "../verdict.ts";
import {
  isDigits,
  isDnsLabel,
  isDnsSubdomain,
  isLabelValue,
  isQualifiedName,
  isResourceVersion,
  isTime,
  isUid,
  MAX_LABEL_LENGTH,
} from "./grammar.ts";
import { isAmount } from "./quantity.ts";
import { decode, type Field, fieldSegment, fieldsOf, keySegment } from "./schema.ts";
import { isIndex, isTemplateHash, jobNameFits } from "./workload.ts";

/** What could not be built, and the refusal that it amounts to. */
export interface RebuildFailure {
  ok: false;
  /** `identity-conflict`, `wrong-node` or `pod-malformed`. */
  code: DenyCode;
  /** At least one. */
  problems: Problem[];
}

/** A pod to forward, or why there is none. */
export type Rebuilt = { ok: true; pod: JsonObject } | RebuildFailure;

/** The node that pods are built for. */
export interface NodeOptions {
  /** This node's name. A pod that is bound elsewhere is not forwarded. */
  nodeName: string;
}

/** For which node, and when, a pod is built. */
export interface RebuildOptions extends NodeOptions {
  /** The node's clock. */
  now: Date;
  /** The kubelet has not been shown the pod before. */
  first: boolean;
}

/** What every pod needs to be told apart. */
export type Identity = { ok: true; uid: string; namespace: string; name: string } | RebuildFailure;

/** By this annotation the kubelet knows the API server's copies of its static pods. */
export const MIRROR_ANNOTATION = "kubernetes.io/config.mirror";

const COMPLETION_INDEX_KEY = "batch.kubernetes.io/job-completion-index";

/** Longest value of an allow-listed annotation; the limit range's has about 60 characters a container. */
const MAX_ANNOTATION_CHARACTERS = 16 * 1024;

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

/**
 * Builds an admitted pod: the verdict's spec with the scheduling fields that a kubelet reads, checked metadata, and
 * the status as far as it is known. Labels and annotations that were not signed come along only if they are on a
 * short list, each with its own pattern; signed ones win; all others are dropped.
 *
 * @param live the pod as the API server sent it
 * @param verdict what its judgement said
 * @param options this node
 */
export function rebuildPod(live: JsonObject, verdict: AllowVerdict, options: RebuildOptions): Rebuilt {
  const metadata = readMetadata(live);
  if (!metadata.ok) return metadata;
  const { name } = metadata;
  const labels = unsignedLabels(live, verdict, name);
  const annotations = unsignedAnnotations(live, verdict);
  if (verdict.completionIndex !== undefined) {
    // The value reaches the containers' environment and, through it, their command lines.
    const effective = { ...labels, ...verdict.labels }[COMPLETION_INDEX_KEY];
    if (effective !== verdict.completionIndex) {
      return failure(
        "pod-malformed",
        `metadata.labels[${COMPLETION_INDEX_KEY}]`,
        "is not the completion index in the pod's name",
      );
    }
  }
  const scheduling = readScheduling(live, options.nodeName);
  if (!scheduling.ok) return scheduling;
  const status = forwardedStatus(live, options);
  if (!status.ok) return status;
  return {
    ok: true,
    pod: {
      apiVersion: "v1",
      kind: "Pod",
      metadata: {
        ...withinGracePeriod(metadata.value, verdict.spec),
        ...nonEmpty("labels", { ...labels, ...statefulSetLabels(verdict, name), ...verdict.labels }),
        ...nonEmpty("annotations", { ...annotations, ...verdict.annotations }),
      },
      spec: { ...verdict.spec, ...scheduling.fields },
      status: status.status,
    },
  };
}

/**
 * Builds the object of a DELETED event: enough to find the pod, nothing to run.
 *
 * @param live the pod as the API server sent it
 */
export function rebuildDeleted(live: JsonObject): Rebuilt {
  const metadata = readMetadata(live);
  if (!metadata.ok) return metadata;
  const { name, namespace, uid, resourceVersion } = metadata.value;
  return {
    ok: true,
    pod: {
      apiVersion: "v1",
      kind: "Pod",
      metadata: {
        name: name ?? null,
        namespace: namespace ?? null,
        uid: uid ?? null,
        resourceVersion: resourceVersion ?? null,
      },
    },
  };
}

/**
 * Builds a mirror pod, which the kubelet compares with its static pod by name and hash and never runs: identity, the
 * kubelet's own annotations, status, and a spec that names the node and no container.
 *
 * @param live the pod as the API server sent it, with the mirror annotation
 * @param options this node
 */
export function rebuildMirror(live: JsonObject, options: NodeOptions): Rebuilt {
  const metadata = readMetadata(live);
  if (!metadata.ok) return metadata;
  const node = readNodeName(live, options.nodeName);
  if (node !== undefined) return node;
  const received = annotationsOf(live);
  const annotations: Record<string, string> = {};
  for (const [key, fits] of MIRROR_ANNOTATIONS) {
    const value = getOwn(received, key);
    if (value === undefined) continue;
    if (typeof value !== "string" || !fits(value)) {
      return failure("pod-malformed", `metadata.annotations[${key}]`, "is not what a kubelet writes");
    }
    annotations[key] = value;
  }
  if (annotations[MIRROR_ANNOTATION] === undefined) {
    return failure("pod-malformed", `metadata.annotations[${MIRROR_ANNOTATION}]`, "is missing");
  }
  const status = rebuildPodStatus(getOwn(live, "status"));
  if (!status.ok) return status;
  return {
    ok: true,
    pod: {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { ...metadata.value, annotations },
      spec: { nodeName: options.nodeName, containers: [] },
      status: status.status,
    },
  };
}

/**
 * Builds the answer to a write: from it the kubelet learns which pod it has written, whether that is being deleted,
 * and whether it is a mirror. Specs in such answers are not run, so there is none.
 *
 * @param live the pod as the API server sent it
 */
export function rebuildIdentityOnly(live: JsonObject): Rebuilt {
  const metadata = readMetadata(live);
  if (!metadata.ok) return metadata;
  const { creationTimestamp: _creation, generation: _generation, ...kept } = metadata.value;
  const mirror = getOwn(annotationsOf(live), MIRROR_ANNOTATION);
  if (mirror !== undefined && (typeof mirror !== "string" || !isStaticPodHash(mirror))) {
    return failure(
      "pod-malformed",
      `metadata.annotations[${MIRROR_ANNOTATION}]`,
      "is not what a kubelet writes",
    );
  }
  return {
    ok: true,
    pod: {
      apiVersion: "v1",
      kind: "Pod",
      metadata: mirror === undefined ? kept : { ...kept, annotations: { [MIRROR_ANNOTATION]: mirror } },
    },
  };
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
  if (phase !== undefined && (typeof phase !== "string" || !PHASES.has(phase))) {
    return failure("pod-malformed", "status.phase", `is none of ${[...PHASES].join(", ")}`);
  }
  checkStatusTexts("PodStatus", value, "status", problems);
  if (problems.length > 0) return { ok: false, code: "pod-malformed", problems };
  return {
    ok: true,
    status: Object.fromEntries(Object.entries(value).filter(([key]) => !STEERING.has(key))),
  };
}

/**
 * The status of a pod that may run. A pod is not stopped for a status that does not fit: then its phase alone is kept.
 *
 * Two things in it would switch off what the owner signed: the kubelet counts activeDeadlineSeconds from a startTime
 * that it finds (`pkg/kubelet/status/status_manager.go`), and leaves out its check of AppArmor for a pod that already
 * runs (`pkg/kubelet/lifecycle/handlers.go`).
 */
function forwardedStatus(
  live: JsonObject,
  { now, first }: RebuildOptions,
): { ok: true; status: JsonObject } | RebuildFailure {
  const whole = rebuildPodStatus(getOwn(live, "status"));
  const { phase } = objectAt(live, "status");
  const rebuilt = whole.ok ? whole : rebuildPodStatus(phase === undefined ? {} : { phase });
  if (!rebuilt.ok) return rebuilt;
  const status = { ...rebuilt.status };
  if (typeof status.startTime === "string" && !(new Date(status.startTime) <= now)) delete status.startTime;
  if (first && (status.phase === "Running" || status.phase === "Unknown")) status.phase = "Pending";
  return { ok: true, status };
}

/** Whoever deletes a pod may shorten the grace period that the owner signed, and not lengthen it. */
function withinGracePeriod(metadata: JsonObject, spec: JsonObject): JsonObject {
  const { deletionGracePeriodSeconds: asked } = metadata;
  const { terminationGracePeriodSeconds: signed } = spec;
  if (typeof asked !== "number" || typeof signed !== "number" || asked <= signed) return metadata;
  return { ...metadata, deletionGracePeriodSeconds: signed };
}

// ---------------------------------------------------------------------------------------------------------------
// Metadata

type Metadata = { ok: true; name: string; value: JsonObject } | RebuildFailure;

/** Identity, versions and times; labels and annotations are another matter. */
function readMetadata(live: JsonObject): Metadata {
  const identity = readIdentity(live);
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
const MIRROR_ANNOTATIONS: ReadonlyMap<string, (value: string) => boolean> = new Map([
  [MIRROR_ANNOTATION, isStaticPodHash],
  ["kubernetes.io/config.hash", isStaticPodHash],
  ["kubernetes.io/config.seen", isTime],
  ["kubernetes.io/config.source", (value: string) => ["file", "http", "api"].includes(value)],
]);

/** A hash of the static pod's file, or the UID that the file itself gives (`pkg/kubelet/config/common.go`). */
function isStaticPodHash(value: string): boolean {
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
  return value.length <= MAX_ANNOTATION_CHARACTERS && LIMIT_RANGER_NOTE.test(value);
}

function unsignedLabels(live: JsonObject, verdict: AllowVerdict, podName: string): Record<string, string> {
  const context = metadataContext(live, verdict, podName);
  return allowed(context.labels, UNSIGNED_LABELS, context);
}

/** These follow from the pod's name, so that an API server cannot take them away from whoever reads them either. */
function statefulSetLabels({ ordinal }: AllowVerdict, podName: string): Record<string, string> {
  if (ordinal === undefined) return {};
  return { "statefulset.kubernetes.io/pod-name": podName, "apps.kubernetes.io/pod-index": ordinal };
}

function unsignedAnnotations(live: JsonObject, verdict: AllowVerdict): Record<string, string> {
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

function annotationsOf(live: JsonObject): JsonObject {
  return objectAt(objectAt(live, "metadata"), "annotations");
}

function nonEmpty(key: string, map: Record<string, string>): JsonObject {
  return Object.keys(map).length === 0 ? {} : { [key]: map };
}

// ---------------------------------------------------------------------------------------------------------------
// Scheduling fields

/**
 * The scheduling fields that a kubelet reads: for its own admission check, preemption, eviction order, and the pod's
 * readiness. (`pkg/kubelet/lifecycle/predicate.go`, `pkg/kubelet/types/pod_update.go`,
 * `pkg/kubelet/status/generate.go`)
 */
export const KUBELET_SCHEDULING_FIELDS: readonly string[] = [
  "nodeSelector",
  "affinity",
  "tolerations",
  "priority",
  "priorityClassName",
  "preemptionPolicy",
  "readinessGates",
  "overhead",
];

type Scheduling = { ok: true; fields: JsonObject } | RebuildFailure;

function readScheduling(live: JsonObject, nodeName: string): Scheduling {
  const node = readNodeName(live, nodeName);
  if (node !== undefined) return node;
  const spec = objectAt(live, "spec");
  const picked: JsonObject = {};
  for (const field of KUBELET_SCHEDULING_FIELDS) {
    const value = getOwn(spec, field);
    if (value !== undefined) picked[field] = value;
  }
  const { value, problems } = decode("PodSpec", picked, "spec");
  if (problems.length > 0) return { ok: false, code: "pod-malformed", problems };
  // Of affinities the kubelet reads the required node affinity only.
  const required = getOwn(objectAt(objectAt(value, "affinity"), "nodeAffinity"), REQUIRED_NODE_AFFINITY);
  const { affinity: _all, ...rest } = value;
  const fields: JsonObject = required === undefined
    ? rest
    : { ...rest, affinity: { nodeAffinity: { [REQUIRED_NODE_AFFINITY]: required } } };
  checkScheduling(fields, problems);
  if (problems.length > 0) return { ok: false, code: "pod-malformed", problems };
  return { ok: true, fields: { nodeName, ...fields } };
}

const REQUIRED_NODE_AFFINITY = "requiredDuringSchedulingIgnoredDuringExecution";

function readNodeName(live: JsonObject, nodeName: string): RebuildFailure | undefined {
  // It reaches $(NODE_NAME) in command lines, and the kubelet does not look at it again when a pod changes.
  if (getOwn(objectAt(live, "spec"), "nodeName") === nodeName) return undefined;
  return failure("wrong-node", "spec.nodeName", "is not this node");
}

const TOLERATION_OPERATORS: ReadonlySet<string> = new Set(["", "Exists", "Equal", "Lt", "Gt"]);
const TAINT_EFFECTS: ReadonlySet<string> = new Set(["", "NoSchedule", "PreferNoSchedule", "NoExecute"]);
const SELECTOR_OPERATORS: ReadonlySet<string> = new Set([
  "In",
  "NotIn",
  "Exists",
  "DoesNotExist",
  "Gt",
  "Lt",
]);
/** Resources that only make room: others attach devices or pages. */
const OVERHEAD_RESOURCES: ReadonlySet<string> = new Set(["cpu", "memory", "ephemeral-storage"]);
const PREEMPTION_POLICIES: ReadonlySet<string> = new Set(["PreemptLowerPriority", "Never"]);

/** Checks every text of the decoded scheduling fields. What no rule names is refused. */
function checkScheduling(fields: JsonObject, problems: Problem[]): void {
  const check = (
    path: string,
    value: JsonValue | undefined,
    fits: (text: string) => boolean,
    what: string,
  ) => {
    if (typeof value === "string" && !fits(value)) problems.push({ path, message: `is not ${what}` });
  };
  for (const [key, value] of Object.entries(objectAt(fields, "nodeSelector"))) {
    check("spec.nodeSelector", key, isQualifiedName, "a map with label keys");
    check(`spec.nodeSelector${keySegment(key)}`, value, isLabelValue, "a label value");
  }
  const affinity = objectAt(objectAt(objectAt(fields, "affinity"), "nodeAffinity"), REQUIRED_NODE_AFFINITY);
  const affinityPath = `spec.affinity.nodeAffinity.${REQUIRED_NODE_AFFINITY}`;
  for (const [index, term] of objectsAt(affinity, "nodeSelectorTerms").entries()) {
    for (const list of ["matchExpressions", "matchFields"]) {
      for (const [place, { key, operator, values }] of objectsAt(term, list).entries()) {
        const path = `${affinityPath}.nodeSelectorTerms[${index}].${list}[${place}]`;
        check(`${path}.key`, key, isQualifiedName, "a label key");
        check(`${path}.operator`, operator, (text) => SELECTOR_OPERATORS.has(text), "a known operator");
        // The field metadata.name is compared with node names, which may be longer than label values.
        const fits = (text: string) => isLabelValue(text) || isDnsSubdomain(text);
        for (const value of Array.isArray(values) ? values : []) {
          check(`${path}.values`, value, fits, "a label value");
        }
      }
    }
  }
  for (const [index, { key, operator, value, effect }] of objectsAt(fields, "tolerations").entries()) {
    const path = `spec.tolerations[${index}]`;
    check(`${path}.key`, key, isQualifiedName, "a taint's key");
    check(`${path}.operator`, operator, (text) => TOLERATION_OPERATORS.has(text), "a known operator");
    check(`${path}.value`, value, isLabelValue, "a taint's value");
    check(`${path}.effect`, effect, (text) => TAINT_EFFECTS.has(text), "a taint's effect");
  }
  check("spec.priorityClassName", fields.priorityClassName, isDnsSubdomain, "a DNS subdomain");
  check(
    "spec.preemptionPolicy",
    fields.preemptionPolicy,
    (text) => PREEMPTION_POLICIES.has(text),
    "a known policy",
  );
  for (const [index, { conditionType }] of objectsAt(fields, "readinessGates").entries()) {
    check(
      `spec.readinessGates[${index}].conditionType`,
      conditionType,
      isQualifiedName,
      "a condition's type",
    );
  }
  for (const [resource, amount] of Object.entries(objectAt(fields, "overhead"))) {
    check(
      "spec.overhead",
      resource,
      (name) => OVERHEAD_RESOURCES.has(name),
      "a map of cpu, memory and ephemeral-storage",
    );
    check(`spec.overhead${keySegment(resource)}`, amount, isAmount, "an amount");
  }
}

// ---------------------------------------------------------------------------------------------------------------
// Status

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
const MAX_STATUS_TEXT_CHARACTERS = 4096;

/** Longest prose: the kubelet caps termination messages at 4 KiB a container (`pkg/kubelet/kuberuntime`). */
const MAX_STATUS_PROSE_CHARACTERS = 64 * 1024;

const CONTROL_CHARACTERS = /\p{Cc}/u;

/** A container's ID as the runtime gives it, `containerd://…`; the kubelet looks up logs by it. */
const CONTAINER_ID = /^[a-z0-9][a-z0-9.+-]{0,31}:\/\/[0-9A-Za-z_.-]{1,256}$/;

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
          (name !== "containerID" || CONTAINER_ID.test(text));
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

function failure(code: DenyCode, path: string, message: string): RebuildFailure {
  return { ok: false, code, problems: [{ path, message }] };
}
