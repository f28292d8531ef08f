/**
 * Makes, reads and uses private keys. Only who signs imports this module; the node's proxy never does.
 *
 * @module
 */
import { ECParameters, ECPrivateKey } from "@peculiar/asn1-ecc";
import { PrivateKeyInfo } from "@peculiar/asn1-pkcs8";
import { RSAPrivateKey } from "@peculiar/asn1-rsa";
import { OctetString } from "@peculiar/asn1-schema";
import { AlgorithmIdentifier } from "@peculiar/asn1-x509";
import {
  ALGORITHMS,
  EC_PUBLIC_KEY_OID,
  HASH,
  importParameters,
  type KeyAlgorithm,
  sha256Hex,
  signatureParameters,
} from "./algorithms.ts";
import { readDer, writeDer } from "./der.ts";
import { type ErrorCode, SignedPodsError } from "./errors.ts";
import { importPublicKey, keyAlgorithm, keyCurve, NULL_DER } from "./keys.ts";
import { type PemBlock, readPemBlocks, writePem } from "./pem.ts";
import { rawToDer } from "./signature.ts";

/** The keys that can be made. */
export type SigningKeyType = "ec-p256" | "ec-p384" | "ec-p521" | "rsa-3072";

/** All {@linkcode SigningKeyType}s, the default first. */
export const SIGNING_KEY_TYPES: readonly SigningKeyType[] = ["ec-p256", "ec-p384", "ec-p521", "rsa-3072"];

/** A key pair that signs. */
export interface SigningKey {
  /** Which signatures it makes. */
  algorithm: KeyAlgorithm;
  /** The private key in WebCrypto, which does not give it out. */
  privateKey: CryptoKey;
  /** The public key in WebCrypto. */
  publicKey: CryptoKey;
  /** Lower-case hexadecimal SHA-256 of the DER of the public key's SubjectPublicKeyInfo. */
  id: string;
}

/** The only public exponent that is used for new RSA keys: 65537, big-endian. */
const RSA_PUBLIC_EXPONENT = new Uint8Array([1, 0, 1]);

/** What a key that was read signs once. */
const TRIAL = new TextEncoder().encode("trial");

/** Blocks beside the private key that are admitted and not read: `openssl ecparam` writes the first. */
const IGNORED_LABELS: ReadonlySet<string> = new Set(["EC PARAMETERS", "CERTIFICATE"]);

/** What turns any key that OpenSSL reads into one that is read here. */
const DECRYPT_COMMAND = "openssl pkey -in KEY.pem -out DECRYPTED.pem";

const GENERATE_COMMAND = "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out KEY.pem";

/** Makes a key pair. */
export async function generateSigningKey(type: SigningKeyType): Promise<SigningKey> {
  const { privateKey, publicKey } = await generatePair(type, false);
  const id = await sha256Hex(new Uint8Array(await crypto.subtle.exportKey("spki", publicKey)));
  return { algorithm: type === "rsa-3072" ? "rsa" : type, privateKey, publicKey, id };
}

/**
 * Makes a private key for a file.
 *
 * @returns one `PRIVATE KEY` block (PKCS#8, RFC 5958), which {@linkcode readSigningKey} reads
 *
 * @example
 * ```ts
 * import { generateSigningKeyPem, readSigningKey } from "@signed-pods/shared/signing";
 * const { algorithm } = await readSigningKey(await generateSigningKeyPem("ec-p256"));
 * if (algorithm !== "ec-p256") throw new Error("not so");
 * ```
 */
export async function generateSigningKeyPem(type: SigningKeyType): Promise<string> {
  const { privateKey } = await generatePair(type, true);
  return writePem("PRIVATE KEY", new Uint8Array(await crypto.subtle.exportKey("pkcs8", privateKey)));
}

async function generatePair(type: SigningKeyType, extractable: boolean): Promise<CryptoKeyPair> {
  const parameters = type === "rsa-3072"
    ? { name: "RSASSA-PKCS1-v1_5", hash: HASH, modulusLength: 3072, publicExponent: RSA_PUBLIC_EXPONENT }
    : { ...importParameters(type) };
  const pair = await crypto.subtle.generateKey(parameters, extractable, ["sign", "verify"]);
  if (!("privateKey" in pair)) throw new TypeError(`WebCrypto made no key pair for "${type}"`);
  return pair;
}

/**
 * Reads a private key: one `PRIVATE KEY` (PKCS#8, RFC 5958), `EC PRIVATE KEY` (SEC1, RFC 5915) or
 * `RSA PRIVATE KEY` (PKCS#1, RFC 8017) block. Certificates and EC parameters beside it are skipped.
 *
 * @throws {SignedPodsError} `pem-malformed`, `key-malformed`, or `key-unsupported` (also if it is encrypted)
 */
export async function readSigningKey(pem: string): Promise<SigningKey> {
  const blocks = readPemBlocks(pem).filter(({ label }) => !IGNORED_LABELS.has(label));
  const [block] = blocks;
  if (block === undefined || blocks.length > 1) {
    throw keyError("key-malformed", `expected one private key in the file, found ${blocks.length}`);
  }
  const pkcs8 = readBlock(block);
  const info = readDer(pkcs8, PrivateKeyInfo, "key-malformed", "private key");
  const algorithm = keyAlgorithm(info.privateKeyAlgorithm);
  const parameters = importParameters(algorithm);
  let privateKey: CryptoKey;
  let spki: Uint8Array<ArrayBuffer>;
  try {
    // Extractable for a moment: the public half, which the file may lack, is computed by the export.
    const extractable = await crypto.subtle.importKey("pkcs8", pkcs8, parameters, true, ["sign"]);
    const { kty, crv, x, y, n, e } = await crypto.subtle.exportKey("jwk", extractable);
    const publicJwk = algorithm === "rsa" ? { kty, n, e } : { kty, crv, x, y };
    const publicKey = await crypto.subtle.importKey("jwk", definedOnly(publicJwk), parameters, true, [
      "verify",
    ]);
    spki = new Uint8Array(await crypto.subtle.exportKey("spki", publicKey));
    privateKey = await crypto.subtle.importKey("pkcs8", pkcs8, parameters, false, ["sign"]);
  } catch (cause) {
    throw keyError("key-malformed", `not a valid ${ALGORITHMS[algorithm].title} private key`, { cause });
  }
  const { key: publicKey, id } = await importPublicKey(spki);
  await checkPair(algorithm, privateKey, publicKey);
  return { algorithm, privateKey, publicKey, id };
}

/**
 * Signs the SHA-256 of `data`.
 *
 * @returns ECDSA: ASN.1 DER; RSA: PKCS#1 v1.5, as long as the modulus
 *
 * @example
 * ```ts
 * import { readVerificationKeys } from "@signed-pods/shared/keys";
 * import { createSelfSignedCertificate } from "@signed-pods/shared/self-signed";
 * import { verifySignature } from "@signed-pods/shared/signature";
 * import { generateSigningKey, sign } from "@signed-pods/shared/signing";
 *
 * const key = await generateSigningKey("ec-p256");
 * const notBefore = new Date("2026-01-01T00:00:00Z");
 * const notAfter = new Date("2036-01-01T00:00:00Z");
 * const certificate = await createSelfSignedCertificate({ key, commonName: "owner", notBefore, notAfter });
 *
 * const data = new TextEncoder().encode("what is signed");
 * const [trusted] = await readVerificationKeys(certificate, "owner.pem");
 * if (!trusted || !await verifySignature(trusted, await sign(key, data), data)) throw new Error("not so");
 * ```
 */
export async function sign(key: SigningKey, data: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  const raw = await crypto.subtle.sign(
    signatureParameters(key.algorithm),
    key.privateKey,
    new Uint8Array(data),
  );
  const signature = new Uint8Array(raw);
  return key.algorithm === "rsa" ? signature : rawToDer(signature, key.algorithm);
}

/** The PKCS#8 DER of a block, wrapping the older forms. */
function readBlock({ label, bytes, headers }: PemBlock): Uint8Array<ArrayBuffer> {
  if (label === "ENCRYPTED PRIVATE KEY" || headers.some((line) => line.includes("ENCRYPTED"))) {
    throw keyError("key-unsupported", `it is encrypted, decrypt it with: ${DECRYPT_COMMAND}`);
  }
  switch (label) {
    case "PRIVATE KEY":
      return bytes;
    case "EC PRIVATE KEY": {
      const { parameters } = readDer(bytes, ECPrivateKey, "key-malformed", "SEC1 private key");
      if (parameters === undefined) {
        throw keyError("key-unsupported", `it does not name its curve, convert it with: ${DECRYPT_COMMAND}`);
      }
      const { oid } = ALGORITHMS[keyCurve(parameters)];
      return wrap(EC_PUBLIC_KEY_OID, writeDer(new ECParameters({ namedCurve: oid })).buffer, bytes);
    }
    case "RSA PRIVATE KEY":
      readDer(bytes, RSAPrivateKey, "key-malformed", "PKCS#1 private key");
      return wrap(ALGORITHMS.rsa.oid, NULL_DER, bytes);
    default:
      throw keyError(
        "key-malformed",
        `a "${label}" block, expected PRIVATE KEY; make a key with: ${GENERATE_COMMAND}`,
      );
  }
}

function wrap(oid: string, parameters: ArrayBuffer, key: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return writeDer(
    new PrivateKeyInfo({
      privateKeyAlgorithm: new AlgorithmIdentifier({ algorithm: oid, parameters }),
      privateKey: new OctetString(key),
    }),
  );
}

/**
 * Signs once and verifies: the numbers of a file may not belong together, which some keys show only when used.
 * Their signatures would verify nowhere.
 */
async function checkPair(
  algorithm: KeyAlgorithm,
  privateKey: CryptoKey,
  publicKey: CryptoKey,
): Promise<void> {
  const parameters = signatureParameters(algorithm);
  let cause: unknown;
  try {
    const signature = await crypto.subtle.sign(parameters, privateKey, TRIAL);
    if (await crypto.subtle.verify(parameters, publicKey, signature, TRIAL)) return;
  } catch (error) {
    cause = error;
  }
  throw keyError("key-malformed", "its numbers do not belong together, make it again", { cause });
}

/** Drops members that are undefined, which the type of a JWK does not admit. */
function definedOnly(jwk: Record<string, string | undefined>): JsonWebKey {
  return Object.fromEntries(Object.entries(jwk).filter(([, value]) => value !== undefined));
}

function keyError(code: ErrorCode, what: string, options?: ErrorOptions): SignedPodsError {
  return new SignedPodsError(code, `Private key refused: ${what}`, undefined, options);
}
