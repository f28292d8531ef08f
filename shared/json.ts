/**
 * The shapes of JSON (RFC 8259) as this project reads and writes it.
 *
 * @module
 */

/**
 * Any JSON value. An integer beyond ±(2^53 - 1) is a `bigint`, so that it is never rounded: whoever reads a
 * document decides by its path whether to refuse it (the pod schema and canonical JSON do).
 */
export type JsonValue = null | boolean | number | bigint | string | JsonValue[] | JsonObject;

/** A JSON object. Keys are own, enumerable properties in the order of the text; `__proto__` is a key like others. */
export interface JsonObject {
  [key: string]: JsonValue;
}

/** Tells an object from the other JSON values. */
export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
