/**
 * Compares the ConfigMaps and Secrets that podsign is given with what was signed of them.
 *
 * @module
 */
import type { VerificationKey } from "@signed-pods/shared/keys";
import { judgeContent } from "@signed-pods/shared/pod/content";
import type { ContentKind } from "@signed-pods/shared/pod/object-content";
import type { AnsweredReference } from "@signed-pods/shared/pod/reference-answer";
import {
  type AllowVerdict,
  deny,
  type Difference,
  formatDifference,
  type Verdict,
} from "@signed-pods/shared/verdict";
import { asServed, type ConfigObjects } from "./config_objects.ts";

/** What a pod's references lead to, as far as something was signed of it: `ConfigMap web`, once each. */
export function pinnedNames(
  references: readonly AnsweredReference[],
  kind: "pinned" | "signed" | "handler",
): string[] {
  return [
    ...new Set(
      references.filter(({ answer }) => answer.kind === kind).map(({ reference }) =>
        `${reference.kind} ${reference.name}`
      ),
    ),
  ];
}

/**
 * The verdict on a pod with the objects at hand: one whose content is not what was signed is a refusal.
 *
 * @param namespace the one that the pod is, or will be, in
 * @throws {InputError} if an object cannot be read
 */
export async function judgeWithContent(
  verdict: AllowVerdict,
  namespace: string | undefined,
  objects: ConfigObjects,
  keys: readonly VerificationKey[],
  now: Date,
): Promise<Verdict> {
  const differences: Difference[] = [];
  const seen = new Set<string>();
  for (const { reference: { kind, name, path } } of verdict.references) {
    if ((kind !== "ConfigMap" && kind !== "Secret") || seen.has(`${kind} ${name}`)) continue;
    seen.add(`${kind} ${name}`);
    const references = signedOf(verdict.references, kind, name);
    const object = references.length === 0 ? undefined : objects.find(kind, name, namespace);
    if (object === undefined) continue;
    const content = await judgeContent(kind, asServed(object, namespace), references, { keys, now });
    if (content.decision === "allow") continue;
    for (const difference of content.differences) {
      differences.push({ path, kind: "invalid", detail: `${kind} ${name}: ${formatDifference(difference)}` });
    }
  }
  return differences.length === 0
    ? verdict
    : deny("reference-not-signed", "what the pod refers to is not what was signed", differences);
}

function signedOf(
  references: readonly AnsweredReference[],
  kind: ContentKind,
  name: string,
): AnsweredReference[] {
  return references.filter(({ reference, answer }) =>
    reference.kind === kind && reference.name === name &&
    (answer.kind === "pinned" || answer.kind === "signed")
  );
}
