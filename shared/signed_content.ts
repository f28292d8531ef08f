/**
 * The signed content of a ConfigMap: the document over which its own signature is made, for content that changes more
 * often than the pods that use it.
 *
 * It is canonical JSON (RFC 8785) and travels in the ConfigMap's annotation `kubelet-proxy.io/signed-content`, beside the
 * signature. Its fields:
 *
 * | field | meaning |
 * |---|---|
 * | `apiVersion`, `kind` | `kubelet-proxy.io/v1`, `SignedContent`: no signed template can be taken for it |
 * | `object` | `apiVersion` (`v1`), `kind` (`ConfigMap`), `namespace`, `name` |
 * | `content` | `data`, `binaryData`: digests by key, as in a template's pins |
 * | `signedAt` | RFC 3339 in UTC with whole seconds: a node takes no older content after newer |
 *
 * @module
 */
import { MAX_SIGNED_TEMPLATE_BYTES } from "./bounds.ts";
import { canonicalize } from "./canonical_json.ts";
import { type Problem, SignedPodsError } from "./errors.ts";
import { readFields, readText } from "./fields.ts";
import type { JsonValue } from "./json.ts";
import { isDnsLabel, isDnsSubdomain } from "./pod/grammar.ts";
import { type ContentPin, contentPinAsJson, readContentPin } from "./pod/pins.ts";
import { parseStrictJson } from "./strict_json.ts";
import { formatTime } from "./time.ts";

/** Annotation of a ConfigMap that holds the exact text that was signed. */
export const SIGNED_CONTENT_ANNOTATION = "kubelet-proxy.io/signed-content";

/** `apiVersion` of every signed content. */
const API_VERSION = "kubelet-proxy.io/v1";

/** `kind` of every signed content. */
const KIND = "SignedContent";

/** What the owner signs of a ConfigMap. */
export interface SignedContent {
  /** The ConfigMap's namespace. */
  namespace: string;
  /** The ConfigMap's name. */
  name: string;
  /** Digests of all its keys. */
  content: ContentPin;
  /** When it was signed: whole seconds. */
  signedAt: Date;
}

/** The exact text to sign and to put into the annotation. */
export function encodeSignedContent({ namespace, name, content, signedAt }: SignedContent): string {
  return canonicalize({
    apiVersion: API_VERSION,
    kind: KIND,
    object: { apiVersion: "v1", kind: "ConfigMap", namespace, name },
    content: contentPinAsJson(content),
    signedAt: formatTime(signedAt),
  });
}

/**
 * Reads a signed content. To be called with text whose signature has been verified, never before.
 *
 * @param text the annotation's value
 * @throws {SignedPodsError} `content-malformed` unless the text is as `encodeSignedContent` writes it
 */
export function parseSignedContent(text: string): SignedContent {
  // A UTF-16 code unit is at least one byte.
  if (text.length > MAX_SIGNED_TEMPLATE_BYTES) {
    throw malformed([{ path: "", message: `is longer than ${MAX_SIGNED_TEMPLATE_BYTES} bytes` }]);
  }
  let document: JsonValue;
  try {
    document = parseStrictJson(text);
  } catch (error) {
    throw malformed(
      error instanceof SignedPodsError ? error.problems : [{ path: "", message: "cannot be read" }],
      error,
    );
  }
  const problems: Problem[] = [];
  const root = readFields(
    document,
    "",
    ["apiVersion", "kind", "object", "content", "signedAt"],
    [],
    problems,
  ) ?? {};
  if (root.apiVersion !== API_VERSION || root.kind !== KIND) {
    throw malformed([...problems, { path: "kind", message: `is not ${KIND} in apiVersion ${API_VERSION}` }]);
  }
  const object =
    readFields(root.object, "object", ["apiVersion", "kind", "namespace", "name"], [], problems) ??
      {};
  if (object.apiVersion !== "v1" || object.kind !== "ConfigMap") {
    problems.push({ path: "object.kind", message: "is not ConfigMap in apiVersion v1" });
  }
  const namespace = readText(object, "namespace", "object", problems) ?? "";
  if (!isDnsLabel(namespace)) problems.push({ path: "object.namespace", message: "is not a namespace" });
  const name = readText(object, "name", "object", problems) ?? "";
  if (!isDnsSubdomain(name)) problems.push({ path: "object.name", message: "is not a name" });
  const content = readContentPin("ConfigMap", root.content, "content", problems);
  const signedAt = new Date(readText(root, "signedAt", "", problems) ?? "");
  if (Number.isNaN(signedAt.getTime())) problems.push({ path: "signedAt", message: "is not a date" });
  if (problems.length > 0) throw malformed(problems);
  const signed = { namespace, name, content, signedAt };
  // Also says that the date is written in the one form.
  if (encodeSignedContent(signed) !== text) {
    throw malformed([{ path: "", message: "is not in canonical form" }]);
  }
  return signed;
}

function malformed(problems: readonly Problem[], cause?: unknown): SignedPodsError {
  const list = problems.map(({ path, message }) => `${path === "" ? "it" : path} ${message}`).join("; ");
  return new SignedPodsError("content-malformed", `The signed content is not valid: ${list}`, problems, {
    cause,
  });
}
