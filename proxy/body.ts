/**
 * Reads whole bodies, up to a bound.
 *
 * @module
 */

/** A body that is longer than allowed. What came is dropped, and the rest is not read. */
export class BodyTooLargeError extends Error {
  /** @param maxBytes the bound */
  constructor(maxBytes: number) {
    super(`the body is larger than ${maxBytes} bytes`);
    this.name = "BodyTooLargeError";
  }
}

/**
 * Reads a body to its end.
 *
 * @param body the body; none is as good as an empty one
 * @param maxBytes most bytes that are held
 * @param signal ends the reading, also of a body that does not go on
 * @throws BodyTooLargeError, the signal's reason, or whatever the stream fails with
 */
export async function readBody(
  body: ReadableStream<Uint8Array> | null,
  maxBytes: number,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  if (body !== null) {
    const reader = body.getReader();
    const leave = () => void reader.cancel(signal?.reason).catch(() => {});
    signal?.addEventListener("abort", leave, { once: true });
    try {
      for (;;) {
        signal?.throwIfAborted();
        const { done, value } = await reader.read();
        signal?.throwIfAborted();
        if (done) {
          break;
        }
        length += value.length;
        if (length > maxBytes) {
          const error = new BodyTooLargeError(maxBytes);
          await reader.cancel(error).catch(() => {});
          throw error;
        }
        chunks.push(value);
      }
    } finally {
      signal?.removeEventListener("abort", leave);
    }
  }
  const [first] = chunks;
  if (first !== undefined && chunks.length === 1) {
    return first;
  }
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.length;
  }
  return bytes;
}
