import assert from "node:assert/strict";
import { IncomingMessage } from "node:http";
import { Socket } from "node:net";
import {
  formatHead,
  nodeApiRequestHeaders,
  nodeApiResponseHeaders,
  nodeApiUpgradeHeaders,
  nodeApiUpgradeResponseHeaders,
} from "./node_api_headers.ts";

/** A message with fields as they came. */
function message(...fields: [name: string, value: string][]): IncomingMessage {
  const incoming = new IncomingMessage(new Socket());
  incoming.rawHeaders.push(...fields.flat());
  return incoming;
}

Deno.test("known fields cross, in any case and as often as they came; all others do not", () => {
  const received = message(
    ["ACCEPT", "a/b"],
    ["Accept", "c/d"],
    ["User-Agent", "kubectl"],
    ["Authorization", "x"],
    ["Impersonate-User", "x"],
    ["X-Remote-Group", "x"],
    ["Cookie", "x"],
    ["Host", "x"],
    ["Upgrade", "websocket"],
    ["X-Stream-Protocol-Version", "v4"],
  );
  assert.deepEqual(nodeApiRequestHeaders(received), { "accept": ["a/b", "c/d"], "user-agent": "kubectl" });
  const answer = message(["Content-Type", "a/b"], ["Content-Encoding", "gzip"], ["Set-Cookie", "x"], [
    "Location",
    "/x",
  ]);
  assert.deepEqual(nodeApiResponseHeaders(answer), { "content-encoding": "gzip", "content-type": "a/b" });
});

Deno.test("fields that Connection names do not cross", () => {
  assert.deepEqual(nodeApiRequestHeaders(message(["Connection", "close, Accept"], ["Accept", "x"])), {});
});

Deno.test("what a stream is agreed with", () => {
  const spdy = message(
    ["Connection", "Upgrade"],
    ["Upgrade", "SPDY/3.1"],
    ["X-Stream-Protocol-Version", "v5"],
    ["X-Stream-Protocol-Version", "v4"],
    ["Authorization", "x"],
  );
  assert.deepEqual(nodeApiUpgradeHeaders(spdy), {
    ok: true,
    headers: { "connection": "Upgrade", "upgrade": "SPDY/3.1", "x-stream-protocol-version": ["v5", "v4"] },
  });
  const agreed = message(["Upgrade", "websocket"], ["Sec-WebSocket-Accept", "x"], ["X-Other", "x"]);
  assert.deepEqual(nodeApiUpgradeResponseHeaders(agreed), {
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec-websocket-accept": "x",
  });
});

Deno.test("refuses other protocols, several, none, and tokens in WebSocket protocols", () => {
  const refused = [
    message(["Upgrade", "h2c"]),
    message(["Upgrade", "websocket, h2c"]),
    message(["Upgrade", "websocket"], ["Upgrade", "SPDY/3.1"]),
    message(),
    message(["Upgrade", "websocket"], [
      "Sec-WebSocket-Protocol",
      "a, base64url.bearer.authorization.k8s.io.canary",
    ]),
  ];
  for (const request of refused) {
    const read = nodeApiUpgradeHeaders(request);
    assert.ok(!read.ok);
    assert.doesNotMatch(read.problem, /canary/);
  }
});

Deno.test("the head of an answer", () => {
  assert.equal(
    formatHead(101, "Switching Protocols", { a: ["1", "2"], b: "3" }),
    [
      "HTTP/1.1 101 Switching Protocols",
      "a: 1",
      "a: 2",
      "b: 3",
      "",
      "",
    ].join("\r\n"),
  );
});
