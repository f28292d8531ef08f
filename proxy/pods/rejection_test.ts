import assert from "node:assert/strict";
import { MAX_MESSAGE_BYTES, newEventRequest, REJECTION_PREFIX, rejectionMessage } from "./rejection.ts";
import { uidOf } from "../../tests/fakes/owner.ts";

Deno.test("messages stay below 1 KB and whole, in any script", () => {
  const ending = ". It stays Pending";
  const text = rejectionMessage("€".repeat(2000), ending);
  const bytes = new TextEncoder().encode(text).length;
  assert.ok(bytes <= MAX_MESSAGE_BYTES && bytes > MAX_MESSAGE_BYTES - 3);
  assert.ok(text.startsWith(REJECTION_PREFIX) && text.endsWith(ending) && text.isWellFormed());
});

Deno.test("an Event of a pod with a long name has a name that Kubernetes takes", () => {
  const now = new Date("2026-01-01T00:00:00Z");
  const { body } = newEventRequest({
    pod: { uid: uidOf(1), namespace: "default", name: `${"a".repeat(219)}.${"b".repeat(33)}` },
    message: "it carries no signature",
    nodeName: "worker",
    count: 1,
    firstAt: now,
    lastAt: now,
  });
  assert.match(String(body), /"name":"a{219}\.0{12}40008000000000000001"/);
});
