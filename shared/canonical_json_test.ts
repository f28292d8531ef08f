import assert from "node:assert/strict";
import fc from "fast-check";
import { readVectors } from "../tests/vectors/read_vectors.ts";
import { canonicalize } from "./canonical_json.ts";
import { SignedPodsError } from "./errors.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "./json.ts";
import { parseStrictJson } from "./strict_json.ts";

const REFUSED = { code: "json-not-canonicalizable" };

Deno.test("canonical JSON follows the vectors of RFC 8785", async (t) => {
  for (const { name, input, expected, error } of await readVectors("canonical_json.json")) {
    await t.step(error === undefined ? name : `refuses ${name}`, () => {
      assert.ok(typeof input === "string");
      const value = parseStrictJson(input);
      if (error !== undefined) {
        assert.throws(() => canonicalize(value), { code: error });
      } else {
        assert.equal(canonicalize(value), expected);
        assert.equal(
          canonicalize(parseStrictJson(canonicalize(value))),
          expected,
          "is its own canonical form",
        );
      }
    });
  }
});

Deno.test("canonical numbers follow RFC 8785 appendix B", async (t) => {
  for (const { name, input, expected, error } of await readVectors("canonical_numbers.json")) {
    await t.step(error === undefined ? name : `refuses ${name}`, () => {
      assert.ok(typeof input === "string");
      const view = new DataView(Uint8Array.fromHex(input).buffer);
      const number = view.getFloat64(0);
      if (error !== undefined) assert.throws(() => canonicalize(number), { code: error });
      else assert.equal(canonicalize(number), expected);
    });
  }
});

Deno.test("canonical JSON is the same whatever the order of keys, and reads back as the same value", () => {
  const value = fc.jsonValue({ noUnicodeString: false, maxDepth: 4 });
  fc.assert(fc.property(value, (any) => {
    const text = canonicalize(asJson(any));
    assert.equal(canonicalize(reversed(asJson(any))), text);
    assert.deepEqual(JSON.parse(text), JSON.parse(JSON.stringify(any)));
  }));
});

Deno.test("keys are sorted by UTF-16 code units", () => {
  const units = fc.string({
    unit: fc.constantFrom("a", "B", "\u00e9", "\ud83d\ude00", "\ufb33", "\r", "1"),
    maxLength: 3,
  });
  fc.assert(fc.property(fc.uniqueArray(units), (keys) => {
    const expected = [...keys].sort((a, b) => compareUnits(a, b));
    const text = canonicalize(Object.fromEntries(keys.map((key) => [key, null])));
    assert.equal(text, `{${expected.map((key) => `${JSON.stringify(key)}:null`).join(",")}}`);
  }));
});

Deno.test("100,000 levels of arrays and objects are written without exhausting the stack", () => {
  const depth = 100_000;
  let arrays: JsonValue = [];
  let objects: JsonValue = {};
  for (let level = 1; level < depth; level++) {
    arrays = [arrays];
    objects = { a: objects };
  }
  assert.equal(canonicalize(arrays), "[".repeat(depth) + "]".repeat(depth));
  assert.equal(canonicalize(objects), '{"a":'.repeat(depth - 1) + "{}" + "}".repeat(depth - 1));
});

Deno.test("refuses a value that contains itself", () => {
  const loop: JsonValue[] = [];
  loop.push(loop);
  assert.throws(() => canonicalize(loop), REFUSED);
});

Deno.test("refuses lone surrogates in strings and keys", () => {
  for (const text of ["\ud800", "\udc00", "a\ud83d", "\ude00\ud83d"]) {
    assert.throws(() => canonicalize(text), REFUSED);
    assert.throws(() => canonicalize([text]), REFUSED);
    assert.throws(() => canonicalize({ [text]: 1 }), REFUSED);
  }
});

Deno.test("refuses numbers that are not finite, and big integers", () => {
  for (const number of [NaN, Infinity, -Infinity, 2n ** 53n, 1n]) {
    assert.throws(() => canonicalize(number), REFUSED);
  }
});

Deno.test("refuses what is not JSON although its type may say so", () => {
  const notJson: unknown[] = [
    undefined,
    () => 1,
    Symbol("s"),
    new Date(0),
    new Map(),
    new Uint8Array(1),
    /x/,
  ];
  for (const value of notJson) {
    for (const holder of [value, [value], { a: value }]) {
      // The compiler would not let it through; code that is not type-checked can.
      const smuggle: (value: JsonValue) => string = canonicalize;
      assert.throws(() => Reflect.apply(smuggle, undefined, [holder]), REFUSED);
    }
  }
  assert.throws(() => canonicalize(new Array(2)), REFUSED);
});

Deno.test("objects without a prototype are plain", () => {
  const object: JsonObject = Object.assign(Object.create(null), { b: 1, a: 2 });
  assert.equal(canonicalize(object), '{"a":2,"b":1}');
});

Deno.test("an error names the path, never the value", () => {
  const error = thrown(() =>
    canonicalize({ spec: { containers: [{ image: "x" }, { env: "secret\ud800" }] } })
  );
  assert.equal(error.problems[0]?.path, "spec.containers[1].env");
  assert.ok(!error.message.includes("secret"));
  let deep: JsonValue = NaN;
  for (let level = 0; level < 1000; level++) deep = [deep];
  assert.ok(thrown(() => canonicalize(deep)).message.length < 300);
});

function thrown(run: () => unknown): SignedPodsError {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof SignedPodsError);
    return error;
  }
  throw new assert.AssertionError({ message: "nothing was thrown" });
}

function compareUnits(a: string, b: string): number {
  for (let index = 0; index < Math.min(a.length, b.length); index++) {
    const difference = a.charCodeAt(index) - b.charCodeAt(index);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

function asJson(value: unknown): JsonValue {
  return JSON.parse(JSON.stringify(value));
}

function reversed(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(reversed);
  if (!isJsonObject(value)) return value;
  return Object.fromEntries(Object.entries(value).reverse().map(([key, member]) => [key, reversed(member)]));
}
