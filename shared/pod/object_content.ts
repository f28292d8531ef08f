/**
 * The content of ConfigMaps and Secrets as bytes by key: what the kubelet makes files and variables of.
 *
 * @module
 */
import { decodeBase64 } from "../base64.ts";
import { type Problem, SignedPodsError } from "../errors.ts";
import { getOwn, isJsonObject, type JsonObject, type JsonValue } from "../json.ts";
import { isConfigMapKey } from "./grammar.ts";
import { keySegment } from "./schema.ts";

/** The kinds of objects whose content can be pinned. */
export type ContentKind = "ConfigMap" | "Secret";

/** The field that a key stands in. Variables are made of `data` alone (kubelet `makeEnvironmentVariables`). */
export type ContentField = "data" | "binaryData";

/** The content of one key. */
export interface ContentEntry {
  readonly field: ContentField;
  /** What the field holds, as the API server serves it. */
  readonly text: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** The content of an object, as far as it can be read. */
export interface ObjectContent {
  readonly entries: ReadonlyMap<string, ContentEntry>;
  readonly problems: readonly Problem[];
}

/** What is read. */
export interface ReadContentOptions {
  /** The keys to read; the others are not looked at. All if absent. */
  readonly keys?: ReadonlySet<string>;
  /** The object is a manifest: a Secret may have `stringData`, and its base64 line ends. */
  readonly manifest: boolean;
}

/**
 * Reads the content of a ConfigMap or Secret.
 *
 * @param kind what it is
 * @param object the whole object
 */
export function readContent(
  kind: ContentKind,
  object: JsonObject,
  options: ReadContentOptions,
): ObjectContent {
  const entries = new Map<string, ContentEntry>();
  const problems: Problem[] = [];
  const read = (name: string, field: ContentField, isBase64: boolean, wins: boolean) => {
    const values = getOwn(object, name) ?? {};
    if (!isJsonObject(values)) {
      problems.push({ path: name, message: "is not a mapping" });
      return;
    }
    for (const [key, value] of Object.entries(values)) {
      if (options.keys !== undefined && !options.keys.has(key)) continue;
      const path = `${name}${keySegment(key)}`;
      if (!isConfigMapKey(key)) {
        problems.push({
          path,
          message: "is no key: letters, digits, '-', '_' and '.' only, no '..' in front",
        });
        continue;
      }
      if (entries.has(key) && !wins) {
        problems.push({ path, message: "is in data as well" });
        continue;
      }
      const entry = readValue(field, value, isBase64, options.manifest);
      if (typeof entry === "string") problems.push({ path, message: entry });
      else entries.set(key, entry);
    }
  };
  read("data", "data", kind === "Secret", false);
  if (kind === "ConfigMap") read("binaryData", "binaryData", true, false);
  else if (options.manifest) read("stringData", "data", false, true);
  return { entries, problems };
}

/** The content, or what is wrong with it. */
function readValue(
  field: ContentField,
  value: JsonValue,
  isBase64: boolean,
  isManifest: boolean,
): ContentEntry | string {
  // Go prints a value without bytes as null.
  const text = value === null && isBase64 && !isManifest ? "" : value;
  if (typeof text !== "string") return "is not a text; put it in quotes";
  if (!isBase64) {
    return text.isWellFormed()
      ? { field, text, bytes: new TextEncoder().encode(text) }
      : "is no Unicode text: a surrogate stands alone";
  }
  // Go's decoder skips line ends (encoding/base64), and what it decoded the API server prints without.
  const encoded = isManifest ? text.replace(/[\r\n]/g, "") : text;
  try {
    return { field, text: encoded, bytes: decodeBase64(encoded) };
  } catch (error) {
    if (!(error instanceof SignedPodsError)) throw error;
    return "is not base64 (RFC 4648 section 4, padded)";
  }
}
