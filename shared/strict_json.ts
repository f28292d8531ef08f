/**
 * A reader of JSON (RFC 8259) that admits only text which every correct reader understands alike: no duplicate
 * keys, no rounded integers, no half characters, nothing after the document. `JSON.parse` keeps the last of
 * two equal keys and rounds large integers, so that a checker and the program behind it may see two documents.
 *
 * @module
 */
import { SignedPodsError } from "./errors.ts";
import { deepFreeze, type JsonObject, type JsonValue, setOwn } from "./json.ts";

/** Nesting that is admitted unless the caller says otherwise: a pod's schema is about 12 levels deep. */
export const DEFAULT_MAX_DEPTH = 100;

/**
 * The most digits an integer may have. No field of Kubernetes has more than 19; the time to read a longer one
 * grows faster than its length.
 */
export const MAX_INTEGER_DIGITS = 400;

/** Integers of at most so many digits are below 2^53: they need no arbitrary precision. */
const SAFE_DIGITS = 15;

/**
 * `slice` copies strings up to this length. A longer slice may point into the text and keep all of it in memory:
 * one remembered annotation would hold a whole list of pods. `JSON.parse` always copies.
 */
const MAX_COPIED_LENGTH = 12;

/** How much of a duplicate key an error shows, in UTF-16 code units. */
const MAX_SHOWN_KEY_LENGTH = 64;

/** Bounds that a caller may set. */
export interface StrictJsonLimits {
  /** How deep arrays and objects may nest; 1 admits `{}` but not `{"a":{}}`. Default {@linkcode DEFAULT_MAX_DEPTH}. */
  maxDepth?: number;
}

/** How to read, beside the bounds. */
export interface StrictJsonOptions extends StrictJsonLimits {
  /** What was read before; without it everything is read anew. */
  known?: KnownValues;
}

let makeKnownValue: (
  source: string,
  start: number,
  end: number,
  value: JsonObject | JsonValue[],
  depth: number,
  objectBytes: number,
) => KnownValue;

/** An object or array that was read before, and the whole text of which it was read. */
export class KnownValue {
  /** The value; it cannot be changed. */
  readonly value: JsonObject | JsonValue[];
  /** Levels of objects and arrays in it; 1 for one that holds neither. */
  readonly depth: number;
  /** How long its text is, in UTF-16 code units. */
  readonly length: number;
  /** What it takes in memory beside its text and the characters of its strings, in bytes. */
  readonly objectBytes: number;
  /** Its text is a part of this one. */
  readonly #source: string;
  readonly #start: number;

  /** Made by the reader alone: that the text means the value is never checked again. */
  private constructor(
    source: string,
    start: number,
    end: number,
    value: JsonObject | JsonValue[],
    depth: number,
    objectBytes: number,
  ) {
    this.value = deepFreeze(value);
    this.depth = depth;
    this.length = end - start;
    this.objectBytes = objectBytes;
    this.#source = source;
    this.#start = start;
  }

  static {
    makeKnownValue = (source, start, end, value, depth, objectBytes) =>
      new KnownValue(source, start, end, value, depth, objectBytes);
  }

  /** From its opening to its closing bracket. */
  get text(): string {
    return this.#source.slice(this.#start, this.#start + this.length);
  }

  /** What it takes in memory, in bytes, roughly and rather too high: its text is there as it came, and again as strings. */
  get bytes(): number {
    return this.objectBytes + 2 * this.length * CHARACTER_BYTES;
  }

  /** Whether a text has its whole text at a position. */
  standsAt(text: string, position: number): boolean {
    // Slices are compared in one go, many times faster than startsWith does it.
    return text.slice(position, position + this.length) === this.text;
  }

  /** The same, with a text that shares no memory with the document that it was read from. */
  detached(): KnownValue {
    const text = copyOf(this.#source, this.#start, this.#start + this.length);
    return new KnownValue(text, 0, text.length, this.value, this.depth, this.objectBytes);
  }

  /** The same, with another value's text that holds this one's at a position; nothing if it does not. */
  within(whole: KnownValue, position: number): KnownValue | undefined {
    const start = whole.#start + position;
    return position >= 0 && position + this.length <= whole.length && this.standsAt(whole.#source, start)
      ? new KnownValue(whole.#source, start, start + this.length, this.value, this.depth, this.objectBytes)
      : undefined;
  }
}

/**
 * Remembers values between documents. What it proposes is taken only if the document has the very text of it at that
 * place, so that a bad proposal costs time and nothing else: of one text there is one value, wherever it stands.
 *
 * Depths count the objects and arrays around a value: 0 for the document itself.
 */
export interface KnownValues {
  /**
   * An object or array begins.
   *
   * @param key of the value in its object; empty in an array
   * @param parentKey the key of its object or array, in the same way
   * @returns what may stand here; it is tried in order
   */
  propose(
    text: string,
    position: number,
    depth: number,
    key: string,
    parentKey: string,
  ): readonly KnownValue[];
  /** Whether {@linkcode KnownValues.learn} is to be called with a value that was read at such a place. */
  learns(depth: number, key: string, parentKey: string): boolean;
  /**
   * A value was read that was not proposed, or stepped over; the document may still turn out to be malformed behind it.
   *
   * @param known if it is new, its text is still a part of the document: keep it
   * {@linkcode KnownValue.detached}, or the whole document stays in memory
   * @param position where it begins
   */
  learn(known: KnownValue, isNew: boolean, position: number, depth: number, key: string): void;
  /** Deeper than this, nothing is asked and told. */
  readonly maxDepth: number;
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * The text of UTF-8 bytes. A byte order mark is kept, and then refused by {@linkcode parseStrictJson}.
 *
 * @throws {SignedPodsError} `json-malformed` if the bytes are not UTF-8
 */
export function decodeUtf8(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw new SignedPodsError("json-malformed", "Not UTF-8: JSON must be UTF-8 text", undefined, { cause });
  }
}

/**
 * Reads one JSON document.
 *
 * Integers beyond ±(2^53 - 1) that are written without fraction and exponent become `bigint`; `__proto__` is a
 * key like others. Strings never share memory with the text, so that keeping one does not keep the document.
 *
 * @throws {SignedPodsError} `json-malformed`, with line and column (both from 1, columns in UTF-16 code units);
 * the message never shows the value of a string
 *
 * @example
 * ```ts
 * import { parseStrictJson } from "@signed-pods/shared/strict-json";
 * if (parseStrictJson("1.5e1") !== 15) throw new Error("not so");
 * if (parseStrictJson("9007199254740993") !== 9007199254740993n) throw new Error("not so");
 * ```
 */
export function parseStrictJson(text: string, options: StrictJsonOptions = {}): JsonValue {
  return new Reader(text, options.maxDepth ?? DEFAULT_MAX_DEPTH, options.known).document();
}

/** What an object or array takes in memory beside its members, in bytes. */
const OBJECT_BYTES = 64;

/** What a member or item takes beside the characters of its value, in bytes. */
const MEMBER_BYTES = 32;

/** What a UTF-16 code unit takes: one byte in most strings, two in those beyond Latin-1. */
const CHARACTER_BYTES = 2;

const TAB = 0x09;
const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const SPACE = 0x20;
const QUOTE = 0x22;
const PLUS = 0x2b;
const COMMA = 0x2c;
const MINUS = 0x2d;
const DOT = 0x2e;
const DIGIT_0 = 0x30;
const DIGIT_9 = 0x39;
const COLON = 0x3a;
const UPPER_E = 0x45;
const LEFT_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const RIGHT_BRACKET = 0x5d;
const LOWER_E = 0x65;
const LOWER_F = 0x66;
const LOWER_N = 0x6e;
const LOWER_T = 0x74;
const LOWER_U = 0x75;
const LEFT_BRACE = 0x7b;
const RIGHT_BRACE = 0x7d;
const BYTE_ORDER_MARK = 0xfeff;

/** The second characters of the escapes that have two: `"\\/bfnrt`. */
const SHORT_ESCAPES: ReadonlySet<number> = new Set([0x22, 0x5c, 0x2f, 0x62, 0x66, 0x6e, 0x72, 0x74]);

/** An array or object that is being read; for an object with the key whose value comes next. */
interface Frame {
  container: JsonValue[] | JsonObject;
  key: string;
  /** Where it begins. */
  start: number;
  /** Levels of objects and arrays in it, as far as it has been read. */
  levels: number;
  /** What its members take, without their characters, in bytes. */
  bytes: number;
}

/** One pass over one text. Nesting is on the heap: depth cannot exhaust the call stack. */
class Reader {
  readonly #text: string;
  readonly #maxDepth: number;
  readonly #known: KnownValues | undefined;
  /** Depths below this one are asked for and told. */
  readonly #knownDepths: number;
  #position = 0;

  constructor(text: string, maxDepth: number, known: KnownValues | undefined) {
    this.#text = text;
    this.#maxDepth = maxDepth;
    this.#known = known;
    this.#knownDepths = known === undefined ? 0 : known.maxDepth + 1;
  }

  document(): JsonValue {
    const text = this.#text;
    // Raw surrogates are judged once here; string() then has only the escaped ones to pair.
    if (!text.isWellFormed()) {
      throw this.#error("a surrogate without its pair (not Unicode)", firstLoneSurrogate(text));
    }
    if (text.charCodeAt(0) === BYTE_ORDER_MARK) {
      throw this.#error("a byte order mark, save the file without it", 0);
    }
    const stack: Frame[] = [];
    this.#skipSpace();
    while (true) {
      let value = this.#value(stack);
      if (value === undefined) continue;
      // The value is complete: put it in its container, and close every container that it completes.
      while (true) {
        const frame = stack.at(-1);
        if (frame === undefined) {
          this.#skipSpace();
          if (this.#position < text.length) throw this.#error("expected the end of the document");
          return value;
        }
        const { container } = frame;
        frame.bytes += MEMBER_BYTES;
        this.#skipSpace();
        const code = text.charCodeAt(this.#position);
        if (Array.isArray(container)) {
          container.push(value);
          if (code === COMMA) {
            this.#position++;
            this.#skipSpace();
            break;
          }
          if (code !== RIGHT_BRACKET) throw this.#error('expected "," or "]"');
        } else {
          setOwn(container, frame.key, value);
          if (code === COMMA) {
            this.#position++;
            this.#skipSpace();
            frame.key = this.#key(container);
            break;
          }
          if (code !== RIGHT_BRACE) throw this.#error('expected "," or "}"');
        }
        this.#position++;
        stack.pop();
        value = container;
        count(stack, frame.levels + 1, frame.bytes + OBJECT_BYTES);
        if (stack.length < this.#knownDepths) this.#learn(container, frame, stack);
      }
    }
  }

  /** Reads a whole value; or opens an array or object that is not empty, and returns undefined. */
  #value(stack: Frame[]): JsonValue | undefined {
    const start = this.#position;
    switch (this.#text.charCodeAt(start)) {
      case QUOTE:
        return this.#string();
      case LEFT_BRACE: {
        const known = stack.length < this.#knownDepths ? this.#knownValue(stack) : undefined;
        if (known !== undefined) return known;
        this.#enter(stack.length);
        const object: JsonObject = {};
        if (this.#text.charCodeAt(this.#position) === RIGHT_BRACE) {
          this.#position++;
          count(stack, 1, OBJECT_BYTES);
          return object;
        }
        stack.push({ container: object, key: this.#key(object), start, levels: 0, bytes: 0 });
        return undefined;
      }
      case LEFT_BRACKET: {
        const known = stack.length < this.#knownDepths ? this.#knownValue(stack) : undefined;
        if (known !== undefined) return known;
        this.#enter(stack.length);
        const items: JsonValue[] = [];
        if (this.#text.charCodeAt(this.#position) === RIGHT_BRACKET) {
          this.#position++;
          count(stack, 1, OBJECT_BYTES);
          return items;
        }
        stack.push({ container: items, key: "", start, levels: 0, bytes: 0 });
        return undefined;
      }
      case LOWER_T:
        return this.#literal("true", true);
      case LOWER_F:
        return this.#literal("false", false);
      case LOWER_N:
        return this.#literal("null", null);
      default:
        return this.#number();
    }
  }

  /**
   * Steps over an object or array whose whole text was read before. Such a text ends with the bracket that closes what its
   * first one opens, so nothing behind it can belong to the value.
   */
  #knownValue(stack: readonly Frame[]): JsonValue | undefined {
    const known = this.#known;
    if (known === undefined) return undefined;
    const depth = stack.length;
    const position = this.#position;
    const key = stack[depth - 1]?.key ?? "";
    const parentKey = stack[depth - 2]?.key ?? "";
    const proposals = known.propose(this.#text, position, depth, key, parentKey);
    for (let index = 0; index < proposals.length; index++) {
      const proposed = proposals[index];
      if (proposed === undefined) break;
      if (depth + proposed.depth <= this.#maxDepth && proposed.standsAt(this.#text, position)) {
        this.#position += proposed.length;
        count(stack, proposed.depth, proposed.objectBytes);
        known.learn(proposed, false, position, depth, key);
        return proposed.value;
      }
    }
    return undefined;
  }

  /** Hands on an object or array that has been read to its end. */
  #learn(value: JsonObject | JsonValue[], frame: Frame, stack: readonly Frame[]): void {
    const depth = stack.length;
    const key = stack[depth - 1]?.key ?? "";
    const parentKey = stack[depth - 2]?.key ?? "";
    if (this.#known?.learns(depth, key, parentKey) === true) {
      const { start, levels, bytes } = frame;
      const read = makeKnownValue(
        this.#text,
        start,
        this.#position,
        value,
        levels + 1,
        bytes + OBJECT_BYTES,
      );
      this.#known.learn(read, true, start, depth, key);
    }
  }

  /** Steps over the bracket or brace that opens a container inside `depth` others. */
  #enter(depth: number): void {
    if (depth >= this.#maxDepth) throw this.#error(`nested deeper than ${this.#maxDepth} levels`);
    this.#position++;
    this.#skipSpace();
  }

  #skipSpace(): void {
    const text = this.#text;
    let position = this.#position;
    while (true) {
      const code = text.charCodeAt(position);
      if (code !== SPACE && code !== LINE_FEED && code !== CARRIAGE_RETURN && code !== TAB) break;
      position++;
    }
    this.#position = position;
  }

  #literal(word: string, value: boolean | null): boolean | null {
    if (!this.#text.startsWith(word, this.#position)) throw this.#error("expected a value");
    this.#position += word.length;
    return value;
  }

  /** Reads a key that `object` does not have yet, the colon and the space around it. */
  #key(object: JsonObject): string {
    const start = this.#position;
    if (this.#text.charCodeAt(start) !== QUOTE) throw this.#error("expected a key in double quotes");
    const key = this.#string();
    if (Object.hasOwn(object, key)) {
      const shown = key.length > MAX_SHOWN_KEY_LENGTH ? key.slice(0, MAX_SHOWN_KEY_LENGTH) + "…" : key;
      throw this.#error(`duplicate key ${JSON.stringify(shown.toWellFormed())}`, start);
    }
    this.#skipSpace();
    if (this.#text.charCodeAt(this.#position) !== COLON) throw this.#error('expected ":"');
    this.#position++;
    this.#skipSpace();
    return key;
  }

  /** Reads a string, from its opening to behind its closing quote. */
  #string(): string {
    const text = this.#text;
    const start = this.#position;
    let position = start + 1;
    let escaped = false;
    while (true) {
      const code = text.charCodeAt(position);
      if (code === QUOTE) break;
      if (code === BACKSLASH) {
        escaped = true;
        position = this.#escape(position);
      } else if (code < SPACE) {
        throw this.#error("a control character in a string, escape it", position);
      } else if (code !== code) {
        // NaN: charCodeAt is behind the end.
        throw this.#error("a string without closing quote");
      } else {
        position++;
      }
    }
    this.#position = position + 1;
    if (!escaped && position - start <= MAX_COPIED_LENGTH) return text.slice(start + 1, position);
    return unquote(text.slice(start, position + 1));
  }

  /** Steps over the escape at `position` (RFC 8259 section 7), or over the two that make a surrogate pair. */
  #escape(position: number): number {
    const code = this.#text.charCodeAt(position + 1);
    if (code !== LOWER_U) {
      if (SHORT_ESCAPES.has(code)) return position + 2;
      throw this.#error("an escape that JSON lacks", position);
    }
    const first = this.#hexadecimal(position + 2);
    if (first < 0xd800 || first > 0xdfff) return position + 6;
    if (first < 0xdc00 && this.#text.startsWith("\\u", position + 6)) {
      const second = this.#hexadecimal(position + 8);
      if (second >= 0xdc00 && second <= 0xdfff) return position + 12;
    }
    throw this.#error("an escaped surrogate without its pair (not Unicode)", position);
  }

  /** The number that four hexadecimal digits make. */
  #hexadecimal(start: number): number {
    let value = 0;
    for (let position = start; position < start + 4; position++) {
      const digit = hexadecimalDigit(this.#text.charCodeAt(position));
      if (digit < 0) throw this.#error('expected four hexadecimal digits after "\\u"', start - 2);
      value = value * 16 + digit;
    }
    return value;
  }

  /** Reads a number (RFC 8259 section 6). */
  #number(): number | bigint {
    const text = this.#text;
    const start = this.#position;
    let position = start;
    const negative = text.charCodeAt(position) === MINUS;
    if (negative) position++;
    const digitsStart = position;
    position = skipDigits(text, position);
    const digits = position - digitsStart;
    if (digits === 0) {
      throw negative ? this.#error('expected a digit after "-"', position) : this.#error("expected a value");
    }
    if (digits > 1 && text.charCodeAt(digitsStart) === DIGIT_0) {
      throw this.#error("a number that starts with 0, remove the zero or write a string", digitsStart);
    }
    if (digits > MAX_INTEGER_DIGITS) {
      throw this.#error(`an integer of more than ${MAX_INTEGER_DIGITS} digits`);
    }
    let integer = true;
    if (text.charCodeAt(position) === DOT) {
      integer = false;
      position = this.#someDigits(position + 1);
    }
    const exponent = text.charCodeAt(position);
    if (exponent === LOWER_E || exponent === UPPER_E) {
      integer = false;
      const sign = text.charCodeAt(position + 1);
      position = this.#someDigits(position + (sign === PLUS || sign === MINUS ? 2 : 1));
    }
    const token = text.slice(start, position);
    const value = Number(token);
    if (integer && digits > SAFE_DIGITS && !Number.isSafeInteger(value)) {
      this.#position = position;
      return BigInt(token);
    }
    if (!Number.isFinite(value)) throw this.#error("a number beyond what a double holds");
    this.#position = position;
    return value;
  }

  /** The position behind the digits at `position`, of which there must be one. */
  #someDigits(position: number): number {
    const end = skipDigits(this.#text, position);
    if (end === position) throw this.#error("expected a digit", position);
    return end;
  }

  #error(what: string, position: number = this.#position): SignedPodsError {
    const text = this.#text;
    let line = 1;
    let lineStart = 0;
    for (let end = text.indexOf("\n"); end >= 0 && end < position; end = text.indexOf("\n", lineStart)) {
      line++;
      lineStart = end + 1;
    }
    const where = `line ${line}, column ${position - lineStart + 1}`;
    const found = position >= text.length ? `${what}, but the text ends` : what;
    return new SignedPodsError("json-malformed", `Not strict JSON at ${where}: ${found}`);
  }
}

/** Notes what an object or array that is complete adds to the one around it. */
function count(stack: readonly Frame[], levels: number, bytes: number): void {
  const frame = stack[stack.length - 1];
  if (frame !== undefined) {
    frame.levels = Math.max(frame.levels, levels);
    frame.bytes += bytes;
  }
}

/** The string that a complete string token stands for. The token has been checked, so this cannot fail. */
function unquote(token: string): string {
  const value: unknown = JSON.parse(token);
  return String(value);
}

/** A part of a text that does not keep the rest of it in memory: joined to something, it is written anew. */
function copyOf(text: string, start: number, end: number): string {
  return ` ${text.slice(start, end)}`.slice(1);
}

function skipDigits(text: string, start: number): number {
  let position = start;
  while (true) {
    const code = text.charCodeAt(position);
    // At the end of the text the code is NaN, which fails both comparisons.
    if (!(code >= DIGIT_0 && code <= DIGIT_9)) return position;
    position++;
  }
}

/** The value of a hexadecimal digit's code unit; -1 for any other. */
function hexadecimalDigit(code: number): number {
  if (code >= DIGIT_0 && code <= DIGIT_9) return code - DIGIT_0;
  const lower = code | 0x20;
  if (lower >= 0x61 && lower <= 0x66) return lower - 0x57;
  return -1;
}

/** Where the first half of a surrogate pair stands alone, in text that is known to have one. */
function firstLoneSurrogate(text: string): number {
  let position = 0;
  for (const character of text) {
    if (!character.isWellFormed()) break;
    position += character.length;
  }
  return position;
}
