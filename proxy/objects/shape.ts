/**
 * Shapes of values: what a field may hold. A shape builds the value that is passed on out of the one that came, and says
 * where it does not fit. Fields that no shape names are left out, so that nothing crosses that nobody thought of.
 *
 * `null` is the same as an absent field, as it is to Go's decoder, and never an item of a list or a value of a map.
 *
 * @module
 */
import type { Problem } from "@signed-pods/shared/errors";
import { getOwn, isJsonObject, type JsonObject, type JsonValue, setOwn } from "@signed-pods/shared/json";
import { isTime } from "@signed-pods/shared/pod/grammar";
import { parseQuantity } from "@signed-pods/shared/pod/quantity";

/** Takes a value, or reports what is wrong with it; then what it returns means nothing. */
export type Shape = (value: JsonValue, path: string, report: (problem: Problem) => void) => JsonValue;

/** Most items of a list whose shape names no other number. */
const MAX_ITEMS = 1000;

/** Longest name of a key in a message, in UTF-16 code units: a key may be as long as an object. */
const MAX_SHOWN_KEY_LENGTH = 64;

/** Fits one value to a shape. */
export function fit(
  shape: Shape,
  value: JsonValue,
): { ok: true; value: JsonValue } | { ok: false; problems: Problem[] } {
  const problems: Problem[] = [];
  const built = shape(value, "", (problem) => void problems.push(problem));
  return problems.length === 0 ? { ok: true, value: built } : { ok: false, problems };
}

/** An object with these fields; others are left out. */
export function fields(shapes: Readonly<Record<string, Shape>>, required: readonly string[] = []): Shape {
  return (value, path, report) => {
    if (!isJsonObject(value)) {
      report({ path, message: "is not an object" });
      return null;
    }
    const built: JsonObject = {};
    for (const [key, shape] of Object.entries(shapes)) {
      const found = getOwn(value, key) ?? null;
      const at = path === "" ? key : `${path}.${key}`;
      if (found !== null) {
        built[key] = shape(found, at, report);
      } else if (required.includes(key)) {
        report({ path: at, message: "is missing" });
      }
    }
    return built;
  };
}

/** A text with a grammar. Its value never stands in the message. */
export function text(fits: (text: string) => boolean, form: string): Shape {
  return (value, path, report) => {
    if (typeof value !== "string" || !fits(value)) {
      report({ path, message: `is not ${form}` });
    }
    return value;
  };
}

/** A text that may hold anything, up to so many UTF-16 code units. */
export function anyText(maxLength: number): Shape {
  return text((found) => found.length <= maxLength, `a text of at most ${maxLength} characters`);
}

/** One of some words. */
export function word(...words: readonly string[]): Shape {
  return text((found) => words.includes(found), words.map((known) => `"${known}"`).join(" or "));
}

/** An integer from `min` to `max`. */
export function integer(min: number, max: number): Shape {
  return (value, path, report) => {
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value < min || value > max) {
      report({ path, message: `is not a whole number from ${min} to ${max}` });
    }
    return value;
  };
}

/** The integers of Go's int32 from 0. */
export const COUNT: Shape = integer(0, 2 ** 31 - 1);

/** A time (RFC 3339). */
export const TIME: Shape = text(isTime, "a time (RFC 3339)");

/** `true` or `false`. */
export const BOOLEAN: Shape = (value, path, report) => {
  if (typeof value !== "boolean") {
    report({ path, message: "is not true or false" });
  }
  return value;
};

/** An amount, for example `10Gi`. */
export const QUANTITY: Shape = (value, path, report) => {
  try {
    if (typeof value !== "string") {
      throw new TypeError("no text");
    }
    parseQuantity(value);
  } catch {
    report({ path, message: "is not a quantity" });
  }
  return value;
};

/** A list of items of one shape. */
export function list(item: Shape, maxItems: number = MAX_ITEMS): Shape {
  return (value, path, report) => {
    if (!Array.isArray(value)) {
      report({ path, message: "is not a list" });
      return null;
    }
    if (value.length > maxItems) {
      report({ path, message: `has more than ${maxItems} items` });
      return null;
    }
    return value.map((found, index) => item(found, `${path}[${index}]`, report));
  };
}

/** Keys with a grammar, and values of one shape. */
export function map(
  fits: (key: string) => boolean,
  form: string,
  item: Shape,
  maxEntries: number = MAX_ITEMS,
): Shape {
  return (value, path, report) => {
    if (!isJsonObject(value)) {
      report({ path, message: "is not an object" });
      return null;
    }
    const entries = Object.entries(value);
    if (entries.length > maxEntries) {
      report({ path, message: `has more than ${maxEntries} keys` });
      return null;
    }
    const built: JsonObject = {};
    for (const [key, found] of entries) {
      const at = `${path}[${showKey(key)}]`;
      if (!fits(key)) {
        report({ path: at, message: `has a key that is not ${form}` });
      } else {
        setOwn(built, key, item(found, at, report));
      }
    }
    return built;
  };
}

/** A shape, and what must hold of the whole value beside it. */
export function checked(shape: Shape, problemOf: (value: JsonObject) => Problem | undefined): Shape {
  return (value, path, report) => {
    let failed = false;
    const built = shape(value, path, (problem) => {
      failed = true;
      report(problem);
    });
    const problem = !failed && isJsonObject(built) ? problemOf(built) : undefined;
    if (problem !== undefined) {
      report({ path: path === "" ? problem.path : `${path}.${problem.path}`, message: problem.message });
    }
    return built;
  };
}

/** A key as it is shown to people: on one line, and not too long. */
export function showKey(key: string): string {
  return JSON.stringify(key.slice(0, MAX_SHOWN_KEY_LENGTH).toWellFormed()).slice(1, -1);
}
