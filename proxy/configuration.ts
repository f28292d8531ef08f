/**
 * From options to everything the proxy runs on: reads every file, checks every folder, and reports all that is wrong
 * at once. Nothing is started here.
 *
 * @module
 */
import { messageOf, type Problem } from "@signed-pods/shared/errors";
import { isDnsSubdomain } from "@signed-pods/shared/pod/grammar";
import { isLoopbackAddress, type ListenAddress } from "./address.ts";
import { type Credentials, nodeNameInCertificate } from "./credentials/credentials.ts";
import type { FileSet, LoadedFiles } from "./credentials/file_set.ts";
import type { Kubeconfig } from "./credentials/kubeconfig.ts";
import type { FrontConfiguration } from "./node_api/front_configuration.ts";
import { frontFiles } from "./node_api/front_files.ts";
import type { ServingTls } from "./listener.ts";
import type { Options } from "./options.ts";
import { SOCKET_NAME } from "./runtime_folder.ts";
import { nodeCertificateFile } from "./own_leg/node_certificate_file.ts";
import { servingFiles } from "./credentials/serving_files.ts";
import { upstreamFiles, type UpstreamSettings } from "./credentials/upstream_files.ts";
import {
  type FolderReader,
  verificationKeyFiles,
  type VerificationKeySet,
} from "./credentials/verification_key_files.ts";

/** What is asked of the file system; Deno's functions fit. */
export interface Files {
  readText(path: string): Promise<string>;
  stat(
    path: string,
  ): Promise<{ isDirectory: boolean; isFile: boolean; mode: number | null; uid: number | null }>;
  /** Names in a folder. */
  list(path: string): Promise<string[]>;
  /** Makes a folder and those above it, open to this user only. */
  makeFolder(path: string): Promise<void>;
  /** Closes a folder to others. */
  makePrivate(path: string): Promise<void>;
  /** Writes a small file, which must not be there, and removes it; tells who owned it. */
  tryWriting(path: string): Promise<{ uid: number | null }>;
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
  keys: VerificationKeySet;
  /** The files that this was read from, to be followed. */
  files: {
    upstream: LoadedFiles<UpstreamSettings>;
    serving?: LoadedFiles<ServingTls>;
    front?: LoadedFiles<FrontConfiguration>;
    keys: LoadedFiles<VerificationKeySet>;
  };
  socketPath: string;
}

/** What came out of reading everything. */
export type Completed =
  | { ok: true; configuration: Configuration; warnings: Problem[] }
  | { ok: false; problems: Problem[] };

/** Longest path of a Unix socket, in bytes: `sun_path` of unix(7), less its terminating null. */
const MAX_SOCKET_PATH_BYTES = 107;

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

  const reader: FolderReader = {
    readText: (path) => files.readText(path),
    stat: (path) => files.stat(path),
    list: (path) => files.list(path),
    describe: describeError,
  };
  const upstream = options.kubeconfig === ""
    ? undefined
    : await load(upstreamFiles(options.kubeconfig, options.context, reader), report);
  if (upstream !== undefined) {
    checkServers(options, upstream.value.kubeconfig, report);
    if (options.renewNodeCertificate && nodeCertificateFile(upstream.value.kubeconfig) === undefined) {
      report(
        "--renew-node-certificate",
        `needs a kubeconfig whose client-certificate and client-key are one file; "${options.kubeconfig}" has none`,
      );
    }
  }
  const nodeName = findNodeName(options, upstream?.value.credentials, report);
  const serving = options.tls === undefined
    ? undefined
    : await load(servingFiles(options.tls, reader), report);
  const verification = await load(verificationKeyFiles(options.verificationCerts, reader), report);
  const front = options.front === undefined ? undefined : await load(
    frontFiles(options.front, {
      nodeName,
      kubeconfig: upstream === undefined ? undefined : { path: options.kubeconfig, context: options.context },
    }, reader),
    report,
  );
  await prepareRuntimeDir(options.runtimeDir, files, report);
  const socketPath = `${options.runtimeDir}/${SOCKET_NAME}`;
  if (new TextEncoder().encode(socketPath).length > MAX_SOCKET_PATH_BYTES) {
    report("--runtime-dir", `"${options.runtimeDir}" is too long for a socket in it; use a shorter path`);
  }
  if (
    found.length > 0 || upstream === undefined || nodeName === undefined || verification === undefined
  ) {
    return { ok: false, problems: found };
  }
  warn(options, upstream.value, verification.value, (path, message) => void warnings.push({ path, message }));
  return {
    ok: true,
    configuration: {
      options,
      ...upstream.value,
      nodeName,
      ...(front === undefined ? {} : { front: front.value }),
      ...(serving === undefined ? {} : { tls: serving.value }),
      keys: verification.value,
      files: {
        upstream: upstream.loaded,
        ...(serving === undefined ? {} : { serving: serving.loaded }),
        ...(front === undefined ? {} : { front: front.loaded }),
        keys: verification.loaded,
      },
      socketPath,
    },
    warnings,
  };
}

type Report = (path: string, message: string) => void;

/** Reads a set of files; what is wrong with it is reported. */
async function load<T>(
  set: FileSet<T>,
  report: Report,
): Promise<{ value: T; loaded: LoadedFiles<T> } | undefined> {
  const contents = await set.read();
  const parsed = await set.parse(contents);
  if (parsed.ok) {
    return { value: parsed.value, loaded: { set, contents } };
  }
  for (const { path, message } of parsed.problems) {
    report(path, message);
  }
  return undefined;
}

function checkServers(
  { kubeconfig: path, listenAddress, servers }: Options,
  { server, certificateAuthority, insecureSkipTlsVerify }: Kubeconfig,
  report: Report,
): void {
  if (server.protocol === "https:" && certificateAuthority === undefined && !insecureSkipTlsVerify) {
    // Public authorities vouch for public names; no API server of a node is known by one of theirs alone.
    report(
      "--kubeconfig",
      `"${path}": its cluster has no certificate-authority; name the file of the cluster's CA, on kubeadm nodes ` +
        "/etc/kubernetes/pki/ca.crt",
    );
  }
  if (isOwnAddress(server, listenAddress)) {
    report(
      "--kubeconfig",
      `"${path}": its server ${server.origin} is this proxy itself; give the proxy the kubeconfig that names the API ` +
        "server, and the kubelet a copy that names the proxy",
    );
  }
  const seen = new Set([server.href]);
  for (const other of servers) {
    if (other.protocol !== server.protocol) {
      report(
        "--server",
        `"${other.href}" differs from the kubeconfig's server in http or https; use the same`,
      );
    } else if (insecureSkipTlsVerify) {
      report(
        "--server",
        `"${other.href}" cannot be used with insecure-skip-tls-verify; give the kubeconfig a certificate-authority`,
      );
    } else if (isOwnAddress(other, listenAddress)) {
      report("--server", `"${other.href}" is this proxy itself; name API servers only`);
    } else if (seen.has(other.href)) {
      report("--server", `"${other.href}" is there more than once; leave one`);
    }
    seen.add(other.href);
  }
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

/** Makes sure that the folder is there, writable, and closed to others: whoever enters it could speak as the kubelet. */
async function prepareRuntimeDir(path: string, files: Files, report: Report): Promise<void> {
  if (!path.startsWith("/")) {
    return; // Reported with the flags.
  }
  await attempt(
    async () => {
      await files.makeFolder(path);
      const { isDirectory, mode, uid } = await files.stat(path);
      if (!isDirectory) {
        throw new Error("is not a folder; name another one");
      }
      // A ledger that others may have written would admit what nobody signed.
      if (((mode ?? 0) & OTHERS_WRITE) !== 0) {
        throw new Error(
          "is open to others for writing; if nobody has put anything there, chmod 700 it, else remove it",
        );
      }
      if (((mode ?? 0) & OTHERS) !== 0) {
        await files.makePrivate(path);
      }
      if ((await files.tryWriting(`${path}/.write-test`)).uid !== uid) {
        throw new Error("belongs to another user, who could write in it; name another one");
      }
    },
    "--runtime-dir",
    path,
    report,
  );
}

/** Bits of a mode: whatever group and others may do, and what they may write. */
const OTHERS = 0o077;
const OTHERS_WRITE = 0o022;

/** What is allowed, but should not stay. */
function warn(
  options: Options,
  { kubeconfig, credentials }: UpstreamSettings,
  keys: VerificationKeySet,
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
  } else if (keys.trusted.length === 0) {
    report("--signature-verification-cert", "all keys are revoked: no pod verifies");
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
    credentials.identity === undefined && credentials.token === undefined && kubeconfig.exec === undefined
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
