/**
 * The gate that objects other than pods go through: what the API server says comes out judged and built again, or not
 * at all. One mechanism for all kinds; what differs stands in their table.
 *
 * | asked | an object that its rule refuses |
 * |---|---|
 * | get | 403, and the field |
 * | list | is left out, or the list is refused, as its kind says |
 * | watch | the event is dropped, so that the kubelet keeps the last good content; among the initial events as in a list |
 * | write | 502: the write has happened, its answer is not passed on |
 *
 * A deletion passes with the object's name, namespace and version alone, unless it has no proper name or is of another object than was
 * asked for.
 *
 * @module
 */
import { messageOf, type Problem } from "@signed-pods/shared/errors";
import { getOwn, isJsonObject, type JsonObject, objectAt } from "@signed-pods/shared/json";
import { isDnsLabel } from "@signed-pods/shared/pod/grammar";
import type { ContentKind } from "@signed-pods/shared/pod/object-content";
import type { Clock } from "../clock.ts";
import { createLineSplitter, type LineSplitter } from "../pods/json_lines.ts";
import type { KubeletRequest } from "../kubelet_request.ts";
import type { Log } from "../log.ts";
import type { Mode } from "../mode.ts";
import {
  badAnswer,
  checkAnswer,
  CONTINUE_TOKEN,
  jsonResponse,
  podRequestHeaders,
  queryText,
  readObject,
  unchanged,
} from "../pods/pod_answer.ts";
import { createServedVersions, isResourceVersion } from "../pods/served_versions.ts";
import { createSlots } from "../pods/slots.ts";
import { makeStatus, statusResponse, successStatus } from "../status.ts";
import type { Upstream } from "../upstream.ts";
import { createWatchSilence } from "../pods/watch_silence.ts";
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
import type { ObjectDenyCode } from "./object_deny_code.ts";
import type { JudgedObject, ObjectKind, ResourceName } from "./object_kind.ts";
import type { ObjectKinds } from "./object_kinds.ts";
import type { Arrival, PodReferences } from "./pod_references.ts";
import type { RefusalEvents } from "./refusal_events.ts";
import { createRefusalLog, printProblems } from "./refusal_log.ts";

/** Longest list, in bytes: 10,000 Services with long annotations stay below it. */
export const MAX_OBJECT_LIST_BYTES = 64 * 1024 * 1024;

/** Most objects in one page of a list. Clusters have some thousands of Services. */
export const MAX_OBJECT_LIST_ITEMS = 20_000;

/** Longest single object, in bytes; the same as a line of a watch may have. */
export const MAX_OBJECT_BYTES: number = MAX_WATCH_LINE_BYTES;

/** Lists that are read at the same time: each may be as long as one may be. A kubelet reads five at its start. */
export const MAX_CONCURRENT_OBJECT_LISTS = 8;

/** Requests for single objects that are under way at the same time; a kubelet at its start asks for some hundreds. */
export const MAX_CONCURRENT_OBJECTS = 512;

/** Resource versions that are remembered at least, of all watches together: one a minute from each of some hundred. */
export const MAX_SERVED_OBJECT_VERSIONS = 50_000;

/** Streams of which is remembered that the kubelet was made to ask again; with one more, all are asked for again. */
export const MAX_REFRESHED_STREAMS = 10_000;

/** A request for objects as the route describes it. */
export interface ObjectRequest {
  verb: "list" | "watch" | "get" | "write";
  resource: ResourceName;
  /** Group and version of the path, for example `v1` or `node.k8s.io/v1`. */
  apiVersion: string;
  /** The path, without its query. */
  path: string;
  query: URLSearchParams;
  /** The namespace in the path, if there is one. */
  namespace?: string;
  /** The only object that is asked for, if it is one. */
  name?: string;
}

/** Serves the object routes. Whatever the API server answers is answered here; what `upstream` throws is thrown on. */
export interface ObjectGate {
  answer(request: KubeletRequest, asked: ObjectRequest, signal: AbortSignal): Promise<Response>;
  /** Ends all watches, cleanly for the kubelet. */
  close(): void;
  /** Makes the kubelet ask again for what it watches: all of a resource, or one object. */
  refresh(resource: ResourceName, namespace?: string, name?: string): void;
}

/** Counts what is refused. */
export interface RefusalObserver {
  /** An object is refused that was not before, or for another reason than before. */
  refused(resource: ResourceName, code: ObjectDenyCode): void;
}

/** What a gate is made of. */
export interface ObjectGateOptions {
  upstream: Upstream;
  kinds: ObjectKinds;
  log: Log;
  /** `audit` judges, and passes on the bytes that came. */
  mode: Mode;
  clock: Clock;
  /** What pods refer to; without it content is judged by its rule alone. */
  references?: PodReferences;
  /** Tells those who look at an object that it is refused. */
  events?: RefusalEvents;
  /** Is told what is refused; nothing depends on it. */
  observer?: RefusalObserver;
}

/** What comes of one object. */
type Showing = { ok: true; object: JsonObject; text: string; resourceVersion: string | undefined } | {
  ok: false;
  problem: string;
};

/** Makes the gate of one proxy. */
export function createObjectGate(options: ObjectGateOptions): ObjectGate {
  const { upstream, kinds, log, mode, clock, references, events, observer } = options;
  const closing = new AbortController();
  const refusals = createRefusalLog(log, mode);
  const served = createServedVersions(MAX_SERVED_OBJECT_VERSIONS);
  const lists = createSlots(MAX_CONCURRENT_OBJECT_LISTS, "lists of objects", log);
  /** How often the kubelet was made to ask again, by stream: what was served before is no place to resume at. */
  const epochs = new Map<string, number>();
  let moment = 0;
  /** What ends the watches that are open, by stream. */
  const open = new Map<string, Set<() => void>>();
  const singles = createSlots(MAX_CONCURRENT_OBJECTS, "requests for single objects", log);

  return {
    answer(request, asked, signal) {
      switch (asked.verb) {
        case "watch":
          return watch(asked, signal);
        case "list":
          // A list of one object is as long as the object may be.
          return asked.name === undefined
            ? lists.run(() => list(asked, signal))
            : singles.run(() => listContent(asked, signal));
        case "get":
          return singles.run(() => get(asked, signal));
        case "write":
          return singles.run(() => write(request, asked, signal));
        default: {
          const never: never = asked.verb;
          return never;
        }
      }
    },
    close: () => closing.abort(),
    refresh(resource, namespace, name) {
      const stream = streamOf(resource, namespace, name);
      epochs.set(stream, (epochs.get(stream) ?? 0) + 1);
      if (epochs.size > MAX_REFRESHED_STREAMS) {
        // Whoever resumes anywhere lists again.
        epochs.clear();
        served.forgetUntil(++moment);
      }
      for (const end of open.get(stream) ?? []) {
        end();
      }
    },
  };

  function versionKey(asked: ObjectRequest, resourceVersion: string): string {
    const stream = streamOf(asked.resource, asked.namespace, asked.name);
    const { path, query } = asked;
    return `${path}?${query.get("fieldSelector") ?? ""}#${epochs.get(stream) ?? 0}@${resourceVersion}`;
  }

  /** Judges one object; what is refused is logged when it is news. */
  async function judge(asked: ObjectRequest, object: JsonObject, arrival: Arrival): Promise<Showing> {
    const kind = kinds[asked.resource];
    const misplaced = misplacement(kind, asked, object);
    const judged = misplaced === undefined
      ? kind.judge(object)
      : { ok: false as const, code: "object-misplaced" as const, problems: [misplaced] };
    const { name, namespace, resourceVersion } = objectAt(object, "metadata");
    const subject = { resource: asked.resource, namespace, name };
    const content = judged.ok ? await judgeContent(asked, object, judged.object, arrival) : judged;
    if (content.ok) {
      refusals.admitted(subject);
      noteReferences(asked, content.object);
      return {
        ok: true,
        object: content.object,
        text: JSON.stringify({ kind: kind.kind, apiVersion: apiVersionOf(kind, asked), ...content.object }),
        resourceVersion: isResourceVersion(resourceVersion) ? resourceVersion : undefined,
      };
    }
    const problem = printProblems(content.problems);
    if (refusals.refused(subject, content.code, content.problems)) {
      observer?.refused(asked.resource, content.code);
      if (mode === "enforce") {
        const { uid } = objectAt(object, "metadata");
        events?.tell(
          { apiVersion: apiVersionOf(kind, asked), kind: kind.kind, namespace, name, uid },
          problem,
        );
      }
    }
    return { ok: false, problem };
  }

  /** What the rule of its kind has let through must also be what the owners of the pods signed that refer to it. */
  async function judgeContent(
    asked: ObjectRequest,
    object: JsonObject,
    built: JsonObject,
    arrival: Arrival,
  ): Promise<JudgedObject> {
    const contentKind = CONTENT_KINDS.get(asked.resource);
    if (references === undefined || contentKind === undefined) {
      return { ok: true, object: built };
    }
    const metadata = objectAt(built, "metadata");
    const namespace = String(metadata["namespace"]);
    const name = String(metadata["name"]);
    if (asked.verb === "get" && contentKind === "Secret" && references.isUsedByVolume(namespace, name)) {
      return { ok: true, object: built };
    }
    const judged = await references.judge(contentKind, namespace, name, object, arrival);
    return judged.ok ? { ok: true, object: { metadata, ...judged.content } } : {
      ok: false,
      code: judged.code,
      problems: judged.differences.map(({ path, kind, detail, found }) => ({
        path,
        message: detail ?? (kind === "missing" ? "is missing" : `is not what was signed: ${found ?? kind}`),
      })),
    };
  }

  /** What others have to know of an object that is passed on. */
  function noteReferences(asked: ObjectRequest, object: JsonObject): void {
    if (asked.resource === "runtimeclasses") {
      references?.runtimeClassShown(...handlerOf(object));
    }
    if (asked.resource === "persistentvolumes") {
      for (const { namespace, name } of secretsOf(object)) {
        references?.usedByVolume(namespace, name);
      }
    }
  }

  /**
   * A list, or the initial events, has been told to its end: only now the kubelet goes by it, and no more by what it had.
   *
   * @param shown what was in it
   */
  function noteCompleted({ resource, namespace, name }: ObjectRequest, shown: readonly JsonObject[]): void {
    const contentKind = CONTENT_KINDS.get(resource);
    if (contentKind !== undefined && namespace !== undefined && name !== undefined) {
      references?.completed(contentKind, namespace, name);
    }
    if (resource === "runtimeclasses") {
      references?.runtimeClassesListed(new Map(shown.map(handlerOf)));
    }
  }

  /** Whoever asks for an object may hold it for a while, whatever the answer. */
  function note({ resource, namespace, name }: ObjectRequest): void {
    const contentKind = CONTENT_KINDS.get(resource);
    if (contentKind !== undefined && namespace !== undefined && name !== undefined) {
      references?.asked(contentKind, namespace, name);
    }
  }

  /** Until a list is answered the kubelet holds what it had, however long that takes. */
  async function listContent(asked: ObjectRequest, signal: AbortSignal): Promise<Response> {
    const end = watching(asked);
    try {
      return await list(asked, signal);
    } finally {
      end?.(false);
    }
  }

  /** Tells that the kubelet holds an object's content, until the function that comes back is called. */
  function watching({ resource, namespace, name }: ObjectRequest): ((left: boolean) => void) | undefined {
    const contentKind = CONTENT_KINDS.get(resource);
    return contentKind === undefined || namespace === undefined || name === undefined
      ? undefined
      : references?.watching(contentKind, namespace, name);
  }

  async function list(asked: ObjectRequest, signal: AbortSignal): Promise<Response> {
    const kind = kinds[asked.resource];
    note(asked);
    const answer = await read(asked, signal);
    const route = routeName(asked);
    if (mode === "audit") {
      return await audit(answer, MAX_OBJECT_LIST_BYTES, async (object) => {
        const decoded = decodeList(object, asked, kind);
        if (!decoded.ok) {
          throw new TypeError(decoded.problem);
        }
        for (const item of decoded.items) {
          await judge(asked, item, "when-complete");
        }
      }, route);
    }
    const checked = await checkAnswer(answer, route, log);
    if (!checked.ok) {
      return checked.response;
    }
    const maxBytes = asked.name === undefined ? MAX_OBJECT_LIST_BYTES : MAX_OBJECT_BYTES;
    const body = await readObject(checked.response.body, maxBytes);
    const decoded = body.ok ? decodeList(body.object, asked, kind) : body;
    if (!decoded.ok) {
      return badAnswer(route, decoded.problem, log, signal);
    }
    const items: string[] = [];
    const shown: JsonObject[] = [];
    for (const item of decoded.items) {
      const showing = await judge(asked, item, "when-complete");
      if (showing.ok) {
        items.push(showing.text);
        shown.push(showing.object);
      } else if (kind.inLists === "refused") {
        return forbidden(asked, showing.problem);
      }
    }
    const { resourceVersion, continueToken } = decoded;
    served.add(versionKey(asked, resourceVersion), moment);
    if (continueToken === undefined && !asked.query.get("continue")) {
      noteCompleted(asked, shown);
    }
    const metadata = JSON.stringify({
      resourceVersion,
      ...(continueToken === undefined ? {} : { continue: continueToken }),
    });
    return jsonResponse(
      `{"kind":"${kind.kind}List","apiVersion":"${asked.apiVersion}","metadata":${metadata},"items":[${
        items.join(",")
      }]}`,
      200,
    );
  }

  async function get(asked: ObjectRequest, signal: AbortSignal): Promise<Response> {
    const kind = kinds[asked.resource];
    note(asked);
    const answer = await read(asked, signal);
    const route = routeName(asked);
    if (mode === "audit") {
      return await audit(
        answer,
        MAX_OBJECT_BYTES,
        async (object) => void await judge(asked, object, "on-its-own"),
        route,
      );
    }
    const checked = await checkAnswer(answer, route, log);
    if (!checked.ok) {
      return checked.response;
    }
    const body = await readObject(checked.response.body, MAX_OBJECT_BYTES);
    if (!body.ok) {
      return badAnswer(route, body.problem, log, signal);
    }
    if (!isOfKind(body.object, asked.apiVersion, kind.kind)) {
      return badAnswer(route, `it is not a ${asked.apiVersion} ${kind.kind}`, log);
    }
    const showing = await judge(asked, body.object, "on-its-own");
    return showing.ok ? jsonResponse(showing.text, 200) : forbidden(asked, showing.problem);
  }

  /** Writes go up as they are. What comes back is the object as it is now, so it is judged like one that was read. */
  async function write(
    request: KubeletRequest,
    asked: ObjectRequest,
    signal: AbortSignal,
  ): Promise<Response> {
    const kind = kinds[asked.resource];
    const headers = podRequestHeaders();
    for (const name of ["content-type", "user-agent"]) {
      const value = request.headers.get(name);
      if (value !== null) {
        headers.set(name, value);
      }
    }
    const answer = await upstream.send({
      method: request.method,
      path: asked.path + queryText(asked.query),
      headers,
      body: request.body,
      signal,
    });
    const route = routeName(asked);
    if (mode === "audit") {
      return unchanged(answer);
    }
    const checked = await checkAnswer(answer, route, log, [200, 201, 202]);
    if (!checked.ok) {
      return checked.response;
    }
    const body = await readObject(checked.response.body, MAX_OBJECT_BYTES);
    if (!body.ok) {
      return badAnswer(route, body.problem, log, signal);
    }
    if (isOfKind(body.object, "v1", "Status") && body.object["status"] === "Success") {
      return jsonResponse(JSON.stringify(successStatus()), answer.status);
    }
    if (!isOfKind(body.object, apiVersionOf(kind, asked), kind.kind)) {
      return badAnswer(
        route,
        `it is neither a ${apiVersionOf(kind, asked)} ${kind.kind} nor a Status of success`,
        log,
      );
    }
    const showing = await judge(asked, body.object, "on-its-own");
    return showing.ok
      ? jsonResponse(showing.text, answer.status)
      : badAnswer(route, `${kind.kind}: ${showing.problem}`, log);
  }

  async function watch(asked: ObjectRequest, signal: AbortSignal): Promise<Response> {
    const { query } = asked;
    note(asked);
    const initialEvents = isTrue(query.get("sendInitialEvents"));
    const resumeAt = query.get("resourceVersion") ?? "";
    const resumes = !initialEvents && resumeAt !== "" && resumeAt !== "0";
    if (mode === "enforce" && resumes && served.momentOf(versionKey(asked, resumeAt)) === undefined) {
      // What the kubelet holds was not judged by this process, or by other rules: it lists again.
      return statusResponse(
        410,
        "Expired",
        "kubelet-proxy: the resourceVersion is not one that this process has served; list again",
      );
    }
    const ending = new AbortController();
    const end = () => ending.abort();
    const sources = [signal, closing.signal];
    for (const source of sources) {
      source.addEventListener("abort", end, { once: true });
      if (source.aborted) {
        end();
      }
    }
    const stream = streamOf(asked.resource, asked.namespace, asked.name);
    const ends = open.get(stream) ?? new Set();
    open.set(stream, ends.add(end));
    const unwatch = watching(asked);
    const release = () => {
      for (const source of sources) {
        source.removeEventListener("abort", end);
      }
      ends.delete(end);
      if (ends.size === 0 && open.get(stream) === ends) {
        open.delete(stream);
      }
      unwatch?.(signal.aborted);
      end();
    };
    const silence = (onSilence: () => void) => createWatchSilence(clock, log, asked.path, onSilence);
    try {
      const answer = await read(asked, ending.signal);
      if (mode === "audit" && answer.status !== 200) {
        return unchanged(answer, relayed(answer, { end: ending.signal, release, silence }));
      }
      if (mode === "enforce") {
        const checked = await checkAnswer(answer, routeName(asked), log);
        if (!checked.ok) {
          release();
          return checked.response;
        }
      }
      const run: WatchRun = {
        initial: initialEvents,
        shown: [],
        complete: undefined,
        audited: true,
        splitter: createLineSplitter(MAX_WATCH_LINE_BYTES),
      };
      const body = relayed(answer, {
        end: ending.signal,
        release,
        silence,
        take: (chunks) => mode === "audit" ? auditChunks(asked, run, chunks) : take(asked, run, chunks),
      });
      return mode === "audit"
        ? unchanged(answer, body)
        : new Response(body, { headers: { "content-type": "application/json" } });
    } catch (error) {
      release();
      throw error;
    }
  }

  /** Handles chunks, or the end (no chunks). */
  async function take(
    asked: ObjectRequest,
    run: WatchRun,
    chunks: readonly Uint8Array[] | undefined,
  ): Promise<Piece> {
    const kind = kinds[asked.resource];
    const { lines, problem: cut } = linesOf(run.splitter, chunks);
    let text = "";
    let problem = cut;
    let ended = chunks === undefined;
    try {
      for (const line of lines) {
        const decoded = decodeEvent(line, asked.apiVersion, kind.kind);
        if (!decoded.ok) {
          problem = decoded.problem;
          break;
        }
        const told = await tell(asked, run, decoded.event);
        text += told.text;
        if (told.ended) {
          ended = true;
          problem = undefined;
          break;
        }
      }
    } catch (error) {
      problem = `it could not be judged: ${messageOf(error)}`;
    }
    if (problem !== undefined) {
      ended = true;
      log.error("watch-malformed", `an event is not passed on and the watch ends: ${problem}`, {
        path: asked.path,
      });
    }
    return { bytes: new TextEncoder().encode(text), ended, sent: () => noteSent(asked, run) };
  }

  /** What was judged of a watch is on its way. */
  function noteSent(asked: ObjectRequest, run: WatchRun): void {
    if (run.complete !== undefined) {
      noteCompleted(asked, run.complete);
      run.complete = undefined;
    }
    if (run.initial || run.shown.length === 0) {
      return;
    }
    if (asked.resource === "runtimeclasses") {
      for (const object of run.shown) {
        references?.runtimeClassSent(...handlerOf(object));
      }
    } else {
      noteCompleted(asked, run.shown);
    }
    run.shown = [];
  }

  /** What the kubelet is told of one event, and whether the watch ends with it. */
  async function tell(
    asked: ObjectRequest,
    run: WatchRun,
    event: ReadEvent,
  ): Promise<{ text: string; ended: boolean }> {
    const kind = kinds[asked.resource];
    switch (event.kind) {
      case "error":
        return { text: encodeEvent("ERROR", JSON.stringify(event.status)), ended: true };
      case "bookmark":
        served.add(versionKey(asked, event.resourceVersion), moment);
        if (run.initial && event.initialEventsEnd) {
          run.initial = false;
          run.complete = run.shown;
          run.shown = [];
        }
        return { text: encodeBookmark(event, asked.apiVersion, kind.kind), ended: false };
      case "deleted": {
        const gone = deletedObject(kind, asked, event.object);
        if (gone === undefined) {
          log.warn("object-refused", "a deletion without a proper name is not passed on", {
            path: asked.path,
            code: "object-malformed",
          });
          observer?.refused(asked.resource, "object-malformed");
          return { text: "", ended: false };
        }
        served.add(versionKey(asked, gone.resourceVersion), moment);
        refusals.admitted({ resource: asked.resource, namespace: gone.namespace, name: gone.name });
        const contentKind = CONTENT_KINDS.get(asked.resource);
        if (contentKind !== undefined && gone.namespace !== undefined) {
          references?.deleted(contentKind, gone.namespace, gone.name);
        }
        return { text: encodeEvent("DELETED", gone.text), ended: false };
      }
      case "present": {
        const showing = await judge(asked, event.object, "when-complete");
        if (showing.ok) {
          if (asked.resource === "runtimeclasses" || CONTENT_KINDS.has(asked.resource)) {
            run.shown.push(showing.object);
          }
          if (showing.resourceVersion !== undefined) {
            served.add(versionKey(asked, showing.resourceVersion), moment);
          }
          // To a reflector both mean the same: this is the object from now on.
          return { text: encodeEvent(run.initial ? "ADDED" : "MODIFIED", showing.text), ended: false };
        }
        if (run.initial && kind.inLists === "refused") {
          const status = makeStatus(403, "Forbidden", refusalMessage(asked, showing.problem));
          return { text: encodeEvent("ERROR", JSON.stringify(status)), ended: true };
        }
        return { text: "", ended: false };
      }
      default: {
        const never: never = event;
        return never;
      }
    }
  }

  /** Passes on the chunks, and judges what they complete until something cannot be read. */
  async function auditChunks(
    asked: ObjectRequest,
    run: WatchRun,
    chunks: readonly Uint8Array[] | undefined,
  ): Promise<Piece> {
    if (run.audited) {
      run.audited = !(await take(asked, run, chunks)).ended;
    }
    return { bytes: joined(chunks ?? []), ended: chunks === undefined };
  }

  function read(asked: ObjectRequest, signal: AbortSignal): Promise<Response> {
    return upstream.send({
      method: "GET",
      path: asked.path + queryText(asked.query),
      headers: podRequestHeaders(),
      signal,
    });
  }

  /** Passes everything on as it came, and judges it if it can be read. */
  async function audit(
    answer: Response,
    maxBytes: number,
    judgeAll: (object: JsonObject) => Promise<void>,
    route: string,
  ): Promise<Response> {
    if (answer.status !== 200 || answer.body === null) {
      return unchanged(answer);
    }
    const [copy, original] = answer.body.tee();
    const body = await readObject(copy, maxBytes);
    let problem = body.ok ? undefined : body.problem;
    if (body.ok) {
      try {
        await judgeAll(body.object);
      } catch (error) {
        problem = messageOf(error);
      }
    }
    if (problem !== undefined) {
      log.error("answer-refused", `an answer of the API server would not be passed on: ${problem}`, {
        route,
      });
    }
    return unchanged(answer, original);
  }
}

/** The kinds whose content pods' owners sign. */
const CONTENT_KINDS: ReadonlyMap<ResourceName, ContentKind> = new Map<ResourceName, ContentKind>([
  ["configmaps", "ConfigMap"],
  ["secrets", "Secret"],
]);

/** The Secrets that a volume's source names with their namespace, for its driver. */
function secretsOf(volume: JsonObject): { namespace: string; name: string }[] {
  return Object.values(objectAt(volume, "spec")).filter(isJsonObject).flatMap((source) =>
    Object.values(source).filter(isJsonObject).flatMap(({ namespace, name }) =>
      typeof namespace === "string" && typeof name === "string" ? [{ namespace, name }] : []
    )
  );
}

/** A watch on its way. */
interface WatchRun {
  /** The initial events have not ended. */
  initial: boolean;
  /** What was passed on of it, and not sent, or not complete; of kinds that pods are judged by. */
  shown: JsonObject[];
  /** All that the initial events held, when they have ended and that has not been sent. */
  complete: JsonObject[] | undefined;
  /** In audit: still readable. */
  audited: boolean;
  readonly splitter: LineSplitter;
}

/** A RuntimeClass's name and handler. */
function handlerOf(runtimeClass: JsonObject): [name: string, handler: string] {
  return [String(objectAt(runtimeClass, "metadata")["name"]), String(runtimeClass["handler"])];
}

function routeName({ resource, verb }: ObjectRequest): string {
  return `${resource}-${verb}`;
}

function streamOf(resource: ResourceName, namespace: string | undefined, name: string | undefined): string {
  return `${resource}/${namespace ?? ""}/${name ?? ""}`;
}

/** Subresources may be of another group than the object in their path. */
function apiVersionOf(kind: ObjectKind, asked: ObjectRequest): string {
  return kind.apiVersion ?? asked.apiVersion;
}

function isOfKind(object: JsonObject, apiVersion: string, kind: string): boolean {
  return object["apiVersion"] === apiVersion && object["kind"] === kind;
}

type DecodedList =
  | { ok: true; resourceVersion: string; continueToken: string | undefined; items: JsonObject[] }
  | { ok: false; problem: string };

/** Reads a list; its items are not judged yet. */
function decodeList(object: JsonObject, { apiVersion }: ObjectRequest, { kind }: ObjectKind): DecodedList {
  if (!isOfKind(object, apiVersion, `${kind}List`)) {
    return { ok: false, problem: `it is not a ${apiVersion} ${kind}List` };
  }
  const { resourceVersion, continue: token } = objectAt(object, "metadata");
  if (!isResourceVersion(resourceVersion)) {
    return { ok: false, problem: "its resourceVersion is not a number" };
  }
  if (token !== undefined && token !== "" && (typeof token !== "string" || !CONTINUE_TOKEN.test(token))) {
    return { ok: false, problem: "its continue token is not one that Kubernetes makes" };
  }
  const found = getOwn(object, "items");
  if (!Array.isArray(found)) {
    return { ok: false, problem: "it has no list of items" };
  }
  if (found.length > MAX_OBJECT_LIST_ITEMS) {
    return { ok: false, problem: `it has more than ${MAX_OBJECT_LIST_ITEMS} items` };
  }
  const items: JsonObject[] = [];
  for (const item of found) {
    // Items have no kind of their own: the list's says it. Tools that copy lists add it.
    if (
      !isJsonObject(item) || (item["kind"] ?? kind) !== kind ||
      (item["apiVersion"] ?? apiVersion) !== apiVersion
    ) {
      return { ok: false, problem: `item ${items.length} is not a ${kind}` };
    }
    items.push(item);
  }
  return { ok: true, resourceVersion, continueToken: token === "" ? undefined : token, items };
}

/** What is wrong with where an object says that it is; nothing if it is what was asked for. */
function misplacement(kind: ObjectKind, asked: ObjectRequest, object: JsonObject): Problem | undefined {
  const { name, namespace } = objectAt(object, "metadata");
  if (asked.name !== undefined && name !== asked.name) {
    return { path: "metadata.name", message: "is not the name that was asked for" };
  }
  if (asked.namespace !== undefined && namespace !== asked.namespace) {
    return { path: "metadata.namespace", message: "is not the namespace that was asked for" };
  }
  if (!kind.namespaced && namespace !== undefined && namespace !== "") {
    return { path: "metadata.namespace", message: `is there, and a ${kind.kind} has none` };
  }
  return undefined;
}

/** Longest name that any object may have (`validation.NameIsDNSSubdomain`), in characters. */
const MAX_NAME_LENGTH = 253;

/**
 * The name of an object that is gone. A reflector looks for no more in it. The name's grammar is no matter here: what
 * was never shown cannot be taken away.
 */
function deletedObject(
  kind: ObjectKind,
  asked: ObjectRequest,
  object: JsonObject,
): { text: string; resourceVersion: string; name: string; namespace: string | undefined } | undefined {
  const { name, namespace, resourceVersion } = objectAt(object, "metadata");
  if (
    misplacement(kind, asked, object) !== undefined || typeof name !== "string" || name === "" ||
    name.length > MAX_NAME_LENGTH || !isResourceVersion(resourceVersion) ||
    (kind.namespaced && (typeof namespace !== "string" || !isDnsLabel(namespace)))
  ) {
    return undefined;
  }
  const place = kind.namespaced && typeof namespace === "string" ? { namespace } : {};
  const metadata = { name, ...place, resourceVersion };
  return {
    text: JSON.stringify({ kind: kind.kind, apiVersion: asked.apiVersion, metadata }),
    resourceVersion,
    name,
    namespace: place.namespace,
  };
}

function refusalMessage({ resource, name = "" }: ObjectRequest, problem: string): string {
  return `kubelet-proxy: ${resource} "${name}" is not passed on: ${problem}`;
}

function forbidden(asked: ObjectRequest, problem: string): Response {
  return statusResponse(403, "Forbidden", refusalMessage(asked, problem));
}
