/**
 * Pins what pods refer to, and says what is neither pinned nor allowed.
 *
 * @module
 */
import { getOwn } from "@signed-pods/shared/json";
import { minimal } from "@signed-pods/shared/pod/normal-form";
import { parsePermission, type Permission } from "@signed-pods/shared/pod/permissions";
import { type ContentPin, pinContent, type Pins } from "@signed-pods/shared/pod/pins";
import {
  type AnsweredReference,
  nameOfReference,
  signedReferences,
  unansweredText,
} from "@signed-pods/shared/pod/reference-answer";
import type { PodTemplateLocation } from "@signed-pods/shared/pod/workload";
import { withoutClaimVolumes } from "@signed-pods/shared/signed-template";
import { type ConfigObjects, contentOf, placeOfObject } from "./config_objects.ts";

/** What comes of one pod template's references. */
export interface Pinning {
  readonly pins: Pins;
  /** What nodes that enforce references would refuse, one line each. */
  readonly unanswered: readonly string[];
  /** What else the owner should know. */
  readonly warnings: readonly string[];
}

/**
 * Pins the objects that a pod template refers to, as far as they are given and not allowed to change.
 *
 * @param location the template; its spec fits the schema
 * @param allow the owner's permissions, as they were written
 * @param namespace the one that its pods will be in, if that is known
 * @throws {InputError} if an object cannot be pinned
 */
export async function pinReferences(
  location: PodTemplateLocation,
  allow: readonly string[],
  namespace: string | undefined,
  objects: ConfigObjects,
): Promise<Pinning> {
  const { statefulSet } = location;
  const spec = minimal(withoutClaimVolumes(location.spec, statefulSet));
  const permissions = allow.flatMap((text): Permission[] => {
    const parsed = parsePermission(text);
    return parsed.ok ? [parsed.permission] : [];
  });
  const warnings: string[] = [];
  const configMaps: [string, ContentPin][] = [];
  const secrets: [string, ContentPin][] = [];
  const runtimeClasses: [string, string][] = [];
  const before = signedReferences(spec, { allow: permissions, statefulSet });
  for (const group of byObject(before)) {
    const [{ reference, answer }] = group;
    const { kind, name } = reference;
    if (kind === "RuntimeClass") {
      const object = objects.find(kind, name, undefined);
      const handler = object === undefined ? undefined : getOwn(object.value, "handler");
      if (typeof handler === "string") runtimeClasses.push([name, handler]);
      continue;
    }
    if (answer.kind === "signed" && objects.inInput(name).length === 0) {
      warnings.push(
        `${reference.path}: ConfigMap ${name} is not in this input: nodes refuse its content until it is signed, with ` +
          `podsign sign-spec --allow signed-config=${name}`,
      );
    }
    if ((kind !== "ConfigMap" && kind !== "Secret") || answer.kind !== "missing") continue;
    const object = objects.find(kind, name, namespace);
    if (object === undefined) continue;
    const content = contentOf(object);
    const used = usedKeys(group);
    for (const { reference: { keys = [], path, optional } } of group) {
      for (const key of keys) {
        if (content.has(key) || optional) continue;
        warnings.push(
          `${path}: ${kind} ${name} at ${placeOfObject(object)} has no key "${key}": the pod will not start`,
        );
      }
    }
    const entries = [...content].filter(([key]) => used === undefined || used.has(key));
    const pin = await pinContent(entries, kind === "Secret" ? objects.saltOf(object) : undefined);
    (kind === "Secret" ? secrets : configMaps).push([name, pin]);
  }
  const pins: Pins = {
    ...(configMaps.length === 0 ? {} : { configMaps: Object.fromEntries(configMaps) }),
    ...(secrets.length === 0 ? {} : { secrets: Object.fromEntries(secrets) }),
    ...(runtimeClasses.length === 0 ? {} : { runtimeClasses: Object.fromEntries(runtimeClasses) }),
  };
  const after = signedReferences(spec, { allow: permissions, statefulSet, pins });
  return { pins, unanswered: unansweredLines(after), warnings: [...warnings, ...unsignedHandlers(after)] };
}

/** One line for each RuntimeClass whose handler was not signed: only the node's operator can say it, which is not known here. */
export function unsignedHandlers(references: readonly AnsweredReference[]): string[] {
  return byObject(references).flatMap(([{ reference: { kind, name, path }, answer }]) =>
    kind !== "RuntimeClass" || answer.kind === "handler" ? [] : [
      `${path}: nodes that enforce references refuse the pod, unless they are started with --runtime-class=${name}=HANDLER ` +
      `or the handler is signed: have RuntimeClass ${name} in the input, or in a file of --with-config`,
    ]
  );
}

/** One line for each object about which the owner says nothing, with the first place that refers to it. */
function unansweredLines(references: readonly AnsweredReference[]): string[] {
  return byObject(references).flatMap(([{ reference, answer }]) =>
    answer.kind === "missing" ? [`${reference.path}: ${unansweredText(reference, answer.remedies)}`] : []
  );
}

type Group = readonly [AnsweredReference, ...AnsweredReference[]];

/** References by what they lead to. Those with another answer, such as a registry's credentials, stand apart. */
function byObject(references: readonly AnsweredReference[]): Group[] {
  const groups = new Map<string, [AnsweredReference, ...AnsweredReference[]]>();
  for (const answered of references) {
    const key = `${answered.answer.kind} ${nameOfReference(answered.reference)}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [answered]);
    else group.push(answered);
  }
  return [...groups.values()];
}

/** The keys that any of the references uses; undefined if one uses all. */
function usedKeys(group: Group): ReadonlySet<string> | undefined {
  const used = new Set<string>();
  for (const { reference: { keys } } of group) {
    if (keys === undefined) return undefined;
    for (const key of keys) used.add(key);
  }
  return used;
}
