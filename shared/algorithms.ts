/**
 * Every fact about the signature algorithms, in one table. All sign the SHA-256 digest of the data.
 *
 * @module
 */

/** The keys that are supported. */
export type KeyAlgorithm = "ec-p256" | "ec-p384" | "ec-p521" | "rsa";

/** ECDSA over one of NIST's curves (FIPS 186-5). */
export interface EcFacts {
  kind: "ec";
  /** What people call it. */
  title: string;
  /** The curve's name in WebCrypto. */
  namedCurve: "P-256" | "P-384" | "P-521";
  /** The curve's object identifier (RFC 5480 section 2.1.1.1). */
  oid: string;
  /** The object identifier of its signatures over SHA-256 in certificates (RFC 5758 section 3.2). */
  signatureOid: string;
  /** Length of r, of s and of the private key, in bytes. */
  scalarBytes: number;
  /** The order of the base point (SP 800-186 section 3.2.1): r and s are in [1, order - 1]. */
  order: bigint;
}

/** RSASSA-PKCS1-v1_5 (RFC 8017 section 8.2). */
export interface RsaFacts {
  kind: "rsa";
  /** What people call it. */
  title: string;
  /** The object identifier of RSA keys (RFC 8017 appendix A.1). */
  oid: string;
  /** The object identifier of its signatures over SHA-256 in certificates (RFC 8017 appendix A.2.4). */
  signatureOid: string;
  /** The smallest modulus, in bits (SP 800-131A). */
  minModulusBits: number;
  /** The largest modulus, in bits: the largest that Deno's WebCrypto reads. */
  maxModulusBits: number;
  /** The public exponent is odd and in this range (FIPS 186-5 section A.1.1; above, verification gets slow). */
  minPublicExponent: bigint;
  maxPublicExponent: bigint;
}

/** The algorithms by name. */
export const ALGORITHMS: {
  readonly "ec-p256": Readonly<EcFacts>;
  readonly "ec-p384": Readonly<EcFacts>;
  readonly "ec-p521": Readonly<EcFacts>;
  readonly "rsa": Readonly<RsaFacts>;
} = {
  "ec-p256": {
    kind: "ec",
    title: "ECDSA P-256",
    namedCurve: "P-256",
    oid: "1.2.840.10045.3.1.7",
    signatureOid: "1.2.840.10045.4.3.2",
    scalarBytes: 32,
    order: 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
  },
  "ec-p384": {
    kind: "ec",
    title: "ECDSA P-384",
    namedCurve: "P-384",
    oid: "1.3.132.0.34",
    signatureOid: "1.2.840.10045.4.3.2",
    scalarBytes: 48,
    order:
      0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973n,
  },
  "ec-p521": {
    kind: "ec",
    title: "ECDSA P-521",
    namedCurve: "P-521",
    oid: "1.3.132.0.35",
    signatureOid: "1.2.840.10045.4.3.2",
    scalarBytes: 66,
    order: (1n << 521n) - 0x5ae79787c40d069948033feb708f65a2fc44a36477663b851449048e16ec79bf7n,
  },
  "rsa": {
    kind: "rsa",
    title: "RSA PKCS#1 v1.5",
    oid: "1.2.840.113549.1.1.1",
    signatureOid: "1.2.840.113549.1.1.11",
    minModulusBits: 2048,
    maxModulusBits: 4096,
    minPublicExponent: 65537n,
    maxPublicExponent: (1n << 32n) - 1n,
  },
};

/** The object identifier of elliptic curve keys (RFC 5480 section 2.1.1). */
export const EC_PUBLIC_KEY_OID = "1.2.840.10045.2.1";

/** The digest of every signature. */
export const HASH = "SHA-256";

/** All algorithms, for messages. */
export const SUPPORTED_KEYS = `EC P-256, P-384, P-521 and RSA of ${ALGORITHMS.rsa.minModulusBits} to ` +
  `${ALGORITHMS.rsa.maxModulusBits} bits`;

/** The algorithm of an elliptic curve's object identifier, if it is supported. */
export function curveByOid(oid: string): "ec-p256" | "ec-p384" | "ec-p521" | undefined {
  for (const name of ["ec-p256", "ec-p384", "ec-p521"] as const) {
    if (ALGORITHMS[name].oid === oid) return name;
  }
  return undefined;
}

/** The parameters with which WebCrypto signs and verifies. */
export function signatureParameters(algorithm: KeyAlgorithm): EcdsaParams | Algorithm {
  return ALGORITHMS[algorithm].kind === "ec" ? { name: "ECDSA", hash: HASH } : { name: "RSASSA-PKCS1-v1_5" };
}

/** The parameters with which WebCrypto imports a key. */
export function importParameters(algorithm: KeyAlgorithm): EcKeyImportParams | RsaHashedImportParams {
  const facts = ALGORITHMS[algorithm];
  return facts.kind === "ec"
    ? { name: "ECDSA", namedCurve: facts.namedCurve }
    : { name: "RSASSA-PKCS1-v1_5", hash: HASH };
}

/** SHA-256 of bytes as lower-case hexadecimal. */
export async function sha256Hex(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest(HASH, bytes)).toHex();
}
