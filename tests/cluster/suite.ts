/**
 * Signed pods on a real Kubernetes node. Run by `tests/cluster/run` as root; the tests build on each other and
 * run in the order in which they stand here.
 *
 * CLUSTER_DIRECT=1 leaves the proxy out and the manifests unsigned, and so tests the harness itself: everything
 * runs, and the harness sees the containers that it must never see otherwise.
 *
 * @module
 */
import assert from "node:assert/strict";
import { isJsonObject, type JsonObject, type JsonValue } from "@signed-pods/shared/json";
import { type Cluster, startCluster } from "./cluster.ts";
import { deployTests } from "./deploy.ts";
import { at, listAt, objectAt, textAt } from "./json.ts";
import { nodeApiTests } from "./node_api.ts";
import { objectTests } from "./objects.ts";
import { ownLegTests } from "./own_leg.ts";
import { formatTime, type Owner, type SignOptions, startOwner } from "./owner.ts";
import { rotationTests } from "./rotation.ts";
import { run } from "./programs.ts";
import { testSignInPlace } from "./sign_in_place.ts";
import { testSignerImage } from "./signer_image.ts";
import { testTwoNodes } from "./two_nodes.ts";
import { done, notYet, until } from "./wait.ts";
import type { WatchEvent } from "./watch.ts";
import { watchingTests } from "./watching.ts";
import {
  cronJob,
  daemonSet,
  deployment,
  ENV_CANARY,
  indexedJob,
  persistentVolume,
  pod,
  serviceSpec,
  statefulSet,
} from "./workloads.ts";

/** Namespace of the owner's workloads. */
const SHOP = "shop";
/** A namespace for which nothing is signed. */
const ELSEWHERE = "elsewhere";
/** Namespace of the Deployment that nobody signed. */
const FLOOD = "flood";
/** The reason that refused pods carry. */
const REJECTED = "NodeAdmissionRejected";
/** How long the signature of the Deployment `expiring` holds: long enough to be admitted, too short for the rest. */
const EXPIRING_AFTER_MS = 30_000;
/** The most pods that two unsigned replicas may make in a minute. */
const FLOOD_LIMIT = 12;

const direct = Deno.env.get("CLUSTER_DIRECT") === "1";
const runDir = environment("CLUSTER_RUN_DIR");
const kubernetesDir = environment("CLUSTER_KUBERNETES_DIR");
const binDir = environment("CLUSTER_BIN_DIR");
const busybox = environment("CLUSTER_BUSYBOX");

function environment(name: string): string {
  const value = Deno.env.get(name);
  if (value === undefined || value === "") throw new Error(`${name} is not set; use tests/cluster/run`);
  return value;
}

/** What the tests share; made before the first. */
interface Stage {
  cluster: Cluster;
  owner: Owner | undefined;
  /** Until when the Deployment `expiring` may be admitted. */
  expiry: Date;
  /** The containers of `expiring` as they first ran. */
  expiringContainers: string[];
  floodStarted: Date;
}

let stage: Stage | undefined;

function theStage(): Stage {
  if (stage === undefined) throw new Error("The cluster did not start");
  return stage;
}

/** UIDs of all pods that were refused before they ran. */
const refusedUids = new Set<string>();

/** Whether kubelet-proxy is a program of its own, and no script that starts Deno. */
function isCompiled(): boolean {
  if (direct) return false;
  using file = Deno.openSync(`${binDir}/kubelet-proxy`);
  const start = new Uint8Array(2);
  file.readSync(start);
  return new TextDecoder().decode(start) !== "#!";
}

/**
 * A test that needs the cluster. One that means nothing here counts as ignored, and says why: when the proxy is left out, or for
 * the reason given.
 */
function test(
  name: string,
  body: (stage: Stage) => Promise<void>,
  { needsProxy = false, skip }: { needsProxy?: boolean; skip?: string | undefined } = {},
): void {
  const reason = needsProxy && direct ? "CLUSTER_DIRECT=1 leaves kubelet-proxy out" : skip;
  const ignore = reason !== undefined;
  if (ignore) console.log(`Skipping "${name}": ${reason}`);
  Deno.test({
    name,
    ignore,
    // The cluster's programs and watches live longer than a test.
    sanitizeOps: false,
    sanitizeResources: false,
    fn: () => body(theStage()),
  });
}

const started = Date.now();
function progress(line: string): void {
  console.log(`[${((Date.now() - started) / 1000).toFixed(1)} s] ${line}`);
}

Deno.test.beforeAll(async () => {
  const owner = direct ? undefined : await startOwner({
    runDir,
    podsign: `${binDir}/podsign`,
    signingServer: `${binDir}/signing-server`,
  });
  const cluster = await startCluster(
    { runDir, kubernetesDir, busybox, ...(direct ? {} : { proxy: `${binDir}/kubelet-proxy` }) },
    owner?.certificate ?? "",
    progress,
  );
  const now = () => new Date();
  stage = { cluster, owner, expiry: now(), expiringContainers: [], floodStarted: now() };
  await Promise.all([SHOP, ELSEWHERE, FLOOD].map((name) => createNamespace(cluster, name)));
  // What takes long begins now and is looked at by later tests.
  const { image } = theImages(cluster);
  await sign(cronJob(SHOP, "ticker", image)).then((manifest) => cluster.create(manifest));
  stage.floodStarted = now();
  await cluster.create(deployment(FLOOD, "intruders", 2, serviceSpec(cluster.images.intruder)));
  stage.expiry = new Date(Date.now() + EXPIRING_AFTER_MS);
  await create(deployment(SHOP, "expiring", 1, serviceSpec(image)), { notAfter: stage.expiry });
  const [first] = await untilRunning("expiring", 1);
  stage.expiringContainers = containerIds(first);
  progress("the namespaces and the long-running workloads exist");
});

Deno.test.afterAll(async () => {
  await stage?.cluster.close();
});

function theImages(cluster: Cluster): { image: string } {
  return { image: cluster.images.app };
}

async function createNamespace(cluster: Cluster, name: string): Promise<void> {
  await cluster.kubectl(["create", "namespace", name]);
  await cluster.until(`namespace ${name} has its service account`, async () => {
    const { code, stderr } = await cluster.tryKubectl(["get", "serviceaccount", "default", "-n", name]);
    return code === 0 ? done(undefined) : notYet(stderr);
  });
}

/** Signs a manifest for the owner's namespace; without the proxy, leaves it as it is. */
async function sign(manifest: JsonObject, options: SignOptions = {}): Promise<JsonObject> {
  const { owner } = theStage();
  return owner === undefined ? manifest : await owner.sign(manifest, { namespace: SHOP, ...options });
}

/** Signs a manifest and creates it. */
async function create(manifest: JsonObject, options: SignOptions = {}): Promise<JsonObject> {
  return await theStage().cluster.create(await sign(manifest, options));
}

function uidOf(object: JsonObject): string {
  return textAt(object, "metadata", "uid") ?? "";
}

function nameOf(object: JsonObject): string {
  return textAt(object, "metadata", "name") ?? "";
}

function phaseOf(object: JsonObject): string {
  return textAt(object, "status", "phase") ?? "";
}

function isReady(object: JsonObject): boolean {
  return phaseOf(object) === "Running" &&
    listAt(object, "status", "conditions").some((condition) =>
      textAt(condition, "type") === "Ready" && textAt(condition, "status") === "True"
    );
}

/** The containers that the kubelet reports for a pod, as containerd's ids. */
function containerIds(object: JsonObject | undefined): string[] {
  return listAt(object, "status", "containerStatuses")
    .map((status) => (textAt(status, "containerID") ?? "").replace("containerd://", ""));
}

/** The pods in the owner's namespace whose names begin with the workload's name and a hyphen, oldest first. */
function podsOf(workload: string, namespace = SHOP): JsonObject[] {
  return theStage().cluster.pods.all().filter((object) =>
    textAt(object, "metadata", "namespace") === namespace && nameOf(object).startsWith(`${workload}-`)
  );
}

async function untilPods(
  workload: string,
  count: number,
  what: string,
  condition: (pod: JsonObject) => boolean,
  timeoutMs?: number,
): Promise<JsonObject[]> {
  return await theStage().cluster.until(`${count} pods of ${workload} ${what}`, () => {
    const pods = podsOf(workload);
    if (pods.filter(condition).length >= count) return done(pods.filter(condition));
    return notYet(
      JSON.stringify(pods.map((object) => ({ name: nameOf(object), status: object.status ?? null }))),
    );
  }, timeoutMs);
}

function untilRunning(workload: string, count: number): Promise<JsonObject[]> {
  return untilPods(workload, count, "are Ready", isReady);
}

/** Creates a signed bare pod and waits until it is Ready. */
async function runSigned(name: string): Promise<JsonObject> {
  const { cluster } = theStage();
  await create(pod(SHOP, name, serviceSpec(cluster.images.app)));
  return await cluster.untilPod(SHOP, name, "is Ready", isReady);
}

// ---- what is signed runs

test("a signed Pod runs", async ({ cluster }) => {
  const running = await runSigned("keeper");
  const recorded = await cluster.containers.ofPod(uidOf(running));
  assert.deepEqual(recorded.map(({ containerName, sandbox }) => sandbox ? "sandbox" : containerName), [
    "sandbox",
    "app",
  ]);
});

test("kubectl logs shows what a signed Pod prints", async ({ cluster }) => {
  assert.equal(await cluster.kubectl(["logs", "-n", SHOP, "keeper"]), "started\n");
});

test("a signed Deployment runs with two replicas", async ({ cluster }) => {
  await create(deployment(SHOP, "web", 2, serviceSpec(cluster.images.app)));
  assert.equal((await untilRunning("web", 2)).length, 2);
});

test("a signed StatefulSet runs, each pod with its own claim", async ({ cluster }) => {
  for (const ordinal of [0, 1]) {
    await cluster.create(persistentVolume(`volume-${ordinal}`, `${runDir}/volumes/${ordinal}`));
  }
  await create(statefulSet(SHOP, "db", 2, cluster.images.app), { allow: ["claim=data"] });
  const pods = await untilRunning("db", 2);
  assert.deepEqual(pods.map(nameOf).sort(), ["db-0", "db-1"]);
  const written = [0, 1].map((ordinal) => Deno.readTextFileSync(`${runDir}/volumes/${ordinal}/owner`).trim());
  assert.deepEqual(written.sort(), ["db-0", "db-1"]);
});

test("a signed DaemonSet runs on the node", async ({ cluster }) => {
  await create(daemonSet(SHOP, "agent", serviceSpec(cluster.images.app)));
  await untilRunning("agent", 1);
});

test("a signed indexed Job completes, each pod with its index", async ({ cluster }) => {
  await create(indexedJob(SHOP, "batch", 2, cluster.images.app));
  const pods = await untilPods("batch", 2, "have succeeded", (object) => phaseOf(object) === "Succeeded");
  const logs = await Promise.all(pods.map((object) => cluster.kubectl(["logs", "-n", SHOP, nameOf(object)])));
  assert.deepEqual(logs.sort(), ["index 0\n", "index 1\n"]);
});

test("a spec signed with curl and jq, no default spelled out, runs", async ({ cluster, owner }) => {
  assert.ok(owner);
  const manifest = `${runDir}/by-hand.json`;
  const spec: JsonObject = {
    containers: [{
      name: "app",
      image: cluster.images.app,
      command: ["sh", "-c", "echo signed by hand; sleep 1000000"],
      ports: [{ containerPort: 8080 }],
      resources: { limits: { memory: "64Mi" } },
    }],
  };
  await Deno.writeTextFile(manifest, JSON.stringify(pod(SHOP, "by-hand", spec)));
  const canonical = await run("jq", ["--join-output", "--compact-output", "--sort-keys", ".spec", manifest]);
  const shown = await owner.podsign(["show", "--form=spec", manifest]);
  assert.equal(shown.trimEnd(), canonical, "podsign show --form spec");
  const script = `set -eu
    spec=$(jq --compact-output --sort-keys .spec "$1")
    signature=$(jq --null-input --arg payload "$spec" '{payload: $payload}' |
      curl --silent --show-error --fail --header 'Content-Type: application/json' --data-binary @- "$2/sign" |
      jq --raw-output .signature)
    jq --arg signature "$signature" '.metadata.annotations["kubelet-proxy.io/signature"] = $signature' "$1"`;
  await cluster.create(await run("sh", ["-c", script, "sh", manifest, owner.server]));
  await cluster.untilPod(SHOP, "by-hand", "is Ready", isReady);
}, { needsProxy: true });

// ---- what is not signed does not

/** What a refused pod's message must name. */
interface Refusal {
  namespace?: string;
  /** Found in the message that `kubectl describe` shows: the differing field's path, or words. */
  shows: string | RegExp;
}

/** Creates a pod and checks that it is refused: Failed, with the reason, and without any container. */
async function refuses(manifest: JsonObject, { namespace = SHOP, shows }: Refusal): Promise<JsonObject> {
  const { cluster } = theStage();
  const created = await cluster.create(manifest);
  const uid = uidOf(created);
  refusedUids.add(uid);
  const failed = await cluster.untilPod(
    namespace,
    nameOf(created),
    "is Failed",
    (object) => phaseOf(object) === "Failed",
  );
  await assertRejection(failed, namespace, shows);
  const ready = listAt(failed, "status", "conditions").find((condition) =>
    textAt(condition, "type") === "Ready"
  );
  assert.deepEqual([textAt(ready, "status"), textAt(ready, "reason")], ["False", REJECTED]);
  assert.deepEqual(await cluster.containers.ofPod(uid), [], "containers that were made");
  assert.deepEqual(await cluster.containerd.containerIdsOfPod(uid), [], "containers that exist");
  return failed;
}

/** Checks what the owner sees of a refused pod, with kubectl and in the API. */
async function assertRejection(failed: JsonObject, namespace: string, shows: string | RegExp): Promise<void> {
  const { cluster } = theStage();
  assert.equal(textAt(failed, "status", "reason"), REJECTED);
  const message = textAt(failed, "status", "message") ?? "";
  assert.ok(message.startsWith("Pod rejected by kubelet-proxy: "), message);
  assert.ok(new TextEncoder().encode(message).length < 1024, `the message has ${message.length} characters`);
  const described = await cluster.kubectl(["describe", "pod", "-n", namespace, nameOf(failed)]);
  const lineOf = (field: string) => new RegExp(`^${field}: +(.*)$`, "m").exec(described)?.[1] ?? "";
  assert.deepEqual([lineOf("Status"), lineOf("Reason")], ["Failed", REJECTED]);
  const line = lineOf("Message");
  assert.ok(
    typeof shows === "string" ? line.includes(shows) : shows.test(line),
    `${shows} is not in: ${line}`,
  );
  // One Event, which counts; kubectl describe shows it with its reason and who tells it.
  await cluster.until(`${nameOf(failed)} has its Event`, async () => {
    const text = await cluster.kubectl(["describe", "pod", "-n", namespace, nameOf(failed)]);
    const events = text.match(new RegExp(`^ +Warning +${REJECTED} .*kubelet-proxy +Pod rejected by`, "gm")) ??
      [];
    return events.length === 1 ? done(undefined) : notYet(text);
  });
}

/** A signed pod whose spec somebody changes before the API server has it. */
async function tampered(
  name: string,
  change: (spec: JsonObject, container: JsonObject) => void,
): Promise<JsonObject> {
  const manifest = await sign(pod(SHOP, name, serviceSpec(theStage().cluster.images.app)));
  const spec = objectAt(manifest, "spec");
  change(spec, objectAt(spec, "containers", 0));
  return manifest;
}

/** Adds to a list that may not be there yet. */
function append(object: JsonObject, key: string, value: JsonValue): void {
  object[key] = [...listAt(object, key), value];
}

function refusalTest(name: string, body: (stage: Stage) => Promise<void>): void {
  test(`refuses ${name}`, body, { needsProxy: true });
}

refusalTest("an unsigned pod", async ({ cluster }) => {
  await refuses(pod(SHOP, "unsigned", serviceSpec(cluster.images.app)), {
    shows: "kubelet-proxy.io/signature",
  });
});

refusalTest("an altered image", async ({ cluster }) => {
  const manifest = await tampered(
    "altered-image",
    (_, container) => container.image = cluster.images.intruder,
  );
  await refuses(manifest, { shows: "spec.containers[app].image" });
});

refusalTest("altered args", async () => {
  const manifest = await tampered(
    "altered-args",
    (_, container) => container.args = ["-c", "echo intruder; sleep 1000"],
  );
  await refuses(manifest, { shows: "spec.containers[app].args" });
});

refusalTest("an added environment variable", async () => {
  const variable = { name: "LD_PRELOAD", value: "/tmp/intruder.so" };
  const manifest = await tampered("added-env", (_, container) => append(container, "env", variable));
  const failed = await refuses(manifest, { shows: "spec.containers[app].env[LD_PRELOAD]" });
  assert.ok(!(textAt(failed, "status", "message") ?? "").includes(variable.value), "the value is shown");
});

refusalTest("an added container", async ({ cluster }) => {
  const sidecar = { name: "sidecar", image: cluster.images.intruder, command: ["sleep", "1000"] };
  const manifest = await tampered("added-container", (spec) => append(spec, "containers", sidecar));
  await refuses(manifest, { shows: "spec.containers[sidecar]" });
});

refusalTest("an added hostPath volume", async () => {
  const manifest = await tampered("added-host-path", (spec, container) => {
    append(spec, "volumes", { name: "host", hostPath: { path: "/" } });
    append(container, "volumeMounts", { name: "host", mountPath: "/host" });
  });
  await refuses(manifest, { shows: "spec.volumes[host]" });
});

refusalTest("a pod that is signed for another namespace", async ({ cluster }) => {
  const manifest = await sign(pod(SHOP, "moved", serviceSpec(cluster.images.app)));
  objectAt(manifest, "metadata").namespace = ELSEWHERE;
  await refuses(manifest, { namespace: ELSEWHERE, shows: SHOP });
});

refusalTest("a signature of a foreign key", async ({ cluster }) => {
  const key = `${runDir}/foreign.key`;
  await run("openssl", ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key]);
  const manifest = await sign(pod(SHOP, "foreign", serviceSpec(cluster.images.app)), { key });
  await refuses(manifest, { shows: "no trusted key" });
});

refusalTest("a signed template that has expired", async ({ cluster }) => {
  const notAfter = new Date(Date.now() + 5_000);
  const manifest = await sign(pod(SHOP, "expired", serviceSpec(cluster.images.app)), { notAfter });
  await untilAfter(notAfter);
  await refuses(manifest, { shows: /valid until/ });
});

async function untilAfter(time: Date): Promise<void> {
  // Whole seconds are signed, so the next second is surely after it.
  const deadline = time.getTime() + 1_000;
  await until(
    `it is past ${formatTime(time)}`,
    () => Date.now() > deadline ? done(undefined) : notYet("not yet"),
    {
      timeoutMs: deadline - Date.now() + 5_000,
    },
  );
}

refusalTest("an unsigned pod so that kubectl delete removes it within 5 s", async ({ cluster }) => {
  assert.ok(cluster.pods.find(SHOP, "unsigned"), "the refused pod is still there to be deleted");
  const before = Date.now();
  await cluster.kubectl(["delete", "pod", "-n", SHOP, "unsigned"], { timeoutMs: 30_000 });
  assert.ok(Date.now() - before < 5_000, `it took ${Date.now() - before} ms`);
});

// ---- what is altered while it runs is stopped

/** Checks the way of a running pod from its alteration to its end. */
async function stopsAltered(name: string, alter: () => Promise<unknown>, shows: string): Promise<void> {
  const { cluster } = theStage();
  const running = await runSigned(name);
  const uid = uidOf(running);
  await alter();
  const failed = await cluster.untilPod(SHOP, name, "is Failed", (object) => phaseOf(object) === "Failed");
  const rejected = (event: WatchEvent) => textAt(event.object, "status", "reason") === REJECTED;
  await cluster.until(`${name} shows the reason`, () => {
    return cluster.pods.history(uid).some(rejected) ? done(undefined) : notYet(JSON.stringify(failed.status));
  });

  const recorded = await cluster.containers.ofPod(uid);
  assert.deepEqual(
    recorded.filter(({ sandbox }) => !sandbox).map(({ containerName }) => containerName),
    ["app"],
    "the containers that ever were",
  );
  assert.deepEqual(containersOfImage(recorded, cluster.images.intruder), []);

  // The first event that shows a terminal phase or the reason already shows every container terminated.
  const first = cluster.pods.history(uid).find((event) =>
    phaseOf(event.object) === "Failed" || rejected(event)
  );
  assert.ok(first);
  const statuses = listAt(first.object, "status", "containerStatuses");
  assert.equal(statuses.length, 1);
  assert.equal(at(statuses[0], "state", "terminated", "exitCode"), 0, "stopped by SIGTERM, not killed");
  const app = recorded.find(({ containerName }) => containerName === "app");
  assert.ok(app?.exitedAt, "containerd saw the container end");
  assert.ok(
    app.exitedAt <= first.receivedAt,
    `${app.exitedAt.toISOString()} is after ${first.receivedAt.toISOString()}`,
  );
  const tasks = await cluster.containerd.runningTasks();
  assert.ok(!tasks.has(app.id), "its container still runs");

  const last = cluster.pods.find(SHOP, name);
  assert.ok(last, "the pod is still in the API");
  await assertRejection(last, SHOP, shows);
}

/** Records of containers of an image, by the image's repository. */
function containersOfImage<T extends { image: string }>(records: T[], image: string): T[] {
  const repository = image.split("@")[0] ?? image;
  return records.filter((record) => record.image.startsWith(repository));
}

test(
  "stops a running pod gracefully after kubectl set image, and never runs the new image",
  async ({ cluster }) => {
    const image = cluster.images.intruder;
    const args = ["set", "image", "-n", SHOP, "pod/altered", `app=${image}`];
    await stopsAltered("altered", () => cluster.kubectl(args), "spec.containers[app].image");
  },
  { needsProxy: true },
);

test(
  "stops a running pod gracefully after kubectl debug, and never runs the debugger",
  async ({ cluster }) => {
    const image = cluster.images.intruder;
    const args = [
      "debug",
      "-n",
      SHOP,
      "debugged",
      `--image=${image}`,
      "--container=debugger",
      "--",
      "sleep",
      "1000",
    ];
    await stopsAltered("debugged", () => cluster.kubectl(args), "spec.ephemeralContainers[debugger]");
  },
  { needsProxy: true },
);

// ---- time passes

test("a signed CronJob runs on time", async ({ cluster }) => {
  const [first] = await untilPods(
    "ticker",
    1,
    "have succeeded",
    (object) => phaseOf(object) === "Succeeded",
    90_000,
  );
  assert.ok(first);
  assert.equal(await cluster.kubectl(["logs", "-n", SHOP, nameOf(first)]), "on time\n");
});

test(
  `an unsigned Deployment with two replicas makes at most ${FLOOD_LIMIT} pods in 60 s`,
  async ({ cluster, floodStarted }) => {
    const end = new Date(floodStarted.getTime() + 60_000);
    await until("a minute has passed", () => new Date() > end ? done(undefined) : notYet("not yet"), {
      timeoutMs: 65_000,
    });
    const added = cluster.pods.events.filter((event) =>
      event.type === "ADDED" && event.receivedAt <= end &&
      textAt(event.object, "metadata", "namespace") === FLOOD
    );
    assert.ok(added.length >= 2, "the Deployment made its pods");
    assert.ok(added.length <= FLOOD_LIMIT, `${added.length} pods`);
    for (const event of added) {
      refusedUids.add(uidOf(event.object));
      assert.deepEqual(await cluster.containers.ofPod(uidOf(event.object)), []);
    }
  },
  { needsProxy: true },
);

test(
  "kubectl delete removes an unsigned Deployment's pods within 5 s, also those not refused yet",
  async ({ cluster }) => {
    await cluster.kubectl([
      "delete",
      "deployment",
      "-n",
      FLOOD,
      "intruders",
      "--cascade=foreground",
      "--wait=false",
    ]);
    await cluster.until("all its pods have gone", () => {
      const pods = podsOf("intruders", FLOOD);
      return pods.length === 0
        ? done(undefined)
        : notYet(JSON.stringify(pods.map((object) => object.status ?? null)));
    }, 5_000);
  },
  { needsProxy: true },
);

// ---- restarts

/** Pods that must not notice anything, with their containers' ids. */
function survivors(): Map<string, string[]> {
  const pods = ["keeper", "web", "db", "agent", "expiring"].flatMap((name) => {
    const bare = theStage().cluster.pods.find(SHOP, name);
    return bare === undefined ? podsOf(name) : [bare];
  });
  return new Map(pods.filter(isReady).map((object) => [nameOf(object), containerIds(object)]));
}

/** Restarts something and checks that the pods of before still run in the same containers, and new ones start. */
async function survivesRestart(label: string, restart: () => Promise<void>): Promise<Date> {
  const { cluster, expiry } = theStage();
  await untilAfter(expiry);
  const before = survivors();
  assert.ok(before.size >= 7, `expected at least 7 running pods, found ${[...before.keys()].join(", ")}`);
  const processes = await cluster.containerd.runningTasks();
  const time = new Date();
  await restart();
  await cluster.untilNodeReady(new Date());
  // A pod that starts now has gone through the whole chain; by then the kubelet has seen all others as well.
  await runSigned(`after-${label}`);
  const after = survivors();
  const processesAfter = await cluster.containerd.runningTasks();
  for (const [name, ids] of before) {
    assert.deepEqual(after.get(name), ids, `containers of ${name}`);
    for (const id of ids) {
      assert.ok(processes.has(id), `${name} ran before`);
      assert.equal(processesAfter.get(id), processes.get(id), `process of ${name}`);
    }
    const object = cluster.pods.find(SHOP, name);
    assert.ok(object, `${name} is still in the API`);
    assert.equal(at(object, "metadata", "deletionTimestamp"), undefined);
  }
  return time;
}

function assertAlwaysReady(cluster: Cluster, since: Date): void {
  const lapses = cluster.readinessSince(since).filter(({ status }) => status !== "True");
  assert.deepEqual(lapses, [], "the node was not Ready in between");
}

test("running pods and the node's readiness survive a restart of the proxy", async ({ cluster }) => {
  const since = await survivesRestart("proxy-restart", async () => {
    await cluster.program("kubelet-proxy").stop();
    await cluster.startProxy();
  });
  assertAlwaysReady(cluster, since);
}, { needsProxy: true });

test("running pods survive a restart of the kubelet, and the node is Ready again", async ({ cluster }) => {
  await survivesRestart("kubelet-restart", async () => {
    await cluster.program("kubelet").stop();
    await cluster.startKubelet();
  });
});

test("running pods and the node's readiness survive a restart of the API server", async ({ cluster }) => {
  const since = await survivesRestart("api-server-restart", async () => {
    await cluster.program("kube-apiserver").stop();
    await cluster.startApiServer();
  });
  assertAlwaysReady(cluster, since);
});

test(
  "a signed template that has meanwhile expired leaves its running pods alone, and admits no new one",
  async ({ cluster, expiry, expiringContainers }) => {
    assert.ok(new Date() > expiry);
    const [old] = podsOf("expiring").filter(isReady);
    assert.ok(old, "its pod still runs");
    assert.deepEqual(containerIds(old), expiringContainers);
    await cluster.kubectl(["scale", "deployment", "-n", SHOP, "expiring", "--replicas=2"]);
    const [failed] = await untilPods("expiring", 1, "are Failed", (object) => phaseOf(object) === "Failed");
    assert.ok(failed);
    refusedUids.add(uidOf(failed));
    await assertRejection(failed, SHOP, /valid until/);
    await cluster.kubectl(["scale", "deployment", "-n", SHOP, "expiring", "--replicas=1"]);
  },
  { needsProxy: true },
);

// ---- the kubelet's own port

nodeApiTests({
  namespace: SHOP,
  test: (name, body) => test(name, ({ cluster }) => body(cluster), { needsProxy: true }),
  create,
  isReady,
});

// ---- credentials, keys and programs change

rotationTests({
  namespace: SHOP,
  test: (name, body) => test(name, ({ cluster }) => body(cluster), { needsProxy: true }),
  sign,
  isReady,
});

watchingTests({
  test: (name, body) => test(name, ({ cluster }) => body(cluster), { needsProxy: true }),
  signed: SHOP,
  refused: FLOOD,
});

// ---- the certificates between kubelet and proxy

ownLegTests({
  test: (name, body) => test(name, ({ cluster }) => body(cluster), { needsProxy: true }),
  runSigned,
});
// ---- the signing-server's container

test("the signing-server's image runs as it is built: not root, nothing writable but its volume", ({ cluster }) =>
  testSignerImage(cluster));

// ---- what pods refer to

objectTests({
  namespace: SHOP,
  runDir,
  test: (name, body) => test(name, ({ cluster }) => body(cluster), { needsProxy: true }),
  create,
  isReady,
});

// ---- a node with the proxy beside one without

test("of two nodes, the one with the proxy refuses what the other runs", async ({ cluster, owner }) => {
  assert.ok(owner);
  await testTwoNodes(cluster, owner, SHOP);
}, { needsProxy: true });

test("workloads that run unsigned are signed in place, and run", async ({ cluster, owner }) => {
  assert.ok(owner);
  await testSignInPlace(cluster, owner, `${binDir}/podsign`);
}, { needsProxy: true });

// ---- the whole record

test(
  "no refused pod ever had a container, and nothing ever ran the image that nobody signed",
  async ({ cluster }) => {
    const recorded = await cluster.containers.all();
    assert.ok(refusedUids.size >= 9, `${refusedUids.size} refused pods`);
    assert.deepEqual(recorded.filter(({ podUid }) => podUid !== undefined && refusedUids.has(podUid)), []);
    assert.deepEqual(recorded.filter(({ podUid }) => podUid === undefined), [], "containers of unknown pods");
    assert.deepEqual(containersOfImage(recorded, cluster.images.intruder), []);
  },
  { needsProxy: true },
);

/** Logs of programs that are not ours: the kubelet logs pods and the API server objects, as their operators ask them to. */
const FOREIGN_LOGS = /^(?:kubelet|kube-.*|etcd|containerd|audit.*)\.log$/;

test("no key and no value of a variable is in our logs, in an Event or in a status", async ({ cluster }) => {
  const secrets = [ENV_CANARY];
  for (const path of await filesBelow(runDir)) {
    const text = path.endsWith(".key") ? await Deno.readTextFile(path) : "";
    secrets.push(...text.split("\n").filter((line) => line.length > 40 && !line.startsWith("-----")));
  }
  assert.ok(secrets.length > 3, `${secrets.length} secrets to look for`);
  const searched = new Map<string, string>();
  for (const { name } of Deno.readDirSync(`${runDir}/log`)) {
    if (FOREIGN_LOGS.test(name)) {
      console.log(`not searched: ${name}, the log of a program of Kubernetes`);
    } else {
      searched.set(name, await Deno.readTextFile(`${runDir}/log/${name}`));
    }
  }
  for (const kind of ["events", "pods"]) {
    const list: JsonValue = JSON.parse(
      await cluster.kubectl(["get", kind, "--all-namespaces", "-o", "json"]),
    );
    const items = listAt(isJsonObject(list) ? list : {}, "items");
    searched.set(kind, JSON.stringify(kind === "pods" ? items.map((item) => at(item, "status")) : items));
  }
  assert.ok(direct || searched.has("kubelet-proxy.log"));
  for (const [name, text] of searched) {
    for (const secret of secrets) {
      assert.ok(!text.includes(secret), `a secret is in ${name}`);
    }
  }
});

async function filesBelow(folder: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory, isFile } of Deno.readDir(folder)) {
    if (isDirectory && name !== "containerd" && name !== "kubelet") {
      found.push(...await filesBelow(`${folder}/${name}`));
    } else if (isFile) {
      found.push(`${folder}/${name}`);
    }
  }
  return found;
}

test("the tests would see it: what is refused does run when nothing refuses it", async ({ cluster }) => {
  if (!direct) {
    await cluster.program("kubelet-proxy").stop();
    await cluster.startProxy(["--mode=audit"]);
  }
  const manifest = await tampered("seen", (_, container) => container.image = cluster.images.intruder);
  await cluster.create(manifest);
  const running = await cluster.untilPod(SHOP, "seen", "is Ready", isReady);
  const recorded = await cluster.containers.ofPod(uidOf(running));
  assert.equal(containersOfImage(recorded, cluster.images.intruder).length, 1);
});

// ---- install, upgrade, uninstall: last, since the node is for a while one without a proxy

deployTests({
  namespace: SHOP,
  test: (name, body) =>
    test(name, ({ cluster }) => body(cluster), {
      needsProxy: true,
      skip: isCompiled()
        ? "a compiled kubelet-proxy may write to the folders of a real node alone"
        : undefined,
    }),
  create,
  isReady,
});
