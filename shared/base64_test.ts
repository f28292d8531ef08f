import assert from "node:assert/strict";
import fc from "fast-check";
import { readVectors } from "../tests/vectors/read_vectors.ts";
import { decodeBase64, encodeBase64 } from "./base64.ts";

Deno.test("base64 follows its vectors and refuses every other spelling", async (t) => {
  for (const { name, input, expected, error } of await readVectors("base64.json")) {
    await t.step(error === undefined ? name : `refuses ${name}`, () => {
      assert.ok(typeof input === "string");
      if (error !== undefined) {
        assert.throws(() => decodeBase64(input), { code: error });
      } else {
        assert.equal(decodeBase64(input).toHex(), expected);
        assert.equal(encodeBase64(decodeBase64(input)), input);
      }
    });
  }
});

Deno.test("base64 comes back as it was, also beyond one chunk", () => {
  const sizes = fc.oneof(
    fc.uint8Array({ maxLength: 100 }),
    fc.uint8Array({ minLength: 8190, maxLength: 8200, size: "max" }),
  );
  fc.assert(
    fc.property(sizes, (bytes) => assert.deepEqual([...decodeBase64(encodeBase64(bytes))], [...bytes])),
  );
});

Deno.test("any text that decodes is what encoding gives", () => {
  const text = fc.string({ unit: fc.constantFrom(..."Ab9+/=- \n"), maxLength: 12 });
  fc.assert(fc.property(text, (candidate) => {
    let bytes: Uint8Array;
    try {
      bytes = decodeBase64(candidate);
    } catch {
      return;
    }
    assert.equal(encodeBase64(bytes), candidate);
  }));
});
