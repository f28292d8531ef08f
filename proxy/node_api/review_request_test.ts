import assert from "node:assert/strict";
import { decodeBase64 } from "@signed-pods/shared/base64";
import type { JsonObject } from "@signed-pods/shared/json";
import {
  MAX_AUDIENCES,
  MAX_PATH_LENGTH,
  MAX_TOKEN_LENGTH,
  parseAccessReview,
  parseTokenReview,
  writeAccessReview,
  writeTokenReview,
} from "./review_request.ts";
import { MAX_NAME_LENGTH } from "./user_info.ts";

interface Vector {
  name: string;
  input: JsonObject;
  expected: string;
}

/** What Kubernetes' own code sends; see tests/go/generate_reviews.ts. */
async function vectors(): Promise<Vector[]> {
  const file = new URL("../../tests/vectors/review_requests.json", import.meta.url);
  const document: { count: number; vectors: Vector[] } = JSON.parse(await Deno.readTextFile(file));
  assert.equal(document.vectors.length, document.count);
  return document.vectors;
}

const PROTOBUF = "application/vnd.kubernetes.protobuf";
const bytesOf = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

Deno.test("what Kubernetes sends reads the same in protobuf and in JSON, and is written again", async () => {
  let read = 0;
  for (const { name, input, expected } of await vectors()) {
    const bytes = decodeBase64(expected);
    const parse = input["kind"] === "TokenReview" ? parseTokenReview : parseAccessReview;
    const fromProtobuf = parse(PROTOBUF, bytes);
    const fromJson = parse("application/json", bytesOf(input));
    assert.ok(fromProtobuf.ok, `${name}: ${JSON.stringify(fromProtobuf)}`);
    assert.deepEqual(fromProtobuf, fromJson, name);
    const written = "token" in fromProtobuf.value
      ? writeTokenReview(fromProtobuf.value)
      : writeAccessReview(fromProtobuf.value);
    assert.deepEqual(written, input, name);
    read++;
  }
  assert.ok(read >= 7);
});

Deno.test("refuses every proper beginning of what Kubernetes sends, and a changed byte never reads as two things", async () => {
  for (const { name, input, expected } of await vectors()) {
    const bytes = decodeBase64(expected);
    const parse = input["kind"] === "TokenReview" ? parseTokenReview : parseAccessReview;
    for (let length = 0; length < bytes.length; length++) {
      const cut = parse(PROTOBUF, bytes.subarray(0, length));
      // The last two fields of the envelope are empty and may be missing.
      assert.ok(!cut.ok || length >= bytes.length - 4, `${name} cut to ${length}`);
      const changed = bytes.slice();
      changed[length] = (changed[length] ?? 0) ^ 0x01;
      const read = parse(PROTOBUF, changed);
      if (read.ok) {
        const written = "token" in read.value ? writeTokenReview(read.value) : writeAccessReview(read.value);
        assert.deepEqual(parse("application/json", bytesOf(written)), read, `${name} changed at ${length}`);
      }
    }
  }
});

const ACCESS = { apiVersion: "authorization.k8s.io/v1", kind: "SubjectAccessReview" };
const TOKEN = { apiVersion: "authentication.k8s.io/v1", kind: "TokenReview" };
const RESOURCE = { resourceAttributes: { verb: "get" } };

Deno.test("metadata and status of a question are not read", () => {
  const review = { ...ACCESS, metadata: { name: "x" }, spec: RESOURCE, status: { allowed: true } };
  const read = parseAccessReview("application/json", bytesOf(review));
  assert.ok(read.ok);
  assert.deepEqual(writeAccessReview(read.value), { ...ACCESS, spec: RESOURCE });
});

Deno.test("refuses access reviews that are none", () => {
  const long = "n".repeat(MAX_NAME_LENGTH + 1);
  const reviews: unknown[] = [
    [],
    "x",
    {},
    TOKEN,
    ACCESS,
    { ...ACCESS, kind: "LocalSubjectAccessReview", spec: RESOURCE },
    { ...ACCESS, apiVersion: "authorization.k8s.io/v1beta1", spec: RESOURCE },
    { ...ACCESS, spec: [] },
    { ...ACCESS, spec: {} },
    { ...ACCESS, spec: RESOURCE, more: 1 },
    { ...ACCESS, spec: { ...RESOURCE, more: 1 } },
    { ...ACCESS, spec: { ...RESOURCE, nonResourceAttributes: {} } },
    { ...ACCESS, spec: { ...RESOURCE, user: 1 } },
    { ...ACCESS, spec: { resourceAttributes: [] } },
    { ...ACCESS, spec: { resourceAttributes: { verb: 1 } } },
    { ...ACCESS, spec: { resourceAttributes: { name: long } } },
    { ...ACCESS, spec: { resourceAttributes: { verb: "get", fieldSelector: { rawSelector: "a=b" } } } },
    { ...ACCESS, spec: { nonResourceAttributes: { path: "/".repeat(MAX_PATH_LENGTH + 1) } } },
    { ...ACCESS, spec: { nonResourceAttributes: { name: "x" } } },
  ];
  for (const review of reviews) {
    const read = parseAccessReview("application/json", bytesOf(review));
    assert.equal(read.ok, false, JSON.stringify(review).slice(0, 120));
  }
  const text = '{"kind":"SubjectAccessReview","kind":"SubjectAccessReview"}';
  assert.equal(parseAccessReview("application/json", new TextEncoder().encode(text)).ok, false);
});

Deno.test("refuses other content types", () => {
  const bytes = bytesOf({ ...ACCESS, spec: RESOURCE });
  assert.equal(parseAccessReview("application/json", bytes).ok, true);
  for (
    const type of [
      null,
      "",
      "application/yaml",
      "application/cbor",
      "application/json; charset=x",
      "text/plain",
    ]
  ) {
    assert.equal(parseAccessReview(type, bytes).ok, false, String(type));
    assert.equal(parseTokenReview(type, bytes).ok, false, String(type));
  }
});

Deno.test("refuses token reviews that are none, and does not show the token", () => {
  const audiences = Array(MAX_AUDIENCES + 1).fill("a");
  const specs: unknown[] = [
    {},
    { token: "" },
    { token: 1 },
    { token: "canary canary" },
    { token: "canary\r\nx: y" },
    { token: "canary".padEnd(MAX_TOKEN_LENGTH + 1, "x") },
    { token: "canary", more: 1 },
    { token: "canary", audiences },
    { token: "canary", audiences: ["a".repeat(MAX_NAME_LENGTH + 1)] },
    { token: "canary", audiences: [1] },
    undefined,
  ];
  for (const spec of specs) {
    const read = parseTokenReview("application/json", bytesOf({ ...TOKEN, spec }));
    assert.ok(!read.ok, JSON.stringify(spec)?.slice(0, 60));
    assert.doesNotMatch(read.problem, /canary/);
  }
  assert.equal(parseTokenReview("application/json", bytesOf({ ...ACCESS, spec: { token: "a" } })).ok, false);
  const greatest = { token: "x".repeat(MAX_TOKEN_LENGTH), audiences: audiences.slice(1) };
  assert.ok(parseTokenReview("application/json", bytesOf({ ...TOKEN, spec: greatest })).ok);
});
