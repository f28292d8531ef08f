/**
 * What a kubelet asks the API server about clients of its own port: who is this (TokenReview), and may they do that
 * (SubjectAccessReview). Read strictly, in both encodings, and written again from what was understood: the bytes that
 * came are never passed on.
 *
 * Source: `k8s.io/api/authentication/v1` and `k8s.io/api/authorization/v1` (types.go and generated.proto), 0.32 to 0.37.
 *
 * @module
 */
import { isBearerToken } from "@signed-pods/shared/bearer-token";
import { getOwn, isJsonObject, type JsonObject } from "@signed-pods/shared/json";
import {
  type Field,
  type MessageFields,
  parseKubernetesProtobuf,
  PROTOBUF_CONTENT_TYPE,
} from "./kubernetes_protobuf.ts";
import { parseObject } from "../pods/pod_answer.ts";
import {
  MAX_NAME_LENGTH,
  type Read,
  readText,
  readTexts,
  readUser,
  type UserInfo,
  writeUser,
} from "./user_info.ts";

/** Where reviews are posted. */
export const TOKEN_REVIEWS_PATH = "/apis/authentication.k8s.io/v1/tokenreviews";
export const ACCESS_REVIEWS_PATH = "/apis/authorization.k8s.io/v1/subjectaccessreviews";

/** Longest token, in characters. Those of service accounts have about 1,000, those of OpenID Connect up to 10,000. */
export const MAX_TOKEN_LENGTH = 64 * 1024;

/** Most audiences of a token that are asked for; a kubelet asks for none. */
export const MAX_AUDIENCES = 32;

/** Longest path of a request that is no resource, in UTF-16 code units. */
export const MAX_PATH_LENGTH = 4096;

/** What a request does to a resource; empty texts are not set. */
export interface ResourceAttributes {
  namespace: string;
  verb: string;
  group: string;
  version: string;
  resource: string;
  subresource: string;
  name: string;
}

/** What a request does that is about no resource. */
export interface NonResourceAttributes {
  path: string;
  verb: string;
}

/** The question of a SubjectAccessReview. */
export type AccessReview =
  | { user: UserInfo; resource: ResourceAttributes }
  | { user: UserInfo; resource?: never; nonResource: NonResourceAttributes };

/** The question of a TokenReview. */
export interface TokenReview {
  /** RFC 6750 section 2.1. */
  token: string;
  audiences: readonly string[];
}

const RESOURCE_FIELDS = ["namespace", "verb", "group", "version", "resource", "subresource", "name"] as const;
const NON_RESOURCE_FIELDS = ["path", "verb"] as const;

function texts(names: readonly string[]): MessageFields {
  return new Map(names.map((name, index): [number, Field] => [index + 1, { name, kind: "text" }]));
}

/** A review's own message; selectors of fields and labels, which kubelets do not send, are not listed. */
function reviewMessage(spec: MessageFields): MessageFields {
  return new Map<number, Field>([
    [1, { name: "metadata", kind: "ignored" }],
    [2, { name: "spec", kind: "message", message: spec }],
    [3, { name: "status", kind: "ignored" }],
  ]);
}

const ACCESS_REVIEW = reviewMessage(
  new Map<number, Field>([
    [1, { name: "resourceAttributes", kind: "message", message: texts(RESOURCE_FIELDS) }],
    [2, { name: "nonResourceAttributes", kind: "message", message: texts(NON_RESOURCE_FIELDS) }],
    [3, { name: "user", kind: "text" }],
    [4, { name: "groups", kind: "texts" }],
    [5, { name: "extra", kind: "texts-by-key" }],
    [6, { name: "uid", kind: "text" }],
  ]),
);

const TOKEN_REVIEW = reviewMessage(
  new Map<number, Field>([
    [1, { name: "token", kind: "text" }],
    [2, { name: "audiences", kind: "texts" }],
  ]),
);

const ACCESS_SPEC_FIELDS = ["resourceAttributes", "nonResourceAttributes", "user", "groups", "extra", "uid"];
const TOKEN_SPEC_FIELDS = ["token", "audiences"];

/**
 * Reads a SubjectAccessReview.
 *
 * @param contentType as the request says
 */
export function parseAccessReview(contentType: string | null, bytes: Uint8Array): Read<AccessReview> {
  const spec = readSpec(contentType, bytes, {
    apiVersion: "authorization.k8s.io/v1",
    kind: "SubjectAccessReview",
    message: ACCESS_REVIEW,
    fields: ACCESS_SPEC_FIELDS,
  });
  if (!spec.ok) return spec;
  const user = readUser(spec.value, "user");
  if (!user.ok) return user;
  const resource = readAttributes(spec.value, "resourceAttributes", RESOURCE_FIELDS, MAX_NAME_LENGTH);
  if (!resource.ok) return resource;
  const nonResource = readAttributes(
    spec.value,
    "nonResourceAttributes",
    NON_RESOURCE_FIELDS,
    MAX_PATH_LENGTH,
  );
  if (!nonResource.ok) return nonResource;
  if ((resource.value === undefined) === (nonResource.value === undefined)) {
    return { ok: false, problem: "it must hold either resourceAttributes or nonResourceAttributes" };
  }
  if (resource.value !== undefined) {
    return { ok: true, value: { user: user.value, resource: resource.value } };
  }
  return nonResource.value === undefined
    ? { ok: false, problem: "it asks about nothing" }
    : { ok: true, value: { user: user.value, nonResource: nonResource.value } };
}

/** Reads a TokenReview. What is wrong is said without the token. */
export function parseTokenReview(contentType: string | null, bytes: Uint8Array): Read<TokenReview> {
  const spec = readSpec(contentType, bytes, {
    apiVersion: "authentication.k8s.io/v1",
    kind: "TokenReview",
    message: TOKEN_REVIEW,
    fields: TOKEN_SPEC_FIELDS,
  });
  if (!spec.ok) return spec;
  const token = readText(spec.value, "token", MAX_TOKEN_LENGTH);
  if (!token.ok) return token;
  if (!isBearerToken(token.value)) {
    return { ok: false, problem: "its token is none (RFC 6750 section 2.1)" };
  }
  const audiences = readTexts(getOwn(spec.value, "audiences"), "audiences", MAX_AUDIENCES, MAX_NAME_LENGTH);
  return audiences.ok ? { ok: true, value: { token: token.value, audiences: audiences.value } } : audiences;
}

/** A SubjectAccessReview to send to the API server. */
export function writeAccessReview(review: AccessReview): JsonObject {
  return {
    apiVersion: "authorization.k8s.io/v1",
    kind: "SubjectAccessReview",
    spec: {
      ...(review.resource === undefined
        ? { nonResourceAttributes: withoutEmpty({ ...review.nonResource }) }
        : { resourceAttributes: withoutEmpty({ ...review.resource }) }),
      ...writeUser(review.user, "user"),
    },
  };
}

/** A TokenReview to send to the API server. */
export function writeTokenReview({ token, audiences }: TokenReview): JsonObject {
  return {
    apiVersion: "authentication.k8s.io/v1",
    kind: "TokenReview",
    spec: { token, ...(audiences.length === 0 ? {} : { audiences: [...audiences] }) },
  };
}

interface Expected {
  apiVersion: string;
  kind: string;
  message: MessageFields;
  /** Names of the spec's fields. */
  fields: readonly string[];
}

function readSpec(contentType: string | null, bytes: Uint8Array, expected: Expected): Read<JsonObject> {
  const parsed = readObject(contentType, bytes, expected.message);
  if (!parsed.ok) return parsed;
  const object = parsed.value;
  if (object["apiVersion"] !== expected.apiVersion || object["kind"] !== expected.kind) {
    return { ok: false, problem: `it is no ${expected.kind} of ${expected.apiVersion}` };
  }
  const spec = object["spec"];
  const unknown = [
    ...strangers(object, ["apiVersion", "kind", "metadata", "spec", "status"]),
    ...(isJsonObject(spec) ? strangers(spec, expected.fields) : []),
  ];
  if (unknown.length > 0) {
    return { ok: false, problem: "it has a field that is not known here" };
  }
  return isJsonObject(spec) ? { ok: true, value: spec } : { ok: false, problem: "it has no spec" };
}

function readObject(contentType: string | null, bytes: Uint8Array, message: MessageFields): Read<JsonObject> {
  switch (contentType) {
    case PROTOBUF_CONTENT_TYPE:
      return parseKubernetesProtobuf(bytes, message);
    case "application/json": {
      const parsed = parseObject(bytes);
      return parsed.ok ? { ok: true, value: parsed.object } : parsed;
    }
    default:
      return {
        ok: false,
        problem: `its content type is neither ${PROTOBUF_CONTENT_TYPE} nor application/json`,
      };
  }
}

/** The texts of an object below the spec; nothing if there is no such object. */
function readAttributes<Name extends string>(
  spec: JsonObject,
  field: string,
  names: readonly Name[],
  maxLength: number,
): Read<Record<Name, string> | undefined> {
  const object = getOwn(spec, field);
  if (object === undefined) return { ok: true, value: undefined };
  if (!isJsonObject(object) || strangers(object, names).length > 0) {
    return { ok: false, problem: `${field} is no object, or has a field that is not known here` };
  }
  const attributes: Partial<Record<Name, string>> = {};
  for (const name of names) {
    const read = readText(object, name, maxLength);
    if (!read.ok) return read;
    attributes[name] = read.value;
  }
  return isComplete(attributes, names)
    ? { ok: true, value: attributes }
    : { ok: false, problem: `${field} is cut` };
}

function isComplete<Name extends string>(
  attributes: Partial<Record<Name, string>>,
  names: readonly Name[],
): attributes is Record<Name, string> {
  return names.every((name) => attributes[name] !== undefined);
}

function strangers(object: JsonObject, known: readonly string[]): string[] {
  return Object.keys(object).filter((key) => !known.includes(key));
}

function withoutEmpty(attributes: Record<string, string>): JsonObject {
  return Object.fromEntries(Object.entries(attributes).filter(([, text]) => text !== ""));
}
