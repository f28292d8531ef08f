/**
 * Which header fields cross the front of the kubelet's API. As towards the API server, both directions admit a short list;
 * what says who somebody is (Authorization, Impersonate-*, X-Remote-*, Cookie) never crosses: the kubelet knows the front
 * by its certificate alone.
 *
 * @module
 */
import type { IncomingMessage } from "node:http";

/** Headers for node:http: several values of one name stay several fields. */
export type HeaderValues = Record<string, string | string[]>;

const REQUEST_FIELDS: readonly string[] = [
  "accept",
  // Metrics are large and compressed by the kubelet; nothing is read here.
  "accept-encoding",
  "content-type",
  "traceparent",
  "tracestate",
  "user-agent",
];

/** What a connection that becomes a stream is agreed with: RFC 6455 section 4.1, and SPDY of `k8s.io/streaming`. */
const UPGRADE_REQUEST_FIELDS: readonly string[] = [
  ...REQUEST_FIELDS,
  "sec-websocket-extensions",
  "sec-websocket-key",
  "sec-websocket-protocol",
  "sec-websocket-version",
  "x-stream-protocol-version",
];

const RESPONSE_FIELDS: readonly string[] = [
  "cache-control",
  "content-encoding",
  "content-length",
  "content-type",
  "date",
  "retry-after",
  "vary",
  "x-content-type-options",
];

const UPGRADE_RESPONSE_FIELDS: readonly string[] = [
  "sec-websocket-accept",
  "sec-websocket-extensions",
  "sec-websocket-protocol",
  "x-stream-protocol-version",
];

/** A WebSocket protocol by which browsers send bearer tokens (`k8s.io/apiserver/pkg/authentication/request/websocket`). */
const TOKEN_PROTOCOL = /base64url\.bearer\./i;

/** What a stream may become. */
const PROTOCOLS: ReadonlySet<string> = new Set(["websocket", "spdy/3.1"]);

/** The fields of a client's request that go on to the kubelet. */
export function nodeApiRequestHeaders(request: IncomingMessage): HeaderValues {
  return pick(request, REQUEST_FIELDS);
}

/** What came out of reading the request for a stream. */
export type UpgradeHeaders = { ok: true; headers: HeaderValues } | { ok: false; problem: string };

/** The fields of a client's request for a stream that go on to the kubelet. */
export function nodeApiUpgradeHeaders(request: IncomingMessage): UpgradeHeaders {
  const [protocol, ...others] = valuesOf(request, "upgrade");
  if (protocol === undefined || others.length > 0 || !PROTOCOLS.has(protocol.toLowerCase())) {
    return { ok: false, problem: "a connection can become WebSocket or SPDY/3.1, nothing else" };
  }
  if (valuesOf(request, "sec-websocket-protocol").some((value) => TOKEN_PROTOCOL.test(value))) {
    return {
      ok: false,
      problem: "tokens in WebSocket protocols are not taken; use the Authorization header",
    };
  }
  return {
    ok: true,
    headers: { ...pick(request, UPGRADE_REQUEST_FIELDS), connection: "Upgrade", upgrade: protocol },
  };
}

/** The fields of the kubelet's answer that go back to the client. */
export function nodeApiResponseHeaders(response: IncomingMessage): HeaderValues {
  return pick(response, RESPONSE_FIELDS);
}

/** The fields of the kubelet's agreement to a stream that go back to the client. */
export function nodeApiUpgradeResponseHeaders(response: IncomingMessage): HeaderValues {
  const [protocol = ""] = valuesOf(response, "upgrade");
  return { ...pick(response, UPGRADE_RESPONSE_FIELDS), connection: "Upgrade", upgrade: protocol };
}

/** The head of an answer, for a connection that node:http has let go of. */
export function formatHead(code: number, text: string, headers: HeaderValues): string {
  const lines = Object.entries(headers).flatMap(([name, values]) =>
    [values].flat().map((value) => `${name}: ${value}\r\n`)
  );
  return `HTTP/1.1 ${code} ${text}\r\n${lines.join("")}\r\n`;
}

/** Copies the named fields, except those that Connection declares to be meant for the next hop only. */
function pick(message: IncomingMessage, names: readonly string[]): HeaderValues {
  const connection = new Set(
    valuesOf(message, "connection").flatMap((value) => value.split(",")).map((name) =>
      name.trim().toLowerCase()
    ),
  );
  const headers: HeaderValues = {};
  for (const name of names) {
    const values = valuesOf(message, name);
    const [first] = values;
    if (first !== undefined && !connection.has(name)) {
      headers[name] = values.length === 1 ? first : values;
    }
  }
  return headers;
}

/** All values of a field, as they came; `headers` of node:http joins some and drops others. */
function valuesOf(message: IncomingMessage, name: string): string[] {
  const { rawHeaders } = message;
  const values: string[] = [];
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const value = rawHeaders[index + 1];
    if (rawHeaders[index]?.toLowerCase() === name && value !== undefined) values.push(value);
  }
  return values;
}
