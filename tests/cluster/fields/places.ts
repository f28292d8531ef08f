/**
 * Walks a pod's spec along the schema, and changes copies of it.
 *
 * @module
 */
import { isJsonObject, type JsonObject, type JsonValue } from "@signed-pods/shared/json";
import { type Field, fieldSegment, fieldsOf, itemName, keySegment } from "@signed-pods/shared/pod/schema";

/** Keys and indices from the spec down to a value. */
export type Keys = readonly (string | number)[];

/** A value in a spec: that of a field, an item of its list or an entry of its map. */
export interface Place {
  keys: Keys;
  /** As verdicts name it: `spec.containers[app].image`. */
  path: string;
  /** The type that has the field. */
  owner: string;
  field: Field;
  role: "field" | "item" | "entry";
  value: JsonValue;
}

/** A field as it is named here: `Container.image`. */
export function fieldName({ owner, field }: Pick<Place, "owner" | "field">): string {
  return `${owner}.${field.name}`;
}

/** Whether the value is an object of a type of the schema; then `field.type` is its type. */
export function isStruct({ field, role, value }: Place): boolean {
  return field.type !== undefined && isJsonObject(value) && (role !== "field" || field.shape === "single");
}

/** Every value in a spec, parents before their parts. Names that the schema does not have are an error. */
export function* placesIn(spec: JsonObject): Generator<Place> {
  yield* placesInObject("PodSpec", spec, [], "spec");
}

function* placesInObject(type: string, object: JsonObject, keys: Keys, path: string): Generator<Place> {
  const fields = fieldsOf(type);
  for (const [name, value] of Object.entries(object)) {
    const field = fields.get(name);
    if (field === undefined) throw new Error(`The schema has no ${type}.${name}, found at ${path}`);
    const place: Place = {
      keys: [...keys, name],
      path: path + fieldSegment(name),
      owner: type,
      field,
      role: "field",
      value,
    };
    yield place;
    yield* partsOf(place);
  }
}

function* partsOf(place: Place): Generator<Place> {
  const { field, value, keys, path } = place;
  if (isStruct(place) && field.type !== undefined && isJsonObject(value)) {
    yield* placesInObject(field.type, value, keys, path);
  } else if (place.role === "field" && field.shape === "list" && Array.isArray(value)) {
    for (const [index, item] of value.entries()) {
      const part: Place = {
        ...place,
        keys: [...keys, index],
        path: path + itemSegmentOf(field, item, index),
        role: "item",
        value: item,
      };
      yield part;
      yield* partsOf(part);
    }
  } else if (place.role === "field" && field.shape === "map" && isJsonObject(value)) {
    for (const [key, entry] of Object.entries(value)) {
      yield { ...place, keys: [...keys, key], path: path + keySegment(key), role: "entry", value: entry };
    }
  }
}

/** An item's part of a path: its name if it has one, else its index. */
export function itemSegmentOf(field: Field, item: JsonValue, index: number): string {
  return `[${itemName(field, item) ?? index}]`;
}

/** The value that keys lead to; nothing where they end early. */
export function valueAt(spec: JsonObject, keys: Keys): JsonValue | undefined {
  let value: JsonValue | undefined = spec;
  for (const key of keys) {
    if (typeof key === "number") value = Array.isArray(value) ? value[key] : undefined;
    else value = isJsonObject(value) && Object.hasOwn(value, key) ? value[key] : undefined;
  }
  return value;
}

/** The object that keys lead to. */
export function objectAt(spec: JsonObject, keys: Keys): JsonObject {
  const value = valueAt(spec, keys);
  if (!isJsonObject(value)) throw new Error(`There is no object at ${keys.join(".")}`);
  return value;
}

/** The list that keys lead to. */
export function listAt(spec: JsonObject, keys: Keys): JsonValue[] {
  const value = valueAt(spec, keys);
  if (!Array.isArray(value)) throw new Error(`There is no list at ${keys.join(".")}`);
  return value;
}

/**
 * A copy of a spec with another value, or none, at one place. An item that is taken away leaves no gap.
 *
 * @param value the new value; undefined takes it away
 */
export function withValue(spec: JsonObject, keys: Keys, value: JsonValue | undefined): JsonObject {
  const changed = change(spec, keys, value);
  if (!isJsonObject(changed)) throw new Error("A spec cannot be replaced as a whole");
  return changed;
}

function change(
  parent: JsonValue | undefined,
  keys: Keys,
  value: JsonValue | undefined,
): JsonValue | undefined {
  const [key, ...rest] = keys;
  if (key === undefined) return value;
  if (typeof key === "number") {
    if (!Array.isArray(parent)) throw new Error(`There is no list that has an item ${key}`);
    const changed = change(parent[key], rest, value);
    return changed === undefined ? parent.toSpliced(key, 1) : parent.toSpliced(key, 1, changed);
  }
  if (!isJsonObject(parent)) throw new Error(`There is no object that has a field ${key}`);
  const changed = change(parent[key], rest, value);
  if (changed !== undefined) return { ...parent, [key]: changed };
  const { [key]: _gone, ...others } = parent;
  return others;
}
