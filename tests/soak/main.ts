/**
 * The soak: `make soak`. The real program between an API server and a kubelet of the fakes, over TLS on loopback, for
 * SOAK_SECONDS (an hour without it) and with SOAK_SEED, while pods come and go, the API server restarts, the network is cut, and the proxy is
 * restarted by SIGTERM and SIGKILL.
 *
 * What must hold at every moment: whatever the kubelet is shown was signed by the owner, container by container. What must
 * hold whenever things calm down: every signed pod is there. In the end the heap is what it was.
 *
 * A process that is restarted begins with an empty heap; so restarts of the proxy happen in the first fifth of the time,
 * before the heap is measured first, and again after it was measured last. All other faults happen throughout.
 */
import assert from "node:assert/strict";
import { isJsonObject, type JsonObject, objectAt } from "@signed-pods/shared/json";
import { testPki } from "../../proxy/fixture_test.ts";
import { FakeApiServer } from "../fakes/api_server.ts";
import { assertNoCanary, CANARY } from "../fakes/canary.ts";
import { FakeKubelet } from "../fakes/kubelet.ts";
import { makePod, NODE_NAME, objectOf, Owner, withImage } from "../fakes/owner.ts";
import { Random } from "../hostile/mutations.ts";
import { serveTls } from "./api.ts";
import { watchLeaks } from "./leaks.ts";
import { Network } from "./network.ts";
import { ProxyProcess, writeNodeFiles } from "./proxy_process.ts";

const PODS = 200;
const EVIL_IMAGE = "registry.example/evil:1";

/** How much the heap may differ in the end. */
const HEAP_TOLERANCE = 0.1;

/** How long it may take until all is well again after a fault, in milliseconds. */
const RECOVERY_MS = 60_000;

/** A time for something to happen, without any other meaning. */
const TICK_MS = 50;

const seconds = Number(Deno.env.get("SOAK_SECONDS") ?? "3600");
const endAt = Date.now() + seconds * 1000;
const pki = await testPki();
const owner = await Owner.create();
const folder = await Deno.makeTempDir();
const api = new FakeApiServer();
let server = serveTls(api, pki);
const network = new Network(() => server.addr.port);
const client = Deno.createHttpClient({
  caCerts: [pki.authority.certificate],
  cert: pki.node.certificate,
  key: pki.node.key,
  http2: false,
});
let proxy: ProxyProcess | undefined;
let port = 0;

/** Containers that the owner signed, by the pod's UID, as text. */
const signed = new Map<string, string>();
/** UIDs that may leave the kubelet: deleted, or altered. */
const leaving = new Set<string>();
const counts = {
  made: 0,
  refused: 0,
  deleted: 0,
  altered: 0,
  events: 0,
  checks: 0,
  unanswered: 0,
  faults: 0,
  restarts: 0,
};
const failures: string[] = [];
let stopping = false;

const kubelet = new FakeKubelet({
  fetch: (path, init) => fetch(`https://127.0.0.1:${port}${path}`, { ...init, client }),
});

/** The same order of actions and faults for the same seed; when each falls is the machine's. */
const seed = Number(Deno.env.get("SOAK_SEED") ?? Math.floor(Math.random() * 2 ** 31));
const source = new Random(seed);

function random(below: number): number {
  return source.below(below);
}

async function sleep(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

function uidOf(pod: JsonObject): string {
  return String(objectAt(pod, "metadata").uid);
}

function nameOf(pod: JsonObject): string {
  return String(objectAt(pod, "metadata").name);
}

function containersOf(pod: JsonObject): string {
  return JSON.stringify(objectAt(pod, "spec").containers);
}

// ---- what the kubelet does

/** Reports phases as a kubelet does, until the end. */
async function manageStatuses(): Promise<void> {
  while (!stopping) {
    await sleep(TICK_MS);
    for (const pod of [...kubelet.store.values()]) {
      const { deletionTimestamp } = objectAt(pod, "metadata");
      const { phase } = objectAt(pod, "status");
      const ended = phase === "Failed" || phase === "Succeeded";
      try {
        if (deletionTimestamp !== undefined) {
          await end(pod, ended);
        } else if (phase === "Pending") {
          await (await kubelet.report(nameOf(pod), { phase: "Running" })).body?.cancel();
        }
      } catch {
        // The proxy or the API server is away; the next round tries again.
        break;
      }
    }
  }
}

async function end(pod: JsonObject, ended: boolean): Promise<void> {
  if (!ended) {
    await (await kubelet.report(nameOf(pod), { phase: "Succeeded" })).body?.cancel();
  }
  const path = `/api/v1/namespaces/default/pods/${nameOf(pod)}`;
  const url = `https://127.0.0.1:${port}${path}`;
  const read = await fetch(url, { client });
  const live: unknown = await read.json();
  if (read.status === 200 && objectAt(objectOf(live), "metadata").deletionTimestamp !== undefined) {
    const response = await fetch(url, {
      client,
      method: "DELETE",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        kind: "DeleteOptions",
        apiVersion: "v1",
        gracePeriodSeconds: 0,
        preconditions: { uid: uidOf(pod) },
      }),
    });
    await response.body?.cancel();
  }
}

// ---- what the owner and the attacker do

async function makeSignedPod(): Promise<void> {
  const name = `web-${++counts.made}`;
  const uid = crypto.randomUUID();
  const pod = await owner.signedPod({ name, uid, image: `registry.example/web:${counts.made}` });
  signed.set(uid, containersOf(pod));
  api.put(pod);
}

function pick(): JsonObject | undefined {
  const pods = api.pods().filter((pod) => signed.has(uidOf(pod)) && !leaving.has(uidOf(pod)));
  return pods[random(pods.length)];
}

async function act(): Promise<void> {
  const kind = random(20);
  const pod = pick();
  if (signed.size - leaving.size < PODS || pod === undefined) {
    await makeSignedPod();
  } else if (kind < 2) {
    counts.refused++;
    api.put(makePod({ name: `rogue-${counts.refused}`, uid: crypto.randomUUID(), image: EVIL_IMAGE }));
  } else if (kind < 4) {
    counts.altered++;
    leaving.add(uidOf(pod));
    api.put(withImage(pod, EVIL_IMAGE));
  } else {
    counts.deleted++;
    leaving.add(uidOf(pod));
    api.delete("default", nameOf(pod));
  }
  // Pods that have failed are cleared away by their owners, deleted or not.
  for (const dead of api.pods()) {
    const { reason } = objectAt(dead, "status");
    if (reason === "NodeAdmissionRejected" && random(10) === 0) {
      api.delete("default", nameOf(dead));
    }
  }
}

// ---- what breaks

async function startProxy(): Promise<void> {
  proxy = await ProxyProcess.start(folder, port);
  port = proxy.port;
}

async function restartProxy(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
  counts.restarts++;
  const before = proxy;
  assert.equal(before?.ended, false, "the proxy ended by itself");
  await before?.stop(signal);
  searchLog(before);
  await startProxy();
}

async function restartApiServer(): Promise<void> {
  network.cut("reset");
  api.endWatches();
  if (random(2) === 0) {
    api.compact();
  }
  const before = server;
  server = serveTls(api, pki);
  const down = before.shutdown();
  await sleep(random(2_000));
  network.mend();
  await down;
}

async function cutNetwork(): Promise<void> {
  network.cut(random(2) === 0 ? "reset" : "silence");
  await sleep(random(5_000));
  network.mend();
}

/** The token is nobody's to read. */
function searchLog(some: ProxyProcess | undefined): void {
  const found = some?.lines.find((line) => line.includes(CANARY));
  if (found !== undefined) {
    failures.push(`a line of the log holds the token: ${found}`);
  }
}

// ---- what must hold

/** Of all that the kubelet was told since the last check. */
function checkInvariant(): void {
  for (const { type, object } of kubelet.told.splice(0)) {
    if (type === "BOOKMARK" || type === "ERROR") {
      continue;
    }
    counts.events++;
    const uid = uidOf(object);
    if (type === "DELETED") {
      if (signed.has(uid) && !leaving.has(uid)) {
        failures.push(`${nameOf(object)} was taken from the kubelet`);
      }
    } else if (signed.get(uid) !== containersOf(object)) {
      failures.push(`the kubelet was shown ${nameOf(object)} with ${containersOf(object)}`);
    }
  }
  kubelet.images.clear();
  // Of the faults; whether all was asked again shows when things calm down.
  counts.unanswered += kubelet.failures.splice(0).length;
}

/** All is quiet: every signed pod that is neither deleted nor altered is there, and nothing else but what is ending. */
async function checkComplete(): Promise<void> {
  const missing = () =>
    api.pods().filter((pod) => {
      const uid = uidOf(pod);
      return signed.has(uid) && !leaving.has(uid) && uidOf(kubelet.pod(nameOf(pod)) ?? {}) !== uid;
    });
  const lingering = () => [...kubelet.store.values()].filter((pod) => leaving.has(uidOf(pod)));
  const untold = () =>
    api.pods().filter((pod) => !signed.has(uidOf(pod)) && objectAt(pod, "status").phase !== "Failed");
  const deadline = Date.now() + RECOVERY_MS;
  while (missing().length + lingering().length + untold().length > 0) {
    checkInvariant();
    if (Date.now() > deadline) {
      const names = (pods: JsonObject[]) => pods.slice(0, 5).map(nameOf).join(", ");
      failures.push(
        `after ${RECOVERY_MS / 1000} s: missing ${names(missing())}; lingering ${names(lingering())}; ` +
          `not told ${names(untold())}; ${proxy?.lines.slice(-5).join("\n")}`,
      );
      return;
    }
    await sleep(TICK_MS);
  }
  counts.checks++;
  checkInvariant();
  // What is over and done with is forgotten here too.
  const there = new Set(api.pods().map(uidOf));
  for (const uid of leaving) {
    if (!there.has(uid)) {
      leaving.delete(uid);
      signed.delete(uid);
    }
  }
  api.requests.length = 0;
  api.events.splice(0, Math.max(0, api.events.length - 1_000));
}

// ---- the run

function say(text: string): void {
  console.log(`${new Date().toISOString().slice(11, 19)} ${text}`);
}

/** Acts and breaks things until a moment, and lets all calm down in between. */
async function churn(until: number, faults: readonly (() => Promise<void>)[]): Promise<void> {
  let nextBookmark = 0;
  while (Date.now() < until && failures.length === 0) {
    const calm = Math.min(until, Date.now() + 2_000 + random(6_000));
    while (Date.now() < calm) {
      await act();
      checkInvariant();
      if (Date.now() > nextBookmark) {
        nextBookmark = Date.now() + 10_000;
        api.bookmark();
      }
      await sleep(TICK_MS + random(4 * TICK_MS));
    }
    counts.faults++;
    await faults[random(faults.length)]?.();
    await checkComplete();
  }
}

async function heap(): Promise<number> {
  await checkComplete();
  return await proxy?.heapBytes() ?? 0;
}

const gentle = [restartApiServer, cutNetwork];
const all = [...gentle, () => restartProxy("SIGTERM"), () => restartProxy("SIGKILL")];

try {
  await writeNodeFiles({
    folder,
    pki,
    apiPort: network.port,
    ownerKey: await owner.publicKeyPem(),
    token: CANARY,
  });
  await startProxy();
  kubelet.run();
  const statuses = manageStatuses();
  while (signed.size < PODS) {
    await makeSignedPod();
  }
  await checkComplete();
  say(`${PODS} pods are there; ${seconds} s to go, SOAK_SEED=${seed}`);
  await churn(endAt - seconds * 800, all);
  // Both kinds, whatever chance has chosen.
  await restartProxy("SIGTERM");
  await restartProxy("SIGKILL");
  await churn(Math.min(endAt, Date.now() + Math.min(seconds * 130, 600_000)), gentle);
  const before = await heap();
  say(`heap ${Math.round(before / 1024)} KiB; ${JSON.stringify(counts)}`);
  await churn(endAt - seconds * 50, gentle);
  const after = await heap();
  say(`heap ${Math.round(after / 1024)} KiB; ${JSON.stringify(counts)}`);
  await churn(endAt, all);
  await checkComplete();
  stopping = true;
  await statuses;
  await kubelet.stop();
  assert.equal(await proxy?.stop("SIGTERM"), 0, "the proxy stops cleanly");
  searchLog(proxy);
  assertNoCanary("Events and statuses", [api.events, api.pods().map((pod) => objectAt(pod, "status"))]);
  assert.deepEqual(failures, []);
  assert.ok(
    Math.abs(after - before) <= before * HEAP_TOLERANCE,
    `the heap went from ${before} to ${after} bytes`,
  );
  assert.ok(isJsonObject(api.pods()[0] ?? null), "there were pods to the end");
  if (seconds >= 3600) {
    await watchLeaks(10_000, say);
  }
  say(`the invariant held and nothing was lost: ${JSON.stringify(counts)} on ${NODE_NAME}`);
} finally {
  stopping = true;
  await kubelet.stop();
  await proxy?.stop("SIGKILL");
  network.close();
  await server.shutdown();
  client.close();
  await Deno.remove(folder, { recursive: true });
}
