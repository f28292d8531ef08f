/**
 * What pods refer to, where pods and objects meet: whatever comes first, no pod reaches the kubelet for which it holds
 * content that the owner did not sign, and no such content while the pod is there.
 */
import assert from "node:assert/strict";
import type { JsonObject } from "@signed-pods/shared/json";
import { expand } from "@signed-pods/shared/pod/normal-form";
import { contentDigest } from "@signed-pods/shared/pod/pins";
import { ManualClock } from "../fakes/clock.ts";
import { makeGate } from "../fakes/gate.ts";
import type { Ledger } from "../../proxy/pods/ledger.ts";
import { listOf, makeMetadata, makeObjectGate } from "../fakes/objects.ts";
import { makePod, objectOf, Owner, uidOf, withSpec, withStatus } from "../fakes/owner.ts";
import { makeReferences } from "../fakes/references.ts";
import { jsonAnswer, upstreamOf } from "../fakes/upstream.ts";

const owner = await Owner.create();
const NAMED = "/api/v1/namespaces/default/configmaps?fieldSelector=metadata.name%3Dweb";

async function pinnedPod(number: number, value: string): Promise<JsonObject> {
  const digest = await contentDigest(new TextEncoder().encode(value));
  const spec = expand({
    automountServiceAccountToken: false,
    containers: [{
      name: "app",
      image: "registry.example/web:1",
      envFrom: [{ configMapRef: { name: "web" } }],
    }],
  });
  const pod = withSpec(makePod({ name: `p${number}`, uid: uidOf(number) }), spec);
  return await owner.sign(pod, { pins: { configMaps: { web: { data: { SALUTE: digest } } } } });
}

function nameOf(pod: unknown): unknown {
  return objectOf(objectOf(pod)["metadata"])["name"];
}

/** A proxy, and the API server's state. */
async function setUp(ledger?: Ledger) {
  const state = { pods: [] as JsonObject[], data: { SALUTE: "hello" } as JsonObject };
  const clock = new ManualClock();
  const references = makeReferences({ clock });
  const upstream = upstreamOf((request) => {
    const { pathname } = new URL(request.url);
    return pathname.endsWith("/configmaps")
      ? jsonAnswer(
        listOf("ConfigMap", "v1", [{
          metadata: makeMetadata("web", { namespace: "default" }),
          data: state.data,
        }]),
      )
      : pathname === "/api/v1/pods"
      ? jsonAnswer(listOf("Pod", "v1", state.pods))
      : jsonAnswer(state.pods.find((pod) => pathname.endsWith(`/pods/${String(nameOf(pod))}`)) ?? {});
  });
  const pods = await makeGate({
    upstream,
    owner,
    references,
    clock,
    ...(ledger === undefined ? {} : { ledger }),
  });
  const objects = makeObjectGate({ upstream, references });
  return {
    state,
    clock,
    ledger: pods.ledger,
    /** Whether a Secret may be read that a volume names. */
    isUsedByVolume(): boolean {
      references.usedByVolume("default", "storage");
      return references.isUsedByVolume("default", "storage");
    },
    /** Names of the pods that the kubelet gets. */
    async listPods(...shown: JsonObject[]): Promise<unknown[]> {
      state.pods = shown;
      const list = objectOf(
        await (await pods.fetch("/api/v1/pods?fieldSelector=spec.nodeName%3Dworker")).json(),
      );
      assert.ok(Array.isArray(list["items"]));
      return list["items"].map(nameOf);
    },
    /** The kubelet reports a phase. */
    async report(pod: JsonObject, phase: string): Promise<void> {
      const { uid = null } = objectOf(pod["metadata"]);
      const response = await pods.fetch(`/api/v1/namespaces/default/pods/${String(nameOf(pod))}/status`, {
        method: "PATCH",
        headers: { "content-type": "application/strategic-merge-patch+json" },
        body: JSON.stringify({ metadata: { uid }, status: { phase } }),
      });
      await response.body?.cancel();
    },
    /** The status of a GET of one pod. */
    async getPod(pod: JsonObject): Promise<number> {
      state.pods = [pod];
      const response = await pods.fetch(`/api/v1/namespaces/default/pods/${String(nameOf(pod))}`);
      await response.body?.cancel();
      return response.status;
    },
    /** The status of the ConfigMap's list, and its content if there is some. */
    async readConfig(salute: string): Promise<unknown[]> {
      state.data = { SALUTE: salute };
      const response = await objects.ask("GET", NAMED);
      const body = objectOf(await response.json());
      const [item] = Array.isArray(body["items"]) ? body["items"] : [];
      return item === undefined ? [response.status] : [response.status, objectOf(item)["data"]];
    },
    close: () => pods.gate.close(0),
  };
}

const FIRST = await pinnedPod(1, "hello");
const SECOND = await pinnedPod(2, "servus");

Deno.test("content that is not what was signed never passes, whichever comes first", async () => {
  const { listPods, readConfig, close } = await setUp();
  assert.deepEqual(await readConfig("hello"), [403], "nobody refers to it");
  assert.deepEqual(await listPods(FIRST), ["p1"]);
  assert.deepEqual(await readConfig("intruder"), [403]);
  assert.deepEqual(await readConfig("hello"), [200, { SALUTE: "hello" }]);
  assert.deepEqual(await readConfig("intruder"), [403]);
  await close();
});

Deno.test("refuses a pod that was signed with other content than another pod, until that one has ended", async () => {
  const { listPods, readConfig, report, clock, close } = await setUp();
  await listPods(FIRST);
  await readConfig("hello");
  assert.deepEqual(await listPods(FIRST, SECOND), ["p1"]);
  await report(FIRST, "Succeeded");
  const ended = withStatus(FIRST, { phase: "Succeeded" });
  assert.deepEqual(await listPods(ended, SECOND), ["p1"], "the kubelet may still hold the other content");
  await clock.advance(120_000);
  assert.deepEqual(await listPods(ended, SECOND), ["p1", "p2"]);
  assert.deepEqual(await readConfig("hello"), [403]);
  assert.deepEqual(await readConfig("servus"), [200, { SALUTE: "servus" }]);
  await close();
});

Deno.test("refuses other content while a pod runs of which the API server alone says that it has ended", async () => {
  const { listPods, readConfig, report, clock, close } = await setUp();
  await listPods(FIRST);
  await readConfig("hello");
  await report(FIRST, "Running");
  for (const phase of ["Failed", "Succeeded"]) {
    const ended = withStatus(FIRST, { phase });
    assert.deepEqual(await listPods(ended, SECOND), ["p1"]);
    await clock.advance(300_000);
    assert.deepEqual(await listPods(ended, SECOND), ["p1"], "the kubelet has not said so");
    assert.deepEqual(await readConfig("servus"), [403]);
    assert.deepEqual(await readConfig("hello"), [200, { SALUTE: "hello" }], "its files stay as they were");
  }
  await report(SECOND, "Failed");
  assert.deepEqual(await readConfig("servus"), [403], "the report is about another pod");
  await report(FIRST, "Failed");
  await clock.advance(300_000);
  const ended = withStatus(FIRST, { phase: "Failed" });
  assert.deepEqual(await listPods(ended), ["p1"]);
  await clock.advance(300_000);
  assert.deepEqual(await listPods(ended, SECOND), ["p1", "p2"]);
  assert.deepEqual(await listPods(FIRST, SECOND), ["p1", "p2"], "an event of before changes nothing");
  assert.deepEqual(await readConfig("servus"), [200, { SALUTE: "servus" }]);
  await close();
});

Deno.test("a pod that is gone refers to nothing, however its end was told", async () => {
  const { listPods, readConfig, clock, close } = await setUp();
  await listPods(FIRST);
  await readConfig("hello");
  await listPods(withStatus(FIRST, { phase: "Failed" }));
  assert.deepEqual(await listPods(), []);
  await clock.advance(120_000);
  assert.deepEqual(await listPods(SECOND), ["p2"]);
  await close();
});

Deno.test("a pod that had ended before this process saw it refers to nothing", async () => {
  const before = await setUp();
  await before.listPods(FIRST);
  await before.close();
  const { listPods, readConfig, clock, close } = await setUp(before.ledger);
  const ended = withStatus(FIRST, { phase: "Succeeded" });
  assert.deepEqual(
    await listPods(ended, SECOND),
    ["p1"],
    "the kubelet may still hold what it was passed before",
  );
  await clock.advance(120_000);
  assert.deepEqual(await listPods(ended, SECOND), ["p1", "p2"]);
  assert.deepEqual(await readConfig("servus"), [200, { SALUTE: "servus" }]);
  await close();
});

Deno.test("refuses a pod that comes when the other one is gone, as long as the kubelet may hold the content", async () => {
  const { listPods, readConfig, clock, close } = await setUp();
  await listPods(FIRST);
  await readConfig("hello");
  assert.deepEqual(await listPods(SECOND), []);
  await clock.advance(120_000);
  assert.deepEqual(await listPods(SECOND), ["p2"]);
  await close();
});

Deno.test("refuses to show by itself a pod that no list would show", async () => {
  const { listPods, readConfig, getPod, clock, close } = await setUp();
  await listPods(FIRST);
  await readConfig("hello");
  assert.equal(await getPod(FIRST), 200);
  assert.equal(await getPod(SECOND), 404, "it was signed with other content");
  assert.deepEqual(await readConfig("servus"), [403], "to look at a pod is not to admit it");
  assert.deepEqual(await listPods(SECOND), []);
  assert.equal(await getPod(SECOND), 404, "the kubelet may still hold the other content");
  await clock.advance(120_000);
  assert.equal(await getPod(SECOND), 200);
  assert.deepEqual(await listPods(SECOND), ["p2"]);
  await close();
});

Deno.test("refuses a volume's Secret until the pods are known, of which one may refer to it", async () => {
  const { listPods, isUsedByVolume, close } = await setUp();
  assert.equal(isUsedByVolume(), false);
  await listPods(FIRST);
  assert.equal(isUsedByVolume(), true);
  await close();
});

Deno.test("pods that an earlier process admitted stay, and content has to satisfy them all", async () => {
  const before = await setUp();
  await before.listPods(FIRST);
  await before.close();
  const { listPods, readConfig, close } = await setUp(before.ledger);
  assert.deepEqual(
    await readConfig("hello"),
    [403],
    "the pods are not known yet: the kubelet keeps what it has",
  );
  assert.deepEqual(await listPods(FIRST), ["p1"]);
  assert.deepEqual(await readConfig("hello"), [200, { SALUTE: "hello" }]);
  assert.deepEqual(await listPods(FIRST, SECOND), ["p1"]);
  await close();
});
