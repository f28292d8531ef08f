/**
 * What the kubelet gets out of a rebuilt pod, decoded with Kubernetes' own types: the pod that the API server would have
 * given it, apart from what is deliberately dropped. That is the list DROPPED, printed with how often each of it
 * occurred.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { canonicalize } from "../../shared/canonical_json.ts";
import {
  getOwn,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  objectAt,
  objectsAt,
} from "../../shared/json.ts";
import { hasDigest } from "../../shared/pod/image.ts";
import { minimal, SCHEDULING_FIELDS } from "../../shared/pod/normal_form.ts";
import { rebuildDeleted, rebuildIdentityOnly, rebuildMirror, rebuildPod } from "../../shared/pod/rebuild.ts";
import { createVerifier } from "../../shared/pod/verify.ts";
import {
  keyPair,
  signText,
  templateAnnotations,
  tokenMount,
  tokenVolume,
} from "../../shared/pod/fixture_test.ts";
import { type AllowVerdict, SIGNATURE_ANNOTATION, SIGNED_TEMPLATE_ANNOTATION } from "../../shared/verdict.ts";
import { arbitraryObject, arbitraryPodSpec } from "../arbitraries.ts";
import { ask, numRuns, seed, VERSION } from "./kubernetes_code.ts";

const NODE = "worker-1.test";
const NAME = "web";
const HASH = "6c5d9f7b8d";
const RANDOM = "x7k2p";
const UID = "9e4a7bc6-e0b0-45bc-9fe5-0a5fae6d9107";
const OWNER_UID = "0c2a51be-4a3d-4d0a-8c50-5b0f3c1f7e11";
const CLAIMS = ["data", "logs"];
const INDEX = "3";
const INDEX_KEY = "batch.kubernetes.io/job-completion-index";
const NOW = new Date("2025-06-01T00:00:00Z");
const LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration";
const REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution";

/** How a pod comes to be. `spec` is a Pod signed in the spec form. */
const KINDS = [
  "spec",
  "Pod",
  "ReplicationController",
  "ReplicaSet",
  "Deployment",
  "StatefulSet",
  "DaemonSet",
  "Job",
  "indexed Job",
  "CronJob",
] as const;

/** Everything about a pod that is random. */
interface Dice {
  kind: typeof KINDS[number];
  spec: JsonObject;
  status: JsonObject;
  phase: string;
  /** Valid scheduling fields as the owner writes them. */
  scheduling: JsonObject;
  /** Of the template. */
  labels: Record<string, string>;
  annotations: Record<string, string>;
  /** What somebody else puts on the pod. */
  strangeLabels: Record<string, string>;
  strangeAnnotations: Record<string, string>;
  /** What admission does. */
  token: boolean;
  pullSecrets: boolean;
  limitRange: boolean;
  alwaysPull: boolean;
  topology: boolean;
  deletionGracePeriodSeconds: number | null;
  /** The kubelet has not been shown the pod before. */
  first: boolean;
}

const texts = (keys: string[], values: string[]) =>
  fc.uniqueArray(fc.tuple(fc.constantFrom(...keys), fc.constantFrom(...values)), {
    maxLength: 3,
    selector: ([key]) => key,
  }).map((entries) => Object.fromEntries(entries));

const arbitraryScheduling: fc.Arbitrary<JsonObject> = fc.record({
  nodeSelector: fc.constantFrom<JsonObject>({}, { "disk.test/type": "ssd", "kubernetes.io/os": "linux" }),
  affinity: fc.constantFrom<JsonObject>({}, {
    nodeAffinity: {
      [REQUIRED]: {
        nodeSelectorTerms: [{ matchExpressions: [{ key: "a.test/b", operator: "In", values: ["x", "y"] }] }],
      },
      preferredDuringSchedulingIgnoredDuringExecution: [
        { weight: 3, preference: { matchExpressions: [{ key: "c", operator: "Exists" }] } },
      ],
    },
  }, {
    podAntiAffinity: {
      [REQUIRED]: [{ topologyKey: "kubernetes.io/hostname", labelSelector: { matchLabels: { app: "web" } } }],
    },
  }),
  tolerations: fc.constantFrom<JsonValue[]>([], [
    { operator: "Exists" },
    { key: "a.test/b", operator: "Equal", value: "c", effect: "NoExecute", tolerationSeconds: 0 },
  ]),
  topologySpreadConstraints: fc.constantFrom<JsonValue[]>([], [
    { maxSkew: 1, topologyKey: "kubernetes.io/hostname", whenUnsatisfiable: "ScheduleAnyway" },
  ]),
  priorityClassName: fc.constantFrom("system-node-critical", "fast.test"),
  priority: fc.constantFrom(0, -1, 2000001000),
  preemptionPolicy: fc.constantFrom("Never", "PreemptLowerPriority"),
  readinessGates: fc.constantFrom<JsonValue[]>([], [{ conditionType: "lb.test/ready" }]),
  overhead: fc.constantFrom<JsonObject>({}, { cpu: "0.5", memory: "1024Ki" }),
  schedulerName: fc.constantFrom("default-scheduler", "other"),
  schedulingGroup: fc.constantFrom<JsonObject>({ podGroupName: "group" }),
}, { requiredKeys: [] });

const arbitraryDice: fc.Arbitrary<Dice> = fc.record<Dice>({
  kind: fc.constantFrom(...KINDS),
  spec: arbitraryPodSpec({ version: VERSION }),
  status: arbitraryObject("PodStatus", { version: VERSION, maxFields: 10 }),
  phase: fc.constantFrom("Pending", "Running", "Succeeded", "Failed", "Unknown"),
  scheduling: arbitraryScheduling,
  labels: texts(["app", "app.kubernetes.io/name", "tier"], ["", "web", "A_b.c-1"]),
  annotations: texts(["note", "A.test/B", "x"], ["", "é\u{1f600} <&>", '{"a": 1}\n']),
  strangeLabels: texts(["istio.test/rev", "spoofed", "kubernetes.io/os"], ["1", "evil"]),
  strangeAnnotations: texts(["io.kubernetes.cri-o.test", "cni.test/networks", LAST_APPLIED], ["{}", "evil"]),
  token: fc.boolean(),
  pullSecrets: fc.boolean(),
  limitRange: fc.boolean(),
  alwaysPull: fc.boolean(),
  topology: fc.boolean(),
  deletionGracePeriodSeconds: fc.option(fc.constantFrom(0, 1, 30, 1000)),
  first: fc.boolean(),
});

/** The random spec as an owner may sign it: names are unique, and nothing is in it that only schedulers read. */
function ownerSpec({ spec, scheduling, kind }: Dice): JsonObject {
  const owned: JsonObject = structuredClone(spec);
  for (const field of [...SCHEDULING_FIELDS, "ephemeralContainers"]) delete owned[field];
  // What is added to pod-level resources depends on the version.
  delete owned.resources;
  if (objectsAt(owned, "containers").length === 0) owned.containers = [{ name: "app", image: "nginx" }];
  for (const list of ["initContainers", "containers", "volumes"]) {
    for (const [index, item] of objectsAt(owned, list).entries()) {
      // A volume may have the name of a claim.
      const name = list === "volumes" && index === 0 ? "data" : `${list.toLowerCase()}-${index}`;
      item.name = name;
    }
  }
  return kind === "spec" ? owned : { ...owned, ...structuredClone(scheduling) };
}

/** The manifest as its owner has it. */
function manifestOf(dice: Dice, spec: JsonObject): JsonObject {
  const { kind, labels, annotations } = dice;
  const template: JsonObject = { metadata: { labels: { ...labels }, annotations: { ...annotations } }, spec };
  const metadata: JsonObject = { name: NAME, namespace: "shop" };
  switch (kind) {
    case "spec":
    case "Pod":
      return {
        apiVersion: "v1",
        kind: "Pod",
        metadata: { ...metadata, ...objectAt(template, "metadata") },
        spec,
      };
    case "ReplicationController":
      return { apiVersion: "v1", kind, metadata, spec: { template } };
    case "ReplicaSet":
    case "Deployment":
    case "DaemonSet":
      return { apiVersion: "apps/v1", kind, metadata, spec: { template } };
    case "StatefulSet":
      return {
        apiVersion: "apps/v1",
        kind,
        metadata,
        spec: {
          template,
          serviceName: "db",
          volumeClaimTemplates: CLAIMS.map((name) => ({ metadata: { name }, spec: {} })),
        },
      };
    case "Job":
      return { apiVersion: "batch/v1", kind, metadata, spec: { template } };
    case "indexed Job":
      return { apiVersion: "batch/v1", kind: "Job", metadata, spec: { completionMode: "Indexed", template } };
    case "CronJob":
      return { apiVersion: "batch/v1", kind, metadata, spec: { jobTemplate: { spec: { template } } } };
    default: {
      const never: never = kind;
      return never;
    }
  }
}

/** The pod as its controller creates it (`pkg/controller`, see workload.ts and injected.ts for each). */
function created(dice: Dice, spec: JsonObject): { metadata: JsonObject; spec: JsonObject } {
  const { kind } = dice;
  const owned = (name: string, labels: JsonObject, change: JsonObject = {}, more: JsonObject = {}) => ({
    metadata: {
      name,
      generateName: `${name.slice(0, -RANDOM.length)}`,
      ownerReferences: [{ apiVersion: "x/v1", kind: "Owner", name: NAME, uid: OWNER_UID, controller: true }],
      labels: { ...dice.labels, ...labels },
      annotations: { ...dice.annotations },
      ...more,
    },
    spec: { ...spec, ...change },
  });
  const job = (name: string) => ({
    "job-name": name,
    "batch.kubernetes.io/job-name": name,
    "controller-uid": OWNER_UID,
    "batch.kubernetes.io/controller-uid": OWNER_UID,
  });
  const tracked = { finalizers: ["batch.kubernetes.io/job-tracking"] };
  switch (kind) {
    case "spec":
    case "Pod":
      return {
        metadata: { name: NAME, labels: { ...dice.labels }, annotations: { ...dice.annotations } },
        spec,
      };
    case "ReplicationController":
    case "ReplicaSet":
      return owned(`${NAME}-${RANDOM}`, {});
    case "Deployment":
      return owned(`${NAME}-${HASH}-${RANDOM}`, { "pod-template-hash": HASH });
    case "DaemonSet":
      return owned(
        `${NAME}-${RANDOM}`,
        { "controller-revision-hash": HASH, "pod-template-generation": "2" },
        {
          affinity: {
            nodeAffinity: {
              [REQUIRED]: {
                nodeSelectorTerms: [{
                  matchFields: [{ key: "metadata.name", operator: "In", values: [NODE] }],
                }],
              },
            },
          },
          tolerations: ["not-ready", "unreachable"].map((taint) => ({
            key: `node.kubernetes.io/${taint}`,
            operator: "Exists",
            effect: "NoExecute",
          })),
        },
      );
    case "StatefulSet": {
      const claims = CLAIMS.toReversed().map((name) => ({
        name,
        persistentVolumeClaim: { claimName: `${name}-${NAME}-0` },
      }));
      const kept = objectsAt(spec, "volumes").filter(({ name }) => !CLAIMS.includes(String(name)));
      return owned(
        `${NAME}-0`,
        {
          "statefulset.kubernetes.io/pod-name": `${NAME}-0`,
          "apps.kubernetes.io/pod-index": "0",
          "controller-revision-hash": `${NAME}-${HASH}`,
        },
        { hostname: `${NAME}-0`, subdomain: "db", volumes: [...claims, ...kept] },
      );
    }
    case "Job":
      return owned(`${NAME}-${RANDOM}`, job(NAME), {}, tracked);
    case "CronJob":
      return owned(`${NAME}-29500000-${RANDOM}`, job(`${NAME}-29500000`), {}, tracked);
    case "indexed Job": {
      const withIndex = (list: string) =>
        objectsAt(spec, list).map((container): JsonObject => ({
          ...container,
          env: [...objectsAt(container, "env"), {
            name: "JOB_COMPLETION_INDEX",
            valueFrom: { fieldRef: { apiVersion: "v1", fieldPath: `metadata.labels['${INDEX_KEY}']` } },
          }],
        }));
      return owned(
        `${NAME}-${INDEX}-${RANDOM}`,
        { ...job(NAME), [INDEX_KEY]: INDEX },
        {
          hostname: `${NAME}-${INDEX}`,
          containers: withIndex("containers"),
          initContainers: withIndex("initContainers"),
        },
        { ...tracked, annotations: { ...dice.annotations, [INDEX_KEY]: INDEX } },
      );
    }
    default: {
      const never: never = kind;
      return never;
    }
  }
}

const CONTAINER_LISTS = ["initContainers", "containers"];

/** What admission does to a pod that has its defaults, the kubelet's status, and what anybody may put on it. */
function admitted(pod: JsonObject, dice: Dice, signature: Record<string, string>): JsonObject {
  const spec = objectAt(pod, "spec");
  const metadata = objectAt(pod, "metadata");
  const template = dice.kind !== "spec";
  const containers = CONTAINER_LISTS.flatMap((list) => objectsAt(spec, list));
  const annotations: JsonObject = { ...objectAt(metadata, "annotations"), ...dice.strangeAnnotations };
  const labels: JsonObject = { ...dice.strangeLabels, ...objectAt(metadata, "labels") };

  if (template && dice.limitRange) {
    for (const container of containers) {
      const resources = objectAt(container, "resources");
      container.resources = {
        ...resources,
        limits: { memory: "64Mi", ...objectAt(resources, "limits") },
        requests: { cpu: "0.1", ...objectAt(resources, "requests") },
      };
    }
    annotations["kubernetes.io/limit-ranger"] =
      "LimitRanger plugin set: cpu request for container app; memory limit for container app";
  }
  const mountPath = tokenMount().mountPath ?? null;
  const needy = containers.filter((container) =>
    objectsAt(container, "volumeMounts").every((mount) => mount.mountPath !== mountPath)
  );
  if (dice.token && spec.automountServiceAccountToken !== false && needy.length > 0) {
    for (const container of needy) {
      container.volumeMounts = [...objectsAt(container, "volumeMounts"), tokenMount()];
    }
    spec.volumes = [...objectsAt(spec, "volumes"), tokenVolume()];
  }
  if (dice.pullSecrets && objectsAt(spec, "imagePullSecrets").length === 0) {
    spec.imagePullSecrets = [{ name: "registry.test" }];
  }
  const imageVolumes = objectsAt(spec, "volumes").map(({ image }) => image ?? null).filter(isJsonObject);
  const images = [...containers.map(({ image }) => image), ...imageVolumes.map(({ reference }) => reference)];
  if (template && dice.alwaysPull && images.every((image) => hasDigest(String(image)))) {
    for (const container of containers) container.imagePullPolicy = "Always";
    for (const volume of imageVolumes) volume.pullPolicy = "Always";
  }
  if (dice.topology) labels["topology.kubernetes.io/zone"] = "zone-a";
  spec.nodeName = NODE;
  spec.tolerations = [...objectsAt(spec, "tolerations"), {
    key: "node.kubernetes.io/not-ready",
    operator: "Exists",
    effect: "NoExecute",
    tolerationSeconds: 300,
  }];

  const { deletionGracePeriodSeconds } = dice;
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      ...metadata,
      namespace: "shop",
      uid: UID,
      resourceVersion: "284",
      generation: 2,
      creationTimestamp: "2025-05-01T10:00:00Z",
      ...(deletionGracePeriodSeconds === null
        ? {}
        : { deletionTimestamp: "2025-05-02T10:00:00Z", deletionGracePeriodSeconds }),
      labels,
      annotations: { ...annotations, ...signature },
      managedFields: [{
        manager: "kubectl",
        operation: "Update",
        apiVersion: "v1",
        time: "2025-05-01T10:00:00Z",
        fieldsType: "FieldsV1",
        fieldsV1: { "f:spec": {} },
      }],
    },
    spec,
    status: { ...withContainerIds(dice.status), phase: dice.phase },
  };
}

/** A random status with container IDs as runtimes give them. */
function withContainerIds(value: JsonObject): JsonObject {
  const visit = (part: JsonValue): JsonValue => {
    if (Array.isArray(part)) return part.map(visit);
    if (!isJsonObject(part)) return part;
    return Object.fromEntries(
      Object.entries(part).map(([key, member]) =>
        key === "containerID" ? [key, "containerd://0123abc"] : [key, visit(member)]
      ),
    );
  };
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, visit(member)]));
}

// --------------------------------------------------------------------------------------------------------------
// What is dropped

/** Takes something away from the API server's pod, or puts the node's value in its place. */
interface Dropped {
  what: string;
  /** @returns how often it was there */
  drop(pod: JsonObject, dice: Dice): number;
}

function without(object: JsonObject, ...keys: string[]): number {
  const found = keys.filter((key) => getOwn(object, key) !== undefined);
  for (const key of found) delete object[key];
  return found.length;
}

function everyObject(value: JsonValue, visit: (object: JsonObject) => number): number {
  if (Array.isArray(value)) return value.reduce<number>((sum, item) => sum + everyObject(item, visit), 0);
  if (!isJsonObject(value)) return 0;
  return visit(value) + Object.values(value).reduce<number>((sum, part) => sum + everyObject(part, visit), 0);
}

const METADATA = ["managedFields", "ownerReferences", "finalizers", "generateName"];
/** There are scheduling gates too, but no pod that has some is bound to a node. */
const SCHEDULING = ["schedulerName", "topologySpreadConstraints", "schedulingGroup"];
const STEERING = [
  "qosClass",
  "resourceClaimStatuses",
  "extendedResourceClaimStatus",
  "nodeAllocatableResourceClaimStatuses",
];

const DROPPED: Dropped[] = [
  ...METADATA.map((field): Dropped => ({
    what: `metadata.${field}`,
    drop: (pod) => without(objectAt(pod, "metadata"), field),
  })),
  {
    what: "labels that nobody signed and no controller writes",
    drop: (pod, { strangeLabels }) =>
      without(objectAt(objectAt(pod, "metadata"), "labels"), ...Object.keys(strangeLabels)),
  },
  {
    what: "annotations that nobody signed and Kubernetes does not write",
    drop: (pod, { strangeAnnotations }) =>
      without(objectAt(objectAt(pod, "metadata"), "annotations"), ...Object.keys(strangeAnnotations)),
  },
  {
    what: "the annotations that hold the signature",
    drop: (pod) =>
      without(
        objectAt(objectAt(pod, "metadata"), "annotations"),
        SIGNATURE_ANNOTATION,
        SIGNED_TEMPLATE_ANNOTATION,
      ),
  },
  {
    what: "labels and annotations of a pod in the spec form, where none is signed",
    drop: (pod, { kind, labels, annotations }) =>
      kind !== "spec" ? 0 : without(objectAt(objectAt(pod, "metadata"), "labels"), ...Object.keys(labels)) +
        without(objectAt(objectAt(pod, "metadata"), "annotations"), ...Object.keys(annotations)),
  },
  {
    what: "a longer grace period than was signed (shortened)",
    drop: (pod) => {
      const metadata = objectAt(pod, "metadata");
      const signed = objectAt(pod, "spec").terminationGracePeriodSeconds;
      const { deletionGracePeriodSeconds: asked } = metadata;
      if (typeof asked !== "number" || typeof signed !== "number" || asked <= signed) return 0;
      metadata.deletionGracePeriodSeconds = signed;
      return 1;
    },
  },
  ...SCHEDULING.map((field): Dropped => ({
    what: `spec.${field}`,
    drop: (pod) => without(objectAt(pod, "spec"), field),
  })),
  {
    what: "spec.affinity but for the required node affinity",
    drop: (pod) => {
      const spec = objectAt(pod, "spec");
      const { affinity } = spec;
      if (!isJsonObject(affinity)) return 0;
      const required = getOwn(objectAt(affinity, "nodeAffinity"), REQUIRED);
      const kept = required === undefined ? undefined : { nodeAffinity: { [REQUIRED]: required } };
      if (kept === undefined) delete spec.affinity;
      else spec.affinity = kept;
      return canonicalize(affinity) === canonicalize(kept ?? null) ? 0 : 1;
    },
  },
  {
    what: "resizePolicy that never restarts, which is as good as none",
    drop: (pod) =>
      everyObject(objectAt(pod, "spec"), (object) => {
        const policies = objectsAt(object, "resizePolicy");
        return policies.every(({ restartPolicy }) => restartPolicy === "NotRequired")
          ? without(object, "resizePolicy")
          : 0;
      }),
  },
  {
    what: "the random order of a StatefulSet's volumes (as signed)",
    drop: (pod, { kind }) => {
      if (kind !== "StatefulSet") return 0;
      const spec = objectAt(pod, "spec");
      const place = ({ name }: JsonObject) => (CLAIMS.indexOf(String(name)) + 1) || CLAIMS.length + 1;
      spec.volumes = objectsAt(spec, "volumes").toSorted((a, b) => place(a) - place(b));
      return 1;
    },
  },
  ...STEERING.map((field): Dropped => ({
    what: `status.${field}`,
    drop: (pod) => without(objectAt(pod, "status"), field),
  })),
  {
    what: "status.startTime in the future",
    drop: (pod) => {
      const status = objectAt(pod, "status");
      const { startTime } = status;
      return typeof startTime === "string" && new Date(startTime) > NOW ? without(status, "startTime") : 0;
    },
  },
  {
    what: "status.phase Running or Unknown of a pod that is new to the kubelet (Pending)",
    drop: (pod, { first }) => {
      const status = objectAt(pod, "status");
      if (!first || (status.phase !== "Running" && status.phase !== "Unknown")) return 0;
      status.phase = "Pending";
      return 1;
    },
  },
];

// --------------------------------------------------------------------------------------------------------------

function toObject(value: unknown): JsonObject {
  const json: JsonValue = JSON.parse(JSON.stringify(value));
  assert.ok(isJsonObject(json));
  return json;
}

/** What a kubelet that decodes strictly holds. */
async function viewed(pods: JsonObject[]): Promise<JsonObject[]> {
  return (await ask("view", pods)).map((answer, index) => {
    const { pod, error } = toObject(answer);
    assert.equal(error, undefined, JSON.stringify(pods[index]));
    assert.ok(isJsonObject(pod));
    return pod;
  });
}

Deno.test(`kubelets see the API server's pod, but for what is dropped (PROPERTY_SEED=${seed})`, async () => {
  const { signer, verifier: key } = await keyPair();
  const verifier = createVerifier({
    keys: [key],
    acceptForms: new Set(["spec", "template"]),
    requireDigests: false,
  });
  const throws = fc.sample(arbitraryDice, { seed, numRuns });
  const specs = throws.map(ownerSpec);
  const signatures = await Promise.all(throws.map(async (dice, index) => {
    const spec = specs[index] ?? {};
    return dice.kind === "spec"
      ? { [SIGNATURE_ANNOTATION]: await signText(signer, canonicalize(minimal(spec))) }
      : await templateAnnotations(signer, manifestOf(dice, spec));
  }));
  const defaulted = await ask(
    "serve",
    throws.map((dice, index) => ({
      apiVersion: "v1",
      kind: "Pod",
      ...created(dice, structuredClone(specs[index] ?? {})),
    })),
  );
  const served = (await ask(
    "serve",
    throws.map((dice, index) => admitted(toObject(defaulted[index]), dice, signatures[index] ?? {})),
  )).map(toObject);

  const rebuilt: JsonObject[] = [];
  const injected = new Map<string, number>();
  for (const [index, { first }] of throws.entries()) {
    const live = served[index] ?? {};
    const verdict = await verifier.verifyPod(live, { now: NOW });
    assert.equal(verdict.decision, "allow", JSON.stringify({ verdict, live, owner: specs[index] }));
    const allowed: AllowVerdict = verdict;
    for (const line of allowed.injected) {
      const rule = line.slice(line.lastIndexOf(": ") + 2);
      injected.set(rule, (injected.get(rule) ?? 0) + 1);
    }
    const result = rebuildPod(live, allowed, { nodeName: NODE, now: NOW, first });
    assert.ok(result.ok, JSON.stringify({ result, live }));
    rebuilt.push(result.pod);
  }

  const counts = new Map(DROPPED.map(({ what }) => [what, 0]));
  const expected = served.map((pod, index) => {
    const kept = structuredClone(pod);
    const dice = throws[index];
    assert.ok(dice !== undefined);
    for (const { what, drop } of DROPPED) counts.set(what, (counts.get(what) ?? 0) + drop(kept, dice));
    return kept;
  });
  const [theirs, ours] = [await viewed(expected), await viewed(rebuilt)];
  for (const [index, pod] of ours.entries()) {
    assert.deepEqual(pod, theirs[index], JSON.stringify({ live: served[index], owner: specs[index] }));
  }

  console.log(`${ours.length} pods seen by Kubernetes' own types. Dropped on purpose:`);
  for (const [what, count] of counts) console.log(`${String(count).padStart(7)}  ${what}`);
  console.log("Added by admission and controllers, and kept:");
  for (const [rule, count] of injected) console.log(`${String(count).padStart(7)}  ${rule}`);
  if (numRuns >= 1000) {
    const idle = [...counts].filter(([, count]) => count === 0).map(([what]) => what);
    assert.deepEqual(idle, [], "everything that is dropped occurs");
  }
});

Deno.test(`kubelets can read all that is built in place of pods (PROPERTY_SEED=${seed})`, async () => {
  const statuses = fc.sample(arbitraryObject("PodStatus", { version: VERSION, maxFields: 10 }), {
    seed,
    numRuns: Math.min(numRuns, 500),
  });
  const built: JsonObject[] = [];
  for (const status of statuses) {
    const live: JsonObject = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: {
        name: `etcd-${NODE}`,
        namespace: "kube-system",
        uid: UID,
        resourceVersion: "7",
        generation: 1,
        creationTimestamp: "2025-05-01T10:00:00Z",
        annotations: { "kubernetes.io/config.mirror": "abc123", "kubernetes.io/config.source": "file" },
      },
      spec: { nodeName: NODE, containers: [{ name: "etcd", image: "etcd" }] },
      status: { ...withContainerIds(status), phase: "Running" },
    };
    for (
      const result of [
        rebuildMirror(live, { nodeName: NODE }),
        rebuildDeleted(live),
        rebuildIdentityOnly(live),
      ]
    ) {
      assert.ok(result.ok, JSON.stringify({ result, live }));
      built.push(result.pod);
    }
  }
  const pods = await viewed(built);
  for (const [index, pod] of pods.entries()) {
    const { metadata } = built[index] ?? {};
    assert.deepEqual(objectAt(pod, "metadata"), { ...objectAt({ metadata: metadata ?? null }, "metadata") });
    assert.equal(objectAt(pod, "spec").containers, null);
  }
});
