import assert from "node:assert/strict";
import {
  deepFreeze,
  equalJson,
  getOwn,
  type JsonObject,
  type JsonValue,
  objectAt,
  objectsAt,
  setOwn,
} from "./json.ts";

Deno.test("equalJson goes by value", () => {
  assert.ok(equalJson({ a: [1, { b: "x" }], c: null }, { c: null, a: [1, { b: "x" }] }));
  const different: [JsonValue, JsonValue][] = [
    [{ a: 1 }, { b: 1 }],
    [[1], [1, 2]],
    [[1], { 0: 1 }],
    [{ a: 1 }, { a: 1, b: 2 }],
    [{ a: null }, {}],
    [1, "1"],
  ];
  for (const [a, b] of different) {
    assert.equal(equalJson(a, b), false);
    assert.equal(equalJson(b, a), false);
  }
});

Deno.test("own properties are read and written whatever their names", () => {
  const object: JsonObject = {};
  setOwn(object, "__proto__", "a");
  setOwn(object, "b", "c");
  assert.equal(JSON.stringify(object), `{"__proto__":"a","b":"c"}`);
  assert.equal(getOwn(object, "__proto__"), "a");
  assert.equal(getOwn({}, "__proto__"), undefined);
  assert.equal(getOwn({}, "toString"), undefined);
});

Deno.test("refuses to take other values for objects and lists of objects", () => {
  const object: JsonObject = {
    object: { a: 1 },
    list: [{ b: 2 }, 3, null, [{ c: 4 }]],
    text: "x",
    nothing: null,
  };
  assert.deepEqual(objectAt(object, "object"), { a: 1 });
  assert.deepEqual(objectsAt(object, "list"), [{ b: 2 }]);
  for (const key of ["list", "text", "nothing", "missing", "constructor"]) {
    assert.deepEqual(objectAt(object, key), {}, key);
  }
  for (const key of ["object", "text", "nothing", "missing", "constructor"]) {
    assert.deepEqual(objectsAt(object, key), [], key);
  }
});

Deno.test("what is frozen cannot be changed at any depth", () => {
  const value = deepFreeze({ list: [{ a: 1 }] });
  assert.throws(() => value.list.push({ a: 2 }), TypeError);
  assert.throws(() => Object.assign(value.list[0] ?? {}, { a: 2 }), TypeError);
});
