/**
 * Reading values out of JSON that a program printed.
 *
 * @module
 */
import { isJsonObject, type JsonObject, type JsonValue } from "@signed-pods/shared/json";

/** Parses what kubectl or ctr printed. */
export function parseJson(text: string): JsonValue {
  return JSON.parse(text);
}

/** Parses text that must be an object. */
export function parseObject(text: string): JsonObject {
  const value = parseJson(text);
  if (!isJsonObject(value)) throw new Error(`Expected a JSON object, found ${text.slice(0, 200)}`);
  return value;
}

/** The value at a path of keys and indices; undefined where the path ends early. */
export function at(value: JsonValue | undefined, ...path: (string | number)[]): JsonValue | undefined {
  let current = value;
  for (const step of path) {
    if (typeof step === "number") current = Array.isArray(current) ? current[step] : undefined;
    else current = isJsonObject(current) && Object.hasOwn(current, step) ? current[step] : undefined;
  }
  return current;
}

/** The text at a path; undefined where there is none. */
export function textAt(value: JsonValue | undefined, ...path: (string | number)[]): string | undefined {
  const found = at(value, ...path);
  return typeof found === "string" ? found : undefined;
}

/** The list at a path; empty where there is none. */
export function listAt(value: JsonValue | undefined, ...path: (string | number)[]): JsonValue[] {
  const found = at(value, ...path);
  return Array.isArray(found) ? found : [];
}

/** The object at a path, which must be there. */
export function objectAt(value: JsonValue | undefined, ...path: (string | number)[]): JsonObject {
  const found = at(value, ...path);
  if (!isJsonObject(found)) throw new Error(`Expected an object at ${path.join(".") || "the root"}`);
  return found;
}
