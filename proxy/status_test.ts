import assert from "node:assert/strict";
import {
  cleanMessage,
  makeStatus,
  MAX_RETRY_AFTER_SECONDS,
  MAX_STATUS_MESSAGE_LENGTH,
  readHeaderSeconds,
  reasonOf,
  rebuildStatus,
  statusResponse,
  successStatus,
} from "./status.ts";

const FAILURE = {
  kind: "Status",
  apiVersion: "v1",
  metadata: { secret: "x" },
  status: "Failure",
  message: "too old resource version",
  reason: "Expired",
  details: { name: "web", retryAfterSeconds: 3, causes: [{ reason: "Other", message: "x" }] },
  code: 410,
  extra: true,
};

Deno.test("a Status is built again from reason, message and retryAfterSeconds alone", () => {
  assert.deepEqual(rebuildStatus(410, FAILURE), {
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    message: "too old resource version",
    reason: "Expired",
    details: { retryAfterSeconds: 3 },
    code: 410,
  });
});

Deno.test("the cause that makes a reflector list anew is kept, in words of ours", () => {
  const body = {
    ...FAILURE,
    details: { causes: [{ reason: "ResourceVersionTooLarge", message: "\u0000" }] },
  };
  assert.deepEqual(rebuildStatus(504, body)["details"], {
    causes: [{ reason: "ResourceVersionTooLarge", message: "Too large resource version" }],
  });
});

Deno.test("an answer without a Status gets the reason of its code", () => {
  for (const body of [undefined, "text", { kind: "Pod", reason: "Evil" }, { ...FAILURE, apiVersion: "v2" }]) {
    const status = rebuildStatus(404, body);
    assert.equal(status["reason"], "NotFound");
    assert.equal(status["code"], 404);
  }
});

Deno.test("refuses a reason that is no word, and a message with control characters or without end", () => {
  const status = rebuildStatus(500, {
    ...FAILURE,
    reason: "Not Found",
    message: `a\u001b[2J\nb${"c".repeat(5000)}`,
  });
  assert.equal(status["reason"], "InternalError");
  const message = String(status["message"]);
  assert.equal(message.length, MAX_STATUS_MESSAGE_LENGTH);
  assert.match(message, /^a \[2J b/);
  assert.equal(cleanMessage("x".repeat(MAX_STATUS_MESSAGE_LENGTH - 1) + "😀").isWellFormed(), true);
});

Deno.test("retryAfterSeconds is capped, taken from the header if need be, and refused unless it is whole seconds", () => {
  const seconds = (details: object, header?: string) => {
    const status = rebuildStatus(429, JSON.parse(JSON.stringify({ ...FAILURE, details })), header);
    return JSON.stringify(status["details"]);
  };
  assert.equal(seconds({ retryAfterSeconds: 1e6 }), `{"retryAfterSeconds":${MAX_RETRY_AFTER_SECONDS}}`);
  assert.equal(seconds({}, "7"), '{"retryAfterSeconds":7}');
  assert.equal(seconds({ retryAfterSeconds: -1 }), undefined);
  assert.equal(seconds({ retryAfterSeconds: 1.5 }, "Wed, 21 Oct 2015 07:28:00 GMT"), undefined);
  assert.equal(readHeaderSeconds(null), undefined);
  assert.equal(readHeaderSeconds("12"), 12);
});

Deno.test("a response carries code, JSON and Retry-After", async () => {
  const response = statusResponse(429, "TooManyRequests", "later", { retryAfterSeconds: 2 });
  assert.equal(response.status, 429);
  assert.equal(response.headers.get("retry-after"), "2");
  assert.equal(response.headers.get("content-type"), "application/json");
  assert.deepEqual(
    await response.json(),
    makeStatus(429, "TooManyRequests", "later", { retryAfterSeconds: 2 }),
  );
  assert.equal(statusResponse(404, "NotFound", "gone").headers.has("retry-after"), false);
});

Deno.test("codes without a reason of their own get one by their class", () => {
  assert.equal(reasonOf(418), "BadRequest");
  assert.equal(reasonOf(599), "InternalError");
  assert.equal(reasonOf(503), "ServiceUnavailable");
});

Deno.test("success says no more than that", () => {
  assert.deepEqual(successStatus(), { kind: "Status", apiVersion: "v1", metadata: {}, status: "Success" });
});
