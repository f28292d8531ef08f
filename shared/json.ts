/**
 * The shapes of JSON (RFC 8259) as this project reads and writes it, and how to reach into them safely.
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

/** An own property; nothing if the object lacks it, whatever its prototype has. */
export function getOwn(object: JsonObject, key: string): JsonValue | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

/** Sets an own property whatever its name, also `__proto__`, which plain assignment would take for the prototype. */
export function setOwn(object: JsonObject, key: string, value: JsonValue): void {
  if (key === "__proto__") {
    Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
  } else {
    object[key] = value;
  }
}

/** The object under a key; an empty one if there is none. For reading only: changes to the empty one are lost. */
export function objectAt(object: JsonObject, key: string): JsonObject {
  const value = getOwn(object, key);
  return isJsonObject(value) ? value : {};
}

/** The objects in the list under a key, without what is no object; none if there is no list. */
export function objectsAt(object: JsonObject, key: string): JsonObject[] {
  const value = getOwn(object, key);
  if (!Array.isArray(value)) return [];
  const objects: JsonObject[] = [];
  for (let index = 0; index < value.length; index++) {
    const item = value[index];
    if (isJsonObject(item)) objects.push(item);
  }
  return objects;
}

/** Whether two values are the same JSON: objects by their keys whatever the order, lists in order. */
export function equalJson(a: JsonValue, b: JsonValue): boolean {
  if (a === b) return true;
  if (Array.isArray(a)) {
    return Array.isArray(b) && a.length === b.length &&
      a.every((item, index) => equalJson(item, b[index] ?? null));
  }
  if (!isJsonObject(a) || !isJsonObject(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length &&
    keys.every((key) => Object.hasOwn(b, key) && equalJson(a[key] ?? null, b[key] ?? null));
}

/** What {@linkcode deepFreeze} was given: nothing in it can change any more. */
const frozen = new WeakSet<object>();

/** Makes a value and all its parts unchangeable, so that it can be shared. */
export function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !frozen.has(value)) {
    freezeParts(value);
    frozen.add(value);
  }
  return value;
}

function freezeParts(value: object): void {
  const parts: readonly unknown[] = Array.isArray(value) ? value : Object.values(value);
  // Counted, since before a loop is optimized an iterator makes an object for each part.
  for (let index = 0; index < parts.length; index++) {
    const part = parts[index];
    if (typeof part === "object" && part !== null && !frozen.has(part)) freezeParts(part);
  }
  Object.freeze(value);
}

/**
 * Whether {@linkcode deepFreeze} was given this very object. What follows from such a value alone can be remembered by its
 * identity. Not so for its parts, unless they were given to it too.
 */
export function isDeeplyFrozen(value: unknown): boolean {
  return typeof value === "object" && value !== null && frozen.has(value);
}
