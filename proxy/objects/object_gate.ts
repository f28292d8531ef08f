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
 * A deletion always passes, with the object's name alone.
 *
 * @module
 */
import type { Problem } from "@signed-pods/shared/errors";
import { getOwn, isJsonObject, type JsonObject, objectAt } from "@signed-pods/shared/json";
import { isDnsLabel } from "@signed-pods/shared/pod/grammar";
import type { Clock } from "../clock.ts";
import { createLineSplitter, type LineSplitter } from "../json_lines.ts";
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
} from "../pod_answer.ts";
import { createServedVersions, isResourceVersion } from "../served_versions.ts";
import { createSlots } from "../slots.ts";
import { makeStatus, statusResponse, successStatus } from "../status.ts";
import type { Upstream } from "../upstream.ts";
import { afterSilence } from "../watch_silence.ts";
import {
  decodeEvent,
  encodeBookmark,
  encodeEvent,
  isTrue,
  linesOf,
  MAX_WATCH_LINE_BYTES,
  type Piece,
  type ReadEvent,
  relayed,
} from "../watch_stream.ts";
import type { ObjectKind, ResourceName } from "./object_kind.ts";
import type { ObjectKinds } from "./object_kinds.ts";
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

/** Resource versions that are remembered, of all watches together: one a minute from each of some hundred. */
export const MAX_SERVED_OBJECT_VERSIONS = 50_000;

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
  answer(request: Request, asked: ObjectRequest, signal: AbortSignal): Promise<Response>;
  /** Ends all watches, cleanly for the kubelet. */
  close(): void;
}

/** What a gate is made of. */
export interface ObjectGateOptions {
  upstream: Upstream;
  kinds: ObjectKinds;
  log: Log;
  /** `audit` judges, and passes on the bytes that came. */
  mode: Mode;
  clock: Clock;
}

/** What comes of one object. */
type Showing = { ok: true; text: string; resourceVersion: string | undefined } | {
  ok: false;
  problem: string;
};

/** Makes the gate of one proxy. */
export function createObjectGate({ upstream, kinds, log, mode, clock }: ObjectGateOptions): ObjectGate {
  const closing = new AbortController();
  const refusals = createRefusalLog(log, mode);
  const served = createServedVersions(MAX_SERVED_OBJECT_VERSIONS);
  const lists = createSlots(MAX_CONCURRENT_OBJECT_LISTS, "lists of objects", log);
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
            : singles.run(() => list(asked, signal));
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
  };

  /** Judges one object; what is refused is logged when it is news. */
  function judge(asked: ObjectRequest, object: JsonObject): Showing {
    const kind = kinds[asked.resource];
    const misplaced = misplacement(kind, asked, object);
    const judged = misplaced === undefined
      ? kind.judge(object)
      : { ok: false as const, problems: [misplaced] };
    const { name, namespace, resourceVersion } = objectAt(object, "metadata");
    const subject = { resource: asked.resource, namespace, name };
    if (judged.ok) {
      refusals.admitted(subject);
      return {
        ok: true,
        text: JSON.stringify({ kind: kind.kind, apiVersion: apiVersionOf(kind, asked), ...judged.object }),
        resourceVersion: isResourceVersion(resourceVersion) ? resourceVersion : undefined,
      };
    }
    refusals.refused(subject, judged.problems);
    return { ok: false, problem: printProblems(judged.problems) };
  }

  async function list(asked: ObjectRequest, signal: AbortSignal): Promise<Response> {
    const kind = kinds[asked.resource];
    const answer = await read(asked, signal);
    const route = routeName(asked);
    if (mode === "audit") {
      return await audit(answer, MAX_OBJECT_LIST_BYTES, (object) => {
        const decoded = decodeList(object, asked, kind);
        if (!decoded.ok) {
          throw new TypeError(decoded.problem);
        }
        decoded.items.forEach((item) => judge(asked, item));
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
    for (const item of decoded.items) {
      const showing = judge(asked, item);
      if (showing.ok) {
        items.push(showing.text);
      } else if (kind.inLists === "refused") {
        return forbidden(asked, showing.problem);
      }
    }
    const { resourceVersion, continueToken } = decoded;
    served.add(versionKey(asked, resourceVersion), 0);
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
    const answer = await read(asked, signal);
    const route = routeName(asked);
    if (mode === "audit") {
      return await audit(answer, MAX_OBJECT_BYTES, (object) => void judge(asked, object), route);
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
    const showing = judge(asked, body.object);
    return showing.ok ? jsonResponse(showing.text, 200) : forbidden(asked, showing.problem);
  }

  /** Writes go up as they are. What comes back is the object as it is now, so it is judged like one that was read. */
  async function write(request: Request, asked: ObjectRequest, signal: AbortSignal): Promise<Response> {
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
    const showing = judge(asked, body.object);
    return showing.ok
      ? jsonResponse(showing.text, answer.status)
      : badAnswer(route, `${kind.kind}: ${showing.problem}`, log);
  }

  async function watch(asked: ObjectRequest, signal: AbortSignal): Promise<Response> {
    const { query } = asked;
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
    const release = () => {
      for (const source of sources) {
        source.removeEventListener("abort", end);
      }
      end();
    };
    const hear = (silent: () => void) => afterSilence(clock, log, asked.path, silent);
    try {
      const answer = await read(asked, ending.signal);
      if (mode === "audit" && answer.status !== 200) {
        return unchanged(answer, relayed(answer.body, ending.signal, release, hear));
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
        audited: true,
        splitter: createLineSplitter(MAX_WATCH_LINE_BYTES),
      };
      const body = relayed(
        answer.body,
        ending.signal,
        release,
        hear,
        (chunk) =>
          Promise.resolve(mode === "audit" ? auditChunk(asked, run, chunk) : take(asked, run, chunk)),
      );
      return mode === "audit"
        ? unchanged(answer, body)
        : new Response(body, { headers: { "content-type": "application/json" } });
    } catch (error) {
      release();
      throw error;
    }
  }

  /** Handles a chunk, or the end (no chunk). */
  function take(asked: ObjectRequest, run: WatchRun, chunk: Uint8Array | undefined): Piece {
    const kind = kinds[asked.resource];
    const { lines, problem: cut } = linesOf(run.splitter, chunk);
    let text = "";
    let problem = cut;
    let ended = chunk === undefined;
    for (const line of lines) {
      const decoded = decodeEvent(line, asked.apiVersion, kind.kind);
      if (!decoded.ok) {
        problem = decoded.problem;
        break;
      }
      const told = tell(asked, run, decoded.event);
      text += told.text;
      if (told.ended) {
        ended = true;
        problem = undefined;
        break;
      }
    }
    if (problem !== undefined) {
      ended = true;
      log.error("watch-malformed", `an event is not passed on and the watch ends: ${problem}`, {
        path: asked.path,
      });
    }
    return { bytes: new TextEncoder().encode(text), ended };
  }

  /** What the kubelet is told of one event, and whether the watch ends with it. */
  function tell(asked: ObjectRequest, run: WatchRun, event: ReadEvent): { text: string; ended: boolean } {
    const kind = kinds[asked.resource];
    switch (event.kind) {
      case "error":
        return { text: encodeEvent("ERROR", JSON.stringify(event.status)), ended: true };
      case "bookmark":
        served.add(versionKey(asked, event.resourceVersion), 0);
        run.initial &&= !event.initialEventsEnd;
        return { text: encodeBookmark(event, asked.apiVersion, kind.kind), ended: false };
      case "deleted": {
        const gone = deletedObject(kind, asked, event.object);
        if (gone === undefined) {
          log.warn("object-refused", "a deletion without a proper name is not passed on", {
            path: asked.path,
          });
          return { text: "", ended: false };
        }
        served.add(versionKey(asked, gone.resourceVersion), 0);
        refusals.admitted({ resource: asked.resource, namespace: gone.namespace, name: gone.name });
        return { text: encodeEvent("DELETED", gone.text), ended: false };
      }
      case "present": {
        const showing = judge(asked, event.object);
        if (showing.ok) {
          if (showing.resourceVersion !== undefined) {
            served.add(versionKey(asked, showing.resourceVersion), 0);
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

  /** Passes on the chunk, and judges what it completes until something cannot be read. */
  function auditChunk(asked: ObjectRequest, run: WatchRun, chunk: Uint8Array | undefined): Piece {
    if (run.audited) {
      run.audited = !take(asked, run, chunk).ended;
    }
    return { bytes: chunk ?? new Uint8Array(0), ended: chunk === undefined };
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
    judgeAll: (object: JsonObject) => void,
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
        judgeAll(body.object);
      } catch (error) {
        problem = error instanceof Error ? error.message : String(error);
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

/** A watch on its way. */
interface WatchRun {
  /** The initial events have not ended. */
  initial: boolean;
  /** In audit: still readable. */
  audited: boolean;
  readonly splitter: LineSplitter;
}

function routeName({ resource, verb }: ObjectRequest): string {
  return `${resource}-${verb}`;
}

function versionKey({ path, query }: ObjectRequest, resourceVersion: string): string {
  return `${path}?${query.get("fieldSelector") ?? ""}@${resourceVersion}`;
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
