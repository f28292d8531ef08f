/**
 * Kubelets as far as pods go: with Kubernetes' own client code (go/main.go), or, where there is no Go, this project's
 * stand-in. What counts is what they hold after every change.
 *
 * @module
 */
import { isJsonObject, type JsonObject, type JsonValue } from "@signed-pods/shared/json";
import { parseStrictJson } from "@signed-pods/shared/strict-json";
import { FakeKubelet } from "../fakes/kubelet.ts";
import { NODE_NAME } from "../fakes/owner.ts";

/** Kubelets from 1.35 on begin with a watch, older ones with a list. */
export type Start = "list" | "watch-list";

export interface KubeletOptions {
  /** URL of what it takes for its API server. */
  server: string;
  start: Start;
  /** The kubelet's default; otherwise it asks for JSON. */
  protobuf: boolean;
  /** Called with all pods that it holds, after each change. */
  onStore: (pods: JsonObject[]) => void;
}

/** What came of a request for one pod. */
export type Asked = { ok: true; pod: JsonObject } | { ok: false; message: string };

/** A request for one pod, as the status manager and the mirror client make them. */
export interface Request {
  do: "get" | "patch" | "delete" | "create";
  namespace: string;
  name?: string;
  body?: JsonObject;
}

/** Objects other than pods that a kubelet has an informer of. */
export interface Followed {
  resource: "services" | "configmaps" | "secrets";
  namespace?: string;
  name?: string;
}

export interface Kubelet {
  ask(request: Request): Promise<Asked>;
  /**
   * Begins to list and watch objects other than pods.
   *
   * @param onStore called with all that it holds of them, after each change
   */
  follow(followed: Followed, onStore: (objects: JsonObject[]) => void): void;
  stop(): Promise<void>;
}

/** Files and PEM texts by which kubelets and proxy know each other. */
export interface KubeletIdentity {
  ca: string;
  certificate: string;
  key: string;
}

export interface Kubelets {
  readonly kind: "client-go" | "typescript";
  start(options: KubeletOptions): Kubelet;
  /** Pods as these kubelets print them. */
  normalize(pods: readonly JsonObject[]): Promise<JsonObject[]>;
  close(): Promise<void>;
}

const SOURCE = new URL("go/", import.meta.url).pathname;
const PROGRAM = new URL("../../build/hostile/kubelet", import.meta.url).pathname;

/** The Go version that go/go.mod asks for. */
const GO_MINIMUM = [1, 26] as const;

/** Whether there is a Go that can build the kubelets; its version, or why not. */
export async function findGo(): Promise<{ ok: true; version: string } | { ok: false; why: string }> {
  try {
    const { success, stdout } = await new Deno.Command("go", { args: ["env", "GOVERSION"] }).output();
    const version = new TextDecoder().decode(stdout).trim();
    const [, major = 0, minor = 0] = (/^go(\d+)\.(\d+)/.exec(version) ?? []).map(Number);
    const fits = major > GO_MINIMUM[0] || (major === GO_MINIMUM[0] && minor >= GO_MINIMUM[1]);
    return success && fits ? { ok: true, version } : { ok: false, why: `it is ${version || "not usable"}` };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      return { ok: false, why: "there is none" };
    }
    throw error;
  }
}

/** Builds the program. Go's cache makes the second time quick. */
export async function buildGoKubelets(): Promise<void> {
  const { success, stderr } = await new Deno.Command("go", {
    args: ["build", "-trimpath", "-o", PROGRAM, "."],
    cwd: SOURCE,
    env: { GOWORK: "off", GOFLAGS: "-mod=readonly" },
  }).output();
  if (!success) {
    throw new Error(`the kubelets could not be built: ${new TextDecoder().decode(stderr)}`);
  }
}

/** Kubelets of client-go: one process for each way to start, since its environment decides that. */
export async function startGoKubelets(identity: KubeletIdentity): Promise<Kubelets> {
  const folder = await Deno.makeTempDir();
  const files = { ca: `${folder}/ca.pem`, cert: `${folder}/cert.pem`, key: `${folder}/key.pem` };
  await Deno.writeTextFile(files.ca, identity.ca);
  await Deno.writeTextFile(files.cert, identity.certificate);
  await Deno.writeTextFile(files.key, identity.key);
  const flags = Object.entries(files).map(([name, path]) => `--${name}=${path}`);
  const processes: Record<Start, GoProcess> = {
    "list": new GoProcess(flags, false),
    "watch-list": new GoProcess(flags, true),
  };
  let last = 0;
  return {
    kind: "client-go",
    start: ({ server, start, protobuf, onStore }) =>
      processes[start].start(`kubelet-${++last}`, server, protobuf, onStore),
    normalize: (pods) => processes.list.normalize(pods),
    async close() {
      await Promise.all([processes.list.close(), processes["watch-list"].close()]);
      await Deno.remove(folder, { recursive: true });
    },
  };
}

class GoProcess {
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #stores = new Map<string, (pods: JsonObject[]) => void>();
  readonly #stopped = new Map<string, () => void>();
  readonly #answers = new Map<string, (answer: JsonObject) => void>();
  readonly #followers = new Map<string, (objects: JsonObject[]) => void>();
  readonly #reading: Promise<void>;
  #asked = 0;
  #closing = false;
  #failure: Error | undefined;

  constructor(flags: readonly string[], watchList: boolean) {
    this.#child = new Deno.Command(PROGRAM, {
      args: [`--node=${NODE_NAME}`, ...flags],
      env: { KUBE_FEATURE_WatchListClient: String(watchList) },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#writer = this.#child.stdin.getWriter();
    this.#reading = this.#read();
  }

  start(id: string, server: string, protobuf: boolean, onStore: (pods: JsonObject[]) => void): Kubelet {
    this.#stores.set(id, onStore);
    this.#send({ id, do: "start", server, protobuf });
    return {
      ask: async ({ body, ...request }) => {
        const answer = await this.#ask({ id, ...request, ...(body === undefined ? {} : { body }) });
        const { answer: pod, refused } = answer;
        return isJsonObject(pod) ? { ok: true, pod } : { ok: false, message: String(refused) };
      },
      follow: (followed, onObjects) => {
        const of = String(++this.#asked);
        this.#followers.set(of, onObjects);
        this.#send({ id, of, do: "follow", ...followed });
      },
      stop: async () => {
        const { promise, resolve } = Promise.withResolvers<void>();
        this.#stopped.set(id, resolve);
        this.#send({ id, do: "stop" });
        await promise;
        this.#stores.delete(id);
      },
    };
  }

  async normalize(pods: readonly JsonObject[]): Promise<JsonObject[]> {
    const { store, refused } = await this.#ask({ id: "", do: "normalize", body: [...pods] });
    if (!Array.isArray(store)) {
      throw new Error(`Kubernetes' types do not take a pod of a test: ${String(refused)}`);
    }
    return store.filter(isJsonObject);
  }

  async close(): Promise<void> {
    this.#closing = true;
    await this.#writer.close();
    await this.#reading;
  }

  #ask(command: JsonObject): Promise<JsonObject> {
    const of = String(++this.#asked);
    const { promise, resolve } = Promise.withResolvers<JsonObject>();
    this.#answers.set(of, resolve);
    this.#send({ ...command, of });
    return promise;
  }

  #send(command: JsonObject): void {
    if (this.#failure !== undefined) {
      throw this.#failure;
    }
    this.#writer.write(new TextEncoder().encode(JSON.stringify(command) + "\n")).catch(() => {});
  }

  async #read(): Promise<void> {
    const errors = new Response(this.#child.stderr).text();
    let rest = "";
    for await (const chunk of this.#child.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        this.#take(JSON.parse(line));
      }
    }
    const { code } = await this.#child.status;
    if (!this.#closing || code !== 0) {
      // client-go has panicked: a kubelet would have.
      this.#failure = new Error(`the kubelets have ended with ${code}: ${(await errors).slice(0, 4000)}`);
      for (const wake of [...this.#stopped.values()]) wake();
      for (const wake of [...this.#answers.values()]) wake({ refused: this.#failure.message });
      throw this.#failure;
    }
    await errors;
  }

  #take(report: JsonObject): void {
    const { id, of, store, stopped, objects } = report;
    if (Array.isArray(objects)) {
      this.#followers.get(String(of))?.(objects.filter(isJsonObject));
    } else if (typeof of === "string" && of !== "") {
      this.#answers.get(of)?.(report);
      this.#answers.delete(of);
    } else if (Array.isArray(store)) {
      this.#stores.get(String(id))?.(store.filter(isJsonObject));
    } else if (stopped === true) {
      this.#stopped.get(String(id))?.();
      this.#stopped.delete(String(id));
    }
  }
}

/** The stand-in: it reads JSON only, and only what this project's strict reader takes. */
export function startTypeScriptKubelets(identity: KubeletIdentity): Kubelets {
  const client = Deno.createHttpClient({
    caCerts: [identity.ca],
    cert: identity.certificate,
    key: identity.key,
  });
  return {
    kind: "typescript",
    start({ server, start, onStore }) {
      const fetchPath = (path: string, init: RequestInit = {}) => fetch(server + path, { ...init, client });
      const kubelet = new FakeKubelet({
        fetch: fetchPath,
        start,
        onChange: () => onStore([...kubelet.store.values()]),
      });
      kubelet.run();
      const followers: FakeKubelet[] = [];
      return {
        ask: (request) => ask(fetchPath, request),
        follow({ resource, namespace, name }, onObjects) {
          const follower = new FakeKubelet({
            fetch: fetchPath,
            start,
            resource: {
              path: `/api/v1/${namespace === undefined ? "" : `namespaces/${namespace}/`}${resource}`,
              ...(name === undefined ? {} : { selector: `metadata.name=${name}` }),
            },
            onChange: () => onObjects([...follower.store.values()]),
          });
          followers.push(follower);
          follower.run();
        },
        async stop() {
          await Promise.all([kubelet, ...followers].map((each) => each.stop()));
        },
      };
    },
    normalize: (pods) => Promise.resolve(structuredClone([...pods])),
    close() {
      client.close();
      return Promise.resolve();
    },
  };
}

async function ask(
  fetchPath: (path: string, init?: RequestInit) => Promise<Response>,
  { do: action, namespace, name, body }: Request,
): Promise<Asked> {
  const collection = `/api/v1/namespaces/${namespace}/pods`;
  const path = name === undefined ? collection : `${collection}/${name}`;
  const json = JSON.stringify(body ?? {});
  const send = (): Promise<Response> => {
    switch (action) {
      case "get":
        return fetchPath(path);
      case "delete":
        return fetchPath(path, { method: "DELETE" });
      case "patch":
        return fetchPath(`${path}/status`, {
          method: "PATCH",
          headers: { "content-type": "application/strategic-merge-patch+json" },
          body: json,
        });
      case "create":
        return fetchPath(path, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: json,
        });
    }
  };
  const response = await send();
  const answer: JsonValue = parseStrictJson(await response.text());
  if (response.ok && isJsonObject(answer)) {
    return { ok: true, pod: answer };
  }
  return {
    ok: false,
    message: isJsonObject(answer) ? String(answer.message) : "an answer that is no object",
  };
}
