/**
 * Reads the head of an answer: status line and fields, and by them how long the body is. What could be read in two ways
 * is refused.
 *
 * Source: RFC 9112 sections 4, 5 and 6.3.
 *
 * @module
 */
import { parseFieldLines } from "./field_lines.ts";
import { HttpClientError } from "./http_client_error.ts";

/** Most fields of one head. kube-apiserver sends about ten. */
export const MAX_RESPONSE_FIELDS = 128;

/** How long a body is. */
export type BodyFraming =
  | { kind: "none" }
  | { kind: "length"; bytes: number }
  | { kind: "chunked" }
  /** It ends with the connection. */
  | { kind: "until-close" };

/** The head of an answer. */
export interface ResponseHead {
  status: number;
  /** Names, in small letters, and values, in order. */
  headers: [name: string, value: string][];
  framing: BodyFraming;
  /** Whether the connection may be used again when the body has ended. */
  keepAlive: boolean;
}

const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?$/;

/**
 * Reads a head.
 *
 * @param text the head without the empty line at its end; a character for each byte
 * @param method that was asked with
 * @throws {HttpClientError} `head-malformed`
 */
export function parseResponseHead(text: string, method: string): ResponseHead {
  const lines = text.split("\r\n");
  const [, minor, code] = STATUS_LINE.exec(lines[0] ?? "") ?? [];
  if (code === undefined) {
    throw malformed("the status line is not one of HTTP/1.1");
  }
  if (lines.length - 1 > MAX_RESPONSE_FIELDS) {
    throw malformed(`there are more than ${MAX_RESPONSE_FIELDS} fields`);
  }
  const fields = parseFieldLines(lines, 1);
  if (typeof fields === "string") {
    throw malformed(fields);
  }
  const status = Number(code);
  const framing: BodyFraming = status < 200 || status === 204 || status === 304 || method === "HEAD"
    ? { kind: "none" }
    : fields.framing.kind === "none"
    ? { kind: "until-close" }
    : fields.framing;
  const keepAlive = minor === "1" && !fields.closes && framing.kind !== "until-close";
  return { status, headers: fields.headers, framing, keepAlive };
}

function malformed(problem: string): HttpClientError {
  return new HttpClientError("head-malformed", `the answer is not HTTP/1.1: ${problem}`);
}
