import assert from "node:assert/strict";
import { REQUEST_ROUTES, routeName } from "./request_observer.ts";

Deno.test("relayed watches are told apart from other relayed requests", () => {
  assert.equal(routeName({ kind: "relay", stream: true }), "relay-stream");
  assert.equal(routeName({ kind: "relay", stream: false }), "relay");
  assert.equal(routeName({ kind: "review", review: "token" }), "review");
  assert.equal(new Set(REQUEST_ROUTES).size, REQUEST_ROUTES.length);
});
