import assert from "node:assert/strict";
import fc from "fast-check";
import { headBytes } from "./head_bytes.ts";

Deno.test("each character is a byte, whatever stands beside it", () => {
  fc.assert(fc.property(fc.array(fc.nat(255)), (codes) => {
    assert.deepEqual([...headBytes(String.fromCharCode(...codes))], codes);
  }));
  assert.deepEqual([...headBytes("a\xe9")], [0x61, 0xe9]);
  assert.deepEqual([...headBytes("a: b\r\n")], [
    ...Array.from("a: b\r\n", (character) => character.charCodeAt(0)),
  ]);
});
