/**
 * Objects that hold no pods.
 *
 * @module
 */
import { isJsonObject, type JsonObject, type JsonValue } from "@signed-pods/shared/json";
import { MAX_DEPTH, type Path } from "./manifest.ts";

/** An object that is not signed, and where it is in its document. */
export interface IgnoredObject {
  readonly object: JsonObject;
  readonly path: Path;
}

/**
 * Counts the objects of a document, items of lists one by one, that are not signed, by kind.
 *
 * @param document the document
 * @param locations the templates that were found in it, and what else is written to
 * @param counts what is added to
 * @returns the objects
 */
export function countIgnored(
  document: JsonValue,
  locations: readonly { readonly path: Path }[],
  counts: Map<string, number>,
): IgnoredObject[] {
  const objects: IgnoredObject[] = [];
  const found = new Set(locations.flatMap(({ path }) => prefixes(path)));
  const visit = (value: JsonValue, path: Path) => {
    if (!isJsonObject(value) || path.length > MAX_DEPTH) return;
    const { kind, items } = value;
    if (typeof kind === "string" && kind.endsWith("List") && Array.isArray(items)) {
      for (const [index, item] of items.entries()) visit(item, [...path, "items", index]);
      return;
    }
    if (found.has(JSON.stringify(path))) return;
    const name = typeof kind === "string" ? kind : "object without kind";
    counts.set(name, (counts.get(name) ?? 0) + 1);
    objects.push({ object: value, path });
  };
  visit(document, []);
  return objects;
}

function prefixes(path: Path): string[] {
  return [...path, ""].map((_, length) => JSON.stringify(path.slice(0, length)));
}
