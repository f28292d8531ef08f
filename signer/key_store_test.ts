import assert from "node:assert/strict";
import { readVerificationKeys } from "@signed-pods/shared/keys";
import { verifySignature } from "@signed-pods/shared/signature";
import type { SigningKeyType } from "@signed-pods/shared/signing";
import { CLOCK_SKEW_MS, createKeyStore } from "./key_store.ts";

const NOW = new Date("2024-02-29T12:00:00Z");
const TEXT = new TextEncoder().encode("text");

const KEY_TYPES: [SigningKeyType, string][] = [
  ["ec-p256", "ec-p256"],
  ["ec-p384", "ec-p384"],
  ["ec-p521", "ec-p521"],
  ["rsa-3072", "rsa"],
];

for (const [keyType, algorithm] of KEY_TYPES) {
  Deno.test(`what a ${keyType} key signs verifies with the certificate`, async () => {
    const store = await createKeyStore(keyType, NOW);
    const [key] = await readVerificationKeys(store.certificatePem, "certificate");
    assert.ok(key !== undefined);
    assert.equal(key.algorithm, algorithm);
    assert.equal(store.keyType, keyType);
    const signature = await store.sign(TEXT);
    assert.equal(await verifySignature(key, signature, TEXT), true);
    assert.equal(await verifySignature(key, signature, new TextEncoder().encode("other")), false);
  });
}

Deno.test("the certificate holds from a little before now for ten years", async () => {
  const store = await createKeyStore("ec-p256", NOW);
  const [key] = await readVerificationKeys(store.certificatePem, "certificate");
  assert.equal(key?.notBefore?.getTime(), NOW.getTime() - CLOCK_SKEW_MS);
  assert.equal(key?.notAfter?.toISOString(), "2034-03-01T12:00:00.000Z");
  assert.equal(store.notAfter.toISOString(), "2034-03-01T12:00:00.000Z");
  assert.equal(store.createdAt, NOW);
});

Deno.test("the fingerprint is the SHA-256 of the certificate's DER as openssl prints it", async () => {
  const { certificatePem, fingerprint } = await createKeyStore("ec-p256", NOW);
  const base64 = certificatePem.split("\n").filter((line) => !line.startsWith("-----")).join("");
  const der = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", der));
  assert.equal(
    fingerprint,
    [...digest].map((byte) => byte.toString(16).toUpperCase().padStart(2, "0")).join(":"),
  );
});

Deno.test("two stores have two keys and two certificates", async () => {
  const [first, second] = await Promise.all([createKeyStore("ec-p256", NOW), createKeyStore("ec-p256", NOW)]);
  assert.notEqual(first.fingerprint, second.fingerprint);
});
