/**
 * The body of a request as it comes: pieces wait until somebody reads them, up to a bound, and are dropped when nobody
 * will.
 *
 * @module
 */

/** Most bytes that wait for their reader, beyond those that came at once, before no more are read from the connection. */
export const MAX_WAITING_BODY_BYTES = 65_536;

/** One body. */
export class RequestBody {
  readonly #flow: { pause(): void; resume(): void };
  #pieces: Uint8Array[] = [];
  #bytes = 0;
  #ended = false;
  #failure: Error | undefined;
  #paused = false;
  #stream: ReadableStream<Uint8Array> | undefined;
  /** Goes on with a read that found nothing. */
  #wake: () => void = () => {};

  /** @param flow stops and goes on with reading from the connection */
  constructor(flow: { pause(): void; resume(): void }) {
    this.#flow = flow;
  }

  /** The body for its reader; always the same stream. */
  get stream(): ReadableStream<Uint8Array> {
    this.#stream ??= new ReadableStream<Uint8Array>({
      pull: (controller) => this.#pull(controller),
      cancel: () => this.fail(new Error("the body is not read any more")),
    }, { highWaterMark: 0 });
    return this.#stream;
  }

  /** The next bytes have come. */
  push(piece: Uint8Array): void {
    if (this.#failure !== undefined) {
      return;
    }
    this.#pieces.push(piece);
    this.#bytes += piece.length;
    if (this.#bytes > MAX_WAITING_BODY_BYTES && !this.#paused) {
      this.#paused = true;
      this.#flow.pause();
    }
    this.#wake();
  }

  /** It is whole. */
  end(): void {
    this.#ended = true;
    this.#wake();
  }

  /**
   * It breaks off, or nobody is to read it any more: what comes is dropped. Who still reads gets the error, so that a part
   * is not taken for the whole.
   */
  fail(error: Error): void {
    if (!this.#ended || this.#pieces.length > 0) {
      this.#failure ??= error;
    }
    this.#pieces = [];
    this.#bytes = 0;
    this.#goOn();
    this.#wake();
  }

  async #pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    while (this.#pieces.length === 0 && !this.#ended && this.#failure === undefined) {
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    const piece = this.#pieces.shift();
    if (piece !== undefined) {
      this.#bytes -= piece.length;
      controller.enqueue(piece);
      if (this.#pieces.length === 0) {
        this.#goOn();
      }
    } else if (this.#failure !== undefined) {
      controller.error(this.#failure);
    } else {
      controller.close();
    }
  }

  #goOn(): void {
    if (this.#paused) {
      this.#paused = false;
      this.#flow.resume();
    }
  }
}
