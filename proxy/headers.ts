/**
 * Which header fields cross the proxy. Both directions admit a short list and drop everything else: credentials
 * (Authorization, Impersonate-*, X-Remote-*, Cookie), hop-by-hop fields (RFC 9110 section 7.6.1) and whatever a later
 * version invents therefore never cross.
 *
 * @module
 */
import type { FieldReader } from "./field_list.ts";

/** What a kubelet sends that the API server needs. */
const REQUEST_HEADERS: readonly string[] = [
  "accept",
  "content-type",
  "user-agent",
  // Tracing of the kubelet (W3C Trace Context).
  "traceparent",
  "tracestate",
];

/** What a kubelet understands, or what an operator looks for in a kubelet's log. */
const RESPONSE_HEADERS: readonly string[] = [
  "audit-id",
  "cache-control",
  "content-type",
  "etag",
  "last-modified",
  "retry-after",
  // Deprecation warnings; client-go logs them.
  "warning",
  "x-content-type-options",
  "x-kubernetes-pf-flowschema-uid",
  "x-kubernetes-pf-prioritylevel-uid",
];

/** Names, in small letters, and values. */
export type Fields = [name: string, value: string][];

/** The fields of a kubelet's request that go on to the API server. */
export function requestHeaders(received: FieldReader | undefined): Fields {
  const fields = received === undefined ? [] : admit(received, REQUEST_HEADERS);
  // So that what is judged can be read, and what is streamed through stays as it was sent.
  fields.push(["accept-encoding", "identity"]);
  return fields;
}

/**
 * The fields of the API server's answer that go back to the kubelet. Content-Length is not among them: the length is
 * that of what is sent, and the server that sends it knows it.
 */
export function responseHeaders(received: FieldReader): Fields {
  return admit(received, RESPONSE_HEADERS);
}

/** Tells whether an answer is encoded although identity was asked for. */
export function isEncoded(headers: FieldReader): boolean {
  const encoding = headers.get("content-encoding");
  return encoding !== null && encoding.trim().toLowerCase() !== "identity" && encoding.trim() !== "";
}

/** Copies the named fields, except those that Connection declares to be meant for the next hop only. */
function admit(received: FieldReader, names: readonly string[]): Fields {
  const connection = received.get("connection");
  const forNextHop = connection?.split(",").map((name) => name.trim().toLowerCase());
  const fields: Fields = [];
  for (const name of names) {
    const value = received.get(name);
    if (value !== null && forNextHop?.includes(name) !== true) {
      fields.push([name, value]);
    }
  }
  return fields;
}
