/**
 * A control group of the cluster's own. A kubelet ends every process in pod groups that it does not know, so two
 * of them must not share the default one: a node's kubelet, or another run of these tests, would lose its pods.
 *
 * @module
 */

/** Where the kernel shows its control groups. */
const ROOT = "/sys/fs/cgroup";

/** The controllers that a kubelet asks for. */
const CONTROLLERS = ["cpu", "cpuset", "hugetlb", "io", "memory", "pids"] as const;

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

/** Folders below which groups are made: one in version 2, one for each controller in version 1. */
function hierarchies(): string[] {
  if (exists(`${ROOT}/cgroup.controllers`)) return [ROOT];
  return [...Deno.readDirSync(ROOT)].filter((entry) => entry.isDirectory).map((entry) =>
    `${ROOT}/${entry.name}`
  );
}

/** Makes a group for the kubelet to make its pods' groups in. */
export async function createControlGroup(name: string): Promise<void> {
  for (const folder of hierarchies()) {
    if (exists(`${folder}/cgroup.subtree_control`)) {
      for (const controller of CONTROLLERS) {
        // One that the kernel lacks is refused here; the kubelet says so if it needs it.
        await Deno.writeTextFile(`${folder}/cgroup.subtree_control`, `+${controller}`).catch(() => {});
      }
    }
    await Deno.mkdir(`${folder}/${name}`, { recursive: true });
    // In version 1, a group without processors and memory nodes takes no process.
    for (const file of ["cpuset.cpus", "cpuset.mems"]) {
      if (folder !== ROOT && exists(`${folder}/${name}/${file}`)) {
        await Deno.writeTextFile(`${folder}/${name}/${file}`, await Deno.readTextFile(`${folder}/${file}`));
      }
    }
  }
}

function groupsBelow(folder: string): string[] {
  const children = [...Deno.readDirSync(folder)].filter((entry) => entry.isDirectory);
  return [...children.flatMap((entry) => groupsBelow(`${folder}/${entry.name}`)), folder];
}

/** Process ids in a group and in all below it. */
export function processesInControlGroup(name: string): Set<number> {
  const pids = new Set<number>();
  for (const folder of hierarchies().map((hierarchy) => `${hierarchy}/${name}`).filter(exists)) {
    for (const group of groupsBelow(folder)) {
      for (const pid of Deno.readTextFileSync(`${group}/cgroup.procs`).split("\n")) {
        if (pid !== "") pids.add(Number(pid));
      }
    }
  }
  return pids;
}

/** Removes a group and all below it. All processes in it must have ended. */
export function removeControlGroup(name: string): void {
  for (const folder of hierarchies().map((hierarchy) => `${hierarchy}/${name}`).filter(exists)) {
    for (const group of groupsBelow(folder)) Deno.removeSync(group);
  }
}
