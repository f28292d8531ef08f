/**
 * The two forms in which pod specs are compared and signed: expanded, with every default written out, as a kubelet
 * needs it; and minimal, without any, so that a default which a later Kubernetes adds changes no signature.
 *
 * @module
 */
import { SignedPodsError } from "../errors.ts";
import { getOwn, isJsonObject, type JsonObject, type JsonValue } from "../json.ts";
import { DEFAULT_ROWS, type DefaultRow, REWRITE_ROWS, type RewriteRow } from "./defaults.ts";
import { decode, type Field, fieldsOf } from "./schema.ts";

/**
 * The fields of a spec that only say whether, where and when it is scheduled, or how much room it takes. Schedulers
 * and admission plugins write them, so they are not signed; the node goes by the live values.
 */
export const SCHEDULING_FIELDS: ReadonlySet<string> = new Set([
  "nodeName",
  "nodeSelector",
  "affinity",
  "tolerations",
  "topologySpreadConstraints",
  "schedulerName",
  "schedulingGates",
  "priority",
  "priorityClassName",
  "preemptionPolicy",
  "readinessGates",
  "overhead",
  "workloadRef",
  "schedulingGroup",
]);

/** How many problems the text of an error shows; the error holds all. */
const SHOWN_PROBLEMS = 3;

/**
 * A spec as the API server would store it in a Pod, with every default and quantities in canonical form. Scheduling
 * fields keep their values and get no defaults. Expanding twice changes nothing more.
 *
 * @param spec a pod's or pod template's spec; it is not changed
 * @throws {SignedPodsError} `object-malformed` with all problems, if it does not fit the schema
 */
export function expand(spec: JsonValue | undefined): JsonObject {
  const { value, problems } = decode("PodSpec", spec, "spec");
  if (problems.length > 0) {
    const shown = problems.slice(0, SHOWN_PROBLEMS).map(({ path, message }) => `${path}: ${message}`).join(
      "; ",
    );
    const more = problems.length > SHOWN_PROBLEMS ? ` (and ${problems.length - SHOWN_PROBLEMS} more)` : "";
    throw new SignedPodsError(
      "object-malformed",
      `The pod spec does not fit the schema: ${shown}${more}`,
      problems,
    );
  }
  expandObject(planOf("PodSpec"), value, value);
  return value;
}

/**
 * The shortest spec that expands to the same, without scheduling fields: `expand(minimal(s))` equals `expand(s)`
 * without them. This is what is signed. Doing it twice changes nothing more.
 *
 * @param spec a pod's or pod template's spec, in any form; it is not changed
 * @throws {SignedPodsError} `object-malformed` with all problems, if it does not fit the schema
 */
export function minimal(spec: JsonValue | undefined): JsonObject {
  const value = withoutScheduling(expand(spec));
  shortenObject(planOf("PodSpec"), value, value);
  return value;
}

/** A spec without its scheduling fields. The input is not changed, but shares its parts with the output. */
export function withoutScheduling(spec: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(spec).filter(([field]) => !SCHEDULING_FIELDS.has(field)));
}

/** What is to be done to objects of one type. */
interface Plan {
  defaults: readonly DefaultRow[];
  rewrites: readonly RewriteRow[];
  /** The fields that hold objects in which there is something to be done. */
  parts: { field: Field; plan: Plan }[];
}

const plans = new Map<string, Plan>();

function planOf(type: string): Plan {
  const known = plans.get(type);
  if (known !== undefined) return known;
  const plan: Plan = {
    defaults: DEFAULT_ROWS.filter((row) => row.type === type),
    rewrites: REWRITE_ROWS.filter((row) => row.type === type),
    parts: [],
  };
  plans.set(type, plan);
  for (const field of fieldsOf(type).values()) {
    if (field.type === undefined) continue;
    const part = planOf(field.type);
    if (part.defaults.length + part.rewrites.length + part.parts.length > 0) {
      plan.parts.push({ field, plan: part });
    }
  }
  return plan;
}

/** The objects that a field holds: one, or a list's items. */
function objectsIn(value: JsonValue | undefined): JsonObject[] {
  if (isJsonObject(value)) return [value];
  return Array.isArray(value) ? value.filter(isJsonObject) : [];
}

function expandObject(plan: Plan, object: JsonObject, spec: JsonObject): void {
  for (const row of plan.rewrites) row.expand(object, spec);
  for (const row of plan.defaults) {
    if (Object.hasOwn(object, row.field)) continue;
    const value = defaultOf(row, object);
    if (value !== undefined) object[row.field] = value;
  }
  for (const part of plan.parts) {
    const { name, shape, pointer } = part.field;
    const value = getOwn(object, name);
    if (value === undefined && shape === "single" && !pointer) {
      // Go has an object here even if nothing is written, and its fields get defaults.
      const created: JsonObject = {};
      expandObject(part.plan, created, spec);
      if (Object.keys(created).length > 0) object[name] = created;
    }
    for (const item of objectsIn(value)) expandObject(part.plan, item, spec);
  }
}

function shortenObject(plan: Plan, object: JsonObject, spec: JsonObject): void {
  for (const row of plan.rewrites) row.shorten?.(object, spec);
  for (const row of plan.defaults) {
    const value = getOwn(object, row.field);
    if (value !== undefined && isSame(value, defaultOf(row, object))) delete object[row.field];
  }
  for (const part of plan.parts) {
    const { name, shape, pointer } = part.field;
    const value = getOwn(object, name);
    for (const item of objectsIn(value)) shortenObject(part.plan, item, spec);
    const emptied = shape === "single" && !pointer && isEmptyObject(value);
    if (emptied) delete object[name];
  }
}

function defaultOf(row: DefaultRow, object: JsonObject): JsonValue | undefined {
  return typeof row.value === "function" ? row.value(object) : row.value;
}

/** Defaults are scalars and empty objects. */
function isSame(value: JsonValue, other: JsonValue | undefined): boolean {
  return value === other || (isEmptyObject(value) && isEmptyObject(other));
}

function isEmptyObject(value: JsonValue | undefined): boolean {
  return isJsonObject(value) && Object.keys(value).length === 0;
}
