/**
 * The way from the proxy to the API server, as the other parts see it.
 *
 * @module
 */

/** One request to the API server. */
export interface UpstreamRequest {
  method: string;
  /** Path and query, as they go on the wire; begins with a slash. */
  path: string;
  /** Headers to send. Credentials and hop-by-hop headers are not taken from here. */
  headers?: Headers;
  body?: ReadableStream<Uint8Array> | Uint8Array | string | null;
  /** Ends the request, also while its answer is being read. */
  signal?: AbortSignal;
}

/** Sends requests to the API server with the node's own credential. Redirects are never followed. */
export interface Upstream {
  send(request: UpstreamRequest): Promise<Response>;
}
