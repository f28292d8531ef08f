/** An object gate with all its parts in memory, a client's way into it, and objects to ask for. */
import assert from "node:assert/strict";
import type { JsonObject, JsonValue } from "@signed-pods/shared/json";
import type { Mode } from "../../proxy/mode.ts";
import { createObjectGate, type ObjectGate, type RefusalObserver } from "../../proxy/objects/object_gate.ts";
import { createObjectKinds, type ObjectPolicy } from "../../proxy/objects/object_kinds.ts";
import type { PodReferences } from "../../proxy/objects/pod_references.ts";
import type { RefusalEvents } from "../../proxy/objects/refusal_events.ts";
import { parseTarget } from "../../proxy/request_target.ts";
import { createRouter } from "../../proxy/route.ts";
import type { Upstream } from "../../proxy/upstream.ts";
import { ManualClock } from "./clock.ts";
import { MemoryLog } from "./log.ts";
import { NODE_NAME, objectOf, uidOf } from "./owner.ts";

export interface TestObjectGate {
  gate: ObjectGate;
  log: MemoryLog;
  clock: ManualClock;
  /** Asks as a kubelet would: the path must be one that it asks for. */
  ask(method: string, path: string, init?: RequestInit): Promise<Response>;
}

export function makeObjectGate(
  { upstream, policy = {}, mode = "enforce", references, events, observer }: {
    upstream: Upstream;
    references?: PodReferences;
    events?: RefusalEvents;
    observer?: RefusalObserver;
    policy?: Partial<ObjectPolicy>;
    mode?: Mode;
  },
): TestObjectGate {
  const log = new MemoryLog();
  const clock = new ManualClock();
  const gate = createObjectGate({
    upstream,
    kinds: createObjectKinds(makePolicy(policy)),
    log,
    mode,
    clock,
    ...(references === undefined ? {} : { references }),
    ...(events === undefined ? {} : { events }),
    ...(observer === undefined ? {} : { observer }),
  });
  const router = createRouter(NODE_NAME, []);
  return {
    gate,
    log,
    clock,
    async ask(method, path, init = {}) {
      const request = new Request(`https://proxy.invalid${path}`, { ...init, method });
      const parsed = parseTarget(request.url);
      assert.ok(parsed.ok);
      const route = router.route(method, parsed.target);
      assert.ok(route.kind === "object", `${method} ${path} is ${route.kind}`);
      return await gate.answer(request, route.asked, request.signal);
    },
  };
}

/** What an operator decided who decided nothing else. */
export function makePolicy(policy: Partial<ObjectPolicy> = {}): ObjectPolicy {
  return {
    nodeName: NODE_NAME,
    allowedVolumes: [],
    runtimeClasses: new Map(),
    deviceDrivers: new Set(),
    ...policy,
  };
}

/** Metadata as kube-apiserver sends it, with much that no rule lets through. */
export function makeMetadata(name: string, more: JsonObject = {}): JsonObject {
  return {
    name,
    uid: uidOf(7),
    resourceVersion: "41",
    creationTimestamp: "2026-01-01T00:00:00Z",
    managedFields: [{ manager: "x", operation: "Update" }],
    ...more,
  };
}

export function makeService(name: string, spec: JsonObject = {}, metadata: JsonObject = {}): JsonObject {
  return {
    kind: "Service",
    apiVersion: "v1",
    metadata: makeMetadata(name, { namespace: "default", labels: { a: "b" }, ...metadata }),
    spec: {
      clusterIP: "10.96.0.7",
      clusterIPs: ["10.96.0.7"],
      type: "ClusterIP",
      selector: { app: "x" },
      ports: [{ name: "http", port: 80, protocol: "TCP", targetPort: 8080 }],
      ...spec,
    },
    status: { loadBalancer: {} },
  };
}

/** One line of a watch. */
export function eventLine(type: string, object: JsonValue): string {
  return JSON.stringify({ type, object }) + "\n";
}

export function bookmarkLine(kind: string, apiVersion: string, resourceVersion: string, end = false): string {
  return eventLine("BOOKMARK", {
    kind,
    apiVersion,
    metadata: {
      resourceVersion,
      creationTimestamp: null,
      ...(end ? { annotations: { "k8s.io/initial-events-end": "true", other: "x" } } : {}),
    },
    spec: { evil: true },
  });
}

export function listOf(kind: string, apiVersion: string, items: readonly JsonValue[]): JsonObject {
  return { kind: `${kind}List`, apiVersion, metadata: { resourceVersion: "50" }, items: [...items] };
}

/** Events of a watch's answer. */
export async function eventsOf(response: Response): Promise<JsonObject[]> {
  const text = await response.text();
  return text.split("\n").slice(0, -1).map((line) => objectOf(JSON.parse(line)));
}
