/**
 * The frame of every judged watch, whatever it is of: JSON lines in, JSON lines out, as fast as the kubelet takes them.
 *
 * Source: Kubernetes API Concepts, "Efficient detection of changes" and "Streaming lists".
 *
 * @module
 */
import { setImmediate } from "node:timers";
import { isJsonObject, type JsonObject, type JsonValue, objectAt } from "@signed-pods/shared/json";
import type { KnownValues } from "@signed-pods/shared/strict-json";
import { type BodyPieces, StreamedResponse } from "./http_client/http_client.ts";
import { concat } from "./concat.ts";
import type { LineSplitter } from "./pods/json_lines.ts";
import { parseObject } from "./pods/pod_answer.ts";
import { isResourceVersion } from "./pods/served_versions.ts";
import type { WatchSilence } from "./pods/watch_silence.ts";
import { rebuildStatus } from "./status.ts";

/**
 * Longest line, in bytes. etcd takes requests of 1.5 MiB, so no object is longer; written as JSON with escapes, and within
 * an event, it stays below this.
 */
export const MAX_WATCH_LINE_BYTES = 8 * 1024 * 1024;

/**
 * Most bytes of a watch that are read while nobody can take them, beyond the chunk that reaches it: some ten events, which are judged
 * together. More would only be waited for longer.
 */
export const MAX_READ_AHEAD_BYTES = 65_536;

/** Annotation of the BOOKMARK that ends the initial events; its only value is "true". */
const INITIAL_EVENTS_END = "k8s.io/initial-events-end";

/** One event of a watch, read but not judged. */
export type ReadEvent =
  | { kind: "present"; object: JsonObject }
  | { kind: "deleted"; object: JsonObject }
  | { kind: "bookmark"; resourceVersion: string; initialEventsEnd: boolean }
  | { kind: "error"; status: JsonObject };

/** What came out of reading one line. */
export type ReadEventResult = { ok: true; event: ReadEvent } | { ok: false; problem: string };

/** What is to be sent, and whether the watch ends with it. */
export interface Piece {
  bytes: Uint8Array;
  ended: boolean;
  /** Called when the bytes are on their way; never without bytes, or when the watch is ended meanwhile. */
  sent?: () => void;
}

/** What is made of a watch's bytes. */
export interface Relaying {
  /** Ends the upstream request, or says that it has been ended. */
  end: AbortSignal;
  /** Called once, when nothing more will be sent. */
  release: () => void;
  /** Makes what notices that nothing comes any more. */
  silence: (onSilence: () => void) => WatchSilence;
  /** Makes of the chunks that have come, or of the end, what is sent; without it, chunks are sent as they are. */
  take?: (chunks: readonly Uint8Array[] | undefined) => Piece | Promise<Piece>;
}

/**
 * A body that is read only as the kubelet takes it, so that a slow kubelet slows down the API server instead of filling
 * memory. It ends cleanly whatever happens upstream: to client-go a watch that ends is one to resume.
 *
 * What comes is taken at once. What comes behind it in the same turn of the event loop, or while it is judged, is taken together: under
 * load, each piece costs the two connections and the judge about as much as what is in it.
 */
export function relayed(answer: Response, relaying: Relaying): ReadableStream<Uint8Array> | null {
  const pieces = answer instanceof StreamedResponse
    ? answer.pieces
    : answer.body === null
    ? undefined
    : piecesOf(answer.body);
  if (pieces === undefined) {
    relaying.release();
    return null;
  }
  return new ReadableStream<Uint8Array>(new Relay(pieces, relaying), { highWaterMark: 0 });
}

function piecesOf(body: ReadableStream<Uint8Array<ArrayBuffer>>): BodyPieces {
  const reader = body.getReader();
  return {
    next: async () => (await reader.read()).value,
    abandon: () => void reader.cancel().catch(() => {}),
  };
}

/** A watch on its way, as the source of the kubelet's stream. */
class Relay implements UnderlyingDefaultSource<Uint8Array> {
  readonly #pieces: BodyPieces;
  readonly #relaying: Relaying;
  readonly #silence: WatchSilence;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  /** What has come and was not taken. */
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  #reading = false;
  /** No more will come; if upstream failed, its end is not taken. */
  #ended: "not" | "ended" | "failed" = "not";
  /** The kubelet takes more. */
  #wanted = false;
  /** What was taken is being judged. */
  #taking = false;
  /** Something was sent in this turn of the event loop. */
  #sent = false;
  #released = false;

  constructor(pieces: BodyPieces, relaying: Relaying) {
    this.#pieces = pieces;
    this.#relaying = relaying;
    this.#silence = relaying.silence(() => this.#close());
  }

  start(controller: ReadableStreamDefaultController<Uint8Array>): void {
    this.#controller = controller;
    const { end } = this.#relaying;
    const endNow = () => this.#close();
    end.addEventListener("abort", endNow, { once: true });
    if (end.aborted) {
      endNow();
    }
  }

  pull(): void {
    this.#wanted = true;
    this.#goOn();
  }

  cancel(): void {
    this.#finish();
  }

  #goOn(): void {
    while (
      this.#wanted && !this.#taking && !this.#sent && !this.#released &&
      (this.#held.length > 0 || this.#ended !== "not")
    ) {
      this.#take();
    }
    if (
      !this.#reading && this.#ended === "not" && !this.#released && (this.#wanted || this.#taking) &&
      this.#heldBytes < MAX_READ_AHEAD_BYTES
    ) {
      this.#read();
    }
  }

  #read(): void {
    this.#reading = true;
    this.#silence.wait();
    this.#pieces.next().then((piece) => this.#come(piece ?? "ended"), () => this.#come("failed"));
  }

  #come(chunk: Uint8Array | "ended" | "failed"): void {
    this.#reading = false;
    this.#silence.heard();
    if (typeof chunk === "string") {
      this.#ended = chunk;
    } else {
      this.#held.push(chunk);
      this.#heldBytes += chunk.length;
    }
    this.#goOn();
  }

  /** Takes what is held, or else the end. */
  #take(): void {
    const chunks = this.#held.length > 0 ? this.#held : undefined;
    if (chunks === undefined && this.#ended === "failed") {
      // To the kubelet a failure upstream is the same as an end; what was not complete is dropped.
      this.#close();
      return;
    }
    this.#held = [];
    this.#heldBytes = 0;
    const { take } = this.#relaying;
    if (take === undefined) {
      this.#send({ bytes: joined(chunks ?? []), ended: chunks === undefined });
      return;
    }
    let piece: Piece | Promise<Piece>;
    try {
      piece = take(chunks);
    } catch (error) {
      this.#fail(error);
      return;
    }
    this.#send(piece);
  }

  #send(piece: Piece | Promise<Piece>): void {
    if (piece instanceof Promise) {
      this.#taking = true;
      piece.then((made) => {
        this.#taking = false;
        this.#sendPiece(made);
        this.#goOn();
      }, (error) => this.#fail(error));
    } else {
      this.#sendPiece(piece);
    }
  }

  #sendPiece({ bytes, ended, sent }: Piece): void {
    if (this.#released) {
      return;
    }
    if (bytes.length > 0) {
      this.#wanted = false;
      this.#sent = true;
      setImmediate(() => {
        this.#sent = false;
        this.#goOn();
      });
      this.#controller?.enqueue(bytes);
      sent?.();
    }
    if (ended) {
      this.#close();
    }
  }

  #close(): void {
    if (!this.#released) {
      this.#finish();
      this.#controller?.close();
    }
  }

  #fail(error: unknown): void {
    if (!this.#released) {
      this.#finish();
      this.#controller?.error(error);
    }
  }

  #finish(): void {
    if (!this.#released) {
      this.#released = true;
      this.#silence.end();
      this.#relaying.release();
      // The request is aborted by now; this is for bodies that do not know of it.
      this.#pieces.abandon();
    }
  }
}

/** Chunks in one piece. */
export function joined(chunks: readonly Uint8Array[]): Uint8Array {
  const [first, ...others] = chunks;
  return first !== undefined && others.length === 0 ? first : concat(chunks);
}

/** The complete lines of chunks, or the last line if there are no chunks, and what is wrong after them. */
export function linesOf(
  splitter: LineSplitter,
  chunks: readonly Uint8Array[] | undefined,
): { lines: Uint8Array[]; problem: string | undefined } {
  if (chunks === undefined) {
    // A last line may lack its line feed. If it is not complete it does not parse, and is dropped like any such line.
    const rest = splitter.rest();
    return { lines: rest.length === 0 ? [] : [rest], problem: undefined };
  }
  const all: Uint8Array[] = [];
  let cut = false;
  for (const chunk of chunks) {
    const { lines, tooLong } = splitter.push(chunk);
    all.push(...lines);
    cut ||= tooLong;
  }
  return { lines: all, problem: cut ? `a line is longer than ${MAX_WATCH_LINE_BYTES} bytes` : undefined };
}

/**
 * Reads one line of a watch of objects of one kind.
 *
 * @param known values that were read before, and need not be read again
 */
export function decodeEvent(
  line: Uint8Array,
  apiVersion: string,
  kind: string,
  known?: KnownValues,
): ReadEventResult {
  const parsed = parseObject(line, known);
  if (!parsed.ok) {
    return parsed;
  }
  const { type, object } = parsed.object;
  if (!isJsonObject(object)) {
    return { ok: false, problem: "it has no object" };
  }
  if (type === "ERROR") {
    return object["kind"] === "Status" && object["apiVersion"] === "v1"
      ? { ok: true, event: { kind: "error", status: rebuildStatus(errorCode(object["code"]), object) } }
      : { ok: false, problem: "its object is not a v1 Status" };
  }
  if (type !== "ADDED" && type !== "MODIFIED" && type !== "DELETED" && type !== "BOOKMARK") {
    return { ok: false, problem: "its type is not one of a watch" };
  }
  if (object["kind"] !== kind || object["apiVersion"] !== apiVersion) {
    return { ok: false, problem: `its object is not a ${apiVersion} ${kind}` };
  }
  if (type !== "BOOKMARK") {
    return { ok: true, event: { kind: type === "DELETED" ? "deleted" : "present", object } };
  }
  const metadata = objectAt(object, "metadata");
  const { resourceVersion } = metadata;
  if (!isResourceVersion(resourceVersion)) {
    return { ok: false, problem: "its resourceVersion is not a number" };
  }
  const initialEventsEnd = objectAt(metadata, "annotations")[INITIAL_EVENTS_END] === "true";
  return { ok: true, event: { kind: "bookmark", resourceVersion, initialEventsEnd } };
}

/** A BOOKMARK, built again. */
export function encodeBookmark(
  event: { resourceVersion: string; initialEventsEnd: boolean },
  apiVersion: string,
  kind: string,
): string {
  const { resourceVersion, initialEventsEnd } = event;
  return encodeEvent(
    "BOOKMARK",
    JSON.stringify({
      kind,
      apiVersion,
      metadata: {
        resourceVersion,
        ...(initialEventsEnd ? { annotations: { [INITIAL_EVENTS_END]: "true" } } : {}),
      },
    }),
  );
}

/** One line of a watch. */
export function encodeEvent(type: string, object: string): string {
  return `{"type":"${type}","object":${object}}\n`;
}

/** The code of a Status in an ERROR event; client-go decides by the reason, so any failure will do. */
function errorCode(code: JsonValue | undefined): number {
  return typeof code === "number" && Number.isInteger(code) && code >= 400 && code <= 599 ? code : 500;
}

/** What Go's strconv.ParseBool takes for true. */
export function isTrue(text: string | null): boolean {
  return text !== null && ["1", "t", "T", "true", "TRUE", "True"].includes(text);
}
