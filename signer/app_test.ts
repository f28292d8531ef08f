import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { decodeBase64 } from "@signed-pods/shared/base64";
import { readVerificationKeys } from "@signed-pods/shared/keys";
import { verifySignature } from "@signed-pods/shared/signature";
import {
  type AppOptions,
  type AuditRecord,
  createApp,
  MAX_BODY_BYTES,
  type RequestErrorCode,
} from "./app.ts";
import { createKeyStore, type KeyStore } from "./key_store.ts";

const NOW = new Date("2024-05-06T07:08:09Z");
const PEER = "127.0.0.1:5555";
const TOKEN = "0123456789abcdef0123456789abcdef";
const keyStore = await createKeyStore("ec-p256", NOW);

interface TestApp {
  audit: AuditRecord[];
  errors: unknown[];
  request(path: string, init?: RequestInit): Promise<Response>;
}

function makeApp(options: Partial<AppOptions> = {}): TestApp {
  const audit: AuditRecord[] = [];
  const errors: unknown[] = [];
  const app = createApp({
    keyStore,
    requireLoopbackHost: false,
    now: () => NOW,
    audit: (record) => {
      audit.push(record);
    },
    reportError: (error) => {
      errors.push(error);
    },
    ...options,
  });
  const request = async (path: string, init: RequestInit = {}) =>
    await app.fetch(new Request(`http://localhost:8080${path}`, init), { peer: PEER });
  return { audit, errors, request };
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
  assert.equal(await response.text(), keyStore.certificatePem);
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
  assert.equal(answers[0]?.fingerprint, keyStore.fingerprint);
});

Deno.test("POST /sign signs the SHA-256 of the payload's UTF-8 bytes", async () => {
  const [key] = await readVerificationKeys(keyStore.certificatePem, "certificate");
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
      peer: PEER,
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
  const { request, audit } = makeApp({ token: TOKEN });
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
  assert.ok((await messageFor({})).includes("needs the token"));
  assert.ok(
    (await messageFor({ authorization: `Bearer ${TOKEN}x` })).includes("not the token of the server"),
  );
  assert.deepEqual(audit, []);
  for (const scheme of ["Bearer", "bearer", "Bearer "]) {
    const headers = { authorization: `${scheme} ${TOKEN}` };
    assert.equal((await request("/sign", signRequest('{"payload":"x"}', headers))).status, 200);
    assert.equal((await request("/generatekeys", { method: "POST", headers })).status, 200);
  }
});

Deno.test("the certificate and the health need no token", async () => {
  const { request } = makeApp({ token: TOKEN });
  assert.equal((await request("/health")).status, 200);
  assert.equal((await request("/signingcert")).status, 200);
});

Deno.test("refuses an unauthorized client before it reads the body", async () => {
  const { request } = makeApp({ token: TOKEN });
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
  const { request, errors } = makeApp({
    audit: () => {
      throw failure;
    },
  });
  const message = await assertRefused(
    await request("/sign", signRequest('{"payload":"x"}')),
    500,
    "internal",
  );
  assert.ok(!message.includes("disk full"));
  assert.deepEqual(errors, [failure]);
});

Deno.test("refuses with a general message if the key fails", async () => {
  const broken: KeyStore = { ...keyStore, sign: () => Promise.reject(new Error("key gone")) };
  const { request, errors, audit } = makeApp({ keyStore: broken });
  await assertRefused(await request("/sign", signRequest('{"payload":"x"}')), 500, "internal");
  assert.equal(errors.length, 1);
  assert.deepEqual(audit, []);
});
