/**
 * Measures the judge's share alone, without sockets: the real gate between a made-up API server and a reader that throws
 * away what it gets. Microseconds of processor time for each pod or event, the best of some rounds, since other programs
 * only ever add to it.
 */
import process from "node:process";
import { encodeBase64 } from "@signed-pods/shared/base64";
import { canonicalize } from "@signed-pods/shared/canonical-json";
import { type JsonObject, objectAt } from "@signed-pods/shared/json";
import { createVerifier } from "@signed-pods/shared/pod/verify";
import { generateSigningKey, sign } from "@signed-pods/shared/signing";
import { createPodGate } from "../proxy/pods/pod_gate.ts";
import { ManualClock } from "../tests/fakes/clock.ts";
import { memoryLedger } from "../tests/fakes/ledger.ts";
import { MemoryLog } from "../tests/fakes/log.ts";
import { upstreamOf } from "../tests/fakes/upstream.ts";
import { uidOf } from "../tests/fakes/owner.ts";

const PODS = 500;
const ROUNDS = 12;

const template: JsonObject = JSON.parse(await Deno.readTextFile(new URL("racer/pod.json", import.meta.url)));
const key = await generateSigningKey("ec-p256");
const encoder = new TextEncoder();

async function makePod(index: number): Promise<JsonObject> {
  const pod = structuredClone(template);
  const metadata = objectAt(pod, "metadata");
  const spec = objectAt(pod, "spec");
  spec["nodeName"] = "worker";
  spec["hostname"] = `pod-${index}`;
  const signature = encodeBase64(await sign(key, encoder.encode(canonicalize(spec))));
  const { name: _name, uid: _uid, resourceVersion: _version, annotations: _annotations, ...rest } = metadata;
  // In the order in which Go writes these fields.
  pod["metadata"] = {
    name: `pod-${index}`,
    uid: uidOf(index),
    resourceVersion: String(1000 + index),
    ...rest,
    annotations: { ...objectAt(metadata, "annotations"), "kubelet-proxy.io/signature": signature },
  };
  return pod;
}

const pods: JsonObject[] = [];
for (let index = 1; index <= PODS; index++) pods.push(await makePod(index));
const list = encoder.encode(JSON.stringify({
  kind: "PodList",
  apiVersion: "v1",
  metadata: { resourceVersion: "99999" },
  items: pods,
}));

/** Events in which each pod has another version and, if so asked, another status. */
function eventLines(round: number, newStatus: boolean): Uint8Array {
  const lines = pods.map((pod, index) => {
    const metadata = {
      ...objectAt(pod, "metadata"),
      resourceVersion: String(100_000 + round * PODS + index),
    };
    const status = newStatus
      ? { ...objectAt(pod, "status"), observedGeneration: round + 1 }
      : objectAt(pod, "status");
    return JSON.stringify({ type: "MODIFIED", object: { ...pod, metadata, status } });
  });
  return encoder.encode(lines.join("\n") + "\n");
}

let lastVersion = "99999";
let watched: Uint8Array[] = [];
const gate = createPodGate({
  upstream: upstreamOf((request) =>
    new URL(request.url).searchParams.has("watch")
      ? new Response(ReadableStream.from(watched), { headers: { "content-type": "application/json" } })
      : new Response(new Uint8Array(list), { headers: { "content-type": "application/json" } })
  ),
  verifier: createVerifier({
    keys: [{ ...key, key: key.publicKey, source: "bench" }],
    acceptForms: new Set(["template", "spec"]),
    requireDigests: false,
  }),
  ledger: await memoryLedger(),
  log: new MemoryLog(),
  mode: "enforce",
  nodeName: "worker",
  clock: new ManualClock(new Date("2026-12-01T00:00:00Z")),
  random: () => 0.5,
});
const { signal } = new AbortController();
const query = new URLSearchParams({ fieldSelector: "spec.nodeName=worker" });

/** Processor time of this process, garbage collection included, in microseconds. */
function spent(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

async function timeList(): Promise<number> {
  const start = spent();
  const answer = await gate.list(query, signal);
  await answer.arrayBuffer();
  return (spent() - start) / PODS;
}

async function timeWatch(round: number, newStatus: boolean, atOnce: boolean): Promise<number> {
  const lines = eventLines(round, newStatus);
  watched = [];
  for (let start = 0; start < lines.length;) {
    const end = atOnce ? lines.length : lines.indexOf(0x0a, start) + 1;
    watched.push(lines.slice(start, end));
    start = end;
  }
  const start = spent();
  const answer = await gate.watch(
    new URLSearchParams({ ...Object.fromEntries(query), watch: "1", resourceVersion: lastVersion }),
    signal,
  );
  const text = await answer.text();
  lastVersion = String(100_000 + round * PODS + PODS - 1);
  const took = (spent() - start) / PODS;
  if (text.split("\n").length !== PODS + 1) throw new Error(`the watch was cut: ${text.slice(0, 300)}`);
  return took;
}

function print(name: string, microseconds: number): void {
  console.log(`${name.padEnd(60)}${microseconds.toFixed(1).padStart(8)} µs`);
}

async function best(name: string, run: (round: number) => Promise<number>): Promise<void> {
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round++) times.push(await run(round));
  print(name, Math.min(...times));
}

print("a pod of the first list", await timeList());
await best("a pod of a list, known", timeList);
await best(
  "an event of a watch, as the pod was but for its version",
  (round) => timeWatch(round, false, false),
);
await best("an event of a watch with another status", (round) => timeWatch(ROUNDS + round, true, false));
await best("the same, many events in one chunk", (round) => timeWatch(2 * ROUNDS + round, true, true));
