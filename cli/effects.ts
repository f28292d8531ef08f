/**
 * What podsign needs of the world. The real thing is made in main.ts, another in tests.
 *
 * @module
 */
import { fileProblem, systemReason } from "@signed-pods/shared/file-error";
import type { ClientIdentity } from "./client_identity.ts";
import { InputError } from "./input_error.ts";

/** A running program. */
export interface ChildProcess {
  readonly stdout: ReadableStream<Uint8Array>;
  readonly stderr: ReadableStream<Uint8Array>;
  /** Resolves when the program has ended. */
  readonly ended: Promise<void>;
  /** Asks the program to end. Does nothing if it has. */
  stop(): void;
}

/** Files, streams, clock, network and programs. */
export interface Effects {
  /** Throws if the file cannot be read. */
  readFile(path: string): Promise<Uint8Array>;
  readStdin(): Promise<Uint8Array>;
  /** Writes to standard output, as it is. */
  writeOut(text: string): Promise<void>;
  /** Writes to standard error, as it is. */
  writeError(text: string): void;
  /** Whether a person is watching standard output. */
  readonly stdoutIsTerminal: boolean;
  /** Whether a person is watching standard error. */
  readonly stderrIsTerminal: boolean;
  now(): Date;
  /** Bytes that nobody can foretell. */
  randomBytes(length: number): Uint8Array<ArrayBuffer>;
  /** Resolves after this many milliseconds. */
  sleep(ms: number): Promise<void>;
  /** An environment variable; undefined if it is not set, empty or may not be read. */
  env(name: string): string | undefined;
  /**
   * @param identity shown to the server. Each request then has a connection of its own: a server that resumes a TLS session
   *   takes no name from it, and the second of two requests would be refused.
   */
  fetch(url: string, init: RequestInit, identity?: ClientIdentity): Promise<Response>;
  /** Starts a program. Throws if it cannot. */
  spawn(program: string, args: readonly string[]): ChildProcess;
}

/** Names of standard input. Deno opens the latter as files only for programs that may do everything. */
const STANDARD_INPUT: ReadonlySet<string> = new Set(["-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"]);

/** Whether a FILE on the command line means standard input. */
export function isStandardInput(file: string): boolean {
  return STANDARD_INPUT.has(file);
}

/**
 * Reads a file, or standard input for `-` and its other names.
 *
 * @throws {InputError} if it cannot be read
 */
export async function readInput(
  effects: Effects,
  file: string,
): Promise<{ bytes: Uint8Array; name: string }> {
  const isStdin = isStandardInput(file);
  if (/^https?:\/\//.test(file)) {
    throw new InputError([
      `"${file}" is a URL, and podsign reads files: look at what it holds, then curl -sSf URL | podsign … -`,
    ]);
  }
  try {
    return isStdin
      ? { bytes: await effects.readStdin(), name: "standard input" }
      : { bytes: await effects.readFile(file), name: file };
  } catch (error) {
    const problem = isStdin
      ? `cannot read standard input: ${systemReason(error)}`
      : fileProblem("podsign", file, error);
    throw new InputError([problem], { cause: error });
  }
}
