/**
 * A kubelet as far as the API sees it: a reflector that lists and watches like client-go's, the store that it fills,
 * and a status manager that reports the end of pods. It records everything that it was shown.
 */
import { isJsonObject, type JsonObject, type JsonValue, objectAt } from "@signed-pods/shared/json";
import { parseStrictJson } from "@signed-pods/shared/strict-json";
import { NODE_NAME } from "./owner.ts";

/** How it gets its answers: a gate in the same process, or HTTP. */
export type Fetch = (path: string, init?: RequestInit) => Promise<Response>;

/** One thing that it was told. */
export interface Told {
  type: "LISTED" | "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" | "ERROR";
  object: JsonObject;
}

export interface KubeletOptions {
  fetch: Fetch;
  nodeName?: string;
  /** What it lists and watches, and with which fieldSelector, if not its pods. */
  resource?: { path: string; selector?: string };
  /** Kubelets from 1.35 on begin with a watch, older ones with a list. */
  start?: "watch-list" | "list";
  /** Pods in a page of a list. */
  limit?: number;
  /** Called after each change of the store. */
  onChange?: () => void;
}

/** How long a test waits for a condition before it fails, in milliseconds. */
const DEADLINE_MS = 10_000;

/** Pause before it tries again, in milliseconds. */
const BACKOFF_MS = 5;

export class FakeKubelet {
  /** The informer's store, by namespace and name. */
  store = new Map<string, JsonObject>();
  readonly told: Told[] = [];
  /** Every image that a container would have been started from, by pod UID. */
  readonly images = new Map<string, Set<string>>();
  /** Answers other than 200, by status. */
  readonly failures: number[] = [];
  /** Lists, or watches with initial events, that came to their end. */
  syncs = 0;
  readonly #fetch: Fetch;
  readonly #path: string;
  readonly #selector: string | undefined;
  readonly #start: "watch-list" | "list";
  readonly #limit: number;
  readonly #onChange: () => void;
  readonly #stopping = new AbortController();
  #version = "";
  #running: Promise<void> | undefined;
  #waiting = new Set<() => void>();

  constructor(options: KubeletOptions) {
    this.#fetch = options.fetch;
    const pods = { path: "/api/v1/pods", selector: `spec.nodeName=${options.nodeName ?? NODE_NAME}` };
    const { path, selector } = options.resource ?? pods;
    this.#path = path;
    this.#selector = selector;
    this.#start = options.start ?? "watch-list";
    this.#limit = options.limit ?? 500;
    this.#onChange = options.onChange ?? (() => {});
  }

  /** Begins to list and watch. */
  run(): void {
    this.#running = this.#reflect();
  }

  /** Leaves. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  /** Waits until something is so. */
  async until(what: string, condition: () => boolean): Promise<void> {
    const deadline = Date.now() + DEADLINE_MS;
    while (!condition()) {
      if (Date.now() > deadline) {
        throw new Error(`it did not come to be that ${what}; told: ${JSON.stringify(this.told.slice(-5))}`);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 20);
        this.#waiting.add(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  /** What it was told of a pod. */
  types(name: string): string[] {
    return this.told.filter(({ object }) => objectAt(object, "metadata").name === name).map(({ type }) =>
      type
    );
  }

  pod(name: string, namespace = "default"): JsonObject | undefined {
    return this.store.get(`${namespace}/${name}`);
  }

  /** Reports a phase as the status manager does: reads the pod, and patches its status with the UID. */
  async report(name: string, status: JsonObject, namespace = "default"): Promise<Response> {
    const path = `/api/v1/namespaces/${namespace}/pods/${name}`;
    const read = await this.#fetch(path);
    const pod: JsonValue = await read.json();
    if (read.status !== 200 || !isJsonObject(pod)) {
      return Response.json(pod, { status: read.status });
    }
    return await this.#fetch(`${path}/status`, {
      method: "PATCH",
      headers: { "content-type": "application/strategic-merge-patch+json" },
      body: JSON.stringify({ metadata: { uid: objectAt(pod, "metadata").uid ?? null }, status }),
    });
  }

  async #reflect(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      try {
        const synced = this.#start === "watch-list" ? await this.#watchList() : await this.#list();
        while (synced && !this.#stopping.signal.aborted) {
          if (!await this.#watch()) {
            break;
          }
        }
      } catch (error) {
        if (!this.#stopping.signal.aborted) {
          this.failures.push(0);
          if (!(error instanceof Error)) {
            throw error;
          }
        }
      }
      this.#wake();
      await new Promise<void>((resolve) => setTimeout(resolve, BACKOFF_MS));
    }
  }

  #query(parameters: Record<string, string>): URLSearchParams {
    return new URLSearchParams({
      ...(this.#selector === undefined ? {} : { fieldSelector: this.#selector }),
      ...parameters,
    });
  }

  async #list(): Promise<boolean> {
    const found = new Map<string, JsonObject>();
    let continueToken = "";
    do {
      const query = this.#query({
        limit: String(this.#limit),
        resourceVersion: "0",
      });
      if (continueToken !== "") {
        query.set("continue", continueToken);
      }
      const response = await this.#get(`${this.#path}?${query}`);
      if (response === undefined) {
        return false;
      }
      const list = parse(await response.text());
      for (const item of Array.isArray(list.items) ? list.items : []) {
        if (isJsonObject(item)) {
          found.set(keyOf(item), item);
          this.#tell({ type: "LISTED", object: item });
        }
      }
      const metadata = objectAt(list, "metadata");
      continueToken = typeof metadata.continue === "string" ? metadata.continue : "";
      this.#version = String(metadata.resourceVersion);
    } while (continueToken !== "");
    this.#replace(found);
    return true;
  }

  async #watchList(): Promise<boolean> {
    const found = new Map<string, JsonObject>();
    const query = this.#query({
      allowWatchBookmarks: "true",
      resourceVersionMatch: "NotOlderThan",
      sendInitialEvents: "true",
      watch: "true",
    });
    let synced = false;
    await this.#follow(query, ({ type, object }) => {
      if (synced) {
        this.#apply({ type, object });
      } else if (type === "BOOKMARK") {
        const annotations = objectAt(objectAt(object, "metadata"), "annotations");
        if (annotations["k8s.io/initial-events-end"] === "true") {
          synced = true;
          this.#replace(found);
        }
      } else if (type === "DELETED") {
        found.delete(keyOf(object));
      } else {
        found.set(keyOf(object), object);
      }
    });
    return synced;
  }

  async #watch(): Promise<boolean> {
    const query = this.#query({
      allowWatchBookmarks: "true",
      resourceVersion: this.#version,
      watch: "true",
    });
    return await this.#follow(query, (told) => this.#apply(told));
  }

  /** Reads a watch to its end; false if a new list is needed. */
  async #follow(query: URLSearchParams, take: (told: Told) => void): Promise<boolean> {
    const response = await this.#get(`${this.#path}?${query}`);
    if (response === undefined || response.body === null) {
      return false;
    }
    let rest = "";
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    const leave = () => reader.cancel().catch(() => {});
    this.#stopping.signal.addEventListener("abort", leave, { once: true });
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) {
          return true;
        }
        const lines = (rest + value).split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines) {
          const told = readEvent(line);
          this.#tell(told);
          if (told.type === "ERROR") {
            return false;
          }
          take(told);
          this.#version = String(objectAt(told.object, "metadata").resourceVersion);
          this.#wake();
        }
      }
    } finally {
      this.#stopping.signal.removeEventListener("abort", leave);
      await leave();
    }
  }

  async #get(path: string): Promise<Response | undefined> {
    const response = await this.#fetch(path, { signal: this.#stopping.signal });
    if (response.status !== 200) {
      this.failures.push(response.status);
      await response.body?.cancel();
      return undefined;
    }
    return response;
  }

  #apply({ type, object }: Told): void {
    if (type === "DELETED") {
      this.store.delete(keyOf(object));
    } else if (type !== "BOOKMARK") {
      this.store.set(keyOf(object), object);
    } else {
      return;
    }
    this.#onChange();
  }

  #replace(found: Map<string, JsonObject>): void {
    this.store = found;
    this.syncs++;
    this.#onChange();
    this.#wake();
  }

  #tell(told: Told): void {
    this.told.push(told);
    const uid = String(objectAt(told.object, "metadata").uid);
    const { containers } = objectAt(told.object, "spec");
    for (const container of Array.isArray(containers) ? containers : []) {
      if (isJsonObject(container)) {
        const images = this.images.get(uid) ?? new Set<string>();
        this.images.set(uid, images.add(String(container.image)));
      }
    }
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const wake of waiting) {
      wake();
    }
  }
}

function readEvent(line: string): Told {
  const event = parse(line);
  const { type } = event;
  switch (type) {
    case "ADDED":
    case "MODIFIED":
    case "DELETED":
    case "BOOKMARK":
    case "ERROR":
      return { type, object: objectAt(event, "object") };
    default:
      throw new TypeError(`an event of type ${JSON.stringify(type)}`);
  }
}

function keyOf(pod: JsonObject): string {
  const { namespace, name } = objectAt(pod, "metadata");
  return `${String(namespace)}/${String(name)}`;
}

function parse(text: string): JsonObject {
  const value = parseStrictJson(text);
  if (!isJsonObject(value)) {
    throw new TypeError("not a JSON object");
  }
  return value;
}
