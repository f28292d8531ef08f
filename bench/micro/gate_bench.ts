/**
 * The pods' gate alone, without sockets: between a made-up API server and a reader that throws away what it gets. Each
 * measurement is {@linkcode PODS} pods or events.
 */
import { type JsonObject, objectAt } from "@signed-pods/shared/json";
import { createPodGate, type PodGate } from "../../proxy/pods/pod_gate.ts";
import { ManualClock } from "../../tests/fakes/clock.ts";
import { memoryLedger } from "../../tests/fakes/ledger.ts";
import { MemoryLog } from "../../tests/fakes/log.ts";
import { upstreamOf } from "../../tests/fakes/upstream.ts";
import { makePod, newVerifier } from "./pods.ts";

const PODS = 500;
const QUERY = { fieldSelector: "spec.nodeName=worker" };

const encoder = new TextEncoder();
const pods: JsonObject[] = [];
for (let number = 1; number <= PODS; number++) pods.push(await makePod(number));
const list = encoder.encode(JSON.stringify({
  kind: "PodList",
  apiVersion: "v1",
  metadata: { resourceVersion: "99999" },
  items: pods,
}));
const { signal } = new AbortController();

/** What the next watch brings. */
let watched: Uint8Array[] = [];

async function makeGate(): Promise<PodGate> {
  return createPodGate({
    upstream: upstreamOf((request) =>
      new Response(
        new URL(request.url).searchParams.has("watch") ? ReadableStream.from(watched) : new Uint8Array(list),
        { headers: { "content-type": "application/json" } },
      )
    ),
    verifier: newVerifier(),
    ledger: await memoryLedger(),
    log: new MemoryLog(),
    mode: "enforce",
    nodeName: "worker",
    clock: new ManualClock(new Date("2026-12-01T00:00:00Z")),
    random: () => 0.5,
  });
}

async function readList(gate: PodGate): Promise<void> {
  const answer = await gate.list(new URLSearchParams(QUERY), signal);
  const text = await answer.text();
  if (answer.status !== 200 || text.split('"kind":"Pod"').length < PODS) {
    throw new Error(`the list is not whole: ${text.slice(0, 300)}`);
  }
}

/** A gate that knows the pods, and the version at which its next watch resumes. */
interface KnownGate {
  gate: PodGate;
  round: number;
}

async function makeKnownGate(): Promise<KnownGate> {
  const gate = await makeGate();
  await readList(gate);
  return { gate, round: 0 };
}

function versionOf(round: number, index: number): string {
  return round === 0 ? "99999" : String(100_000 + round * PODS + index);
}

/** Events in which each pod has another version and, if so asked, another status. */
function eventsOf(round: number, newStatus: boolean): Uint8Array[] {
  return pods.map((pod, index) => {
    const metadata = { ...objectAt(pod, "metadata"), resourceVersion: versionOf(round, index) };
    const status = newStatus
      ? { ...objectAt(pod, "status"), observedGeneration: round }
      : objectAt(pod, "status");
    return encoder.encode(
      `${JSON.stringify({ type: "MODIFIED", object: { ...pod, metadata, status } })}\n`,
    );
  });
}

async function readWatch(
  bench: Deno.BenchContext,
  known: KnownGate,
  newStatus: boolean,
  atOnce: boolean,
): Promise<void> {
  const resumeAt = versionOf(known.round, PODS - 1);
  known.round++;
  const events = eventsOf(known.round, newStatus);
  watched = atOnce
    ? [new Uint8Array(await new Blob(events.map((event) => new Uint8Array(event))).arrayBuffer())]
    : events;
  const query = new URLSearchParams({ ...QUERY, watch: "1", resourceVersion: resumeAt });
  bench.start();
  const answer = await known.gate.watch(query, signal);
  const text = await answer.text();
  bench.end();
  if (text.split("\n").length !== PODS + 1) throw new Error(`the watch was cut: ${text.slice(0, 300)}`);
}

Deno.bench({
  name: `a list of ${PODS} pods, first time`,
  group: "lists",
  async fn(bench) {
    const gate = await makeGate();
    bench.start();
    await readList(gate);
    bench.end();
  },
});

const listed = await makeKnownGate();
Deno.bench({
  name: `a list of ${PODS} pods, known`,
  group: "lists",
  baseline: true,
  // Deno waits for functions that are declared async, and for no others.
  async fn() {
    await readList(listed.gate);
  },
});

const rows = [
  [`${PODS} events, only the version is other`, false, false],
  [`${PODS} events, another status`, true, false],
  [`${PODS} events, another status, in one chunk`, true, true],
] as const;
for (const [name, newStatus, atOnce] of rows) {
  const known = await makeKnownGate();
  Deno.bench({
    name,
    group: "watches",
    async fn(bench) {
      await readWatch(bench, known, newStatus, atOnce);
    },
  });
}
