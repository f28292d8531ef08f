/**
 * Judges ConfigMaps and Secrets by what the owners of the pods that refer to them signed, and builds the content that the
 * kubelet gets: the keys that the pods use, and no others.
 *
 * The kubelet keeps one object for all pods, so that an object has to satisfy every pod that refers to it.
 *
 * @module
 */
import { sha256Hex } from "../algorithms.ts";
import { decodeBase64 } from "../base64.ts";
import { MAX_DIFFERENCES, MAX_SIGNATURE_CHARACTERS, MAX_SIGNED_TEMPLATE_BYTES } from "../bounds.ts";
import { type Problem, SignedPodsError } from "../errors.ts";
import { readFields } from "../fields.ts";
import { getOwn, type JsonObject, objectAt, setOwn } from "../json.ts";
import type { VerificationKey } from "../keys.ts";
import { verifySignature } from "../signature.ts";
import { parseSignedContent, SIGNED_CONTENT_ANNOTATION, type SignedContent } from "../signed_content.ts";
import { type Difference, SIGNATURE_ANNOTATION } from "../verdict.ts";
import { isHarmlessVariable } from "./environment_name.ts";
import { type ContentEntry, type ContentKind, readContent } from "./object_content.ts";
import { type ContentPin, digestOf, readSalt, SALT_ANNOTATION } from "./pins.ts";
import { printable } from "./printing.ts";
import type { Answer, AnsweredReference } from "./reference_answer.ts";
import type { Reference } from "./references.ts";
import { keySegment } from "./schema.ts";

/** Why content is refused: every code with its meaning. */
export const CONTENT_DENY_CODES = {
  "content-malformed": "The object has unknown fields or values that Kubernetes would not accept",
  "content-differs": "The content is not what was signed",
  "content-not-signed": "A pod refers to it without its owner's word, or its own signature is not good",
  "content-unused": "No pod on the node refers to the object",
  "content-older": "The content was signed before that which the node has taken",
} as const;

/** Why content is refused, as a stable word. */
export type ContentDenyCode = keyof typeof CONTENT_DENY_CODES;

/** Content that may be used. */
export interface AllowedContent {
  decision: "allow";
  /** The object's fields beside apiVersion, kind and metadata: only keys that pods use. */
  content: JsonObject;
  /** If it had to carry a signature of its own. */
  signed?: SignedContentFacts;
}

/** Content that may not. */
export interface DeniedContent {
  decision: "deny";
  code: ContentDenyCode;
  /** By key, for example `data[nginx.conf]`. Values are never told. */
  differences: Difference[];
}

/** The outcome of judging an object's content. */
export type ContentVerdict = AllowedContent | DeniedContent;

/** What is remembered of a signed content. */
export interface SignedContentFacts {
  /** Lower-case hexadecimal SHA-256 of the bytes that were signed. */
  signedHash: string;
  /** When it was signed. */
  signedAt: Date;
  /** {@linkcode VerificationKey.id} of the key that verified it. */
  keyId: string;
}

/** What a node trusts and knows. */
export interface ContentOptions {
  /** Keys that may have signed ConfigMaps. */
  keys: readonly VerificationKey[];
  /** The node's clock. */
  now: Date;
  /** Of the content that was taken last; nothing that was signed before is taken after it. */
  lastSigned?: SignedContentFacts;
  /** What becomes of references about which their owner says nothing. Refused if absent. */
  missing?: "refuse" | "mutable";
}

const KNOWN_FIELDS: Readonly<Record<ContentKind, readonly string[]>> = {
  ConfigMap: ["apiVersion", "kind", "data", "binaryData", "immutable"],
  Secret: ["apiVersion", "kind", "data", "type", "immutable"],
};

/** Longest type of a Secret, in characters: a qualified name, which is a DNS subdomain of 253, "/" and 63 more. */
export const MAX_SECRET_TYPE_LENGTH = 317;

const SECRET_TYPE = /^[-./_0-9A-Za-z]*$/;

/**
 * Judges an object.
 *
 * @param kind what it is
 * @param object the whole object, parsed strictly
 * @param references every reference to it by pods on the node
 */
export async function judgeContent(
  kind: ContentKind,
  object: JsonObject,
  references: readonly AnsweredReference[],
  options: ContentOptions,
): Promise<ContentVerdict> {
  const problems: Problem[] = [];
  readFields(object, "", ["metadata"], KNOWN_FIELDS[kind], problems);
  if (problems.length > 0) return denyProblems("content-malformed", problems);
  if (references.length === 0) return refuse("no pod on this node refers to it", "content-unused");

  const needsSignature = references.some(({ answer }) => answer.kind === "signed");
  const signed = needsSignature ? await readSigned(object, options) : undefined;
  if (signed !== undefined && "decision" in signed) return signed;

  const demands: Demand[] = [];
  for (const { reference, answer } of references) {
    const demand = demandOf(reference, answer, signed?.content, options);
    if (typeof demand === "string") return refuse(`${reference.path}: ${demand}`);
    demands.push(demand);
  }
  return await judgeDemands(kind, object, demands, signed?.facts);
}

/** What one reference needs: certain content, or any. */
interface Demand {
  readonly reference: Reference;
  /** Absent where any content will do. */
  readonly pin?: ContentPin;
}

function demandOf(
  reference: Reference,
  answer: Answer,
  signed: ContentPin | undefined,
  { missing = "refuse" }: ContentOptions,
): Demand | string {
  switch (answer.kind) {
    case "pinned":
      return { reference, pin: answer.pin };
    case "signed":
      return signed === undefined ? "the object carries no signature" : { reference, pin: signed };
    // No owner can sign what the cluster's authority is; the node's operator pins it, or nobody.
    case "cluster":
    case "mutable":
    case "extra":
    case "none-needed":
      return { reference };
    case "missing":
      return missing === "mutable" ? { reference } : "it is neither pinned nor allowed by what was signed";
    case "handler":
      return "it is no RuntimeClass";
    default: {
      const never: never = answer;
      return never;
    }
  }
}

async function judgeDemands(
  kind: ContentKind,
  object: JsonObject,
  demands: readonly Demand[],
  signed: SignedContentFacts | undefined,
): Promise<ContentVerdict> {
  const live = new Set(
    ["data", "binaryData"].flatMap((field) => Object.keys(objectAt(object, field))),
  );
  const used = new Set<string>();
  for (const { reference: { keys }, pin } of demands) {
    for (const key of keys ?? (pin === undefined ? live : keysOf(pin))) used.add(key);
  }
  const { entries, problems } = readContent(kind, object, { keys: used, manifest: false });
  if (problems.length > 0) return denyProblems("content-malformed", problems);

  const salt = kind === "Secret" ? readSalt(saltOf(object)) : undefined;
  // Hundreds of pods may pin one object.
  const digests = new Map<string, Promise<string>>();
  const digestsOf = (key: string, entry: ContentEntry): Promise<string> => {
    const digest = digests.get(key) ?? digestOf(key, entry, salt);
    digests.set(key, digest);
    return digest;
  };
  const differences = new Map<string, Difference>();
  const hidden = new Set<string>();
  for (const { reference, pin } of demands) {
    if (pin === undefined) checkVariables(reference, entries, differences);
    else {
      if (kind === "Secret" && salt === undefined && keysOf(pin).length > 0) {
        const path = `metadata.annotations[${SALT_ANNOTATION}]`;
        differences.set(path, {
          path,
          kind: "invalid",
          detail: "is no salt, without which nothing can be compared",
        });
        continue;
      }
      for (const difference of await comparePin(reference, pin, entries, digestsOf)) {
        differences.set(difference.path, difference);
      }
      for (const key of entries.keys()) {
        if ((reference.keys?.includes(key) ?? true) && digestIn(pin, key) === undefined) hidden.add(key);
      }
    }
  }
  // What one pod may not see, no other pod gets: the kubelet has one object for both.
  for (const { reference, pin } of demands) {
    for (const key of hidden) {
      const wants = pin === undefined
        ? reference.keys?.includes(key) ?? true
        : (reference.keys?.includes(key) ?? true) && digestIn(pin, key) !== undefined;
      if (!wants) continue;
      const path = `${entries.get(key)?.field ?? "data"}${keySegment(key)}`;
      const detail = "another pod on this node was signed without this key";
      if (!differences.has(path)) differences.set(path, { path, kind: "invalid", detail });
    }
  }
  if (differences.size > 0) {
    return {
      decision: "deny",
      code: "content-differs",
      differences: [...differences.values()].slice(0, MAX_DIFFERENCES),
    };
  }
  return rebuild(kind, object, entries, hidden, signed);
}

function rebuild(
  kind: ContentKind,
  object: JsonObject,
  entries: ReadonlyMap<string, ContentEntry>,
  hidden: ReadonlySet<string>,
  signed: SignedContentFacts | undefined,
): ContentVerdict {
  const content: JsonObject = {};
  for (const field of ["data", "binaryData"] as const) {
    const values: JsonObject = {};
    for (const [key, entry] of entries) {
      if (entry.field === field && !hidden.has(key)) setOwn(values, key, entry.text);
    }
    if (Object.keys(values).length > 0) content[field] = values;
  }
  // Of immutable content a kubelet takes in nothing any more for as long as any pod of it refers to it (`watch_based_manager.go`),
  // and nobody sees when it lets go. So it is not told: it watches, as it does all other content.
  const immutable = getOwn(object, "immutable") ?? null;
  if (immutable !== null && typeof immutable !== "boolean") {
    return denyProblems("content-malformed", [{ path: "immutable", message: "is not true or false" }]);
  }
  const type = getOwn(object, "type") ?? null;
  if (kind === "Secret" && type !== null) {
    if (typeof type !== "string" || type.length > MAX_SECRET_TYPE_LENGTH || !SECRET_TYPE.test(type)) {
      return denyProblems("content-malformed", [{ path: "type", message: "is not the type of a Secret" }]);
    }
    content.type = type;
  }
  return { decision: "allow", content, ...(signed === undefined ? {} : { signed }) };
}

/** How the keys that a reference uses differ from what is pinned of them. */
async function comparePin(
  reference: Reference,
  pin: ContentPin,
  entries: ReadonlyMap<string, ContentEntry>,
  digestsOf: (key: string, entry: ContentEntry) => Promise<string>,
): Promise<Difference[]> {
  const differences: Difference[] = [];
  for (const key of reference.keys ?? keysOf(pin)) {
    const pinned = digestIn(pin, key);
    if (pinned === undefined) continue;
    const path = `${pinned.field}${keySegment(key)}`;
    const entry = entries.get(key);
    if (entry === undefined) {
      differences.push({ path, kind: "missing" });
    } else if (entry.field !== pinned.field || await digestsOf(key, entry) !== pinned.digest) {
      differences.push({ path, kind: "changed" });
    }
  }
  return differences;
}

/** Of content that nobody signed, envFrom makes no variable that loaders, shells or interpreters obey. */
function checkVariables(
  { use, keys, prefix = "" }: Reference,
  entries: ReadonlyMap<string, ContentEntry>,
  differences: Map<string, Difference>,
): void {
  if (use !== "environment") return;
  for (const [key, { field }] of entries) {
    if (field !== "data" || !(keys?.includes(key) ?? true) || isHarmlessVariable(prefix + key)) continue;
    const path = `${field}${keySegment(key)}`;
    differences.set(path, {
      path,
      kind: "invalid",
      detail: "under envFrom it is a variable that only content which was signed may set, or no C identifier",
    });
  }
}

function keysOf({ data = {}, binaryData = {} }: ContentPin): string[] {
  return [...Object.keys(data), ...Object.keys(binaryData)];
}

function digestIn(
  pin: ContentPin,
  key: string,
): { field: ContentEntry["field"]; digest: string } | undefined {
  for (const field of ["data", "binaryData"] as const) {
    const digests = pin[field];
    const digest = digests !== undefined && Object.hasOwn(digests, key) ? digests[key] : undefined;
    if (digest !== undefined) return { field, digest };
  }
  return undefined;
}

function annotationsOf(object: JsonObject): JsonObject {
  return objectAt(objectAt(object, "metadata"), "annotations");
}

function saltOf(object: JsonObject) {
  return getOwn(annotationsOf(object), SALT_ANNOTATION);
}

// ---------------------------------------------------------------------------------------------------------------
// Signatures of ConfigMaps. The order is that of pods: nothing is parsed whose signature has not been verified.

async function readSigned(
  object: JsonObject,
  { keys, now, lastSigned }: ContentOptions,
): Promise<{ content: ContentPin; facts: SignedContentFacts } | DeniedContent> {
  const annotations = annotationsOf(object);
  const text = getOwn(annotations, SIGNED_CONTENT_ANNOTATION);
  const signatureText = getOwn(annotations, SIGNATURE_ANNOTATION);
  if (text === undefined || signatureText === undefined) {
    return refuse("it carries no signature; sign it with podsign sign-spec --allow signed-config=NAME");
  }
  if (
    typeof text !== "string" || typeof signatureText !== "string" || !text.isWellFormed() ||
    text.length > MAX_SIGNED_TEMPLATE_BYTES || signatureText.length > MAX_SIGNATURE_CHARACTERS
  ) return refuse("its signature or the text that was signed is not a text of such a length");
  const bytes = new TextEncoder().encode(text);
  const signers = await findSigners(signatureText, bytes, keys);
  if (signers.length === 0) return refuse("no trusted key made its signature");

  let signed: SignedContent;
  try {
    signed = parseSignedContent(text);
  } catch (error) {
    if (!(error instanceof SignedPodsError)) throw error;
    return denyProblems("content-not-signed", error.problems);
  }
  const metadata = objectAt(object, "metadata");
  if (getOwn(metadata, "namespace") !== signed.namespace || getOwn(metadata, "name") !== signed.name) {
    return refuse("it was signed for another namespace or name");
  }
  const signedHash = await sha256Hex(bytes);
  // What was taken once stays good when a certificate ends, as an admitted pod does.
  const isKnown = signedHash === lastSigned?.signedHash;
  const signer = signers.find(({ namespaces, notBefore, notAfter }) =>
    isKnown ||
    ((namespaces === undefined || namespaces.includes(signed.namespace)) &&
      (notBefore === undefined || notBefore <= now) && (notAfter === undefined || now <= notAfter))
  );
  if (signer === undefined) {
    return refuse("the key that signed may not sign for the namespace, or its certificate is not valid now");
  }
  if (lastSigned !== undefined && !(signed.signedAt >= lastSigned.signedAt)) {
    return {
      decision: "deny",
      code: "content-older",
      differences: [{ path: "", kind: "invalid", detail: "it was signed before the content that is in use" }],
    };
  }
  return {
    content: signed.content,
    facts: { signedHash, signedAt: signed.signedAt, keyId: signer.id },
  };
}

async function findSigners(
  signatureText: string,
  bytes: Uint8Array<ArrayBuffer>,
  keys: readonly VerificationKey[],
): Promise<VerificationKey[]> {
  let signature: Uint8Array<ArrayBuffer>;
  try {
    signature = decodeBase64(signatureText);
  } catch (error) {
    if (!(error instanceof SignedPodsError)) throw error;
    return [];
  }
  const signers: VerificationKey[] = [];
  for (const key of keys) {
    try {
      if (await verifySignature(key, signature, bytes)) signers.push(key);
    } catch (error) {
      // A signature of another form than this key's.
      if (!(error instanceof SignedPodsError)) throw error;
    }
  }
  return signers;
}

// ---------------------------------------------------------------------------------------------------------------

/**
 * The first key of which two pods pin different contents, so that one object cannot serve both.
 *
 * @param one what one pod refers to
 * @param other what another pod in the same namespace refers to
 * @returns for example `ConfigMap web, data[nginx.conf]`
 */
export function findConflict(
  one: readonly AnsweredReference[],
  other: readonly AnsweredReference[],
): string | undefined {
  for (const left of one) {
    if (left.answer.kind !== "pinned") continue;
    for (const right of other) {
      if (right.answer.kind !== "pinned") continue;
      const { kind, name } = left.reference;
      if (right.reference.kind !== kind || right.reference.name !== name) continue;
      const key = conflictingKey(left.reference, left.answer.pin, right.reference, right.answer.pin);
      if (key !== undefined) return `${kind} ${name}, ${key}`;
    }
  }
  return undefined;
}

function conflictingKey(
  left: Reference,
  leftPin: ContentPin,
  right: Reference,
  rightPin: ContentPin,
): string | undefined {
  for (const key of new Set([...keysOf(leftPin), ...keysOf(rightPin)])) {
    const isUsed = (left.keys?.includes(key) ?? true) && (right.keys?.includes(key) ?? true);
    const [a, b] = [digestIn(leftPin, key), digestIn(rightPin, key)];
    if (isUsed && (a?.digest !== b?.digest || a?.field !== b?.field)) {
      return `${(a ?? b)?.field ?? "data"}${keySegment(key)}`;
    }
  }
  return undefined;
}

function refuse(detail: string, code: ContentDenyCode = "content-not-signed"): DeniedContent {
  return {
    decision: "deny",
    code,
    differences: [{ path: "", kind: "invalid", detail: printable(detail) }],
  };
}

function denyProblems(code: ContentDenyCode, problems: readonly Problem[]): DeniedContent {
  return {
    decision: "deny",
    code,
    differences: problems.slice(0, MAX_DIFFERENCES).map(({ path, message }) => ({
      path: printable(path),
      kind: "invalid",
      detail: printable(message),
    })),
  };
}
