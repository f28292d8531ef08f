/**
 * Reviews of the kubelet: who is a client of its own port, and what may it do. The API server answers both, and it is not
 * trusted; so what `--node-api-access` does not list is refused here, and only what it lists is asked for above.
 *
 * ```text
 * SubjectAccessReview ─> read ─> the front's own? ─yes─> allowed
 *                                  │
 *                                within the ceiling? ─no─> refused
 *                                  │
 *                                asked above, with what was read ─> verdict, built again
 * TokenReview ─────────> read ─> asked above ─> the front's name? ─yes─> nobody
 *                                                  └─> user, built again
 * ```
 *
 * @module
 */
import type { JsonObject } from "@signed-pods/shared/json";
import { messageOf } from "@signed-pods/shared/errors";
import { BodyTooLargeError, readBody } from "../body.ts";
import { isEncoded, responseHeaders } from "../headers.ts";
import type { KubeletRequest } from "../kubelet_request.ts";
import type { Log } from "../log.ts";
import type { Mode } from "../mode.ts";
import { describeRefusal, neededForReview, type NodeApiAccess, opens } from "./node_api_access.ts";
import { badAnswer } from "../pods/pod_answer.ts";
import type { ReviewClient } from "./review_client.ts";
import {
  ACCESS_REVIEWS_PATH,
  type AccessReview,
  parseAccessReview,
  parseTokenReview,
  TOKEN_REVIEWS_PATH,
} from "./review_request.ts";
import { statusResponse } from "../status.ts";
import type { Upstream } from "../upstream.ts";
import { type UserInfo, writeUser } from "./user_info.ts";

/** Most bytes of a review: a token of the greatest length, or a user of a thousand groups, with room. */
export const MAX_REVIEW_BYTES = 2 * 1024 * 1024;

/**
 * Key under which a kubelet notes which certificate a user has shown (`user.CredentialIDKey`). Users that the API server
 * names show tokens.
 */
const CREDENTIAL_ID = "authentication.kubernetes.io/credential-id";
const CERTIFICATE_ID = "X509SHA256=";

/** As whom the front asks the kubelet, if there is one: its client certificate. */
export interface FrontIdentity {
  /** The certificate's common name, a name that nobody else has. */
  username: string;
  /** SHA-256 of the certificate, 64 hexadecimal digits in lower case. */
  fingerprint: string;
}

/** Answers reviews. */
export interface ReviewGate {
  /**
   * Answers one review.
   *
   * @throws {UpstreamError} if the API server is needed and does not answer
   */
  answer(review: "token" | "access", request: KubeletRequest): Promise<Response>;
}

/** What a gate is made of. */
export interface ReviewGateOptions {
  /** Name of this node. */
  nodeName: string;
  access: NodeApiAccess;
  /** As whom the front asks now. Not given if nothing stands before the kubelet's API. */
  front?: () => FrontIdentity;
  reviews: ReviewClient;
  upstream: Upstream;
  log: Log;
  mode: Mode;
}

/** Makes the gate of one node. */
export function createReviewGate(options: ReviewGateOptions): ReviewGate {
  const { nodeName, access, front, reviews, upstream, log, mode } = options;

  async function answer(review: "token" | "access", request: KubeletRequest): Promise<Response> {
    if (isEncoded(request.headers)) {
      return refuseReview(review, "it is compressed, which kubelets do not do");
    }
    let bytes: Uint8Array;
    try {
      bytes = await readBody(request.body, MAX_REVIEW_BYTES);
    } catch (error) {
      if (error instanceof BodyTooLargeError) return refuseReview(review, messageOf(error));
      throw error;
    }
    const judged = review === "access"
      ? await answerAccess(request, bytes)
      : await answerToken(request, bytes);
    // Audit decides and logs, and changes nothing.
    return judged ?? await relay(review, request, bytes);
  }

  async function answerAccess(request: KubeletRequest, bytes: Uint8Array): Promise<Response | undefined> {
    const read = parseAccessReview(request.headers.get("content-type"), bytes);
    if (!read.ok) {
      return mode === "audit" ? noteAudit("access", read.problem) : refuseReview("access", read.problem);
    }
    const review = read.value;
    const fields = describe(review);
    if (isFront(review.user)) {
      return reviewResponse("access", { allowed: true });
    }
    const needed = neededForReview(review.resource, nodeName);
    if (!opens(access, needed)) {
      const reason = describeRefusal("this", needed, nodeName);
      log.warn("node-api-review-refused", reason, { ...fields, mode });
      return mode === "audit"
        ? undefined
        : reviewResponse("access", { allowed: false, denied: true, reason });
    }
    if (mode === "audit") return undefined;
    const verdict = await reviews.access(review, request.signal);
    switch (verdict.kind) {
      case "failure":
        return verdict.response;
      case "allowed":
        log.info("node-api-review-allowed", "allowed by the cluster", fields);
        return reviewResponse("access", { allowed: true, ...reasonOf(verdict.reason) });
      case "refused":
        log.info("node-api-review-denied", "not allowed by the cluster", fields);
        return reviewResponse("access", { allowed: false, ...reasonOf(verdict.reason) });
      default: {
        const never: never = verdict;
        return never;
      }
    }
  }

  async function answerToken(request: KubeletRequest, bytes: Uint8Array): Promise<Response | undefined> {
    const read = parseTokenReview(request.headers.get("content-type"), bytes);
    if (mode === "audit") {
      return read.ok ? undefined : noteAudit("token", read.problem);
    }
    if (!read.ok) return refuseReview("token", read.problem);
    const verdict = await reviews.token(read.value, request.signal);
    switch (verdict.kind) {
      case "failure":
        return verdict.response;
      case "unknown":
        log.info("node-api-token-unknown", "the cluster does not know the token");
        return reviewResponse("token", {
          authenticated: false,
          ...(verdict.error === "" ? {} : { error: verdict.error }),
        });
      case "known": {
        const { user, audiences } = verdict;
        if (user.username === front?.().username || claimsCertificate(user)) {
          log.error(
            "node-api-token-refused",
            "the API server gives a token a name that only a certificate has",
            {
              user: user.username,
            },
          );
          return reviewResponse("token", {
            authenticated: false,
            error: "kubelet-proxy: the name is not a token's",
          });
        }
        log.info("node-api-token-known", "the cluster knows the token", { user: user.username });
        return reviewResponse("token", {
          authenticated: true,
          user: writeUser(user, "username"),
          ...(audiences.length === 0 ? {} : { audiences }),
        });
      }
      default: {
        const never: never = verdict;
        return never;
      }
    }
  }

  /** The name is enough, since no token is given it; where the kubelet also says which certificate, that must fit. */
  function isFront(user: UserInfo): boolean {
    const identity = front?.();
    if (identity === undefined || user.username !== identity.username) return false;
    const ids = user.extra.get(CREDENTIAL_ID);
    return ids === undefined || (ids.length === 1 && ids[0]?.toLowerCase() === idOf(identity));
  }

  function refuseReview(review: "token" | "access", problem: string): Response {
    log.warn("node-api-review-malformed", problem, { review });
    return statusResponse(
      400,
      "BadRequest",
      `kubelet-proxy: this review is not one that kubelets send: ${problem}`,
    );
  }

  function noteAudit(review: "token" | "access", problem: string): undefined {
    log.warn("node-api-review-malformed", problem, { review, mode });
  }

  async function relay(
    review: "token" | "access",
    request: KubeletRequest,
    bytes: Uint8Array,
  ): Promise<Response> {
    const path = review === "access" ? ACCESS_REVIEWS_PATH : TOKEN_REVIEWS_PATH;
    const response = await upstream.send({
      method: "POST",
      path,
      headers: request.headers,
      body: bytes,
      signal: request.signal,
    });
    if (response.status >= 300 && response.status < 400) {
      await response.body?.cancel().catch(() => {});
      return badAnswer(path, `status ${response.status}`, log);
    }
    return new Response(response.body, {
      status: response.status,
      headers: responseHeaders(response.headers),
    });
  }

  return { answer };
}

function claimsCertificate(user: UserInfo): boolean {
  return user.extra.get(CREDENTIAL_ID)?.some((id) => id.startsWith(CERTIFICATE_ID)) === true;
}

function idOf({ fingerprint }: FrontIdentity): string {
  return `${CERTIFICATE_ID}${fingerprint}`.toLowerCase();
}

function reasonOf(reason: string): JsonObject {
  return reason === "" ? {} : { reason };
}

/** What the log says about a review. */
function describe(review: AccessReview): Record<string, string> {
  const { user } = review;
  if (review.resource === undefined) {
    return { user: user.username, verb: review.nonResource.verb, path: review.nonResource.path };
  }
  const { verb, resource, subresource, name } = review.resource;
  return { user: user.username, verb, resource: `${resource}/${subresource}`, name };
}

/** A review as kube-apiserver answers it, without the question. */
function reviewResponse(review: "token" | "access", status: JsonObject): Response {
  const object = {
    kind: review === "access" ? "SubjectAccessReview" : "TokenReview",
    apiVersion: review === "access" ? "authorization.k8s.io/v1" : "authentication.k8s.io/v1",
    metadata: {},
    spec: {},
    status,
  };
  return new Response(JSON.stringify(object) + "\n", {
    status: 201,
    headers: { "content-type": "application/json" },
  });
}
