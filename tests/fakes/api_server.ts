/**
 * An API server that knows pods and Events, as a kubelet sees it. In-process as an upstream, or on loopback over HTTP.
 */
import { isJsonObject, type JsonObject, type JsonValue, objectAt } from "@signed-pods/shared/json";
import type { Upstream } from "../../proxy/upstream.ts";
import { upstreamOf } from "./upstream.ts";

/** Revisions that watches can resume from. */
const MAX_HISTORY = 10_000;

type EventType = "ADDED" | "MODIFIED" | "DELETED";

interface Change {
  version: number;
  type: EventType;
  object: JsonObject;
}

interface Watcher {
  send(bytes: Uint8Array): void;
  end(): void;
  matches(pod: JsonObject): boolean;
}

/** A request that was served. */
export interface ServedRequest {
  method: string;
  path: string;
  body: string;
  contentType: string | null;
}

/** Answers instead of the server; undefined leaves it to the server. */
export type Intercept = (request: Request, served: ServedRequest) => Response | undefined;

export class FakeApiServer {
  readonly requests: ServedRequest[] = [];
  readonly events: JsonObject[] = [];
  /** The way to it for a proxy in the same process. */
  readonly upstream: Upstream = upstreamOf((request) => this.handle(request));
  /** Lies and failures. */
  intercept: Intercept | undefined;
  readonly #pods = new Map<string, JsonObject>();
  readonly #watchers = new Set<Watcher>();
  #history: Change[] = [];
  #version = 1000;

  /** Open watches. */
  get openWatches(): number {
    return this.#watchers.size;
  }

  /** The pods that there are. */
  pods(): JsonObject[] {
    return [...this.#pods.values()];
  }

  /** One pod, if it is there. */
  pod(namespace: string, name: string): JsonObject | undefined {
    return this.#pods.get(`${namespace}/${name}`);
  }

  /** Stores a pod, new or changed, and tells the watches. */
  put(pod: JsonObject): JsonObject {
    const metadata = objectAt(pod, "metadata");
    const key = `${text(metadata.namespace)}/${text(metadata.name)}`;
    const type = this.#pods.has(key) ? "MODIFIED" : "ADDED";
    const version = ++this.#version;
    const stored: JsonObject = { ...pod, metadata: { ...metadata, resourceVersion: String(version) } };
    this.#pods.set(key, stored);
    this.#record({ version, type, object: stored });
    return stored;
  }

  /** Changes a pod that is there. */
  change(namespace: string, name: string, change: (pod: JsonObject) => JsonObject): JsonObject {
    const pod = this.pod(namespace, name);
    if (pod === undefined) {
      throw new TypeError(`there is no pod ${namespace}/${name}`);
    }
    return this.put(change(pod));
  }

  /** Removes a pod at once. */
  remove(namespace: string, name: string): void {
    const pod = this.pod(namespace, name);
    if (pod !== undefined) {
      this.#pods.delete(`${namespace}/${name}`);
      const version = ++this.#version;
      const object: JsonObject = {
        ...pod,
        metadata: { ...objectAt(pod, "metadata"), resourceVersion: String(version) },
      };
      this.#record({ version, type: "DELETED", object });
    }
  }

  /** Deletes a pod as `kubectl delete` does: it stays until a kubelet has ended it, if there is anything to end. */
  delete(namespace: string, name: string, graceSeconds?: number): void {
    const pod = this.pod(namespace, name);
    if (pod === undefined) {
      return;
    }
    const grace = graceSeconds ?? number(objectAt(pod, "spec").terminationGracePeriodSeconds, 30);
    const ended = ["Failed", "Succeeded"].includes(text(objectAt(pod, "status").phase));
    if (grace === 0 || ended || objectAt(pod, "spec").nodeName === undefined) {
      this.remove(namespace, name);
      return;
    }
    this.put({
      ...pod,
      metadata: {
        ...objectAt(pod, "metadata"),
        deletionTimestamp: "2026-01-01T01:00:00Z",
        deletionGracePeriodSeconds: grace,
      },
    });
  }

  /** Sends an event to all watches, whatever is stored. */
  inject(type: string, object: JsonValue): void {
    this.injectBytes(new TextEncoder().encode(JSON.stringify({ type, object }) + "\n"));
  }

  /** Sends bytes to all watches. */
  injectBytes(bytes: Uint8Array): void {
    for (const watcher of this.#watchers) {
      watcher.send(bytes);
    }
  }

  /** Sends a BOOKMARK to all watches. */
  bookmark(): void {
    this.inject("BOOKMARK", bookmark(this.#version, false));
  }

  /** Ends all watches, as a restart does. */
  endWatches(): void {
    for (const watcher of [...this.#watchers]) {
      watcher.end();
    }
  }

  /** Forgets the past: watches can resume at the present only. */
  compact(): void {
    this.#history = [];
  }

  /** Serves HTTP on a loopback port; 0 lets the system choose one. */
  serve(port = 0): Deno.HttpServer<Deno.NetAddr> {
    return Deno.serve({ hostname: "127.0.0.1", port, onListen() {} }, (request) => this.handle(request));
  }

  /** Answers one request. */
  async handle(request: Request): Promise<Response> {
    const url = new URL(request.url);
    const served: ServedRequest = {
      method: request.method,
      path: url.pathname + url.search,
      body: request.body === null ? "" : await request.text(),
      contentType: request.headers.get("content-type"),
    };
    this.requests.push(served);
    const intercepted = this.intercept?.(request, served);
    if (intercepted !== undefined) {
      return intercepted;
    }
    const parts = url.pathname.split("/").filter((part) => part !== "").map(decodeURIComponent);
    const [api, version, first, namespace, resource, name, subresource] = parts;
    if (api !== "api" || version !== "v1") {
      return failure(404, "NotFound", "the server could not find the requested resource");
    }
    if (first === "pods" && namespace === undefined && request.method === "GET") {
      return ["1", "true"].includes(url.searchParams.get("watch") ?? "")
        ? this.#watch(url.searchParams, request.signal)
        : this.#list(url.searchParams);
    }
    if (first === "namespaces" && namespace !== undefined && resource === "events") {
      switch (request.method) {
        case "POST":
          return this.#postEvent(namespace, served.body);
        case "PATCH":
          return this.#patchEvent(namespace, name, parse(served.body));
        default:
          return this.#listEvents(namespace);
      }
    }
    if (first === "namespaces" && namespace !== undefined && resource === "pods") {
      return this.#pod(request.method, namespace, name, subresource, served);
    }
    return failure(404, "NotFound", "the server could not find the requested resource");
  }

  #pod(
    method: string,
    namespace: string,
    name: string | undefined,
    subresource: string | undefined,
    served: ServedRequest,
  ): Response {
    if (name === undefined) {
      return method === "POST" ? this.#create(namespace, served) : this.#list(new URLSearchParams());
    }
    const pod = this.pod(namespace, name);
    if (pod === undefined) {
      return failure(404, "NotFound", `pods "${name}" not found`, { name, kind: "pods" });
    }
    switch (method) {
      case "GET":
        return answer(pod);
      case "PATCH":
        return this.#patch(pod, subresource, parse(served.body));
      case "PUT":
        return answer(this.put(parse(served.body)));
      case "DELETE":
        return this.#delete(pod, namespace, name, served);
      default:
        return failure(
          405,
          "MethodNotAllowed",
          "the server does not allow this method on the requested resource",
        );
    }
  }

  #create(namespace: string, served: ServedRequest): Response {
    if (served.contentType !== "application/json") {
      // Not read, as in a proxy that streams what it does not understand.
      return answer({ kind: "Status", apiVersion: "v1", metadata: {}, status: "Success" }, 201);
    }
    const pod = parse(served.body);
    const metadata = objectAt(pod, "metadata");
    if (this.pod(namespace, text(metadata.name)) !== undefined) {
      return failure(409, "AlreadyExists", `pods "${text(metadata.name)}" already exists`);
    }
    return answer(this.put({ ...pod, metadata: { uid: crypto.randomUUID(), ...metadata, namespace } }), 201);
  }

  #patch(pod: JsonObject, subresource: string | undefined, patch: JsonObject): Response {
    const metadata = objectAt(pod, "metadata");
    const uid = isJsonObject(patch.metadata) ? patch.metadata.uid : undefined;
    if (uid !== undefined && uid !== metadata.uid) {
      return failure(409, "Conflict", uidConflict(text(metadata.name), uid, metadata.uid));
    }
    if (subresource === "status") {
      return answer(this.put({ ...pod, status: merge(pod.status, patch.status ?? {}) }));
    }
    const merged = merge(pod, patch);
    return answer(this.put(isJsonObject(merged) ? merged : pod));
  }

  #delete(pod: JsonObject, namespace: string, name: string, served: ServedRequest): Response {
    const options = served.contentType === "application/json" && served.body !== "" ? parse(served.body) : {};
    const wanted = isJsonObject(options.preconditions) ? options.preconditions.uid : undefined;
    const uid = objectAt(pod, "metadata").uid;
    if (wanted !== undefined && wanted !== uid) {
      return failure(409, "Conflict", uidConflict(name, wanted, uid));
    }
    this.delete(namespace, name, number(options.gracePeriodSeconds, undefined));
    return answer(this.pod(namespace, name) ?? pod);
  }

  #postEvent(namespace: string, body: string): Response {
    const event = parse(body);
    const name = text(objectAt(event, "metadata").name);
    if (this.events.some((other) => objectAt(other, "metadata").name === name)) {
      return failure(409, "AlreadyExists", `events "${name}" already exists`);
    }
    this.events.push({ ...event, metadata: { ...objectAt(event, "metadata"), namespace } });
    return answer(event, 201);
  }

  #patchEvent(namespace: string, name: string | undefined, patch: JsonObject): Response {
    const index = this.events.findIndex((event) => {
      const metadata = objectAt(event, "metadata");
      return metadata.namespace === namespace && metadata.name === name;
    });
    const merged = merge(this.events[index], patch);
    if (index === -1 || !isJsonObject(merged)) {
      return failure(404, "NotFound", `events "${name}" not found`);
    }
    this.events[index] = merged;
    return answer(merged);
  }

  #listEvents(namespace: string): Response {
    const items = this.events.filter((event) => objectAt(event, "metadata").namespace === namespace);
    return answer({ kind: "EventList", apiVersion: "v1", metadata: this.#listMetadata(), items });
  }

  #list(query: URLSearchParams): Response {
    const matches = selectorOf(query);
    const all = this.pods().filter(matches);
    const limit = Number(query.get("limit") ?? "0");
    const start = Number(atob(query.get("continue") ?? "") || "0");
    const end = limit === 0 ? all.length : start + limit;
    // Items of a list have no kind of their own.
    const items = all.slice(start, end).map(({ kind: _kind, apiVersion: _version, ...item }) => item);
    return answer({
      kind: "PodList",
      apiVersion: "v1",
      metadata: {
        ...this.#listMetadata(),
        ...(end < all.length
          ? { continue: btoa(String(end)).replaceAll("=", ""), remainingItemCount: all.length - end }
          : {}),
      },
      items,
    });
  }

  #listMetadata(): JsonObject {
    return { resourceVersion: String(this.#version) };
  }

  #watch(query: URLSearchParams, signal: AbortSignal): Response {
    const matches = selectorOf(query);
    const from = query.get("resourceVersion") ?? "";
    const initial = query.get("sendInitialEvents") === "true";
    let replay: Change[] | undefined;
    if (initial || from === "" || from === "0") {
      replay = this.pods().map((object) => ({ version: this.#version, type: "ADDED", object }));
    } else if (Number(from) === this.#version) {
      replay = [];
    } else if ((this.#history[0]?.version ?? Infinity) <= Number(from) + 1) {
      replay = this.#history.filter((change) => change.version > Number(from));
    }
    if (replay === undefined) {
      return failure(410, "Expired", "too old resource version");
    }
    const encoder = new TextEncoder();
    let watcher: Watcher | undefined;
    const stop = () => {
      if (watcher !== undefined) {
        this.#watchers.delete(watcher);
      }
    };
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        watcher = {
          matches,
          send: (bytes) => controller.enqueue(bytes),
          end: () => {
            stop();
            controller.close();
          },
        };
        for (const { type, object } of replay) {
          if (matches(object)) {
            watcher.send(encoder.encode(line(type, object)));
          }
        }
        if (initial) {
          watcher.send(encoder.encode(line("BOOKMARK", bookmark(this.#version, true))));
        }
        this.#watchers.add(watcher);
        signal.addEventListener("abort", () => {
          if (watcher !== undefined && this.#watchers.has(watcher)) {
            watcher.end();
          }
        }, { once: true });
      },
      cancel: stop,
    });
    return new Response(body, { headers: { "content-type": "application/json" } });
  }

  #record(change: Change): void {
    this.#history.push(change);
    if (this.#history.length > MAX_HISTORY) {
      this.#history.shift();
    }
    const bytes = new TextEncoder().encode(line(change.type, change.object));
    for (const watcher of this.#watchers) {
      if (watcher.matches(change.object)) {
        watcher.send(bytes);
      }
    }
  }
}

function selectorOf(query: URLSearchParams): (pod: JsonObject) => boolean {
  const nodeName = /^spec\.nodeName=(.+)$/.exec(query.get("fieldSelector") ?? "")?.[1];
  return (pod) => nodeName === undefined || objectAt(pod, "spec").nodeName === nodeName;
}

function bookmark(version: number, initialEventsEnd: boolean): JsonObject {
  return {
    kind: "Pod",
    apiVersion: "v1",
    metadata: {
      resourceVersion: String(version),
      creationTimestamp: null,
      ...(initialEventsEnd ? { annotations: { "k8s.io/initial-events-end": "true" } } : {}),
    },
    spec: { containers: null },
    status: {},
  };
}

function line(type: string, object: JsonObject): string {
  return JSON.stringify({ type, object }) + "\n";
}

/** Strategic merge, as far as statuses need it: null removes, lists of named things are merged by their key. */
function merge(base: JsonValue | undefined, patch: JsonValue): JsonValue {
  if (isJsonObject(patch)) {
    const merged: JsonObject = isJsonObject(base) ? { ...base } : {};
    for (const [key, value] of Object.entries(patch)) {
      if (key.startsWith("$")) {
        continue;
      }
      if (value === null) {
        delete merged[key];
      } else {
        merged[key] = merge(merged[key], value);
      }
    }
    return merged;
  }
  if (Array.isArray(patch) && Array.isArray(base)) {
    const mergeKey = ["type", "name"].find((key) => patch.every((item) => isJsonObject(item) && key in item));
    if (mergeKey === undefined) {
      return patch;
    }
    const merged = [...base];
    for (const item of patch) {
      const index = merged.findIndex((other) =>
        isJsonObject(other) && isJsonObject(item) && other[mergeKey] === item[mergeKey]
      );
      if (index === -1) {
        merged.push(item);
      } else {
        merged[index] = merge(merged[index], item);
      }
    }
    return merged;
  }
  return patch;
}

function uidConflict(name: string, wanted: JsonValue, found: JsonValue | undefined): string {
  return `Operation cannot be fulfilled on pods "${name}": Precondition failed: UID in precondition: ` +
    `${text(wanted)}, UID in object meta: ${text(found)}`;
}

function answer(object: JsonObject, status = 200): Response {
  return new Response(JSON.stringify(object) + "\n", {
    status,
    headers: { "content-type": "application/json" },
  });
}

function failure(code: number, reason: string, message: string, details?: JsonObject): Response {
  return answer({
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    message,
    reason,
    ...(details === undefined ? {} : { details }),
    code,
  }, code);
}

function parse(body: string): JsonObject {
  const value: JsonValue = JSON.parse(body);
  if (!isJsonObject(value)) {
    throw new TypeError("the body is not a JSON object");
  }
  return value;
}

function text(value: JsonValue | undefined): string {
  return typeof value === "string" ? value : "";
}

function number<T>(value: JsonValue | undefined, otherwise: T): number | T {
  return typeof value === "number" ? value : otherwise;
}
