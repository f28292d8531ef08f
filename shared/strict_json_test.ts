import assert from "node:assert/strict";
import fc from "fast-check";
import { readVectors } from "../tests/vectors/read_vectors.ts";
import { SignedPodsError } from "./errors.ts";
import { isJsonObject, type JsonValue } from "./json.ts";
import {
  decodeUtf8,
  DEFAULT_MAX_DEPTH,
  type KnownValue,
  type KnownValues,
  MAX_INTEGER_DIGITS,
  parseStrictJson,
} from "./strict_json.ts";

const REFUSED = { code: "json-malformed" };

Deno.test("strict JSON follows its vectors", async (t) => {
  for (const { name, input, expected, error } of await readVectors("strict_json.json")) {
    await t.step(error === undefined ? `reads ${name}` : `refuses ${name}`, () => {
      assert.ok(typeof input === "string");
      if (error !== undefined) assert.throws(() => parseStrictJson(input), { code: error });
      else assert.deepEqual(parseStrictJson(input), expected);
    });
  }
});

Deno.test("reads any JSON text as JSON.parse does", () => {
  const space = fc.constantFrom(undefined, 1, "\t", "\n", "    ");
  fc.assert(
    fc.property(fc.json({ noUnicodeString: false, maxDepth: 8 }), space, (compact, indent) => {
      const text = JSON.stringify(JSON.parse(compact), undefined, indent);
      assert.deepEqual(rounded(parseStrictJson(text)), JSON.parse(text));
    }),
    { numRuns: 500 },
  );
});

Deno.test("reads strings and keys as JSON.parse does, whatever their escapes", () => {
  const unit = fc.oneof(
    fc.constantFrom(...'a\\"/\b\f\n\r\t\u0000\u001f\u007f\u2028\ufeff\u00e9', "\ud83d\ude00", "x".repeat(20)),
    fc.string({ unit: "grapheme", minLength: 1, maxLength: 1 }),
  );
  const token = fc.array(fc.tuple(unit, fc.boolean())).map((units) =>
    `"${units.map(([text, escape]) => escape ? escaped(text) : JSON.stringify(text).slice(1, -1)).join("")}"`
  );
  fc.assert(fc.property(token, (text) => {
    assert.equal(parseStrictJson(text), JSON.parse(text));
    assert.deepEqual(parseStrictJson(`{${text}:1}`), JSON.parse(`{${text}:1}`));
  }));
});

Deno.test("reads numbers as JSON.parse does, and integers without rounding", () => {
  fc.assert(fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (number) => {
    const text = JSON.stringify(number).replace("e+", "E");
    const value = parseStrictJson(text);
    assert.equal(Number(value), number === 0 ? 0 : number);
  }));
  fc.assert(fc.property(fc.bigInt({ min: -(2n ** 200n), max: 2n ** 200n }), (integer) => {
    const value = parseStrictJson(integer.toString());
    assert.equal(BigInt(typeof value === "number" || typeof value === "bigint" ? value : "none"), integer);
    assert.equal(typeof value, Number.isSafeInteger(Number(integer)) ? "number" : "bigint");
  }));
});

Deno.test("a changed text is refused, or read as JSON.parse reads it", () => {
  const edit = fc.tuple(
    fc.nat(),
    fc.constantFrom("delete", "insert", "replace"),
    fc.constantFrom(...'{}[]",:\\u09.-eE+tfn \n\u0000\ud800'),
  );
  let refused = 0;
  fc.assert(
    fc.property(fc.json(), fc.array(edit, { minLength: 1, maxLength: 3 }), (json, edits) => {
      let text = json;
      for (const [at, how, unit] of edits) {
        const index = at % (text.length + 1);
        text = text.slice(0, index) + (how === "delete" ? "" : unit) +
          text.slice(index + (how === "insert" ? 0 : 1));
      }
      let value: JsonValue;
      try {
        value = parseStrictJson(text);
      } catch (error) {
        assert.ok(error instanceof SignedPodsError && error.code === "json-malformed");
        refused++;
        return;
      }
      // Strict JSON is a part of JSON: what it reads, JSON.parse reads alike.
      assert.deepEqual(rounded(value), JSON.parse(text));
    }),
    { numRuns: 2000 },
  );
  assert.ok(refused > 100, "most changes break a text");
});

Deno.test("integers beyond 2^53 - 1 become bigint, others and fractions stay numbers", () => {
  assert.equal(parseStrictJson("9007199254740992"), 9007199254740992n);
  assert.equal(parseStrictJson("-9007199254740993"), -9007199254740993n);
  assert.equal(parseStrictJson("-9007199254740991"), -9007199254740991);
  assert.equal(parseStrictJson("9007199254740993.0"), 9007199254740992);
  assert.equal(parseStrictJson("1e21"), 1e21);
  const digits = "7".repeat(MAX_INTEGER_DIGITS);
  assert.equal(parseStrictJson(digits), BigInt(digits));
  assert.ok(Object.is(parseStrictJson("-0"), -0));
  assert.ok(Object.is(parseStrictJson("-0.0"), -0));
});

Deno.test("refuses an integer of too many digits, whatever follows", () => {
  for (const tail of ["", ".5", "e1"]) {
    assert.throws(() => parseStrictJson("7".repeat(MAX_INTEGER_DIGITS + 1) + tail), REFUSED);
  }
});

Deno.test("__proto__ is an own property and leaves the prototype alone", () => {
  const value = parseStrictJson('{"__proto__":{"polluted":true},"a":{"__proto__":1}}');
  assert.ok(isJsonObject(value));
  assert.equal(Object.getPrototypeOf(value), Object.prototype);
  assert.deepEqual(Object.keys(value), ["__proto__", "a"]);
  assert.equal(value.polluted, undefined);
  assert.deepEqual(Object.getOwnPropertyDescriptor(value.a, "__proto__")?.value, 1);
});

Deno.test("refuses raw lone surrogates in strings and keys, and outside strings", () => {
  for (
    const text of [
      '"\ud800"',
      '"a\udc00"',
      '"\ude00\ud83d"',
      '{"\ud83d":1}',
      "\ud800",
      '"\\ud83d\ude00"',
      "[1,\udfff]",
    ]
  ) {
    assert.throws(() => parseStrictJson(text), REFUSED);
  }
});

Deno.test("depth is counted in containers, and the default is the documented one", () => {
  const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth);
  assert.ok(Array.isArray(parseStrictJson(nested(DEFAULT_MAX_DEPTH))));
  assert.equal(parseStrictJson("1", { maxDepth: 0 }), 1);
  assert.deepEqual(parseStrictJson('{"a":[1]}', { maxDepth: 2 }), { a: [1] });
});

Deno.test("refuses text that is nested deeper than the limit", () => {
  assert.throws(() => parseStrictJson("[]", { maxDepth: 0 }), REFUSED);
  assert.throws(() => parseStrictJson('{"a":{}}', { maxDepth: 1 }), REFUSED);
  assert.throws(() => parseStrictJson("[".repeat(1_000_000)), REFUSED);
  assert.throws(() => parseStrictJson('{"a":'.repeat(1_000_000)), REFUSED);
});

Deno.test("a high limit does not exhaust the stack", () => {
  const depth = 200_000;
  let value = parseStrictJson("[".repeat(depth) + "]".repeat(depth), { maxDepth: depth });
  let levels = 0;
  while (Array.isArray(value)) {
    levels++;
    const inner: JsonValue | undefined = value[0];
    if (inner === undefined) break;
    value = inner;
  }
  assert.equal(levels, depth);
});

Deno.test("an error names line and column, and shows no string's value", () => {
  const cases: [string, string][] = [
    ["", "line 1, column 1"],
    ['{\n  "a": 1,\n  "a": 2\n}', "line 3, column 3"],
    ['{"password": "hunter2" x', "line 1, column 24"],
    ["[1,\r\n 2,\r\n x]", "line 3, column 2"],
    ['"hunter2\n"', "line 1, column 9"],
    ['["hunter2\\q"]', "line 1, column 10"],
    ['\n"hunter2\ud800"', "line 2, column 9"],
    ['["hunter2', "line 1, column 2"],
    ["\n\n[1] ]", "line 3, column 5"],
  ];
  for (const [text, place] of cases) {
    assert.throws(() => parseStrictJson(text), (error) => {
      assert.ok(error instanceof SignedPodsError);
      assert.ok(error.message.includes(`${place}:`), `${error.message} names ${place}`);
      assert.ok(!error.message.includes("hunter2"));
      return true;
    });
  }
});

Deno.test("a duplicate key is named, shortened", () => {
  const key = "k".repeat(1000);
  assert.throws(() => parseStrictJson(`{"${key}":1,"${key}":2}`), (error) => {
    assert.ok(error instanceof SignedPodsError);
    return error.message.includes("kkkk") && error.message.length < 200;
  });
});

Deno.test("UTF-8 is decoded, a byte order mark is kept", () => {
  assert.equal(decodeUtf8(new TextEncoder().encode("a€😀")), "a€😀");
  assert.equal(decodeUtf8(new Uint8Array([0xef, 0xbb, 0xbf, 0x31])), "\ufeff1");
});

Deno.test("refuses bytes that are not UTF-8", () => {
  for (
    const bytes of [[0x22, 0xff, 0x22], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xe2, 0x82], [
      0xf4,
      0x90,
      0x80,
      0x80,
    ]]
  ) {
    assert.throws(() => decodeUtf8(new Uint8Array(bytes)), REFUSED);
  }
});

/** The escapes of every code unit of a text. */
function escaped(text: string): string {
  return text.split("").map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`).join("");
}

/** A value with its big integers rounded to doubles, as JSON.parse reads them. */
function rounded(value: JsonValue): JsonValue {
  if (typeof value === "bigint") return Number(value);
  if (Array.isArray(value)) return value.map(rounded);
  if (!isJsonObject(value)) return value;
  // Object.fromEntries makes own properties, also of __proto__.
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, rounded(member)]));
}

/** Remembers all objects and arrays, and proposes all of them everywhere, those of longest text first. */
class Everything implements KnownValues {
  readonly maxDepth = 1000;
  readonly known: KnownValue[] = [];
  asked = 0;

  propose(): KnownValue[] {
    this.asked++;
    return this.known;
  }

  learns(): boolean {
    return true;
  }

  learn(known: KnownValue, isNew: boolean): void {
    if (!isNew) return;
    // Every other one stays a part of its document, or of a value around it.
    const kept = this.known.length % 2 === 0 ? known : known.detached();
    for (const [index, part] of this.known.entries()) {
      const moved = part.within(kept, kept.text.indexOf(part.text));
      if (moved !== undefined) this.known[index] = moved;
    }
    this.known.push(kept);
    this.known.sort((a, b) => b.length - a.length);
  }
}

/** What comes of reading: a text for the value, with the order of its keys, or for the error. */
function outcome(read: () => JsonValue): string {
  try {
    return JSON.stringify(
      read(),
      (_key, value) => typeof value === "bigint" ? `bigint ${value}` : Object.is(value, -0) ? "-0" : value,
    );
  } catch (error) {
    assert.ok(error instanceof SignedPodsError);
    return `${error.code} ${error.message}`;
  }
}

function assertReadAlike(text: string, known: KnownValues, maxDepth = DEFAULT_MAX_DEPTH): void {
  assert.equal(
    outcome(() => parseStrictJson(text, { known, maxDepth })),
    outcome(() => parseStrictJson(text, { maxDepth })),
  );
}

Deno.test("whatever is known, a text is read, or refused, as if nothing was", () => {
  const document = fc.tuple(fc.json({ noUnicodeString: false, maxDepth: 6 }), fc.constantFrom(undefined, 1))
    .map(([text, indent]) => JSON.stringify(JSON.parse(text), undefined, indent));
  const documents = fc.array(document, { minLength: 1, maxLength: 4 });
  const edits = fc.array(
    fc.record({
      document: fc.nat(),
      at: fc.nat(),
      cut: fc.nat({ max: 6 }),
      insert: fc.oneof(
        fc.constantFrom(
          "{",
          "}",
          "[",
          "]",
          '"',
          ",",
          ":",
          "\\",
          "0",
          "-",
          "{}",
          "[]",
          '"":',
          "\ud83d",
          "\u0001",
          " ",
        ),
        fc.tuple(fc.nat(), fc.nat({ max: 40 })),
      ),
    }),
    { maxLength: 30 },
  );
  fc.assert(
    fc.property(documents, edits, (texts, changes) => {
      const known = new Everything();
      for (const text of [...texts, ...texts]) assertReadAlike(text, known);
      for (const { document, at, cut, insert } of changes) {
        const text = texts[document % texts.length] ?? "";
        const other = texts[(document + 1) % texts.length] ?? "";
        const from = at % (text.length + 1);
        const piece = typeof insert === "string"
          ? insert
          : other.slice(insert[0] % (other.length + 1)).slice(0, insert[1]);
        const changed = text.slice(0, from) + piece + text.slice(from + cut);
        assertReadAlike(changed, known);
        texts.push(changed);
      }
    }),
    { numRuns: 200 },
  );
});

Deno.test("a known value is cut out of a text that is malformed at any one place, behind it too", () => {
  const known = new Everything();
  const text = '{"a":{"b":[1,{"c":"\\u00e9}"}],"d":{}},"e":[{"c":"\\u00e9}"},2],"b":[1,{"c":"\\u00e9}"}]}';
  assertReadAlike(text, known);
  for (let at = 0; at <= text.length; at++) {
    for (const piece of ["", "{", "}", "]", '"', ",", ":", "1", "\\", '"b":1,', '"a":{"b":1},']) {
      assertReadAlike(text.slice(0, at) + piece + text.slice(at), known);
      assertReadAlike(text.slice(0, at) + piece + text.slice(at + 1), known);
    }
    assertReadAlike(text.slice(0, at), known);
  }
});

Deno.test("a known value is the same object again, and cannot be changed", () => {
  const known = new Everything();
  const first = parseStrictJson('{"a":{"b":[1]}}', { known });
  const second = parseStrictJson(' {"c":{"b":[1]}}', { known });
  assert.ok(isJsonObject(first) && isJsonObject(second) && isJsonObject(first.a));
  assert.equal(second.c, first.a);
  const { a } = first;
  assert.throws(() => a.b = 1, TypeError);
});

Deno.test("a known value keeps its text wherever that is kept", () => {
  const known = new Everything();
  parseStrictJson(' {"a": {"b": [1]}, "c": [2, "\\u00e9"]} ', { known });
  const [whole, part] = known.known;
  assert.ok(whole !== undefined && part !== undefined);
  assert.equal(whole.text, '{"a": {"b": [1]}, "c": [2, "\\u00e9"]}');
  assert.equal(whole.depth, 3);
  const at = whole.text.indexOf(part.text);
  for (const value of [part, part.detached(), part.within(whole, at), part.within(whole.detached(), at)]) {
    assert.deepEqual([value?.text, value?.value, value?.depth, value?.bytes], [
      part.text,
      part.value,
      part.depth,
      part.bytes,
    ]);
  }
});

Deno.test("refuses to look for a known value's text where it is not", () => {
  const known = new Everything();
  parseStrictJson("[[1],[2],[1]]", { known });
  const whole = known.known.find(({ length }) => length > 3);
  const part = known.known.find(({ text }) => text === "[1]")?.detached();
  assert.ok(whole !== undefined && part !== undefined);
  const places = Array.from({ length: 15 }, (_, index) => index - 1).filter((at) => part.within(whole, at));
  assert.deepEqual(places, [1, 9]);
  // Behind the value, the text goes on in the document, but not in the value.
  assert.equal(part.within(part, 0)?.text, "[1]");
  assert.equal(whole.within(part, 0), undefined);
});

Deno.test("refuses known values that would be nested too deep", () => {
  const known = new Everything();
  assertReadAlike("[[[]]]", known, 3);
  for (const text of ["[[[[]]]]", '{"a":[[[]]]}', "[[[]]]", "[[[[[]]]]]"]) {
    for (const depth of [1, 2, 3, 4]) assertReadAlike(text, known, depth);
  }
  assert.ok(known.asked > 0);
});

Deno.test("refuses a duplicate key whose value is known", () => {
  const known = new Everything();
  parseStrictJson('{"a":{"b":1}}', { known });
  for (const text of ['{"a":{"b":1},"a":{"b":1}}', '{"a":1,"a":{"b":1}}', '{"\\u0061":1,"a":{"b":1}}']) {
    assert.throws(() => parseStrictJson(text, { known }), REFUSED);
  }
});
