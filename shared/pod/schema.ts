/**
 * The fields that a pod's metadata, spec and status have in any supported Kubernetes version, and the decoder that
 * admits nothing else. The table in schema.json is generated from Kubernetes' Go types (tools/schema).
 *
 * @module
 */
import { type Problem, SignedPodsError } from "../errors.ts";
import { getOwn, isJsonObject, type JsonObject, type JsonValue, setOwn } from "../json.ts";
import { formatTime } from "../time.ts";
import { isTime } from "./grammar.ts";
import { canonicalQuantity } from "./quantity.ts";
import table from "./schema.json" with { type: "json" };

/** The types that decoding starts from. All other types of the table are reached through their fields. */
export type RootType =
  | "PodSpec"
  | "PodStatus"
  | "ObjectMeta"
  | "Container"
  | "EphemeralContainer"
  | "EnvVar"
  | "LocalObjectReference"
  | "OwnerReference"
  | "Toleration"
  | "Volume"
  | "VolumeMount";

/** The types of values that have no fields of their own. `any` is the one that nobody reads: managed fields. */
export type ScalarType =
  | "string"
  | "bool"
  | "int32"
  | "int64"
  | "quantity"
  | "intOrString"
  | "time"
  | "any";

/** One field of a type. */
export interface Field {
  /** Its name in JSON. */
  readonly name: string;
  /** The type of its value, of its items (list) or of its values (map), if that is a scalar. */
  readonly scalar?: ScalarType;
  /** The name of that type if it has fields, as in Kubernetes' package core/v1 or meta/v1. */
  readonly type?: string;
  /** Whether the field holds one value, a list, or a map with string keys. */
  readonly shape: "single" | "list" | "map";
  /** Whether Go holds a pointer here: then an explicit zero or `{}` differs from absence. */
  readonly pointer: boolean;
  /** The field of a list's items that tells them apart (Kubernetes' patchMergeKey). */
  readonly key?: string;
  /** First supported minor version that has the field, if it is not the oldest: `1.34`. */
  readonly since?: string;
  /** Last supported minor version that has the field, if it is not the newest. */
  readonly until?: string;
  /** Its place among the fields of its type, from 0. */
  readonly place: number;
  /** Its part of a path: {@linkcode fieldSegment} of its name. */
  readonly segment: string;
}

/** Problems beyond so many are not reported: a hostile document could have one at every leaf. */
export const MAX_PROBLEMS = 100;

/** Longest map key that a path shows, in UTF-16 code units. */
const MAX_SHOWN_KEY_LENGTH = 64;

const MAX_INT32 = 2 ** 31 - 1;

/** What Go's zero time is in RFC 3339; it is printed as null. */
const ZERO_TIME = "0001-01-01T00:00:00Z";

const CANONICAL_TIME_LENGTH = ZERO_TIME.length;

/** Keys and names of items that a path shows as they are. */
const PLAIN_SEGMENT = /^[0-9A-Za-z_./-]{1,253}$/;

interface RawField {
  type: string;
  list?: boolean;
  map?: boolean;
  pointer?: boolean;
  key?: string;
  since?: string;
  until?: string;
}

const rawTypes: Record<string, Record<string, RawField>> = table.types;

const SCALARS: ReadonlySet<string> = new Set<ScalarType>(
  ["string", "bool", "int32", "int64", "quantity", "intOrString", "time", "any"],
);

function isScalar(type: string): type is ScalarType {
  return SCALARS.has(type);
}

function readField(name: string, raw: RawField, place: number): Field {
  const { type, list, map, pointer, key, since, until } = raw;
  return {
    name,
    place,
    segment: fieldSegment(name),
    ...(isScalar(type) ? { scalar: type } : { type }),
    shape: list ? "list" : map ? "map" : "single",
    pointer: pointer ?? false,
    ...(key === undefined ? {} : { key }),
    ...(since === undefined ? {} : { since }),
    ...(until === undefined ? {} : { until }),
  };
}

const typesByName: ReadonlyMap<string, ReadonlyMap<string, Field>> = new Map(
  Object.entries(rawTypes).map(([type, fields]) => [
    type,
    new Map(Object.entries(fields).map(([name, raw], place) => [name, readField(name, raw, place)])),
  ]),
);

/** The Kubernetes minor versions whose pods are understood, oldest first. */
export const KUBERNETES_VERSIONS: readonly string[] = table.versions;

/**
 * The fields of a type by name, in Kubernetes' order.
 *
 * @param type a name from {@linkcode Field.type} or a {@linkcode RootType}
 * @throws {RangeError} if the table has no such type
 */
export function fieldsOf(type: string): ReadonlyMap<string, Field> {
  const fields = typesByName.get(type);
  if (fields === undefined) throw new RangeError(`The schema has no type "${type}"`);
  return fields;
}

/** A field's part of a path, to be put behind that of its object: `.image`. */
export function fieldSegment(name: string): string {
  return PLAIN_SEGMENT.test(name) ? `.${name}` : keySegment(name);
}

/** A map key's part of a path: `[app.kubernetes.io/name]`; quoted and shortened if it is not plain. */
export function keySegment(key: string): string {
  if (PLAIN_SEGMENT.test(key)) return `[${key}]`;
  const shown = key.length > MAX_SHOWN_KEY_LENGTH ? `${key.slice(0, MAX_SHOWN_KEY_LENGTH)}…` : key;
  return `[${JSON.stringify(shown)}]`;
}

/**
 * A list item's part of a path: its name where items have names and this one's is plain and its own, else its index.
 *
 * @param field the list
 * @param items the list's value
 * @param index the item's place, from 0
 */
export function itemSegment(field: Field, items: readonly JsonValue[], index: number): string {
  const name = itemName(field, items[index]);
  const own = name !== undefined &&
    items.every((item, other) => other === index || itemName(field, item) !== name);
  return own ? `[${name}]` : `[${index}]`;
}

/**
 * The name by which a list's item is told apart: its value of the list's key, or of `name` where the list has no
 * key. Nothing for scalars, for numbers (`containerPort`) and for what would not be plain in a path.
 */
export function itemName(field: Field, item: JsonValue | undefined): string | undefined {
  if (field.type === undefined || !isJsonObject(item)) return undefined;
  const key = fieldsOf(field.type).get(field.key ?? "name");
  if (key?.scalar !== "string") return undefined;
  const name = getOwn(item, key.name);
  return typeof name === "string" && PLAIN_SEGMENT.test(name) ? name : undefined;
}

/** The fields of these names, in the order of the schema. An object has few of those of its type. */
function fieldsIn(fields: ReadonlyMap<string, Field>, names: readonly string[]): Field[] {
  const found: Field[] = [];
  let last = -1;
  let sorted = true;
  for (let index = 0; index < names.length; index++) {
    const field = fields.get(names[index] ?? "");
    if (field === undefined) continue;
    sorted &&= field.place > last;
    last = field.place;
    found.push(field);
  }
  return sorted ? found : found.sort((a, b) => a.place - b.place);
}

/** What decoding yields: the value in its one form, or the reasons why it has none. */
export interface Decoded {
  /** Fields in the schema's order, without those that are as good as absent. Of no use if there are problems. */
  value: JsonObject;
  /** What is wrong, in the order of the schema, unknown fields last; at most {@linkcode MAX_PROBLEMS}. */
  problems: Problem[];
}

/**
 * Reads an object of a type, admitting only what the schema knows, and brings it to one form, so that two objects
 * which Kubernetes cannot tell apart are equal: without nulls, without zeros and `{}` of fields that are no pointers
 * in Go, without empty lists and maps; quantities and times in canonical form. Nothing is defaulted.
 * The input is not changed, and the output shares nothing with it that could change (except managed fields).
 *
 * @param type the object's type
 * @param value the object; `undefined` is a problem
 * @param path where the object stands in its document, for example `spec`
 */
export function decode(type: RootType, value: JsonValue | undefined, path: string): Decoded {
  const decoder = new Decoder();
  const decoded = decoder.object(fieldsOf(type), value);
  const root = { value: decoded ?? {}, problems: decoder.problems };
  for (const problem of root.problems) {
    problem.path = path === "" && problem.path.startsWith(".") ? problem.path.slice(1) : path + problem.path;
  }
  return root;
}

/**
 * Paths are built from the inside out, and only when there is a problem: whoever decodes a part puts its own segment
 * before the paths of the problems that have come up since it began.
 */
class Decoder {
  readonly problems: Problem[] = [];

  object(fields: ReadonlyMap<string, Field>, value: JsonValue | undefined): JsonObject | undefined {
    if (!isJsonObject(value)) return this.#wrong("an object", value);
    const decoded: JsonObject = {};
    const names = Object.keys(value);
    const found = fieldsIn(fields, names);
    // Counted loops, since before a loop is optimized an iterator makes an object for each step.
    for (let index = 0; index < found.length; index++) {
      const field = found[index];
      if (field === undefined) break;
      const { name } = field;
      const member = value[name];
      if (member === null || member === undefined) continue;
      const before = this.problems.length;
      const result = this.#field(field, member);
      if (this.problems.length > before) this.#prefix(before, field.segment);
      else if (result !== undefined) decoded[name] = result;
    }
    if (found.length === names.length) return decoded;
    for (const name of names) {
      if (!fields.has(name)) this.#report("unknown to this version of podsign", fieldSegment(name));
    }
    return decoded;
  }

  #field(field: Field, value: JsonValue): JsonValue | undefined {
    switch (field.shape) {
      case "list":
        return this.#list(field, value);
      case "map":
        return this.#map(field, value);
      case "single": {
        const result = this.#element(field, value);
        return field.pointer || result === undefined || !isZero(field, result) ? result : undefined;
      }
      default: {
        const never: never = field.shape;
        return never;
      }
    }
  }

  #list(field: Field, value: JsonValue): JsonValue | undefined {
    if (!Array.isArray(value)) return this.#wrong("a list", value);
    if (value.length === 0) return undefined;
    const items: JsonValue[] = [];
    for (let index = 0; index < value.length; index++) {
      const item = value[index] ?? null;
      const before = this.problems.length;
      const result = item === null
        ? this.#report("null is not an item; remove it")
        : this.#element(field, item);
      if (this.problems.length > before) this.#prefix(before, itemSegment(field, value, index));
      else if (result !== undefined) items.push(result);
    }
    return items;
  }

  #map(field: Field, value: JsonValue): JsonValue | undefined {
    if (!isJsonObject(value)) return this.#wrong("an object", value);
    const keys = Object.keys(value);
    if (keys.length === 0) return undefined;
    const map: JsonObject = {};
    for (const key of keys) {
      const member = value[key] ?? null;
      const before = this.problems.length;
      const result = member === null
        ? this.#report("null is not a value; remove the key or write a value")
        : this.#element(field, member);
      if (this.problems.length > before) this.#prefix(before, keySegment(key));
      else if (result !== undefined) setOwn(map, key, result);
    }
    return map;
  }

  #element(field: Field, value: JsonValue): JsonValue | undefined {
    if (field.type !== undefined) return this.object(fieldsOf(field.type), value);
    switch (field.scalar) {
      case "string":
        return typeof value === "string" ? value : this.#wrong("a string", value);
      case "bool":
        return typeof value === "boolean" ? value : this.#wrong("true or false", value);
      case "int32":
        return this.#integer(value, MAX_INT32);
      case "int64":
        return this.#integer(value, Number.MAX_SAFE_INTEGER);
      case "intOrString":
        return typeof value === "string" ? value : this.#integer(value, MAX_INT32, "an integer or a string");
      case "quantity":
        return this.#quantity(value);
      case "time":
        if (typeof value !== "string") return this.#wrong("a time", value);
        return canonicalTime(value) ?? this.#report("not a time in RFC 3339, such as 2026-01-31T12:00:00Z");
      default:
        return value;
    }
  }

  #integer(value: JsonValue, max: number, expected = "an integer"): number | undefined {
    // JSON's numbers are exact up to 2^53 - 1 on either side; 32-bit integers go one further down than up.
    const min = max === MAX_INT32 ? -max - 1 : -max;
    const range = `an integer is expected here, from ${min} to ${max}`;
    if (typeof value === "bigint") return this.#report(range);
    if (typeof value !== "number" || !Number.isInteger(value)) return this.#wrong(expected, value);
    if (value < min || value > max) return this.#report(range);
    return value === 0 ? 0 : value; // -0 is 0
  }

  #quantity(value: JsonValue): string | undefined {
    if (typeof value !== "string" && typeof value !== "number") return this.#wrong("a quantity", value);
    try {
      return canonicalQuantity(value);
    } catch (error) {
      if (!(error instanceof SignedPodsError)) throw error;
      return this.#report(error.message);
    }
  }

  #wrong(expected: string, value: JsonValue | undefined): undefined {
    this.#report(`${expected} is expected here, not ${describe(value)}`);
  }

  #report(message: string, path = ""): undefined {
    if (this.problems.length < MAX_PROBLEMS) this.problems.push({ path, message });
  }

  #prefix(from: number, segment: string): void {
    for (const problem of this.problems.slice(from)) problem.path = segment + problem.path;
  }
}

/**
 * A time as Kubernetes prints it, in UTC and without parts of a second (`metav1.Time`); nothing if it is none, or in
 * a year that has not four digits in UTC.
 */
function canonicalTime(text: string): string | undefined {
  if (!isTime(text)) return undefined;
  if (CANONICAL_TIME_LENGTH === text.length) return text;
  const printed = formatTime(new Date(text.replace(/\.[0-9]+/, "")));
  return printed.length === CANONICAL_TIME_LENGTH ? printed : undefined;
}

function describe(value: JsonValue | undefined): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  switch (typeof value) {
    case "object":
      return "an object";
    case "string":
      return "a string";
    case "boolean":
      return "true or false";
    case "bigint":
      return "an integer beyond 2^53 - 1";
    default:
      return Number.isInteger(value) ? "an integer" : "a number with a fraction";
  }
}

/** Whether Go holds the same for this value of a field that is no pointer and for an absent one. */
function isZero(field: Field, value: JsonValue): boolean {
  if (field.type !== undefined) return isJsonObject(value) && Object.keys(value).length === 0;
  switch (field.scalar) {
    case "quantity":
      return value === "0";
    case "time":
      return value === ZERO_TIME;
    case "intOrString":
      return value === 0; // "" is not the zero: Go remembers that it is a string
    default:
      return value === "" || value === 0 || value === false;
  }
}
