/**
 * Accepts the kubelet's connections and answers its requests.
 *
 * ```text
 * TCP ──> peer ──> TLS (node:tls) ──> number of connections ──> HTTP/1.1 (http_server/)
 *                                             Unix socket ──────────┘
 * ```
 *
 * The Unix socket stands in a folder that only this user can enter. The proxy asks itself by it whether it answers, and a
 * second proxy sees by it that the folder is in use. ADR 31 tells why HTTP is our own here, and why it is HTTP/1.1.
 *
 * @module
 */
import net from "node:net";
import tls from "node:tls";
import { messageOf } from "@signed-pods/shared/errors";
import { isLoopbackAddress, type ListenAddress } from "./address.ts";
import { type ClientAuthorities, readClientAuthorities } from "./credentials/client_certificate.ts";
import type { Clock } from "./clock.ts";
import { type ServeOptions, ServerConnection } from "./http_server/server_connection.ts";
import type { Log } from "./log.ts";
import { spacedWarning } from "./operability/spaced_log.ts";
import { statusResponse } from "./status.ts";
import { readCertificateAuthorities } from "./credentials/tls_identity.ts";

/**
 * Most connections at a time. A kubelet has one for each request that runs; of watches there is one for each Secret and
 * ConfigMap that its pods use.
 */
export const MAX_CONNECTIONS = 4096;

/**
 * Most TLS handshakes at a time; of more, the oldest is ended, so that those who say nothing keep nobody out. A kubelet whose
 * watches all end at once begins some hundreds, and each takes milliseconds. They have no place among the connections yet.
 */
export const MAX_HANDSHAKES = 1024;

/** Longest TLS handshake, in milliseconds. On a node it takes one; whoever needs more holds a place for nothing. */
export const HANDSHAKE_TIMEOUT_MS = 10_000;

/** PEM texts of the serving side. */
export interface ServingTls {
  certificate: string;
  key: string;
  /** Certificates that clients must be signed by. Without it, clients show none. */
  clientCa?: string;
}

/** What a listener is made of. */
export interface ListenerOptions {
  address: ListenAddress;
  /** Without it, plain HTTP. */
  tls?: ServingTls;
  /** Path of the Unix socket that HTTP is served on, too, without TLS; its folder must be closed to others. */
  socketPath: string;
  /** Answers a request; `delivered` settles when the answer has been sent, or cannot be. */
  handle: ServeOptions["handle"];
  log: Log;
  clock: Clock;
  /** Default: {@linkcode MAX_CONNECTIONS}. */
  maxConnections?: number;
  /** Default: {@linkcode MAX_HANDSHAKES}. */
  maxHandshakes?: number;
  /** In milliseconds. Default: {@linkcode HANDSHAKE_TIMEOUT_MS}. */
  handshakeTimeoutMs?: number;
}

/** A running listener. */
export interface Listener {
  /** Where it listens; the port is the real one. */
  readonly address: { hostname: string; port: number };
  /** New connections get this certificate, and must show one of these authorities; open ones live on. */
  reload(tls: ServingTls): void;
  /** Connections that are open now, those in their handshake included. */
  connections(): number;
  /**
   * Takes no new connections, lets running requests finish, and closes.
   *
   * @param deadlineMs longest wait in milliseconds; what is still running then is cut
   */
  close(deadlineMs: number): Promise<void>;
}

/**
 * Whether peers beyond loopback are served: only those that TLS has authenticated.
 */
export function servesLoopbackOnly(tls: ServingTls | undefined): boolean {
  return tls?.clientCa === undefined;
}

/** What is known of a client whose handshake is done. */
export type HandshakenClient = Pick<tls.TLSSocket, "authorized" | "getPeerCertificate">;

/**
 * Whether a connection whose handshake is done may be served. node:tls ends handshakes without a known certificate by
 * itself (`rejectUnauthorized`), but not those that resume a session. All TLS servers of a process share their sessions in
 * Deno: one that began with anybody's certificate at a server that asks for less, or under authorities that were replaced
 * since, is "authorized" here (measured with Deno 2.9.5). So the certificate's issuer is checked once more.
 *
 * @param authorities undefined if clients show no certificates
 */
export function isAuthenticated(
  client: HandshakenClient,
  authorities: ClientAuthorities | undefined,
  now: Date,
): boolean {
  if (authorities === undefined) {
    return true;
  }
  const { raw } = client.getPeerCertificate();
  return client.authorized && raw !== undefined && authorities.issued(raw, now);
}

/**
 * Starts to listen.
 *
 * @throws {Error} if the address, the socket or the client authorities cannot be used
 */
export async function openListener(options: ListenerOptions): Promise<Listener> {
  const { address, socketPath, handle, log, clock } = options;
  const maxConnections = options.maxConnections ?? MAX_CONNECTIONS;
  const loopbackOnly = servesLoopbackOnly(options.tls);
  let authorities = authoritiesOf(options.tls);
  const maxHandshakes = options.maxHandshakes ?? MAX_HANDSHAKES;
  /** Those that hold a place. */
  const open = new Set<net.Socket>();
  /** Those whose handshake is not done, by their two ends; the oldest comes first. */
  const handshakes = new Map<string, net.Socket>();
  const served = new Map<ServerConnection, Promise<void>>();
  let closing = false;

  /** Serves a connection until its last byte is sent. */
  function serve(client: net.Socket): void {
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    const connection = new ServerConnection(client, serving);
    served.set(connection, ended);
    client.on("close", () => {
      served.delete(connection);
      end();
    });
    if (closing) {
      connection.finish();
    }
  }

  const serving: ServeOptions = {
    handle,
    failed(error) {
      log.error("request-failed", messageOf(error));
      return statusResponse(500, "InternalError", "kubelet-proxy: internal error; see its log");
    },
    refused: (problem) => log.warn("request-malformed", problem),
    clock,
  };
  const local = net.createServer(serve);
  await listen(local, { path: socketPath });
  local.on("error", (error) => log.error("listener-failed", error.message));

  /** Anybody who reaches the port can cause these lines; each kind has its own second. */
  const refusalLog = (event: string) => spacedWarning(log, clock, event);
  const warnOfPeer = refusalLog("connection-refused");
  const warnOfNumber = refusalLog("connection-refused");
  const warnOfHandshakes = refusalLog("handshake-ended");
  const warnOfCertificate = refusalLog("connection-refused");
  const warnOfFailure = refusalLog("handshake-failed");

  /** Decides by the peer, before anything is read. */
  function admitPeer(socket: net.Socket): boolean {
    const peer = socket.remoteAddress;
    // Errors of a socket end in its close; without a listener they would end the process.
    socket.on("error", () => socket.destroy());
    if (loopbackOnly && !isLoopbackAddress(peer)) {
      warnOfPeer("only loopback peers are served without --client-ca", { peer });
      socket.destroy();
      return false;
    }
    return true;
  }

  /** Gives a connection one of the places, if there is one. */
  function takePlace(socket: net.Socket): boolean {
    if (open.size >= maxConnections) {
      warnOfNumber(`there are ${maxConnections} connections already`, { peer: socket.remoteAddress });
      socket.destroy();
      return false;
    }
    open.add(socket);
    socket.on("close", () => open.delete(socket));
    return true;
  }

  /** The oldest handshake makes room for the newest: whoever is served does not take long for it. */
  function beginHandshake(socket: net.Socket): void {
    const ends = endsOf(socket);
    handshakes.get(ends)?.destroy();
    handshakes.delete(ends);
    for (const [oldest, silent] of handshakes) {
      if (handshakes.size < maxHandshakes) {
        break;
      }
      handshakes.delete(oldest);
      warnOfHandshakes(`there are ${maxHandshakes} newer handshakes`, { peer: silent.remoteAddress });
      silent.destroy();
    }
    handshakes.set(ends, socket);
    socket.on("close", () => {
      if (handshakes.get(ends) === socket) {
        handshakes.delete(ends);
      }
    });
  }

  const server = options.tls === undefined ? net.createServer() : tls.createServer({
    ...secureContext(options.tls),
    ...(options.tls.clientCa === undefined ? {} : { requestCert: true, rejectUnauthorized: true }),
    ALPNProtocols: ["http/1.1"],
    minVersion: "TLSv1.2",
    handshakeTimeout: options.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS,
  });
  if (server instanceof tls.Server) {
    server.on("connection", (socket) => {
      if (admitPeer(socket)) {
        beginHandshake(socket);
      }
    });
    server.on("secureConnection", (socket) => {
      // It is another object than the connection was, with the same two ends. One that was ended is not served.
      if (!handshakes.delete(endsOf(socket)) || socket.destroyed) {
        socket.destroy();
      } else if (!isAuthenticated(socket, authorities, clock.now())) {
        warnOfCertificate("the client's certificate is not one that --client-ca stands for", {
          peer: socket.remoteAddress,
        });
        socket.destroy();
      } else if (takePlace(socket)) {
        serve(socket);
      }
    });
    server.on("tlsClientError", (error, socket) => {
      warnOfFailure(error.message, { peer: socket.remoteAddress });
      socket.destroy();
    });
  } else {
    server.on("connection", (socket) => {
      if (admitPeer(socket) && takePlace(socket)) {
        serve(socket);
      }
    });
  }

  try {
    await listen(server, { port: address.port, host: address.hostname });
  } catch (error) {
    local.close();
    throw error;
  }
  server.on("error", (error) => log.error("listener-failed", error.message));
  const bound = server.address();
  if (bound === null || typeof bound === "string") {
    throw new Error("the listener has no address");
  }

  return {
    address: { hostname: bound.address, port: bound.port },
    reload(next) {
      // Whether clients must show a certificate was decided by the flags.
      if (server instanceof tls.Server && servesLoopbackOnly(next) === loopbackOnly) {
        authorities = authoritiesOf(next);
        server.setSecureContext(secureContext(next));
      } else {
        throw new Error(
          "the listener cannot change between HTTP and HTTPS, or whom it asks for certificates",
        );
      }
    },
    connections: () => open.size + handshakes.size,
    async close(deadlineMs) {
      const { promise: deadline, resolve: cut } = Promise.withResolvers<void>();
      const timer = setTimeout(cut, deadlineMs);
      closing = true;
      const closed = Promise.all(
        [server, local].map((each) => new Promise<void>((resolve) => each.close(() => resolve()))),
      );
      // What is running is answered; each connection ends with its answer.
      for (const connection of served.keys()) {
        connection.finish();
      }
      await Promise.race([Promise.all(served.values()), deadline]);
      for (const socket of [...open, ...handshakes.values()]) {
        // What is still running, or has not come to its first request.
        socket.destroy();
      }
      for (const connection of served.keys()) {
        connection.cut();
      }
      await Promise.race([closed, deadline]);
      clearTimeout(timer);
    },
  };
}

/**
 * @throws {Error} if one of the authorities cannot be used
 */
function authoritiesOf(tls: ServingTls | undefined): ClientAuthorities | undefined {
  return tls?.clientCa === undefined
    ? undefined
    : readClientAuthorities(readCertificateAuthorities(tls.clientCa));
}

function secureContext({ certificate, key, clientCa }: ServingTls) {
  return { cert: certificate, key, ...(clientCa === undefined ? {} : { ca: clientCa }) };
}

/** What no other open connection has. */
function endsOf({ remoteAddress, remotePort, localAddress, localPort }: net.Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}

/** Starts to listen. */
function listen(server: net.Server, where: net.ListenOptions): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(where, () => {
      server.off("error", reject);
      resolve();
    });
  });
}
