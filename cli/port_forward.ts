/**
 * Reaches a signing server in the cluster through `kubectl port-forward`.
 *
 * @module
 */
import type { ChildProcess, Effects } from "./effects.ts";
import { systemReason } from "@signed-pods/shared/file-error";
import { InputError } from "./input_error.ts";

/** How long kubectl may take to get the connection ready. */
export const READY_TIMEOUT_MS = 30_000;

/** Most of what kubectl prints that is kept, in characters: before it is ready, that is a line or two. */
export const MAX_OUTPUT_CHARACTERS: number = 16 * 1024;

/** Port of the signing server where none is named. */
const DEFAULT_PORT = "8080";

/** An open connection. */
export interface PortForward {
  /** Base URL at this end. */
  readonly url: string;
  /** Ends it, and waits until kubectl has ended. */
  close(): Promise<void>;
}

/**
 * Opens a connection. A local port is chosen by kubectl.
 *
 * @param target `NAMESPACE/SERVICE` or `NAMESPACE/SERVICE:PORT`
 * @throws {InputError} if the target has another form, kubectl is missing or does not get ready
 */
export async function openPortForward(
  effects: Pick<Effects, "spawn">,
  target: string,
  readyTimeoutMs: number = READY_TIMEOUT_MS,
): Promise<PortForward> {
  // Names that begin with a letter or digit can be no options of kubectl.
  const match = /^([a-z0-9][a-z0-9-]{0,62})\/([a-z0-9][a-z0-9-]{0,62})(?::(\d{1,5}))?$/.exec(target);
  if (match === null) {
    throw new InputError([
      `--port-forward: "${target}" is not NAMESPACE/SERVICE: write for example signing/signing-server`,
    ]);
  }
  const [, namespace = "", service = "", port = DEFAULT_PORT] = match;
  const args = [
    "port-forward",
    "--address",
    "127.0.0.1",
    "--namespace",
    namespace,
    `service/${service}`,
    `:${port}`,
  ];
  let child: ChildProcess;
  try {
    child = effects.spawn("kubectl", args);
  } catch (error) {
    throw new InputError([`--port-forward: kubectl cannot be started: ${startProblem(error)}`], {
      cause: error,
    });
  }
  const errors = collect(child.stderr);
  let localPort: string | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), readyTimeoutMs);
  });
  const output = child.stdout.getReader();
  try {
    localPort = await Promise.race([readyPort(output), timeout]);
  } finally {
    clearTimeout(timer);
  }
  const close = async () => {
    child.stop();
    // Both ends of the pipes are drained or given up, or kubectl's last words would keep this process.
    output.cancel().catch(() => {});
    await child.ended;
    await errors;
  };
  if (localPort === undefined) {
    await close();
    const said = lastLine(await errors) ?? "it did not get ready in time";
    throw new InputError([
      `--port-forward: kubectl cannot reach service ${service} in ${namespace}: ${said}`,
    ]);
  }
  return { url: `http://127.0.0.1:${localPort}`, close };
}

/** Why kubectl cannot be started, and what to do. */
function startProblem(error: unknown): string {
  switch (error instanceof Error ? error.name : "") {
    case "NotCapable":
      return "podsign was started without permission for it; start it by bin/podsign, or with --allow-run=kubectl";
    case "NotFound":
      return "there is none on PATH; install it, or name the server's own address with --server";
    case "PermissionDenied":
      return "this user may not run it; see its owner and mode";
    default:
      return systemReason(error);
  }
}

/** What a program said last: what it says before are attempts and remarks. Controls become spaces. */
function lastLine(text: string): string | undefined {
  return text.split(/[\r\n]+/).map((line) => line.replace(/\p{Cc}+/gu, " ").trim()).filter((line) =>
    line !== ""
  )
    .at(-1);
}

/** Waits for the line that says which local port is open. */
async function readyPort(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<string | undefined> {
  const decoder = new TextDecoder();
  let text = "";
  while (text.length <= MAX_OUTPUT_CHARACTERS) {
    const { done, value } = await reader.read();
    if (done) return undefined;
    text += decoder.decode(value, { stream: true });
    const port = /^Forwarding from 127\.0\.0\.1:(\d+) -> \d+\r?$/m.exec(
      text.slice(0, text.lastIndexOf("\n") + 1),
    )?.[1];
    if (port !== undefined) return port;
  }
  return undefined;
}

async function collect(stream: ReadableStream<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  try {
    for await (const chunk of stream) {
      if (text.length < MAX_OUTPUT_CHARACTERS) text += decoder.decode(chunk, { stream: true });
    }
  } catch {
    // The process ended in the middle of a line: what it said until then is what there is.
  }
  return text.slice(0, MAX_OUTPUT_CHARACTERS);
}
