import assert from "node:assert/strict";
import type { JsonObject } from "@signed-pods/shared/json";
import { MAX_CONCURRENT_PODS, MAX_PATCH_BYTES, MAX_POD_BYTES } from "./pod_object.ts";
import { settle } from "../../tests/fakes/clock.ts";
import { REJECTION_REASON } from "./rejection.ts";
import { makeGate, type TestGate } from "../../tests/fakes/gate.ts";
import {
  makePod,
  NODE_NAME,
  objectOf,
  Owner,
  uidOf,
  withImage,
  withMetadata,
  withStatus,
} from "../../tests/fakes/owner.ts";
import { jsonAnswer, upstreamAnswering, upstreamOf } from "../../tests/fakes/upstream.ts";

const owner = await Owner.create();
const GOOD = await owner.signedPod();
const EVIL = withImage(GOOD, "registry.example/evil:1");
const POD = "/api/v1/namespaces/default/pods/web";
const PATCH_TYPE = "application/strategic-merge-patch+json";

interface Sent {
  method: string;
  path: string;
  body: Uint8Array;
  contentType: string | null;
}

interface Bench extends TestGate {
  sent: Sent[];
  /** What the API server answers from now on. */
  answer: () => Response | Promise<Response>;
  /** Lets the kubelet see the pod in a list. */
  list(...pods: JsonObject[]): Promise<void>;
}

async function makeBench(answer: () => Response | Promise<Response>, mode?: "audit"): Promise<Bench> {
  const sent: Sent[] = [];
  const made = await makeGate({
    owner,
    ...(mode === undefined ? {} : { mode }),
    upstream: upstreamOf(async (request) => {
      sent.push({
        method: request.method,
        path: new URL(request.url).pathname + new URL(request.url).search,
        body: new Uint8Array(await request.arrayBuffer()),
        contentType: request.headers.get("content-type"),
      });
      return await bench.answer();
    }),
  });
  const bench: Bench = {
    ...made,
    sent,
    answer,
    async list(...items) {
      const before = bench.answer;
      bench.answer = () =>
        jsonAnswer({ kind: "PodList", apiVersion: "v1", metadata: { resourceVersion: "42" }, items });
      const response = await made.fetch(`/api/v1/pods?fieldSelector=spec.nodeName%3D${NODE_NAME}`);
      assert.equal(response.status, 200);
      await response.body?.cancel();
      bench.answer = before;
      sent.length = 0;
    },
  };
  return bench;
}

async function bodyOf(response: Response): Promise<JsonObject> {
  return objectOf(await response.json());
}

function patchInit(body: unknown, contentType = PATCH_TYPE): RequestInit {
  return {
    method: "PATCH",
    headers: { "content-type": contentType },
    body: typeof body === "string" ? body : JSON.stringify(body),
  };
}

const ENDED = {
  metadata: { uid: uidOf(1) },
  status: { phase: "Succeeded", containerStatuses: [{ name: "app" }] },
};

Deno.test("GET shows an allowed pod, built again", async () => {
  const bench = await makeBench(() => jsonAnswer(withMetadata(GOOD, { labels: { forged: "label" } })));
  const response = await bench.fetch(POD);
  const metadata = objectOf((await bodyOf(response))["metadata"]);
  assert.equal(metadata["name"], "web");
  assert.equal(metadata["labels"], undefined);
  assert.equal(bench.ledger.size, 0, "GET admits nothing");
});

Deno.test("refuses a denied pod to GET as one that does not exist", async () => {
  const bench = await makeBench(() => jsonAnswer(makePod()));
  const response = await bench.fetch(POD);
  assert.equal(response.status, 404);
  assert.deepEqual(await bodyOf(response), {
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    message: 'pods "web" not found',
    reason: "NotFound",
    details: { name: "web", kind: "pods" },
    code: 404,
  });
  assert.deepEqual(bench.sent.map(({ method, path }) => [method, path]), [["GET", POD]]);
});

Deno.test("a pod that is not there is not there", async () => {
  const missing = { kind: "Status", apiVersion: "v1", reason: "NotFound", message: 'pods "web" not found' };
  const bench = await makeBench(() => jsonAnswer(missing, { status: 404 }));
  assert.equal((await bench.fetch(POD)).status, 404);
});

for (
  const [what, make] of [
    ["that is not JSON", () => jsonAnswer("{")],
    ["that is no Pod", () => jsonAnswer({ ...GOOD, kind: "Secret" })],
    ["that is another pod", () => jsonAnswer(withMetadata(GOOD, { name: "other" }))],
    ["in another namespace", () => jsonAnswer(withMetadata(GOOD, { namespace: "other" }))],
    ["without an identity", () => jsonAnswer(withMetadata(GOOD, { uid: "x" }))],
    ["with status 204", () => new Response(null, { status: 204 })],
  ] as const
) {
  Deno.test(`refuses an answer to GET ${what}`, async () => {
    const bench = await makeBench(make);
    assert.equal((await bench.fetch(POD)).status, 502);
    assert.deepEqual(bench.log.events(), ["answer-refused"]);
  });
}

Deno.test("writes go up as they are, and come back as identity and phase", async () => {
  const bench = await makeBench(() =>
    jsonAnswer(withMetadata(EVIL, { deletionTimestamp: "2026-01-01T00:00:00Z" }))
  );
  const body = new Uint8Array([0x6b, 0x38, 0x73, 0x00, 0xff, 0xfe]);
  const response = await bench.fetch("/api/v1/namespaces/default/pods?fieldManager=kubelet", {
    method: "POST",
    headers: { "content-type": "application/vnd.kubernetes.protobuf", "authorization": "Bearer kubelet" },
    body,
  });
  assert.deepEqual(await bodyOf(response), {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: "web",
      namespace: "default",
      uid: uidOf(1),
      resourceVersion: "1",
      deletionTimestamp: "2026-01-01T00:00:00Z",
    },
    status: { phase: "Pending" },
  });
  assert.deepEqual(bench.sent, [{
    method: "POST",
    path: "/api/v1/namespaces/default/pods?fieldManager=kubelet",
    body,
    contentType: "application/vnd.kubernetes.protobuf",
  }]);
});

Deno.test("a status PATCH of a running pod is not touched", async () => {
  const bench = await makeBench(() => jsonAnswer(GOOD));
  await bench.list(GOOD);
  const text = ' {"metadata": {"uid":"x"}, "status": {"phase":"Succeeded"}} ';
  const response = await bench.fetch(`${POD}/status`, patchInit(text));
  assert.equal(response.status, 200);
  assert.equal(new TextDecoder().decode(bench.sent[0]?.body), text);
  assert.equal(bench.ledger.get(uidOf(1))?.state, "admitted");
});

Deno.test("a DELETE that is answered with a Status of success is", async () => {
  const success = { kind: "Status", apiVersion: "v1", status: "Success", details: { secret: "x" } };
  const bench = await makeBench(() => jsonAnswer(success, { status: 202 }));
  const response = await bench.fetch(POD, { method: "DELETE" });
  assert.equal(response.status, 202);
  assert.deepEqual(await bodyOf(response), {
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Success",
  });
});

Deno.test("a write that fails is answered with a Status that is built again", async () => {
  const conflict = { kind: "Status", apiVersion: "v1", reason: "AlreadyExists", message: "exists", spec: {} };
  const bench = await makeBench(() => jsonAnswer(conflict, { status: 409 }));
  const response = await bench.fetch("/api/v1/namespaces/default/pods", { method: "POST", body: "{}" });
  assert.equal(response.status, 409);
  assert.equal((await bodyOf(response))["reason"], "AlreadyExists");
});

for (
  const [what, make] of [
    ["that is not JSON", () => jsonAnswer("pods")],
    [
      "that is a Status of failure with 200",
      () => jsonAnswer({ kind: "Status", apiVersion: "v1", status: "Failure" }),
    ],
    ["that is of another kind", () => jsonAnswer({ ...GOOD, kind: "Secret" })],
    ["with malformed metadata", () => jsonAnswer(withMetadata(GOOD, { uid: "../x" }))],
    ["with a redirect", () => new Response(null, { status: 302, headers: { location: "/" } })],
  ] as const
) {
  Deno.test(`refuses an answer to a write ${what}`, async () => {
    const bench = await makeBench(make);
    assert.equal((await bench.fetch(POD, { method: "DELETE" })).status, 502);
  });
}

async function stoppingBench(
  answer: () => Response | Promise<Response> = () => jsonAnswer(EVIL),
): Promise<Bench> {
  const bench = await makeBench(answer);
  await bench.list(GOOD);
  await bench.list(EVIL);
  return bench;
}

Deno.test("the report that a stopped pod's containers have ended becomes Failed, with the reason", async () => {
  const bench = await stoppingBench();
  const response = await bench.fetch(`${POD}/status`, patchInit({ ...ENDED, "$setElementOrder/x": [] }));
  assert.equal(response.status, 200);
  const sent = objectOf(JSON.parse(new TextDecoder().decode(bench.sent[0]?.body)));
  const status = objectOf(sent["status"]);
  assert.match(String(status["message"]), /^Pod rejected by kubelet-proxy: .*image/);
  assert.deepEqual(sent, {
    metadata: { uid: uidOf(1) },
    status: {
      phase: "Failed",
      containerStatuses: [{ name: "app" }],
      reason: REJECTION_REASON,
      message: status["message"] ?? null,
    },
    "$setElementOrder/x": [],
  });
  assert.equal(bench.ledger.get(uidOf(1))?.state, "stopped");
  bench.answer = () => jsonAnswer(EVIL);
  assert.equal((await bench.fetch(POD)).status, 404);

  bench.sent.length = 0;
  const late = { metadata: { uid: uidOf(1) }, status: { reason: null, message: null } };
  await bench.fetch(`${POD}/status`, patchInit(late));
  assert.match(
    new TextDecoder().decode(bench.sent[0]?.body),
    /NodeAdmissionRejected/,
    "nothing takes the reason away",
  );
});

Deno.test("while containers run, a stopped pod's status PATCH is not touched", async () => {
  const bench = await stoppingBench();
  const text = ` {"metadata":{"uid":"${uidOf(1)}"},"status":{"phase":"Running"}}`;
  await bench.fetch(`${POD}/status`, patchInit(text));
  assert.equal(new TextDecoder().decode(bench.sent[0]?.body), text);
  await bench.fetch(`${POD}/status`, patchInit({ metadata: { uid: uidOf(1) } }));
  assert.equal(bench.ledger.get(uidOf(1))?.state, "stopping");
});

Deno.test("a report about another pod of that name is not touched", async () => {
  const bench = await stoppingBench();
  const other = { ...ENDED, metadata: { uid: uidOf(9) } };
  await bench.fetch(`${POD}/status`, patchInit(other));
  assert.equal(new TextDecoder().decode(bench.sent[0]?.body), JSON.stringify(other));
  assert.equal(bench.ledger.get(uidOf(1))?.state, "stopping");
});

Deno.test("a report that is not taken changes nothing", async () => {
  const bench = await stoppingBench(() => jsonAnswer({ kind: "Status", apiVersion: "v1" }, { status: 500 }));
  assert.equal((await bench.fetch(`${POD}/status`, patchInit(ENDED))).status, 500);
  assert.equal(bench.ledger.get(uidOf(1))?.state, "stopping");
  bench.answer = () => Promise.reject(new TypeError("connection reset"));
  await assert.rejects(bench.fetch(`${POD}/status`, patchInit(ENDED)), TypeError);
  await bench.list(withStatus(EVIL, { phase: "Failed" }));
  assert.equal(bench.ledger.get(uidOf(1))?.state, "stopping");
});

Deno.test("a report that is taken counts even if the ledger cannot be written", async () => {
  const bench = await stoppingBench();
  bench.ledger.flush = () => Promise.reject(new Error("no space left on device"));
  assert.equal((await bench.fetch(`${POD}/status`, patchInit(ENDED))).status, 200);
  assert.equal(bench.ledger.get(uidOf(1))?.state, "stopped");
  assert.equal(bench.log.of("ledger-failed").length, 1);
});

Deno.test("a DELETE of a pod that is being stopped is not touched", async () => {
  const bench = await stoppingBench();
  assert.equal((await bench.fetch(POD, { method: "DELETE", body: "x" })).status, 200);
  assert.equal(new TextDecoder().decode(bench.sent[0]?.body), "x");
});

for (
  const [what, init, code] of [
    ["that is not JSON", patchInit("{"), 400],
    ["with a key twice", patchInit(`{"metadata":{"uid":"${uidOf(1)}","uid":"x"}}`), 400],
    ["without a UID", patchInit({ status: { phase: "Failed" } }), 400],
    ["without metadata", patchInit({ metadata: null, status: { phase: "Failed" } }), 400],
    [
      "with an integer that would be rounded",
      patchInit(`{"metadata":{"uid":"${uidOf(1)}"},"status":{"phase":"Failed","x":9007199254740993}}`),
      400,
    ],
    ["of another type", patchInit(ENDED, "application/merge-patch+json"), 415],
    ["without a type", { method: "PATCH", body: new Uint8Array([0x7b, 0x7d]) }, 415],
    ["that is too large", patchInit(`"${"x".repeat(MAX_PATCH_BYTES)}"`), 413],
  ] as const
) {
  Deno.test(`refuses a status PATCH ${what} for a pod that is being stopped`, async () => {
    const bench = await stoppingBench();
    const response = await bench.fetch(`${POD}/status`, init);
    assert.equal(response.status, code);
    assert.equal((await bodyOf(response))["code"], code);
    assert.deepEqual(bench.sent, []);
    assert.equal(bench.ledger.get(uidOf(1))?.state, "stopping");
  });
}

Deno.test("the status PATCH of a pod that runs goes up byte by byte, whatever is in it", async () => {
  const bench = await makeBench(() => jsonAnswer(makePod()));
  const texts = [
    ' {"status":{"phase":"Failed"}}',
    '{"status":{"phase":"Failed"',
    '{"a":1,"a":"Failed"}',
    "\u00ff",
  ];
  for (const text of texts) {
    assert.equal((await bench.fetch(`${POD}/status`, patchInit(text))).status, 200);
    assert.equal(new TextDecoder().decode(bench.sent.at(-1)?.body), text);
  }
});

Deno.test("refuses a status PATCH that is too large, also of a pod that runs", async () => {
  const bench = await makeBench(() => jsonAnswer(makePod()));
  const response = await bench.fetch(`${POD}/status`, patchInit(`"${"x".repeat(MAX_PATCH_BYTES)}"`));
  assert.equal(response.status, 413);
  assert.deepEqual(bench.sent, []);
});

Deno.test("refuses a status PATCH that breaks off for a pod that is being stopped", async () => {
  const bench = await stoppingBench();
  const body = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.error(new TypeError("reset")),
  });
  const request = new Request(`http://proxy.invalid${POD}/status`, {
    method: "PATCH",
    headers: { "content-type": PATCH_TYPE },
    body,
  });
  const response = await bench.gate.write(request, {
    method: "PATCH",
    path: `${POD}/status`,
    namespace: "default",
    name: "web",
    subresource: "status",
  }, new AbortController().signal);
  assert.equal(response.status, 400);
});

Deno.test("in audit, answers come back as they are", async () => {
  const make = () => new Response("{ as it is", { status: 203, headers: { "content-type": "text/plain" } });
  const bench = await makeBench(make, "audit");
  for (const init of [{}, { method: "DELETE" }]) {
    const response = await bench.fetch(POD, init);
    assert.equal(response.status, 203);
    assert.equal(await response.text(), "{ as it is");
    assert.equal(response.headers.get("content-type"), "text/plain");
  }
  const empty = await makeGate({
    owner,
    mode: "audit",
    upstream: upstreamAnswering(() => new Response(null)),
  });
  assert.equal((await empty.fetch(POD)).headers.has("content-type"), false);
});

Deno.test("refuses a pod over the bound of bytes, read or written", async () => {
  const pod = (bytes: number) => {
    const empty = JSON.stringify({ ...GOOD, padding: "" }).length;
    return () => jsonAnswer({ ...GOOD, padding: "x".repeat(bytes - empty) });
  };
  const bench = await makeBench(pod(MAX_POD_BYTES));
  assert.equal((await bench.fetch(`${POD}/status`, { method: "PATCH", body: "{}" })).status, 200);
  bench.answer = pod(MAX_POD_BYTES + 1);
  for (const init of [{}, { method: "DELETE" }]) {
    const response = await bench.fetch(POD, init);
    assert.equal(response.status, 502);
    assert.match(String(objectOf(await response.json())["message"]), /larger than 8388608 bytes/);
  }
  assert.equal(bench.log.of("answer-refused").length, 2);
});

Deno.test("refuses one request for a pod too many at the same time, until another is done", async () => {
  const waiting: (() => void)[] = [];
  const bench = await makeBench(() =>
    new Promise((resolve) => waiting.push(() => resolve(jsonAnswer(GOOD))))
  );
  const requests = Array.from({ length: MAX_CONCURRENT_PODS }, () => bench.fetch(POD));
  await settle();
  for (const init of [{}, { method: "DELETE" }]) {
    const refused = await bench.fetch(POD, init);
    assert.deepEqual([refused.status, refused.headers.get("retry-after")], [429, "1"]);
  }
  assert.equal(bench.log.of("request-refused").length, 2);
  waiting[0]?.();
  await requests[0];
  const next = bench.fetch(POD, { method: "DELETE" });
  await settle();
  for (const answer of waiting) answer();
  assert.equal((await next).status, 200);
  await Promise.all(requests);
});

Deno.test("refuses to wait for ever for a status PATCH for a pod that is being stopped", async () => {
  const bench = await stoppingBench();
  const timeout = new AbortController();
  const request = new Request(`http://proxy.invalid${POD}/status`, {
    method: "PATCH",
    headers: { "content-type": PATCH_TYPE },
    body: new ReadableStream({}),
  });
  const response = bench.gate.write(request, {
    method: "PATCH",
    path: `${POD}/status`,
    namespace: "default",
    name: "web",
    subresource: "status",
  }, timeout.signal);
  await settle();
  timeout.abort();
  assert.equal((await response).status, 400);
});
