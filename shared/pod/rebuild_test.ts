import assert from "node:assert/strict";
import { isJsonObject, type JsonObject, type JsonValue } from "../json.ts";
import type { AllowVerdict } from "../verdict.ts";
import { BAD_STATUSES, INDEX_KEY, livePod, liveSpec, NODE, ownerSpec, part, UID } from "./fixture_test.ts";
import { expand } from "./normal_form.ts";
import { isMirrorPod, MIRROR_ANNOTATION, readIdentity } from "./metadata.ts";
import { rebuildDeleted, rebuildIdentityOnly, rebuildMirror, rebuildPod, type Rebuilt } from "./rebuild.ts";

const POD_NAME = "web-76bf99c854-x7x7x";
const NOW = new Date("2026-11-23T13:00:00Z");
const HERE = { nodeName: NODE, now: NOW, first: false };

function allow(more: Partial<AllowVerdict> = {}): AllowVerdict {
  return {
    decision: "allow",
    form: "template",
    keyId: "",
    signedHash: "",
    workload: { apiVersion: "apps/v1", kind: "Deployment", namespace: "shop", name: "web" },
    spec: expand(ownerSpec()),
    labels: { app: "web" },
    annotations: { team: "shop" },
    extraLabels: {},
    extraAnnotations: {},
    injected: [],
    permissions: [],
    references: [],
    warnings: [],
    ...more,
  };
}

const STATEFUL = allow({
  workload: { apiVersion: "apps/v1", kind: "StatefulSet", name: "db" },
  ordinal: "3",
});
const INDEXED = allow({
  workload: { apiVersion: "batch/v1", kind: "Job", name: "sums" },
  completionIndex: "2",
});
const CRON = allow({ workload: { apiVersion: "batch/v1", kind: "CronJob", name: "nightly" } });
const { workload: _none, ...formless } = allow({ form: "spec", labels: {}, annotations: {} });
const SPEC_FORM: AllowVerdict = formless;

function rebuilt(result: Rebuilt): JsonObject {
  assert.ok(result.ok, JSON.stringify(result));
  return result.pod;
}

function metadataOf(live: JsonObject, verdict: AllowVerdict = allow()): JsonObject {
  return part(rebuilt(rebuildPod(live, verdict, HERE)), "metadata");
}

function assertRefused(result: Rebuilt | { ok: true } | { ok: false; code: string }, code: string): void {
  assert.equal(result.ok, false);
  if (!result.ok) assert.equal(result.code, code);
}

Deno.test("builds a pod from the verdict's spec and checked metadata, and nothing else", () => {
  const live = livePod(POD_NAME, { ...liveSpec(), containers: [{ name: "evil", image: "evil:1" }] }, {
    generateName: "web-76bf99c854-",
    labels: { app: "forged", "pod-template-hash": "76bf99c854", unsigned: "x" },
    annotations: {
      team: "forged",
      "io.kubernetes.cri-o.userns-mode": "host",
      "kubelet-proxy.io/signature": "x",
    },
    ownerReferences: [{ apiVersion: "apps/v1", kind: "ReplicaSet", name: "web", uid: UID }],
    finalizers: ["example.com/x"],
    managedFields: [{ manager: "x" }],
    deletionTimestamp: "2026-11-23T13:00:00Z",
    deletionGracePeriodSeconds: 30,
  });
  assert.deepEqual(rebuilt(rebuildPod({ ...live, evil: true }, allow(), HERE)), {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: POD_NAME,
      namespace: "shop",
      uid: UID,
      resourceVersion: "284",
      generation: 1,
      creationTimestamp: "2026-11-23T12:58:29Z",
      deletionTimestamp: "2026-11-23T13:00:00Z",
      deletionGracePeriodSeconds: 30,
      labels: { app: "web", "pod-template-hash": "76bf99c854" },
      annotations: { team: "shop" },
    },
    spec: {
      ...expand(ownerSpec()),
      nodeName: NODE,
      priority: 0,
      preemptionPolicy: "PreemptLowerPriority",
      tolerations: part(live, "spec").tolerations,
    },
    status: { phase: "Pending" },
  });
});

Deno.test("takes a pod with little metadata", () => {
  const live = livePod("web", liveSpec(), { generation: null, creationTimestamp: null });
  const metadata = metadataOf(live, allow({ labels: {}, annotations: {} }));
  assert.deepEqual(metadata, { name: "web", namespace: "shop", uid: UID, resourceVersion: "284" });
});

// Labels and annotations

const KEPT_LABELS: [string, string, AllowVerdict, string][] = [
  ["pod-template-hash", "76bf99c854", allow(), POD_NAME],
  ["controller-revision-hash", "76bf99c854", allow(), "web-x7x7x"],
  ["controller-revision-hash", "db-76bf99c854", STATEFUL, "db-3"],
  ["controller-revision-hash", "db-76bf99c854", SPEC_FORM, "db-3"],
  ["pod-template-generation", "12", allow(), "web-x7x7x"],
  ["statefulset.kubernetes.io/pod-name", "db-3", STATEFUL, "db-3"],
  ["statefulset.kubernetes.io/pod-name", "db-3", SPEC_FORM, "db-3"],
  ["apps.kubernetes.io/pod-index", "3", STATEFUL, "db-3"],
  ["apps.kubernetes.io/pod-index", "3", SPEC_FORM, "db-3"],
  ["job-name", "nightly-29645280", CRON, "nightly-29645280-x7x7x"],
  ["batch.kubernetes.io/job-name", "nightly-29645280", CRON, "nightly-29645280-x7x7x"],
  ["job-name", "sums", SPEC_FORM, "sums-x7x7x"],
  ["controller-uid", UID, CRON, "nightly-29645280-x7x7x"],
  ["batch.kubernetes.io/controller-uid", UID, CRON, "nightly-29645280-x7x7x"],
  ["topology.kubernetes.io/zone", "eu-1a", allow(), POD_NAME],
  ["topology.kubernetes.io/region", "eu-1", allow(), POD_NAME],
];

for (const [key, value, verdict, podName] of KEPT_LABELS) {
  Deno.test(`keeps the label ${key}=${value} (${verdict.workload?.kind ?? "spec form"})`, () => {
    const live = livePod(podName, liveSpec(), { labels: { [key]: value } });
    assert.equal(part(metadataOf(live, verdict), "labels")[key], value);
  });
}

const DROPPED_LABELS: [string, JsonValue, AllowVerdict, string][] = [
  ["pod-template-hash", "$(id)", allow(), POD_NAME],
  ["pod-template-hash", 7, allow(), POD_NAME],
  ["controller-revision-hash", "other-76bf99c854", STATEFUL, "db-3"],
  ["controller-revision-hash", "db-76bf99c854", allow(), POD_NAME],
  ["controller-revision-hash", "A-76bf99c854", SPEC_FORM, "db-3"],
  ["controller-revision-hash", "db-x y", STATEFUL, "db-3"],
  ["controller-revision-hash", `${"d".repeat(60)}-76bf99c854`, SPEC_FORM, "db-3"],
  ["pod-template-generation", "-1", allow(), POD_NAME],
  ["statefulset.kubernetes.io/pod-name", "db-4", SPEC_FORM, "db-3"],
  ["statefulset.kubernetes.io/pod-name", POD_NAME, allow(), POD_NAME],
  ["apps.kubernetes.io/pod-index", "3", allow(), "db-3"],
  ["apps.kubernetes.io/pod-index", "03", SPEC_FORM, "db-3"],
  ["apps.kubernetes.io/pod-index", "4", SPEC_FORM, "db-3"],
  ["job-name", "other-29645280", CRON, "nightly-29645280-x7x7x"],
  ["job-name", "A_b", SPEC_FORM, "sums-x7x7x"],
  ["job-name", "j".repeat(64), SPEC_FORM, `${"j".repeat(58)}x7x7x`],
  ["job-name", "other", SPEC_FORM, "sums-x7x7x"],
  ["controller-uid", "../x", CRON, "nightly-29645280-x7x7x"],
  ["topology.kubernetes.io/zone", "a b", allow(), POD_NAME],
  ["topology.kubernetes.io/zone", "", allow(), POD_NAME],
  ["__proto__", "x", allow(), POD_NAME],
  ["io.katacontainers.config", "x", allow(), POD_NAME],
];

for (const [key, value, verdict, podName] of DROPPED_LABELS) {
  Deno.test(`refuses to pass on the label ${key}=${String(value)} (${verdict.workload?.kind ?? "spec form"})`, () => {
    const live = livePod(podName, liveSpec(), { labels: JSON.parse(JSON.stringify({ [key]: value })) });
    const { labels } = metadataOf(live, verdict);
    assert.equal(isJsonObject(labels) && Object.hasOwn(labels, key), false);
  });
}

Deno.test("a StatefulSet's labels follow from the pod's name, whatever the live ones say", () => {
  for (
    const labels of [{}, {
      "statefulset.kubernetes.io/pod-name": "db-4",
      "apps.kubernetes.io/pod-index": "4",
    }]
  ) {
    assert.deepEqual(
      metadataOf(livePod("db-3", liveSpec(), { labels }), { ...STATEFUL, labels: {} }).labels,
      {
        "statefulset.kubernetes.io/pod-name": "db-3",
        "apps.kubernetes.io/pod-index": "3",
      },
    );
  }
});

Deno.test("a signed label or annotation wins over a live one", () => {
  const verdict = allow({
    labels: { "pod-template-hash": "mine" },
    annotations: { "kubectl.kubernetes.io/restartedAt": "once" },
  });
  const live = livePod(POD_NAME, liveSpec(), {
    labels: { "pod-template-hash": "76bf99c854" },
    annotations: { "kubectl.kubernetes.io/restartedAt": "2026-11-23T12:58:29Z" },
  });
  const metadata = metadataOf(live, verdict);
  assert.deepEqual(metadata.labels, { "pod-template-hash": "mine" });
  assert.deepEqual(metadata.annotations, { "kubectl.kubernetes.io/restartedAt": "once" });
  const ordinal = metadataOf(livePod("db-3", liveSpec()), {
    ...STATEFUL,
    labels: { "apps.kubernetes.io/pod-index": "x" },
  });
  assert.equal(part(ordinal, "labels")["apps.kubernetes.io/pod-index"], "x");
});

const LIMIT_RANGER =
  "LimitRanger plugin set: cpu, memory request for container app; cpu limit for init container b";
const ANNOTATIONS: [string, JsonValue, boolean][] = [
  ["kubernetes.io/limit-ranger", LIMIT_RANGER, true],
  ["kubernetes.io/limit-ranger", "LimitRanger plugin set: $(id) request for container app", false],
  ["kubernetes.io/limit-ranger", `${LIMIT_RANGER}; rm limit for container x`, false],
  ["kubernetes.io/limit-ranger", `${LIMIT_RANGER}\n`, false],
  ["kubernetes.io/limit-ranger", LIMIT_RANGER.replace("app", "a".repeat(17_000)), false],
  ["kubectl.kubernetes.io/restartedAt", "2026-11-23T12:58:29+01:00", true],
  ["kubectl.kubernetes.io/restartedAt", "yesterday", false],
  ["kubernetes.io/config.source", "file", false],
  ["container.apparmor.security.beta.kubernetes.io/app", "unconfined", false],
  ["io.kubernetes.cri-o.userns-mode", "host", false],
  ["cdi.k8s.io/devices", "vendor.com/x=all", false],
  ["kubernetes.io/egress-bandwidth", "1", false],
  ["k8s.v1.cni.cncf.io/networks", "host", false],
  ["kubectl.kubernetes.io/last-applied-configuration", "{}", false],
];

for (const [key, value, kept] of ANNOTATIONS) {
  const shown = String(value).slice(0, 60).replaceAll("\n", "\\n");
  Deno.test(`${kept ? "keeps" : "refuses to pass on"} the annotation ${key}=${shown}`, () => {
    const live = livePod(POD_NAME, liveSpec(), { annotations: { [key]: value } });
    assert.deepEqual(
      metadataOf(live, allow({ annotations: {} })).annotations,
      kept ? { [key]: value } : undefined,
    );
  });
}

Deno.test("keeps the completion index of an indexed Job's pod as label and annotation", () => {
  const index = { [INDEX_KEY]: "2" };
  const live = livePod("sums-2-x7x7x", liveSpec(), {
    labels: { ...index, "job-name": "sums" },
    annotations: index,
  });
  const metadata = metadataOf(live, { ...INDEXED, labels: {}, annotations: {} });
  assert.deepEqual(metadata.labels, { ...index, "job-name": "sums" });
  assert.deepEqual(metadata.annotations, index);
  assert.deepEqual(metadataOf(live, SPEC_FORM).annotations, index);
});

const INDICES: [string, JsonObject, JsonObject][] = [
  ["without completion index", {}, {}],
  ["without its annotation", { [INDEX_KEY]: "2" }, {}],
  ["with another annotation", { [INDEX_KEY]: "2" }, { [INDEX_KEY]: "3" }],
  ["with another completion index", { [INDEX_KEY]: "3" }, { [INDEX_KEY]: "3" }],
  ["with a completion index that is a command", { [INDEX_KEY]: "$(id)" }, { [INDEX_KEY]: "$(id)" }],
];

for (const [name, labels, annotations] of INDICES) {
  Deno.test(`refuses an indexed Job's pod ${name}`, () => {
    assertRefused(
      rebuildPod(livePod("sums-2-x7x7x", liveSpec(), { labels, annotations }), INDEXED, HERE),
      "pod-malformed",
    );
  });
}

Deno.test("refuses an indexed Job's pod whose signed label says another index", () => {
  const index = { [INDEX_KEY]: "2" };
  const live = livePod("sums-2-x7x7x", liveSpec(), { labels: index, annotations: index });
  assertRefused(rebuildPod(live, { ...INDEXED, labels: { [INDEX_KEY]: "1" } }, HERE), "pod-malformed");
});

// Identity and the rest of the metadata

const IDENTITIES: [string, JsonObject][] = [
  ["a UID that is a path", { uid: "../../etc" }],
  ["a UID in upper case", { uid: UID.toUpperCase() }],
  ["a UID with a line end", { uid: `${UID}\n` }],
  ["no UID", { uid: null }],
  ["a name that is a path", { name: "../x" }],
  ["a name in upper case", { name: "Web" }],
  ["no name", { name: "" }],
  ["a namespace that is a path", { namespace: "../x" }],
  ["a namespace with a dot", { namespace: "a.b" }],
  ["no namespace", { namespace: null }],
];

for (const [name, metadata] of IDENTITIES) {
  Deno.test(`refuses ${name}`, () => {
    const live = livePod("web", liveSpec(), metadata);
    for (
      const result of [
        readIdentity(live),
        rebuildPod(live, allow(), HERE),
        rebuildDeleted(live),
        rebuildMirror(live, HERE),
        rebuildIdentityOnly(live),
      ]
    ) assertRefused(result, "identity-conflict");
  });
}

Deno.test("refuses a pod without metadata", () => {
  assertRefused(readIdentity({}), "identity-conflict");
  assertRefused(readIdentity({ metadata: [] }), "identity-conflict");
});

Deno.test("reads the identity of a pod", () => {
  assert.deepEqual(readIdentity(livePod("web", {})), { ok: true, uid: UID, namespace: "shop", name: "web" });
});

const METADATA: [string, JsonObject][] = [
  ["no resourceVersion", { resourceVersion: null }],
  ["a resourceVersion that is a text", { resourceVersion: "2;8" }],
  ["a resourceVersion that is a number", { resourceVersion: 284 }],
  ["a negative generation", { generation: -1 }],
  ["a generation that is a fraction", { generation: 1.5 }],
  ["a generation beyond 2^53", { generation: 2n ** 60n }],
  ["a creation time that is none", { creationTimestamp: "now" }],
  ["a deletion time that is none", { deletionTimestamp: true }],
  ["a negative grace period", { deletionGracePeriodSeconds: -1 }],
];

for (const [name, metadata] of METADATA) {
  Deno.test(`refuses ${name}`, () => {
    const live = livePod("web", liveSpec(), metadata);
    assertRefused(rebuildPod(live, allow(), HERE), "pod-malformed");
    assertRefused(rebuildDeleted(live), "pod-malformed");
    assertRefused(rebuildMirror(live, HERE), "pod-malformed");
    assertRefused(rebuildIdentityOnly(live), "pod-malformed");
  });
}

// Scheduling fields

Deno.test("forwards the scheduling fields that a kubelet reads, and of affinities the required node affinity", () => {
  const term = { matchFields: [{ key: "metadata.name", operator: "In", values: [NODE] }] };
  const expressions = {
    matchExpressions: [{ key: "disk", operator: "Exists" }, { key: "n", operator: "Gt", values: ["1"] }],
  };
  const required = { nodeSelectorTerms: [term, expressions] };
  const scheduling = {
    nodeName: NODE,
    nodeSelector: { "kubernetes.io/os": "linux", empty: "" },
    tolerations: [{ operator: "Exists" }, {
      key: "a.b/c",
      value: "d",
      effect: "NoExecute",
      tolerationSeconds: 0,
    }],
    priority: 1000,
    priorityClassName: "high-priority",
    preemptionPolicy: "Never",
    readinessGates: [{ conditionType: "example.com/ready" }],
    overhead: { cpu: "250m" },
  };
  const live = livePod("web", {
    ...liveSpec(),
    ...scheduling,
    affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: required }, podAffinity: {} },
    schedulingGates: [{ name: "x" }],
    topologySpreadConstraints: [{ maxSkew: 1, topologyKey: "zone", whenUnsatisfiable: "DoNotSchedule" }],
  });
  const { spec } = rebuilt(rebuildPod(live, allow({ spec: {} }), HERE));
  assert.deepEqual(spec, {
    ...scheduling,
    affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: required } },
  });
});

const required = (term: JsonObject) => ({
  affinity: {
    nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [term] } },
  },
});

const SCHEDULING: [string, JsonObject][] = [
  ["a node selector's key", { nodeSelector: { "$(id)": "x" } }],
  ["a node selector's value", { nodeSelector: { a: "$(id)" } }],
  ["a node selector that is no map", { nodeSelector: [] }],
  ["a toleration's key", { tolerations: [{ key: "a b" }] }],
  ["a toleration's operator", { tolerations: [{ operator: "Matches" }] }],
  ["a toleration's value", { tolerations: [{ key: "a", value: "$(id)" }] }],
  ["a toleration's effect", { tolerations: [{ key: "a", effect: "Run" }] }],
  ["an unknown field of a toleration", { tolerations: [{ evil: true }] }],
  ["an affinity's key", required({ matchExpressions: [{ key: "a b", operator: "Exists" }] })],
  ["an affinity's operator", required({ matchExpressions: [{ key: "a", operator: "Like" }] })],
  [
    "an affinity's value",
    required({ matchFields: [{ key: "metadata.name", operator: "In", values: ["$(id)"] }] }),
  ],
  ["a priority class", { priorityClassName: "$(id)" }],
  ["a priority that is a text", { priority: "high" }],
  ["a preemption policy", { preemptionPolicy: "Always" }],
  ["a readiness gate", { readinessGates: [{ conditionType: "a b" }] }],
  ["an overhead's resource", { overhead: { "a b": "1" } }],
  ["an overhead of devices", { overhead: { "vendor.example/gpu": "8" } }],
  ["a negative overhead", { overhead: { cpu: "-1" } }],
];

for (const [name, fields] of SCHEDULING) {
  Deno.test(`refuses a scheduling field out of form: ${name}`, () => {
    assertRefused(rebuildPod(livePod("web", { ...liveSpec(), ...fields }), allow(), HERE), "pod-malformed");
  });
}

for (const nodeName of ["other", "", null, "worker\n", "$(id)"]) {
  Deno.test(`refuses a pod that is bound to ${JSON.stringify(nodeName)}`, () => {
    const live = livePod("web", { ...liveSpec(), nodeName }, { annotations: { [MIRROR_ANNOTATION]: "abc" } });
    assertRefused(rebuildPod(live, allow(), HERE), "wrong-node");
    assertRefused(rebuildMirror(live, HERE), "wrong-node");
  });
}

// Status

for (const [name, status] of BAD_STATUSES) {
  Deno.test(`refuses a mirror pod with ${name}`, () => {
    const mirror = livePod("web", { nodeName: NODE }, { annotations: { [MIRROR_ANNOTATION]: "abc" } });
    assertRefused(rebuildMirror({ ...mirror, status }, HERE), "pod-malformed");
  });
}

Deno.test("a pod is not stopped for a status that does not fit: its phase is kept", () => {
  for (const [name, status] of BAD_STATUSES) {
    const pod = { ...livePod("web", liveSpec()), status };
    if (name.includes("phase")) assertRefused(rebuildPod(pod, allow(), HERE), "pod-malformed");
    else assert.deepEqual(rebuilt(rebuildPod(pod, allow(), HERE)).status, {}, name);
  }
  const status = { phase: "Running", reason: "Target\thealthy" };
  const pod = { ...livePod("web", liveSpec()), status };
  assert.deepEqual(rebuilt(rebuildPod(pod, allow(), HERE)).status, { phase: "Running" });
});

Deno.test("a start in the future, from which a deadline would be counted, is dropped", () => {
  for (
    const [startTime, kept] of [["9000-01-01T00:00:00Z", false], ["2026-11-23T12:59:00Z", true]] as const
  ) {
    const pod = { ...livePod("web", liveSpec()), status: { phase: "Running", startTime } };
    const found = rebuilt(rebuildPod(pod, allow(), HERE)).status;
    assert.deepEqual(found, { phase: "Running", ...(kept ? { startTime } : {}) });
  }
});

Deno.test("a pod that the kubelet has not seen before is not running yet; one that has ended stays so", () => {
  const phases = {
    Running: "Pending",
    Unknown: "Pending",
    Pending: "Pending",
    Failed: "Failed",
    Succeeded: "Succeeded",
  };
  for (const [phase, forwarded] of Object.entries(phases)) {
    const pod = { ...livePod("web", liveSpec()), status: { phase } };
    const first = rebuilt(rebuildPod(pod, allow(), { ...HERE, first: true }));
    assert.deepEqual(first.status, { phase: forwarded });
    assert.deepEqual(rebuilt(rebuildPod(pod, allow(), HERE)).status, { phase });
  }
});

Deno.test("a deletion may shorten the signed grace period, and not lengthen it", () => {
  for (const [asked, forwarded] of [[9007199254740991, 30], [5, 5], [0, 0]] as const) {
    const live = livePod("web", liveSpec(), {
      deletionTimestamp: "2026-11-23T13:00:00Z",
      deletionGracePeriodSeconds: asked,
    });
    const { metadata } = rebuilt(rebuildPod(live, allow(), HERE));
    assert.ok(isJsonObject(metadata));
    assert.equal(metadata.deletionGracePeriodSeconds, forwarded);
  }
});

// The other shapes

Deno.test("a deleted pod is its identity and version", () => {
  assert.deepEqual(rebuilt(rebuildDeleted(livePod("web", liveSpec(), { labels: { a: "b" } }))), {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "web", namespace: "shop", uid: UID, resourceVersion: "284" },
  });
});

Deno.test("a mirror pod has the kubelet's annotations, a status, and nothing to run", () => {
  const annotations = {
    [MIRROR_ANNOTATION]: "2bb2ac9e7e0f2f3c6a8e8ce4c1d1e2f3",
    "kubernetes.io/config.hash": "2bb2ac9e7e0f2f3c6a8e8ce4c1d1e2f3",
    "kubernetes.io/config.seen": "2026-11-23T12:58:29.123456789Z",
    "kubernetes.io/config.source": "file",
  };
  const live = livePod("etcd-worker", liveSpec(), {
    annotations: { ...annotations, "io.kubernetes.cri-o.userns-mode": "host" },
    labels: { tier: "control-plane" },
  });
  assert.equal(isMirrorPod(live), true);
  assert.deepEqual(rebuilt(rebuildMirror(live, HERE)), {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: "etcd-worker",
      namespace: "shop",
      uid: UID,
      resourceVersion: "284",
      generation: 1,
      creationTimestamp: "2026-11-23T12:58:29Z",
      annotations,
    },
    spec: { nodeName: NODE, containers: [] },
    status: { phase: "Pending" },
  });
});

Deno.test("a mirror is told by the annotation's presence, as the kubelet does", () => {
  assert.equal(isMirrorPod(livePod("web", {}, { annotations: { [MIRROR_ANNOTATION]: null } })), true);
  assert.equal(isMirrorPod(livePod("web", {}, { annotations: { [MIRROR_ANNOTATION]: "" } })), true);
  assert.equal(isMirrorPod(livePod("web", {})), false);
  assert.equal(isMirrorPod({}), false);
});

const MIRRORS: [string, JsonObject][] = [
  ["without its annotation", {}],
  ["with a hash that is a path", { [MIRROR_ANNOTATION]: "../x" }],
  ["with an annotation that is no text", { [MIRROR_ANNOTATION]: 1 }],
  ["from an unknown source", { [MIRROR_ANNOTATION]: "abc", "kubernetes.io/config.source": "etcd" }],
  ["seen at no time", { [MIRROR_ANNOTATION]: "abc", "kubernetes.io/config.seen": "now" }],
];

for (const [name, annotations] of MIRRORS) {
  Deno.test(`refuses a mirror pod ${name}`, () => {
    assertRefused(rebuildMirror(livePod("web", liveSpec(), { annotations }), HERE), "pod-malformed");
  });
}

Deno.test("the answer to a write is identity and deletion, and whether it is a mirror", () => {
  const live = livePod("web", liveSpec(), {
    deletionTimestamp: "2026-11-23T13:00:00Z",
    deletionGracePeriodSeconds: 0,
    annotations: { [MIRROR_ANNOTATION]: "abc", team: "x" },
  });
  assert.deepEqual(rebuilt(rebuildIdentityOnly(live)), {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: "web",
      namespace: "shop",
      uid: UID,
      resourceVersion: "284",
      deletionTimestamp: "2026-11-23T13:00:00Z",
      deletionGracePeriodSeconds: 0,
      annotations: { [MIRROR_ANNOTATION]: "abc" },
    },
    status: { phase: "Pending" },
  });
  assert.equal(part(rebuilt(rebuildIdentityOnly(livePod("web", {}))), "metadata").annotations, undefined);
});

Deno.test("the answer to a write has the phase, by which the kubelet ends a deletion, and nothing else of the status", () => {
  const answer = (phase: JsonValue) =>
    rebuilt(rebuildIdentityOnly({ ...livePod("web", {}), status: { phase, qosClass: "Guaranteed" } })).status;
  assert.deepEqual(answer("Failed"), { phase: "Failed" });
  assert.deepEqual([answer("Ended"), answer(null), answer(1)], [undefined, undefined, undefined]);
});

Deno.test("refuses an answer to a write with a mirror annotation out of form", () => {
  const live = livePod("web", {}, { annotations: { [MIRROR_ANNOTATION]: "../x" } });
  assertRefused(rebuildIdentityOnly(live), "pod-malformed");
});
