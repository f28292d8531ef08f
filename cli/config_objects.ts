/**
 * The ConfigMaps, Secrets and RuntimeClasses that podsign is given: in the manifest itself and in files of --with-config.
 *
 * @module
 */
import { encodeBase64 } from "@signed-pods/shared/base64";
import { SignedPodsError } from "@signed-pods/shared/errors";
import { getOwn, isJsonObject, type JsonObject, type JsonValue, objectAt } from "@signed-pods/shared/json";
import { type ContentEntry, type ContentKind, readContent } from "@signed-pods/shared/pod/object-content";
import { readSalt, SALT_ANNOTATION, SALT_BYTES } from "@signed-pods/shared/pod/pins";
import { type Effects, readInput } from "./effects.ts";
import { InputError } from "./input_error.ts";
import {
  type Manifest,
  type ManifestDocument,
  MAX_DEPTH,
  objectError,
  offsetAt,
  type Path,
  placeOf,
  readManifest,
  requireNoProblems,
} from "./manifest.ts";

/** The kinds that pods refer to and that can be pinned. */
export type ConfigKind = ContentKind | "RuntimeClass";

const API_VERSIONS: Readonly<Record<ConfigKind, string>> = {
  ConfigMap: "v1",
  Secret: "v1",
  RuntimeClass: "node.k8s.io/v1",
};

/** One object. */
export interface ConfigObject {
  readonly kind: ConfigKind;
  readonly name: string;
  /** As written in the manifest. */
  readonly namespace: string | undefined;
  readonly value: JsonObject;
  readonly manifest: Manifest;
  readonly document: ManifestDocument;
  readonly path: Path;
  /** Whether it is part of the manifest that is signed, and can be given annotations. */
  readonly inInput: boolean;
}

function isConfigKind(kind: JsonValue | undefined): kind is ConfigKind {
  return typeof kind === "string" && Object.hasOwn(API_VERSIONS, kind);
}

/** Finds the objects of a manifest. */
export function findConfigObjects(manifest: Manifest, inInput: boolean): ConfigObject[] {
  const found: ConfigObject[] = [];
  const visit = (document: ManifestDocument, value: JsonValue, path: Path) => {
    if (!isJsonObject(value) || path.length > MAX_DEPTH) return;
    const { apiVersion, kind, items } = value;
    if (typeof kind === "string" && kind.endsWith("List") && Array.isArray(items)) {
      for (const [index, item] of items.entries()) visit(document, item, [...path, "items", index]);
      return;
    }
    if (!isConfigKind(kind) || apiVersion !== API_VERSIONS[kind]) return;
    const { name, namespace } = objectAt(value, "metadata");
    if (typeof name !== "string") return;
    found.push({
      kind,
      name,
      namespace: typeof namespace === "string" ? namespace : undefined,
      value,
      manifest,
      document,
      path,
      inInput,
    });
  };
  for (const document of manifest.documents) visit(document, document.value, []);
  return found;
}

/** `file:line:column` of an object. */
export function placeOfObject({ manifest, document, path }: ConfigObject): string {
  return placeOf(manifest, offsetAt(document, path));
}

/** The objects that podsign was given, and the salts that it made for Secrets which had none. */
export class ConfigObjects {
  readonly #objects: readonly ConfigObject[];
  readonly #salts = new Map<ConfigObject, Uint8Array<ArrayBuffer>>();
  readonly #randomBytes: Effects["randomBytes"];

  constructor(objects: readonly ConfigObject[], randomBytes: Effects["randomBytes"]) {
    this.#objects = objects;
    this.#randomBytes = randomBytes;
  }

  /**
   * Reads the objects of the manifest and of further files.
   *
   * @throws {InputError} if a file cannot be read, or holds nothing that can be pinned
   */
  static async read(effects: Effects, manifest: Manifest, files: readonly string[]): Promise<ConfigObjects> {
    const objects = findConfigObjects(manifest, true);
    for (const file of files) {
      const { bytes, name } = await readInput(effects, file);
      const found = findConfigObjects(readManifest(bytes, name, { edit: true }), false);
      if (found.length === 0) {
        throw new InputError([`${name}: holds no ConfigMap, Secret or RuntimeClass (--with-config)`]);
      }
      objects.push(...found);
    }
    return new ConfigObjects(objects, effects.randomBytes);
  }

  /** The Secrets that were given a salt, with it in base64. */
  get salted(): [ConfigObject, string][] {
    return [...this.#salts].map(([object, salt]) => [object, encodeBase64(salt)]);
  }

  /** The ConfigMaps of the manifest itself that have this name. */
  inInput(name: string): ConfigObject[] {
    return this.#objects.filter((object) =>
      object.kind === "ConfigMap" && object.inInput && object.name === name
    );
  }

  /**
   * Finds an object by name. Where it or the pod names no namespace, both are taken to be applied to the same.
   *
   * @throws {InputError} if there are several
   */
  find(kind: ConfigKind, name: string, namespace: string | undefined): ConfigObject | undefined {
    const named = this.#objects.filter((object) => object.kind === kind && object.name === name);
    const exact = named.filter((object) => object.namespace === namespace);
    const fitting = exact.length > 0 || kind === "RuntimeClass"
      ? exact.length > 0 ? exact : named
      : named.filter((object) => object.namespace === undefined || namespace === undefined);
    const [first, second] = fitting;
    if (first !== undefined && second !== undefined) {
      throw new InputError([
        `${placeOfObject(second)}: ${kind} ${name} is here and at ${
          placeOfObject(first)
        }: leave one of them out`,
      ]);
    }
    return first;
  }

  /**
   * The salt of a Secret: its own, or a new one if it can be written into the manifest.
   *
   * @throws {InputError} if there is none
   */
  saltOf(secret: ConfigObject): Uint8Array<ArrayBuffer> {
    const written = getOwn(objectAt(objectAt(secret.value, "metadata"), "annotations"), SALT_ANNOTATION);
    const salt = readSalt(written) ?? this.#salts.get(secret);
    if (salt !== undefined) return salt;
    if (written !== undefined) {
      throw new InputError([
        `${
          placeOfObject(secret)
        }: Secret ${secret.name}: the annotation ${SALT_ANNOTATION} is not ${SALT_BYTES} bytes ` +
        "in base64: take it away, podsign writes another",
      ]);
    }
    if (!secret.inInput) {
      throw new InputError([
        `${
          placeOfObject(secret)
        }: Secret ${secret.name} has no salt to pin it by (annotation ${SALT_ANNOTATION}): have it ` +
        `in the manifest that is signed, where podsign writes one, or give --allow mutable-secret=${secret.name}`,
      ]);
    }
    const made = this.#randomBytes(SALT_BYTES);
    this.#salts.set(secret, made);
    return made;
  }
}

/**
 * The content of an object by key.
 *
 * @throws {InputError} with everything that is wrong with it
 */
export function contentOf(object: ConfigObject): ReadonlyMap<string, ContentEntry> {
  const { kind, manifest, document, path, value } = object;
  requireNoProblems(manifest, document);
  if (kind === "RuntimeClass") return new Map();
  const { entries, problems } = readContent(kind, value, { manifest: true });
  if (problems.length > 0) {
    const error = new SignedPodsError("object-malformed", `${kind} ${object.name} cannot be read`, problems);
    throw objectError(manifest, document, path, error);
  }
  return entries;
}

/**
 * The object as the API server serves it: what a node judges.
 *
 * @param namespace the namespace if it names none
 */
export function asServed(object: ConfigObject, namespace: string | undefined): JsonObject {
  const data: [string, JsonValue][] = [];
  const binaryData: [string, JsonValue][] = [];
  for (const [key, { field, text, bytes }] of contentOf(object)) {
    const isBase64 = field === "binaryData" || object.kind === "Secret";
    (field === "data" ? data : binaryData).push([key, isBase64 ? encodeBase64(bytes) : text]);
  }
  const ns = object.namespace ?? namespace;
  return {
    apiVersion: "v1",
    kind: object.kind,
    metadata: {
      name: object.name,
      ...(ns === undefined ? {} : { namespace: ns }),
      annotations: objectAt(objectAt(object.value, "metadata"), "annotations"),
    },
    ...(data.length === 0 ? {} : { data: Object.fromEntries(data) }),
    ...(binaryData.length === 0 ? {} : { binaryData: Object.fromEntries(binaryData) }),
  };
}
