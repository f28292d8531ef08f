/** The invariant notices what it is there to notice. */
import assert from "node:assert/strict";
import type { JsonObject } from "@signed-pods/shared/json";
import { objectsAt } from "@signed-pods/shared/json";
import {
  makeMirror,
  makePod,
  NODE_NAME,
  objectOf,
  uidOf,
  withImage,
  withMetadata,
  withSpec,
} from "../fakes/owner.ts";
import { Invariant } from "./invariant.ts";

const WEB = makePod({ name: "web" });

function specOf(pod: JsonObject): JsonObject {
  const { nodeName: _nodeName, ...spec } = objectOf(pod.spec);
  return spec;
}

/** An invariant that has the pod web, and what it says of pods that are held one set after the other. */
function check(...sets: JsonObject[][]): string[] {
  const invariant = new Invariant(NODE_NAME);
  invariant.grants.push({
    namespace: "default",
    fits: (name) => name === "web",
    spec: specOf(WEB),
    labels: { team: "a" },
    annotations: { note: "b" },
  }, {
    namespace: "default",
    fits: (name) => name === "web",
    spec: specOf(withImage(WEB, "registry.example/web:2")),
    labels: {},
    annotations: {},
  });
  const problems = sets.flatMap((pods) => invariant.check(pods));
  assert.equal(invariant.checks, sets.length);
  return problems;
}

const GOOD = withMetadata(WEB, { labels: { team: "a" }, annotations: { note: "b" } });

function withContainer(pod: JsonObject, changes: JsonObject): JsonObject {
  const containers = objectsAt(objectOf(pod.spec), "containers").map((container) => ({
    ...container,
    ...changes,
  }));
  return withSpec(pod, { containers });
}

Deno.test("holds for a signed pod, and for what Kubernetes adds", () => {
  assert.deepEqual(check([GOOD], []), []);
  assert.deepEqual(
    check([withMetadata(GOOD, {
      labels: { team: "a", "pod-template-hash": "7d9c5f8b6" },
      annotations: { note: "b", "kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z" },
    })]),
    [],
  );
  assert.deepEqual(check([withSpec(GOOD, { tolerations: [{ operator: "Exists" }], priority: 7 })]), []);
  assert.deepEqual(check([withSpec(GOOD, { imagePullSecrets: [{ name: "registry" }] })]), []);
  assert.deepEqual(
    check([withContainer(GOOD, { resources: { limits: { cpu: "1" }, requests: { memory: "1Gi" } } })]),
    [],
  );
  assert.deepEqual(
    check(
      [withMetadata(makeMirror(), {})].map((pod) => ({
        ...pod,
        spec: { nodeName: NODE_NAME, containers: [] },
      })),
    ),
    [],
  );
});

const REFUSED: [string, JsonObject][] = [
  ["another image", withImage(GOOD, "evil")],
  ["another name", withMetadata(GOOD, { name: "other" })],
  ["another namespace", withMetadata(GOOD, { namespace: "other" })],
  ["another node", withSpec(GOOD, { nodeName: "other" })],
  ["one more field", withSpec(GOOD, { hostPID: true })],
  ["an ephemeral container", withSpec(GOOD, { ephemeralContainers: [{ name: "debug", image: "busybox" }] })],
  ["a field less", withContainer(GOOD, { imagePullPolicy: null })],
  ["a UID that is a path", withMetadata(GOOD, { uid: "../../x" })],
  ["a name with a line feed", withMetadata(GOOD, { name: "web\n" })],
  ["a label that nobody signed", withMetadata(GOOD, { labels: { team: "a", evil: "x" } })],
  ["a label of another value", withMetadata(GOOD, { labels: { team: "b" } })],
  ["a label less", withMetadata(GOOD, { labels: {} })],
  [
    "an annotation that nobody signed",
    withMetadata(GOOD, { annotations: { note: "b", "cdi.k8s.io/x": "y" } }),
  ],
  [
    "an added label that is a command",
    withMetadata(GOOD, { labels: { team: "a", "pod-template-hash": "$(x)" } }),
  ],
  ["owners", withMetadata(GOOD, { ownerReferences: [] })],
  ["a QoS class", { ...GOOD, status: { qosClass: "Guaranteed" } }],
  ["a device", withContainer(GOOD, { resources: { limits: { "example.com/gpu": "1" } } })],
  [
    "a path of the host",
    withSpec(GOOD, { volumes: [{ name: "kube-api-access-b2c4d", hostPath: { path: "/" } }] }),
  ],
  ["a pull secret that is a path", withSpec(GOOD, { imagePullSecrets: [{ name: "../x" }] })],
  ["a pull policy without a digest", withContainer(GOOD, { imagePullPolicy: "Always" })],
  ["a mirror that runs something", makeMirror()],
];

for (const [what, pod] of REFUSED) {
  Deno.test(`refuses ${what}`, () => {
    assert.ok(check([pod]).length > 0);
  });
}

Deno.test("refuses a UID that is there twice, or that changes its name or its signed version", () => {
  const invariant = new Invariant(NODE_NAME);
  const grant = { namespace: "default", fits: () => true, labels: {}, annotations: {} };
  invariant.grants.push({ ...grant, spec: specOf(WEB) });
  invariant.grants.push({ ...grant, spec: specOf(withImage(WEB, "registry.example/web:2")) });
  assert.deepEqual(invariant.check([WEB, makePod({ name: "other", uid: uidOf(2) })]), []);
  assert.equal(invariant.check([WEB, makePod({ name: "third" })]).length, 2);
  assert.equal(invariant.check([makePod({ name: "other" })]).length, 1);
  assert.equal(
    invariant.check([withImage(makePod({ name: "other", uid: uidOf(2) }), "registry.example/web:2")]).length,
    1,
  );
});
