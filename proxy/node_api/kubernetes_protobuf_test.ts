import assert from "node:assert/strict";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { type Field, type MessageFields, parseKubernetesProtobuf } from "./kubernetes_protobuf.ts";

const FIELDS: MessageFields = new Map<number, Field>([
  [1, { name: "text", kind: "text" }],
  [2, { name: "texts", kind: "texts" }],
  [3, {
    name: "inner",
    kind: "message",
    message: new Map<number, Field>([[1, { name: "text", kind: "text" }]]),
  }],
  [4, { name: "map", kind: "texts-by-key" }],
  [5, { name: "old", kind: "ignored" }],
]);

type Part = [number: number, value: string | Uint8Array | Part[]];

function message(parts: Part[]): Uint8Array<ArrayBuffer> {
  const writer = new BinaryWriter();
  for (const [number, value] of parts) {
    writer.tag(number, WireType.LengthDelimited);
    if (typeof value === "string") writer.string(value);
    else writer.bytes(Array.isArray(value) ? message(value) : value);
  }
  return new Uint8Array(writer.finish());
}

const TYPE_META: Part = [1, [[1, "x/v1"], [2, "X"]]];

function envelope(parts: Part[]): Uint8Array {
  return new Uint8Array([0x6b, 0x38, 0x73, 0x00, ...message(parts)]);
}

function read(object: Uint8Array | Part[]): ReturnType<typeof parseKubernetesProtobuf> {
  return parseKubernetesProtobuf(envelope([TYPE_META, [2, object], [3, ""], [4, ""]]), FIELDS);
}

Deno.test("every kind of field", () => {
  const parsed = read([
    [1, "a\u{1f511}"],
    [2, "b"],
    [5, "whatever"],
    [2, ""],
    [3, [[1, "c"]]],
    [4, [[1, "k"], [2, [[1, "v"], [1, "w"]]]]],
    [4, [[1, "__proto__"]]],
    [4, []],
  ]);
  assert.ok(parsed.ok, JSON.stringify(parsed));
  assert.deepEqual(Object.keys(parsed.value), ["apiVersion", "kind", "text", "texts", "old", "inner", "map"]);
  const { map, ...others } = parsed.value;
  assert.deepEqual(Object.entries(map ?? {}), [["k", ["v", "w"]], ["__proto__", []], ["", []]]);
  assert.deepEqual(others, {
    apiVersion: "x/v1",
    kind: "X",
    text: "a\u{1f511}",
    texts: ["b", ""],
    old: null,
    inner: { text: "c" },
  });
});

Deno.test("an empty object, and a content type that says protobuf", () => {
  assert.ok(read([]).ok);
  assert.ok(
    parseKubernetesProtobuf(envelope([[2, ""], [4, "application/vnd.kubernetes.protobuf"]]), FIELDS).ok,
  );
});

Deno.test("refuses what is not the message that was expected", () => {
  const tag = (number: number, wireType: number, ...rest: number[]) =>
    new Uint8Array([number << 3 | wireType, ...rest]);
  const messages: [string, Uint8Array | Part[]][] = [
    ["an unknown field", [[6, "x"]]],
    ["a text twice", [[1, "a"], [1, "b"]]],
    ["a message twice", [[3, []], [3, []]]],
    ["an ignored field twice", [[5, ""], [5, ""]]],
    ["an unknown field within", [[3, [[2, "x"]]]]],
    ["an unknown field of an entry", [[4, [[3, "x"]]]]],
    ["two keys of an entry", [[4, [[1, "a"], [1, "b"]]]]],
    ["two values of an entry", [[4, [[2, []], [2, []]]]]],
    ["an unknown field of a value", [[4, [[2, [[2, "x"]]]]]]],
    ["a key twice", [[4, [[1, "a"]]], [4, [[1, "a"]]]]],
    ["a number for a text", tag(1, WireType.Varint, 1)],
    ["a fixed number for a text", tag(1, WireType.Bit32, 1, 2, 3, 4)],
    ["a group", tag(1, WireType.StartGroup, 1 << 3 | WireType.EndGroup)],
    ["an end without a group", tag(1, WireType.EndGroup)],
    ["field 0", new Uint8Array([2, 0])],
    ["a tag that is cut", new Uint8Array([0x80])],
    ["a tag beyond 32 bits", new Uint8Array([0x8a, 0x80, 0x80, 0x80, 0x10, 0])],
    ["a length beyond the end", tag(1, WireType.LengthDelimited, 2, 65)],
    ["a length of 4 GiB", tag(1, WireType.LengthDelimited, 0xff, 0xff, 0xff, 0xff, 0x0f, 65)],
    ["text that is not UTF-8", [[1, new Uint8Array([0xff])]]],
    ["text that is cut inside a character", [[2, new Uint8Array([0xe2, 0x82])]]],
  ];
  for (const [name, parts] of messages) assert.equal(read(parts).ok, false, name);
});

Deno.test("refuses envelopes that are none, and what holds another encoding", () => {
  const envelopes: [string, Uint8Array][] = [
    ["nothing", new Uint8Array()],
    ["another beginning", new Uint8Array([0x6b, 0x38, 0x73, 0x01])],
    ["JSON", new TextEncoder().encode("{}")],
    ["no object", envelope([TYPE_META])],
    ["an object twice", envelope([TYPE_META, [2, ""], [2, ""]])],
    ["an unknown field", envelope([TYPE_META, [2, ""], [5, ""]])],
    ["a kind twice", envelope([TYPE_META, TYPE_META, [2, ""]])],
    ["a compressed object", envelope([TYPE_META, [2, ""], [3, "gzip"]])],
    ["a JSON object", envelope([TYPE_META, [2, "{}"], [4, "application/json"]])],
  ];
  for (const [name, bytes] of envelopes) assert.equal(parseKubernetesProtobuf(bytes, FIELDS).ok, false, name);
});
