import assert from "node:assert/strict";
import { RSAPublicKey } from "@peculiar/asn1-rsa";
import fc from "fast-check";
import { readVectors } from "../tests/vectors/read_vectors.ts";
import { writeDer } from "./der.ts";
import { SignedPodsError } from "./errors.ts";
import type { JsonObject } from "./json.ts";
import { readVerificationKeys, type VerificationKey } from "./keys.ts";
import { readPemBlocks, writePem } from "./pem.ts";

const vectors = await readVectors("keys.json");

Deno.test("verification keys follow the vectors made with OpenSSL", async (t) => {
  for (const { name, input, expected, error } of vectors) {
    await t.step(error === undefined ? `reads ${name}` : `refuses ${name}`, async () => {
      assert.ok(typeof input === "string");
      if (error !== undefined) {
        await assert.rejects(readVerificationKeys(input, "trusted.pem"), (thrown) => {
          assert.ok(thrown instanceof SignedPodsError);
          assert.equal(thrown.code, error, thrown.message);
          assert.ok(thrown.message.startsWith("trusted.pem"), "the message starts with the file");
          return true;
        });
        return;
      }
      assert.ok(Array.isArray(expected));
      const keys = await readVerificationKeys(input, "trusted.pem");
      assert.equal(keys.length, expected.length);
      assert.deepEqual(keys.map(asVector), expected);
      for (const [index, key] of keys.entries()) {
        assert.deepEqual(key.key.usages, ["verify"]);
        assert.equal(key.modulusBytes !== undefined, key.algorithm === "rsa");
        assert.equal(key.source, keys.length === 1 ? "trusted.pem" : `trusted.pem block ${index + 1}`);
      }
    });
  }
});

Deno.test("refuses a private key by name, and says what to put there", async () => {
  for (const { name, input } of vectors) {
    if (!name.startsWith("private key ") || typeof input !== "string") continue;
    await assert.rejects(readVerificationKeys(input, "f"), /this is a private key.*openssl pkey/);
  }
});

Deno.test("refuses RSA keys with an even modulus, and exponents that are even, too small or too large", async () => {
  const modulus = new Uint8Array(257).fill(0xff, 1);
  const even = new Uint8Array(modulus).fill(0xfe, 256);
  const small = new Uint8Array([3]);
  const usual = new Uint8Array([1, 0, 1]);
  const largest = new Uint8Array([0, 0xff, 0xff, 0xff, 0xff]);
  const tooLarge = new Uint8Array([1, 0, 0, 0, 1]);
  const pem = (n: Uint8Array<ArrayBuffer>, e: Uint8Array<ArrayBuffer>) =>
    writePem("RSA PUBLIC KEY", writeDer(new RSAPublicKey({ modulus: n.buffer, publicExponent: e.buffer })));
  for (
    const [n, e] of [[even, usual], [modulus, small], [modulus, tooLarge], [
      modulus,
      new Uint8Array([1, 0, 2]),
    ]] as const
  ) {
    await assert.rejects(readVerificationKeys(pem(n, e), "f"), { code: "key-unsupported" });
  }
  for (const e of [usual, largest]) {
    assert.equal((await readVerificationKeys(pem(modulus, e), "f")).length, 1);
  }
});

Deno.test("a changed key file is read or refused with a code, never anything else", async () => {
  const files = vectors.flatMap(({ name, input }) =>
    typeof input === "string" && /^(certificate|public key) (ec-p256|rsa 2048)$/.test(name) ? [input] : []
  );
  assert.equal(files.length, 4);
  const change = fc.tuple(
    fc.constantFrom(...files),
    fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
  );
  await fc.assert(
    fc.asyncProperty(change, async ([file, edits]) => {
      const [block] = readPemBlocks(file);
      assert.ok(block !== undefined);
      const { label, bytes } = block;
      for (const [at, value] of edits) bytes[at % bytes.length] = value;
      try {
        await readVerificationKeys(writePem(label, bytes), "f");
      } catch (error) {
        assert.ok(error instanceof SignedPodsError, String(error));
      }
    }),
    { numRuns: 300 },
  );
});

/** What vectors say about a key. */
function asVector({ algorithm, id, subject, notBefore, notAfter }: VerificationKey): JsonObject {
  if (subject === undefined || notBefore === undefined || notAfter === undefined) return { algorithm, id };
  return { algorithm, id, subject, notBefore: notBefore.toISOString(), notAfter: notAfter.toISOString() };
}
