/**
 * The frame of every judged watch, whatever it is of: JSON lines in, JSON lines out, as fast as the kubelet takes them.
 *
 * Source: Kubernetes API Concepts, "Efficient detection of changes" and "Streaming lists".
 *
 * @module
 */
import { isJsonObject, type JsonObject, type JsonValue, objectAt } from "@signed-pods/shared/json";
import type { KnownValues } from "@signed-pods/shared/strict-json";
import type { LineSplitter } from "./pods/json_lines.ts";
import { parseObject } from "./pods/pod_answer.ts";
import { isResourceVersion } from "./pods/served_versions.ts";
import { rebuildStatus } from "./status.ts";

/**
 * Longest line, in bytes. etcd takes requests of 1.5 MiB, so no object is longer; written as JSON with escapes, and within
 * an event, it stays below this.
 */
export const MAX_WATCH_LINE_BYTES = 8 * 1024 * 1024;

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
  /** Called when the bytes are on their way. Of a watch that is ended meanwhile they never are. */
  sent?: () => void;
}

/**
 * A body that is read only as the kubelet takes it, one chunk at a time, so that a slow kubelet slows down the API server
 * instead of filling memory. It ends cleanly whatever happens upstream: to client-go a watch that ends is one to resume.
 *
 * @param end ends the upstream request, or says that it has been ended
 * @param release called once, when nothing more will be sent
 * @param hear waits for bytes: calls back when they do not come, and is told when they do
 * @param take makes of a chunk, or of the end, what is sent; without it, chunks are sent as they are
 */
export function relayed(
  upstream: ReadableStream<Uint8Array> | null,
  end: AbortSignal,
  release: () => void,
  hear: (end: () => void) => () => void,
  take: (chunk: Uint8Array | undefined) => Promise<Piece> = (chunk) =>
    Promise.resolve({ bytes: chunk ?? new Uint8Array(0), ended: chunk === undefined }),
): ReadableStream<Uint8Array> | null {
  if (upstream === null) {
    release();
    return null;
  }
  const reader = upstream.getReader();
  let released = false;
  const finish = () => {
    if (!released) {
      released = true;
      release();
      // The request is aborted by now; this is for streams that do not know of it.
      reader.cancel().catch(() => {});
    }
  };

  return new ReadableStream<Uint8Array>({
    start(controller) {
      const endNow = () => {
        if (!released) {
          finish();
          controller.close();
        }
      };
      end.addEventListener("abort", endNow, { once: true });
      if (end.aborted) {
        endNow();
      }
    },
    async pull(controller) {
      while (!released) {
        // A failure upstream is the same to the kubelet as an end; what was not complete is dropped.
        // A silence that is too long is an end too: the connection may be dead, and the kubelet resumes the watch.
        const cancelTimer = hear(() => void reader.cancel().catch(() => {}));
        const read = await reader.read().catch(() => undefined);
        cancelTimer();
        const piece = read === undefined || released ? undefined : await take(read.value);
        if (released) {
          return;
        }
        const sends = piece !== undefined && piece.bytes.length > 0;
        if (sends) {
          controller.enqueue(piece.bytes);
          piece.sent?.();
        }
        if (piece === undefined || piece.ended) {
          finish();
          controller.close();
        }
        if (sends) {
          return;
        }
      }
    },
    cancel: finish,
  }, { highWaterMark: 0 });
}

/** The complete lines of a chunk, or the last line if there is no chunk, and what is wrong after them. */
export function linesOf(
  splitter: LineSplitter,
  chunk: Uint8Array | undefined,
): { lines: Uint8Array[]; problem: string | undefined } {
  if (chunk === undefined) {
    // A last line may lack its line feed. If it is not complete it does not parse, and is dropped like any such line.
    const rest = splitter.rest();
    return { lines: rest.length === 0 ? [] : [rest], problem: undefined };
  }
  const { lines, tooLong } = splitter.push(chunk);
  return { lines, problem: tooLong ? `a line is longer than ${MAX_WATCH_LINE_BYTES} bytes` : undefined };
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
