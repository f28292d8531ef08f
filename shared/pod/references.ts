/**
 * What a pod spec refers to beyond itself: objects whose content the kubelet asks the API server for, and which the
 * signature over the spec does not cover.
 *
 * A spec is walked by the schema, so that a field which holds a reference is found wherever its type stands.
 *
 * @module
 */
import { getOwn, isJsonObject, type JsonObject, type JsonValue, objectsAt } from "../json.ts";
import { type Field, fieldsOf, itemSegment, keySegment } from "./schema.ts";

/** The kinds of what pods refer to. `ServiceAccountToken` and `PodCertificate` are made on request. */
export type ReferenceKind =
  | "ConfigMap"
  | "Secret"
  | "PersistentVolumeClaim"
  | "RuntimeClass"
  | "ServiceAccount"
  | "ServiceAccountToken"
  | "ClusterTrustBundle"
  | "PodCertificate"
  | "ResourceClaim"
  | "ResourceClaimTemplate"
  | "CSIDriver"
  | "Image";

/**
 * What the content becomes. `environment`: a variable for each key (envFrom). `variable`: the value of one variable.
 * `files`: files of a volume. `credentials`: what the node authenticates with to a storage system. `image-pull`: what it
 * authenticates with to a registry.
 */
export type ReferenceUse = "environment" | "variable" | "files" | "credentials" | "image-pull" | "other";

/** One reference. */
export interface Reference {
  readonly kind: ReferenceKind;
  /** The object's name; empty where the spec names none, and for what is made for the pod. */
  readonly name: string;
  /** What a permission calls it, where that is not its name: a claim by its volume, a resource claim by its place. */
  readonly alias?: string;
  /** Where it stands, for example `spec.volumes[conf].configMap`. */
  readonly path: string;
  readonly use: ReferenceUse;
  /** The keys that are used; absent if all are. */
  readonly keys?: readonly string[];
  /** `environment` only: what the variables' names begin with. */
  readonly prefix?: string;
  /** Whether the pod starts without the object or its keys. */
  readonly optional: boolean;
  /** The volume that it is part of. */
  readonly volume?: string;
}

/** Where an object of the spec stands. */
interface Scope {
  /** The field that holds it, as `Type.field`. */
  readonly holder: string;
  readonly path: string;
  /** The object that holds it. */
  readonly parent: JsonObject;
  readonly volume?: string;
}

/** How the objects of a type are read. */
interface Row {
  /** The fields by which the object is named. */
  readonly fields: readonly string[];
  read(object: JsonObject, scope: Scope): Omit<Reference, "path" | "volume"> | undefined;
}

const textAt = (object: JsonObject, key: string): string => {
  const value = getOwn(object, key);
  return typeof value === "string" ? value : "";
};

/** The row of a type whose objects all name one object of a kind. */
function named(
  kind: ReferenceKind,
  use: ReferenceUse,
  field = "name",
  more: (object: JsonObject, scope: Scope) => Pick<Reference, "keys" | "prefix"> = () => ({}),
): Row {
  return {
    fields: [field],
    read: (object, scope) => {
      const name = textAt(object, field);
      return { kind, name, use, optional: getOwn(object, "optional") === true, ...more(object, scope) };
    },
  };
}

/** The same, for types that may leave the name out. */
function namedIfThere(kind: ReferenceKind, use: ReferenceUse, field: string): Row {
  const { fields, read } = named(kind, use, field);
  return {
    fields,
    read: (object, scope) => textAt(object, field) === "" ? undefined : read(object, scope),
  };
}

const oneKey = (object: JsonObject): Pick<Reference, "keys"> => ({ keys: [textAt(object, "key")] });

/** The prefix stands beside the source (EnvFromSource). */
const prefixBeside = (_object: JsonObject, { parent }: Scope): Pick<Reference, "prefix"> => {
  const prefix = textAt(parent, "prefix");
  return prefix === "" ? {} : { prefix };
};

/** Without items all keys become files. */
const itemKeys = (object: JsonObject): Pick<Reference, "keys"> => {
  const items = objectsAt(object, "items");
  return items.length === 0 ? {} : { keys: [...new Set(items.map((item) => textAt(item, "key")))] };
};

/** The keys of a registry's credentials that kubelets read (`pkg/credentialprovider/secrets`). */
const REGISTRY_KEYS: readonly string[] = [".dockerconfigjson", ".dockercfg"];

/** The types that refer to objects. */
const ROWS: Readonly<Record<string, Row>> = {
  ConfigMapEnvSource: named("ConfigMap", "environment", "name", prefixBeside),
  ConfigMapKeySelector: named("ConfigMap", "variable", "name", oneKey),
  ConfigMapProjection: named("ConfigMap", "files", "name", itemKeys),
  ConfigMapVolumeSource: named("ConfigMap", "files", "name", itemKeys),
  SecretEnvSource: named("Secret", "environment", "name", prefixBeside),
  SecretKeySelector: named("Secret", "variable", "name", oneKey),
  SecretProjection: named("Secret", "files", "name", itemKeys),
  SecretVolumeSource: named("Secret", "files", "secretName", itemKeys),
  // In a pod spec all references of this type are to Secrets.
  LocalObjectReference: {
    fields: ["name"],
    read: (object, { holder }) => ({
      kind: "Secret",
      name: textAt(object, "name"),
      ...(holder === "PodSpec.imagePullSecrets"
        ? { use: "image-pull", keys: REGISTRY_KEYS }
        : { use: "credentials" }),
      optional: false,
    }),
  },
  AzureFileVolumeSource: named("Secret", "credentials", "secretName"),
  PersistentVolumeClaimVolumeSource: named("PersistentVolumeClaim", "other", "claimName"),
  // The claim is named `<pod>-<volume>`; its template is part of the spec.
  EphemeralVolumeSource: {
    fields: ["volumeClaimTemplate"],
    read: (_object, { volume }) => ({
      kind: "PersistentVolumeClaim",
      name: "",
      alias: volume ?? "",
      use: "other",
      optional: false,
    }),
  },
  CSIVolumeSource: named("CSIDriver", "other", "driver"),
  ImageVolumeSource: named("Image", "files", "reference"),
  ServiceAccountTokenProjection: named("ServiceAccountToken", "files", "audience"),
  PodCertificateProjection: named("PodCertificate", "files", "signerName"),
  // By name, or all bundles of a signer that have certain labels.
  ClusterTrustBundleProjection: {
    fields: ["name", "signerName"],
    read: (object) => ({
      kind: "ClusterTrustBundle",
      name: textAt(object, "name") || textAt(object, "signerName"),
      use: "files",
      optional: getOwn(object, "optional") === true,
    }),
  },
  PodResourceClaim: {
    fields: ["resourceClaimName", "resourceClaimTemplateName"],
    read: (object) => ({
      kind: textAt(object, "resourceClaimTemplateName") === "" ? "ResourceClaim" : "ResourceClaimTemplate",
      name: textAt(object, "resourceClaimTemplateName") || textAt(object, "resourceClaimName"),
      alias: textAt(object, "name"),
      use: "other",
      optional: false,
    }),
  },
};

/** References that are fields of the spec itself, in whose object there are other things as well. */
const SPEC_ROWS: readonly Row[] = [
  namedIfThere("RuntimeClass", "other", "runtimeClassName"),
  namedIfThere("ServiceAccount", "other", "serviceAccountName"),
];

/** Every field of the schema that {@linkcode referencesOf} reads a name from, as `Type.field`. */
export const REFERENCE_FIELDS: ReadonlySet<string> = new Set([
  ...Object.entries(ROWS).flatMap(([type, { fields }]) => fields.map((field) => `${type}.${field}`)),
  ...SPEC_ROWS.flatMap(({ fields }) => fields.map((field) => `PodSpec.${field}`)),
]);

/** The types in whose objects a reference can be, at any depth. */
const REFERRING_TYPES: ReadonlySet<string> = (() => {
  const referring = new Set(Object.keys(ROWS));
  const seen = new Set<string>();
  const visit = (type: string): boolean => {
    if (seen.has(type)) return referring.has(type);
    seen.add(type);
    // Every field, not only up to the first that refers.
    const found = [...fieldsOf(type).values()].map((field) => field.type !== undefined && visit(field.type));
    if (found.includes(true)) referring.add(type);
    return referring.has(type);
  };
  visit("PodSpec");
  return referring;
})();

/** The fields of each such type that are worth a visit. */
const REFERRING_FIELDS: ReadonlyMap<string, readonly ReferringField[]> = new Map(
  [...REFERRING_TYPES].map((type) => [
    type,
    [...fieldsOf(type).values()].flatMap((field) =>
      field.type !== undefined && REFERRING_TYPES.has(field.type) ? [{ ...field, type: field.type }] : []
    ),
  ]),
);

/** A field whose objects have a type. */
interface ReferringField extends Field {
  readonly type: string;
}

/**
 * Everything that a pod spec refers to, in the order of the schema.
 *
 * @param spec a spec that fits the schema: decoded, expanded or minimal
 */
export function referencesOf(spec: JsonObject): Reference[] {
  const references: Reference[] = [];
  for (const { read } of SPEC_ROWS) {
    const reference = read(spec, { holder: "", path: "spec", parent: spec });
    if (reference !== undefined) {
      references.push({
        ...reference,
        path: `spec.${reference.kind === "RuntimeClass" ? "runtimeClassName" : "serviceAccountName"}`,
      });
    }
  }
  visitFields("PodSpec", spec, "spec", undefined, references);
  return references;
}

function visitFields(
  type: string,
  object: JsonObject,
  path: string,
  volume: string | undefined,
  references: Reference[],
): void {
  for (const field of REFERRING_FIELDS.get(type) ?? []) {
    const { name } = field;
    const value = getOwn(object, name);
    if (value === undefined) continue;
    const at = path + field.segment;
    for (const [segment, part] of partsOf(field, value)) {
      if (!isJsonObject(part)) continue;
      const inVolume = field.type === "Volume" ? textAt(part, "name") : volume;
      const scope = {
        holder: `${type}.${name}`,
        path: at + segment,
        parent: object,
        ...(inVolume === undefined ? {} : { volume: inVolume }),
      };
      visitObject(field.type, part, scope, references);
    }
  }
}

function visitObject(type: string, object: JsonObject, scope: Scope, references: Reference[]): void {
  const { path, volume } = scope;
  const reference = ROWS[type]?.read(object, scope);
  if (reference !== undefined) {
    references.push({ ...reference, path, ...(volume === undefined ? {} : { volume }) });
  }
  visitFields(type, object, path, volume, references);
}

/** The objects of a field, with their segments of the path. */
function partsOf(field: Field, value: JsonValue): [segment: string, part: JsonValue][] {
  switch (field.shape) {
    case "single":
      return [["", value]];
    case "list":
      return Array.isArray(value) ? value.map((item, index) => [itemSegment(field, value, index), item]) : [];
    case "map":
      return isJsonObject(value) ? Object.entries(value).map(([key, item]) => [keySegment(key), item]) : [];
    default: {
      const never: never = field.shape;
      return never;
    }
  }
}
