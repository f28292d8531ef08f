/**
 * Compares a live pod spec with the signed one. The argument is short: the signed spec is completed with what
 * Kubernetes is known to add (`injected.ts`), then the live spec must equal it in every field of the schema. Only the
 * completed signed spec is returned, never the live one.
 *
 * @module
 */
import { MAX_DIFFERENCES } from "../bounds.ts";
import type { Problem } from "../errors.ts";
import { equalJson, getOwn, isJsonObject, type JsonObject, type JsonValue } from "../json.ts";
import type { Difference } from "../verdict.ts";
import { type InjectionContext, withInjected } from "./injected.ts";
import { withoutScheduling } from "./normal_form.ts";
import { printable, printPair, printValue } from "./printing.ts";
import { compareQuantities } from "./quantity.ts";
import { type Field, fieldSegment, fieldsOf, itemName, keySegment } from "./schema.ts";

/** What stands in place of a value that must not be shown. */
export const NOT_SHOWN = "(not shown)";

/** The outcome of a comparison. */
export interface Comparison {
  /** Every field that differs, in the order of the schema, up to a cap. None: the live spec is what was signed. */
  differences: Difference[];
  /** The expanded signed spec with the accepted additions, without scheduling fields. */
  spec: JsonObject;
  /** The accepted additions, one line each. */
  injected: string[];
  /** The owner's permissions that were made use of. */
  permissions: string[];
}

/**
 * Compares two expanded specs, apart from the fields that only the scheduler reads.
 *
 * @param signed the signed spec, expanded
 * @param live the live spec, expanded
 * @param context what is known about the pod
 */
export function compareSpecs(signed: JsonObject, live: JsonObject, context: InjectionContext): Comparison {
  const found = withoutScheduling(live);
  const { spec, injected, permissions, misfits } = withInjected(withoutScheduling(signed), found, context);
  const walk = new Walk(misfits);
  if (!areEqual("PodSpec", spec, found)) walk.objects("PodSpec", spec, found, "spec");
  return { differences: walk.differences, spec, injected, permissions };
}

/** Fields whose values may be secret: they are compared, but never shown. */
const SECRET_FIELDS: ReadonlyMap<string, ReadonlySet<string>> = new Map([
  ["EnvVar", new Set(["value"])],
  ["HTTPHeader", new Set(["value"])],
  ["CSIVolumeSource", new Set(["volumeAttributes"])],
  ["FlexVolumeSource", new Set(["options"])],
]);

/** Types of which only these fields are shown when a whole item is missing or unexpected. */
const SUMMARY_FIELDS: ReadonlyMap<string, readonly string[]> = new Map([
  ["Container", ["name", "image"]],
  ["EphemeralContainer", ["name", "image"]],
]);

/** Types of lists whose order means nothing: StatefulSets add their volumes in random order. */
const UNORDERED_TYPES: ReadonlySet<string> = new Set(["Volume"]);

/**
 * Whether a walk would find nothing, told without making paths and names. It may say no where a walk finds nothing either:
 * of volumes in another order, or of amounts that are written in two ways.
 */
function areEqual(type: string, signed: JsonObject, found: JsonObject): boolean {
  const fields = fieldsOf(type);
  const names = Object.keys(found);
  if (names.length !== Object.keys(signed).length) return false;
  for (let index = 0; index < names.length; index++) {
    const name = names[index] ?? "";
    const field = fields.get(name);
    const value = getOwn(signed, name);
    const other = found[name];
    if (field === undefined || value === undefined || other === undefined) return false;
    if (!haveEqual(field, value, other)) return false;
  }
  return true;
}

function haveEqual(field: Field, signed: JsonValue, found: JsonValue): boolean {
  const { type, shape } = field;
  if (Array.isArray(signed)) {
    return shape === "list" && Array.isArray(found) && signed.length === found.length &&
      signed.every((item, index) => areEqualItems(type, item, found[index]));
  }
  if (shape !== "map") return areEqualItems(type, signed, found);
  if (!isJsonObject(signed) || !isJsonObject(found)) return false;
  const keys = Object.keys(found);
  return keys.length === Object.keys(signed).length &&
    keys.every((key) => areEqualItems(type, getOwn(signed, key), found[key]));
}

function areEqualItems(
  type: string | undefined,
  signed: JsonValue | undefined,
  found: JsonValue | undefined,
): boolean {
  return type !== undefined && isJsonObject(signed) && isJsonObject(found)
    ? areEqual(type, signed, found)
    : signed === found && (typeof signed !== "object" || signed === null) && signed !== undefined;
}

class Walk {
  readonly differences: Difference[] = [];

  /** @param misfits what the owner allowed by name, but not as it is; told first */
  constructor(misfits: readonly Problem[]) {
    for (const { path, message } of misfits) this.#add({ path, kind: "invalid", detail: message });
  }

  objects(type: string, signed: JsonObject, found: JsonObject, path: string): void {
    const fields = fieldsOf(type);
    const secrets = SECRET_FIELDS.get(type);
    for (const [name, field] of fields) {
      const secret = secrets?.has(name) ?? false;
      this.#field(field, secret, getOwn(signed, name), getOwn(found, name), path + field.segment);
    }
    // Decoding leaves no other fields; should it ever, they are not equal.
    for (const name of Object.keys(found)) {
      if (!fields.has(name)) {
        this.#add({ path: path + fieldSegment(name), kind: "unexpected", found: NOT_SHOWN });
      }
    }
  }

  #field(
    field: Field,
    secret: boolean,
    signed: JsonValue | undefined,
    found: JsonValue | undefined,
    path: string,
  ): void {
    const show = (value: JsonValue) => secret ? NOT_SHOWN : printValue(redacted(field, value));
    // Lists that are there on one side only are told item by item, so that each has its name.
    const items = (value: JsonValue) =>
      field.shape === "list" && field.type !== undefined && Array.isArray(value);
    if (signed === undefined) {
      if (found === undefined) return;
      if (items(found)) this.#field(field, secret, [], found, path);
      else this.#add({ path, kind: "unexpected", found: show(found) });
    } else if (found === undefined) {
      if (items(signed)) this.#field(field, secret, signed, [], path);
      else this.#add({ path, kind: "missing", signed: show(signed) });
    } else if (field.shape === "list" && Array.isArray(signed) && Array.isArray(found)) {
      this.#lists(field, secret, signed, found, path);
    } else if (field.shape === "map" && isJsonObject(signed) && isJsonObject(found)) {
      for (const key of new Set([...Object.keys(signed), ...Object.keys(found)])) {
        const value: Field = { ...field, shape: "single" };
        this.#field(value, secret, getOwn(signed, key), getOwn(found, key), path + keySegment(key));
      }
    } else if (
      field.shape === "single" && field.type !== undefined && isJsonObject(signed) && isJsonObject(found)
    ) {
      this.objects(field.type, signed, found, path);
    } else if (!equalScalars(field, signed, found)) {
      const [shownSigned, shownFound] = secret
        ? [NOT_SHOWN, NOT_SHOWN]
        : printPair(redacted(field, signed), redacted(field, found));
      this.#add({ path, kind: "changed", signed: shownSigned, found: shownFound });
    }
  }

  /**
   * Pairs items by name, the second of one name with the second, and items without names by place. Order is then one
   * more thing that has to be the same, except in lists where it has no meaning.
   */
  #lists(field: Field, secret: boolean, signed: JsonValue[], found: JsonValue[], path: string): void {
    const item: Field = { ...field, shape: "single" };
    const signedItems = keyed(field, signed);
    const foundItems = keyed(field, found);
    for (const [key, { segment, value }] of signedItems) {
      this.#field(item, secret, value, foundItems.get(key)?.value, path + segment);
    }
    for (const [key, { segment, value }] of foundItems) {
      if (!signedItems.has(key)) this.#field(item, secret, undefined, value, path + segment);
    }
    if (field.type !== undefined && UNORDERED_TYPES.has(field.type)) return;
    const signedOrder = [...signedItems.keys()].filter((key) => foundItems.has(key));
    const foundOrder = [...foundItems.keys()].filter((key) => signedItems.has(key));
    if (signedOrder.every((key, index) => key === foundOrder[index])) return;
    const names = (order: string[], items: Map<string, KeyedItem>) =>
      printValue(order.map((key) => items.get(key)?.name ?? ""));
    this.#add({
      path,
      kind: "changed",
      signed: `the order ${names(signedOrder, signedItems)}`,
      found: names(foundOrder, foundItems),
    });
  }

  #add(difference: Difference): void {
    if (this.differences.length >= MAX_DIFFERENCES) return;
    this.differences.push({ ...difference, path: printable(difference.path) });
  }
}

interface KeyedItem {
  name: string;
  /** The item's part of a path. */
  segment: string;
  value: JsonValue;
}

/** The items of a list under keys that pair them with those of another list. */
function keyed(field: Field, items: JsonValue[]): Map<string, KeyedItem> {
  const occurrences = new Map<string, number>();
  const result = new Map<string, KeyedItem>();
  for (const [index, value] of items.entries()) {
    const name = itemName(field, value);
    if (name === undefined) {
      result.set(`[${index}]`, { name: `${index}`, segment: `[${index}]`, value });
      continue;
    }
    const occurrence = (occurrences.get(name) ?? 0) + 1;
    occurrences.set(name, occurrence);
    result.set(`${occurrence} ${name}`, { name, segment: `[${name}]`, value });
  }
  return result;
}

/** Quantities are compared as numbers, what has no type of its own (managed fields) as JSON, all else as it is. */
function equalScalars(field: Field, signed: JsonValue, found: JsonValue): boolean {
  if (signed === found) return true;
  if (field.scalar === "any") return equalJson(signed, found);
  if (field.scalar !== "quantity" || typeof signed !== "string" || typeof found !== "string") return false;
  return compareQuantities(signed, found) === 0;
}

/** A copy of a value in which nothing that may be secret is left. */
function redacted(field: Field, value: JsonValue): JsonValue {
  if (field.type === undefined) return value;
  if (field.shape === "list" && Array.isArray(value)) {
    return value.map((item) => redacted({ ...field, shape: "single" }, item));
  }
  if (!isJsonObject(value)) return value;
  const fields = fieldsOf(field.type);
  const secrets = SECRET_FIELDS.get(field.type);
  const summary = SUMMARY_FIELDS.get(field.type);
  const entries: [string, JsonValue][] = [];
  for (const [name, member] of Object.entries(value)) {
    const memberField = fields.get(name);
    if (summary !== undefined && !summary.includes(name)) continue;
    if (memberField === undefined || secrets?.has(name) === true) entries.push([name, NOT_SHOWN]);
    else entries.push([name, redacted(memberField, member)]);
  }
  return Object.fromEntries(entries);
}
