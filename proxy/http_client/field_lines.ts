/**
 * Reads the lines of a head that hold fields, of a request's and of an answer's. What could be read in two ways is a
 * problem.
 *
 * Source: RFC 9112 sections 5, 6.1 and 6.2; RFC 9110 sections 5.5, 5.6.2 and 8.6.
 *
 * @module
 */

const FIELD_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** What a value may hold: visible ASCII, spaces, tabs, and bytes beyond ASCII; nothing that ends a line. */
export const FIELD_VALUE: RegExp = /^[\t\x20-\x7e\x80-\xff]*$/;

/** What frames a body: neither, or one of both. */
export type FieldFraming = { kind: "none" } | { kind: "length"; bytes: number } | { kind: "chunked" };

/** What the fields say. */
export interface FieldLines {
  /** Names, in small letters, and values, in order. */
  headers: [name: string, value: string][];
  framing: FieldFraming;
  /** Whether Connection holds the option "close". */
  closes: boolean;
}

/**
 * Reads the lines.
 *
 * @param lines of a head, without their ends; a character for each byte
 * @param from the first that holds a field
 * @returns the fields, or in a text what is wrong with them
 */
export function parseFieldLines(lines: readonly string[], from: number): FieldLines | string {
  const headers: FieldLines["headers"] = [];
  let length: string | undefined;
  let encoding: string | undefined;
  let connection = "";
  for (let index = from; index < lines.length; index++) {
    const line = lines[index] ?? "";
    const colon = line.indexOf(":");
    const name = line.slice(0, Math.max(colon, 0)).toLowerCase();
    const value = trim(line, colon + 1);
    // A line that begins with a space would continue the one before; its name does not match either.
    if (!FIELD_NAME.test(name) || !FIELD_VALUE.test(value)) {
      return "a field is not a name, a colon and a value";
    }
    switch (name) {
      case "content-length":
        if (length !== undefined) {
          return "there are several Content-Length fields";
        }
        length = value;
        break;
      case "transfer-encoding":
        if (encoding !== undefined) {
          return "there are several Transfer-Encoding fields";
        }
        encoding = value;
        break;
      case "connection":
        connection += `,${value.toLowerCase()}`;
        break;
    }
    headers.push([name, value]);
  }
  const framing = framingOf(length, encoding);
  if (typeof framing === "string") {
    return framing;
  }
  const closes = connection !== "" && connection.split(",").some((option) => option.trim() === "close");
  return { headers, framing, closes };
}

function framingOf(length: string | undefined, encoding: string | undefined): FieldFraming | string {
  if (encoding !== undefined && length !== undefined) {
    return "there are both Content-Length and Transfer-Encoding";
  }
  if (encoding !== undefined) {
    return encoding.toLowerCase() === "chunked"
      ? { kind: "chunked" }
      : "the Transfer-Encoding is not chunked";
  }
  if (length === undefined) {
    return { kind: "none" };
  }
  return /^[0-9]{1,15}$/.test(length)
    ? { kind: "length", bytes: Number(length) }
    : "the Content-Length is not a number";
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
