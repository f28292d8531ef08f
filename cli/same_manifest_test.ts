import assert from "node:assert/strict";
import type { JsonValue } from "@signed-pods/shared/json";
import { isSameButForSignatures } from "./same_manifest.ts";

const SIGNATURES = {
  "kubelet-proxy.io/signature": "a",
  "kubelet-proxy.io/signed-template": "b",
  "kubelet-proxy.io/signed-content": "c",
  "kubelet-proxy.io/salt": "d",
};

Deno.test("signatures in a place where they belong make no difference", () => {
  const cases: [JsonValue, JsonValue][] = [
    [{ spec: 1 }, { spec: 1, metadata: { annotations: SIGNATURES } }],
    [{ metadata: null }, { metadata: { annotations: SIGNATURES } }],
    [{ metadata: { name: "a" } }, { metadata: { annotations: SIGNATURES, name: "a" } }],
    [{ metadata: { annotations: { c: "d" } } }, { metadata: { annotations: { ...SIGNATURES, c: "d" } } }],
    [{ metadata: { annotations: SIGNATURES } }, {
      metadata: { annotations: { "kubelet-proxy.io/signature": "new" } },
    }],
    [{ metadata: { annotations: null, x: [1, { y: null }] } }, { metadata: { x: [1, { y: null }] } }],
  ];
  for (const [before, after] of cases) {
    assert.ok(isSameButForSignatures(before, after, [[]]), JSON.stringify(after));
    const nest = (value: JsonValue): JsonValue => ({ items: [0, { template: value }] });
    assert.ok(isSameButForSignatures(nest(before), nest(after), [["items", 1, "template"]]));
  }
});

Deno.test("refuses any other difference", () => {
  const cases: [JsonValue, JsonValue][] = [
    [{ spec: 1 }, { spec: "1" }],
    [{ spec: 1 }, {}],
    [{ spec: {} }, { spec: null }],
    [{ spec: [1, 2] }, { spec: [2, 1] }],
    [{ spec: [1] }, { spec: [1, 1] }],
    [{ spec: [] }, { spec: {} }],
    [{ metadata: { annotations: { c: "d" } } }, { metadata: { annotations: { ...SIGNATURES, c: "e" } } }],
    [{ metadata: { annotations: { c: "d" } } }, { metadata: { annotations: SIGNATURES } }],
    [{ metadata: { name: "a" } }, { metadata: { annotations: SIGNATURES } }],
    [{ spec: { a: null } }, { spec: {} }],
  ];
  for (const [before, after] of cases) {
    assert.ok(!isSameButForSignatures(before, after, [[]]), JSON.stringify(after));
    assert.ok(!isSameButForSignatures(after, before, [[]]), JSON.stringify(after));
  }
});

Deno.test("refuses signatures in other places", () => {
  const after = { spec: 1, metadata: { annotations: SIGNATURES } };
  assert.ok(!isSameButForSignatures({ spec: 1 }, after, []));
  assert.ok(!isSameButForSignatures({ spec: 1 }, after, [["spec"], ["nothing", 0]]));
});
