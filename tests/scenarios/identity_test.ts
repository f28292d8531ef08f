/**
 * Who a pod is: UID, namespace and name belong together, one to one, for as long as the kubelet holds the pod. What the API
 * server shows under another pod's name or UID never reaches the kubelet, and what the kubelet writes about its own pods,
 * static ones among them, still reaches the API server.
 */
import assert from "node:assert/strict";
import type { JsonObject } from "@signed-pods/shared/json";
import { FakeApiServer } from "../fakes/api_server.ts";
import { makeGate, type TestGate } from "../fakes/gate.ts";
import { FakeKubelet } from "../fakes/kubelet.ts";
import { makeMirror, makePod, objectOf, Owner, uidOf, withMetadata } from "../fakes/owner.ts";
import { jsonAnswer } from "../fakes/upstream.ts";

const owner = await Owner.create();
const LETTERS = "abcdef00-0000-4000-8000-00000000000a";
const HASH = "0123456789abcdef0123456789abcdef";
const KUBE_SYSTEM = { name: "static-worker", namespace: "kube-system" };

const DB = await owner.signedPod({ name: "db-0", uid: uidOf(1) });
const SECOND_DB = withMetadata(DB, { uid: uidOf(2) });
const THIRD_DB = withMetadata(DB, { uid: uidOf(3) });
const TWIN = await owner.signedPod({ name: "twin", uid: uidOf(1) });
const LETTERED = withMetadata(DB, { uid: LETTERS });
const SHOUTED = withMetadata(DB, { uid: LETTERS.toUpperCase() });
const PATH = withMetadata(DB, { uid: "../../x" });
const MIRROR = makeMirror({ uid: uidOf(5) });
const MIRRORED_DB = withMetadata(DB, {
  annotations: { ...objectOf(objectOf(DB.metadata).annotations), "kubernetes.io/config.mirror": HASH },
});
/** Signed, with a mirror's name, and with a mirror's UID. */
const NAMESAKE = await owner.signedPod({ ...KUBE_SYSTEM, uid: uidOf(6) });
const UID_TAKER = await owner.signedPod({ name: "taker", uid: uidOf(5) });
const MARKER = await owner.signedPod({ name: "marker", uid: uidOf(99) });

interface Node extends TestGate {
  api: FakeApiServer;
  kubelet: FakeKubelet;
}

async function onNode(start: "watch-list" | "list", api: FakeApiServer, test: (node: Node) => Promise<void>) {
  const made = await makeGate({ upstream: api.upstream, owner });
  const kubelet = new FakeKubelet({ fetch: made.fetch, start, limit: 1 });
  kubelet.run();
  try {
    await kubelet.until("the kubelet has listed and watches", () => kubelet.syncs > 0 && api.openWatches > 0);
    await test({ ...made, api, kubelet });
  } finally {
    await kubelet.stop();
    await made.gate.close(0);
  }
}

/** What the kubelet holds: `namespace/name UID`, and whether it is to end. */
function held(kubelet: FakeKubelet): string[] {
  return [...kubelet.store].filter(([key]) => key !== "default/marker").map(([key, pod]) => {
    const { uid, deletionTimestamp } = objectOf(pod.metadata);
    return `${key} ${uid}${deletionTimestamp === undefined ? "" : ", ending"}`;
  }).sort();
}

const HELD_DB = `default/db-0 ${uidOf(1)}`;
const HELD_MIRROR = `kube-system/static-worker ${uidOf(5)}`;

type Event = [type: "ADDED" | "MODIFIED" | "DELETED", pod: JsonObject];

const EVENTS: Record<string, { events: Event[]; holds: string[] }> = {
  "a name that is deleted and made again is the successor's": {
    events: [["ADDED", DB], ["DELETED", DB], ["ADDED", SECOND_DB]],
    holds: [`default/db-0 ${uidOf(2)}`],
  },
  "a successor whose predecessor's deletion is told twice stays": {
    events: [["ADDED", DB], ["DELETED", DB], ["ADDED", SECOND_DB], ["DELETED", DB]],
    holds: [`default/db-0 ${uidOf(2)}`],
  },
  "refuses a successor that comes before the deletion, and takes it when it comes again": {
    events: [["ADDED", DB], ["ADDED", SECOND_DB], ["DELETED", DB], ["MODIFIED", SECOND_DB]],
    holds: [`default/db-0 ${uidOf(2)}`],
  },
  "refuses a successor that comes before the deletion, and takes the next one": {
    events: [["ADDED", DB], ["ADDED", SECOND_DB], ["DELETED", DB], ["DELETED", SECOND_DB], [
      "ADDED",
      THIRD_DB,
    ]],
    holds: [`default/db-0 ${uidOf(3)}`],
  },
  "refuses a name that changes hands by MODIFIED": {
    events: [["ADDED", DB], ["MODIFIED", SECOND_DB]],
    holds: [HELD_DB],
  },
  "refuses a predecessor that comes back while its successor is there": {
    events: [["ADDED", DB], ["DELETED", DB], ["ADDED", SECOND_DB], ["ADDED", DB]],
    holds: [`default/db-0 ${uidOf(2)}`],
  },
  "refuses a second pod of one UID, and the deletion of the first under the second's name": {
    events: [["ADDED", DB], ["ADDED", TWIN], ["DELETED", TWIN], ["MODIFIED", TWIN]],
    holds: [HELD_DB],
  },
  "refuses a UID in capitals": { events: [["ADDED", SHOUTED], ["MODIFIED", SHOUTED]], holds: [] },
  "refuses a UID in capitals that is another pod's in small letters, and its deletion": {
    events: [["ADDED", LETTERED], ["MODIFIED", SHOUTED], ["DELETED", SHOUTED]],
    holds: [`default/db-0 ${LETTERS}`],
  },
  "refuses a UID that is a path, and its deletion": {
    events: [["ADDED", PATH], ["ADDED", DB], ["MODIFIED", PATH], ["DELETED", PATH]],
    holds: [HELD_DB],
  },
  "refuses a mirror with a pod's name, and its deletion": {
    events: [
      ["ADDED", DB],
      ["ADDED", makeMirror({ name: "db-0", namespace: "default", uid: uidOf(5) })],
      ["DELETED", makeMirror({ name: "db-0", namespace: "default", uid: uidOf(5) })],
    ],
    holds: [HELD_DB],
  },
  "refuses a mirror with a pod's UID, and its deletion": {
    events: [
      ["ADDED", DB],
      ["ADDED", makeMirror({ uid: uidOf(1) })],
      ["DELETED", makeMirror({ uid: uidOf(1) })],
    ],
    holds: [HELD_DB],
  },
  "refuses a pod with a mirror's name, and its deletion": {
    events: [["ADDED", MIRROR], ["ADDED", NAMESAKE], ["DELETED", NAMESAKE], ["MODIFIED", NAMESAKE]],
    holds: [HELD_MIRROR],
  },
  "refuses a pod with a mirror's UID, however often it comes, and its deletion": {
    events: [["ADDED", MIRROR], ["ADDED", UID_TAKER], ["DELETED", UID_TAKER], ["MODIFIED", UID_TAKER]],
    holds: [HELD_MIRROR],
  },
  "refuses a pod with a mirror's UID after the mirror is gone": {
    events: [["ADDED", MIRROR], ["ADDED", UID_TAKER], ["DELETED", MIRROR], ["ADDED", UID_TAKER]],
    holds: [],
  },
  "refuses a mirror's UID to a second mirror": {
    events: [["ADDED", MIRROR], ["ADDED", withMetadata(MIRROR, { name: "other-worker" })]],
    holds: [HELD_MIRROR],
  },
  "a pod takes a mirror's name when the mirror is gone, and the other way round": {
    events: [["ADDED", MIRROR], ["DELETED", MIRROR], ["ADDED", NAMESAKE], ["DELETED", NAMESAKE], [
      "ADDED",
      withMetadata(MIRROR, { uid: uidOf(7) }),
    ]],
    holds: [`kube-system/static-worker ${uidOf(7)}`],
  },
  "refuses an admitted pod that becomes a mirror: it ends": {
    events: [["ADDED", DB], ["MODIFIED", MIRRORED_DB]],
    holds: [`${HELD_DB}, ending`],
  },
  "refuses to take the end of a pod back that was a mirror for a moment": {
    events: [["ADDED", DB], ["MODIFIED", MIRRORED_DB], ["MODIFIED", DB]],
    holds: [`${HELD_DB}, ending`],
  },
  "refuses a mirror that becomes a pod": {
    events: [["ADDED", MIRRORED_DB], ["MODIFIED", DB], ["MODIFIED", DB]],
    holds: [],
  },
};

for (const [what, { events, holds }] of Object.entries(EVENTS)) {
  Deno.test(what, () =>
    onNode("watch-list", new FakeApiServer(), async ({ api, kubelet }) => {
      let version = 2000;
      for (const [type, pod] of [...events, ["ADDED", MARKER]] satisfies Event[]) {
        api.inject(type, withMetadata(pod, { resourceVersion: String(++version) }));
      }
      await kubelet.until("all events have come", () => kubelet.pod("marker") !== undefined);
      assert.deepEqual(held(kubelet), holds);
      assertOneToOne(kubelet);
    }));
}

/** At no time were there two pods of one UID, or two UIDs of one name without a deletion between. */
function assertOneToOne(kubelet: FakeKubelet): void {
  const names = new Map<unknown, string>();
  const uids = new Map<string, unknown>();
  for (const { type, object } of kubelet.told) {
    if (type === "BOOKMARK" || type === "ERROR") continue;
    const { uid, namespace, name } = objectOf(object.metadata);
    const key = `${namespace}/${name}`;
    assert.equal(names.get(uid) ?? key, key, `${uid} has two names`);
    names.set(uid, key);
    assert.equal(uids.get(key) ?? uid, uid, `${key} has two UIDs`);
    if (type === "DELETED") uids.delete(key);
    else uids.set(key, uid);
  }
}

const LISTS: Record<string, { pages: JsonObject[][]; holds: string[] }> = {
  "refuses both of two pods of one name in a list": { pages: [[DB, SECOND_DB]], holds: [] },
  "refuses the second of two pods of one name on two pages": { pages: [[DB], [SECOND_DB]], holds: [HELD_DB] },
  "refuses both of two pods of one UID in a list": { pages: [[DB, TWIN]], holds: [] },
  "refuses the second of two pods of one UID on two pages": { pages: [[DB], [TWIN]], holds: [HELD_DB] },
  "refuses both of a pod and a mirror of its name in a list": {
    pages: [[DB, makeMirror({ name: "db-0", namespace: "default", uid: uidOf(5) })]],
    holds: [],
  },
  "refuses the second of a mirror and a pod of its UID on two pages": {
    pages: [[MIRROR], [UID_TAKER]],
    holds: [HELD_MIRROR],
  },
  "refuses the second of a pod and a mirror of its UID on two pages": {
    pages: [[UID_TAKER], [MIRROR]],
    holds: [`default/taker ${uidOf(5)}`],
  },
  "refuses UIDs in capitals and such that are paths in a list": {
    pages: [[SHOUTED, PATH, TWIN]],
    holds: [`default/twin ${uidOf(1)}`],
  },
};

for (const [what, { pages, holds }] of Object.entries(LISTS)) {
  Deno.test(what, () => {
    const api = new FakeApiServer();
    api.intercept = (request) => {
      const { pathname, searchParams } = new URL(request.url);
      if (pathname !== "/api/v1/pods" || searchParams.get("watch") === "true") return undefined;
      const index = Number((searchParams.get("continue") ?? "page0").slice("page".length));
      const metadata = {
        resourceVersion: "1000",
        ...(index + 1 < pages.length ? { continue: `page${index + 1}` } : {}),
      };
      return jsonAnswer({ kind: "PodList", apiVersion: "v1", metadata, items: pages[index] ?? [] });
    };
    return onNode("list", api, async ({ kubelet }) => {
      await Promise.resolve();
      assert.deepEqual(held(kubelet), holds);
    });
  });
}

// ---- what the kubelet writes

const STATIC = `/api/v1/namespaces/kube-system/pods/${KUBE_SYSTEM.name}`;
const JSON_TYPE = { "content-type": "application/json" };
const PATCH_TYPE = { "content-type": "application/strategic-merge-patch+json" };

/** As the kubelet deletes: at once, and only this pod (`pkg/kubelet/pod/mirror_client.go`, `status_manager.go`). */
function deletion(uid: string): RequestInit {
  return {
    method: "DELETE",
    headers: JSON_TYPE,
    body: JSON.stringify({
      kind: "DeleteOptions",
      apiVersion: "v1",
      gracePeriodSeconds: 0,
      preconditions: { uid },
    }),
  };
}

function patch(uid: string, status: JsonObject): RequestInit {
  return { method: "PATCH", headers: PATCH_TYPE, body: JSON.stringify({ metadata: { uid }, status }) };
}

async function bodyOf(response: Response): Promise<JsonObject> {
  return objectOf(await response.json());
}

Deno.test("a mirror pod is made, reported on and deleted by the kubelet; answers tell who it is, its phase, and no more", () =>
  onNode("watch-list", new FakeApiServer(), async ({ api, kubelet, fetch, ledger }) => {
    const mirror = withMetadata(makeMirror(), { uid: uidOf(5) });
    const body = JSON.stringify(mirror);
    const made = await fetch("/api/v1/namespaces/kube-system/pods", {
      method: "POST",
      headers: JSON_TYPE,
      body,
    });
    assert.equal(made.status, 201);
    assert.equal(api.requests.at(-1)?.body, body, "it goes up as it is");
    const answer = await bodyOf(made);
    const { resourceVersion: _version, ...metadata } = objectOf(answer.metadata);
    assert.deepEqual({ ...answer, metadata }, {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { ...KUBE_SYSTEM, uid: uidOf(5), annotations: { "kubernetes.io/config.mirror": HASH } },
      status: { phase: "Pending" },
    });
    await kubelet.until("the kubelet has its mirror", () => held(kubelet).includes(HELD_MIRROR));
    assert.deepEqual(objectOf(kubelet.pod(KUBE_SYSTEM.name, KUBE_SYSTEM.namespace)?.spec).containers, []);

    const again = await fetch("/api/v1/namespaces/kube-system/pods", {
      method: "POST",
      headers: JSON_TYPE,
      body,
    });
    assert.deepEqual([again.status, (await bodyOf(again)).reason], [409, "AlreadyExists"]);

    const reported = await fetch(`${STATIC}/status`, patch(uidOf(5), { phase: "Running" }));
    assert.equal(reported.status, 200);
    assert.equal((await bodyOf(reported)).spec, undefined);
    assert.equal(objectOf(api.pod("kube-system", KUBE_SYSTEM.name)?.status).phase, "Running");

    const other = await fetch(STATIC, deletion(uidOf(8)));
    assert.deepEqual([other.status, (await bodyOf(other)).reason], [409, "Conflict"]);
    assert.ok(held(kubelet).includes(HELD_MIRROR));
    assert.equal((await fetch(STATIC, deletion(uidOf(5)))).status, 200);
    await kubelet.until("the mirror is gone", () => held(kubelet).length === 0);
    assert.equal(ledger.size, 0);
  }));

Deno.test("an admitted pod that is deleted is reported on and finally deleted by the kubelet", () =>
  onNode("watch-list", new FakeApiServer(), async ({ api, kubelet, fetch, ledger }) => {
    const path = "/api/v1/namespaces/default/pods/db-0";
    api.put(DB);
    await kubelet.until("it is there", () => held(kubelet).includes(HELD_DB));
    api.delete("default", "db-0");
    await kubelet.until("it is to end", () => held(kubelet).includes(`${HELD_DB}, ending`));
    const ended = patch(uidOf(1), { phase: "Succeeded" });
    assert.equal((await fetch(`${path}/status`, ended)).status, 200);
    assert.equal(api.requests.at(-1)?.body, ended.body, "it goes up as it is");
    assert.equal(objectOf(api.pod("default", "db-0")?.status).phase, "Succeeded");

    const other = await fetch(path, deletion(uidOf(2)));
    assert.deepEqual([other.status, (await bodyOf(other)).reason], [409, "Conflict"]);
    assert.equal(ledger.get(uidOf(1))?.state, "admitted");
    assert.equal((await fetch(path, deletion(uidOf(1)))).status, 200);
    await kubelet.until("it is gone", () => held(kubelet).length === 0);
    assert.equal(ledger.size, 0);

    api.put(SECOND_DB);
    await kubelet.until("its successor runs", () => held(kubelet).includes(`default/db-0 ${uidOf(2)}`));
    const late = await fetch(`${path}/status`, patch(uidOf(1), { phase: "Failed" }));
    assert.deepEqual([late.status, (await bodyOf(late)).reason], [409, "Conflict"]);
    assert.equal(objectOf(api.pod("default", "db-0")?.status).phase, "Pending");
  }));

Deno.test("refuses to let a mirror's deletion by the kubelet take a pod along that is not that mirror", () =>
  onNode("watch-list", new FakeApiServer(), async ({ api, kubelet, fetch }) => {
    api.put(NAMESAKE);
    await kubelet.until("it is there", () => held(kubelet).length === 1);
    const refused = await fetch(STATIC, deletion(uidOf(5)));
    assert.deepEqual([refused.status, (await bodyOf(refused)).reason], [409, "Conflict"]);
    assert.deepEqual(held(kubelet), [`kube-system/static-worker ${uidOf(6)}`]);
    api.put(makePod({ name: "rogue", uid: uidOf(9) }));
    await kubelet.until(
      "the rogue is refused",
      () => objectOf(api.pod("default", "rogue")?.status).phase === "Failed",
    );
    assert.deepEqual(held(kubelet), [`kube-system/static-worker ${uidOf(6)}`]);
  }));
