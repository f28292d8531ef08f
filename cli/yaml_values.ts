/**
 * What YAML means, read by another library than the manifest's own reader (`yaml_parser.ts`): it makes no syntax tree and
 * takes a tenth of the time. It knows less, and leaves to the other whatever is out of the ordinary.
 *
 * @module
 */
import { defineMappingTag, defineScalarTag, loadAll, NOT_RESOLVED, Schema, seqTag, strTag } from "js-yaml";
import { isJsonObject, type JsonObject, type JsonValue, setOwn } from "@signed-pods/shared/json";
import { readPlainScalar } from "./yaml_scalar.ts";

/** Plain scalars as the manifest's reader takes them; what is none of these is text to both. */
const PLAIN = defineScalarTag<null | boolean | number>("tag:signed-pods,2026:plain", {
  implicit: true,
  resolve: (source, isExplicit) => {
    if (isExplicit) return NOT_RESOLVED;
    const result = readPlainScalar(source);
    return result.ok && typeof result.value !== "string" ? result.value : NOT_RESOLVED;
  },
  identify: () => false,
});

/** Mappings whose keys are text, whatever they are called. */
const MAP = defineMappingTag<JsonObject>("tag:yaml.org,2002:map", {
  create: () => ({}),
  addPair: (object, key, value) => {
    if (typeof key !== "string") return "a key is not text";
    if (!isValue(value)) return "a value is none of JSON's";
    setOwn(object, key, value);
    return "";
  },
  has: (object, key) => typeof key === "string" && Object.hasOwn(object, key),
  keys: (object) => Object.keys(object),
  get: (object, key) => typeof key === "string" && Object.hasOwn(object, key) ? object[key] : undefined,
  identify: () => false,
});

const SCHEMA = new Schema([strTag, seqTag, MAP, PLAIN]);

/** The library gives `unknown`, but nothing else than what the tags of SCHEMA make. */
function isValue(value: unknown): value is JsonValue {
  return ["object", "string", "number", "boolean"].includes(typeof value);
}

/**
 * The values of all documents of a text, each an object or nothing.
 *
 * @param text YAML, without a byte order mark
 * @returns undefined if the text cannot be read, if it has directives, aliases, tags, keys that are no text or are there twice,
 * or if a document is anything else
 */
export function readYamlValues(text: string): JsonValue[] | undefined {
  // Some programs take every line that begins like this for a directive.
  if (/^%/m.test(text)) return undefined;
  let values: unknown[];
  try {
    values = loadAll(text, { schema: SCHEMA, maxAliases: 0 });
  } catch {
    return undefined;
  }
  const isObjectOrNothing = (value: unknown): value is JsonObject | null =>
    value === null || (isValue(value) && isJsonObject(value));
  return values.every(isObjectOrNothing) ? values : undefined;
}
