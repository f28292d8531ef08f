import assert from "node:assert/strict";
import { ECDSASigValue } from "@peculiar/asn1-ecc";
import { AsnConvert } from "@peculiar/asn1-schema";
import fc from "fast-check";
import { readVectors, textOf } from "../tests/vectors/read_vectors.ts";
import { ALGORITHMS } from "./algorithms.ts";
import { decodeBase64 } from "./base64.ts";
import { SignedPodsError } from "./errors.ts";
import { readVerificationKeys } from "./keys.ts";
import { derToRaw, rawToDer, verifySignature } from "./signature.ts";

const REFUSED = { code: "signature-malformed" };
const CURVES = ["ec-p256", "ec-p384", "ec-p521"] as const;

Deno.test("signatures follow the vectors made with OpenSSL", async (t) => {
  for (const { name, input, expected, error } of await readVectors("signatures.json")) {
    await t.step(
      `${error === undefined ? (expected ? "verifies" : "does not verify") : "refuses"} ${name}`,
      async () => {
        const [key] = await readVerificationKeys(textOf(input, "key"), "vector");
        assert.ok(key !== undefined);
        const data = new TextEncoder().encode(textOf(input, "data"));
        const outcome = verifySignature(key, decodeBase64(textOf(input, "signature")), data);
        if (error !== undefined) await assert.rejects(outcome, { code: error });
        else assert.equal(await outcome, expected);
      },
    );
  }
});

Deno.test("DER and raw are two spellings of the same r and s, as the ASN.1 library writes them", () => {
  for (const algorithm of CURVES) {
    const { scalarBytes, order } = ALGORITHMS[algorithm];
    const scalar = fc.oneof(
      fc.bigInt(1n, order - 1n),
      fc.bigInt(1n, 70_000n),
      fc.bigInt(order - 300n, order - 1n),
    );
    fc.assert(fc.property(scalar, scalar, (r, s) => {
      const raw = Uint8Array.fromHex(
        [r, s].map((n) => n.toString(16).padStart(2 * scalarBytes, "0")).join(""),
      );
      const der = rawToDer(raw, algorithm);
      assert.equal(derToRaw(der, algorithm).toHex(), raw.toHex());
      const library = AsnConvert.serialize(new ECDSASigValue({ r: unsigned(r), s: unsigned(s) }));
      assert.equal(der.toHex(), new Uint8Array(library).toHex());
    }));
  }
});

Deno.test("bytes that are read as a signature are the only spelling of it", () => {
  const byte = fc.oneof(fc.constantFrom(0, 1, 2, 0x30, 0x7f, 0x80, 0x81, 0xff), fc.nat(255));
  const content = fc.array(byte, { maxLength: 6 });
  const integer = content.map((body) => [2, body.length, ...body]);
  const sequence = fc.array(integer, { minLength: 1, maxLength: 3 }).map((items) => items.flat());
  const der = fc.oneof(
    sequence.map((body) => [0x30, body.length, ...body]),
    fc.array(byte, { maxLength: 20 }),
  );
  let read = 0;
  fc.assert(
    fc.property(der, (bytes) => {
      const candidate = new Uint8Array(bytes);
      let raw: Uint8Array;
      try {
        raw = derToRaw(candidate, "ec-p256");
      } catch (error) {
        assert.ok(error instanceof SignedPodsError && error.code === "signature-malformed");
        return;
      }
      read++;
      assert.equal(rawToDer(raw, "ec-p256").toHex(), candidate.toHex());
    }),
    { numRuns: 3000 },
  );
  assert.ok(read > 10, "some are signatures");
});

Deno.test("the longest P-521 signature needs two length bytes", () => {
  const { order } = ALGORITHMS["ec-p521"];
  const scalar = (order - 1n).toString(16).padStart(132, "0");
  const der = rawToDer(Uint8Array.fromHex(scalar + scalar), "ec-p521");
  assert.equal(der.subarray(0, 3).toHex(), "308188");
  assert.equal(der.length, 139);
});

Deno.test("refuses raw signatures of another length, and RSA", () => {
  for (const length of [0, 63, 65, 96]) {
    assert.throws(() => rawToDer(new Uint8Array(length), "ec-p256"), REFUSED);
  }
  assert.throws(() => rawToDer(new Uint8Array(256), "rsa"), REFUSED);
  assert.throws(() => derToRaw(new Uint8Array([0x30, 6, 2, 1, 1, 2, 1, 1]), "rsa"), REFUSED);
});

Deno.test("refuses any changed length or tag of a signature", () => {
  const raw = new Uint8Array(64).fill(0x11);
  const der = rawToDer(raw, "ec-p256");
  for (const position of [0, 1, 2, 3, 36, 37]) {
    for (let value = 0; value < 256; value++) {
      const changed = new Uint8Array(der);
      changed[position] = value;
      if (value === der[position]) assert.equal(derToRaw(changed, "ec-p256").toHex(), raw.toHex());
      else assert.throws(() => derToRaw(changed, "ec-p256"), REFUSED);
    }
  }
});

Deno.test("refuses any other length byte of a sequence that needs two", () => {
  const raw = new Uint8Array(132).fill(0x11).fill(0, 0, 1).fill(0, 66, 67);
  const der = rawToDer(raw, "ec-p521");
  assert.equal(der.subarray(0, 3).toHex(), "308186");
  for (let value = 0; value < 256; value++) {
    if (value === 0x81) continue;
    assert.throws(() => derToRaw(new Uint8Array([0x30, value, ...der.subarray(2)]), "ec-p521"), REFUSED);
  }
});

function unsigned(value: bigint): ArrayBuffer {
  const hex = value.toString(16);
  const bytes = Uint8Array.fromHex(hex.length % 2 === 0 ? hex : `0${hex}`);
  return (bytes[0] ?? 0) >= 0x80 ? new Uint8Array([0, ...bytes]).buffer : bytes.buffer;
}
