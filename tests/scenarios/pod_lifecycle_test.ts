/** The gate between a kubelet and an API server, from the first list to the last container. */
import assert from "node:assert/strict";
import { createVerifier } from "@signed-pods/shared/pod/verify";
import { REJECTION_REASON } from "../../proxy/pods/rejection.ts";
import { openLedger } from "../../proxy/pods/ledger.ts";
import type { Upstream } from "../../proxy/upstream.ts";
import { FakeApiServer } from "../fakes/api_server.ts";
import { createReplaceableVerifier } from "../../proxy/credentials/replaceable_verifier.ts";
import { settle } from "../fakes/clock.ts";
import { makeGate, type TestGate } from "../fakes/gate.ts";
import { FakeKubelet } from "../fakes/kubelet.ts";
import { memoryLedger, MemoryLedgerStore } from "../fakes/ledger.ts";
import { MemoryLog } from "../fakes/log.ts";
import {
  makeMirror,
  makePod,
  objectOf,
  Owner,
  type PodOptions,
  uidOf,
  withImage,
  withMetadata,
} from "../fakes/owner.ts";

const owner = await Owner.create();

interface Node extends TestGate {
  api: FakeApiServer;
  kubelet: FakeKubelet;
}

/** Runs a node until the test is over. */
async function onNode(
  test: (node: Node) => Promise<void>,
  options: { start?: "watch-list" | "list"; api?: FakeApiServer; limit?: number } = {},
): Promise<void> {
  const { api = new FakeApiServer(), start = "watch-list", limit = 500 } = options;
  const made = await makeGate({ upstream: api.upstream, owner });
  const kubelet = new FakeKubelet({ fetch: made.fetch, start, limit });
  kubelet.run();
  try {
    await kubelet.until("the kubelet has listed", () => kubelet.syncs > 0);
    await test({ ...made, api, kubelet });
  } finally {
    await kubelet.stop();
    await made.gate.close(0);
  }
  await settle();
  assert.equal(api.openWatches, 0, "no watch outlives the kubelet");
}

/** A new process of the proxy, with the ledger that the one before it left. */
async function startProxy(api: FakeApiServer, store: MemoryLedgerStore): Promise<TestGate> {
  return await makeGate({
    upstream: api.upstream,
    owner,
    ledger: await openLedger(store, new MemoryLog()),
  });
}

function signed(options: PodOptions): ReturnType<Owner["signedPod"]> {
  return owner.signedPod(options);
}

for (const start of ["watch-list", "list"] as const) {
  Deno.test(`a signed pod is shown, changes with its status, and goes (${start})`, () =>
    onNode(async ({ api, kubelet, ledger }) => {
      api.put(await signed({ name: "web" }));
      await kubelet.until("the pod is there", () => kubelet.pod("web") !== undefined);
      assert.equal(ledger.get(uidOf(1))?.state, "admitted");
      const reported = await kubelet.report("web", { phase: "Running" });
      assert.equal(reported.status, 200);
      await kubelet.until("it runs", () => objectOf(kubelet.pod("web")?.status).phase === "Running");
      api.remove("default", "web");
      await kubelet.until("it is gone", () => kubelet.pod("web") === undefined);
      assert.deepEqual(kubelet.types("web"), ["ADDED", "MODIFIED", "DELETED"]);
      assert.equal(ledger.size, 0);
    }, { start }));

  Deno.test(`refuses an unsigned pod: hidden, marked Failed, with an Event (${start})`, () =>
    onNode(async ({ api, kubelet }) => {
      api.put(makePod({ name: "rogue" }));
      api.put(await signed({ name: "web", uid: uidOf(2) }));
      await kubelet.until("the signed pod is there", () => kubelet.pod("web") !== undefined);
      await kubelet.until("the other has failed", () => phaseOf(api, "rogue") === "Failed");
      const status = objectOf(api.pod("default", "rogue")?.status);
      assert.equal(status.reason, REJECTION_REASON);
      await kubelet.until("there is an Event", () => api.events.length === 1);
      assert.deepEqual(kubelet.types("rogue"), []);
    }, { start }));
}

Deno.test("a pod that is there before the kubelet is judged in the list, page by page", async () => {
  const api = new FakeApiServer();
  for (let number = 1; number <= 7; number++) {
    api.put(await signed({ name: `web-${number}`, uid: uidOf(number) }));
  }
  await onNode(async ({ kubelet, ledger }) => {
    await Promise.resolve();
    assert.equal(kubelet.store.size, 7);
    assert.equal(ledger.size, 7);
  }, { api, start: "list", limit: 3 });
});

Deno.test("a changed pod is stopped with its last good spec, and Failed only when its containers are gone", () =>
  onNode(async ({ api, kubelet, ledger, log }) => {
    api.put(await signed({ name: "web" }));
    await kubelet.until("the pod is there", () => kubelet.pod("web") !== undefined);
    await kubelet.report("web", { phase: "Running" });
    api.change("default", "web", (pod) => withImage(pod, "registry.example/evil:1"));
    await kubelet.until("it is being stopped", () => deletionOf(kubelet) !== undefined);
    const shown = objectOf(objectOf(kubelet.pod("web")).metadata);
    assert.equal(shown.deletionGracePeriodSeconds, 30);
    assert.equal(ledger.get(uidOf(1))?.state, "stopping");
    assert.equal(phaseOf(api, "web"), "Running", "nothing is Failed while containers run");

    await kubelet.report("web", { containerStatuses: [] });
    assert.equal(phaseOf(api, "web"), "Running");

    const ended = await kubelet.report("web", { phase: "Succeeded" });
    assert.equal(ended.status, 200);
    const status = objectOf(api.pod("default", "web")?.status);
    assert.equal(status.phase, "Failed");
    assert.equal(status.reason, REJECTION_REASON);
    assert.match(String(status.message), /spec\.containers\[app\]\.image/);
    await kubelet.until("it is gone", () => kubelet.pod("web") === undefined);
    assert.equal(ledger.get(uidOf(1))?.state, "stopped");
    assert.deepEqual(kubelet.types("web").at(-1), "DELETED");

    const told = kubelet.types("web").length;
    api.change("default", "web", (pod) => withMetadata(pod, { labels: { a: "b" } }));
    api.put(await signed({ name: "next", uid: uidOf(2) }));
    await kubelet.until("the next pod is there", () => kubelet.pod("next") !== undefined);
    assert.equal(kubelet.types("web").length, told, "later events are hidden");

    assert.deepEqual([...kubelet.images.get(uidOf(1)) ?? []], ["registry.example/web:1"]);
    assert.equal(log.of("pod-stopping").length, 1);
    assert.equal(log.of("pod-stopped").length, 1);
  }));

Deno.test("refuses to run a pod again that was stopped, even if its old spec comes back", () =>
  onNode(async ({ api, kubelet, ledger }) => {
    const good = await signed({ name: "web" });
    api.put(good);
    await kubelet.until("the pod is there", () => kubelet.pod("web") !== undefined);
    api.put(withImage(good, "registry.example/evil:1"));
    await kubelet.until("it is being stopped", () => deletionOf(kubelet) !== undefined);
    api.put(good);
    api.put(await signed({ name: "next", uid: uidOf(2) }));
    await kubelet.until("the next pod is there", () => kubelet.pod("next") !== undefined);
    assert.notEqual(deletionOf(kubelet), undefined);
    assert.equal(ledger.get(uidOf(1))?.state, "stopping");
  }));

Deno.test("a denied pod that becomes allowed appears as ADDED", () =>
  onNode(async ({ api, kubelet }) => {
    const pod = makePod({ name: "web", controller: uidOf(900) });
    api.put(makePod({ name: "first", uid: uidOf(2), controller: uidOf(900) }));
    await kubelet.until("the first has failed", () => phaseOf(api, "first") === "Failed");
    api.put(pod);
    await kubelet.until("an Event tells of the wait", () => api.events.length === 2);
    assert.equal(phaseOf(api, "web"), "Pending");
    api.put(await owner.sign(pod));
    await kubelet.until("it is there", () => kubelet.pod("web") !== undefined);
    assert.deepEqual(kubelet.types("web"), ["ADDED"]);
  }));

Deno.test("a hidden pod that is being deleted is deleted", () =>
  onNode(async ({ api, kubelet }) => {
    api.put(makePod({ name: "first", uid: uidOf(2), controller: uidOf(900) }));
    await kubelet.until("the first has failed", () => phaseOf(api, "first") === "Failed");
    api.put(makePod({ name: "rogue", controller: uidOf(900) }));
    await kubelet.until("it waits", () => api.events.length === 2);
    api.delete("default", "rogue");
    await kubelet.until("it is gone", () => api.pod("default", "rogue") === undefined);
    const request = api.requests.find(({ method }) => method === "DELETE");
    assert.deepEqual(JSON.parse(request?.body ?? ""), {
      kind: "DeleteOptions",
      apiVersion: "v1",
      gracePeriodSeconds: 0,
      preconditions: { uid: uidOf(1) },
    });
  }));

Deno.test("a successor of a refused pod's name runs as soon as it is signed", () =>
  onNode(async ({ api, kubelet }) => {
    api.put(makePod({ name: "db-0", uid: uidOf(1) }));
    await kubelet.until("it has failed", () => phaseOf(api, "db-0") === "Failed");
    api.remove("default", "db-0");
    api.put(await signed({ name: "db-0", uid: uidOf(2) }));
    await kubelet.until("the successor is there", () => kubelet.pod("db-0") !== undefined);
  }));

Deno.test("mirror pods pass without their spec", () =>
  onNode(async ({ api, kubelet }) => {
    api.put(makeMirror({ uid: uidOf(7) }));
    await kubelet.until("it is there", () => kubelet.pod("static-worker", "kube-system") !== undefined);
    assert.equal(kubelet.images.get(uidOf(7)), undefined);
  }));

Deno.test("a watch that breaks is resumed; one that a new process has not served is not", async () => {
  const api = new FakeApiServer();
  const store = new MemoryLedgerStore();
  api.put(await signed({ name: "web" }));
  const first = await startProxy(api, store);
  let { fetch } = first;
  const kubelet = new FakeKubelet({ fetch: (path, init) => fetch(path, init) });
  kubelet.run();
  await kubelet.until("the pod is there", () => kubelet.pod("web") !== undefined);
  api.endWatches();
  await kubelet.until("it watches again", () => api.openWatches === 1);
  assert.equal(kubelet.syncs, 1, "it has not listed again");

  const second = await startProxy(api, store);
  fetch = second.fetch;
  await first.gate.close(0);
  await kubelet.until("it has listed again", () => kubelet.syncs === 2);
  assert.ok(kubelet.failures.includes(410));
  assert.notEqual(kubelet.pod("web"), undefined);
  assert.equal(deletionOf(kubelet), undefined);
  await kubelet.stop();
  await second.gate.close(0);
});

Deno.test("a pod that changed while the proxy was away is stopped by the next one", async () => {
  const api = new FakeApiServer();
  const store = new MemoryLedgerStore();
  api.put(await signed({ name: "web" }));
  const first = await startProxy(api, store);
  let { fetch } = first;
  const kubelet = new FakeKubelet({ fetch: (path, init) => fetch(path, init) });
  kubelet.run();
  await kubelet.until("the pod is there", () => kubelet.pod("web") !== undefined);
  const second = await startProxy(api, store);
  fetch = () => Promise.reject(new TypeError("connection refused"));
  await first.gate.close(0);
  api.change("default", "web", (pod) => withImage(pod, "registry.example/evil:1"));
  fetch = second.fetch;
  await kubelet.until("it is being stopped", () => deletionOf(kubelet) !== undefined);
  assert.deepEqual([...kubelet.images.get(uidOf(1)) ?? []], ["registry.example/web:1"]);
  await kubelet.stop();
  await second.gate.close(0);
});

Deno.test("a pod whose signature has expired keeps running, also under the next process", async () => {
  const api = new FakeApiServer();
  const store = new MemoryLedgerStore();
  const notAfter = new Date("2026-01-02T00:00:00Z");
  api.put(await owner.signedPod({ name: "web" }, { notAfter }));
  const first = await startProxy(api, store);
  let { fetch } = first;
  const kubelet = new FakeKubelet({ fetch: (path, init) => fetch(path, init), start: "list" });
  kubelet.run();
  await kubelet.until("the pod is there", () => kubelet.pod("web") !== undefined);
  await first.clock.advance(48 * 3_600_000);
  const second = await makeGate({
    upstream: api.upstream,
    owner,
    ledger: await openLedger(store, new MemoryLog()),
    clock: first.clock,
  });
  fetch = second.fetch;
  await first.gate.close(0);
  api.put(await owner.signedPod({ name: "late", uid: uidOf(2) }, { notAfter }));
  await kubelet.until("it has listed again", () => kubelet.syncs === 2);
  await kubelet.until("the late one is refused", () => phaseOf(api, "late") === "Failed");
  assert.notEqual(kubelet.pod("web"), undefined);
  assert.equal(deletionOf(kubelet), undefined);
  assert.equal(kubelet.pod("late"), undefined);
  await kubelet.stop();
  await second.gate.close(0);
});

Deno.test("keys change under a running node: overlap, removal and revocation", async () => {
  const api = new FakeApiServer();
  const next = await Owner.create();
  const trusting = (trusted: Owner[], revoked: Owner[] = []) =>
    createVerifier({
      keys: trusted.map((one) => one.verificationKey),
      revoked: revoked.map((one) => one.verificationKey),
      acceptForms: new Set(["template"]),
      requireDigests: false,
    });
  const verifier = createReplaceableVerifier(trusting([owner]));
  const { gate, fetch } = await makeGate({ upstream: api.upstream, owner, verifier });
  const kubelet = new FakeKubelet({ fetch, start: "watch-list" });
  kubelet.run();
  const change = async (trusted: Owner[], revoked: Owner[] = []) => {
    const before = kubelet.syncs;
    verifier.replace(trusting(trusted, revoked));
    await gate.judgeAgain(new Set(revoked.map((one) => one.verificationKey.id)));
    await kubelet.until("it has listed again", () => kubelet.syncs > before);
  };
  try {
    await kubelet.until("the kubelet has listed", () => kubelet.syncs > 0);
    api.put(await owner.signedPod({ name: "old" }));
    await kubelet.until("the old one runs", () => kubelet.pod("old") !== undefined);

    await change([owner, next]);
    api.put(await next.signedPod({ name: "new", uid: uidOf(2) }));
    await kubelet.until("the new one runs", () => kubelet.pod("new") !== undefined);

    await change([next]);
    assert.notEqual(kubelet.pod("old"), undefined);
    assert.equal(deletionOf(kubelet, "old"), undefined);
    api.put(await owner.signedPod({ name: "late", uid: uidOf(3) }));
    await kubelet.until("the old key admits no more", () => phaseOf(api, "late") === "Failed");

    await change([next], [owner]);
    await kubelet.until("the old one is stopped", () => deletionOf(kubelet, "old") !== undefined);
    assert.equal(deletionOf(kubelet, "new"), undefined);
  } finally {
    await kubelet.stop();
    await gate.close(0);
  }
});

for (const restarted of [false, true]) {
  const what = restarted ? ", and a new proxy has seen nothing yet" : "";
  Deno.test(`refuses to let a revoked key's pods run on while the API server is silent${what}`, async () => {
    const api = new FakeApiServer();
    const verifier = createReplaceableVerifier(owner.verifier);
    let silent = false;
    const upstream: Upstream = {
      send: async (request) => {
        if (silent) {
          await new Promise<void>((resolve) => {
            request.signal?.addEventListener("abort", () => resolve());
            if (request.signal?.aborted !== false) resolve();
          });
          throw new TypeError("the API server has not answered");
        }
        return await api.upstream.send(request);
      },
    };
    const ledger = await memoryLedger();
    const first = await makeGate({ upstream, owner, verifier, ledger });
    const second = await makeGate({ upstream, owner, verifier, ledger });
    let { gate, fetch } = first;
    const kubelet = new FakeKubelet({ fetch: (...request) => fetch(...request), start: "watch-list" });
    kubelet.run();
    try {
      await kubelet.until("the kubelet has listed", () => kubelet.syncs > 0);
      api.put(await owner.signedPod({ name: "old" }));
      await kubelet.until("it runs", () => kubelet.pod("old") !== undefined);
      await kubelet.until("it watches", () => api.openWatches > 0);
      const syncs = kubelet.syncs;
      silent = true;
      verifier.replace(createVerifier({
        keys: [],
        revoked: [owner.verificationKey],
        acceptForms: new Set(["template"]),
        requireDigests: false,
      }));
      if (restarted) ({ gate, fetch } = second);
      await gate.judgeAgain(new Set([owner.verificationKey.id]));
      if (restarted) void first.gate.close(0);
      await kubelet.until("it is stopped", () => deletionOf(kubelet, "old") !== undefined);
      assert.equal(kubelet.syncs, syncs, "without a list");
    } finally {
      await kubelet.stop();
      // The Event of the pod waits for an answer, until the deadline.
      const closed = [first, second].map((made) => made.gate.close(0));
      await Promise.all([first, second].map((made) => made.clock.advance(1)));
      await Promise.all(closed);
    }
  });
}

Deno.test("an unsigned Deployment makes few pods in a minute", () =>
  onNode(async ({ api, kubelet, clock }) => {
    const controller = uidOf(900);
    let made = 0;
    const make = () => api.put(makePod({ name: `web-${++made}`, uid: uidOf(made), controller }));
    make();
    make();
    for (let second = 0; second < 60; second++) {
      await clock.advance(1000);
      // The ReplicaSet wants two pods that have not failed.
      while (api.pods().filter((pod) => objectOf(pod.status).phase !== "Failed").length < 2) {
        make();
        await settle();
      }
    }
    await kubelet.until("all have an Event", () => api.events.length === made);
    assert.ok(made <= 12, `${made} pods`);
    assert.ok(made > 3, `${made} pods`);
  }));

function phaseOf(api: FakeApiServer, name: string): unknown {
  const pod = api.pod("default", name);
  return pod === undefined ? undefined : objectOf(pod.status).phase;
}

function deletionOf(kubelet: FakeKubelet, name = "web"): unknown {
  const pod = kubelet.pod(name);
  return pod === undefined ? undefined : objectOf(pod.metadata).deletionTimestamp;
}
