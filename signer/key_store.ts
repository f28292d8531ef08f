/**
 * The key that the signing server signs with, and its certificate. Both live in memory only: whoever restarts the
 * server gets a new trust anchor.
 *
 * @module
 */
import { fingerprint } from "@signed-pods/shared/certificate";
import { readPemBlocks } from "@signed-pods/shared/pem";
import { createSelfSignedCertificate } from "@signed-pods/shared/self-signed";
import { generateSigningKey, sign, type SigningKeyType } from "@signed-pods/shared/signing";

/** The certificate is a trust anchor that is put on nodes by hand, so it lives as long as they may. */
export const CERTIFICATE_LIFETIME_YEARS = 10;

/** The certificate holds from a little before it was made, for nodes whose clock is behind the server's. */
export const CLOCK_SKEW_MS: number = 5 * 60 * 1000;

/** A signing key with its certificate. */
export interface KeyStore {
  readonly keyType: SigningKeyType;
  readonly createdAt: Date;
  /** Self-signed, PEM (RFC 7468). */
  readonly certificatePem: string;
  /** SHA-256 of the certificate's DER, in capitals with colons as `openssl x509 -fingerprint -sha256` prints it. */
  readonly fingerprint: string;
  readonly notAfter: Date;
  /** Signs the SHA-256 of the bytes: ECDSA as ASN.1 DER, RSA as PKCS#1 v1.5. */
  sign(bytes: Uint8Array): Promise<Uint8Array>;
}

/**
 * Makes a key pair and its self-signed certificate.
 *
 * @param keyType the kind of key
 * @param now when this happens
 */
export async function createKeyStore(keyType: SigningKeyType, now: Date): Promise<KeyStore> {
  const key = await generateSigningKey(keyType);
  const notBefore = new Date(now.getTime() - CLOCK_SKEW_MS);
  const notAfter = new Date(now);
  notAfter.setUTCFullYear(notAfter.getUTCFullYear() + CERTIFICATE_LIFETIME_YEARS);
  const certificatePem = await createSelfSignedCertificate({
    key,
    commonName: "signing-server",
    notBefore,
    notAfter,
  });
  const [block] = readPemBlocks(certificatePem);
  if (block === undefined) throw new Error("the certificate that was just made has no PEM block");
  return {
    keyType,
    createdAt: now,
    certificatePem,
    fingerprint: await fingerprint(block.bytes),
    notAfter,
    sign: (bytes) => sign(key, bytes),
  };
}
