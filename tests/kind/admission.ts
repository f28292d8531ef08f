/**
 * What a node with kubelet-proxy does with pods, asked through the API alone: the same on a kind cluster and on the cluster that the
 * tests build themselves.
 *
 * @module
 */
import assert from "node:assert/strict";
import { isJsonObject, type JsonObject, type JsonValue } from "../../shared/json.ts";

/** The reason that refused pods carry. */
export const REJECTED = "NodeAdmissionRejected";

/** How long a node may take to run or refuse a pod. */
const DEADLINE_MS = 120_000;

/** A cluster, and somebody who signs for it. */
export interface Place {
  /** Runs kubectl as an administrator and returns what it prints; throws if it fails. */
  kubectl(args: string[], stdin?: string): Promise<string>;
  /** Signs a manifest as an owner whom the node trusts. */
  sign(manifest: JsonObject): Promise<JsonObject>;
  /** Signs a manifest as somebody whom the node does not know. */
  signAsStranger(manifest: JsonObject): Promise<JsonObject>;
  /** The node with the proxy. */
  node: string;
  namespace: string;
  /** A container that stays: image and command, without a name. */
  container: JsonObject;
}

/** A pod that is bound to a node, so that no scheduler has a say. */
export function podOn(node: string, { namespace, container }: Place, name: string): JsonObject {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace },
    spec: {
      nodeName: node,
      terminationGracePeriodSeconds: 1,
      automountServiceAccountToken: false,
      containers: [{ name: "app", ...container }],
    },
  };
}

function objectAt(value: JsonValue | undefined, ...path: string[]): JsonObject {
  let at = value;
  for (const key of path) at = at !== undefined && isJsonObject(at) ? at[key] : undefined;
  return at !== undefined && isJsonObject(at) ? at : {};
}

/** Creates a pod and waits until it is in a phase that will not change by itself. */
export async function createAndWait(place: Place, manifest: JsonObject): Promise<JsonObject> {
  const { name } = objectAt(manifest, "metadata");
  assert.ok(typeof name === "string");
  await place.kubectl(["create", "-f", "-"], JSON.stringify(manifest));
  const deadline = Date.now() + DEADLINE_MS;
  let state = "";
  while (Date.now() < deadline) {
    state = await place.kubectl(["get", "pod", "-n", place.namespace, name, "-o", "json"]);
    const pod: JsonValue = JSON.parse(state);
    const { phase } = objectAt(pod, "status");
    if (phase === "Running" || phase === "Failed" || phase === "Succeeded") return objectAt(pod);
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  throw new Error(`The pod ${name} neither runs nor is refused after ${DEADLINE_MS / 1000} s: ${state}`);
}

/** Runs a pod; fails if it is refused. */
export async function runs(place: Place, manifest: JsonObject): Promise<void> {
  const { phase, message } = objectAt(await createAndWait(place, manifest), "status");
  assert.equal(phase, "Running", String(message));
}

/** Creates a pod that has to be refused before any container of it is made. */
async function refuses(place: Place, manifest: JsonObject, shows: string): Promise<void> {
  const { phase, reason, message, containerStatuses } = objectAt(
    await createAndWait(place, manifest),
    "status",
  );
  assert.deepEqual([phase, reason], ["Failed", REJECTED]);
  assert.equal(containerStatuses, undefined, "containers that were made");
  assert.ok(typeof message === "string" && message.includes(shows), `"${shows}" is not in: ${message}`);
}

function firstContainer(manifest: JsonObject): JsonObject {
  const { containers } = objectAt(manifest, "spec");
  return objectAt(Array.isArray(containers) ? containers[0] : undefined);
}

/** What has to hold of the node with the proxy, by the name of the test. */
export const ADMISSION_CASES: Record<string, (place: Place) => Promise<void>> = {
  "a signed pod runs": async (place) => {
    await runs(place, await place.sign(podOn(place.node, place, "kind-signed")));
  },
  "refuses an unsigned pod": async (place) => {
    await refuses(place, podOn(place.node, place, "kind-unsigned"), "kubelet-proxy.io/signature");
  },
  "refuses a pod that a stranger signed": async (place) => {
    await refuses(place, await place.signAsStranger(podOn(place.node, place, "kind-stranger")), "signature");
  },
  "refuses a signature of another pod": async (place) => {
    const signed = await place.sign(podOn(place.node, place, "kind-another"));
    const metadata = objectAt(signed, "metadata");
    metadata.name = "kind-moved";
    await refuses(place, signed, "kind-another");
  },
  "refuses a pod that was altered after it was signed": async (place) => {
    const signed = await place.sign(podOn(place.node, place, "kind-altered"));
    firstContainer(signed).env = [{ name: "ADDED", value: "later" }];
    await refuses(place, signed, "spec.containers[app].env");
  },
};
