/**
 * A request of the kubelet. It is what the handler needs of a `Request`, which takes long to make.
 *
 * @module
 */
import type { FieldReader } from "./field_list.ts";

/** One request. A `Request` is one, too. */
export interface KubeletRequest {
  readonly method: string;
  /** A scheme, an authority, and the path and the query as they were sent. */
  readonly url: string;
  readonly headers: FieldReader;
  readonly body: ReadableStream<Uint8Array> | null;
  /** Aborted when the client leaves. */
  readonly signal: AbortSignal;
}
