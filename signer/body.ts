/**
 * Reads the body of a request for a signature: JSON, bounded in size, depth and time.
 *
 * @module
 */
import { SignedPodsError } from "@signed-pods/shared/errors";
import { isJsonObject, type JsonValue } from "@signed-pods/shared/json";
import { decodeUtf8, parseStrictJson } from "@signed-pods/shared/strict-json";
import { RequestError } from "./request_error.ts";

/** Largest request body: a signed template may fill an annotation, which Kubernetes caps at 256 KiB in all. */
export const MAX_BODY_BYTES: number = 1024 * 1024;

/** How long a client may take to send its body. A megabyte takes a second on a slow line. */
export const BODY_TIMEOUT_MS = 10_000;

/** A request for a signature is `{"payload": "…"}`; deeper nesting is refused before it is looked at. */
export const MAX_BODY_DEPTH = 4;

/**
 * Checks that a body is said to be JSON.
 *
 * @throws {RequestError} `unsupported-media-type`
 */
export function requireJson(request: Request): void {
  const [type = "", ...parameters] = (request.headers.get("content-type") ?? "").split(";");
  const charsets = parameters.map((parameter) => parameter.trim().toLowerCase()).filter((parameter) =>
    parameter !== ""
  );
  const utf8 = charsets.every((parameter) =>
    parameter === "charset=utf-8" || parameter === 'charset="utf-8"'
  );
  const encoding = request.headers.get("content-encoding") ?? "identity";
  if (type.trim().toLowerCase() === "application/json" && utf8 && encoding === "identity") return;
  throw new RequestError(
    "unsupported-media-type",
    "The body must be JSON in UTF-8, not compressed: send it with Content-Type: application/json",
  );
}

function tooLarge(): RequestError {
  return new RequestError(
    "body-too-large",
    `The body is larger than ${MAX_BODY_BYTES} bytes: sign fewer objects at a time`,
    // The rest of the body is not read, so the connection cannot carry another request.
    { connection: "close" },
  );
}

/**
 * Reads a body up to the limit, whatever its Content-Length says, within the time.
 *
 * @throws {RequestError} `body-too-large` or `body-timeout`
 */
export async function readBody(request: Request, timeoutMs: number): Promise<Uint8Array> {
  const declared = request.headers.get("content-length");
  if (declared !== null && Number(declared) > MAX_BODY_BYTES) throw tooLarge();
  if (request.body === null) return new Uint8Array();
  const reader = request.body.getReader();
  const chunks: Uint8Array[] = [];
  let length = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const expired = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(
        new RequestError(
          "body-timeout",
          `The body did not arrive within ${timeoutMs / 1000} s: send the request again`,
          { connection: "close" },
        ),
      );
    }, timeoutMs);
  });
  try {
    while (true) {
      const { done, value } = await Promise.race([reader.read(), expired]);
      if (done) break;
      length += value.length;
      if (length > MAX_BODY_BYTES) throw tooLarge();
      chunks.push(value);
    }
  } catch (error) {
    // Not awaited: a client that sends nothing would keep the answer back.
    reader.cancel().catch(() => {});
    throw error;
  } finally {
    clearTimeout(timer);
  }
  const body = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    body.set(chunk, offset);
    offset += chunk.length;
  }
  return body;
}

const EXPECTED = 'send {"payload": "the text to sign"}';

/**
 * The text to sign.
 *
 * @throws {RequestError} `body-malformed`, `unknown-field` or one of the `payload-` codes
 */
export function readPayload(body: Uint8Array): string {
  let value: JsonValue;
  try {
    value = parseStrictJson(decodeUtf8(body), { maxDepth: MAX_BODY_DEPTH });
  } catch (error) {
    if (!(error instanceof SignedPodsError)) throw error;
    throw new RequestError("body-malformed", `The body is not valid JSON: ${error.message}; ${EXPECTED}`);
  }
  if (!isJsonObject(value)) {
    throw new RequestError("body-malformed", `The body is not a JSON object; ${EXPECTED}`);
  }
  const { payload, ...rest } = value;
  if (payload === undefined) {
    throw new RequestError("payload-missing", `The body has no "payload"; ${EXPECTED}`);
  }
  // A client that means something by a field that this server does not know must not get a signature for it.
  const [unknown] = Object.keys(rest);
  if (unknown !== undefined) {
    throw new RequestError(
      "unknown-field",
      `The body has the unknown field ${JSON.stringify(unknown.slice(0, 64))}; ${EXPECTED}`,
    );
  }
  if (typeof payload !== "string") {
    throw new RequestError("payload-not-string", `"payload" is not a string; ${EXPECTED}`);
  }
  if (payload === "") throw new RequestError("payload-empty", `"payload" is empty; ${EXPECTED}`);
  return payload;
}
