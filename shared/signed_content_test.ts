import assert from "node:assert/strict";
import { MAX_SIGNED_TEMPLATE_BYTES } from "./bounds.ts";
import { SignedPodsError } from "./errors.ts";
import type { JsonObject } from "./json.ts";
import { canonicalize } from "./canonical_json.ts";
import { encodeSignedContent, parseSignedContent, type SignedContent } from "./signed_content.ts";
import { parseSignedTemplate } from "./signed_template.ts";

const HEX = "ab".repeat(32);

const CONTENT: SignedContent = {
  namespace: "shop",
  name: "web.conf",
  content: { data: { "nginx.conf": `sha256:${HEX}` }, binaryData: { logo: `sha256:${HEX}` } },
  signedAt: new Date("2026-01-31T12:00:00Z"),
};

const TEXT = `{"apiVersion":"kubelet-proxy.io/v1","content":{"binaryData":{"logo":"sha256:${HEX}"},` +
  `"data":{"nginx.conf":"sha256:${HEX}"}},"kind":"SignedContent","object":{"apiVersion":"v1","kind":"ConfigMap",` +
  `"name":"web.conf","namespace":"shop"},"signedAt":"2026-01-31T12:00:00Z"}`;

Deno.test("signed content is written and read", () => {
  assert.equal(encodeSignedContent(CONTENT), TEXT);
  assert.deepEqual(parseSignedContent(TEXT), CONTENT);
});

Deno.test("signed content may be of no key", () => {
  const empty = { ...CONTENT, content: {} };
  assert.deepEqual(parseSignedContent(encodeSignedContent(empty)), empty);
});

function malformed(run: () => unknown, path: string): void {
  assert.throws(run, (error) => {
    assert.ok(error instanceof SignedPodsError);
    assert.equal(error.code, "content-malformed");
    assert.ok(error.problems.some((problem) => problem.path === path), JSON.stringify(error.problems));
    return true;
  });
}

const CHANGES: [name: string, change: (document: JsonObject) => JsonObject, path: string][] = [
  ["another kind", (d) => ({ ...d, kind: "SignedTemplate" }), "kind"],
  ["another version", (d) => ({ ...d, apiVersion: "kubelet-proxy.io/v2" }), "kind"],
  ["a field more", (d) => ({ ...d, allow: [] }), ""],
  [
    "no namespace",
    (d) => ({ ...d, object: { apiVersion: "v1", kind: "ConfigMap", name: "a" } }),
    "object.namespace",
  ],
  [
    "a Secret",
    (d) => ({ ...d, object: { apiVersion: "v1", kind: "Secret", name: "a", namespace: "b" } }),
    "object.kind",
  ],
  [
    "a name that is none",
    (d) => ({ ...d, object: { apiVersion: "v1", kind: "ConfigMap", name: "../a", namespace: "b" } }),
    "object.name",
  ],
  ["digests with salt", (d) => ({ ...d, content: { data: { a: `hmac-sha256:${HEX}` } } }), "content.data[a]"],
  ["no content", ({ content: _, ...d }) => d, "content"],
  ["no date", ({ signedAt: _, ...d }) => d, "signedAt"],
  ["a date that is none", (d) => ({ ...d, signedAt: "yesterday" }), "signedAt"],
  ["a date in another form", (d) => ({ ...d, signedAt: "2026-01-31T12:00:00.000Z" }), ""],
];

for (const [name, change, path] of CHANGES) {
  Deno.test(`refuses signed content with ${name}`, () =>
    malformed(() => parseSignedContent(canonicalize(change(JSON.parse(TEXT)))), path));
}

for (const text of ["", "null", "[]", ` ${TEXT}`, TEXT.replace('"kind"', '"kind":"SignedContent","kind"')]) {
  Deno.test(`refuses ${JSON.stringify(text.slice(0, 30))} as signed content`, () =>
    malformed(() => parseSignedContent(text), text === "null" || text === "[]" ? "kind" : ""));
}

Deno.test("refuses signed content that is longer than any annotation", () =>
  malformed(() => parseSignedContent(" ".repeat(MAX_SIGNED_TEMPLATE_BYTES + 1)), ""));

Deno.test("refuses signed content as a signed template", () => {
  assert.throws(
    () => parseSignedTemplate(TEXT),
    (error) => error instanceof SignedPodsError && error.code === "template-malformed",
  );
});
