/** Whatever the API server says, and however it is chunked: a list and a watch decide alike, and nothing unsigned is shown. */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { JsonObject } from "@signed-pods/shared/json";
import { makeGate } from "../fakes/gate.ts";
import type { MemoryLog } from "../fakes/log.ts";
import {
  makeMirror,
  makePod,
  NODE_NAME,
  objectOf,
  Owner,
  uidOf,
  withImage,
  withMetadata,
  withSpec,
  withStatus,
} from "../fakes/owner.ts";
import { chunked, jsonAnswer, upstreamOf } from "../fakes/upstream.ts";

const owner = await Owner.create();
const stranger = await Owner.create();
const QUERY = `fieldSelector=spec.nodeName%3D${NODE_NAME}`;
const IMAGE = "registry.example/web:1";

/** What an API server may make of a pod. */
const VARIANTS: readonly ((name: string, uid: string) => Promise<JsonObject> | JsonObject)[] = [
  (name, uid) => owner.signedPod({ name, uid }),
  async (name, uid) => withStatus(await owner.signedPod({ name, uid }), { phase: "Running" }),
  async (name, uid) => withImage(await owner.signedPod({ name, uid }), "registry.example/evil:1"),
  async (name, uid) =>
    withStatus(withImage(await owner.signedPod({ name, uid }), "registry.example/evil:2"), {
      phase: "Failed",
    }),
  async (name, uid) => withMetadata(await owner.signedPod({ name: "other", uid }), { name }),
  async (name, uid) =>
    withSpec(await owner.signedPod({ name, uid }), {
      ephemeralContainers: [{ name: "debug", image: "evil" }],
    }),
  async (name, uid) => withSpec(await owner.signedPod({ name, uid }), { nodeName: "elsewhere" }),
  async (name, uid) => withSpec(await owner.signedPod({ name, uid }), { unknownField: "evil" }),
  (name, uid) => stranger.signedPod({ name, uid, image: "registry.example/evil:3" }),
  (name, uid) => makePod({ name, uid, image: "registry.example/evil:4" }),
  (name, uid) => makeMirror({ name, uid, image: "registry.example/evil:5" }),
  (name) => owner.signedPod({ name, uid: "../../x" }),
  async (name, uid) =>
    withMetadata(await owner.signedPod({ name, uid }), {
      deletionTimestamp: "2026-01-01T00:00:00Z",
      deletionGracePeriodSeconds: 5,
    }),
];

const variant = fc.nat({ max: VARIANTS.length - 1 });
const identity = fc.record({ name: fc.constantFrom("a", "b", "c"), uid: fc.integer({ min: 1, max: 4 }) });

function make(kind: number, name: string, uid: number): Promise<JsonObject> {
  return Promise.resolve(VARIANTS[kind]?.(name, uidOf(uid)) ?? makePod());
}

function imagesOf(text: string): string[] {
  return [...text.matchAll(/"image":"([^"]*)"/g)].map((match) => match[1] ?? "");
}

function verdictsOf(log: MemoryLog): string[] {
  const verdicts = log.lines.filter(({ event }) => event.startsWith("pod-"));
  return verdicts.map(({ event, fields }) => JSON.stringify([event, fields])).sort();
}

function without(pod: JsonObject): JsonObject {
  const { kind: _kind, apiVersion: _version, ...rest } = pod;
  return rest;
}

Deno.test("a list and the initial events of a watch show the same pods, at any chunk size", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(variant, { maxLength: 8 }),
      fc.integer({ min: 1, max: 5000 }),
      async (kinds, chunkBytes) => {
        const pods = await Promise.all(kinds.map((kind, index) => make(kind, `pod-${index}`, index + 1)));
        const end = {
          kind: "Pod",
          apiVersion: "v1",
          metadata: { resourceVersion: "9", annotations: { "k8s.io/initial-events-end": "true" } },
        };
        const events = [
          ...pods.map((object) => ({ type: "ADDED", object })),
          { type: "BOOKMARK", object: end },
        ];
        const bytes = new TextEncoder().encode(events.map((event) => JSON.stringify(event)).join("\n"));
        const listed = await makeGate({
          owner,
          upstream: upstreamOf(() =>
            jsonAnswer({
              kind: "PodList",
              apiVersion: "v1",
              metadata: { resourceVersion: "9" },
              items: pods.map(without),
            })
          ),
        });
        const watched = await makeGate({
          owner,
          upstream: upstreamOf((request) =>
            request.url.includes("watch=true")
              ? new Response(chunked(bytes, chunkBytes), { headers: { "content-type": "application/json" } })
              : jsonAnswer({}, { status: 503 })
          ),
        });
        const list = objectOf(await (await listed.fetch(`/api/v1/pods?${QUERY}`)).json());
        const text = await (await watched.fetch(`/api/v1/pods?${QUERY}&watch=true&sendInitialEvents=true`))
          .text();
        const told = text.split("\n").slice(0, -1).map((line) => objectOf(JSON.parse(line)));
        assert.equal(told.pop()?.type, "BOOKMARK");
        assert.deepEqual(told.map(({ object }) => object), list.items);
        assert.deepEqual(verdictsOf(listed.log), verdictsOf(watched.log));
        assert.deepEqual([...listed.ledger.entries()], [...watched.ledger.entries()]);
        await listed.gate.close(0);
        await watched.gate.close(0);
      },
    ),
    { numRuns: 40 },
  );
});

Deno.test("whatever events come in whatever order, no image is shown that was not signed, and no UID has two names", async () => {
  const event = fc.record({ type: fc.constantFrom("ADDED", "MODIFIED", "DELETED"), kind: variant, identity });
  await fc.assert(
    fc.asyncProperty(
      fc.array(event, { maxLength: 25 }),
      fc.integer({ min: 1, max: 9000 }),
      async (events, chunkBytes) => {
        const lines = await Promise.all(
          events.map(async ({ type, kind, identity: { name, uid } }) =>
            JSON.stringify({ type, object: await make(kind, name, uid) }) + "\n"
          ),
        );
        const bytes = new TextEncoder().encode(lines.join(""));
        const { fetch, gate } = await makeGate({
          owner,
          upstream: upstreamOf((request) =>
            request.url.includes("watch=true")
              ? new Response(chunked(bytes, chunkBytes), { headers: { "content-type": "application/json" } })
              : jsonAnswer({}, { status: 503 })
          ),
        });
        const text = await (await fetch(`/api/v1/pods?${QUERY}&watch=true`)).text();
        assert.deepEqual(imagesOf(text).filter((image) => image !== IMAGE), []);
        // The kubelet's store, by name; what it holds has one name for each UID.
        const store = new Map<string, string>();
        for (const line of text.split("\n").slice(0, -1)) {
          const { type, object } = objectOf(JSON.parse(line));
          const { name, uid, annotations } = objectOf(objectOf(object).metadata);
          if (type === "DELETED") {
            store.delete(String(name));
          } else if (annotations === undefined || !("kubernetes.io/config.mirror" in objectOf(annotations))) {
            const before = store.get(String(name));
            assert.ok(
              before === undefined || before === uid,
              "a name changes hands only after it was deleted",
            );
            store.set(String(name), String(uid));
          }
          assert.equal(new Set(store.values()).size, store.size, "no UID has two names");
        }
        await gate.close(0);
      },
    ),
    { numRuns: 150 },
  );
});
