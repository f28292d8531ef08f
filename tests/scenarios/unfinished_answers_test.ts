/**
 * Answers that do not come to their end. To a kubelet a list, or the initial events of a watch, mean nothing before they
 * are complete: until then it runs the pods, and holds the content, that it knew before.
 */
import assert from "node:assert/strict";
import type { JsonObject } from "@signed-pods/shared/json";
import { expand } from "@signed-pods/shared/pod/normal-form";
import { contentDigest } from "@signed-pods/shared/pod/pins";
import type { SignOptions } from "@signed-pods/shared/signed-template";
import type { AllowVerdict } from "@signed-pods/shared/verdict";
import { createPodReferences, HELD_AFTER_REQUEST_MS } from "../../proxy/objects/pod_references.ts";
import type { PodVerifier } from "../../proxy/pods/judge.ts";
import { type Ledger, openLedger } from "../../proxy/pods/ledger.ts";
import { until } from "../../proxy/fixture_test.ts";
import { ManualClock, settle } from "../fakes/clock.ts";
import { makeGate } from "../fakes/gate.ts";
import { memoryLedger, MemoryLedgerStore } from "../fakes/ledger.ts";
import { MemoryLog } from "../fakes/log.ts";
import { bookmarkLine, eventLine, listOf, makeMetadata, makeObjectGate } from "../fakes/objects.ts";
import { makePod, objectOf, Owner, uidOf, withMetadata, withSpec, withStatus } from "../fakes/owner.ts";
import { jsonAnswer, upstreamOf } from "../fakes/upstream.ts";

const owner = await Owner.create();
const NAMED = "/api/v1/namespaces/default/configmaps?fieldSelector=metadata.name%3Dweb";
const PODS = "/api/v1/pods?fieldSelector=spec.nodeName%3Dworker";
const INITIAL = "&watch=true&sendInitialEvents=true";

async function podOf(number: number, options: SignOptions): Promise<JsonObject> {
  const spec = expand({
    automountServiceAccountToken: false,
    containers: [{
      name: "app",
      image: "registry.example/web:1",
      envFrom: [{ configMapRef: { name: "web" } }],
    }],
  });
  return await owner.sign(withSpec(makePod({ name: `p${number}`, uid: uidOf(number) }), spec), options);
}

const digest = await contentDigest(new TextEncoder().encode("hello"));
/** Its owner signed what SALUTE is. */
const PINNED = await podOf(1, { pins: { configMaps: { web: { data: { SALUTE: digest } } } } });
/** The owner of this one lets the content change. */
const MUTABLE = await podOf(2, { allow: ["mutable-config=web"] });

async function verdictOn(pod: JsonObject): Promise<AllowVerdict> {
  const verdict = await owner.verifier.verifyPod(pod, { now: new Date("2026-01-01T00:00:00Z") });
  assert.ok(verdict.decision === "allow");
  return verdict;
}

const [PINNED_VERDICT, MUTABLE_VERDICT] = [await verdictOn(PINNED), await verdictOn(MUTABLE)];

function config(salute: string, resourceVersion = "41"): JsonObject {
  return {
    kind: "ConfigMap",
    apiVersion: "v1",
    metadata: makeMetadata("web", { namespace: "default", resourceVersion }),
    data: { SALUTE: salute },
  };
}

/** A watch on both sides of the proxy: lines go in, and what the kubelet gets of them comes out. */
interface TestWatch {
  /** Lines go in, and nobody waits for them. */
  push(...lines: string[]): void;
  /** @returns types of the events that came out of these lines and what went in with them, and whether it has ended */
  send(...lines: string[]): Promise<string[]>;
  /** The kubelet leaves. */
  leave(): Promise<void>;
}

/** A proxy, and an API server that says what the test says. */
async function setUp(ledger?: Ledger, verifier?: PodVerifier) {
  const clock = new ManualClock();
  let answer: () => Response | Promise<Response> = () => jsonAnswer({}, { status: 404 });
  const references = createPodReferences({
    mode: "enforce",
    keys: [],
    runtimeClasses: new Map(),
    clock,
    refresh: () => {},
    refreshRuntimeClasses: () => {},
    warn: () => {},
  });
  const upstream = upstreamOf(() => answer());
  const pods = await makeGate({
    upstream,
    owner,
    references,
    clock,
    ...(ledger === undefined ? {} : { ledger }),
    ...(verifier === undefined ? {} : { verifier }),
  });
  const objects = makeObjectGate({ upstream, references });
  const ask = (path: string, signal: AbortSignal) =>
    path.startsWith(PODS) ? pods.fetch(path, { signal }) : objects.ask("GET", path, { signal });

  return {
    clock,
    references,
    objects,
    ledger: pods.ledger,
    /** Lets the API server be silent until the function that comes back is called. */
    holdBack(): () => void {
      const { promise, resolve } = Promise.withResolvers<void>();
      answer = async () => {
        await promise;
        return jsonAnswer(listOf("ConfigMap", "v1", []));
      };
      return resolve;
    },
    /** The kubelet reports that the pod p1 has failed. */
    async reportEnd(): Promise<void> {
      answer = () => jsonAnswer(PINNED);
      const response = await pods.fetch("/api/v1/namespaces/default/pods/p1/status", {
        method: "PATCH",
        headers: { "content-type": "application/strategic-merge-patch+json" },
        body: JSON.stringify({ metadata: { uid: uidOf(1) }, status: { phase: "Failed" } }),
      });
      assert.equal(response.status, 200);
      await response.body?.cancel();
    },
    async get(path: string, object: JsonObject): Promise<JsonObject> {
      answer = () => jsonAnswer(object);
      return objectOf(await (await ask(path, new AbortController().signal)).json());
    },
    async watch(path: string): Promise<TestWatch> {
      let push = (_text: string) => {};
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          push = (text) => controller.enqueue(new TextEncoder().encode(text));
        },
      });
      answer = () => new Response(body, { headers: { "content-type": "application/json" } });
      const leaving = new AbortController();
      const response = await ask(path, leaving.signal);
      assert.equal(response.status, 200);
      const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
      assert.ok(reader !== undefined);
      let version = 1000;
      return {
        push: (...lines) => push(lines.join("")),
        async send(...lines) {
          // A bookmark behind them comes out when all that stands before it has been judged.
          const kind = path.startsWith(PODS) ? "Pod" : "ConfigMap";
          push(lines.join("") + bookmarkLine(kind, "v1", `${++version}`));
          let text = "";
          while (!text.includes(`"${version}"`)) {
            const { done, value } = await reader.read();
            if (done) {
              return [...typesOf(text), "END"];
            }
            text += value;
          }
          return typesOf(text).slice(0, -1);
        },
        async leave() {
          leaving.abort();
          while (!(await reader.read()).done);
        },
      };
    },
    /** Whether the kubelet is passed this content in a list. */
    async passes(...salutes: string[]): Promise<boolean> {
      answer = () => jsonAnswer(listOf("ConfigMap", "v1", salutes.map((salute) => config(salute))));
      const response = await ask(NAMED, new AbortController().signal);
      await response.body?.cancel();
      return response.status === 200;
    },
    close: () => pods.gate.close(0),
  };
}

function typesOf(text: string): string[] {
  return text.split("\n").slice(0, -1).map((line) => String(objectOf(JSON.parse(line))["type"]));
}

const INITIAL_END = bookmarkLine("Pod", "v1", "60", true);

Deno.test("refuses content while a pod that pinned other content is gone, or ended, by initial events that do not end", async () => {
  const ends: Record<string, string[]> = {
    "a deletion": [eventLine("DELETED", PINNED)],
    "another pod of its name": [eventLine("ADDED", withMetadata(PINNED, { uid: uidOf(9) }))],
    "its own end": [eventLine("ADDED", withStatus(PINNED, { phase: "Failed" }))],
  };
  for (const [way, events] of Object.entries(ends)) {
    const { get, watch, passes, references, reportEnd, close } = await setUp();
    await get(PODS, listOf("Pod", "v1", [PINNED]));
    assert.equal(await passes("hello"), true);
    if (way === "its own end") {
      await reportEnd();
    }
    const again = await watch(PODS + INITIAL);
    await again.send(...events, eventLine("DELETED", withMetadata(PINNED, { uid: uidOf(9) })));
    await again.send(eventLine("ADDED", MUTABLE));
    assert.equal(references.knows(uidOf(1)), true, way);
    assert.equal(await passes("intruder"), false, way);
    await again.send(INITIAL_END);
    assert.equal(references.knows(uidOf(1)), false, `${way}: now the kubelet knows`);
    await again.leave();
    await close();
  }
});

Deno.test("refuses content when another pod, under the UID of one that pinned it, says that it has ended", async () => {
  const { get, watch, passes, references, reportEnd, close } = await setUp();
  await get(PODS, listOf("Pod", "v1", [PINNED]));
  const events = await watch(`${PODS}&watch=true&resourceVersion=50`);
  const bogus = makePod({ name: "other", namespace: "elsewhere", uid: uidOf(1) });
  assert.deepEqual(await events.send(eventLine("MODIFIED", withStatus(bogus, { phase: "Failed" }))), []);
  await events.send(eventLine("ADDED", MUTABLE));
  assert.equal(references.knows(uidOf(1)), true);
  assert.equal(await passes("intruder"), false);
  const ended = eventLine("MODIFIED", withStatus(PINNED, { phase: "Failed" }));
  await events.send(ended);
  assert.equal(references.knows(uidOf(1)), true, "the kubelet has not said so");
  await reportEnd();
  await events.send(ended);
  assert.equal(references.knows(uidOf(1)), false, "it has, and was shown it");
  await events.leave();
  await close();
});

/** A verifier that begins with the pod p2, and waits until it is let go on. */
function waitingVerifier() {
  const { promise: judged, resolve: judge } = Promise.withResolvers<void>();
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
  const verifier: PodVerifier = {
    async verifyPod(pod, time) {
      if (objectOf(pod["metadata"])["name"] === "p2") {
        begin();
        await judged;
      }
      return await owner.verifier.verifyPod(pod, time);
    },
  };
  return { verifier, begun, judge };
}

Deno.test("refuses content while a pod that pinned other content is gone by an event that was not sent", async () => {
  const { verifier, begun, judge } = waitingVerifier();
  const { get, watch, passes, references, close } = await setUp(undefined, verifier);
  await get(PODS, listOf("Pod", "v1", [PINNED]));
  const events = await watch(`${PODS}&watch=true&resourceVersion=50`);
  events.push(
    eventLine("DELETED", PINNED) + bookmarkLine("Pod", "v1", "70") + eventLine("ADDED", MUTABLE),
  );
  await begun;
  await events.leave();
  judge();
  await until(() => references.knows(uidOf(2)));
  const next = await watch(`${PODS}&watch=true&resourceVersion=50`);
  assert.deepEqual(await next.send(), []);
  await next.leave();
  assert.equal(references.knows(uidOf(1)), true, "the kubelet runs it still");
  assert.equal(await passes("intruder"), false);
  await get(PODS, listOf("Pod", "v1", [MUTABLE]));
  assert.equal(references.knows(uidOf(1)), false);
  assert.equal(await passes("intruder"), true);
  await close();
});

Deno.test("refuses to forget what a pod refers to when its deletion was not sent", async () => {
  const before = bookmarkLine("Pod", "v1", "70");
  const back = eventLine("DELETED", PINNED) + before + eventLine("ADDED", PINNED) + before;
  for (const sent of [before, back]) {
    for (const way of ["full", "not written"] as const) {
      const store = new MemoryLedgerStore();
      const ledger = await openLedger(store, new MemoryLog(), 1);
      const { get, watch, passes, references, close } = await setUp(ledger);
      await get(PODS, listOf("Pod", "v1", [PINNED]));
      assert.equal(await passes("hello"), true);
      const events = await watch(`${PODS}&watch=true&resourceVersion=50`);
      // When the disk fails, it does so for what stands behind the last bookmark.
      const { flush } = ledger;
      let flushes = sent === back ? 2 : 0;
      ledger.flush = () => {
        if (way === "not written" && flushes-- === 0) {
          store.failure = new Error("no space left on device");
        }
        return flush();
      };
      const others = way === "full" ? [MUTABLE, await podOf(3, { allow: ["mutable-config=web"] })] : [];
      const told = await events.send(
        sent,
        eventLine("DELETED", PINNED),
        ...others.map((pod) => eventLine("ADDED", pod)),
      );
      assert.deepEqual(told, [...typesOf(sent), "END"]);
      store.failure = undefined;
      assert.equal(references.knows(uidOf(1)), true, `${way}: the kubelet runs it still`);
      // What the next watch sends says nothing of it either.
      const next = await watch(`${PODS}&watch=true&resourceVersion=70`);
      assert.deepEqual(await next.send(), []);
      assert.equal(references.knows(uidOf(1)), true, `${way}: and then, too`);
      assert.equal(await passes("intruder"), false);
      assert.deepEqual(await next.send(eventLine("DELETED", PINNED)), ["DELETED"]);
      assert.equal(references.knows(uidOf(1)), false, `${way}: now the kubelet knows`);
      await next.leave();
      await close();
    }
  }
});

Deno.test("refuses to forget what a pod refers to when the end of the initial events was not sent", async () => {
  const store = new MemoryLedgerStore();
  const { get, watch, passes, references, close } = await setUp(await memoryLedger(store));
  await get(PODS, listOf("Pod", "v1", [PINNED]));
  assert.equal(await passes("hello"), true);
  const again = await watch(PODS + INITIAL);
  store.failure = new Error("no space left on device");
  assert.deepEqual(await again.send(INITIAL_END), ["END"]);
  assert.equal((await get(PODS, listOf("Pod", "v1", [])))["code"], 500, "nor is a list sent");
  store.failure = undefined;
  assert.equal(references.knows(uidOf(1)), true, "the kubelet runs it still");
  assert.equal(await passes("intruder"), false);
  await get(PODS, listOf("Pod", "v1", []));
  assert.equal(references.knows(uidOf(1)), false, "now the kubelet knows");
  await close();
});

Deno.test("refuses to forget what a pod refers to when the kubelet left before the end of the initial events", async () => {
  const { verifier, begun, judge } = waitingVerifier();
  const { get, watch, passes, references, close } = await setUp(undefined, verifier);
  await get(PODS, listOf("Pod", "v1", [PINNED]));
  assert.equal(await passes("hello"), true);
  const events = await watch(PODS + INITIAL);
  events.push(INITIAL_END, eventLine("ADDED", MUTABLE));
  await begun;
  await events.leave();
  judge();
  await until(() => references.knows(uidOf(2)));
  assert.equal(references.knows(uidOf(1)), true, "the kubelet runs it still");
  assert.equal(await passes("intruder"), false);
  const again = await watch(PODS + INITIAL);
  await again.send(eventLine("ADDED", MUTABLE) + INITIAL_END);
  assert.equal(references.knows(uidOf(1)), false, "now the kubelet knows");
  await again.leave();
  await close();
});

Deno.test("refuses to judge more of a watch that has ended, while a list is judged", async () => {
  const { verifier, begun, judge } = waitingVerifier();
  const { get, watch, passes, references, close } = await setUp(undefined, verifier);
  await get(PODS, listOf("Pod", "v1", [PINNED]));
  assert.equal(await passes("hello"), true);
  const events = await watch(`${PODS}&watch=true&resourceVersion=50`);
  events.push(
    eventLine("ADDED", MUTABLE),
    bookmarkLine("Pod", "v1", "70"),
    eventLine("DELETED", PINNED),
    bookmarkLine("Pod", "v1", "71"),
  );
  await begun;
  await events.leave();
  const listed = get(PODS, listOf("Pod", "v1", [PINNED, MUTABLE]));
  await settle();
  judge();
  const { items } = await listed;
  assert.equal(Array.isArray(items) && items.length, 2);
  assert.equal(references.knows(uidOf(1)), true, "the kubelet has just been shown it");
  assert.equal(await passes("intruder"), false);
  await close();
});

Deno.test("refuses a pod while the content that it pins has not come to the end of its initial events", async () => {
  const { get, watch, passes, close } = await setUp();
  const shown = async (...pods: JsonObject[]) => {
    const { items } = await get(PODS, listOf("Pod", "v1", pods));
    return Array.isArray(items) ? items.length : 0;
  };
  await shown(MUTABLE);
  assert.equal(await passes("intruder"), true, "its owner lets it change");
  const content = await watch(NAMED + INITIAL);
  assert.deepEqual(await content.send(eventLine("ADDED", config("hello"))), ["ADDED"]);
  assert.equal(await shown(MUTABLE, PINNED), 1, "the kubelet holds what it held before");
  await content.send(bookmarkLine("ConfigMap", "v1", "60", true));
  assert.equal(await shown(MUTABLE, PINNED), 2);
  await content.leave();
  await close();
});

Deno.test("refuses a pod after a list that held what it pins, and was refused for what it held besides", async () => {
  const { get, passes, close } = await setUp();
  await get(PODS, listOf("Pod", "v1", [MUTABLE]));
  assert.equal(await passes("intruder"), true);
  const tooMuch = { ...config("hello"), data: { LD_PRELOAD: "x" } };
  const list = await get(NAMED, listOf("ConfigMap", "v1", [config("hello"), tooMuch]));
  assert.equal(list["code"], 403);
  const { items } = await get(PODS, listOf("Pod", "v1", [MUTABLE, PINNED]));
  assert.equal(Array.isArray(items) && items.length, 1);
  await close();
});

Deno.test("refuses a pod while a list of the content is not answered, however long that takes", async () => {
  const { references, clock, objects, holdBack } = await setUp();
  await references.reserve({ uid: uidOf(5), namespace: "default", name: "p5" }, MUTABLE_VERDICT, false);
  await references.judge("ConfigMap", "default", "web", config("intruder"), "when-complete");
  const answered = holdBack();
  const listed = objects.ask("GET", NAMED);
  references.forget(uidOf(5));
  await clock.advance(2 * HELD_AFTER_REQUEST_MS);
  const pod = { uid: uidOf(6), namespace: "default", name: "p6" };
  assert.notEqual(await references.reserve(pod, PINNED_VERDICT, false), undefined);
  answered();
  await (await listed).text();
  await clock.advance(HELD_AFTER_REQUEST_MS);
  assert.equal(await references.reserve(pod, PINNED_VERDICT, false), undefined);
});

Deno.test("refuses content, and pods, for which too little is known after a restart", async () => {
  const before = await setUp();
  await before.get(PODS, listOf("Pod", "v1", [PINNED]));
  await before.close();
  const { watch, passes, get, close } = await setUp(before.ledger);
  const again = await watch(PODS + INITIAL);
  assert.deepEqual(await again.send(eventLine("ADDED", MUTABLE)), [], "nobody knows what the kubelet holds");
  await again.send(eventLine("ADDED", withStatus(PINNED, { phase: "Failed" })));
  assert.equal(await passes("intruder"), false);
  await again.send(INITIAL_END);
  await again.leave();
  const { items } = await get(PODS, listOf("Pod", "v1", [withStatus(PINNED, { phase: "Failed" }), MUTABLE]));
  assert.equal(Array.isArray(items) && items.length, 1);
  await close();

  const after = await setUp(before.ledger);
  await after.get(PODS, listOf("Pod", "v1", [PINNED]));
  assert.equal(await after.passes("intruder"), false);
  assert.equal(await after.passes("hello"), true);
  const shown = await after.get(PODS, listOf("Pod", "v1", [PINNED, MUTABLE]));
  assert.equal(Array.isArray(shown["items"]) && shown["items"].length, 2);
  await after.close();
});
