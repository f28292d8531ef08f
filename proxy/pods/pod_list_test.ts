import assert from "node:assert/strict";
import type { JsonObject } from "@signed-pods/shared/json";
import { MAX_FAILURE_BYTES } from "./pod_answer.ts";
import {
  coversNode,
  MAX_CONCURRENT_LISTS,
  MAX_LIST_BYTES,
  MAX_LIST_ITEMS,
  MAX_OPEN_LISTS,
} from "./pod_list.ts";
import { UpstreamError } from "../upstream.ts";
import { settle } from "../../tests/fakes/clock.ts";
import { makeGate, type TestGate } from "../../tests/fakes/gate.ts";
import { makePod, NODE_NAME, objectOf, Owner, uidOf, withMetadata } from "../../tests/fakes/owner.ts";
import { chunked, jsonAnswer, upstreamAnswering, upstreamOf } from "../../tests/fakes/upstream.ts";

const owner = await Owner.create();
const GOOD = await owner.signedPod();
const OTHER = await owner.signedPod({ name: "other", uid: uidOf(2) });
const QUERY = `fieldSelector=spec.nodeName%3D${NODE_NAME}&limit=500&resourceVersion=0`;

function list(items: readonly unknown[], metadata: JsonObject = {}): JsonObject {
  return JSON.parse(JSON.stringify({
    kind: "PodList",
    apiVersion: "v1",
    metadata: { resourceVersion: "42", remainingItemCount: 7, selfLink: "/x", ...metadata },
    items,
  }));
}

function item(pod: JsonObject): JsonObject {
  const { kind: _kind, apiVersion: _version, ...rest } = pod;
  return rest;
}

interface Answered {
  status: number;
  body: JsonObject;
  bench: TestGate;
}

async function answerTo(make: () => Response, mode: "enforce" | "audit" = "enforce"): Promise<Answered> {
  const bench = await makeGate({ upstream: upstreamAnswering(make), owner, mode });
  const response = await bench.fetch(`/api/v1/pods?${QUERY}`);
  return { status: response.status, body: objectOf(await response.json()), bench };
}

function namesOf(body: JsonObject): unknown[] {
  assert.ok(Array.isArray(body["items"]));
  return body["items"].map((pod) => objectOf(objectOf(pod)["metadata"])["name"]);
}

Deno.test("the list is built from the pods that are allowed, and nothing else of it remains", async () => {
  const { status, body, bench } = await answerTo(() =>
    jsonAnswer(list([item(GOOD), item(makePod({ name: "rogue", uid: uidOf(3) })), OTHER], { continue: "" }))
  );
  assert.equal(status, 200);
  assert.deepEqual(namesOf(body), ["web", "other"]);
  assert.deepEqual(body["metadata"], { resourceVersion: "42" });
  assert.deepEqual(Object.keys(body), ["kind", "apiVersion", "metadata", "items"]);
  assert.equal(bench.ledger.size, 2);
});

Deno.test("a list is the same at every chunk size", async () => {
  const bytes = new TextEncoder().encode(JSON.stringify(list([item(GOOD)])));
  for (const size of [1, 2, 3, 7, 64, 1000, bytes.length]) {
    const { body } = await answerTo(() =>
      new Response(chunked(bytes, size), { headers: { "content-type": "application/json; charset=UTF-8" } })
    );
    assert.deepEqual(namesOf(body), ["web"]);
  }
});

Deno.test("the kubelet's query goes up, for JSON that is not compressed", async () => {
  const seen: Request[] = [];
  const bench = await makeGate({
    owner,
    upstream: upstreamOf((request) => {
      seen.push(request);
      return jsonAnswer(list([]));
    }),
  });
  await bench.fetch(`/api/v1/pods?${QUERY}`);
  await bench.fetch("/api/v1/pods");
  const url = new URL(seen[0]?.url ?? "");
  assert.equal(url.searchParams.toString(), QUERY);
  assert.equal(seen[0]?.headers.get("accept"), "application/json");
  assert.equal(seen[0]?.headers.get("accept-encoding"), "identity");
  assert.equal(new URL(seen[1]?.url ?? "").search, "");
});

for (
  const [what, make] of [
    ["that is not JSON", () => jsonAnswer("{")],
    ["that is cut off", () => jsonAnswer(JSON.stringify(list([item(GOOD)])).slice(0, -1))],
    ["with something after it", () => jsonAnswer(JSON.stringify(list([item(GOOD)])) + "{}")],
    ["with a key twice", () => jsonAnswer('{"kind":"PodList","kind":"PodList"}')],
    ["that is an array", () => jsonAnswer([])],
    ["of another kind", () => jsonAnswer({ ...list([]), kind: "Table" })],
    ["of another version", () => jsonAnswer({ ...list([]), apiVersion: "v2" })],
    ["without items", () => jsonAnswer({ ...list([]), items: null })],
    ["whose items are no list", () => jsonAnswer({ ...list([]), items: {} })],
    ["with an item that is no object", () => jsonAnswer(list([item(GOOD), null]))],
    ["with an item of another kind", () => jsonAnswer(list([{ ...item(GOOD), kind: "Secret" }]))],
    ["with an item of another version", () => jsonAnswer(list([{ ...item(GOOD), apiVersion: "v2" }]))],
    ["with too many items", () => jsonAnswer(list(Array(MAX_LIST_ITEMS + 1).fill({})))],
    ["without metadata", () => jsonAnswer({ ...list([]), metadata: null })],
    ["with a resourceVersion that is no number", () => jsonAnswer(list([], { resourceVersion: "x" }))],
    ["with a continue token that is none", () => jsonAnswer(list([], { continue: "a b" }))],
    ["with a continue token that is no text", () => jsonAnswer(list([], { continue: 1 }))],
    [
      "in protobuf",
      () => new Response("k8s\0", { headers: { "content-type": "application/vnd.kubernetes.protobuf" } }),
    ],
    ["without a content type", () => new Response(new TextEncoder().encode(JSON.stringify(list([]))))],
    [
      "with a content type of more than that",
      () => jsonAnswer(list([]), { headers: { "content-type": "application/json;stream=watch" } }),
    ],
    [
      "in gzip",
      () =>
        jsonAnswer(list([]), { headers: { "content-type": "application/json", "content-encoding": "gzip" } }),
    ],
    ["with status 206", () => jsonAnswer(list([]), { status: 206 })],
    ["with status 201", () => jsonAnswer(list([]), { status: 201 })],
    [
      "with a redirect",
      () => new Response(null, { status: 307, headers: { location: "http://evil.invalid/" } }),
    ],
    ["whose body breaks off", () =>
      new Response(
        new ReadableStream({
          start(controller) {
            controller.enqueue(new TextEncoder().encode('{"kind":"PodList",'));
            controller.error(new TypeError("connection reset"));
          },
        }),
        { headers: { "content-type": "application/json" } },
      )],
  ] as const
) {
  Deno.test(`refuses a list ${what}`, async () => {
    const { status, body, bench } = await answerTo(make);
    assert.equal(status, 502);
    assert.equal(body["kind"], "Status");
    assert.equal(bench.ledger.size, 0);
    assert.deepEqual(bench.log.events(), ["answer-refused"]);
  });
}

for (const code of [401, 403, 410, 429, 500, 504]) {
  Deno.test(`a failure with ${code} comes back as a Status that is built again`, async () => {
    const { status, body } = await answerTo(() =>
      jsonAnswer({
        kind: "Status",
        apiVersion: "v1",
        message: "no",
        reason: "Expired",
        items: [1],
        code: 200,
      }, {
        status: code,
      })
    );
    assert.equal(status, code);
    assert.deepEqual(body, {
      kind: "Status",
      apiVersion: "v1",
      metadata: {},
      status: "Failure",
      message: "no",
      reason: "Expired",
      code,
    });
  });
}

Deno.test("a failure that is not JSON comes back as a Status too", async () => {
  const { status, body } = await answerTo(() => new Response("<html>", { status: 503 }));
  assert.equal(status, 503);
  assert.equal(body["reason"], "ServiceUnavailable");
  const broken = await answerTo(() => jsonAnswer("{", { status: 404 }));
  assert.equal(broken.body["reason"], "NotFound");
});

Deno.test("what an upstream throws is thrown on", async () => {
  const bench = await makeGate({
    owner,
    upstream: upstreamOf(() => Promise.reject(new TypeError("refused"))),
  });
  await assert.rejects(bench.fetch(`/api/v1/pods?${QUERY}`), TypeError);
});

Deno.test("refuses a list that cannot be judged", async () => {
  const bench = await makeGate({ owner, upstream: upstreamAnswering(() => jsonAnswer(list([item(GOOD)]))) });
  bench.ledger.flush = () => Promise.reject(new Error("no space left on device"));
  const response = await bench.fetch(`/api/v1/pods?${QUERY}`);
  assert.equal(response.status, 500);
  assert.deepEqual(bench.log.events(), ["pod-admitted", "list-failed"]);
});

Deno.test("a body that breaks off since the kubelet has left is nobody's alarm", async () => {
  const leaving = new AbortController();
  const bench = await makeGate({
    owner,
    upstream: upstreamAnswering(() =>
      new Response(
        new ReadableStream({
          pull(controller) {
            leaving.abort();
            controller.error(leaving.signal.reason);
          },
        }),
        { headers: { "content-type": "application/json" } },
      )
    ),
  });
  await bench.gate.list(new URLSearchParams(QUERY), leaving.signal);
  assert.deepEqual(bench.log.lines.map(({ level }) => level), ["debug"]);
});

interface Pages {
  bench: TestGate;
  page(query: string, pods: readonly JsonObject[], continueToken?: string): Promise<JsonObject>;
}

async function makePages(): Promise<Pages> {
  let next: JsonObject = {};
  const bench = await makeGate({ owner, upstream: upstreamAnswering(() => jsonAnswer(next)) });
  return {
    bench,
    async page(query, pods, continueToken) {
      next = list(pods.map(item), continueToken === undefined ? {} : { continue: continueToken });
      return objectOf(await (await bench.fetch(`/api/v1/pods?${query}`)).json());
    },
  };
}

Deno.test("pages are one list: what none of them holds is forgotten at the end", async () => {
  const { bench, page } = await makePages();
  await page(QUERY, [GOOD, OTHER]);
  const third = await owner.signedPod({ name: "third", uid: uidOf(3) });
  const first = await page(QUERY, [GOOD], "bmV4dA");
  assert.deepEqual(first["metadata"], { resourceVersion: "42", continue: "bmV4dA" });
  assert.equal(bench.ledger.size, 2);
  await page(`${QUERY}&continue=bmV4dA`, [third]);
  assert.deepEqual([...bench.ledger.entries()].map(({ uid }) => uid), [uidOf(1), uidOf(3)]);
});

Deno.test("a page of a list that did not begin here, and a list of other pods, make nothing forgotten", async () => {
  const { bench, page } = await makePages();
  await page(QUERY, [GOOD]);
  await page(`${QUERY}&continue=b3RoZXI`, [OTHER]);
  await page("fieldSelector=spec.nodeName%3Dother", []);
  await page(`${QUERY}&labelSelector=a`, []);
  assert.equal(bench.ledger.size, 2);
});

Deno.test("of lists that are never read to their end, the oldest are dropped", async () => {
  const { bench, page } = await makePages();
  await page(QUERY, [GOOD, OTHER]);
  for (let number = 0; number <= MAX_OPEN_LISTS; number++) {
    await page(QUERY, [GOOD], `t${number}`);
  }
  await page(`${QUERY}&continue=t0`, []);
  assert.equal(bench.ledger.size, 2);
  await page(`${QUERY}&continue=t1`, []);
  assert.equal(bench.ledger.size, 1);
});

Deno.test("a list covers the node if it asks for all of its pods", () => {
  assert.equal(coversNode(new URLSearchParams(QUERY), NODE_NAME), true);
  assert.equal(coversNode(new URLSearchParams(QUERY), "other"), false);
  assert.equal(coversNode(new URLSearchParams(`${QUERY}&labelSelector=a`), NODE_NAME), false);
});

Deno.test("in audit, lists come back byte for byte, and are judged", async () => {
  const rogue = withMetadata(makePod(), { labels: { unknown: "label" } });
  const text = ` ${JSON.stringify(list([item(rogue), item(OTHER)], { continue: "bmV4dA" }))} \n`;
  const bench = await makeGate({ owner, upstream: upstreamAnswering(() => jsonAnswer(text)), mode: "audit" });
  const response = await bench.fetch(`/api/v1/pods?${QUERY}`);
  assert.equal(await response.text(), text);
  assert.equal(response.headers.get("content-type"), "application/json");
  assert.deepEqual(bench.log.events(), ["pod-refused", "pod-admitted"]);
});

Deno.test("in audit, what cannot be read is logged and passed on", async () => {
  for (
    const make of [
      () => jsonAnswer("{"),
      () => new Response(null),
      () => jsonAnswer({ kind: "PodList" }),
    ]
  ) {
    const bench = await makeGate({ owner, upstream: upstreamAnswering(make), mode: "audit" });
    const response = await bench.fetch(`/api/v1/pods?${QUERY}`);
    assert.equal(await response.text(), await make().text());
    assert.deepEqual(bench.log.events(), ["answer-refused"]);
  }
});

Deno.test("in audit, failures come back as they are", async () => {
  const bench = await makeGate({
    owner,
    upstream: upstreamAnswering(() => new Response("teapot", { status: 418 })),
    mode: "audit",
  });
  const response = await bench.fetch(`/api/v1/pods?${QUERY}`);
  assert.equal(response.status, 418);
  assert.equal(await response.text(), "teapot");
});

Deno.test("in audit, a list is passed on even if it cannot be judged", async () => {
  const bench = await makeGate({
    owner,
    upstream: upstreamAnswering(() => jsonAnswer(list([item(GOOD)]))),
    mode: "audit",
  });
  bench.ledger.flush = () => Promise.reject(new Error("no space left on device"));
  const response = await bench.fetch(`/api/v1/pods?${QUERY}`);
  assert.deepEqual(namesOf(objectOf(await response.json())), ["web"]);
  assert.deepEqual(bench.log.events(), ["pod-admitted", "list-failed"]);
});

Deno.test("refuses a list over the bound of bytes, with a clear answer and a line in the log", async () => {
  const text = JSON.stringify(list([item(GOOD)]));
  for (const [maxListBytes, expected] of [[text.length, 200], [text.length - 1, 502]] as const) {
    const bench = await makeGate({
      upstream: upstreamAnswering(() => jsonAnswer(text)),
      owner,
      maxListBytes,
    });
    const response = await bench.fetch(`/api/v1/pods?${QUERY}`);
    assert.equal(response.status, expected);
    const { message } = objectOf(await response.json());
    assert.deepEqual(
      bench.log.of("answer-refused").map(() => message),
      expected === 200 ? [] : [
        `kubelet-proxy: the API server's answer is not passed on: its body is not complete: the body is larger than ${maxListBytes} bytes`,
      ],
    );
  }
  assert.ok(MAX_LIST_BYTES >= MAX_LIST_ITEMS * 8 * 1024);
});

Deno.test("refuses one list too many at the same time, until another is done", async () => {
  const waiting: (() => void)[] = [];
  const bench = await makeGate({
    owner,
    upstream: upstreamOf(() => new Promise((resolve) => waiting.push(() => resolve(jsonAnswer(list([])))))),
  });
  const lists = Array.from({ length: MAX_CONCURRENT_LISTS }, () => bench.fetch(`/api/v1/pods?${QUERY}`));
  await settle();
  const refused = await bench.fetch(`/api/v1/pods?${QUERY}`);
  assert.deepEqual([refused.status, refused.headers.get("retry-after")], [429, "1"]);
  assert.equal(bench.log.of("request-refused").length, 1);
  waiting[0]?.();
  assert.equal((await lists[0])?.status, 200);
  const next = bench.fetch(`/api/v1/pods?${QUERY}`);
  await settle();
  assert.equal(waiting.length, MAX_CONCURRENT_LISTS + 1);
  for (const answer of waiting) answer();
  assert.equal((await next).status, 200);
  await Promise.all(lists);
});

Deno.test("a failure with a body over the bound comes back without its message", async () => {
  const make = (padding: number) => () =>
    jsonAnswer({
      kind: "Status",
      apiVersion: "v1",
      message: "why",
      reason: "Expired",
      code: 410,
      x: "x".repeat(padding),
    }, {
      status: 410,
      headers: { "content-type": "application/json" },
    });
  const room = MAX_FAILURE_BYTES -
    JSON.stringify({ kind: "Status", apiVersion: "v1", message: "why", reason: "Expired", code: 410, x: "" })
      .length;
  assert.equal((await answerTo(make(room))).body["message"], "why");
  const { status, body } = await answerTo(make(room + 1));
  assert.deepEqual([status, body["reason"], body["message"]], [
    410,
    "Gone",
    "the API server answered with status 410",
  ]);
});

Deno.test("a list that breaks off since it took too long is an error", async () => {
  const bench = await makeGate({
    owner,
    upstream: upstreamOf((request) =>
      new Response(
        new ReadableStream({
          start: (controller) =>
            request.signal.addEventListener("abort", () => controller.error(request.signal.reason)),
        }),
        { headers: { "content-type": "application/json" } },
      )
    ),
  });
  const timeout = new AbortController();
  const response = bench.gate.list(new URLSearchParams(QUERY), timeout.signal);
  await settle();
  timeout.abort(new UpstreamError("timeout", "not complete"));
  assert.equal((await response).status, 502);
  assert.equal(bench.log.of("answer-refused")[0]?.level, "error");
});
