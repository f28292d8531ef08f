/**
 * The two forms in which pod specs are compared and signed: expanded, with every default written out, as a kubelet
 * needs it; and minimal, without any, so that a default which a later Kubernetes adds changes no signature.
 *
 * @module
 */
import { SignedPodsError } from "../errors.ts";
import { getOwn, isJsonObject, type JsonObject, type JsonValue, setOwn } from "../json.ts";
import { DEFAULT_ROWS, type DefaultRow, REWRITE_ROWS, type RewriteRow } from "./defaults.ts";
import { decode, type Field, fieldsOf } from "./schema.ts";

/**
 * The fields of a spec that only say whether, where and when it is scheduled, or how much room it takes, each with the
 * reason why an owner does not sign it. The node goes by the live values; what reaches the kubelet has a grammar
 * (`scheduling.ts`).
 */
export const SCHEDULING_FIELD_REASONS: Readonly<Record<string, string>> = {
  nodeName: "The scheduler writes it. The node takes pods with its own name only.",
  nodeSelector: "Says on which nodes the pod may run, not how. RuntimeClasses and namespaces add to it.",
  affinity: "Says on which nodes the pod may run, not how. The API server adds to it for matchLabelKeys.",
  tolerations: "Says which taints keep the pod away or evict it. Admission and DaemonSets add to it.",
  topologySpreadConstraints: "Read by the scheduler alone.",
  schedulerName: "Read by the scheduler alone.",
  schedulingGates: "Read by the scheduler alone; taken away one by one before the pod is bound.",
  priority: "Decides who is evicted first. Admission writes it from the priority class.",
  priorityClassName: "Decides who is evicted first. Admission writes the default class.",
  preemptionPolicy: "Decides whose place the pod may take. Admission writes it from the priority class.",
  readinessGates:
    "Says which conditions make the pod ready to be sent traffic. Controllers of load balancers add to it.",
  overhead: "Makes room beside the containers. Admission writes it from the RuntimeClass.",
  workloadRef: "Read by the scheduler alone; Kubernetes 1.35 only.",
  schedulingGroup: "Read by the scheduler alone; since Kubernetes 1.36.",
};

/** The names of these fields. */
export const SCHEDULING_FIELDS: ReadonlySet<string> = new Set(Object.keys(SCHEDULING_FIELD_REASONS));

/** How many problems the text of an error shows; the error holds all. */
const SHOWN_PROBLEMS = 3;

/** The tables that the forms are made by. */
export interface NormalFormTables {
  readonly defaults: readonly DefaultRow[];
  readonly rewrites: readonly RewriteRow[];
}

/** What is to be done to objects of one type. */
interface Plan extends NormalFormTables {
  /** The fields that hold objects in which there is something to be done. */
  readonly parts: { readonly field: Field; readonly plan: Plan }[];
}

/** The two forms by given tables. */
export class NormalForm {
  readonly #tables: NormalFormTables;
  readonly #plans = new Map<string, Plan>();

  constructor(tables: NormalFormTables) {
    this.#tables = tables;
  }

  /** See {@linkcode expand}. */
  expand(spec: JsonValue | undefined): JsonObject {
    const value = decodeSpec(spec);
    expandObject(this.#planOf("PodSpec"), value, value);
    return value;
  }

  /** See {@linkcode minimal}. */
  minimal(spec: JsonValue | undefined): JsonObject {
    const value = withoutScheduling(this.expand(spec));
    shortenObject(this.#planOf("PodSpec"), value, value);
    return value;
  }

  #planOf(type: string): Plan {
    const known = this.#plans.get(type);
    if (known !== undefined) return known;
    const plan: Plan = {
      defaults: this.#tables.defaults.filter((row) => row.type === type),
      rewrites: this.#tables.rewrites.filter((row) => row.type === type),
      parts: [],
    };
    this.#plans.set(type, plan);
    for (const field of fieldsOf(type).values()) {
      if (field.type === undefined) continue;
      const part = this.#planOf(field.type);
      if (part.defaults.length + part.rewrites.length + part.parts.length > 0) {
        plan.parts.push({ field, plan: part });
      }
    }
    return plan;
  }
}

const KUBERNETES = new NormalForm({ defaults: DEFAULT_ROWS, rewrites: REWRITE_ROWS });

/**
 * A spec as the API server would store it in a Pod, with every default and quantities in canonical form. Scheduling
 * fields keep their values and get no defaults. Expanding twice changes nothing more.
 *
 * @param spec a pod's or pod template's spec; it is not changed
 * @throws {SignedPodsError} `object-malformed` with all problems, if it does not fit the schema
 */
export function expand(spec: JsonValue | undefined): JsonObject {
  return KUBERNETES.expand(spec);
}

/**
 * The shortest spec that expands to the same, without scheduling fields: `expand(minimal(s))` equals `expand(s)`
 * without them. This is what is signed. Doing it twice changes nothing more.
 *
 * @param spec a pod's or pod template's spec, in any form; it is not changed
 * @throws {SignedPodsError} `object-malformed` with all problems, if it does not fit the schema
 */
export function minimal(spec: JsonValue | undefined): JsonObject {
  return KUBERNETES.minimal(spec);
}

/** A spec without its scheduling fields. The input is not changed, but shares its parts with the output. */
export function withoutScheduling(spec: JsonObject): JsonObject {
  const others: JsonObject = {};
  for (const field of Object.keys(spec)) {
    const value = spec[field];
    if (value !== undefined && !SCHEDULING_FIELDS.has(field)) setOwn(others, field, value);
  }
  return others;
}

/** A spec as the schema has it; its problems in one error. */
function decodeSpec(spec: JsonValue | undefined): JsonObject {
  const { value, problems } = decode("PodSpec", spec, "spec");
  if (problems.length === 0) return value;
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

/** The objects that a field holds: one, or a list's items. */
function objectsIn(value: JsonValue | undefined): JsonObject[] {
  if (isJsonObject(value)) return [value];
  return Array.isArray(value) ? value.filter(isJsonObject) : [];
}

function expandObject(plan: Plan, object: JsonObject, spec: JsonObject): void {
  const { rewrites, defaults, parts } = plan;
  // Counted loops, since before a loop is optimized an iterator makes an object for each step.
  for (let index = 0; index < rewrites.length; index++) rewrites[index]?.expand(object, spec);
  for (let index = 0; index < defaults.length; index++) {
    const row = defaults[index];
    if (row === undefined || Object.hasOwn(object, row.field)) continue;
    const value = defaultOf(row, object);
    if (value !== undefined) object[row.field] = value;
  }
  for (let index = 0; index < parts.length; index++) {
    const part = parts[index];
    if (part === undefined) break;
    const { name, shape, pointer } = part.field;
    const value = getOwn(object, name);
    if (value === undefined) {
      if (shape !== "single" || pointer) continue;
      // Go has an object here even if nothing is written, and its fields get defaults.
      const created: JsonObject = {};
      expandObject(part.plan, created, spec);
      if (Object.keys(created).length > 0) object[name] = created;
    } else if (isJsonObject(value)) {
      expandObject(part.plan, value, spec);
    } else if (Array.isArray(value)) {
      for (const item of value) if (isJsonObject(item)) expandObject(part.plan, item, spec);
    }
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
