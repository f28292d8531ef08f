/**
 * A second node of the cluster, in a network namespace of its own and without kubelet-proxy: pods run there unsigned, while
 * the first node refuses them. What is asked of the first is what `make test-kind` asks of a kind cluster's worker.
 *
 * @module
 */
import assert from "node:assert/strict";
import { isJsonObject } from "@signed-pods/shared/json";
import { ADMISSION_CASES, type Place, podOn, runs } from "../kind/admission.ts";
import { cleanUp } from "./cleanup.ts";
import { type Cluster, containerdConfiguration, kubeletConfiguration, NODE_NAME } from "./cluster.ts";
import { Containerd } from "./containers.ts";
import { createControlGroup } from "./control_groups.ts";
import { listAt, parseObject, textAt } from "./json.ts";
import { createSecondNamespace, NODE_ADDRESS, SECOND_NODE_ADDRESS } from "./network.ts";
import type { Owner } from "./owner.ts";
import { createNodeCertificates } from "./pki.ts";
import { attempt, Program, run, tail } from "./programs.ts";
import { done, notYet, until } from "./wait.ts";

/** Name of the node without the proxy. */
const OPEN_NODE = "open";
/** Keeps away what the other tests create. Pods that are bound to the node come nevertheless. */
const TAINT = { key: "kubelet-proxy.io/absent", effect: "NoSchedule" };

/** Starts containerd and a kubelet that talks to the API server itself, and waits until the node is Ready. */
async function startOpenNode(cluster: Cluster, folder: string): Promise<void> {
  const { runDir, kubernetesDir } = cluster.options;
  for (const name of ["log", "pid", "pki", "cni", "static"]) {
    await Deno.mkdir(`${folder}/${name}`, { recursive: true, mode: 0o700 });
  }
  const namespace = `${cluster.network}-${OPEN_NODE}`;
  await createSecondNamespace(cluster.network, namespace, folder);
  await createControlGroup(namespace);
  for (const file of ["cluster-ca.crt", "cluster-ca.key"]) {
    await Deno.copyFile(`${runDir}/pki/${file}`, `${folder}/pki/${file}`);
  }
  await createNodeCertificates(`${folder}/pki`, OPEN_NODE, SECOND_NODE_ADDRESS);
  await Deno.writeTextFile(
    `${folder}/node.kubeconfig`,
    JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      clusters: [{
        name: "cluster",
        cluster: {
          server: `https://${NODE_ADDRESS}:6443`,
          "tls-server-name": "localhost",
          "certificate-authority": `${folder}/pki/cluster-ca.crt`,
        },
      }],
      users: [{
        name: "node",
        user: { "client-certificate": `${folder}/pki/node.crt`, "client-key": `${folder}/pki/node.key` },
      }],
      contexts: [{ name: "context", context: { cluster: "cluster", user: "node" } }],
      "current-context": "context",
    }),
  );
  await Deno.writeTextFile(`${folder}/resolv.conf`, `nameserver ${SECOND_NODE_ADDRESS}\n`);
  await Deno.writeTextFile(`${folder}/containerd.toml`, containerdConfiguration(folder));
  const configuration = {
    ...kubeletConfiguration(folder, namespace, false),
    address: SECOND_NODE_ADDRESS,
    registerWithTaints: [TAINT],
  };
  await Deno.writeTextFile(`${folder}/kubelet.json`, JSON.stringify(configuration));
  const conflist = await Deno.readTextFile(`${runDir}/cni/10-pods.conflist`);
  await Deno.writeTextFile(
    `${folder}/cni/10-pods.conflist`,
    conflist.replace("10.244.0.0/24", "10.244.1.0/24").replaceAll(`${runDir}/`, `${folder}/`),
  );

  const common = { runDir: folder, namespace };
  new Program({
    ...common,
    name: "containerd",
    command: "containerd",
    args: [`--config=${folder}/containerd.toml`],
  }).start();
  const containerd = new Containerd(`${folder}/containerd.sock`);
  await until("the second containerd answers", async () => {
    const { code, stderr } = await attempt("ctr", containerd.args("version"));
    return code === 0 ? done(undefined) : notYet(stderr);
  }, { explain: () => tail(`${folder}/log/containerd.log`, 20) });
  await containerd.ctr("images", "import", `${runDir}/images.tar`);
  new Program({
    ...common,
    name: "kubelet",
    command: `${kubernetesDir}/kubelet`,
    args: [
      `--config=${folder}/kubelet.json`,
      `--kubeconfig=${folder}/node.kubeconfig`,
      `--hostname-override=${OPEN_NODE}`,
      `--node-ip=${SECOND_NODE_ADDRESS}`,
      `--root-dir=${folder}/kubelet`,
      `--cert-dir=${folder}/kubelet-certificates`,
    ],
  }).start();
  await until("the second node is Ready", async () => {
    const { code, stdout, stderr } = await cluster.tryKubectl(["get", "node", OPEN_NODE, "-o", "json"]);
    if (code !== 0) return notYet(stderr);
    const ready = listAt(parseObject(stdout), "status", "conditions").find((condition) =>
      textAt(condition, "type") === "Ready"
    );
    return isJsonObject(ready ?? null) && textAt(ready, "status") === "True"
      ? done(undefined)
      : notYet(JSON.stringify(ready));
  }, { explain: () => tail(`${folder}/log/kubelet.log`, 30) });
}

/** The same pods on a node with the proxy and on one without. */
export async function testTwoNodes(cluster: Cluster, owner: Owner, namespace: string): Promise<void> {
  const { runDir } = cluster.options;
  const folder = `${runDir}/${OPEN_NODE}`;
  const stranger = `${runDir}/stranger.key`;
  await run("openssl", [
    "genpkey",
    "-algorithm",
    "EC",
    "-pkeyopt",
    "ec_paramgen_curve:P-256",
    "-out",
    stranger,
  ]);
  const place: Place = {
    kubectl: (args, stdin) => cluster.kubectl(args, stdin === undefined ? {} : { stdin }),
    sign: (manifest) => owner.sign(manifest, { namespace }),
    signAsStranger: (manifest) => owner.sign(manifest, { namespace, key: stranger }),
    node: NODE_NAME,
    namespace,
    container: { image: cluster.images.app, command: ["sleep", "1000000"] },
  };
  await Deno.mkdir(folder, { mode: 0o700 });
  try {
    await startOpenNode(cluster, folder);
    await runs(place, podOn(OPEN_NODE, place, "open-unsigned"));
    const containerd = new Containerd(`${folder}/containerd.sock`);
    assert.equal(
      (await containerd.runningTasks()).size,
      2,
      "the sandbox and the container of the unsigned pod",
    );
    for (const [name, check] of Object.entries(ADMISSION_CASES)) {
      try {
        await check(place);
      } catch (error) {
        throw new Error(`${name}, on the node with the proxy`, { cause: error });
      }
    }
  } finally {
    await cluster.tryKubectl([
      "delete",
      "pod",
      "-n",
      namespace,
      "open-unsigned",
      "--ignore-not-found",
      "--timeout=30s",
    ]);
    await cluster.tryKubectl(["delete", "node", OPEN_NODE, "--ignore-not-found"]);
    await cleanUp(folder);
  }
}
