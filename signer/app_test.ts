import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { decodeBase64 } from "@signed-pods/shared/base64";
import { readVerificationKeys } from "@signed-pods/shared/keys";
import { verifySignature } from "@signed-pods/shared/signature";
import { type AppOptions, createApp, createMetricsApp, needsLoopbackHost } from "./app.ts";
import type { AuditRecord } from "./audit.ts";
import { MAX_BODY_BYTES, MAX_BODY_DEPTH } from "./body.ts";
import type { RequestContext } from "./client.ts";
import { SIGNING_CONCURRENCY } from "./concurrency.ts";
import type { KeyRing } from "./key_folder.ts";
import { createMemoryKeyStore, type KeyStore } from "./key_store.ts";
import { createMetrics } from "./metrics.ts";
import { SIGNING_RATE } from "./rate_limit.ts";
import type { RequestErrorCode } from "./request_error.ts";
import { createIdentity, DAY_MS } from "./signing_identity.ts";
import { parseTokens } from "./tokens.ts";

const NOW = new Date("2024-05-06T07:08:09Z");
const PEER: RequestContext = { address: "127.0.0.1", port: 5555 };
const TOKEN = "0123456789abcdef0123456789abcdef";
const NEW_KEY = { keyType: "ec-p256", certificateLifetimeDays: 10, now: NOW } as const;
const keyStore = await createMemoryKeyStore(NEW_KEY);
const ring = await keyStore.ring();
const withToken = {
  authentication: { tokens: () => parseTokens(TOKEN), certificates: false },
};

interface TestApp {
  audit: AuditRecord[];
  errors: unknown[];
  metrics: () => Promise<string>;
  request(path: string, init?: RequestInit, context?: RequestContext): Promise<Response>;
}

function makeApp(options: Partial<AppOptions> = {}): TestApp {
  const audit: AuditRecord[] = [];
  const errors: unknown[] = [];
  const metrics = createMetrics();
  const app = createApp({
    keyStore,
    authentication: { certificates: false },
    policy: { templatesOnly: false },
    requireLoopbackHost: false,
    now: () => NOW,
    elapsedMs: () => 0,
    audit: {
      write: (record) => {
        audit.push(record);
        return Promise.resolve();
      },
    },
    metrics,
    reportError: (error) => {
      errors.push(error);
    },
    ...options,
  });
  const request = async (path: string, init: RequestInit = {}, context: RequestContext = PEER) =>
    await app.fetch(new Request(`http://localhost:8080${path}`, init), context);
  return { audit, errors, metrics: () => metrics.text(ring), request };
}

function outcomeCount(metrics: string, outcome: string): number {
  const match = new RegExp(`^signing_server_sign_requests_total\\{outcome="${outcome}"\\} (\\d+)$`, "m").exec(
    metrics,
  );
  assert.ok(match !== null, `${outcome} is not counted`);
  return Number(match[1]);
}

function signRequest(body: BodyInit, headers: Record<string, string> = {}): RequestInit {
  return { method: "POST", headers: { "content-type": "application/json", ...headers }, body };
}

async function fieldsOf(response: Response): Promise<Record<string, unknown>> {
  const value: unknown = await response.json();
  assert.ok(typeof value === "object" && value !== null && !Array.isArray(value));
  return { ...value };
}

async function assertRefused(response: Response, status: number, code: RequestErrorCode): Promise<string> {
  assert.equal(response.status, status);
  assert.equal(response.headers.get("content-type"), "application/json");
  const { error, ...rest } = await fieldsOf(response);
  assert.deepEqual(rest, {});
  assert.ok(typeof error === "object" && error !== null && "code" in error && "message" in error);
  assert.deepEqual(Object.keys(error), ["code", "message"]);
  assert.equal(error.code, code);
  assert.ok(typeof error.message === "string" && error.message !== "");
  return error.message;
}

function sha256(text: string): string {
  return createHash("sha256").update(text, "utf8").digest("hex");
}

Deno.test("GET /health says ok", async () => {
  const response = await makeApp().request("/health");
  assert.equal(response.status, 200);
  assert.deepEqual(await response.json(), { status: "ok" });
});

Deno.test("HEAD is answered like GET without a body", async () => {
  const response = await makeApp().request("/signingcert", { method: "HEAD" });
  assert.equal(response.status, 200);
  assert.equal(await response.text(), "");
});

Deno.test("GET /signingcert gives the certificate", async () => {
  const response = await makeApp().request("/signingcert");
  assert.equal(response.headers.get("content-type"), "application/x-pem-file");
  assert.equal(response.headers.get("cache-control"), "no-store");
  assert.equal(await response.text(), ring.current.pem);
});

Deno.test("POST /generatekeys says that keys exist, each time the same", async () => {
  const { request } = makeApp();
  const answers = [];
  for (let count = 0; count < 2; count++) {
    const response = await request("/generatekeys", { method: "POST" });
    assert.equal(response.status, 200);
    answers.push(await fieldsOf(response));
  }
  assert.deepEqual(answers[0], answers[1]);
  assert.equal(answers[0]?.fingerprint, ring.current.fingerprint);
});

Deno.test("POST /sign signs the SHA-256 of the payload's UTF-8 bytes", async () => {
  const [key] = await readVerificationKeys(ring.current.pem, "certificate");
  assert.ok(key !== undefined);
  const { request, audit } = makeApp();
  for (const payload of ["{}", "x", "ä€😀\u2028\u0000\n", " ", "<>&", "a".repeat(100_000)]) {
    const response = await request("/sign", signRequest(JSON.stringify({ payload })));
    assert.equal(response.status, 200);
    const { signature, ...rest } = await fieldsOf(response);
    assert.deepEqual(rest, {});
    assert.ok(typeof signature === "string");
    assert.ok(await verifySignature(key, decodeBase64(signature), new TextEncoder().encode(payload)));
    assert.deepEqual(audit.pop(), {
      time: NOW,
      payloadSha256: sha256(payload),
      payloadBytes: new TextEncoder().encode(payload).length,
      authenticatedBy: "nothing",
      peer: "127.0.0.1:5555",
      keyId: ring.current.keyId,
    });
  }
});

Deno.test("the content type may name the character set", async () => {
  const { request } = makeApp();
  for (
    const type of ["application/json; charset=utf-8", 'Application/JSON;charset="UTF-8"', "application/json;"]
  ) {
    const response = await request("/sign", signRequest('{"payload":"x"}', { "content-type": type }));
    assert.equal(response.status, 200, type);
  }
});

Deno.test("refuses unknown paths", async () => {
  const { request } = makeApp();
  for (const path of ["/", "/sign/", "/Sign", "//sign", "/signingcert.pem", "/health/x"]) {
    await assertRefused(await request(path), 404, "not-found");
  }
});

Deno.test("refuses wrong methods and names the right one", async () => {
  const { request, audit } = makeApp();
  const cases: [string, string, string][] = [
    ["GET", "/sign", "POST"],
    ["PUT", "/sign", "POST"],
    ["OPTIONS", "/sign", "POST"],
    ["GET", "/generatekeys", "POST"],
    ["POST", "/health", "GET, HEAD"],
    ["DELETE", "/signingcert", "GET, HEAD"],
  ];
  for (const [method, path, allow] of cases) {
    const response = await request(path, { method });
    assert.equal(response.headers.get("allow"), allow);
    await assertRefused(response, 405, "method-not-allowed");
  }
  assert.deepEqual(audit, []);
});

Deno.test("refuses bodies that are not declared as JSON", async () => {
  const { request, audit } = makeApp();
  const types = ["text/plain", "", "application/x-www-form-urlencoded", "application/jsonp", "text/json"];
  for (const type of [...types, "application/json; charset=utf-16", "application/json; charset=latin1"]) {
    await assertRefused(
      await request("/sign", signRequest('{"payload":"x"}', { "content-type": type })),
      415,
      "unsupported-media-type",
    );
  }
  const compressed = signRequest('{"payload":"x"}', { "content-encoding": "gzip" });
  await assertRefused(await request("/sign", compressed), 415, "unsupported-media-type");
  assert.deepEqual(audit, []);
});

Deno.test("refuses bodies that are not one JSON document in UTF-8", async () => {
  const { request, audit } = makeApp();
  const bodies: BodyInit[] = [
    "[".repeat(MAX_BODY_DEPTH + 1) + "]".repeat(MAX_BODY_DEPTH + 1),
    "",
    "x",
    "{",
    "[]",
    '"payload"',
    "null",
    '{"payload":"x"} {}',
    '{"payload":"x","payload":"y"}',
    '\ufeff{"payload":"x"}',
    '{"payload":"\\ud800"}',
    '{"payload":"a\nb"}',
    '{"payload":[[[[["x"]]]]]}',
    new Uint8Array([...new TextEncoder().encode('{"payload":"'), 0xff, 0x22, 0x7d]),
    new Uint8Array([...new TextEncoder().encode('{"payload":"'), 0xed, 0xa0, 0x80, 0x22, 0x7d]),
  ];
  for (const body of bodies) {
    await assertRefused(await request("/sign", signRequest(body)), 400, "body-malformed");
  }
  assert.deepEqual(audit, []);
});

Deno.test("refuses payloads that are missing, empty or no text, and fields that it does not know", async () => {
  const { request, audit } = makeApp();
  const cases: [string, RequestErrorCode][] = [
    ["{}", "payload-missing"],
    ['{"Payload":"x"}', "payload-missing"],
    ['{"payload":""}', "payload-empty"],
    ['{"payload":null}', "payload-not-string"],
    ['{"payload":1}', "payload-not-string"],
    ['{"payload":{}}', "payload-not-string"],
    ['{"payload":["x"]}', "payload-not-string"],
    ['{"payload":"x","hash":"sha512"}', "unknown-field"],
    ['{"payload":"x","__proto__":{}}', "unknown-field"],
  ];
  for (const [body, code] of cases) {
    await assertRefused(await request("/sign", signRequest(body)), 400, code);
  }
  assert.deepEqual(audit, []);
});

/** A body in pieces, without a Content-Length. */
function streamed(
  pieces: number,
  pieceBytes: number,
  counter: { pulled: number },
): ReadableStream<Uint8Array> {
  return new ReadableStream({
    pull(controller) {
      if (counter.pulled === pieces) return controller.close();
      counter.pulled += 1;
      controller.enqueue(new Uint8Array(pieceBytes).fill(0x20));
    },
  }, { highWaterMark: 0 });
}

Deno.test("refuses bodies over the limit by their declared length", async () => {
  const { request } = makeApp();
  const response = await request(
    "/sign",
    signRequest("{}", { "content-length": String(MAX_BODY_BYTES + 1) }),
  );
  await assertRefused(response, 413, "body-too-large");
});

Deno.test("refuses bodies over the limit by counting, without reading them to the end", async () => {
  const { request, audit } = makeApp();
  const counter = { pulled: 0 };
  const body = streamed(100, 64 * 1024, counter);
  const response = await request("/sign", {
    ...signRequest(body),
    headers: { "content-type": "application/json" },
  });
  await assertRefused(response, 413, "body-too-large");
  assert.ok(counter.pulled <= 18, `${counter.pulled} pieces were read`);
  assert.deepEqual(audit, []);
});

Deno.test("refuses a body that is longer than it declares", async () => {
  const { request } = makeApp();
  const body = streamed(100, 64 * 1024, { pulled: 0 });
  await assertRefused(
    await request("/sign", signRequest(body, { "content-length": "10" })),
    413,
    "body-too-large",
  );
});

Deno.test("a body of exactly the limit is read", async () => {
  const { request } = makeApp();
  const frame = JSON.stringify({ payload: "" }).length;
  const body = JSON.stringify({ payload: "a".repeat(MAX_BODY_BYTES - frame) });
  assert.equal(body.length, MAX_BODY_BYTES);
  assert.equal((await request("/sign", signRequest(body))).status, 200);
});

Deno.test("refuses a body that does not arrive in time", async () => {
  const { request } = makeApp({ bodyTimeoutMs: 20 });
  let cancelled = false;
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(new TextEncoder().encode('{"payload":'));
    },
    cancel() {
      cancelled = true;
    },
  });
  await assertRefused(await request("/sign", signRequest(body)), 408, "body-timeout");
  assert.ok(cancelled);
});

Deno.test("refuses to sign without the token, and signs with it", async () => {
  const { request, audit } = makeApp(withToken);
  const values = [
    undefined,
    "",
    "Bearer",
    "Bearer ",
    `Bearer ${TOKEN}x`,
    `Bearer ${TOKEN.slice(1)}`,
    `Bearer ${TOKEN.toUpperCase()}`,
    `Bearer ${TOKEN} ${TOKEN}`,
    `Basic ${TOKEN}`,
    TOKEN,
  ];
  for (const value of values) {
    const headers: Record<string, string> = value === undefined ? {} : { authorization: value };
    for (const path of ["/sign", "/generatekeys"]) {
      const response = await request(path, signRequest('{"payload":"x"}', headers));
      assert.ok(response.headers.get("www-authenticate")?.startsWith("Bearer"));
      await assertRefused(response, 401, "unauthorized");
    }
  }
  const messageFor = async (headers: Record<string, string>) =>
    await (await request("/sign", signRequest('{"payload":"x"}', headers))).text();
  assert.ok((await messageFor({})).includes("needs a token"));
  assert.ok(
    (await messageFor({ authorization: `Bearer ${TOKEN}x` })).includes("not a token of the server"),
  );
  assert.deepEqual(audit, []);
  for (const scheme of ["Bearer", "bearer", "Bearer "]) {
    const headers = { authorization: `${scheme} ${TOKEN}` };
    assert.equal((await request("/sign", signRequest('{"payload":"x"}', headers))).status, 200);
    assert.equal((await request("/generatekeys", { method: "POST", headers })).status, 200);
  }
});

Deno.test("the certificate and the health need no token", async () => {
  const { request } = makeApp(withToken);
  assert.equal((await request("/health")).status, 200);
  assert.equal((await request("/signingcert")).status, 200);
});

Deno.test("refuses an unauthorized client before it reads the body", async () => {
  const { request } = makeApp(withToken);
  const counter = { pulled: 0 };
  await assertRefused(await request("/sign", signRequest(streamed(4, 1, counter))), 401, "unauthorized");
  assert.equal(counter.pulled, 0);
});

Deno.test("refuses hosts other than loopback, which a web page may have pointed here", async () => {
  const { request, audit } = makeApp({ requireLoopbackHost: true });
  for (
    const host of ["attacker.example", "attacker.example:8080", "localhost.attacker.example", "10.0.0.1", ""]
  ) {
    await assertRefused(
      await request("/sign", signRequest('{"payload":"x"}', { host })),
      403,
      "host-not-allowed",
    );
  }
  assert.deepEqual(audit, []);
  for (const host of ["localhost", "localhost:8080", "127.0.0.1:1", "127.1.2.3", "[::1]:8080"]) {
    assert.equal((await request("/sign", signRequest('{"payload":"x"}', { host }))).status, 200, host);
  }
});

Deno.test("refuses to give out a signature that cannot be logged", async () => {
  const failure = new Error("disk full");
  const { request, errors, metrics } = makeApp({ audit: { write: () => Promise.reject(failure) } });
  const response = await request("/sign", signRequest('{"payload":"x"}'));
  // Coming again at once would not help, so that nobody is asked to.
  assert.equal(response.headers.get("retry-after"), null);
  const message = await assertRefused(response, 503, "audit-failed");
  assert.ok(!message.includes("disk full"));
  assert.deepEqual(errors, [failure]);
  assert.equal(outcomeCount(await metrics(), "audit-failed"), 1);
  assert.equal(outcomeCount(await metrics(), "signed"), 0);
});

Deno.test("the answer waits for the audit line", async () => {
  const { promise: written, resolve: finish } = Promise.withResolvers<void>();
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
  const { request } = makeApp({
    audit: {
      write: () => {
        begin();
        return written;
      },
    },
  });
  let answered = false;
  const answer = request("/sign", signRequest('{"payload":"x"}')).then((response) => {
    answered = true;
    return response;
  });
  await begun;
  assert.equal(answered, false);
  finish();
  assert.equal((await answer).status, 200);
});

Deno.test("refuses with a general message if the key fails", async () => {
  const current = { ...ring.current, sign: () => Promise.reject(new Error("key gone")) };
  const broken: KeyStore = { ring: () => Promise.resolve({ current, retired: [] }) };
  const { request, errors, audit, metrics } = makeApp({ keyStore: broken });
  await assertRefused(await request("/sign", signRequest('{"payload":"x"}')), 500, "internal");
  assert.equal(errors.length, 1);
  assert.deepEqual(audit, []);
  assert.equal(outcomeCount(await metrics(), "internal"), 1);
});

Deno.test("refuses to sign when the certificate has ended, until then it signs", async () => {
  const end = ring.current.notAfter.getTime();
  const before = makeApp({ now: () => new Date(end - 1) });
  assert.equal((await before.request("/sign", signRequest('{"payload":"x"}'))).status, 200);
  const { request, audit } = makeApp({ now: () => new Date(end) });
  const response = await request("/sign", signRequest('{"payload":"x"}'));
  const message = await assertRefused(response, 503, "certificate-expired");
  assert.ok(message.includes("signing-server rotate"));
  assert.deepEqual(audit, []);
});

Deno.test("GET /signingcert?all=1 gives all certificates that are valid, newest first", async () => {
  const made = (daysAgo: number) =>
    createIdentity({ ...NEW_KEY, now: new Date(NOW.getTime() - daysAgo * DAY_MS) });
  const [staged, current, earlier, ended] = await Promise.all([made(0), made(1), made(2), made(11)]);
  const all: KeyRing = { staged, current, retired: [earlier, ended] };
  const { request } = makeApp({ keyStore: { ring: () => Promise.resolve(all) } });
  assert.equal(
    await (await request("/signingcert?all=1")).text(),
    staged.pem + current.pem + earlier.pem,
  );
  assert.equal(await (await request("/signingcert")).text(), current.pem);
});

Deno.test("refuses queries that it does not know", async () => {
  const { request } = makeApp();
  for (const query of ["?all", "?all=0", "?all=true", "?all=1&x=1", "?ALL=1", "?x"]) {
    await assertRefused(await request(`/signingcert${query}`), 400, "query-malformed");
  }
});

Deno.test("refuses the request after the burst, per client, and says when to come again", async () => {
  let nowMs = 0;
  const { request, audit, metrics } = makeApp({
    authentication: {
      tokens: () => parseTokens(`alice: ${TOKEN}\nbob: ${TOKEN}x`),
      certificates: false,
    },
    elapsedMs: () => nowMs,
  });
  const as = (token: string) => signRequest('{"payload":"x"}', { authorization: `Bearer ${token}` });
  for (let count = 0; count < SIGNING_RATE.burst; count++) {
    assert.equal((await request("/sign", as(TOKEN))).status, 200);
  }
  const refused = await request("/sign", as(TOKEN));
  assert.equal(refused.headers.get("retry-after"), "1");
  assert.ok((await assertRefused(refused, 429, "rate-limited")).includes('"alice"'));
  assert.equal(audit.length, SIGNING_RATE.burst);
  assert.equal((await request("/sign", as(`${TOKEN}x`))).status, 200);
  assert.match(await metrics(), /^signing_server_rate_limited_total 1$/m);
  nowMs = 1000;
  for (let count = 0; count < SIGNING_RATE.perSecond; count++) {
    assert.equal((await request("/sign", as(TOKEN))).status, 200);
  }
  await assertRefused(await request("/sign", as(TOKEN)), 429, "rate-limited");
});

/** Requests whose bodies do not end, each in a place, until they are released. */
function holdPlaces(
  { request }: TestApp,
  contexts: readonly RequestContext[],
): { release: () => Promise<Response[]> } {
  const controllers: ReadableStreamDefaultController<Uint8Array>[] = [];
  const answers = contexts.map((context) =>
    request(
      "/sign",
      signRequest(
        new ReadableStream<Uint8Array>({ start: (controller) => void controllers.push(controller) }),
      ),
      context,
    )
  );
  return {
    release: () => {
      for (const controller of controllers) {
        controller.enqueue(new TextEncoder().encode('{"payload":"x"}'));
        controller.close();
      }
      return Promise.all(answers);
    },
  };
}

Deno.test("refuses a client that has all the places of one client, and takes others", async () => {
  const app = makeApp();
  const held = holdPlaces(app, Array.from({ length: SIGNING_CONCURRENCY.perClient }, () => PEER));
  const refused = await app.request("/sign", signRequest('{"payload":"x"}'));
  assert.equal(refused.headers.get("retry-after"), "1");
  await assertRefused(refused, 429, "rate-limited");
  const other = { address: "192.0.2.1", port: 1 };
  assert.equal((await app.request("/sign", signRequest('{"payload":"x"}'), other)).status, 200);
  assert.ok((await held.release()).every(({ status }) => status === 200));
  assert.equal((await app.request("/sign", signRequest('{"payload":"x"}'))).status, 200);
});

Deno.test("refuses everybody when all places are taken, and says when to come again", async () => {
  const app = makeApp();
  const contexts = Array.from(
    { length: SIGNING_CONCURRENCY.total },
    (_, index) => ({ address: `192.0.2.${index}`, port: 1 }),
  );
  const held = holdPlaces(app, contexts);
  const refused = await app.request("/sign", signRequest('{"payload":"x"}'));
  assert.equal(refused.headers.get("retry-after"), "1");
  await assertRefused(refused, 503, "overloaded");
  assert.ok((await held.release()).every(({ status }) => status === 200));
  assert.equal((await app.request("/sign", signRequest('{"payload":"x"}'))).status, 200);
});

Deno.test("a client certificate is enough where they are asked for, and is who signs", async () => {
  const both = { tokens: () => parseTokens(`bob: ${TOKEN}`), certificates: true };
  const { request, audit } = makeApp({ authentication: both });
  const certified = { ...PEER, certificateName: "alice" };
  assert.equal((await request("/sign", signRequest('{"payload":"x"}'), certified)).status, 200);
  const headers = { authorization: `Bearer ${TOKEN}` };
  assert.equal((await request("/sign", signRequest('{"payload":"x"}', headers))).status, 200);
  assert.deepEqual(audit.map(({ client, authenticatedBy }) => [client, authenticatedBy]), [
    ["alice", "certificate"],
    ["bob", "token"],
  ]);
});

Deno.test("refuses who shows no certificate where only certificates count", async () => {
  const { request, audit } = makeApp({ authentication: { certificates: true } });
  for (const path of ["/sign", "/generatekeys"]) {
    const response = await request(
      path,
      signRequest('{"payload":"x"}', { authorization: `Bearer ${TOKEN}` }),
    );
    assert.equal(response.headers.get("www-authenticate"), null);
    await assertRefused(response, 401, "unauthorized");
  }
  assert.deepEqual(audit, []);
});

Deno.test("refuses a certificate's name where certificates do not count", async () => {
  const { request } = makeApp(withToken);
  const response = await request("/sign", signRequest('{"payload":"x"}'), {
    ...PEER,
    certificateName: "alice",
  });
  await assertRefused(response, 401, "unauthorized");
});

Deno.test("refuses what is no signed template where nothing else is signed, before it is signed", async () => {
  const { request, audit } = makeApp({ policy: { templatesOnly: true } });
  await assertRefused(await request("/sign", signRequest('{"payload":"x"}')), 403, "payload-not-template");
  assert.deepEqual(audit, []);
});

Deno.test("a client that leaves gets no signature, and none is recorded", async () => {
  const { request, audit, metrics, errors } = makeApp();
  const controller = new AbortController();
  const response = await request("/sign", {
    ...signRequest(
      new ReadableStream<Uint8Array>({
        pull(body) {
          body.enqueue(new TextEncoder().encode('{"payload":"x"}'));
          body.close();
          controller.abort();
        },
      }, { highWaterMark: 0 }),
    ),
    signal: controller.signal,
  });
  assert.equal(response.status, 499);
  assert.deepEqual(audit, []);
  assert.deepEqual(errors, []);
  assert.equal(outcomeCount(await metrics(), "aborted"), 1);
});

Deno.test("only a server on loopback that lets everybody sign looks at the host", () => {
  const open = { certificates: false };
  assert.equal(needsLoopbackHost(true, open), true);
  assert.equal(needsLoopbackHost(false, open), false);
  assert.equal(needsLoopbackHost(true, { certificates: true }), false);
  assert.equal(needsLoopbackHost(true, withToken.authentication), false);
});

Deno.test("metrics and health are served to whoever watches, and nothing else is", async () => {
  const metrics = createMetrics();
  const app = createMetricsApp({ metrics, keyStore, reportError: () => assert.fail("no errors") });
  const get = (path: string, method = "GET") =>
    app.fetch(new Request(`http://localhost${path}`, { method }), PEER);
  assert.deepEqual(await (await get("/health")).json(), { status: "ok" });
  const response = await get("/metrics");
  assert.match(response.headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/);
  assert.match(await response.text(), /^signing_server_sign_requests_total\{outcome="signed"\} 0$/m);
  await assertRefused(await get("/sign", "POST"), 404, "not-found");
  await assertRefused(await get("/metrics", "POST"), 405, "method-not-allowed");
});
