/**
 * Puts together what stands between the listener and the API server: the routes, and a gate for pods, for what pods
 * refer to, and for reviews.
 *
 * @module
 */
import type { VerificationKey } from "@signed-pods/shared/keys";
import { formatDifference } from "@signed-pods/shared/verdict";
import type { Clock } from "./clock.ts";
import { createHandler, type Handler } from "./handler.ts";
import type { Log } from "./log.ts";
import type { Mode } from "./mode.ts";
import type { NodeApiAccess } from "./node_api/node_api_access.ts";
import type { ReviewClient } from "./node_api/review_client.ts";
import { createReviewGate, type FrontIdentity } from "./node_api/review_gate.ts";
import { createObjectGate } from "./objects/object_gate.ts";
import { createObjectKinds } from "./objects/object_kinds.ts";
import type { ObjectOptions } from "./objects/object_options.ts";
import { createPodReferences, type PodReferences } from "./objects/pod_references.ts";
import { createRefusalEvents } from "./objects/refusal_events.ts";
import type { JudgeObserver } from "./operability/pod_decision.ts";
import type { RequestObserver } from "./operability/request_observer.ts";
import type { PodVerifier } from "./pods/judge.ts";
import type { Ledger } from "./pods/ledger.ts";
import { createPodGate, type PodGate } from "./pods/pod_gate.ts";
import { type AllowedPath, createRouter } from "./route.ts";
import type { Upstream } from "./upstream.ts";

/** What a request path is made of. */
export interface RequestPathOptions {
  /** Name of the Node object that this node's pods are bound to. */
  nodeName: string;
  mode: Mode;
  upstream: Upstream;
  /** Judges one pod by its signature. */
  verifier: PodVerifier;
  /** The keys that may have signed ConfigMaps. */
  keys: readonly VerificationKey[];
  /** What was admitted before. */
  ledger: Ledger;
  /** What the node's operator decided about objects other than pods. */
  objects: ObjectOptions;
  /** Uses of the kubelet's own port that the API server may allow. */
  nodeApiAccess: NodeApiAccess;
  /** As whom the front before the kubelet's own port asks. Not given if there is none. */
  front?: () => FrontIdentity;
  reviews: ReviewClient;
  /** Paths that are relayed beside those that a kubelet asks for. */
  allowedPaths: readonly AllowedPath[];
  /** Whether each request gets a line in the log. */
  logRequests: boolean;
  log: Log;
  clock: Clock;
  /** Milliseconds since any fixed moment, for durations; `performance.now` will do. */
  elapsedMs: () => number;
  /** A number from 0 up to, but not including, 1: jitter of retries. `Math.random` will do. */
  random: () => number;
  /** Is told what is decided. */
  judgeObserver?: JudgeObserver;
  /** Is told of each request. */
  requestObserver?: RequestObserver;
}

/** What requests go through, with the parts of it that change while it serves. */
export interface RequestPath {
  handler: Handler;
  gate: PodGate;
  references: PodReferences;
}

/** Makes the request path of one process. */
export function createRequestPath(options: RequestPathOptions): RequestPath {
  const { nodeName, mode, upstream, log, clock, front, judgeObserver, requestObserver } = options;
  const references = createPodReferences({
    mode: options.objects.references,
    keys: options.keys,
    runtimeClasses: options.objects.runtimeClasses,
    clock,
    refresh: (kind, namespace, name) =>
      objects.refresh(kind === "ConfigMap" ? "configmaps" : "secrets", namespace, name),
    refreshRuntimeClasses: () => objects.refresh("runtimeclasses"),
    warn: (kind, namespace, name, differences) =>
      log.warn("content-not-signed", "the content is not what was signed, and is passed on", {
        kind,
        namespace,
        name,
        differences: differences.map(formatDifference),
      }),
  });
  const objects = createObjectGate({
    upstream,
    kinds: createObjectKinds({ nodeName, ...options.objects, signedHandlers: references.handlersOf }),
    log,
    mode,
    clock,
    references,
    events: createRefusalEvents({ upstream, nodeName, clock, log }),
  });
  const gate = createPodGate({
    upstream,
    references,
    verifier: options.verifier,
    ledger: options.ledger,
    log,
    mode,
    nodeName,
    clock,
    random: options.random,
    ...(judgeObserver === undefined ? {} : { observer: judgeObserver }),
  });
  const handler = createHandler({
    router: createRouter(nodeName, options.allowedPaths),
    gate,
    objects,
    reviews: createReviewGate({
      nodeName,
      access: options.nodeApiAccess,
      ...(front === undefined ? {} : { front }),
      reviews: options.reviews,
      upstream,
      log,
      mode,
    }),
    upstream,
    log,
    logRequests: options.logRequests,
    elapsedMs: options.elapsedMs,
    clock,
    ...(requestObserver === undefined ? {} : { observer: requestObserver }),
  });
  return { handler, gate, references };
}
