import assert from "node:assert/strict";
import { Version } from "@peculiar/asn1-x509";
import { writePem } from "@signed-pods/shared/pem";
import { issue, testPki } from "../fixture_test.ts";
import { readCertificateAuthorities, readTlsIdentity } from "./tls_identity.ts";

async function privateKey(algorithm: RsaHashedKeyGenParams | EcKeyGenParams): Promise<string> {
  const pair = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  assert.ok("privateKey" in pair);
  return writePem("PRIVATE KEY", new Uint8Array(await crypto.subtle.exportKey("pkcs8", pair.privateKey)));
}

Deno.test("a certificate and its key, in one file or in two, without anything else", async () => {
  const { server, authority } = await testPki();
  const { certificate, key, der } = readTlsIdentity(server.certificate + authority.certificate, server.key);
  assert.equal(certificate, server.certificate + authority.certificate);
  assert.equal(key, server.key);
  assert.deepEqual(der, server.der);
  const both = `comment\n${server.key}${server.certificate}`;
  assert.deepEqual(readTlsIdentity(both, both), {
    certificate: server.certificate,
    key: server.key,
    der: server.der,
  });
});

Deno.test("refuses a key of another certificate, which would end the process", async () => {
  const { server, node } = await testPki();
  assert.throws(() => readTlsIdentity(server.certificate, node.key), /does not belong/);
  const rsa = await privateKey({
    name: "RSASSA-PKCS1-v1_5",
    modulusLength: 2048,
    publicExponent: new Uint8Array([1, 0, 1]),
    hash: "SHA-256",
  });
  assert.throws(() => readTlsIdentity(server.certificate, rsa), /does not belong/);
});

Deno.test("refuses a certificate of version 1, which would end the process", async () => {
  const old = await issue({ commonName: "old", version: Version.v1 });
  assert.throws(() => readTlsIdentity(old.certificate, old.key), /version 3/);
});

Deno.test("refuses keys that TLS cannot use", async () => {
  const { server } = await testPki();
  const small = await privateKey({
    name: "RSASSA-PKCS1-v1_5",
    modulusLength: 1024,
    publicExponent: new Uint8Array([1, 0, 1]),
    hash: "SHA-256",
  });
  assert.throws(() => readTlsIdentity(server.certificate, small), /kind that TLS cannot use/);
});

Deno.test("refuses files without certificate or key, with several keys, or damaged", async () => {
  const { server, node } = await testPki();
  const garbage = new Uint8Array([1, 2, 3]);
  assert.throws(() => readTlsIdentity(server.key, server.key), /no CERTIFICATE/);
  assert.throws(() => readTlsIdentity(server.certificate, server.certificate), /no private key/);
  assert.throws(() => readTlsIdentity(server.certificate, server.key + node.key), /2 private keys/);
  assert.throws(
    () => readTlsIdentity(server.certificate, writePem("ENCRYPTED PRIVATE KEY", garbage)),
    /encrypted/,
  );
  assert.throws(
    () => readTlsIdentity(server.certificate, writePem("PRIVATE KEY", garbage)),
    /key that cannot be read/,
  );
  assert.throws(
    () => readTlsIdentity(writePem("CERTIFICATE", garbage), server.key),
    /certificate that cannot be read/,
  );
});

Deno.test("certificate authorities: one text for each", async () => {
  const { authority, server } = await testPki();
  assert.deepEqual(readCertificateAuthorities(authority.certificate + server.certificate), [
    authority.certificate,
    server.certificate,
  ]);
  assert.throws(() => readCertificateAuthorities(authority.key), /no CERTIFICATE/);
  assert.throws(
    () => readCertificateAuthorities(writePem("CERTIFICATE", new Uint8Array([1]))),
    /cannot be read/,
  );
});
