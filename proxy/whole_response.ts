/**
 * An answer whose body is there as a whole. It is a `Response` for whoever wants one, but that is only made when somebody
 * looks: for a small answer that is passed through, making it takes longer than sending it.
 *
 * @module
 */
import { FieldList } from "./field_list.ts";

/** What is known of an answer before its body. */
export interface WholeResponseHead {
  /** 200 to 599. */
  status: number;
  /** Names, in small letters, and values, in order. */
  headers: readonly (readonly [name: string, value: string])[];
}

/** An answer whose body came with its head. */
export class WholeResponse extends Response {
  /** The body; null if there is none. */
  readonly whole: Uint8Array<ArrayBuffer> | null;
  /** Names, in small letters, and values, in order. */
  readonly fields: WholeResponseHead["headers"];
  readonly #status: number;
  #made: Response | undefined;

  /**
   * @param whole the body; null with a status that has none
   * @throws {RangeError} if there is no such status
   */
  constructor(whole: Uint8Array<ArrayBuffer> | null, { status, headers }: WholeResponseHead) {
    super();
    if (!Number.isInteger(status) || status < 200 || status > 599) {
      throw new RangeError(`there is no status ${status}`);
    }
    this.whole = whole;
    this.fields = headers;
    this.#status = status;
  }

  /** The fields by name, without making `headers`. */
  get fieldsByName(): FieldList {
    return new FieldList(this.fields);
  }

  get #response(): Response {
    return this.#made ??= new Response(this.whole, {
      status: this.#status,
      headers: this.fields.map(([name, value]) => [name, value]),
    });
  }

  override get status(): number {
    return this.#status;
  }

  override get ok(): boolean {
    return this.#status < 300;
  }

  override get headers(): Headers {
    return this.#response.headers;
  }

  override get body(): ReadableStream<Uint8Array<ArrayBuffer>> | null {
    return this.whole === null ? null : this.#response.body;
  }

  override get bodyUsed(): boolean {
    return this.#response.bodyUsed;
  }

  override arrayBuffer(): Promise<ArrayBuffer> {
    return this.#response.arrayBuffer();
  }

  override blob(): Promise<Blob> {
    return this.#response.blob();
  }

  override bytes(): Promise<Uint8Array<ArrayBuffer>> {
    return this.#response.bytes();
  }

  override clone(): Response {
    return this.#response.clone();
  }

  override formData(): Promise<FormData> {
    return this.#response.formData();
  }

  // deno-lint-ignore no-explicit-any -- as the Fetch standard has it
  override json(): Promise<any> {
    return this.#response.json();
  }

  override text(): Promise<string> {
    return this.#response.text();
  }
}
