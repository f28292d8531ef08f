/**
 * Objects of kinds that podsign does not know, which make pods all the same: custom workloads, misspelt kinds.
 *
 * @module
 */
import { isJsonObject, type JsonObject, type JsonValue } from "@signed-pods/shared/json";
import { MAX_DEPTH, type Path } from "./manifest.ts";

/**
 * Where an object holds what looks like a pod's spec: a mapping with a list of containers that have images.
 *
 * @returns undefined if nothing in it does
 */
export function podSpecIn(object: JsonObject): Path | undefined {
  const visit = (value: JsonValue, path: Path): Path | undefined => {
    if (path.length > MAX_DEPTH) return undefined;
    if (Array.isArray(value)) return firstOf(value.entries(), path, visit);
    if (!isJsonObject(value)) return undefined;
    const { containers } = value;
    if (Array.isArray(containers) && containers.some(isContainer)) return path;
    return firstOf(Object.entries(value), path, visit);
  };
  return visit(object, []);
}

function isContainer(value: JsonValue): boolean {
  return isJsonObject(value) && typeof value.image === "string";
}

function firstOf(
  entries: Iterable<[string | number, JsonValue]>,
  path: Path,
  visit: (value: JsonValue, path: Path) => Path | undefined,
): Path | undefined {
  for (const [step, value] of entries) {
    const found = visit(value, [...path, step]);
    if (found !== undefined) return found;
  }
  return undefined;
}
