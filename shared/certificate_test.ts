import assert from "node:assert/strict";
import { OctetString } from "@peculiar/asn1-schema";
import {
  AttributeTypeAndValue,
  AttributeValue,
  Certificate,
  Extension,
  Extensions,
  Name,
  RelativeDistinguishedName,
  Time,
} from "@peculiar/asn1-x509";
import { fingerprint, readCertificate } from "./certificate.ts";
import { readDer, writeDer } from "./der.ts";
import { readPemBlocks } from "./pem.ts";
import { createSelfSignedCertificate } from "./self_signed.ts";
import { generateSigningKey } from "./signing.ts";

const REFUSED = { code: "certificate-malformed" };
const [block] = readPemBlocks(
  await createSelfSignedCertificate({
    key: await generateSigningKey("ec-p256"),
    commonName: "owner",
    notBefore: new Date("2026-01-01T00:00:00Z"),
    notAfter: new Date("2027-01-01T00:00:00Z"),
  }),
);
assert.ok(block !== undefined);
const DER = block.bytes;

Deno.test("a certificate's facts are read", async () => {
  const facts = readCertificate(DER);
  assert.equal(facts.subject, "CN=owner");
  assert.equal(facts.notBefore.toISOString(), "2026-01-01T00:00:00.000Z");
  assert.equal(facts.notAfter.toISOString(), "2027-01-01T00:00:00.000Z");
  const key = await crypto.subtle.importKey(
    "spki",
    facts.spki,
    { name: "ECDSA", namedCurve: "P-256" },
    true,
    ["verify"],
  );
  assert.equal(key.type, "public");
});

Deno.test("an authority is told from other certificates", () => {
  const basicConstraints = new Uint8Array([0x30, 0x03, 0x01, 0x01, 0xff]);
  assert.equal(
    readCertificate(changed((certificate) => setExtension(certificate, "2.5.29.19", basicConstraints)))
      .isAuthority,
    true,
  );
  assert.equal(
    readCertificate(changed((certificate) => delete certificate.tbsCertificate.extensions)).isAuthority,
    false,
  );
});

Deno.test("a name is printed as RFC 4514 says, on one line", () => {
  const name = (...parts: [string, AttributeValue][][]) =>
    changed(({ tbsCertificate }) => {
      const part = (items: [string, AttributeValue][]) =>
        new RelativeDistinguishedName(
          items.map(([type, value]) => new AttributeTypeAndValue({ type, value })),
        );
      tbsCertificate.subject = new Name(parts.map(part));
    });
  const utf8 = (utf8String: string) => new AttributeValue({ utf8String });
  const cases: [Uint8Array, string][] = [
    [name([["2.5.4.10", utf8("Example")]], [["2.5.4.3", utf8("owner")]]), "CN=owner,O=Example"],
    [name([["2.5.4.3", utf8("a")], ["2.5.4.11", utf8("b")]]), "CN=a+OU=b"],
    [name([["1.2.3", utf8("x")]]), "1.2.3=x"],
    [name([["2.5.4.3", utf8(' #a,b+c"d\\e<f>g;h=i ')]]), 'CN=\\ #a\\,b\\+c\\"d\\\\e\\<f\\>g\\;h\\=i\\ '],
    [name([["2.5.4.3", utf8("#a")]]), "CN=\\#a"],
    [name([["2.5.4.3", utf8("a\nb\u001b[31m\u2028")]]), "CN=a\\0ab\\1b[31m\\e2\\80\\a8"],
    [name([["2.5.4.3", new AttributeValue({ printableString: "p" })]]), "CN=p"],
    [name(), ""],
  ];
  for (const [der, expected] of cases) assert.equal(readCertificate(der).subject, expected);
});

Deno.test("the fingerprint has OpenSSL's form", async () => {
  assert.equal(
    await fingerprint(new Uint8Array()),
    "E3:B0:C4:42:98:FC:1C:14:9A:FB:F4:C8:99:6F:B9:24:27:AE:41:E4:64:9B:93:4C:A4:95:99:1B:78:52:B8:55",
  );
});

Deno.test("refuses a keyUsage without digitalSignature, also an empty one", () => {
  // keyCertSign; nonRepudiation; no bit at all.
  for (const bits of [[0x03, 0x02, 0x02, 0x04], [0x03, 0x02, 0x06, 0x40], [0x03, 0x01, 0x00]]) {
    const der = changed((certificate) => setExtension(certificate, "2.5.29.15", new Uint8Array(bits)));
    assert.throws(() => readCertificate(der), REFUSED);
  }
});

Deno.test("refuses extensions that do not parse", () => {
  for (const id of ["2.5.29.15", "2.5.29.19"]) {
    for (const bytes of [[], [0x05, 0x00], [0x04], [0x03, 0x02, 0x07, 0x80, 0x00]]) {
      const der = changed((certificate) => setExtension(certificate, id, new Uint8Array(bytes)));
      assert.throws(() => readCertificate(der), REFUSED);
    }
  }
});

Deno.test("refuses an extension that is there twice", () => {
  const der = changed(({ tbsCertificate }) => {
    const [first] = tbsCertificate.extensions ?? [];
    assert.ok(first !== undefined);
    tbsCertificate.extensions?.push(first);
  });
  assert.throws(() => readCertificate(der), REFUSED);
});

Deno.test("refuses a critical extension that is not understood, and passes over one that is not critical", () => {
  const extended = (critical: boolean) =>
    changed(({ tbsCertificate }) => {
      const extnValue = new OctetString(new Uint8Array([0x05, 0x00]));
      tbsCertificate.extensions?.push(new Extension({ extnID: "1.2.3.4", critical, extnValue }));
    });
  assert.throws(() => readCertificate(extended(true)), REFUSED);
  assert.equal(readCertificate(extended(false)).subject, "CN=owner");
});

Deno.test("refuses extensions in a certificate of an earlier version", () => {
  for (const version of [0, 1]) {
    assert.throws(
      () => readCertificate(changed(({ tbsCertificate }) => tbsCertificate.version = version)),
      REFUSED,
    );
  }
});

Deno.test("refuses a validity that ends before it begins", () => {
  const der = changed(({ tbsCertificate: { validity } }) =>
    validity.notAfter = new Time(new Date("2025-01-01"))
  );
  assert.throws(() => readCertificate(der), REFUSED);
});

Deno.test("refuses bytes that are no certificate", () => {
  for (const bytes of [[], [0x30, 0x00], [...DER, 0], [...DER.subarray(0, -1)]]) {
    assert.throws(() => readCertificate(new Uint8Array(bytes)), REFUSED);
  }
});

/** The certificate with a change; its signature no longer fits, which nobody reads. */
function changed(change: (certificate: Certificate) => void): Uint8Array {
  const certificate = readDer(DER, Certificate, "certificate-malformed", "certificate");
  change(certificate);
  // Without it the bytes of before would be written.
  delete certificate.tbsCertificateRaw;
  return writeDer(certificate);
}

function setExtension(certificate: Certificate, extnID: string, value: Uint8Array<ArrayBuffer>): void {
  const others = (certificate.tbsCertificate.extensions ?? new Extensions()).filter((other) =>
    other.extnID !== extnID
  );
  const extension = new Extension({ extnID, critical: true, extnValue: new OctetString(value) });
  certificate.tbsCertificate.extensions = new Extensions([...others, extension]);
}
