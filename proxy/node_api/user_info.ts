/**
 * Who a client of the kubelet's API is. The names come from certificates and from the API server; here is decided what
 * is taken for one at all.
 *
 * Source: `k8s.io/apiserver/pkg/authentication/user`; `UserInfo` of authentication.k8s.io/v1.
 *
 * @module
 */
import { getOwn, isJsonObject, type JsonObject, type JsonValue, setOwn } from "@signed-pods/shared/json";

/** Longest name of a user or group, UID or key, in UTF-16 code units; those of OpenID Connect have about 300. */
export const MAX_NAME_LENGTH = 1024;

/** Most groups of one user: directories of large companies give some hundreds. */
export const MAX_GROUPS = 1000;

/** Most keys of extra information. Kubernetes itself sets five keys. */
export const MAX_EXTRA_KEYS = 64;

/** Most values of one key of extra information. Kubernetes itself sets one. */
export const MAX_EXTRA_VALUES = 64;

/** Longest value of extra information, in UTF-16 code units. */
export const MAX_EXTRA_VALUE_LENGTH = 4096;

/** A user, as the API server knows it. */
export interface UserInfo {
  /** May be empty in a review: nobody then. */
  username: string;
  uid: string;
  groups: readonly string[];
  /** What else is known, for example the id of the credential; by key. */
  extra: ReadonlyMap<string, readonly string[]>;
}

/** What came out of reading something: the thing, or what is wrong with it. */
export type Read<T> = { ok: true; value: T } | { ok: false; problem: string };

/**
 * Reads the four fields of a user from an object.
 *
 * @param nameField `username` in a TokenReview, `user` in a SubjectAccessReview
 */
export function readUser(object: JsonObject, nameField: "username" | "user"): Read<UserInfo> {
  const username = readText(object, nameField, MAX_NAME_LENGTH);
  const uid = readText(object, "uid", MAX_NAME_LENGTH);
  const groups = readTexts(getOwn(object, "groups"), "groups", MAX_GROUPS, MAX_NAME_LENGTH);
  const extra = readExtra(getOwn(object, "extra"));
  for (const read of [username, uid, groups, extra]) {
    if (!read.ok) return read;
  }
  return username.ok && uid.ok && groups.ok && extra.ok
    ? {
      ok: true,
      value: { username: username.value, uid: uid.value, groups: groups.value, extra: extra.value },
    }
    : { ok: false, problem: "it names no user" };
}

/** Writes a user's fields; those that are empty are left out. */
export function writeUser(user: UserInfo, nameField: "username" | "user"): JsonObject {
  const extra: JsonObject = {};
  for (const [key, values] of user.extra) setOwn(extra, key, [...values]);
  return {
    ...(user.username === "" ? {} : { [nameField]: user.username }),
    ...(user.uid === "" ? {} : { uid: user.uid }),
    ...(user.groups.length === 0 ? {} : { groups: [...user.groups] }),
    ...(user.extra.size === 0 ? {} : { extra }),
  };
}

/** A text of an object; an absent one is empty, as in Go. */
export function readText(object: JsonObject, field: string, maxLength: number): Read<string> {
  const value = getOwn(object, field) ?? "";
  return typeof value === "string" && value.length <= maxLength
    ? { ok: true, value }
    : { ok: false, problem: `${field} is no text of at most ${maxLength} characters` };
}

/** A list of texts; an absent one is empty. */
export function readTexts(
  value: JsonValue | undefined,
  field: string,
  maxCount: number,
  maxLength: number,
): Read<string[]> {
  const list = value ?? [];
  if (!Array.isArray(list) || list.length > maxCount) {
    return { ok: false, problem: `${field} is no list of at most ${maxCount} texts` };
  }
  const texts: string[] = [];
  for (const item of list) {
    if (typeof item !== "string" || item.length > maxLength) {
      return { ok: false, problem: `${field} holds what is no text of at most ${maxLength} characters` };
    }
    texts.push(item);
  }
  return { ok: true, value: texts };
}

function readExtra(value: JsonValue | undefined): Read<Map<string, string[]>> {
  const object = value ?? {};
  if (!isJsonObject(object) || Object.keys(object).length > MAX_EXTRA_KEYS) {
    return { ok: false, problem: `extra is no map of at most ${MAX_EXTRA_KEYS} keys` };
  }
  const extra = new Map<string, string[]>();
  for (const [key, values] of Object.entries(object)) {
    if (key.length > MAX_NAME_LENGTH) {
      return { ok: false, problem: `extra has a key of more than ${MAX_NAME_LENGTH} characters` };
    }
    const read = readTexts(values, "extra", MAX_EXTRA_VALUES, MAX_EXTRA_VALUE_LENGTH);
    if (!read.ok) return read;
    extra.set(key, read.value);
  }
  return { ok: true, value: extra };
}
