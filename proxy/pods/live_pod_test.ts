import assert from "node:assert/strict";
import type { JsonObject } from "@signed-pods/shared/json";
import {
  controllerOf,
  hasTerminalPhase,
  isBeingDeleted,
  nodeNameOf,
  rejectedAt,
  resourceVersionOf,
} from "./live_pod.ts";

Deno.test("fields are read from pods of any shape", () => {
  for (const pod of [{}, { metadata: 1, spec: [], status: "x" }, { metadata: { ownerReferences: {} } }]) {
    assert.equal(hasTerminalPhase(pod), false);
    assert.equal(isBeingDeleted(pod), false);
    assert.equal(nodeNameOf(pod), undefined);
    assert.equal(controllerOf(pod), undefined);
    assert.equal(resourceVersionOf(pod), undefined);
    assert.equal(rejectedAt(pod), undefined);
  }
});

Deno.test("the controller is the owner that says so", () => {
  const owners = [1, { uid: "other" }, { uid: "rs", controller: true }];
  assert.equal(controllerOf({ metadata: { ownerReferences: owners } }), "rs");
});

Deno.test("refuses a controller's UID that is no UID as a key", () => {
  for (const uid of [1, "x".repeat(65)]) {
    assert.equal(controllerOf({ metadata: { ownerReferences: [{ uid, controller: true }] } }), undefined);
  }
});

Deno.test("phases that end and pods under deletion are told", () => {
  assert.equal(hasTerminalPhase({ status: { phase: "Failed" } }), true);
  assert.equal(hasTerminalPhase({ status: { phase: "Succeeded" } }), true);
  assert.equal(hasTerminalPhase({ status: { phase: "Running" } }), false);
  assert.equal(isBeingDeleted({ metadata: { deletionTimestamp: "2026-01-01T00:00:00Z" } }), true);
});

Deno.test("when a pod was refused is told by its status", () => {
  const rejected = (status: JsonObject) =>
    rejectedAt({
      status: {
        phase: "Failed",
        reason: "NodeAdmissionRejected",
        conditions: [{ type: "Ready", lastTransitionTime: "2026-01-01T00:00:00Z" }],
        ...status,
      },
    });
  assert.deepEqual(rejected({}), new Date("2026-01-01T00:00:00Z"));
  for (
    const other of [
      { phase: "Pending" },
      { reason: "Evicted" },
      { conditions: [] },
      { conditions: [{ type: "Ready", lastTransitionTime: "yesterday" }] },
    ]
  ) {
    assert.equal(rejected(other), undefined);
  }
});
