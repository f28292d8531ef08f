import assert from "node:assert/strict";
import { isFields, MAX_ALIASES, parseStrictYaml } from "./strict_yaml.ts";

Deno.test("YAML and JSON", () => {
  assert.deepEqual(parseStrictYaml("a: [1, b]\n"), { ok: true, value: { a: [1, "b"] } });
  assert.deepEqual(parseStrictYaml('{"a": null}'), { ok: true, value: { a: null } });
  assert.deepEqual(parseStrictYaml(""), { ok: true, value: null });
});

Deno.test("refuses what reads in two ways, unfolds, or is cut, without showing the place", () => {
  const aliases = Array.from({ length: MAX_ALIASES + 1 }, (_, index) => `b${index}: *a\n`).join("");
  const unfolding = "a: &a [x, x]\n" + aliases;
  for (const text of ["a: 1\na: 2", "a: canary\n b: [", "? [a]\n: b", "a: 1\n---\nb: 2", unfolding]) {
    const parsed = parseStrictYaml(text);
    assert.ok(!parsed.ok, text);
    assert.doesNotMatch(parsed.problems.join(), /canary/);
  }
});

Deno.test("maps are told from other values", () => {
  assert.ok(isFields({}));
  for (const value of [null, undefined, [], "a", 1]) assert.ok(!isFields(value));
});
