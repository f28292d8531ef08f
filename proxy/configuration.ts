/**
 * From options to everything the proxy runs on: reads every file, checks every folder, and reports all that is wrong
 * at once. Nothing is started here.
 *
 * @module
 */
import { messageOf, type Problem } from "@signed-pods/shared/errors";
import { readVerificationKeys, type VerificationKey } from "@signed-pods/shared/keys";
import { isDnsSubdomain } from "@signed-pods/shared/pod/grammar";
import { isLoopbackAddress, type ListenAddress } from "./address.ts";
import { type Credentials, loadCredentials, nodeNameInCertificate } from "./credentials.ts";
import { type FrontConfiguration, readFrontConfiguration } from "./front_configuration.ts";
import { folderOf, type Kubeconfig, parseKubeconfig } from "./kubeconfig.ts";
import type { ServingTls } from "./listener.ts";
import type { Options } from "./options.ts";
import { readCertificateAuthorities, readTlsIdentity } from "./tls_identity.ts";

/** What is asked of the file system; Deno's functions fit. */
export interface Files {
  readText(path: string): Promise<string>;
  stat(path: string): Promise<{ isDirectory: boolean; isFile: boolean; mode: number | null }>;
  /** Names in a folder. */
  list(path: string): Promise<string[]>;
  /** Makes a folder and those above it, open to this user only. */
  makeFolder(path: string): Promise<void>;
  /** Closes a folder to others. */
  makePrivate(path: string): Promise<void>;
  /** Writes a small file and removes it. */
  tryWriting(path: string): Promise<void>;
}

/** Everything the proxy runs on. */
export interface Configuration {
  options: Options;
  kubeconfig: Kubeconfig;
  credentials: Credentials;
  nodeName: string;
  tls?: ServingTls;
  /** Not given if nothing is to stand before the kubelet's own API. */
  front?: FrontConfiguration;
  keys: VerificationKey[];
  socketPath: string;
}

/** What came out of reading everything. */
export type Completed =
  | { ok: true; configuration: Configuration; warnings: Problem[] }
  | { ok: false; problems: Problem[] };

/** Longest path of a Unix socket, in bytes: `sun_path` of unix(7), less its terminating null. */
const MAX_SOCKET_PATH_BYTES = 107;

/** Most files in a folder of verification certificates. */
const MAX_FOLDER_ENTRIES = 1000;

/** The socket between the TLS listener and the HTTP server, in the runtime folder. */
export const SOCKET_NAME = "http.sock";

/** The socket of the tunnel to an API server whose certificate is not checked, in the runtime folder. */
export const UPSTREAM_SOCKET_NAME = "upstream.sock";

/**
 * Reads everything that the options name.
 *
 * @param problems what was wrong with the options themselves; what is found is added
 */
export async function complete(
  options: Options,
  files: Files,
  problems: readonly Problem[] = [],
): Promise<Completed> {
  const found: Problem[] = [...problems];
  const warnings: Problem[] = [];
  const report = (path: string, message: string) => void found.push({ path, message });

  const upstream = options.kubeconfig === "" ? undefined : await readUpstream(options, files, report);
  const nodeName = findNodeName(options, upstream?.credentials, report);
  const tls = options.tls === undefined ? undefined : await readServingTls(options.tls, files, report);
  const front = options.front === undefined ? undefined : await readFrontConfiguration(options.front, {
    nodeName,
    clusterAuthorities: upstream?.credentials.certificateAuthorities ?? [],
    readFile: (flag, path, parse) =>
      attempt(async () => parse(await files.readText(path)), flag, path, report),
    report,
  });
  const keys = await readKeys(options.verificationCerts, files, report);
  await prepareRuntimeDir(options.runtimeDir, files, report);
  const socketPath = `${options.runtimeDir}/${SOCKET_NAME}`;
  if (new TextEncoder().encode(socketPath).length > MAX_SOCKET_PATH_BYTES) {
    report("--runtime-dir", `"${options.runtimeDir}" is too long for a socket in it; use a shorter path`);
  }
  if (found.length > 0 || upstream === undefined || nodeName === undefined) {
    return { ok: false, problems: found };
  }
  warn(options, upstream, (path, message) => void warnings.push({ path, message }));
  return {
    ok: true,
    configuration: {
      options,
      ...upstream,
      nodeName,
      ...(tls === undefined ? {} : { tls }),
      ...(front === undefined ? {} : { front }),
      keys,
      socketPath,
    },
    warnings,
  };
}

type Report = (path: string, message: string) => void;

async function readUpstream(
  options: Options,
  files: Files,
  report: Report,
): Promise<{ kubeconfig: Kubeconfig; credentials: Credentials } | undefined> {
  const { kubeconfig: path, context } = options;
  const text = await attempt(() => files.readText(path), "--kubeconfig", path, report);
  if (text === undefined) {
    return undefined;
  }
  const parsed = parseKubeconfig(text, folderOf(path), context);
  if (!parsed.ok) {
    for (const problem of parsed.problems) {
      report("--kubeconfig", `"${path}": ${problem}`);
    }
    return undefined;
  }
  const { kubeconfig } = parsed;
  const { server, certificateAuthority, insecureSkipTlsVerify } = kubeconfig;
  if (server.protocol === "https:" && certificateAuthority === undefined && !insecureSkipTlsVerify) {
    // Public authorities vouch for public names; no API server of a node is known by one of theirs alone.
    report(
      "--kubeconfig",
      `"${path}": its cluster has no certificate-authority; name the file of the cluster's CA, on kubeadm nodes ` +
        "/etc/kubernetes/pki/ca.crt",
    );
  }
  if (isOwnAddress(server, options.listenAddress)) {
    report(
      "--kubeconfig",
      `"${path}": its server ${server.origin} is this proxy itself; give the proxy the kubeconfig that names the API ` +
        "server, and the kubelet a copy that names the proxy",
    );
  }
  const { credentials, problems } = await loadCredentials(
    kubeconfig,
    (file) => files.readText(file),
    describeError,
  );
  for (const problem of problems) {
    report("--kubeconfig", `"${path}": ${problem}`);
  }
  return { kubeconfig, credentials };
}

/** Whether a request to the server would come back to this very proxy. */
function isOwnAddress(server: URL, { hostname, port }: ListenAddress): boolean {
  const host = server.hostname.replace(/^\[|\]$/g, "");
  const serverPort = Number(server.port || (server.protocol === "https:" ? 443 : 80));
  const isLocal = (name: string) => name === "localhost" || isLoopbackAddress(name);
  return serverPort === port &&
    (hostname === host || (isLocal(host) && (hostname === undefined || isLocal(hostname))));
}

function findNodeName(
  { nodeName, kubeconfig }: Options,
  credentials: Credentials | undefined,
  report: Report,
): string | undefined {
  const own = credentials?.identity === undefined
    ? undefined
    : nodeNameInCertificate(credentials.identity.der);
  const name = nodeName ?? own;
  if (credentials === undefined) {
    return name;
  }
  if (name === undefined) {
    report(
      "--node-name",
      `is required: the credential of "${kubeconfig}" is no certificate of a node (system:node:NAME)`,
    );
  } else if (!isDnsSubdomain(name)) {
    // That of the flag was reported with the flags.
    if (nodeName === undefined) {
      report(
        "--node-name",
        `the client certificate is for "${name}", which is no name of a node; give the right one`,
      );
    }
    return undefined;
  } else if (own !== undefined && own !== name) {
    report("--node-name", `is "${name}", but the client certificate is for "${own}"; leave the flag out`);
  }
  return name;
}

async function readServingTls(
  { certificateFile, keyFile, clientCaFile }: NonNullable<Options["tls"]>,
  files: Files,
  report: Report,
): Promise<ServingTls | undefined> {
  const certificateText = await attempt(
    () => files.readText(certificateFile),
    "--tls-cert",
    certificateFile,
    report,
  );
  const keyText = await attempt(() => files.readText(keyFile), "--tls-key", keyFile, report);
  const clientCa = clientCaFile === undefined ? undefined : await attempt(
    async () => readCertificateAuthorities(await files.readText(clientCaFile)),
    "--client-ca",
    clientCaFile,
    report,
  );
  if (certificateText === undefined || keyText === undefined) {
    return undefined;
  }
  try {
    const { certificate, key } = readTlsIdentity(certificateText, keyText);
    return { certificate, key, ...(clientCa === undefined ? {} : { clientCa: clientCa.join("") }) };
  } catch (error) {
    report("--tls-cert", `"${certificateFile}" with "${keyFile}": ${describeError(error)}`);
    return undefined;
  }
}

/** Reads the trusted keys. A folder gives all its files, except hidden ones such as `..data` of mounted volumes. */
async function readKeys(paths: readonly string[], files: Files, report: Report): Promise<VerificationKey[]> {
  const flag = "--signature-verification-cert";
  const keys = new Map<string, VerificationKey>();
  for (const path of paths) {
    const isFolder = await attempt(async () => (await files.stat(path)).isDirectory, flag, path, report);
    if (isFolder === undefined) {
      continue;
    }
    const members = isFolder ? await attempt(() => listFiles(path, files), flag, path, report) : [path];
    if (members?.length === 0) {
      report(flag, `"${path}" is a folder without files; put the certificates there`);
    }
    for (const file of members ?? []) {
      const read = await attempt(
        async () => await readVerificationKeys(await files.readText(file), file),
        flag,
        file,
        report,
      );
      for (const key of read ?? []) {
        // The same key with two certificates is kept twice: their dates may differ.
        keys.set(`${key.id} ${key.notBefore?.getTime()} ${key.notAfter?.getTime()}`, key);
      }
    }
  }
  return [...keys.values()];
}

async function listFiles(folder: string, files: Files): Promise<string[]> {
  const names = (await files.list(folder)).filter((name) => !name.startsWith(".")).sort();
  if (names.length > MAX_FOLDER_ENTRIES) {
    throw new Error(`holds more than ${MAX_FOLDER_ENTRIES} files; name a folder of certificates only`);
  }
  const paths: string[] = [];
  for (const name of names) {
    const path = `${folder}/${name}`;
    if (!(await files.stat(path)).isDirectory) {
      paths.push(path);
    }
  }
  return paths;
}

/** Makes sure that the folder is there, writable, and closed to others: whoever enters it could speak as the kubelet. */
async function prepareRuntimeDir(path: string, files: Files, report: Report): Promise<void> {
  if (!path.startsWith("/")) {
    return; // Reported with the flags.
  }
  await attempt(
    async () => {
      await files.makeFolder(path);
      const { isDirectory, mode } = await files.stat(path);
      if (!isDirectory) {
        throw new Error("is not a folder; name another one");
      }
      if (((mode ?? 0) & 0o077) !== 0) {
        await files.makePrivate(path);
      }
      await files.tryWriting(`${path}/.write-test`);
    },
    "--runtime-dir",
    path,
    report,
  );
}

/** What is allowed, but should not stay. */
function warn(
  options: Options,
  { kubeconfig, credentials }: { kubeconfig: Kubeconfig; credentials: Credentials },
  report: Report,
): void {
  if (options.tls === undefined) {
    report(
      "--tls-cert",
      "is not given: plain HTTP is served, to loopback peers only; any local process may act as the kubelet",
    );
  } else if (options.tls.clientCaFile === undefined) {
    report(
      "--client-ca",
      "is not given: only loopback peers are served, and any local process may act as the kubelet",
    );
  }
  if (options.front !== undefined && options.front.kubeletConfigFile === undefined) {
    report(
      "--kubelet-config",
      "is not given: whether the kubelet's own settings let the cluster go round --kubelet-api-listen was not checked",
    );
  }
  if (options.mode === "audit") {
    report("--mode", "is audit: NOTHING IS REFUSED, verdicts are only logged");
  }
  if (options.verificationCerts.length === 0) {
    report("--signature-verification-cert", "is not given: no pod verifies");
  }
  if (kubeconfig.server.protocol === "http:") {
    report(
      "--kubeconfig",
      `the API server is reached by plain HTTP at "${kubeconfig.server.host}": everyone on the way can read and change everything, tokens included`,
    );
  }
  if (kubeconfig.insecureSkipTlsVerify) {
    report(
      "--kubeconfig",
      "insecure-skip-tls-verify: THE API SERVER'S CERTIFICATE IS NOT CHECKED; everyone on the way can read Secrets and tokens",
    );
  }
  if (
    credentials.identity === undefined && kubeconfig.token === undefined && kubeconfig.tokenFile === undefined
  ) {
    report("--kubeconfig", "names no credential: the API server is asked anonymously");
  }
}

async function attempt<T>(
  action: () => Promise<T>,
  flag: string,
  path: string,
  report: Report,
): Promise<T | undefined> {
  try {
    return await action();
  } catch (error) {
    report(flag, `"${path}": ${describeError(error)}`);
    return undefined;
  }
}

/** What is wrong with a file, and what to do. */
export function describeError(error: unknown): string {
  if (error instanceof Deno.errors.NotCapable) {
    return "Deno was started without the permission for this path; add it to --allow-read (and --allow-write for --runtime-dir), or start the program by its launcher";
  }
  if (error instanceof Deno.errors.NotFound) {
    return "does not exist; see whether the path is right";
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return "this user may not open it; see its owner and mode";
  }
  if (error instanceof Deno.errors.IsADirectory) {
    return "is a folder; name a file";
  }
  return messageOf(error);
}
