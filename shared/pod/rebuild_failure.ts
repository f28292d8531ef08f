/**
 * Why a pod cannot be built for the kubelet.
 *
 * @module
 */
import type { Problem } from "../errors.ts";
import type { DenyCode } from "../verdict.ts";

/** What could not be built, and the refusal that it amounts to. */
export interface RebuildFailure {
  ok: false;
  /** `identity-conflict`, `wrong-node` or `pod-malformed`. */
  code: DenyCode;
  /** At least one. */
  problems: Problem[];
}

/** A failure with one problem. */
export function failure(code: DenyCode, path: string, message: string): RebuildFailure {
  return { ok: false, code, problems: [{ path, message }] };
}
