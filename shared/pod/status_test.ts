import assert from "node:assert/strict";
import { isJsonObject, type JsonObject } from "../json.ts";
import { BAD_STATUSES } from "./fixture_test.ts";
import { MAX_STATUS_PROSE_CHARACTERS, MAX_STATUS_TEXT_CHARACTERS, rebuildPodStatus } from "./status.ts";

Deno.test("forwards the typed status without what would steer the kubelet", () => {
  const status: JsonObject = {
    phase: "Running",
    conditions: [{
      type: "Ready",
      status: "True",
      lastProbeTime: null,
      lastTransitionTime: "2026-11-23T12:58:30Z",
    }],
    containerStatuses: [{
      name: "app",
      image: "localhost/busybox:1",
      imageID: "sha256:deaa48724253ac788bb8583f12c835088a7446939e70042c45f24483da781e54",
      containerID: "containerd://3a47c8422dfef5f36eb13ce063a9b2dfccf3a083b73e1c8907bcd0f07c1a0371",
      ready: true,
      restartCount: 1,
      state: { running: { startedAt: "2026-11-23T12:58:30Z" } },
      lastState: { terminated: { exitCode: 1, message: "panic:\n\u001b[31mred" } },
      allocatedResources: { cpu: "500m" },
    }],
    podIPs: [{ ip: "10.244.0.8" }],
  };
  const found = rebuildPodStatus({
    ...status,
    qosClass: "Guaranteed",
    resourceClaimStatuses: [{ name: "gpu", resourceClaimName: "stolen" }],
    extendedResourceClaimStatus: { resourceClaimName: "stolen", requestMappings: [] },
    nodeAllocatableResourceClaimStatuses: [],
    fromTheFuture: { steer: true },
    containerStatuses: [{
      ...(Array.isArray(status.containerStatuses) ? Object(status.containerStatuses[0]) : {}),
      newer: 1,
    }],
  });
  assert.ok(found.ok, JSON.stringify(found));
  const { conditions: _conditions, containerStatuses: _statuses, ...rest } = status;
  assert.deepEqual(Object.keys(found.status).sort(), Object.keys(status).sort());
  assert.equal(JSON.stringify(found.status).includes("newer"), false);
  assert.deepEqual(found.status.podIPs, rest.podIPs);
  const [container] = Array.isArray(found.status.containerStatuses) ? found.status.containerStatuses : [];
  assert.ok(isJsonObject(container));
  assert.equal(
    container.containerID,
    "containerd://3a47c8422dfef5f36eb13ce063a9b2dfccf3a083b73e1c8907bcd0f07c1a0371",
  );
  assert.deepEqual(rebuildPodStatus(undefined), { ok: true, status: {} });
});

for (const [name, status] of BAD_STATUSES) {
  Deno.test(`refuses ${name}`, () => {
    const found = rebuildPodStatus(status);
    assert.ok(!found.ok && found.code === "pod-malformed");
  });
}

Deno.test("texts up to the bounds pass", () => {
  const status = {
    reason: "x".repeat(MAX_STATUS_TEXT_CHARACTERS),
    message: "x".repeat(MAX_STATUS_PROSE_CHARACTERS),
  };
  assert.deepEqual(rebuildPodStatus(status), { ok: true, status });
});

Deno.test("addresses of both families pass, as the kubelet writes them", () => {
  const status = {
    hostIP: "192.168.1.7",
    hostIPs: [{ ip: "192.168.1.7" }, { ip: "fd00::7" }],
    podIP: "10.244.0.8",
    podIPs: [{ ip: "10.244.0.8" }, { ip: "fd00:10:244::8" }],
  };
  assert.deepEqual(rebuildPodStatus(status), { ok: true, status });
});
