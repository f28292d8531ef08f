/**
 * Runs another program, for a bounded time and with bounded output.
 *
 * @module
 */
import type { Clock } from "../clock.ts";

/** What is run. */
export interface ProgramRun {
  /** Full path. */
  command: string;
  args: readonly string[];
  /** All of its environment. */
  env: Readonly<Record<string, string>>;
  timeoutMs: number;
  /** Most bytes that it may print; more fails. */
  maxStdoutBytes: number;
  /** How much of what it says on stderr is kept, in bytes. */
  maxStderrBytes: number;
}

/** What it did; texts are cut where they are too long. */
export interface ProgramResult {
  /** Why there is no result, or why it is none. */
  problem?: string;
  stdout: string;
  stderr: string;
}

/** Runs a program with nothing on its stdin. Never throws. */
export async function runProgram(run: ProgramRun, clock: Clock): Promise<ProgramResult> {
  let child: Deno.ChildProcess;
  try {
    child = new Deno.Command(run.command, {
      args: [...run.args],
      env: { ...run.env },
      clearEnv: true,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  } catch (error) {
    return { problem: describeStart(error), stdout: "", stderr: "" };
  }
  let stopped: string | undefined;
  const readers = [child.stdout.getReader(), child.stderr.getReader()];
  function stop(problem: string): void {
    stopped ??= problem;
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended by itself.
    }
    // What it has started may hold the pipes open for ever.
    for (const reader of readers) {
      reader.cancel().catch(() => {});
    }
  }
  const cancel = clock.after(run.timeoutMs, () => stop(`it did not end within ${run.timeoutMs / 1000} s`));
  try {
    const [stdout, stderr] = await Promise.all([
      readUpTo(
        readers[0],
        run.maxStdoutBytes,
        () => stop(`it printed more than ${run.maxStdoutBytes} bytes`),
      ),
      readUpTo(readers[1], run.maxStderrBytes, () => {}),
    ]);
    const { success, code, signal } = await child.status;
    const problem = stopped ??
      (success ? undefined : signal === null ? `it exited with status ${code}` : `it was ended by ${signal}`);
    return { ...(problem === undefined ? {} : { problem }), stdout, stderr };
  } finally {
    cancel();
  }
}

/** Reads to the end, and keeps the beginning. */
async function readUpTo(
  reader: ReadableStreamDefaultReader<Uint8Array> | undefined,
  maxBytes: number,
  onExcess: () => void,
): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  for (;;) {
    const read = await reader?.read().catch(() => undefined);
    if (read === undefined || read.done) {
      return text + decoder.decode();
    }
    const room = maxBytes - bytes;
    bytes += read.value.length;
    if (room > 0) {
      text += decoder.decode(read.value.subarray(0, room), { stream: true });
    }
    if (bytes > maxBytes) {
      onExcess();
    }
  }
}

function describeStart(error: unknown): string {
  if (error instanceof Deno.errors.NotCapable) {
    return "Deno was started without the permission to run it; add its full path to --allow-run, or start kubelet-proxy by its launcher";
  }
  if (error instanceof Deno.errors.NotFound) {
    return "it does not exist";
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return "this user may not run it; see its owner and mode";
  }
  return "it cannot be started";
}
