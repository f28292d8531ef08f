/**
 * Reads a configuration file in YAML or JSON: one document, no key twice, and nothing that unfolds into more than it is.
 *
 * @module
 */
import { messageOf } from "@signed-pods/shared/errors";
import { parseDocument } from "yaml";

/** A map of a configuration file, whose values are yet to be looked at. */
export type Fields = Record<string, unknown>;

/** Most values that one alias may stand for, so that a small file cannot unfold into a large one. */
export const MAX_ALIASES = 10;

/** What came out of reading a file. */
export type ParsedYaml = { ok: true; value: unknown } | { ok: false; problems: string[] };

/** Reads a text; what is wrong is said without showing the place, where a secret may stand. */
export function parseStrictYaml(text: string): ParsedYaml {
  try {
    const document = parseDocument(text, { uniqueKeys: true, strict: true, stringKeys: true });
    const complaints = [...document.errors, ...document.warnings];
    return complaints.length > 0
      // The first line only: the others show the place.
      ? { ok: false, problems: complaints.map(({ message }) => message.split("\n", 1)[0] ?? "") }
      : { ok: true, value: document.toJS({ maxAliasCount: MAX_ALIASES }) };
  } catch (error) {
    return { ok: false, problems: [messageOf(error)] };
  }
}

/** Tells a map from other values. */
export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
