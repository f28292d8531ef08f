import assert from "node:assert/strict";
import { readVerificationKeys } from "@signed-pods/shared/keys";
import { verifySignature } from "@signed-pods/shared/signature";
import type { SigningKeyType } from "@signed-pods/shared/signing";
import { KeyFolderError } from "./key_folder_error.ts";
import {
  CERTIFICATE_LIFETIME_DAYS,
  CLOCK_SKEW_MS,
  createIdentity,
  createKeyFile,
  DAY_MS,
  MAX_CERTIFICATE_LIFETIME_DAYS,
  readCertificates,
  readKeyFile,
} from "./signing_identity.ts";

const NOW = new Date("2024-02-29T12:00:00Z");
const TEXT = new TextEncoder().encode("text");
const newKey = (keyType: SigningKeyType, certificateLifetimeDays = CERTIFICATE_LIFETIME_DAYS) => ({
  keyType,
  certificateLifetimeDays,
  now: NOW,
});

const KEY_TYPES: [SigningKeyType, string][] = [
  ["ec-p256", "ec-p256"],
  ["ec-p384", "ec-p384"],
  ["ec-p521", "ec-p521"],
  ["rsa-3072", "rsa"],
];

for (const [keyType, algorithm] of KEY_TYPES) {
  Deno.test(`what a ${keyType} key signs verifies with the certificate, in memory and from a file`, async () => {
    for (
      const identity of [
        await createIdentity(newKey(keyType)),
        await readKeyFile(await createKeyFile(newKey(keyType))),
      ]
    ) {
      const [key] = await readVerificationKeys(identity.pem, "certificate");
      assert.ok(key !== undefined);
      assert.equal(key.algorithm, algorithm);
      assert.equal(identity.keyType, keyType);
      assert.equal(identity.keyId, key.id);
      const signature = await identity.sign(TEXT);
      assert.equal(await verifySignature(key, signature, TEXT), true);
      assert.equal(await verifySignature(key, signature, new TextEncoder().encode("other")), false);
    }
  });
}

Deno.test("the certificate holds from a little before now, for as many days as asked for", async () => {
  for (const days of [1, CERTIFICATE_LIFETIME_DAYS, MAX_CERTIFICATE_LIFETIME_DAYS]) {
    const identity = await createIdentity(newKey("ec-p256", days));
    const [key] = await readVerificationKeys(identity.pem, "certificate");
    assert.equal(key?.notBefore?.getTime(), NOW.getTime() - CLOCK_SKEW_MS);
    assert.equal(key?.notAfter?.getTime(), NOW.getTime() + days * DAY_MS);
    assert.equal(identity.notAfter.getTime(), NOW.getTime() + days * DAY_MS);
  }
});

Deno.test("the fingerprint is the SHA-256 of the certificate's DER as openssl prints it", async () => {
  const { pem, fingerprint } = await createIdentity(newKey("ec-p256"));
  const base64 = pem.split("\n").filter((line) => !line.startsWith("-----")).join("");
  const der = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", der));
  assert.equal(
    fingerprint,
    [...digest].map((byte) => byte.toString(16).toUpperCase().padStart(2, "0")).join(":"),
  );
});

Deno.test("every key has a certificate with a serial number of its own, of at least 64 bits", async () => {
  const identities = await Promise.all(Array.from({ length: 8 }, () => createIdentity(newKey("ec-p256"))));
  assert.equal(new Set(identities.map(({ serialNumber }) => serialNumber)).size, 8);
  assert.equal(new Set(identities.map(({ keyId }) => keyId)).size, 8);
  for (const { serialNumber } of identities) assert.ok(serialNumber.length >= 16, serialNumber);
});

Deno.test("OpenSSL reads the key file, and finds that key and certificate belong together", async () => {
  const file = await Deno.makeTempFile();
  await Deno.writeTextFile(file, await createKeyFile(newKey("ec-p256")));
  const run = async (...args: string[]) => {
    const { success, stdout, stderr } = await new Deno.Command("openssl", { args }).output();
    assert.ok(success, new TextDecoder().decode(stderr));
    return new TextDecoder().decode(stdout);
  };
  assert.equal(
    await run("pkey", "-in", file, "-pubout"),
    await run("x509", "-in", file, "-noout", "-pubkey"),
  );
  await Deno.remove(file);
});

Deno.test("a key file may have its blocks in any order, with text between them", async () => {
  const [key = "", certificate = ""] = (await createKeyFile(newKey("ec-p256"))).split(
    /(?=-----BEGIN CERTIFICATE)/,
  );
  const { pem } = await readKeyFile(`a comment\n${certificate}another\n${key}`);
  assert.equal(pem, certificate);
});

Deno.test("a blank text holds no certificates", async () => {
  assert.deepEqual(await readCertificates("\n"), []);
});

Deno.test("refuses a certificate of another key", async () => {
  const [key = ""] = (await createKeyFile(newKey("ec-p256"))).split(/(?=-----BEGIN CERTIFICATE)/);
  const { pem } = await createIdentity(newKey("ec-p256"));
  await assert.rejects(
    readKeyFile(key + pem),
    (error) => error instanceof KeyFolderError && error.code === "key-mismatch",
  );
});
