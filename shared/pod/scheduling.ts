/**
 * The scheduling fields of a pod as they are forwarded. They are not signed, so each of their texts has a grammar.
 *
 * @module
 */
import type { Problem } from "../errors.ts";
import { getOwn, type JsonObject, type JsonValue, objectAt, objectsAt } from "../json.ts";
import { isDnsSubdomain, isLabelValue, isQualifiedName } from "./grammar.ts";
import { AMOUNT_RESOURCES, isAmount } from "./quantity.ts";
import { failure, type RebuildFailure } from "./rebuild_failure.ts";
import { decode, keySegment } from "./schema.ts";

/**
 * The scheduling fields that a kubelet reads: for its own admission check, preemption, eviction order, and the pod's
 * readiness. (`pkg/kubelet/lifecycle/predicate.go`, `pkg/kubelet/types/pod_update.go`,
 * `pkg/kubelet/status/generate.go`)
 */
export const KUBELET_SCHEDULING_FIELDS: readonly string[] = [
  "nodeSelector",
  "affinity",
  "tolerations",
  "priority",
  "priorityClassName",
  "preemptionPolicy",
  "readinessGates",
  "overhead",
];

export type Scheduling = { ok: true; fields: JsonObject } | RebuildFailure;

export function readScheduling(live: JsonObject, nodeName: string): Scheduling {
  const node = readNodeName(live, nodeName);
  if (node !== undefined) return node;
  const spec = objectAt(live, "spec");
  const picked: JsonObject = {};
  for (const field of KUBELET_SCHEDULING_FIELDS) {
    const value = getOwn(spec, field);
    if (value !== undefined) picked[field] = value;
  }
  const { value, problems } = decode("PodSpec", picked, "spec");
  if (problems.length > 0) return { ok: false, code: "pod-malformed", problems };
  // Of affinities the kubelet reads the required node affinity only.
  const required = getOwn(objectAt(objectAt(value, "affinity"), "nodeAffinity"), REQUIRED_NODE_AFFINITY);
  const { affinity: _all, ...rest } = value;
  const fields: JsonObject = required === undefined
    ? rest
    : { ...rest, affinity: { nodeAffinity: { [REQUIRED_NODE_AFFINITY]: required } } };
  checkScheduling(fields, problems);
  if (problems.length > 0) return { ok: false, code: "pod-malformed", problems };
  return { ok: true, fields: { nodeName, ...fields } };
}

const REQUIRED_NODE_AFFINITY = "requiredDuringSchedulingIgnoredDuringExecution";

export function readNodeName(live: JsonObject, nodeName: string): RebuildFailure | undefined {
  // It reaches $(NODE_NAME) in command lines, and the kubelet does not look at it again when a pod changes.
  if (getOwn(objectAt(live, "spec"), "nodeName") === nodeName) return undefined;
  return failure("wrong-node", "spec.nodeName", "is not this node");
}

const TOLERATION_OPERATORS: ReadonlySet<string> = new Set(["", "Exists", "Equal", "Lt", "Gt"]);
const TAINT_EFFECTS: ReadonlySet<string> = new Set(["", "NoSchedule", "PreferNoSchedule", "NoExecute"]);
const SELECTOR_OPERATORS: ReadonlySet<string> = new Set([
  "In",
  "NotIn",
  "Exists",
  "DoesNotExist",
  "Gt",
  "Lt",
]);
const PREEMPTION_POLICIES: ReadonlySet<string> = new Set(["PreemptLowerPriority", "Never"]);

/** Checks every text of the decoded scheduling fields. What no rule names is refused. */
function checkScheduling(fields: JsonObject, problems: Problem[]): void {
  const check = (
    path: string,
    value: JsonValue | undefined,
    fits: (text: string) => boolean,
    what: string,
  ) => {
    if (typeof value === "string" && !fits(value)) problems.push({ path, message: `is not ${what}` });
  };
  for (const [key, value] of Object.entries(objectAt(fields, "nodeSelector"))) {
    check("spec.nodeSelector", key, isQualifiedName, "a map with label keys");
    check(`spec.nodeSelector${keySegment(key)}`, value, isLabelValue, "a label value");
  }
  const affinity = objectAt(objectAt(objectAt(fields, "affinity"), "nodeAffinity"), REQUIRED_NODE_AFFINITY);
  const affinityPath = `spec.affinity.nodeAffinity.${REQUIRED_NODE_AFFINITY}`;
  for (const [index, term] of objectsAt(affinity, "nodeSelectorTerms").entries()) {
    for (const list of ["matchExpressions", "matchFields"]) {
      for (const [place, { key, operator, values }] of objectsAt(term, list).entries()) {
        const path = `${affinityPath}.nodeSelectorTerms[${index}].${list}[${place}]`;
        check(`${path}.key`, key, isQualifiedName, "a label key");
        check(`${path}.operator`, operator, (text) => SELECTOR_OPERATORS.has(text), "a known operator");
        // The field metadata.name is compared with node names, which may be longer than label values.
        const fits = (text: string) => isLabelValue(text) || isDnsSubdomain(text);
        for (const value of Array.isArray(values) ? values : []) {
          check(`${path}.values`, value, fits, "a label value");
        }
      }
    }
  }
  for (const [index, { key, operator, value, effect }] of objectsAt(fields, "tolerations").entries()) {
    const path = `spec.tolerations[${index}]`;
    check(`${path}.key`, key, isQualifiedName, "a taint's key");
    check(`${path}.operator`, operator, (text) => TOLERATION_OPERATORS.has(text), "a known operator");
    check(`${path}.value`, value, isLabelValue, "a taint's value");
    check(`${path}.effect`, effect, (text) => TAINT_EFFECTS.has(text), "a taint's effect");
  }
  check("spec.priorityClassName", fields.priorityClassName, isDnsSubdomain, "a DNS subdomain");
  check(
    "spec.preemptionPolicy",
    fields.preemptionPolicy,
    (text) => PREEMPTION_POLICIES.has(text),
    "a known policy",
  );
  for (const [index, { conditionType }] of objectsAt(fields, "readinessGates").entries()) {
    check(
      `spec.readinessGates[${index}].conditionType`,
      conditionType,
      isQualifiedName,
      "a condition's type",
    );
  }
  for (const [resource, amount] of Object.entries(objectAt(fields, "overhead"))) {
    check(
      "spec.overhead",
      resource,
      (name) => AMOUNT_RESOURCES.includes(name),
      "a map of cpu, memory and ephemeral-storage",
    );
    check(`spec.overhead${keySegment(resource)}`, amount, isAmount, "an amount");
  }
}
