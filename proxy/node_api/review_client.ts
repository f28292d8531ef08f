/**
 * Asks the API server who somebody is and what they may do, with the node's own credential, and takes for an answer only
 * what is one to the letter.
 *
 * Source: `TokenReviewStatus` and `SubjectAccessReviewStatus` in `k8s.io/api`; how the kubelet reads them, in
 * `k8s.io/apiserver/plugin/pkg/authenticator/token/webhook` and `.../authorizer/webhook`.
 *
 * @module
 */
import { getOwn, isJsonObject, type JsonObject } from "@signed-pods/shared/json";
import type { Log } from "../log.ts";
import { badAnswer, checkAnswer, podRequestHeaders, readObject } from "../pods/pod_answer.ts";
import {
  ACCESS_REVIEWS_PATH,
  type AccessReview,
  MAX_AUDIENCES,
  TOKEN_REVIEWS_PATH,
  type TokenReview,
  writeAccessReview,
  writeTokenReview,
} from "./review_request.ts";
import { cleanMessage } from "../status.ts";
import type { Upstream } from "../upstream.ts";
import { MAX_NAME_LENGTH, type Read, readTexts, readUser, type UserInfo } from "./user_info.ts";

/** Most bytes of an answer: a token of the greatest length comes back with it, and a user of a thousand groups. */
export const MAX_REVIEW_ANSWER_BYTES = 2 * 1024 * 1024;

/** What the API server says about a request of somebody. */
export type AccessVerdict = { kind: "allowed"; reason: string } | { kind: "refused"; reason: string };

/** What the API server says about a token. */
export type TokenVerdict =
  | { kind: "known"; user: UserInfo; audiences: string[] }
  | { kind: "unknown"; error: string };

/** There is no verdict; the response says why, as a Status. */
export interface NoVerdict {
  kind: "failure";
  response: Response;
}

/** Asks for reviews. */
export interface ReviewClient {
  /** @throws {UpstreamError} if there is no answer */
  access(review: AccessReview, signal: AbortSignal): Promise<AccessVerdict | NoVerdict>;
  /** @throws {UpstreamError} if there is no answer */
  token(review: TokenReview, signal: AbortSignal): Promise<TokenVerdict | NoVerdict>;
}

/** Makes the client of one API server. */
export function createReviewClient(upstream: Upstream, log: Log): ReviewClient {
  /** Posts a review and reads the status of the answer. */
  async function ask<T>(
    path: string,
    review: JsonObject,
    readStatus: (status: JsonObject) => Read<T>,
    signal: AbortSignal,
  ): Promise<T | NoVerdict> {
    const headers = podRequestHeaders();
    headers.set("content-type", "application/json");
    const answer = await upstream.send({
      method: "POST",
      path,
      headers,
      body: JSON.stringify(review),
      signal,
    });
    const checked = await checkAnswer(answer, path, log, [200, 201]);
    if (!checked.ok) return { kind: "failure", response: checked.response };
    const read = await readObject(checked.response.body, MAX_REVIEW_ANSWER_BYTES);
    if (!read.ok) return { kind: "failure", response: badAnswer(path, read.problem, log, signal) };
    const { object } = read;
    const status = getOwn(object, "status");
    if (
      object["kind"] !== review["kind"] || object["apiVersion"] !== review["apiVersion"] ||
      !isJsonObject(status)
    ) {
      return { kind: "failure", response: badAnswer(path, "it is no review", log) };
    }
    const verdict = readStatus(status);
    return verdict.ok ? verdict.value : { kind: "failure", response: badAnswer(path, verdict.problem, log) };
  }

  return {
    access: (review, signal) =>
      ask<AccessVerdict>(ACCESS_REVIEWS_PATH, writeAccessReview(review), readAccessStatus, signal),
    async token(review, signal) {
      const verdict = await ask<TokenVerdict>(
        TOKEN_REVIEWS_PATH,
        writeTokenReview(review),
        (status) => readTokenStatus(status, review),
        signal,
      );
      if (verdict.kind !== "failure") return verdict;
      // The kubelet logs why it could not find out.
      const text = await verdict.response.text();
      const { status, headers } = verdict.response;
      const response = text.includes(review.token)
        ? badAnswer(TOKEN_REVIEWS_PATH, REPEATS_TOKEN, log)
        : new Response(text, { status, headers });
      return { kind: "failure", response };
    },
  };
}

const REPEATS_TOKEN = "it repeats the token where others read it";

/** Allowed is what is said to be allowed and not denied as well. */
function readAccessStatus(status: JsonObject): Read<AccessVerdict> {
  const allowed = getOwn(status, "allowed") ?? false;
  const denied = getOwn(status, "denied") ?? false;
  const reason = getOwn(status, "reason") ?? "";
  if (typeof allowed !== "boolean" || typeof denied !== "boolean" || typeof reason !== "string") {
    return { ok: false, problem: "its status is malformed" };
  }
  return {
    ok: true,
    value: { kind: allowed && !denied ? "allowed" : "refused", reason: cleanMessage(reason) },
  };
}

/** Only audiences that were asked for come back. */
function readTokenStatus(status: JsonObject, asked: TokenReview): Read<TokenVerdict> {
  const authenticated = getOwn(status, "authenticated") ?? false;
  const error = getOwn(status, "error") ?? "";
  if (typeof authenticated !== "boolean" || typeof error !== "string") {
    return { ok: false, problem: "its status is malformed" };
  }
  if (!authenticated || error !== "") {
    // The kubelet logs why a token is not good.
    const shown = error.includes(asked.token) ? REPEATS_TOKEN : error;
    return { ok: true, value: { kind: "unknown", error: cleanMessage(shown) } };
  }
  const object = getOwn(status, "user");
  if (!isJsonObject(object)) return { ok: false, problem: "it names no user" };
  const user = readUser(object, "username");
  if (!user.ok) return user;
  if (user.value.username.includes(asked.token)) return { ok: false, problem: REPEATS_TOKEN };
  if (user.value.username === "") return { ok: false, problem: "its user has no name" };
  const audiences = readTexts(getOwn(status, "audiences"), "audiences", MAX_AUDIENCES, MAX_NAME_LENGTH);
  if (!audiences.ok) return audiences;
  return {
    ok: true,
    value: {
      kind: "known",
      user: user.value,
      audiences: audiences.value.filter((audience) => asked.audiences.includes(audience)),
    },
  };
}
