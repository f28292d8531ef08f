import assert from "node:assert/strict";
import fc from "fast-check";
import { readVectors, textOf } from "../tests/vectors/read_vectors.ts";
import { SignedPodsError } from "./errors.ts";
import { readVerificationKeys } from "./keys.ts";
import { readPemBlocks, writePem } from "./pem.ts";
import { verifySignature } from "./signature.ts";
import {
  generateSigningKey,
  generateSigningKeyPem,
  readSigningKey,
  sign,
  SIGNING_KEY_TYPES,
  type SigningKey,
} from "./signing.ts";

const DATA = new TextEncoder().encode('{"spec":"é"}');

Deno.test("private keys follow the vectors made with OpenSSL", async (t) => {
  for (const { name, input, expected, error } of await readVectors("signing_keys.json")) {
    await t.step(error === undefined ? `reads ${name}` : `refuses ${name}`, async () => {
      assert.ok(typeof input === "string");
      if (error !== undefined) {
        await assert.rejects(readSigningKey(input), (thrown) => {
          assert.ok(thrown instanceof SignedPodsError);
          assert.equal(thrown.code, error, thrown.message);
          if (name.startsWith("encrypted")) assert.match(thrown.message, /encrypted.*openssl pkey/);
          return true;
        });
        return;
      }
      const key = await readSigningKey(input);
      assert.equal(key.algorithm, textOf(expected, "algorithm"));
      assert.equal(key.id, textOf(expected, "id"));
      assert.equal(key.privateKey.extractable, false);
      assert.equal(await verifySignature(await verificationKey(key), await sign(key, DATA), DATA), true);
    });
  }
});

Deno.test("a changed private key is read or refused with a code, never anything else", async () => {
  const files = (await readVectors("signing_keys.json")).flatMap(({ name, input }) =>
    typeof input === "string" && /^(PKCS#8 ec-p256|SEC1 ec-p521|PKCS#[18] RSA)$/.test(name) ? [input] : []
  );
  assert.equal(files.length, 4);
  const edits = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 3 });
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...files), edits, async (file, changes) => {
      const [block] = readPemBlocks(file);
      assert.ok(block !== undefined);
      for (const [at, value] of changes) block.bytes[at % block.bytes.length] = value;
      try {
        await readSigningKey(writePem(block.label, block.bytes));
      } catch (error) {
        assert.ok(error instanceof SignedPodsError, String(error));
      }
    }),
    { numRuns: 200 },
  );
});

Deno.test("new keys of every type sign what they alone verify", async (t) => {
  for (const type of SIGNING_KEY_TYPES) {
    await t.step(type, async () => {
      const key = await generateSigningKey(type);
      const other = await generateSigningKey(type);
      const signature = await sign(key, DATA);
      const verifier = await verificationKey(key);
      assert.equal(verifier.id, key.id);
      assert.equal(verifier.algorithm, type === "rsa-3072" ? "rsa" : type);
      assert.equal(await verifySignature(verifier, signature, DATA), true);
      assert.equal(await verifySignature(verifier, signature, new Uint8Array()), false);
      assert.equal(await verifySignature(await verificationKey(other), signature, DATA), false);
      await assert.rejects(crypto.subtle.exportKey("pkcs8", key.privateKey));
    });
  }
});

Deno.test("new keys for files are read again, and are not given out from then on", async (t) => {
  for (const type of SIGNING_KEY_TYPES) {
    await t.step(type, async () => {
      const pem = await generateSigningKeyPem(type);
      assert.match(pem, /^-----BEGIN PRIVATE KEY-----\n/);
      assert.notEqual(await generateSigningKeyPem(type), pem);
      const key = await readSigningKey(pem);
      assert.equal(key.algorithm, type === "rsa-3072" ? "rsa" : type);
      assert.equal(await verifySignature(await verificationKey(key), await sign(key, DATA), DATA), true);
      await assert.rejects(crypto.subtle.exportKey("pkcs8", key.privateKey));
    });
  }
});

Deno.test("OpenSSL verifies what every type of key signs", async (t) => {
  const folder = await Deno.makeTempDir();
  try {
    for (const type of SIGNING_KEY_TYPES) {
      await t.step(type, async () => {
        const key = await generateSigningKey(type);
        await Deno.writeTextFile(`${folder}/public.pem`, await publicPem(key));
        await Deno.writeFile(`${folder}/data`, DATA);
        // Several, as the lengths of DER integers vary.
        for (let round = 0; round < 8; round++) {
          await Deno.writeFile(`${folder}/signature`, await sign(key, DATA));
          const args = [
            "dgst",
            "-sha256",
            "-verify",
            `${folder}/public.pem`,
            "-signature",
            `${folder}/signature`,
          ];
          const { code, stdout } = await new Deno.Command("openssl", { args: [...args, `${folder}/data`] })
            .output();
          assert.deepEqual([code, new TextDecoder().decode(stdout).trim()], [0, "Verified OK"]);
        }
      });
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

async function publicPem(key: SigningKey): Promise<string> {
  return writePem("PUBLIC KEY", new Uint8Array(await crypto.subtle.exportKey("spki", key.publicKey)));
}

async function verificationKey(key: SigningKey) {
  const [verifier] = await readVerificationKeys(await publicPem(key), "test");
  assert.ok(verifier !== undefined);
  return verifier;
}
