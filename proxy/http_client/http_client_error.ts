/**
 * Why an exchange with the API server came to nothing.
 *
 * @module
 */

/** What was wrong, as a stable word. */
export type HttpClientFailure =
  /** The connection ended before the answer did. */
  | "connection-ended"
  /** The answer's head is not one of HTTP/1.1, or is too long. */
  | "head-malformed"
  /** The answer's body is not framed as HTTP/1.1 has it. */
  | "body-malformed"
  /** The client was closed. */
  | "closed";

/** There is no answer, or no more of it. */
export class HttpClientError extends Error {
  /** Why, as a stable word. */
  readonly code: HttpClientFailure;

  /** @param message what was wrong */
  constructor(code: HttpClientFailure, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "HttpClientError";
    this.code = code;
  }
}
