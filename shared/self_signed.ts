/**
 * Makes the certificate by which nodes learn to trust a signing key.
 *
 * @module
 */
import { AsnConvert, OctetString } from "@peculiar/asn1-schema";
import {
  AlgorithmIdentifier,
  AttributeTypeAndValue,
  AttributeValue,
  BasicConstraints,
  Certificate,
  Extension,
  Extensions,
  id_ce_basicConstraints as basicConstraintsId,
  id_ce_keyUsage as keyUsageId,
  id_ce_subjectKeyIdentifier as subjectKeyIdentifierId,
  KeyUsage,
  KeyUsageFlags,
  Name,
  RelativeDistinguishedName,
  SubjectKeyIdentifier,
  SubjectPublicKeyInfo,
  TBSCertificate,
  Validity,
  Version,
} from "@peculiar/asn1-x509";
import { ALGORITHMS, HASH } from "./algorithms.ts";
import { readDer, writeDer } from "./der.ts";
import { SignedPodsError } from "./errors.ts";
import { writePem } from "./pem.ts";
import { sign, type SigningKey } from "./signing.ts";

/** What a certificate says. */
export interface SelfSignedCertificateOptions {
  /** The key that it is for, and that signs it. */
  key: SigningKey;
  /** The subject's and issuer's common name, 1 to 64 characters. */
  commonName: string;
  /** First second of validity; parts of a second are dropped. */
  notBefore: Date;
  /** Last second of validity; parts of a second are dropped. */
  notAfter: Date;
}

/** The longest serial number that RFC 5280 section 4.1.2.2 admits. */
const SERIAL_BYTES = 20;

/** The longest common name (RFC 5280 appendix A.1, ub-common-name). */
const MAX_COMMON_NAME_LENGTH = 64;

/** Length of a key identifier made of a SHA-256 digest (RFC 7093 section 2, method 1). */
const KEY_IDENTIFIER_BYTES = 20;

/** The years that a certificate can express (RFC 5280 section 4.1.2.5 and the two-digit years of UTCTime). */
const FIRST_YEAR = 1950;
const LAST_YEAR = 9999;

const COMMON_NAME_OID = "2.5.4.3";

/**
 * A certificate that its own key signed: X.509 v3, random serial number, not an authority, and meant for
 * digital signatures alone. It serves as a trust anchor, so nothing above it exists.
 *
 * @returns one PEM block
 * @throws {SignedPodsError} `certificate-malformed` if the name or the dates cannot stand in a certificate
 */
export async function createSelfSignedCertificate(options: SelfSignedCertificateOptions): Promise<string> {
  const { key, commonName } = options;
  const notBefore = wholeSeconds(options.notBefore);
  const notAfter = wholeSeconds(options.notAfter);
  if (notBefore >= notAfter) throw refuse("notAfter must be later than notBefore");
  if (commonName.length === 0 || commonName.length > MAX_COMMON_NAME_LENGTH || !commonName.isWellFormed()) {
    throw refuse(`the common name must have 1 to ${MAX_COMMON_NAME_LENGTH} characters`);
  }
  const spki = new Uint8Array(await crypto.subtle.exportKey("spki", key.publicKey));
  const subjectPublicKeyInfo = readDer(spki, SubjectPublicKeyInfo, "key-malformed", "public key");
  const { kind, signatureOid } = ALGORITHMS[key.algorithm];
  // RSA has NULL parameters (RFC 8017 appendix A.2.4), ECDSA none at all (RFC 5758 section 3.2).
  const signatureAlgorithm = new AlgorithmIdentifier({
    algorithm: signatureOid,
    ...(kind === "rsa" ? { parameters: null } : {}),
  });
  const name = nameOf(commonName);
  const tbsCertificate = new TBSCertificate({
    version: Version.v3,
    serialNumber: randomSerialNumber(),
    signature: signatureAlgorithm,
    issuer: name,
    validity: new Validity({ notBefore, notAfter }),
    subject: name,
    subjectPublicKeyInfo,
    extensions: new Extensions([
      extension(basicConstraintsId, true, new BasicConstraints({ cA: false })),
      extension(keyUsageId, true, new KeyUsage(KeyUsageFlags.digitalSignature)),
      extension(subjectKeyIdentifierId, false, await keyIdentifier(subjectPublicKeyInfo)),
    ]),
  });
  const signature = await sign(key, writeDer(tbsCertificate));
  const certificate = new Certificate({
    tbsCertificate,
    signatureAlgorithm,
    signatureValue: signature.buffer,
  });
  return writePem("CERTIFICATE", writeDer(certificate));
}

function wholeSeconds(date: Date): Date {
  const year = date.getUTCFullYear();
  // The year of a date that is not valid is NaN, which fails both comparisons.
  if (!(year >= FIRST_YEAR && year <= LAST_YEAR)) {
    throw refuse(`dates must be valid and between the years ${FIRST_YEAR} and ${LAST_YEAR}`);
  }
  return new Date(Math.floor(date.getTime() / 1000) * 1000);
}

/** A random positive number that fills all its bytes: the first bit is 0, the second 1. */
function randomSerialNumber(): ArrayBuffer {
  const bytes = crypto.getRandomValues(new Uint8Array(SERIAL_BYTES));
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.buffer;
}

function nameOf(commonName: string): Name {
  const value = new AttributeValue({ utf8String: commonName });
  return new Name([
    new RelativeDistinguishedName([new AttributeTypeAndValue({ type: COMMON_NAME_OID, value })]),
  ]);
}

async function keyIdentifier(spki: SubjectPublicKeyInfo): Promise<SubjectKeyIdentifier> {
  const digest = await crypto.subtle.digest(HASH, spki.subjectPublicKey);
  return new SubjectKeyIdentifier(digest.slice(0, KEY_IDENTIFIER_BYTES));
}

function extension(extnID: string, critical: boolean, value: object): Extension {
  return new Extension({ extnID, critical, extnValue: new OctetString(AsnConvert.serialize(value)) });
}

function refuse(what: string): SignedPodsError {
  return new SignedPodsError("certificate-malformed", `Cannot make a certificate: ${what}`);
}
