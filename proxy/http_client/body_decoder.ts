/**
 * Takes a body out of the bytes of a connection, however they are cut: as long as Content-Length says, in chunks, or up
 * to the end of the connection.
 *
 * Source: RFC 9112 sections 6 and 7.
 *
 * @module
 */
import { HttpClientError } from "./http_client_error.ts";
import type { BodyFraming } from "./response_head.ts";

/** Longest line with the size of a chunk, in bytes: eight digits, and room for extensions, which nobody sends. */
export const MAX_CHUNK_LINE_BYTES = 256;

/** Longest trailer section, in bytes. kube-apiserver sends none; what comes is dropped. */
export const MAX_TRAILER_BYTES = 8192;

const CARRIAGE_RETURN = 0x0d;
const LINE_FEED = 0x0a;

/** Eight digits: no chunk is longer than 4 GiB. */
const CHUNK_LINE = /^([0-9A-Fa-f]{1,8})[\t ]*(?:;[\t\x20-\x7e]*)?$/;

/** Decodes one body. */
export interface BodyDecoder {
  /**
   * Takes the next bytes.
   *
   * @param bytes what has come; what is given back may share its memory
   * @returns content in order, and how many bytes were used. Only after the body's end, bytes are left over
   * @throws {HttpClientError} `body-malformed`
   */
  push(bytes: Uint8Array): { content: Uint8Array[]; used: number };
  /** Whether the body has ended. */
  readonly done: boolean;
  /**
   * The connection has ended.
   *
   * @throws {HttpClientError} `connection-ended` if the body has not
   */
  end(): void;
}

/** Makes the decoder of one body. */
export function createBodyDecoder(framing: BodyFraming): BodyDecoder {
  switch (framing.kind) {
    case "none":
      return lengthDecoder(0);
    case "length":
      return lengthDecoder(framing.bytes);
    case "chunked":
      return new ChunkedDecoder();
    case "until-close": {
      let done = false;
      return {
        push: (bytes) => ({ content: bytes.length === 0 ? [] : [bytes], used: bytes.length }),
        get done() {
          return done;
        },
        end: () => void (done = true),
      };
    }
    default: {
      const never: never = framing;
      return never;
    }
  }
}

function lengthDecoder(length: number): BodyDecoder {
  let left = length;
  return {
    push(bytes) {
      const used = Math.min(left, bytes.length);
      left -= used;
      return { content: used === 0 ? [] : [bytes.subarray(0, used)], used };
    },
    get done() {
      return left === 0;
    },
    end() {
      if (left > 0) {
        throw endedEarly();
      }
    },
  };
}

class ChunkedDecoder implements BodyDecoder {
  #state: "size" | "data" | "data-end" | "trailer" | "done" = "size";
  /** Of the line that has not ended yet. */
  #line = "";
  #trailerBytes = 0;
  /** Bytes that the chunk still has. */
  #left = 0;

  get done(): boolean {
    return this.#state === "done";
  }

  end(): void {
    if (!this.done) {
      throw endedEarly();
    }
  }

  push(bytes: Uint8Array): { content: Uint8Array[]; used: number } {
    const content: Uint8Array[] = [];
    let used = 0;
    while (used < bytes.length && this.#state !== "done") {
      if (this.#state === "data") {
        const taken = Math.min(this.#left, bytes.length - used);
        content.push(bytes.subarray(used, used + taken));
        used += taken;
        this.#left -= taken;
        if (this.#left === 0) {
          this.#state = "data-end";
        }
        continue;
      }
      const feed = bytes.indexOf(LINE_FEED, used);
      const end = feed === -1 ? bytes.length : feed + 1;
      this.#hold(bytes.subarray(used, end));
      used = end;
      if (feed !== -1) {
        this.#endLine();
      }
    }
    return { content, used };
  }

  #hold(piece: Uint8Array): void {
    const isTrailer = this.#state === "trailer";
    if (isTrailer) {
      this.#trailerBytes += piece.length;
    }
    if (
      isTrailer
        ? this.#trailerBytes > MAX_TRAILER_BYTES
        : this.#line.length + piece.length > MAX_CHUNK_LINE_BYTES
    ) {
      throw malformed(isTrailer ? "the trailer is too long" : "a line with the size of a chunk is too long");
    }
    for (const byte of piece) {
      this.#line += String.fromCharCode(byte);
    }
  }

  #endLine(): void {
    const line = this.#line.slice(0, -2);
    if (this.#line.charCodeAt(line.length) !== CARRIAGE_RETURN) {
      throw malformed("a line does not end with CR LF");
    }
    this.#line = "";
    switch (this.#state) {
      case "size": {
        const digits = CHUNK_LINE.exec(line)?.[1];
        if (digits === undefined) {
          throw malformed("the size of a chunk is not a number");
        }
        this.#left = Number.parseInt(digits, 16);
        this.#state = this.#left === 0 ? "trailer" : "data";
        return;
      }
      case "data-end":
        if (line !== "") {
          throw malformed("a chunk is longer than its size");
        }
        this.#state = "size";
        return;
      case "trailer":
        if (line === "") {
          this.#state = "done";
        }
        return;
    }
  }
}

function endedEarly(): HttpClientError {
  return new HttpClientError("connection-ended", "the connection ended before the answer did");
}

function malformed(problem: string): HttpClientError {
  return new HttpClientError(
    "body-malformed",
    `the answer's body is not framed as HTTP/1.1 has it: ${problem}`,
  );
}
