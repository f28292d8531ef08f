import assert from "node:assert/strict";
import type { JsonValue } from "@signed-pods/shared/json";
import {
  anyText,
  BOOLEAN,
  checked,
  fields,
  fit,
  integer,
  list,
  map,
  QUANTITY,
  type Shape,
  text,
  TIME,
  word,
} from "./shape.ts";

function problems(shape: Shape, value: JsonValue): string[] {
  const fitted = fit(shape, value);
  return fitted.ok ? [] : fitted.problems.map(({ path, message }) => `${path}: ${message}`);
}

const DIGIT = text((found) => /^[0-9]$/.test(found), "a digit");

Deno.test("fields that no shape names are left out, and null is the same as absent", () => {
  const shape = fields({ a: DIGIT, b: fields({ c: BOOLEAN }) });
  assert.deepEqual(fit(shape, { a: "1", x: 1, b: { c: true, d: {} } }), {
    ok: true,
    value: { a: "1", b: { c: true } },
  });
  assert.deepEqual(fit(shape, { a: null, b: null }), { ok: true, value: {} });
  const evil = JSON.parse('{"__proto__": {"a": "evil"}}');
  assert.deepEqual(fit(shape, evil), { ok: true, value: {} });
});

Deno.test("keys of maps are kept whatever they are named", () => {
  const shape = map(() => true, "any", anyText(9));
  const fitted = fit(shape, JSON.parse('{"__proto__": "x", "constructor": "y"}'));
  assert.ok(fitted.ok);
  assert.equal(JSON.stringify(fitted.value), '{"__proto__":"x","constructor":"y"}');
});

Deno.test("refuses what does not fit, with its path", () => {
  assert.deepEqual(problems(fields({ a: DIGIT }, ["a", "b"]), {}), ["a: is missing"]);
  assert.deepEqual(problems(fields({ a: DIGIT }, ["a"]), { a: null }), ["a: is missing"]);
  assert.deepEqual(problems(fields({}), []), [": is not an object"]);
  assert.deepEqual(problems(DIGIT, 1), [": is not a digit"]);
  assert.deepEqual(problems(BOOLEAN, "true"), [": is not true or false"]);
  assert.deepEqual(problems(word("A", "B"), "C"), [': is not "A" or "B"']);
  assert.deepEqual(problems(TIME, "yesterday"), [": is not a time (RFC 3339)"]);
  assert.deepEqual(problems(QUANTITY, "1Gi;"), [": is not a quantity"]);
  assert.deepEqual(problems(QUANTITY, 1), [": is not a quantity"]);
  assert.deepEqual(problems(integer(1, 3), 4), [": is not a whole number from 1 to 3"]);
  assert.deepEqual(problems(integer(1, 3), 4n), [": is not a whole number from 1 to 3"]);
  assert.deepEqual(problems(anyText(2), "abc"), [": is not a text of at most 2 characters"]);
  assert.deepEqual(problems(list(DIGIT, 2), {}), [": is not a list"]);
  assert.deepEqual(problems(list(DIGIT, 2), ["1", "2", "3"]), [": has more than 2 items"]);
  assert.deepEqual(problems(list(DIGIT), ["1", null]), ["[1]: is not a digit"]);
  const isLow = (key: string) => key === "low";
  assert.deepEqual(problems(map(isLow, "low", DIGIT), []), [": is not an object"]);
  assert.deepEqual(problems(map(isLow, "low", DIGIT), { "Hi\n": "1" }), [
    "[Hi\\n]: has a key that is not low",
  ]);
  assert.deepEqual(problems(map(isLow, "low", DIGIT), { low: null }), ["[low]: is not a digit"]);
  assert.deepEqual(problems(map(() => true, "any", DIGIT, 1), { a: "1", b: "2" }), [
    ": has more than 1 keys",
  ]);
});

Deno.test("what must hold of a whole value is looked at when its parts fit", () => {
  const shape = fields({
    in: checked(
      fields({ a: DIGIT, b: DIGIT }),
      ({ a, b }) => a === b ? undefined : { path: "b", message: "differs from a" },
    ),
  });
  assert.deepEqual(problems(shape, { in: { a: "1", b: "1" } }), []);
  assert.deepEqual(problems(shape, { in: { a: "1", b: "2" } }), ["in.b: differs from a"]);
  assert.deepEqual(problems(shape, { in: { a: "x", b: "2" } }), ["in.a: is not a digit"]);
});
