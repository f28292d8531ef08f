/**
 * A node in a folder, laid out like kubeadm's, with programs that stand for kubelet, kubectl and systemctl; the last of them
 * really starts and stops the others.
 *
 * @module
 */
import { attempt, type CommandResult, run } from "../cluster/programs.ts";
import { done, notYet, until } from "../cluster/wait.ts";

const HERE = new URL("./", import.meta.url).pathname;

/** The repository's folder. */
export const REPOSITORY: string = new URL("../../", import.meta.url).pathname;

/** How a stand-in of kubelet-proxy behaves; see fake_node/kubelet-proxy. */
export type Behaviour = "good" | "silent" | "deaf" | "no-init";

/** Pods that the node runs. */
export interface RunningPod {
  name: string;
  yaml: string;
  mirror?: boolean;
}

/** Everything below the folders of a node in a folder: type, mode, owner, times and bytes, by path. */
export async function filesOf(root: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  const walk = async (folder: string): Promise<void> => {
    for await (const { name } of Deno.readDir(`${root}/${folder}`)) {
      const path = `${folder}/${name}`;
      const stat = await Deno.lstat(`${root}/${path}`);
      const mode = ((stat.mode ?? 0) & 0o7777).toString(8);
      if (stat.isSymlink) found[path] = `link ${await Deno.readLink(`${root}/${path}`)}`;
      else if (stat.isDirectory) {
        found[path] = `folder ${mode}`;
        await walk(path);
      } else {
        const bytes = new TextDecoder("latin1").decode(await Deno.readFile(`${root}/${path}`));
        found[path] = `file ${mode} ${stat.uid}:${stat.gid} ${stat.mtime?.toISOString()} ${bytes}`;
      }
    }
  };
  for (const folder of ["etc", "usr", "var", "run"]) await walk(folder);
  return found;
}

/** A node in a folder. Made by {@linkcode startNode}. */
export class Node {
  readonly root: string;
  /** The owner's public key. */
  readonly trust: string;
  /** Whether it waits as long as a busy machine needs; not, where waiting is in vain. */
  patient = true;
  readonly #owner: string;
  readonly #apiServer: Deno.Listener;
  readonly #proxyPort: number;

  constructor(root: string, owner: string, apiServer: Deno.Listener, proxyPort: number) {
    this.root = root;
    this.#owner = owner;
    this.trust = `${owner}/signing.pem`;
    this.#apiServer = apiServer;
    this.#proxyPort = proxyPort;
    void this.#serve();
  }

  async #serve(): Promise<void> {
    for await (const connection of this.#apiServer) connection.close();
  }

  /** Where the proxy is to listen. */
  get listenAddress(): string {
    return `127.0.0.1:${this.#proxyPort}`;
  }

  get environment(): Record<string, string> {
    return {
      PATH: `${this.root}/fake:${Deno.env.get("PATH") ?? "/usr/bin:/bin"}`,
      FAKE_NODE_ROOT: this.root,
      ROOT: this.root,
      SERVICE_USER: "root",
      READY_TIMEOUT: this.patient ? "40" : "3",
      FAKE_NODE_START_SECONDS: this.patient ? "40" : "8",
    };
  }

  /** Runs install.sh or uninstall.sh. */
  deploy(script: "install" | "uninstall", ...args: string[]): Promise<CommandResult> {
    return attempt(`${REPOSITORY}deploy/${script}.sh`, args, { env: this.environment });
  }

  /** Arguments of a first installation. */
  first(program: string, ...more: string[]): string[] {
    return [
      ...[`--trust=${this.trust}`, `--program=${program}`, `--listen-addr=${this.listenAddress}`]
        .flatMap((flag) => [flag.slice(0, flag.indexOf("=")), flag.slice(flag.indexOf("=") + 1)]),
      ...more,
    ];
  }

  systemctl(...args: string[]): Promise<CommandResult> {
    return attempt("systemctl", args, { env: this.environment });
  }

  /** A stand-in of kubelet-proxy. */
  async program(version: string, behaviour: Behaviour = "good"): Promise<string> {
    const path = `${this.#owner}/kubelet-proxy-${version}-${behaviour}`;
    const text = await Deno.readTextFile(`${HERE}fake_node/kubelet-proxy`);
    await Deno.writeTextFile(
      path,
      text.replace('VERSION = "1.0.0"', `VERSION = "${version}"`)
        .replace('BEHAVIOUR = "good"', `BEHAVIOUR = "${behaviour}"`),
      { mode: 0o755 },
    );
    return path;
  }

  /** Signs a manifest as the owner. */
  async sign(yaml: string): Promise<string> {
    return await run(`${REPOSITORY}bin/podsign`, ["sign-spec", `--key=${this.#owner}/signing.key`, "-"], {
      stdin: yaml,
    });
  }

  /** From now on the API server has these pods for the node. */
  async setPods(pods: RunningPod[]): Promise<void> {
    const line = ({ name, mirror }: RunningPod) => `shop ${name}${mirror === true ? " mirror" : ""}\n`;
    await Deno.writeTextFile(`${this.root}/pods/list`, pods.map(line).join(""));
    for (const { name, yaml } of pods) await Deno.writeTextFile(`${this.root}/pods/${name}.yaml`, yaml);
  }

  /** What systemctl was called with since the last look. */
  async calls(): Promise<string[]> {
    const path = `${this.root}/systemd/calls`;
    const text = await Deno.readTextFile(path).catch(() => "");
    await Deno.writeTextFile(path, "");
    return text.split("\n").filter((line) => line !== "" && !line.startsWith("cat "));
  }

  /** Everything below the node's own folders. */
  files(): Promise<Record<string, string>> {
    return filesOf(this.root);
  }

  /** Process id of a service's main process. */
  async pid(service: string): Promise<string> {
    const running: { pid: number } = JSON.parse(await Deno.readTextFile(`${this.root}/systemd/${service}`));
    return String(running.pid);
  }

  async untilReady(): Promise<void> {
    const start = new Date().toISOString();
    await until("the kubelet renews its lease", async () => {
      const lease = await Deno.readTextFile(`${this.root}/lease`);
      return lease > start ? done(undefined) : notYet(lease);
    }, { timeoutMs: 60_000 });
  }

  async close(): Promise<void> {
    for (const service of ["kubelet-proxy.service", "kubelet.service"]) await this.systemctl("stop", service);
    this.#apiServer.close();
    await Deno.remove(this.root, { recursive: true });
    await Deno.remove(this.#owner, { recursive: true });
  }
}

/** The cluster's authority, in as much of PEM as scripts look at. */
export const AUTHORITY = "-----BEGIN CERTIFICATE-----\nQXV0aG9yaXR5\n-----END CERTIFICATE-----\n";

const KUBEADM_FLAGS = 'KUBELET_KUBEADM_ARGS="--pod-infra-container-image=registry.k8s.io/pause:3.10"\n';

/** Lays out a node and starts its kubelet. */
export async function startNode(): Promise<Node> {
  const root = await Deno.makeTempDir({ prefix: "node-" });
  const owner = await Deno.makeTempDir({ prefix: "owner-" });
  const apiServer = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const free = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const proxyPort = free.addr.port;
  free.close();
  const folders = [
    "etc/kubernetes",
    "etc/systemd/system/multi-user.target.wants",
    "usr/lib/systemd/system/kubelet.service.d",
    "usr/local/lib",
    "var/lib/kubelet/pki",
    "run",
    "pods",
    "fake",
  ];
  for (const folder of folders) await Deno.mkdir(`${root}/${folder}`, { recursive: true });
  for (const name of ["systemctl", "journalctl", "kubectl", "kubelet"]) {
    await Deno.symlink(`${HERE}fake_node/${name}`, `${root}/fake/${name}`);
  }
  const write = async (path: string, text: string, mode = 0o644) => {
    await Deno.writeTextFile(`${root}/${path}`, text);
    await Deno.chmod(`${root}/${path}`, mode);
  };
  await write("api-port", String(apiServer.addr.port));
  await write("pods/list", "");
  await write("lease", "");
  await write("cluster-ca", AUTHORITY);
  await write("kube-root-ca", AUTHORITY);
  await write("etc/kubernetes/admin.conf", `server: https://127.0.0.1:${apiServer.addr.port}\n`, 0o600);
  await write(
    "etc/kubernetes/kubelet.conf",
    `apiVersion: v1\nclusters:\n- cluster:\n    server: https://127.0.0.1:${apiServer.addr.port}\n  name: default\n# kept\n`,
    0o600,
  );
  await write(
    "var/lib/kubelet/pki/kubelet-client-2026-01-01-00-00-00.pem",
    "a certificate and a key\n",
    0o600,
  );
  await Deno.symlink(
    "/var/lib/kubelet/pki/kubelet-client-2026-01-01-00-00-00.pem",
    `${root}/var/lib/kubelet/pki/kubelet-client-current.pem`,
  );
  await write("var/lib/kubelet/config.yaml", "kind: KubeletConfiguration\nrotateCertificates: true\n");
  await write("var/lib/kubelet/kubeadm-flags.env", KUBEADM_FLAGS);
  await write("usr/lib/systemd/system/kubelet.service", "[Service]\nRestart=always\n");
  await write(
    "usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf",
    `[Service]\nEnvironmentFile=-${root}/var/lib/kubelet/kubeadm-flags.env\nExecStart=\nExecStart=kubelet --kubeconfig=${root}/etc/kubernetes/kubelet.conf \\\n  $KUBELET_KUBEADM_ARGS\n`,
  );
  await run("openssl", [
    ...["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", `${owner}/signing.key`],
  ]);
  await run("openssl", ["pkey", "-in", `${owner}/signing.key`, "-pubout", "-out", `${owner}/signing.pem`]);
  const node = new Node(root, owner, apiServer, proxyPort);
  const { code, stderr } = await node.systemctl("start", "kubelet.service");
  if (code !== 0) throw new Error(`The kubelet did not start: ${stderr}`);
  await node.untilReady();
  await node.calls();
  return node;
}

/** Lays out a node for a test, and removes it. */
export async function withNode(test: (node: Node) => Promise<void>): Promise<void> {
  const node = await startNode();
  try {
    await test(node);
  } finally {
    await node.close();
  }
}
