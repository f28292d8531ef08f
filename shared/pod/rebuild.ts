/**
 * Builds what the kubelet is shown. The kubelet neither validates nor defaults the pods it gets, makes host paths of
 * their UIDs and names, and hands labels and annotations to the runtime: so nothing is passed on as it was received.
 * Every pod is put together anew from the verdict's spec, and from live values that each have a type and a grammar.
 *
 * @module
 */
import { deepFreeze, getOwn, isDeeplyFrozen, type JsonObject, type JsonValue, objectAt } from "../json.ts";
import type { AllowVerdict } from "../verdict.ts";
import {
  annotationsOf,
  COMPLETION_INDEX_KEY,
  type Identity,
  isStaticPodHash,
  MIRROR_ANNOTATION,
  MIRROR_ANNOTATIONS,
  readMetadata,
  statefulSetLabels,
  unsignedAnnotations,
  unsignedLabels,
  withinGracePeriod,
} from "./metadata.ts";
import { failure, type RebuildFailure } from "./rebuild_failure.ts";
import { readNodeName, readScheduling } from "./scheduling.ts";
import { forwardedStatus, isPhase, rebuildPodStatus, type SightingOptions } from "./status.ts";

/** A pod to forward, or why there is none. */
export type Rebuilt = { ok: true; pod: JsonObject } | RebuildFailure;

/**
 * An admitted pod to forward. `lasting` tells that the same pod and verdict give the same one at any later time, once the
 * kubelet has been shown the pod.
 */
export type RebuiltPod = { ok: true; pod: JsonObject; lasting: boolean } | RebuildFailure;

/** The node that pods are built for. */
export interface NodeOptions {
  /** This node's name. A pod that is bound elsewhere is not forwarded. */
  nodeName: string;
}

/** For which node, and when, a pod is built. */
export interface RebuildOptions extends NodeOptions, SightingOptions {
  /** What `readIdentity` says of this pod, if that is known. */
  identity?: Identity;
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
export function rebuildPod(live: JsonObject, verdict: AllowVerdict, options: RebuildOptions): RebuiltPod {
  const metadata = readMetadata(live, options.identity);
  if (!metadata.ok) return metadata;
  const parts = partsOf(live, verdict, metadata.name, options.nodeName);
  if (!parts.ok) return parts;
  const status = forwardedStatus(live, options);
  if (!status.ok) return status;
  return {
    ok: true,
    pod: {
      apiVersion: "v1",
      kind: "Pod",
      metadata: {
        ...withinGracePeriod(metadata.value, verdict.spec),
        ...parts.metadata,
      },
      spec: parts.spec,
      status: status.status,
    },
    lasting: status.lasting,
  };
}

/** What of a pod neither its versions and times nor its status change. */
interface Parts {
  ok: true;
  /** Labels and annotations, if there are any. */
  metadata: JsonObject;
  spec: JsonObject;
}

/** What was built for verdicts that cannot change, and of what. */
const built = new WeakMap<
  AllowVerdict,
  {
    name: string;
    nodeName: string;
    labels: JsonValue | undefined;
    annotations: JsonValue | undefined;
    spec: JsonValue | undefined;
    parts: Parts;
  }
>();

/** Builds these parts, or finds them, if the same verdict is about the same live parts. */
function partsOf(
  live: JsonObject,
  verdict: AllowVerdict,
  name: string,
  nodeName: string,
): Parts | RebuildFailure {
  const { labels, annotations } = objectAt(live, "metadata");
  const spec = getOwn(live, "spec");
  const known = built.get(verdict);
  if (
    known !== undefined && known.name === name && known.nodeName === nodeName && known.labels === labels &&
    known.annotations === annotations && known.spec === spec
  ) {
    return known.parts;
  }
  const parts = buildParts(live, verdict, name, nodeName);
  const unchangeable = isDeeplyFrozen(verdict) && isDeeplyFrozen(spec) &&
    [labels, annotations].every((map) => map === undefined || isDeeplyFrozen(map));
  if (parts.ok && unchangeable) {
    // Each of its own, so that its text is made once.
    for (const map of Object.values(parts.metadata)) deepFreeze(map);
    deepFreeze(parts.metadata);
    deepFreeze(parts.spec);
    built.set(verdict, { name, nodeName, labels, annotations, spec, parts });
  }
  return parts;
}

function buildParts(
  live: JsonObject,
  verdict: AllowVerdict,
  name: string,
  nodeName: string,
): Parts | RebuildFailure {
  // No permission names a key of what Kubernetes is known to write.
  const labels = { ...verdict.extraLabels, ...unsignedLabels(live, verdict, name) };
  const annotations = { ...verdict.extraAnnotations, ...unsignedAnnotations(live, verdict) };
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
  const scheduling = readScheduling(live, nodeName);
  if (!scheduling.ok) return scheduling;
  return {
    ok: true,
    metadata: {
      ...nonEmpty("labels", { ...labels, ...statefulSetLabels(verdict, name), ...verdict.labels }),
      ...nonEmpty("annotations", { ...annotations, ...verdict.annotations }),
    },
    spec: { ...verdict.spec, ...scheduling.fields },
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
 * whether it is a mirror, and whether its phase is a last one: only then does it send the deletion that ends a pod
 * (`pkg/kubelet/status/status_manager.go` canBeDeleted). Specs in such answers are not run, so there is none.
 *
 * @param live the pod as the API server sent it
 */
export function rebuildIdentityOnly(live: JsonObject): Rebuilt {
  const metadata = readMetadata(live);
  if (!metadata.ok) return metadata;
  const { creationTimestamp: _creation, generation: _generation, ...kept } = metadata.value;
  const phase = getOwn(objectAt(live, "status"), "phase");
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
      ...(isPhase(phase) ? { status: { phase } } : {}),
    },
  };
}

function nonEmpty(key: string, map: Record<string, string>): JsonObject {
  return Object.keys(map).length === 0 ? {} : { [key]: map };
}
