/**
 * Signs random pods and workloads with podsign, sends them through a real API server and its controllers, and judges
 * the pods that come back. Needs no node. Run by `tests/cluster/run api-server`; PROPERTY_SEED repeats a run,
 * PROPERTY_RUNS makes it longer or shorter.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { equalJson, type JsonObject, objectsAt } from "@signed-pods/shared/json";
import { readVerificationKeys } from "@signed-pods/shared/keys";
import { expand, withoutScheduling } from "@signed-pods/shared/pod/normal-form";
import { rebuildPod } from "@signed-pods/shared/pod/rebuild";
import { createVerifier, type Verifier } from "@signed-pods/shared/pod/verify";
import { fakeServer, makeKey, NOW as SIGNING_TIME, runPodsign } from "../../../cli/fake_effects_test.ts";
import { type ControlPlane, startControlPlane } from "../control_plane.ts";
import { objectAt, parseObject, textAt } from "../json.ts";
import { done, notYet, until } from "../wait.ts";
import { PRIORITY_CLASS, RUNTIME_CLASS, SERVICE_ACCOUNT } from "./valid_pods.ts";
import { arbitraryWorkload, type Kind, KINDS, type Workload } from "./workloads.ts";

const seed = Number(Deno.env.get("PROPERTY_SEED") ?? Math.floor(Math.random() * 2 ** 31));

/** How many pods are tried. */
const podRuns = Number(Deno.env.get("PROPERTY_RUNS") ?? 1000);

/** How many workloads are created. */
const workloadRuns = Math.ceil(podRuns / 10);

const NODE = "worker-1";

/** A LimitRange and a service account with pull secrets are in the second. */
const NAMESPACES = ["plain", "limited"] as const;

/** So many requests wait for an answer at a time. */
const PARALLEL = 8;

/** Fewer pods that the API server accepts, and the generator no longer makes what people write. */
const MIN_ACCEPTED_SHARE = 0.95;

/** Version 1.x since which the feature gate PodLevelResources is on by default. */
const POD_RESOURCES_SINCE = 34;

/** Of the PriorityClass and the RuntimeClass, in the form in which the API server serves it. */
const PRIORITY = 1000;
const OVERHEAD: JsonObject = { cpu: "250m", memory: "64Mi" };

const JUDGED_AT = new Date("2030-01-01T00:00:00Z");

function environment(name: string): string {
  const value = Deno.env.get(name);
  if (value === undefined) {
    throw new Error(`${name} is not set; start the tests with tests/cluster/run api-server`);
  }
  return value;
}

/** What the workloads refer to. */
async function prepare(api: ControlPlane): Promise<void> {
  await api.create("/apis/scheduling.k8s.io/v1/priorityclasses", {
    apiVersion: "scheduling.k8s.io/v1",
    kind: "PriorityClass",
    metadata: { name: PRIORITY_CLASS },
    value: PRIORITY,
    preemptionPolicy: "Never",
  });
  await api.create("/apis/node.k8s.io/v1/runtimeclasses", {
    apiVersion: "node.k8s.io/v1",
    kind: "RuntimeClass",
    metadata: { name: RUNTIME_CLASS },
    handler: "sandboxed",
    overhead: { podFixed: { cpu: "0.25", memory: "64Mi" } },
    scheduling: {
      nodeSelector: { sandboxed: "true" },
      tolerations: [{ key: "sandbox", operator: "Exists" }],
    },
  });
  await api.create("/api/v1/nodes", {
    apiVersion: "v1",
    kind: "Node",
    metadata: { name: NODE, labels: { sandboxed: "true", "kubernetes.io/os": "linux" } },
  });
  await until("the node has no taint", async () => {
    const taints = await taintsOfNode(api);
    return taints.length === 0 ? done(undefined) : notYet(JSON.stringify(taints));
  });
  for (const namespace of NAMESPACES) {
    await api.create("/api/v1/namespaces", {
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { name: namespace },
    });
    const accounts = `/api/v1/namespaces/${namespace}/serviceaccounts`;
    const account: JsonObject = { apiVersion: "v1", kind: "ServiceAccount" };
    await api.create(accounts, { ...account, metadata: { name: SERVICE_ACCOUNT } });
    await until(`namespace ${namespace} has its service account`, async () => {
      const { status } = await api.request("GET", `${accounts}/default`);
      return status === 200 ? done(undefined) : notYet(String(status));
    });
  }
  const { status, body } = await api.request("PUT", "/api/v1/namespaces/limited/serviceaccounts/default", {
    apiVersion: "v1",
    kind: "ServiceAccount",
    metadata: { name: "default", namespace: "limited" },
    imagePullSecrets: [{ name: "registry-a" }, { name: "registry.b" }],
  });
  assert.equal(status, 200, JSON.stringify(body));
  await api.create("/api/v1/namespaces/limited/limitranges", {
    apiVersion: "v1",
    kind: "LimitRange",
    metadata: { name: "limits" },
    spec: {
      limits: [{
        type: "Container",
        // No less than any random pod asks for.
        default: { cpu: "2k", memory: "16Gi", "ephemeral-storage": "8Gi" },
        defaultRequest: { cpu: "0.1", memory: "1M" },
      }],
    },
  });
}

/** Signs as somebody at a terminal does, and judges as a node does. */
class Signer {
  readonly #fetch: ReturnType<typeof fakeServer>;
  readonly #verifier: Verifier;

  private constructor(fetch: ReturnType<typeof fakeServer>, verifier: Verifier) {
    this.#fetch = fetch;
    this.#verifier = verifier;
  }

  static async create(): Promise<Signer> {
    const { key, certificate } = await makeKey();
    const verifier = createVerifier({
      keys: await readVerificationKeys(certificate, "signing server"),
      acceptForms: new Set(["template"]),
      requireDigests: false,
    });
    return new Signer(fakeServer(key, certificate), verifier);
  }

  async sign(manifest: JsonObject): Promise<JsonObject> {
    const { code, out, errors } = await runPodsign(["sign-spec", "-"], {
      stdin: JSON.stringify(manifest),
      fetch: this.#fetch,
      now: SIGNING_TIME,
    });
    assert.equal(code, 0, `podsign refuses a valid manifest: ${errors}${JSON.stringify(manifest)}`);
    return parseObject(out);
  }

  /**
   * Judges a pod that the API server serves and rebuilds it for the node: what the kubelet gets must be the pod itself.
   *
   * @returns the rules by which something was accepted beyond what was signed
   */
  async judge(pod: JsonObject): Promise<string[]> {
    const verdict = await this.#verifier.verifyPod(pod, { now: JUDGED_AT });
    assert.equal(verdict.decision, "allow", JSON.stringify({ verdict, pod }));
    const rebuilt = rebuildPod(pod, verdict, { nodeName: NODE, now: JUDGED_AT, first: true });
    assert.ok(rebuilt.ok, JSON.stringify({ rebuilt, pod }));
    const theirs = byVolumeName(expand(pod.spec));
    assert.ok(
      equalJson(byVolumeName(expand(rebuilt.pod.spec)), theirs),
      JSON.stringify({ rebuilt: rebuilt.pod, pod }),
    );
    return verdict.injected.map((line) => line.slice(line.lastIndexOf(": ") + 2));
  }
}

/** The order of volumes means nothing, and StatefulSets' are in a random one. */
function byVolumeName(spec: JsonObject): JsonObject {
  const volumes = objectsAt(spec, "volumes").toSorted((a, b) => String(a.name) < String(b.name) ? -1 : 1);
  return { ...withoutScheduling(spec), ...(volumes.length === 0 ? {} : { volumes }) };
}

/** The pod as it is once the scheduler has bound it, for pods that are only tried. */
function asBound(pod: JsonObject): JsonObject {
  return {
    ...pod,
    metadata: { ...objectAt(pod, "metadata"), resourceVersion: "1" },
    spec: { ...objectAt(pod, "spec"), nodeName: NODE },
  };
}

/** Does the work for all items, but starts no more of it after a failure; what has begun is waited for. */
async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const rest = items.values();
  const failures: unknown[] = [];
  const worker = async () => {
    for (const item of rest) {
      if (failures.length > 0) return;
      try {
        await work(item);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, worker));
  if (failures.length > 1) throw new AggregateError(failures, `${failures.length} have failed`);
  if (failures.length > 0) throw failures[0];
}

/** What admission writes of the classes that a pod names. */
const CLASSES = {
  priority: "priority of a PriorityClass",
  overhead: "overhead of a RuntimeClass",
} as const;

function classesOf(pod: JsonObject): string[] {
  const { priority, preemptionPolicy, overhead = null } = objectAt(pod, "spec");
  return [
    ...(priority === PRIORITY && preemptionPolicy === "Never" ? [CLASSES.priority] : []),
    ...(equalJson(overhead, OVERHEAD) ? [CLASSES.overhead] : []),
  ];
}

/** Whether the API server knows resources of a whole pod. */
function hasPodResources(api: ControlPlane): boolean {
  const minor = Number(/^1\.(\d+)\./.exec(api.version)?.[1]);
  assert.ok(Number.isInteger(minor), `${api.version} is a version of Kubernetes`);
  return minor >= POD_RESOURCES_SINCE;
}

function sample(
  api: ControlPlane,
  kind: Kind,
  index: number,
  namespace: string,
  parameters: { seed: number; numRuns: number },
): Workload[] {
  const podResources = !hasPodResources(api) ? "none" : namespace === "limited" ? "all requests" : "any";
  return fc.sample(arbitraryWorkload(kind, index, namespace, podResources), parameters);
}

class Counts {
  readonly #counts = new Map<string, number>();

  add(...names: string[]): void {
    for (const name of names) this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
  }

  of(name: string): number {
    return this.#counts.get(name) ?? 0;
  }

  print(): void {
    for (const [name, count] of [...this.#counts].sort()) {
      console.log(`${String(count).padStart(7)}  ${name}`);
    }
  }
}

function withoutValues(message: string): string {
  return message.replace(/"[^"]*"/g, "…").replace(/\b\d[\w.-]*/g, "…");
}

/** What the API server said of a pod that it refused, without names and values. */
function reasonOf(body: JsonObject): string {
  const cause = objectsAt(objectAt(body, "details"), "causes")[0] ?? {};
  const field = (textAt(cause, "field") ?? "").replace(/\[[^\]]*\]/g, "[]");
  return `refused by the API server: ${
    field === ""
      ? textAt(body, "message") ?? ""
      : `${field}: ${withoutValues(textAt(cause, "message") ?? "").slice(0, 100)}`
  }`;
}

Deno.test(`random pods verify after a real API server has had them (PROPERTY_SEED=${seed})`, async (t) => {
  const signer = await Signer.create();
  const api = await startControlPlane({
    runDir: `${environment("CLUSTER_RUN_DIR")}/random`,
    kubernetesDir: environment("CLUSTER_KUBERNETES_DIR"),
    withControllers: true,
  });
  try {
    await prepare(api);
    await t.step(`${podRuns} pods, tried`, () => tryPods(api, signer));
    await t.step(`${workloadRuns} workloads, made by their controllers`, () => runWorkloads(api, signer));
  } finally {
    await api.stop();
  }
});

async function tryPods(api: ControlPlane, signer: Signer): Promise<void> {
  const counts = new Counts();
  const workloads = NAMESPACES.flatMap((namespace, index) =>
    sample(api, "Pod", 0, namespace, {
      seed: seed + index,
      numRuns: Math.ceil(podRuns / NAMESPACES.length),
    })
  );
  await inParallel(workloads, async ({ collection, manifest }) => {
    const signed = await signer.sign(manifest);
    const { status, body } = await api.request("POST", `${collection}?dryRun=All`, signed);
    if (status !== 201) return counts.add("refused", reasonOf(body));
    counts.add("accepted", ...classesOf(body), ...await signer.judge(asBound(body)));
  });
  console.log(`${workloads.length} pods (PROPERTY_SEED=${seed}, Kubernetes ${api.version}):`);
  counts.print();
  assert.ok(counts.of("accepted") >= MIN_ACCEPTED_SHARE * workloads.length, "too few pods are accepted");
  const met = [
    "service account token",
    "image pull secrets",
    "limit range",
    ...(hasPodResources(api) ? ["pod resources"] : []),
    ...Object.values(CLASSES),
  ];
  for (const rule of met) assert.ok(counts.of(rule) > 0, `no pod has met: ${rule}`);
}

async function runWorkloads(api: ControlPlane, signer: Signer): Promise<void> {
  // CronJobs first: their controller makes the first Jobs when a minute begins.
  const kinds: Kind[] = ["CronJob", ...KINDS.filter((kind) => kind !== "CronJob")];
  const workloads = Array.from({ length: workloadRuns }, (_, index) => ({
    kind: kinds[index % kinds.length] ?? "Pod",
    namespace: NAMESPACES[Math.floor(index / kinds.length) % NAMESPACES.length] ?? "plain",
    index,
  })).toSorted((a, b) => kinds.indexOf(a.kind) - kinds.indexOf(b.kind)).flatMap((
    { kind, namespace, index },
  ) => sample(api, kind, index, namespace, { seed: seed + 100 + index, numRuns: 1 }));
  const counts = new Counts();
  const created: Workload[] = [];
  await inParallel(workloads, async (workload) => {
    const signed = await signer.sign(workload.manifest);
    const { status, body } = await api.request("POST", workload.collection, signed);
    if (status !== 201) return counts.add("refused", `${workload.kind} ${reasonOf(body)}`);
    created.push(workload);
  });
  counts.print();
  assert.ok(created.length >= MIN_ACCEPTED_SHARE * workloads.length, "too few workloads are accepted");

  await inParallel(created, async (workload) => {
    const pods = `/api/v1/namespaces/${workload.namespace}/pods`;
    const made = await until(`${workload.kind} ${workload.name} has ${workload.pods} pods`, async () => {
      const { body } = await api.request("GET", `${pods}?labelSelector=workload%3D${workload.id}`);
      const found = objectsAt(body, "items");
      return found.length >= workload.pods ? done(found) : notYet(`${found.length} pods`);
    }, { timeoutMs: 180_000, intervalMs: 500, explain: () => explain(api, workload) });
    for (const pod of made) {
      const name = textAt(pod, "metadata", "name") ?? "";
      if (textAt(pod, "spec", "nodeName") === undefined) await bind(api, pods, name);
      const { status, body } = await api.request("GET", `${pods}/${name}`);
      assert.equal(status, 200, JSON.stringify(body));
      counts.add(
        workload.kind,
        `in namespace ${workload.namespace}`,
        ...classesOf(body),
        ...await signer.judge(body),
      );
      if (name.length >= 63) counts.add("names cut by the API server");
    }
  });
  console.log(`${created.length} workloads (PROPERTY_SEED=${seed}, Kubernetes ${api.version}), their pods:`);
  counts.print();
  assert.deepEqual(
    await taintsOfNode(api),
    [],
    "the node has no taint, or DaemonSets would have made no pods",
  );
  if (workloadRuns >= 2 * KINDS.length) {
    for (const made of [...KINDS, ...Object.values(CLASSES)]) {
      assert.ok(counts.of(made) > 0, `no pod was made of: ${made}`);
    }
  }
}

/** Binds a pod to the node, as the scheduler does. */
async function bind(api: ControlPlane, pods: string, name: string): Promise<void> {
  const { status, body } = await api.request("POST", `${pods}/${name}/binding`, {
    apiVersion: "v1",
    kind: "Binding",
    metadata: { name },
    target: { apiVersion: "v1", kind: "Node", name: NODE },
  });
  assert.ok(status === 201 || textAt(body, "reason") === "Conflict", JSON.stringify(body));
}

/** All that is known of a workload whose pods are missing: its status, its node's taints, and every event of its names. */
async function explain(api: ControlPlane, { collection, name, namespace }: Workload): Promise<string> {
  const { body: workload } = await api.request("GET", `${collection}/${name}`);
  const { body: events } = await api.request("GET", `/api/v1/namespaces/${namespace}/events`);
  const lines = objectsAt(events, "items")
    .filter((event) => (textAt(event, "involvedObject", "name") ?? "").startsWith(name))
    .map((event) =>
      `${textAt(event, "involvedObject", "kind")}: ${textAt(event, "reason")}: ${textAt(event, "message")}`
    );
  return [
    `Status: ${JSON.stringify(workload.status ?? workload)}`,
    `Taints of the node: ${JSON.stringify(await taintsOfNode(api))}`,
    `Events:${lines.length === 0 ? " none" : ""}`,
    ...lines,
  ].join("\n");
}

async function taintsOfNode(api: ControlPlane): Promise<JsonObject[]> {
  const { status, body } = await api.request("GET", `/api/v1/nodes/${NODE}`);
  assert.equal(status, 200, JSON.stringify(body));
  return objectsAt(objectAt(body, "spec"), "taints");
}
