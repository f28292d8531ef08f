/**
 * Kubernetes Status objects: how the API says that something failed. Those of the API server are never passed on;
 * they are built again from the few fields that a kubelet lives by.
 *
 * Source: Kubernetes API conventions, "Response Status Kind"; `k8s.io/apimachinery/pkg/api/errors`.
 *
 * @module
 */
import { isJsonObject, type JsonObject, type JsonValue } from "@signed-pods/shared/json";

/** Longest message that is passed on, in UTF-16 code units: long enough for every message of kube-apiserver. */
export const MAX_STATUS_MESSAGE_LENGTH = 1024;

/** Longest wait that is passed on, in seconds, so that the API server cannot silence a kubelet for days. */
export const MAX_RETRY_AFTER_SECONDS = 300;

/** Reasons are CamelCase words; the longest that Kubernetes has is 21 letters. */
const REASON = /^[A-Z][A-Za-z]{0,63}$/;

/** Control characters could forge lines in a log or a terminal. */
// deno-lint-ignore no-control-regex
const CONTROL_CHARACTERS = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g;

/** The one cause that client-go acts on: it makes a reflector list again without a resourceVersion. */
const RESOURCE_VERSION_TOO_LARGE = {
  reason: "ResourceVersionTooLarge",
  message: "Too large resource version",
};

/** Reason that belongs to an HTTP status when the answer itself names none. */
const REASONS = new Map<number, string>([
  [400, "BadRequest"],
  [401, "Unauthorized"],
  [403, "Forbidden"],
  [404, "NotFound"],
  [405, "MethodNotAllowed"],
  [406, "NotAcceptable"],
  [409, "Conflict"],
  [410, "Gone"],
  [413, "RequestEntityTooLarge"],
  [415, "UnsupportedMediaType"],
  [422, "Invalid"],
  [429, "TooManyRequests"],
  [500, "InternalError"],
  [502, "InternalError"],
  [503, "ServiceUnavailable"],
  [504, "Timeout"],
]);

/** The `details` of a Status. */
export interface StatusDetails {
  [key: string]: JsonValue;
}

/**
 * Makes a Status of a failure.
 *
 * @param code HTTP status, 400 to 599
 * @param reason one CamelCase word that clients decide by, for example `NotFound`
 * @param message what failed, for people
 * @param details what the failure is about, for example `{name, kind}` or `{retryAfterSeconds}`
 */
export function makeStatus(
  code: number,
  reason: string,
  message: string,
  details?: StatusDetails,
): JsonObject {
  return {
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    message,
    reason,
    ...(details === undefined ? {} : { details }),
    code,
  };
}

/** A failure as an HTTP response, with Retry-After if its Status has retryAfterSeconds. */
export function statusResponse(
  code: number,
  reason: string,
  message: string,
  details?: StatusDetails,
): Response {
  return respondWithStatus(makeStatus(code, reason, message, details), code);
}

/** Sends a Status that is there already. */
export function respondWithStatus(status: JsonObject, code: number): Response {
  const headers = new Headers({ "content-type": "application/json" });
  const details = status["details"];
  const retryAfter = isJsonObject(details) ? details["retryAfterSeconds"] : undefined;
  if (typeof retryAfter === "number") {
    headers.set("retry-after", String(retryAfter));
  }
  return new Response(JSON.stringify(status) + "\n", { status: code, headers });
}

/** The reason that an HTTP status stands for. */
export function reasonOf(code: number): string {
  return REASONS.get(code) ?? (code >= 500 ? "InternalError" : "BadRequest");
}

/**
 * Builds a failure of the API server again: code, reason, a capped message, retryAfterSeconds and the cause
 * `ResourceVersionTooLarge`. Nothing else of it is passed on.
 *
 * @param code HTTP status, 400 to 599
 * @param body what the answer held, if it was JSON
 * @param retryAfter the Retry-After header of the answer, if it has one
 */
export function rebuildStatus(
  code: number,
  body: JsonValue | undefined,
  retryAfter?: string | null,
): JsonObject {
  const given = isJsonObject(body) && body["kind"] === "Status" && body["apiVersion"] === "v1" ? body : {};
  const reason = given["reason"];
  const message = given["message"];
  const givenDetails = isJsonObject(given["details"]) ? given["details"] : {};
  const details: StatusDetails = {};
  const seconds = readSeconds(givenDetails["retryAfterSeconds"]) ?? readHeaderSeconds(retryAfter);
  if (seconds !== undefined) {
    details["retryAfterSeconds"] = seconds;
  }
  const causes = givenDetails["causes"];
  if (
    Array.isArray(causes) &&
    causes.some((cause) => isJsonObject(cause) && cause["reason"] === RESOURCE_VERSION_TOO_LARGE.reason)
  ) {
    details["causes"] = [{ ...RESOURCE_VERSION_TOO_LARGE }];
  }
  return makeStatus(
    code,
    typeof reason === "string" && REASON.test(reason) ? reason : reasonOf(code),
    typeof message === "string" ? cleanMessage(message) : `the API server answered with status ${code}`,
    Object.keys(details).length === 0 ? undefined : details,
  );
}

/** The Status that a successful write is answered with; built again, it says no more than that. */
export function successStatus(): JsonObject {
  return { kind: "Status", apiVersion: "v1", metadata: {}, status: "Success" };
}

/** Replaces control characters and cuts a text to {@linkcode MAX_STATUS_MESSAGE_LENGTH}, never inside a character. */
export function cleanMessage(text: string): string {
  return text.slice(0, MAX_STATUS_MESSAGE_LENGTH).toWellFormed().replace(CONTROL_CHARACTERS, " ");
}

/** A number of seconds to wait, capped; nothing if it is no whole number of seconds. */
function readSeconds(value: JsonValue | undefined): number | undefined {
  return typeof value === "number" && Number.isInteger(value) && value >= 0
    ? Math.min(value, MAX_RETRY_AFTER_SECONDS)
    : undefined;
}

/** The same of a Retry-After header (RFC 9110 section 10.2.3), of which kube-apiserver uses the seconds form only. */
export function readHeaderSeconds(text: string | null | undefined): number | undefined {
  return text !== null && text !== undefined && /^[0-9]{1,9}$/.test(text)
    ? readSeconds(Number(text))
    : undefined;
}
