/**
 * A certificate with its private key, checked before TLS gets them: Deno ends the process when a key and a
 * certificate do not belong together, and a server with such a pair fails at its first handshake only.
 *
 * @module
 */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { AsnConvert } from "@peculiar/asn1-schema";
import { Certificate, Version } from "@peculiar/asn1-x509";
import { readPemBlocks, writePem } from "@signed-pods/shared/pem";

/** PEM texts of a certificate chain and its key, and nothing else. */
export interface TlsIdentity {
  /** The own certificate first. */
  certificate: string;
  key: string;
  /** DER of the own certificate. */
  der: Uint8Array<ArrayBuffer>;
}

/** Labels of private keys: PKCS#8 (RFC 5958), SEC 1 (RFC 5915), PKCS#1 (RFC 8017). */
const KEY_LABELS: ReadonlySet<string> = new Set(["PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY"]);

/** Curves that TLS in Deno can sign with, by their names in OpenSSL. */
const CURVES: ReadonlySet<string> = new Set(["prime256v1", "secp384r1", "secp521r1"]);

/** Least size of an RSA key, in bits; TLS in Deno refuses smaller ones. */
const MIN_RSA_BITS = 2048;

/**
 * Reads a certificate chain and its key. Both may stand in the same file, as in a kubelet's
 * `kubelet-client-current.pem`.
 *
 * @param certificateText PEM with at least one certificate
 * @param keyText PEM with one private key
 * @throws {Error} with what is wrong and what to do
 */
export function readTlsIdentity(certificateText: string, keyText: string): TlsIdentity {
  const certificates = readPemBlocks(certificateText).filter(({ label }) => label === "CERTIFICATE");
  const [own] = certificates;
  if (own === undefined) {
    throw new Error("holds no CERTIFICATE block");
  }
  const keys = readPemBlocks(keyText).filter(({ label }) => label.endsWith("PRIVATE KEY"));
  const [block] = keys;
  if (block === undefined) {
    throw new Error("holds no private key");
  }
  if (!KEY_LABELS.has(block.label) || block.headers.length > 0) {
    throw new Error("holds an encrypted private key, which cannot be used here; decrypt it");
  }
  if (keys.length > 1) {
    throw new Error(`holds ${keys.length} private keys; leave one`);
  }
  for (const { bytes } of certificates) {
    checkVersion(bytes);
  }
  const key = writePem(block.label, block.bytes);
  const keyObject = readKey(key);
  let matches: boolean;
  try {
    matches = new X509Certificate(writePem(own.label, own.bytes)).checkPrivateKey(keyObject);
  } catch (cause) {
    throw new Error("holds a certificate that cannot be read", { cause });
  }
  if (!matches) {
    throw new Error("the private key does not belong to the certificate");
  }
  return {
    certificate: certificates.map(({ label, bytes }) => writePem(label, bytes)).join(""),
    key,
    der: own.bytes,
  };
}

/**
 * Reads certificates that others are checked against.
 *
 * @returns one PEM text per certificate
 * @throws {Error} with what is wrong and what to do
 */
export function readCertificateAuthorities(text: string): string[] {
  const blocks = readPemBlocks(text).filter(({ label }) => label === "CERTIFICATE");
  if (blocks.length === 0) {
    throw new Error("holds no CERTIFICATE block");
  }
  return blocks.map(({ label, bytes }) => {
    parseCertificate(bytes);
    return writePem(label, bytes);
  });
}

function checkVersion(der: Uint8Array): void {
  if (parseCertificate(der).tbsCertificate.version !== Version.v3) {
    throw new Error("holds a certificate that is not X.509 version 3; issue one with extensions");
  }
}

function parseCertificate(der: Uint8Array): Certificate {
  try {
    return AsnConvert.parse(der, Certificate);
  } catch (cause) {
    throw new Error("holds a certificate that cannot be read", { cause });
  }
}

function readKey(pem: string): KeyObject {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch (cause) {
    throw new Error("holds a private key that cannot be read", { cause });
  }
  const { modulusLength, namedCurve } = key.asymmetricKeyDetails ?? {};
  const usable = key.asymmetricKeyType === "rsa"
    ? (modulusLength ?? 0) >= MIN_RSA_BITS
    : key.asymmetricKeyType === "ec"
    ? CURVES.has(namedCurve ?? "")
    : key.asymmetricKeyType === "ed25519";
  if (!usable) {
    throw new Error(
      "holds a private key of a kind that TLS cannot use; use P-256, P-384, P-521, Ed25519 or RSA of 2048 bits or more",
    );
  }
  return key;
}
