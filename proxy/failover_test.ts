import assert from "node:assert/strict";
import { createFailover, PROBE_INTERVAL_MS, SUCCESSES_UNTIL_UP } from "./failover.ts";
import { UpstreamError, type UpstreamRequest } from "./upstream.ts";
import { ManualClock } from "../tests/fakes/clock.ts";
import { MemoryLog } from "../tests/fakes/log.ts";

type State = "up" | "not-ready" | "refusing" | "silent";

/** A server that answers, or does not, as the test says. */
class FakeServer {
  state: State = "up";
  readonly seen: UpstreamRequest[] = [];
  /** Writes to the watches that are open. */
  watchers: ((text: string) => void)[] = [];
  readonly upstream = { send: (request: UpstreamRequest) => this.#send(request) };

  constructor(readonly url: string) {}

  #send(request: UpstreamRequest): Promise<Response> {
    const { path, signal } = request;
    if (path !== "/readyz") {
      this.seen.push(request);
    }
    switch (this.state) {
      case "refusing":
        return Promise.reject(new UpstreamError("unreachable", this.url));
      case "silent":
        return new Promise((_, reject) => {
          const abort = () => reject(new UpstreamError("aborted", this.url));
          signal?.addEventListener("abort", abort);
        });
      case "not-ready":
      case "up":
        if (path.includes("watch")) {
          return Promise.resolve(
            new Response(
              new ReadableStream({
                start: (controller) => {
                  this.watchers.push((text) => controller.enqueue(new TextEncoder().encode(text)));
                },
              }),
            ),
          );
        }
        return Promise.resolve(
          path === "/readyz" && this.state === "not-ready"
            ? new Response("", { status: 500 })
            : new Response(path === "/empty" ? null : this.url),
        );
      default: {
        const never: never = this.state;
        return never;
      }
    }
  }
}

function setUp(count = 2) {
  const servers = ["https://a", "https://b", "https://c"].slice(0, count).map((url) => new FakeServer(url));
  const [a, b] = servers;
  assert.ok(a !== undefined);
  const clock = new ManualClock();
  const log = new MemoryLog();
  const failover = createFailover({ servers, clock, log });
  const ask = async (path = "/x", method = "GET") => await (await failover.send({ method, path })).text();
  return { a, b: b ?? a, clock, log, failover, ask };
}

Deno.test("one server alone is never probed", async () => {
  const { clock, ask, failover } = setUp(1);
  assert.equal(clock.timers, 0);
  assert.equal(await ask(), "https://a");
  failover.close();
});

for (const state of ["refusing", "silent", "not-ready"] as const) {
  Deno.test(`a server that is ${state} is left within 5 s, and taken back when it is healthy`, async () => {
    const { a, clock, ask, failover, log } = setUp();
    await clock.advance(3 * PROBE_INTERVAL_MS);
    assert.equal(failover.active(), "https://a");
    a.state = state;
    await clock.advance(4_999);
    assert.equal(failover.active(), "https://b");
    assert.equal(await ask(), "https://b");
    a.state = "up";
    await clock.advance(SUCCESSES_UNTIL_UP * PROBE_INTERVAL_MS + 2_500);
    assert.equal(await ask(), "https://a");
    assert.deepEqual(log.events(), ["server-down", "server-active", "server-up", "server-active"]);
    failover.close();
    assert.equal(clock.timers, 0);
  });
}

Deno.test("one failure is none, and one that comes and goes is left alone", async () => {
  const { a, b, clock, failover, log } = setUp();
  b.state = "not-ready";
  await clock.advance(4_000);
  assert.deepEqual(log.events(), ["server-down"]);
  for (let round = 0; round < 3; round++) {
    b.state = "up";
    await clock.advance(2 * PROBE_INTERVAL_MS);
    b.state = "not-ready";
    await clock.advance(2 * PROBE_INTERVAL_MS);
  }
  assert.equal(a.state, "up");
  assert.deepEqual([failover.active(), log.events()], ["https://a", ["server-down"]]);
  failover.close();
});

Deno.test("what only reads is asked of the next server at once; what writes is not", async () => {
  const { a, b, ask, failover } = setUp();
  a.state = "refusing";
  assert.equal(await ask(), "https://b");
  await assert.rejects(
    ask("/x", "POST"),
    (error) => error instanceof UpstreamError && error.code === "unreachable",
  );
  assert.equal(b.seen.length, 1);
  b.state = "refusing";
  await assert.rejects(ask());
  failover.close();
});

Deno.test("a request that waits for a dead server goes to the next one", async () => {
  const { a, clock, ask, failover } = setUp();
  a.state = "silent";
  const reading = ask();
  const writing = ask("/x", "PATCH");
  writing.catch(() => {});
  await clock.advance(5_000);
  assert.equal(await reading, "https://b");
  await assert.rejects(writing, (error) => error instanceof UpstreamError && error.code === "unreachable");
  failover.close();
});

for (const state of ["not-ready", "silent"] as const) {
  Deno.test(`a watch on a server that is ${state} ${state === "silent" ? "is broken off" : "goes on"}`, async () => {
    const { a, clock, failover } = setUp();
    const response = await failover.send({ method: "GET", path: "/x?watch=true" });
    const reader = response.body?.getReader();
    assert.ok(reader !== undefined);
    a.watchers[0]?.("1");
    assert.equal((await reader.read()).value?.length, 1);
    const next = reader.read().then(({ value }) => value?.length, () => "broken off");
    a.state = state;
    await clock.advance(10_000);
    if (state === "not-ready") a.watchers[0]?.("12");
    assert.equal(await next, state === "silent" ? "broken off" : 2);
    await reader.cancel().catch(() => {});
    failover.close();
  });
}

Deno.test("watches outlive the way back to the first server", async () => {
  const { a, b, clock, failover } = setUp();
  a.state = "refusing";
  await clock.advance(5_000);
  const response = await failover.send({ method: "GET", path: "/x?watch=true" });
  const reader = response.body?.getReader();
  a.state = "up";
  await clock.advance(10_000);
  assert.equal(failover.active(), "https://a");
  b.watchers[0]?.("123");
  assert.equal((await reader?.read())?.value?.length, 3);
  await reader?.cancel();
  failover.close();
});

Deno.test("with all servers down the last one is asked on, and its work is not broken off", async () => {
  const { a, b, clock, failover } = setUp();
  const response = await failover.send({ method: "GET", path: "/x?watch=true" });
  b.state = "silent";
  await clock.advance(5_000);
  a.state = "silent";
  await clock.advance(5_000);
  assert.equal(failover.active(), "https://a");
  a.watchers[0]?.("1");
  assert.equal((await response.body?.getReader().read())?.value?.length, 1);
  failover.close();
});

Deno.test("a client that leaves ends its request; answers without a body are over at once", async () => {
  const { a, failover } = setUp();
  const leaving = new AbortController();
  a.state = "silent";
  const sent = failover.send({ method: "GET", path: "/x", signal: leaving.signal });
  leaving.abort();
  await assert.rejects(sent, (error) => error instanceof UpstreamError && error.code === "aborted");
  a.state = "up";
  assert.equal((await failover.send({ method: "GET", path: "/empty" })).body, null);
  assert.throws(() => createFailover({ servers: [], clock: new ManualClock(), log: new MemoryLog() }));
  failover.close();
});

Deno.test("an answer with a status of which no Response can be made goes to whoever refuses it", async () => {
  const { a, failover } = setUp();
  const odd = new Response("x");
  // Responses of fetch may have any status; those that a program makes may not.
  Object.defineProperty(odd, "status", { value: 700 });
  a.upstream.send = () => Promise.resolve(odd);
  assert.equal(await failover.send({ method: "GET", path: "/x" }), odd);
  failover.close();
});
