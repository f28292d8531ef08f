import assert from "node:assert/strict";
import type { JsonObject, JsonValue } from "@signed-pods/shared/json";
import { MAX_OPEN_WATCHES } from "./pod_watch.ts";
import { MAX_WATCH_LINE_BYTES } from "../watch_stream.ts";
import { WATCH_SILENCE_TIMEOUT_MS } from "./watch_silence.ts";
import { settle } from "../../tests/fakes/clock.ts";
import { makeGate, type TestGate } from "../../tests/fakes/gate.ts";
import {
  makeMirror,
  makePod,
  NODE_NAME,
  objectOf,
  Owner,
  uidOf,
  withImage,
  withMetadata,
} from "../../tests/fakes/owner.ts";
import { chunked, jsonAnswer, upstreamAnswering, upstreamOf } from "../../tests/fakes/upstream.ts";

const owner = await Owner.create();
const GOOD = await owner.signedPod();
const OTHER = await owner.signedPod({ name: "other", uid: uidOf(2) });
const EVIL = withImage(GOOD, "registry.example/evil:1");
const FROM_START = `fieldSelector=spec.nodeName%3D${NODE_NAME}&sendInitialEvents=true&watch=true`;

function line(type: string, object: JsonValue): string {
  return JSON.stringify({ type, object }) + "\n";
}

function bookmark(resourceVersion: string, annotations?: JsonObject): string {
  return line("BOOKMARK", {
    kind: "Pod",
    apiVersion: "v1",
    metadata: {
      resourceVersion,
      creationTimestamp: null,
      labels: { a: "b" },
      ...(annotations === undefined ? {} : { annotations }),
    },
    spec: { containers: [{ name: "evil", image: "evil" }] },
  });
}

const END = bookmark("50", { "k8s.io/initial-events-end": "true", other: "x" });

function stream(text: string | Uint8Array, chunkBytes = 1 << 20): Response {
  const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
  return new Response(chunked(bytes, chunkBytes), { headers: { "content-type": "application/json" } });
}

async function watch(bench: TestGate, query = FROM_START): Promise<JsonObject[]> {
  const response = await bench.fetch(`/api/v1/pods?${query}`);
  assert.equal(response.status, 200);
  assert.equal(response.headers.get("content-type"), "application/json");
  const text = await response.text();
  assert.ok(text === "" || text.endsWith("\n"));
  return text.split("\n").slice(0, -1).map((event) => objectOf(JSON.parse(event)));
}

async function watchText(
  text: string | Uint8Array,
  chunkBytes?: number,
): Promise<{ told: string[]; bench: TestGate }> {
  const bench = await makeGate({ owner, upstream: upstreamAnswering(() => stream(text, chunkBytes)) });
  return { told: (await watch(bench)).map(brief), bench };
}

/** An event in a few words. */
function brief(event: JsonObject): string {
  const { metadata = {}, reason } = objectOf(event["object"]);
  const { name = reason ?? "", deletionTimestamp } = objectOf(metadata);
  return `${String(event["type"])} ${String(name)}${deletionTimestamp === undefined ? "" : " stopping"}`
    .trim();
}

const SESSION = [
  line("ADDED", GOOD),
  line("ADDED", makePod({ name: "rogüe€😀", uid: uidOf(9) })),
  line("ADDED", makePod({ name: "rogue", uid: uidOf(3) })),
  line("ADDED", makeMirror({ uid: uidOf(4) })),
  END,
  line("MODIFIED", withMetadata(GOOD, { resourceVersion: "51", labels: { "é€😀": "x" } })),
  line("MODIFIED", makePod({ name: "rogue", uid: uidOf(3) })),
  line("ADDED", OTHER),
  bookmark("53", { "k8s.io/initial-events-end": "false" }),
  line("MODIFIED", EVIL),
  line("DELETED", OTHER),
  line("DELETED", makePod({ name: "rogue", uid: uidOf(3) })),
  line("ERROR", { kind: "Status", apiVersion: "v1", code: 410, reason: "Expired", message: "too old" }),
].join("");

const TOLD = [
  "ADDED web",
  "ADDED static-worker",
  "BOOKMARK",
  "MODIFIED web",
  "ADDED other",
  "BOOKMARK",
  "MODIFIED web stopping",
  "DELETED other",
  "DELETED rogue",
  "ERROR Expired",
];

Deno.test("a watch is the same at every chunk size, also when UTF-8 is split", async () => {
  const bytes = new TextEncoder().encode(SESSION);
  for (const size of [1, 2, 3, 5, 64, 1000, 4096, bytes.length]) {
    assert.deepEqual((await watchText(bytes, size)).told, TOLD);
  }
});

Deno.test("a last line without a line feed counts if it is complete", async () => {
  for (const size of [1, 1 << 20]) {
    assert.deepEqual((await watchText(SESSION.slice(0, -1), size)).told, TOLD);
  }
});

Deno.test("refuses a last line that is cut off, at whatever byte, and ends cleanly", async () => {
  const bytes = new TextEncoder().encode(line("ADDED", OTHER) + line("ADDED", GOOD));
  const second = bytes.indexOf(0x0a) + 1;
  for (let length = second + 1; length < bytes.length - 1; length += 13) {
    const { told, bench } = await watchText(bytes.slice(0, length));
    assert.deepEqual(told, ["ADDED other"]);
    assert.equal(bench.log.of("watch-malformed").length, 1);
  }
});

Deno.test("bookmarks keep their version and the end of the initial events, and nothing else", async () => {
  const bench = await makeGate({
    owner,
    upstream: upstreamAnswering(() => stream(END + bookmark("60", { a: "b" }))),
  });
  assert.deepEqual(await watch(bench), [
    {
      type: "BOOKMARK",
      object: {
        kind: "Pod",
        apiVersion: "v1",
        metadata: { resourceVersion: "50", annotations: { "k8s.io/initial-events-end": "true" } },
      },
    },
    { type: "BOOKMARK", object: { kind: "Pod", apiVersion: "v1", metadata: { resourceVersion: "60" } } },
  ]);
});

Deno.test("an ERROR is built again", async () => {
  const error = {
    kind: "Status",
    apiVersion: "v1",
    metadata: { a: 1 },
    code: 99,
    message: "a\nb",
    status: "Success",
  };
  const bench = await makeGate({ owner, upstream: upstreamAnswering(() => stream(line("ERROR", error))) });
  assert.deepEqual(await watch(bench), [{
    type: "ERROR",
    object: {
      kind: "Status",
      apiVersion: "v1",
      metadata: {},
      status: "Failure",
      message: "a b",
      reason: "InternalError",
      code: 500,
    },
  }]);
});

for (
  const [what, bad] of [
    ["that is not JSON", "{\n"],
    ["that is empty", "\n"],
    ["that is an array", "[]\n"],
    ["with a key twice", line("ADDED", OTHER).replace("{", '{"type":"DELETED",')],
    ["with two documents", line("ADDED", OTHER).replace("\n", "{}\n")],
    ["that is not UTF-8", new Uint8Array([0x22, 0xff, 0x22, 0x0a])],
    ["without a type", line("ADDED", OTHER).replace('"type":"ADDED",', "")],
    ["of another type", line("SYNCED", OTHER)],
    ["of a type in lower case", line("added", OTHER)],
    ["without an object", line("ADDED", null)],
    ["with a list as object", line("ADDED", [OTHER])],
    ["with an object of another kind", line("ADDED", { ...OTHER, kind: "PodList" })],
    ["with an object without a kind", line("MODIFIED", { metadata: {}, spec: {} })],
    ["that deletes another kind", line("DELETED", { ...OTHER, kind: "Node" })],
    ["that is a bookmark of another kind", line("BOOKMARK", { ...OTHER, kind: "Node" })],
    ["that is a bookmark without metadata", line("BOOKMARK", { kind: "Pod", apiVersion: "v1" })],
    ["that is a bookmark without a version", bookmark("x")],
    ["that is an error without a Status", line("ERROR", OTHER)],
    ["that is over the bound", new Uint8Array(MAX_WATCH_LINE_BYTES + 1).fill(0x20)],
  ] as const
) {
  Deno.test(`refuses a line ${what}: what came before is told, and the watch ends`, async () => {
    const encoder = new TextEncoder();
    const bytes = new Uint8Array(
      await new Blob([
        encoder.encode(line("ADDED", GOOD)),
        typeof bad === "string" ? encoder.encode(bad) : bad,
        encoder.encode(line("ADDED", OTHER)),
      ]).arrayBuffer(),
    );
    for (const size of [1 << 12, 1 << 25]) {
      const { told, bench } = await watchText(bytes, size);
      assert.deepEqual(told, ["ADDED web"]);
      assert.equal(bench.log.of("watch-malformed").length, 1);
    }
  });
}

for (
  const [what, make, code] of [
    [
      "in protobuf",
      () =>
        new Response("", { headers: { "content-type": "application/vnd.kubernetes.protobuf;stream=watch" } }),
      502,
    ],
    [
      "in gzip",
      () => jsonAnswer("", { headers: { "content-type": "application/json", "content-encoding": "gzip" } }),
      502,
    ],
    ["with status 202", () => jsonAnswer("", { status: 202 }), 502],
    ["with a redirect", () => new Response(null, { status: 301, headers: { location: "/" } }), 502],
    ["with 403", () => jsonAnswer({}, { status: 403 }), 403],
    ["with 429", () => jsonAnswer({}, { status: 429 }), 429],
  ] as const
) {
  Deno.test(`refuses a watch that is answered ${what}`, async () => {
    const bench = await makeGate({ owner, upstream: upstreamAnswering(make) });
    for (let time = 0; time < MAX_OPEN_WATCHES + 1; time++) {
      const response = await bench.fetch(`/api/v1/pods?${FROM_START}`);
      assert.equal(response.status, code);
      assert.equal(objectOf(await response.json())["kind"], "Status");
    }
  });
}

Deno.test("refuses an event that cannot be judged: the watch ends", async () => {
  const bench = await makeGate({
    owner,
    upstream: upstreamAnswering(() => stream(END + line("ADDED", GOOD) + END)),
  });
  bench.ledger.flush = () =>
    bench.ledger.size > 0 ? Promise.reject(new Error("no space left on device")) : Promise.resolve();
  assert.deepEqual((await watch(bench)).map(brief), ["BOOKMARK"]);
  assert.equal(bench.log.of("watch-failed").length, 1);
});

Deno.test("refuses to resume where this process has not been, and tells first what is being stopped", async () => {
  const bench = await makeGate({
    owner,
    upstream: upstreamAnswering(() => stream(line("ADDED", GOOD) + END)),
  });
  await watch(bench);
  await bench.gate.judgeAgain(new Set([owner.verificationKey.id]));
  const covering = `fieldSelector=spec.nodeName%3D${NODE_NAME}&watch=true&resourceVersion=50`;
  const events = await watch(bench, covering);
  assert.deepEqual(events.map(brief), ["MODIFIED web stopping", "ERROR Expired"]);
  // The kubelet stays at its place: a version that it has not seen is not put into its hands.
  assert.equal(objectOf(objectOf(events[0]?.["object"])["metadata"])["resourceVersion"], "50");
  for (const other of [`watch=true&resourceVersion=50`, covering.replace("=50", "=5x")]) {
    const response = await bench.fetch(`/api/v1/pods?${other}`);
    assert.equal(response.status, 410);
    await response.body?.cancel();
  }
});

Deno.test("refuses to wait for a silent API server before it tells what is being stopped", async () => {
  let silent = false;
  const bench = await makeGate({
    owner,
    upstream: upstreamOf((request) =>
      !silent
        ? stream(line("ADDED", GOOD) + END)
        : new Promise((_, reject) =>
          request.signal.addEventListener("abort", () => reject(request.signal.reason))
        )
    ),
  });
  await watch(bench);
  silent = true;
  const events = watch(bench, `fieldSelector=spec.nodeName%3D${NODE_NAME}&watch=true&resourceVersion=50`);
  await settle();
  await bench.gate.judgeAgain(new Set([owner.verificationKey.id]));
  assert.deepEqual((await events).map(brief), ["MODIFIED web stopping", "ERROR Expired"]);
});

Deno.test("refuses to resume where this process has not been: 410, so that client-go lists again", async () => {
  let asked = 0;
  const bench = await makeGate({
    owner,
    upstream: upstreamOf(() => {
      asked++;
      return stream(
        line("ADDED", GOOD) + END + line("MODIFIED", withMetadata(GOOD, { resourceVersion: "55" })),
      );
    }),
  });
  for (const version of ["50", "x y"]) {
    const response = await bench.fetch(
      `/api/v1/pods?watch=true&${new URLSearchParams({ resourceVersion: version })}`,
    );
    assert.equal(response.status, 410);
    assert.equal(objectOf(await response.json())["reason"], "Expired");
  }
  assert.equal(asked, 0);
  await watch(bench);
  for (const version of ["50", "55", "1", "0", ""]) {
    assert.ok((await watch(bench, `watch=true&resourceVersion=${version}`)).length > 0, version);
  }
  assert.equal((await watch(bench, "watch=true&resourceVersion=77&sendInitialEvents=1")).length, 3);
});

Deno.test("a list's version is one to watch from", async () => {
  const items = [GOOD];
  const bench = await makeGate({
    owner,
    upstream: upstreamOf((request) =>
      request.url.includes("watch=true")
        ? stream(line("MODIFIED", GOOD))
        : jsonAnswer({ kind: "PodList", apiVersion: "v1", metadata: { resourceVersion: "42" }, items })
    ),
  });
  await (await bench.fetch("/api/v1/pods")).text();
  assert.deepEqual((await watch(bench, "watch=true&resourceVersion=42")).map(brief), ["MODIFIED web"]);
});

Deno.test("the end of the initial events is the truth: other pods are forgotten", async () => {
  const texts = [line("ADDED", GOOD) + line("ADDED", OTHER) + END, line("ADDED", GOOD) + END];
  const bench = await makeGate({ owner, upstream: upstreamOf(() => stream(texts.shift() ?? "")) });
  await watch(bench);
  assert.equal(bench.ledger.size, 2);
  await watch(bench);
  assert.deepEqual([...bench.ledger.entries()].map(({ name }) => name), ["web"]);
});

Deno.test("initial events that do not end, and a later bookmark of an end, make nothing forgotten", async () => {
  const texts = [line("ADDED", GOOD) + line("ADDED", OTHER) + END, line("ADDED", GOOD), END];
  const queries = [FROM_START, FROM_START, "watch=true&resourceVersion=50"];
  const bench = await makeGate({ owner, upstream: upstreamOf(() => stream(texts.shift() ?? "")) });
  for (const query of queries) {
    await watch(bench, query);
  }
  assert.equal(bench.ledger.size, 2);
});

interface Live {
  bench: TestGate;
  send(text: string): void;
  /** Ends the stream from the API server's side. */
  finish(): void;
  fail(): void;
  /** The API server has seen its request end. */
  ended(): boolean;
  pulls(): number;
}

/** An API server whose watch stays open. */
async function makeLive(options: { mode?: "audit"; deaf?: boolean } = {}): Promise<Live> {
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  let ended = false;
  let pulls = 0;
  const bench = await makeGate({
    owner,
    ...(options.mode === undefined ? {} : { mode: options.mode }),
    upstream: upstreamOf((request) => {
      const body = new ReadableStream<Uint8Array>({
        start: (made) => {
          controller = made;
        },
        pull: () => void pulls++,
        cancel: () => {
          ended = true;
        },
      }, { highWaterMark: 0 });
      if (options.deaf !== true) {
        request.signal.addEventListener("abort", () => {
          ended = true;
          controller?.error(request.signal.reason);
        });
      }
      return new Response(body, { headers: { "content-type": "application/json" } });
    }),
  });
  return {
    bench,
    send: (text) => controller?.enqueue(new TextEncoder().encode(text)),
    finish: () => controller?.close(),
    fail: () => controller?.error(new TypeError("connection reset")),
    ended: () => ended,
    pulls: () => pulls,
  };
}

async function readText(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<string | undefined> {
  const { done, value } = await reader.read();
  return done ? undefined : new TextDecoder().decode(value);
}

function bodyReader(response: Response): ReadableStreamDefaultReader<Uint8Array> {
  assert.ok(response.body !== null);
  return response.body.getReader();
}

Deno.test("headers are there before any event, and each event as it comes", async () => {
  const live = await makeLive();
  const reader = bodyReader(await live.bench.fetch(`/api/v1/pods?${FROM_START}`));
  const first = reader.read();
  await settle();
  live.send(line("ADDED", GOOD).slice(0, 40));
  await settle();
  live.send(line("ADDED", GOOD).slice(40));
  const { value } = await first;
  assert.match(new TextDecoder().decode(value), /^\{"type":"ADDED".*\n$/);
  const second = readText(reader);
  live.send(bookmark("51"));
  assert.match(await second ?? "", /BOOKMARK/);
  await reader.cancel();
});

Deno.test("nothing is read from the API server that the kubelet has not asked for", async () => {
  const live = await makeLive();
  const response = await live.bench.fetch(`/api/v1/pods?${FROM_START}`);
  await settle();
  assert.equal(live.pulls(), 0);
  const reader = bodyReader(response);
  const first = readText(reader);
  live.send(bookmark("51"));
  await first;
  await settle();
  assert.equal(live.pulls(), 1);
  await reader.cancel();
});

Deno.test("a watch ends upstream when the kubelet leaves, by its signal or by cancelling the body", async () => {
  for (const deaf of [false, true]) {
    const cancelled = await makeLive({ deaf });
    await (await cancelled.bench.fetch(`/api/v1/pods?${FROM_START}`)).body?.cancel();
    await settle();
    assert.equal(cancelled.ended(), true);

    const left = await makeLive({ deaf });
    const leaving = new AbortController();
    const response = await left.bench.gate.watch(new URLSearchParams(FROM_START), leaving.signal);
    const pending = response.text();
    leaving.abort();
    assert.equal(await pending, "");
    assert.equal(left.ended(), true);
  }
});

Deno.test("a watch ends upstream when the kubelet has left before the answer", async () => {
  const bench = await makeGate({
    owner,
    upstream: upstreamOf((request) =>
      new Promise((_resolve, reject) => {
        request.signal.addEventListener("abort", () => reject(request.signal.reason));
      })
    ),
  });
  const leaving = new AbortController();
  const pending = bench.gate.watch(new URLSearchParams(FROM_START), leaving.signal);
  leaving.abort();
  await assert.rejects(pending, { name: "AbortError" });
  await assert.rejects(bench.gate.watch(new URLSearchParams(FROM_START), leaving.signal), {
    name: "AbortError",
  });
});

Deno.test("a watch ends cleanly when the API server ends it, or breaks off", async () => {
  for (const end of ["finish", "fail"] as const) {
    const live = await makeLive();
    const response = await live.bench.fetch(`/api/v1/pods?${FROM_START}`);
    const text = response.text();
    live.send(line("ADDED", GOOD));
    await settle();
    live[end]();
    assert.match(await text, /^\{"type":"ADDED"[^\n]*\n$/);
  }
});

Deno.test("watches end cleanly when the gate closes, read or not, and new ones do not begin", async () => {
  const live = await makeLive();
  const reading = await live.bench.fetch(`/api/v1/pods?${FROM_START}`);
  const pending = reading.text();
  const unread = await live.bench.fetch(`/api/v1/pods?${FROM_START}`);
  await settle();
  await live.bench.gate.close(0);
  assert.equal(await pending, "");
  assert.equal(await unread.text(), "");
  assert.equal(live.ended(), true);
  await assert.rejects(live.bench.fetch(`/api/v1/pods?${FROM_START}`));
});

Deno.test("an event that is being judged when the watch ends is dropped", async () => {
  let judged = () => {};
  const live = await makeLive();
  const flush = live.bench.ledger.flush;
  live.bench.ledger.flush = async () => {
    await new Promise<void>((resolve) => {
      judged = resolve;
    });
    await flush();
  };
  const pending = (await live.bench.fetch(`/api/v1/pods?${FROM_START}`)).text();
  live.send(line("ADDED", GOOD));
  await settle();
  await live.bench.gate.close(0);
  judged();
  assert.equal(await pending, "");
});

Deno.test("refuses one watch too many, until another ends", async () => {
  const live = await makeLive();
  const responses: Response[] = [];
  for (let count = 0; count < MAX_OPEN_WATCHES; count++) {
    responses.push(await live.bench.fetch(`/api/v1/pods?${FROM_START}`));
  }
  const refused = await live.bench.fetch(`/api/v1/pods?${FROM_START}`);
  assert.equal(refused.status, 429);
  assert.equal(refused.headers.get("retry-after"), "1");
  await responses.pop()?.body?.cancel();
  assert.equal((await live.bench.fetch(`/api/v1/pods?${FROM_START}`)).status, 200);
  await live.bench.gate.close(0);
});

Deno.test("an answer without a body is a watch without events", async () => {
  const bench = await makeGate({
    owner,
    upstream: upstreamAnswering(() =>
      new Response(null, { headers: { "content-type": "application/json" } })
    ),
  });
  for (let count = 0; count <= MAX_OPEN_WATCHES; count++) {
    assert.deepEqual(await watch(bench), []);
  }
});

Deno.test("in audit, watches come back byte for byte at every chunk size, and are judged", async () => {
  const text = ` ${SESSION}`;
  for (const size of [1, 100, 1 << 20]) {
    const bench = await makeGate({
      owner,
      upstream: upstreamAnswering(() => stream(text, size)),
      mode: "audit",
    });
    const response = await bench.fetch(`/api/v1/pods?${FROM_START}`);
    assert.equal(await response.text(), text);
    assert.deepEqual(
      bench.log.events().filter((event) => event.startsWith("pod-")),
      ["pod-admitted", "pod-refused", "pod-refused", "pod-admitted", "pod-refused"],
    );
  }
});

Deno.test("in audit, what cannot be read is logged once and passed on", async () => {
  for (const bad of ["{\n{\n", "x".repeat(MAX_WATCH_LINE_BYTES + 2)]) {
    const text = line("ADDED", OTHER) + bad + line("ADDED", GOOD);
    const bench = await makeGate({
      owner,
      upstream: upstreamAnswering(() => stream(text, 1 << 16)),
      mode: "audit",
    });
    const response = await bench.fetch(`/api/v1/pods?${FROM_START}`);
    assert.equal(await response.text(), text);
    assert.equal(bench.log.of("watch-malformed").length, 1);
    assert.equal(bench.ledger.size, 1);
  }
});

Deno.test("in audit, watches resume anywhere, and failures come back as they are", async () => {
  const bench = await makeGate({
    owner,
    upstream: upstreamAnswering(() => new Response("gone", { status: 410 })),
    mode: "audit",
  });
  for (let count = 0; count <= MAX_OPEN_WATCHES; count++) {
    const response = await bench.fetch("/api/v1/pods?watch=true&resourceVersion=7");
    assert.equal(response.status, 410);
    assert.equal(await response.text(), "gone");
  }
});

Deno.test("a watch of which nothing is heard ends cleanly, also upstream, and can be resumed", async () => {
  const live = await makeLive();
  const response = await live.bench.fetch(`/api/v1/pods?${FROM_START}`);
  const text = response.text();
  live.send(line("ADDED", GOOD));
  await settle();
  await live.bench.clock.advance(WATCH_SILENCE_TIMEOUT_MS - 1);
  live.send(END);
  await settle();
  await live.bench.clock.advance(WATCH_SILENCE_TIMEOUT_MS);
  assert.equal((await text).split("\n").length, 3);
  assert.equal(live.ended(), true);
  assert.deepEqual(live.bench.log.of("watch-silent").map(({ fields }) => fields), [
    { path: "/api/v1/pods", seconds: WATCH_SILENCE_TIMEOUT_MS / 1000 },
  ]);
  assert.equal(live.bench.clock.timers, 0);
});
