import assert from "node:assert/strict";
import type { JsonObject } from "../json.ts";
import { readContent } from "./object_content.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

function contents(kind: "ConfigMap" | "Secret", object: JsonObject, manifest = true) {
  const { entries, problems } = readContent(kind, object, { manifest });
  assert.deepEqual(problems, []);
  return [...entries].map(([key, entry]) => [entry.field, key, text(entry.bytes)]);
}

Deno.test("content: texts and bytes of a ConfigMap", () => {
  assert.deepEqual(contents("ConfigMap", { data: { a: "x" }, binaryData: { b: "eQ==" } }), [
    ["data", "a", "x"],
    ["binaryData", "b", "y"],
  ]);
  assert.deepEqual(contents("ConfigMap", {}), []);
});

Deno.test("content: a Secret's stringData wins over its data, and base64 may have line ends", () => {
  assert.deepEqual(contents("Secret", { data: { a: "e\nA==\r\n", b: "eQ==" }, stringData: { b: "z" } }), [
    ["data", "a", "x"],
    ["data", "b", "z"],
  ]);
});

Deno.test("content: what Go prints of a value without bytes is empty", () => {
  assert.deepEqual(contents("Secret", { data: { a: null, b: "" } }, false), [
    ["data", "a", ""],
    ["data", "b", ""],
  ]);
});

Deno.test("content: keys that are not asked for are not looked at", () => {
  const object = { data: { "../x": 1, a: "x" } };
  const { entries, problems } = readContent("ConfigMap", object, { keys: new Set(["a"]), manifest: false });
  assert.deepEqual([[...entries.keys()], problems], [["a"], []]);
});

Deno.test("content: a key with a name of JavaScript's own is a key", () => {
  const object: JsonObject = JSON.parse('{"data": {"__proto__": "x", "constructor": "y"}}');
  assert.deepEqual(contents("ConfigMap", object).map(([, key]) => key), ["__proto__", "constructor"]);
});

const BAD: [
  name: string,
  kind: "ConfigMap" | "Secret",
  object: JsonObject,
  path: string,
  manifest?: boolean,
][] = [
  ["data that is a list", "ConfigMap", { data: [] }, "data"],
  ["a number", "ConfigMap", { data: { a: 1 } }, "data[a]"],
  ["null in a manifest", "ConfigMap", { data: { a: null } }, "data[a]"],
  ["null in a Secret's manifest", "Secret", { data: { a: null } }, "data[a]"],
  ["null as a text", "ConfigMap", { data: { a: null } }, "data[a]", false],
  ["a lone surrogate", "ConfigMap", { data: { a: "\ud800" } }, "data[a]"],
  ["a key with a slash", "ConfigMap", { data: { "a/b": "x" } }, "data[a/b]"],
  ["the folder above", "ConfigMap", { data: { "..": "x" } }, "data[..]"],
  ["a name of the kubelet's own", "ConfigMap", { data: { "..data": "x" } }, "data[..data]"],
  ["a key in both fields", "ConfigMap", { data: { a: "x" }, binaryData: { a: "eA==" } }, "binaryData[a]"],
  ["no base64", "Secret", { data: { a: "x" } }, "data[a]"],
  ["base64 with line ends that is served", "Secret", { data: { a: "eA==\n" } }, "data[a]", false],
  ["bits behind the last byte", "Secret", { data: { a: "eB==" } }, "data[a]"],
];

for (const [name, kind, object, path, manifest = true] of BAD) {
  Deno.test(`refuses content: ${name}`, () => {
    const { problems } = readContent(kind, object, { manifest });
    assert.deepEqual(problems.map((problem) => problem.path), [path]);
  });
}

Deno.test("content: stringData is not served", () => {
  assert.deepEqual(contents("Secret", { stringData: { a: "x" } }, false), []);
});
