import assert from "node:assert/strict";
import { memoryLog } from "./fixture_test.ts";
import { ManualClock, settle } from "../tests/fakes/clock.ts";
import type { Fields } from "./headers.ts";
import { createHandler, MAX_OPEN_REQUESTS } from "./handler.ts";
import type { PodGate, PodWrite } from "./pods/pod_gate.ts";
import { createRouter } from "./route.ts";
import { ANSWER_TIMEOUT_MS, UpstreamError, type UpstreamFailure, type UpstreamRequest } from "./upstream.ts";
import { WholeResponse } from "./whole_response.ts";
import { WATCH_SILENCE_TIMEOUT_MS } from "./pods/watch_silence.ts";

type Answer = (request: UpstreamRequest) => Response | Promise<Response>;

function setUp(answer: Answer = () => new Response("ok"), logRequests = true) {
  const sent: UpstreamRequest[] = [];
  const gated: unknown[] = [];
  const log = memoryLog();
  const clock = new ManualClock();
  const delivered = Promise.withResolvers<void>();
  const told: string[] = [];
  const answerAs = (name: string, ...call: unknown[]) => {
    gated.push([name, ...call]);
    return Promise.resolve(new Response(name));
  };
  const gate: PodGate = {
    list: (query) => answerAs("list", String(query)),
    watch: (query) => answerAs("watch", String(query)),
    get: (namespace, name) => answerAs("get", namespace, name),
    write: (_request, write: PodWrite) => answerAs("write", write),
    judgeAgain: () => Promise.resolve(),
    counts: () => ({
      pods: { admitted: 0, mirror: 0, refused: 0, stopping: 0, stopped: 0 },
      pendingRejections: 0,
    }),
    close: () => Promise.resolve(),
  };
  const handler = createHandler({
    router: createRouter("worker", [{ method: "GET", path: "/apis/example.com/v1/things", prefix: false }]),
    gate,
    objects: {
      answer: (_request, { verb, resource }) => answerAs("object", verb, resource),
      close: () => void gated.push(["close"]),
      refresh: () => {},
    },
    reviews: { answer: (review) => answerAs("review", review) },
    upstream: {
      send(request) {
        sent.push(request);
        return Promise.resolve(answer(request));
      },
    },
    log,
    logRequests,
    elapsedMs: () => 0,
    clock,
    observer: {
      answered: (route, code) => void told.push(`${route} ${code}`),
      opened(route) {
        told.push(`${route} begins`);
        return () => void told.push(`${route} ends`);
      },
    },
  });
  const ask = (method: string, target: string, init: RequestInit = {}) =>
    handler.handle(new Request(`https://proxy${target}`, { method, ...init }), delivered.promise);
  return { handler, ask, sent, gated, log, clock, delivered, told };
}

async function status(response: Response): Promise<{ code: number; reason: string; message: string }> {
  assert.equal(response.headers.get("content-type"), "application/json");
  const { kind, code, reason, message } = await response.json();
  assert.equal(kind, "Status");
  assert.equal(code, response.status);
  return { code, reason, message };
}

const LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/worker";
const EVENT = "/api/v1/namespaces/a/events/b";
const WATCH = "/apis/example.com/v1/things?watch=true";

Deno.test("pods go to the gate and nowhere else", async () => {
  const { ask, gated, sent } = setUp();
  const selector = "fieldSelector=spec.nodeName%3Dworker";
  assert.equal(await (await ask("GET", `/api/v1/pods?${selector}`)).text(), "list");
  assert.equal(await (await ask("GET", `/api/v1/pods?${selector}&watch=true`)).text(), "watch");
  assert.equal(await (await ask("GET", "/api/v1/namespaces/a/pods/b")).text(), "get");
  assert.equal(
    await (await ask("PATCH", "/api/v1/namespaces/a/pods/b/status?timeout=1s", { body: "{}" })).text(),
    "write",
  );
  assert.deepEqual(gated.map((call) => JSON.parse(JSON.stringify(call))), [
    ["list", selector],
    ["watch", `${selector}&watch=true`],
    ["get", "a", "b"],
    ["write", {
      kind: "pod-write",
      method: "PATCH",
      namespace: "a",
      name: "b",
      subresource: "status",
      path: "/api/v1/namespaces/a/pods/b/status?timeout=1s",
    }],
  ]);
  assert.equal(sent.length, 0);
});

Deno.test("known routes stream both ways, with known headers only", async () => {
  const { ask, sent } = setUp(() =>
    new Response("answer", {
      status: 201,
      headers: { "content-type": "x/y", "set-cookie": "a=b", "content-length": "6" },
    })
  );
  const response = await ask("PATCH", `${EVENT}?timeout=10s`, {
    body: "patch",
    headers: { "content-type": "p/q" },
  });
  assert.equal(response.status, 201);
  assert.deepEqual([...response.headers], [["content-type", "x/y"]]);
  assert.equal(await response.text(), "answer");
  const [request] = sent;
  assert.equal(request?.path, `${EVENT}?timeout=10s`);
  assert.ok(request?.body instanceof ReadableStream);
  assert.equal(await new Response(request.body).text(), "patch");
  assert.ok(request?.signal instanceof AbortSignal);
});

Deno.test("objects that a kubelet reads go to their gate and nowhere else", async () => {
  const { ask, gated, sent, handler } = setUp();
  await ask("GET", "/api/v1/services");
  await ask("GET", "/apis/node.k8s.io/v1/runtimeclasses?watch=true");
  await ask("PATCH", "/api/v1/nodes/worker/status", { body: "{}" });
  handler.close();
  assert.deepEqual(gated, [
    ["object", "list", "services"],
    ["object", "watch", "runtimeclasses"],
    ["object", "write", "nodes"],
    ["close"],
  ]);
  assert.equal(sent.length, 0);
});

Deno.test("reviews go to their gate and nowhere else", async () => {
  const { ask, sent, gated } = setUp();
  await ask("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", { body: "x" });
  await ask("POST", "/apis/authentication.k8s.io/v1/tokenreviews", { body: "x" });
  assert.deepEqual(gated, [["review", "access"], ["review", "token"]]);
  assert.equal(sent.length, 0);
});

Deno.test("errors of known routes are relayed as they are", async () => {
  const { ask } = setUp(() => new Response("not found", { status: 404, headers: { "retry-after": "3" } }));
  const response = await ask("GET", LEASE);
  assert.deepEqual([response.status, response.headers.get("retry-after"), await response.text()], [
    404,
    "3",
    "not found",
  ]);
});

Deno.test("answers without a body", async () => {
  const { ask } = setUp(() => new Response(null, { status: 204 }));
  const response = await ask(
    "DELETE",
    "/apis/resource.k8s.io/v1/resourceslices?fieldSelector=spec.nodeName%3Dworker",
  );
  assert.deepEqual([response.status, response.body], [204, null]);
  const odd = new Response("body");
  Object.defineProperty(odd, "status", { value: 204 });
  assert.equal((await setUp(() => odd).ask("GET", LEASE)).body, null);
});

Deno.test("an answer that comes as a whole is treated as one that is streamed", async () => {
  const bodies = ["", "short", "x".repeat(100_000)].map((text) => new TextEncoder().encode(text));
  const answers = [
    ...bodies.map((body) => ({ body, status: 200 })),
    ...[204, 205].map((status) => ({ body: null, status })),
    { body: bodies[1] ?? null, status: 302 },
    { body: bodies[1] ?? null, status: 404 },
    { body: bodies[1] ?? null, status: 200, encoding: "gzip" },
  ];
  for (const { body, status, encoding } of answers) {
    const init = {
      status,
      headers: [
        ["content-type", "a/b"],
        ["set-cookie", "c"],
        ...(encoding === undefined ? [] : [["content-encoding", encoding]] satisfies Fields),
      ] satisfies Fields,
    };
    for (const target of [LEASE, WATCH]) {
      const [whole, streamed] = await Promise.all([
        () => new WholeResponse(body, init),
        () => new Response(body, init),
      ].map(async (make) => {
        const { ask, sent } = setUp(make);
        const response = await ask("GET", target);
        assert.equal(sent[0]?.whole, target === LEASE);
        return [response.status, [...response.headers], new Uint8Array(await response.arrayBuffer())];
      }));
      assert.deepEqual(whole, streamed);
    }
  }
});

Deno.test("refuses paths that are not canonical", async () => {
  const { handler, sent } = setUp();
  // Request would normalise the URL; the HTTP server does not.
  const request = new Request("https://proxy/");
  Object.defineProperty(request, "url", { value: "https://proxy/api/v1/x/../pods" });
  assert.equal((await status(await handler.handle(request, Promise.resolve()))).reason, "BadRequest");
  assert.equal(sent.length, 0);
});

Deno.test("refuses what kubelets do not ask for, and says how to allow it", async () => {
  const { ask, sent, log } = setUp();
  const { code, reason, message } = await status(await ask("GET", "/version?token=canary"));
  assert.deepEqual([code, reason], [403, "Forbidden"]);
  assert.match(message, /--allow-path=GET:\/version$/);
  const refused = log.events.find(({ event }) => event === "request-refused");
  assert.match(String(refused?.fields["advice"]), /--allow-path=GET:\/version$/);
  assert.doesNotMatch(JSON.stringify(log.events), /canary/);
  const pods = await status(await ask("GET", "/api/v1/pods"));
  assert.doesNotMatch(pods.message, /--allow-path/);
  assert.equal(sent.length, 0);
});

Deno.test("refuses redirects and other answers that are no plain answers", async () => {
  const odd = (code: number) => {
    const response = new Response("body");
    Object.defineProperty(response, "status", { value: code });
    return response;
  };
  for (const code of [301, 302, 304, 307, 308, 101, 103, 199, 600, 999]) {
    const { ask, log } = setUp(() => odd(code));
    assert.equal((await status(await ask("GET", LEASE))).code, 502, String(code));
    assert.equal(log.events[0]?.event, "answer-refused");
  }
  const { ask } = setUp(() => new Response("x", { headers: { "content-encoding": "gzip" } }));
  assert.equal((await status(await ask("GET", LEASE))).code, 502);
});

Deno.test("no answer of the API server becomes a Status", async () => {
  const expected: [UpstreamFailure, number, string][] = [
    ["unreachable", 503, "upstream-unreachable"],
    ["no-credential", 503, "upstream-no-credential"],
    ["timeout", 504, "upstream-timeout"],
    ["path-not-canonical", 400, "request-malformed"],
    ["aborted", 503, "request-aborted"],
  ];
  for (const [failure, code, event] of expected) {
    const { ask, log } = setUp(() => {
      throw new UpstreamError(failure, "why");
    });
    assert.equal((await status(await ask("GET", LEASE))).code, code);
    assert.equal(log.events[0]?.event, event);
  }
});

Deno.test("refuses to show a defect to the client", async () => {
  for (const defect of [new Error("canary"), "canary"]) {
    const { ask, log } = setUp(() => {
      throw defect;
    });
    const { code, message } = await status(await ask("GET", LEASE));
    assert.equal(code, 500);
    assert.doesNotMatch(message, /canary/);
    assert.equal(log.events[0]?.event, "request-failed");
  }
});

Deno.test("one line per request, without its query; none if not wanted", async () => {
  const { ask, log } = setUp();
  await ask("GET", `${LEASE}?resourceVersion=canary`);
  assert.deepEqual(log.events, [{
    level: "info",
    event: "request",
    message: "answered",
    fields: { method: "GET", path: LEASE, route: "relay", code: 200, ms: 0 },
  }]);
  const quiet = setUp(undefined, false);
  await quiet.ask("GET", LEASE);
  assert.equal(quiet.log.events.length, 0);
});

/** An endless answer, and what became of it. */
function endless() {
  const state = { cancelled: false };
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  const body = new ReadableStream<Uint8Array>({
    start: (own) => void (controller = own),
    cancel: () => void (state.cancelled = true),
  });
  return { body, state, controller: () => controller };
}

Deno.test("a relayed watch ends cleanly when the proxy stops", async () => {
  const { body, state, controller } = endless();
  const { ask, handler } = setUp(() => new Response(body));
  const reader = (await ask("GET", WATCH)).body?.getReader();
  controller()?.enqueue(new Uint8Array([1]));
  assert.deepEqual((await reader?.read())?.value, new Uint8Array([1]));
  const waiting = reader?.read();
  handler.close();
  assert.equal((await waiting)?.done, true);
  assert.equal(state.cancelled, true);
  const late = endless();
  const after = setUp(() => new Response(late.body));
  after.handler.close();
  assert.equal(await (await after.ask("GET", WATCH)).text(), "");
  assert.equal(late.state.cancelled, true);
});

Deno.test("a relayed watch ends when the API server ends it", async () => {
  const { body, controller } = endless();
  const { ask } = setUp(() => new Response(body));
  const text = (await ask("GET", WATCH)).text();
  controller()?.enqueue(new TextEncoder().encode("last"));
  controller()?.close();
  assert.equal(await text, "last");
});

Deno.test("a relayed watch that breaks off does not end cleanly", async () => {
  const { body, controller } = endless();
  const { ask } = setUp(() => new Response(body));
  const text = (await ask("GET", WATCH)).text();
  controller()?.error(new Error("cut"));
  await assert.rejects(text, /cut/);
});

Deno.test("a client that leaves a relayed watch ends it upstream", async () => {
  const { body, state } = endless();
  const { ask } = setUp(() => new Response(body));
  await (await ask("GET", WATCH)).body?.cancel();
  assert.equal(state.cancelled, true);
});

Deno.test("refuses to wait for ever for the rest of an answer, and says so", async () => {
  const { body, state } = endless();
  const { ask, log, clock, sent } = setUp(() => new Response(body));
  const response = await ask("GET", LEASE);
  await clock.advance(ANSWER_TIMEOUT_MS - 1);
  assert.equal(sent[0]?.signal?.aborted, false);
  await clock.advance(1);
  // The body of a fetch fails with its signal; this one does not know of it.
  const reason: unknown = sent[0]?.signal?.reason;
  assert.ok(reason instanceof UpstreamError && reason.code === "timeout");
  assert.deepEqual(log.events.map(({ level, event }) => [level, event]), [
    ["info", "request"],
    ["error", "upstream-timeout"],
  ]);
  await response.body?.cancel();
  assert.equal(state.cancelled, true);
});

Deno.test("an answer that was delivered is not timed any more, nor is a watch", async () => {
  const { ask, log, clock, delivered, sent } = setUp(() => new Response("ok"));
  await ask("GET", LEASE);
  assert.equal(clock.timers, 1);
  delivered.resolve();
  await settle();
  assert.equal(clock.timers, 0);
  await ask("GET", WATCH);
  await clock.advance(ANSWER_TIMEOUT_MS);
  assert.equal(sent[1]?.signal?.aborted, false);
  assert.deepEqual(log.events.filter(({ level }) => level === "error"), []);
});

Deno.test("refuses one request too many, until another was delivered", async () => {
  const { ask, log, delivered, sent } = setUp(() => new Response(null));
  for (let count = 0; count < MAX_OPEN_REQUESTS; count++) {
    await ask("GET", WATCH);
  }
  const refused = await ask("GET", WATCH);
  assert.equal((await status(refused)).reason, "TooManyRequests");
  assert.equal(refused.headers.get("retry-after"), "1");
  assert.equal(log.events.at(-2)?.event, "request-refused");
  assert.equal(sent.length, MAX_OPEN_REQUESTS);
  delivered.resolve();
  await settle();
  assert.equal((await ask("GET", WATCH)).status, 200);
});

Deno.test("a relayed watch of which nothing is heard ends cleanly, and the log says so", async () => {
  const { body, state, controller } = endless();
  const { ask, log, clock } = setUp(() => new Response(body), false);
  const reader = (await ask("GET", WATCH)).body?.getReader();
  await clock.advance(WATCH_SILENCE_TIMEOUT_MS);
  assert.equal(state.cancelled, false, "nobody was waiting for anything");
  const first = reader?.read();
  await clock.advance(WATCH_SILENCE_TIMEOUT_MS - 1);
  controller()?.enqueue(new Uint8Array([1]));
  assert.equal((await first)?.done, false);
  const second = reader?.read();
  await clock.advance(WATCH_SILENCE_TIMEOUT_MS);
  assert.equal((await second)?.done, true);
  assert.equal(state.cancelled, true);
  assert.deepEqual(log.events.map(({ event, fields }) => [event, fields["path"]]), [
    ["watch-silent", "/apis/example.com/v1/things"],
  ]);
  assert.equal(clock.timers, 0);
});

Deno.test("the observer is told of each request: its route, its code, and when its answer was sent", async () => {
  const { ask, told, delivered } = setUp();
  await ask("GET", "/api/v1/pods?fieldSelector=spec.nodeName%3Dworker");
  await ask("GET", "/api/v1/services?watch=true");
  await ask("GET", "/api/v1//pods");
  await ask("GET", "/unknown");
  assert.deepEqual(told, [
    "pod-list begins",
    "pod-list 200",
    "object-watch begins",
    "object-watch 200",
    "malformed 400",
    "refuse begins",
    "refuse 403",
  ]);
  delivered.resolve();
  await settle();
  assert.deepEqual(told.slice(7), ["pod-list ends", "object-watch ends", "refuse ends"]);
});
