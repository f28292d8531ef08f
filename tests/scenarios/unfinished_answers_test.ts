/**
 * Answers that do not come to their end. To a kubelet a list, or the initial events of a watch, mean nothing before they
 * are complete: until then it runs the pods, and holds the content, that it knew before.
 */
import assert from "node:assert/strict";
import type { JsonObject } from "@signed-pods/shared/json";
import { expand } from "@signed-pods/shared/pod/normal-form";
import { contentDigest } from "@signed-pods/shared/pod/pins";
import type { SignOptions } from "@signed-pods/shared/signed-template";
import { createPodReferences } from "../../proxy/objects/pod_references.ts";
import type { Ledger } from "../../proxy/pods/ledger.ts";
import { ManualClock } from "../fakes/clock.ts";
import { makeGate } from "../fakes/gate.ts";
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
  /** @returns types of the events that came out of these lines and what went in with them, and whether it has ended */
  send(...lines: string[]): Promise<string[]>;
  /** The kubelet leaves. */
  leave(): Promise<void>;
}

/** A proxy, and an API server that says what the test says. */
async function setUp(ledger?: Ledger) {
  const clock = new ManualClock();
  let answer = (): Response => jsonAnswer({}, { status: 404 });
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
  });
  const objects = makeObjectGate({ upstream, references });
  const ask = (path: string, signal: AbortSignal) =>
    path.startsWith(PODS) ? pods.fetch(path, { signal }) : objects.ask("GET", path, { signal });

  return {
    clock,
    references,
    ledger: pods.ledger,
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
    async passes(salute: string): Promise<boolean> {
      answer = () => jsonAnswer(listOf("ConfigMap", "v1", [config(salute)]));
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
    const { get, watch, passes, references, close } = await setUp();
    await get(PODS, listOf("Pod", "v1", [PINNED]));
    assert.equal(await passes("hello"), true);
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
  const { get, watch, passes, references, close } = await setUp();
  await get(PODS, listOf("Pod", "v1", [PINNED]));
  const events = await watch(`${PODS}&watch=true&resourceVersion=50`);
  const bogus = makePod({ name: "other", namespace: "elsewhere", uid: uidOf(1) });
  assert.deepEqual(await events.send(eventLine("MODIFIED", withStatus(bogus, { phase: "Failed" }))), []);
  await events.send(eventLine("ADDED", MUTABLE));
  assert.equal(references.knows(uidOf(1)), true);
  assert.equal(await passes("intruder"), false);
  await events.send(eventLine("MODIFIED", withStatus(PINNED, { phase: "Failed" })));
  assert.equal(references.knows(uidOf(1)), false, "the kubelet was shown that this one has ended");
  await events.leave();
  await close();
});
