/**
 * The way from the proxy to the API server: adds the node's credential, admits known headers only, follows no
 * redirect, and gives up on an API server that does not answer.
 *
 * @module
 */
import type { Clock } from "./clock.ts";
import type { FieldReader } from "./field_list.ts";
import { requestHeaders } from "./headers.ts";
import type { HttpRequest } from "./http_client/http_client.ts";

/** One request to the API server. */
export interface UpstreamRequest {
  method: string;
  /** Path and query, as they go on the wire; begins with a slash. */
  path: string;
  /** Headers to send. Credentials and hop-by-hop headers are not taken from here. */
  headers?: FieldReader;
  body?: ReadableStream<Uint8Array> | Uint8Array | string | null;
  /** Ends the request, also while its answer is being read. */
  signal?: AbortSignal;
  /** A short answer may wait for its body, which spares a stream; what is watched must not. */
  whole?: boolean;
}

/** Sends requests to the API server with the node's own credential. Redirects are never followed. */
export interface Upstream {
  /** @throws {UpstreamError} if there is no answer */
  send(request: UpstreamRequest): Promise<Response>;
}

/**
 * Longest wait for the headers of an answer, in milliseconds. kube-apiserver ends ordinary requests after 60 s
 * (`--request-timeout`), and sends the headers of a watch at once.
 */
export const RESPONSE_HEADERS_TIMEOUT_MS = 75_000;

/**
 * Longest wait for a whole answer, in milliseconds, unless it is a watch: what kube-apiserver does not end by itself
 * (see above) comes from a connection that is dead. The runtime sends no keepalives, so nobody else would notice.
 */
export const ANSWER_TIMEOUT_MS = 150_000;

/** Why there is no answer. */
export type UpstreamFailure =
  /** No connection, or a connection that ended before the answer. */
  | "unreachable"
  /** Connected, but silent for too long. */
  | "timeout"
  /** The one who asked has left. */
  | "aborted"
  /** The node's credential cannot be read. */
  | "no-credential"
  /** The path would change on its way; nothing was sent. */
  | "path-not-canonical";

/** There is no answer of the API server. */
export class UpstreamError extends Error {
  /** Why, as a stable word. */
  readonly code: UpstreamFailure;

  /** @param message what failed and what to do; without credentials */
  constructor(code: UpstreamFailure, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "UpstreamError";
    this.code = code;
  }
}

/** The node's credential, which may change. A client certificate is not seen here: the HTTP client's connections present it. */
export interface UpstreamCredential {
  /**
   * The bearer token of this moment; undefined if the credential is a certificate.
   *
   * @throws if there is no credential
   */
  token(): Promise<string | undefined>;
  /** Changes whenever the credential does. */
  readonly generation: number;
  /** The API server does not take it: looks whether there is another one. */
  refresh(): Promise<unknown>;
}

/** What an upstream is made of. */
export interface UpstreamOptions {
  /** URL of the API server, as the kubeconfig gives it; a path prefix is kept. */
  server: URL;
  /** Sends a request by a client that holds the node's certificate; redirects are answers. */
  fetch: (url: string, request: HttpRequest) => Promise<Response>;
  credential: UpstreamCredential;
  clock: Clock;
  /** Longest wait for headers, in milliseconds. Default: {@linkcode RESPONSE_HEADERS_TIMEOUT_MS}. */
  headersTimeoutMs?: number;
}

/** Makes the way to one API server. */
export function createUpstream(options: UpstreamOptions): Upstream {
  const { server, fetch, credential, clock, headersTimeoutMs = RESPONSE_HEADERS_TIMEOUT_MS } = options;
  const base = server.origin + server.pathname.replace(/\/+$/, "");

  return {
    async send(request) {
      const { generation } = credential;
      const response = await sendOnce(request);
      if (response.status !== 401) {
        return response;
      }
      // Once: whoever is refused with the newest credential is refused. A stream is gone, so its sender must ask again.
      const refreshed = credential.refresh().catch(() => {});
      if (request.body instanceof ReadableStream && request.method !== "GET") {
        return response;
      }
      await refreshed;
      if (credential.generation === generation) {
        return response;
      }
      response.body?.cancel().catch(() => {});
      return await sendOnce(request);
    },
  };

  async function sendOnce(
    { method, path, headers: given, body, signal, whole }: UpstreamRequest,
  ): Promise<Response> {
    const url = base + path;
    // What URL parsers would change is not sent, so that whoever reads the path on its way reads the one that was judged.
    if (!CANONICAL.test(path) || DOT_SEGMENT.test(path)) {
      throw new UpstreamError("path-not-canonical", "the path is not canonical; nothing was sent");
    }
    const headers = requestHeaders(given);
    const token = await readToken(credential);
    if (token !== undefined) {
      headers.push(["authorization", `Bearer ${token}`]);
    }
    const timeout = new AbortController();
    const cancelTimer = clock.after(headersTimeoutMs, () => timeout.abort());
    try {
      return await fetch(url, {
        method,
        headers,
        body: method === "GET" || body === undefined
          ? null
          : body instanceof Uint8Array
          ? new Uint8Array(body)
          : body,
        timeout: timeout.signal,
        ...(signal === undefined ? {} : { signal }),
        ...(whole === undefined ? {} : { whole }),
      });
    } catch (error) {
      if (signal?.aborted) {
        if (signal.reason instanceof UpstreamError) {
          throw signal.reason;
        }
        throw new UpstreamError("aborted", "the client has left", { cause: error });
      }
      if (timeout.signal.aborted) {
        throw new UpstreamError(
          "timeout",
          `the API server at "${server.host}" did not answer within ${
            headersTimeoutMs / 1000
          } s; see whether it is overloaded`,
          { cause: error },
        );
      }
      throw new UpstreamError(
        "unreachable",
        `the API server at "${server.host}" cannot be reached (${
          describe(error)
        }); see whether it runs and whether the kubeconfig's server, certificate authority and credential are right`,
        { cause: error },
      );
    } finally {
      cancelTimer();
    }
  }
}

/** Of the characters that the URL standard leaves alone in paths and queries, those that requests have. */
const CANONICAL = /^\/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*(?:\?[A-Za-z0-9._~!$&()*+,;=:@%/?-]*)?$/;

/** The URL standard takes "%2e" for a dot, too. */
const DOT_SEGMENT = /^[^?]*\/(?:\.|%2e){1,2}(?:[/?]|$)/i;

async function readToken(credential: UpstreamCredential): Promise<string | undefined> {
  try {
    return await credential.token();
  } catch (error) {
    throw new UpstreamError(
      "no-credential",
      `the node has no credential (${describe(error)}); see the kubeconfig's user`,
      { cause: error },
    );
  }
}

/** The innermost reason, in one short line. */
function describe(error: unknown): string {
  let inner = error;
  while (inner instanceof Error && inner.cause instanceof Error) {
    inner = inner.cause;
  }
  const text = inner instanceof Error ? inner.message : String(inner);
  return text.slice(0, 200);
}
