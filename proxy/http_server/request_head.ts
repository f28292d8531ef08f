/**
 * Reads the head of a request: request line and fields, and by them how long the body is. What could be read in two ways
 * is refused, and so is what no kubelet sends.
 *
 * Source: RFC 9112 sections 2.2, 3, 5 and 6; RFC 9110 sections 7.2, 9.3 and 10.1.1.
 *
 * @module
 */
import { type FieldFraming, parseFieldLines } from "../http_client/field_lines.ts";
import { FieldList } from "../field_list.ts";

/** Most fields of one head. A kubelet sends below ten. */
export const MAX_REQUEST_FIELDS = 64;

/** The head of a request. */
export interface RequestHead {
  method: string;
  /** Path and query as they were sent; begins with a slash. */
  target: string;
  fields: FieldList;
  framing: FieldFraming;
  /** Whether the client wants to use the connection again. */
  keepAlive: boolean;
  /** Whether the client waits for a word before it sends the body. */
  expectsContinue: boolean;
}

/** What came out of reading a head; otherwise the status that says so. */
export type ParsedRequestHead =
  | { ok: true; head: RequestHead }
  | { ok: false; status: 400 | 417 | 431 | 505; message: string };

/** In HTTP/1.1 methods are tokens; those of Kubernetes are capital letters. Only the form that begins with a slash is served. */
const REQUEST_LINE = /^([A-Z]{1,20}) (\/[\x21-\x7e]*) HTTP\/1\.1$/;

const OTHER_VERSION = /^[^ ]+ [^ ]+ HTTP\/[0-9.]+$/;

/**
 * Reads a head.
 *
 * @param text the head without the empty line at its end; a character for each byte
 */
export function parseRequestHead(text: string): ParsedRequestHead {
  const lines = text.split("\r\n");
  const [first = ""] = lines;
  const [, method, target] = REQUEST_LINE.exec(first) ?? [];
  if (method === undefined || target === undefined) {
    return OTHER_VERSION.test(first) && !first.endsWith(" HTTP/1.1")
      ? refuse(505, "only HTTP/1.1 is served")
      : refuse(400, "the request line is not a method, a path and HTTP/1.1");
  }
  if (lines.length - 1 > MAX_REQUEST_FIELDS) {
    return refuse(431, `there are more than ${MAX_REQUEST_FIELDS} fields`);
  }
  const read = parseFieldLines(lines, 1);
  if (typeof read === "string") {
    return refuse(400, read);
  }
  const { framing, closes } = read;
  const fields = new FieldList(read.headers);
  if (fields.count("host") !== 1) {
    return refuse(400, "there is no Host field, or there are several");
  }
  // Who reads such a body, and who takes it for the next request, is not the same everywhere.
  const hasBody = framing.kind === "chunked" || (framing.kind === "length" && framing.bytes > 0);
  if (hasBody && (method === "GET" || method === "HEAD")) {
    return refuse(400, `a ${method} has no body`);
  }
  const expectation = fields.get("expect");
  if (expectation !== null && expectation.toLowerCase() !== "100-continue") {
    return refuse(417, "Expect holds something else than 100-continue");
  }
  return {
    ok: true,
    head: {
      method,
      target,
      fields,
      framing,
      keepAlive: !closes,
      expectsContinue: hasBody && expectation !== null,
    },
  };
}

function refuse(status: 400 | 417 | 431 | 505, message: string): ParsedRequestHead {
  return { ok: false, status, message };
}
