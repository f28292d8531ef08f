/**
 * What containerd knows: the ground truth of whether a container was ever made on the node.
 *
 * @module
 */
import { listAt, parseJson, parseObject, textAt } from "./json.ts";
import { attempt, run } from "./programs.ts";

/** One container that containerd made for the kubelet. The sandbox of a pod is one as well. */
export interface ContainerRecord {
  id: string;
  image: string;
  /** UID, namespace and name of its pod, and its name there; undefined if it had gone before it could be asked. */
  podUid: string | undefined;
  podName: string | undefined;
  containerName: string | undefined;
  /** Whether it is the pod's sandbox. */
  sandbox: boolean;
  /** When its main process ended, by containerd's clock; undefined while it runs. */
  exitedAt: Date | undefined;
}

/** `ctr` on one containerd, in the namespace that the kubelet's containers are in. */
export class Containerd {
  readonly #socket: string;

  constructor(socket: string) {
    this.#socket = socket;
  }

  /** Arguments of ctr that lead here. */
  args(...args: string[]): string[] {
    return ["--address", this.#socket, "--namespace", "k8s.io", ...args];
  }

  /** Runs ctr and returns what it prints. */
  ctr(...args: string[]): Promise<string> {
    return run("ctr", this.args(...args));
  }

  /** Ids of all containers that exist now. */
  async containerIds(): Promise<string[]> {
    return (await this.ctr("containers", "list", "--quiet")).split("\n").filter((line) => line !== "");
  }

  /** Ids of the containers of a pod that exist now, the sandbox among them. */
  async containerIdsOfPod(uid: string): Promise<string[]> {
    const output = await this.ctr("containers", "list", "--quiet", `labels."io.kubernetes.pod.uid"==${uid}`);
    return output.split("\n").filter((line) => line !== "");
  }

  /** Container ids with a process that runs now, and its process id. */
  async runningTasks(): Promise<Map<string, number>> {
    const lines = (await this.ctr("tasks", "list")).split("\n").slice(1);
    const tasks = new Map<string, number>();
    for (const line of lines) {
      const [id, pid, status] = line.trim().split(/\s+/);
      if (id !== undefined && pid !== undefined && status === "RUNNING") tasks.set(id, Number(pid));
    }
    return tasks;
  }

  /** Files of the network namespaces that CNI made for the sandboxes. */
  async networkNamespaces(): Promise<string[]> {
    const files = new Set<string>();
    for (const id of await this.containerIds()) {
      const { code, stdout } = await attempt("ctr", this.args("containers", "info", id));
      if (code !== 0) continue;
      for (const namespace of listAt(parseJson(stdout), "Spec", "linux", "namespaces")) {
        const path = textAt(namespace, "path");
        if (textAt(namespace, "type") === "network" && path?.startsWith("/var/run/netns/cni-")) {
          files.add(path);
        }
      }
    }
    return [...files];
  }

  /** Ends all containers at once and removes them, so that no shim outlives containerd. */
  async removeAll(): Promise<void> {
    for (const id of await this.containerIds()) {
      await attempt("ctr", this.args("tasks", "delete", "--force", id));
      await attempt("ctr", this.args("containers", "delete", id));
    }
  }
}

/**
 * Writes down every container that containerd makes, from its events: a container that is made and removed
 * between two looks is seen as well.
 */
export class ContainerRecorder {
  readonly records = new Map<string, ContainerRecord>();
  readonly #containerd: Containerd;
  readonly #child: Deno.ChildProcess;
  readonly #ended: Promise<void>;
  #pending: Promise<unknown>[] = [];
  #closed = false;

  constructor(containerd: Containerd) {
    this.#containerd = containerd;
    this.#child = new Deno.Command("ctr", {
      args: containerd.args("events"),
      stdin: "null",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    this.#ended = this.#read();
  }

  async #read(): Promise<void> {
    let rest = "";
    for await (const chunk of this.#child.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) this.#note(line);
    }
    if (!this.#closed) throw new Error("ctr events ended although containerd should run");
  }

  /** One line: the time, the namespace, the topic, the event as JSON. */
  #note(line: string): void {
    const match = /^(\S+ \S+) \S+ UTC k8s\.io (\/\S+) (\{.*\})$/.exec(line);
    const [, time, topic, json] = match ?? [];
    if (time === undefined || topic === undefined || json === undefined) return;
    const event = parseObject(json);
    if (topic === "/containers/create") {
      const id = textAt(event, "id") ?? "";
      this.records.set(id, {
        id,
        image: textAt(event, "image") ?? "",
        podUid: undefined,
        podName: undefined,
        containerName: undefined,
        sandbox: false,
        exitedAt: undefined,
      });
      this.#pending.push(this.#identify(id));
    }
    if (topic === "/tasks/exit") {
      const record = this.records.get(textAt(event, "container_id") ?? "");
      // Processes that exec started exit as well, under an id of their own.
      if (record !== undefined && textAt(event, "id") === record.id) {
        record.exitedAt = new Date(`${time.replace(" ", "T").replace(/(\.\d{3})\d*$/, "$1")}Z`);
      }
    }
  }

  /** Asks for the labels that the kubelet gave to a container. */
  async #identify(id: string): Promise<void> {
    const { code, stdout } = await attempt("ctr", this.#containerd.args("containers", "info", id));
    const record = this.records.get(id);
    if (code !== 0 || record === undefined) return;
    const info = parseObject(stdout);
    record.podUid = textAt(info, "Labels", "io.kubernetes.pod.uid");
    record.podName = textAt(info, "Labels", "io.kubernetes.pod.name");
    record.containerName = textAt(info, "Labels", "io.kubernetes.container.name");
    record.sandbox = textAt(info, "Labels", "io.cri-containerd.kind") === "sandbox";
  }

  /** All containers ever made, once each has been asked for its labels. */
  async all(): Promise<ContainerRecord[]> {
    while (this.#pending.length > 0) await Promise.all(this.#pending.splice(0));
    return [...this.records.values()];
  }

  /** All containers ever made for a pod, its sandboxes among them. */
  async ofPod(uid: string): Promise<ContainerRecord[]> {
    return (await this.all()).filter((record) => record.podUid === uid);
  }

  /** Ends the recording. */
  async close(): Promise<void> {
    this.#closed = true;
    try {
      this.#child.kill("SIGTERM");
    } catch {
      // It ended with containerd.
    }
    await this.#child.status;
    await this.#ended.catch(() => {});
  }
}
