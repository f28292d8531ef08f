/**
 * Accepts connections and answers requests, over plain HTTP/1.1 or TLS.
 *
 * Deno.serve can neither ask for client certificates nor bound how long a client takes for its headers, so HTTP is
 * node:http's, and hono's adapter makes standard requests of it.
 *
 * @module
 */
import { getRequestListener } from "@hono/node-server";
import { createPrivateKey, X509Certificate } from "node:crypto";
import http from "node:http";
import https from "node:https";
import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { readPemBlocks, writePem } from "@signed-pods/shared/pem";
import type { RequestContext } from "./client.ts";

/**
 * Most connections at a time. An idle one takes about 50 KB. Who signs needs one for some seconds.
 */
export const MAX_CONNECTIONS = 512;

/** Longest time for a TLS handshake, in milliseconds. It takes a few round trips. */
export const HANDSHAKE_TIMEOUT_MS = 10_000;

/** Longest time for the headers of a request, in milliseconds. They are one packet. */
export const HEADERS_TIMEOUT_MS = 10_000;

/**
 * Longest time for a whole request, in milliseconds: more than the app gives a body, so that a slow client is told what was
 * wrong. This bound is for what the app does not read.
 */
export const REQUEST_TIMEOUT_MS = 20_000;

/** A connection that is kept open without a request is closed after this, in milliseconds. */
export const KEEP_ALIVE_TIMEOUT_MS = 15_000;

/** Largest headers of a request, in bytes: a bearer token of the longest kind, and as much again. */
export const MAX_HEADER_BYTES: number = 8 * 1024;

/** How often connections are looked at for the bounds above, in milliseconds. */
const CHECK_INTERVAL_MS = 1_000;

/** Longest common name of a client certificate that counts as a name (RFC 5280 appendix A.1, ub-common-name). */
const MAX_COMMON_NAME_LENGTH = 64;

/** PEM texts of the serving side. */
export interface ServingTls {
  certificate: string;
  key: string;
  /** Authorities whose client certificates are verified. Without it, none are asked for. */
  clientCa?: string;
}

/** Bounds of a listener; the constants above if they are left out. */
export interface ListenerLimits {
  maxConnections?: number;
  handshakeTimeoutMs?: number;
  headersTimeoutMs?: number;
  requestTimeoutMs?: number;
  keepAliveTimeoutMs?: number;
}

/** What a listener is made of. */
export interface ListenerOptions {
  hostname: string;
  /** 0 for any free port. */
  port: number;
  /** Without it, plain HTTP. */
  tls?: ServingTls;
  handle: (request: Request, context: RequestContext) => Promise<Response>;
  limits?: ListenerLimits;
}

/** A running listener. */
export interface Listener {
  /** Where it listens; the port is the real one. */
  readonly address: { hostname: string; port: number };
  /**
   * Takes no new connections, and closes each that is open when its request is answered.
   *
   * @param deadlineMs longest wait in milliseconds; what is still running then is cut
   * @returns whether every running request was answered
   */
  close(deadlineMs: number): Promise<boolean>;
}

/** A message that fits every malformed request: what a server of HTTP cannot read is not answered in JSON. */
const BAD_REQUEST = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
const REQUEST_TIMEOUT = "HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
const HEADERS_TOO_LARGE =
  "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/**
 * Starts to listen.
 *
 * @throws {Error} if the address cannot be used
 */
export async function openListener(options: ListenerOptions): Promise<Listener> {
  const { hostname, port, tls, handle, limits = {} } = options;
  let closing = false;
  const answer = getRequestListener(async (request, bindings) => {
    const response = await handle(request, contextOf(bindings.incoming.socket, tls?.clientCa !== undefined));
    if (closing) response.headers.set("connection", "close");
    return response;
  }, { overrideGlobalObjects: false });
  const settings = {
    headersTimeout: limits.headersTimeoutMs ?? HEADERS_TIMEOUT_MS,
    requestTimeout: limits.requestTimeoutMs ?? REQUEST_TIMEOUT_MS,
    keepAliveTimeout: limits.keepAliveTimeoutMs ?? KEEP_ALIVE_TIMEOUT_MS,
    connectionsCheckingInterval: CHECK_INTERVAL_MS,
    maxHeaderSize: MAX_HEADER_BYTES,
  };
  const server = tls === undefined ? http.createServer(settings, answer) : https.createServer({
    ...settings,
    cert: tls.certificate,
    key: tls.key,
    minVersion: "TLSv1.2",
    handshakeTimeout: limits.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS,
    // Who shows no certificate may still read the server's own; the app tells the two apart.
    ...(tls.clientCa === undefined ? {} : { ca: tls.clientCa, requestCert: true, rejectUnauthorized: false }),
  }, answer);
  server.maxConnections = limits.maxConnections ?? MAX_CONNECTIONS;
  // With an answer in clear text, the connection would wait for a handshake that does not come.
  server.on("tlsClientError", (_error, socket) => socket.destroy());
  server.on("clientError", (error: Error & { code?: string }, socket) => {
    if (!socket.writable) return socket.destroy();
    socket.end(
      error.code === "ERR_HTTP_REQUEST_TIMEOUT"
        ? REQUEST_TIMEOUT
        : error.code === "HPE_HEADER_OVERFLOW"
        ? HEADERS_TOO_LARGE
        : BAD_REQUEST,
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, hostname, () => {
      server.off("error", reject);
      resolve();
    });
  });
  const bound = server.address();
  if (bound === null || typeof bound === "string") throw new Error("the listener has no address");
  return {
    address: { hostname: bound.address, port: bound.port },
    async close(deadlineMs) {
      closing = true;
      const closed = new Promise<true>((resolve) => server.close(() => resolve(true)));
      server.closeIdleConnections();
      let timer: ReturnType<typeof setTimeout> | undefined;
      const deadline = new Promise<false>((resolve) => {
        timer = setTimeout(() => resolve(false), deadlineMs);
      });
      const answered = await Promise.race([closed, deadline]);
      clearTimeout(timer);
      if (!answered) {
        server.closeAllConnections();
        await closed;
      }
      return answered;
    },
  };
}

/**
 * Reads certificates and key once: those that cannot be used would show at the first handshake only, and to the client.
 *
 * @throws {Error} that says which it is
 */
export function checkTls({ certificate, key, clientCa }: ServingTls): void {
  const read = (what: string, run: () => void) => {
    try {
      run();
    } catch (cause) {
      throw new Error(`${what} cannot be read; see whether it is the right file`, { cause });
    }
  };
  read("the serving certificate", () => void new X509Certificate(certificate));
  read("the serving key", () => void createPrivateKey(key));
  if (!new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key))) {
    throw new Error("serving certificate and key do not belong together");
  }
  for (const { label, bytes } of clientCa === undefined ? [] : readPemBlocks(clientCa)) {
    read("a client authority", () => void new X509Certificate(writePem(label, bytes)));
  }
}

/**
 * What is known of the peer. A certificate counts only if TLS has verified it with the client authorities, in the
 * handshake of this connection: in Deno a resumed session is `authorized` whatever certificate began it (measured with
 * Deno 2.9.5), so whoever resumes one has shown nothing.
 */
function contextOf(socket: Socket, asksForCertificates: boolean): RequestContext {
  const context = { address: socket.remoteAddress ?? "", port: socket.remotePort ?? 0 };
  if (
    !asksForCertificates || !(socket instanceof TLSSocket) || !socket.authorized || socket.isSessionReused()
  ) return context;
  const name: unknown = socket.getPeerCertificate().subject?.CN;
  // Several common names would be a list: whose certificate that is nobody can say.
  return typeof name === "string" && name !== "" && name.length <= MAX_COMMON_NAME_LENGTH
    ? { ...context, certificateName: name }
    : context;
}
