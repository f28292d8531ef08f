/**
 * The JSON text of a pod that was built, with the text of parts that cannot change made once.
 *
 * @module
 */
import { isDeeplyFrozen, isJsonObject, type JsonObject, type JsonValue } from "@signed-pods/shared/json";

/** Texts of values that cannot change; they go with the values. */
const texts = new WeakMap<object, string>();

/** What `JSON.stringify` makes of a pod. */
export function podText(pod: JsonObject): string {
  return textOfMembers(
    pod,
    (value) => isJsonObject(value) && !isDeeplyFrozen(value) ? textOfMembers(value, textOf) : textOf(value),
  );
}

function textOfMembers(object: JsonObject, textOfMember: (value: JsonValue) => string): string {
  let text = "{";
  for (const key of Object.keys(object)) {
    text += `${text === "{" ? "" : ","}${JSON.stringify(key)}:${textOfMember(object[key] ?? null)}`;
  }
  return `${text}}`;
}

function textOf(value: JsonValue): string {
  if (typeof value !== "object" || value === null || !isDeeplyFrozen(value)) {
    return JSON.stringify(value);
  }
  let text = texts.get(value);
  if (text === undefined) {
    text = JSON.stringify(value);
    texts.set(value, text);
  }
  return text;
}
