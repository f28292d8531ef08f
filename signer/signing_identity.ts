/**
 * A signing key with its certificate: made in memory, or as the text of a file and read from it.
 *
 * @module
 */
import { fingerprint, readCertificate } from "@signed-pods/shared/certificate";
import { readVerificationKeys } from "@signed-pods/shared/keys";
import { type PemBlock, readPemBlocks, writePem } from "@signed-pods/shared/pem";
import { createSelfSignedCertificate } from "@signed-pods/shared/self-signed";
import {
  generateSigningKey,
  generateSigningKeyPem,
  readSigningKey,
  sign,
  type SigningKey,
  type SigningKeyType,
} from "@signed-pods/shared/signing";
import { KeyFolderError } from "./key_folder_error.ts";

/**
 * A certificate holds this long unless the operator says otherwise: ten years. It is a trust anchor that is put on nodes
 * by hand, and pods whose signature it verifies are refused from the day it ends.
 */
export const CERTIFICATE_LIFETIME_DAYS = 3650;

/** The longest lifetime: a hundred years, so that every date can stand in a certificate. */
export const MAX_CERTIFICATE_LIFETIME_DAYS = 36_500;

/** The certificate holds from a little before it was made, for nodes whose clock is behind the server's. */
export const CLOCK_SKEW_MS: number = 5 * 60 * 1000;

/** Milliseconds of a day. */
export const DAY_MS: number = 24 * 60 * 60 * 1000;

const COMMON_NAME = "signing-server";

/** What the server says of a certificate. */
export interface Certificate {
  /** PEM (RFC 7468). */
  readonly pem: string;
  /** SHA-256 of the certificate's DER, in capitals with colons as `openssl x509 -fingerprint -sha256` prints it. */
  readonly fingerprint: string;
  /** Lower-case hexadecimal SHA-256 of the public key's SubjectPublicKeyInfo, as the proxy logs it. */
  readonly keyId: string;
  /** Lower-case hexadecimal. */
  readonly serialNumber: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/** A key that signs, with its certificate. */
export interface SigningIdentity extends Certificate {
  /** For example `ec-p256` or `rsa-3072`. */
  readonly keyType: string;
  /** Signs the SHA-256 of the bytes: ECDSA as ASN.1 DER, RSA as PKCS#1 v1.5. */
  sign(bytes: Uint8Array): Promise<Uint8Array>;
}

/** What a new key is to be. */
export interface NewKey {
  keyType: SigningKeyType;
  certificateLifetimeDays: number;
  /** When it is made. */
  now: Date;
}

/** Makes a key that never leaves this process, with its certificate. */
export async function createIdentity(options: NewKey): Promise<SigningIdentity> {
  const key = await generateSigningKey(options.keyType);
  return identityOf(key, await readCertificatePem(await certify(key, options)));
}

/** Makes the text of a key file: a private key (PKCS#8) and its certificate. */
export async function createKeyFile(options: NewKey): Promise<string> {
  const pem = await generateSigningKeyPem(options.keyType);
  return pem + await certify(await readSigningKey(pem), options);
}

/**
 * Reads the text of a key file: one private key and one certificate, in any order.
 *
 * @throws {KeyFolderError} `key-mismatch` if they do not belong together, `key-malformed` if there are more or fewer
 * @throws {SignedPodsError} if either cannot be read
 */
export async function readKeyFile(text: string): Promise<SigningIdentity> {
  const blocks = readPemBlocks(text);
  const [certificateBlock, ...others] = blocks.filter(({ label }) => label === "CERTIFICATE");
  if (certificateBlock === undefined || others.length > 0 || blocks.length !== 2) {
    throw new KeyFolderError("key-malformed", "must hold one private key and its certificate, nothing else");
  }
  const key = await readSigningKey(text);
  const certificate = await readCertificateBlock(certificateBlock);
  if (certificate.keyId !== key.id) {
    throw new KeyFolderError("key-mismatch", "holds a certificate that belongs to another key");
  }
  return identityOf(key, certificate);
}

/**
 * Reads the certificates of a text; a blank one has none.
 *
 * @throws {SignedPodsError} if there is something else
 */
export async function readCertificates(text: string): Promise<Certificate[]> {
  if (text.trim() === "") return [];
  return await Promise.all(readPemBlocks(text).map(readCertificateBlock));
}

async function readCertificatePem(pem: string): Promise<Certificate> {
  const [certificate] = await readCertificates(pem);
  if (certificate === undefined) throw new Error("the certificate that was just made has no PEM block");
  return certificate;
}

async function readCertificateBlock({ label, bytes }: PemBlock): Promise<Certificate> {
  const pem = writePem(label, bytes);
  const [key] = await readVerificationKeys(pem, "certificate");
  if (label !== "CERTIFICATE" || key === undefined) {
    throw new KeyFolderError("key-malformed", `holds a "${label}" block, expected CERTIFICATE`);
  }
  const { notBefore, notAfter, serialNumber } = readCertificate(bytes);
  return { pem, fingerprint: await fingerprint(bytes), keyId: key.id, serialNumber, notBefore, notAfter };
}

async function certify(key: SigningKey, { now, certificateLifetimeDays }: NewKey): Promise<string> {
  return await createSelfSignedCertificate({
    key,
    commonName: COMMON_NAME,
    notBefore: new Date(now.getTime() - CLOCK_SKEW_MS),
    notAfter: new Date(now.getTime() + certificateLifetimeDays * DAY_MS),
  });
}

function identityOf(key: SigningKey, certificate: Certificate): SigningIdentity {
  const { algorithm } = key.publicKey;
  const keyType = "modulusLength" in algorithm ? `rsa-${algorithm.modulusLength}` : key.algorithm;
  return { ...certificate, keyType, sign: (bytes) => sign(key, bytes) };
}
