/**
 * One connection with an HTTP server, and the bytes of it that were read but not used.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { HttpClientError } from "./http_client_error.ts";

/** A connection, TLS and all. `Deno.Conn` is one. */
export interface ByteConnection {
  /** Reads some bytes; null at the end. */
  read(into: Uint8Array): Promise<number | null>;
  /** Writes some bytes. */
  write(bytes: Uint8Array): Promise<number>;
  close(): void;
}

/** Room for what is read at once: the most that a TLS record holds (RFC 8446 section 5.1). */
export const READ_BUFFER_BYTES = 16_384;

/** The room when it is filled again and again: fewer turns for lists. */
const LARGE_READ_BUFFER_BYTES = 131_072;

/** Longest head of an answer, in bytes; kube-apiserver's are below 2,000. Node's own client takes as many. */
export const MAX_RESPONSE_HEAD_BYTES = 16_384;

const CARRIAGE_RETURN = 0x0d;
const LINE_FEED = 0x0a;

/** Reads heads and bytes. */
export class BufferedConnection {
  readonly #connection: ByteConnection;
  #buffer = new Uint8Array(READ_BUFFER_BYTES);
  #start = 0;
  #end = 0;
  #reading: Promise<number | null> | undefined;
  #closed = false;
  /** Ever. */
  bytesRead = 0;

  /** @param connection belongs to this object from now on */
  constructor(connection: ByteConnection) {
    this.#connection = connection;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Bytes that were read and not used; they are overwritten by the next read. */
  get unused(): Uint8Array {
    return this.#buffer.subarray(this.#start, this.#end);
  }

  /** The first so many of the unused bytes are used. */
  use(bytes: number): void {
    this.#start += bytes;
  }

  /** Writes all. */
  async write(bytes: Uint8Array): Promise<void> {
    let rest = bytes;
    while (rest.length > 0) {
      rest = rest.subarray(await this.#connection.write(rest));
    }
  }

  /** Begins to read, so that its end is noticed although nobody waits for an answer. */
  listen(): Promise<number | null> {
    if (this.#reading === undefined) {
      this.#makeRoom();
      this.#reading = this.#connection.read(this.#buffer.subarray(this.#end));
      // Whoever waits for it gets the error.
      this.#reading.catch(() => {});
    }
    return this.#reading;
  }

  /**
   * Reads more.
   *
   * @returns false at the end of the connection
   */
  async read(): Promise<boolean> {
    const reading = this.listen();
    const bytes = await reading;
    this.#reading = undefined;
    if (bytes === null) {
      return false;
    }
    this.#end += bytes;
    this.bytesRead += bytes;
    return true;
  }

  /**
   * Reads up to the empty line after a head.
   *
   * @returns the head without it, a character for each byte
   * @throws {HttpClientError} `head-malformed` or `connection-ended`
   */
  async readHead(): Promise<string> {
    let searched = 0;
    for (;;) {
      const { unused } = this;
      const end = findEmptyLine(unused, searched);
      if (end !== -1) {
        this.use(end + 4);
        return latin1Text(unused, end);
      }
      if (unused.length >= MAX_RESPONSE_HEAD_BYTES) {
        throw new HttpClientError(
          "head-malformed",
          `the head of the answer is longer than ${MAX_RESPONSE_HEAD_BYTES} bytes`,
        );
      }
      searched = Math.max(0, unused.length - 3);
      if (!await this.read()) {
        throw new HttpClientError("connection-ended", "the connection ended before the answer's head did");
      }
    }
  }

  close(): void {
    if (!this.#closed) {
      this.#closed = true;
      this.#connection.close();
    }
  }

  /** Room for long answers is not kept for the next. */
  shrink(): void {
    if (this.#buffer.length > READ_BUFFER_BYTES && this.#start === this.#end && this.#reading === undefined) {
      this.#buffer = new Uint8Array(READ_BUFFER_BYTES);
      this.#start = this.#end = 0;
    }
  }

  #makeRoom(): void {
    if (this.#start === this.#end) {
      if (this.#end === this.#buffer.length && this.#buffer.length < LARGE_READ_BUFFER_BYTES) {
        this.#buffer = new Uint8Array(LARGE_READ_BUFFER_BYTES);
      }
      this.#start = this.#end = 0;
    } else if (this.#end === this.#buffer.length) {
      // Of a head only, which is shorter than the room for it.
      this.#buffer.copyWithin(0, this.#start, this.#end);
      this.#end -= this.#start;
      this.#start = 0;
    }
  }
}

/** Where CR LF CR LF stands; -1 if it does not. */
function findEmptyLine(bytes: Uint8Array, from: number): number {
  for (let feed = bytes.indexOf(LINE_FEED, from); feed !== -1; feed = bytes.indexOf(LINE_FEED, feed + 1)) {
    if (
      feed >= 3 && bytes[feed - 1] === CARRIAGE_RETURN && bytes[feed - 2] === LINE_FEED &&
      bytes[feed - 3] === CARRIAGE_RETURN
    ) {
      return feed - 3;
    }
  }
  return -1;
}

/** The first bytes, a character for each. */
function latin1Text({ buffer, byteOffset }: Uint8Array, length: number): string {
  return Buffer.from(buffer, byteOffset, length).toString("latin1");
}
