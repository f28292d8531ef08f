import assert from "node:assert/strict";
import fc from "fast-check";
import type { Clock } from "./clock.ts";
import type { HttpRequest } from "./http_client/http_client.ts";
import {
  createUpstream,
  type UpstreamCredential,
  UpstreamError,
  type UpstreamFailure,
  type UpstreamOptions,
} from "./upstream.ts";

interface Sent {
  url: string;
  init: HttpRequest;
  headers: Headers;
}

function headersOf({ headers }: HttpRequest): Headers {
  return new Headers(headers.map(([name, value]) => [name, value]));
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

function fixed(token?: string): UpstreamCredential {
  return { token: () => Promise.resolve(token), generation: 0, refresh: () => Promise.resolve() };
}

function setUp(over: Partial<UpstreamOptions> = {}) {
  const sent: Sent[] = [];
  const clock = manualClock();
  const upstream = createUpstream({
    server: new URL("https://api.example:6443"),
    fetch: (url, init) => {
      sent.push({ url, init, headers: headersOf(init) });
      return Promise.resolve(new Response("ok"));
    },
    credential: fixed(),
    clock,
    ...over,
  });
  return { upstream, sent, clock };
}

/** Answers nothing until the signal ends it. */
function silent(_url: string, { signal, timeout }: HttpRequest): Promise<Response> {
  return new Promise((_, reject) => {
    const end = () => reject(new DOMException("aborted", "AbortError"));
    for (const ends of [signal, timeout]) {
      ends?.aborted ? end() : ends?.addEventListener("abort", end);
    }
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
  assert.equal(sent[0]?.headers.get("accept-encoding"), "identity");
});

Deno.test("the node's token is the only credential", async () => {
  const { upstream, sent } = setUp({ credential: fixed("node-token") });
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

Deno.test("refuses every path that a URL parser changes, and sends those that requests have", async () => {
  const { upstream } = setUp();
  const isSent = (path: string) =>
    upstream.send({ method: "GET", path }).then(() => true, (error) => {
      assert.equal(error.code, "path-not-canonical");
      return false;
    });
  const part = fc.oneof(
    fc.string({ maxLength: 3 }),
    fc.constantFrom("/", "..", ".", "%2e", "%2E.", "?", "#", "\\", "a", "%2F", "@", "//"),
  );
  await fc.assert(fc.asyncProperty(fc.array(part, { maxLength: 8 }), async (parts) => {
    const path = `/${parts.join("")}`;
    if (await isSent(path)) {
      assert.equal(URL.parse(`https://api.example:6443${path}`)?.href, `https://api.example:6443${path}`);
    }
  }));
  // Whatever the proxy's own reader of requests admits in paths.
  const segment = fc.string({
    unit: fc.constantFrom(..."AZaz09._~!$&'()*+,=:@-"),
    minLength: 1,
  }).filter((text) => text !== "." && text !== "..");
  await fc.assert(
    fc.asyncProperty(
      fc.array(segment, { minLength: 1, maxLength: 6 }),
      fc.array(fc.tuple(fc.string({ unit: "grapheme" }), fc.string()), { maxLength: 4 }),
      async (path, query) => {
        assert.equal(await isSent(`/${path.join("/")}?${new URLSearchParams(query)}`), true);
      },
    ),
  );
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

Deno.test("no connection: the reason, without what was asked for", async () => {
  const { upstream } = setUp({
    fetch: () => Promise.reject(new TypeError("failed", { cause: new Error("Connection refused") })),
  });
  const error = await rejects(upstream.send({ method: "GET", path: "/a?continue=canary" }), "unreachable");
  assert.match(error.message, /"api\.example:6443" cannot be reached \(Connection refused\)/);
  assert.doesNotMatch(error.message, /canary/);
  const odd = setUp({ fetch: () => Promise.reject("a text") });
  await rejects(odd.upstream.send({ method: "GET", path: "/a" }), "unreachable");
});

Deno.test("refuses to ask anonymously when the token cannot be read", async () => {
  const { upstream, sent } = setUp({
    credential: { ...fixed(), token: () => Promise.reject(new Error("no such file")) },
  });
  await rejects(upstream.send({ method: "GET", path: "/a" }), "no-credential");
  assert.equal(sent.length, 0);
});

/** An API server that takes the second token, and a credential that becomes it when it is refreshed. */
function renewable(token = "second") {
  const credential = {
    current: "first",
    generation: 0,
    refreshes: 0,
    token: () => Promise.resolve(credential.current),
    refresh() {
      credential.refreshes++;
      if (credential.current !== token) {
        credential.current = token;
        credential.generation++;
      }
      return Promise.resolve();
    },
  };
  const tokens: (string | null)[] = [];
  const { upstream } = setUp({
    credential,
    fetch: (_url, init) => {
      const sent = headersOf(init).get("authorization");
      tokens.push(sent);
      return Promise.resolve(new Response("", { status: sent === "Bearer second" ? 200 : 401 }));
    },
  });
  return { upstream, credential, tokens };
}

Deno.test("a credential that is refused is renewed, and the request sent once more", async () => {
  for (const body of [null, "text", new Uint8Array(1)]) {
    const { upstream, tokens } = renewable();
    const response = await upstream.send({ method: "PATCH", path: "/a", body });
    assert.equal(response.status, 200);
    assert.deepEqual(tokens, ["Bearer first", "Bearer second"]);
  }
});

Deno.test("refuses to ask a third time, or again without another credential", async () => {
  const third = renewable("third");
  assert.equal((await third.upstream.send({ method: "GET", path: "/a" })).status, 401);
  assert.deepEqual(third.tokens, ["Bearer first", "Bearer third"]);
  const same = renewable("first");
  assert.equal((await same.upstream.send({ method: "GET", path: "/a" })).status, 401);
  assert.deepEqual([same.tokens, same.credential.refreshes], [["Bearer first"], 1]);
});

Deno.test("refuses to send a stream twice; the credential is renewed for the next request", async () => {
  const { upstream, tokens } = renewable();
  const body = () => new Blob(["x"]).stream();
  assert.equal((await upstream.send({ method: "POST", path: "/a", body: body() })).status, 401);
  assert.equal((await upstream.send({ method: "POST", path: "/a", body: body() })).status, 200);
  assert.deepEqual(tokens, ["Bearer first", "Bearer second"]);
});

Deno.test("a credential that cannot be renewed leaves the answer as it is", async () => {
  const { upstream } = setUp({
    credential: { ...fixed("x"), refresh: () => Promise.reject(new Error("no")) },
    fetch: () => Promise.resolve(new Response("", { status: 401 })),
  });
  assert.equal((await upstream.send({ method: "GET", path: "/a" })).status, 401);
});
