/**
 * An API server that lies at the level of bytes: its own TLS, and HTTP/1.1 written to the socket by hand. What a case
 * does not lie about is answered by the honest one of tests/fakes.
 *
 * @module
 */
import type net from "node:net";
import tls from "node:tls";
import { FakeApiServer } from "../fakes/api_server.ts";

/** What a request is for. */
export type RequestKind = "list" | "watch" | "get" | "patch" | "delete" | "create" | "event" | "other";

/** A request as it came. */
export interface Received {
  kind: RequestKind;
  method: string;
  /** Path and query. */
  target: string;
  query: URLSearchParams;
  headers: Headers;
  body: string;
  /** TLS has verified the client's certificate. */
  authenticated: boolean;
  /** Which connection it came on, from 1. */
  connection: number;
}

/** A connection that has sent a request, and waits for whatever comes. */
export interface Wire {
  /** Sends bytes; resolves when they have left this process. */
  write(data: string | Uint8Array): Promise<void>;
  /** Sends the end of the stream, or cuts the connection. */
  close(how: "end" | "reset"): void;
  /** Resolves when the connection is gone. */
  readonly closed: Promise<void>;
  /** Aborted when the connection is gone. */
  readonly signal: AbortSignal;
}

/** Answers in place of the honest server; undefined leaves the request to that one. */
export type Lie = (request: Received) => ((wire: Wire) => Promise<void>) | undefined;

export interface HostileServerOptions {
  certificate: string;
  key: string;
  clientCa: string;
  /** What TLS is served with instead; see node's tls.createServer. */
  tls?: Partial<tls.TlsOptions>;
}

/** Longest header of a request, in bytes. */
const MAX_HEADER_BYTES = 64 * 1024;

export class HostileServer {
  /** The honest one. */
  readonly api = new FakeApiServer();
  readonly requests: Received[] = [];
  /** Protocols that TLS has agreed on. */
  readonly protocols = new Set<string>();
  lie: Lie = () => undefined;
  /** Failures of this server itself, which are those of a test. */
  readonly failures: unknown[] = [];
  readonly #server: tls.Server;
  readonly #sockets = new Set<net.Socket>();
  #connections = 0;
  #port = 0;

  constructor(options: HostileServerOptions) {
    this.#server = tls.createServer({
      cert: options.certificate,
      key: options.key,
      ca: options.clientCa,
      requestCert: true,
      rejectUnauthorized: false,
      ALPNProtocols: ["h2", "http/1.1"],
      ...options.tls,
    });
    this.#server.on("connection", (socket: net.Socket) => {
      this.#sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => this.#sockets.delete(socket));
    });
    this.#server.on("tlsClientError", (_error: Error, socket: tls.TLSSocket) => socket.destroy());
    this.#server.on("secureConnection", (socket: tls.TLSSocket) => {
      this.protocols.add(String(socket.alpnProtocol || "none"));
      this.#serve(socket, ++this.#connections).catch((error) => {
        if (!socket.destroyed) {
          this.failures.push(error);
          socket.destroy();
        }
      });
    });
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", () => resolve()));
    const bound = this.#server.address();
    if (bound === null || typeof bound === "string") {
      throw new Error("the server has no address");
    }
    this.#port = bound.port;
  }

  get port(): number {
    return this.#port;
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) {
      socket.destroy();
    }
    await closed;
  }

  async #serve(socket: tls.TLSSocket, connection: number): Promise<void> {
    socket.setNoDelay(true);
    socket.on("error", () => {});
    const gone = new AbortController();
    const { promise: closed, resolve } = Promise.withResolvers<void>();
    socket.on("close", () => {
      resolve();
      gone.abort();
    });
    const wire: Wire = {
      closed,
      signal: gone.signal,
      write: (data) =>
        new Promise<void>((done) => {
          // The callback of an empty write may never come.
          if (socket.destroyed || socket.writableEnded || data.length === 0) done();
          else socket.write(data, () => done());
        }),
      close(how) {
        if (how === "end") socket.end();
        else socket.destroy();
      },
    };
    const reader = new SocketReader(socket);
    for (;;) {
      const request = await readRequest(reader, connection, socket.authorized);
      if (request === undefined) {
        socket.end();
        return;
      }
      this.requests.push(request);
      const lie = this.lie(request);
      await (lie === undefined ? this.answerHonestly(request, wire) : lie(wire));
    }
  }

  /**
   * Answers as an API server does.
   *
   * @param lies what is put first into the body, and what becomes of its chunks
   */
  async answerHonestly(
    request: Received,
    wire: Wire,
    { first = "", change = (text) => text }: { first?: string; change?: (text: string) => string } = {},
  ): Promise<void> {
    const bodiless = request.method === "GET" || request.body === "";
    const response = await this.api.handle(
      new Request(`https://api.invalid${request.target}`, {
        method: request.method,
        headers: request.headers,
        signal: wire.signal,
        ...(bodiless ? {} : { body: request.body }),
      }),
    );
    await wire.write(
      `HTTP/1.1 ${response.status} X\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n`,
    );
    if (first !== "") {
      await wire.write(chunk(first));
    }
    const decoder = new TextDecoder();
    for await (const bytes of response.body ?? []) {
      const text = change(decoder.decode(bytes, { stream: true }));
      if (text !== "") {
        await wire.write(chunk(text));
      }
    }
    await wire.write("0\r\n\r\n");
  }
}

/** One chunk of a chunked body (RFC 9112 section 7.1). */
export function chunk(text: string): Uint8Array {
  const bytes = new TextEncoder().encode(text);
  const head = new TextEncoder().encode(`${bytes.length.toString(16)}\r\n`);
  const whole = new Uint8Array(head.length + bytes.length + 2);
  whole.set(head);
  whole.set(bytes, head.length);
  whole.set([13, 10], head.length + bytes.length);
  return whole;
}

/** A whole answer with a length. */
export function answer(body: string, head = "200 OK", headers: readonly string[] = []): string {
  const length = new TextEncoder().encode(body).length;
  return [
    `HTTP/1.1 ${head}`,
    "Content-Type: application/json",
    `Content-Length: ${length}`,
    ...headers,
    "",
    body,
  ].join("\r\n");
}

/** Reads a socket as it is needed. */
class SocketReader {
  #bytes = new Uint8Array(0);
  #ended = false;
  #wake: (() => void) | undefined;

  constructor(socket: tls.TLSSocket) {
    socket.on("data", (data: Uint8Array) => {
      const joined = new Uint8Array(this.#bytes.length + data.length);
      joined.set(this.#bytes);
      joined.set(data, this.#bytes.length);
      this.#bytes = joined;
      this.#wake?.();
    });
    const end = () => {
      this.#ended = true;
      this.#wake?.();
    };
    socket.on("end", end);
    socket.on("close", end);
  }

  /** All until a line feed that ends a pattern; undefined at the end. */
  async until(pattern: string, maxBytes: number): Promise<string | undefined> {
    for (;;) {
      const text = new TextDecoder("latin1").decode(this.#bytes);
      const at = text.indexOf(pattern);
      if (at >= 0) {
        this.#bytes = this.#bytes.slice(at + pattern.length);
        return text.slice(0, at);
      }
      if (this.#ended || this.#bytes.length > maxBytes) {
        return undefined;
      }
      await this.#more();
    }
  }

  async exactly(length: number): Promise<Uint8Array | undefined> {
    while (this.#bytes.length < length) {
      if (this.#ended) {
        return undefined;
      }
      await this.#more();
    }
    const taken = this.#bytes.slice(0, length);
    this.#bytes = this.#bytes.slice(length);
    return taken;
  }

  #more(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    return promise;
  }
}

async function readRequest(
  reader: SocketReader,
  connection: number,
  authenticated: boolean,
): Promise<Received | undefined> {
  const head = await reader.until("\r\n\r\n", MAX_HEADER_BYTES);
  if (head === undefined) {
    return undefined;
  }
  const [first = "", ...lines] = head.split("\r\n");
  const [method = "", target = ""] = first.split(" ");
  const headers = new Headers();
  for (const line of lines) {
    const colon = line.indexOf(":");
    headers.append(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  const body = headers.get("transfer-encoding") === "chunked"
    ? await readChunks(reader)
    : await reader.exactly(Number(headers.get("content-length") ?? "0"));
  if (body === undefined) {
    return undefined;
  }
  const [path = "", queryText = ""] = target.split("?");
  const query = new URLSearchParams(queryText);
  return {
    kind: kindOf(method, path, query),
    method,
    target,
    query,
    headers,
    body: new TextDecoder().decode(body),
    authenticated,
    connection,
  };
}

async function readChunks(reader: SocketReader): Promise<Uint8Array | undefined> {
  const parts: Uint8Array[] = [];
  for (;;) {
    const size = await reader.until("\r\n", MAX_HEADER_BYTES);
    const length = Number.parseInt(size ?? "", 16);
    const data = Number.isNaN(length) ? undefined : await reader.exactly(length);
    if (data === undefined || await reader.exactly(2) === undefined) {
      return undefined;
    }
    if (length === 0) {
      return new Uint8Array(await new Blob(parts.map((part) => new Uint8Array(part))).arrayBuffer());
    }
    parts.push(data);
  }
}

function kindOf(method: string, path: string, query: URLSearchParams): RequestKind {
  if (path === "/api/v1/pods") {
    return query.get("watch") === "true" ? "watch" : "list";
  }
  if (/^\/api\/v1\/namespaces\/[^/]+\/events$/.test(path)) {
    return "event";
  }
  if (/^\/api\/v1\/namespaces\/[^/]+\/pods(?:\/|$)/.test(path)) {
    switch (method) {
      case "GET":
        return "get";
      case "PATCH":
        return "patch";
      case "DELETE":
        return "delete";
      case "POST":
        return "create";
    }
  }
  return "other";
}
