/**
 * Watches of pods: one JSON line in, at most one built JSON line out, in order.
 *
 * Source: Kubernetes API Concepts, "Efficient detection of changes", "Watch bookmarks" and "Streaming lists".
 *
 * @module
 */
import { messageOf } from "@signed-pods/shared/errors";
import type { Clock } from "../clock.ts";
import { createLineSplitter, type LineSplitter } from "./json_lines.ts";
import type { Judge, Showing, Sighting, Snapshot } from "./judge.ts";
import type { KnownPods } from "./known_pods.ts";
import type { Log } from "../log.ts";
import type { Mode } from "../mode.ts";
import { checkAnswer, podRequestHeaders, queryText, unchanged } from "./pod_answer.ts";
import { coversNode } from "./pod_list.ts";
import { isResourceVersion, type ServedVersions } from "./served_versions.ts";
import { makeStatus, statusResponse } from "../status.ts";
import { stoppingPod } from "./stopping.ts";
import type { Upstream } from "../upstream.ts";
import { createWatchSilence } from "./watch_silence.ts";
import {
  decodeEvent,
  encodeBookmark,
  encodeEvent,
  isTrue,
  joined,
  linesOf,
  MAX_WATCH_LINE_BYTES,
  type Piece,
  type ReadEvent,
  relayed,
} from "../watch_stream.ts";

/** Watches that are open at the same time. A kubelet has one of pods; a few more end by time-out. */
export const MAX_OPEN_WATCHES = 32;

/** Around the pod of an event there is the event. */
const POD_DEPTH = 1;

const PODS_PATH = "/api/v1/pods";

const encoder = new TextEncoder();

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

/** Makes the server of watches. */
export function createPodWatches(options: PodWatchOptions): PodWatches {
  const { upstream, known, judge, served, log, mode, nodeName, clock } = options;
  const closing = new AbortController();
  let restarting = new AbortController();
  let open = 0;
  const silence = (onSilence: () => void) => createWatchSilence(clock, log, PODS_PATH, onSilence);

  return {
    async watch(query, signal) {
      const initialEvents = isTrue(query.get("sendInitialEvents"));
      const resumeAt = query.get("resourceVersion") ?? "";
      const resumes = !initialEvents && resumeAt !== "" && resumeAt !== "0";
      const resumedFrom = resumes ? served.momentOf(resumeAt) : undefined;
      if (mode === "enforce" && resumes && resumedFrom === undefined) {
        return expired(query, resumeAt);
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
      const restart = restarting.signal;
      const sources = [signal, restart, closing.signal];
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
          return unchanged(answer, relayed(answer, { end: ending.signal, release, silence }));
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
          leaving: new Set(),
          splitter: createLineSplitter(MAX_WATCH_LINE_BYTES),
          audited: true,
          ending: ending.signal,
        };
        const body = relayed(answer, {
          end: ending.signal,
          release,
          silence,
          take: (chunks) => mode === "audit" ? audit(run, chunks) : take(run, chunks),
        });
        return mode === "audit"
          ? unchanged(answer, body)
          : new Response(body, { headers: { "content-type": "application/json" } });
      } catch (error) {
        release();
        if (resumes && restart.aborted && !signal.aborted) {
          // The API server has not answered; what the kubelet has to know does not depend on it.
          return expired(query, resumeAt);
        }
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
   *
   * What is being stopped is told first: the list may take as long as the API server likes.
   */
  function expired(query: URLSearchParams, resourceVersion: string): Response {
    log.info(
      "watch-expired",
      "a watch resumes where this process has not been; the kubelet will list again",
      {
        resourceVersion: isResourceVersion(resourceVersion) ? resourceVersion : "(malformed)",
      },
    );
    const message = "kubelet-proxy: the resourceVersion is not one that this process has served; list again";
    const stopping = isResourceVersion(resourceVersion) && coversNode(query, nodeName)
      ? judge.stoppingEntries()
      : [];
    if (stopping.length === 0) {
      return statusResponse(410, "Expired", message);
    }
    const status = makeStatus(410, "Expired", message);
    const events = ReadableStream.from(function* () {
      for (const entry of stopping) {
        const pod = stoppingPod(entry, { metadata: { resourceVersion } }, "shown");
        yield encodeEvent("MODIFIED", JSON.stringify(pod));
      }
      yield encodeEvent("ERROR", JSON.stringify(status));
    }());
    return new Response(events.pipeThrough(new TextEncoderStream()), {
      headers: { "content-type": "application/json" },
    });
  }

  /** Handles chunks, or the end (no chunks). Text comes back for what may be sent, and whether the watch ends. */
  function take(run: WatchRun, chunks: readonly Uint8Array[] | undefined): Piece | Promise<Piece> {
    const { lines, problem: cut } = linesOf(run.splitter, chunks);
    const events: ReadEvent[] = [];
    let problem = cut;
    for (const line of lines) {
      const decoded = decodeEvent(line, "v1", "Pod", known.forDocument(POD_DEPTH));
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
    const shown: string[] = [];
    const sent = () => judge.sent(run.leaving);
    const piece = (): Piece => {
      if (problem !== undefined) {
        log.error("watch-malformed", `an event is not passed on and the watch ends: ${problem}`);
      }
      const ended = problem !== undefined || events.at(-1)?.kind === "error" || chunks === undefined;
      return { bytes: encoder.encode(shown.join("")), ended, sent };
    };
    const failed = (error: unknown): Piece => {
      log.error("watch-failed", `an event could not be judged; the watch ends: ${messageOf(error)}`);
      return { bytes: encoder.encode(shown.join("")), ended: true, sent };
    };
    try {
      const count = showAtOnce(run, events, shown);
      return count === events.length ? piece() : show(run, events.slice(count), shown).then(piece, failed);
    } catch (error) {
      return failed(error);
    }
  }

  /**
   * Judges events in order until one has to be waited for.
   *
   * @returns how many were judged
   */
  function showAtOnce(run: WatchRun, events: readonly ReadEvent[], shown: string[]): number {
    let { moment } = judge;
    for (const [index, event] of events.entries()) {
      if (event.kind === "bookmark" && !event.initialEventsEnd) {
        moment = judge.moment;
        showBookmark(run, event, moment, shown);
        continue;
      }
      const showing = event.kind === "present"
        ? judge.judgeAtOnce(event, run.snapshot, run.leaving)
        : undefined;
      if (showing === undefined) {
        return index;
      }
      shown.push(encodeShowing(run, showing, moment));
    }
    return events.length;
  }

  /**
   * Judges events in order; those between two bookmarks at once. Of a watch that has ended meanwhile, nothing more is judged.
   *
   * @param shown gets what may be sent, also if it fails behind that
   */
  async function show(run: WatchRun, events: readonly ReadEvent[], shown: string[]): Promise<void> {
    const batch: Sighting[] = [];
    const judgeBatch = async () => {
      const { moment } = judge;
      for (const showing of await judge.judge(batch, run.snapshot, run.leaving)) {
        shown.push(encodeShowing(run, showing, moment));
      }
    };
    for (const event of events) {
      if (run.ending.aborted) {
        // The kubelet is not told of it, and may be getting a list by now.
        return;
      }
      if (event.kind === "present" || event.kind === "deleted") {
        batch.push(event);
        continue;
      }
      if (batch.length > 0) {
        await judgeBatch();
      }
      if (event.kind === "error") {
        shown.push(encodeEvent("ERROR", JSON.stringify(event.status)));
        return;
      }
      const { moment } = judge;
      if (event.initialEventsEnd && run.snapshot !== undefined) {
        const { snapshot } = run;
        run.snapshot = undefined;
        await judge.completeSnapshot(snapshot, run.leaving);
      }
      showBookmark(run, event, moment, shown);
    }
    if (batch.length > 0) {
      await judgeBatch();
    }
  }

  function showBookmark(
    run: WatchRun,
    event: ReadEvent & { kind: "bookmark" },
    moment: number,
    shown: string[],
  ): void {
    remember(run, event.resourceVersion, moment);
    shown.push(encodeBookmark(event, "v1", "Pod"));
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

  /** Passes on the chunks, and judges what they complete until something cannot be read. */
  async function audit(run: WatchRun, chunks: readonly Uint8Array[] | undefined): Promise<Piece> {
    const piece: Piece = {
      bytes: joined(chunks ?? []),
      ended: chunks === undefined,
      sent: () => judge.sent(run.leaving),
    };
    if (!run.audited) {
      return piece;
    }
    const { lines, problem } = linesOf(run.splitter, chunks);
    try {
      for (const line of lines) {
        const decoded = decodeEvent(line, "v1", "Pod", known.forDocument(POD_DEPTH));
        if (!decoded.ok) {
          throw new TypeError(decoded.problem);
        }
        await show(run, [decoded.event], []);
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
  /** Pods that are gone, or ended, by events that have been judged and have yet to be sent. */
  readonly leaving: Set<string>;
  readonly splitter: LineSplitter;
  /** In audit: still readable. */
  audited: boolean;
  readonly ending: AbortSignal;
}
