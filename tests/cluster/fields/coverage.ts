/**
 * Which fields of the schema were set in pods that an API server accepted, and why the others were not.
 *
 * @module
 */
import { equalJson, isJsonObject, type JsonObject, type JsonValue } from "@signed-pods/shared/json";
import { decode, type Field, fieldsOf } from "@signed-pods/shared/pod/schema";
import { defaultRow } from "./defaults.ts";
import { fieldName, placesIn, valueAt } from "./places.ts";

/** Every field of every type that a pod's spec reaches, as `Type.field`. */
export function reachableFields(): Map<string, Field> {
  const found = new Map<string, Field>();
  const types = ["PodSpec"];
  const seen = new Set(types);
  for (let type = types.shift(); type !== undefined; type = types.shift()) {
    for (const field of fieldsOf(type).values()) {
      found.set(`${type}.${field.name}`, field);
      if (field.type === undefined || seen.has(field.type)) continue;
      seen.add(field.type);
      types.push(field.type);
    }
  }
  return found;
}

/** Whether a Kubernetes minor version, such as `1.36`, has a field. */
export function isInVersion({ since, until }: Pick<Field, "since" | "until">, version: string): boolean {
  const minor = (text: string) => Number(text.split(".")[1]);
  return (since === undefined || minor(since) <= minor(version)) &&
    (until === undefined || minor(version) <= minor(until));
}

/** A spec without some of its fields, and without the objects that were nothing else. */
export function withoutFields(spec: JsonObject, left: ReadonlySet<string>): JsonObject {
  return pruned("PodSpec", spec, left) ?? {};
}

function pruned(type: string, object: JsonObject, left: ReadonlySet<string>): JsonObject | undefined {
  const entries: [string, JsonValue][] = [];
  for (const [name, value] of Object.entries(object)) {
    const field = fieldsOf(type).get(name);
    if (field === undefined) throw new Error(`The schema has no ${type}.${name}`);
    if (left.has(`${type}.${name}`)) continue;
    const kept = prunedField(field, value, left);
    if (kept !== undefined) entries.push([name, kept]);
  }
  return entries.length === 0 && Object.keys(object).length > 0 ? undefined : Object.fromEntries(entries);
}

function prunedField(field: Field, value: JsonValue, left: ReadonlySet<string>): JsonValue | undefined {
  const { type } = field;
  if (type === undefined) return value;
  if (isJsonObject(value)) return pruned(type, value, left);
  if (!Array.isArray(value)) return value;
  return value.flatMap((item) => {
    const kept = isJsonObject(item) ? pruned(type, item, left) : item;
    return kept === undefined ? [] : [kept];
  });
}

/** The fields that occur in a spec. */
export function fieldsIn(spec: JsonObject): Set<string> {
  return new Set([...placesIn(spec)].map(fieldName));
}

/** The fields that a spec sets to another value than their default, and that the API server gave back as they were. */
export function fieldsKept(written: JsonObject, live: JsonObject): Set<string> {
  const kept = new Set<string>();
  const found = canonical(live);
  for (const place of placesIn(canonical(written))) {
    const value = valueAt(found, place.keys);
    if (value === undefined) continue;
    const isObject = typeof place.value === "object" && place.value !== null;
    if (!isObject && !equalJson(value, place.value)) continue;
    if (defaultRow(fieldName(place))?.value === place.value) continue;
    kept.add(fieldName(place));
  }
  return kept;
}

/** The defaults, as `Type.field`, that the API server set where nothing was written. */
export function defaultsSet(written: JsonObject, live: JsonObject): Set<string> {
  const found = new Set<string>();
  for (const place of placesIn(live)) {
    const name = fieldName(place);
    const around = valueAt(written, place.keys.slice(0, -1));
    const isNew = isJsonObject(around) && !Object.hasOwn(around, String(place.keys.at(-1)));
    if (isNew && defaultRow(name) !== undefined) found.add(name);
  }
  return found;
}

/** The one form of a spec, without defaults. */
function canonical(spec: JsonObject): JsonObject {
  const { value, problems } = decode("PodSpec", spec, "spec");
  if (problems.length > 0) {
    throw new Error(problems.map(({ path, message }) => `${path} ${message}`).join("; "));
  }
  return value;
}
