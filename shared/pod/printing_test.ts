import assert from "node:assert/strict";
import { MAX_PRINTED_CHARACTERS } from "../bounds.ts";
import { printValue } from "./printing.ts";

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
