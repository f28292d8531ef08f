/**
 * The bytes of a head.
 *
 * @module
 */
import { Buffer } from "node:buffer";

const encoder = new TextEncoder();

/**
 * A byte for each character. Heads are ASCII but for odd values, and for ASCII the encoder is native, which
 * `Buffer.from` is not in Deno.
 *
 * @param text of characters up to U+00FF
 */
export function headBytes(text: string): Uint8Array {
  const bytes = encoder.encode(text);
  return bytes.length === text.length ? bytes : Buffer.from(text, "latin1");
}
