/**
 * Verifies signatures. ECDSA signatures travel as ASN.1 DER (RFC 3279 section 2.2.3), the form that OpenSSL and
 * Kubernetes' world write; WebCrypto wants the two numbers side by side (IEEE P1363). In between stands a reader
 * that admits one spelling per signature.
 *
 * @module
 */
import { ALGORITHMS, type EcFacts, type KeyAlgorithm, signatureParameters } from "./algorithms.ts";
import { SignedPodsError } from "./errors.ts";
import type { VerificationKey } from "./keys.ts";

const SEQUENCE_TAG = 0x30;
const INTEGER_TAG = 0x02;
/** From this value on, a length byte says how many length bytes follow it. */
const LONG_FORM = 0x80;

/**
 * Whether `key` made `signature` over the SHA-256 of `data`.
 *
 * @param signature ECDSA: ASN.1 DER; RSA: as many bytes as the modulus has
 * @throws {SignedPodsError} `signature-malformed` if the bytes cannot be a signature of this kind of key
 */
export async function verifySignature(
  key: VerificationKey,
  signature: Uint8Array,
  data: Uint8Array,
): Promise<boolean> {
  const raw = rawSignature(key, signature);
  return await crypto.subtle.verify(signatureParameters(key.algorithm), key.key, raw, new Uint8Array(data));
}

/** The signature as WebCrypto takes it. */
function rawSignature(key: VerificationKey, signature: Uint8Array): Uint8Array<ArrayBuffer> {
  if (key.algorithm !== "rsa") return derToRaw(signature, key.algorithm);
  if (signature.length !== key.modulusBytes) {
    throw malformed(`an RSA signature of this key has ${key.modulusBytes} bytes, not ${signature.length}`);
  }
  return new Uint8Array(signature);
}

/**
 * An ECDSA signature from DER to r and s side by side, each as long as the curve's order.
 *
 * Strict: definite lengths in their shortest form, positive integers without needless zeros, r and s in
 * [1, order - 1], nothing behind. An s in the upper half is admitted, as OpenSSL writes such.
 *
 * @throws {SignedPodsError} `signature-malformed`, also for RSA, which has no such form
 */
export function derToRaw(der: Uint8Array, algorithm: KeyAlgorithm): Uint8Array<ArrayBuffer> {
  const curve = curveOf(algorithm);
  const size = curve.scalarBytes;
  const sequence = readElement(der, 0, SEQUENCE_TAG, "sequence");
  if (sequence.end !== der.length) throw malformed("bytes follow the DER sequence");
  const r = readElement(der, sequence.start, INTEGER_TAG, "integer r");
  const s = readElement(der, r.end, INTEGER_TAG, "integer s");
  if (s.end !== sequence.end) throw malformed("the DER sequence holds more than two integers");
  const raw = new Uint8Array(2 * size);
  putScalar(raw, size, der.subarray(r.start, r.end), curve, "r");
  putScalar(raw, 2 * size, der.subarray(s.start, s.end), curve, "s");
  return raw;
}

/**
 * An ECDSA signature from r and s side by side to DER.
 *
 * @throws {SignedPodsError} `signature-malformed` if the length is not the curve's, or for RSA
 */
export function rawToDer(raw: Uint8Array, algorithm: KeyAlgorithm): Uint8Array<ArrayBuffer> {
  const { title, scalarBytes } = curveOf(algorithm);
  if (raw.length !== 2 * scalarBytes) {
    throw malformed(`r and s of ${title} have ${2 * scalarBytes} bytes together, not ${raw.length}`);
  }
  const integers = [...derInteger(raw.subarray(0, scalarBytes)), ...derInteger(raw.subarray(scalarBytes))];
  // Two P-521 integers need up to 138 bytes: one length byte more, never two.
  const length = integers.length < LONG_FORM ? [integers.length] : [LONG_FORM + 1, integers.length];
  return new Uint8Array([SEQUENCE_TAG, ...length, ...integers]);
}

/** Where the content of the DER element at `position` starts and ends; it lies within `der`. */
function readElement(
  der: Uint8Array,
  position: number,
  tag: number,
  name: string,
): { start: number; end: number } {
  if (der[position] !== tag) throw malformed(`expected the DER ${name} at byte ${position}`);
  let start = position + 2;
  let length = der[position + 1] ?? LONG_FORM;
  if (length >= LONG_FORM) {
    // Longer than 255 bytes is no signature; 0x80 is BER's indefinite length.
    if (length !== LONG_FORM + 1) throw malformed(`the length of the DER ${name} is not that of a signature`);
    length = der[start] ?? 0;
    start++;
    if (length < LONG_FORM) throw malformed(`the length of the DER ${name} is not in its shortest form`);
  }
  const end = start + length;
  if (end > der.length) throw malformed(`the DER ${name} is cut off`);
  return { start, end };
}

/** Checks the content of a DER integer and writes it right-aligned in front of `end`. */
function putScalar(raw: Uint8Array, end: number, content: Uint8Array, curve: EcFacts, name: string): void {
  const first = content[0];
  if (first === undefined) throw malformed(`${name} is empty`);
  if (first >= 0x80) throw malformed(`${name} is negative`);
  if (first === 0 && content.length > 1 && (content[1] ?? 0) < 0x80) {
    throw malformed(`${name} has a needless zero`);
  }
  const value = BigInt(`0x${content.toHex()}`);
  if (value < 1n || value >= curve.order) {
    throw malformed(`${name} is not between 1 and the order of the curve`);
  }
  // A value below the order has at most scalarBytes bytes after the zero that keeps it positive.
  const magnitude = first === 0 ? content.subarray(1) : content;
  raw.set(magnitude, end - magnitude.length);
}

/** The DER integer of unsigned big-endian bytes. */
function derInteger(bytes: Uint8Array): number[] {
  const firstUsed = bytes.findIndex((byte) => byte !== 0);
  const magnitude = firstUsed < 0 ? [0] : [...bytes.subarray(firstUsed)];
  if ((magnitude[0] ?? 0) >= 0x80) magnitude.unshift(0);
  return [INTEGER_TAG, magnitude.length, ...magnitude];
}

function curveOf(algorithm: KeyAlgorithm): Readonly<EcFacts> {
  if (algorithm === "rsa") throw malformed("an RSA signature has no DER form");
  return ALGORITHMS[algorithm];
}

function malformed(what: string): SignedPodsError {
  return new SignedPodsError("signature-malformed", `Not a signature: ${what}`);
}
