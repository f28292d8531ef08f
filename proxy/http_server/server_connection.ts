/**
 * The server side of HTTP/1.1 on one connection: one request after the other, bodies both ways as they come.
 *
 * It decides where a request begins and ends, so it is narrower than the standard: no second request before the first
 * is answered, no HTTP/1.0, no upgrades, and nothing that could be read in two ways. A connection that says such a thing gets
 * an answer and is closed. ADR 31 tells why it is here.
 *
 * Source: RFC 9112.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { Socket } from "node:net";
import type { Clock } from "../clock.ts";
import { type BodyDecoder, createBodyDecoder } from "../http_client/body_decoder.ts";
import { headBytes } from "../http_client/head_bytes.ts";
import { HttpClientError } from "../http_client/http_client_error.ts";
import type { FieldList } from "../field_list.ts";
import { FIELD_VALUE } from "../http_client/field_lines.ts";
import type { KubeletRequest } from "../kubelet_request.ts";
import { makeStatus, reasonOf } from "../status.ts";
import { WholeResponse } from "../whole_response.ts";
import { parseRequestHead, type RequestHead } from "./request_head.ts";
import { RequestBody } from "./request_body.ts";

/** Longest head of a request, in bytes: the longest path and query, and as much again and more for the fields. */
export const MAX_REQUEST_HEAD_BYTES = 32_768;

/** Most bytes of a body that are read although its request was answered, so that the connection can be used again. */
export const MAX_DROPPED_BODY_BYTES = 262_144;

/**
 * How long the client may keep a connection whose last answer has been handed to the system, in milliseconds. If it were cut
 * at once, the answer would be lost with what the client still sends (RFC 9112 section 9.6).
 */
export const LINGER_MS = 1_000;

/**
 * How long the client may take to read what is left of its last answer, in milliseconds, before the system has all of it. On a
 * node that is milliseconds; whoever reads nothing must not hold its place for ever.
 */
export const MAX_LAST_ANSWER_MS = 60_000;

/** Up to this size, in bytes, a piece of a body is copied to be sent in one write. */
const MAX_COPIED_BYTES = 65_536;

const CARRIAGE_RETURN = 0x0d;
const LINE_FEED = 0x0a;

/** How a connection is served. */
export interface ServeOptions {
  /** Answers a request; `delivered` settles when the answer has been sent, or cannot be. */
  handle: (request: KubeletRequest, delivered: Promise<void>) => Promise<Response>;
  /** The answer to a request whose handler has failed. */
  failed: (error: unknown) => Response;
  /** Is told of what is not HTTP as it is served here. */
  refused: (problem: string) => void;
  clock: Clock;
}

/** Serves one connection until it ends. */
export class ServerConnection {
  readonly #socket: Socket;
  readonly #options: ServeOptions;
  /** What was read and not used. */
  #unused: Buffer | undefined;
  /** So much of it was searched for the end of a head. */
  #searched = 0;
  #state:
    /** Of the next request. */
    | "head"
    | "body"
    /** The request is whole, the answer is not. */
    | "answer"
    /** Nothing that comes is read any more. */
    | "over" = "head";
  #exchange: Exchange | undefined;
  /** Whether there is no further request after this one. */
  #last = false;
  /** Whether the next head waits until the client has read the answers before. */
  #held = false;
  #cancelEnd: (() => void) | undefined;

  /** @param socket belongs to this object from now on */
  constructor(socket: Socket, options: ServeOptions) {
    this.#socket = socket;
    this.#options = options;
    socket.setNoDelay(true);
    socket.on("data", (bytes) => this.#receive(bytes));
    // There is no half-open state: a kubelet that has stopped sending has left, and its requests end.
    socket.on("end", () => this.#state === "head" ? this.#end() : this.#state === "over" || socket.destroy());
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#closed());
  }

  /** Ends the connection as soon as there is no request on it. */
  finish(): void {
    this.#last = true;
    if (this.#state === "head") {
      this.#end();
    }
  }

  /** Ends the connection at once. */
  cut(): void {
    this.#socket.destroy();
  }

  #receive(bytes: Buffer): void {
    if (this.#state === "over") {
      return;
    }
    this.#unused = this.#unused === undefined ? bytes : Buffer.concat([this.#unused, bytes]);
    this.#advanceAll();
  }

  #advanceAll(): void {
    while (this.#unused !== undefined && this.#advance(this.#unused)) {
      // Once for each part of a request that is whole.
    }
  }

  /** Takes the next part out of what was read; false if it is not there yet. */
  #advance(unused: Buffer): boolean {
    switch (this.#state) {
      case "head":
        return this.#readHead(unused);
      case "body":
        return this.#readBody(unused);
      case "answer":
        // A request before the last one was answered: allowed by the standard, and sent by nobody who is served here.
        this.#last = true;
        this.#unused = undefined;
        return false;
      case "over":
        this.#unused = undefined;
        return false;
      default: {
        const never: never = this.#state;
        return never;
      }
    }
  }

  #readHead(unused: Buffer): boolean {
    if (this.#held || this.#socket.writableNeedDrain) {
      this.#hold();
      return false;
    }
    const end = findHeadEnd(unused, this.#searched);
    if (end === "bare-line-feed") {
      return this.#refuse(400, "a line does not end with CR LF");
    }
    if (end === undefined ? unused.length >= MAX_REQUEST_HEAD_BYTES : end > MAX_REQUEST_HEAD_BYTES) {
      return this.#refuse(431, `the head is longer than ${MAX_REQUEST_HEAD_BYTES} bytes`);
    }
    if (end === undefined) {
      this.#searched = unused.lastIndexOf(LINE_FEED) + 1;
      return false;
    }
    const parsed = parseRequestHead(unused.toString("latin1", 0, end - 4));
    if (!parsed.ok) {
      return this.#refuse(parsed.status, parsed.message);
    }
    this.#searched = 0;
    this.#unused = end === unused.length ? undefined : unused.subarray(end);
    this.#begin(parsed.head);
    return true;
  }

  /** Reads no further request from a client that does not read its answers: they would pile up here. */
  #hold(): void {
    if (this.#held) {
      return;
    }
    this.#held = true;
    this.#socket.pause();
    this.#drained().then(() => {
      this.#held = false;
      if (this.#state === "head") {
        this.#socket.resume();
        this.#advanceAll();
      }
    });
  }

  #readBody(unused: Buffer): boolean {
    const exchange = this.#exchange;
    if (exchange?.decoder === undefined) {
      throw new TypeError("there is no body");
    }
    const { decoder, requestBody } = exchange;
    let pushed;
    try {
      pushed = decoder.push(unused);
    } catch (error) {
      if (!(error instanceof HttpClientError)) {
        throw error;
      }
      return this.#refuse(400, "the body is not framed as HTTP/1.1 has it");
    }
    this.#unused = pushed.used === unused.length ? undefined : unused.subarray(pushed.used);
    for (const piece of pushed.content) {
      requestBody?.push(piece);
      if (exchange.answered) exchange.dropped += piece.length;
    }
    if (decoder.done) {
      requestBody?.end();
      this.#state = exchange.answered ? "head" : "answer";
      return true;
    }
    if (exchange.dropped > MAX_DROPPED_BODY_BYTES) {
      this.#end();
    }
    return false;
  }

  #begin(head: RequestHead): void {
    const { framing } = head;
    const hasBody = framing.kind === "chunked" || (framing.kind === "length" && framing.bytes > 0);
    const exchange = new Exchange(
      head,
      hasBody ? createBodyDecoder(framing) : undefined,
      hasBody ? new RequestBody(this.#socket) : undefined,
    );
    this.#exchange = exchange;
    this.#state = hasBody ? "body" : "answer";
    this.#last ||= !head.keepAlive;
    if (head.expectsContinue) {
      this.#socket.write("HTTP/1.1 100 Continue\r\n\r\n");
    }
    const { handle, failed } = this.#options;
    handle(exchange, exchange.delivered).catch(failed).then((response) => this.#answer(exchange, response))
      // What no head can be made of. Half of an answer cannot be taken back.
      .catch((error) => {
        failed(error);
        this.#socket.destroy();
      });
  }

  #answer(exchange: Exchange, response: Response): void | Promise<void> {
    if (this.#exchange !== exchange) {
      response.body?.cancel().catch(() => {});
      return;
    }
    exchange.started = true;
    const hasContent = exchange.method !== "HEAD" && response.status !== 204 && response.status !== 304;
    if (response instanceof WholeResponse) {
      const { fields, whole, status } = response;
      const framing = hasContent ? `content-length: ${whole?.length ?? 0}\r\n` : "";
      const head = this.#formatHead(status, fields, framing);
      this.#write(whole === null || !hasContent ? head : concat(head, whole), exchange);
      this.#answered(exchange);
      return;
    }
    const { body } = response;
    if (body === null || !hasContent) {
      body?.cancel().catch(() => {});
      const framing = hasContent ? "content-length: 0\r\n" : "";
      this.#write(this.#formatHead(response.status, response.headers, framing), exchange);
      this.#answered(exchange);
      return;
    }
    this.#socket.write(this.#formatHead(response.status, response.headers, "transfer-encoding: chunked\r\n"));
    return this.#stream(exchange, body);
  }

  async #stream(exchange: Exchange, body: ReadableStream<Uint8Array>): Promise<void> {
    const reader = body.getReader();
    exchange.onLeave = (reason) => void reader.cancel(reason).catch(() => {});
    for (;;) {
      let read;
      try {
        read = await reader.read();
      } catch {
        // Whoever made the body has told of it. It must not be taken for a whole one.
        this.#socket.destroy();
        return;
      }
      if (this.#exchange !== exchange) {
        return;
      }
      if (read.done) {
        this.#write(LAST_CHUNK, exchange);
        this.#answered(exchange);
        return;
      }
      if (read.value.length > 0 && !this.#writeChunk(read.value)) {
        await this.#drained();
      }
    }
  }

  /** @returns false if the client does not keep up */
  #writeChunk(bytes: Uint8Array): boolean {
    const size = `${bytes.length.toString(16)}\r\n`;
    if (bytes.length <= MAX_COPIED_BYTES) {
      const chunk = Buffer.allocUnsafe(size.length + bytes.length + 2);
      chunk.write(size, "latin1");
      chunk.set(bytes, size.length);
      chunk.set(CR_LF, size.length + bytes.length);
      return this.#socket.write(chunk);
    }
    this.#socket.write(size, "latin1");
    this.#socket.write(bytes);
    return this.#socket.write(CR_LF);
  }

  #drained(): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.#socket.off("drain", done);
        this.#socket.off("close", done);
        resolve();
      };
      this.#socket.on("drain", done);
      this.#socket.on("close", done);
    });
  }

  /** Writes the last bytes of an answer. */
  #write(bytes: Uint8Array, exchange: Exchange): void {
    this.#socket.write(bytes, () => exchange.deliver());
  }

  /** The last byte of the answer is on its way. */
  #answered(exchange: Exchange): void {
    exchange.answered = true;
    exchange.onLeave = undefined;
    exchange.requestBody?.fail(new Error("the request was answered before its body was read"));
    if (this.#last || (this.#state === "body" && exchange.head.expectsContinue)) {
      this.#end();
    } else if (this.#state === "answer") {
      this.#state = "head";
    }
  }

  /** Answers what is not HTTP as it is served here, and ends the connection. */
  #refuse(status: number, problem: string): false {
    this.#options.refused(problem);
    const exchange = this.#exchange;
    // In the middle of another answer it would be taken for a part of that.
    if (exchange === undefined || exchange.answered || !exchange.started) {
      const text = JSON.stringify(makeStatus(status, reasonOf(status), `kubelet-proxy: ${problem}`)) + "\n";
      const body = Buffer.from(text);
      this.#last = true;
      const head = this.#formatHead(
        status,
        [["content-type", "application/json"]],
        `content-length: ${body.length}\r\n`,
      );
      this.#socket.write(concat(head, body));
    }
    this.#end();
    return false;
  }

  /** Sends what is still to be sent, and reads nothing more. */
  #end(): void {
    this.#state = "over";
    this.#unused = undefined;
    this.#leave();
    this.#socket.resume();
    this.#cutAfter(MAX_LAST_ANSWER_MS);
    this.#socket.end(() => {
      if (!this.#socket.destroyed) {
        this.#cutAfter(LINGER_MS);
      }
    });
  }

  /** Takes the place of the wait before. */
  #cutAfter(delayMs: number): void {
    this.#cancelEnd?.();
    this.#cancelEnd = this.#options.clock.after(delayMs, () => this.#socket.destroy());
  }

  #closed(): void {
    this.#state = "over";
    this.#unused = undefined;
    this.#cancelEnd?.();
    this.#leave();
    this.#exchange?.deliver();
  }

  /** The request that runs ends without an answer. */
  #leave(): void {
    const exchange = this.#exchange;
    if (exchange !== undefined && !exchange.answered) {
      this.#exchange = undefined;
      exchange.leave();
    }
  }

  #formatHead(status: number, fields: Iterable<readonly [string, string]>, framing: string): Uint8Array {
    let text = `HTTP/1.1 ${status} \r\ndate: ${this.#date()}\r\n`;
    for (const [name, value] of fields) {
      if (!FIELD_VALUE.test(value)) {
        throw new TypeError("a field with characters that would end it");
      }
      if (!FRAMING_FIELDS.has(name)) {
        text += `${name}: ${value}\r\n`;
      }
    }
    text += this.#last ? `${framing}connection: close\r\n\r\n` : `${framing}\r\n`;
    return headBytes(text);
  }

  /** The time as HTTP writes it, which is made once a second. */
  #date(): string {
    const now = this.#options.clock.now();
    const second = Math.floor(now.getTime() / 1000);
    if (second !== dated.second) {
      dated = { second, text: now.toUTCString() };
    }
    return dated.text;
  }
}

/** One request with what is known of its answer. */
class Exchange implements KubeletRequest {
  readonly head: RequestHead;
  readonly decoder: BodyDecoder | undefined;
  readonly requestBody: RequestBody | undefined;
  readonly delivered: Promise<void>;
  /** Settles `delivered`. */
  readonly deliver: () => void;
  /** Whether the head of its answer was sent. */
  started = false;
  /** Whether all of its answer was. */
  answered = false;
  /** Bytes of its body that came after that. */
  dropped = 0;
  /** Ends the reading of the answer's body. */
  onLeave: ((reason: unknown) => void) | undefined;
  #leaving: AbortController | undefined;
  #left: DOMException | undefined;

  constructor(head: RequestHead, decoder: BodyDecoder | undefined, requestBody: RequestBody | undefined) {
    this.head = head;
    this.decoder = decoder;
    this.requestBody = requestBody;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.delivered = promise;
    this.deliver = resolve;
  }

  get method(): string {
    return this.head.method;
  }

  get url(): string {
    return `http://kubelet${this.head.target}`;
  }

  get headers(): FieldList {
    return this.head.fields;
  }

  get body(): ReadableStream<Uint8Array> | null {
    return this.requestBody?.stream ?? null;
  }

  get signal(): AbortSignal {
    if (this.#leaving === undefined) {
      this.#leaving = new AbortController();
      if (this.#left !== undefined) {
        this.#leaving.abort(this.#left);
      }
    }
    return this.#leaving.signal;
  }

  /** The client has left. */
  leave(): void {
    const reason = this.#left = new DOMException("the client has left", "AbortError");
    this.#leaving?.abort(reason);
    this.requestBody?.fail(reason);
    this.onLeave?.(reason);
    this.deliver();
  }
}

/** What the server alone says of an answer. */
const FRAMING_FIELDS: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "date",
  "keep-alive",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

let dated = { second: -1, text: "" };

const CR_LF = Buffer.from("\r\n");
const LAST_CHUNK = Buffer.from("0\r\n\r\n");

/**
 * Where the empty line after a head ends; undefined if it is not there yet.
 *
 * @param from everything before was searched
 */
function findHeadEnd(bytes: Uint8Array, from: number): number | "bare-line-feed" | undefined {
  for (let feed = bytes.indexOf(LINE_FEED, from); feed !== -1; feed = bytes.indexOf(LINE_FEED, feed + 1)) {
    if (bytes[feed - 1] !== CARRIAGE_RETURN) {
      return "bare-line-feed";
    }
    if (bytes[feed - 2] === LINE_FEED) {
      return feed + 1;
    }
  }
  return undefined;
}

function concat(head: Uint8Array, body: Uint8Array): Uint8Array {
  const bytes = Buffer.allocUnsafe(head.length + body.length);
  bytes.set(head);
  bytes.set(body, head.length);
  return bytes;
}
