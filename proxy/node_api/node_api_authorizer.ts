/**
 * What a client of the kubelet's API may do, by the cluster's own rules: asked of the API server as the kubelet would,
 * and remembered as long as the kubelet would.
 *
 * Source: `pkg/kubelet/server/server.go` (`InstallAuthFilter`) of Kubernetes 1.36.3;
 * `k8s.io/apiserver/plugin/pkg/authorizer/webhook`.
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import { digestKey, ExpiringCache } from "../expiring_cache.ts";
import type { ReviewClient } from "./review_client.ts";
import { type AccessReview, writeAccessReview } from "./review_request.ts";
import type { UserInfo } from "./user_info.ts";

/** How long verdicts are remembered, in milliseconds: the kubelet's `authorization.webhook.cacheAuthorizedTTL` and `cacheUnauthorizedTTL`. */
export const ALLOWED_TTL_MS = 300_000;
export const DENIED_TTL_MS = 30_000;

/** Most verdicts that are remembered: a handful of clients with a handful of subresources each. */
export const MAX_REMEMBERED_VERDICTS = 4096;

/** Whether somebody may. */
export type Authorization =
  | { kind: "allowed" }
  | { kind: "denied" }
  /** The API server gives no verdict; the status it would be. */
  | { kind: "failure"; code: number };

/** Asks the cluster's rules. */
export interface NodeApiAuthorizer {
  /**
   * @param subresources of the node, of which one that is allowed is enough
   * @throws {UpstreamError} if the API server is needed and does not answer
   */
  authorize(
    user: UserInfo,
    verb: string,
    subresources: readonly string[],
    signal: AbortSignal,
  ): Promise<Authorization>;
}

/** Makes the authorizer of one node. */
export function createNodeApiAuthorizer(
  reviews: ReviewClient,
  nodeName: string,
  clock: Clock,
): NodeApiAuthorizer {
  const verdicts = new ExpiringCache<Authorization>(MAX_REMEMBERED_VERDICTS, clock);

  async function ask(review: AccessReview, signal: AbortSignal): Promise<Authorization> {
    const key = await digestKey(JSON.stringify(writeAccessReview(review)));
    const known = verdicts.get(key);
    if (known !== undefined) return known;
    const verdict = await reviews.access(review, signal);
    switch (verdict.kind) {
      case "failure":
        await verdict.response.body?.cancel();
        return { kind: "failure", code: verdict.response.status };
      case "allowed":
        verdicts.set(key, { kind: "allowed" }, ALLOWED_TTL_MS);
        return { kind: "allowed" };
      case "refused":
        verdicts.set(key, { kind: "denied" }, DENIED_TTL_MS);
        return { kind: "denied" };
      default: {
        const never: never = verdict;
        return never;
      }
    }
  }

  return {
    async authorize(user, verb, subresources, signal) {
      for (const subresource of subresources) {
        const resource = {
          namespace: "",
          verb,
          group: "",
          version: "v1",
          resource: "nodes",
          subresource,
          name: nodeName,
        };
        const authorization = await ask({ user, resource }, signal);
        // As in the kubelet, only a denial is followed by the next subresource.
        if (authorization.kind !== "denied") return authorization;
      }
      return { kind: "denied" };
    },
  };
}
