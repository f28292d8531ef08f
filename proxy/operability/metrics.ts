/**
 * What Prometheus reads, in its text format. No label takes a value that a peer chooses, so the number of series is bounded
 * by the program and its command line.
 *
 * @module
 */
import { DENY_CODES } from "@signed-pods/shared/verdict";
import { VERSION } from "@signed-pods/shared/version";
import type { PodCounts } from "../pods/judge.ts";
import type { Mode } from "../mode.ts";
import { NODE_API_REFUSAL_CODES, type NodeApiOutcome } from "../node_api/node_api_outcome.ts";
import type { ReloadCount } from "../credentials/reload_counts.ts";
import type { RefusalObserver } from "../objects/object_gate.ts";
import { codesOf } from "../objects/object_deny_code.ts";
import { RESOURCE_NAMES } from "../objects/object_kind.ts";
import type { UpstreamObserver, UpstreamOutcome } from "./observed_upstream.ts";
import type { DecisionKind, PodDecision } from "./pod_decision.ts";
import { Counter, Gauge, Histogram, Registry } from "./prom_client.ts";
import { READY_CHECKS, type ReadyCheck } from "./readiness.ts";
import { REQUEST_ROUTES, type RequestObserver, type RequestRoute } from "./request_observer.ts";

/** One metric, as docs/metrics.md describes it. */
export interface MetricDescription {
  type: "counter" | "gauge" | "histogram";
  /** Labels, in the order in which they are shown. */
  labels: readonly string[];
  help: string;
}

/** Every metric by name. */
export const METRICS = {
  kubelet_proxy_build_info: {
    type: "gauge",
    labels: ["version", "mode"],
    help: "1, labelled with the version and the mode, enforce or audit.",
  },
  kubelet_proxy_ready: {
    type: "gauge",
    labels: ["check"],
    help:
      "1 if the check holds: the API server answers (upstream), all pods of the node were judged once (pod-list).",
  },
  kubelet_proxy_requests_total: {
    type: "counter",
    labels: ["route", "code"],
    help:
      "Requests of the kubelet by route and status code. Codes that Kubernetes does not use are counted as other.",
  },
  kubelet_proxy_request_duration_seconds: {
    type: "histogram",
    labels: [],
    help: "Time from a request of the kubelet to the headers of its answer.",
  },
  kubelet_proxy_requests_open: {
    type: "gauge",
    labels: ["route"],
    help: "Requests that run. Those of the routes pod-watch, object-watch and relay-stream are watches.",
  },
  kubelet_proxy_node_api_requests_total: {
    type: "counter",
    labels: ["outcome"],
    help:
      "Requests for the kubelet's own API (--kubelet-api-listen): passed to the kubelet, or the status with which they were refused.",
  },
  kubelet_proxy_verdicts_total: {
    type: "counter",
    labels: ["decision", "code"],
    help:
      "Verdicts on pods that are new or have changed: allow, mirror (of a static pod, not judged), refuse (hidden from the kubelet) or stop (it ran), with the code of the refusal. In audit they are counted, and not acted on.",
  },
  kubelet_proxy_unidentified_pods_total: {
    type: "counter",
    labels: [],
    help: "Sightings of pods without a proper UID, namespace and name, which are hidden.",
  },
  kubelet_proxy_pods: {
    type: "gauge",
    labels: ["state"],
    help: "Pods of the node by what the kubelet is shown of them.",
  },
  kubelet_proxy_objects_refused_total: {
    type: "counter",
    labels: ["resource", "code"],
    help:
      "Objects other than pods that were not passed on, and were before or for another reason. In audit they are counted, and passed on.",
  },
  kubelet_proxy_judge_duration_seconds: {
    type: "histogram",
    labels: [],
    help: "Time to judge one pod by its signature.",
  },
  kubelet_proxy_rejections_pending: {
    type: "gauge",
    labels: [],
    help: "Writes about refused pods (status, Event, deletion) that the API server has not taken yet.",
  },
  kubelet_proxy_upstream_requests_total: {
    type: "counter",
    labels: ["outcome"],
    help: "Requests to the API server by the class of the answer's status, or why there was no answer.",
  },
  kubelet_proxy_upstream_duration_seconds: {
    type: "histogram",
    labels: [],
    help: "Time from a request to the API server to the headers of its answer, where there was one.",
  },
  kubelet_proxy_certificate_not_after_timestamp_seconds: {
    type: "gauge",
    labels: ["certificate"],
    help:
      "When a certificate ends, in seconds since 1970: client (towards the API server), serving (towards the kubelet), and node-api-serving and node-api-client of --kubelet-api-listen.",
  },
  kubelet_proxy_token_not_after_timestamp_seconds: {
    type: "gauge",
    labels: [],
    help:
      "When the bearer token that is shown to the API server ends, in seconds since 1970. Only of a JSON Web Token that says so (exp).",
  },
  kubelet_proxy_verification_keys: {
    type: "gauge",
    labels: [],
    help: "Keys whose signatures are trusted.",
  },
  kubelet_proxy_verification_key_not_after_timestamp_seconds: {
    type: "gauge",
    labels: ["key_id"],
    help: "When the certificate of a trusted key ends, in seconds since 1970. A key without one never ends.",
  },
  kubelet_proxy_reloads_total: {
    type: "counter",
    labels: ["files", "result"],
    help: "Changes of followed files: taken, or refused, in which case what they held before stays in force.",
  },
  kubelet_proxy_reload_stale: {
    type: "gauge",
    labels: ["files"],
    help: "1 if followed files hold something else than what is in force.",
  },
  kubelet_proxy_decision_log_lost_total: {
    type: "counter",
    labels: [],
    help: "Verdicts that could not be written to the decision log.",
  },
  kubelet_proxy_log_lines_total: {
    type: "counter",
    labels: ["level"],
    help: "Lines of the log: info, warn or error.",
  },
  kubelet_proxy_log_lines_lost_total: {
    type: "counter",
    labels: [],
    help: "Lines of the log that were left out, since it was not read fast enough.",
  },
  process_start_time_seconds: {
    type: "gauge",
    labels: [],
    help: "When the process started, in seconds since 1970.",
  },
  process_cpu_seconds_total: {
    type: "counter",
    labels: [],
    help: "User and system time of the process, in seconds.",
  },
  process_resident_memory_bytes: {
    type: "gauge",
    labels: [],
    help: "Memory that the process holds, in bytes.",
  },
  process_heap_bytes: {
    type: "gauge",
    labels: [],
    help: "JavaScript objects in memory, in bytes.",
  },
} as const satisfies Readonly<Record<string, MetricDescription>>;

type MetricName = keyof typeof METRICS;

/** Upper bounds of the latency histograms, in seconds: from one signature to an API server that is overloaded. */
const LATENCY_BUCKETS_SECONDS: readonly number[] = [
  0.0005,
  0.001,
  0.0025,
  0.005,
  0.01,
  0.025,
  0.05,
  0.1,
  0.25,
  0.5,
  1,
  2.5,
  5,
  10,
  30,
];

/**
 * Status codes with a count of their own: those of kube-apiserver and of this proxy. The API server may be the attacker,
 * and each code that it makes up would be another series.
 */
const CODES: ReadonlySet<number> = new Set([
  ...[101, 200, 201, 202, 204, 400, 401, 403, 404, 405, 406, 409, 410, 413, 415, 422, 429],
  ...[500, 502, 503, 504],
]);

const OUTCOMES: readonly UpstreamOutcome[] = [
  "2xx",
  "3xx",
  "4xx",
  "5xx",
  "unreachable",
  "timeout",
  "aborted",
  "no-credential",
  "path-not-canonical",
  "failed",
];

/** Levels of lines that are counted. */
export type CountedLevel = "info" | "warn" | "error";

/**
 * Certificates that this process shows: to the API server, to the kubelet, to who wants the kubelet's own API, and to the
 * kubelet behind it.
 */
export const OWN_CERTIFICATES = ["client", "serving", "node-api-serving", "node-api-client"] as const;

/** The name of one of them. */
export type OwnCertificateName = (typeof OWN_CERTIFICATES)[number];

/** When one of them ends. */
export interface OwnCertificate {
  name: OwnCertificateName;
  notAfter: Date;
}

/** What is looked up when Prometheus asks. */
export interface Snapshot {
  pods: PodCounts;
  pendingRejections: number;
  missing: ReadonlyMap<ReadyCheck, string>;
  certificates: readonly OwnCertificate[];
  /** The end of the bearer token, if there is one that tells. */
  tokenNotAfter?: Date | undefined;
  /** Trusted keys. */
  keys: readonly { id: string; notAfter?: Date }[];
  reloads: Iterable<[string, Readonly<ReloadCount>]>;
  /** Lines of the log that were left out since the start. */
  logLinesLost: number;
  /** User and system time, in seconds. */
  cpuSeconds: number;
  /** In bytes. */
  memory: { rss: number; heapUsed: number };
}

/** What the proxy counts. */
export interface Metrics {
  requests: RequestObserver;
  upstream: UpstreamObserver;
  nodeApiDecided(outcome: NodeApiOutcome): void;
  verdict(decision: PodDecision): void;
  unidentified(): void;
  readonly objects: RefusalObserver;
  judged(seconds: number): void;
  logged(level: CountedLevel): void;
  decisionsLost(lines: number): void;
  /** The text at this moment. */
  text(snapshot: Snapshot): Promise<string>;
  readonly contentType: string;
}

/** Starts to count from 0. */
export function createMetrics(mode: Mode, startedAt: Date): Metrics {
  const registry = new Registry();
  const describe = <N extends MetricName>(name: N) => {
    const { labels, help }: MetricDescription = METRICS[name];
    return { name, help, labelNames: [...labels], registers: [registry] };
  };
  const counter = (name: MetricName) => new Counter<string>(describe(name));
  const gauge = (name: MetricName) => new Gauge<string>(describe(name));
  const histogram = (name: MetricName) =>
    new Histogram<string>({ ...describe(name), buckets: [...LATENCY_BUCKETS_SECONDS] });

  gauge("kubelet_proxy_build_info").set({ version: VERSION, mode }, 1);
  const ready = gauge("kubelet_proxy_ready");
  const requests = counter("kubelet_proxy_requests_total");
  const requestSeconds = histogram("kubelet_proxy_request_duration_seconds");
  const open = gauge("kubelet_proxy_requests_open");
  const nodeApi = counter("kubelet_proxy_node_api_requests_total");
  const verdicts = counter("kubelet_proxy_verdicts_total");
  const unidentified = counter("kubelet_proxy_unidentified_pods_total");
  const pods = gauge("kubelet_proxy_pods");
  const refusedObjects = counter("kubelet_proxy_objects_refused_total");
  const judgeSeconds = histogram("kubelet_proxy_judge_duration_seconds");
  const rejections = gauge("kubelet_proxy_rejections_pending");
  const upstreamRequests = counter("kubelet_proxy_upstream_requests_total");
  const upstreamSeconds = histogram("kubelet_proxy_upstream_duration_seconds");
  const certificates = gauge("kubelet_proxy_certificate_not_after_timestamp_seconds");
  const tokenEnd = gauge("kubelet_proxy_token_not_after_timestamp_seconds");
  const keys = gauge("kubelet_proxy_verification_keys");
  const keyEnds = gauge("kubelet_proxy_verification_key_not_after_timestamp_seconds");
  const reloads = counter("kubelet_proxy_reloads_total");
  const stale = gauge("kubelet_proxy_reload_stale");
  const lost = counter("kubelet_proxy_decision_log_lost_total");
  const lines = counter("kubelet_proxy_log_lines_total");
  const linesLost = counter("kubelet_proxy_log_lines_lost_total");
  gauge("process_start_time_seconds").set(startedAt.getTime() / 1000);
  const cpu = counter("process_cpu_seconds_total");
  const rss = gauge("process_resident_memory_bytes");
  const heap = gauge("process_heap_bytes");

  // A series that appears with its first event hides that event from rate() and increase().
  // What happens with every request is counted apart and copied when somebody asks: labels cost more than the counting.
  const answers = new Map<RequestRoute, Map<string, number>>(
    REQUEST_ROUTES.map((route) => [
      route,
      new Map([[route === "malformed" ? "400" : route === "refuse" ? "403" : "200", 0]]),
    ]),
  );
  const running = new Map<RequestRoute, number>(REQUEST_ROUTES.map((route) => [route, 0]));
  const outcomes = new Map<UpstreamOutcome, number>(OUTCOMES.map((outcome) => [outcome, 0]));
  for (const outcome of ["passed", ...NODE_API_REFUSAL_CODES]) {
    nodeApi.inc({ outcome }, 0);
  }
  verdicts.inc(verdictLabels("allow"), 0);
  verdicts.inc(verdictLabels("mirror"), 0);
  for (const code of Object.keys(DENY_CODES)) {
    verdicts.inc(verdictLabels("refuse", code), 0);
    verdicts.inc(verdictLabels("stop", code), 0);
  }
  for (const resource of RESOURCE_NAMES) {
    for (const code of codesOf(resource)) {
      refusedObjects.inc({ resource, code }, 0);
    }
  }
  for (const level of ["info", "warn", "error"] satisfies CountedLevel[]) {
    lines.inc({ level }, 0);
  }

  function look(snapshot: Snapshot): void {
    for (const check of READY_CHECKS) {
      ready.set({ check }, snapshot.missing.has(check) ? 0 : 1);
    }
    for (const [state, count] of Object.entries(snapshot.pods)) {
      pods.set({ state }, count);
    }
    rejections.set(snapshot.pendingRejections);
    requests.reset();
    for (const [route, codes] of answers) {
      for (const [code, count] of codes) requests.inc({ route, code }, count);
    }
    for (const [route, count] of running) open.set({ route }, count);
    upstreamRequests.reset();
    for (const [outcome, count] of outcomes) upstreamRequests.inc({ outcome }, count);
    // What is gone since the last time must not stay.
    certificates.reset();
    for (const { name, notAfter } of snapshot.certificates) {
      certificates.set({ certificate: name }, notAfter.getTime() / 1000);
    }
    // A gauge without labels is 0 after reset: that would be a token that ended in 1970.
    tokenEnd.remove();
    if (snapshot.tokenNotAfter !== undefined) {
      tokenEnd.set(snapshot.tokenNotAfter.getTime() / 1000);
    }
    keys.set(snapshot.keys.length);
    keyEnds.reset();
    for (const { id, notAfter } of snapshot.keys) {
      if (notAfter !== undefined) {
        keyEnds.set({ key_id: id }, notAfter.getTime() / 1000);
      }
    }
    reloads.reset();
    for (const [files, { taken, refused, stale: isStale }] of snapshot.reloads) {
      reloads.inc({ files, result: "taken" }, taken);
      reloads.inc({ files, result: "refused" }, refused);
      stale.set({ files }, isStale ? 1 : 0);
    }
    linesLost.reset();
    linesLost.inc(snapshot.logLinesLost);
    cpu.reset();
    cpu.inc(snapshot.cpuSeconds);
    rss.set(snapshot.memory.rss);
    heap.set(snapshot.memory.heapUsed);
  }

  return {
    contentType: registry.contentType,
    requests: {
      answered(route, code, seconds) {
        count(answers.get(route), CODES.has(code) ? String(code) : "other", 1);
        requestSeconds.observe(seconds);
      },
      opened(route) {
        count(running, route, 1);
        return () => count(running, route, -1);
      },
    },
    upstream: {
      answered(status, seconds) {
        count(outcomes, outcomeOf(status), 1);
        upstreamSeconds.observe(seconds);
      },
      failed: (code) => count(outcomes, code, 1),
    },
    nodeApiDecided: (outcome) => nodeApi.inc({ outcome }),
    verdict(decision) {
      const verdict = decision.kind === "mirror" ? undefined : decision.verdict;
      verdicts.inc(verdictLabels(decision.kind, verdict?.decision === "deny" ? verdict.code : undefined));
    },
    unidentified: () => unidentified.inc(),
    objects: { refused: (resource, code) => refusedObjects.inc({ resource, code }) },
    judged: (seconds) => judgeSeconds.observe(seconds),
    logged: (level) => lines.inc({ level }),
    decisionsLost: (count) => lost.inc(count),
    text(snapshot) {
      look(snapshot);
      return registry.metrics();
    },
  };
}

function count<K>(counts: Map<K, number> | undefined, key: K, by: number): void {
  counts?.set(key, (counts.get(key) ?? 0) + by);
}

function verdictLabels(decision: DecisionKind, code = "none"): { decision: DecisionKind; code: string } {
  return { decision, code };
}

/** What is no status of HTTP is a failure of whoever sent it. */
function outcomeOf(status: number): UpstreamOutcome {
  switch (Math.floor(status / 100)) {
    case 2:
      return "2xx";
    case 3:
      return "3xx";
    case 4:
      return "4xx";
    default:
      return "5xx";
  }
}
