/**
 * What was decided of a pod, as one line of JSON: for `/decisions` and for the decision log. A line is built field by
 * field from the verdict and is bounded, whatever the API server puts into a pod.
 *
 * @module
 */
import type { DenyVerdict, Difference, Verdict } from "@signed-pods/shared/verdict";
import type { Mode } from "../mode.ts";
import { escapeUnsafe, redact } from "../telemetry.ts";

/** What becomes of a pod by its verdict: it may run, is hidden from the kubelet, or ran and is being stopped. */
export interface JudgedDecision {
  kind: "allow" | "refuse" | "stop";
  verdict: Verdict;
}

/** The mirror of one of the node's own static pods passes; it is not judged. */
export interface MirrorDecision {
  kind: "mirror";
}

/** What becomes of a pod, in a word. */
export type DecisionKind = (JudgedDecision | MirrorDecision)["kind"];

/** What was decided of a pod, which is not what was decided before. */
export type PodDecision = (JudgedDecision | MirrorDecision) & {
  /** In audit a refusal is noted, and nothing is hidden. */
  mode: Mode;
  namespace: string;
  name: string;
  uid: string;
};

/** What the judge tells those who watch it. */
export interface JudgeObserver {
  /** A pod's verdict is new, or has changed. */
  decided(decision: PodDecision): void;
  /** A pod without a proper identity is hidden; nothing can be remembered of it, so it is told of at each sighting. */
  unidentified(): void;
  /** All pods of this node, in a list or at the beginning of a watch, have been judged. */
  listed(): void;
}

/** Most differences, permissions or warnings in one line: more than people read. */
export const MAX_DECISION_ENTRIES = 20;

/** Longest text in one line, in characters: the path of a field, or a value as it is printed. */
export const MAX_DECISION_TEXT_CHARACTERS = 500;

/**
 * Longest list in one line, in characters of JSON. With a thousand lines in memory, that is some megabytes however a pod
 * looks.
 */
export const MAX_DECISION_LIST_CHARACTERS = 4_000;

/** The line, without a line feed. */
export function formatDecision(decision: PodDecision, time: Date): string {
  const { kind, mode, namespace, name, uid } = decision;
  const head = { time: time.toISOString(), decision: kind, mode, namespace, name, uid };
  const reasons = decision.kind === "mirror" ? {} : describe(decision.verdict);
  return escapeUnsafe(JSON.stringify({ ...head, ...reasons }));
}

function describe(verdict: Verdict): Record<string, unknown> {
  switch (verdict.decision) {
    case "deny":
      return describeDenial(verdict);
    case "allow": {
      const { form, keyId, signedHash, injected, permissions, warnings } = verdict;
      return {
        form,
        keyId,
        signedHash,
        ...list("injected", injected, cut),
        ...list("permissions", permissions, cut),
        ...list("warnings", warnings, cut),
      };
    }
    default: {
      const never: never = verdict;
      return never;
    }
  }
}

function describeDenial({ code, message, differences }: DenyVerdict): Record<string, unknown> {
  return { code, message: cut(message), ...list("differences", differences, describeDifference) };
}

/** The verifier leaves values of environment variables out; here nothing is added to what it says. */
function describeDifference({ path, kind, signed, found, detail }: Difference): Record<string, string> {
  return {
    path: cut(path),
    kind,
    ...(signed === undefined ? {} : { signed: cut(signed) }),
    ...(found === undefined ? {} : { found: cut(found) }),
    ...(detail === undefined ? {} : { detail: cut(detail) }),
  };
}

/** As many entries as fit, and how many there are beyond these. */
function list<T>(name: string, entries: readonly T[], show: (entry: T) => unknown): Record<string, unknown> {
  const shown: unknown[] = [];
  let characters = 0;
  for (const entry of entries.slice(0, MAX_DECISION_ENTRIES)) {
    const value = show(entry);
    characters += escapeUnsafe(JSON.stringify(value)).length;
    if (characters > MAX_DECISION_LIST_CHARACTERS) {
      break;
    }
    shown.push(value);
  }
  const left = entries.length - shown.length;
  return {
    ...(entries.length === 0 ? {} : { [name]: shown }),
    ...(left === 0 ? {} : { [`${name}LeftOut`]: left }),
  };
}

function cut(text: string): string {
  const safe = redact(text);
  return safe.length > MAX_DECISION_TEXT_CHARACTERS
    ? `${safe.slice(0, MAX_DECISION_TEXT_CHARACTERS).toWellFormed()}…`
    : safe;
}
