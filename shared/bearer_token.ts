/**
 * Bearer tokens (RFC 6750).
 *
 * @module
 */

/** Whether a text can stand as a token in an Authorization header: RFC 6750 section 2.1, b64token. Its length is not judged. */
export function isBearerToken(text: string): boolean {
  return /^[A-Za-z0-9._~+/-]+=*$/.test(text);
}
