/**
 * What takes the place of a field that is taken away, by the table of defaults that is being proven: the API server
 * says in the end whether it is right.
 *
 * @module
 */
import { isJsonObject, type JsonObject, type JsonValue } from "@signed-pods/shared/json";
import { DEFAULT_ROWS, type DefaultRow } from "../../../shared/pod/defaults.ts";
import { fieldName, objectAt, type Place, valueAt } from "./places.ts";

/** The row of a field in the table of defaults. */
export function defaultRow(name: string): DefaultRow | undefined {
  return DEFAULT_ROWS.find(({ type, field }) => name === `${type}.${field}`);
}

/**
 * The default of a field; nothing if it has none.
 *
 * @param spec the spec without the field
 * @param place where it was
 */
export function defaultAt(spec: JsonObject, place: Place): JsonValue | undefined {
  const around = place.keys.slice(0, -1);
  if (place.role === "entry") return limitAt(spec, place);
  const value = place.role === "field" ? defaultRow(fieldName(place))?.value : undefined;
  if (typeof value !== "function") return value;
  return value(around.length === 0 ? spec : objectAt(spec, around));
}

/** Whether an object that Go always has gets defaults in its fields. */
export function hasDefaultsInside({ role, field }: Place): boolean {
  return role === "field" && field.shape === "single" && !field.pointer &&
    DEFAULT_ROWS.some(({ type }) => type === field.type);
}

/** The amount that a container requests if it does not say otherwise: its limit. */
export function limitAt(spec: JsonObject, { keys }: Pick<Place, "keys">): JsonValue | undefined {
  const [list, , resources, requests, resource] = keys;
  if (list !== "containers" && list !== "initContainers") return undefined;
  if (resources !== "resources" || requests !== "requests" || resource === undefined) return undefined;
  return valueAt(spec, [...keys.slice(0, 3), "limits", resource]);
}

/** Whether a value is that of a container's field `requests`. */
export function isRequests(place: Place): boolean {
  return place.keys.length === 4 && place.keys[3] === "requests" && isJsonObject(place.value);
}
