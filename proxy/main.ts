/**
 * kubelet-proxy: stands between the kubelet and the API server. The kubelet sees only pods that are signed.
 *
 * This module has all effects: arguments, files, clock, network, signals, exit. The others get them as arguments.
 *
 * @module
 */
import process from "node:process";
import { formatAddress } from "@signed-pods/shared/address";
import { messageOf, type Problem } from "@signed-pods/shared/errors";
import type { VerificationKey } from "@signed-pods/shared/keys";
import { createVerifier } from "@signed-pods/shared/pod/verify";
import { VERSION } from "@signed-pods/shared/version";
import type { ListenAddress } from "./address.ts";
import { systemClock } from "./clock.ts";
import { splitCommand } from "./command.ts";
import { complete, type Configuration, type Files } from "./configuration.ts";
import type { Credentials } from "./credentials/credentials.ts";
import { createCurrentCredential } from "./credentials/current_credential.ts";
import {
  EXEC_INFO_VARIABLE,
  type ExecCredential,
  execInfo,
  readExecCredential,
} from "./credentials/exec_credential.ts";
import { createFailover } from "./failover.ts";
import { followFiles } from "./credentials/file_follower.ts";
import { connectServer } from "./http_client/connect.ts";
import { createHttpClient, type HttpClient } from "./http_client/http_client.ts";
import { tokenNotAfter } from "./credentials/token_expiry.ts";
import { openInsecureTunnel, type Tunnel } from "./credentials/insecure_tunnel.ts";
import { createKeyExpiry } from "./credentials/key_expiry.ts";
import { folderOf, type Kubeconfig } from "./credentials/kubeconfig.ts";
import { openLedger } from "./pods/ledger.ts";
import { ledgerFile } from "./pods/ledger_file.ts";
import { openListener } from "./listener.ts";
import type { Log } from "./log.ts";
import { systemDecisionFiles } from "./operability/decision_log.ts";
import { createLineWriter, type LineWriter } from "./operability/line_writer.ts";
import { createOperability } from "./operability/operability.ts";
import {
  createNotifier,
  type Notifier,
  NOTIFY_SOCKET_NAME,
  readServiceManager,
  SERVICE_MANAGER_VARIABLES,
} from "./operability/sd_notify.ts";
import { createSelfCheck } from "./operability/self_check.ts";
import { parseCommandLine } from "./options.ts";
import { createNodeCertificateClient } from "./own_leg/node_certificate_client.ts";
import { fileNameOf, nodeCertificateFile } from "./own_leg/node_certificate_file.ts";
import { renewNodeCertificate } from "./own_leg/node_certificate_renewal.ts";
import { OWN_LEG_FILES, OWN_LEG_LIFETIMES } from "./own_leg/own_leg_files.ts";
import { renewOwnLeg } from "./own_leg/own_leg_renewal.ts";
import { openPrivateFolder } from "./own_leg/private_folder.ts";
import { withPayloadLog } from "./payload_log.ts";
import {
  createPluginCredential,
  MAX_PLUGIN_OUTPUT_BYTES,
  MAX_PLUGIN_STDERR_BYTES,
  PLUGIN_TIMEOUT_MS,
  type PluginCredential,
} from "./credentials/plugin_credential.ts";
import { createReviewClient } from "./node_api/review_client.ts";
import { ReloadCounts } from "./credentials/reload_counts.ts";
import { createReplaceableVerifier } from "./credentials/replaceable_verifier.ts";
import { createRotatingClient } from "./credentials/rotating_client.ts";
import { createRequestPath } from "./request_path.ts";
import { UPSTREAM_SOCKET_NAME } from "./runtime_folder.ts";
import { withSharedTimers } from "./shared_timers.ts";
import { runProgram } from "./credentials/run_program.ts";
import { createLog } from "./telemetry.ts";
import type { TlsIdentity } from "./credentials/tls_identity.ts";
import { ANSWER_TIMEOUT_MS, createUpstream, RESPONSE_HEADERS_TIMEOUT_MS } from "./upstream.ts";
import { checkNode, checkUnchanged } from "./credentials/upstream_files.ts";
import type { VerificationKeySet } from "./credentials/verification_key_files.ts";

/** Exit code for mistakes in flags and files. */
const EXIT_USAGE = 2;

/** Exit code for a start that failed although flags and files are right. */
const EXIT_FAILED = 1;

/** Of the ten seconds that a stop may take: how long rejections have, and then what still runs, in milliseconds. */
const GATE_DEADLINE_MS = 5_000;
const LISTENER_DEADLINE_MS = 3_000;

/**
 * Idle connections to the API server are closed after this, in milliseconds: sooner than kube-apiserver closes them
 * (90 s), so that no request goes into a connection that is just being closed.
 */
const POOL_IDLE_TIMEOUT_MS = 30_000;

/** Most idle connections that are kept: a node whose watches all end at once needs no more. */
const POOL_MAX_IDLE = 64;

/** Variables by which other programs send requests through someone else. Here they do nothing, and the log says so. */
const PROXY_VARIABLES: readonly string[] = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"].flatMap(
  (name) => [name, name.toLowerCase()],
);

/** Longest wait for whoever reads the log when the proxy ends, in milliseconds. */
const LOG_DEADLINE_MS = 1_000;

const PRIVATE_FOLDER = 0o700;

/** The clock of requests: each waits with timers that are nearly always called off. */
const requestClock = withSharedTimers(systemClock, [
  ANSWER_TIMEOUT_MS,
  RESPONSE_HEADERS_TIMEOUT_MS,
]);

const files: Files = {
  readText: (path) => Deno.readTextFile(path),
  stat: (path) => Deno.stat(path),
  list: async (path) => (await Array.fromAsync(Deno.readDir(path))).map(({ name }) => name),
  makeFolder: (path) => Deno.mkdir(path, { recursive: true, mode: PRIVATE_FOLDER }),
  makePrivate: (path) => Deno.chmod(path, PRIVATE_FOLDER),
  async tryWriting(path) {
    // One that was left behind, or a link that somebody has put there.
    await Deno.remove(path).catch(() => {});
    using file = await Deno.open(path, { write: true, createNew: true, mode: 0o600 });
    const { uid } = await file.stat();
    await Deno.remove(path);
    return { uid };
  },
};

async function main(args: readonly string[]): Promise<void> {
  const { command, flags } = splitCommand(args);
  if (command === "init") {
    await init(flags);
    return;
  }
  let commandLine = parseCommandLine(flags);
  if (commandLine.kind === "problems") {
    const { similarFlags } = await import("./similar_flags.ts");
    commandLine = parseCommandLine(flags, similarFlags);
  }
  if (commandLine.kind === "print") {
    const { readHelp } = await import("./help.ts");
    const help = await readHelp(commandLine.args);
    return help.ok ? writeAll(Deno.stdout, help.text) : exitWith(EXIT_USAGE, help.problems);
  }
  const { options } = commandLine;
  const problems = commandLine.kind === "problems" ? [...commandLine.problems] : [];
  const isFirst = !await exists(options.runtimeDir);
  const refuse = async (found: readonly Problem[]) => {
    // What was made for this start goes with it; a folder that is in use is not empty, and stays.
    if (isFirst) await Deno.remove(options.runtimeDir).catch(() => {});
    exitWith(EXIT_USAGE, found);
  };
  const completed = await complete(options, files, problems);
  if (!completed.ok) {
    return await refuse(completed.problems);
  }
  const { configuration, warnings } = completed;
  const addressProblems = await tryAddresses(configuration);
  if (addressProblems.length > 0) {
    return await refuse(addressProblems);
  }
  const lines = createLineWriter({
    write: (bytes) => Deno.stderr.write(bytes),
    clock: systemClock,
    recovered: (lost) =>
      log.warn("log-lines-lost", "lines were left out: the log is not read fast enough", { lost }),
  });
  const log = createLog({ format: options.logFormat, write: lines.write, now: () => new Date() });
  for (const { path, message } of warnings) {
    log.warn("insecure-setting", `${path} ${message}`);
  }
  try {
    await run(configuration, log, lines);
  } catch (error) {
    log.error("start-failed", messageOf(error));
    await lines.flush(LOG_DEADLINE_MS);
    Deno.exit(EXIT_FAILED);
  }
}

async function init(args: readonly string[]): Promise<void> {
  const { parseInitCommandLine } = await import("./own_leg/init_options.ts");
  const { initOwnLeg } = await import("./own_leg/init.ts");
  const commandLine = parseInitCommandLine(args);
  switch (commandLine.kind) {
    case "print":
      return writeAll(Deno.stdout, commandLine.text);
    case "problems":
      return exitWith(EXIT_USAGE, commandLine.problems);
    case "run": {
      const { options } = commandLine;
      const done = await initOwnLeg(options, openPrivateFolder(options.folder, OWN_LEG_FILES), new Date());
      if (!done.ok) {
        exitWith(EXIT_FAILED, done.problems);
      }
      return writeAll(Deno.stdout, done.lines.map((line) => `${line}\n`).join(""));
    }
    default: {
      const never: never = commandLine;
      return never;
    }
  }
}

async function run(configuration: Configuration, plainLog: Log, lines: LineWriter): Promise<void> {
  const { options, kubeconfig, nodeName, keys, tls, socketPath } = configuration;
  const { listenAddress: metricsAddress, decisionLogFile } = options.operability;
  const operability = createOperability({
    mode: options.mode,
    log: plainLog,
    clock: systemClock,
    elapsedMs: () => performance.now(),
    ...(decisionLogFile === undefined
      ? {}
      : { decisionLog: { path: decisionLogFile, files: systemDecisionFiles } }),
  });
  const { log } = operability;
  await clearProxyVariables(log);

  let fromFiles = configuration.credentials;
  let fromPlugin: Partial<Credentials> = {};
  const install = () => {
    const next = { ...fromFiles, ...fromPlugin };
    credential.replace(next);
    client.rotate(openClient(configuration, next));
  };
  const plugin = makePlugin(configuration, () => fromFiles, log, ({ token, identity }) => {
    checkNode(identity, nodeName);
    fromPlugin = {
      ...(token === undefined ? {} : { token }),
      ...(identity === undefined ? {} : { identity }),
    };
    install();
  });
  const credential = createCurrentCredential(
    fromFiles,
    plugin ?? { ensure: () => Promise.resolve(), refresh: () => upstreamFollower.refresh() },
  );
  const tunnel = await openTunnel(configuration, () => credential.value.identity);
  const client = createRotatingClient(
    openClient(configuration, credential.value),
    (url, request, used) => used.fetch(url, request),
  );
  const counts = new ReloadCounts();
  const following = { clock: systemClock, log, counts };
  const upstreamFollower = followFiles({
    ...following,
    loaded: configuration.files.upstream,
    apply(next) {
      checkUnchanged(kubeconfig, nodeName, next);
      fromFiles = next.credentials;
      install();
    },
  });
  const failover = createFailover({
    servers: [kubeconfig.server, ...options.servers].map((server) => ({
      url: server.href,
      upstream: createUpstream({
        server: tunnel === undefined ? server : plain(server),
        fetch: client.fetch,
        credential,
        clock: requestClock,
      }),
    })),
    clock: systemClock,
    log,
  });
  const upstream = operability.upstream(failover);
  const makeVerifier = ({ trusted, revoked }: VerificationKeySet) =>
    createVerifier({
      keys: trusted,
      revoked,
      acceptForms: options.acceptForms,
      requireDigests: options.requireDigests,
      references: options.objects.references,
    });
  const verifier = createReplaceableVerifier(makeVerifier(keys));
  const reviews = createReviewClient(upstream, log);
  const frontInForce = configuration.front === undefined ? undefined : { value: configuration.front };
  const { handler, gate, references } = createRequestPath({
    nodeName,
    mode: options.mode,
    upstream,
    verifier: operability.verifier(options.logPodPayloads ? withPayloadLog(verifier, log) : verifier),
    keys: keys.trusted,
    ledger: await openLedger(ledgerFile(options.runtimeDir), log),
    objects: options.objects,
    ...(configuration.rootCa === undefined ? {} : { rootCa: configuration.rootCa }),
    nodeApiAccess: options.nodeApiAccess,
    ...(frontInForce === undefined ? {} : { front: () => frontInForce.value.identity }),
    reviews,
    allowedPaths: options.allowedPaths,
    logRequests: options.logRequests,
    log,
    clock: requestClock,
    elapsedMs: () => performance.now(),
    random: Math.random,
    judgeObserver: operability.judge,
    objectObserver: operability.objects,
    requestObserver: operability.requests,
  });
  await gate.judgeAgain(idsOf(keys.revoked));
  const selfClient = createHttpClient({
    connect: () => Deno.connect({ transport: "unix", path: socketPath }),
    clock: systemClock,
    maxIdle: 0,
    idleTimeoutMs: POOL_IDLE_TIMEOUT_MS,
  });
  const selfCheck = createSelfCheck(
    `/${crypto.randomUUID()}`,
    (path) => selfClient.fetch(`http://kubelet-proxy${path}`, { method: "GET", headers: [] }),
  );
  const listener = await openListener({
    address: chooseFamily(options.listenAddress),
    ...(tls === undefined ? {} : { tls }),
    socketPath,
    handle: selfCheck.answer(handler.handle),
    log,
    clock: systemClock,
  });

  const front = configuration.front === undefined
    ? undefined
    : await (await import("./node_api/front.ts")).startFront({
      ...configuration.front,
      address: chooseFamily(configuration.front.address),
    }, {
      nodeName,
      access: options.nodeApiAccess,
      mode: options.mode,
      logRequests: options.logRequests,
      reviews,
      log,
      clock: systemClock,
      decided: operability.nodeApiDecided,
    });

  let trusted = keys.trusted;
  let serving = tls;
  if (metricsAddress !== undefined) {
    await operability.listen(metricsAddress, () => {
      const { front: facing } = configuration;
      const { user, system } = process.cpuUsage();
      return {
        ...gate.counts(),
        tokenNotAfter: tokenNotAfter(credential.value.token ?? ""),
        keys: trusted,
        reloads: counts.entries(),
        logLinesLost: lines.lost,
        memory: Deno.memoryUsage(),
        cpuSeconds: (user + system) / 1e6,
        certificates: {
          client: credential.value.identity?.certificate,
          serving: serving?.certificate,
          "node-api-serving": facing?.tls.certificate,
          "node-api-client": facing?.kubelet.identity.certificate,
        },
      };
    });
  }

  const keyExpiry = createKeyExpiry(systemClock, log);
  const keyFollower = followFiles({
    ...following,
    loaded: configuration.files.keys,
    async apply(next) {
      verifier.replace(makeVerifier(next));
      references.setKeys(next.trusted);
      await gate.judgeAgain(idsOf(next.revoked));
      tellKeys(next, log);
      keyExpiry.watch(next.trusted);
      trusted = next.trusted;
    },
  });
  const rootCaFollower = configuration.files.rootCa === undefined ? undefined : followFiles({
    ...following,
    loaded: configuration.files.rootCa,
    apply: references.setRootCa,
  });
  const servingFollower = configuration.files.serving === undefined ? undefined : followFiles({
    ...following,
    loaded: configuration.files.serving,
    apply(next) {
      listener.reload(next);
      serving = next;
    },
  });
  const frontFollower = configuration.files.front === undefined ? undefined : followFiles({
    ...following,
    loaded: configuration.files.front,
    apply(next) {
      front?.reload(next);
      if (frontInForce !== undefined) frontInForce.value = next;
    },
  });
  const ownLeg = options.ownLegFolder === undefined ? undefined : renewOwnLeg({
    folder: openPrivateFolder(options.ownLegFolder, OWN_LEG_FILES),
    wishes: { nodeName, folder: options.ownLegFolder, lifetimes: OWN_LEG_LIFETIMES },
    ...following,
  });
  const nodeCertificate = options.renewNodeCertificate ? nodeCertificateFile(kubeconfig) : undefined;
  const nodeRenewal = nodeCertificate === undefined ? undefined : renewNodeCertificate({
    nodeName,
    file: fileNameOf(nodeCertificate),
    folder: openPrivateFolder(folderOf(nodeCertificate), [fileNameOf(nodeCertificate)]),
    client: createNodeCertificateClient(upstream, log),
    random: Math.random,
    ...following,
  });
  tellKeys(keys, log);
  keyExpiry.watch(keys.trusted);
  log.info("listening", `kubelet-proxy ${VERSION} serves node "${nodeName}"`, {
    address: `${tls === undefined ? "http" : "https"}://${
      formatAddress(listener.address.hostname, listener.address.port)
    }`,
    upstream: [kubeconfig.server, ...options.servers].map(({ href }) => href).join(" "),
    mode: options.mode,
    clients: tls?.clientCa === undefined ? "loopback" : "certificate",
    acceptForms: [...options.acceptForms],
    requireDigests: options.requireDigests,
    keys: keys.trusted.length,
  });
  const notifier = await makeNotifier(options.runtimeDir, selfCheck.healthy, log);
  await notifier?.ready(`serves node "${nodeName}", mode ${options.mode}`);

  let stopping = false;
  async function stop(signal: string): Promise<void> {
    if (stopping) {
      return;
    }
    stopping = true;
    log.info("stopping", `received ${signal}`);
    void notifier?.stopping();
    for (
      const follower of [
        upstreamFollower,
        keyFollower,
        rootCaFollower,
        servingFollower,
        frontFollower,
        keyExpiry,
        ownLeg,
        nodeRenewal,
      ]
    ) {
      follower?.close();
    }
    // New connections end here at once; running requests and rejections get their time, watches are ended.
    const closed = listener.close(GATE_DEADLINE_MS + LISTENER_DEADLINE_MS);
    handler.close();
    const frontClosed = front?.close(LISTENER_DEADLINE_MS);
    await gate.close(GATE_DEADLINE_MS);
    await closed;
    await frontClosed;
    await operability.close();
    failover.close();
    client.close();
    selfClient.close();
    await tunnel?.close();
    log.info("stopped", "all connections are closed");
    await lines.flush(LOG_DEADLINE_MS);
    Deno.exit(0);
  }
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    Deno.addSignalListener(signal, () => void stop(signal));
  }
}

/** The environment of a credential plugin, beside what the kubeconfig gives it: nothing of this process's own. */
const PLUGIN_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** The credential plugin, if the kubeconfig names one. */
function makePlugin(
  { kubeconfig }: Configuration,
  current: () => Credentials,
  log: Log,
  apply: (credential: ExecCredential) => void,
): PluginCredential | undefined {
  const { exec, server, insecureSkipTlsVerify } = kubeconfig;
  if (exec === undefined) {
    return undefined;
  }
  return createPluginCredential({
    command: exec.command,
    run: () => {
      const { certificateAuthorities } = current();
      const info = execInfo(exec, { server: server.href, insecureSkipTlsVerify, certificateAuthorities });
      return runProgram({
        command: exec.command,
        args: exec.args,
        env: { PATH: PLUGIN_PATH, ...exec.env, [EXEC_INFO_VARIABLE]: info },
        timeoutMs: PLUGIN_TIMEOUT_MS,
        maxStdoutBytes: MAX_PLUGIN_OUTPUT_BYTES,
        maxStderrBytes: MAX_PLUGIN_STDERR_BYTES,
      }, systemClock);
    },
    read: (stdout, now) => readExecCredential(stdout, exec.apiVersion, now),
    apply,
    clock: systemClock,
    log,
  });
}

function idsOf(keys: readonly VerificationKey[]): Set<string> {
  return new Set(keys.map(({ id }) => id));
}

function tellKeys({ trusted, revoked }: VerificationKeySet, log: Log): void {
  const fieldsOf = (
    { id, algorithm, subject, namespaces, notBefore, notAfter, source }: VerificationKey,
  ) => ({
    keyId: id,
    algorithm,
    subject,
    namespaces,
    notBefore: notBefore?.toISOString(),
    notAfter: notAfter?.toISOString(),
    source,
  });
  for (const key of trusted) {
    log.info("verification-key", "signatures of this key are trusted", fieldsOf(key));
  }
  for (const key of revoked) {
    log.warn("verification-key-revoked", "pods that this key signed are stopped", fieldsOf(key));
  }
}

function needsTunnel({ insecureSkipTlsVerify, server }: Kubeconfig): boolean {
  return insecureSkipTlsVerify && server.protocol === "https:";
}

async function openTunnel(
  { options, kubeconfig }: Configuration,
  identity: () => TlsIdentity | undefined,
): Promise<Tunnel | undefined> {
  if (!needsTunnel(kubeconfig)) {
    return undefined;
  }
  const socketPath = `${options.runtimeDir}/${UPSTREAM_SOCKET_NAME}`;
  await removeStale(socketPath);
  return await openInsecureTunnel({ server: kubeconfig.server, identity, socketPath });
}

function openClient(
  { options, kubeconfig }: Configuration,
  { identity, certificateAuthorities }: Credentials,
): HttpClient {
  const path = `${options.runtimeDir}/${UPSTREAM_SOCKET_NAME}`;
  return createHttpClient({
    connect: needsTunnel(kubeconfig)
      ? () => Deno.connect({ transport: "unix", path })
      : (server) => connectServer(server, { certificateAuthorities, identity }),
    clock: systemClock,
    maxIdle: POOL_MAX_IDLE,
    idleTimeoutMs: POOL_IDLE_TIMEOUT_MS,
  });
}

/** The same server as it is named inside the tunnel, which adds TLS. */
function plain(server: URL): URL {
  const url = new URL(`http://${server.host}${server.port === "" ? ":443" : ""}`);
  url.pathname = server.pathname;
  return url;
}

/** Speaks to the service manager that started this process, if there is one. */
async function makeNotifier(
  runtimeDir: string,
  healthy: () => Promise<boolean>,
  log: Log,
): Promise<Notifier | undefined> {
  const variables = new Map<string, string | undefined>();
  for (const variable of SERVICE_MANAGER_VARIABLES) {
    const { state } = await Deno.permissions.query({ name: "env", variable });
    variables.set(variable, state === "granted" ? Deno.env.get(variable) : undefined);
  }
  const manager = readServiceManager((name) => variables.get(name), Deno.pid);
  if (manager === undefined) {
    return undefined;
  }
  if (typeof manager === "string") {
    log.warn("notify-unsupported", manager);
    return undefined;
  }
  const { socket, intervalMs } = manager;
  const path = `${runtimeDir}/${NOTIFY_SOCKET_NAME}`;
  try {
    await removeStale(path);
    const sender = Deno.listenDatagram({ transport: "unixpacket", path });
    return createNotifier({
      send: async (message) => {
        await sender.send(new TextEncoder().encode(message), { transport: "unixpacket", path: socket });
      },
      intervalMs,
      healthy,
      clock: systemClock,
      log,
    });
  } catch (error) {
    log.warn("notify-failed", `the service manager cannot be told anything: ${messageOf(error)}`);
    return undefined;
  }
}

/** Takes them out of the environment. Without permission to see them, the launcher must have cleared it. */
async function clearProxyVariables(log: Log): Promise<void> {
  for (const variable of PROXY_VARIABLES) {
    const { state } = await Deno.permissions.query({ name: "env", variable });
    if (state === "granted" && Deno.env.get(variable) !== undefined) {
      Deno.env.delete(variable);
      log.warn("proxy-variable-ignored", "the API server is reached directly", { variable });
    }
  }
}

/** Finds out whether addresses and socket can be listened on, before anything starts; if not, says why. */
async function tryAddresses({ options, front, socketPath }: Configuration): Promise<Problem[]> {
  const problems: Problem[] = [];
  tryAddress("--listen-addr", options.listenAddress, problems);
  if (front !== undefined) {
    tryAddress("--kubelet-api-listen", front.address, problems);
  }
  const { listenAddress: metricsAddress } = options.operability;
  if (metricsAddress !== undefined) {
    tryAddress("--metrics-addr", metricsAddress, problems);
  }
  try {
    if (await isServed(socketPath)) {
      problems.push({
        path: "--runtime-dir",
        message:
          `"${options.runtimeDir}" is in use by another kubelet-proxy; stop that one or use another folder`,
      });
    } else {
      await removeStale(socketPath);
    }
  } catch (error) {
    problems.push({
      path: "--runtime-dir",
      message: `"${socketPath}" cannot be used (${messageOf(error)})`,
    });
  }
  return problems;
}

function tryAddress(path: string, address: ListenAddress, problems: Problem[]): void {
  try {
    chooseFamily(address);
  } catch (error) {
    problems.push({ path, message: describeListening(error, address) });
  }
}

/**
 * All interfaces are those of IPv6 and IPv4 together, or of IPv4 alone on a machine without IPv6.
 *
 * @throws if the address cannot be listened on
 */
function chooseFamily({ hostname, port }: ListenAddress): ListenAddress {
  if (hostname === undefined) {
    try {
      Deno.listen({ hostname: "::", port }).close();
      return { hostname: "::", port };
    } catch (error) {
      if (error instanceof Deno.errors.AddrInUse) {
        throw error;
      }
      return chooseFamily({ hostname: "0.0.0.0", port });
    }
  }
  Deno.listen({ hostname, port }).close();
  return { hostname, port };
}

function describeListening(error: unknown, { hostname, port }: ListenAddress): string {
  const address = formatAddress(hostname ?? "", port);
  if (error instanceof Deno.errors.AddrInUse) {
    return `"${address}" is in use; stop what listens there, or choose another address`;
  }
  if (error instanceof Deno.errors.NotCapable) {
    return `Deno was started without the permission to listen on "${address}"; add it to --allow-net, or start the program by its launcher`;
  }
  return `"${address}" cannot be listened on (${messageOf(error)})`;
}

/** Whether a process listens on a Unix socket. A socket that nobody listens on is left over from one that was killed. */
async function isServed(path: string): Promise<boolean> {
  try {
    (await Deno.connect({ transport: "unix", path })).close();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.ConnectionRefused) {
      return false;
    }
    throw error;
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch (error) {
    // What may not be looked at is not made, either.
    return !(error instanceof Deno.errors.NotFound);
  }
}

async function removeStale(path: string): Promise<void> {
  try {
    await Deno.remove(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) {
      throw error;
    }
  }
}

function exitWith(code: number, problems: readonly Problem[]): never {
  const lines = problems.map(({ path, message }) =>
    `kubelet-proxy: ${path === "" ? "" : `${path}: `}${message}\n`
  );
  writeAll(Deno.stderr, lines.join(""));
  Deno.exit(code);
}

/** Writes all of a text; one call may write a part only, for example into a pipe. */
function writeAll(to: { writeSync(bytes: Uint8Array): number }, text: string): void {
  let rest = new TextEncoder().encode(text);
  while (rest.length > 0) {
    rest = rest.subarray(to.writeSync(rest));
  }
}

if (import.meta.main) {
  await main(Deno.args);
}
