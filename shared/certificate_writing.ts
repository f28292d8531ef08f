/**
 * Writes X.509 version 3 certificates (RFC 5280). Whose key signs them, and with what code, is the caller's matter: nothing
 * here makes a key or a signature.
 *
 * @module
 */
import { AsnConvert, OctetString } from "@peculiar/asn1-schema";
import {
  AlgorithmIdentifier,
  AttributeTypeAndValue,
  AttributeValue,
  Certificate,
  Extension,
  Extensions,
  Name,
  RelativeDistinguishedName,
  SubjectPublicKeyInfo,
  TBSCertificate,
  Validity,
  Version,
} from "@peculiar/asn1-x509";
import { ALGORITHMS, HASH, type KeyAlgorithm } from "./algorithms.ts";
import { readDer, writeDer } from "./der.ts";
import { SignedPodsError } from "./errors.ts";
import { writePem } from "./pem.ts";

/** Whom a certificate is about. No part may be empty, or longer than the bound. */
export interface CertificateName {
  commonName: string;
  organization?: string;
}

/** One extension (RFC 5280 section 4.2). */
export interface CertificateExtension {
  /** Its object identifier. */
  id: string;
  critical: boolean;
  /** An object whose class is a schema. */
  value: object;
}

/** What a certificate says. */
export interface CertificateContent {
  subject: CertificateName;
  issuer: CertificateName;
  /** DER of the subject's SubjectPublicKeyInfo. */
  spki: Uint8Array;
  /** First second of validity; parts of a second are dropped. */
  notBefore: Date;
  /** Last second of validity; parts of a second are dropped. */
  notAfter: Date;
  extensions: readonly CertificateExtension[];
  /** Most characters of a name's part. Default: the 64 of RFC 5280. */
  maxNameLength?: number;
}

/** Who signs. */
export interface CertificateSigner {
  algorithm: KeyAlgorithm;
  /** Signs the SHA-256 of the bytes: ECDSA as ASN.1 DER, RSA as PKCS#1 v1.5. */
  sign(bytes: Uint8Array): Promise<Uint8Array<ArrayBuffer>>;
}

/** The longest serial number that RFC 5280 section 4.1.2.2 admits. */
const SERIAL_BYTES = 20;

/** The longest common name and organization (RFC 5280 appendix A.1, ub-common-name and ub-organization-name). */
const MAX_NAME_LENGTH = 64;

/** Length of a key identifier made of a SHA-256 digest (RFC 7093 section 2, method 1). */
const KEY_IDENTIFIER_BYTES = 20;

/** The years that a certificate can express (RFC 5280 section 4.1.2.5 and the two-digit years of UTCTime). */
const FIRST_YEAR = 1950;
const LAST_YEAR = 9999;

const ORGANIZATION_OID = "2.5.4.10";
const COMMON_NAME_OID = "2.5.4.3";

/**
 * Writes a certificate with a random serial number.
 *
 * @returns one PEM block
 * @throws {SignedPodsError} `certificate-malformed` if the names or the dates cannot stand in a certificate
 */
export async function writeCertificate(
  content: CertificateContent,
  signer: CertificateSigner,
): Promise<string> {
  const notBefore = wholeSeconds(content.notBefore);
  const notAfter = wholeSeconds(content.notAfter);
  if (notBefore >= notAfter) throw refuse("notAfter must be later than notBefore");
  const signatureAlgorithm = signatureAlgorithmOf(signer.algorithm);
  const tbsCertificate = new TBSCertificate({
    version: Version.v3,
    serialNumber: randomSerialNumber(),
    signature: signatureAlgorithm,
    issuer: nameOf(content.issuer, content.maxNameLength),
    validity: new Validity({ notBefore, notAfter }),
    subject: nameOf(content.subject, content.maxNameLength),
    subjectPublicKeyInfo: readSpki(content.spki),
    extensions: new Extensions(content.extensions.map(extensionOf)),
  });
  const signature = await signer.sign(writeDer(tbsCertificate));
  const certificate = new Certificate({
    tbsCertificate,
    signatureAlgorithm,
    signatureValue: signature.buffer,
  });
  return writePem("CERTIFICATE", writeDer(certificate));
}

/** How signatures of a key are named: RSA has NULL parameters (RFC 8017 appendix A.2.4), ECDSA none (RFC 5758 section 3.2). */
export function signatureAlgorithmOf(algorithm: KeyAlgorithm): AlgorithmIdentifier {
  const { kind, signatureOid } = ALGORITHMS[algorithm];
  return new AlgorithmIdentifier({
    algorithm: signatureOid,
    ...(kind === "rsa" ? { parameters: null } : {}),
  });
}

/**
 * A name as certificates and requests for them have it: the organization first, as Kubernetes writes those of nodes.
 *
 * @throws {SignedPodsError} `certificate-malformed` if a part is empty or too long
 */
export function nameOf({ commonName, organization }: CertificateName, maxLength = MAX_NAME_LENGTH): Name {
  const parts = [
    ...(organization === undefined ? [] : [part(ORGANIZATION_OID, organization, "organization", maxLength)]),
    part(COMMON_NAME_OID, commonName, "common name", maxLength),
  ];
  return new Name(parts);
}

/** The bytes by which certificates refer to a key. */
export async function keyIdentifierOf(spki: Uint8Array): Promise<ArrayBuffer> {
  const digest = await crypto.subtle.digest(HASH, readSpki(spki).subjectPublicKey);
  return digest.slice(0, KEY_IDENTIFIER_BYTES);
}

function readSpki(spki: Uint8Array): SubjectPublicKeyInfo {
  return readDer(spki, SubjectPublicKeyInfo, "key-malformed", "public key");
}

function part(type: string, text: string, what: string, maxLength: number): RelativeDistinguishedName {
  if (text.length === 0 || text.length > maxLength || !text.isWellFormed()) {
    throw refuse(`the ${what} must have 1 to ${maxLength} characters`);
  }
  const value = new AttributeValue({ utf8String: text });
  return new RelativeDistinguishedName([new AttributeTypeAndValue({ type, value })]);
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

function extensionOf({ id, critical, value }: CertificateExtension): Extension {
  return new Extension({ extnID: id, critical, extnValue: new OctetString(AsnConvert.serialize(value)) });
}

function refuse(what: string): SignedPodsError {
  return new SignedPodsError("certificate-malformed", `Cannot make a certificate: ${what}`);
}
