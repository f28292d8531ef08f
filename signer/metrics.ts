/**
 * What Prometheus reads, in its text format.
 *
 * @module
 */
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import { VERSION } from "@signed-pods/shared/version";
import type { KeyRing } from "./key_folder.ts";
import { REQUEST_ERRORS, type RequestErrorCode } from "./request_error.ts";

/** What became of a request for a signature: signed, refused with a code, or the client went away. */
export type SignOutcome = "signed" | "aborted" | RequestErrorCode;

/** Files that are followed. */
export type FollowedFile = "keys" | "tokens";

/** Upper bounds of the latency histogram, in seconds: from one ECDSA signature to a body that arrives slowly. */
const LATENCY_BUCKETS_SECONDS: readonly number[] = [
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
];

/** What the server counts. */
export interface Metrics {
  /** One request for a signature has ended. */
  signRequest(outcome: SignOutcome, seconds: number): void;
  /** A file that has changed cannot be used. */
  reloadFailed(file: FollowedFile): void;
  /** The text, made for these keys. */
  text(ring: KeyRing): Promise<string>;
  readonly contentType: string;
}

/** Starts to count from 0. */
export function createMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const requests = new Counter({
    name: "signing_server_sign_requests_total",
    help: "Requests for a signature by outcome: signed, aborted, or the code of the refusal.",
    labelNames: ["outcome"] as const,
    registers,
  });
  const latency = new Histogram({
    name: "signing_server_sign_duration_seconds",
    help: "Time from a request for a signature to its answer, of those that were signed.",
    buckets: [...LATENCY_BUCKETS_SECONDS],
    registers,
  });
  const rateLimited = new Counter({
    name: "signing_server_rate_limited_total",
    help: "Requests for a signature that were refused because their client asks for too much.",
    registers,
  });
  const reloads = new Counter({
    name: "signing_server_reload_failures_total",
    help: "Changes of a followed file that could not be used; what it held before stays in use.",
    labelNames: ["file"] as const,
    registers,
  });
  const expiry = new Gauge({
    name: "signing_server_certificate_not_after_timestamp_seconds",
    help: "When each certificate ends, in seconds since 1970.",
    labelNames: ["key_id", "state"] as const,
    registers,
  });
  new Gauge({
    name: "signing_server_build_info",
    help: "1, labelled with the version.",
    labelNames: ["version"] as const,
    registers,
  }).set({ version: VERSION }, 1);
  // A series that appears with its first event hides that event from rate() and increase().
  const outcomes: SignOutcome[] = ["signed", "aborted", ...errorCodes()];
  for (const outcome of outcomes) requests.inc({ outcome }, 0);
  const files: FollowedFile[] = ["keys", "tokens"];
  for (const file of files) reloads.inc({ file }, 0);
  return {
    contentType: registry.contentType,
    signRequest(outcome, seconds) {
      requests.inc({ outcome });
      if (outcome === "signed") latency.observe(seconds);
      if (outcome === "rate-limited") rateLimited.inc();
    },
    reloadFailed: (file) => reloads.inc({ file }),
    async text({ staged, current, retired }) {
      expiry.reset();
      const set = (state: string, { keyId, notAfter }: { keyId: string; notAfter: Date }) =>
        expiry.set({ key_id: keyId, state }, notAfter.getTime() / 1000);
      set("current", current);
      if (staged !== undefined) set("staged", staged);
      for (const certificate of retired) set("retired", certificate);
      return await registry.metrics();
    },
  };
}

/** Codes of refusals that have nothing to do with signing. */
const OF_OTHER_ROUTES: ReadonlySet<string> = new Set([
  "host-not-allowed",
  "method-not-allowed",
  "not-found",
  "query-malformed",
]);

function errorCodes(): RequestErrorCode[] {
  return Object.keys(REQUEST_ERRORS).filter((code): code is RequestErrorCode =>
    Object.hasOwn(REQUEST_ERRORS, code) && !OF_OTHER_ROUTES.has(code)
  );
}
