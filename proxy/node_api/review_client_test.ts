import assert from "node:assert/strict";
import { memoryLog } from "../fixture_test.ts";
import { createReviewClient, MAX_REVIEW_ANSWER_BYTES } from "./review_client.ts";
import {
  ACCESS_REVIEWS_PATH,
  type AccessReview,
  TOKEN_REVIEWS_PATH,
  type TokenReview,
} from "./review_request.ts";
import { MAX_STATUS_MESSAGE_LENGTH } from "../status.ts";
import type { UpstreamRequest } from "../upstream.ts";
import { MAX_GROUPS } from "./user_info.ts";

const JANE = { username: "jane", uid: "", groups: ["g"], extra: new Map() };
const ACCESS: AccessReview = {
  user: JANE,
  resource: {
    namespace: "",
    verb: "get",
    group: "",
    version: "v1",
    resource: "nodes",
    subresource: "stats",
    name: "worker",
  },
};
const TOKEN: TokenReview = { token: "canary", audiences: ["a"] };

function client(answer: () => Response) {
  const sent: UpstreamRequest[] = [];
  const log = memoryLog();
  const reviews = createReviewClient({
    send(request) {
      sent.push(request);
      return Promise.resolve(answer());
    },
  }, log);
  const { signal } = new AbortController();
  return {
    sent,
    log,
    access: () => reviews.access(ACCESS, signal),
    token: () => reviews.token(TOKEN, signal),
  };
}

function json(value: unknown, status = 201, headers: Record<string, string> = {}): Response {
  return new Response(typeof value === "string" ? value : JSON.stringify(value), {
    status,
    headers: { "content-type": "application/json", ...headers },
  });
}

const access = (status: unknown) => ({
  apiVersion: "authorization.k8s.io/v1",
  kind: "SubjectAccessReview",
  status,
});
const token = (status: unknown) => ({ apiVersion: "authentication.k8s.io/v1", kind: "TokenReview", status });

Deno.test("asks in JSON, for JSON that is not compressed, with what was understood", async () => {
  const { sent, access: ask, token: askToken } = client(() =>
    json(access({ allowed: true, reason: "RBAC" }))
  );
  assert.deepEqual(await ask(), { kind: "allowed", reason: "RBAC" });
  await askToken();
  const [first, second] = sent;
  assert.deepEqual([first?.method, first?.path], ["POST", ACCESS_REVIEWS_PATH]);
  assert.deepEqual([second?.method, second?.path], ["POST", TOKEN_REVIEWS_PATH]);
  for (
    const [name, value] of [
      ["accept", "application/json"],
      ["accept-encoding", "identity"],
      ["content-type", "application/json"],
    ] as const
  ) {
    assert.equal(first?.headers?.get(name), value, name);
  }
  assert.deepEqual(JSON.parse(String(first?.body)), {
    apiVersion: "authorization.k8s.io/v1",
    kind: "SubjectAccessReview",
    spec: {
      resourceAttributes: {
        verb: "get",
        version: "v1",
        resource: "nodes",
        subresource: "stats",
        name: "worker",
      },
      user: "jane",
      groups: ["g"],
    },
  });
  assert.deepEqual(JSON.parse(String(second?.body)).spec, { token: "canary", audiences: ["a"] });
});

Deno.test("refuses whatever is not said to be allowed", async () => {
  for (const status of [{ allowed: false }, {}, { allowed: true, denied: true }, { denied: true }]) {
    const verdict = await client(() => json(access(status))).access();
    assert.equal(verdict.kind, "refused", JSON.stringify(status));
  }
});

Deno.test("refuses answers to access reviews that are no verdict", async () => {
  const answers: (() => Response)[] = [
    () => json(access({ allowed: "true" })),
    () => json(access({ allowed: 1 })),
    () => json(access({ allowed: true, denied: "no" })),
    () => json(access({ allowed: true, reason: 1 })),
    () => json(access([])),
    () => json(access(undefined)),
    () => json({ ...access({ allowed: true }), kind: "LocalSubjectAccessReview" }),
    () => json({ ...access({ allowed: true }), apiVersion: "authorization.k8s.io/v1beta1" }),
    () => json(token({ allowed: true })),
    () => json([]),
    () => json("{"),
    () => json('{"status":{"allowed":false,"allowed":true}}'),
    () => json(access({ allowed: true }), 202),
    () => json(access({ allowed: true }), 200, { "content-type": "text/plain" }),
    () => json(access({ allowed: true }), 201, { "content-encoding": "gzip" }),
    () => json({ ...access({ allowed: true }), padding: "x".repeat(MAX_REVIEW_ANSWER_BYTES) }),
  ];
  for (const [index, answer] of answers.entries()) {
    const { access: ask, log } = client(answer);
    const verdict = await ask();
    assert.ok(verdict.kind === "failure", `${index}: ${JSON.stringify(verdict)}`);
    assert.equal(verdict.response.status, 502, String(index));
    assert.equal(log.events[0]?.event, "answer-refused");
  }
});

Deno.test("failures come back as a Status that is built again", async () => {
  const body = {
    kind: "Status",
    apiVersion: "v1",
    reason: "Forbidden",
    message: "no\n",
    code: 403,
    other: "canary",
  };
  for (const ask of ["access", "token"] as const) {
    const verdict = await client(() => json(body, 403))[ask]();
    assert.ok(verdict.kind === "failure");
    const status = await verdict.response.json();
    assert.deepEqual([verdict.response.status, status.reason, status.message], [403, "Forbidden", "no "]);
    assert.equal("other" in status, false);
  }
});

const KNOWN = {
  authenticated: true,
  user: { username: "jane", uid: "1", groups: ["g"], extra: { k: ["v"] } },
};

Deno.test("a token that is known", async () => {
  const verdict = await client(() => json(token({ ...KNOWN, audiences: ["a", "never asked for"] }))).token();
  assert.deepEqual(verdict, {
    kind: "known",
    user: { username: "jane", uid: "1", groups: ["g"], extra: new Map([["k", ["v"]]]) },
    audiences: ["a"],
  });
});

Deno.test("refuses to repeat a token where the kubelet would log it", async () => {
  const unknown = await client(() => json(token({ error: "no canary" }))).token();
  assert.ok(unknown.kind === "unknown");
  assert.doesNotMatch(unknown.error, /canary/);
  const failures = [
    () => json(token({ ...KNOWN, user: { username: "a canary" } })),
    () => json({ kind: "Status", apiVersion: "v1", status: "Failure", code: 500, message: "canary" }, 500),
  ];
  for (const answer of failures) {
    const { token: ask, log } = client(answer);
    const verdict = await ask();
    assert.ok(verdict.kind === "failure");
    assert.doesNotMatch(await verdict.response.text(), /canary/);
    assert.doesNotMatch(JSON.stringify(log.events), /canary/);
  }
});

Deno.test("refuses tokens that are not said to be authenticated", async () => {
  for (const status of [{}, { ...KNOWN, authenticated: false }, { ...KNOWN, error: "why" }]) {
    assert.equal((await client(() => json(token(status))).token()).kind, "unknown");
  }
  const long = await client(() => json(token({ error: "x\n".repeat(MAX_STATUS_MESSAGE_LENGTH) }))).token();
  assert.ok(long.kind === "unknown");
  assert.equal(long.error.length, MAX_STATUS_MESSAGE_LENGTH);
  assert.doesNotMatch(long.error, /\n/);
});

Deno.test("refuses answers to token reviews that are malformed or beyond a bound, without showing the token", async () => {
  const statuses: unknown[] = [
    { ...KNOWN, authenticated: "true" },
    { ...KNOWN, error: 1 },
    { authenticated: true },
    { ...KNOWN, user: [] },
    { ...KNOWN, user: {} },
    { ...KNOWN, user: { username: "" } },
    { ...KNOWN, user: { username: 1 } },
    { ...KNOWN, user: { ...KNOWN.user, groups: Array(MAX_GROUPS + 1).fill("g") } },
    { ...KNOWN, user: { ...KNOWN.user, extra: { k: "v" } } },
    { ...KNOWN, audiences: "a" },
  ];
  for (const status of statuses) {
    const { token: ask, log } = client(() => json(token(status)));
    assert.equal((await ask()).kind, "failure", JSON.stringify(status).slice(0, 80));
    assert.doesNotMatch(JSON.stringify(log.events), /canary/);
  }
});
