/**
 * The client side of HTTP/1.1 towards the API server: one request at a time on a connection, connections that are used
 * again, bodies that come as fast as they are read.
 *
 * It is here because the runtime's fetch takes about twice as much processor time, for small requests, which are most of what
 * a kubelet sends, and for lists. ADR 26 has the numbers. No cookies, caches, redirects, compression, proxies or credentials: who
 * gives it a request has written all of it.
 *
 * Source: RFC 9112; RFC 9110 section 9.2.2.
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import { concat } from "../concat.ts";
import { WholeResponse } from "../whole_response.ts";
import { type BodyDecoder, createBodyDecoder } from "./body_decoder.ts";
import { BufferedConnection, type ByteConnection } from "./connection.ts";
import { headBytes } from "./head_bytes.ts";
import { HttpClientError } from "./http_client_error.ts";
import { FIELD_VALUE } from "./field_lines.ts";
import { parseResponseHead, type ResponseHead } from "./response_head.ts";

/**
 * Longest body, in bytes, that is put together before it is passed on: a request's, to send it with its head in one
 * piece; an answer's, if it was asked for as a whole. Leases and statuses are far below it.
 */
export const MAX_WHOLE_BODY_BYTES = 65_536;

/** Most interim answers (1xx) before the one that counts. kube-apiserver sends none. */
export const MAX_INTERIM_ANSWERS = 8;

/** Statuses whose answers have no body (Fetch standard, "null body status"); a Response with one could not be made. */
const NULL_BODY_STATUSES: ReadonlySet<number> = new Set([204, 205, 304]);

/** One request. */
export interface HttpRequest {
  method: string;
  /** Names and values; Host and what frames the body are not among them. */
  headers: readonly (readonly [name: string, value: string])[];
  body?: ReadableStream<Uint8Array> | Uint8Array<ArrayBuffer> | string | null;
  /** Ends the exchange, also while the answer's body is being read. */
  signal?: AbortSignal;
  /** Ends the exchange as long as there is no answer. */
  timeout?: AbortSignal;
  /** The answer is wanted as a whole, if it is not too long: it comes as a {@linkcode WholeResponse}. */
  whole?: boolean;
}

/** The pieces of a body as they come. */
export interface BodyPieces {
  /**
   * Waits for more.
   *
   * @returns undefined at the end
   */
  next(): Promise<Uint8Array<ArrayBuffer> | undefined>;
  /** Nobody wants more of it; what waits for more fails. */
  abandon(): void;
}

/**
 * An answer whose body is still to come. A stream's own work is several times that of reading a piece, so whoever reads many small
 * ones, as watches do, takes them from here.
 */
export class StreamedResponse extends Response {
  /** The body; either this or the stream is read. */
  readonly pieces: BodyPieces;

  /** @param pieces the body */
  constructor(pieces: BodyPieces, init: ResponseInit) {
    super(streamOf(pieces), init);
    this.pieces = pieces;
  }
}

/** What a client is made of. */
export interface HttpClientOptions {
  /** Connects with a server: host and port of the URL; TLS with everything that belongs to it. */
  connect: (server: URL) => Promise<ByteConnection>;
  clock: Clock;
  /** Most connections to one server that are kept while nobody uses them. */
  maxIdle: number;
  /** How long they are kept, in milliseconds. */
  idleTimeoutMs: number;
}

/** Sends requests. */
export interface HttpClient {
  /**
   * Sends one request and reads its answer, whatever its status. Redirects are answers.
   *
   * @param url absolute; path and query go out as they are
   * @throws {HttpClientError}, the signal's reason, or what `connect` or the connection fails with
   */
  fetch(url: string, request: HttpRequest): Promise<Response>;
  /** Closes connections that nobody uses, and the others when they are no longer used. */
  close(): void;
}

/** Connections with one server that nobody uses. */
interface Pool {
  server: URL;
  /** The one used last comes last. */
  idle: IdleConnection[];
  /** Calls off the sweep that is to come. */
  cancelSweep: (() => void) | undefined;
}

interface IdleConnection {
  connection: BufferedConnection;
  /** Whether its last request was sent to the end; it may be answered before. */
  usable: boolean;
  /** Sweeps that it has seen. */
  sweeps: number;
}

/** Makes a client. */
export function createHttpClient({ connect, clock, maxIdle, idleTimeoutMs }: HttpClientOptions): HttpClient {
  const pools = new Map<string, Pool>();
  let closed = false;

  function poolOf(origin: string): Pool {
    let pool = pools.get(origin);
    if (pool === undefined) {
      pool = { server: new URL(origin), idle: [], cancelSweep: undefined };
      pools.set(origin, pool);
    }
    return pool;
  }

  function takeIdle(pool: Pool): BufferedConnection | undefined {
    const index = pool.idle.findLastIndex(({ usable }) => usable);
    return index === -1 ? undefined : pool.idle.splice(index, 1)[0]?.connection;
  }

  function giveBack(pool: Pool, connection: BufferedConnection, sending: Promise<void>): void {
    if (closed || pool.idle.length >= maxIdle) {
      connection.close();
      return;
    }
    const entry = { connection, usable: false, sweeps: 0 };
    pool.idle.push(entry);
    sweepLater(pool);
    connection.shrink();
    // An end, or bytes that nobody asked for: it is of no more use. If it is in use by then, its user sees to it.
    const ended = () => {
      const index = pool.idle.indexOf(entry);
      if (index !== -1) {
        pool.idle.splice(index, 1);
        connection.close();
      }
    };
    connection.listen().then(ended, ended);
    sending.then(() => void (entry.usable = true), ended);
  }

  /** One timer for all, since each request makes a connection idle. One that has seen two sweeps is closed. */
  function sweepLater(pool: Pool): void {
    pool.cancelSweep ??= clock.after(idleTimeoutMs / 2, () => {
      pool.cancelSweep = undefined;
      const kept = pool.idle.filter((entry) => ++entry.sweeps < 2);
      for (const { connection, sweeps } of pool.idle) {
        if (sweeps >= 2) connection.close();
      }
      pool.idle = kept;
      if (kept.length > 0) sweepLater(pool);
    });
  }

  async function open(
    pool: Pool,
    signal: AbortSignal | undefined,
    timeout: AbortSignal | undefined,
  ): Promise<BufferedConnection> {
    const connecting = connect(pool.server).then((connection) => new BufferedConnection(connection));
    const { promise: aborted, reject } = Promise.withResolvers<never>();
    aborted.catch(() => {});
    const leave = (reason: unknown) => {
      connecting.then((connection) => connection.close(), () => {});
      reject(reason);
    };
    const releases = [onAbort(signal, leave), onAbort(timeout, leave)];
    try {
      return await Promise.race([connecting, aborted]);
    } finally {
      releases.forEach((release) => release());
    }
  }

  return {
    async fetch(url, request) {
      const { signal, timeout } = request;
      signal?.throwIfAborted();
      if (closed) {
        throw new HttpClientError("closed", "the HTTP client was closed");
      }
      const slash = url.indexOf("/", url.indexOf("//") + 2);
      if (slash === -1) {
        throw new TypeError("the URL has no path");
      }
      const pool = poolOf(url.slice(0, slash));
      const target = url.slice(slash);
      const body = request.body instanceof ReadableStream
        ? await readBeginning(request.body, signal, timeout)
        : { bytes: bytesOf(request.body), rest: undefined, restSent: false };
      const head = formatHead(pool.server, target, request, body);
      for (;;) {
        const idle = takeIdle(pool);
        const connection = idle ?? await open(pool, signal, timeout);
        const { bytesRead } = connection;
        try {
          return await exchange(
            connection,
            head,
            body,
            request,
            (sending) => giveBack(pool, connection, sending),
          );
        } catch (error) {
          // An old connection that ends without a byte was most likely ended before the request came. What only reads
          // can be asked again (RFC 9110 section 9.2.2): by all old connections, and once by a new one.
          const isStale = idle !== undefined && connection.bytesRead === bytesRead &&
            request.method === "GET" &&
            signal?.aborted !== true && timeout?.aborted !== true;
          if (!isStale) {
            throw error;
          }
        }
      }
    },
    close() {
      closed = true;
      for (const pool of pools.values()) {
        pool.cancelSweep?.();
        for (const { connection } of pool.idle.splice(0)) {
          connection.close();
        }
      }
    },
  };
}

/** The first bytes of a request's body, and what comes after them, if that is not all. */
interface RequestBody {
  bytes: Uint8Array | undefined;
  rest: ReadableStreamDefaultReader<Uint8Array> | undefined;
  /** Whether all that comes after them was sent. */
  restSent: boolean;
}

/**
 * One exchange.
 *
 * @param giveBack called when the connection can be used again, once the request was sent
 */
async function exchange(
  connection: BufferedConnection,
  head: Uint8Array,
  body: RequestBody,
  { method, signal, timeout, whole }: HttpRequest,
  giveBack: (sending: Promise<void>) => void,
): Promise<Response> {
  const close = () => connection.close();
  const release = onAbort(signal, close);
  const releaseTimeout = onAbort(timeout, close);
  // A server may answer before it has got all, so that nobody waits for this. If it fails, so does reading.
  const sending = send(connection, head, body);
  sending.catch(() => {});
  /** Ends the exchange; the connection lives on if both sides have said all, or have written it. */
  const finish = (reusable: boolean) => {
    release();
    if (
      reusable && (body.rest === undefined || body.restSent) && connection.unused.length === 0 &&
      !connection.closed
    ) {
      giveBack(sending);
    } else {
      connection.close();
      body.rest?.cancel().catch(() => {});
    }
  };
  try {
    const answer = await readHead(connection, method);
    const decoder = createBodyDecoder(answer.framing);
    const content = new Content(connection, decoder, signal, (ended) => finish(ended && answer.keepAlive));
    return await makeResponse(answer, content, whole === true);
  } catch (error) {
    finish(false);
    throw signal?.aborted ? signal.reason : timeout?.aborted ? timeout.reason : error;
  } finally {
    releaseTimeout();
  }
}

/**
 * Calls back when a signal says so, or has said so.
 *
 * @returns a function after which it is not called any more
 */
function onAbort(signal: AbortSignal | undefined, callback: (reason: unknown) => void): () => void {
  if (signal === undefined) {
    return () => {};
  }
  const listener = () => callback(signal.reason);
  if (signal.aborted) {
    listener();
    return () => {};
  }
  signal.addEventListener("abort", listener, { once: true });
  return () => signal.removeEventListener("abort", listener);
}

async function send(connection: BufferedConnection, head: Uint8Array, body: RequestBody): Promise<void> {
  await connection.write(head);
  while (body.rest !== undefined) {
    const { done, value } = await body.rest.read();
    if (done) {
      await connection.write(LAST_CHUNK);
      body.restSent = true;
      return;
    }
    if (value.length > 0) {
      await connection.write(chunkOf(value));
    }
  }
}

/** The head of the answer that counts. */
async function readHead(connection: BufferedConnection, method: string): Promise<ResponseHead> {
  for (let interim = 0; interim <= MAX_INTERIM_ANSWERS; interim++) {
    const head = parseResponseHead(await connection.readHead(), method);
    if (head.status === 101) {
      throw new HttpClientError("head-malformed", "the server changes the protocol, which nobody asked for");
    }
    if (head.status > 599) {
      throw new HttpClientError(
        "head-malformed",
        `the answer has status ${head.status}, which HTTP does not know`,
      );
    }
    if (head.status >= 200) {
      return head;
    }
  }
  throw new HttpClientError("head-malformed", `there are more than ${MAX_INTERIM_ANSWERS} interim answers`);
}

/** The body of one answer as it comes. */
class Content implements BodyPieces {
  /** What was taken and not given to anybody. */
  readonly #taken: Uint8Array<ArrayBuffer>[] = [];
  readonly #connection: BufferedConnection;
  readonly #decoder: BodyDecoder;
  readonly #signal: AbortSignal | undefined;
  #finish: ((ended: boolean) => void) | undefined;

  constructor(
    connection: BufferedConnection,
    decoder: BodyDecoder,
    signal: AbortSignal | undefined,
    finish: (ended: boolean) => void,
  ) {
    this.#connection = connection;
    this.#decoder = decoder;
    this.#signal = signal;
    this.#finish = finish;
  }

  /** Gives pieces back that were taken from it: they come next. */
  putBack(pieces: readonly Uint8Array<ArrayBuffer>[]): void {
    this.#taken.push(...pieces);
  }

  /** What has come of it by now; undefined if nothing has. */
  take(): Uint8Array<ArrayBuffer> | undefined {
    const { content, used } = this.#decoder.push(this.#connection.unused);
    const bytes = content.length === 0 ? undefined : concat(content);
    this.#connection.use(used);
    if (this.#decoder.done) {
      this.#end(true);
    }
    return bytes;
  }

  get done(): boolean {
    return this.#decoder.done;
  }

  async next(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const taken = this.#taken.shift();
    if (taken !== undefined) {
      return taken;
    }
    try {
      while (!this.#decoder.done) {
        if (!await this.#connection.read()) {
          this.#decoder.end();
          this.#end(true);
          return undefined;
        }
        const bytes = this.take();
        if (bytes !== undefined) {
          return bytes;
        }
      }
      return undefined;
    } catch (error) {
      this.#end(false);
      throw this.#signal?.aborted ? this.#signal.reason : error;
    }
  }

  abandon(): void {
    this.#end(false);
  }

  #end(ended: boolean): void {
    const finish = this.#finish;
    this.#finish = undefined;
    finish?.(ended);
  }
}

async function makeResponse(
  { status, headers }: ResponseHead,
  content: Content,
  whole: boolean,
): Promise<Response> {
  const init = { status, headers };
  if (NULL_BODY_STATUSES.has(status)) {
    content.take();
    content.abandon();
    return new WholeResponse(null, init);
  }
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  let piece = content.take();
  for (;;) {
    if (piece !== undefined) {
      pieces.push(piece);
      length += piece.length;
    }
    if (content.done || !whole || length > MAX_WHOLE_BODY_BYTES) {
      break;
    }
    piece = await content.next();
  }
  const [first, ...others] = pieces;
  if (content.done) {
    return new WholeResponse(first !== undefined && others.length === 0 ? first : concat(pieces), init);
  }
  content.putBack(pieces);
  return new StreamedResponse(content, init);
}

/** The body as a stream that is read as it is wanted. */
function streamOf(pieces: BodyPieces): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const piece = await pieces.next();
      if (piece === undefined) {
        controller.close();
      } else {
        controller.enqueue(piece);
      }
    },
    cancel: () => pieces.abandon(),
  }, { highWaterMark: 0 });
}

const encoder = new TextEncoder();
const CR_LF = encoder.encode("\r\n");
const VISIBLE = /^[\x21-\x7e]+$/;
const LAST_CHUNK = encoder.encode("0\r\n\r\n");

function bytesOf(body: Uint8Array | string | null | undefined): Uint8Array | undefined {
  return typeof body === "string" ? encoder.encode(body) : body ?? undefined;
}

function chunkOf(bytes: Uint8Array): Uint8Array {
  return concat([encoder.encode(`${bytes.length.toString(16)}\r\n`), bytes, CR_LF]);
}

async function readBeginning(
  body: ReadableStream<Uint8Array>,
  signal: AbortSignal | undefined,
  timeout: AbortSignal | undefined,
): Promise<RequestBody> {
  const reader = body.getReader();
  const leave = () => void reader.cancel().catch(() => {});
  const releases = [onAbort(signal, leave), onAbort(timeout, leave)];
  try {
    const pieces: Uint8Array[] = [];
    let length = 0;
    while (length <= MAX_WHOLE_BODY_BYTES) {
      const { done, value } = await reader.read();
      signal?.throwIfAborted();
      timeout?.throwIfAborted();
      if (done) {
        return { bytes: concat(pieces), rest: undefined, restSent: false };
      }
      pieces.push(value);
      length += value.length;
    }
    return { bytes: concat(pieces), rest: reader, restSent: false };
  } finally {
    releases.forEach((release) => release());
  }
}

/** The head of a request with what is known of its body. */
function formatHead(
  { host }: URL,
  target: string,
  { method, headers }: HttpRequest,
  { bytes, rest }: RequestBody,
): Uint8Array {
  if (!VISIBLE.test(method) || !VISIBLE.test(target)) {
    throw new TypeError("a method or a path with other than visible ASCII characters");
  }
  let text = `${method} ${target} HTTP/1.1\r\nhost: ${host}\r\n`;
  for (const [name, value] of headers) {
    if (!VISIBLE.test(name) || !FIELD_VALUE.test(value)) {
      throw new TypeError("a field with characters that would end it");
    }
    text += `${name}: ${value}\r\n`;
  }
  if (rest !== undefined) {
    text += "transfer-encoding: chunked\r\n";
  } else if (bytes !== undefined || method !== "GET") {
    text += `content-length: ${bytes?.length ?? 0}\r\n`;
  }
  const head = headBytes(`${text}\r\n`);
  return bytes === undefined || bytes.length === 0
    ? head
    : concat([head, rest === undefined ? bytes : chunkOf(bytes)]);
}
