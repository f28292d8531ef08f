import assert from "node:assert/strict";
import {
  createRejector,
  MAX_CONCURRENT_REQUESTS,
  MAX_CONFLICT_TRIES,
  MAX_EVENT_TRIES,
  MAX_MESSAGE_BYTES,
  type RefusedPod,
  REJECTION_PREFIX,
  REJECTION_REASON,
  rejectionMessage,
  type Rejector,
  REQUEST_TIMEOUT_MS,
} from "./rejector.ts";
import { ManualClock, settle } from "../tests/fakes/clock.ts";
import { MemoryLog } from "../tests/fakes/log.ts";
import { uidOf } from "../tests/fakes/owner.ts";
import { jsonAnswer, upstreamOf } from "../tests/fakes/upstream.ts";

interface Sent {
  method: string;
  path: string;
  body: Record<string, unknown>;
  contentType: string | null;
  atMs: number;
}

interface Bench {
  rejector: Rejector;
  sent: Sent[];
  clock: ManualClock;
  log: MemoryLog;
  /** Answers requests; by default everything is taken. */
  answer: (sent: Sent, request: Request) => Response | Promise<Response>;
  of(method: string): Sent[];
}

function makeBench(maxRefusedPods?: number): Bench {
  const clock = new ManualClock();
  const startMs = clock.now().getTime();
  const log = new MemoryLog();
  const sent: Sent[] = [];
  const bench: Bench = {
    sent,
    clock,
    log,
    answer: () => jsonAnswer({ kind: "Pod" }),
    of: (method) => sent.filter((request) => request.method === method),
    rejector: createRejector({
      upstream: upstreamOf(async (request) => {
        const entry: Sent = {
          method: request.method,
          path: new URL(request.url).pathname,
          body: JSON.parse(await request.text()),
          contentType: request.headers.get("content-type"),
          atMs: clock.now().getTime() - startMs,
        };
        sent.push(entry);
        return await bench.answer(entry, request);
      }),
      log,
      clock,
      random: () => 0,
      nodeName: "worker",
      ...(maxRefusedPods === undefined ? {} : { maxRefusedPods }),
    }),
  };
  return bench;
}

function refused(number: number, changes: Partial<RefusedPod> = {}): RefusedPod {
  return {
    uid: uidOf(number),
    namespace: "default",
    name: `web-${number}`,
    message: "it carries no signature",
    controller: undefined,
    terminal: false,
    deleting: false,
    ...changes,
  };
}

function failure(code: number, message = "no", headers: HeadersInit = {}): Response {
  return jsonAnswer({ kind: "Status", apiVersion: "v1", message, code }, {
    status: code,
    headers: { "content-type": "application/json", ...headers },
  });
}

Deno.test("a bare pod is failed at once, by UID, with an Event", async () => {
  const bench = makeBench();
  bench.rejector.refuse(refused(1));
  await settle();
  const [patch] = bench.of("PATCH");
  assert.equal(patch?.path, "/api/v1/namespaces/default/pods/web-1/status");
  assert.equal(patch?.contentType, "application/strategic-merge-patch+json");
  const message = "Pod rejected by kubelet-proxy: it carries no signature";
  assert.deepEqual(patch?.body, {
    metadata: { uid: uidOf(1) },
    status: {
      phase: "Failed",
      reason: "NodeAdmissionRejected",
      message,
      conditions: [{
        type: "Ready",
        status: "False",
        reason: "NodeAdmissionRejected",
        message,
        lastTransitionTime: "2026-01-01T00:00:00Z",
      }],
    },
  });
  const [event] = bench.of("POST");
  assert.equal(event?.path, "/api/v1/namespaces/default/events");
  assert.deepEqual(event?.body, {
    kind: "Event",
    apiVersion: "v1",
    metadata: { name: "web-1.00000000000040008000000000000001", namespace: "default" },
    involvedObject: { kind: "Pod", apiVersion: "v1", namespace: "default", name: "web-1", uid: uidOf(1) },
    reason: REJECTION_REASON,
    message,
    type: "Warning",
    source: { component: "kubelet-proxy", host: "worker" },
    reportingComponent: "kubelet-proxy",
    reportingInstance: "worker",
    firstTimestamp: "2026-01-01T00:00:00Z",
    lastTimestamp: "2026-01-01T00:00:00Z",
    count: 1,
  });
});

Deno.test("a pod is told once, however often it is seen", async () => {
  const bench = makeBench();
  for (let count = 0; count < 3; count++) {
    bench.rejector.refuse(refused(1));
    await settle();
  }
  assert.equal(bench.sent.length, 2);
});

Deno.test("a pod that has ended already needs nothing", async () => {
  const bench = makeBench();
  bench.rejector.refuse(refused(1, { terminal: true }));
  await settle();
  assert.deepEqual(bench.sent, []);
});

Deno.test("a pod under deletion is deleted, once, with its UID as a precondition", async () => {
  const bench = makeBench();
  bench.rejector.refuse(refused(1, { deleting: true, terminal: true }));
  bench.rejector.refuse(refused(1, { deleting: true }));
  await settle();
  assert.deepEqual(bench.sent.map(({ method, path, body }) => ({ method, path, body })), [{
    method: "DELETE",
    path: "/api/v1/namespaces/default/pods/web-1",
    body: {
      kind: "DeleteOptions",
      apiVersion: "v1",
      gracePeriodSeconds: 0,
      preconditions: { uid: uidOf(1) },
    },
  }]);
});

Deno.test("pods of one controller are failed 10 s, 20 s, … apart, and their Events say when", async () => {
  const bench = makeBench();
  for (const number of [1, 2, 3]) {
    bench.rejector.refuse(refused(number, { controller: "rs" }));
  }
  bench.rejector.refuse(refused(4, { controller: "other" }));
  await bench.clock.advance(60_000);
  assert.deepEqual(bench.of("PATCH").map(({ path, atMs }) => [path.split("/")[6], atMs / 1000]), [
    ["web-1", 0],
    ["web-4", 0],
    ["web-2", 10],
    ["web-3", 30],
  ]);
  const messages = bench.of("POST").map(({ body, atMs }) => [
    atMs,
    /about (\d+) s/.exec(String(body["message"]))?.[1],
  ]);
  assert.deepEqual(messages, [[0, undefined], [0, "10"], [0, "30"], [0, undefined]]);
});

Deno.test("who leaves the queue makes room: gone, ended, allowed or under deletion", async () => {
  const bench = makeBench();
  for (const number of [1, 2, 3, 4, 5]) {
    bench.rejector.refuse(refused(number, { controller: "rs" }));
  }
  await settle();
  bench.rejector.forget(uidOf(2));
  bench.rejector.refuse(refused(3, { controller: "rs", terminal: true }));
  bench.rejector.refuse(refused(4, { controller: "rs", deleting: true }));
  await bench.clock.advance(10_000);
  assert.deepEqual(bench.of("PATCH").map(({ path }) => path.split("/")[6]), ["web-1", "web-5"]);
  assert.deepEqual(bench.of("DELETE").map(({ path }) => path.split("/")[6]), ["web-4"]);
});

Deno.test("a pod that has left the queue can come back to it", async () => {
  const bench = makeBench();
  bench.rejector.refuse(refused(1, { controller: "rs" }));
  bench.rejector.refuse(refused(2, { controller: "rs" }));
  bench.rejector.refuse(refused(2, { controller: "rs", terminal: true }));
  await bench.clock.advance(10_000);
  bench.rejector.refuse(refused(2, { controller: "rs" }));
  await bench.clock.advance(20_000);
  assert.deepEqual(bench.of("PATCH").map(({ path }) => path.split("/")[6]), ["web-1", "web-2"]);
});

Deno.test("the latest reason is the one that is told", async () => {
  const bench = makeBench();
  bench.rejector.refuse(refused(1, { controller: "rs" }));
  bench.rejector.refuse(refused(2, { controller: "rs" }));
  await settle();
  bench.rejector.refuse(refused(2, { controller: "rs", message: "another reason" }));
  await bench.clock.advance(10_000);
  assert.match(JSON.stringify(bench.of("PATCH")[1]?.body), /another reason/);
});

for (
  const [what, answer] of [
    ["a network error", () => Promise.reject(new TypeError("connection reset"))],
    ["500", () => failure(500)],
    ["503", () => failure(503)],
    ["429", () => failure(429)],
    ["401", () => failure(401)],
    ["403", () => failure(403)],
    ["a 409 that is not about the UID", () => failure(409, "the object has been modified")],
    ["a 409 that cannot be read", () => new Response("{", { status: 409 })],
  ] as const
) {
  Deno.test(`${what} is tried again, later and later`, async () => {
    const bench = makeBench();
    let left = 3;
    bench.answer = (sent) => sent.method === "PATCH" && left-- > 0 ? answer() : jsonAnswer({});
    bench.rejector.refuse(refused(1));
    await bench.clock.advance(60_000);
    assert.deepEqual(bench.of("PATCH").map(({ atMs }) => atMs), [0, 500, 1500, 3500]);
    assert.equal(bench.log.of("rejection-retry").length, 3);
  });
}

Deno.test("Retry-After is waited for", async () => {
  const bench = makeBench();
  bench.answer = (sent) => sent.atMs === 0 ? failure(429, "later", { "retry-after": "20" }) : jsonAnswer({});
  bench.rejector.refuse(refused(1));
  await bench.clock.advance(60_000);
  assert.deepEqual(bench.of("PATCH").map(({ atMs }) => atMs), [0, 20_000]);
});

Deno.test("an API server that is gone for minutes is told when it is back", async () => {
  const bench = makeBench();
  bench.answer = (sent) => sent.atMs < 600_000 ? failure(503) : jsonAnswer({});
  bench.rejector.refuse(refused(1));
  await bench.clock.advance(700_000);
  assert.ok(bench.of("PATCH").length < 30);
  assert.ok((bench.of("PATCH").at(-1)?.atMs ?? 0) >= 600_000);
  assert.equal(bench.of("POST").length, MAX_EVENT_TRIES, "an Event is given up");
  assert.equal(bench.log.of("rejection-given-up").length, 1);
});

Deno.test("a request that takes too long counts as failed", async () => {
  const bench = makeBench();
  bench.answer = (sent, request) =>
    sent.method === "PATCH" && sent.atMs === 0
      ? new Promise((_resolve, reject) => {
        request.signal.addEventListener("abort", () => reject(request.signal.reason));
      })
      : jsonAnswer({});
  bench.rejector.refuse(refused(1));
  await bench.clock.advance(REQUEST_TIMEOUT_MS + 1000);
  assert.equal(bench.of("PATCH").length, 2);
});

for (
  const [what, answer] of [
    ["404", () => failure(404)],
    [
      "a 409 about the UID",
      () => failure(409, "Precondition failed: UID in precondition: a, UID in object meta: b"),
    ],
  ] as const
) {
  Deno.test(`${what} means that the pod is gone`, async () => {
    const bench = makeBench();
    bench.answer = (sent) => sent.method === "POST" ? jsonAnswer({}) : answer();
    bench.rejector.refuse(refused(1));
    bench.rejector.refuse(refused(2, { deleting: true }));
    await bench.clock.advance(600_000);
    assert.deepEqual(bench.of("PATCH").length + bench.of("DELETE").length, 2);
    assert.deepEqual(bench.rejector.uids(), []);
  });
}

Deno.test("an Event that exists is one that was recorded before", async () => {
  const bench = makeBench();
  bench.answer = (sent) => sent.method === "POST" ? failure(409, "already exists") : jsonAnswer({});
  bench.rejector.refuse(refused(1));
  await bench.clock.advance(60_000);
  assert.equal(bench.of("POST").length, 1);
  assert.deepEqual(bench.log.of("rejection-given-up"), []);
});

Deno.test("conflicts and refusals for good are given up, and logged", async () => {
  const bench = makeBench();
  bench.answer = (sent) => failure(sent.path.includes("web-1") ? 409 : 422, "changed");
  bench.rejector.refuse(refused(1));
  bench.rejector.refuse(refused(2));
  await bench.clock.advance(600_000);
  const tries = (name: string) => bench.of("PATCH").filter(({ path }) => path.includes(name)).length;
  assert.equal(tries("web-1"), MAX_CONFLICT_TRIES);
  assert.equal(tries("web-2"), 1);
  assert.equal(
    bench.log.of("rejection-given-up").filter(({ fields }) => fields["task"] === "fail").length,
    2,
  );
});

Deno.test("few requests are on their way at once, and none is lost", async () => {
  const bench = makeBench();
  const waiting: (() => void)[] = [];
  let most = 0;
  bench.answer = () =>
    new Promise((resolve) => {
      waiting.push(() => resolve(jsonAnswer({})));
      most = Math.max(most, waiting.length);
    });
  for (let number = 0; number < 50; number++) {
    bench.rejector.refuse(refused(number));
  }
  for (;;) {
    await settle();
    const answer = waiting.shift();
    if (answer === undefined) {
      break;
    }
    answer();
  }
  assert.equal(most, MAX_CONCURRENT_REQUESTS);
  assert.equal(bench.sent.length, 100);
});

Deno.test("what is forgotten while it waits for its turn is not sent", async () => {
  const bench = makeBench();
  const waiting: (() => void)[] = [];
  bench.answer = () => new Promise((resolve) => waiting.push(() => resolve(jsonAnswer({}))));
  for (let number = 0; number < 5; number++) {
    bench.rejector.refuse(refused(number));
  }
  await settle();
  for (let number = 0; number < 5; number++) {
    bench.rejector.forget(uidOf(number));
  }
  for (const answer of waiting) {
    answer();
  }
  await settle();
  assert.equal(bench.sent.length, MAX_CONCURRENT_REQUESTS);
});

Deno.test("over the bound, pods that are done with are forgotten first", async () => {
  const bench = makeBench(2);
  bench.rejector.refuse(refused(1));
  bench.rejector.refuse(refused(2));
  await settle();
  bench.rejector.refuse(refused(3));
  await settle();
  assert.deepEqual(bench.rejector.uids(), [uidOf(2), uidOf(3)]);
});

Deno.test("refuses more pods than the bound while all are at work, and says so once", async () => {
  const bench = makeBench(2);
  bench.answer = () => failure(503);
  for (let number = 1; number <= 4; number++) {
    bench.rejector.refuse(refused(number));
  }
  await settle();
  assert.deepEqual(bench.rejector.uids(), [uidOf(1), uidOf(2)]);
  assert.equal(bench.log.of("rejections-full").length, 1);
});

Deno.test("closing waits for what is on its way, and starts nothing more", async () => {
  const bench = makeBench();
  const waiting: (() => void)[] = [];
  bench.answer = () => new Promise((resolve) => waiting.push(() => resolve(failure(503))));
  bench.rejector.refuse(refused(1, { controller: "rs" }));
  bench.rejector.refuse(refused(2, { controller: "rs" }));
  await settle();
  let closed = false;
  const closing = bench.rejector.close(5000).then(() => {
    closed = true;
  });
  await settle();
  assert.equal(closed, false);
  for (const answer of waiting) {
    answer();
  }
  await closing;
  const sent = bench.sent.length;
  bench.rejector.refuse(refused(3));
  await bench.clock.advance(600_000);
  assert.equal(bench.sent.length, sent);
  assert.equal(bench.clock.timers, 0);
});

Deno.test("closing breaks off what is on its way at the deadline", async () => {
  const bench = makeBench();
  let aborted = 0;
  bench.answer = (_sent, request) =>
    new Promise((_resolve, reject) => {
      request.signal.addEventListener("abort", () => {
        aborted++;
        reject(request.signal.reason);
      });
    });
  bench.rejector.refuse(refused(1));
  await settle();
  const closing = bench.rejector.close(5000);
  await bench.clock.advance(5000);
  await closing;
  await settle();
  assert.equal(aborted, 2);
  assert.equal(bench.clock.timers, 0);
});

Deno.test("closing calls off retries and is done at once when nothing is on its way", async () => {
  const bench = makeBench();
  bench.answer = () => failure(503);
  bench.rejector.refuse(refused(1));
  await settle();
  await bench.rejector.close(5000);
  assert.equal(bench.clock.timers, 0);
});

Deno.test("messages stay below 1 KB and whole, in any script", () => {
  const ending = ". It stays Pending";
  const text = rejectionMessage("€".repeat(2000), ending);
  const bytes = new TextEncoder().encode(text).length;
  assert.ok(bytes <= MAX_MESSAGE_BYTES && bytes > MAX_MESSAGE_BYTES - 3);
  assert.ok(text.startsWith(REJECTION_PREFIX) && text.endsWith(ending) && text.isWellFormed());
});

Deno.test("an Event of a pod with a long name has a name that Kubernetes takes", async () => {
  const bench = makeBench();
  bench.rejector.refuse(refused(1, { name: `${"a".repeat(219)}.${"b".repeat(33)}` }));
  await settle();
  const metadata = JSON.stringify(bench.of("POST")[0]?.body["metadata"]);
  assert.match(metadata, /"name":"a{219}\.0{12}40008000000000000001"/);
});
