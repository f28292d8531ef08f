/**
 * What a payload is, and whether this server signs it.
 *
 * @module
 */
import { SignedPodsError } from "@signed-pods/shared/errors";
import { parseSignedContent } from "@signed-pods/shared/signed-content";
import { parseSignedTemplate } from "@signed-pods/shared/signed-template";
import type { WorkloadReference } from "@signed-pods/shared/verdict";
import { RequestError } from "./request_error.ts";

/** What the server was told to sign. */
export interface PayloadPolicy {
  /** Nothing but signed templates and signed contents of ConfigMaps. */
  templatesOnly: boolean;
  /** Nothing but those of these namespaces. */
  namespaces?: ReadonlySet<string>;
}

/** Names in a message are cut here: a message is a line. */
const MAX_LISTED_NAMESPACES = 10;

/** So is what is wrong with a template, which may be wrong in many places. */
const MAX_REASON_LENGTH = 400;

/**
 * Checks a payload.
 *
 * @returns the workload if the payload is a signed template, or the ConfigMap if it is the signed content of one
 * @throws {RequestError} `payload-not-template` or `namespace-not-allowed`
 */
export function checkPayload(
  payload: string,
  { templatesOnly, namespaces }: PayloadPolicy,
): WorkloadReference | undefined {
  let workload = readConfigMap(payload);
  let reason = "";
  try {
    if (workload === undefined) ({ workload } = parseSignedTemplate(payload));
  } catch (error) {
    if (!(error instanceof SignedPodsError)) throw error;
    reason = error.message.slice(0, MAX_REASON_LENGTH);
  }
  if (workload === undefined) {
    if (!templatesOnly && namespaces === undefined) return undefined;
    const flag = namespaces === undefined ? "--templates-only" : "--allow-namespaces";
    throw new RequestError(
      "payload-not-template",
      `This server signs nothing but signed templates, as podsign sign-spec makes them (${flag}). ${reason}`,
    );
  }
  if (namespaces !== undefined && (workload.namespace === undefined || !namespaces.has(workload.namespace))) {
    const listed = [...namespaces].slice(0, MAX_LISTED_NAMESPACES).join(",");
    const allowed = `--allow-namespaces ${listed}${namespaces.size > MAX_LISTED_NAMESPACES ? ",…" : ""}`;
    throw new RequestError(
      "namespace-not-allowed",
      workload.namespace === undefined
        ? `The template names no namespace, so that its pods may run in any: sign with podsign --namespace, one of ${allowed}`
        : `The namespace "${workload.namespace}" is not one that this server signs for: ${allowed}`,
    );
  }
  return workload;
}

/** The ConfigMap whose signed content a payload is. */
function readConfigMap(payload: string): WorkloadReference | undefined {
  try {
    const { namespace, name } = parseSignedContent(payload);
    return { apiVersion: "v1", kind: "ConfigMap", namespace, name };
  } catch (error) {
    if (!(error instanceof SignedPodsError)) throw error;
    return undefined;
  }
}
