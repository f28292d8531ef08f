/**
 * The signing server: keeps a signing key in memory and signs pod specs and templates over HTTP.
 *
 * ```sh
 * deno run --allow-net=127.0.0.1:8080 jsr:@signed-pods/signing-server
 * ```
 *
 * @module
 */
import { formatAddress } from "@signed-pods/shared/address";
import { systemReason } from "@signed-pods/shared/file-error";
import { VERSION } from "@signed-pods/shared/version";
import { type AuditRecord, createApp } from "./app.ts";
import { readCommandLine } from "./command_line.ts";
import { createKeyStore } from "./key_store.ts";
import { completeOptions, MIN_TOKEN_LENGTH, type SignerOptions } from "./options.ts";

/** Requests that still run this long after a signal to stop are cut off. */
const SHUTDOWN_TIMEOUT_MS = 10_000;

/** Exit code of a command line that cannot be obeyed, as with other programs of this kind. */
const USAGE_ERROR = 2;

function fail(problems: readonly string[]): never {
  for (const problem of problems) console.error(`signing-server: ${problem}`);
  Deno.exit(USAGE_ERROR);
}

/** One JSON object per line, on standard error. */
function logAudit(record: AuditRecord, fingerprint: string): void {
  console.error(JSON.stringify({
    time: record.time.toISOString(),
    event: "signed",
    payloadSha256: record.payloadSha256,
    payloadBytes: record.payloadBytes,
    peer: record.peer,
    certificate: fingerprint,
  }));
}

function listen(
  hostname: string,
  port: number,
  onListen: (address: Deno.NetAddr) => void,
  handler: Deno.ServeHandler<Deno.NetAddr>,
): Deno.HttpServer<Deno.NetAddr> {
  try {
    return Deno.serve({ hostname, port, onListen }, handler);
  } catch (error) {
    // All interfaces of a machine without IPv6 are its IPv4 ones.
    if (hostname !== "::" || error instanceof Deno.errors.AddrInUse) throw error;
    return Deno.serve({ hostname: "0.0.0.0", port, onListen }, handler);
  }
}

/** Why an address cannot be listened on, and what to do. */
function listenReason(error: unknown): string {
  if (error instanceof Deno.errors.NotCapable) {
    return "signing-server was started without permission for it; start it by bin/signing-server, or with --allow-net";
  }
  if (error instanceof Deno.errors.AddrInUse) return "another program listens there; name another port";
  if (error instanceof Deno.errors.AddrNotAvailable) return "this machine does not have that address";
  if (error instanceof Deno.errors.PermissionDenied) {
    return "this user may not use that port; name one above 1023";
  }
  return systemReason(error);
}

async function serve(options: SignerOptions): Promise<void> {
  for (const warning of options.warnings) console.error(`signing-server: warning: ${warning}`);
  const keyStore = await createKeyStore(options.keyType, new Date());
  const app = createApp({
    keyStore,
    ...(options.token === undefined ? {} : { token: options.token }),
    requireLoopbackHost: options.listen.loopback && options.token === undefined,
    now: () => new Date(),
    audit: (record) => logAudit(record, keyStore.fingerprint),
    reportError: (error) => console.error("signing-server: error:", error),
  });
  const handler: Deno.ServeHandler<Deno.NetAddr> = (request, info) =>
    app.fetch(request, { peer: formatAddress(info.remoteAddr.hostname, info.remoteAddr.port) });
  const onListen = (address: Deno.NetAddr) => {
    console.log(`signing-server ${VERSION}`);
    console.log(`key type ${keyStore.keyType}, certificate valid until ${keyStore.notAfter.toISOString()}`);
    console.log(`certificate SHA-256 fingerprint ${keyStore.fingerprint}`);
    console.log(`listening on http://${formatAddress(address.hostname, address.port)}`);
  };
  const { hostname, port } = options.listen;
  let server: Deno.HttpServer<Deno.NetAddr>;
  try {
    server = listen(hostname, port, onListen, handler);
  } catch (error) {
    fail([`--listen-addr: cannot listen on ${formatAddress(hostname, port)}: ${listenReason(error)}`]);
  }
  await stopOnSignal(server);
}

/** Lets running requests finish, within bounds, once the process is asked to stop. */
async function stopOnSignal(server: Deno.HttpServer): Promise<void> {
  const asked = Promise.withResolvers<void>();
  const stop = () => asked.resolve();
  Deno.addSignalListener("SIGTERM", stop);
  Deno.addSignalListener("SIGINT", stop);
  await asked.promise;
  console.log("stopping");
  const deadline = setTimeout(() => {
    console.error(
      `signing-server: requests still ran after ${SHUTDOWN_TIMEOUT_MS / 1000} s and were cut off`,
    );
    Deno.exit(1);
  }, SHUTDOWN_TIMEOUT_MS);
  await server.shutdown();
  clearTimeout(deadline);
  Deno.removeSignalListener("SIGTERM", stop);
  Deno.removeSignalListener("SIGINT", stop);
}

async function main(args: readonly string[]): Promise<void> {
  const commandLine = readCommandLine(args);
  if (commandLine.kind === "print") {
    console.log(commandLine.text.trimEnd());
    return;
  }
  const { raw, problems } = commandLine;
  const readTextFile = async (path: string): Promise<string> => {
    try {
      return await Deno.readTextFile(path);
    } catch (error) {
      // The launcher asks no permission for a command line with mistakes. That is not one more.
      if (problems.length > 0 && error instanceof Deno.errors.NotCapable) return "x".repeat(MIN_TOKEN_LENGTH);
      throw error;
    }
  };
  const options = await completeOptions(raw, readTextFile);
  if ("problems" in options) problems.push(...options.problems);
  if ("problems" in options || problems.length > 0) fail(problems);
  await serve(options);
}

if (import.meta.main) await main(Deno.args);
