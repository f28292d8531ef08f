/**
 * Watches of pods: one JSON line in, at most one built JSON line out, in order.
 *
 * Source: Kubernetes API Concepts, "Efficient detection of changes", "Watch bookmarks" and "Streaming lists".
 *
 * @module
 */
import { messageOf } from "@signed-pods/shared/errors";
import { isJsonObject, type JsonObject, type JsonValue, objectAt } from "@signed-pods/shared/json";
import type { Clock } from "./clock.ts";
import { createLineSplitter, type LineSplitter } from "./json_lines.ts";
import type { Judge, Showing, Sighting, Snapshot } from "./judge.ts";
import type { KnownPods } from "./known_pods.ts";
import type { Log } from "./log.ts";
import type { Mode } from "./mode.ts";
import { checkAnswer, isKind, parseObject, podRequestHeaders, queryText, unchanged } from "./pod_answer.ts";
import { coversNode } from "./pod_list.ts";
import { isResourceVersion, type ServedVersions } from "./served_versions.ts";
import { rebuildStatus, statusResponse } from "./status.ts";
import type { Upstream } from "./upstream.ts";
import { afterSilence } from "./watch_silence.ts";

/**
 * Longest line, in bytes. etcd takes requests of 1.5 MiB, so no pod is longer; written as JSON with escapes, and within
 * an event, it stays below this.
 */
export const MAX_WATCH_LINE_BYTES = 8 * 1024 * 1024;

/** Watches that are open at the same time. A kubelet has one of pods; a few more end by time-out. */
export const MAX_OPEN_WATCHES = 32;

/** Around the pod of an event there is the event. */
const POD_DEPTH = 1;

const PODS_PATH = "/api/v1/pods";

/** Annotation of the BOOKMARK that ends the initial events; its only value is "true". */
const INITIAL_EVENTS_END = "k8s.io/initial-events-end";

/** Serves watches. */
export interface PodWatches {
  /** @throws what the upstream throws before it answers */
  watch(query: URLSearchParams, signal: AbortSignal): Promise<Response>;
  /** Ends all watches, cleanly for the kubelet, which begins them again. */
  restart(): void;
  /** Ends all watches, cleanly for the kubelet; new ones end at once. */
  close(): void;
}

/** What watches are served with. */
export interface PodWatchOptions {
  upstream: Upstream;
  known: KnownPods;
  judge: Judge;
  served: ServedVersions;
  log: Log;
  /** `audit` judges, and passes on the bytes that came. */
  mode: Mode;
  nodeName: string;
  clock: Clock;
}

/** One event, read but not judged. */
type WatchEvent =
  | { kind: "pod"; sighting: Sighting }
  | { kind: "bookmark"; resourceVersion: string; initialEventsEnd: boolean }
  | { kind: "error"; status: JsonObject };

type DecodedEvent = { ok: true; event: WatchEvent } | { ok: false; problem: string };

/** Makes the server of watches. */
export function createPodWatches(options: PodWatchOptions): PodWatches {
  const { upstream, known, judge, served, log, mode, nodeName, clock } = options;
  const closing = new AbortController();
  let restarting = new AbortController();
  let open = 0;
  const hear = (end: () => void) => afterSilence(clock, log, PODS_PATH, end);

  return {
    async watch(query, signal) {
      const initialEvents = isTrue(query.get("sendInitialEvents"));
      const resumeAt = query.get("resourceVersion") ?? "";
      const resumes = !initialEvents && resumeAt !== "" && resumeAt !== "0";
      const resumedFrom = resumes ? served.momentOf(resumeAt) : undefined;
      if (mode === "enforce" && resumes && resumedFrom === undefined) {
        return expired(resumeAt);
      }
      if (open >= MAX_OPEN_WATCHES) {
        log.error("watch-refused", "too many watches of pods are open", { limit: MAX_OPEN_WATCHES });
        return statusResponse(429, "TooManyRequests", "kubelet-proxy: too many watches of pods are open", {
          retryAfterSeconds: 1,
        });
      }
      // Without a resourceVersion, or with 0, a watch begins with all pods too, but nothing tells where they end: then the
      // snapshot is never completed, and nothing is forgotten for its sake.
      const snapshot = !resumes && coversNode(query, nodeName) ? judge.beginSnapshot(false) : undefined;
      if (resumedFrom !== undefined) {
        judge.resumeWatch(resumedFrom);
      }
      // Ends the upstream request whoever ends the watch: the kubelet (its signal, or cancelling the body) or we.
      const ending = new AbortController();
      const end = () => ending.abort();
      const sources = [signal, restarting.signal, closing.signal];
      for (const source of sources) {
        source.addEventListener("abort", end, { once: true });
        if (source.aborted) {
          end();
        }
      }
      open++;
      const release = () => {
        open--;
        for (const source of sources) {
          source.removeEventListener("abort", end);
        }
        end();
      };
      try {
        const answer = await upstream.send({
          method: "GET",
          path: PODS_PATH + queryText(query),
          headers: podRequestHeaders(),
          signal: ending.signal,
        });
        if (mode === "audit" && answer.status !== 200) {
          return unchanged(answer, relayed(answer.body, ending.signal, release, hear));
        }
        if (mode === "enforce") {
          const checked = await checkAnswer(answer, "pod-watch", log);
          if (!checked.ok) {
            release();
            return checked.response;
          }
        }
        const run: WatchRun = {
          snapshot,
          splitter: createLineSplitter(MAX_WATCH_LINE_BYTES),
          audited: true,
          ending: ending.signal,
        };
        const body = relayed(answer.body, ending.signal, release, hear, (chunk) => take(run, chunk));
        return mode === "audit"
          ? unchanged(answer, body)
          : new Response(body, { headers: { "content-type": "application/json" } });
      } catch (error) {
        release();
        throw error;
      }
    },
    restart() {
      restarting.abort();
      restarting = new AbortController();
    },
    close() {
      closing.abort();
    },
  };

  /**
   * Makes client-go begin anew. A reflector that gets 410 for a watch gives up that round, and after its backoff lists,
   * or watches with initial events, from the last resourceVersion it knows (`tools/cache/reflector.go`,
   * ListAndWatchWithContext); the kubelet's store is replaced by what it then gets, and no pod is restarted for it.
   */
  function expired(resourceVersion: string): Response {
    log.info(
      "watch-expired",
      "a watch resumes where this process has not been; the kubelet will list again",
      {
        resourceVersion: isResourceVersion(resourceVersion) ? resourceVersion : "(malformed)",
      },
    );
    return statusResponse(
      410,
      "Expired",
      "kubelet-proxy: the resourceVersion is not one that this process has served; list again",
    );
  }

  /** Handles a chunk, or the end (no chunk). Text comes back for what may be sent, and whether the watch ends. */
  async function take(run: WatchRun, chunk: Uint8Array | undefined): Promise<Piece> {
    if (mode === "audit") {
      return await audit(run, chunk);
    }
    const { lines, problem: cut } = linesOf(run.splitter, chunk);
    const events: WatchEvent[] = [];
    let problem = cut;
    for (const line of lines) {
      const decoded = decodeEvent(line, known);
      if (!decoded.ok) {
        problem = decoded.problem;
        break;
      }
      events.push(decoded.event);
      if (decoded.event.kind === "error") {
        // client-go reads no further (`tools/cache/reflector.go`, handleAnyWatch), so nothing more may be judged: what
        // is judged counts as known to the kubelet.
        break;
      }
    }
    let text = "";
    try {
      for await (const piece of show(run, events)) {
        text += piece;
      }
    } catch (error) {
      log.error("watch-failed", `an event could not be judged; the watch ends: ${messageOf(error)}`);
      return { bytes: new TextEncoder().encode(text), ended: true };
    }
    if (problem !== undefined) {
      log.error("watch-malformed", `an event is not passed on and the watch ends: ${problem}`);
    }
    return {
      bytes: new TextEncoder().encode(text),
      ended: problem !== undefined || events.at(-1)?.kind === "error" || chunk === undefined,
    };
  }

  /** Judges events in order; those between two bookmarks at once. */
  async function* show(run: WatchRun, events: readonly WatchEvent[]): AsyncGenerator<string> {
    let batch: Sighting[] = [];
    const judgeBatch = async () => {
      const sightings = batch;
      batch = [];
      const { moment } = judge;
      const showings = sightings.length === 0 ? [] : await judge.judge(sightings, run.snapshot);
      return showings.map((showing) => encodeShowing(run, showing, moment)).join("");
    };
    for (const event of events) {
      if (event.kind === "pod") {
        batch.push(event.sighting);
        continue;
      }
      yield await judgeBatch();
      if (event.kind === "error") {
        yield encodeEvent("ERROR", JSON.stringify(event.status));
        return;
      }
      const { moment } = judge;
      if (event.initialEventsEnd && run.snapshot !== undefined) {
        const { snapshot } = run;
        run.snapshot = undefined;
        await judge.completeSnapshot(snapshot);
      }
      remember(run, event.resourceVersion, moment);
      yield encodeEvent("BOOKMARK", JSON.stringify(bookmark(event)));
    }
    yield await judgeBatch();
  }

  /** Of a watch that has ended meanwhile, nothing is sent any more. */
  function remember(run: WatchRun, resourceVersion: string, moment: number): void {
    if (!run.ending.aborted) {
      served.add(resourceVersion, moment);
    }
  }

  function encodeShowing(run: WatchRun, showing: Showing, moment: number): string {
    switch (showing.kind) {
      case "hide":
        return "";
      case "show":
      case "remove":
        if (showing.resourceVersion !== undefined) {
          remember(run, showing.resourceVersion, moment);
        }
        return encodeEvent(
          showing.kind === "remove" ? "DELETED" : showing.known ? "MODIFIED" : "ADDED",
          showing.text,
        );
      default: {
        const never: never = showing;
        return never;
      }
    }
  }

  /** Passes on the chunk, and judges what it completes until something cannot be read. */
  async function audit(run: WatchRun, chunk: Uint8Array | undefined): Promise<Piece> {
    const piece: Piece = { bytes: chunk ?? new Uint8Array(0), ended: chunk === undefined };
    if (!run.audited) {
      return piece;
    }
    const { lines, problem } = linesOf(run.splitter, chunk);
    try {
      for (const line of lines) {
        const decoded = decodeEvent(line, known);
        if (!decoded.ok) {
          throw new TypeError(decoded.problem);
        }
        for await (const _text of show(run, [decoded.event]));
      }
      if (problem !== undefined) {
        throw new TypeError(problem);
      }
    } catch (error) {
      run.audited = false;
      log.error("watch-malformed", `an event would not be passed on: ${messageOf(error)}`);
    }
    return piece;
  }
}

/** A watch on its way. */
interface WatchRun {
  /** The initial events, until they end. */
  snapshot: Snapshot | undefined;
  readonly splitter: LineSplitter;
  /** In audit: still readable. */
  audited: boolean;
  readonly ending: AbortSignal;
}

/** What is to be sent, and whether the watch ends with it. */
interface Piece {
  bytes: Uint8Array;
  ended: boolean;
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
function relayed(
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
function linesOf(
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

function decodeEvent(line: Uint8Array, known: KnownPods): DecodedEvent {
  const parsed = parseObject(line, known.forDocument(POD_DEPTH));
  if (!parsed.ok) {
    return parsed;
  }
  const { type, object } = parsed.object;
  if (!isJsonObject(object)) {
    return { ok: false, problem: "it has no object" };
  }
  switch (type) {
    case "ADDED":
    case "MODIFIED":
    case "DELETED":
      return isKind(object, "Pod")
        ? {
          ok: true,
          event: { kind: "pod", sighting: { kind: type === "DELETED" ? "deleted" : "present", object } },
        }
        : { ok: false, problem: "its object is not a v1 Pod" };
    case "BOOKMARK":
      return decodeBookmark(object);
    case "ERROR":
      return isKind(object, "Status")
        ? { ok: true, event: { kind: "error", status: rebuildStatus(errorCode(object["code"]), object) } }
        : { ok: false, problem: "its object is not a v1 Status" };
    default:
      return { ok: false, problem: "its type is not one of a watch" };
  }
}

function decodeBookmark(object: JsonObject): DecodedEvent {
  if (!isKind(object, "Pod")) {
    return { ok: false, problem: "its object is not a v1 Pod" };
  }
  const metadata = objectAt(object, "metadata");
  const { resourceVersion } = metadata;
  if (!isResourceVersion(resourceVersion)) {
    return { ok: false, problem: "its resourceVersion is not a number" };
  }
  const initialEventsEnd = objectAt(metadata, "annotations")[INITIAL_EVENTS_END] === "true";
  return { ok: true, event: { kind: "bookmark", resourceVersion, initialEventsEnd } };
}

function bookmark(event: { resourceVersion: string; initialEventsEnd: boolean }): JsonObject {
  const { resourceVersion, initialEventsEnd } = event;
  return {
    kind: "Pod",
    apiVersion: "v1",
    metadata: {
      resourceVersion,
      ...(initialEventsEnd ? { annotations: { [INITIAL_EVENTS_END]: "true" } } : {}),
    },
  };
}

function encodeEvent(type: string, object: string): string {
  return `{"type":"${type}","object":${object}}\n`;
}

/** The code of a Status in an ERROR event; client-go decides by the reason, so any failure will do. */
function errorCode(code: JsonValue | undefined): number {
  return typeof code === "number" && Number.isInteger(code) && code >= 400 && code <= 599 ? code : 500;
}

/** What Go's strconv.ParseBool takes for true. */
function isTrue(text: string | null): boolean {
  return text !== null && ["1", "t", "T", "true", "TRUE", "True"].includes(text);
}
