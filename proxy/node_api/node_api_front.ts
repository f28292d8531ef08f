/**
 * Stands before the kubelet's own API (port 10250): the cluster's clients come here, and the kubelet listens on loopback
 * and trusts this front alone.
 *
 * ```text
 * TCP ─> number of connections ─> TLS, client certificate if there is one ─> HTTP/1.1
 *   canonical path? ─no─> 400
 *     │
 *   somebody? (certificate, or token by TokenReview) ─no─> 401
 *     │
 *   within --node-api-access? ─no─> 403, and the flag that would allow it
 *     │
 *   allowed by the cluster? (SubjectAccessReview) ─no─> 403
 *     │
 *   to the kubelet, streamed; or joined with it byte for byte
 * ```
 *
 * @module
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import https from "node:https";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import tls from "node:tls";
import { messageOf } from "@signed-pods/shared/errors";
import type { ListenAddress } from "../address.ts";
import { type ClientAuthorities, readClientAuthorities } from "../credentials/client_certificate.ts";
import type { Clock } from "../clock.ts";
import { endWith, type KubeletConnection } from "./kubelet_connection.ts";
import type { Log } from "../log.ts";
import type { Mode } from "../mode.ts";
import { describeRefusal, type NodeApiAccess, opens } from "./node_api_access.ts";
import type { NodeApiAuthenticator } from "./node_api_authenticator.ts";
import type { NodeApiAuthorizer } from "./node_api_authorizer.ts";
import { nodeApiUpgradeHeaders } from "./node_api_headers.ts";
import { NODE_API_TARGET_RULES, type NodeApiRoute, routeNodeApi } from "./node_api_route.ts";
import type { NodeApiOutcome, NodeApiRefusalCode } from "./node_api_outcome.ts";
import { type ReadValve, readValve } from "./read_valve.ts";
import { parseTarget } from "../request_target.ts";
import { cleanMessage } from "../status.ts";
import { UpstreamError } from "../upstream.ts";

/**
 * Most connections at a time. The API server keeps one for each client that follows logs; metrics-server and Prometheus
 * one or two. Each may hold a stream for hours.
 */
export const MAX_FRONT_CONNECTIONS = 512;

/** Longest TLS handshake, and longest wait for the first request after it, in milliseconds. */
export const FRONT_HANDSHAKE_TIMEOUT_MS = 10_000;

/** Longest wait for the next request, in milliseconds: longer than Go's clients wait (90 s), so that they hang up first. */
export const FRONT_IDLE_TIMEOUT_MS = 120_000;

/**
 * Longest head of a request, in bytes: a path of the greatest length, a token of 16 KiB, and the rest. All connections
 * together, before anybody has said who they are, can fill 48 MiB with heads.
 */
export const MAX_FRONT_HEADER_BYTES = 96 * 1024;

const MIN_TLS_VERSION = "TLSv1.2";

/** Text of the statuses that are answered here. */
const STATUS_TEXTS: Readonly<Record<number, string>> = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  500: "Internal Server Error",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
};

/** PEM texts: the serving certificate with its key, and the authorities of client certificates. */
export interface FrontTls {
  certificate: string;
  key: string;
  clientAuthorities: readonly string[];
}

/** What a front is made of. */
export interface NodeApiFrontOptions {
  address: ListenAddress;
  tls: FrontTls;
  nodeName: string;
  access: NodeApiAccess;
  /** `audit` opens what is beyond the ceiling, and logs it. */
  mode: Mode;
  authenticator: NodeApiAuthenticator;
  authorizer: NodeApiAuthorizer;
  kubelet: KubeletConnection;
  log: Log;
  /** Whether requests that go through get a line in the log. Refusals always do. */
  logRequests: boolean;
  clock: Clock;
  /** Is told what becomes of each request. */
  decided?: (outcome: NodeApiOutcome) => void;
  /** Default: {@linkcode MAX_FRONT_CONNECTIONS}. */
  maxConnections?: number;
  /** In milliseconds. Defaults: {@linkcode FRONT_HANDSHAKE_TIMEOUT_MS}, {@linkcode FRONT_IDLE_TIMEOUT_MS}. */
  handshakeTimeoutMs?: number;
  idleTimeoutMs?: number;
}

/** A running front. */
export interface NodeApiFront {
  /** Where it listens; the port is the real one. */
  readonly address: { hostname: string; port: number };
  /** New connections get this certificate; from now on, clients must have theirs from these authorities. */
  reload(tls: FrontTls): void;
  /** Connections that are open now. */
  connections(): number;
  /**
   * Takes no new connections, lets requests finish that end by themselves, and closes.
   *
   * @param deadlineMs longest wait in milliseconds; what is still running then, streams and followed logs, is cut
   */
  close(deadlineMs: number): Promise<void>;
}

/** What becomes of a request. */
type Decision =
  | { kind: "pass"; target: string; path: string; user: string; needed: string }
  | { kind: "refuse"; code: NodeApiRefusalCode; message: string };

/**
 * Starts to listen.
 *
 * @throws {Error} if the address cannot be used
 */
export async function openNodeApiFront(options: NodeApiFrontOptions): Promise<NodeApiFront> {
  const { nodeName, access, mode, authenticator, authorizer, kubelet, log, clock } = options;
  const maxConnections = options.maxConnections ?? MAX_FRONT_CONNECTIONS;
  const handshakeTimeoutMs = options.handshakeTimeoutMs ?? FRONT_HANDSHAKE_TIMEOUT_MS;
  const idleTimeoutMs = options.idleTimeoutMs ?? FRONT_IDLE_TIMEOUT_MS;
  let authorities = readClientAuthorities(options.tls.clientAuthorities);
  const open = new Set<Socket>();
  /** The TCP connection under each TLS connection, by its peer. */
  const beneath = new Map<string, Socket>();
  const busy = new Set<Promise<void>>();

  const server = https.createServer({
    ...secureContext(options.tls),
    requestCert: true,
    // Clients with a token show no certificate.
    rejectUnauthorized: false,
    minVersion: MIN_TLS_VERSION,
    handshakeTimeout: handshakeTimeoutMs,
    ALPNProtocols: ["http/1.1"],
    maxHeaderSize: MAX_FRONT_HEADER_BYTES,
    keepAliveTimeout: idleTimeoutMs,
  });

  server.on("connection", (socket: Socket) => {
    socket.on("error", () => socket.destroy());
    if (open.size >= maxConnections) {
      log.warn("node-api-connection-refused", `there are ${maxConnections} connections already`, {
        peer: socket.remoteAddress,
      });
      socket.destroy();
      return;
    }
    open.add(socket);
    socket.setNoDelay(true);
    const peer = peerOf(socket);
    beneath.set(peer, socket);
    socket.on("close", () => {
      open.delete(socket);
      if (beneath.get(peer) === socket) beneath.delete(peer);
    });
  });
  const idle = new IdleConnections(clock);
  server.on("secureConnection", (socket: Duplex) => idle.add(socket, handshakeTimeoutMs));
  server.on("tlsClientError", (error: Error, socket: Socket) => {
    log.warn("node-api-handshake-failed", error.message, { peer: socket.remoteAddress });
    socket.destroy();
  });
  server.on("clientError", (error: Error, socket: Duplex) => {
    // Codes of the HTTP parser; the others say that a client has left, as they do when they have read enough of a log.
    if ("code" in error && String(error.code).startsWith("HPE_")) {
      log.warn("node-api-request-malformed", error.message);
    } else {
      log.debug("node-api-client-left", error.message);
    }
    socket.destroy();
  });

  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    idle.begin(request.socket);
    // What is written to a client that has just left ends here.
    response.on("error", () => response.destroy());
    response.on("close", () => idle.finish(request.socket, idleTimeoutMs));
    keep(serve(request, response), request.socket);
  });
  server.on("upgrade", (request: IncomingMessage, client: Duplex, head: Uint8Array) => {
    idle.begin(client);
    client.on("error", () => client.destroy());
    keep(serveStream(request, client, head), client);
  });

  /** Remembers what is being done for a client until it is done. */
  function keep(work: Promise<void>, client: Duplex): void {
    const kept = work.catch((error) => {
      log.error("node-api-request-failed", messageOf(error));
      client.destroy();
    }).then(() => void busy.delete(kept));
    busy.add(kept);
  }

  function valveOf(socket: Socket): ReadValve {
    const tcp = beneath.get(peerOf(socket));
    if (tcp === undefined) throw new Error("the connection has no TCP connection beneath");
    return readValve(tcp);
  }

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const left = new AbortController();
    response.on("close", () => left.abort());
    const decision = await decide(request, undefined, left.signal);
    options.decided?.(decision.kind === "pass" ? "passed" : decision.code);
    if (response.destroyed) return;
    if (decision.kind === "refuse") {
      response.writeHead(decision.code, {
        "content-type": "text/plain; charset=utf-8",
        // What is left of a body is not read.
        ...(hasBody(request) ? { connection: "close" } : {}),
      });
      response.end(decision.message);
      return;
    }
    note(request, decision);
    const body = hasBody(request) ? valveOf(request.socket) : undefined;
    await kubelet.forward(request, response, decision.target, body);
  }

  async function serveStream(request: IncomingMessage, client: Duplex, head: Uint8Array): Promise<void> {
    const left = new AbortController();
    client.on("close", () => left.abort());
    const headers = nodeApiUpgradeHeaders(request);
    const decision = await decide(request, headers.ok ? undefined : headers.problem, left.signal, true);
    options.decided?.(decision.kind === "pass" ? "passed" : decision.code);
    if (client.destroyed) return;
    if (decision.kind === "refuse" || !headers.ok) {
      const { code, message } = decision.kind === "refuse" ? decision : { code: 400, message: "" };
      endWith(client, code, STATUS_TEXTS[code] ?? "", message);
      return;
    }
    note(request, decision);
    const valve = valveOf(request.socket);
    await kubelet.upgrade(request, { socket: client, valve, head }, decision.target, headers.headers);
  }

  /**
   * Decides about a request.
   *
   * @param malformed what is already known to be wrong with it; said to those only who are somebody
   */
  async function decide(
    request: IncomingMessage,
    malformed: string | undefined,
    signal: AbortSignal,
    isStream = false,
  ): Promise<Decision> {
    const method = request.method ?? "";
    const peer = request.socket.remoteAddress;
    const parsed = parseTarget(`https://front${request.url ?? ""}`, NODE_API_TARGET_RULES);
    if (!parsed.ok || !(request.url ?? "").startsWith("/")) {
      const problem = parsed.ok ? "the path must begin with a slash" : parsed.message;
      log.warn("node-api-request-malformed", problem, { method, peer });
      return refuse(400, problem);
    }
    const { path, target } = parsed.target;
    const route = routeNodeApi(method, parsed.target);
    const fields = { method, path, peer, mode };
    try {
      const certificate = certificateOf(request.socket, authorities, clock.now());
      const { authorization } = request.headers;
      const authentication = await authenticator.authenticate({
        ...(certificate === undefined ? {} : { certificate }),
        ...(authorization === undefined ? {} : { authorization }),
      }, signal);
      if (authentication.kind === "nobody") {
        log.warn("node-api-unauthenticated", authentication.message, fields);
        return refuse(401, authentication.message);
      }
      if (authentication.kind === "failure") {
        log.error("node-api-no-verdict", "the API server gives no verdict about a token", {
          ...fields,
          upstreamCode: authentication.code,
        });
        return refuse(503, "the API server does not say whose token this is");
      }
      const { user } = authentication;
      const known = { ...fields, user: user.username };
      if (!opens(access, route.needed)) {
        const message = describeRefusal(describeRoute(method, path, route), route.needed, nodeName);
        log.warn("node-api-refused", message, known);
        if (mode === "enforce") return { kind: "refuse", code: 403, message: `${message}\n` };
      }
      const problem = malformed ?? problemOf(request, route, isStream);
      if (problem !== undefined) {
        log.warn("node-api-request-malformed", problem, known);
        return refuse(400, problem);
      }
      const permission = await authorizer.authorize(user, route.verb, route.subresources, signal);
      switch (permission.kind) {
        case "failure":
          log.error("node-api-no-verdict", "the API server gives no verdict about a request", {
            ...known,
            upstreamCode: permission.code,
          });
          return refuse(503, "the API server does not say whether this is allowed");
        case "denied": {
          // The kubelet's own words, for those who look for them.
          const message =
            `Forbidden (user=${user.username}, verb=${route.verb}, resource=nodes, subresource(s)=[${
              route.subresources.join(" ")
            }])`;
          log.warn("node-api-denied", "not allowed by the cluster", known);
          return { kind: "refuse", code: 403, message: `${cleanMessage(message)}\n` };
        }
        case "allowed":
          return { kind: "pass", target, path, user: user.username, needed: route.needed };
        default: {
          const never: never = permission;
          return never;
        }
      }
    } catch (error) {
      if (!(error instanceof UpstreamError)) {
        log.error("node-api-request-failed", messageOf(error), fields);
        return refuse(500, "internal error; see its log");
      }
      if (error.code !== "aborted") log.error("node-api-no-verdict", error.message, fields);
      return refuse(error.code === "timeout" ? 504 : 503, "the API server does not answer");
    }
  }

  function note(request: IncomingMessage, decision: Decision & { kind: "pass" }): void {
    if (!options.logRequests) return;
    log.info("node-api-request", "goes to the kubelet", {
      method: request.method,
      // The query is left out: that of exec is the command.
      path: decision.path,
      user: decision.user,
      needed: decision.needed,
    });
  }

  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.address.port, options.address.hostname, () => {
      server.off("error", reject);
      resolve();
    });
  });
  server.on("error", (error: Error) => log.error("node-api-listener-failed", error.message));
  const bound = server.address();
  if (bound === null || typeof bound === "string") {
    throw new Error("the front of the kubelet's API has no address");
  }

  return {
    address: { hostname: bound.address, port: bound.port },
    connections: () => open.size,
    reload(next) {
      const nextAuthorities = readClientAuthorities(next.clientAuthorities);
      server.setSecureContext({ ...secureContext(next), minVersion: MIN_TLS_VERSION });
      authorities = nextAuthorities;
    },
    async close(deadlineMs) {
      const { promise: deadline, resolve: cut } = Promise.withResolvers<void>();
      const cancel = clock.after(deadlineMs, cut);
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      idle.end();
      await Promise.race([Promise.all(busy), deadline]);
      for (const socket of open) socket.destroy();
      await Promise.race([closed, deadline]);
      cancel();
    },
  };
}

function secureContext({ certificate, key, clientAuthorities }: FrontTls) {
  return { cert: certificate, key, ca: [...clientAuthorities] };
}

/** Ends connections on which nothing is asked. */
class IdleConnections {
  readonly #timers = new Map<Duplex, () => void>();
  /** Requests that are being answered; a client may send the next before it has the last answer. */
  readonly #active = new Map<Duplex, number>();
  #ended = false;

  constructor(readonly clock: Clock) {}

  /** A new connection, which has so many milliseconds to send its first request. */
  add(socket: Duplex, timeoutMs: number): void {
    socket.on("close", () => {
      this.#stop(socket);
      this.#active.delete(socket);
    });
    this.#wait(socket, timeoutMs);
  }

  /** A request is there. */
  begin(socket: Duplex): void {
    this.#stop(socket);
    this.#active.set(socket, (this.#active.get(socket) ?? 0) + 1);
  }

  /** A request is answered; the next has so many milliseconds to come. */
  finish(socket: Duplex, timeoutMs: number): void {
    const active = (this.#active.get(socket) ?? 1) - 1;
    this.#active.set(socket, active);
    if (active === 0) this.#wait(socket, timeoutMs);
  }

  /** Ends all that wait, now and later. */
  end(): void {
    this.#ended = true;
    for (const socket of [...this.#timers.keys()]) socket.destroy();
  }

  #wait(socket: Duplex, timeoutMs: number): void {
    this.#stop(socket);
    if (this.#ended || socket.destroyed) {
      this.#active.delete(socket);
      socket.destroy();
      return;
    }
    this.#timers.set(socket, this.clock.after(timeoutMs, () => socket.destroy()));
  }

  #stop(socket: Duplex): void {
    this.#timers.get(socket)?.();
    this.#timers.delete(socket);
  }
}

/** Address and port of the other side: one connection at a time has them. */
function peerOf(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort}`;
}

/** DER of a client's certificate, if it was issued by one of the authorities. */
function certificateOf(socket: Socket, authorities: ClientAuthorities, now: Date): Uint8Array | undefined {
  if (!(socket instanceof tls.TLSSocket) || !socket.authorized) return undefined;
  const { raw } = socket.getPeerCertificate();
  return raw !== undefined && authorities.issued(raw, now) ? raw : undefined;
}

/** What is wrong with the form of a request; undefined if nothing is. */
function problemOf(request: IncomingMessage, route: NodeApiRoute, isStream: boolean): string | undefined {
  if (isStream && route.upgrade === "never") return "this is answered, it does not become a stream";
  if (!isStream && route.upgrade === "always") {
    return "this becomes a stream: ask for an upgrade to WebSocket or SPDY/3.1";
  }
  if (hasBody(request) && (isStream || route.needed !== "all")) return "this is asked for without a body";
  return undefined;
}

function hasBody(request: IncomingMessage): boolean {
  return request.headers["transfer-encoding"] !== undefined ||
    (request.headers["content-length"] ?? "0") !== "0";
}

/** What a refusal names. */
function describeRoute(method: string, path: string, { needed }: NodeApiRoute): string {
  return needed === "all" ? `${method} ${path.slice(0, 200)}` : needed;
}

function refuse(code: NodeApiRefusalCode, message: string): Decision {
  return { kind: "refuse", code, message: `kubelet-proxy: ${message}\n` };
}
