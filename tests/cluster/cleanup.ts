/**
 * Removes everything that a cluster left on the machine. It reads the run folder alone, so it also cleans up
 * after a test process that was killed: `deno run tests/cluster/cleanup.ts RUN_FOLDER [KEEP_LOGS_IN]`.
 *
 * @module
 */
import { Containerd } from "./containers.ts";
import { processesInControlGroup, removeControlGroup } from "./control_groups.ts";
import { attempt, Program, stopByPidFile } from "./programs.ts";
import { done, notYet, until } from "./wait.ts";

/** Kernel settings that a kubelet changes for the whole machine. */
export const KUBELET_SYSCTLS = ["vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops"] as const;

/** Where the CNI library keeps what its plugins answered, in files named NETWORK-SANDBOX-INTERFACE. */
const CNI_RESULTS = "/var/lib/cni/results";

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

async function readOr(file: string, otherwise: string): Promise<string> {
  return await Deno.readTextFile(file).catch(() => otherwise);
}

/** Names of the folders in a run folder in which a control plane without a node has its programs. */
function controlPlanes(runDir: string): string[] {
  return [...(exists(runDir) ? Deno.readDirSync(runDir) : [])].map(({ name }) => name)
    .filter((name) => exists(`${runDir}/${name}/pid`) && exists(`${runDir}/${name}/log`));
}

/** Names of the folders in a run folder in which another node has its programs and containers. */
function furtherNodes(runDir: string): string[] {
  return controlPlanes(runDir).filter((name) => exists(`${runDir}/${name}/containerd.toml`));
}

/** Stops what was started with pid files in a folder, etcd last. */
async function stopPrograms(folder: string): Promise<void> {
  const names = [...(exists(`${folder}/pid`) ? Deno.readDirSync(`${folder}/pid`) : [])].map(({ name }) =>
    name
  );
  const others = names.filter((name) => name !== "etcd");
  const stopped = await Promise.allSettled(others.map((name) => stopByPidFile(folder, name, 10_000)));
  await stopByPidFile(folder, "etcd", 5_000);
  const problems = stopped.flatMap((outcome) => outcome.status === "rejected" ? [outcome.reason] : []);
  if (problems.length > 0) throw new AggregateError(problems, `Programs of ${folder} could not be stopped`);
}

async function copyFiles(from: string, to: string, prefix: string): Promise<void> {
  for (const { name } of Deno.readDirSync(from)) {
    await Deno.copyFile(`${from}/${name}`, `${to}/${prefix}${name}`);
  }
}

/** Mount points below a folder, the innermost first (proc_pid_mountinfo(5), field 5 with octal escapes). */
async function mountsBelow(folder: string): Promise<string[]> {
  const lines = (await Deno.readTextFile("/proc/self/mountinfo")).trim().split("\n");
  const points = lines.map((line) =>
    (line.split(" ")[4] ?? "").replace(
      /\\([0-7]{3})/g,
      (_, octal: string) => String.fromCharCode(parseInt(octal, 8)),
    )
  );
  return points.filter((point) => point.startsWith(`${folder}/`)).reverse();
}

/** Stops the containers through containerd, which is started once more if it has gone before them. */
async function stopContainers(runDir: string): Promise<void> {
  const socket = `${runDir}/containerd.sock`;
  const containerd = new Containerd(socket);
  if (!exists(`${runDir}/containerd.toml`)) return;
  let alive = (await attempt("ctr", containerd.args("version"), { timeoutMs: 5_000 })).code === 0;
  if (!alive) {
    if (!exists(`${runDir}/containerd/state/io.containerd.runtime.v2.task/k8s.io`)) return;
    await stopByPidFile(runDir, "containerd");
    new Program({
      name: "containerd",
      command: "containerd",
      args: ["--config", `${runDir}/containerd.toml`],
      runDir,
    }).start();
    await until("containerd answers again", async () => {
      const { code, stderr } = await attempt("ctr", containerd.args("version"), { timeoutMs: 5_000 });
      return code === 0 ? done(undefined) : notYet(stderr);
    }, { timeoutMs: 30_000 });
    alive = true;
  }
  // What the kubelet had asked for when it was stopped may still be in the making.
  let emptyLooks = 0;
  await until("no container is left", async () => {
    const ids = await containerd.containerIds();
    emptyLooks = ids.length === 0 ? emptyLooks + 1 : 0;
    if (emptyLooks === 3) return done(undefined);
    const networkNamespaces = await containerd.networkNamespaces();
    await containerd.removeAll();
    for (const file of networkNamespaces) {
      await attempt("umount", [file]);
      await Deno.remove(file).catch(() => {});
    }
    for (const { name } of exists(CNI_RESULTS) ? [...Deno.readDirSync(CNI_RESULTS)] : []) {
      if (ids.some((id) => name.includes(`-${id}-`))) await Deno.remove(`${CNI_RESULTS}/${name}`);
    }
    return notYet(ids.join(", "));
  }, { timeoutMs: 30_000 });
}

/** Ends a process at once; one that has gone meanwhile is no error. */
function kill(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Shims of a containerd, which outlive it: the processes that were given its socket, in this run's folder. */
function shimsOf(socket: string): number[] {
  const pids = [...Deno.readDirSync("/proc")].map((entry) => Number(entry.name)).filter(Number.isInteger);
  return pids.filter((pid) => {
    try {
      const args = Deno.readTextFileSync(`/proc/${pid}/cmdline`).split("\0");
      return args.includes("-address") && args[args.indexOf("-address") + 1] === socket;
    } catch {
      return false;
    }
  });
}

/**
 * Stops what runs, unmounts what is mounted and removes the network namespace, control groups and files. Each
 * step is tried even if an earlier one failed.
 *
 * @param runDir the run folder
 * @param keepLogsIn where to put the log files; by default they are removed with the rest
 * @throws {AggregateError} with all that could not be cleaned up
 */
export async function cleanUp(runDir: string, keepLogsIn?: string): Promise<void> {
  const problems: unknown[] = [];
  const step = async (action: () => void | Promise<void>) => {
    try {
      await action();
    } catch (error) {
      problems.push(error);
    }
  };
  // Another node has its own folder in this one.
  for (const name of furtherNodes(runDir)) {
    const kept = keepLogsIn === undefined ? [] : [`${keepLogsIn}/${name}`];
    await step(() => cleanUp(`${runDir}/${name}`, ...kept));
  }
  // The kubelet first, or it would start again what is stopped here.
  await step(() => stopByPidFile(runDir, "kubelet", 5_000));
  await step(() => stopContainers(runDir));
  await step(() => stopPrograms(runDir));
  for (const folder of controlPlanes(runDir)) await step(() => stopPrograms(`${runDir}/${folder}`));
  // By now nothing of the pods should be left. If containerd could not stop something, it ends here.
  const namespace = await readOr(`${runDir}/namespace`, "");
  await step(async () => {
    shimsOf(`${runDir}/containerd.sock`).forEach(kill);
    if (namespace === "") return;
    await until("the pods' processes have ended", () => {
      const pids = processesInControlGroup(namespace);
      pids.forEach(kill);
      return pids.size === 0 ? done(undefined) : notYet([...pids].join(", "));
    }, { timeoutMs: 10_000 });
    removeControlGroup(namespace);
  });
  await step(async () => {
    for (const point of await mountsBelow(runDir)) await attempt("umount", ["--lazy", point]);
  });
  if (namespace !== "" && exists(`/run/netns/${namespace}`)) {
    await step(async () => void await attempt("ip", ["netns", "delete", namespace]));
  }
  const sysctls: Record<string, string> = JSON.parse(await readOr(`${runDir}/sysctls.json`, "{}"));
  for (const [name, value] of Object.entries(sysctls)) {
    await step(() => Deno.writeTextFile(`/proc/sys/${name}`, value));
  }
  if (keepLogsIn !== undefined) {
    await step(async () => {
      await Deno.mkdir(keepLogsIn, { recursive: true });
      if (exists(`${runDir}/log`)) await copyFiles(`${runDir}/log`, keepLogsIn, "");
      for (const folder of controlPlanes(runDir)) {
        await copyFiles(`${runDir}/${folder}/log`, keepLogsIn, `${folder}-`);
      }
    });
  }
  if ((await mountsBelow(runDir)).length === 0) {
    await step(() => Deno.remove(runDir, { recursive: true }));
  } else {
    problems.push(new Error(`${runDir} still has mounts in it`));
  }
  if (problems.length > 0) throw new AggregateError(problems, `Could not clean up all of ${runDir}`);
}

if (import.meta.main) {
  const [runDir, keepLogsIn] = Deno.args;
  if (runDir === undefined) {
    console.error("Usage: cleanup.ts RUN_FOLDER [KEEP_LOGS_IN]");
    Deno.exit(2);
  }
  if (exists(runDir)) await cleanUp(runDir, keepLogsIn);
}
