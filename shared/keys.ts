/**
 * Reads the keys that verify signatures, from PEM files with certificates and bare public keys.
 *
 * @module
 */
import { AlgorithmIdentifier, SubjectPublicKeyInfo } from "@peculiar/asn1-x509";
import { ECParameters } from "@peculiar/asn1-ecc";
import {
  ALGORITHMS,
  curveByOid,
  EC_PUBLIC_KEY_OID,
  importParameters,
  type KeyAlgorithm,
  sha256Hex,
  SUPPORTED_KEYS,
} from "./algorithms.ts";
import { readCertificate } from "./certificate.ts";
import { readDer, writeDer } from "./der.ts";
import { type ErrorCode, SignedPodsError } from "./errors.ts";
import { type PemBlock, readPemBlocks } from "./pem.ts";

export type { KeyAlgorithm } from "./algorithms.ts";

/** A key that verifies signatures, and where it came from. */
export interface VerificationKey {
  /** Which signatures it verifies. */
  algorithm: KeyAlgorithm;
  /** The public key in WebCrypto. */
  key: CryptoKey;
  /** Lower-case hexadecimal SHA-256 of the DER of its SubjectPublicKeyInfo. */
  id: string;
  /** RSA only: the modulus, and so every signature, has this many bytes. */
  modulusBytes?: number;
  /** The certificate's subject; absent for a bare public key. */
  subject?: string;
  /** The certificate's first second of validity; absent for a bare public key. Judged where pods are. */
  notBefore?: Date;
  /** The certificate's last second of validity; absent for a bare public key. Judged where pods are. */
  notAfter?: Date;
  /** The namespaces whose pods it may sign for; absent if it may for all. Judged where pods are. */
  namespaces?: readonly string[];
  /** Where it was read, for messages: a file's name and the number of the block in it, from 1. */
  source: string;
}

/** A public key as it is imported. */
type PublicKey = Pick<VerificationKey, "algorithm" | "key" | "id" | "modulusBytes">;

/** ASN.1 NULL, the parameters of RSA keys (RFC 3279 section 2.3.1). */
export const NULL_DER: ArrayBuffer = new Uint8Array([0x05, 0x00]).buffer;

/**
 * Reads every verification key of a PEM text: `CERTIFICATE`, `PUBLIC KEY` (SubjectPublicKeyInfo) and
 * `RSA PUBLIC KEY` (PKCS#1) blocks. Everything in the file must be such a block or text outside blocks.
 *
 * @param pem the file's text
 * @param source the file's name, for messages and {@linkcode VerificationKey.source}
 * @returns at least one key, in the order of the file
 * @throws {SignedPodsError} `pem-malformed`, `key-malformed` (also for a private key), `key-unsupported`,
 * `certificate-malformed`; the message starts with the source
 */
export async function readVerificationKeys(pem: string, source: string): Promise<VerificationKey[]> {
  const blocks = inFile(source, () => readPemBlocks(pem));
  const keys: VerificationKey[] = [];
  for (const [index, block] of blocks.entries()) {
    const place = blocks.length === 1 ? source : `${source} block ${index + 1}`;
    try {
      keys.push({ ...await readBlock(block), source: place });
    } catch (error) {
      throw located(error, place);
    }
  }
  return keys;
}

async function readBlock({ label, bytes }: PemBlock): Promise<Omit<VerificationKey, "source">> {
  switch (label) {
    case "CERTIFICATE": {
      const { spki, subject, notBefore, notAfter } = readCertificate(bytes);
      return { ...await importPublicKey(spki), subject, notBefore, notAfter };
    }
    case "PUBLIC KEY":
      return await importPublicKey(bytes);
    case "RSA PUBLIC KEY": {
      const algorithm = new AlgorithmIdentifier({ algorithm: ALGORITHMS.rsa.oid, parameters: NULL_DER });
      return await importPublicKey(
        writeDer(new SubjectPublicKeyInfo({ algorithm, subjectPublicKey: bytes.buffer })),
      );
    }
    default:
      throw label.endsWith("PRIVATE KEY")
        ? keyError(
          "key-malformed",
          "this is a private key, keep it where pods are signed and give its certificate or public key here " +
            "(openssl pkey -in KEY.pem -pubout)",
        )
        : keyError("key-malformed", `a "${label}" block, expected CERTIFICATE or PUBLIC KEY`);
  }
}

/**
 * Imports a public key from the DER of its SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7).
 *
 * @throws {SignedPodsError} `key-malformed` or `key-unsupported`
 */
export async function importPublicKey(spki: Uint8Array<ArrayBuffer>): Promise<PublicKey> {
  const info = readDer(spki, SubjectPublicKeyInfo, "key-malformed", "public key");
  const algorithm = keyAlgorithm(info.algorithm);
  const modulusBytes = algorithm === "rsa"
    ? await checkRsaKey(new Uint8Array(info.subjectPublicKey))
    : undefined;
  let key: CryptoKey;
  let canonicalSpki: ArrayBuffer;
  try {
    key = await crypto.subtle.importKey("spki", spki, importParameters(algorithm), true, ["verify"]);
    // The export computes with the point, and so refuses one that is not on the curve; the import may not.
    canonicalSpki = await crypto.subtle.exportKey("spki", key);
  } catch (cause) {
    throw keyError("key-malformed", `not a valid ${ALGORITHMS[algorithm].title} public key`, { cause });
  }
  const id = await sha256Hex(new Uint8Array(canonicalSpki));
  return modulusBytes === undefined ? { algorithm, key, id } : { algorithm, key, id, modulusBytes };
}

/** Names of keys that are not supported, for messages (RFC 8410 section 3, RFC 4055 section 1.2). */
const OTHER_KEYS: ReadonlyMap<string, string> = new Map([
  ["1.3.101.112", "Ed25519"],
  ["1.3.101.113", "Ed448"],
  ["1.2.840.113549.1.1.10", "RSA for PSS alone"],
]);

/**
 * The algorithm that a key's AlgorithmIdentifier names, for public and private keys alike.
 *
 * @throws {SignedPodsError} `key-unsupported`
 */
export function keyAlgorithm({ algorithm, parameters }: AlgorithmIdentifier): KeyAlgorithm {
  if (algorithm === ALGORITHMS.rsa.oid) return "rsa";
  if (algorithm !== EC_PUBLIC_KEY_OID) {
    const name = OTHER_KEYS.get(algorithm);
    const type = name === undefined ? algorithm : `${name} (${algorithm})`;
    throw keyError("key-unsupported", `a key of type ${type}, use one of: ${SUPPORTED_KEYS}`);
  }
  return keyCurve(
    readDer(new Uint8Array(parameters ?? NULL_DER), ECParameters, "key-malformed", "name of a curve"),
  );
}

/**
 * The algorithm that an elliptic curve's parameters name.
 *
 * @throws {SignedPodsError} `key-unsupported`
 */
export function keyCurve(parameters: ECParameters): KeyAlgorithm {
  const { namedCurve } = parameters;
  const algorithm = namedCurve === undefined ? undefined : curveByOid(namedCurve);
  if (algorithm !== undefined) return algorithm;
  const curve = namedCurve === undefined ? "a curve that is not named" : `the curve ${namedCurve}`;
  throw keyError("key-unsupported", `a key on ${curve}, use one of: ${SUPPORTED_KEYS}`);
}

/** Checks size and exponent of an RSA key (PKCS#1 DER), and returns the length of its modulus in bytes. */
async function checkRsaKey(der: Uint8Array): Promise<number> {
  // Loaded for RSA keys alone: a node without one starts faster.
  const { RSAPublicKey } = await import("@peculiar/asn1-rsa");
  const { modulus, publicExponent } = readDer(der, RSAPublicKey, "key-malformed", "RSA public key");
  const facts = ALGORITHMS.rsa;
  const n = unsigned(modulus);
  const bits = n.toString(2).length;
  if (bits < facts.minModulusBits || bits > facts.maxModulusBits) {
    const range = `${facts.minModulusBits} to ${facts.maxModulusBits}`;
    throw keyError("key-unsupported", `an RSA key of ${bits} bits, use one of ${range} bits`);
  }
  const e = unsigned(publicExponent);
  if (e < facts.minPublicExponent || e > facts.maxPublicExponent || e % 2n === 0n || n % 2n === 0n) {
    throw keyError("key-unsupported", "an RSA key with an unusual modulus or public exponent, use 65537");
  }
  return Math.ceil(bits / 8);
}

/** The number that big-endian bytes spell, taken as unsigned. */
function unsigned(bytes: ArrayBuffer): bigint {
  return BigInt(`0x0${new Uint8Array(bytes).toHex()}`);
}

function keyError(code: ErrorCode, what: string, options?: ErrorOptions): SignedPodsError {
  return new SignedPodsError(code, `Key refused: ${what}`, undefined, options);
}

function inFile<T>(source: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw located(error, source);
  }
}

/** The same error with the place in front of its message; anything unexpected as it is. */
function located(error: unknown, place: string): unknown {
  if (!(error instanceof SignedPodsError)) return error;
  return new SignedPodsError(error.code, `${place}: ${error.message}`, undefined, { cause: error });
}
