/**
 * Records what a real API server says about signed pods, for the fuzzer: a list, and a watch of their lives and of what
 * others do to them. `deno run -A tests/hostile/record.ts FOLDER_OF_KUBERNETES FILE`, with what tests/cluster/go/build makes.
 *
 * @module
 */
import { encodeBase64 } from "@signed-pods/shared/base64";
import { isJsonObject, type JsonObject, objectAt, objectsAt } from "@signed-pods/shared/json";
import { SIGNATURE_ANNOTATION, SIGNED_TEMPLATE_ANNOTATION } from "@signed-pods/shared/verdict";
import { type ControlPlane, startControlPlane } from "../cluster/control_plane.ts";
import { NODE_NAME, objectOf, Owner } from "../fakes/owner.ts";
import type { Recording } from "./recording.ts";
import { signTemplate } from "./setting.ts";

const NAMESPACE = "/api/v1/namespaces/default";
const SELECTOR = `fieldSelector=spec.nodeName%3D${NODE_NAME}`;
const DIGEST = `sha256:${"0123456789abcdef".repeat(4)}`;

const POD_SPEC: JsonObject = {
  terminationGracePeriodSeconds: 20,
  securityContext: { runAsUser: 1000, fsGroup: 2000 },
  initContainers: [{ name: "prepare", image: `registry.example/prepare@${DIGEST}`, command: ["prepare"] }],
  containers: [{
    name: "app",
    image: `registry.example/app@${DIGEST}`,
    args: ["--serve", "--port=8080"],
    env: [{ name: "MODE", value: "production" }],
    ports: [{ containerPort: 8080 }],
    readinessProbe: { httpGet: { path: "/ready", port: 8080 } },
    lifecycle: { preStop: { exec: { command: ["drain"] } } },
    resources: { limits: { cpu: "500m", memory: "64Mi" } },
    volumeMounts: [{ name: "cache", mountPath: "/cache" }],
  }, { name: "sidecar", image: `registry.example/sidecar@${DIGEST}` }],
  volumes: [{ name: "cache", emptyDir: { sizeLimit: "1Gi" } }],
};

function template(labels: JsonObject, spec: JsonObject): JsonObject {
  return { metadata: { labels }, spec };
}

function small(image: string): JsonObject {
  return {
    automountServiceAccountToken: false,
    containers: [{ name: "app", image: `registry.example/${image}@${DIGEST}` }],
  };
}

/** Path of the collection, and what the owner wrote. */
const WORKLOADS: readonly [string, JsonObject][] = [
  [`${NAMESPACE}/pods`, {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: "plain",
      namespace: "default",
      labels: { app: "plain" },
      annotations: { "example.com/team": "a" },
    },
    spec: POD_SPEC,
  }],
  ["/apis/apps/v1/namespaces/default/deployments", {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "shop", namespace: "default" },
    spec: {
      replicas: 1,
      selector: { matchLabels: { app: "shop" } },
      template: template({ app: "shop" }, small("shop")),
    },
  }],
  ["/apis/apps/v1/namespaces/default/statefulsets", {
    apiVersion: "apps/v1",
    kind: "StatefulSet",
    metadata: { name: "db", namespace: "default" },
    spec: {
      serviceName: "db",
      replicas: 1,
      selector: { matchLabels: { app: "db" } },
      template: template({ app: "db" }, small("db")),
      volumeClaimTemplates: [{
        metadata: { name: "data" },
        spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } },
      }],
    },
  }],
  ["/apis/batch/v1/namespaces/default/jobs", {
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: { name: "batch", namespace: "default" },
    spec: {
      completions: 1,
      completionMode: "Indexed",
      template: template({ app: "batch" }, { ...small("batch"), restartPolicy: "Never" }),
    },
  }],
];

async function pods(controlPlane: ControlPlane): Promise<JsonObject[]> {
  const { body } = await controlPlane.request("GET", `${NAMESPACE}/pods`);
  return objectsAt(body, "items");
}

async function until(what: string, condition: () => Promise<boolean> | boolean): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!await condition()) {
    if (Date.now() > deadline) throw new Error(`it did not come to be that ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function change(
  controlPlane: ControlPlane,
  name: string,
  type: string,
  patch: JsonObject,
  sub = "",
): Promise<void> {
  const response = await controlPlane.fetch(`${NAMESPACE}/pods/${name}${sub}`, {
    method: "PATCH",
    headers: { "content-type": `application/${type}-patch+json` },
    body: JSON.stringify(patch),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`PATCH of ${name} was answered with ${response.status}: ${text}`);
}

async function record(controlPlane: ControlPlane): Promise<Recording> {
  const owner = await Owner.create();
  for (const [path, workload] of WORKLOADS) {
    await controlPlane.create(path, await signTemplate(owner, workload));
  }
  await until(
    "all workloads have their pods",
    async () => (await pods(controlPlane)).length === WORKLOADS.length,
  );
  for (const pod of await pods(controlPlane)) {
    const { name } = objectAt(pod, "metadata");
    const { status } = await controlPlane.request("POST", `${NAMESPACE}/pods/${String(name)}/binding`, {
      apiVersion: "v1",
      kind: "Binding",
      metadata: { name: name ?? null },
      target: { apiVersion: "v1", kind: "Node", name: NODE_NAME },
    });
    if (status !== 201) throw new Error(`${String(name)} was not bound: ${status}`);
  }
  const live = await pods(controlPlane);
  const list = await (await controlPlane.fetch(`/api/v1/pods?${SELECTOR}&limit=500&resourceVersion=0`))
    .text();

  const watch = { text: "" };
  const leaving = new AbortController();
  const response = await controlPlane.fetch(
    `/api/v1/pods?${SELECTOR}&watch=true&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=`,
    { signal: leaving.signal },
  );
  const reading = (async () => {
    for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) watch.text += chunk;
  })().catch(() => {});
  await until("the first events are over", () => watch.text.includes("initial-events-end"));

  const [plain, shop] = ["plain", "shop"].map((prefix) =>
    String(
      objectAt(
        live.find((pod) => String(objectAt(pod, "metadata").name).startsWith(prefix)) ?? {},
        "metadata",
      ).name,
    )
  );
  if (plain === undefined || shop === undefined) throw new Error("a pod is missing");
  const running = {
    status: {
      phase: "Running",
      startTime: "2026-01-01T00:00:00Z",
      podIP: "10.0.0.7",
      podIPs: [{ ip: "10.0.0.7" }],
      conditions: [{ type: "Ready", status: "True", lastTransitionTime: "2026-01-01T00:00:00Z" }],
      containerStatuses: [{
        name: "app",
        image: "registry.example/app",
        imageID: `registry.example/app@${DIGEST}`,
        containerID: `containerd://${"0".repeat(64)}`,
        ready: true,
        started: true,
        restartCount: 0,
        state: { running: { startedAt: "2026-01-01T00:00:00Z" } },
      }],
    },
  };
  for (const name of [plain, shop]) await change(controlPlane, name, "strategic-merge", running, "/status");
  await change(controlPlane, plain, "merge", {
    metadata: { labels: { extra: "label" }, annotations: { note: "by hand" } },
  });
  await change(controlPlane, shop, "strategic-merge", {
    spec: { containers: [{ name: "app", image: "registry.example/evil:1" }] },
  });
  await change(
    controlPlane,
    plain,
    "strategic-merge",
    {
      spec: {
        ephemeralContainers: [{
          name: "debugger",
          image: "registry.example/debug:1",
          targetContainerName: "app",
        }],
      },
    },
    "/ephemeralcontainers",
  );
  await controlPlane.create(`${NAMESPACE}/pods`, {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "intruder" },
    spec: { nodeName: NODE_NAME, containers: [{ name: "app", image: "registry.example/evil:1" }] },
  });
  await controlPlane.request("DELETE", `${NAMESPACE}/pods/${plain}`, {
    apiVersion: "v1",
    kind: "DeleteOptions",
    gracePeriodSeconds: 20,
  });
  await controlPlane.request("DELETE", `${NAMESPACE}/pods/${plain}`, {
    apiVersion: "v1",
    kind: "DeleteOptions",
    gracePeriodSeconds: 0,
  });
  await until("the last event has come", () => watch.text.includes('"DELETED"'));
  leaving.abort();
  await reading;

  const spki = await crypto.subtle.exportKey("spki", owner.verificationKey.key);
  return {
    source:
      `kube-apiserver ${controlPlane.version}, pods of this file's making (tests/hostile/record.ts); Apache-2.0`,
    key: `-----BEGIN PUBLIC KEY-----\n${encodeBase64(new Uint8Array(spki))}\n-----END PUBLIC KEY-----\n`,
    grants: live.map(grantOf),
    list,
    watch: watch.text,
  };
}

/** Names that a controller may give to a pod, in place of the one that it gave: a regular expression. */
function namesOf(pod: JsonObject): string {
  const { name, generateName, labels } = objectAt(pod, "metadata");
  const random = "[bcdfghjklmnpqrstvwxz2456789]";
  const prefix = String(generateName);
  if (String(name).length !== prefix.length + 5 || !String(name).startsWith(prefix)) return String(name);
  const hash = String(objectOf(labels)["pod-template-hash"]);
  return `${prefix.replace(hash, `${random}{1,10}`)}${random}{5}`;
}

/** What was signed for a pod, with the defaults and additions that the API server made. */
function grantOf(pod: JsonObject): Recording["grants"][number] {
  const { name, namespace, annotations } = objectAt(pod, "metadata");
  const { [SIGNATURE_ANNOTATION]: _signature, [SIGNED_TEMPLATE_ANNOTATION]: text } = objectOf(annotations);
  const signed: unknown = JSON.parse(String(text));
  const metadata = objectOf(objectOf(signed).metadata);
  const { nodeName: _nodeName, ...spec } = objectAt(pod, "spec");
  return {
    namespace: String(namespace),
    name: String(name),
    names: namesOf(pod),
    spec,
    labels: isJsonObject(metadata.labels) ? metadata.labels : {},
    annotations: isJsonObject(metadata.annotations) ? metadata.annotations : {},
  };
}

const [kubernetesDir, file] = Deno.args;
if (kubernetesDir === undefined || file === undefined) {
  console.error("usage: record.ts FOLDER_OF_KUBERNETES FILE");
  Deno.exit(2);
}
const runDir = await Deno.makeTempDir();
const controlPlane = await startControlPlane({ runDir, kubernetesDir, withControllers: true });
try {
  await Deno.writeTextFile(file, `${JSON.stringify(await record(controlPlane), null, 1)}\n`);
} finally {
  await controlPlane.stop();
  await Deno.remove(runDir, { recursive: true });
}
