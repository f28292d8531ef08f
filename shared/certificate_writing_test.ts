import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { nameOf, writeCertificate } from "./certificate_writing.ts";
import { generateSigningKey, sign } from "./signing.ts";

const key = await generateSigningKey("ec-p256");
const CONTENT = {
  subject: { organization: "system:nodes", commonName: "system:node:n" },
  issuer: { commonName: "authority" },
  spki: new Uint8Array(await crypto.subtle.exportKey("spki", key.publicKey)),
  notBefore: new Date("2026-01-01T00:00:00Z"),
  notAfter: new Date("2026-02-01T00:00:00Z"),
  extensions: [],
};
const SIGNER = { algorithm: key.algorithm, sign: (bytes: Uint8Array) => sign(key, bytes) };

Deno.test("a certificate says what it was told, signed by who was given", async () => {
  const certificate = new X509Certificate(await writeCertificate(CONTENT, SIGNER));
  assert.equal(certificate.subject, "O=system:nodes\nCN=system:node:n");
  assert.equal(certificate.issuer, "CN=authority");
  assert.ok(certificate.verify(certificate.publicKey));
  assert.equal(new Date(certificate.validTo).toISOString(), "2026-02-01T00:00:00.000Z");
});

Deno.test("refuses names that are empty or longer than the bound, which can be set", async () => {
  for (const commonName of ["", "n".repeat(65), "\ud800"]) {
    assert.throws(() => nameOf({ commonName }), { code: "certificate-malformed" });
  }
  assert.throws(() => nameOf({ commonName: "n", organization: "" }), { code: "certificate-malformed" });
  const subject = { commonName: "n".repeat(65) };
  await assert.rejects(writeCertificate({ ...CONTENT, subject }, SIGNER), { code: "certificate-malformed" });
  await writeCertificate({ ...CONTENT, subject, maxNameLength: 65 }, SIGNER);
});

Deno.test("refuses a key that is none", async () => {
  await assert.rejects(writeCertificate({ ...CONTENT, spki: new Uint8Array(3) }, SIGNER), {
    code: "key-malformed",
  });
});
