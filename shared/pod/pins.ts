/**
 * Pins: what the owner signs of objects that a pod refers to. They stand in the signed template, in `pins`.
 *
 * | field | value |
 * |---|---|
 * | `configMaps` | by name: `{data?, binaryData?}`, by key `sha256:` and the SHA-256 of the content, in hexadecimal |
 * | `secrets` | by name: `{data?}`, by key `hmac-sha256:` and the salted digest |
 * | `runtimeClasses` | by name: the handler |
 *
 * A plain digest of a short secret could be guessed by whoever reads the pod. So a Secret's digest is an HMAC (RFC 2104)
 * with a random salt that stands in the Secret itself: who may read the Secret needs no guess. Whoever chooses salt and
 * content anew would need a second preimage of SHA-256.
 *
 * @module
 */
import { sha256Hex } from "../algorithms.ts";
import { decodeBase64 } from "../base64.ts";
import { type Problem, SignedPodsError } from "../errors.ts";
import { readFields, readTextMap } from "../fields.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../json.ts";
import { isConfigMapKey, isDnsLabel, isDnsSubdomain } from "./grammar.ts";
import type { ContentEntry, ContentKind } from "./object_content.ts";
import { keySegment } from "./schema.ts";

/** The digests of one object's content by key. What has no digest is no content. */
export interface ContentPin {
  readonly data?: Readonly<Record<string, string>>;
  /** ConfigMaps only. */
  readonly binaryData?: Readonly<Record<string, string>>;
}

/** Everything that is pinned in a template. Fields are never empty. */
export interface Pins {
  readonly configMaps?: Readonly<Record<string, ContentPin>>;
  readonly secrets?: Readonly<Record<string, ContentPin>>;
  /** Handlers. */
  readonly runtimeClasses?: Readonly<Record<string, string>>;
}

/** Annotation of a Secret that holds its salt, in base64. */
export const SALT_ANNOTATION = "kubelet-proxy.io/salt";

/** Length of a salt: as long as the digest, so that guessing it is as hard. One length, so that no two are one key. */
export const SALT_BYTES = 32;

const DIGESTS: Readonly<Record<ContentKind, RegExp>> = {
  ConfigMap: /^sha256:[0-9a-f]{64}$/,
  Secret: /^hmac-sha256:[0-9a-f]{64}$/,
};

/** Reads a salt; undefined if it is none. */
export function readSalt(value: JsonValue | undefined): Uint8Array<ArrayBuffer> | undefined {
  if (typeof value !== "string") return undefined;
  try {
    const salt = decodeBase64(value);
    return salt.length === SALT_BYTES ? salt : undefined;
  } catch (error) {
    if (!(error instanceof SignedPodsError)) throw error;
    return undefined;
  }
}

/** The digest of a ConfigMap's content: what `sha256sum` prints, behind `sha256:`. */
export async function contentDigest(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return `sha256:${await sha256Hex(bytes)}`;
}

/**
 * The digest of a Secret's content: HMAC-SHA-256 over the key in UTF-8, a zero byte and the content. With the key in it
 * nobody sees that two keys hold the same.
 *
 * @param salt {@linkcode SALT_BYTES} bytes
 */
export async function saltedDigest(
  salt: Uint8Array<ArrayBuffer>,
  key: string,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<string> {
  const hmac = await crypto.subtle.importKey("raw", salt, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  const name = new TextEncoder().encode(`${key}\0`);
  const message = new Uint8Array(name.length + bytes.length);
  message.set(name);
  message.set(bytes, name.length);
  return `hmac-sha256:${new Uint8Array(await crypto.subtle.sign("HMAC", hmac, message)).toHex()}`;
}

/** The digest of one key's content. A Secret's needs its salt: without one there is none. */
export async function digestOf(
  key: string,
  { bytes }: ContentEntry,
  salt: Uint8Array<ArrayBuffer> | undefined,
): Promise<string> {
  return salt === undefined ? await contentDigest(bytes) : await saltedDigest(salt, key, bytes);
}

/**
 * The pin of an object's content.
 *
 * @param entries what is pinned
 * @param salt of Secrets; absent for ConfigMaps
 */
export async function pinContent(
  entries: Iterable<readonly [string, ContentEntry]>,
  salt?: Uint8Array<ArrayBuffer>,
): Promise<ContentPin> {
  const digests: Record<ContentEntry["field"], [string, string][]> = { data: [], binaryData: [] };
  for (const [key, entry] of entries) digests[entry.field].push([key, await digestOf(key, entry, salt)]);
  return {
    ...(digests.data.length === 0 ? {} : { data: Object.fromEntries(digests.data) }),
    ...(digests.binaryData.length === 0 ? {} : { binaryData: Object.fromEntries(digests.binaryData) }),
  };
}

/**
 * Reads the pin of one object.
 *
 * @param path where it stands, for problems
 */
export function readContentPin(
  kind: ContentKind,
  value: JsonValue | undefined,
  path: string,
  problems: Problem[],
): ContentPin {
  const names = kind === "ConfigMap" ? ["data", "binaryData"] as const : ["data"] as const;
  const fields = readFields(value, path, [], names, problems) ?? {};
  const seen = new Set<string>();
  const pin: { data?: Record<string, string>; binaryData?: Record<string, string> } = {};
  for (const name of names) {
    if (!Object.hasOwn(fields, name)) continue;
    const digests = readTextMap(fields, name, `${path}.${name}`, problems);
    const entries = Object.entries(digests);
    if (entries.length === 0) problems.push({ path: `${path}.${name}`, message: "is empty; leave it out" });
    for (const [key, digest] of entries) {
      const at = `${path}.${name}${keySegment(key)}`;
      if (!isConfigMapKey(key)) problems.push({ path: at, message: "is no key of a ConfigMap or Secret" });
      if (seen.has(key)) problems.push({ path: at, message: "is in data as well" });
      if (!DIGESTS[kind].test(digest)) {
        problems.push({
          path: at,
          message: `is not ${kind === "Secret" ? "hmac-sha256:HEX" : "sha256:HEX"}`,
        });
      }
      seen.add(key);
    }
    pin[name] = digests;
  }
  return pin;
}

/** Reads a template's pins; problems tell what is wrong with them. */
export function readPins(value: JsonValue | undefined, problems: Problem[]): Pins {
  const fields = readFields(value, "pins", [], ["configMaps", "secrets", "runtimeClasses"], problems) ?? {};
  if (isJsonObject(value) && Object.keys(value).length === 0) {
    problems.push({ path: "pins", message: "is empty; leave it out" });
  }
  const configMaps = readByName(
    fields,
    "configMaps",
    problems,
    (pin, path) => readContentPin("ConfigMap", pin, path, problems),
  );
  const secrets = readByName(
    fields,
    "secrets",
    problems,
    (pin, path) => readContentPin("Secret", pin, path, problems),
  );
  const runtimeClasses = readByName(fields, "runtimeClasses", problems, (handler, path) => {
    if (typeof handler === "string" && isDnsLabel(handler)) return handler;
    problems.push({ path, message: "is not a handler: a DNS label" });
    return "";
  });
  return {
    ...(configMaps === undefined ? {} : { configMaps }),
    ...(secrets === undefined ? {} : { secrets }),
    ...(runtimeClasses === undefined ? {} : { runtimeClasses }),
  };
}

function readByName<T>(
  fields: JsonObject,
  field: string,
  problems: Problem[],
  read: (value: JsonValue, path: string) => T,
): Record<string, T> | undefined {
  const values = fields[field];
  if (values === undefined) return undefined;
  if (!isJsonObject(values)) {
    problems.push({ path: `pins.${field}`, message: "is not a mapping" });
    return undefined;
  }
  const entries = Object.entries(values);
  if (entries.length === 0) problems.push({ path: `pins.${field}`, message: "is empty; leave it out" });
  return Object.fromEntries(entries.map(([name, value]) => {
    const path = `pins.${field}${keySegment(name)}`;
    if (!isDnsSubdomain(name)) problems.push({ path, message: "is not the name of an object" });
    return [name, read(value, path)];
  }));
}

/** Pins as JSON, sharing nothing that could change. */
export function pinsAsJson({ configMaps, secrets, runtimeClasses }: Pins): JsonObject {
  const byName = (pins: Readonly<Record<string, ContentPin>>): JsonObject =>
    Object.fromEntries(Object.entries(pins).map(([name, pin]) => [name, contentPinAsJson(pin)]));
  return {
    ...(configMaps === undefined ? {} : { configMaps: byName(configMaps) }),
    ...(secrets === undefined ? {} : { secrets: byName(secrets) }),
    ...(runtimeClasses === undefined ? {} : { runtimeClasses: { ...runtimeClasses } }),
  };
}

/** One pin as JSON. */
export function contentPinAsJson({ data, binaryData }: ContentPin): JsonObject {
  return {
    ...(data === undefined ? {} : { data: { ...data } }),
    ...(binaryData === undefined ? {} : { binaryData: { ...binaryData } }),
  };
}
