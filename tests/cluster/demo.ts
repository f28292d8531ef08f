/**
 * A narrated walk on a real Kubernetes node: sign, admit, tamper, refuse. Run by `tests/cluster/run demo`.
 *
 * @module
 */
import type { JsonObject } from "@signed-pods/shared/json";
import { type Cluster, startCluster } from "./cluster.ts";
import { listAt, objectAt, textAt } from "./json.ts";
import { type Owner, startOwner } from "./owner.ts";
import { done, notYet } from "./wait.ts";
import { deployment, pod, serviceSpec } from "./workloads.ts";

const NAMESPACE = "shop";

function environment(name: string): string {
  const value = Deno.env.get(name);
  if (value === undefined || value === "") throw new Error(`${name} is not set; use tests/cluster/run demo`);
  return value;
}

function heading(text: string): void {
  console.log(`\n== ${text}`);
}

function shown(text: string): void {
  console.log(text.trimEnd().split("\n").map((line) => `   ${line}`).join("\n"));
}

/** Runs kubectl and shows the command and what it prints. */
async function show(cluster: Cluster, args: string[]): Promise<void> {
  console.log(` $ kubectl ${args.join(" ")}`);
  const { stdout, stderr } = await cluster.tryKubectl(args);
  shown(stdout + stderr);
}

function untilPhase(cluster: Cluster, name: string, phase: string): Promise<JsonObject> {
  return cluster.untilPod(
    NAMESPACE,
    name,
    `is ${phase}`,
    (object) => textAt(object, "status", "phase") === phase,
  );
}

async function walk(cluster: Cluster, owner: Owner): Promise<void> {
  await cluster.kubectl(["create", "namespace", NAMESPACE]);
  const { app, intruder } = cluster.images;

  heading("The owner signs a Deployment on their own machine");
  const web = await owner.sign(deployment(NAMESPACE, "web", 2, serviceSpec(app)), { namespace: NAMESPACE });
  const annotations = objectAt(web, "spec", "template", "metadata", "annotations");
  for (const [name, value] of Object.entries(annotations)) {
    const text = String(value);
    shown(`${name}: ${text.length > 80 ? `${text.slice(0, 80)}… (${text.length} characters)` : text}`);
  }

  heading("The cluster creates its pods, and the node runs them");
  await cluster.create(web);
  await cluster.until("both pods are Running", () => {
    const running = cluster.pods.all().filter((object) => textAt(object, "status", "phase") === "Running");
    return running.length === 2 ? done(undefined) : notYet(`${running.length} pods are Running`);
  });
  await show(cluster, ["get", "pods", "-n", NAMESPACE]);

  heading("Somebody who controls the API server creates a pod of their own");
  await cluster.create(pod(NAMESPACE, "intruder", serviceSpec(intruder)));
  await untilPhase(cluster, "intruder", "Failed");
  await show(cluster, ["get", "pods", "-n", NAMESPACE, "intruder"]);

  heading("They change the image of a pod that the owner signed, before it starts");
  const tampered = await owner.sign(pod(NAMESPACE, "tampered", serviceSpec(app)), { namespace: NAMESPACE });
  objectAt(tampered, "spec", "containers", 0).image = intruder;
  await cluster.create(tampered);
  const refused = await untilPhase(cluster, "tampered", "Failed");
  shown(textAt(refused, "status", "message") ?? "");

  heading("They change the image of a pod that runs");
  const [victim] = cluster.pods.all().filter((object) => textAt(object, "status", "phase") === "Running");
  const name = textAt(victim, "metadata", "name") ?? "";
  await show(cluster, ["set", "image", "-n", NAMESPACE, `pod/${name}`, `app=${intruder}`]);
  const stopped = await untilPhase(cluster, name, "Failed");
  shown(textAt(stopped, "status", "message") ?? "");
  const exit = listAt(stopped, "status", "containerStatuses").map((status) =>
    JSON.stringify(objectAt(status, "state"))
  );
  shown(`its container was stopped first: ${exit.join(", ")}`);

  heading("The Deployment replaces it with a pod as the owner signed it");
  await cluster.until("two pods are Running again", () => {
    const running = cluster.pods.all().filter((object) => textAt(object, "status", "phase") === "Running");
    return running.length === 2 ? done(undefined) : notYet(`${running.length} pods are Running`);
  });
  await show(cluster, ["get", "pods", "-n", NAMESPACE]);

  heading("Every container that this node ever made");
  for (const { podName, containerName, sandbox, image } of await cluster.containers.all()) {
    if (!sandbox) shown(`${podName ?? "?"} / ${containerName ?? "?"}: ${image}`);
  }
  const foreign = (await cluster.containers.all()).filter(({ image }) =>
    image.startsWith("localhost/intruder")
  );
  if (foreign.length > 0) throw new Error("The node ran an image that nobody signed");
  shown("None of them is of the image that nobody signed.");
}

const runDir = environment("CLUSTER_RUN_DIR");
const bin = environment("CLUSTER_BIN_DIR");
heading("A signing server for the owner, and a Kubernetes node with kubelet-proxy before its kubelet");
const owner = await startOwner({ runDir, podsign: `${bin}/podsign`, signingServer: `${bin}/signing-server` });
const cluster = await startCluster(
  {
    runDir,
    kubernetesDir: environment("CLUSTER_KUBERNETES_DIR"),
    proxy: `${bin}/kubelet-proxy`,
    busybox: environment("CLUSTER_BUSYBOX"),
  },
  owner.certificate,
  shown,
);
try {
  await walk(cluster, owner);
} finally {
  await cluster.close();
}
heading("Done; everything is being removed");
