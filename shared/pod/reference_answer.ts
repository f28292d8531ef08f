/**
 * What an owner says of each object that a pod refers to: pinned, signed by itself, or free to change.
 *
 * @module
 */
import type { JsonObject } from "../json.ts";
import type { AllowVerdict } from "../verdict.ts";
import { formatPermission, type Permission, type ReferencePermissionKind } from "./permissions.ts";
import type { ContentPin, Pins } from "./pins.ts";
import { type Reference, type ReferenceKind, referencesOf } from "./references.ts";
import type { StatefulSetShape } from "./workload.ts";

/** What is known of the content that a reference leads to. */
export type Answer =
  /** Its digests are in the signed template. */
  | { readonly kind: "pinned"; readonly pin: ContentPin }
  /** A RuntimeClass: the handler that it has to mean. */
  | { readonly kind: "handler"; readonly handler: string }
  /** It carries a signature of its own. */
  | { readonly kind: "signed"; readonly permission: string }
  /** The owner allows any content, by this permission. */
  | { readonly kind: "mutable"; readonly permission: string }
  /** It is part of a container or volume that was added by the owner's permission, and whose settings nobody signed. */
  | { readonly kind: "extra" }
  /** The cluster's own certificate authority, which the node's operator pins, or nobody. */
  | { readonly kind: "cluster" }
  /** Its content has no part in what runs, or nobody can sign it. */
  | { readonly kind: "none-needed"; readonly reason: string }
  /** The owner says nothing. Each remedy is a way to say it. */
  | { readonly kind: "missing"; readonly remedies: readonly string[] };

/** A reference with what is known of its content. */
export interface AnsweredReference {
  readonly reference: Reference;
  readonly answer: Answer;
}

/** What an owner signed besides the spec that says something of references. */
export interface OwnerAnswers {
  readonly allow: readonly Permission[];
  readonly pins?: Pins | undefined;
  readonly statefulSet?: StatefulSetShape | undefined;
}

/** The ConfigMap that every namespace has, with the certificate authority of the API server. */
export const ROOT_CA_CONFIG_MAP = "kube-root-ca.crt";

/** The prefix of the API server's own service account volumes, which no owner can sign. */
const SERVICE_ACCOUNT_VOLUME_PREFIX = "kube-api-access-";

/** Kinds about which an owner need not say anything, and why. */
const FREE_KINDS: Readonly<Partial<Record<ReferenceKind, string>>> = {
  RuntimeClass: "the node's operator says which handler it may mean",
  ServiceAccount: "the kubelet reads nothing of it that a container sees",
  ServiceAccountToken: "the API server makes it and can make any other",
  PodCertificate: "a signer behind the API server makes it and can make any other",
  CSIDriver: "the node's operator says which drivers there may be",
  Image: "the reference is signed; with a digest so is the content",
};

/** The permissions by which an owner speaks of a kind, the strictest first. */
const PERMISSION_KINDS: Readonly<Partial<Record<ReferenceKind, readonly ReferencePermissionKind[]>>> = {
  ConfigMap: ["signed-config", "mutable-config"],
  Secret: ["mutable-secret"],
  PersistentVolumeClaim: ["claim"],
  ResourceClaim: ["resource-claim"],
  ResourceClaimTemplate: ["resource-claim"],
  ClusterTrustBundle: ["trust-bundle"],
};

/**
 * Every reference of a signed spec, and of the claims that a StatefulSet's controller adds to it, with its answer.
 *
 * @param spec the signed spec
 * @param owner what was signed with it; nothing in the spec form
 */
export function signedReferences(spec: JsonObject, owner: OwnerAnswers): AnsweredReference[] {
  const claims = (owner.statefulSet?.volumeClaims ?? []).map((name): Reference => ({
    kind: "PersistentVolumeClaim",
    name: "",
    alias: name,
    path: claimPath(name),
    use: "other",
    optional: false,
    volume: name,
  }));
  return [...referencesOf(spec), ...claims].map((reference) => ({
    reference,
    answer: answerOf(reference, owner),
  }));
}

/**
 * Everything that an admitted pod refers to: what was signed, and what was added to it.
 *
 * @param verdict the verdict on the pod
 */
export function podReferences(
  { spec, form, references }: Pick<AllowVerdict, "spec" | "form" | "references">,
): AnsweredReference[] {
  const { signed, claims } = answersIn(references);
  return referencesOf(spec).map((reference) => {
    const known = signed.get(identityOf(reference));
    if (known !== undefined) return known;
    const { kind, volume } = reference;
    const claim = kind === "PersistentVolumeClaim" && volume !== undefined ? claims.get(volume) : undefined;
    if (claim !== undefined) return { reference, answer: claim };
    if (volume?.startsWith(SERVICE_ACCOUNT_VOLUME_PREFIX) === true && kind === "ConfigMap") {
      return { reference, answer: { kind: "cluster" } };
    }
    const answer = answerOf(reference, { allow: [] });
    const isExtra = answer.kind === "missing" && form === "template";
    return { reference, answer: isExtra ? { kind: "extra" } : answer };
  });
}

/** Answers by the identity of their references, and those of a StatefulSet's claims by volume. */
interface Answers {
  readonly signed: ReadonlyMap<string, AnsweredReference>;
  readonly claims: ReadonlyMap<string, Answer>;
}

/** Those of lists that cannot change. */
const answers = new WeakMap<readonly AnsweredReference[], Answers>();

/** The answers, found once for all pods of a template: their verdicts have the same list. */
function answersIn(references: readonly AnsweredReference[]): Answers {
  const known = answers.get(references);
  if (known !== undefined) return known;
  const made: Answers = {
    signed: new Map(references.map((answered) => [identityOf(answered.reference), answered])),
    claims: new Map(
      references.flatMap(({ reference, answer }) =>
        reference.volume !== undefined && reference.path === claimPath(reference.volume)
          ? [[reference.volume, answer] as const]
          : []
      ),
    ),
  };
  if (Object.isFrozen(references)) answers.set(references, made);
  return made;
}

/** Two references of the same pod with one identity are one, be it in the signed or in the live spec. */
function identityOf({ kind, name, path, use, keys, prefix, optional }: Reference): string {
  return JSON.stringify([kind, name, path, use, keys ?? null, prefix ?? "", optional]);
}

function claimPath(name: string): string {
  return `statefulSet.volumeClaims[${name}]`;
}

function answerOf(reference: Reference, { allow, pins = {} }: OwnerAnswers): Answer {
  const { kind, name, use } = reference;
  if (kind === "RuntimeClass") {
    const handler = valueOf(pins.runtimeClasses, name);
    if (handler !== undefined) return { kind: "handler", handler };
  }
  const reason = use === "image-pull"
    ? "it is shown to nobody but the registry that the signed image names"
    : FREE_KINDS[kind];
  if (reason !== undefined) return { kind: "none-needed", reason };
  const pin = kind === "ConfigMap"
    ? valueOf(pins.configMaps, name)
    : kind === "Secret"
    ? valueOf(pins.secrets, name)
    : undefined;
  if (pin !== undefined) return { kind: "pinned", pin };
  const called = reference.alias ?? name;
  const kinds = PERMISSION_KINDS[kind] ?? [];
  const permission = allow.find((candidate) =>
    "name" in candidate && candidate.name === called && kinds.some((known) => known === candidate.kind)
  );
  if (permission !== undefined) {
    const text = formatPermission(permission);
    return { kind: permission.kind === "signed-config" ? "signed" : "mutable", permission: text };
  }
  if (kind === "ConfigMap" && name === ROOT_CA_CONFIG_MAP) return { kind: "cluster" };
  if (called === "") return { kind: "missing", remedies: ["name the object in the spec"] };
  return {
    kind: "missing",
    remedies: [
      ...(kind === "ConfigMap" || kind === "Secret"
        ? [`have the ${kind} in the input or in a file of --with-config, which pins its content`]
        : []),
      ...kinds.map((known) => `--allow ${known}=${called}`),
    ],
  };
}

function valueOf<T>(values: Readonly<Record<string, T>> | undefined, name: string): T | undefined {
  return values !== undefined && Object.hasOwn(values, name) ? values[name] : undefined;
}

/** The permissions that references make use of, each once, as they are written in the signed template. */
export function permissionsUsed(references: readonly AnsweredReference[]): string[] {
  return [...new Set(references.flatMap(({ answer }) => "permission" in answer ? [answer.permission] : []))];
}

/** An object as messages name it: `ConfigMap web`. */
export function nameOfReference({ kind, name, alias }: Reference): string {
  switch (kind) {
    case "PersistentVolumeClaim":
      return `claim ${alias ?? name}`;
    case "ResourceClaim":
    case "ResourceClaimTemplate":
      return `resource claim ${alias ?? name}`;
    default:
      return name === "" ? `a ${kind} without a name` : `${kind} ${name}`;
  }
}

/** What is wrong with a reference about which the owner says nothing, and how to mend it; to stand behind its path. */
export function unansweredText(reference: Reference, remedies: readonly string[]): string {
  return `${nameOfReference(reference)} is neither pinned nor allowed by what was signed: ${
    remedies.join(", or ")
  }`;
}
