/**
 * What must hold of every set of pods that a kubelet is given: each is one that the owner signed, field by field.
 *
 * Written from Kubernetes' side and without the code that it judges: what may differ is listed here a second time, in
 * other words. A pod is compared as Kubernetes' own types print it.
 *
 * @module
 */
import { equalJson, isJsonObject, type JsonObject, type JsonValue } from "@signed-pods/shared/json";

/** Pods that the owner has signed. */
export interface Grant {
  namespace: string;
  /** The names that the signature is for. */
  fits: (name: string) => boolean;
  /** The signed spec with its defaults, as Kubernetes' types print it. */
  spec: JsonObject;
  labels: JsonObject;
  annotations: JsonObject;
}

/** Fields that say whether and where a pod runs, and not what. */
const SCHEDULING = [
  "nodeSelector",
  "affinity",
  "tolerations",
  "priority",
  "priorityClassName",
  "preemptionPolicy",
  "readinessGates",
  "overhead",
  "schedulerName",
  "topologySpreadConstraints",
  "schedulingGates",
];

const METADATA = new Set([
  "name",
  "namespace",
  "uid",
  "resourceVersion",
  "generation",
  "creationTimestamp",
  "deletionTimestamp",
  "deletionGracePeriodSeconds",
  "labels",
  "annotations",
]);

const HASH = /^[0-9a-z]{1,63}$/;
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const DNS_LABEL = /^[0-9a-z](?:[0-9a-z-]{0,61}[0-9a-z])?$/;
const DNS_SUBDOMAIN = /^(?=.{1,253}$)[0-9a-z](?:[0-9a-z-]*[0-9a-z])?(?:\.[0-9a-z](?:[0-9a-z-]*[0-9a-z])?)*$/;
const NUMBER = /^(?:0|[1-9][0-9]{0,17})$/;
const LABEL_VALUE = /^[0-9A-Za-z](?:[0-9A-Za-z_.-]{0,61}[0-9A-Za-z])?$/;
const AMOUNT = /^[0-9]+(?:\.[0-9]+)?(?:m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$/;

/** Labels and annotations that controllers, admission and the scheduler add, and the form of their values. */
const ADDED_LABELS: Readonly<Record<string, RegExp>> = {
  "pod-template-hash": HASH,
  "controller-revision-hash": /^[0-9a-z.-]{1,63}$/,
  "pod-template-generation": NUMBER,
  "statefulset.kubernetes.io/pod-name": DNS_SUBDOMAIN,
  "apps.kubernetes.io/pod-index": NUMBER,
  "job-name": DNS_SUBDOMAIN,
  "batch.kubernetes.io/job-name": DNS_SUBDOMAIN,
  "controller-uid": UUID,
  "batch.kubernetes.io/controller-uid": UUID,
  "batch.kubernetes.io/job-completion-index": NUMBER,
  "topology.kubernetes.io/zone": LABEL_VALUE,
  "topology.kubernetes.io/region": LABEL_VALUE,
};
const ADDED_ANNOTATIONS: Readonly<Record<string, RegExp>> = {
  "kubernetes.io/limit-ranger": /^LimitRanger plugin set: [a-z0-9 ,;-]+$/,
  "kubectl.kubernetes.io/restartedAt": /^[0-9T:.Z+-]{20,35}$/,
  "batch.kubernetes.io/job-completion-index": NUMBER,
};

const MIRROR = "kubernetes.io/config.mirror";
const MIRROR_ANNOTATIONS = new Set(
  ["mirror", "hash", "seen", "source"].map((name) => `kubernetes.io/config.${name}`),
);

/** Parts of the status that a kubelet acts on. */
const STEERING = [
  "qosClass",
  "resourceClaimStatuses",
  "extendedResourceClaimStatus",
  "nodeAllocatableResourceClaimStatuses",
];

const TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount";
const TOKEN_SOURCES: JsonValue[] = [
  { serviceAccountToken: { expirationSeconds: 3607, path: "token" } },
  { configMap: { name: "kube-root-ca.crt", items: [{ key: "ca.crt", path: "ca.crt" }] } },
  {
    downwardAPI: {
      items: [{ path: "namespace", fieldRef: { apiVersion: "v1", fieldPath: "metadata.namespace" } }],
    },
  },
];

/** The promise, over the life of one kubelet. */
export class Invariant {
  readonly grants: Grant[] = [];
  /** Sets of pods that were looked at. */
  checks = 0;
  readonly #nodeName: string;
  readonly #names = new Map<string, string>();
  readonly #signed = new Map<string, Grant[]>();

  constructor(nodeName: string) {
    this.#nodeName = nodeName;
  }

  /** What is wrong with a set of pods that the kubelet holds; nothing if all is well. */
  check(pods: readonly JsonObject[]): string[] {
    this.checks++;
    const problems: string[] = [];
    const uids = new Set<string>();
    for (const pod of pods) {
      const metadata = objectOf(pod.metadata);
      const key = `${String(metadata.namespace)}/${String(metadata.name)}`;
      const uid = String(metadata.uid);
      if (uids.has(uid)) problems.push(`${key}: its UID is there twice`);
      uids.add(uid);
      const before = this.#names.get(uid);
      if (before !== undefined && before !== key) problems.push(`${key}: its UID belonged to ${before}`);
      this.#names.set(uid, key);
      problems.push(...this.#checkPod(pod, metadata, uid).map((problem) => `${key}: ${problem}`));
    }
    return problems;
  }

  #checkPod(pod: JsonObject, metadata: JsonObject, uid: string): string[] {
    const problems: string[] = [];
    const { name, namespace } = metadata;
    if (!UUID.test(uid)) problems.push("its UID is no UUID");
    if (typeof namespace !== "string" || !DNS_LABEL.test(namespace)) {
      problems.push("its namespace is no DNS label");
    }
    if (typeof name !== "string" || !DNS_SUBDOMAIN.test(name)) problems.push("its name is no DNS subdomain");
    for (const field of Object.keys(metadata)) {
      if (!METADATA.has(field)) problems.push(`metadata.${field} is not one that a kubelet needs`);
    }
    for (const field of STEERING) {
      if (Object.hasOwn(objectOf(pod.status), field)) problems.push(`status.${field} steers the kubelet`);
    }
    const spec = objectOf(pod.spec);
    if (spec.nodeName !== this.#nodeName) problems.push("spec.nodeName is another node");
    const annotations = objectOf(metadata.annotations);
    if (Object.hasOwn(annotations, MIRROR)) return [...problems, ...checkMirror(spec, metadata, annotations)];

    const named = this.grants.filter((grant) => grant.namespace === namespace && grant.fits(String(name)));
    if (named.length === 0) return [...problems, "nobody has signed a pod of this name"];
    const signed = (this.#signed.get(uid) ?? named).filter((grant) =>
      equalJson(withoutAdditions(spec, grant.spec), comparable(grant.spec))
    );
    if (signed.length === 0) {
      return [...problems, `its spec is not what was signed: ${JSON.stringify(spec)}`];
    }
    this.#signed.set(uid, signed);
    if (!signed.some((grant) => mapFits(metadata.labels, grant.labels, ADDED_LABELS))) {
      problems.push(`its labels are not what was signed: ${JSON.stringify(metadata.labels)}`);
    }
    if (!signed.some((grant) => mapFits(metadata.annotations, grant.annotations, ADDED_ANNOTATIONS))) {
      problems.push(`its annotations are not what was signed: ${JSON.stringify(metadata.annotations)}`);
    }
    return problems;
  }
}

/** A mirror pod tells of a static pod and is never run: it has nothing to run. */
function checkMirror(spec: JsonObject, metadata: JsonObject, annotations: JsonObject): string[] {
  const problems: string[] = [];
  for (const [field, value] of Object.entries(spec)) {
    const empty = value === null || (Array.isArray(value) && value.length === 0);
    if (field !== "nodeName" && !empty) problems.push(`spec.${field} in a mirror pod`);
  }
  for (const key of Object.keys(annotations)) {
    if (!MIRROR_ANNOTATIONS.has(key)) problems.push(`metadata.annotations[${key}] in a mirror pod`);
  }
  if (Object.keys(objectOf(metadata.labels)).length > 0) problems.push("metadata.labels in a mirror pod");
  return problems;
}

/** All signed entries are there with their values, and all others are on the list. */
function mapFits(
  found: JsonValue | undefined,
  signed: JsonObject,
  added: Readonly<Record<string, RegExp>>,
): boolean {
  const entries = objectOf(found);
  return Object.entries(signed).every(([key, value]) => entries[key] === value) &&
    Object.entries(entries).every(([key, value]) =>
      Object.hasOwn(signed, key) ||
      (Object.hasOwn(added, key) && typeof value === "string" && (added[key]?.test(value) ?? false))
    );
}

/** A spec without node and scheduling. */
function comparable(spec: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(spec).filter(([field]) => field !== "nodeName" && !SCHEDULING.includes(field)),
  );
}

/** A spec without what Kubernetes may have added to the signed one, each in its one form. */
function withoutAdditions(found: JsonObject, signed: JsonObject): JsonObject {
  let spec = comparable(found);
  const secrets = listOf(spec.imagePullSecrets);
  if (listOf(signed.imagePullSecrets).length === 0 && secrets.length > 0) {
    const fit = secrets.every((secret) =>
      Object.keys(secret).join() === "name" && DNS_SUBDOMAIN.test(String(secret.name))
    );
    if (fit) spec = without(spec, "imagePullSecrets");
  }
  const token = signed.automountServiceAccountToken === false
    ? undefined
    : listOf(spec.volumes).find(({ name, projected }) =>
      /^kube-api-access-[0-9a-z]{5}$/.test(String(name)) && isJsonObject(projected) &&
      equalJson(projected, { defaultMode: 420, sources: TOKEN_SOURCES }) &&
      listOf(signed.volumes).every((volume) => volume.name !== name)
    );
  if (token !== undefined) {
    spec = withList(spec, "volumes", listOf(spec.volumes).filter((volume) => volume !== token));
  }
  for (const list of ["initContainers", "containers"]) {
    if (spec[list] === undefined) continue;
    const own = listOf(signed[list]);
    const containers = listOf(spec[list]).map((container, index) =>
      withoutContainerAdditions(container, own[index] ?? {}, token?.name)
    );
    spec = { ...spec, [list]: containers };
  }
  return spec;
}

function withoutContainerAdditions(
  found: JsonObject,
  signed: JsonObject,
  tokenVolume: JsonValue | undefined,
): JsonObject {
  let container = found;
  if (container.imagePullPolicy === "Always" && /@sha256:[0-9a-f]{64}$/.test(String(signed.image))) {
    container = { ...container, imagePullPolicy: signed.imagePullPolicy ?? "IfNotPresent" };
  }
  if (tokenVolume !== undefined) {
    const mount: JsonObject = { name: tokenVolume, readOnly: true, mountPath: TOKEN_PATH };
    const mounts = listOf(container.volumeMounts);
    const last = mounts.at(-1);
    if (last !== undefined && equalJson(last, mount)) {
      container = withList(container, "volumeMounts", mounts.slice(0, -1));
    }
  }
  const resources = { ...objectOf(container.resources) };
  for (const kind of ["limits", "requests"]) {
    const own = objectOf(objectOf(signed.resources)[kind]);
    const amounts = Object.fromEntries(
      Object.entries(objectOf(resources[kind])).filter(([resource, amount]) =>
        Object.hasOwn(own, resource) || !["cpu", "memory", "ephemeral-storage"].includes(resource) ||
        !AMOUNT.test(String(amount))
      ),
    );
    if (Object.keys(amounts).length > 0) resources[kind] = amounts;
    else delete resources[kind];
  }
  if (Object.keys(resources).length > 0 || signed.resources !== undefined) return { ...container, resources };
  return without(container, "resources");
}

function without(object: JsonObject, key: string): JsonObject {
  const { [key]: _taken, ...rest } = object;
  return rest;
}

function withList(object: JsonObject, key: string, list: JsonObject[]): JsonObject {
  return list.length === 0 ? without(object, key) : { ...object, [key]: list };
}

function objectOf(value: JsonValue | undefined): JsonObject {
  return isJsonObject(value) ? value : {};
}

function listOf(value: JsonValue | undefined): JsonObject[] {
  return Array.isArray(value) ? value.filter(isJsonObject) : [];
}
