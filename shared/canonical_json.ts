/**
 * Canonical JSON (RFC 8785, JSON Canonicalization Scheme): one text for one value, so that it can be signed.
 *
 * @module
 */
import { SignedPodsError } from "./errors.ts";
import type { JsonObject, JsonValue } from "./json.ts";

/**
 * The deepest nesting that is written. No document that is read comes near it; it ends a value that contains
 * itself, which would otherwise fill the memory.
 */
const MAX_DEPTH = 1_000_000;

/** How many steps of a path an error shows: enough to find the place, short enough to read. */
const MAX_PATH_STEPS = 32;

/** An array or object that is being written, and how far. */
type Frame =
  | { kind: "array"; items: JsonValue[]; next: number }
  | { kind: "object"; object: JsonObject; keys: string[]; next: number };

/**
 * The canonical JSON text of a value. Its UTF-8 bytes are what is hashed and signed.
 *
 * The nesting is kept on the heap, so that a deep value does not exhaust the call stack.
 *
 * @throws {SignedPodsError} `json-not-canonicalizable` for a lone surrogate, a number that is not finite, an
 * integer that is a `bigint` (beyond 2^53 - 1), or anything that is not JSON
 *
 * @example
 * ```ts
 * import { canonicalize } from "@signed-pods/shared/canonical-json";
 * if (canonicalize({ b: [1e2, -0], a: "€" }) !== '{"a":"€","b":[100,0]}') throw new Error("not so");
 * ```
 */
export function canonicalize(value: JsonValue): string {
  const stack: Frame[] = [];
  let text = "";
  let current: JsonValue | undefined = value;
  while (true) {
    const opened = open(current, stack);
    if (opened === undefined) {
      text += primitive(current, stack);
    } else {
      if (stack.length === MAX_DEPTH) throw refuse(`is nested deeper than ${MAX_DEPTH} levels`, []);
      stack.push(opened);
      text += opened.kind === "array" ? "[" : "{";
    }
    // Close all that is complete, then step to the next item or member.
    let frame = stack.at(-1);
    while (frame !== undefined && frame.next === length(frame)) {
      text += frame.kind === "array" ? "]" : "}";
      stack.pop();
      frame = stack.at(-1);
    }
    if (frame === undefined) return text;
    if (frame.next > 0) text += ",";
    if (frame.kind === "array") {
      current = frame.items[frame.next++];
    } else {
      const key = frame.keys[frame.next++] ?? "";
      text += quote(key, stack) + ":";
      current = frame.object[key];
    }
  }
}

function length(frame: Frame): number {
  return frame.kind === "array" ? frame.items.length : frame.keys.length;
}

/** The frame of an array or object; undefined for any other value. */
function open(value: JsonValue | undefined, stack: Frame[]): Frame | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  if (Array.isArray(value)) return { kind: "array", items: value, next: 0 };
  // A Date or Map has the type of an object and no members: it would be signed as "{}".
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) throw refuse("is not a plain object", stack);
  // RFC 8785 section 3.2.3 sorts by UTF-16 code units; so does sort() without a comparison.
  return { kind: "object", object: value, keys: Object.keys(value).sort(), next: 0 };
}

function primitive(value: JsonValue | undefined, stack: Frame[]): string {
  switch (typeof value) {
    case "string":
      return quote(value, stack);
    case "number":
      // RFC 8785 section 3.2.2.3 is ECMAScript's own form; -0 becomes 0.
      if (!Number.isFinite(value)) throw refuse("is a number that is not finite", stack);
      return String(value);
    case "boolean":
      return value ? "true" : "false";
    case "bigint":
      throw refuse("is an integer beyond ±9007199254740991, write it as a string", stack);
    default:
      if (value === null) return "null";
      throw refuse(`has the type ${typeof value}, which JSON lacks`, stack);
  }
}

function quote(text: string, stack: Frame[]): string {
  if (!text.isWellFormed()) throw refuse("holds a surrogate without its pair (not Unicode)", stack);
  // For well-formed text JSON.stringify escapes exactly what RFC 8785 section 3.2.2.2 does.
  return JSON.stringify(text);
}

/** The error for the value that is being written: its path is in the frames, each one step ahead. */
function refuse(what: string, stack: Frame[]): SignedPodsError {
  let path = "";
  for (const frame of stack.slice(0, MAX_PATH_STEPS)) {
    if (frame.kind === "array") path += `[${frame.next - 1}]`;
    else path += (path === "" ? "" : ".") + (frame.keys[frame.next - 1] ?? "").toWellFormed();
  }
  if (stack.length > MAX_PATH_STEPS) path += "…";
  const message = `${path === "" ? "The value" : path} ${what}`;
  return new SignedPodsError("json-not-canonicalizable", `No canonical JSON: ${message}`, [{
    path,
    message: what,
  }]);
}
