/**
 * Why an object is not passed on, as a stable word.
 *
 * @module
 */
import { CONTENT_DENY_CODES } from "@signed-pods/shared/pod/content";
import type { ResourceName } from "./object_kind.ts";

/** Codes that do not depend on what owners signed, each with its meaning. */
const RULE_DENY_CODES = {
  "object-malformed": "A field that the kubelet reads has no grammar, or one that it needs is missing",
  "object-misplaced": "It is not the object that was asked for, or not of that namespace or of this node",
  "object-not-allowed": "Nobody has allowed the volume, the driver or the handler that it names",
} as const;

/** Every code with its meaning. */
export const OBJECT_DENY_CODES = { ...RULE_DENY_CODES, ...CONTENT_DENY_CODES } as const;

/** One of them. */
export type ObjectDenyCode = keyof typeof OBJECT_DENY_CODES;

/** The codes that objects of a kind can be refused with. */
export function codesOf(resource: ResourceName): ObjectDenyCode[] {
  const codes = resource === "configmaps" || resource === "secrets" ? OBJECT_DENY_CODES : RULE_DENY_CODES;
  return Object.keys(codes).filter(isCode);
}

function isCode(text: string): text is ObjectDenyCode {
  return Object.hasOwn(OBJECT_DENY_CODES, text);
}
