/**
 * Reads the documents that owners sign: every field known, of its type, and each problem told with its path.
 *
 * @module
 */
import type { Problem } from "./errors.ts";
import { getOwn, isJsonObject, type JsonObject, type JsonValue } from "./json.ts";

/** Longest text that a message shows, in UTF-16 code units. */
const MAX_QUOTED_LENGTH = 80;

/** A text in quotes, shortened. */
export function quote(text: string): string {
  return JSON.stringify(text.length > MAX_QUOTED_LENGTH ? `${text.slice(0, MAX_QUOTED_LENGTH)}…` : text);
}

/** Checks that a value is an object with these fields and no others. */
export function readFields(
  value: JsonValue | undefined,
  path: string,
  required: readonly string[],
  optional: readonly string[],
  problems: Problem[],
): JsonObject | undefined {
  if (!isJsonObject(value)) {
    problems.push({ path, message: "is not an object" });
    return undefined;
  }
  const at = (key: string) => path === "" ? key : `${path}.${key}`;
  for (const key of required) {
    if (!Object.hasOwn(value, key)) problems.push({ path: at(key), message: "is missing" });
  }
  for (const key of Object.keys(value)) {
    if (!required.includes(key) && !optional.includes(key)) {
      problems.push({ path, message: `has the field ${quote(key)}, unknown to this version` });
    }
  }
  return value;
}

/** A text; undefined, with a problem, for other values, and undefined where there is none. */
export function readText(
  object: JsonObject,
  key: string,
  path: string,
  problems: Problem[],
): string | undefined {
  const value = getOwn(object, key);
  if (value === undefined || typeof value === "string") return value;
  problems.push({ path: path === "" ? key : `${path}.${key}`, message: "is not a text" });
  return undefined;
}

/** A mapping of texts to texts; empty where there is none. */
export function readTextMap(
  object: JsonObject,
  key: string,
  path: string,
  problems: Problem[],
): Record<string, string> {
  const value = getOwn(object, key) ?? {};
  if (!isJsonObject(value)) {
    problems.push({ path, message: "is not a mapping" });
    return {};
  }
  const entries: [string, string][] = [];
  for (const [name, text] of Object.entries(value)) {
    if (typeof text === "string") entries.push([name, text]);
    else problems.push({ path: `${path}[${quote(name)}]`, message: "is not a text; put it in quotes" });
  }
  return Object.fromEntries(entries);
}

/** A list of texts; undefined, with a problem, for other values. */
export function readTexts(
  list: JsonValue | undefined,
  path: string,
  problems: Problem[],
): string[] | undefined {
  if (!Array.isArray(list)) {
    problems.push({ path, message: "is not a list" });
    return undefined;
  }
  const texts: string[] = [];
  for (const [index, item] of list.entries()) {
    if (typeof item === "string") texts.push(item);
    else problems.push({ path: `${path}[${index}]`, message: "is not a text" });
  }
  return texts;
}
