import assert from "node:assert/strict";
import { readVectors } from "../../tests/vectors/read_vectors.ts";
import { isJsonObject, type JsonValue, objectAt } from "../json.ts";
import { readContent } from "./object_content.ts";
import { contentPinAsJson, pinContent, readContentPin, readSalt, SALT_ANNOTATION } from "./pins.ts";

/** The pin of a vector's object; undefined if it has none. */
async function pinOf(input: JsonValue): Promise<JsonValue | undefined> {
  assert.ok(isJsonObject(input));
  const object = objectAt(input, "object");
  const { kind } = object;
  assert.ok(kind === "ConfigMap" || kind === "Secret");
  const { entries, problems } = readContent(kind, object, { manifest: true });
  const salt = readSalt(objectAt(objectAt(object, "metadata"), "annotations")[SALT_ANNOTATION]);
  if (problems.length > 0 || (kind === "Secret" && salt === undefined)) return undefined;
  const { keys } = input;
  const used = [...entries].filter(([key]) => !Array.isArray(keys) || keys.includes(key));
  const pin = contentPinAsJson(await pinContent(used, salt));
  const pinProblems: [] = [];
  assert.deepEqual(contentPinAsJson(readContentPin(kind, pin, "", pinProblems)), pin);
  assert.deepEqual(pinProblems, []);
  return pin;
}

for (const { name, input, expected, error } of await readVectors("pins.json")) {
  Deno.test(`${error === undefined ? "pins" : "refuses to pin"} ${name}`, async () => {
    assert.deepEqual(await pinOf(input), expected);
  });
}
