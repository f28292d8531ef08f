/**
 * Runs random changes of recorded lists and watches through the proxy, and checks the invariant after each change of what
 * a kubelet would hold. Inputs that lead somewhere new (another verdict, event of the log, or status) are changed further.
 *
 * @module
 */
import { decodeBase64, encodeBase64 } from "@signed-pods/shared/base64";
import { messageOf } from "@signed-pods/shared/errors";
import { isJsonObject, type JsonObject, type JsonValue, objectAt, objectsAt } from "@signed-pods/shared/json";
import { readVerificationKeys } from "@signed-pods/shared/keys";
import { createVerifier } from "@signed-pods/shared/pod/verify";
import { parseStrictJson } from "@signed-pods/shared/strict-json";
import type { TestPki } from "../../proxy/fixture_test.ts";
import type { PodVerifier } from "../../proxy/pods/judge.ts";
import { createPodGate } from "../../proxy/pods/pod_gate.ts";
import { ManualClock } from "../fakes/clock.ts";
import { memoryLedger } from "../fakes/ledger.ts";
import { MemoryLog } from "../fakes/log.ts";
import { NODE_NAME } from "../fakes/owner.ts";
import { chunked, upstreamOf } from "../fakes/upstream.ts";
import { chunk, HostileServer } from "./api_server.ts";
import { Invariant } from "./invariant.ts";
import { type Input, mutate, mutateAnswer, Random } from "./mutations.ts";
import { startProxy } from "./proxy.ts";
import type { Recording } from "./recording.ts";

/** Longest run of one input, in milliseconds; one that takes longer counts as a finding. */
const RUN_DEADLINE_MS = 20_000;

/** Most inputs that are kept for further changes. */
const MAX_CORPUS = 400;

/** Of so many runs one goes over sockets, with the framing of HTTP changed too. */
const SOCKET_RUN_EVERY = 25;

/** Longest wait for headers over sockets, in milliseconds: changed answers often lack their end. */
const HEADERS_TIMEOUT_MS = 1_000;

/** What came of one input. */
export interface RunResult {
  /** What is wrong; nothing if all is well. */
  problems: string[];
  /** Where it led. */
  features: Set<string>;
  checks: number;
  /** Names of the pods that the kubelet held at some time. */
  held: Set<string>;
}

/** A recording that is ready to be used. */
export class Subject {
  readonly recording: Recording;
  readonly verifier: PodVerifier;

  constructor(recording: Recording, verifier: PodVerifier) {
    this.recording = recording;
    this.verifier = verifier;
  }

  static async of(recording: Recording): Promise<Subject> {
    const keys = await readVerificationKeys(recording.key, "a recording");
    return new Subject(
      recording,
      createVerifier({ keys, acceptForms: new Set(["template", "spec"]), requireDigests: false }),
    );
  }

  get input(): Input {
    const encoder = new TextEncoder();
    return {
      list: encoder.encode(this.recording.list),
      watch: encoder.encode(this.recording.watch),
      chunkBytes: 1000,
    };
  }

  invariant(): Invariant {
    const invariant = new Invariant(NODE_NAME);
    for (const { namespace, names, spec, labels, annotations } of this.recording.grants) {
      const form = new RegExp(`^${names}$`);
      invariant.grants.push({ namespace, spec, labels, annotations, fits: (name) => form.test(name) });
    }
    return invariant;
  }
}

/** What a kubelet's informer would hold, as it is told. */
class Store {
  readonly problems: string[] = [];
  readonly held = new Set<string>();
  readonly invariant: Invariant;
  #pods = new Map<string, JsonObject>();

  constructor(invariant: Invariant) {
    this.invariant = invariant;
  }

  list(text: string): string {
    const list = objectOf(parseStrictJson(text));
    this.#replace(new Map(objectsAt(list, "items").map((pod) => [keyOf(pod), pod])));
    return String(objectAt(list, "metadata").resourceVersion);
  }

  /** Takes a watch to its end. */
  watch(text: string, initial: boolean): void {
    let first: Map<string, JsonObject> | undefined = initial ? new Map() : undefined;
    for (const line of text.split("\n").slice(0, -1)) {
      const event = objectOf(parseStrictJson(line));
      const pod = objectAt(event, "object");
      const pods = first ?? this.#pods;
      switch (event.type) {
        case "ADDED":
        case "MODIFIED":
          pods.set(keyOf(pod), pod);
          break;
        case "DELETED":
          pods.delete(keyOf(pod));
          break;
        case "BOOKMARK":
          if (
            objectAt(objectAt(pod, "metadata"), "annotations")["k8s.io/initial-events-end"] === "true" &&
            first
          ) {
            this.#replace(first);
            first = undefined;
          }
          continue;
        case "ERROR":
          return;
        default:
          this.problems.push(`an event of type ${String(event.type)} was sent`);
      }
      // What the first events hold is not handed on yet; it is checked all the same.
      this.#check(pods);
    }
  }

  #replace(pods: Map<string, JsonObject>): void {
    this.#pods = pods;
    this.#check(pods);
  }

  #check(pods: Map<string, JsonObject>): void {
    for (const key of pods.keys()) this.held.add(key);
    this.problems.push(...this.invariant.check([...pods.values()]));
  }
}

/** Runs one input through the pod gate: a list, a watch that goes on from there, and a new beginning with a watch. */
export async function runInput(subject: Subject, input: Input): Promise<RunResult> {
  const log = new MemoryLog();
  const store = new Store(subject.invariant());
  const features = new Set<string>();
  const gate = createPodGate({
    upstream: upstreamOf((request) => {
      const { pathname, searchParams } = new URL(request.url);
      if (request.method !== "GET" || pathname !== "/api/v1/pods") return new Response(null, { status: 404 });
      const bytes = searchParams.has("watch") ? input.watch : input.list;
      return new Response(chunked(bytes, input.chunkBytes), {
        headers: { "content-type": "application/json" },
      });
    }),
    verifier: subject.verifier,
    ledger: await memoryLedger(),
    log,
    mode: "enforce",
    nodeName: NODE_NAME,
    clock: new ManualClock(new Date("2026-01-02T00:00:00Z")),
    random: () => 0.5,
  });
  const query = (more: Record<string, string> = {}) =>
    new URLSearchParams({ fieldSelector: `spec.nodeName=${NODE_NAME}`, ...more });
  const leaving = new AbortController();
  const run = async () => {
    const list = await gate.list(query(), leaving.signal);
    features.add(`list ${list.status}`);
    const text = await list.text();
    if (list.status === 200) {
      const resourceVersion = store.list(text);
      const watch = await gate.watch(query({ watch: "true", resourceVersion }), leaving.signal);
      features.add(`watch ${watch.status}`);
      if (watch.status === 200) store.watch(await watch.text(), false);
    }
    const watch = await gate.watch(query({ watch: "true", sendInitialEvents: "true" }), leaving.signal);
    features.add(`initial ${watch.status}`);
    if (watch.status === 200) store.watch(await watch.text(), true);
  };
  try {
    await within(run());
  } catch (error) {
    store.problems.push(`the proxy has failed: ${error instanceof Error ? error.stack : String(error)}`);
  }
  leaving.abort();
  await gate.close(0);
  return conclude(store, log, features);
}

/** The way over sockets, with HTTP of its own. */
export class SocketWay {
  readonly #pki: TestPki;
  readonly #server: HostileServer;
  readonly #client: Deno.HttpClient;
  #answers: { list: Uint8Array; watch: Uint8Array } = { list: new Uint8Array(0), watch: new Uint8Array(0) };

  constructor(pki: TestPki) {
    this.#pki = pki;
    this.#server = new HostileServer({
      certificate: pki.server.certificate,
      key: pki.server.key,
      clientCa: pki.authority.certificate,
    });
    this.#client = Deno.createHttpClient({
      caCerts: [pki.authority.certificate],
      cert: pki.node.certificate,
      key: pki.node.key,
    });
    this.#server.lie = ({ kind }) => async (wire) => {
      if (kind === "list" || kind === "watch") await wire.write(this.#answers[kind]);
      wire.close("end");
    };
  }

  listen(): Promise<void> {
    return this.#server.listen();
  }

  async run(subject: Subject, answers: { list: Uint8Array; watch: Uint8Array }): Promise<RunResult> {
    this.#answers = answers;
    const store = new Store(subject.invariant());
    const features = new Set<string>();
    const proxy = await startProxy({
      pki: this.#pki,
      upstreamPort: this.#server.port,
      verifier: subject.verifier,
      headersTimeoutMs: HEADERS_TIMEOUT_MS,
    });
    const get = async (query: string) => {
      const response = await fetch(
        `${proxy.url}/api/v1/pods?fieldSelector=spec.nodeName%3D${NODE_NAME}${query}`,
        { client: this.#client },
      );
      features.add(`http${query.slice(0, 6)} ${response.status}`);
      const text = await response.text();
      return response.status === 200 ? text : undefined;
    };
    const run = async () => {
      const list = await get("&limit=500");
      if (list !== undefined) store.list(list);
      const watch = await get("&watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan");
      if (watch !== undefined) store.watch(watch, true);
    };
    try {
      await within(run());
    } catch (error) {
      store.problems.push(`the proxy has failed: ${messageOf(error)}`);
    }
    await proxy.close();
    return conclude(store, proxy.log, features);
  }

  async close(): Promise<void> {
    await this.#server.close();
    this.#client.close();
  }
}

/** Both documents as whole answers of HTTP. */
export function answersOf({ list, watch }: Input): { list: Uint8Array; watch: Uint8Array } {
  const decoder = new TextDecoder();
  const head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n";
  const chunks = (bytes: Uint8Array) => new TextDecoder("latin1").decode(chunk(decoder.decode(bytes)));
  return {
    list: latin(`${head}Content-Length: ${list.length}\r\n\r\n${new TextDecoder("latin1").decode(list)}`),
    watch: latin(`${head}Transfer-Encoding: chunked\r\n\r\n${chunks(watch)}0\r\n\r\n`),
  };
}

function latin(text: string): Uint8Array {
  // windows-1252, which TextDecoder takes for latin1, differs in a few bytes; a fuzzer does not mind.
  return Uint8Array.from(text, (character) => character.charCodeAt(0) & 0xff);
}

async function within(work: Promise<void>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<void>((_resolve, reject) => {
    timer = setTimeout(
      () => reject(new Error(`it takes longer than ${RUN_DEADLINE_MS} ms`)),
      RUN_DEADLINE_MS,
    );
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

function conclude(store: Store, log: MemoryLog, features: Set<string>): RunResult {
  for (const { level, event, message, fields } of log.lines) {
    if (event === "request") continue;
    const problem = event === "answer-refused" || event === "watch-malformed"
      ? message.replaceAll(/"[^"]*"|[0-9]+/g, "·").slice(0, 120)
      : "";
    features.add([event, fields.code ?? "", problem].join(" "));
    if (
      event === "request-failed" || event === "judge-failed" ||
      (level === "error" && event.endsWith("-failed"))
    ) {
      // The proxy noticed that it has a defect.
      store.problems.push(`${event}: ${message} ${JSON.stringify(fields)}`);
    }
  }
  return { problems: store.problems, features, checks: store.invariant.checks, held: store.held };
}

/** What a time of fuzzing came to. */
export interface FuzzReport {
  runs: number;
  checks: number;
  features: number;
  corpus: number;
  finding?: Finding;
}

/** An input that broke something. */
export interface Finding {
  problems: string[];
  /** Base64 of what the list and the watch were answered with. */
  list: string;
  watch: string;
  chunkBytes: number;
  /** Whether these are whole answers of HTTP. */
  http: boolean;
}

/** Fuzzes for some time, or until something is found. */
export async function fuzz(
  subjects: readonly Subject[],
  way: SocketWay,
  { seed, seconds }: { seed: number; seconds: number },
): Promise<FuzzReport> {
  const random = new Random(seed);
  const corpus = subjects.map((subject) => ({ subject, input: subject.input }));
  const seen = new Set<string>();
  const report: FuzzReport = { runs: 0, checks: 0, features: 0, corpus: corpus.length };
  const until = performance.now() + seconds * 1000;
  while (performance.now() < until) {
    const { subject, input: before } = random.pick(corpus);
    const input = mutate(random, before);
    const http = report.runs % SOCKET_RUN_EVERY === SOCKET_RUN_EVERY - 1;
    let answers = { list: input.list, watch: input.watch };
    if (http) {
      const whole = answersOf(random.below(2) === 0 ? before : input);
      answers = { list: mutateAnswer(random, whole.list), watch: mutateAnswer(random, whole.watch) };
    }
    const result = http ? await way.run(subject, answers) : await runInput(subject, input);
    report.runs++;
    report.checks += result.checks;
    const fresh = [...result.features].filter((feature) => !seen.has(feature));
    for (const feature of fresh) seen.add(feature);
    if (fresh.length > 0 && !http && corpus.length < MAX_CORPUS) corpus.push({ subject, input });
    if (result.problems.length > 0) {
      report.finding = {
        problems: result.problems.slice(0, 5),
        list: encodeBase64(answers.list),
        watch: encodeBase64(answers.watch),
        chunkBytes: input.chunkBytes,
        http,
      };
      break;
    }
  }
  report.features = seen.size;
  report.corpus = corpus.length;
  return report;
}

/** Runs a finding again. */
export async function replay(subject: Subject, way: SocketWay, finding: Finding): Promise<RunResult> {
  const answers = { list: decodeBase64(finding.list), watch: decodeBase64(finding.watch) };
  return finding.http
    ? await way.run(subject, answers)
    : await runInput(subject, { ...answers, chunkBytes: finding.chunkBytes });
}

function objectOf(value: JsonValue): JsonObject {
  if (!isJsonObject(value)) throw new TypeError("what the proxy sent is no object");
  return value;
}

function keyOf(pod: JsonObject): string {
  const { namespace, name } = objectAt(pod, "metadata");
  return `${String(namespace)}/${String(name)}`;
}
