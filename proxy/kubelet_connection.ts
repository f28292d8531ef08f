/**
 * The way from the front to the kubelet on loopback: requests whose answers are streamed back, and connections that
 * become streams, byte for byte, with backpressure, ending together.
 *
 * node:https and not fetch: fetch knows no upgrades.
 *
 * @module
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import https, { type RequestOptions } from "node:https";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { pipeline } from "node:stream";
import {
  formatHead,
  type HeaderValues,
  nodeApiRequestHeaders,
  nodeApiResponseHeaders,
  nodeApiUpgradeResponseHeaders,
} from "./node_api_headers.ts";

/** How the kubelet is reached. */
export interface KubeletAddress {
  /** A loopback address without brackets. */
  host: string;
  port: number;
  /** Name that the kubelet's serving certificate is for: that of the node. */
  serverName: string;
  /** PEM texts that the serving certificate is checked against. */
  certificateAuthorities: readonly string[];
  /** PEM texts of the front's client certificate, which the kubelet trusts. */
  identity: { certificate: string; key: string };
}

/**
 * Longest silence of a stream, in milliseconds: the kubelet's own `streamingConnectionIdleTimeout`, and the time after
 * which it ends an answer that goes on (`WriteTimeout` in `pkg/kubelet/server/server.go`).
 */
export const STREAM_IDLE_TIMEOUT_MS = 4 * 60 * 60 * 1000;

/** Most connections to the kubelet that are kept for the next request. */
const MAX_IDLE_CONNECTIONS = 16;

/** Statuses whose answers have no body. */
const NULL_BODY_STATUSES: ReadonlySet<number> = new Set([204, 304]);

/** Sends requests to one kubelet. */
export interface KubeletConnection {
  /**
   * Sends a request and streams its answer back. Ends with the client, whichever way it ends.
   *
   * @param target path and query
   * @param withBody whether the request's body goes along
   * @returns the status that the client has got; 502 if the kubelet gave no answer, 499 if the client left before
   */
  forward(
    request: IncomingMessage,
    response: ServerResponse,
    target: string,
    withBody: boolean,
  ): Promise<number>;
  /**
   * Asks the kubelet for a stream and joins it with the client's connection.
   *
   * @param head what the client has sent already; the kubelet gets it if it agrees
   * @returns when the connections have ended, with the status that the client has got
   */
  upgrade(
    request: IncomingMessage,
    client: Duplex,
    head: Uint8Array,
    target: string,
    headers: HeaderValues,
  ): Promise<number>;
  /** Cuts the connections that wait for a next request. */
  close(): void;
}

/** Status for the log when a client has left before the kubelet answered; it is never sent. */
export const CLIENT_LEFT = 499;

/** What is said when there is no answer. The kubelet's own words may hold anything, so the log gets them. */
const NO_ANSWER = "kubelet-proxy: the kubelet does not answer; see the log of kubelet-proxy on the node\n";

/**
 * Makes the way to one kubelet.
 *
 * @param onError is told why a kubelet gave no answer
 */
export function openKubeletConnection(
  address: KubeletAddress,
  onError: (error: Error) => void,
  streamIdleTimeoutMs = STREAM_IDLE_TIMEOUT_MS,
): KubeletConnection {
  const agent = new https.Agent({ keepAlive: true, maxFreeSockets: MAX_IDLE_CONNECTIONS });
  const options: RequestOptions = {
    host: address.host,
    port: address.port,
    servername: address.serverName,
    ca: [...address.certificateAuthorities],
    cert: address.identity.certificate,
    key: address.identity.key,
    minVersion: "TLSv1.2",
  };

  return {
    forward(request, response, target, withBody) {
      const { promise, resolve } = Promise.withResolvers<number>();
      const kubelet = https.request({
        ...options,
        agent,
        method: request.method ?? "GET",
        path: target,
        headers: withBody
          ? { ...nodeApiRequestHeaders(request), ...lengthOf(request) }
          : nodeApiRequestHeaders(request),
      });
      kubelet.setTimeout(
        streamIdleTimeoutMs,
        () => kubelet.destroy(new Error("the kubelet is silent for too long")),
      );
      kubelet.on("response", (answer) => {
        const code = answer.statusCode ?? 502;
        response.writeHead(code, nodeApiResponseHeaders(answer));
        resolve(code);
        if (NULL_BODY_STATUSES.has(code)) {
          answer.resume();
          response.end();
          return;
        }
        // Without this, the head would wait for the first byte of the body.
        response.flushHeaders();
        // An answer that breaks off ends the client's connection, so that it is not taken for a whole one.
        pipeline(answer, response, () => {});
      });
      // Nothing was asked to become a stream, so nothing may.
      kubelet.on("upgrade", (_answer, socket) => {
        socket.destroy();
        kubelet.destroy(new Error("the kubelet made a stream of a request for none"));
        fail();
      });
      kubelet.on("error", (error) => {
        if (!response.destroyed) onError(error);
        fail();
      });
      response.on("close", () => {
        kubelet.destroy();
        resolve(CLIENT_LEFT);
      });
      function fail(): void {
        if (response.headersSent) {
          response.destroy();
        } else {
          response.writeHead(502, { "content-type": "text/plain; charset=utf-8" });
          response.end(NO_ANSWER);
        }
        resolve(502);
      }
      if (withBody) pipeline(request, kubelet, () => {});
      else kubelet.end();
      return promise;
    },

    upgrade(request, client, head, target, headers) {
      const { promise, resolve } = Promise.withResolvers<number>();
      let code = CLIENT_LEFT;
      const kubelet = https.request({
        ...options,
        // A connection of its own: it is no longer one for requests.
        agent: false,
        method: request.method ?? "GET",
        path: target,
        headers,
      });
      kubelet.setTimeout(
        streamIdleTimeoutMs,
        () => kubelet.destroy(new Error("the kubelet is silent for too long")),
      );
      kubelet.on("upgrade", (answer, stream, first) => {
        code = 101;
        kubelet.setTimeout(0);
        client.write(formatHead(code, "Switching Protocols", nodeApiUpgradeResponseHeaders(answer)));
        if (first.length > 0) client.write(first);
        if (head.length > 0) stream.write(head);
        join(client, stream, streamIdleTimeoutMs);
      });
      kubelet.on("response", (answer) => {
        // The kubelet declines, and says why.
        code = answer.statusCode ?? 502;
        const { "content-length": _, ...fields } = nodeApiResponseHeaders(answer);
        client.write(formatHead(code, answer.statusMessage ?? "", { ...fields, connection: "close" }));
        pipeline(answer, client, () => client.destroy());
      });
      kubelet.on("error", (error) => {
        if (client.destroyed || code !== CLIENT_LEFT) {
          client.destroy();
          return;
        }
        onError(error);
        code = 502;
        endWith(client, code, "Bad Gateway", NO_ANSWER);
      });
      client.on("error", () => client.destroy());
      client.on("close", () => {
        kubelet.destroy();
        resolve(code);
      });
      // It may have gone while its request was being judged.
      if (client.destroyed) {
        kubelet.destroy();
        resolve(code);
      } else {
        kubelet.end();
      }
      return promise;
    },

    close: () => agent.destroy(),
  };
}

/** Answers on a connection that node:http has let go of, and closes it. */
export function endWith(client: Duplex, code: number, text: string, body: string): void {
  const length = new TextEncoder().encode(body).length;
  client.end(
    formatHead(code, text, {
      "content-type": "text/plain; charset=utf-8",
      "content-length": String(length),
      connection: "close",
    }) + body,
    () => client.destroy(),
  );
}

/** How long the body is, if the client says so; otherwise it goes in chunks. */
function lengthOf(request: IncomingMessage): HeaderValues {
  const length = request.headers["content-length"];
  return length === undefined ? {} : { "content-length": length };
}

/** Joins two connections: bytes both ways, no faster than the slower side reads, until either ends. */
function join(client: Duplex, kubelet: Socket, idleTimeoutMs: number): void {
  let idle: ReturnType<typeof setTimeout> | undefined;
  function stir(): void {
    clearTimeout(idle);
    idle = setTimeout(() => kubelet.destroy(), idleTimeoutMs);
  }
  stir();
  kubelet.setNoDelay(true);
  kubelet.on("data", stir);
  client.on("data", stir);
  client.pipe(kubelet);
  kubelet.pipe(client);
  kubelet.on("error", () => kubelet.destroy());
  client.on("close", () => kubelet.destroy());
  kubelet.on("close", () => {
    clearTimeout(idle);
    // What the kubelet has sent is delivered before the client is disconnected.
    if (!client.writableEnded) client.end();
    if (client.writableFinished) client.destroy();
    else client.on("finish", () => client.destroy());
  });
}
