/**
 * An upstream that tells how long each answer took and what became of each request.
 *
 * @module
 */
import { type Upstream, UpstreamError, type UpstreamFailure } from "../upstream.ts";

/** The class of an answer's status, or why there is none. */
export type UpstreamOutcome = "2xx" | "3xx" | "4xx" | "5xx" | UpstreamFailure | "failed";

/** Is told of each request to the API server. */
export interface UpstreamObserver {
  /**
   * The headers of an answer are there.
   *
   * @param status any; the API server chooses it
   */
  answered(status: number, seconds: number): void;
  /** There is no answer. */
  failed(code: UpstreamFailure | "failed", reason: string): void;
}

/**
 * The same upstream, observed.
 *
 * @param elapsedMs milliseconds since any fixed moment
 */
export function observeUpstream(
  upstream: Upstream,
  observer: UpstreamObserver,
  elapsedMs: () => number,
): Upstream {
  return {
    async send(request) {
      const started = elapsedMs();
      try {
        const response = await upstream.send(request);
        observer.answered(response.status, (elapsedMs() - started) / 1000);
        return response;
      } catch (error) {
        if (error instanceof UpstreamError) {
          observer.failed(error.code, error.message);
        } else {
          observer.failed("failed", "a defect; see the log");
        }
        throw error;
      }
    },
  };
}
