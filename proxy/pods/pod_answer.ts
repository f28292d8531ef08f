/**
 * What comes back from the API server on a pod route, before anything is judged: one kind of success is let through,
 * failures are built again, and all else is a 502.
 *
 * @module
 */
import { messageOf } from "@signed-pods/shared/errors";
import { isJsonObject, type JsonObject, type JsonValue } from "@signed-pods/shared/json";
import { decodeUtf8, type KnownValues, parseStrictJson } from "@signed-pods/shared/strict-json";
import { readBody } from "../body.ts";
import type { Log } from "../log.ts";
import { rebuildStatus, respondWithStatus, statusResponse } from "../status.ts";
import { UpstreamError } from "../upstream.ts";

/** Most bytes of a failure's body that are read; a Status has some hundred. */
export const MAX_FAILURE_BYTES = 64 * 1024;

/** The only content type of pods that is read; kube-apiserver sends no parameters. */
const JSON_CONTENT_TYPE = /^application\/json[ \t]*(?:;[ \t]*charset=utf-8[ \t]*)?$/i;

/** A continue token: base64url without padding (apiserver `pkg/storage/continue.go`). */
export const CONTINUE_TOKEN = /^[A-Za-z0-9_-]{1,4096}$/;

/** Headers of every request for pods: JSON that is not compressed, so that it can be read. */
export function podRequestHeaders(): Headers {
  return new Headers({ "accept": "application/json", "accept-encoding": "identity" });
}

/** The kubelet's query as it goes up: a question mark and its parameters, or nothing. */
export function queryText(query: URLSearchParams): string {
  return query.size === 0 ? "" : `?${query}`;
}

/** A success to go on with, or the answer for the kubelet. */
export type CheckedAnswer = { ok: true; response: Response } | { ok: false; response: Response };

/**
 * Lets through a success in plain JSON.
 *
 * @param codes statuses that mean success on this route
 */
export async function checkAnswer(
  response: Response,
  route: string,
  log: Log,
  codes: readonly number[] = [200],
): Promise<CheckedAnswer> {
  const { status } = response;
  if (status >= 400 && status <= 599) {
    const body = await readFailure(response);
    const rebuilt = rebuildStatus(status, body, response.headers.get("retry-after"));
    return { ok: false, response: respondWithStatus(rebuilt, status) };
  }
  const problem = problemOf(response, codes);
  if (problem === undefined) {
    return { ok: true, response };
  }
  await response.body?.cancel().catch(() => {});
  return { ok: false, response: badAnswer(route, problem, log) };
}

/**
 * An answer that means nothing here: it is logged, and the kubelet gets a 502.
 *
 * @param signal if the kubelet has left, that is why the answer is not complete
 */
export function badAnswer(route: string, problem: string, log: Log, signal?: AbortSignal): Response {
  const left = signal?.aborted === true && !(signal.reason instanceof UpstreamError);
  const level = left ? "debug" : "error";
  log[level]("answer-refused", `an answer of the API server is not passed on: ${problem}`, { route });
  return statusResponse(
    502,
    "InternalError",
    `kubelet-proxy: the API server's answer is not passed on: ${problem}`,
  );
}

/** An answer that was built here. */
export function jsonResponse(text: string, status: number): Response {
  return new Response(text + "\n", { status, headers: { "content-type": "application/json" } });
}

/** The JSON object that a body is, or what is wrong with it. */
export type ReadObject = { ok: true; object: JsonObject; bytes: Uint8Array } | { ok: false; problem: string };

/**
 * Reads a whole body as one JSON object, strictly.
 *
 * @param maxBytes longest body
 * @param known what was read before
 */
export async function readObject(
  body: ReadableStream<Uint8Array> | null,
  maxBytes: number,
  known?: KnownValues,
): Promise<ReadObject> {
  try {
    const bytes = await readBody(body, maxBytes);
    const parsed = parseObject(bytes, known);
    return parsed.ok ? { ...parsed, bytes } : parsed;
  } catch (error) {
    return { ok: false, problem: `its body is not complete: ${messageOf(error)}` };
  }
}

/**
 * Reads bytes as one JSON object, strictly.
 *
 * @param known what was read before
 */
export function parseObject(
  bytes: Uint8Array,
  known?: KnownValues,
): { ok: true; object: JsonObject } | { ok: false; problem: string } {
  try {
    const value = parseStrictJson(decodeUtf8(bytes), known === undefined ? {} : { known });
    return isJsonObject(value)
      ? { ok: true, object: value }
      : { ok: false, problem: "it is not a JSON object" };
  } catch (error) {
    return { ok: false, problem: messageOf(error) };
  }
}

/** Whether an object is of this kind of API version v1. */
export function isKind(object: JsonObject, kind: string): boolean {
  return object["kind"] === kind && object["apiVersion"] === "v1";
}

/**
 * An answer passed on as it came, as audit does: status, content type and bytes.
 *
 * @param body what is sent in the place of the answer's own body, for example a copy that was looked into
 */
export function unchanged(answer: Response, body: ReadableStream<Uint8Array> | null = answer.body): Response {
  const contentType = answer.headers.get("content-type");
  return new Response(body, {
    status: answer.status,
    headers: contentType === null ? {} : { "content-type": contentType },
  });
}

function problemOf(response: Response, codes: readonly number[]): string | undefined {
  if (!codes.includes(response.status)) {
    return `status ${response.status}`;
  }
  if (!JSON_CONTENT_TYPE.test(response.headers.get("content-type") ?? "")) {
    return "its content type is not application/json";
  }
  if (response.headers.has("content-encoding")) {
    return "it is encoded, which was not asked for";
  }
  return undefined;
}

async function readFailure(response: Response): Promise<JsonValue | undefined> {
  if (problemOf(response, [response.status]) !== undefined) {
    await response.body?.cancel().catch(() => {});
    return undefined;
  }
  const read = await readObject(response.body, MAX_FAILURE_BYTES);
  return read.ok ? read.object : undefined;
}
