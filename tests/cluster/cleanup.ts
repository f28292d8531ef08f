/**
 * Removes everything that a cluster left on the machine. It reads the run folder alone, so it also cleans up
 * after a test process that was killed: `deno run tests/cluster/cleanup.ts RUN_FOLDER [KEEP_LOGS_IN]`.
 *
 * @module
 */
import { Containerd } from "./containers.ts";
import { attempt, Program, stopByPidFile } from "./programs.ts";
import { done, notYet, until } from "./wait.ts";

/** Kernel settings that a kubelet changes for the whole machine. */
export const KUBELET_SYSCTLS = ["vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops"] as const;

/** Where the kernel shows its control groups. */
const CGROUP_ROOT = "/sys/fs/cgroup";

/** Folders of control groups that a kubelet makes for its pods, in every hierarchy. */
export function podControlGroups(): string[] {
  const hierarchies = [
    CGROUP_ROOT,
    ...[...Deno.readDirSync(CGROUP_ROOT)].filter((entry) => entry.isDirectory).map((entry) =>
      `${CGROUP_ROOT}/${entry.name}`
    ),
  ];
  return hierarchies.map((folder) => `${folder}/kubepods`).filter(exists);
}

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

/** Removes a tree of control groups, the leaves first. Groups with processes in them stay. */
function removeControlGroup(folder: string): void {
  for (const entry of Deno.readDirSync(folder)) {
    if (entry.isDirectory) removeControlGroup(`${folder}/${entry.name}`);
  }
  try {
    Deno.removeSync(folder);
  } catch {
    // Not empty: some other kubelet's.
  }
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
  const networkNamespaces = await containerd.networkNamespaces();
  await containerd.removeAll();
  for (const file of networkNamespaces) {
    await attempt("umount", [file]);
    await Deno.remove(file).catch(() => {});
  }
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
  // The kubelet first, or it would start again what is stopped here.
  await step(() => stopByPidFile(runDir, "kubelet", 5_000));
  await step(() => stopContainers(runDir));
  const others = [...(exists(`${runDir}/pid`) ? Deno.readDirSync(`${runDir}/pid`) : [])].map((entry) =>
    entry.name
  );
  await Promise.all(
    others.filter((name) => name !== "etcd").map((name) => step(() => stopByPidFile(runDir, name, 10_000))),
  );
  await step(() => stopByPidFile(runDir, "etcd", 5_000));
  await step(async () => {
    for (const point of await mountsBelow(runDir)) await attempt("umount", ["--lazy", point]);
  });
  const namespace = await readOr(`${runDir}/namespace`, "");
  if (namespace !== "" && exists(`/run/netns/${namespace}`)) {
    await step(async () => void await attempt("ip", ["netns", "delete", namespace]));
  }
  if (exists(`${runDir}/own-control-groups`)) {
    await step(() => podControlGroups().forEach(removeControlGroup));
  }
  const sysctls: Record<string, string> = JSON.parse(await readOr(`${runDir}/sysctls.json`, "{}"));
  for (const [name, value] of Object.entries(sysctls)) {
    await step(() => Deno.writeTextFile(`/proc/sys/${name}`, value));
  }
  if (keepLogsIn !== undefined && exists(`${runDir}/log`)) {
    await step(async () => {
      await Deno.mkdir(keepLogsIn, { recursive: true });
      for (const entry of Deno.readDirSync(`${runDir}/log`)) {
        await Deno.copyFile(`${runDir}/log/${entry.name}`, `${keepLogsIn}/${entry.name}`);
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
