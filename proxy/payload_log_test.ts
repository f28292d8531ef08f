import assert from "node:assert/strict";
import type { JsonValue } from "@signed-pods/shared/json";
import { deny } from "@signed-pods/shared/verdict";
import { memoryLog } from "./fixture_test.ts";
import { withPayloadLog } from "./payload_log.ts";

async function logged(pod: Record<string, JsonValue>): Promise<string> {
  const log = memoryLog();
  const verifier = withPayloadLog(
    { verifyPod: () => Promise.resolve(deny("unsigned", "no signature")) },
    log,
  );
  const verdict = await verifier.verifyPod(pod, { now: new Date(0) });
  assert.equal(verdict.decision, "deny");
  assert.deepEqual(log.events.map(({ event }) => event), ["pod-payload"]);
  assert.equal(log.events[0]?.fields["decision"], "deny");
  return String(log.events[0]?.fields["spec"]);
}

Deno.test("the spec is logged with the verdict, big integers as texts", async () => {
  const spec = await logged({
    metadata: { namespace: "a", name: "b", uid: "c" },
    spec: { terminationGracePeriodSeconds: 2n ** 60n, containers: [{ name: "app", image: "x" }] },
  });
  assert.deepEqual(JSON.parse(spec), {
    terminationGracePeriodSeconds: String(2n ** 60n),
    containers: [{ name: "app", image: "x" }],
  });
});

Deno.test("refuses to log values of environment variables, whatever form they have", async () => {
  const env = [{ name: "A", value: "canary" }, "canary", {
    name: ["canary"],
    valueFrom: { canary: "canary" },
  }];
  for (
    const spec of [
      { containers: [{ env }], initContainers: [{ env }], ephemeralContainers: [{ env }] },
      { containers: [{ env: "canary" }] },
      { containers: ["canary"] },
      { containers: "canary" },
      "canary",
      null,
    ] satisfies JsonValue[]
  ) {
    assert.doesNotMatch(await logged({ metadata: "none", spec }), /canary/);
  }
});
