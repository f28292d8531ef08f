/**
 * The port for those who watch the proxy: `/healthz`, `/readyz`, `/metrics`, `/decisions`. It listens on loopback alone,
 * and whoever may connect to that may read it; nothing can be changed through it.
 *
 * Any process of the node may come, so connections are few, and what costs something is made at most once a second.
 *
 * @module
 */
import http, { type IncomingMessage, type ServerResponse } from "node:http";
import { messageOf } from "@signed-pods/shared/errors";
import type { ListenAddress } from "../address.ts";
import type { Log } from "../log.ts";
import { describeReadiness, type ReadyCheck } from "./readiness.ts";

/** Most connections at a time: Prometheus and a few people. */
export const MAX_OPERABILITY_CONNECTIONS = 32;

/** Longest time for the headers of a request, in milliseconds. They are one packet. */
export const OPERABILITY_HEADERS_TIMEOUT_MS = 5_000;

/** A connection on which nothing moves is closed after this, in milliseconds: longer than Prometheus waits between scrapes. */
export const OPERABILITY_IDLE_TIMEOUT_MS = 90_000;

/** What was made is served again for so long, in milliseconds. Prometheus asks every some seconds. */
const FRESH_MS = 1_000;

/** What can be asked for. */
export interface OperabilityPages {
  /** What is missing for the proxy to be ready. */
  ready(): Promise<ReadonlyMap<ReadyCheck, string>>;
  /** In Prometheus' text format. */
  metrics(): Promise<string>;
  readonly metricsContentType: string;
  /** JSON. */
  decisions(): string;
}

/** What a server is made of. */
export interface OperabilityServerOptions {
  address: ListenAddress;
  pages: OperabilityPages;
  log: Log;
  /** Milliseconds since any fixed moment. */
  elapsedMs: () => number;
  /** Defaults: the constants above. */
  maxConnections?: number;
  headersTimeoutMs?: number;
  idleTimeoutMs?: number;
}

/** A running server. */
export interface OperabilityServer {
  /** Where it listens; the port is the real one. */
  readonly address: { hostname: string; port: number };
  /** Closes all connections. */
  close(): Promise<void>;
}

interface Answer {
  status: number;
  type: string;
  body: string;
}

const TEXT = "text/plain; charset=utf-8";

/**
 * Starts to listen.
 *
 * @throws if the address cannot be used
 */
export async function openOperabilityServer(options: OperabilityServerOptions): Promise<OperabilityServer> {
  const { address, pages, log, elapsedMs } = options;
  // A failure is kept as long as a success, so that it is logged once for all who ask.
  const logged = (error: unknown): never => {
    log.error("operability-failed", messageOf(error));
    throw error;
  };
  const metrics = atMostOncePer(FRESH_MS, elapsedMs, () => pages.metrics().catch(logged));
  const decisions = atMostOncePer(FRESH_MS, elapsedMs, () => Promise.resolve(pages.decisions()));

  async function answer({ method, url = "" }: IncomingMessage): Promise<Answer> {
    const path = url.split("?", 1)[0] ?? "";
    if (!PATHS.has(path)) {
      return { status: 404, type: TEXT, body: `there is ${[...PATHS].join(", ")}\n` };
    }
    if (method !== "GET" && method !== "HEAD") {
      return { status: 405, type: TEXT, body: "this can be read, with GET, and nothing else\n" };
    }
    switch (path) {
      case "/healthz":
        return { status: 200, type: TEXT, body: "ok\n" };
      case "/readyz": {
        const missing = await pages.ready();
        return { status: missing.size === 0 ? 200 : 503, type: TEXT, body: describeReadiness(missing) };
      }
      case "/metrics":
        return { status: 200, type: pages.metricsContentType, body: await metrics() };
      default:
        return { status: 200, type: "application/json", body: await decisions() };
    }
  }

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let answered: Answer;
    try {
      answered = await answer(request);
    } catch {
      answered = { status: 500, type: TEXT, body: "internal error; see the log of kubelet-proxy\n" };
    }
    const { status, type, body } = answered;
    response.writeHead(status, {
      "content-type": type,
      "content-length": new TextEncoder().encode(body).length,
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      ...(status === 405 ? { allow: "GET, HEAD" } : {}),
    });
    response.end(request.method === "HEAD" ? undefined : body);
  }

  const headersTimeout = options.headersTimeoutMs ?? OPERABILITY_HEADERS_TIMEOUT_MS;
  const idleTimeout = options.idleTimeoutMs ?? OPERABILITY_IDLE_TIMEOUT_MS;
  const server = http.createServer({
    headersTimeout,
    requestTimeout: headersTimeout,
    keepAliveTimeout: idleTimeout,
    connectionsCheckingInterval: Math.min(headersTimeout, 1_000),
  }, (request, response) => {
    request.resume();
    void serve(request, response);
  });
  server.maxConnections = options.maxConnections ?? MAX_OPERABILITY_CONNECTIONS;
  // Also one that takes nothing of what it asked for.
  server.setTimeout(idleTimeout);
  server.on("clientError", (_error, socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(address.port, address.hostname, () => {
      server.off("error", reject);
      resolve();
    });
  });
  server.on("error", (error) => log.error("operability-failed", messageOf(error)));
  const bound = server.address();
  if (bound === null || typeof bound === "string") {
    throw new Error("the port for metrics has no address");
  }
  return {
    address: { hostname: bound.address, port: bound.port },
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

const PATHS: ReadonlySet<string> = new Set(["/healthz", "/readyz", "/metrics", "/decisions"]);

/** The same text for all who ask within a while. */
function atMostOncePer(
  freshMs: number,
  elapsedMs: () => number,
  make: () => Promise<string>,
): () => Promise<string> {
  let made: Promise<string> | undefined;
  let madeAtMs = 0;
  return () => {
    if (made === undefined || elapsedMs() - madeAtMs >= freshMs) {
      madeAtMs = elapsedMs();
      made = make();
    }
    return made;
  };
}
