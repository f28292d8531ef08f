/**
 * Starting and stopping the cluster's programs. Each has a log file and a pid file in the run folder, so that
 * another process can stop what this one started, should it be killed.
 *
 * @module
 */
import { done, notYet, until } from "./wait.ts";

/** How a program is started. */
export interface ProgramSpec {
  /** Names the log and the pid file. */
  name: string;
  command: string;
  args: string[];
  /** The folder of this run; `log/` and `pid/` are in it. */
  runDir: string;
  /** Network namespace to start in; by default that of this process. */
  namespace?: string;
  /** A folder that the program, and nobody else, sees in place of another. */
  bind?: { source: string; target: string };
  env?: Record<string, string>;
  /** Milliseconds between SIGTERM and SIGKILL, by default 20,000. */
  graceMs?: number;
}

/** A process by its id and its start time in clock ticks, since ids are used again. */
interface ProcessId {
  pid: number;
  startTime: string;
}

/** Start time and state of a process (proc_pid_stat(5), fields 22 and 3); undefined if there is none. */
function readProcess(pid: number): { startTime: string; state: string } | undefined {
  let stat: string;
  try {
    stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
  } catch {
    return undefined;
  }
  // The command's name in parentheses may hold spaces and parentheses itself.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state] = fields;
  const startTime = fields[19];
  return state === undefined || startTime === undefined ? undefined : { startTime, state };
}

/** Whether the process still runs; one that ended and is not yet reaped does not. */
function isAlive({ pid, startTime }: ProcessId): boolean {
  const found = readProcess(pid);
  return found !== undefined && found.startTime === startTime && found.state !== "Z";
}

/** Sends a signal; a process that has gone meanwhile is no error. */
function signal(process: ProcessId, name: Deno.Signal): void {
  if (!isAlive(process)) return;
  try {
    Deno.kill(process.pid, name);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

async function stopProcess(process: ProcessId, what: string, graceMs: number): Promise<void> {
  const gone = () => isAlive(process) ? notYet(`process ${process.pid} still runs`) : done(undefined);
  signal(process, "SIGTERM");
  try {
    await until(`${what} has ended after SIGTERM`, gone, { timeoutMs: graceMs, intervalMs: 50 });
  } catch {
    signal(process, "SIGKILL");
    await until(`${what} has ended after SIGKILL`, gone, { timeoutMs: 10_000, intervalMs: 50 });
  }
}

/** Where and how long to look for a listener. */
export interface ListeningOptions {
  /** IPv4; by default any. */
  address?: string;
  timeoutMs?: number;
}

/** A program of the cluster that can be stopped and started again. */
export class Program {
  readonly name: string;
  readonly logFile: string;
  readonly #spec: ProgramSpec;
  #running: { id: ProcessId; child: Deno.ChildProcess } | undefined;

  constructor(spec: ProgramSpec) {
    this.#spec = spec;
    this.name = spec.name;
    this.logFile = `${spec.runDir}/log/${spec.name}.log`;
  }

  /** Process id of the running program. */
  get pid(): number {
    if (this.#running === undefined) throw new Error(`${this.name} was not started`);
    return this.#running.id.pid;
  }

  /**
   * Starts the program; its output is appended to its log file.
   *
   * @param extraArgs arguments after those of the spec, for this start alone
   */
  start(extraArgs: string[] = []): void {
    if (this.#running !== undefined && isAlive(this.#running.id)) {
      throw new Error(`${this.name} already runs`);
    }
    const { namespace, bind, command, args, env, runDir } = this.#spec;
    const enter = namespace === undefined ? [] : ["nsenter", `--net=/run/netns/${namespace}`];
    if (bind !== undefined) {
      const script = 'mount --bind "$0" "$1" && shift && exec "$@"';
      enter.push("unshare", "--mount", "--propagation=private", "sh", "-c", script, bind.source, bind.target);
    }
    // Everything execs, so the process id stays the same. A session of its own keeps an interrupt typed at the
    // terminal away from the programs: they are stopped in order by us.
    const child = new Deno.Command("setsid", {
      args: ["sh", "-c", 'exec "$@" >>"$0" 2>&1', this.logFile, ...enter, command, ...args, ...extraArgs],
      stdin: "null",
      stdout: "null",
      stderr: "null",
      ...(env === undefined ? {} : { env }),
    }).spawn();
    const startTime = readProcess(child.pid)?.startTime;
    if (startTime === undefined) throw new Error(`${this.name} did not start; see ${this.logFile}`);
    // Programs are stopped by `stop` or by their pid files; they do not keep this process from ending.
    child.unref();
    const id = { pid: child.pid, startTime };
    this.#running = { id, child };
    Deno.writeTextFileSync(`${runDir}/pid/${this.name}`, JSON.stringify(id));
  }

  /** Asks the program to end, waits for it, and kills it when the grace period has passed. */
  async stop(): Promise<void> {
    if (this.#running === undefined) return;
    const { id, child } = this.#running;
    await stopProcess(id, this.name, this.#spec.graceMs ?? 20_000);
    // Nothing else may keep this process until the status is there.
    child.ref();
    await child.status;
    this.#running = undefined;
    await Deno.remove(`${this.#spec.runDir}/pid/${this.name}`).catch(() => {});
  }

  /** Fails with the end of the log if the program has ended by itself. */
  assertRunning(): void {
    if (this.#running === undefined || !isAlive(this.#running.id)) {
      throw new Error(`${this.name} has ended by itself\n${tail(this.logFile, 20)}`);
    }
  }

  /**
   * Whether somebody listens on a TCP port of the program's network namespace (proc_net(5), state 0A is LISTEN).
   *
   * @param address IPv4; by default any
   */
  listens(port: number, address?: string): boolean {
    const hexadecimal = (value: number, digits: number) =>
      value.toString(16).toUpperCase().padStart(digits, "0");
    const host = address?.split(".").reverse().map((part) => hexadecimal(Number(part), 2)).join("") ?? "";
    const wanted = `${host}:${hexadecimal(port, 4)}`;
    const tables = ["tcp", "tcp6"].map((name) => Deno.readTextFileSync(`/proc/${this.pid}/net/${name}`));
    return tables.join("\n").split("\n").some((line) => {
      const [, local, , state] = line.trim().split(/\s+/);
      return local !== undefined && local.endsWith(wanted) && state === "0A";
    });
  }

  /** Waits until the program listens on a port. */
  async listening(port: number, { address, timeoutMs = 60_000 }: ListeningOptions = {}): Promise<void> {
    await until(`${this.name} listens on port ${port}`, () => {
      this.assertRunning();
      return this.listens(port, address) ? done(undefined) : notYet("the port is closed");
    }, { timeoutMs, explain: () => tail(this.logFile, 20) });
  }
}

/** Stops a program that this or an earlier process started, by its pid file. */
export async function stopByPidFile(runDir: string, name: string, graceMs = 20_000): Promise<void> {
  const file = `${runDir}/pid/${name}`;
  let text: string;
  try {
    text = await Deno.readTextFile(file);
  } catch {
    return;
  }
  const id: ProcessId = JSON.parse(text);
  await stopProcess(id, name, graceMs);
  await Deno.remove(file);
}

/** A TCP port of this machine's loopback address that nobody listens on. */
export function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  return port;
}

/** The last lines of a log file, under a heading with its name. */
export function tail(file: string, lines: number): string {
  let text: string;
  try {
    text = Deno.readTextFileSync(file);
  } catch {
    text = "(no log file)";
  }
  return `--- ${file}, last ${lines} lines\n${text.trimEnd().split("\n").slice(-lines).join("\n")}`;
}

/** What a command left behind. */
export interface CommandResult {
  code: number;
  stdout: string;
  stderr: string;
}

/** How a command is run. */
export interface CommandOptions {
  stdin?: string;
  env?: Record<string, string>;
  /** Milliseconds after which the command is killed, by default 60,000. */
  timeoutMs?: number;
}

/** Runs a command to its end, whatever its exit code. */
export async function attempt(
  command: string,
  args: string[],
  { stdin, env, timeoutMs = 60_000 }: CommandOptions = {},
): Promise<CommandResult> {
  const child = new Deno.Command(command, {
    args,
    stdin: stdin === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
    ...(env === undefined ? {} : { env }),
  }).spawn();
  const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
  try {
    const input = stdin === undefined ? Promise.resolve() : writeAll(child.stdin, stdin);
    const [output] = await Promise.all([child.output(), input]);
    const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return { code: output.code, stdout: decode(output.stdout), stderr: decode(output.stderr) };
  } finally {
    clearTimeout(timer);
  }
}

async function writeAll(stream: WritableStream<Uint8Array>, text: string): Promise<void> {
  const writer = stream.getWriter();
  try {
    await writer.write(new TextEncoder().encode(text));
    await writer.close();
  } catch {
    // A command that does not read its input to the end says why on its standard error.
  }
}

/** Runs a command to its end and returns its standard output; another exit code than 0 is an error. */
export async function run(command: string, args: string[], options: CommandOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await attempt(command, args, options);
  if (code !== 0) {
    throw new Error(`${[command, ...args].join(" ")} ended with ${code}\n${stderr}${stdout}`.trimEnd());
  }
  return stdout;
}
