import assert from "node:assert/strict";
import { REJECTION_REASON } from "./rejection.ts";
import {
  createRejector,
  MAX_ANSWER_BYTES,
  MAX_CONCURRENT_REQUESTS,
  MAX_CONFLICT_TRIES,
  MAX_EVENT_COUNT,
  MAX_EVENT_TRIES,
  MAX_TRIES,
  type RefusedPod,
  type Rejector,
  REPEAT_PAUSE_MS,
  REQUEST_TIMEOUT_MS,
} from "./rejector.ts";
import { ManualClock, settle } from "../../tests/fakes/clock.ts";
import { MemoryLog } from "../../tests/fakes/log.ts";
import { uidOf } from "../../tests/fakes/owner.ts";
import { jsonAnswer, upstreamOf } from "../../tests/fakes/upstream.ts";

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
    const logged = [...bench.log.of("rejection-retry"), ...bench.log.of("rejections-held")];
    assert.equal(logged.length, 3);
  });
}

Deno.test("Retry-After is waited for", async () => {
  const bench = makeBench();
  bench.answer = (sent) => sent.atMs === 0 ? failure(429, "later", { "retry-after": "20" }) : jsonAnswer({});
  bench.rejector.refuse(refused(1));
  await bench.clock.advance(60_000);
  assert.deepEqual(bench.of("PATCH").map(({ atMs }) => atMs), [0, 20_000]);
});

Deno.test("an API server that is gone for minutes is told when it is back, once, of thousands of pods", async () => {
  const bench = makeBench();
  const pods = 3000;
  bench.answer = (sent) => sent.atMs < 600_000 ? failure(503) : jsonAnswer({});
  for (let number = 0; number < pods; number++) {
    bench.rejector.refuse(refused(number));
  }
  await bench.clock.advance(600_000 - 1);
  assert.ok(bench.sent.length < 30, `${bench.sent.length} requests while it was away`);
  assert.ok(bench.log.of("rejections-held").length < 30);
  const before = bench.sent.length;
  await bench.clock.advance(120_000);
  for (let turn = 0; turn < pods && bench.sent.length < before + 2 * pods; turn++) {
    await settle();
  }
  const told = bench.sent.slice(before);
  assert.equal(
    new Set(told.map(({ method, path }) => `${method} ${path}`)).size,
    pods + 1,
    "all pods, and the Events",
  );
  assert.equal(told.length, 2 * pods, "each once");
  assert.deepEqual(bench.log.of("rejection-given-up"), []);
});

Deno.test("a request that alone is not answered is given up, and holds up the others for seconds", async () => {
  const bench = makeBench();
  bench.answer = (sent) =>
    sent.method === "PATCH" && sent.path.includes("/web-1/") ? failure(503) : jsonAnswer({});
  bench.rejector.refuse(refused(1));
  for (let number = 2; number < 40; number++) {
    await bench.clock.advance(5_000);
    bench.rejector.refuse(refused(number));
  }
  await bench.clock.advance(5_000);
  const lateMs = bench.of("PATCH").filter(({ path }) => !path.includes("/web-1/")).map(({ path, atMs }) =>
    atMs - (Number(/web-(\d+)/.exec(path)?.[1]) - 1) * 5_000
  );
  assert.equal(lateMs.length, 38);
  assert.ok(Math.max(...lateMs) < 15_000, `${lateMs}`);
  assert.equal(bench.log.of("rejection-given-up").length, 1);
  const tries = () => bench.of("PATCH").filter(({ path }) => path.includes("/web-1/")).length;
  const before = tries();
  assert.ok(before >= MAX_TRIES);
  bench.rejector.refuse(refused(1));
  await bench.clock.advance(60_000);
  assert.equal(tries(), before);
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
    await bench.clock.advance(REPEAT_PAUSE_MS - 1);
    bench.rejector.refuse(refused(1));
    bench.rejector.refuse(refused(2, { deleting: true }));
    await settle();
    assert.equal(bench.of("PATCH").length + bench.of("DELETE").length, 2);
    await bench.clock.advance(1);
    bench.rejector.refuse(refused(1));
    bench.rejector.refuse(refused(2, { deleting: true }));
    await settle();
    assert.equal(
      bench.of("PATCH").length + bench.of("DELETE").length,
      4,
      "unless it is shown again much later",
    );
  });
}

function eventBodies(bench: Bench): unknown[] {
  return bench.sent.filter(({ path }) => path.includes("/events")).map(({ method, body }) => ({
    method,
    count: body["count"],
    at: body["lastTimestamp"],
    reason: /kubelet-proxy: (.*)$/.exec(String(body["message"]))?.[1],
  }));
}

Deno.test("a pod that is refused for another reason counts in its Event, and makes no other", async () => {
  const bench = makeBench();
  bench.rejector.refuse(refused(1));
  await bench.clock.advance(20_000);
  bench.rejector.refuse(refused(1));
  bench.rejector.refuse(refused(1, { message: "its image differs" }));
  await settle();
  assert.deepEqual(eventBodies(bench), [
    { method: "POST", count: 1, at: "2026-01-01T00:00:00Z", reason: "it carries no signature" },
    { method: "PATCH", count: 2, at: "2026-01-01T00:00:20Z", reason: "its image differs" },
  ]);
  const [, patch] = bench.sent.filter(({ path }) => path.includes("/events"));
  assert.equal(patch?.path, "/api/v1/namespaces/default/events/web-1.00000000000040008000000000000001");
  assert.equal(patch?.contentType, "application/strategic-merge-patch+json");
});

Deno.test("an API server that changes a pod all the time is told of it later and later, with the sum", async () => {
  const bench = makeBench();
  for (let second = 0; second < 100; second++) {
    bench.rejector.refuse(refused(1, { message: `reason ${second}` }));
    await bench.clock.advance(1_000);
  }
  assert.deepEqual(eventBodies(bench), [
    { method: "POST", count: 1, at: "2026-01-01T00:00:00Z", reason: "reason 0" },
    { method: "PATCH", count: 10, at: "2026-01-01T00:00:10Z", reason: "reason 9" },
    { method: "PATCH", count: 30, at: "2026-01-01T00:00:30Z", reason: "reason 29" },
    { method: "PATCH", count: 70, at: "2026-01-01T00:01:10Z", reason: "reason 69" },
  ]);
});

Deno.test("an Event of an earlier process is counted on, without reading Events", async () => {
  const bench = makeBench();
  bench.answer = (sent) => sent.method === "POST" ? failure(409, "already exists") : jsonAnswer({ count: 3 });
  bench.rejector.refuse(refused(1));
  await settle();
  assert.deepEqual(eventBodies(bench).map((body) => JSON.stringify(body)), [
    '{"method":"POST","count":1,"at":"2026-01-01T00:00:00Z","reason":"it carries no signature"}',
    '{"method":"PATCH"}',
    '{"method":"PATCH","count":4,"at":"2026-01-01T00:00:00Z","reason":"it carries no signature"}',
  ]);
  assert.deepEqual(bench.log.of("rejection-given-up"), []);
});

for (
  const [what, answer] of [
    ["no number", () => jsonAnswer({ count: "9" })],
    ["a number beyond all reason", () => jsonAnswer({ count: MAX_EVENT_COUNT })],
    ["more than is read", () => jsonAnswer({ count: 7, x: "x".repeat(MAX_ANSWER_BYTES) })],
  ] as const
) {
  Deno.test(`refuses to count on from ${what}`, async () => {
    const bench = makeBench();
    bench.answer = (sent) => sent.method === "POST" ? failure(409, "already exists") : answer();
    bench.rejector.refuse(refused(1));
    await settle();
    assert.equal(bench.sent.at(-1)?.body["count"], 2);
  });
}

Deno.test("an Event that has expired is made again, with its count", async () => {
  const bench = makeBench();
  bench.rejector.refuse(refused(1));
  await bench.clock.advance(7_200_000);
  bench.answer = (sent) => sent.method === "PATCH" ? failure(404) : jsonAnswer({});
  bench.rejector.refuse(refused(1, { message: "its image differs" }));
  await settle();
  const event = bench.of("POST").at(-1)?.body;
  assert.equal(event?.["count"], 2);
  assert.equal(event?.["firstTimestamp"], "2026-01-01T00:00:00Z");
});

Deno.test("an Event that the API server keeps refusing is given up, and begun again when the pod is seen", async () => {
  const bench = makeBench();
  let answer = () => failure(403, "the namespace is being terminated");
  bench.answer = (sent) => sent.method === "POST" ? answer() : jsonAnswer({});
  bench.rejector.refuse(refused(1));
  await bench.clock.advance(600_000);
  assert.equal(bench.of("POST").length, MAX_EVENT_TRIES);
  assert.equal(bench.log.of("rejection-given-up").length, 1);
  answer = () => jsonAnswer({});
  bench.rejector.refuse(refused(1));
  await settle();
  assert.equal(bench.of("POST").length, MAX_EVENT_TRIES + 1);
  assert.equal(bench.of("PATCH").length, 2, "and its status, for which it was time too");
});

Deno.test("a pod that is being stopped has an Event, and keeps its status", async () => {
  const bench = makeBench();
  bench.rejector.announce(refused(1, { message: "its image differs. Its containers are being stopped" }));
  bench.rejector.announce(refused(1, { message: "its image differs. Its containers are being stopped" }));
  await bench.clock.advance(600_000);
  assert.deepEqual(bench.sent.map(({ method }) => method), ["POST"]);
});

Deno.test("a restart does not begin the pauses of a controller afresh", async () => {
  const bench = makeBench();
  const ago = (seconds: number) => new Date(bench.clock.now().getTime() - seconds * 1000);
  bench.rejector.recall(uidOf(1), "rs", ago(30));
  bench.rejector.recall(uidOf(2), "rs", ago(15));
  bench.rejector.recall(uidOf(3), "other", ago(700));
  bench.rejector.refuse(refused(4, { controller: "rs" }));
  bench.rejector.refuse(refused(5, { controller: "other" }));
  await bench.clock.advance(60_000);
  assert.deepEqual(bench.of("PATCH").map(({ path, atMs }) => [path.split("/")[6], atMs / 1000]), [
    ["web-5", 0],
    ["web-4", 5],
  ]);
});

Deno.test("what this process has failed is not counted twice", async () => {
  const bench = makeBench();
  bench.rejector.refuse(refused(1, { controller: "rs" }));
  bench.rejector.recall(uidOf(1), "rs", bench.clock.now());
  bench.rejector.refuse(refused(2, { controller: "rs" }));
  await bench.clock.advance(60_000);
  assert.deepEqual(bench.of("PATCH").map(({ atMs }) => atMs), [0, 10_000]);
});

for (
  const [what, answer, tries] of [
    ["a conflict that does not end", () => failure(409, "the object has been modified"), MAX_CONFLICT_TRIES],
    ["422", () => failure(422, "invalid"), 1],
    ["400", () => failure(400, "bad"), 1],
    ["403 for ever", () => failure(403, "forbidden"), MAX_TRIES],
    ["500 for ever", () => failure(500, "a webhook fails"), MAX_TRIES],
  ] as const
) {
  for (
    const [task, method, changes] of [["fail", "PATCH", {}], ["delete", "DELETE", {
      deleting: true,
    }]] as const
  ) {
    Deno.test(`${what} ends the tries to ${task}; a pod that is seen much later is tried again`, async () => {
      const bench = makeBench();
      bench.answer = (sent) => sent.method === method ? answer() : jsonAnswer({});
      bench.rejector.refuse(refused(1, changes));
      await bench.clock.advance(3_600_000);
      assert.equal(bench.of(method).length, tries);
      const [line, ...more] = bench.log.of("rejection-given-up");
      assert.deepEqual([line?.level, line?.fields["task"], more], ["error", task, []]);
      bench.answer = () => jsonAnswer({});
      bench.rejector.refuse(refused(1, changes));
      bench.rejector.refuse(refused(1, changes));
      await bench.clock.advance(3_600_000);
      assert.equal(bench.of(method).length, tries + 1);
    });
  }
}

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
  assert.equal(bench.rejector.pending(), 0);
});

Deno.test("refuses more pods than the bound while all are at work, and says so once", async () => {
  const bench = makeBench(2);
  bench.answer = () => failure(503);
  for (let number = 1; number <= 4; number++) {
    bench.rejector.refuse(refused(number));
  }
  await settle();
  // A status and an Event of each.
  assert.equal(bench.rejector.pending(), 4);
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

Deno.test("an Event that is refused for good is tried again when the pod is seen much later", async () => {
  const bench = makeBench();
  let invalid = true;
  bench.answer = (sent) => invalid && sent.method === "POST" ? failure(422, "invalid") : jsonAnswer({});
  bench.rejector.refuse(refused(1));
  await bench.clock.advance(3_600_000);
  assert.equal(bench.of("POST").length, 1);
  invalid = false;
  bench.rejector.refuse(refused(1));
  await bench.clock.advance(3_600_000);
  assert.equal(bench.of("POST").length, 2);
});
