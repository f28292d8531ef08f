/** Programs that the bench runs, and what Linux tells of them. */
const WAIT_MS = 20_000;
const POLL_MS = 5;
const STANDS_MS = 30;

/** How to run a program. */
export interface Running {
  cwd?: string;
  env?: Record<string, string>;
}

/** Runs a program to its end, and returns what it printed. */
export async function run(command: string, args: readonly string[], running: Running = {}): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, {
    args: [...args],
    ...running,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  const text = new TextDecoder().decode(stdout);
  if (!success) {
    throw new Error(`${command} ${args.join(" ")} failed: ${new TextDecoder().decode(stderr)}${text}`);
  }
  return text;
}

/** Whether a program is installed. */
export async function isInstalled(command: string): Promise<boolean> {
  return (await new Deno.Command("sh", { args: ["-c", 'command -v "$0"', command], stdout: "null" }).output())
    .success;
}

/** A program that runs until it is stopped. */
export interface Server {
  pid: number;
  stop(): Promise<void>;
}

const children = new Set<Deno.ChildProcess>();

/** Starts a program, and waits until it accepts connections on a loopback port. What it logs goes to a file. */
export async function startServer(
  command: string,
  args: readonly string[],
  port: number,
  log: string,
  running: Running = {},
): Promise<Server> {
  // Through a shell for the log's sake; exec makes the program the process that is measured.
  const child = new Deno.Command("sh", {
    args: ["-c", 'exec "$@" >>"$0" 2>&1', log, command, ...args],
    ...running,
    stdin: "null",
    stdout: "null",
    stderr: "inherit",
  }).spawn();
  children.add(child);
  let ended = false;
  const ending = child.status.then(() => {
    ended = true;
    children.delete(child);
  });
  const deadline = Date.now() + WAIT_MS;
  while (!await accepts(port)) {
    if (ended || Date.now() > deadline) {
      throw new Error(
        `${command} ${
          ended ? "ended at its start" : `does not listen on port ${port} after ${WAIT_MS} ms`
        }: ${(await Deno.readTextFile(log)).slice(-2000)}`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  return {
    pid: child.pid,
    async stop() {
      if (!ended) child.kill("SIGTERM");
      await ending;
    },
  };
}

/** Ends what still runs. */
export async function stopAll(): Promise<void> {
  for (const child of [...children]) {
    child.kill("SIGKILL");
    await child.status;
  }
}

/** A loopback port that is free at the moment. */
export function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  return port;
}

/**
 * Whether somebody listens, and goes on to: kubelet-proxy opens its addresses once before it begins, to say early that one is in
 * use, and the system resets what was connected to that. Our own end may have the same port, too, where nobody listens.
 */
async function accepts(port: number): Promise<boolean> {
  try {
    using connection = await Deno.connect({ hostname: "127.0.0.1", port });
    if (connection.localAddr.port === port) return false;
    const silence = new Promise<"silence">((resolve) => setTimeout(resolve, STANDS_MS, "silence"));
    return await Promise.race([connection.read(new Uint8Array(1)), silence]) === "silence";
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionRefused || error instanceof Deno.errors.ConnectionReset) {
      return false;
    }
    throw error;
  }
}

/** Resident memory of a process and the highest that it has been, in MB of 10^6 bytes. */
export async function memoryOf(pid: number): Promise<{ residentMb: number; peakMb: number }> {
  // Deno itself reads below /proc with all permissions only.
  const status = await run("cat", [`/proc/${pid}/status`]);
  const read = (name: string) => {
    const kibibytes = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1];
    if (kibibytes === undefined) throw new Error(`/proc/${pid}/status has no ${name}`);
    return Number(kibibytes) * 1024 / 1e6;
  };
  return { residentMb: read("VmRSS"), peakMb: read("VmHWM") };
}

/** Linux counts processor time in hundredths of a second, on all of its architectures (time(7)). */
const MS_PER_TICK = 10;

/** Processor time of a process and of the children that it has waited for (proc_pid_stat(5)), in milliseconds. */
export async function processorMs(pid: number): Promise<number> {
  const stat = await run("cat", [`/proc/${pid}/stat`]);
  // Behind the name, which may have spaces, come the fields from the third on; 14 to 17 are times.
  const times = stat.slice(stat.lastIndexOf(")") + 2).split(" ").slice(11, 15);
  return times.reduce((sum, ticks) => sum + Number(ticks), 0) * MS_PER_TICK;
}
