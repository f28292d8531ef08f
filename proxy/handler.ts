/**
 * One request, from top to bottom. Who may ask at all was decided by the listener; here it is decided what.
 *
 * ```text
 * canonical path? ─no─> 400
 *   │
 * known route? ─no─> 403, and the flag that would allow it
 *   │
 *   ├─ pods ──────> the pod gate, which judges every pod
 *   ├─ objects ───> the object gate, which judges every object that a kubelet reads by the rule of its kind
 *   ├─ reviews ───> the review gate, which knows what may be allowed at all
 *   └─ others ────> relayed: known headers, bodies streamed both ways, no redirects
 * ```
 *
 * @module
 */
import { messageOf } from "@signed-pods/shared/errors";
import type { Clock } from "./clock.ts";
import { isEncoded, responseHeaders } from "./headers.ts";
import type { KubeletRequest } from "./kubelet_request.ts";
import type { Log } from "./log.ts";
import { type RequestObserver, routeName } from "./operability/request_observer.ts";
import type { ObjectGate } from "./objects/object_gate.ts";
import type { PodGate } from "./pods/pod_gate.ts";
import { parseTarget } from "./request_target.ts";
import type { RequestTarget } from "./request_target.ts";
import type { ReviewGate } from "./node_api/review_gate.ts";
import type { Route, Router } from "./route.ts";
import { reasonOf, statusResponse } from "./status.ts";
import { ANSWER_TIMEOUT_MS, type Upstream, UpstreamError } from "./upstream.ts";
import { createWatchSilence } from "./pods/watch_silence.ts";
import { WholeResponse } from "./whole_response.ts";

/** Statuses whose answers have no body (Fetch standard, "null body status"); a Response with one could not be made. */
const NULL_BODY_STATUSES: ReadonlySet<number> = new Set([204, 205]);

/**
 * Requests that are open at the same time. A kubelet has a watch for each Secret and ConfigMap that its pods use, and
 * some tens of others.
 */
export const MAX_OPEN_REQUESTS = 8192;

/** What a handler is made of. */
export interface HandlerOptions {
  router: Router;
  gate: PodGate;
  objects: ObjectGate;
  reviews: ReviewGate;
  upstream: Upstream;
  log: Log;
  /** Whether each request gets a line in the log. */
  logRequests: boolean;
  /** Milliseconds since any fixed moment, for durations; `performance.now` will do. */
  elapsedMs: () => number;
  clock: Clock;
  /** Is told of each request. */
  observer?: RequestObserver;
}

/** Answers requests. */
export interface Handler {
  /**
   * Answers one request. Never throws.
   *
   * @param delivered settles when the answer has been sent, or cannot be
   */
  handle(request: KubeletRequest, delivered: Promise<void>): Promise<Response>;
  /** Ends the watches of objects and the relayed ones cleanly. The pod gate is closed on its own. */
  close(): void;
}

/** Makes the handler of one proxy. */
export function createHandler(options: HandlerOptions): Handler {
  const { router, gate, objects, reviews, upstream, log, logRequests, elapsedMs, clock, observer } = options;
  const closing = new AbortController();

  let open = 0;

  async function handle(request: KubeletRequest, delivered: Promise<void>): Promise<Response> {
    const started = elapsedMs();
    const parsed = parseTarget(request.url);
    if (!parsed.ok) {
      log.warn("request-malformed", parsed.message, { method: request.method });
      observer?.answered("malformed", 400, (elapsedMs() - started) / 1000);
      return statusResponse(400, "BadRequest", `kubelet-proxy: ${parsed.message}`);
    }
    const route = router.route(request.method, parsed.target);
    const response = await admit(request, route, parsed.target, delivered);
    const ms = elapsedMs() - started;
    observer?.answered(routeName(route), response.status, ms / 1000);
    if (logRequests) {
      log.info("request", "answered", {
        method: request.method,
        // The query is left out: it may hold continue tokens and is of use to nobody.
        path: parsed.target.path,
        route: route.kind,
        code: response.status,
        ms: Math.round(ms * 10) / 10,
      });
    }
    return response;
  }

  /** Bounds how many requests are open, and how long each may be. */
  async function admit(
    request: KubeletRequest,
    route: Route,
    target: RequestTarget,
    delivered: Promise<void>,
  ): Promise<Response> {
    if (open >= MAX_OPEN_REQUESTS) {
      log.error("request-refused", `${MAX_OPEN_REQUESTS} requests are open already`, {
        method: request.method,
        path: target.path,
        code: 429,
      });
      return statusResponse(429, "TooManyRequests", "kubelet-proxy: too many requests are open", {
        retryAfterSeconds: 1,
      });
    }
    open++;
    const ended = observer?.opened(routeName(route));
    // Ends the work on the answer: the client has left, or it takes too long.
    const ending = new AbortController();
    const left = request.signal;
    const leave = () => ending.abort(left.reason);
    left.addEventListener("abort", leave, { once: true });
    if (left.aborted) {
      leave();
    }
    const cancelTimer = isWatch(route) ? undefined : clock.after(ANSWER_TIMEOUT_MS, () => {
      const message = `the API server's answer was not complete after ${ANSWER_TIMEOUT_MS / 1000} s`;
      log.error("upstream-timeout", message, { method: request.method, path: target.path });
      ending.abort(new UpstreamError("timeout", message));
    });
    delivered.then(() => {
      open--;
      ended?.();
      cancelTimer?.();
    });
    return await answer(request, route, target, ending.signal);
  }

  async function answer(
    request: KubeletRequest,
    route: Route,
    target: RequestTarget,
    signal: AbortSignal,
  ): Promise<Response> {
    try {
      switch (route.kind) {
        case "refuse":
          return refuse(request, route, target);
        case "pod-list":
          return await gate.list(route.query, signal);
        case "pod-watch":
          return await gate.watch(route.query, signal);
        case "pod-get":
          return await gate.get(route.namespace, route.name, route.query, signal);
        case "pod-write":
          return await gate.write(request, { ...route, path: target.target }, signal);
        case "object":
          return await objects.answer(request, route.asked, signal);
        case "review":
          return await reviews.answer(route.review, { ...partsOf(request), signal });
        case "relay":
          return await relay(request, target, route.stream, signal);
        default: {
          const never: never = route;
          return never;
        }
      }
    } catch (error) {
      return fail(request, target, error);
    }
  }

  function refuse(
    request: KubeletRequest,
    route: Route & { kind: "refuse" },
    target: RequestTarget,
  ): Response {
    const advice = route.advice === undefined
      ? undefined
      : `to let it through, start kubelet-proxy with ${route.advice}`;
    log.warn("request-refused", route.message, {
      method: request.method,
      path: target.path,
      code: route.code,
      advice,
    });
    const message = `kubelet-proxy: ${request.method} ${target.path}: ${route.message}`;
    return statusResponse(
      route.code,
      reasonOf(route.code),
      advice === undefined ? message : `${message}; ${advice}`,
    );
  }

  async function relay(
    request: KubeletRequest,
    target: RequestTarget,
    stream: boolean,
    signal: AbortSignal,
  ): Promise<Response> {
    const response = await upstream.send({
      method: request.method,
      path: target.target,
      headers: request.headers,
      body: request.body,
      signal,
      whole: !stream,
    });
    const problem = refuseAnswer(response);
    if (problem !== undefined) {
      response.body?.cancel().catch(() => {});
      log.error("answer-refused", problem, {
        method: request.method,
        path: target.path,
        upstreamCode: response.status,
      });
      return statusResponse(502, "InternalError", `kubelet-proxy: ${problem}`);
    }
    if (response instanceof WholeResponse) {
      const { whole, status, fieldsByName } = response;
      return new WholeResponse(whole, { status, headers: responseHeaders(fieldsByName) });
    }
    return new Response(bodyOf(response, stream, target.path, signal), {
      status: response.status,
      headers: responseHeaders(response.headers),
    });
  }

  function bodyOf(
    response: Response,
    stream: boolean,
    path: string,
    left: AbortSignal,
  ): BodyInit | null {
    if (response.body === null || NULL_BODY_STATUSES.has(response.status)) {
      response.body?.cancel().catch(() => {});
      return null;
    }
    return stream ? endable(response.body, closing.signal, { clock, log, path, left }) : response.body;
  }

  function fail(request: KubeletRequest, target: RequestTarget, error: unknown): Response {
    const fields = { method: request.method, path: target.path };
    if (error instanceof UpstreamError) {
      switch (error.code) {
        case "aborted":
          // Nobody reads this answer; it only ends the exchange.
          log.debug("request-aborted", error.message, fields);
          return statusResponse(503, "ServiceUnavailable", "kubelet-proxy: the client has left");
        case "path-not-canonical":
          log.warn("request-malformed", error.message, fields);
          return statusResponse(400, "BadRequest", `kubelet-proxy: ${error.message}`);
        case "timeout":
          log.error("upstream-timeout", error.message, fields);
          return statusResponse(504, "Timeout", `kubelet-proxy: ${error.message}`);
        case "unreachable":
        case "no-credential":
          log.error(`upstream-${error.code}`, error.message, fields);
          return statusResponse(503, "ServiceUnavailable", `kubelet-proxy: ${error.message}`);
        default: {
          const never: never = error.code;
          return never;
        }
      }
    }
    // A defect. The message may hold anything, so only the log gets it.
    log.error("request-failed", messageOf(error), fields);
    return statusResponse(500, "InternalError", "kubelet-proxy: internal error; see its log");
  }

  return { handle, close };

  function close(): void {
    objects.close();
    closing.abort();
  }
}

/** The parts of a request, which may have them by getters. */
function partsOf({ method, url, headers, body }: KubeletRequest): Omit<KubeletRequest, "signal"> {
  return { method, url, headers, body };
}

function isWatch(route: Route): boolean {
  return route.kind === "pod-watch" || (route.kind === "object" && route.asked.verb === "watch") ||
    (route.kind === "relay" && route.stream);
}

/** Why an answer must not be relayed; undefined if it may. */
function refuseAnswer(response: Response): string | undefined {
  const { status } = response;
  if (status >= 300 && status < 400) {
    return `the API server answered with a redirect (${status}), which is never followed or relayed; see whether the kubeconfig's server is the API server itself`;
  }
  if (status < 200 || status > 599) {
    return `the API server answered with status ${status}, which is never relayed`;
  }
  if (isEncoded(response instanceof WholeResponse ? response.fieldsByName : response.headers)) {
    return "the API server compressed its answer although that was not asked for; see what stands between proxy and API server";
  }
  return undefined;
}

/**
 * The same stream, which ends when `signal` says so, or after too long a silence. The server would otherwise wait for the API server to end a
 * watch, which takes minutes to hours. client-go takes the end for that of a watch and begins another.
 */
function endable(
  body: ReadableStream<Uint8Array>,
  signal: AbortSignal,
  { clock, log, path, left }: { clock: Clock; log: Log; path: string; left: AbortSignal },
): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  let ended = false;
  let end = () => {};
  const silence = createWatchSilence(clock, log, path, () => end());
  return new ReadableStream<Uint8Array>({
    start(controller) {
      end = () => {
        if (!ended) {
          ended = true;
          silence.end();
          controller.close();
          reader.cancel().catch(() => {});
        }
      };
      if (signal.aborted) {
        end();
        return;
      }
      signal.addEventListener("abort", end, { once: true });
      reader.closed.catch(() => {}).then(() => signal.removeEventListener("abort", end));
    },
    async pull(controller) {
      try {
        silence.wait();
        const { done, value } = await reader.read();
        silence.heard();
        if (ended) {
          return;
        }
        if (done) {
          ended = true;
          controller.close();
        } else {
          controller.enqueue(value);
        }
      } catch (error) {
        if (!ended) {
          ended = true;
          if (left.aborted) {
            // A client that leaves is nobody's failure.
            controller.close();
          } else {
            controller.error(error);
          }
        }
      } finally {
        if (ended) {
          silence.end();
        }
      }
    },
    cancel(reason) {
      ended = true;
      silence.end();
      return reader.cancel(reason);
    },
  }, { highWaterMark: 0 });
}
