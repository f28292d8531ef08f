/**
 * The gate that every request about pods goes through: what the API server says comes out judged and built again, or
 * not at all.
 *
 * Reads:
 *
 * ```text
 * list   pod_list.ts    one document  ─┐
 * watch  pod_watch.ts   JSON lines    ─┼─> judge.ts ─> ledger.ts, rejector.ts ─> text for the kubelet
 * get    pod_object.ts  one object    ─┘
 * ```
 *
 * Writes (status PATCH, DELETE, POST of mirror pods) go up as they are, and their answers come back as identity
 * metadata alone.
 *
 * @module
 */
import { messageOf } from "@signed-pods/shared/errors";
import type { Clock } from "../clock.ts";
import { createJudge, type PodCounts, type PodVerifier } from "./judge.ts";
import { createKnownPods, type KnownPods } from "./known_pods.ts";
import type { Ledger } from "./ledger.ts";
import type { KubeletRequest } from "../kubelet_request.ts";
import type { Log } from "../log.ts";
import type { Mode } from "../mode.ts";
import type { PodReferences } from "../objects/pod_references.ts";
import type { JudgeObserver } from "../operability/pod_decision.ts";
import { createPodLists } from "./pod_list.ts";
import { createPodObjects, type PodWrite } from "./pod_object.ts";
import { createPodWatches } from "./pod_watch.ts";
import { createRejector } from "./rejector.ts";
import { createServedVersions } from "./served_versions.ts";
import type { Upstream } from "../upstream.ts";

/** What a gate is made of. */
export interface PodGateOptions {
  upstream: Upstream;
  /** Judges one pod by its signature; `createVerifier` of shared/pod/verify makes it. */
  verifier: PodVerifier;
  /** What pods refer to; without it references are not looked at. */
  references?: PodReferences;
  /** What was admitted before; `openLedger` makes it. */
  ledger: Ledger;
  log: Log;
  mode: Mode;
  /** Name of the Node object that this node's pods are bound to. */
  nodeName: string;
  clock: Clock;
  /** A number from 0 up to, but not including, 1: jitter of retries. `Math.random` will do. */
  random: () => number;
  /** Is told what is decided. */
  observer?: JudgeObserver;
  /** For tests; see `MAX_LIST_BYTES`. */
  maxListBytes?: number;
  /** For tests: what is remembered of the text of pods, or something that remembers nothing. */
  known?: KnownPods;
}

/** Serves the pod routes. Whatever the API server answers is answered here; what `upstream` throws is thrown on. */
export interface PodGate {
  /** `GET /api/v1/pods` without watch. The query goes up as it is. */
  list(query: URLSearchParams, signal: AbortSignal): Promise<Response>;
  /** `GET /api/v1/pods?watch=true`. The query goes up as it is. */
  watch(query: URLSearchParams, signal: AbortSignal): Promise<Response>;
  /** `GET /api/v1/namespaces/{namespace}/pods/{name}`. */
  get(namespace: string, name: string, query: URLSearchParams, signal: AbortSignal): Promise<Response>;
  /** Anything that writes pods. */
  write(request: KubeletRequest, write: PodWrite, signal: AbortSignal): Promise<Response>;
  /**
   * The verifier trusts other keys from now on: stops the pods of revoked keys, which the kubelet is told whether or not
   * the API server answers, and makes the kubelet list its pods again, so that all are judged again.
   *
   * @param revokedKeyIds ids of the keys that are trusted no more, not even for pods that they admitted
   */
  judgeAgain(revokedKeyIds: ReadonlySet<string>): Promise<void>;
  /** How things stand; walks all pods. */
  counts(): { pods: PodCounts; pendingRejections: number };
  /**
   * Ends all watches cleanly, starts no more rejections, and waits for those that are on their way.
   *
   * @param deadlineMs longest wait in milliseconds; what is still running then is broken off
   */
  close(deadlineMs: number): Promise<void>;
}

/** Makes the gate; one per process, since it remembers what the kubelet has been shown. */
export function createPodGate(options: PodGateOptions): PodGate {
  const {
    upstream,
    verifier,
    ledger,
    log,
    mode,
    nodeName,
    clock,
    random,
    observer,
    maxListBytes,
    references,
  } = options;
  const { known = createKnownPods() } = options;
  const rejector = mode === "enforce"
    ? createRejector({ upstream, log, clock, random, nodeName })
    : undefined;
  const judge = createJudge({
    verifier,
    ledger,
    rejector,
    log,
    mode,
    nodeName,
    clock,
    gone: (uid) => known.forget(uid),
    ...(observer === undefined ? {} : { observer }),
    ...(references === undefined ? {} : { references }),
  });
  const served = createServedVersions();
  const lists = createPodLists({
    upstream,
    known,
    judge,
    served,
    log,
    mode,
    nodeName,
    ...(maxListBytes === undefined ? {} : { maxListBytes }),
  });
  const watches = createPodWatches({ upstream, known, judge, served, log, mode, nodeName, clock });
  const objects = createPodObjects({ upstream, known, judge, log, mode });
  return {
    list: (query, signal) => lists.list(query, signal),
    watch: (query, signal) => watches.watch(query, signal),
    get: (namespace, name, query, signal) => objects.get(namespace, name, query, signal),
    write: (request, write, signal) => objects.write(request, write, signal),
    async judgeAgain(revokedKeyIds) {
      // In audit nothing is kept from the kubelet, so there is nothing to show it anew.
      if (mode === "enforce") {
        try {
          await judge.stopSignedBy(revokedKeyIds);
        } catch (error) {
          // They are being stopped all the same; after a restart, the keys are still revoked.
          log.error("ledger-failed", `that pods are being stopped could not be written: ${messageOf(error)}`);
        }
        served.forgetUntil(judge.nextMoment());
        watches.restart();
      }
    },
    counts: () => ({ pods: judge.counts(), pendingRejections: rejector?.pending() ?? 0 }),
    async close(deadlineMs) {
      watches.close();
      await rejector?.close(deadlineMs);
    },
  };
}

export type { PodWrite };
