/**
 * A refusal on its way to the client: status, stable code, and words that say what to do.
 *
 * @module
 */

/** What went wrong with a request, as a stable word, with its HTTP status. */
export const REQUEST_ERRORS = {
  "body-malformed": 400,
  "payload-missing": 400,
  "payload-not-string": 400,
  "payload-empty": 400,
  "unknown-field": 400,
  "query-malformed": 400,
  "unauthorized": 401,
  "host-not-allowed": 403,
  "payload-not-template": 403,
  "namespace-not-allowed": 403,
  "not-found": 404,
  "method-not-allowed": 405,
  "body-timeout": 408,
  "body-too-large": 413,
  "unsupported-media-type": 415,
  "rate-limited": 429,
  "internal": 500,
  "overloaded": 503,
  "audit-failed": 503,
  "certificate-expired": 503,
} as const;

/** What went wrong with a request. */
export type RequestErrorCode = keyof typeof REQUEST_ERRORS;

/** A refusal. */
export class RequestError extends Error {
  readonly code: RequestErrorCode;
  readonly headers: Record<string, string>;

  constructor(
    code: RequestErrorCode,
    message: string,
    headers: Record<string, string> = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = "RequestError";
    this.code = code;
    this.headers = headers;
  }

  get status(): number {
    return REQUEST_ERRORS[this.code];
  }
}
