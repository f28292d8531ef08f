/**
 * The proxy between hostile API server and kubelet: proxy/request_path.ts with listener, HTTP client and upstream, over
 * real sockets, with a log and a ledger in memory. Cases about its start run the program itself.
 *
 * @module
 */
import type { PodVerifier } from "../../proxy/pods/judge.ts";
import type { Clock } from "../../proxy/clock.ts";
import { systemClock } from "../../proxy/clock.ts";
import { connectServer } from "../../proxy/http_client/connect.ts";
import { createHttpClient } from "../../proxy/http_client/http_client.ts";
import { openLedger } from "../../proxy/pods/ledger.ts";
import { openListener } from "../../proxy/listener.ts";
import type { RootCa } from "../../proxy/objects/root_ca.ts";
import type { ReferencesMode } from "@signed-pods/shared/pod/verify";
import { createReviewClient } from "../../proxy/node_api/review_client.ts";
import { createRequestPath } from "../../proxy/request_path.ts";
import { createUpstream } from "../../proxy/upstream.ts";
import { MemoryLedgerStore } from "../fakes/ledger.ts";
import { MemoryLog } from "../fakes/log.ts";
import { makePolicy } from "../fakes/objects.ts";
import { NODE_NAME } from "../fakes/owner.ts";
import type { TestPki } from "../../proxy/fixture_test.ts";

export interface ProxyOptions {
  pki: TestPki;
  /** Port of the API server on loopback. */
  upstreamPort: number;
  verifier: PodVerifier;
  /** Default: a new one. With one that was used before, this is a restart. */
  store?: MemoryLedgerStore;
  clock?: Clock;
  bearerToken?: () => Promise<string | undefined>;
  /** Longest wait for the headers of an answer, in milliseconds. */
  headersTimeoutMs?: number;
  /** What becomes of what pods refer to; without it nothing is compared. */
  references?: ReferencesMode;
  /** The certificates that kube-root-ca.crt may hold; without them any. */
  rootCa?: RootCa;
}

export interface RunningProxy {
  url: string;
  log: MemoryLog;
  /** Statuses of answers on pod routes, in order. */
  statuses: number[];
  close(): Promise<void>;
}

/** Starts a proxy. */
export async function startProxy(options: ProxyOptions): Promise<RunningProxy> {
  const { pki, upstreamPort, verifier, store = new MemoryLedgerStore(), clock = systemClock } = options;
  const log = new MemoryLog();
  const folder = await Deno.makeTempDir();
  const tls = { certificateAuthorities: [pki.authority.certificate], identity: pki.node };
  const client = createHttpClient({
    connect: (server) => connectServer(server, tls),
    clock: systemClock,
    maxIdle: 64,
    idleTimeoutMs: 30_000,
  });
  const upstream = createUpstream({
    server: new URL(`https://127.0.0.1:${upstreamPort}`),
    fetch: client.fetch,
    credential: {
      generation: 0,
      token: options.bearerToken ?? (() => Promise.resolve(undefined)),
      refresh: () => Promise.resolve(),
    },
    clock: systemClock,
    ...(options.headersTimeoutMs === undefined ? {} : { headersTimeoutMs: options.headersTimeoutMs }),
  });
  const { handler, gate } = createRequestPath({
    nodeName: NODE_NAME,
    mode: "enforce",
    upstream,
    verifier,
    keys: [],
    ledger: await openLedger(store, log),
    // No pod refers to the objects of most cases: they are about the rule of their kind.
    objects: { ...makePolicy(), references: options.references ?? "off" },
    ...(options.rootCa === undefined ? {} : { rootCa: options.rootCa }),
    nodeApiAccess: new Set(["metrics", "stats"]),
    reviews: createReviewClient(upstream, log),
    allowedPaths: [],
    logRequests: true,
    log,
    clock,
    elapsedMs: () => performance.now(),
    random: Math.random,
  });
  const statuses: number[] = [];
  const listener = await openListener({
    address: { hostname: "127.0.0.1", port: 0 },
    tls: {
      certificate: pki.server.certificate,
      key: pki.server.key,
      clientCa: pki.authority.certificate,
    },
    socketPath: `${folder}/s`,
    async handle(request, delivered) {
      const response = await handler.handle(request, delivered);
      // A client that has left has not seen its answer.
      if (new URL(request.url).pathname.includes("/pods") && !request.signal.aborted) {
        statuses.push(response.status);
      }
      return response;
    },
    log,
    // Certificates are issued by the real one.
    clock: systemClock,
  });
  return {
    url: `https://127.0.0.1:${listener.address.port}`,
    log,
    statuses,
    async close() {
      const closed = listener.close(1_000);
      handler.close();
      await gate.close(0);
      await closed;
      client.close();
      await Deno.remove(folder, { recursive: true });
    },
  };
}
