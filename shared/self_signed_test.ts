import assert from "node:assert/strict";
import { fingerprint, readCertificate } from "./certificate.ts";
import { readVerificationKeys } from "./keys.ts";
import { readPemBlocks } from "./pem.ts";
import { createSelfSignedCertificate, type SelfSignedCertificateOptions } from "./self_signed.ts";
import { generateSigningKey, SIGNING_KEY_TYPES } from "./signing.ts";

const KEY = await generateSigningKey("ec-p256");
const OPTIONS: SelfSignedCertificateOptions = {
  key: KEY,
  commonName: "signing-server",
  notBefore: new Date("2026-01-02T03:04:05.678Z"),
  notAfter: new Date("2036-01-02T03:04:05Z"),
};
const REFUSED = { code: "certificate-malformed" };

Deno.test("OpenSSL takes a certificate of every type of key as its own anchor, in strict mode", async (t) => {
  const file = await Deno.makeTempFile();
  try {
    for (const type of SIGNING_KEY_TYPES) {
      await t.step(type, async () => {
        const key = await generateSigningKey(type);
        const pem = await createSelfSignedCertificate({ ...OPTIONS, key });
        await Deno.writeTextFile(file, pem);
        const at = String(OPTIONS.notAfter.getTime() / 1000 - 1);
        await openssl("verify", "-x509_strict", "-check_ss_sig", "-attime", at, "-CAfile", file, file);
        const text = await openssl("x509", "-in", file, "-noout", "-text", "-fingerprint", "-sha256");
        assert.match(text, /Version: 3 /);
        assert.match(text, /Key Usage: critical\s+Digital Signature\n/);
        assert.match(text, /Basic Constraints: critical\s+CA:FALSE\n/);
        assert.match(text, /Signature Algorithm: (ecdsa-with-SHA256|sha256WithRSAEncryption)\n/);
        const [block] = readPemBlocks(pem);
        assert.ok(block !== undefined);
        assert.ok(text.includes(`Fingerprint=${await fingerprint(block.bytes)}\n`));
        const [verifier] = await readVerificationKeys(pem, "test");
        assert.equal(verifier?.id, key.id);
      });
    }
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("name and dates come back, dates in whole seconds", async () => {
  const facts = readCertificate(await derOf({}));
  assert.equal(facts.subject, "CN=signing-server");
  assert.equal(facts.notBefore.toISOString(), "2026-01-02T03:04:05.000Z");
  assert.equal(facts.notAfter.toISOString(), "2036-01-02T03:04:05.000Z");
  assert.equal(facts.isAuthority, false);
});

Deno.test("dates beyond 2049 and the ends of the range are kept", async () => {
  for (
    const [first, last] of [["1950-01-01T00:00:00Z", "2049-12-31T23:59:59Z"], [
      "2050-01-01T00:00:00Z",
      "9999-12-31T23:59:59Z",
    ]] as const
  ) {
    const facts = readCertificate(await derOf({ notBefore: new Date(first), notAfter: new Date(last) }));
    assert.deepEqual([facts.notBefore, facts.notAfter], [new Date(first), new Date(last)]);
  }
});

Deno.test("serial numbers are positive, of 20 bytes, and differ", async () => {
  const serials = new Set<string>();
  for (let round = 0; round < 20; round++) serials.add(readCertificate(await derOf({})).serialNumber);
  assert.equal(serials.size, 20);
  for (const serial of serials) assert.match(serial, /^[4-7][0-9a-f]{39}$/);
});

Deno.test("names beyond ASCII and of 64 characters stand in a certificate", async () => {
  for (const commonName of ["Büro 7", "x".repeat(64), "a,b=c"]) {
    const facts = readCertificate(await derOf({ commonName }));
    assert.equal(facts.subject, `CN=${commonName.replace(/[,=]/g, "\\$&")}`);
  }
});

Deno.test("refuses names and dates that cannot stand in a certificate", async () => {
  const cases: Partial<SelfSignedCertificateOptions>[] = [
    { commonName: "" },
    { commonName: "x".repeat(65) },
    { commonName: "\ud800" },
    { notAfter: OPTIONS.notBefore },
    { notAfter: new Date("2026-01-02T03:04:05.999Z") },
    { notAfter: new Date(NaN) },
    { notBefore: new Date(NaN) },
    { notBefore: new Date("1949-12-31T23:59:59Z") },
    { notAfter: new Date("+010000-01-01T00:00:00Z") },
  ];
  for (const change of cases) {
    await assert.rejects(createSelfSignedCertificate({ ...OPTIONS, ...change }), REFUSED);
  }
});

async function derOf(change: Partial<SelfSignedCertificateOptions>): Promise<Uint8Array> {
  const [block] = readPemBlocks(await createSelfSignedCertificate({ ...OPTIONS, ...change }));
  assert.equal(block?.label, "CERTIFICATE");
  return block.bytes;
}

async function openssl(...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("openssl", { args }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}
