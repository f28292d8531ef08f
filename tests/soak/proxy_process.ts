/**
 * The real program as a process, with the permissions that its launcher gives it. A module beside it tells of its heap, so
 * that the program itself needs nothing for it.
 */
import type { TestPki } from "../../proxy/fixture_test.ts";
import { proxyPermissions } from "../../proxy/permissions.ts";
import { until } from "../../proxy/fixture_test.ts";
import { NODE_NAME } from "../fakes/owner.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

/** The files of a node: credentials, keys, and the folder that outlives the process. */
export interface NodeFiles {
  folder: string;
  pki: TestPki;
  /** Where the API server is reached. */
  apiPort: number;
  /** PEM of the owner's public key. */
  ownerKey: string;
  /** The node's bearer token. */
  token: string;
}

/** The flags that name what {@linkcode writeNodeFiles} has written, with an address on loopback. */
export function nodeFlags(folder: string, port: number): string[] {
  return [
    `--kubeconfig=${folder}/kubeconfig`,
    `--signature-verification-cert=${folder}/owner.pem`,
    `--tls-cert=${folder}/server.pem`,
    `--tls-key=${folder}/server.key`,
    `--client-ca=${folder}/ca.pem`,
    `--node-name=${NODE_NAME}`,
    `--listen-addr=127.0.0.1:${port}`,
    `--runtime-dir=${folder}/run`,
  ];
}

/** Writes the files. */
export async function writeNodeFiles({ folder, pki, apiPort, ownerKey, token }: NodeFiles): Promise<void> {
  const write = (name: string, text: string) => Deno.writeTextFile(`${folder}/${name}`, text);
  await write(
    "kubeconfig",
    JSON.stringify({
      "current-context": "x",
      contexts: [{ name: "x", context: { cluster: "x", user: "x" } }],
      clusters: [{
        name: "x",
        cluster: { server: `https://127.0.0.1:${apiPort}`, "certificate-authority": "ca.pem" },
      }],
      users: [{ name: "x", user: { token } }],
    }),
  );
  await write("ca.pem", pki.authority.certificate);
  await write("server.pem", pki.server.certificate);
  await write("server.key", pki.server.key);
  await write("owner.pem", ownerKey);
}

/** How long the program may take until it listens, in milliseconds. */
const START_TIMEOUT_MS = 60_000;

export class ProxyProcess {
  /** Every line of its log. */
  readonly lines: string[] = [];
  readonly #child: Deno.ChildProcess;
  readonly #reading: Promise<void>;
  #ended = false;

  readonly #folder: string;

  private constructor(child: Deno.ChildProcess, folder: string) {
    this.#child = child;
    this.#folder = folder;
    child.status.then(() => this.#ended = true);
    this.#reading = (async () => {
      let rest = "";
      for await (const chunk of child.stderr.pipeThrough(new TextDecoderStream())) {
        const lines = (rest + chunk).split("\n");
        rest = lines.pop() ?? "";
        this.lines.push(...lines);
      }
    })();
  }

  /** Starts it, and waits until it listens. */
  static async start(folder: string, port = 0, more: readonly string[] = []): Promise<ProxyProcess> {
    const args = [
      ...nodeFlags(folder, port),
      "--log-format=json",
      "--log-requests=false",
      // Watches of what no rule knows are relayed.
      "--allow-path=GET:/apis/example.com/v1/things",
      ...more,
    ];
    const permissions = await proxyPermissions(args, (path) => Deno.readTextFile(path));
    const started = new ProxyProcess(
      new Deno.Command(Deno.execPath(), {
        args: [
          "run",
          "--no-prompt",
          "--ignore-env",
          "--v8-flags=--expose-gc",
          `--preload=${ROOT}tests/soak/heap_signal.ts`,
          `--config=${ROOT}deno.json`,
          ...permissions,
          `${ROOT}proxy/main.ts`,
          ...args,
        ],
        stdin: "null",
        stdout: "null",
        stderr: "piped",
      }).spawn(),
      folder,
    );
    // Starting a process takes long where many do.
    await until(() => started.#ended || started.line("listening") !== undefined, START_TIMEOUT_MS);
    if (started.#ended) {
      throw new Error(`kubelet-proxy did not start:\n${started.lines.join("\n")}`);
    }
    return started;
  }

  /** The first line of an event. */
  line(event: string): Record<string, unknown> | undefined {
    for (const line of this.lines) {
      if (line.includes(`"event":"${event}"`)) {
        return Object.fromEntries(Object.entries(JSON.parse(line)));
      }
    }
    return undefined;
  }

  /** Where it listens. */
  get url(): string {
    return String(this.line("listening")?.["address"]);
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }

  get ended(): boolean {
    return this.#ended;
  }

  async stop(signal: "SIGTERM" | "SIGKILL"): Promise<number> {
    if (!this.#ended) {
      this.#child.kill(signal);
    }
    const { code } = await this.#child.status;
    await this.#reading;
    return code;
  }

  /** Open file descriptors, sockets among them. */
  async openFiles(): Promise<number> {
    // Deno itself reads below /proc with all permissions only.
    const { stdout } = await new Deno.Command("ls", { args: [`/proc/${this.#child.pid}/fd`] }).output();
    const count = new TextDecoder().decode(stdout).split("\n").length - 1;
    if (count <= 0) {
      throw new Error("the files of the process cannot be listed");
    }
    return count;
  }

  /** Bytes of the heap that are in use after a collection. */
  async heapBytes(): Promise<number> {
    const path = `${this.#folder}/run/heap`;
    await Deno.remove(path).catch(() => {});
    this.#child.kill("SIGUSR2");
    let text = "";
    await until(() => {
      try {
        text = Deno.readTextFileSync(path);
      } catch {
        // Not written yet.
      }
      return text !== "";
    });
    return Number(text);
  }
}
