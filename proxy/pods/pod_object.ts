/**
 * Single pods: GET, and what the kubelet writes.
 *
 * @module
 */
import { messageOf } from "@signed-pods/shared/errors";
import { isJsonObject, type JsonObject, objectAt } from "@signed-pods/shared/json";
import { readIdentity } from "@signed-pods/shared/pod/metadata";
import { rebuildIdentityOnly } from "@signed-pods/shared/pod/rebuild";
import { BodyTooLargeError, readBody } from "../body.ts";
import type { Judge } from "./judge.ts";
import type { KnownPods } from "./known_pods.ts";
import type { LedgerEntry } from "./ledger.ts";
import { isTerminalPhase } from "./live_pod.ts";
import type { KubeletRequest } from "../kubelet_request.ts";
import type { Log } from "../log.ts";
import type { Mode } from "../mode.ts";
import {
  badAnswer,
  checkAnswer,
  isKind,
  jsonResponse,
  parseObject,
  podRequestHeaders,
  queryText,
  readObject,
  unchanged,
} from "./pod_answer.ts";
import { REJECTION_REASON, rejectionMessage } from "./rejection.ts";
import { createSlots } from "./slots.ts";
import { statusResponse, successStatus } from "../status.ts";
import type { Upstream } from "../upstream.ts";

/** Longest pod, in bytes; the same as a line of a watch may have. */
export const MAX_POD_BYTES = 8 * 1024 * 1024;

/** Longest status PATCH that is looked into, in bytes: kube-apiserver takes requests of 3 MiB. */
export const MAX_PATCH_BYTES = 3 * 1024 * 1024;

/** Requests for single pods that are under way at the same time. A kubelet's status manager has one or two. */
export const MAX_CONCURRENT_PODS = 32;

/** The kind of patch that kubelets send (Kubernetes, "Update API Objects in Place Using kubectl patch"). */
const STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json";

/** A write as the route describes it. */
export interface PodWrite {
  method: string;
  /** Path and query as they go up. */
  path: string;
  namespace: string;
  /** Absent when a pod is made. */
  name?: string;
  subresource?: string;
}

/** Serves single pods. */
export interface PodObjects {
  /** @throws what the upstream throws before it answers */
  get(namespace: string, name: string, query: URLSearchParams, signal: AbortSignal): Promise<Response>;
  /** @throws what the upstream throws before it answers */
  write(request: KubeletRequest, write: PodWrite, signal: AbortSignal): Promise<Response>;
}

/** What single pods are served with. */
export interface PodObjectOptions {
  upstream: Upstream;
  known: KnownPods;
  judge: Judge;
  log: Log;
  /** `audit` passes on the bytes that came. */
  mode: Mode;
}

/** A status PATCH for a pod that is being stopped. */
type RewrittenPatch =
  /** `ends` tells that it reports the pod's end. */
  | { ok: true; body: Uint8Array<ArrayBuffer>; ends: boolean }
  | { ok: false; response: Response };

/** Makes the server of single pods. */
export function createPodObjects(options: PodObjectOptions): PodObjects {
  const { upstream, known, judge, log, mode } = options;
  const slots = createSlots(MAX_CONCURRENT_PODS, "requests for single pods", log);

  return {
    get: (namespace, name, query, signal) => slots.run(() => get(namespace, name, query, signal)),
    write: (request, podWrite, signal) => slots.run(() => write(request, podWrite, signal)),
  };

  async function get(
    namespace: string,
    name: string,
    query: URLSearchParams,
    signal: AbortSignal,
  ): Promise<Response> {
    const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(name)}`;
    const answer = await upstream.send({
      method: "GET",
      path: path + queryText(query),
      headers: podRequestHeaders(),
      signal,
    });
    if (mode === "audit") {
      return unchanged(answer);
    }
    const checked = await checkAnswer(answer, "pod-get", log);
    if (!checked.ok) {
      return checked.response;
    }
    const read = await readObject(checked.response.body, MAX_POD_BYTES, known.forDocument(0));
    if (!read.ok) {
      return badAnswer("pod-get", read.problem, log, signal);
    }
    if (!isKind(read.object, "Pod")) {
      return badAnswer("pod-get", "it is not a v1 Pod", log);
    }
    const identity = readIdentity(read.object);
    if (!identity.ok || identity.namespace !== namespace || identity.name !== name) {
      return badAnswer("pod-get", "it is another pod than the one that was asked for", log);
    }
    const showing = await judge.preview(read.object);
    return showing.kind === "show" ? jsonResponse(showing.text, 200) : notFound(name);
  }

  async function write(request: KubeletRequest, write: PodWrite, signal: AbortSignal): Promise<Response> {
    if (mode === "audit") {
      return unchanged(await send(request, write, request.body, signal));
    }
    const entry = write.name === undefined ? undefined : judge.stoppingEntry(write.namespace, write.name);
    if (entry === undefined || write.method !== "PATCH") {
      const body = write.method === "PATCH" && write.subresource === "status"
        ? await noteEnd(request, signal)
        : request.body;
      return body instanceof Response
        ? body
        : await answerOf(await send(request, write, body, signal), signal);
    }
    const patch = await rewriteStatusPatch(request, entry, signal);
    if (!patch.ok) {
      return patch.response;
    }
    return patch.ends
      ? await reportEnd(request, write, entry, patch.body, signal)
      : await answerOf(await send(request, write, patch.body, signal), signal);
  }

  /** Notes the report that a pod's containers have ended, before it is sent; returns the body, or why it is not sent. */
  async function noteEnd(
    request: KubeletRequest,
    signal: AbortSignal,
  ): Promise<Uint8Array<ArrayBuffer> | Response> {
    const read = await readPatch(request, signal);
    if (!read.ok) {
      return read.response;
    }
    // Nearly no report is of an end, and then it need not be parsed. What cannot be parsed is the API server's to refuse.
    const text = new TextDecoder().decode(read.bytes);
    const parsed = /"(?:Succeeded|Failed)"/.test(text) ? parseObject(read.bytes) : undefined;
    if (parsed?.ok) {
      const { uid } = objectAt(parsed.object, "metadata");
      if (typeof uid === "string" && isTerminalPhase(objectAt(parsed.object, "status")["phase"])) {
        judge.noteEnded(uid);
      }
    }
    return read.bytes;
  }

  function send(
    request: KubeletRequest,
    write: PodWrite,
    body: ReadableStream<Uint8Array> | Uint8Array | null,
    signal: AbortSignal,
  ): Promise<Response> {
    const headers = podRequestHeaders();
    for (const name of ["content-type", "user-agent"]) {
      const value = request.headers.get(name);
      if (value !== null) {
        headers.set(name, value);
      }
    }
    return upstream.send({ method: write.method, path: write.path, headers, body, signal });
  }

  /** Sends the report that the pod's containers have ended. When it is taken, the pod is gone for the kubelet. */
  async function reportEnd(
    request: KubeletRequest,
    write: PodWrite,
    entry: LedgerEntry,
    body: Uint8Array,
    signal: AbortSignal,
  ): Promise<Response> {
    // Said before it is sent, since the event that it causes may arrive before the answer.
    judge.noteEnded(entry.uid);
    judge.setFinishing(entry.uid, true);
    let taken = false;
    try {
      const answer = await send(request, write, body, signal);
      taken = answer.status >= 200 && answer.status < 300;
      if (taken) {
        await markStopped(entry);
      }
      return await answerOf(answer, signal);
    } finally {
      if (!taken) {
        judge.setFinishing(entry.uid, false);
      }
    }
  }

  async function markStopped(entry: LedgerEntry): Promise<void> {
    try {
      await judge.markStopped(entry.uid);
    } catch (error) {
      // The API server has it; the journal is written with the next change.
      log.error("ledger-failed", `the ledger could not be written: ${messageOf(error)}`);
    }
  }

  /** The answer to a write, built again: who the pod is, and no more. */
  async function answerOf(answer: Response, signal: AbortSignal): Promise<Response> {
    const checked = await checkAnswer(answer, "pod-write", log, [200, 201, 202]);
    if (!checked.ok) {
      return checked.response;
    }
    const { status } = answer;
    const read = await readObject(checked.response.body, MAX_POD_BYTES);
    if (!read.ok) {
      return badAnswer("pod-write", read.problem, log, signal);
    }
    if (isKind(read.object, "Status") && read.object["status"] === "Success") {
      return jsonResponse(JSON.stringify(successStatus()), status);
    }
    if (!isKind(read.object, "Pod")) {
      return badAnswer("pod-write", "it is neither a v1 Pod nor a v1 Status of success", log);
    }
    const rebuilt = rebuildIdentityOnly(read.object);
    return rebuilt.ok
      ? jsonResponse(JSON.stringify(rebuilt.pod), status)
      : badAnswer("pod-write", "its metadata is malformed", log);
  }
}

/**
 * Sets phase, reason and message where the kubelet reports that a pod which is being stopped has ended. Not earlier: a
 * Failed pod is replaced at once, and two containers of a StatefulSet would then write to one volume.
 */
async function rewriteStatusPatch(
  request: KubeletRequest,
  entry: LedgerEntry,
  signal: AbortSignal,
): Promise<RewrittenPatch> {
  const contentType = request.headers.get("content-type")?.split(";", 1)[0]?.trim().toLowerCase();
  if (contentType !== STRATEGIC_MERGE_PATCH) {
    return refuse(
      415,
      "UnsupportedMediaType",
      `a pod that is being stopped takes ${STRATEGIC_MERGE_PATCH} only`,
    );
  }
  const read = await readPatch(request, signal);
  if (!read.ok) {
    return read;
  }
  const { bytes } = read;
  const parsed = parseObject(bytes);
  if (!parsed.ok) {
    return refuse(400, "BadRequest", `the patch cannot be read: ${parsed.problem}`);
  }
  const { status } = parsed.object;
  const uid = objectAt(parsed.object, "metadata")["uid"];
  if (typeof uid !== "string") {
    return refuse(400, "BadRequest", "the patch of a pod that is being stopped needs metadata.uid");
  }
  // A report about another pod of that name fails by its UID; it is not ours to change.
  const ends = uid === entry.uid && isJsonObject(status) &&
    (isTerminalPhase(status["phase"]) || entry.state === "stopped");
  if (!ends) {
    return { ok: true, body: bytes, ends: false };
  }
  const patch: JsonObject = {
    ...parsed.object,
    status: {
      ...status,
      phase: "Failed",
      reason: REJECTION_REASON,
      message: rejectionMessage(entry.refusal ?? "it is not what was signed"),
    },
  };
  try {
    return { ok: true, body: new TextEncoder().encode(JSON.stringify(patch)), ends: true };
  } catch {
    // JSON.stringify refuses integers beyond 2^53 - 1, which no status has.
    return refuse(400, "BadRequest", "the patch holds an integer that cannot be kept as it is");
  }
}

/** The bytes of a patch, up to {@linkcode MAX_PATCH_BYTES}. */
async function readPatch(
  request: KubeletRequest,
  signal: AbortSignal,
): Promise<{ ok: true; bytes: Uint8Array<ArrayBuffer> } | { ok: false; response: Response }> {
  try {
    return { ok: true, bytes: new Uint8Array(await readBody(request.body, MAX_PATCH_BYTES, signal)) };
  } catch (error) {
    return error instanceof BodyTooLargeError
      ? refuse(413, "RequestEntityTooLarge", error.message)
      : refuse(400, "BadRequest", `the patch could not be read: ${messageOf(error)}`);
  }
}

function refuse(code: number, reason: string, message: string): { ok: false; response: Response } {
  return { ok: false, response: statusResponse(code, reason, `kubelet-proxy: ${message}`) };
}

/** What the API server answers for a pod that does not exist, word for word. */
function notFound(name: string): Response {
  return statusResponse(404, "NotFound", `pods "${name}" not found`, { name, kind: "pods" });
}
