/** What becomes of refusals when the API server refuses, is slow or is away, and when the proxy is restarted in the middle. */
import assert from "node:assert/strict";
import type { JsonObject } from "@signed-pods/shared/json";
import { openLedger } from "../../proxy/pods/ledger.ts";
import { MAX_CONFLICT_TRIES, REQUEST_TIMEOUT_MS } from "../../proxy/pods/rejector.ts";
import { FakeApiServer, type ServedRequest } from "../fakes/api_server.ts";
import { ManualClock, settle } from "../fakes/clock.ts";
import { makeGate, type TestGate } from "../fakes/gate.ts";
import { FakeKubelet } from "../fakes/kubelet.ts";
import { MemoryLedgerStore } from "../fakes/ledger.ts";
import { MemoryLog } from "../fakes/log.ts";
import { makePod, objectOf, Owner, type PodOptions, uidOf, withImage } from "../fakes/owner.ts";
import { upstreamOf } from "../fakes/upstream.ts";

const owner = await Owner.create();

/** How a process of the proxy ends. */
type End = "SIGTERM" | "SIGKILL";

/** A node whose proxy can be restarted; the clock and the ledger outlive the process. */
class Node {
  readonly api = new FakeApiServer();
  readonly clock = new ManualClock();
  readonly store = new MemoryLedgerStore();
  readonly kubelet: FakeKubelet;
  /** The network between proxy and API server. */
  connected = true;
  proxy: TestGate | undefined;
  /** Cuts the connections of the process that runs. */
  #process = new AbortController();

  constructor() {
    this.kubelet = new FakeKubelet({
      fetch: (path, init) =>
        this.proxy?.fetch(path, init) ?? Promise.reject(new TypeError("connection refused")),
    });
  }

  async start(): Promise<TestGate> {
    const killed = new AbortController();
    this.#process = killed;
    const upstream = upstreamOf(async (request) => {
      if (killed.signal.aborted || !this.connected) {
        throw new TypeError("connection refused");
      }
      return await this.api.handle(
        new Request(request, { signal: AbortSignal.any([request.signal, killed.signal]) }),
      );
    });
    this.proxy = await makeGate({
      upstream,
      owner,
      clock: this.clock,
      ledger: await openLedger(this.store, new MemoryLog()),
    });
    return this.proxy;
  }

  async stop(how: End): Promise<void> {
    const { proxy } = this;
    this.proxy = undefined;
    if (how === "SIGKILL") {
      this.#process.abort();
    }
    const closed = proxy?.gate.close(how === "SIGTERM" ? 5_000 : 0);
    await this.clock.advance(0);
    await closed;
  }

  /** Lets time pass; the API server sends a bookmark every minute, as a real one does. */
  async pass(ms: number): Promise<void> {
    for (let leftMs = ms; leftMs > 0; leftMs -= 60_000) {
      this.api.bookmark();
      await this.clock.advance(Math.min(leftMs, 60_000));
    }
  }

  phase(name: string): unknown {
    return objectOf(this.api.pod("default", name)?.status).phase;
  }

  event(name: string): JsonObject {
    const [event, ...more] = this.api.events.filter((one) => objectOf(one.involvedObject).name === name);
    assert.ok(event !== undefined && more.length === 0, `${name} has one Event`);
    return event;
  }
}

async function onNode(test: (node: Node) => Promise<void>): Promise<void> {
  const node = new Node();
  await node.start();
  node.kubelet.run();
  try {
    await node.kubelet.until("the kubelet has listed", () => node.kubelet.syncs > 0);
    await test(node);
  } finally {
    await node.kubelet.stop();
    await node.stop("SIGTERM");
  }
  assert.equal(node.clock.timers, 0, "no timer outlives the process");
}

function rogue(number: number, options: PodOptions = {}): JsonObject {
  return makePod({ name: `rogue-${number}`, uid: uidOf(number), ...options });
}

function status(code: number, message: string, headers: HeadersInit = {}): Response {
  return Response.json({ kind: "Status", apiVersion: "v1", status: "Failure", code, message }, {
    status: code,
    headers,
  });
}

/** Whether a request is one that fails a pod. */
function fails({ method, path }: ServedRequest): boolean {
  return method === "PATCH" && path.endsWith("/status");
}

for (
  const [what, answer, waitMs] of [
    ["403, while roles are loaded", () => status(403, "forbidden"), 10_000],
    ["409 of a write at the same time", () => status(409, "the object has been modified"), 10_000],
    ["429 with Retry-After", () => status(429, "later", { "retry-after": "30" }), 61_000],
    ["500 of a webhook", () => status(500, "failed calling webhook"), 10_000],
  ] as const
) {
  Deno.test(`a pod whose status is answered with ${what}, is Failed in the end, once`, () =>
    onNode(async (node) => {
      const { api, kubelet, clock } = node;
      let left = 2;
      api.intercept = (_request, served) => fails(served) && left-- > 0 ? answer() : undefined;
      api.put(rogue(1));
      await kubelet.until("it was tried", () => left < 2);
      for (let second = 0; second < waitMs; second += 1_000) {
        await clock.advance(1_000);
      }
      assert.equal(objectOf(api.pod("default", "rogue-1")?.status).phase, "Failed");
      assert.equal(api.requests.filter(fails).length, 3);
      await node.pass(3_600_000);
      assert.equal(api.requests.filter(fails).length, 3);
    }));
}

Deno.test("refuses to run a pod whose status the API server does not take: it stays hidden, and the log says so", () =>
  onNode(async (node) => {
    const { api, kubelet } = node;
    api.intercept = (_request, served) => fails(served) ? status(422, "invalid") : undefined;
    api.put(rogue(1));
    await kubelet.until("it was tried", () => api.requests.some(fails));
    await node.pass(3_600_000);
    assert.equal(api.requests.filter(fails).length, 1);
    assert.equal(node.proxy?.log.of("rejection-given-up").length, 1);
    assert.equal(node.event("rogue-1").count, 1);
    assert.deepEqual(kubelet.types("rogue-1"), []);
  }));

Deno.test("conflicts without end are given up", () =>
  onNode(async (node) => {
    const { api, kubelet } = node;
    api.intercept = (_request, served) => fails(served) ? status(409, "modified") : undefined;
    api.put(rogue(1));
    await kubelet.until("it was tried", () => api.requests.some(fails));
    await node.pass(3_600_000);
    assert.equal(api.requests.filter(fails).length, MAX_CONFLICT_TRIES);
  }));

Deno.test("refuses to fail a pod's successor of the same name: its UID is another", () =>
  onNode(async (node) => {
    const { api, kubelet } = node;
    const successor = await owner.signedPod({ name: "rogue-1", uid: uidOf(2) });
    let replaced = false;
    api.intercept = (_request, served) => {
      if (fails(served) && !replaced) {
        // While the patch was on its way.
        replaced = true;
        api.remove("default", "rogue-1");
        api.put(successor);
      }
      return undefined;
    };
    api.put(rogue(1));
    await kubelet.until("the successor is there", () => kubelet.pod("rogue-1") !== undefined);
    await node.pass(3_600_000);
    assert.equal(node.phase("rogue-1"), "Pending");
    assert.equal(api.requests.filter(fails).length, 1);
  }));

Deno.test("a status that hangs is broken off and sent again", () =>
  onNode(async (node) => {
    const { api, kubelet, clock } = node;
    let asked = 0;
    const handle = api.handle.bind(api);
    api.handle = (request) => {
      if (request.method === "PATCH" && request.url.endsWith("/status") && ++asked === 1) {
        return new Promise((_resolve, reject) => {
          request.signal.addEventListener("abort", () => reject(request.signal.reason));
        });
      }
      return handle(request);
    };
    api.put(rogue(1));
    await kubelet.until("it was tried", () => asked > 0);
    await clock.advance(REQUEST_TIMEOUT_MS - 1);
    assert.equal(asked, 1);
    await clock.advance(5_000);
    assert.equal(node.phase("rogue-1"), "Failed");
  }));

Deno.test("an API server that is away for ten minutes loses no refusal, and is not flooded when it is back", () =>
  onNode(async (node) => {
    const { api, kubelet, clock } = node;
    for (let number = 1; number <= 300; number++) {
      api.put(rogue(number));
      if (number === 100) {
        await kubelet.until("some are refused", () => api.requests.some(fails));
        node.connected = false;
      }
    }
    api.put(await owner.signedPod({ name: "web", uid: uidOf(900) }));
    for (let minute = 0; minute < 10; minute++) {
      await clock.advance(60_000);
    }
    const held = node.proxy?.log.of("rejections-held").length ?? 0;
    assert.ok(held > 0 && held < 30, `${held} lines`);
    node.connected = true;
    api.endWatches();
    await kubelet.until("the signed pod is there", () => kubelet.pod("web") !== undefined);
    await clock.advance(120_000);
    await kubelet.until(
      "all are told",
      () => api.pods().filter((pod) => objectOf(pod.status).phase === "Failed").length === 300,
    );
    await kubelet.until("all have an Event", () => api.events.length === 300);
    assert.equal(new Set(api.requests.filter(fails).map(({ path }) => path)).size, 300);
    assert.equal(api.requests.filter(fails).length, 300, "each once");
    assert.ok(api.events.every(({ count }) => count === 1));
  }));

for (const end of ["SIGTERM", "SIGKILL"] as const) {
  Deno.test(`a proxy that is restarted by ${end} in the middle tells the rest, and nothing twice`, () =>
    onNode(async (node) => {
      const { api, kubelet } = node;
      const pods = 40;
      let open = 15;
      const taken: string[] = [];
      api.intercept = (_request, served) => {
        if (!fails(served)) {
          return undefined;
        }
        if (taken.length === open) {
          return status(503, "later");
        }
        taken.push(served.path);
        return undefined;
      };
      for (let number = 1; number <= pods; number++) {
        api.put(rogue(number));
      }
      await kubelet.until("some are told", () => taken.length === open);
      await node.stop(end);
      open = pods;
      await node.start();
      await kubelet.until("the kubelet has listed again", () => kubelet.syncs > 1);
      await kubelet.until("all are told", () => taken.length === pods);
      await node.pass(3_600_000);
      assert.equal(taken.length, pods);
      assert.equal(new Set(taken).size, pods);
      assert.ok(api.pods().every((pod) => objectOf(pod.status).phase === "Failed"));
      for (let number = 1; number <= pods; number++) {
        const { count } = node.event(`rogue-${number}`);
        assert.ok(count === 1 || count === 2, `${count}`);
      }
    }));

  Deno.test(`a proxy that is restarted by ${end} keeps to the pauses of a controller`, () =>
    onNode(async (node) => {
      const { api, kubelet, clock } = node;
      const controller = uidOf(900);
      const failed = () => api.pods().filter((pod) => objectOf(pod.status).phase === "Failed").length;
      for (let number = 1; number <= 4; number++) {
        api.put(rogue(number, { controller }));
      }
      await kubelet.until("the first is told", () => failed() === 1);
      await clock.advance(10_000);
      assert.equal(failed(), 2);
      await node.stop(end);
      await clock.advance(5_000);
      await node.start();
      await kubelet.until("the kubelet has listed again", () => kubelet.syncs > 1);
      await settle();
      assert.equal(failed(), 2, "the third has 15 of 20 seconds left");
      await clock.advance(15_000 - 1);
      assert.equal(failed(), 2);
      await clock.advance(1);
      assert.equal(failed(), 3);
      await clock.advance(40_000);
      assert.equal(failed(), 4);
      const message = String(node.event("rogue-4").message);
      assert.match(message, /will be marked Failed in about/);
      assert.equal(node.event("rogue-4").count, 2, "counted by both processes");
    }));

  Deno.test(`a proxy that is restarted by ${end} while a pod is being stopped stops it all the same`, () =>
    onNode(async (node) => {
      const { api, kubelet } = node;
      api.put(await owner.signedPod({ name: "web" }));
      await kubelet.until("the pod is there", () => kubelet.pod("web") !== undefined);
      await kubelet.report("web", { phase: "Running" });
      api.change("default", "web", (pod) => withImage(pod, "registry.example/evil:1"));
      const deletion = () => objectOf(kubelet.pod("web")?.metadata ?? {}).deletionTimestamp;
      await kubelet.until("it is being stopped", () => deletion() !== undefined);
      await kubelet.until("there is an Event", () => api.events.length === 1);
      await node.stop(end);
      await node.start();
      await kubelet.until("the kubelet has listed again", () => kubelet.syncs > 1);
      assert.notEqual(deletion(), undefined);
      await kubelet.report("web", { phase: "Succeeded" });
      await kubelet.until("it is gone", () => kubelet.pod("web") === undefined);
      assert.equal(node.phase("web"), "Failed");
      assert.match(String(node.event("web").message), /containers are being stopped/);
      assert.deepEqual([...kubelet.images.get(uidOf(1)) ?? []], ["registry.example/web:1"]);
    }));
}

Deno.test("thousands of pods that are refused at once are all told, few requests at a time", () =>
  onNode(async (node) => {
    const { api, kubelet } = node;
    const pods = 2_000;
    for (let number = 1; number <= pods; number++) {
      api.put(rogue(number));
    }
    await kubelet.until(
      "all are told",
      () => api.pods().every((pod) => objectOf(pod.status).phase === "Failed") && api.events.length === pods,
    );
    assert.equal(api.requests.filter(fails).length, pods);
    assert.equal(kubelet.store.size, 0);
  }));

Deno.test("a pod that is edited while it waits counts in its one Event, with the latest reason", () =>
  onNode(async (node) => {
    const { api, kubelet, clock } = node;
    const controller = uidOf(900);
    const signed = await owner.sign(makePod({ name: "rogue-2", uid: uidOf(2), controller }));
    api.put(rogue(1, { controller }));
    await kubelet.until("the first has failed", () => node.phase("rogue-1") === "Failed");
    api.put(rogue(2, { controller }));
    await kubelet.until("there is an Event", () => api.events.length === 2);
    api.put(withImage(signed, "registry.example/evil:1"));
    await clock.advance(10_000);
    await settle();
    const { count, message, firstTimestamp, lastTimestamp } = node.event("rogue-2");
    assert.equal(count, 2);
    assert.match(String(message), /spec\.containers\[app\]\.image/);
    assert.ok(String(firstTimestamp) < String(lastTimestamp));
  }));
