/** The real program between racer's kubelet and racer's API server. */
import { freePort, type Server, startServer } from "./process.ts";
import type { Racer } from "./racer.ts";

const ROOT = new URL("..", import.meta.url).pathname;

/** A proxy that runs. */
export interface Proxy extends Server {
  port: number;
}

/** Writes the kubeconfig with which the proxy reaches the API server, as the node that racer made a certificate for. */
async function writeKubeconfig(folder: string, server: string): Promise<void> {
  await Deno.writeTextFile(
    `${folder}/kubeconfig`,
    `apiVersion: v1
kind: Config
clusters: [{name: racer, cluster: {server: "${server}", certificate-authority: ${folder}/run/ca.crt}}]
users: [{name: node, user: {client-certificate: ${folder}/run/node.crt, client-key: ${folder}/run/node.key}}]
contexts: [{name: racer, context: {cluster: racer, user: node}}]
current-context: racer
`,
  );
}

/** Its flags. */
function proxyFlags({ folder }: Racer, port: number, runtimeFolder: string): string[] {
  return [
    `--kubeconfig=${folder}/kubeconfig`,
    `--listen-addr=127.0.0.1:${port}`,
    `--tls-cert=${folder}/run/proxy.crt`,
    `--tls-key=${folder}/run/proxy.key`,
    `--client-ca=${folder}/run/ca.crt`,
    `--signature-verification-cert=${folder}/run/signing.crt`,
    `--runtime-dir=${runtimeFolder}`,
    "--log-requests=false",
  ];
}

/** A command line that runs the program with these flags. */
export type Launch = (flags: readonly string[]) => Promise<readonly [string, ...string[]]>;

const launchProgram: Launch = (flags) => Promise.resolve([`${ROOT}bin/kubelet-proxy`, ...flags]);

/**
 * Starts it, and waits until it listens. It has admitted nothing before: its runtime folder is a new one.
 *
 * @param launch default: the program as `make build` leaves it
 */
export async function startProxy(racer: Racer, launch: Launch = launchProgram): Promise<Proxy> {
  const port = freePort();
  await writeKubeconfig(racer.folder, `https://127.0.0.1:${racer.port}`);
  const runtimeFolder = await Deno.makeTempDir({ dir: racer.folder, prefix: "runtime-" });
  const [program, ...args] = await launch(proxyFlags(racer, port, runtimeFolder));
  const server = await startServer(program, args, port, `${racer.folder}/kubelet-proxy.log`);
  return { ...server, port };
}
