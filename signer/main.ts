/**
 * The signing server: keeps a signing key and signs pod specs and templates over HTTP.
 *
 * ```sh
 * deno run --allow-net=127.0.0.1:8080 jsr:@signed-pods/signing-server
 * ```
 *
 * `--key-dir FOLDER` also needs `--allow-read=FOLDER --allow-write=FOLDER`.
 *
 * @module
 */
import { formatAddress } from "@signed-pods/shared/address";
import { messageOf } from "@signed-pods/shared/errors";
import { systemReason } from "@signed-pods/shared/file-error";
import { VERSION } from "@signed-pods/shared/version";
import { createApp, createMetricsApp, needsLoopbackHost } from "./app.ts";
import { type AuditLog, inOrder } from "./audit.ts";
import { createAuditFile, systemAuditFiles } from "./audit_file.ts";
import type { Authentication } from "./client.ts";
import { readCommandLine } from "./command_line.ts";
import { follow } from "./followed.ts";
import { systemKeyFiles } from "./key_files.ts";
import { type KeyFolderOptions, type KeyRing, rotateKey } from "./key_folder.ts";
import { KeyFolderError } from "./key_folder_error.ts";
import { createMemoryKeyStore, expiryWarnings, type KeyStore, openKeyStore } from "./key_store.ts";
import { checkTls, type Listener, type ListenerOptions, openListener } from "./listener.ts";
import { createMetrics, type Metrics } from "./metrics.ts";
import {
  completeOptions,
  completeRotateOptions,
  type KeyFlags,
  type ListenAddress,
  type RotateOptions,
  type SignerOptions,
} from "./options.ts";
import type { NewKey } from "./signing_identity.ts";
import { parseTokens } from "./tokens.ts";

/** Requests that still run this long after a signal to stop are cut off. */
const SHUTDOWN_TIMEOUT_MS = 10_000;

/** How often the certificates' ends are looked at: twice a day is often enough for a warning 30 days ahead. */
const EXPIRY_CHECK_INTERVAL_MS: number = 12 * 60 * 60 * 1000;

/** Exit code of a command line that cannot be obeyed, as with other programs of this kind. */
const USAGE_ERROR = 2;

function fail(problems: readonly string[]): never {
  for (const problem of problems) console.error(`signing-server: ${problem}`);
  Deno.exit(USAGE_ERROR);
}

function warn(text: string): void {
  console.error(`signing-server: warning: ${text}`);
}

/** What is wrong with the key folder, with the flag. Defects are thrown on. */
function keyFolderProblem(error: unknown): string {
  if (error instanceof KeyFolderError) return `--key-dir: ${error.message}`;
  if (error instanceof Deno.errors.NotCapable) {
    return "--key-dir: signing-server was started without permission for the folder; start it by bin/signing-server, " +
      "or with --allow-read and --allow-write";
  }
  throw error;
}

function keyFolder(folder: string): KeyFolderOptions {
  return {
    folder,
    files: systemKeyFiles,
    sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  };
}

function newKey({ keyType, certificateLifetimeDays }: KeyFlags): NewKey {
  return { keyType, certificateLifetimeDays, now: new Date() };
}

function describeKey({ current, staged }: KeyRing): void {
  console.log(`key type ${current.keyType}, certificate valid until ${current.notAfter.toISOString()}`);
  console.log(`certificate SHA-256 fingerprint ${current.fingerprint}`);
  if (staged !== undefined) console.log(`staged certificate SHA-256 fingerprint ${staged.fingerprint}`);
}

async function openKeys(options: SignerOptions, metrics: Metrics): Promise<KeyStore> {
  const { keyDir } = options;
  if (keyDir === undefined) return await createMemoryKeyStore(newKey(options));
  try {
    const { store, made } = await openKeyStore(keyFolder(keyDir), newKey(options), {
      onChange: (ring) => {
        console.log(`the keys in "${keyDir}" have changed`);
        describeKey(ring);
      },
      onFailure: (error) => {
        metrics.reloadFailed("keys");
        warn(
          `the keys in "${keyDir}" have changed, but cannot be used; the ones before stay: ${
            messageOf(error)
          }`,
        );
      },
    });
    if (made) console.log(`made a new key in "${keyDir}"`);
    return store;
  } catch (error) {
    fail([keyFolderProblem(error)]);
  }
}

function authenticationOf({ tokenFile, tls }: SignerOptions, metrics: Metrics): Authentication {
  const certificates = tls?.clientCa !== undefined;
  if (tokenFile === undefined) return { certificates };
  const { path, text, tokens } = tokenFile;
  const followed = follow({
    readText: () => Deno.readTextFile(path),
    parse: parseTokens,
    first: { text, value: tokens },
    onChange: ({ count }) => console.log(`"${path}" has changed: it holds ${count} tokens`),
    onFailure: (error) => {
      metrics.reloadFailed("tokens");
      warn(
        `--token-file: "${path}" has changed, but cannot be used; the tokens before stay: ${
          messageOf(error)
        }`,
      );
    },
  });
  return { certificates, tokens: () => followed.get() };
}

async function writeToStdout(text: string): Promise<void> {
  const bytes = new TextEncoder().encode(text);
  for (let written = 0; written < bytes.length;) written += await Deno.stdout.write(bytes.subarray(written));
}

async function openAuditLog(path: string | undefined): Promise<AuditLog> {
  if (path === undefined) return inOrder(writeToStdout);
  try {
    await systemAuditFiles.append(path, "");
  } catch (error) {
    fail([
      `--audit-log: cannot write "${path}": ${
        error instanceof Deno.errors.NotCapable
          ? "signing-server was started without permission for it; start it by bin/signing-server, or with --allow-read " +
            "and --allow-write"
          : systemReason(error)
      }`,
    ]);
  }
  return createAuditFile(path, systemAuditFiles);
}

/** Why an address cannot be listened on, and what to do. */
function listenReason(error: unknown): string {
  switch (error instanceof Error && "code" in error ? error.code : undefined) {
    case "EADDRINUSE":
      return "another program listens there; name another port";
    case "EADDRNOTAVAIL":
      return "this machine does not have that address";
    case "EACCES":
      return "this user may not use that port; name one above 1023";
    default:
      return systemReason(error);
  }
}

async function listen(
  flag: string,
  { hostname, port }: ListenAddress,
  options: Omit<ListenerOptions, "hostname" | "port">,
): Promise<Listener> {
  const host = formatAddress(hostname, port);
  // Without the permission, node's listen() throws where nobody can catch it.
  if (Deno.permissions.querySync({ name: "net", host }).state !== "granted") {
    fail([
      `${flag}: cannot listen on ${host}: signing-server was started without permission for it; start it by ` +
      "bin/signing-server, or with --allow-net",
    ]);
  }
  try {
    try {
      return await openListener({ hostname, port, ...options });
    } catch (error) {
      // All interfaces of a machine without IPv6 are its IPv4 ones.
      if (hostname !== "::" || !/EAFNOSUPPORT|EADDRNOTAVAIL/.test(messageOf(error))) throw error;
      return await openListener({ hostname: "0.0.0.0", port, ...options });
    }
  } catch (error) {
    fail([`${flag}: cannot listen on ${host}: ${listenReason(error)}`]);
  }
}

function urlOf(listener: Listener, tls: boolean): string {
  const { hostname, port } = listener.address;
  return `${tls ? "https" : "http"}://${formatAddress(hostname, port)}`;
}

async function serve(options: SignerOptions): Promise<void> {
  for (const warning of options.warnings) warn(warning);
  const metrics = createMetrics();
  const authentication = authenticationOf(options, metrics);
  const audit = await openAuditLog(options.auditLog);
  const keyStore = await openKeys(options, metrics);
  const reportError = (error: unknown) => console.error("signing-server: error:", error);
  const app = createApp({
    keyStore,
    authentication,
    policy: options.policy,
    requireLoopbackHost: needsLoopbackHost(options.listen.loopback, authentication),
    audit,
    metrics,
    now: () => new Date(),
    elapsedMs: () => performance.now(),
    reportError,
  });
  const { tls, metricsListen } = options;
  try {
    if (tls !== undefined) checkTls(tls);
  } catch (error) {
    fail([`--tls-cert, --tls-key, --client-ca: ${messageOf(error)}`]);
  }
  // Whoever reads that the server listens may ask it to stop at once.
  const stopped = stopSignal();
  const listeners = [
    await listen("--listen-addr", options.listen, {
      handle: (request, context) => app.fetch(request, context),
      ...(tls === undefined ? {} : { tls }),
    }),
  ];
  if (metricsListen !== undefined) {
    const metricsApp = createMetricsApp({ metrics, keyStore, reportError });
    listeners.push(
      await listen("--metrics-addr", metricsListen, {
        handle: (request, context) => metricsApp.fetch(request, context),
      }),
    );
  }
  const ring = await keyStore.ring();
  console.log(`signing-server ${VERSION}`);
  describeKey(ring);
  const checkExpiry = async () => {
    for (const warning of expiryWarnings(await keyStore.ring(), new Date())) warn(warning);
  };
  await checkExpiry();
  const timer = setInterval(checkExpiry, EXPIRY_CHECK_INTERVAL_MS);
  const [signing, watching] = listeners;
  if (watching !== undefined) console.log(`metrics on ${urlOf(watching, false)}/metrics`);
  if (signing !== undefined) console.log(`listening on ${urlOf(signing, tls !== undefined)}`);
  await stopped;
  clearInterval(timer);
  await close(listeners);
}

/** Resolves when the process is asked to stop. */
function stopSignal(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const stop = () => resolve();
  Deno.addSignalListener("SIGTERM", stop);
  Deno.addSignalListener("SIGINT", stop);
  return promise.finally(() => {
    Deno.removeSignalListener("SIGTERM", stop);
    Deno.removeSignalListener("SIGINT", stop);
  });
}

/** Lets running requests finish, within bounds. */
async function close(listeners: readonly Listener[]): Promise<void> {
  console.log("stopping");
  const answered = await Promise.all(listeners.map((listener) => listener.close(SHUTDOWN_TIMEOUT_MS)));
  if (answered.every(Boolean)) return;
  console.error(`signing-server: requests still ran after ${SHUTDOWN_TIMEOUT_MS / 1000} s and were cut off`);
  Deno.exit(1);
}

async function rotate(options: RotateOptions): Promise<void> {
  try {
    const rotation = await rotateKey(keyFolder(options.keyDir), newKey(options), { stage: options.stage });
    switch (rotation.kind) {
      case "staged":
        console.log(`staged certificate SHA-256 fingerprint ${rotation.staged.fingerprint}`);
        console.log(
          "the key signs as before; bring the staged certificate to the nodes (podsign get-cert --all), then run rotate " +
            "again without --stage",
        );
        break;
      case "rotated":
        console.log(`certificate SHA-256 fingerprint ${rotation.current.fingerprint}`);
        console.log(
          `pods signed with the key before are verified until ${rotation.previous.notAfter.toISOString()} by nodes that ` +
            `keep its certificate, ${rotation.previous.fingerprint}`,
        );
        break;
      default: {
        const never: never = rotation;
        return never;
      }
    }
  } catch (error) {
    fail([keyFolderProblem(error)]);
  }
}

async function main(args: readonly string[]): Promise<void> {
  const commandLine = readCommandLine(args);
  switch (commandLine.kind) {
    case "print":
      console.log(commandLine.text.trimEnd());
      return;
    case "rotate": {
      const options = completeRotateOptions(commandLine.raw);
      const problems = [...commandLine.problems, ...("problems" in options ? options.problems : [])];
      if ("problems" in options || problems.length > 0) fail(problems);
      return await rotate(options);
    }
    case "serve": {
      const { raw, problems } = commandLine;
      const readText = async (path: string): Promise<string | undefined> => {
        try {
          return await Deno.readTextFile(path);
        } catch (error) {
          // The launcher asks no permission for a command line with mistakes. That is not one more.
          if (problems.length > 0 && error instanceof Deno.errors.NotCapable) return undefined;
          throw error;
        }
      };
      const options = await completeOptions(raw, { readText });
      if ("problems" in options) problems.push(...options.problems);
      if ("problems" in options || problems.length > 0) fail(problems);
      return await serve(options);
    }
    default: {
      const never: never = commandLine;
      return never;
    }
  }
}

if (import.meta.main) await main(Deno.args);
