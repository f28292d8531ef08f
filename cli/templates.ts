/**
 * What is signed of a manifest, with everything that its owner should know before it is.
 *
 * @module
 */
import { canonicalize } from "@signed-pods/shared/canonical-json";
import { SignedPodsError } from "@signed-pods/shared/errors";
import { isJsonObject, type JsonObject, objectsAt } from "@signed-pods/shared/json";
import { hasDigest } from "@signed-pods/shared/pod/image";
import { minimal } from "@signed-pods/shared/pod/normal-form";
import { parsePermission } from "@signed-pods/shared/pod/permissions";
import type { Pins } from "@signed-pods/shared/pod/pins";
import type { PodTemplateLocation } from "@signed-pods/shared/pod/workload";
import { buildSignedTemplate, encodeSignedTemplate } from "@signed-pods/shared/signed-template";
import { signedReferences } from "@signed-pods/shared/pod/reference-answer";
import type { ReferencesMode } from "@signed-pods/shared/pod/verify";
import type { SignatureForm, WorkloadReference } from "@signed-pods/shared/verdict";
import type { ConfigObjects } from "./config_objects.ts";
import { parseDate } from "./dates.ts";
import { InputError } from "./input_error.ts";
import {
  type Manifest,
  type ManifestDocument,
  objectError,
  offsetAt,
  placeOf,
  podTemplatesOf,
} from "./manifest.ts";
import type { TemplateOptions } from "./options.ts";
import { type Pinning, pinReferences, unsignedHandlers } from "./pinning.ts";

/** One pod template with the text that is signed for it. */
export interface TemplateToSign {
  readonly document: ManifestDocument;
  readonly location: PodTemplateLocation;
  readonly form: SignatureForm;
  /** The exact text over which the signature is made. */
  readonly text: string;
  /** One line each. */
  readonly warnings: readonly string[];
  /** What to do with the signed manifest, one line each. */
  readonly notes: readonly string[];
}

/** Options for signing, read. */
export interface SigningChoices {
  readonly form: SignatureForm;
  readonly namespace?: string;
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  /** The owner's permissions, as they were written. */
  readonly allow: readonly string[];
  readonly requireDigests: boolean;
  /** What becomes of pods with references that are neither pinned nor allowed. */
  readonly references: ReferencesMode;
}

/**
 * Reads the options that say what is signed.
 *
 * @throws {InputError} if they are not valid or contradict each other
 */
export function readChoices(options: TemplateOptions, requireDigests: boolean, now: Date): SigningChoices {
  const { form = "template", namespace } = options;
  const problems: string[] = [];
  const date = (flag: string, text: string | undefined): Date | undefined => {
    if (text === undefined) return undefined;
    try {
      return parseDate(text, flag, now);
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      problems.push(...error.lines);
      return undefined;
    }
  };
  const notBefore = date("--not-before", options.notBefore);
  const notAfter = date("--not-after", options.notAfter);
  if (notAfter !== undefined && notAfter <= now) {
    problems.push(`--not-after: ${notAfter.toISOString()} has passed: no node would admit a pod`);
  }
  if (notBefore !== undefined && notAfter !== undefined && notAfter <= notBefore) {
    problems.push("--not-after: is not later than --not-before: no node would ever admit a pod");
  }
  const { allow } = options;
  for (const text of allow) {
    const parsed = parsePermission(text);
    if (!parsed.ok) problems.push(`--allow: ${JSON.stringify(text)} ${parsed.message}`);
  }
  if (form === "spec") {
    for (
      const [flag, value] of [
        ["--namespace", namespace],
        ["--not-before", notBefore],
        ["--not-after", notAfter],
        ["--allow", allow[0]],
        ["--with-config", options.withConfig[0]],
      ]
    ) {
      if (value !== undefined) {
        problems.push(`${flag}: a signature over the spec alone does not hold it: use --form template`);
      }
    }
  }
  if (problems.length > 0) throw new InputError(problems);
  return {
    form,
    ...(namespace === undefined ? {} : { namespace }),
    ...(notBefore === undefined ? {} : { notBefore }),
    ...(notAfter === undefined ? {} : { notAfter }),
    allow,
    requireDigests,
    references: options.references ?? "warn",
  };
}

/** A workload as people name it: `pod default/web`. */
export function workloadName(workload: WorkloadReference): string {
  const name = workload.name ?? `${workload.generateName ?? ""}*`;
  const kind = workload.kind.toLowerCase();
  return workload.namespace === undefined ? `${kind} ${name}` : `${kind} ${workload.namespace}/${name}`;
}

/** What to do with a manifest that names no namespace, but is signed for one. */
export function missingNamespace(signed: string): string {
  return `is signed for namespace "${signed}", but names none: apply it with kubectl apply -n ${signed}`;
}

/**
 * Every pod template that is to be signed in a manifest, in its order.
 *
 * @param objects what the pods may refer to
 * @throws {InputError} with every problem of every document
 */
export async function templatesToSign(
  manifest: Manifest,
  choices: SigningChoices,
  objects: ConfigObjects,
): Promise<TemplateToSign[]> {
  const templates: TemplateToSign[] = [];
  const problems: string[] = [];
  const collect = async (step: () => Promise<void>) => {
    try {
      await step();
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      problems.push(...error.lines);
    }
  };
  for (const document of manifest.documents) {
    await collect(async () => {
      for (const location of podTemplatesOf(manifest, document)) {
        await collect(async () => {
          templates.push(await templateToSign(manifest, document, location, choices, objects));
        });
      }
    });
  }
  if (problems.length > 0) throw new InputError(problems);
  return templates;
}

async function templateToSign(
  manifest: Manifest,
  document: ManifestDocument,
  location: PodTemplateLocation,
  choices: SigningChoices,
  objects: ConfigObjects,
): Promise<TemplateToSign> {
  const { form, namespace, notBefore, notAfter, allow } = choices;
  const place = placeOf(manifest, offsetAt(document, location.path));
  const name = workloadName(location.workload);
  const own = location.workload.namespace;
  if (namespace !== undefined && own !== undefined && own !== namespace) {
    throw new InputError([
      `${place}: ${name} has the namespace "${own}", but --namespace says "${namespace}": leave one of them out`,
    ]);
  }
  const warnings: string[] = [];
  const warn = (message: string) => warnings.push(`${place}: ${name}: ${message}`);
  try {
    const { pins, ...pinning } = form === "template"
      ? await pinReferences(location, allow, own ?? namespace, objects)
      : unpinned(location);
    const text = form === "template"
      ? encodeSignedTemplate(buildSignedTemplate(location, {
        ...(namespace === undefined ? {} : { namespace }),
        ...(notBefore === undefined ? {} : { notBefore }),
        ...(notAfter === undefined ? {} : { notAfter }),
        allow,
        pins,
      }))
      : specText(location, place, name);
    if (form === "template" && own === undefined && namespace === undefined) {
      warn(
        "has no namespace, so its pods may run in any: give --namespace NAMESPACE, or write it into the manifest",
      );
    }
    for (const text of allow) {
      const risk = riskOf(text);
      if (risk !== undefined) warn(`--allow ${text}: whoever controls the API server ${risk}`);
    }
    for (const line of pinning.warnings) warn(line);
    if (choices.references === "enforce" && pinning.unanswered.length > 0) {
      throw new InputError(
        pinning.unanswered.map((line) => `${place}: ${name}: ${line} (--references=enforce)`),
      );
    }
    if (choices.references === "warn") {
      for (const line of pinning.unanswered) warn(`nodes will refuse the pod: ${line}`);
    }
    const pinned = pinnedObjects(pins);
    const notes = [
      ...(namespace !== undefined && own === undefined
        ? [`${place}: ${name} ${missingNamespace(namespace)}`]
        : []),
      ...(pinned.length > 0 ? [`${place}: ${name}: content is signed with it of ${pinned.join(", ")}`] : []),
    ];
    for (const volume of replacedVolumes(location)) {
      warn(
        `volume "${volume}" of the template is not signed: the volume claim of the same name takes its place`,
      );
    }
    const tagged = imagesOf(location.spec).filter((image) => !hasDigest(image));
    if (choices.requireDigests && tagged.length > 0) {
      throw new InputError(
        tagged.map((image) => `${place}: ${name}: ${tagProblem(image)} (--require-digests)`),
      );
    }
    for (const image of tagged) warn(tagProblem(image));
    if (
      objectsAt(location.spec, "resourceClaims").some((claim) =>
        Object.hasOwn(claim, "resourceClaimTemplateName")
      )
    ) {
      warn(
        "has claims made from a template: nodes do not forward the claims' names yet, so its pods will not start",
      );
    }
    return { document, location, form, text, warnings, notes };
  } catch (error) {
    if (error instanceof SignedPodsError) throw objectError(manifest, document, location.path, error);
    throw error;
  }
}

/** What a permission puts into other hands. */
function riskOf(text: string): string | undefined {
  const parsed = parsePermission(text);
  if (!parsed.ok) return undefined;
  switch (parsed.permission.kind) {
    case "container":
    case "init-container":
      return "chooses the arguments and environment of that container";
    case "mutable-config":
    case "mutable-secret":
      return "writes its content";
    default:
      return undefined;
  }
}

/** The objects that are pinned, for people. */
function pinnedObjects({ configMaps = {}, secrets = {}, runtimeClasses = {} }: Pins): string[] {
  return Object.entries({ ConfigMap: configMaps, Secret: secrets, RuntimeClass: runtimeClasses })
    .flatMap(([kind, pins]) => Object.keys(pins).map((name) => `${kind} ${name}`));
}

/** In the spec form nothing can be said of references. */
function unpinned(location: PodTemplateLocation): Pinning {
  const references = signedReferences(minimal(location.spec), { allow: [] });
  const isAnswered = references.every(({ answer }) => answer.kind !== "missing");
  return {
    pins: {},
    unanswered: isAnswered ? [] : [
      "it refers to ConfigMaps, Secrets or claims, of which a signature over the spec alone says nothing: use --form template",
    ],
    warnings: unsignedHandlers(references),
  };
}

/** The text that is signed in the spec form. */
function specText(location: PodTemplateLocation, place: string, name: string): string {
  const adder = location.statefulSet === undefined
    ? location.job === undefined ? undefined : "an indexed Job"
    : "a StatefulSet";
  if (adder !== undefined) {
    throw new InputError([
      `${place}: ${name}: the controller of ${adder} adds to the spec of its pods, so that a signature over the ` +
      "spec alone never verifies: use --form template",
    ]);
  }
  return canonicalize(minimal(location.spec));
}

function tagProblem(image: string): string {
  return `image "${image}" has no digest: whoever controls the registry decides what runs; write image@sha256:…`;
}

/** Volumes in the template that a StatefulSet's claims of the same name take the place of. */
function replacedVolumes(location: PodTemplateLocation): string[] {
  const claims = new Set(location.statefulSet?.volumeClaims ?? []);
  return objectsAt(location.spec, "volumes").map((volume) => volume.name)
    .filter((name): name is string => typeof name === "string" && claims.has(name));
}

/** Every image that a pod names, in containers and in volumes, each once. */
function imagesOf(spec: JsonObject): string[] {
  const containers = ["initContainers", "containers", "ephemeralContainers"]
    .flatMap((list) => objectsAt(spec, list)).map((container) => container.image);
  const volumes = objectsAt(spec, "volumes").map((volume) => volume.image)
    .map((source) => isJsonObject(source) ? source.reference : undefined);
  return [
    ...new Set([...containers, ...volumes].filter((image): image is string => typeof image === "string")),
  ];
}
