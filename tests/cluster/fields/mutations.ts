/**
 * Everything that can be changed in a spec, one thing at a time, and how a verdict has to name it.
 *
 * @module
 */
import { equalJson, isJsonObject, type JsonObject, type JsonValue } from "@signed-pods/shared/json";
import { MAX_PRINTED_CHARACTERS } from "@signed-pods/shared/bounds";
import { type Field, fieldSegment, fieldsOf, keySegment } from "@signed-pods/shared/pod/schema";
import type { Difference } from "@signed-pods/shared/verdict";
import { defaultAt, hasDefaultsInside, isRequests, limitAt } from "./defaults.ts";
import {
  fieldName,
  isStruct,
  itemSegmentOf,
  type Keys,
  listAt,
  type Place,
  placesIn,
  valueAt,
  withValue,
} from "./places.ts";

/** What is done to a spec. */
export const MUTATION_KINDS = ["altered", "removed", "duplicated", "reordered", "added"] as const;

export type MutationKind = (typeof MUTATION_KINDS)[number];

/** A difference that a refusal must name, as far as it is told here. */
export interface Expected {
  /** Path of the difference; with `below`, a part of what stands at this path. */
  path: string;
  below?: boolean;
  kind: Difference["kind"];
  /** What was signed and found, for values that were changed. */
  signed?: string;
  found?: string;
}

/** A spec in which one thing is not as the API server gave it. */
export interface Mutation {
  kind: MutationKind;
  /** What it comes to: a zero is as good as nothing where Go has no pointer. */
  effect: MutationKind;
  /** What was changed, as it was before; for what was added, as it is now. */
  place: Place;
  /** The spec after the change. */
  spec: JsonObject;
  /** What a refusal must name: all of these. */
  expected: Expected[];
}

/** Fields whose values a verdict must not show, whatever was signed or found. */
const SECRET_FIELDS: ReadonlySet<string> = new Set([
  "EnvVar.value",
  "HTTPHeader.value",
  "CSIVolumeSource.volumeAttributes",
  "FlexVolumeSource.options",
]);

/** What stands in place of a value that may be secret. */
export const NOT_SHOWN = "(not shown)";

/** Every mutation of a spec. */
export function* mutationsOf(spec: JsonObject): Generator<Mutation> {
  yield* additions(spec, "PodSpec", [], "spec");
  for (const place of placesIn(spec)) {
    yield* alterations(spec, place);
    yield removal(spec, place);
    if (place.role === "field" && place.field.shape === "list") yield* listMutations(spec, place);
    if (isStruct(place) && place.field.type !== undefined) {
      yield* additions(spec, place.field.type, place.keys, place.path);
    }
    if (place.role === "field" && place.field.shape === "map" && isJsonObject(place.value)) {
      yield addition(spec, { ...place, role: "entry" }, "added", sample({ ...place.field, shape: "single" }));
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------
// Altered

function* alterations(spec: JsonObject, place: Place): Generator<Mutation> {
  const { field, role, value, keys } = place;
  if (field.type !== undefined || (role === "field" && field.shape !== "single")) return;
  for (const other of otherValues(field, value)) {
    const changed = withValue(spec, keys, other);
    if (isZero(field, role, other)) {
      const expected = expectedWithout(spec, withValue(spec, keys, undefined), place);
      yield { kind: "altered", effect: "removed", place, spec: changed, expected };
    } else {
      const expected = alteredAs(spec, changed, place, other);
      yield { kind: "altered", effect: "altered", place, spec: changed, expected };
    }
  }
}

function alteredAs(spec: JsonObject, changed: JsonObject, place: Place, other: JsonValue): Expected[] {
  const { field, role, value, path } = place;
  if (isName(place)) return renamed(spec, changed, place);
  // A zero that was not the default was not there before.
  if (isZero(field, role, value) && defaultAt(withValue(spec, place.keys, undefined), place) === undefined) {
    return told("unexpected", outermost(changed, place));
  }
  // A version that does not know probe protocols leaves out the one that all others speak.
  if (fieldName(place) === "HTTPGetAction.protocol" && value === "HTTP1") {
    return [{ path, kind: "unexpected" }];
  }
  return [{ path, kind: "changed", ...shown(place, value, other) }];
}

/** Other values of the same type. */
function otherValues({ scalar }: Field, value: JsonValue): JsonValue[] {
  switch (scalar) {
    case "bool":
      return [value !== true];
    case "int32":
    case "int64":
      return [Number(value) + 1, ...(value === 0 ? [] : [0])];
    case "quantity":
      return [value === "3" ? "4" : "3", ...(value === "0" ? [] : ["0"])];
    case "intOrString":
      return typeof value === "number" ? [value + 1, `${value}`, 0] : [`${String(value)}-other`, 1, 0];
    case "string":
      return [
        ...(value === "IfNotPresent" ? ["Never", "Always"] : [`${String(value)}-other`]),
        ...(value === "" ? [] : [""]),
      ];
    default:
      throw new Error(`There is no other value of type ${scalar ?? "object"}`);
  }
}

/** Whether the value is what tells its object apart from others in a list. */
function isName({ owner, field, keys, value, role }: Place): boolean {
  if (role !== "field" || typeof keys.at(-2) !== "number" || typeof value !== "string") return false;
  // The same rule for all lists of a type: no type of a pod is in lists that have different keys.
  const probe: Field = { ...field, name: "", type: owner, shape: "list", ...keyOf(owner) };
  return itemSegmentOf(probe, { [field.name]: value }, -1) !== "[-1]";
}

const keysOfTypes = new Map<string, { key?: string }>();

/** The key of lists of a type, as the schema has it for the field that holds the list. */
function keyOf(type: string): { key?: string } {
  return keysOfTypes.get(type) ?? {};
}

function noteKeys(type: string, seen: Set<string>): void {
  if (seen.has(type)) return;
  seen.add(type);
  for (const field of fieldsOf(type).values()) {
    if (field.type === undefined) continue;
    if (field.shape === "list") {
      const known = keysOfTypes.get(field.type);
      if (known !== undefined && known.key !== field.key) {
        throw new Error(`Lists of ${field.type} have different keys; tell them apart by their field`);
      }
      keysOfTypes.set(field.type, field.key === undefined ? {} : { key: field.key });
    }
    noteKeys(field.type, seen);
  }
}
noteKeys("PodSpec", new Set());

/** An object under another name is one that is missing and one too many. */
function renamed(spec: JsonObject, changed: JsonObject, { keys }: Place): Expected[] {
  const item = keys.slice(0, -1);
  return [
    { path: pathOf(spec, item), kind: "missing" },
    { path: pathOf(changed, item), kind: "unexpected" },
  ];
}

// ---------------------------------------------------------------------------------------------------------------
// Removed

function removal(spec: JsonObject, place: Place): Mutation {
  const changed = withValue(spec, place.keys, undefined);
  const expected = expectedWithout(spec, changed, place);
  return { kind: "removed", effect: "removed", place, spec: changed, expected };
}

/** How a verdict tells what was taken away: as missing, or as changed where a default takes its place. */
function expectedWithout(spec: JsonObject, changed: JsonObject, place: Place): Expected[] {
  if (isName(place)) return renamed(spec, changed, place);
  const { path, value } = place;
  const substitute = defaultAt(changed, place);
  if (isJsonObject(substitute) || hasDefaultsInside(place)) return [{ path, below: true, kind: "missing" }];
  if (substitute !== undefined) {
    return [{ path, kind: "changed", ...shown(place, value, substitute) }];
  }
  if (isRequests(place) && isJsonObject(value)) {
    const parts = Object.entries(value).map(([resource, amount]): Place => ({
      ...place,
      keys: [...place.keys, resource],
      path: path + keySegment(resource),
      role: "entry",
      value: amount,
    }));
    if (parts.some((part) => limitAt(changed, part) !== undefined)) {
      return parts.filter((part) => limitAt(changed, part) !== part.value)
        .flatMap((part) => expectedWithout(spec, changed, part));
    }
  }
  return gone(spec, lastInPlaceOf(spec, place));
}

/** Items without names are told by place: whichever is taken away, the last place is empty then. */
function lastInPlaceOf(spec: JsonObject, place: Place): Place {
  const { keys, role, field, value, path } = place;
  const index = keys.at(-1);
  if (role !== "item" || typeof index !== "number") return place;
  const segment = itemSegmentOf(field, value, index);
  if (segment !== `[${index}]`) return place;
  const list = keys.slice(0, -1);
  const last = listAt(spec, list).length - 1;
  return { ...place, keys: [...list, last], path: `${path.slice(0, -segment.length)}[${last}]` };
}

/** How a verdict tells that something is missing: by the outermost value that is gone with it. */
function gone(spec: JsonObject, place: Place): Expected[] {
  return told("missing", outermost(spec, place));
}

/**
 * The outermost value that is as good as absent without the one at a place: Kubernetes knows no empty lists and maps,
 * and no empty objects where Go has no pointer.
 */
function outermost(spec: JsonObject, place: Place): Place {
  const parent = parentOf(spec, place);
  if (parent === undefined) return place;
  const { field, role } = parent;
  const rest = withValue(spec, place.keys, undefined);
  const left = valueAt(rest, parent.keys);
  const isEmpty = Array.isArray(left)
    ? left.length === 0
    : isJsonObject(left) && Object.keys(left).length === 0;
  if (!isEmpty || role !== "field") return place;
  if (field.shape === "list" && field.type !== undefined) {
    // Objects of a list are told one by one, but the object around the list may be gone with it.
    const around = parentOf(spec, parent);
    if (around === undefined) return place;
    const outer = outermost(spec, parent);
    return outer.path === parent.path ? place : outer;
  }
  return field.shape === "single" && field.pointer ? place : outermost(spec, parent);
}

/** The value that a value is a part of; nothing for the fields of the spec itself. */
function parentOf(spec: JsonObject, place: Place): Place | undefined {
  const wanted = place.keys.slice(0, -1);
  if (wanted.length === 0) return undefined;
  return placesAlong(spec, wanted).at(-1);
}

/** The places on the way that keys lead. */
function placesAlong(spec: JsonObject, keys: Keys): Place[] {
  const places: Place[] = [];
  let type = "PodSpec";
  let path = "spec";
  for (const [depth, key] of keys.entries()) {
    const value = valueAt(spec, keys.slice(0, depth + 1)) ?? null;
    const previous = places.at(-1);
    const common = { keys: keys.slice(0, depth + 1), value };
    if (previous?.role === "field" && previous.field.shape !== "single") {
      const { owner, field } = previous;
      const segment = typeof key === "number" ? itemSegmentOf(field, value, key) : keySegment(key);
      path += segment;
      places.push({ ...common, path, owner, field, role: typeof key === "number" ? "item" : "entry" });
    } else {
      const field = fieldsOf(type).get(String(key));
      if (field === undefined) throw new Error(`The schema has no ${type}.${key}`);
      path += fieldSegment(String(key));
      places.push({ ...common, path, owner: type, field, role: "field" });
    }
    type = places.at(-1)?.field.type ?? type;
  }
  return places;
}

function pathOf(spec: JsonObject, keys: Keys): string {
  return placesAlong(spec, keys).at(-1)?.path ?? "spec";
}

/** The differences by which a whole value is told: lists of objects item by item, items without names by place. */
function told(kind: "missing" | "unexpected", place: Place): Expected[] {
  const { field, role, value, path } = place;
  if (role === "field" && field.shape === "list" && field.type !== undefined && Array.isArray(value)) {
    return value.map((item, index) => ({ path: path + itemSegmentOf(field, item, index), kind }));
  }
  return [{ path, kind }];
}

// ---------------------------------------------------------------------------------------------------------------
// Lists

function* listMutations(spec: JsonObject, place: Place): Generator<Mutation> {
  const { keys, field, path } = place;
  const items = listAt(spec, keys);
  const segment = (index: number) => itemSegmentOf(field, items[index] ?? null, index);
  for (const [index, item] of items.entries()) {
    const part: Place = {
      ...place,
      keys: [...keys, index],
      path: path + segment(index),
      role: "item",
      value: item,
    };
    const added = itemSegmentOf(field, item, items.length);
    yield {
      kind: "duplicated",
      effect: "duplicated",
      place: part,
      spec: withValue(spec, keys, [...items, item]),
      expected: [{ path: path + added, kind: "unexpected" }],
    };
    const next = items[index + 1];
    if (next === undefined || equalJson(item, next)) continue;
    const named = segment(index) !== `[${index}]`;
    yield {
      kind: "reordered",
      effect: "reordered",
      place: part,
      spec: withValue(spec, keys, items.toSpliced(index, 2, next, item)),
      expected: named ? [{ path, kind: "changed" }] : [{
        path: path + segment(index),
        kind: "changed",
        ...(field.type === undefined ? {} : { below: true }),
      }],
    };
  }
}

// ---------------------------------------------------------------------------------------------------------------
// Added

/** A value in every field of an object that has none. */
function* additions(spec: JsonObject, type: string, keys: Keys, path: string): Generator<Mutation> {
  const object = keys.length === 0 ? spec : valueAt(spec, keys);
  if (!isJsonObject(object)) throw new Error(`There is no object at ${path}`);
  for (const [name, field] of fieldsOf(type)) {
    if (Object.hasOwn(object, name)) continue;
    const place: Place = { keys, path, owner: type, field, role: "field", value: null };
    yield addition(spec, place, name, sampleOf(field));
  }
}

function addition(spec: JsonObject, around: Place, key: string, value: JsonValue): Mutation {
  const { role, path } = around;
  const place: Place = {
    ...around,
    keys: [...around.keys, key],
    path: path + (role === "entry" ? keySegment(key) : fieldSegment(key)),
    value,
  };
  const changed = withValue(spec, place.keys, value);
  // What is there because of the addition alone is what would be gone without it.
  return {
    kind: "added",
    effect: "added",
    place,
    spec: changed,
    expected: told("unexpected", outermost(changed, place)),
  };
}

/** A value of a field, as small as it can be without being as good as absent. */
function sampleOf(field: Field): JsonValue {
  switch (field.shape) {
    case "list":
      return [sample(field)];
    case "map":
      return { added: sample(field) };
    case "single":
      return sample(field);
    default: {
      const never: never = field.shape;
      return never;
    }
  }
}

function sample(field: Field): JsonValue {
  if (field.type !== undefined) {
    if (field.shape === "single" && field.pointer) return {};
    const fields = fieldsOf(field.type);
    const chosen = fields.get(field.key ?? "name") ?? [...fields.values()][0];
    return chosen === undefined ? {} : { [chosen.name]: sampleOf(chosen) };
  }
  switch (field.scalar) {
    case "string":
      return "added";
    case "bool":
      return true;
    case "int32":
    case "int64":
    case "intOrString":
      return 7;
    case "quantity":
      return "7";
    case "time":
      return "2026-01-01T00:00:00Z";
    default:
      return {};
  }
}

// ---------------------------------------------------------------------------------------------------------------

/** Whether Go holds the same for this value as for an absent one. */
export function isZero(field: Field, role: Place["role"], value: JsonValue): boolean {
  if (role !== "field" || field.pointer) return false;
  return value === false || value === "" || value === 0 || (field.scalar === "quantity" && value === "0");
}

/**
 * Two values as a verdict shows them: as JSON, the beginning of what is long. Where they begin alike, it shows a later
 * part of both; that it is not the same for both is checked of every refusal.
 */
function shown(place: Place, signed: JsonValue, found: JsonValue): Pick<Expected, "signed" | "found"> {
  const [first, second] = [show(place, signed), show(place, found)];
  return first === second && first !== NOT_SHOWN ? {} : { signed: first, found: second };
}

function show(place: Place, value: JsonValue): string {
  if (SECRET_FIELDS.has(fieldName(place))) return NOT_SHOWN;
  const shown = JSON.stringify(value);
  return shown.length > MAX_PRINTED_CHARACTERS ? `${shown.slice(0, MAX_PRINTED_CHARACTERS - 1)}…` : shown;
}
