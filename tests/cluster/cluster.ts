/**
 * A Kubernetes cluster of one node on this machine: etcd, kube-apiserver, kube-controller-manager,
 * kube-scheduler, containerd and a kubelet, with kubelet-proxy between the kubelet and the API server.
 *
 * @module
 */
import type { JsonObject } from "@signed-pods/shared/json";
import { KUBELET_SYSCTLS } from "./cleanup.ts";
import { createControlGroup } from "./control_groups.ts";
import { Containerd, ContainerRecorder } from "./containers.ts";
import { type Images, writeImages } from "./images.ts";
import { listAt, parseObject, textAt } from "./json.ts";
import { createNamespace, inNamespace, NODE_ADDRESS } from "./network.ts";
import { createCertificates, writeKubeconfig } from "./pki.ts";
import { attempt, type CommandOptions, type CommandResult, Program, run, tail } from "./programs.ts";
import { done, notYet, type Progress, until } from "./wait.ts";
import { FOLDER_DRIVER, installFolderDriver } from "./volume_plugin.ts";
import { Watch } from "./watch.ts";

/** Name of the one node. */
export const NODE_NAME = "worker";

/** Where the API server listens, in the node's network. */
export const API_SERVER = "https://127.0.0.1:6443";
const API_SERVER_PORT = 6443;
/** Of a second API server on the same etcd, which runs only while a test asks for it. */
export const SECOND_API_SERVER_PORT = 6445;
const PROXY = "https://127.0.0.1:6444";
/** Where the proxy listens. */
export const PROXY_PORT = 6444;
/** Where the proxy tells those who watch it. */
export const METRICS_PORT = 10450;
/** Where the kubelet serves its own API, and the front before it. */
export const KUBELET_PORT = 10250;
const LOOPBACK = "127.0.0.1";
const PROXY_RUNTIME_DIR = "/run/kubelet-proxy";

/** Where the cluster's parts come from and where they live. */
export interface ClusterOptions {
  /** An empty folder for this run's files; all of it can be removed by `cleanUp`. */
  runDir: string;
  /** Folder with etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubelet and kubectl. */
  kubernetesDir: string;
  /** The kubelet-proxy program; without it the kubelet talks to the API server directly. */
  proxy?: string;
  /** A statically linked busybox, for the images. */
  busybox: string;
}

/** Whether the proxy stands before the kubelet's own API. */
export interface FrontChoice {
  front?: boolean;
}

/** A cluster that runs. Made by {@linkcode startCluster}. */
export class Cluster {
  readonly options: ClusterOptions;
  readonly images: Images;
  readonly containerd: Containerd;
  readonly containers: ContainerRecorder;
  /** Every event of every pod. */
  readonly pods: Watch;
  /** Every event of every node. */
  readonly nodes: Watch;
  readonly #programs: Map<string, Program>;
  /** Name of the network namespace. */
  readonly network: string;

  constructor(options: ClusterOptions, images: Images, programs: Map<string, Program>, network: string) {
    this.options = options;
    this.images = images;
    this.#programs = programs;
    this.network = network;
    this.containerd = new Containerd(`${options.runDir}/containerd.sock`);
    this.containers = new ContainerRecorder(this.containerd);
    this.pods = this.#watch("pods");
    this.nodes = this.#watch("nodes");
  }

  /** One of the cluster's programs, by name. */
  program(name: string): Program {
    const program = this.#programs.get(name);
    if (program === undefined) throw new Error(`This cluster has no ${name}`);
    return program;
  }

  #watch(resource: string): Watch {
    return new Watch(this.#kubectl(["get", "--raw", `/api/v1/${resource}?watch=true&timeoutSeconds=7200`]));
  }

  #kubectl(args: string[]): [string, string[]] {
    const { runDir, kubernetesDir } = this.options;
    const common = [`--kubeconfig=${runDir}/admin.kubeconfig`, `--cache-dir=${runDir}/kubectl-cache`];
    return inNamespace(this.network, `${kubernetesDir}/kubectl`, [...common, ...args]);
  }

  /** Runs kubectl as the cluster's administrator and returns what it prints. */
  kubectl(args: string[], options: CommandOptions = {}): Promise<string> {
    return run(...this.#kubectl(args), options);
  }

  /** Runs kubectl, whatever its exit code. */
  tryKubectl(args: string[], options: CommandOptions = {}): Promise<CommandResult> {
    return attempt(...this.#kubectl(args), options);
  }

  /** Creates an object as it is, without the annotation that `kubectl apply` adds, and returns it. */
  async create(manifest: JsonObject | string): Promise<JsonObject> {
    const stdin = typeof manifest === "string" ? manifest : JSON.stringify(manifest);
    return parseObject(await this.kubectl(["create", "-f", "-", "-o", "json"], { stdin }));
  }

  /** Ends of the logs of the programs that decide about a pod. */
  logTails(lines = 15): string {
    return ["kubelet-proxy", "kubelet", "kube-apiserver"]
      .filter((name) => this.#programs.has(name))
      .map((name) => tail(this.program(name).logFile, lines))
      .join("\n");
  }

  /** Waits for a condition; if it does not come, the error shows the state and the ends of the logs. */
  until<T>(what: string, probe: () => Progress<T> | Promise<Progress<T>>, timeoutMs = 60_000): Promise<T> {
    return until(what, probe, { timeoutMs, explain: () => this.logTails() });
  }

  /** Waits until a pod, as last seen through the watch, fulfils a condition, and returns it. */
  untilPod(
    namespace: string,
    name: string,
    what: string,
    condition: (pod: JsonObject) => boolean,
    timeoutMs = 60_000,
  ): Promise<JsonObject> {
    return this.until(`pod ${namespace}/${name} ${what}`, () => {
      const pod = this.pods.find(namespace, name);
      if (pod === undefined) return notYet("there is no such pod");
      return condition(pod) ? done(pod) : notYet(JSON.stringify(pod.status));
    }, timeoutMs);
  }

  /** Waits until the node is Ready and, if a time is given, has renewed its lease after it. */
  async untilNodeReady(after?: Date, timeoutMs = 90_000): Promise<void> {
    await this.until("the node is Ready", async () => {
      const node = this.nodes.all().find((node) => textAt(node, "metadata", "name") === NODE_NAME);
      const ready = readyCondition(node);
      if (ready?.status !== "True") return notYet(JSON.stringify(ready ?? "the node is not registered"));
      if (after === undefined) return done(undefined);
      const lease = parseObject(
        await this.kubectl(["get", "lease", "-n", "kube-node-lease", NODE_NAME, "-o", "json"]),
      );
      const renewed = textAt(lease, "spec", "renewTime") ?? "";
      return new Date(renewed) > after ? done(undefined) : notYet(`its lease was last renewed at ${renewed}`);
    }, timeoutMs);
  }

  /** States of the node's Ready condition since a time, oldest first, with their messages. */
  readinessSince(time: Date): { status: string; message: string }[] {
    return this.nodes.events.filter((event) => event.receivedAt >= time)
      .flatMap((event) => readyCondition(event.object) ?? []);
  }

  /**
   * Starts the proxy and waits until it listens.
   *
   * @param front whether it stands before the kubelet's own API as well
   * @param credentials its kubeconfig, and what it serves with; by default those that openssl made
   */
  async startProxy(
    extraArgs: string[] = [],
    { front = true, credentials = credentialArguments(this.options.runDir) }: FrontChoice & {
      credentials?: string[];
    } = {},
  ): Promise<void> {
    const proxy = this.program("kubelet-proxy");
    const { runDir } = this.options;
    const facing = front ? [...frontArguments(runDir), ...frontClientArguments(runDir)] : [];
    proxy.start([...credentials, ...facing, ...extraArgs]);
    await proxy.listening(PROXY_PORT);
    if (front) await proxy.listening(KUBELET_PORT, { address: NODE_ADDRESS });
  }

  /**
   * Starts the kubelet and waits until it serves its own port.
   *
   * @param front whether something stands before its API, so that it listens on loopback and trusts that alone
   * @param extraArgs after the others, which they overrule
   */
  async startKubelet(
    { front = this.options.proxy !== undefined, extraArgs = [] }: FrontChoice & { extraArgs?: string[] } = {},
  ): Promise<void> {
    const kubelet = this.program("kubelet");
    kubelet.start([`--config=${kubeletConfigurationFile(this.options.runDir, front)}`, ...extraArgs]);
    await kubelet.listening(KUBELET_PORT, { address: front ? LOOPBACK : NODE_ADDRESS });
  }

  /** Runs a command in the cluster's network, whatever its exit code. */
  attemptInNetwork(command: string, args: string[], options: CommandOptions = {}): Promise<CommandResult> {
    return attempt(...inNamespace(this.network, command, args), options);
  }

  /** Command and arguments of a kubectl that somebody else starts. */
  kubectlCommand(args: string[]): [string, string[]] {
    return this.#kubectl(args);
  }

  /**
   * Starts the API server and waits until it says that it is ready.
   *
   * @param extraArgs count instead of those that the cluster always gives
   */
  async startApiServer(extraArgs: string[] = []): Promise<void> {
    this.program("kube-apiserver").start(extraArgs);
    await this.program("kube-apiserver").listening(API_SERVER_PORT);
    await this.until("the API server is ready", async () => {
      const { code, stdout, stderr } = await this.tryKubectl(["get", "--raw", "/readyz"]);
      return code === 0 ? done(undefined) : notYet(stdout + stderr);
    });
  }

  /** Ends the watches of this process. The programs are stopped by `cleanUp`. */
  async close(): Promise<void> {
    await Promise.all([this.pods.close(), this.nodes.close(), this.containers.close()]);
  }
}

function readyCondition(node: JsonObject | undefined): { status: string; message: string } | undefined {
  for (const condition of listAt(node, "status", "conditions")) {
    if (textAt(condition, "type") === "Ready") {
      return { status: textAt(condition, "status") ?? "", message: textAt(condition, "message") ?? "" };
    }
  }
  return undefined;
}

/** containerd's configuration, with everything in the run folder. */
export function containerdConfiguration(runDir: string): string {
  // restrict_oom_score_adj: where CAP_SYS_RESOURCE is missing, runc cannot lower the score that the sandbox asks for.
  return `version = 2
root = "${runDir}/containerd/root"
state = "${runDir}/containerd/state"
[grpc]
  address = "${runDir}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "${runDir}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
`;
}

/** The configuration of a kubelet with something before its API, or of one that the cluster reaches itself. */
export function kubeletConfigurationFile(runDir: string, front: boolean): string {
  return `${runDir}/kubelet${front ? "" : "-in-the-open"}.json`;
}

/** Arguments with the proxy's own credentials as openssl made them. */
function credentialArguments(runDir: string): string[] {
  const pki = `${runDir}/pki`;
  return [
    `--kubeconfig=${runDir}/node.kubeconfig`,
    `--tls-cert=${pki}/kubelet-proxy.crt`,
    `--tls-key=${pki}/kubelet-proxy.key`,
    `--client-ca=${pki}/node-ca.crt`,
  ];
}

/** The certificate by which the kubelet knows the front, as openssl made it. */
function frontClientArguments(runDir: string): string[] {
  const front = `${runDir}/pki/kubelet-proxy-front`;
  return [`--kubelet-client-certificate=${front}.crt`, `--kubelet-client-key=${front}.key`];
}

/**
 * Arguments by which the proxy stands before the kubelet's own API, but for its certificate towards the kubelet.
 *
 * @param kubeletConfig the kubelet's configuration file
 */
export function frontArguments(
  runDir: string,
  kubeletConfig: string = kubeletConfigurationFile(runDir, true),
): string[] {
  const pki = `${runDir}/pki`;
  return [
    `--kubelet-api-listen=${NODE_ADDRESS}:${KUBELET_PORT}`,
    `--kubelet-api-tls-cert=${pki}/kubelet-server.crt`,
    `--kubelet-api-tls-key=${pki}/kubelet-server.key`,
    `--kubelet-api-client-ca=${pki}/cluster-ca.crt`,
    `--kubelet-certificate-authority=${pki}/cluster-ca.crt`,
    `--kubelet-config=${kubeletConfig}`,
  ];
}

/** The kubelet's configuration; `front` says whether the proxy stands before its API. */
export function kubeletConfiguration(runDir: string, controlGroup: string, front: boolean): JsonObject {
  return {
    apiVersion: "kubelet.config.k8s.io/v1beta1",
    kind: "KubeletConfiguration",
    address: front ? LOOPBACK : NODE_ADDRESS,
    port: KUBELET_PORT,
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: `${runDir}/pki/${front ? "node" : "cluster"}-ca.crt` },
    },
    authorization: { mode: "Webhook" },
    tlsCertFile: `${runDir}/pki/kubelet-server.crt`,
    tlsPrivateKeyFile: `${runDir}/pki/kubelet-server.key`,
    rotateCertificates: false,
    // Machines with version 1 control groups are served as well.
    cgroupDriver: "cgroupfs",
    cgroupRoot: `/${controlGroup}`,
    failCgroupV1: false,
    failSwapOn: false,
    containerRuntimeEndpoint: `unix://${runDir}/containerd.sock`,
    clusterDomain: "cluster.local",
    clusterDNS: ["10.96.0.10"],
    resolvConf: `${runDir}/resolv.conf`,
    staticPodPath: `${runDir}/static`,
    podLogsDir: `${runDir}/pod-logs`,
    volumePluginDir: `${runDir}/volume-plugins`,
    // A short lease is renewed every three seconds, so that tests soon see whether the node is alive.
    nodeLeaseDurationSeconds: 12,
    // A full disk of the machine must neither evict pods nor collect the images.
    evictionHard: { "memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%" },
    imageGCHighThresholdPercent: 100,
  };
}

/** The command lines of all programs, by name. */
function programs(options: ClusterOptions, network: string): Map<string, Program> {
  const { runDir, kubernetesDir, proxy } = options;
  const pki = `${runDir}/pki`;
  const specs = [
    {
      name: "etcd",
      command: `${kubernetesDir}/etcd`,
      args: [
        `--data-dir=${runDir}/etcd`,
        "--listen-client-urls=http://127.0.0.1:2379",
        "--advertise-client-urls=http://127.0.0.1:2379",
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--unsafe-no-fsync",
      ],
    },
    {
      name: "kube-apiserver",
      command: `${kubernetesDir}/kube-apiserver`,
      // It waits for its watchers to leave, up to a minute; they would stay as long as it lets them.
      graceMs: 5_000,
      args: [
        "--etcd-servers=http://127.0.0.1:2379",
        // A second node reaches it from its own network namespace; there is nobody else in this one.
        "--bind-address=0.0.0.0",
        `--advertise-address=${NODE_ADDRESS}`,
        `--secure-port=${API_SERVER_PORT}`,
        `--tls-cert-file=${pki}/kube-apiserver.crt`,
        `--tls-private-key-file=${pki}/kube-apiserver.key`,
        `--client-ca-file=${pki}/cluster-ca.crt`,
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        `--service-account-key-file=${pki}/service-accounts.key`,
        `--service-account-signing-key-file=${pki}/service-accounts.key`,
        "--service-account-issuer=https://kubernetes.default.svc",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--allow-privileged",
        // Without it, logs would look the node's name up in DNS.
        "--kubelet-preferred-address-types=InternalIP",
        `--kubelet-certificate-authority=${pki}/cluster-ca.crt`,
        `--kubelet-client-certificate=${pki}/kube-apiserver-kubelet-client.crt`,
        `--kubelet-client-key=${pki}/kube-apiserver-kubelet-client.key`,
      ],
    },
    {
      name: "kube-controller-manager",
      command: `${kubernetesDir}/kube-controller-manager`,
      args: [
        `--kubeconfig=${runDir}/kube-controller-manager.kubeconfig`,
        `--service-account-private-key-file=${pki}/service-accounts.key`,
        `--root-ca-file=${pki}/cluster-ca.crt`,
        `--cluster-signing-cert-file=${pki}/cluster-ca.crt`,
        `--cluster-signing-key-file=${pki}/cluster-ca.key`,
        "--use-service-account-credentials",
        "--leader-elect=false",
        // A claim that comes before its volume is seen again after this period, by default 15 s.
        "--pvclaimbinder-sync-period=1s",
        `--cert-dir=${runDir}/kube-controller-manager`,
      ],
    },
    {
      name: "kube-scheduler",
      command: `${kubernetesDir}/kube-scheduler`,
      args: [
        `--kubeconfig=${runDir}/kube-scheduler.kubeconfig`,
        "--leader-elect=false",
        `--cert-dir=${runDir}/kube-scheduler`,
      ],
    },
    { name: "containerd", command: "containerd", args: [`--config=${runDir}/containerd.toml`] },
    {
      name: "kubelet",
      command: `${kubernetesDir}/kubelet`,
      args: [
        `--kubeconfig=${runDir}/${proxy === undefined ? "node" : "kubelet"}.kubeconfig`,
        `--hostname-override=${NODE_NAME}`,
        `--node-ip=${NODE_ADDRESS}`,
        `--root-dir=${runDir}/kubelet`,
        `--cert-dir=${runDir}/kubelet-certificates`,
        "--v=2",
      ],
    },
  ];
  const [first] = specs.filter(({ name }) => name === "kube-apiserver");
  if (first !== undefined) {
    const port = `--secure-port=${SECOND_API_SERVER_PORT}`;
    specs.push({ ...first, name: "kube-apiserver-second", args: [...first.args, port] });
  }
  const all = new Map(specs.map((spec) => [spec.name, new Program({ ...spec, runDir, namespace: network })]));
  if (proxy !== undefined) {
    const args = [
      `--listen-addr=127.0.0.1:${PROXY_PORT}`,
      `--signature-verification-cert=${runDir}/trusted`,
      `--runtime-dir=${PROXY_RUNTIME_DIR}`,
      `--metrics-addr=127.0.0.1:${METRICS_PORT}`,
      `--decision-log=${PROXY_RUNTIME_DIR}/decisions.log`,
      `--allow-volume=flexVolume/${FOLDER_DRIVER}`,
      "--runtime-class=pinned=runc",
    ];
    // A compiled proxy may write to this one folder only. The machine's own stays untouched.
    const bind = { source: `${runDir}/proxy`, target: PROXY_RUNTIME_DIR };
    const spec = { name: "kubelet-proxy", command: proxy, args, runDir, namespace: network, bind };
    all.set("kubelet-proxy", new Program(spec));
  }
  return all;
}

/** Notes what a kubelet changes on the machine, so that `cleanUp` can set it back. */
async function noteMachineState(runDir: string): Promise<void> {
  const values = KUBELET_SYSCTLS.map((name) => [name, Deno.readTextFileSync(`/proc/sys/${name}`).trim()]);
  await Deno.writeTextFile(`${runDir}/sysctls.json`, JSON.stringify(Object.fromEntries(values)));
}

/**
 * Starts the cluster and waits until its node is Ready.
 *
 * @param options where things are
 * @param trusted PEM of the certificates that the proxy trusts
 * @param progress is told what is done, a line each
 */
export async function startCluster(
  options: ClusterOptions,
  trusted: string,
  progress: (line: string) => void = () => {},
): Promise<Cluster> {
  const { runDir, proxy } = options;
  const pki = `${runDir}/pki`;
  for (const folder of ["log", "pid", "pki", "cni", "static", "trusted", "proxy"]) {
    await Deno.mkdir(`${runDir}/${folder}`, { recursive: true, mode: 0o700 });
  }
  if (proxy !== undefined) await Deno.mkdir(PROXY_RUNTIME_DIR, { recursive: true, mode: 0o700 });
  await noteMachineState(runDir);
  const network = `signed-pods-${crypto.randomUUID().slice(0, 8)}`;
  await createNamespace(network, runDir);
  await createControlGroup(network);
  await createCertificates(pki, NODE_NAME, NODE_ADDRESS);
  const direct = { server: API_SERVER, dir: pki, authority: "cluster-ca" };
  for (const user of ["admin", "kube-controller-manager", "kube-scheduler", "node"]) {
    await writeKubeconfig(`${runDir}/${user}.kubeconfig`, { ...direct, user });
  }
  await writeKubeconfig(`${runDir}/kubelet.kubeconfig`, {
    server: PROXY,
    dir: pki,
    authority: "node-ca",
    user: "kubelet",
  });
  await Deno.writeTextFile(`${runDir}/trusted/owner.crt`, trusted);
  await Deno.writeTextFile(`${runDir}/containerd.toml`, containerdConfiguration(runDir));
  for (const front of [true, false]) {
    await Deno.writeTextFile(
      kubeletConfigurationFile(runDir, front),
      JSON.stringify(kubeletConfiguration(runDir, network, front), null, 2),
    );
  }
  await installFolderDriver(`${runDir}/volume-plugins`);
  await Deno.writeTextFile(`${runDir}/resolv.conf`, `nameserver ${NODE_ADDRESS}\n`);
  await Deno.writeTextFile(
    `${runDir}/cni/10-pods.conflist`,
    JSON.stringify({
      cniVersion: "0.4.0",
      name: "pods",
      plugins: [{
        type: "ptp",
        ipMasq: false,
        ipam: {
          type: "host-local",
          subnet: "10.244.0.0/24",
          dataDir: `${runDir}/cni-addresses`,
          routes: [{ dst: "0.0.0.0/0" }],
        },
      }],
    }),
  );
  const images = await writeImages(`${runDir}/images.tar`, options.busybox);

  const all = programs(options, network);
  const start = (name: string) => all.get(name)?.start();
  start("etcd");
  start("containerd");
  const containerd = new Containerd(`${runDir}/containerd.sock`);
  await until("containerd answers", async () => {
    const { code, stderr } = await attempt("ctr", containerd.args("version"));
    return code === 0 ? done(undefined) : notYet(stderr);
  }, { explain: () => tail(`${runDir}/log/containerd.log`, 20) });
  await containerd.ctr("images", "import", `${runDir}/images.tar`);
  progress("containerd runs, with the images");

  await all.get("etcd")?.listening(2379);
  const cluster = new Cluster(options, images, all, network);
  await cluster.startApiServer();
  start("kube-controller-manager");
  start("kube-scheduler");
  progress("the API server is ready");
  if (proxy !== undefined) {
    await cluster.startProxy();
    progress("kubelet-proxy listens");
  }
  await cluster.startKubelet();
  await cluster.untilNodeReady();
  // Pods cannot be created before the controller has made the service account that they run as.
  await cluster.until("the default service account exists", async () => {
    const { code, stderr } = await cluster.tryKubectl(["get", "serviceaccount", "default"]);
    return code === 0 ? done(undefined) : notYet(stderr);
  });
  progress("the node is Ready");
  return cluster;
}
