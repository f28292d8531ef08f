/**
 * Lists of pods: one document in, one built document out.
 *
 * Source: Kubernetes API Concepts, "Retrieving large results sets in chunks".
 *
 * @module
 */
import { messageOf } from "@signed-pods/shared/errors";
import {
  deepFreeze,
  isDeeplyFrozen,
  isJsonObject,
  type JsonObject,
  objectAt,
} from "@signed-pods/shared/json";
import type { Judge, Sighting, Snapshot } from "./judge.ts";
import type { KnownPods } from "./known_pods.ts";
import type { Log } from "../log.ts";
import type { Mode } from "../mode.ts";
import {
  badAnswer,
  checkAnswer,
  CONTINUE_TOKEN,
  isKind,
  podRequestHeaders,
  queryText,
  readObject,
  unchanged,
} from "./pod_answer.ts";
import { isResourceVersion, type ServedVersions } from "./served_versions.ts";
import { createSlots } from "./slots.ts";
import { statusResponse } from "../status.ts";
import type { Upstream } from "../upstream.ts";

/**
 * Longest list, in bytes. 5,000 pods with long statuses, many times what a node runs, stay below it; together with
 * its decoded form it has to fit into memory.
 */
export const MAX_LIST_BYTES = 128 * 1024 * 1024;

/** Most pods in one page: as many as there may be in the ledger. */
export const MAX_LIST_ITEMS = 10_000;

/** Lists that are read page by page at the same time. A kubelet has one; the oldest is dropped. */
export const MAX_OPEN_LISTS = 8;

/** Lists that are read at the same time: each may be as long as one may be. A kubelet reads one. */
export const MAX_CONCURRENT_LISTS = 4;

/** Around each pod of a list there are the list and its items. */
const POD_DEPTH = 2;

/** Serves lists. */
export interface PodLists {
  /** @throws what the upstream throws before it answers */
  list(query: URLSearchParams, signal: AbortSignal): Promise<Response>;
}

/** What lists are served with. */
export interface PodListOptions {
  upstream: Upstream;
  known: KnownPods;
  judge: Judge;
  served: ServedVersions;
  log: Log;
  /** `audit` judges, and passes on the bytes that came. */
  mode: Mode;
  nodeName: string;
  /** For tests. Default: {@linkcode MAX_LIST_BYTES}. */
  maxListBytes?: number;
}

/** A list that was read. */
interface DecodedList {
  resourceVersion: string;
  continueToken: string | undefined;
  sightings: Sighting[];
}

type Decoded = { ok: true; list: DecodedList } | { ok: false; problem: string };

/** Makes the server of lists. */
export function createPodLists(options: PodListOptions): PodLists {
  const { upstream, known, judge, served, log, mode, nodeName, maxListBytes = MAX_LIST_BYTES } = options;
  /** Lists that are not read to the end, by the token of their next page. */
  const open = new Map<string, Snapshot>();
  const slots = createSlots(MAX_CONCURRENT_LISTS, "lists of pods", log);

  function begin(query: URLSearchParams): Snapshot | undefined {
    const token = query.get("continue") ?? "";
    if (token === "") {
      return coversNode(query, nodeName) ? judge.beginSnapshot(true) : undefined;
    }
    // A token that is not known continues nothing that could be complete.
    const snapshot = open.get(token);
    open.delete(token);
    return snapshot;
  }

  async function end(snapshot: Snapshot | undefined, continueToken: string | undefined): Promise<void> {
    if (snapshot === undefined) {
      return;
    }
    if (continueToken === undefined) {
      await judge.completeSnapshot(snapshot);
      return;
    }
    open.set(continueToken, snapshot);
    if (open.size > MAX_OPEN_LISTS) {
      for (const oldest of open.keys()) {
        open.delete(oldest);
        break;
      }
    }
  }

  return {
    list: (query, signal) => slots.run(() => list(query, signal)),
  };

  async function list(query: URLSearchParams, signal: AbortSignal): Promise<Response> {
    const snapshot = begin(query);
    const answer = await upstream.send({
      method: "GET",
      path: `/api/v1/pods${queryText(query)}`,
      headers: podRequestHeaders(),
      signal,
    });
    if (mode === "audit") {
      return await auditList(answer, snapshot);
    }
    const checked = await checkAnswer(answer, "pod-list", log);
    if (!checked.ok) {
      return checked.response;
    }
    const decoded = await readList(checked.response.body);
    if (!decoded.ok) {
      return badAnswer("pod-list", decoded.problem, log, signal);
    }
    const { resourceVersion, continueToken, sightings } = decoded.list;
    try {
      // A list of several pages is as old as its first.
      const moment = snapshot?.startedAt ?? judge.moment;
      const showings = await judge.judge(sightings, snapshot ?? judge.beginSnapshot(true));
      await end(snapshot, continueToken);
      served.add(resourceVersion, moment);
      const items: string[] = [];
      for (const showing of showings) {
        if (showing.kind === "show") {
          items.push(showing.text);
        }
      }
      return new Response(encodeList(resourceVersion, continueToken, items), {
        headers: { "content-type": "application/json" },
      });
    } catch (error) {
      return notJudged(error);
    }
  }

  /** On its own, so that neither the bytes nor the list is in memory while its pods are judged and dropped. */
  async function readList(body: ReadableStream<Uint8Array> | null): Promise<Decoded> {
    const read = await readObject(body, maxListBytes, known.forDocument(POD_DEPTH));
    return read.ok ? decodeList(read.object) : read;
  }

  function notJudged(error: unknown): Response {
    log.error("list-failed", `a list could not be judged: ${messageOf(error)}`);
    return statusResponse(500, "InternalError", "kubelet-proxy: the pods could not be judged; see its log");
  }

  /** Passes everything on as it came, and judges it if it can be read. */
  async function auditList(answer: Response, snapshot: Snapshot | undefined): Promise<Response> {
    if (answer.status !== 200) {
      return unchanged(answer);
    }
    const [copy, original] = answer.body === null ? [null, null] : answer.body.tee();
    const decoded = await readList(copy);
    if (decoded.ok) {
      try {
        await judge.judge(decoded.list.sightings, snapshot ?? judge.beginSnapshot(true));
        await end(snapshot, decoded.list.continueToken);
      } catch (error) {
        log.error("list-failed", `a list could not be judged: ${messageOf(error)}`);
      }
    } else {
      log.error("answer-refused", `an answer of the API server would not be passed on: ${decoded.problem}`, {
        route: "pod-list",
      });
    }
    return unchanged(answer, original);
  }
}

/** Whether a query asks for all pods of this node, so that what it does not hold is not there. */
export function coversNode(query: URLSearchParams, nodeName: string): boolean {
  return query.get("fieldSelector") === `spec.nodeName=${nodeName}` && !query.get("labelSelector");
}

/** Reads a list; its pods are not judged yet. */
function decodeList(object: JsonObject): Decoded {
  if (!isKind(object, "PodList")) {
    return { ok: false, problem: "it is not a v1 PodList" };
  }
  const { resourceVersion, continue: token } = objectAt(object, "metadata");
  if (!isResourceVersion(resourceVersion)) {
    return { ok: false, problem: "its resourceVersion is not a number" };
  }
  if (token !== undefined && token !== "" && (typeof token !== "string" || !CONTINUE_TOKEN.test(token))) {
    return { ok: false, problem: "its continue token is not one that Kubernetes makes" };
  }
  const items = object["items"];
  if (!Array.isArray(items)) {
    return { ok: false, problem: "it has no list of items" };
  }
  if (items.length > MAX_LIST_ITEMS) {
    return { ok: false, problem: `it has more than ${MAX_LIST_ITEMS} items` };
  }
  const sightings: Sighting[] = [];
  for (const item of items) {
    if (!isJsonObject(item) || !isPodItem(item)) {
      return { ok: false, problem: `item ${sightings.length} is not a Pod` };
    }
    sightings.push({ kind: "present", object: podOf(item) });
  }
  return {
    ok: true,
    list: { resourceVersion, continueToken: token === "" ? undefined : token, sightings },
  };
}

/** Items have no kind of their own: the list's says it. Tools that copy lists add it. */
function isPodItem(item: JsonObject): boolean {
  const { apiVersion = "v1", kind = "Pod" } = item;
  return apiVersion === "v1" && kind === "Pod";
}

/** The pods that items are which cannot change. */
const pods = new WeakMap<JsonObject, JsonObject>();

/** An item as the pod that it is; the same each time, if the item cannot change. */
function podOf(item: JsonObject): JsonObject {
  const known = pods.get(item);
  if (known !== undefined) {
    return known;
  }
  const pod: JsonObject = { ...item, apiVersion: "v1", kind: "Pod" };
  if (isDeeplyFrozen(item)) {
    pods.set(item, deepFreeze(pod));
  }
  return pod;
}

function encodeList(
  resourceVersion: string,
  continueToken: string | undefined,
  items: readonly string[],
): string {
  const metadata = JSON.stringify({
    resourceVersion,
    ...(continueToken === undefined ? {} : { continue: continueToken }),
  });
  return `{"kind":"PodList","apiVersion":"v1","metadata":${metadata},"items":[${items.join(",")}]}\n`;
}
