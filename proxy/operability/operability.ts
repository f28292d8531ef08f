/**
 * What the proxy tells those who watch it: what it counts, the last verdicts, whether it is ready. The parts of the proxy
 * know interfaces only; here they are put together.
 *
 * @module
 */
import { AsnConvert } from "@peculiar/asn1-schema";
import { Certificate } from "@peculiar/asn1-x509";
import { readPemBlocks } from "@signed-pods/shared/pem";
import type { ListenAddress } from "../address.ts";
import type { Clock } from "../clock.ts";
import type { PodVerifier } from "../pods/judge.ts";
import type { Log } from "../log.ts";
import type { Mode } from "../mode.ts";
import type { NodeApiOutcome } from "../node_api/node_api_outcome.ts";
import type { Upstream } from "../upstream.ts";
import { createDecisionLog, type DecisionFiles } from "./decision_log.ts";
import {
  createMetrics,
  OWN_CERTIFICATES,
  type OwnCertificate,
  type OwnCertificateName,
  type Snapshot,
} from "./metrics.ts";
import { observeUpstream } from "./observed_upstream.ts";
import { formatDecision, type JudgeObserver } from "./pod_decision.ts";
import { createReadiness } from "./readiness.ts";
import { RecentDecisions } from "./recent_decisions.ts";
import type { RequestObserver } from "./request_observer.ts";

/** Longest wait for the decision log when the proxy stops, in milliseconds. */
const DECISION_LOG_DEADLINE_MS = 1_000;

/** What it is made of. */
export interface OperabilityParts {
  mode: Mode;
  log: Log;
  clock: Clock;
  /** Milliseconds since any fixed moment. */
  elapsedMs: () => number;
  /** Where the decision log is, if there is to be one. */
  decisionLog?: { path: string; files: DecisionFiles };
}

/** What is looked up when somebody asks. */
export interface OperabilitySources extends Omit<Snapshot, "missing" | "certificates"> {
  /** PEM of each chain that is in use, the own certificate first. */
  certificates: Readonly<Record<OwnCertificateName, string | undefined>>;
}

/** For those who watch the proxy. */
export interface Operability {
  /** Counts its lines. */
  readonly log: Log;
  readonly judge: JudgeObserver;
  readonly requests: RequestObserver;
  /** Counts what became of a request for the kubelet's own API. */
  nodeApiDecided(outcome: NodeApiOutcome): void;
  /** The same upstream, observed; call it once. */
  upstream(upstream: Upstream): Upstream;
  /** The same verifier, observed. */
  verifier(verifier: PodVerifier): PodVerifier;
  /**
   * Opens the port.
   *
   * @throws if the address cannot be used
   */
  listen(address: ListenAddress, sources: () => OperabilitySources): Promise<void>;
  /** Closes the port and writes what waits. */
  close(): Promise<void>;
}

/** Begins to count. */
export function createOperability(parts: OperabilityParts): Operability {
  const { mode, clock, elapsedMs } = parts;
  const metrics = createMetrics(mode, clock.now());
  const log = countLines(parts.log, metrics.logged);
  const recent = new RecentDecisions();
  let observed: Upstream | undefined;
  const readiness = createReadiness(clock, () => observed);
  const decisionLog = parts.decisionLog === undefined
    ? undefined
    : createDecisionLog({ ...parts.decisionLog, clock, log, lost: metrics.decisionsLost });
  let closePort = () => Promise.resolve();

  return {
    log,
    judge: {
      decided(decision) {
        metrics.verdict(decision);
        const line = formatDecision(decision, clock.now());
        recent.add(line);
        decisionLog?.write(line);
      },
      unidentified: metrics.unidentified,
      listed: readiness.listed,
    },
    requests: metrics.requests,
    nodeApiDecided: metrics.nodeApiDecided,
    upstream(upstream) {
      observed = observeUpstream(upstream, {
        answered(status, seconds) {
          metrics.upstream.answered(status, seconds);
          readiness.answered();
        },
        failed(code, reason) {
          metrics.upstream.failed(code, reason);
          // Neither a kubelet that leaves nor a path that is not sent says anything about the API server.
          if (code !== "aborted" && code !== "path-not-canonical") {
            readiness.failed(reason);
          }
        },
      }, elapsedMs);
      return observed;
    },
    verifier: (verifier) => ({
      async verifyPod(pod, time) {
        const started = elapsedMs();
        try {
          return await verifier.verifyPod(pod, time);
        } finally {
          metrics.judged((elapsedMs() - started) / 1000);
        }
      },
      verifyKnown(pod, identity, time) {
        const started = elapsedMs();
        const verdict = verifier.verifyKnown?.(pod, identity, time);
        if (verdict !== undefined) {
          metrics.judged((elapsedMs() - started) / 1000);
        }
        return verdict;
      },
    }),
    async listen(address, sources) {
      const { openOperabilityServer } = await import("./operability_server.ts");
      const server = await openOperabilityServer({
        address,
        log,
        elapsedMs,
        pages: {
          ready: () => readiness.check(),
          metricsContentType: metrics.contentType,
          async metrics() {
            // Asked for, so that it is true on a node whose kubelet asks for nothing, too.
            const missing = await readiness.check();
            const { certificates, ...rest } = sources();
            return await metrics.text({
              ...rest,
              missing,
              certificates: certificatesOf(certificates),
            });
          },
          decisions: () => recent.text(),
        },
      });
      closePort = () => server.close();
      log.info("operability-listening", "health, metrics and decisions can be read", {
        address: `http://${server.address.hostname}:${server.address.port}`,
      });
    },
    async close() {
      await closePort();
      await decisionLog?.close(DECISION_LOG_DEADLINE_MS);
    },
  };
}

function countLines(log: Log, logged: (level: "info" | "warn" | "error") => void): Log {
  return {
    debug: (event, message, fields) => log.debug(event, message, fields),
    info(event, message, fields) {
      logged("info");
      log.info(event, message, fields);
    },
    warn(event, message, fields) {
      logged("warn");
      log.warn(event, message, fields);
    },
    error(event, message, fields) {
      logged("error");
      log.error(event, message, fields);
    },
  };
}

function certificatesOf(
  certificates: Readonly<Record<OwnCertificateName, string | undefined>>,
): OwnCertificate[] {
  return OWN_CERTIFICATES.flatMap((name) => {
    const chain = certificates[name];
    const own = chain === undefined
      ? undefined
      : readPemBlocks(chain).find(({ label }) => label === "CERTIFICATE");
    return own === undefined ? [] : [{ name, notAfter: notAfterOf(own.bytes) }];
  });
}

/** The certificate was read before it came into use, so it parses. */
function notAfterOf(der: Uint8Array<ArrayBuffer>): Date {
  return AsnConvert.parse(der, Certificate).tbsCertificate.validity.notAfter.getTime();
}
