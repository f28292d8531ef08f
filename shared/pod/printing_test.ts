import assert from "node:assert/strict";
import { MAX_PRINTED_CHARACTERS } from "../bounds.ts";
import { printPair, printValue } from "./printing.ts";

Deno.test("printValue is one line of harmless characters, shortened", () => {
  assert.equal(printValue({ a: [1, true, null] }), '{"a":[1,true,null]}');
  assert.equal(printValue("a\n\u001b[31mb"), String.raw`"a\n\u001b[31mb"`);
  assert.equal(printValue("\u202Egnp\u2028\u007f\ud800"), String.raw`"\u202egnp\u2028\u007f\ud800"`);
  assert.equal(printValue(`x${"\u{E0001}"}`), String.raw`"x\udb40\udc01"`);
  assert.equal(printValue(2n ** 64n), '"18446744073709551616"');
  for (
    const value of ["x".repeat(10_000), "😀".repeat(1000), { a: "x".repeat(1000) }, [`${"x".repeat(77)}😀`]]
  ) {
    const text = printValue(value);
    assert.ok(text.length <= MAX_PRINTED_CHARACTERS, text);
    assert.ok(text.isWellFormed());
    assert.ok(text.endsWith("…"));
  }
});

Deno.test("printPair shows where long values differ", () => {
  assert.deepEqual(printPair("a", "b"), ['"a"', '"b"']);
  const image = `registry.example/shop/web@sha256:${"a".repeat(64)}`;
  const other = `${image.slice(0, -1)}b`;
  assert.deepEqual(printPair(image, other), [`…${"a".repeat(21)}"`, `…${"a".repeat(20)}b"`]);
  const [first, second] = printPair({ a: "x".repeat(500) }, { a: `${"x".repeat(300)}${"y".repeat(200)}` });
  assert.match(first, /^…x{20}x+…$/);
  assert.match(second, /^…x{20}y+…$/);
  for (const text of [first, second]) assert.ok(text.length <= MAX_PRINTED_CHARACTERS);
  // One that goes on where the other ends, and characters of two halves at the cut.
  for (
    const [a, b] of [["z".repeat(100), "z".repeat(101)], [
      `${"😀".repeat(60)}a`,
      `${"😀".repeat(60)}b`,
    ]] as const
  ) {
    const pair = printPair(a, b);
    assert.notEqual(pair[0], pair[1]);
    for (const text of pair) assert.ok(text.isWellFormed() && text.length <= MAX_PRINTED_CHARACTERS);
  }
});
