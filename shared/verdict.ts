/**
 * What judging a pod says. A verdict is a value, never a boolean: whoever acts on it has its reason at hand.
 *
 * @module
 */
import type { JsonObject } from "./json.ts";
import type { AnsweredReference } from "./pod/reference_answer.ts";

/** How a pod is signed: over its signed-template annotation, or over its spec alone. */
export type SignatureForm = "template" | "spec";

/** Annotation that holds the signature: base64 of DER (ECDSA) or PKCS#1 v1.5 (RSA). */
export const SIGNATURE_ANNOTATION = "kubelet-proxy.io/signature";

/** Annotation that holds the exact text that was signed (template form). */
export const SIGNED_TEMPLATE_ANNOTATION = "kubelet-proxy.io/signed-template";

/** Why a pod is refused: every code with its meaning. Codes are stable; logs and messages carry them. */
export const DENY_CODES = {
  unsigned: "It carries no signature",
  "signature-malformed":
    "An annotation of ours is too large, not base64, or not the form that any trusted key makes",
  "signature-invalid": "No trusted key made the signature",
  "key-revoked": "The key that signed is revoked on this node",
  "namespace-not-allowed": "The key that signed may not sign for the pod's namespace",
  "form-not-accepted": "The signature is of a form that this node does not accept",
  "template-malformed": "The signed text verifies, but is not a signed template",
  "wrong-workload": "The signed template belongs to another namespace, name or kind of workload",
  "not-yet-valid": "The signed template's notBefore is yet to come",
  expired: "The signed template's notAfter has passed",
  "certificate-not-valid": "The only keys that verify have a certificate whose dates do not hold now",
  "spec-differs": "The pod's spec is not what was signed",
  "pod-malformed": "The pod has unknown fields, wrong types or values that Kubernetes would not accept",
  "identity-conflict": "UID, namespace or name have the wrong form or belong to another pod",
  "changed-after-admission": "The pod was admitted with other signed bytes under the same UID",
  "reference-not-signed":
    "The pod refers to what its owner neither pinned nor allowed, or to what is not on this node as its owner signed it",
  "digest-required": "An image is named without a digest, and digests are required",
  "wrong-node": "The pod is bound to another node",
} as const;

/** Why a pod is refused, as a stable word. */
export type DenyCode = keyof typeof DENY_CODES;

/** One field in which the pod differs from what was signed. */
export interface Difference {
  /** Path of the field, for example `spec.containers[app].image`; empty for the object as a whole. */
  path: string;
  /** How it differs. */
  kind: "changed" | "missing" | "unexpected" | "invalid";
  /** What was signed, printed and shortened; absent if nothing was. Never an environment value. */
  signed?: string;
  /** What was found, printed and shortened; absent if nothing was. Never an environment value. */
  found?: string;
  /** For `invalid`: what is wrong with it. */
  detail?: string;
}

/** The workload whose template was signed. Without a namespace it may run in any. */
export interface WorkloadReference {
  apiVersion: string;
  kind: string;
  namespace?: string;
  /** Absent only where the manifest has a generateName. */
  name?: string;
  generateName?: string;
}

/** The pod may run, as `spec`, `labels` and `annotations` say. */
export interface AllowVerdict {
  decision: "allow";
  form: SignatureForm;
  /** Lower-case hexadecimal SHA-256 of the verifying key's SubjectPublicKeyInfo. */
  keyId: string;
  /** Lower-case hexadecimal SHA-256 of the bytes that were signed. */
  signedHash: string;
  /** Template form only. */
  workload?: WorkloadReference;
  /** Pods of a StatefulSet in the template form: the ordinal in the pod's name. */
  ordinal?: string;
  /** Pods of an indexed Job in the template form: the completion index in the pod's name. */
  completionIndex?: string;
  /** The expanded signed spec with the accepted injected parts, without scheduling fields. */
  spec: JsonObject;
  /** Signed labels; empty in the spec form. */
  labels: Record<string, string>;
  /** Signed annotations; empty in the spec form. */
  annotations: Record<string, string>;
  /** Unsigned labels that the owner allowed by key. */
  extraLabels: Record<string, string>;
  /** Unsigned annotations that the owner allowed by key. */
  extraAnnotations: Record<string, string>;
  /** What was accepted beyond the signed spec, one line each: a path and the rule's name. */
  injected: string[];
  /** The owner's permissions that were made use of, as they are written in the signed template. */
  permissions: string[];
  /** What the signed spec refers to, with what the owner says of it. `podReferences` adds what was injected. */
  references: readonly AnsweredReference[];
  /** What the owner should know, for example a tag without a digest. */
  warnings: string[];
}

/** The pod must not run. */
export interface DenyVerdict {
  decision: "deny";
  code: DenyCode;
  /** One line: what is wrong and, in short, what to do. Without the differences. */
  message: string;
  /** Every field that differs, in the order of the pod. */
  differences: Difference[];
}

/** The outcome of judging one pod. */
export type Verdict = AllowVerdict | DenyVerdict;

/** Makes a refusal. */
export function deny(code: DenyCode, message: string, differences: Difference[] = []): DenyVerdict {
  return { decision: "deny", code, message, differences };
}

/** One difference as people read it: `spec.containers[app].image: signed "a", found "b"`. */
export function formatDifference(difference: Difference): string {
  const { path, kind, signed, found, detail } = difference;
  switch (kind) {
    case "changed":
      return `${path}: signed ${signed ?? "(not shown)"}, found ${found ?? "(not shown)"}`;
    case "missing":
      return `${path}: signed ${signed ?? "(not shown)"}, found nothing`;
    case "unexpected":
      return `${path}: not signed, found ${found ?? "(not shown)"}`;
    case "invalid":
      return path === "" ? detail ?? "not valid" : `${path}: ${detail ?? "not valid"}`;
    default: {
      const never: never = kind;
      return never;
    }
  }
}

/**
 * A refusal as one text: the message, then as many differences as fit, then how many more there are.
 *
 * @param verdict the refusal
 * @param maxLength the longest text to return, in UTF-16 code units
 */
export function formatDenial(verdict: DenyVerdict, maxLength: number): string {
  let text = verdict.message;
  for (const [index, difference] of verdict.differences.entries()) {
    const rest = verdict.differences.length - index;
    const more = ` (and ${rest} more)`;
    const next = `${index === 0 ? ": " : "; "}${formatDifference(difference)}`;
    const reserve = rest === 1 ? 0 : more.length;
    if (text.length + next.length + reserve > maxLength) {
      const room = maxLength - more.length;
      return room > 0 ? cut(text, room) + more : cut(text, maxLength);
    }
    text += next;
  }
  return cut(text, maxLength);
}

/** The beginning of a text, never ending in half a character. */
function cut(text: string, maxLength: number): string {
  return text.slice(0, maxLength).replace(/[\ud800-\udbff]$/, "");
}
