/**
 * The signing server: keeps a signing key in memory and signs pod specs and templates over HTTP.
 *
 * ```sh
 * deno run --allow-net=127.0.0.1:8080 jsr:@signed-pods/signing-server
 * ```
 *
 * @module
 */
import { run } from "@optique/run";
import { message } from "@optique/core/message";
import { formatAddress } from "@signed-pods/shared/address";
import { messageOf } from "@signed-pods/shared/errors";
import { VERSION } from "@signed-pods/shared/version";
import { type AuditRecord, createApp } from "./app.ts";
import { createKeyStore } from "./key_store.ts";
import {
  completeOptions,
  type RawSignerOptions,
  SIGNER_PARSER,
  type SignerOptions,
  spellOut,
} from "./options.ts";

/** Requests that still run this long after a signal to stop are cut off. */
const SHUTDOWN_TIMEOUT_MS = 10_000;

/** Exit code of a command line that cannot be obeyed, as with other programs of this kind. */
const USAGE_ERROR = 2;

/** Columns of the help text. Asking the terminal would need a permission. */
const HELP_WIDTH = 100;

function fail(problems: readonly string[]): never {
  for (const problem of problems) console.error(`signing-server: ${problem}`);
  Deno.exit(USAGE_ERROR);
}

function parseArguments(args: readonly string[]): RawSignerOptions {
  return run(SIGNER_PARSER, {
    programName: "signing-server",
    args: spellOut(args),
    help: "option",
    version: { value: `signing-server ${VERSION}`, option: true },
    brief: message`Signs pod specs and templates with a key that it keeps in memory.`,
    colors: false,
    maxWidth: HELP_WIDTH,
    stdout: (text) => console.log(text),
    stderr: (text) => console.error(text),
    errorExitCode: USAGE_ERROR,
    onExit: (code) => Deno.exit(code),
  });
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
    fail([`--listen-addr: cannot listen on ${formatAddress(hostname, port)}: ${messageOf(error)}`]);
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

if (import.meta.main) {
  const options = await completeOptions(parseArguments(Deno.args), (path) => Deno.readTextFile(path));
  if ("problems" in options) fail(options.problems);
  await serve(options);
}
