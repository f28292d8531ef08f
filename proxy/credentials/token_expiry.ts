/**
 * When a bearer token ends, if it says so itself. Only for whoever watches the proxy: whether a token still counts is for the API
 * server to say, so nothing is verified here.
 *
 * @module
 */
import { getOwn, isJsonObject } from "@signed-pods/shared/json";
import { decodeUtf8, parseStrictJson } from "@signed-pods/shared/strict-json";

/** Header, payload and signature of a JSON Web Token in its compact form (RFC 7519 section 3, RFC 7515 section 7.1). */
const JWT = /^[A-Za-z0-9_-]+\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]*$/;

/** The last second that a Date knows (ECMA-262, "Time Values and Time Range"). */
const MAX_SECONDS = 8.64e12;

/**
 * The claim `exp` of a JSON Web Token (RFC 7519 section 4.1.4).
 *
 * @returns undefined if the token is another one, or has no end that can be read
 */
export function tokenNotAfter(token: string): Date | undefined {
  const [, payload] = JWT.exec(token) ?? [];
  if (payload === undefined) {
    return undefined;
  }
  try {
    const bytes = Uint8Array.fromBase64(payload, { alphabet: "base64url" });
    const claims = parseStrictJson(decodeUtf8(bytes));
    const seconds = isJsonObject(claims) ? getOwn(claims, "exp") : undefined;
    return typeof seconds === "number" && Math.abs(seconds) <= MAX_SECONDS
      ? new Date(seconds * 1000)
      : undefined;
  } catch {
    return undefined;
  }
}
