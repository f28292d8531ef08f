/**
 * Prints the permission flags that kubelet-proxy needs for the command line given, one a line; the launcher in bin/
 * asks. It reads the kubeconfig for the server's address and the files that it names. What cannot be read gets no
 * permission: kubelet-proxy itself then says what is wrong.
 *
 * @module
 */
import { connectPermissions, listenPermissions, permissionFlags } from "@signed-pods/shared/permissions";
import { SOCKET_NAME, UPSTREAM_SOCKET_NAME } from "./configuration.ts";
import { folderOf, type Kubeconfig, parseKubeconfig } from "./kubeconfig.ts";
import { parseCommandLine } from "./options.ts";
import { filesOf } from "./upstream_files.ts";

/**
 * The flags for these arguments.
 *
 * @param readText reads a file; throws if it cannot
 */
export async function proxyPermissions(
  args: readonly string[],
  readText: (path: string) => Promise<string>,
): Promise<string[]> {
  const commandLine = parseCommandLine(args);
  if (commandLine.kind === "print") return [];
  const { kubeconfig: path, context, servers, listenAddress, tls, verificationCerts, runtimeDir } =
    commandLine.options;
  const files = path === "" ? [] : [path];
  const hosts = listenPermissions(listenAddress.hostname ?? "", listenAddress.port);
  hosts.push(`unix:${runtimeDir}/${SOCKET_NAME}`);
  const kubeconfig = path === "" ? undefined : await readKubeconfig(path, context, readText);
  if (kubeconfig !== undefined) {
    for (const { href } of [kubeconfig.server, ...servers]) hosts.push(...connectPermissions(href));
    files.push(...filesOf(kubeconfig));
    if (kubeconfig.insecureSkipTlsVerify) hosts.push(`unix:${runtimeDir}/${UPSTREAM_SOCKET_NAME}`);
  }
  if (tls !== undefined) {
    files.push(
      tls.certificateFile,
      tls.keyFile,
      ...(tls.clientCaFile === undefined ? [] : [tls.clientCaFile]),
    );
  }
  const plugin = kubeconfig?.exec?.command;
  return permissionFlags({
    read: [...files, ...verificationCerts, runtimeDir],
    write: [runtimeDir],
    ...(plugin === undefined ? {} : { run: [plugin] }),
    // Deno takes absolute paths of sockets only; another one is refused with the flags.
    net: hosts.filter((host) => !host.startsWith("unix:") || host.startsWith("unix:/")),
  });
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

if (import.meta.main) {
  for (const flag of await proxyPermissions(Deno.args, (path) => Deno.readTextFile(path))) console.log(flag);
}
