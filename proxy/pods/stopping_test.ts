import assert from "node:assert/strict";
import type { LedgerEntry } from "./ledger.ts";
import { stoppingPod } from "./stopping.ts";
import { makePod, objectOf, withImage, withMetadata, withSpec, withStatus } from "../../tests/fakes/owner.ts";

const { status: _status, ...GOOD } = makePod({ resourceVersion: "5" });

const ENTRY: LedgerEntry = {
  uid: "u",
  namespace: "default",
  name: "web",
  signedHash: "ab",
  admittedAt: "2026-01-01T00:00:00.000Z",
  state: "stopping",
  pod: JSON.stringify(withSpec(GOOD, { terminationGracePeriodSeconds: 45 })),
  stoppingSince: "2026-01-01T00:10:00Z",
  refusal: "the image differs",
};

const LIVE = withImage(
  withStatus(makePod({ resourceVersion: "9" }), { phase: "Running" }),
  "registry.example/evil:1",
);

function metadataOf(live = LIVE, entry = ENTRY, deletion: "shown" | "as-live" = "shown") {
  return objectOf(stoppingPod(entry, live, deletion)["metadata"]);
}

Deno.test("the last good spec is shown, with the live status and version, under deletion", () => {
  const pod = stoppingPod(ENTRY, LIVE, "shown");
  assert.deepEqual(pod["spec"], objectOf(JSON.parse(ENTRY.pod))["spec"]);
  assert.deepEqual(pod["status"], { phase: "Running" });
  assert.equal(metadataOf()["resourceVersion"], "9");
  assert.equal(metadataOf()["deletionTimestamp"], "2026-01-01T00:10:00Z");
  assert.equal(metadataOf()["deletionGracePeriodSeconds"], 45);
});

Deno.test("GET shows a deletion only if there is one", () => {
  assert.equal(metadataOf(LIVE, ENTRY, "as-live")["deletionTimestamp"], undefined);
  const deleted = withMetadata(LIVE, {
    deletionTimestamp: "2026-01-01T00:20:00Z",
    deletionGracePeriodSeconds: 5,
  });
  assert.equal(metadataOf(deleted, ENTRY, "as-live")["deletionTimestamp"], "2026-01-01T00:20:00Z");
});

Deno.test("a deletion that someone asked for may shorten the grace period, never extend it", () => {
  const seconds = (deletionGracePeriodSeconds: number | string) => {
    const live = withMetadata(LIVE, {
      deletionTimestamp: "2026-01-01T00:20:00Z",
      deletionGracePeriodSeconds,
    });
    return metadataOf(live)["deletionGracePeriodSeconds"];
  };
  assert.equal(seconds(5), 5);
  assert.equal(seconds(500), 45);
  assert.equal(seconds(-1), 45);
  assert.equal(seconds("5"), 45);
});

Deno.test("a pod without a grace period of its own has Kubernetes' 30 s", () => {
  const entry = { ...ENTRY, pod: JSON.stringify({ metadata: {}, spec: {} }) };
  assert.equal(metadataOf(LIVE, entry)["deletionGracePeriodSeconds"], 30);
});

Deno.test("refuses what is malformed in the live pod: its status, its version, its times", () => {
  const live = withMetadata({ ...LIVE, status: { phase: 1 } }, {
    resourceVersion: "x",
    deletionTimestamp: "yesterday",
    deletionGracePeriodSeconds: 0,
  });
  const pod = stoppingPod(ENTRY, live, "shown");
  assert.equal("status" in pod, false);
  assert.equal(metadataOf(live)["resourceVersion"], "5");
  assert.equal(metadataOf(live)["deletionTimestamp"], "2026-01-01T00:10:00Z");
  assert.equal(metadataOf(live)["deletionGracePeriodSeconds"], 45);
  assert.equal(metadataOf({ metadata: 1 })["resourceVersion"], "5");
});
