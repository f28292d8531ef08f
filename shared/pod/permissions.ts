/**
 * The owner's permissions: what may be added to a pod beyond its signed template, and what it refers to that may change. They stand in the signed template
 * itself, in `allow`, each as one text, `name` or `name=value`; nobody but the owner can give one.
 *
 * @module
 */
import { isDnsLabel, isDnsSubdomain, isQualifiedName } from "./grammar.ts";
import { UNSIGNED_LABELS } from "./metadata.ts";

/** The permissions for what a pod refers to. */
export type ReferencePermissionKind =
  | "mutable-config"
  | "signed-config"
  | "mutable-secret"
  | "claim"
  | "resource-claim"
  | "trust-bundle";

/** One permission, read. */
export type Permission =
  | { readonly kind: "annotation" | "label"; readonly key: string }
  | { readonly kind: "container" | "init-container"; readonly name: string; readonly digest: string }
  | { readonly kind: "volume" | ReferencePermissionKind; readonly name: string }
  | { readonly kind: "resize" };

/** A kind of permission, for the help text and the documentation. */
export interface PermissionDescription {
  readonly kind: Permission["kind"];
  /** The form of the text. */
  readonly form: string;
  /** What it lets Kubernetes or a webhook add. */
  readonly allows: string;
  /** Under which conditions, and what stays refused. */
  readonly condition: string;
}

/** Every kind of permission. */
export const PERMISSIONS: readonly PermissionDescription[] = [
  {
    kind: "annotation",
    form: "annotation=KEY",
    allows: "an annotation with exactly this key, of any value",
    condition:
      "Runtimes, CNI plugins and containers (downward API) see it: name a key only if you know who reads it. At most " +
      "16384 characters without controls other than line ends and tabs; a value that was signed wins.",
  },
  {
    kind: "label",
    form: "label=KEY",
    allows: "a label with exactly this key, of any value that a label may have",
    condition: "A value that was signed wins.",
  },
  {
    kind: "container",
    form: "container=NAME@sha256:HEX",
    allows: "one more container of this name, whose image has this digest, such as a service mesh's",
    condition:
      "Whoever controls the API server chooses its arguments and environment, so take its code for theirs. It stays " +
      "confined: no command, no exec in probes or hooks, a user of its own that is not root (`runAsUser`, " +
      "`runAsNonRoot: true`, `allowPrivilegeEscalation: false`), no added capability, no host port, no volume but those " +
      "of `volume=` and the service account's. It shares the pod's network, IPC and /dev/shm. Not in pods with " +
      "hostNetwork, hostPID, hostIPC, shareProcessNamespace, or for Windows.",
  },
  {
    kind: "init-container",
    form: "init-container=NAME@sha256:HEX",
    allows: "the same among the init containers, also with restartPolicy Always (a sidecar)",
    condition: "As for `container=`.",
  },
  {
    kind: "volume",
    form: "volume=NAME",
    allows: "one more volume of this name, for the containers allowed by the two above",
    condition:
      "emptyDir, configMap, secret, downwardAPI, or projected from these and service account tokens; signed containers " +
      "do not mount it.",
  },
  {
    kind: "resize",
    form: "resize",
    allows: "other amounts of cpu and memory than those that were signed: in-place resize",
    condition: "Where an amount was signed, there has to be one. Other resources have to be equal.",
  },
  {
    kind: "signed-config",
    form: "signed-config=NAME",
    allows: "the content that the ConfigMap of this name has at any time, if its owner signed it",
    condition:
      "For content that changes more often than the pod. The ConfigMap carries a [signature of its own]" +
      "(#signed-configmaps), by any key that may sign for the namespace.",
  },
  {
    kind: "mutable-config",
    form: "mutable-config=NAME",
    allows: "any content of the ConfigMap of this name",
    condition:
      "Whoever controls the API server writes it: name it only if the program treats it as a stranger's input. Under " +
      "envFrom a key that is the name of a variable which loaders, shells or interpreters obey is refused.",
  },
  {
    kind: "mutable-secret",
    form: "mutable-secret=NAME",
    allows: "any content of the Secret of this name",
    condition: "As for `mutable-config=`. For Secrets that are made in the cluster.",
  },
  {
    kind: "claim",
    form: "claim=NAME",
    allows: "the use of a PersistentVolumeClaim, whose data nobody signs",
    condition:
      "NAME is the claim's; for StatefulSets the claim template's, for generic ephemeral volumes the volume's. Which " +
      "volumes a claim may lead to is for the node's operator to say.",
  },
  {
    kind: "resource-claim",
    form: "resource-claim=NAME",
    allows: "the use of devices that the pod's resource claim of this name is given",
    condition:
      "NAME is the claim's in the pod (`resourceClaims`). Drivers obey what the API server wrote of it.",
  },
  {
    kind: "trust-bundle",
    form: "trust-bundle=NAME",
    allows: "any content of the ClusterTrustBundle of this name, or of all of this signer",
    condition: "Whoever controls the API server chooses whom the program trusts.",
  },
];

/** Most permissions that one template has: a mesh needs about ten, and what a pod refers to as many again. */
export const MAX_PERMISSIONS = 64;

/**
 * Longest name of a ClusterTrustBundle or of a signer, in characters: two DNS subdomains with a slash or colon between
 * (Kubernetes `pkg/apis/certificates/validation`).
 */
const MAX_TRUST_BUNDLE_NAME_LENGTH = 507;

/** `example.com:roots:1`, or a signer: `example.com/roots`. */
const TRUST_BUNDLE = /^[a-z0-9](?:[-.:/a-z0-9]*[a-z0-9])?$/;

const IMAGE_DIGEST = /^sha256:[0-9a-f]{64}$/;

/**
 * Annotations that no permission can name: by the first the kubelet knows mirror pods and sources of pods, the second are
 * our own, and the third would win over a signed AppArmor profile of the whole pod (`pkg/security/apparmor`).
 */
const RESERVED_PREFIXES: readonly string[] = [
  "kubernetes.io/config.",
  "kubelet-proxy.io/",
  "container.apparmor.security.beta.kubernetes.io/",
];

/** What came out of reading one permission. */
export type ParsedPermission =
  | { readonly ok: true; readonly permission: Permission }
  | { readonly ok: false; readonly message: string };

/**
 * Reads one permission.
 *
 * @example
 * ```ts
 * import { parsePermission } from "./permissions.ts";
 * const parsed = parsePermission("annotation=sidecar.istio.io/status");
 * if (!parsed.ok || parsed.permission.kind !== "annotation") throw new Error("not read");
 * ```
 */
export function parsePermission(text: string): ParsedPermission {
  const equals = text.indexOf("=");
  const name = equals < 0 ? text : text.slice(0, equals);
  const value = equals < 0 ? undefined : text.slice(equals + 1);
  const description = PERMISSIONS.find(({ kind }) => kind === name);
  if (description === undefined) {
    const forms = PERMISSIONS.map(({ form }) => form).join(", ");
    return { ok: false, message: `is no permission that this version knows; write one of ${forms}` };
  }
  const permission = readValue(description.kind, value);
  return permission === undefined
    ? { ok: false, message: `is not written as ${description.form}${hintFor(description.kind)}` }
    : { ok: true, permission };
}

function hintFor(kind: Permission["kind"]): string {
  switch (kind) {
    case "annotation":
      return `, or names a key that is reserved (${
        RESERVED_PREFIXES.map((prefix) => `${prefix}…`).join(", ")
      })`;
    case "label":
      return ", or names a label that Kubernetes itself writes, which needs no permission";
    case "container":
    case "init-container":
      return ": NAME is the container's name (a DNS label), not its image, and HEX the 64 lower-case digits of its image's digest";
    default:
      return "";
  }
}

function readValue(kind: Permission["kind"], value: string | undefined): Permission | undefined {
  switch (kind) {
    case "annotation": {
      // Annotation keys may have capitals in their prefix (apimachinery `ValidateAnnotations` reads them in lower case).
      if (value === undefined || !isQualifiedName(value.toLowerCase())) return undefined;
      const key = value.toLowerCase();
      return RESERVED_PREFIXES.some((prefix) => key.startsWith(prefix)) ? undefined : { kind, key: value };
    }
    case "label":
      // What Kubernetes writes has a form of its own, which is not to be widened.
      return value !== undefined && isQualifiedName(value) && !UNSIGNED_LABELS.has(value)
        ? { kind, key: value }
        : undefined;
    case "container":
    case "init-container": {
      const at = value?.indexOf("@") ?? -1;
      if (value === undefined || at < 0) return undefined;
      const name = value.slice(0, at);
      const digest = value.slice(at + 1);
      return isDnsLabel(name) && IMAGE_DIGEST.test(digest) ? { kind, name, digest } : undefined;
    }
    case "volume":
    case "resource-claim":
      return value !== undefined && isDnsLabel(value) ? { kind, name: value } : undefined;
    case "mutable-config":
    case "signed-config":
    case "mutable-secret":
    case "claim":
      return value !== undefined && isDnsSubdomain(value) ? { kind, name: value } : undefined;
    case "trust-bundle":
      return value !== undefined && value.length <= MAX_TRUST_BUNDLE_NAME_LENGTH && TRUST_BUNDLE.test(value)
        ? { kind, name: value }
        : undefined;
    case "resize":
      return value === undefined ? { kind } : undefined;
    default: {
      const never: never = kind;
      return never;
    }
  }
}

/** The text of a permission: what {@linkcode parsePermission} reads. */
export function formatPermission(permission: Permission): string {
  switch (permission.kind) {
    case "annotation":
    case "label":
      return `${permission.kind}=${permission.key}`;
    case "container":
    case "init-container":
      return `${permission.kind}=${permission.name}@${permission.digest}`;
    case "volume":
    case "mutable-config":
    case "signed-config":
    case "mutable-secret":
    case "claim":
    case "resource-claim":
    case "trust-bundle":
      return `${permission.kind}=${permission.name}`;
    case "resize":
      return permission.kind;
    default: {
      const never: never = permission;
      return never;
    }
  }
}
