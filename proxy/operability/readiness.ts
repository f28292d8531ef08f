/**
 * Whether the proxy can do its work: the API server answers it, and all pods of this node have been judged once. What is
 * missing is said in the words of Kubernetes' own health endpoints.
 *
 * @module
 */
import { messageOf } from "@signed-pods/shared/errors";
import type { Clock } from "../clock.ts";
import type { Upstream } from "../upstream.ts";

/** An answer of the API server counts for so long, in milliseconds; then it is asked. A kubelet asks every 10 s itself. */
export const ANSWER_COUNTS_MS = 5_000;

/** Time from one question to the next, in milliseconds, however often readiness is asked for. */
export const ASK_INTERVAL_MS = 1_000;

/** Longest wait for the API server's answer, in milliseconds: probes of systemd and others give up after a few seconds. */
export const ASK_TIMEOUT_MS = 2_000;

/** What must hold. */
export const READY_CHECKS = ["upstream", "pod-list"] as const;

/** One thing that must hold. */
export type ReadyCheck = (typeof READY_CHECKS)[number];

/** What is known. */
export interface Readiness {
  /** The API server has answered. */
  answered(): void;
  /** It has not. */
  failed(reason: string): void;
  /** All pods of this node have been judged. */
  listed(): void;
  /** What is missing, with the reason; asks nobody. */
  missing(): Map<ReadyCheck, string>;
  /** The same, and asks the API server if it has not answered of late. */
  check(): Promise<Map<ReadyCheck, string>>;
}

/**
 * Begins with nothing.
 *
 * @param upstream reports its outcomes to this readiness
 */
export function createReadiness(clock: Clock, upstream: () => Upstream | undefined): Readiness {
  let unreachable: string | undefined = "it has not been asked yet";
  let listed = false;
  let knownAtMs = Number.NEGATIVE_INFINITY;
  let askedAtMs = Number.NEGATIVE_INFINITY;
  let asking: Promise<void> | undefined;

  const nowMs = () => clock.now().getTime();

  async function ask(): Promise<void> {
    askedAtMs = nowMs();
    const timeout = new AbortController();
    const cancel = clock.after(ASK_TIMEOUT_MS, () => timeout.abort());
    try {
      const response = await upstream()?.send({ method: "GET", path: "/readyz", signal: timeout.signal });
      await response?.body?.cancel();
    } catch (error) {
      readiness.failed(timeout.signal.aborted ? `no answer in ${ASK_TIMEOUT_MS / 1000} s` : messageOf(error));
    } finally {
      cancel();
    }
  }

  const readiness: Readiness = {
    answered() {
      unreachable = undefined;
      knownAtMs = nowMs();
    },
    failed(reason) {
      unreachable = reason;
      knownAtMs = Number.NEGATIVE_INFINITY;
    },
    listed() {
      listed = true;
    },
    missing() {
      const missing = new Map<ReadyCheck, string>();
      if (unreachable !== undefined) {
        missing.set("upstream", unreachable);
      }
      if (!listed) {
        missing.set("pod-list", "the kubelet has not got a complete list of its pods yet");
      }
      return missing;
    },
    async check() {
      if (nowMs() - knownAtMs > ANSWER_COUNTS_MS && nowMs() - askedAtMs >= ASK_INTERVAL_MS) {
        asking ??= ask().finally(() => asking = undefined);
      }
      await asking;
      return readiness.missing();
    },
  };
  return readiness;
}

/** The answer to `/readyz`, as kube-apiserver writes it. */
export function describeReadiness(missing: ReadonlyMap<ReadyCheck, string>): string {
  const lines = READY_CHECKS.map((check) => {
    const reason = missing.get(check);
    return reason === undefined ? `[+]${check} ok` : `[-]${check} failed: ${reason}`;
  });
  return [...lines, missing.size === 0 ? "readyz check passed" : "readyz check failed", ""].join("\n");
}
