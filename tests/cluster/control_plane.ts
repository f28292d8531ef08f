/**
 * A Kubernetes control plane without a node: etcd and kube-apiserver on free ports of the loopback address, and, if
 * asked for, kube-controller-manager. It needs neither root nor a network namespace, and starts in a few seconds.
 *
 * @module
 */
import { isJsonObject, type JsonObject } from "@signed-pods/shared/json";
import { parseObject, textAt } from "./json.ts";
import { createControlPlaneCertificates, writeKubeconfig } from "./pki.ts";
import { type CommandOptions, freePort, Program, run, tail } from "./programs.ts";
import { done, notYet, until } from "./wait.ts";

/** The API server writes no endpoints for itself, but insists on an address that is not loopback (RFC 5737). */
const ADVERTISED_ADDRESS = "192.0.2.1";

/** What is started. */
export interface ControlPlaneOptions {
  /** An empty folder for this control plane's files, in the folder of the run: `cleanUp` finds it there. */
  runDir: string;
  /** Folder with etcd, kube-apiserver, kubectl and, for controllers, kube-controller-manager. */
  kubernetesDir: string;
  /** As for the programs' flag `--feature-gates`; every API version is served then. By default the defaults. */
  featureGates?: string;
  /**
   * Whether workloads make pods. Without, only the service account `default` of the namespace `default` is there. A
   * node that is created without conditions counts as healthy for a day, once its taint `not-ready` is gone.
   */
  withControllers?: boolean;
}

/** What the API server answered. */
export interface Answer {
  /** HTTP status code. */
  status: number;
  /** The object, or a `Status` that says what is wrong. */
  body: JsonObject;
}

/** A control plane that runs. Made by {@linkcode startControlPlane}. */
export class ControlPlane {
  /** Address of the API server, `https://127.0.0.1:port`. */
  readonly baseUrl: string;
  /** The version that the API server gives as its own, for example `1.36.3`. */
  readonly version: string;
  readonly #options: ControlPlaneOptions;
  readonly #client: Deno.HttpClient;
  readonly #programs: readonly Program[];

  constructor(
    options: ControlPlaneOptions,
    parts: { baseUrl: string; version: string; client: Deno.HttpClient; programs: readonly Program[] },
  ) {
    this.#options = options;
    this.baseUrl = parts.baseUrl;
    this.version = parts.version;
    this.#client = parts.client;
    this.#programs = parts.programs;
  }

  /** Asks the API server as the cluster's administrator. */
  fetch(path: string, init: RequestInit = {}): Promise<Response> {
    return fetch(`${this.baseUrl}${path}`, { ...init, client: this.#client });
  }

  /** Sends a request with or without an object, and reads the object that comes back. */
  request(method: string, path: string, body?: JsonObject): Promise<Answer> {
    return ask(this.#client, `${this.baseUrl}${path}`, method, body);
  }

  /**
   * Creates an object.
   *
   * @param path of the collection, for example `/api/v1/namespaces/default/pods`
   * @throws {Error} with the API server's message, if it refuses the object
   */
  async create(path: string, object: JsonObject): Promise<JsonObject> {
    const { status, body } = await this.request("POST", path, object);
    if (status !== 201) {
      throw new Error(`POST ${path} was answered with ${status}: ${textAt(body, "message")}`);
    }
    return body;
  }

  /** Runs kubectl as the cluster's administrator and returns what it prints. */
  kubectl(args: string[], options: CommandOptions = {}): Promise<string> {
    const { runDir, kubernetesDir } = this.#options;
    const common = [`--kubeconfig=${runDir}/admin.kubeconfig`, `--cache-dir=${runDir}/kubectl-cache`];
    return run(`${kubernetesDir}/kubectl`, [...common, ...args], options);
  }

  /** Stops all programs, the API server before etcd. */
  async stop(): Promise<void> {
    this.#client.close();
    for (const program of [...this.#programs].reverse()) await program.stop();
  }
}

async function ask(
  client: Deno.HttpClient,
  url: string,
  method: string,
  body?: JsonObject,
): Promise<Answer> {
  const response = await fetch(url, {
    method,
    client,
    headers: { accept: "application/json", "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: parseObject(await response.text()) };
}

function apiServerArgs(
  { runDir, featureGates }: ControlPlaneOptions,
  port: number,
  etcdPort: number,
): string[] {
  const pki = `${runDir}/pki`;
  return [
    `--etcd-servers=http://127.0.0.1:${etcdPort}`,
    "--bind-address=127.0.0.1",
    `--secure-port=${port}`,
    `--advertise-address=${ADVERTISED_ADDRESS}`,
    "--endpoint-reconciler-type=none",
    `--tls-cert-file=${pki}/kube-apiserver.crt`,
    `--tls-private-key-file=${pki}/kube-apiserver.key`,
    `--client-ca-file=${pki}/cluster-ca.crt`,
    "--authorization-mode=RBAC",
    `--service-account-key-file=${pki}/service-accounts.key`,
    `--service-account-signing-key-file=${pki}/service-accounts.key`,
    "--service-account-issuer=https://kubernetes.default.svc",
    "--service-cluster-ip-range=10.96.0.0/16",
    "--allow-privileged",
    ...(featureGates === undefined
      ? []
      : [`--feature-gates=${featureGates}`, "--runtime-config=api/all=true"]),
  ];
}

/**
 * Starts a control plane and waits until pods can be created in the namespace `default`.
 *
 * @param options what to start, and where
 */
export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { runDir, kubernetesDir, featureGates, withControllers = false } = options;
  const pki = `${runDir}/pki`;
  for (const folder of ["log", "pid", "pki"]) {
    await Deno.mkdir(`${runDir}/${folder}`, { recursive: true, mode: 0o700 });
  }
  await createControlPlaneCertificates(pki);
  const [etcdPort, etcdPeerPort, port] = [freePort(), freePort(), freePort()];
  const baseUrl = `https://127.0.0.1:${port}`;
  for (const user of ["admin", "kube-controller-manager"]) {
    const config = { server: baseUrl, dir: pki, authority: "cluster-ca", user };
    await writeKubeconfig(`${runDir}/${user}.kubeconfig`, config);
  }

  const programs: Program[] = [];
  const start = (name: string, args: string[]): Program => {
    // The API server waits for its watchers to leave, up to a minute; they would stay as long as it lets them.
    const program = new Program({
      name,
      command: `${kubernetesDir}/${name}`,
      args,
      runDir,
      graceMs: 5_000,
    });
    program.start();
    programs.push(program);
    return program;
  };
  const etcd = start("etcd", [
    `--data-dir=${runDir}/etcd`,
    `--listen-client-urls=http://127.0.0.1:${etcdPort}`,
    `--advertise-client-urls=http://127.0.0.1:${etcdPort}`,
    `--listen-peer-urls=http://127.0.0.1:${etcdPeerPort}`,
    `--initial-advertise-peer-urls=http://127.0.0.1:${etcdPeerPort}`,
    `--initial-cluster=default=http://127.0.0.1:${etcdPeerPort}`,
    "--unsafe-no-fsync",
  ]);
  await etcd.listening(etcdPort);
  const apiServer = start("kube-apiserver", apiServerArgs(options, port, etcdPort));
  await apiServer.listening(port);

  const client = Deno.createHttpClient({
    cert: await Deno.readTextFile(`${pki}/admin.crt`),
    key: await Deno.readTextFile(`${pki}/admin.key`),
    caCerts: [await Deno.readTextFile(`${pki}/cluster-ca.crt`)],
    http2: false,
  });
  const explain = () => tail(apiServer.logFile, 20);
  await until("the API server is ready", async () => {
    apiServer.assertRunning();
    const response = await fetch(`${baseUrl}/readyz?verbose`, { client });
    const text = await response.text();
    return response.ok ? done(undefined) : notYet(text);
  }, { explain });

  if (withControllers) {
    start("kube-controller-manager", [
      `--kubeconfig=${runDir}/kube-controller-manager.kubeconfig`,
      `--service-account-private-key-file=${pki}/service-accounts.key`,
      `--root-ca-file=${pki}/cluster-ca.crt`,
      "--use-service-account-credentials",
      "--leader-elect=false",
      "--secure-port=0",
      // Nodes have no kubelet here. One that nobody hears of for a minute gets the taint node.kubernetes.io/unreachable,
      // and DaemonSets make no more pods for it.
      "--node-startup-grace-period=24h",
      ...(featureGates === undefined ? [] : [`--feature-gates=${featureGates}`]),
    ]);
  }
  // Pods cannot be created before the service account exists that they run as.
  const accounts = `${baseUrl}/api/v1/namespaces/default/serviceaccounts`;
  await until("the default service account exists", async () => {
    if (!withControllers) {
      const account = { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "default" } };
      const { status, body } = await ask(client, accounts, "POST", account);
      return status === 201 ? done(undefined) : notYet(JSON.stringify(body));
    }
    const { status, body } = await ask(client, `${accounts}/default`, "GET");
    return status === 200 ? done(undefined) : notYet(JSON.stringify(body));
  }, { explain });
  const { body } = await ask(client, `${baseUrl}/version`, "GET");
  const gitVersion = isJsonObject(body) ? textAt(body, "gitVersion") ?? "" : "";
  return new ControlPlane(options, { baseUrl, version: gitVersion.replace(/^v/, ""), client, programs });
}
