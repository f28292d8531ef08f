/**
 * Who a client of the kubelet's API is: a client certificate of the cluster's authority, else a bearer token, as the
 * kubelet itself would decide. Nobody is anonymous.
 *
 * Not taken over: UIDs in certificates, which RBAC does not look at, and tokens in WebSocket protocols, which only
 * browsers send.
 *
 * Source: `cmd/kubelet/app/auth.go` of Kubernetes 1.36.3; `k8s.io/apiserver/pkg/authentication/request/x509`,
 * `.../request/bearertoken`, `.../group/authenticated_group_adder.go`.
 *
 * @module
 */
import { AsnConvert } from "@peculiar/asn1-schema";
import { Certificate } from "@peculiar/asn1-x509";
import { isBearerToken } from "@signed-pods/shared/bearer-token";
import type { Clock } from "../clock.ts";
import { digestKey, ExpiringCache } from "../expiring_cache.ts";
import type { ReviewClient } from "./review_client.ts";
import { MAX_TOKEN_LENGTH } from "./review_request.ts";
import { MAX_GROUPS, MAX_NAME_LENGTH, type UserInfo } from "./user_info.ts";

/** How long a known token is remembered, in milliseconds: the kubelet's `authentication.webhook.cacheTTL`. */
export const KNOWN_TOKEN_TTL_MS = 120_000;

/** How long an unknown one is, in milliseconds: long enough to spare the API server a client that tries again and again. */
export const UNKNOWN_TOKEN_TTL_MS = 10_000;

/** Most tokens that are remembered. A node is asked by a handful of clients. */
export const MAX_REMEMBERED_TOKENS = 1024;

/** Group of everyone who is somebody. */
const AUTHENTICATED = "system:authenticated";

const COMMON_NAME = "2.5.4.3";
const ORGANIZATION = "2.5.4.10";

/** Who asks. */
export type Authentication =
  | { kind: "user"; user: UserInfo }
  | { kind: "nobody"; message: string }
  /** The API server gives no verdict; the status it would be. */
  | { kind: "failure"; code: number };

/** What a client shows. */
export interface Shown {
  /** DER of the client certificate, if TLS has verified it against the cluster's authority. */
  certificate?: Uint8Array;
  /** The Authorization header. */
  authorization?: string;
}

/** Finds out who asks. */
export interface NodeApiAuthenticator {
  /** @throws {UpstreamError} if the API server is needed and does not answer */
  authenticate(shown: Shown, signal: AbortSignal): Promise<Authentication>;
}

/** Makes the authenticator of one node. */
export function createNodeApiAuthenticator(reviews: ReviewClient, clock: Clock): NodeApiAuthenticator {
  const tokens = new ExpiringCache<Authentication>(MAX_REMEMBERED_TOKENS, clock);

  async function reviewToken(token: string, signal: AbortSignal): Promise<Authentication> {
    const key = await digestKey(token);
    const known = tokens.get(key);
    if (known !== undefined) return known;
    const verdict = await reviews.token({ token, audiences: [] }, signal);
    switch (verdict.kind) {
      case "failure":
        await verdict.response.body?.cancel();
        return { kind: "failure", code: verdict.response.status };
      case "unknown": {
        const nobody: Authentication = { kind: "nobody", message: "the cluster does not know the token" };
        tokens.set(key, nobody, UNKNOWN_TOKEN_TTL_MS);
        return nobody;
      }
      case "known": {
        const somebody: Authentication = { kind: "user", user: authenticated(verdict.user) };
        tokens.set(key, somebody, KNOWN_TOKEN_TTL_MS);
        return somebody;
      }
      default: {
        const never: never = verdict;
        return never;
      }
    }
  }

  return {
    async authenticate({ certificate, authorization }, signal) {
      const user = certificate === undefined ? undefined : await userOfCertificate(certificate);
      if (user !== undefined) return { kind: "user", user: authenticated(user) };
      const token = /^bearer +(\S+)$/i.exec(authorization ?? "")?.[1];
      if (token === undefined) {
        return {
          kind: "nobody",
          message: "there is neither a client certificate of the cluster nor a token",
        };
      }
      return token.length <= MAX_TOKEN_LENGTH && isBearerToken(token)
        ? await reviewToken(token, signal)
        : { kind: "nobody", message: "the token is none" };
    },
  };
}

/**
 * The user that a certificate names: its common name, with its organisations as groups.
 *
 * @param der of a certificate that has been verified
 * @returns undefined if it names nobody, or more than one
 */
export async function userOfCertificate(der: Uint8Array): Promise<UserInfo | undefined> {
  const { names, groups } = readSubject(der);
  const [username] = names;
  if (username === undefined || names.length > 1 || username === "" || username.length > MAX_NAME_LENGTH) {
    return undefined;
  }
  if (groups.length > MAX_GROUPS || groups.some((group) => group.length > MAX_NAME_LENGTH)) return undefined;
  const digest = await crypto.subtle.digest("SHA-256", new Uint8Array(der));
  const id = `X509SHA256=${new Uint8Array(digest).toHex()}`;
  return {
    username,
    uid: "",
    groups,
    extra: new Map([["authentication.kubernetes.io/credential-id", [id]]]),
  };
}

function readSubject(der: Uint8Array): { names: string[]; groups: string[] } {
  const names: string[] = [];
  const groups: string[] = [];
  let certificate: Certificate;
  try {
    certificate = AsnConvert.parse(new Uint8Array(der), Certificate);
  } catch {
    return { names, groups };
  }
  for (const relativeName of certificate.tbsCertificate.subject) {
    for (const { type, value } of relativeName) {
      if (type === COMMON_NAME) names.push(value.toString());
      if (type === ORGANIZATION) groups.push(value.toString());
    }
  }
  return { names, groups };
}

function authenticated(user: UserInfo): UserInfo {
  return user.groups.includes(AUTHENTICATED) ? user : { ...user, groups: [...user.groups, AUTHENTICATED] };
}
