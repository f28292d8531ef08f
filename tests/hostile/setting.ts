/**
 * One kubelet, one proxy and one API server that lies, and what a case does with them.
 *
 * @module
 */
import type { JsonObject, JsonValue } from "@signed-pods/shared/json";
import { canonicalize } from "@signed-pods/shared/canonical-json";
import { expand, minimal } from "@signed-pods/shared/pod/normal-form";
import { findPodTemplates } from "@signed-pods/shared/pod/workload";
import {
  buildSignedTemplate,
  encodeSignedTemplate,
  type SignOptions,
} from "@signed-pods/shared/signed-template";
import { SIGNATURE_ANNOTATION, SIGNED_TEMPLATE_ANNOTATION } from "@signed-pods/shared/verdict";
import type { TestPki } from "../../proxy/fixture_test.ts";
import type { FakeApiServer } from "../fakes/api_server.ts";
import { MemoryLedgerStore } from "../fakes/ledger.ts";
import type { MemoryLog } from "../fakes/log.ts";
import {
  makePod,
  NODE_NAME,
  objectOf,
  type Owner,
  type PodOptions,
  uidOf,
  withMetadata,
} from "../fakes/owner.ts";
import { HostileServer, type HostileServerOptions, type Received, type Wire } from "./api_server.ts";
import type { Buffer } from "node:buffer";
import tls from "node:tls";
import { Invariant } from "./invariant.ts";
import type { Asked, Followed, Kubelet, Kubelets, Request, Start } from "./kubelets.ts";
import { type ProxyOptions, type RunningProxy, startProxy } from "./proxy.ts";

/** How long a case waits for a condition before it fails, in milliseconds. */
const DEADLINE_MS = 30_000;

/** Name of the pod whose arrival tells that the kubelet has taken in all that came before. */
const SENTINEL = "sentinel";

/** How one kubelet of a case starts and speaks. */
export interface Way {
  start: Start;
  protobuf: boolean;
}

export interface SettingOptions {
  kubelets: Kubelets;
  way: Way;
  pki: TestPki;
  owner: Owner;
  stranger: Owner;
}

/** What a case is run with. */
export class Setting {
  readonly way: Way;
  readonly pki: TestPki;
  readonly owner: Owner;
  /** Somebody else, with a key that no node trusts. */
  readonly stranger: Owner;
  readonly invariant = new Invariant(NODE_NAME);
  /** What of the invariant was broken. */
  readonly violations: string[] = [];
  /** Every pod that the kubelet ever held, by name, and how. */
  readonly saw = new Set<string>();
  readonly store = new MemoryLedgerStore();
  /** Answers on pod routes. */
  readonly statuses: number[] = [];
  /** Logs of the proxies, oldest first. */
  readonly logs: MemoryLog[] = [];
  /** Lines for the operator's column that no log line stands for. */
  readonly notes = new Set<string>();
  server: HostileServer;
  /** What proxies are started with beside the usual. */
  proxyOptions: Partial<ProxyOptions> = {};
  readonly #kubelets: Kubelets;
  #proxy: RunningProxy | undefined;
  #kubelet: Kubelet | undefined;
  #upstreamPort: number | undefined;
  readonly #requests = new Set<tls.TLSSocket>();
  readonly #closers: (() => Promise<void> | void)[] = [];
  #held: JsonObject[] = [];
  #last = 0;

  constructor({ kubelets, way, pki, owner, stranger }: SettingOptions) {
    this.#kubelets = kubelets;
    this.way = way;
    this.pki = pki;
    this.owner = owner;
    this.stranger = stranger;
    this.server = new HostileServer(this.serverOptions());
  }

  serverOptions(): HostileServerOptions {
    return {
      certificate: this.pki.server.certificate,
      key: this.pki.server.key,
      clientCa: this.pki.authority.certificate,
    };
  }

  /** The honest API server's state. */
  get api(): FakeApiServer {
    return this.server.api;
  }

  get log(): MemoryLog {
    const log = this.logs.at(-1);
    if (log === undefined) throw new Error("there is no proxy yet");
    return log;
  }

  get proxyUrl(): string {
    if (this.#proxy === undefined) throw new Error("there is no proxy yet");
    return this.#proxy.url;
  }

  /** What the kubelet holds now. */
  held(name: string, namespace = "default"): JsonObject | undefined {
    return this.#held.find((pod) => {
      const metadata = objectOf(pod.metadata);
      return metadata.name === name && metadata.namespace === namespace;
    });
  }

  /** A UID that no other pod of this setting has. */
  uid(): string {
    return uidOf(1000 + ++this.#last);
  }

  /** Notes that the owner has signed a spec for the pods of some names. */
  async grant(
    namespace: string,
    fits: (name: string) => boolean,
    { spec, labels, annotations }: { spec: JsonObject; labels?: JsonObject; annotations?: JsonObject },
  ): Promise<void> {
    const [pod] = await this.#kubelets.normalize([{ apiVersion: "v1", kind: "Pod", spec: expand(spec) }]);
    this.invariant.grants.push({
      namespace,
      fits,
      spec: objectOf(pod?.spec),
      labels: labels ?? {},
      annotations: annotations ?? {},
    });
  }

  /** Signs a pod. */
  async sign(pod: JsonObject, options: SignOptions = {}): Promise<JsonObject> {
    const { namespace, name, labels, annotations } = objectOf(pod.metadata);
    await this.grant(String(namespace), (other) => other === name, {
      spec: specOf(pod),
      labels: objectOf(labels ?? {}),
      annotations: objectOf(annotations ?? {}),
    });
    return await this.owner.sign(pod, options);
  }

  /** A pod of some name that the owner has signed. */
  signed(options: PodOptions = {}): Promise<JsonObject> {
    return this.sign(makePod({ uid: this.uid(), ...options }));
  }

  /** Signs a pod in the spec form. */
  async signSpec(pod: JsonObject): Promise<JsonObject> {
    const { namespace, name } = objectOf(pod.metadata);
    await this.grant(String(namespace), (other) => other === name, { spec: specOf(pod) });
    return await signSpecOnly(this.owner, pod);
  }

  /** Signs a workload's pod template. */
  async signWorkload(
    workload: JsonObject,
    namespace: string,
    fits: (name: string) => boolean,
    extra: JsonObject = {},
  ): Promise<JsonObject> {
    const signed = await signTemplate(this.owner, workload);
    const [location] = findPodTemplates(signed);
    if (location === undefined) throw new Error("the workload has no pods");
    const { [SIGNATURE_ANNOTATION]: _signature, [SIGNED_TEMPLATE_ANNOTATION]: _text, ...annotations } =
      objectOf(
        location.metadata.annotations,
      );
    await this.grant(namespace, fits, {
      spec: { ...objectOf(location.spec), ...extra },
      labels: objectOf(location.metadata.labels ?? {}),
      annotations,
    });
    return signed;
  }

  /** Starts a proxy, in the place of the one that runs. */
  async startProxy(options: Partial<ProxyOptions> = {}): Promise<void> {
    if (this.#proxy !== undefined) {
      this.statuses.push(...this.#proxy.statuses);
      await this.#proxy.close();
    }
    this.#proxy = await startProxy({
      pki: this.pki,
      upstreamPort: this.#upstreamPort ?? this.server.port,
      verifier: this.owner.verifier,
      store: this.store,
      ...this.proxyOptions,
      ...options,
    });
    this.logs.push(this.#proxy.log);
  }

  /** Puts another port between the proxy and the server. */
  set upstreamPort(port: number) {
    this.#upstreamPort = port;
  }

  startKubelet(): void {
    this.#kubelet = this.#kubelets.start({
      server: this.proxyUrl,
      ...this.way,
      onStore: (pods) => this.#take(pods),
    });
  }

  /** Has the kubelet follow objects other than pods. */
  follow(followed: Followed, onStore: (objects: JsonObject[]) => void): void {
    if (this.#kubelet === undefined) throw new Error("there is no kubelet");
    this.#kubelet.follow(followed, onStore);
  }

  async stopKubelet(): Promise<void> {
    await this.#kubelet?.stop();
    this.#kubelet = undefined;
  }

  /** A request of the kubelet's status manager or mirror client; what it gets is looked at like all else. */
  async ask(request: Request): Promise<Asked> {
    if (this.#kubelet === undefined) throw new Error("there is no kubelet");
    const asked = await this.#kubelet.ask(request);
    if (asked.ok && request.do === "get") {
      this.violations.push(...this.invariant.check([asked.pod]));
    } else if (
      asked.ok && Object.keys(objectOf(asked.pod.spec ?? {})).some((field) => field !== "containers")
    ) {
      this.violations.push(`the answer to ${request.do} holds a spec`);
    }
    return asked;
  }

  /** Sends a request to the proxy, with the kubelet's certificate. */
  async fetch(path: string, init: RequestInit = {}): Promise<{ status: number; text: string }> {
    const { authority, node } = this.pki;
    using client = Deno.createHttpClient({
      caCerts: [authority.certificate],
      cert: node.certificate,
      key: node.key,
    });
    const response = await fetch(this.proxyUrl + path, { ...init, client });
    return { status: response.status, text: await response.text() };
  }

  /**
   * Sends a request to the proxy as bytes.
   *
   * @param line method and target
   * @param until how much of the answer is waited for; by default all
   */
  async request(line: string, until: (answer: string) => boolean = () => false): Promise<string> {
    const { authority, node } = this.pki;
    const socket = tls.connect({
      host: "127.0.0.1",
      port: Number(new URL(this.proxyUrl).port),
      ca: authority.certificate,
      cert: node.certificate,
      key: node.key,
      ALPNProtocols: ["http/1.1"],
    });
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#requests.add(socket);
    let text = "";
    socket.on("error", () => resolve());
    socket.on("close", () => resolve());
    socket.on("data", (data: Buffer) => {
      text += data.toString("latin1");
      if (until(text)) resolve();
    });
    socket.on("secureConnect", () => {
      socket.write(`${line} HTTP/1.1\r\nHost: proxy.invalid\r\nConnection: close\r\n\r\n`);
    });
    await promise;
    this.#requests.delete(socket);
    socket.destroy();
    return text;
  }

  /** Leaves without waiting for the answers to requests. */
  abandonRequests(): void {
    for (const socket of this.#requests) socket.destroy();
  }

  /** Waits until something is so. */
  async until(what: string, condition: () => boolean): Promise<void> {
    const deadline = Date.now() + DEADLINE_MS;
    while (!condition()) {
      if (this.violations.length > 0) return;
      if (Date.now() > deadline) {
        const held = this.#held.map((pod) => objectOf(pod.metadata).name).join();
        throw new Error(
          `it did not come to be that ${what}; held: ${held}; log: ${
            JSON.stringify(this.logs.flatMap((log) => log.lines.slice(-12)))
          }; server: ${this.server.failures.map(String).join()}`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  untilHeld(name: string, namespace?: string): Promise<void> {
    return this.until(`the kubelet holds ${name}`, () => this.held(name, namespace) !== undefined);
  }

  untilGone(name: string, namespace?: string): Promise<void> {
    return this.until(`the kubelet does not hold ${name}`, () => this.held(name, namespace) === undefined);
  }

  /** Shows one more signed pod and waits until the kubelet has it, and with it all that came before. */
  async sentinel(): Promise<void> {
    const name = `${SENTINEL}-${++this.#last}`;
    this.api.put(await this.signed({ name }));
    await this.untilHeld(name);
  }

  /** Has something closed at the end. */
  onClose(close: () => Promise<void> | void): void {
    this.#closers.push(close);
  }

  async close(): Promise<void> {
    // Before the kubelet leaves: what it leaves unanswered counts as failed.
    this.statuses.push(...this.#proxy?.statuses ?? []);
    await this.stopKubelet();
    await this.#proxy?.close();
    await this.server.close();
    for (const close of this.#closers) await close();
    if (this.server.failures.length > 0) {
      throw new Error(`the API server of the test failed: ${this.server.failures.map(String).join("; ")}`);
    }
    if (this.server.protocols.has("h2")) {
      throw new Error("the proxy spoke HTTP/2 to the API server");
    }
  }

  #take(pods: JsonObject[]): void {
    this.#held = pods;
    this.violations.push(...this.invariant.check(pods));
    for (const pod of pods) {
      const { name, namespace, deletionTimestamp } = objectOf(pod.metadata);
      if (String(name).startsWith(SENTINEL)) continue;
      const place = namespace === "default" ? "" : `${String(namespace)}/`;
      // Controllers and kubelets make up the ends of names.
      const known = String(name).replace(/-[a-z0-9]{9}-[a-z0-9]{5}$/, "-…");
      this.saw.add(`${place}${known}${deletionTimestamp === undefined ? "" : ", being deleted"}`);
    }
  }

  // ---- ways to lie

  /** Lies once to the first list and once to the first watch; then the API server is honest. */
  async lieOnce(
    tell: (request: Received, wire: Wire) => Promise<void>,
    kinds?: readonly string[],
  ): Promise<void> {
    const told = new Set<string>();
    const needed = kinds ?? (this.way.start === "list" ? ["list", "watch"] : ["watch"]);
    this.server.lie = (request) => {
      const { kind } = request;
      if (!["list", "watch"].includes(kind) || told.has(kind)) return undefined;
      if (kinds !== undefined && !kinds.includes(kind)) return undefined;
      return async (wire) => {
        told.add(kind);
        try {
          await tell(request, wire);
        } finally {
          told.add(`${kind} done`);
        }
      };
    };
    await this.startProxy();
    this.startKubelet();
    await this.until("the lies are told", () => needed.every((kind) => told.has(kind)));
  }

  /**
   * Puts pods among the honest ones: into the list, or the initial events, and as ADDED and MODIFIED after these.
   *
   * @param texts pods as JSON
   */
  async showPods(texts: readonly string[]): Promise<void> {
    const events = (type: string) => texts.map((text) => `{"type":"${type}","object":${text}}\n`).join("");
    const later = events("ADDED") + events("MODIFIED");
    await this.lieOnce((request, wire) => {
      if (request.kind === "list") {
        return this.server.answerHonestly(request, wire, {
          change: (text) =>
            text.replace(
              /("items":\[.*)\]\}/s,
              (_all, items: string) => `${[items, ...texts].join(",").replace('"items":[,', '"items":[')}]}`,
            ),
        });
      }
      const initial = request.query.get("sendInitialEvents") === "true";
      return this.server.answerHonestly(request, wire, {
        ...(initial ? {} : { first: later }),
        change: (text) => text.includes("k8s.io/initial-events-end") ? events("ADDED") + text + later : text,
      });
    });
  }

  /** The same of pods as they are. */
  show(...pods: readonly JsonObject[]): Promise<void> {
    return this.showPods(pods.map((pod) => JSON.stringify(pod)));
  }

  /** Sends lines of a watch, once the kubelet has its first pods. */
  async showEvents(text: string): Promise<void> {
    await this.lieOnce((request, wire) => {
      const initial = request.query.get("sendInitialEvents") === "true";
      return this.server.answerHonestly(request, wire, {
        ...(initial ? {} : { first: text }),
        change: (honest) => honest.includes("k8s.io/initial-events-end") ? honest + text : honest,
      });
    }, ["watch"]);
  }

  /** Sends lines of a watch before its initial events end. Only for kubelets that begin with a watch. */
  async showInitialEvents(text: string): Promise<void> {
    await this.lieOnce(
      (request, wire) =>
        this.server.answerHonestly(request, wire, {
          change: (honest) => honest.includes("k8s.io/initial-events-end") ? text + honest : honest,
        }),
      ["watch"],
    );
  }
}

function specOf(pod: JsonObject): JsonObject {
  const { nodeName: _nodeName, ...spec } = objectOf(pod.spec);
  return spec;
}

/** A pod signed in the spec form, without a record of it. */
export async function signSpecOnly(owner: Owner, pod: JsonObject): Promise<JsonObject> {
  const annotations = objectOf(objectOf(pod.metadata).annotations ?? {});
  return withMetadata(pod, {
    annotations: {
      ...annotations,
      [SIGNATURE_ANNOTATION]: await owner.signText(canonicalize(minimal(specOf(pod)))),
    },
  });
}

/** A workload with a signed pod template, without a record of it. */
export async function signTemplate(
  owner: Owner,
  workload: JsonObject,
  options: SignOptions = {},
): Promise<JsonObject> {
  const [location] = findPodTemplates(workload);
  if (location === undefined) throw new Error("the workload has no pods");
  const text = encodeSignedTemplate(buildSignedTemplate(location, options));
  const signature = await owner.signText(text);
  const sign = (value: JsonValue | undefined, path: readonly (string | number)[]): JsonObject => {
    const [key, ...rest] = path;
    const object = objectOf(value);
    if (key !== undefined) return { ...object, [key]: sign(object[key], rest) };
    const metadata = objectOf(object.metadata ?? {});
    return {
      ...object,
      metadata: {
        ...metadata,
        annotations: {
          ...objectOf(metadata.annotations ?? {}),
          [SIGNATURE_ANNOTATION]: signature,
          [SIGNED_TEMPLATE_ANNOTATION]: text,
        },
      },
    };
  };
  return sign(workload, location.path);
}
