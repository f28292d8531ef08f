import assert from "node:assert/strict";
import type { Clock } from "./clock.ts";
import { createUpstream, UpstreamError, type UpstreamFailure, type UpstreamOptions } from "./upstream.ts";

interface Sent {
  url: string;
  init: RequestInit;
  headers: Headers;
}

/** A clock whose timers run when the test says so. */
function manualClock(): Clock & { timers: Set<() => void> } {
  const timers = new Set<() => void>();
  return {
    timers,
    now: () => new Date(0),
    after(_delay, callback) {
      timers.add(callback);
      return () => void timers.delete(callback);
    },
  };
}

function setUp(over: Partial<UpstreamOptions> = {}) {
  const sent: Sent[] = [];
  const clock = manualClock();
  const upstream = createUpstream({
    server: new URL("https://api.example:6443"),
    fetch: (url, init) => {
      sent.push({ url, init, headers: new Headers(init.headers) });
      return Promise.resolve(new Response("ok"));
    },
    bearerToken: () => Promise.resolve(undefined),
    clock,
    ...over,
  });
  return { upstream, sent, clock };
}

/** Answers nothing until the signal ends it. */
function silent(_url: string, init: RequestInit): Promise<Response> {
  return new Promise((_, reject) => {
    const end = () => reject(new DOMException("aborted", "AbortError"));
    return init.signal?.aborted ? end() : init.signal?.addEventListener("abort", end);
  });
}

async function rejects(action: Promise<unknown>, code: UpstreamFailure): Promise<UpstreamError> {
  try {
    await action;
  } catch (error) {
    assert.ok(error instanceof UpstreamError);
    assert.equal(error.code, code);
    return error;
  }
  assert.fail("did not reject");
}

Deno.test("path and query go up as they are, below the server's prefix", async () => {
  const { upstream, sent } = setUp({ server: new URL("https://api.example/k8s/") });
  await upstream.send({
    method: "GET",
    path: "/api/v1/pods?fieldSelector=spec.nodeName%3Dworker&watch=true",
  });
  assert.equal(
    sent[0]?.url,
    "https://api.example/k8s/api/v1/pods?fieldSelector=spec.nodeName%3Dworker&watch=true",
  );
  assert.equal(sent[0]?.init.redirect, "manual");
  assert.equal(sent[0]?.headers.get("accept-encoding"), "identity");
});

Deno.test("the node's token is the only credential", async () => {
  const { upstream, sent } = setUp({ bearerToken: () => Promise.resolve("node-token") });
  await upstream.send({
    method: "GET",
    path: "/api/v1/nodes/worker",
    headers: new Headers({ authorization: "Bearer other", "impersonate-user": "admin", accept: "a" }),
  });
  assert.deepEqual([...sent[0]?.headers ?? []], [
    ["accept", "a"],
    ["accept-encoding", "identity"],
    ["authorization", "Bearer node-token"],
  ]);
});

Deno.test("without a token there is no Authorization, whatever the client sent", async () => {
  const { upstream, sent } = setUp();
  await upstream.send({ method: "GET", path: "/a", headers: new Headers({ authorization: "Bearer other" }) });
  assert.equal(sent[0]?.headers.has("authorization"), false);
});

Deno.test("bodies go up in every form, except with GET", async () => {
  const { upstream, sent } = setUp();
  for (const body of ["text", new TextEncoder().encode("bytes"), new Blob(["stream"]).stream(), null]) {
    await upstream.send({ method: "PATCH", path: "/a", body });
  }
  await upstream.send({ method: "GET", path: "/a", body: "text" });
  const bodies = await Promise.all(sent.map(({ init }) => new Response(init.body ?? null).text()));
  assert.deepEqual(bodies, ["text", "bytes", "stream", "", ""]);
});

Deno.test("refuses paths that would change on their way", async () => {
  const { upstream, sent } = setUp();
  for (
    const path of ["", "a", "/a/../b", "/a/./b", "/a b", "/a\\b", "/%2e%2e/b", "/a#b", "/\u00e4", "@evil/x"]
  ) {
    await rejects(upstream.send({ method: "GET", path }), "path-not-canonical");
  }
  assert.equal(sent.length, 0);
});

Deno.test("refuses to wait for ever", async () => {
  const { upstream, clock } = setUp({ fetch: silent });
  const answer = upstream.send({ method: "GET", path: "/a" });
  await Promise.resolve();
  await Promise.resolve();
  for (const timer of clock.timers) {
    timer();
  }
  await rejects(answer, "timeout");
  assert.equal(clock.timers.size, 0);
});

Deno.test("a client that leaves ends the request", async () => {
  const { upstream, clock } = setUp({ fetch: silent });
  const client = new AbortController();
  const answer = upstream.send({ method: "GET", path: "/a", signal: client.signal });
  client.abort();
  await rejects(answer, "aborted");
  assert.equal(clock.timers.size, 0);
});

Deno.test("the timer ends with the headers, so that watches go on", async () => {
  const { upstream, clock } = setUp();
  await upstream.send({ method: "GET", path: "/a?watch=true" });
  assert.equal(clock.timers.size, 0);
});

Deno.test("no connection: the reason without the URL", async () => {
  const { upstream } = setUp({
    fetch: (url) =>
      Promise.reject(
        new TypeError("failed", {
          cause: new Error(`error sending request for url (${url}): tcp connect error`),
        }),
      ),
  });
  const error = await rejects(upstream.send({ method: "GET", path: "/a?continue=canary" }), "unreachable");
  assert.match(error.message, /"api\.example:6443" cannot be reached \(tcp connect error\)/);
  assert.doesNotMatch(error.message, /canary/);
  const odd = setUp({ fetch: () => Promise.reject("a text") });
  await rejects(odd.upstream.send({ method: "GET", path: "/a" }), "unreachable");
});

Deno.test("refuses to ask anonymously when the token cannot be read", async () => {
  const { upstream, sent } = setUp({ bearerToken: () => Promise.reject(new Error("no such file")) });
  await rejects(upstream.send({ method: "GET", path: "/a" }), "no-credential");
  assert.equal(sent.length, 0);
});
