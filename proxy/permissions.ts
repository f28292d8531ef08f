/**
 * Prints the permission flags that kubelet-proxy needs for the command line given, one a line; the launcher in bin/
 * asks. It reads the kubeconfig for the server's address and the files that it names. What cannot be read gets no
 * permission: kubelet-proxy itself then says what is wrong.
 *
 * @module
 */
import { formatAddress } from "@signed-pods/shared/address";
import { connectPermissions, listenPermissions, permissionFlags } from "@signed-pods/shared/permissions";
import { splitCommand } from "./command.ts";
import { clientCaPath, readKubeletConfig } from "./node_api/kubelet_config.ts";
import { filesOf, folderOf, type Kubeconfig, parseKubeconfig } from "./credentials/kubeconfig.ts";
import { decisionLogPaths } from "./operability/decision_log.ts";
import { NOTIFY_SOCKET_NAME, notifySocket } from "./operability/sd_notify.ts";
import { parseCommandLine } from "./options.ts";
import { nodeCertificateFile } from "./own_leg/node_certificate_file.ts";
import { SOCKET_NAME, UPSTREAM_SOCKET_NAME } from "./runtime_folder.ts";

/**
 * The flags for these arguments.
 *
 * @param readText reads a file; throws if it cannot
 * @param notify the value of NOTIFY_SOCKET, if a service manager starts the program
 */
export async function proxyPermissions(
  args: readonly string[],
  readText: (path: string) => Promise<string>,
  notify?: string,
): Promise<string[]> {
  const { command, flags } = splitCommand(args);
  if (command === "init") return await initPermissions(flags);
  const commandLine = parseCommandLine(flags);
  if (commandLine.kind === "print") return [];
  const {
    kubeconfig: path,
    context,
    servers,
    listenAddress,
    tls,
    front,
    verificationCerts,
    runtimeDir,
    ownLegFolder,
    renewNodeCertificate,
    operability: { listenAddress: metricsAddress, decisionLogFile },
  } = commandLine.options;
  const decisionLogs = decisionLogFile === undefined ? [] : decisionLogPaths(decisionLogFile);
  const written = [runtimeDir, ...(ownLegFolder === undefined ? [] : [ownLegFolder]), ...decisionLogs];
  const files = path === "" ? [] : [path];
  const hosts = listenPermissions(listenAddress.hostname ?? "", listenAddress.port);
  hosts.push(`unix:${runtimeDir}/${SOCKET_NAME}`);
  if (metricsAddress !== undefined) {
    hosts.push(...listenPermissions(metricsAddress.hostname ?? "", metricsAddress.port));
  }
  const kubeconfig = path === "" ? undefined : await readKubeconfig(path, context, readText);
  if (kubeconfig !== undefined) {
    for (const { href } of [kubeconfig.server, ...servers]) hosts.push(...connectPermissions(href));
    files.push(...filesOf(kubeconfig));
    const certificate = renewNodeCertificate ? nodeCertificateFile(kubeconfig) : undefined;
    if (certificate !== undefined) written.push(folderOf(certificate));
    if (kubeconfig.insecureSkipTlsVerify) hosts.push(`unix:${runtimeDir}/${UPSTREAM_SOCKET_NAME}`);
  }
  if (tls !== undefined) {
    files.push(
      tls.certificateFile,
      tls.keyFile,
      ...(tls.clientCaFile === undefined ? [] : [tls.clientCaFile]),
    );
  }
  if (front !== undefined) {
    const { listenAddress: frontAddress, tls: frontTls, kubelet, kubeletConfigFile } = front;
    hosts.push(
      ...listenPermissions(frontAddress.hostname ?? "", frontAddress.port),
      formatAddress(kubelet.host, kubelet.port),
    );
    files.push(
      frontTls.certificateFile,
      frontTls.keyFile,
      frontTls.clientCaFile,
      kubelet.certificateAuthorityFile,
      kubelet.certificateFile,
      kubelet.keyFile,
    );
    if (kubeletConfigFile !== undefined) {
      files.push(kubeletConfigFile, ...await readKubeletFiles(kubeletConfigFile, kubelet.port, readText));
    }
  }
  // Deno asks for the right to write to a datagram socket, beside that of the network (2.9.5).
  const manager = notifySocket(notify);
  if (manager !== undefined) hosts.push(`unix:${manager}`, `unix:${runtimeDir}/${NOTIFY_SOCKET_NAME}`);
  const plugin = kubeconfig?.exec?.command;
  return permissionFlags({
    read: [...files, ...verificationCerts, ...written],
    write: [...written, ...(manager === undefined ? [] : [manager])],
    ...(plugin === undefined ? {} : { run: [plugin] }),
    // Deno takes absolute paths of sockets only; another one is refused with the flags.
    net: hosts.filter((host) => !host.startsWith("unix:") || host.startsWith("unix:/")),
  });
}

async function initPermissions(args: readonly string[]): Promise<string[]> {
  const { parseInitCommandLine } = await import("./own_leg/init_options.ts");
  const commandLine = parseInitCommandLine(args);
  if (commandLine.kind !== "run") return [];
  const { folder, dryRun } = commandLine.options;
  return permissionFlags({ read: [folder], ...(dryRun ? {} : { write: [folder] }) });
}

async function readKubeconfig(
  path: string,
  context: string | undefined,
  readText: (path: string) => Promise<string>,
): Promise<Kubeconfig | undefined> {
  try {
    const parsed = parseKubeconfig(await readText(path), folderOf(path), context);
    return parsed.ok ? parsed.kubeconfig : undefined;
  } catch {
    return undefined;
  }
}

/** The files that a kubelet's configuration names and that are looked into. */
async function readKubeletFiles(
  path: string,
  port: number,
  readText: (path: string) => Promise<string>,
): Promise<string[]> {
  try {
    const { clientCaFile } = readKubeletConfig(await readText(path), port);
    return clientCaFile === undefined ? [] : [clientCaPath(path, clientCaFile)];
  } catch {
    return [];
  }
}

if (import.meta.main) {
  const notify = Deno.env.get("NOTIFY_SOCKET");
  for (const flag of await proxyPermissions(Deno.args, (path) => Deno.readTextFile(path), notify)) {
    console.log(flag);
  }
}
