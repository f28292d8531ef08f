import assert from "node:assert/strict";
import { isEncoded, requestHeaders, responseHeaders } from "./headers.ts";

const CREDENTIALS = {
  authorization: "Bearer secret",
  cookie: "session=secret",
  "impersonate-user": "admin",
  "impersonate-group": "system:masters",
  "x-remote-user": "admin",
  "proxy-authorization": "Basic secret",
};

const HOP_BY_HOP = {
  connection: "close",
  te: "trailers",
  "proxy-connection": "keep-alive",
  upgrade: "websocket",
};

Deno.test("a request keeps what the API server needs", () => {
  const headers = requestHeaders(
    new Headers({
      accept: "application/vnd.kubernetes.protobuf,application/json",
      "content-type": "application/strategic-merge-patch+json",
      "user-agent": "kubelet/v1.36.3",
      traceparent: "00-1-2-01",
    }),
  );
  assert.deepEqual(headers, [
    ["accept", "application/vnd.kubernetes.protobuf,application/json"],
    ["content-type", "application/strategic-merge-patch+json"],
    ["user-agent", "kubelet/v1.36.3"],
    ["traceparent", "00-1-2-01"],
    ["accept-encoding", "identity"],
  ]);
});

Deno.test("refuses to pass on credentials, hop-by-hop fields and wishes for compression", () => {
  const received = new Headers({
    ...CREDENTIALS,
    ...HOP_BY_HOP,
    "accept-encoding": "gzip",
    "x-unknown": "1",
  });
  assert.deepEqual(requestHeaders(received), [["accept-encoding", "identity"]]);
});

Deno.test("refuses fields that Connection names", () => {
  const received = new Headers({ connection: "close, Accept", accept: "a", "content-type": "b" });
  assert.deepEqual(requestHeaders(received), [["content-type", "b"], ["accept-encoding", "identity"]]);
  assert.deepEqual(responseHeaders(new Headers({ connection: "warning", warning: "299" })), []);
});

Deno.test("an answer keeps what kubelets understand", () => {
  const received = new Headers({
    ...HOP_BY_HOP,
    "content-type": "application/vnd.kubernetes.protobuf",
    "content-length": "5",
    "content-encoding": "gzip",
    "retry-after": "1",
    "audit-id": "x",
    "set-cookie": "a=b",
    location: "http://elsewhere/",
  });
  assert.deepEqual(responseHeaders(received), [
    ["audit-id", "x"],
    ["content-type", "application/vnd.kubernetes.protobuf"],
    ["retry-after", "1"],
  ]);
});

Deno.test("identity is no encoding", () => {
  assert.equal(isEncoded(new Headers()), false);
  assert.equal(isEncoded(new Headers({ "content-encoding": " Identity" })), false);
  assert.equal(isEncoded(new Headers({ "content-encoding": "" })), false);
  assert.equal(isEncoded(new Headers({ "content-encoding": "gzip" })), true);
  assert.equal(isEncoded(new Headers({ "content-encoding": "identity, gzip" })), true);
});
