/**
 * Reads and writes DER (X.690) by the schemas of certificates and keys. ECDSA signatures are not read here but
 * in signature.ts: they come from strangers, and the schema library also reads BER.
 *
 * @module
 */
import { AsnConvert } from "@peculiar/asn1-schema";
import { type ErrorCode, SignedPodsError } from "./errors.ts";

/**
 * The longest DER value that is read, in bytes. Certificates are a few kilobytes; the bound keeps the time to
 * read a wrong file short.
 */
export const MAX_DER_BYTES = 1 << 20;

/**
 * Reads one DER value that fills `der` from end to end.
 *
 * @param der the bytes
 * @param schema the class that describes the value
 * @param code the error code if the bytes are not such a value
 * @param what the value's name for the message, for example `certificate`
 * @throws {SignedPodsError} `code`
 */
export function readDer<T>(der: Uint8Array, schema: new () => T, code: ErrorCode, what: string): T {
  if (der.length > MAX_DER_BYTES) {
    throw new SignedPodsError(code, `Not a ${what}: it is longer than ${MAX_DER_BYTES} bytes`);
  }
  if (encodedLength(der) !== der.length) {
    throw new SignedPodsError(code, `Not a ${what}: the DER value is cut off, or bytes follow it`);
  }
  try {
    return AsnConvert.parse(der, schema);
  } catch (cause) {
    throw new SignedPodsError(code, `Not a ${what}: its DER cannot be read`, undefined, { cause });
  }
}

/** The DER bytes of a value whose class is a schema. */
export function writeDer(value: object): Uint8Array<ArrayBuffer> {
  return new Uint8Array(AsnConvert.serialize(value));
}

/** How long the value at the start of `der` says that it is, with its header; -1 if the header is not DER. */
function encodedLength(der: Uint8Array): number {
  const first = der[1] ?? 0x80;
  if (first < 0x80) return 2 + first;
  const lengthBytes = first - 0x80;
  // Up to MAX_DER_BYTES, so three bytes suffice. 0x80 itself is BER's indefinite length.
  if (lengthBytes < 1 || lengthBytes > 3) return -1;
  let length = 0;
  for (let index = 2; index < 2 + lengthBytes; index++) length = length * 256 + (der[index] ?? 0);
  return 2 + lengthBytes + length;
}
