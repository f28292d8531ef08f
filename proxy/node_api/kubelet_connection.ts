/**
 * The way from the front to the kubelet on loopback: requests whose answers are streamed back, and connections that
 * become streams, byte for byte, with backpressure, ending together.
 *
 * node:https and not fetch: fetch knows no upgrades.
 *
 * @module
 */
import type { ClientRequest, IncomingMessage, ServerResponse } from "node:http";
import https from "node:https";
import net from "node:net";
import type { Duplex, Writable } from "node:stream";
import tls from "node:tls";
import {
  formatHead,
  type HeaderValues,
  nodeApiRequestHeaders,
  nodeApiResponseHeaders,
  nodeApiUpgradeResponseHeaders,
} from "./node_api_headers.ts";
import { flow, type ReadValve, readValve } from "./read_valve.ts";

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

/** Statuses whose answers have no body. */
const NULL_BODY_STATUSES: ReadonlySet<number> = new Set([204, 304]);

/** Sends requests to one kubelet. */
export interface KubeletConnection {
  /** Requests from now on go there, with that identity. */
  reload(address: KubeletAddress): void;
  /**
   * Sends a request and streams its answer back. Ends with the client, whichever way it ends.
   *
   * @param target path and query
   * @param body if the request's body goes along: how to hold the client back meanwhile
   * @returns when the client has its answer, or has left
   */
  forward(
    request: IncomingMessage,
    response: ServerResponse,
    target: string,
    body: ReadValve | undefined,
  ): Promise<void>;
  /**
   * Asks the kubelet for a stream and joins it with the client's connection.
   *
   * @param client the client's connection, its valve, and what the client has sent already: the kubelet gets that if it
   * agrees
   * @returns when the connections have ended
   */
  upgrade(
    request: IncomingMessage,
    client: { socket: Duplex; valve: ReadValve; head: Uint8Array },
    target: string,
    headers: HeaderValues,
  ): Promise<void>;
}

/** What is said when there is no answer. The kubelet's own words may hold anything, so the log gets them. */
const NO_ANSWER = "kubelet-proxy: the kubelet does not answer; see the log of kubelet-proxy on the node\n";

/**
 * Makes the way to one kubelet.
 *
 * @param onError is told why a kubelet gave no answer
 */
export function openKubeletConnection(
  firstAddress: KubeletAddress,
  onError: (error: Error) => void,
  streamIdleTimeoutMs = STREAM_IDLE_TIMEOUT_MS,
): KubeletConnection {
  const joined = new WeakSet<Duplex>();
  let address = firstAddress;

  /**
   * Sends the head of a request over a connection of its own: there are few requests, the way is short, and each
   * connection can be held back alone.
   */
  function send(
    request: IncomingMessage,
    path: string,
    headers: HeaderValues,
  ): { kubelet: ClientRequest; valve: () => ReadValve } {
    const tcp = net.connect({ host: address.host, port: address.port });
    const socket = tls.connect({
      socket: tcp,
      servername: address.serverName,
      ca: [...address.certificateAuthorities],
      cert: address.identity.certificate,
      key: address.identity.key,
      minVersion: "TLSv1.2",
    });
    const kubelet = https.request({
      host: address.serverName,
      createConnection: () => socket,
      method: request.method ?? "GET",
      path,
      headers,
    });
    tcp.on("error", (error) => kubelet.destroy(error));
    kubelet.on("close", () => {
      // A stream outlives its request.
      if (!joined.has(socket)) socket.destroy();
    });
    kubelet.setTimeout(
      streamIdleTimeoutMs,
      () => kubelet.destroy(new Error("the kubelet is silent for too long")),
    );
    return { kubelet, valve: () => readValve(tcp) };
  }

  return {
    reload(next) {
      address = next;
    },
    forward(request, response, target, body) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const headers = nodeApiRequestHeaders(request);
      const { kubelet, valve } = send(
        request,
        target,
        body === undefined ? headers : { ...headers, ...lengthOf(request) },
      );
      kubelet.on("response", (answer) => {
        const code = answer.statusCode ?? 502;
        response.writeHead(code, nodeApiResponseHeaders(answer));
        if (NULL_BODY_STATUSES.has(code)) {
          answer.resume();
          response.end();
          return;
        }
        // Without this, the head would wait for the first byte of the body.
        response.flushHeaders();
        relayBody(answer, response, valve());
      });
      // Nothing was asked to become a stream, so nothing may.
      kubelet.on("upgrade", (_answer, socket) => {
        socket.destroy();
        fail(new Error("the kubelet made a stream of a request for none"));
      });
      kubelet.on("error", fail);
      response.on("close", () => {
        kubelet.destroy();
        resolve();
      });
      function fail(error: Error): void {
        if (!response.destroyed && !response.headersSent) {
          onError(error);
          response.writeHead(502, { "content-type": "text/plain; charset=utf-8" });
          response.end(NO_ANSWER);
        } else {
          response.destroy();
        }
      }
      if (body === undefined) {
        kubelet.end();
      } else {
        request.on("error", () => kubelet.destroy());
        flow(request, kubelet, body);
      }
      return promise;
    },

    upgrade(request, { socket: client, valve: clientValve, head }, target, headers) {
      const { promise, resolve } = Promise.withResolvers<void>();
      let answered = false;
      const { kubelet, valve } = send(request, target, headers);
      kubelet.on("upgrade", (answer, stream, first) => {
        answered = true;
        joined.add(stream);
        kubelet.setTimeout(0);
        client.write(formatHead(101, "Switching Protocols", nodeApiUpgradeResponseHeaders(answer)));
        if (first.length > 0) client.write(first);
        if (head.length > 0) stream.write(head);
        join(client, clientValve, stream, valve(), streamIdleTimeoutMs);
      });
      kubelet.on("response", (answer) => {
        // The kubelet declines, and says why.
        answered = true;
        const { "content-length": _, ...fields } = nodeApiResponseHeaders(answer);
        client.write(
          formatHead(answer.statusCode ?? 502, answer.statusMessage ?? "", {
            ...fields,
            connection: "close",
          }),
        );
        client.on("finish", () => client.destroy());
        relayBody(answer, client, valve());
      });
      kubelet.on("error", (error) => {
        if (client.destroyed || answered) {
          client.destroy();
          return;
        }
        onError(error);
        answered = true;
        endWith(client, 502, "Bad Gateway", NO_ANSWER);
      });
      client.on("close", () => {
        kubelet.destroy();
        resolve();
      });
      kubelet.end();
      return promise;
    },
  };
}

/** Streams an answer's body on. One that breaks off ends the client's connection, so that it is not taken for a whole one. */
function relayBody(answer: IncomingMessage, client: Writable, valve: ReadValve): void {
  answer.on("error", () => client.destroy());
  answer.on("close", () => {
    if (!answer.complete) client.destroy();
  });
  flow(answer, client, valve);
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
function join(
  client: Duplex,
  clientValve: ReadValve,
  kubelet: Duplex,
  kubeletValve: ReadValve,
  idleTimeoutMs: number,
): void {
  let idle: ReturnType<typeof setTimeout> | undefined;
  function stir(): void {
    clearTimeout(idle);
    idle = setTimeout(() => kubelet.destroy(), idleTimeoutMs);
  }
  stir();
  kubelet.on("data", stir);
  client.on("data", stir);
  flow(client, kubelet, clientValve);
  flow(kubelet, client, kubeletValve);
  kubelet.on("error", () => kubelet.destroy());
  client.on("close", () => kubelet.destroy());
  kubelet.on("close", () => {
    clearTimeout(idle);
    // What the kubelet has sent is delivered before the client is disconnected.
    if (client.writableFinished) client.destroy();
    else client.on("finish", () => client.destroy());
    if (!client.writableEnded) client.end();
  });
}
