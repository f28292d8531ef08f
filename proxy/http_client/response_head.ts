/**
 * Reads the head of an answer: status line and fields, and by them how long the body is. What could be read in two ways
 * is refused.
 *
 * Source: RFC 9112 sections 4, 5 and 6.3; RFC 9110 sections 5.5, 5.6.2 and 8.6.
 *
 * @module
 */
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
const FIELD_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** What a value may hold: visible ASCII, spaces, tabs, and bytes beyond ASCII; nothing that ends a line. */
export const FIELD_VALUE: RegExp = /^[\t\x20-\x7e\x80-\xff]*$/;

/**
 * Reads a head.
 *
 * @param text the head without the empty line at its end; a character for each byte
 * @param method that was asked with
 * @throws {HttpClientError} `head-malformed`
 */
export function parseResponseHead(text: string, method: string): ResponseHead {
  const [first = "", ...lines] = text.split("\r\n");
  const [, minor, code] = STATUS_LINE.exec(first) ?? [];
  if (code === undefined) {
    throw malformed("the status line is not one of HTTP/1.1");
  }
  if (lines.length > MAX_RESPONSE_FIELDS) {
    throw malformed(`there are more than ${MAX_RESPONSE_FIELDS} fields`);
  }
  const status = Number(code);
  const headers: ResponseHead["headers"] = [];
  let length: string | undefined;
  let encoding: string | undefined;
  let connection = "";
  for (const line of lines) {
    const colon = line.indexOf(":");
    const name = line.slice(0, Math.max(colon, 0)).toLowerCase();
    const value = trim(line, colon + 1);
    // A line that begins with a space would continue the one before; its name does not match either.
    if (!FIELD_NAME.test(name) || !FIELD_VALUE.test(value)) {
      throw malformed("a field is not a name, a colon and a value");
    }
    switch (name) {
      case "content-length":
        if (length !== undefined) {
          throw malformed("there are several Content-Length fields");
        }
        length = value;
        break;
      case "transfer-encoding":
        if (encoding !== undefined) {
          throw malformed("there are several Transfer-Encoding fields");
        }
        encoding = value;
        break;
      case "connection":
        connection += `,${value.toLowerCase()}`;
        break;
    }
    headers.push([name, value]);
  }
  const closes = minor === "0" || connection.split(",").some((option) => option.trim() === "close");
  const framing = framingOf(status, method, length, encoding);
  return { status, headers, framing, keepAlive: !closes && framing.kind !== "until-close" };
}

function framingOf(
  status: number,
  method: string,
  length: string | undefined,
  encoding: string | undefined,
): BodyFraming {
  if (encoding !== undefined && length !== undefined) {
    throw malformed("there are both Content-Length and Transfer-Encoding");
  }
  if (encoding !== undefined && encoding.toLowerCase() !== "chunked") {
    throw malformed("the Transfer-Encoding is not chunked");
  }
  if (length !== undefined && !/^[0-9]{1,15}$/.test(length)) {
    throw malformed("the Content-Length is not a number");
  }
  if (status < 200 || status === 204 || status === 304 || method === "HEAD") {
    return { kind: "none" };
  }
  if (encoding !== undefined) {
    return { kind: "chunked" };
  }
  return length === undefined ? { kind: "until-close" } : { kind: "length", bytes: Number(length) };
}

/** The rest of a line without the spaces and tabs around it; in one pass, whatever stands in it. */
function trim(line: string, from: number): string {
  let [start, end] = [from, line.length];
  while (start < end && isBlank(line, start)) start++;
  while (end > start && isBlank(line, end - 1)) end--;
  return line.slice(start, end);
}

function isBlank(line: string, index: number): boolean {
  const character = line.charCodeAt(index);
  return character === 0x20 || character === 0x09;
}

function malformed(problem: string): HttpClientError {
  return new HttpClientError("head-malformed", `the answer is not HTTP/1.1: ${problem}`);
}
