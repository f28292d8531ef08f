/**
 * Whether the proxy answers requests: it sends itself one, the way that the kubelet's take once TLS has ended.
 *
 * What the API server does has no part in it: a proxy is not restarted because the control plane is away.
 *
 * @module
 */

import type { KubeletRequest } from "../kubelet_request.ts";
import { WholeResponse } from "../whole_response.ts";

/** A listener that answers its own questions, and the one who asks. */
export interface SelfCheck {
  /** Answers the questions, and gives all other requests to `handle`. */
  answer(
    handle: (request: KubeletRequest, delivered: Promise<void>) => Promise<Response>,
  ): (request: KubeletRequest, delivered: Promise<void>) => Promise<Response>;
  /** Asks. */
  healthy(): Promise<boolean>;
}

/**
 * Makes a self-check.
 *
 * @param path of the question; nobody else may know it, so that no client's request is answered in the handler's place
 * @param fetch sends a request for a path through the listener's socket
 */
export function createSelfCheck(path: string, fetch: (path: string) => Promise<Response>): SelfCheck {
  return {
    answer: (handle) => (request, delivered) =>
      request.url.endsWith(path)
        ? Promise.resolve(new WholeResponse(null, { status: 204, headers: [] }))
        : handle(request, delivered),
    async healthy() {
      const response = await fetch(path);
      await response.body?.cancel();
      return response.status === 204;
    },
  };
}
