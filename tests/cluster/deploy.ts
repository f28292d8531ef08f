/**
 * deploy/ on a node laid out like kubeadm's, in a folder, with the real kubelet and the programs of `make build`: installing,
 * refusing, upgrading, uninstalling. systemd cannot run here; tests/deploy/fake_node/systemctl starts and stops in its place.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { JsonObject } from "@signed-pods/shared/json";
import { filesOf } from "../deploy/node.ts";
import { type Cluster, NODE_NAME } from "./cluster.ts";
import { at, listAt, textAt } from "./json.ts";
import { NODE_ADDRESS } from "./network.ts";
import { attempt, type CommandResult, run } from "./programs.ts";
import { pod, serviceSpec } from "./workloads.ts";

const REPOSITORY = new URL("../../", import.meta.url).pathname;
const SYSTEMCTL = `${REPOSITORY}tests/deploy/fake_node`;
const LISTEN_ADDRESS = "127.0.0.1:6444";

/** What the tests need of their suite. */
export interface DeploySuite {
  namespace: string;
  /** Declares a test that needs the proxy. */
  test: (name: string, body: (cluster: Cluster) => Promise<void>) => void;
  /** Signs and creates a manifest. */
  create: (manifest: JsonObject) => Promise<JsonObject>;
  isReady: (pod: JsonObject) => boolean;
}

/** Files of a node that kubeadm has joined, the kubelet's own among them. */
async function layOut(cluster: Cluster, root: string): Promise<void> {
  const { runDir, kubernetesDir } = cluster.options;
  const folders = [
    "etc/kubernetes",
    "etc/systemd/system/multi-user.target.wants",
    "usr/lib/systemd/system/kubelet.service.d",
    "usr/local/lib",
    "var/lib/kubelet/pki",
    "run",
    "bin",
  ];
  for (const folder of folders) await Deno.mkdir(`${root}/${folder}`, { recursive: true });
  const write = (path: string, text: string, mode = 0o644) =>
    Deno.writeTextFile(`${root}/${path}`, text, { mode });
  const pki = `${root}/var/lib/kubelet/pki`;
  const read = (name: string) => Deno.readTextFile(`${runDir}/pki/${name}`);
  const credential = "kubelet-client-2026-11-24-00-00-00.pem";
  await write(`var/lib/kubelet/pki/${credential}`, await read("node.crt") + await read("node.key"), 0o600);
  await Deno.symlink(`${pki}/${credential}`, `${pki}/kubelet-client-current.pem`);
  const user = {
    "client-certificate": `${pki}/kubelet-client-current.pem`,
    "client-key": `${pki}/kubelet-client-current.pem`,
  };
  const kubeconfig = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{
      name: "default-cluster",
      cluster: {
        server: "https://127.0.0.1:6443",
        "certificate-authority-data": btoa(await read("cluster-ca.crt")),
      },
    }],
    users: [{ name: "default-auth", user }],
    contexts: [{
      name: "default-context",
      context: { cluster: "default-cluster", namespace: "default", user: "default-auth" },
    }],
    "current-context": "default-context",
  };
  await write("etc/kubernetes/kubelet.conf", JSON.stringify(kubeconfig, null, 2), 0o600);
  const configuration = JSON.parse(await Deno.readTextFile(`${runDir}/kubelet-in-the-open.json`));
  await write(
    "var/lib/kubelet/config.yaml",
    JSON.stringify({ ...configuration, rotateCertificates: true }, null, 2),
  );
  const kubeadmFlags = `--hostname-override=${NODE_NAME} --node-ip=${NODE_ADDRESS}`;
  await write("var/lib/kubelet/kubeadm-flags.env", `KUBELET_KUBEADM_ARGS="${kubeadmFlags}"\n`);
  await write(
    "usr/lib/systemd/system/kubelet.service",
    `[Unit]\nDescription=kubelet\n[Service]\nExecStart=${kubernetesDir}/kubelet\nRestart=always\n`,
  );
  const here = `${root}/etc/kubernetes`;
  await write(
    "usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf",
    `[Service]
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=${here}/bootstrap-kubelet.conf --kubeconfig=${here}/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=${root}/var/lib/kubelet/config.yaml"
EnvironmentFile=-${root}/var/lib/kubelet/kubeadm-flags.env
EnvironmentFile=-${root}/etc/default/kubelet
ExecStart=
ExecStart=${kubernetesDir}/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS \\
  --root-dir=${runDir}/kubelet --cert-dir=${pki} --v=2
`,
  );
}

/** The programs as another version of them. */
async function makeNewer(folder: string): Promise<string> {
  const from = REPOSITORY.replace(/\/$/, "");
  const bundles = "build/programs/kubelet-proxy";
  await Deno.mkdir(`${folder}/bin`, { recursive: true });
  await Deno.mkdir(`${folder}/${bundles}`, { recursive: true });
  await run("cp", [`${from}/bin/kubelet-proxy`, `${folder}/bin/`]);
  await Deno.symlink(`${from}/.tools`, `${folder}/.tools`);
  await Deno.copyFile(`${from}/${bundles}/permissions.js`, `${folder}/${bundles}/permissions.js`);
  const text = await Deno.readTextFile(`${from}/${bundles}/main.js`);
  const newer = text.replace(/(\bvar VERSION = "\d+\.\d+\.\d+)"/, '$1-newer"');
  assert.notEqual(newer, text);
  await Deno.writeTextFile(`${folder}/${bundles}/main.js`, newer);
  return `${folder}/bin/kubelet-proxy`;
}

/** Milliseconds between the proxy's last end and its last beginning, as its log tells them. */
function restartGapMs(log: string): number {
  const timeOf = (event: string) =>
    Date.parse(log.split("\n").filter((line) => line.includes(` ${event}: `)).at(-1)?.split(" ")[0] ?? "");
  return timeOf("listening") - timeOf("stopping");
}

/** Declares the tests. They leave a node without a kubelet. */
export function deployTests({ namespace, test, create, isReady }: DeploySuite): void {
  test("on a node like kubeadm's: install, refuse the unsigned, upgrade, uninstall, every byte put back", async (cluster) => {
    const { runDir, kubernetesDir, proxy = "" } = cluster.options;
    const root = `${runDir}/kubeadm`;
    const env = {
      PATH: `${SYSTEMCTL}:${Deno.env.get("PATH") ?? ""}`,
      FAKE_NODE_ROOT: root,
      FAKE_NODE_PIDS: `${runDir}/pid`,
      FAKE_NODE_START_SECONDS: "60",
      KUBECTL: `${kubernetesDir}/kubectl`,
    };
    const inNode = (command: string, ...args: string[]) =>
      cluster.attemptInNetwork(command, args, { env, timeoutMs: 300_000 });
    const deploy = (script: "install" | "uninstall", ...args: string[]) =>
      inNode(`${REPOSITORY}deploy/${script}.sh`, "--root", root, ...args);
    const succeeds = ({ code, stdout, stderr }: CommandResult) =>
      assert.equal(code, 0, `${stdout}\n${stderr}`);
    const log = (name: string) => Deno.readTextFile(`${root}/systemd/${name}.service.log`);

    await cluster.program("kubelet").stop();
    await cluster.program("kubelet-proxy").stop();
    await layOut(cluster, root);
    const before = await filesOf(root);
    try {
      const started = new Date();
      succeeds(await inNode(`${SYSTEMCTL}/systemctl`, "start", "kubelet.service"));
      await cluster.untilNodeReady(started);
      // Nothing refuses it on this node, as on every other.
      await cluster.create(pod(namespace, "deploy-before", serviceSpec(cluster.images.intruder)));
      await cluster.untilPod(namespace, "deploy-before", "is Ready", isReady);

      const first = ["--trust", `${runDir}/trusted/owner.crt`, "--program", proxy, "--user", "root"];
      first.push("--listen-addr", LISTEN_ADDRESS);
      const previewed = await deploy("install", ...first);
      assert.equal(previewed.code, 1);
      assert.match(previewed.stderr, /would be stopped; sign them first/);
      assert.match(previewed.stdout, /deploy-before/);
      succeeds(await deploy("install", ...first, "--dry-run"));
      assert.deepEqual(await filesOf(root), before);

      succeeds(await deploy("install", ...first, "--accept-refusals"));
      const refused = async (name: string) => {
        const failed = await cluster.untilPod(
          namespace,
          name,
          "is Failed",
          (object) => textAt(object, "status", "phase") === "Failed",
        );
        assert.equal(textAt(failed, "status", "reason"), "NodeAdmissionRejected");
        return textAt(failed, "metadata", "uid") ?? "";
      };
      await refused("deploy-before");
      await create(pod(namespace, "deploy-signed", serviceSpec(cluster.images.app)));
      const signed = await cluster.untilPod(namespace, "deploy-signed", "is Ready", isReady);
      await cluster.create(pod(namespace, "deploy-unsigned", serviceSpec(cluster.images.intruder)));
      assert.deepEqual(await cluster.containers.ofPod(await refused("deploy-unsigned")), []);
      // What the kubelet has opens nothing but the proxy.
      const kubelet = await attempt(kubernetesDir + "/kubectl", [
        "config",
        "view",
        "--raw",
        "-o",
        "json",
        `--kubeconfig=${root}/etc/kubernetes/kubelet.conf`,
      ]);
      assert.equal(
        textAt(listAt(JSON.parse(kubelet.stdout), "clusters")[0], "cluster", "server"),
        `https://${LISTEN_ADDRESS}`,
      );
      const past = await inNode(
        `${kubernetesDir}/kubectl`,
        `--kubeconfig=${root}/etc/kubernetes/kubelet.conf`,
        "--server=https://127.0.0.1:6443",
        "--insecure-skip-tls-verify",
        "get",
        "nodes",
      );
      assert.notEqual(past.code, 0);
      assert.match(past.stderr, /Unauthorized|logged in|credentials/);

      const since = new Date();
      succeeds(await deploy("install", "--program", await makeNewer(`${runDir}/newer`)));
      const proxyLog = await log("kubelet-proxy");
      assert.match(proxyLog, /kubelet-proxy \d+\.\d+\.\d+-newer serves node/);
      console.log(`the upgrade's gap: ${restartGapMs(proxyLog)} ms`);
      await cluster.untilNodeReady(new Date());
      const lapses = cluster.readinessSince(since).filter(({ status }) => status !== "True");
      assert.deepEqual(lapses, [], "the node was not Ready in between");
      const after = cluster.pods.find(namespace, "deploy-signed");
      assert.deepEqual(
        listAt(after, "status", "containerStatuses").map((status) => at(status, "containerID")),
        listAt(signed, "status", "containerStatuses").map((status) => at(status, "containerID")),
      );
      succeeds(await deploy("install", "--program", `${runDir}/newer/bin/kubelet-proxy`));

      succeeds(await deploy("uninstall"));
      assert.deepEqual(await filesOf(root), before);
      await cluster.untilNodeReady(new Date());
    } catch (error) {
      const logs = await Promise.all(["kubelet-proxy", "kubelet"].map((name) => log(name).catch(String)));
      console.log(logs.map((text) => text.split("\n").slice(-40).join("\n")).join("\n---\n"));
      throw error;
    } finally {
      for (const service of ["kubelet.service", "kubelet-proxy.service"]) {
        await inNode(`${SYSTEMCTL}/systemctl`, "stop", service);
      }
    }
  });
}
