import assert from "node:assert/strict";
import type { JsonObject } from "@signed-pods/shared/json";
import { settle } from "../../tests/fakes/clock.ts";
import {
  bookmarkLine,
  eventLine,
  eventsOf,
  listOf,
  makeMetadata,
  makeObjectGate,
  makeService,
} from "../../tests/fakes/objects.ts";
import { objectOf, uidOf } from "../../tests/fakes/owner.ts";
import { chunked, jsonAnswer, upstreamAnswering, upstreamOf } from "../../tests/fakes/upstream.ts";
import { WATCH_SILENCE_TIMEOUT_MS } from "../pods/watch_silence.ts";
import { MAX_WATCH_LINE_BYTES } from "../watch_stream.ts";
import {
  MAX_CONCURRENT_OBJECT_LISTS,
  MAX_CONCURRENT_OBJECTS,
  MAX_OBJECT_BYTES,
  MAX_OBJECT_LIST_BYTES,
  MAX_OBJECT_LIST_ITEMS,
  MAX_REFRESHED_STREAMS,
  MAX_SERVED_OBJECT_VERSIONS,
} from "./object_gate.ts";
import type { JudgedContent, PodReferences } from "./pod_references.ts";
import { MAX_REMEMBERED_REFUSALS } from "./refusal_log.ts";

const SERVICES = "/api/v1/services?fieldSelector=spec.clusterIP%21%3DNone";
const WATCH = `${SERVICES}&watch=true&sendInitialEvents=true`;
const EVIL = makeService("bash_env=a", { clusterIP: "$(id)" });

async function statusOf(response: Response): Promise<{ code: number; message: string }> {
  const { kind, code, message } = objectOf(await response.json());
  assert.equal(kind, "Status");
  assert.equal(code, response.status);
  return { code: response.status, message: String(message) };
}

function namesOf(list: JsonObject): unknown[] {
  assert.ok(Array.isArray(list["items"]));
  return list["items"].map((item) => objectOf(objectOf(item)["metadata"])["name"]);
}

function stream(text: string, chunkBytes = 1 << 20): Response {
  return new Response(chunked(new TextEncoder().encode(text), chunkBytes), {
    headers: { "content-type": "application/json" },
  });
}

/** An event in a few words. */
function brief(event: JsonObject): string {
  const { metadata = {}, code, kind } = objectOf(event["object"]);
  const { name = code ?? "" } = objectOf(metadata);
  return `${String(event["type"])} ${String(kind)} ${String(name)}`.trim();
}

const SESSION = [
  eventLine("ADDED", makeService("web")),
  eventLine("ADDED", EVIL),
  bookmarkLine("Service", "v1", "50", true),
  eventLine("MODIFIED", makeService("web", { clusterIP: "10.96.0.8" })),
  eventLine("MODIFIED", makeService("web", { clusterIP: "$(id)" })),
  eventLine("DELETED", makeService("gone", { clusterIP: "$(id)" })),
  bookmarkLine("Service", "v1", "53"),
  eventLine("ERROR", { kind: "Status", apiVersion: "v1", code: 410, reason: "Expired", message: "too old" }),
  eventLine("ADDED", makeService("after-the-end")),
].join("");

const TOLD = [
  "ADDED Service web",
  "BOOKMARK Service",
  "MODIFIED Service web",
  "DELETED Service gone",
  "BOOKMARK Service",
  "ERROR Status 410",
];

Deno.test("a list comes back built again, without what is refused", async () => {
  const { ask, log } = makeObjectGate({
    upstream: upstreamOf((request) => {
      assert.equal(request.headers.get("accept"), "application/json");
      assert.equal(new URL(request.url).search, "?fieldSelector=spec.clusterIP%21%3DNone&limit=500");
      return jsonAnswer({
        ...listOf("Service", "v1", [makeService("a"), EVIL, makeService("b")]),
        metadata: { resourceVersion: "50", continue: "abc", remainingItemCount: 3, x: 1 },
        x: 1,
      });
    }),
  });
  const response = await ask("GET", `${SERVICES}&limit=500`);
  assert.equal(response.status, 200);
  assert.equal(response.headers.get("content-type"), "application/json");
  const list = objectOf(await response.json());
  assert.deepEqual(Object.keys(list), ["kind", "apiVersion", "metadata", "items"]);
  assert.deepEqual([list["kind"], list["apiVersion"]], ["ServiceList", "v1"]);
  assert.deepEqual(list["metadata"], { resourceVersion: "50", continue: "abc" });
  assert.deepEqual(namesOf(list), ["a", "b"]);
  const [line] = log.of("object-refused");
  assert.deepEqual([line?.level, line?.fields["resource"], line?.fields["name"]], [
    "warn",
    "services",
    "bash_env=a",
  ]);
  assert.match(String(line?.fields["reason"]), /^metadata\.name is not .*; spec\.clusterIP is not /);
});

Deno.test("a watch is the same at every chunk size: refused events are dropped, deletions pass", async () => {
  for (const size of [1, 2, 7, 100, 4096, 1 << 20]) {
    const { ask } = makeObjectGate({ upstream: upstreamAnswering(() => stream(SESSION, size)) });
    const response = await ask("GET", WATCH);
    assert.equal(response.status, 200);
    const events = await eventsOf(response);
    assert.deepEqual(events.map(brief), TOLD);
    assert.deepEqual(events[1]?.["object"], {
      kind: "Service",
      apiVersion: "v1",
      metadata: { resourceVersion: "50", annotations: { "k8s.io/initial-events-end": "true" } },
    });
    assert.deepEqual(events[3]?.["object"], {
      kind: "Service",
      apiVersion: "v1",
      metadata: { name: "gone", namespace: "default", resourceVersion: "41" },
    });
  }
});

Deno.test("a refusal is told once for each reason, and again after the object was good", async () => {
  const bad = makeService("web", { clusterIP: "x" });
  const { ask, log } = makeObjectGate({
    upstream: upstreamAnswering(() =>
      stream(
        [bad, bad, makeService("web", { clusterIP: "y", ports: [{ port: 0 }] }), makeService("web"), bad].map(
          (
            object,
          ) => eventLine("MODIFIED", object),
        ).join(""),
      )
    ),
  });
  assert.equal((await eventsOf(await ask("GET", WATCH))).length, 1);
  assert.equal(log.of("object-refused").length, 3);
});

Deno.test("refusals that are remembered are bounded", async () => {
  const many = Array.from({ length: MAX_REMEMBERED_REFUSALS + 1 }, (_, index) => makeService(`x_${index}`));
  const { ask, log } = makeObjectGate({
    upstream: upstreamAnswering(() => jsonAnswer(listOf("Service", "v1", many))),
  });
  await (await ask("GET", SERVICES)).body?.cancel();
  assert.equal(log.of("object-refused").length, MAX_REMEMBERED_REFUSALS + 1);
  await (await ask("GET", SERVICES)).body?.cancel();
  assert.ok(log.of("object-refused").length > MAX_REMEMBERED_REFUSALS + 1, "the oldest was forgotten");
});

Deno.test("refuses lists that are not what they should be", async () => {
  const good = listOf("Service", "v1", []);
  const tooMany = Array.from({ length: MAX_OBJECT_LIST_ITEMS + 1 }, () => ({}));
  const answers: [string, () => Response][] = [
    ["no JSON", () => jsonAnswer("{")],
    ["duplicate keys", () => jsonAnswer('{"kind":"ServiceList","kind":"ServiceList"}')],
    ["another kind", () => jsonAnswer({ ...good, kind: "PodList" })],
    ["another version", () => jsonAnswer({ ...good, apiVersion: "v2" })],
    ["no version", () => jsonAnswer({ ...good, metadata: {} })],
    ["a strange token", () => jsonAnswer({ ...good, metadata: { resourceVersion: "1", continue: "a b" } })],
    ["no items", () => jsonAnswer({ ...good, items: null })],
    ["an item of another kind", () => jsonAnswer({ ...good, items: [{ kind: "Pod" }] })],
    ["an item that is no object", () => jsonAnswer({ ...good, items: [[]] })],
    ["too many items", () => jsonAnswer({ ...good, items: tooMany })],
    ["too many bytes", () => jsonAnswer(" ".repeat(MAX_OBJECT_LIST_BYTES + 1))],
    [
      "protobuf",
      () => new Response("k8s\0", { headers: { "content-type": "application/vnd.kubernetes.protobuf" } }),
    ],
    ["a redirect", () => new Response(null, { status: 302, headers: { location: "/" } })],
    [
      "compression",
      () => jsonAnswer(good, { headers: { "content-type": "application/json", "content-encoding": "gzip" } }),
    ],
  ];
  for (const [name, answer] of answers) {
    const { ask } = makeObjectGate({ upstream: upstreamAnswering(answer) });
    assert.equal((await statusOf(await ask("GET", SERVICES))).code, 502, name);
  }
});

Deno.test("failures come back built again", async () => {
  const { ask } = makeObjectGate({
    upstream: upstreamAnswering(() =>
      jsonAnswer({ kind: "Status", apiVersion: "v1", code: 404, reason: "NotFound", message: "no", x: 1 }, {
        status: 404,
      })
    ),
  });
  for (const path of [SERVICES, WATCH]) {
    const response = await ask("GET", path);
    assert.equal(response.status, 404);
    assert.equal(objectOf(await response.json())["x"], undefined);
  }
});

Deno.test("refuses events that cannot be read: the watch ends cleanly", async () => {
  const lines: [string, string][] = [
    ["no JSON", "{\n"],
    ["no object", '{"type":"ADDED"}\n'],
    ["another kind", eventLine("ADDED", { ...makeService("x"), kind: "Pod" })],
    ["another version", eventLine("ADDED", { ...makeService("x"), apiVersion: "apps/v1" })],
    ["another type", eventLine("SYNC", makeService("x"))],
    [
      "a bookmark without version",
      eventLine("BOOKMARK", { kind: "Service", apiVersion: "v1", metadata: {} }),
    ],
    ["a bookmark of pods", bookmarkLine("Pod", "v1", "1")],
    ["an error that is no Status", eventLine("ERROR", makeService("x"))],
    ["a line that is too long", " ".repeat(MAX_WATCH_LINE_BYTES + 1) + "\n"],
  ];
  for (const [name, line] of lines) {
    const { ask, log } = makeObjectGate({
      upstream: upstreamAnswering(() =>
        stream(eventLine("ADDED", makeService("web")) + line + eventLine("ADDED", makeService("b")))
      ),
    });
    const events = await eventsOf(await ask("GET", WATCH));
    assert.deepEqual(events.map(brief), ["ADDED Service web"], name);
    assert.equal(log.of("watch-malformed").length, 1, name);
  }
});

Deno.test("refuses deletions without a proper name, and goes on", async () => {
  const { ask } = makeObjectGate({
    upstream: upstreamAnswering(() =>
      stream([
        eventLine("DELETED", makeService("", {})),
        eventLine("DELETED", makeService("a".repeat(254))),
        eventLine("DELETED", makeService("a", {}, { namespace: "A/B" })),
        eventLine("DELETED", makeService("a", {}, { resourceVersion: "x" })),
        eventLine("DELETED", makeService("bash_env=a")),
      ].join(""))
    ),
  });
  // What was shown by an earlier version of the proxy can be taken away by any name.
  assert.deepEqual((await eventsOf(await ask("GET", WATCH))).map(brief), ["DELETED Service bash_env=a"]);
});

Deno.test("refuses to resume where this process has not been: 410, so that client-go lists again", async () => {
  const seen: string[] = [];
  const { ask } = makeObjectGate({
    upstream: upstreamOf((request) => {
      seen.push(new URL(request.url).search);
      return request.url.includes("watch=true")
        ? stream(eventLine("MODIFIED", makeService("web", {}, { resourceVersion: "51" })))
        : jsonAnswer(listOf("Service", "v1", []));
    }),
  });
  const resume = (version: string) => ask("GET", `${SERVICES}&watch=true&resourceVersion=${version}`);
  assert.equal((await statusOf(await resume("50"))).code, 410);
  assert.equal(seen.length, 0);
  await (await ask("GET", SERVICES)).text();
  assert.equal((await eventsOf(await resume("50"))).length, 1);
  assert.equal((await eventsOf(await resume("51"))).length, 1);
  assert.equal((await eventsOf(await resume("0"))).length, 1);
  assert.equal((await statusOf(await resume("52"))).code, 410);
  const elsewhere = await ask("GET", "/api/v1/services?watch=true&resourceVersion=50");
  assert.equal((await statusOf(elsewhere)).code, 410, "the version of another selector");
});

Deno.test("versions that may be resumed at are bounded", async () => {
  let version = 0;
  const { ask } = makeObjectGate({
    upstream: upstreamOf((request) => {
      if (request.url.includes("resourceVersion")) {
        return stream("");
      }
      let text = "";
      for (let count = 0; count <= 2 * MAX_SERVED_OBJECT_VERSIONS; count++) {
        text += bookmarkLine("Service", "v1", String(++version));
      }
      return stream(text);
    }),
  });
  await (await ask("GET", WATCH)).body?.pipeTo(new WritableStream());
  const resume = async (at: number) =>
    (await ask("GET", `${SERVICES}&watch=true&resourceVersion=${at}`)).status;
  const oldest = MAX_SERVED_OBJECT_VERSIONS + 1;
  assert.deepEqual([await resume(oldest - 1), await resume(oldest), await resume(version)], [410, 200, 200]);
});

Deno.test("refuses more lists at once than there is room for", async () => {
  const gates: PromiseWithResolvers<Response>[] = [];
  const { ask } = makeObjectGate({
    upstream: upstreamOf(() => {
      const gate = Promise.withResolvers<Response>();
      gates.push(gate);
      return gate.promise;
    }),
  });
  const asked = Array.from({ length: MAX_CONCURRENT_OBJECT_LISTS }, () => ask("GET", SERVICES));
  await settle();
  assert.equal((await statusOf(await ask("GET", SERVICES))).code, 429);
  gates.forEach((gate) => gate.resolve(jsonAnswer(listOf("Service", "v1", []))));
  for (const answer of await Promise.all(asked)) {
    assert.equal(answer.status, 200);
    await answer.body?.cancel();
  }
});

Deno.test("headers are there before any event, and a watch ends upstream when the kubelet leaves or the gate closes", async () => {
  for (const way of ["leave", "cancel", "close"] as const) {
    const ended = Promise.withResolvers<void>();
    const { ask, gate } = makeObjectGate({
      upstream: upstreamOf((request) => {
        request.signal.addEventListener("abort", () => ended.resolve());
        return new Response(new ReadableStream(), { headers: { "content-type": "application/json" } });
      }),
    });
    const leaving = new AbortController();
    const response = await ask("GET", WATCH, { signal: leaving.signal });
    assert.equal(response.status, 200);
    if (way === "leave") {
      leaving.abort();
      assert.equal(await response.text(), "");
    } else if (way === "cancel") {
      await response.body?.cancel();
    } else {
      gate.close();
      assert.equal(await response.text(), "");
      await assert.rejects(ask("GET", WATCH), "nothing is sent any more");
    }
    await ended.promise;
  }
});

Deno.test("a watch of which nothing is heard ends cleanly", async () => {
  const { ask, clock } = makeObjectGate({
    upstream: upstreamAnswering(() =>
      new Response(new ReadableStream(), { headers: { "content-type": "application/json" } })
    ),
  });
  const text = (await ask("GET", WATCH)).text();
  await settle();
  await clock.advance(WATCH_SILENCE_TIMEOUT_MS);
  assert.equal(await text, "");
});

Deno.test("in audit everything comes back byte for byte, and is judged", async () => {
  const list = JSON.stringify({ ...listOf("Service", "v1", [EVIL]), x: 1 });
  const answers: Record<string, () => Response> = {
    [SERVICES]: () => jsonAnswer(list),
    [WATCH]: () => stream(SESSION, 7),
  };
  for (const [path, expected] of [[SERVICES, list], [WATCH, SESSION]] as const) {
    const { ask, log } = makeObjectGate({
      mode: "audit",
      upstream: upstreamAnswering(answers[path] ?? (() => new Response())),
    });
    const response = await ask("GET", path);
    assert.equal(await response.text(), expected);
    assert.ok(log.of("object-refused").length >= 1, path);
  }
});

Deno.test("in audit what cannot be read is logged and passed on", async () => {
  for (
    const [path, body] of [[SERVICES, "{"], [SERVICES, '{"kind":"PodList"}'], [WATCH, "{\n{\n"]] as const
  ) {
    const { ask, log } = makeObjectGate({
      mode: "audit",
      upstream: upstreamAnswering(() => jsonAnswer(body)),
    });
    assert.equal(await (await ask("GET", path)).text(), body);
    assert.equal(log.lines.filter(({ level }) => level === "error").length, 1);
  }
  const failing = makeObjectGate({
    mode: "audit",
    upstream: upstreamAnswering(() => new Response("no", { status: 500 })),
  });
  for (const path of [SERVICES, WATCH]) {
    const response = await failing.ask("GET", path);
    assert.deepEqual([response.status, await response.text()], [500, "no"]);
  }
});

const CONFIG_MAPS = "/api/v1/namespaces/ns/configmaps";
const NAMED = `${CONFIG_MAPS}?fieldSelector=metadata.name%3Dweb`;

function makeConfigMap(data: JsonObject, metadata: JsonObject = {}): JsonObject {
  return {
    kind: "ConfigMap",
    apiVersion: "v1",
    metadata: makeMetadata("web", { namespace: "ns", ...metadata }),
    data,
  };
}

const BAD = makeConfigMap({ "../x": "evil" });

Deno.test("a single object comes back built again", async () => {
  const { ask } = makeObjectGate({
    upstream: upstreamOf((request) => {
      assert.equal(new URL(request.url).pathname, `${CONFIG_MAPS}/web`);
      return jsonAnswer({ ...makeConfigMap({ a: "b" }), x: 1 });
    }),
  });
  const response = await ask("GET", `${CONFIG_MAPS}/web`);
  assert.equal(response.status, 200);
  const object = objectOf(await response.json());
  assert.deepEqual(Object.keys(object), ["kind", "apiVersion", "metadata", "data"]);
  assert.deepEqual(object["data"], { a: "b" });
});

Deno.test("refuses a single object by its rule, and says which field", async () => {
  const { ask } = makeObjectGate({ upstream: upstreamAnswering(() => jsonAnswer(BAD)) });
  const { code, message } = await statusOf(await ask("GET", `${CONFIG_MAPS}/web`));
  assert.equal(code, 403);
  assert.match(message, /^kubelet-proxy: configmaps "web" is not passed on: data\[\.\.\/x\] /);
});

Deno.test("refuses another object than the one that was asked for", async () => {
  const others = [
    makeConfigMap({}, { name: "other" }),
    makeConfigMap({}, { namespace: "other" }),
    makeConfigMap({}, { namespace: null }),
  ];
  for (const object of others) {
    const { ask } = makeObjectGate({
      upstream: upstreamOf((request) =>
        request.url.includes("watch")
          ? stream(eventLine("ADDED", object) + eventLine("DELETED", object))
          : jsonAnswer(request.url.includes("field") ? listOf("ConfigMap", "v1", [object]) : object)
      ),
    });
    assert.equal((await ask("GET", `${CONFIG_MAPS}/web`)).status, 403);
    assert.equal((await ask("GET", NAMED)).status, 403);
    assert.deepEqual(await eventsOf(await ask("GET", `${NAMED}&watch=true`)), []);
  }
  const kinds = [{ ...makeConfigMap({}), kind: "Secret" }, { ...makeConfigMap({}), apiVersion: "v2" }];
  for (const object of kinds) {
    const { ask } = makeObjectGate({ upstream: upstreamAnswering(() => jsonAnswer(object)) });
    assert.equal((await ask("GET", `${CONFIG_MAPS}/web`)).status, 502);
  }
});

Deno.test("refuses an object of the whole cluster that says it has a namespace", async () => {
  const node = { kind: "Node", apiVersion: "v1", metadata: makeMetadata("worker", { namespace: "x" }) };
  const { ask } = makeObjectGate({ upstream: upstreamAnswering(() => jsonAnswer(node)) });
  assert.equal((await ask("GET", "/api/v1/nodes/worker")).status, 403);
});

Deno.test("refuses the list of one object that is refused, so that the kubelet keeps what it has", async () => {
  const { ask } = makeObjectGate({
    upstream: upstreamOf((request) =>
      request.url.includes("watch")
        ? stream(eventLine("ADDED", BAD) + bookmarkLine("ConfigMap", "v1", "50", true))
        : jsonAnswer(listOf("ConfigMap", "v1", [BAD]))
    ),
  });
  assert.equal((await statusOf(await ask("GET", NAMED))).code, 403);
  const events = await eventsOf(await ask("GET", `${NAMED}&watch=true&sendInitialEvents=true`));
  assert.deepEqual(events.map(brief), ["ERROR Status 403"]);
});

Deno.test("a watch of one object stays at its last good content", async () => {
  const { ask } = makeObjectGate({
    upstream: upstreamAnswering(() =>
      stream([
        eventLine("ADDED", makeConfigMap({ a: "1" })),
        bookmarkLine("ConfigMap", "v1", "50", true),
        eventLine("MODIFIED", BAD),
        eventLine("MODIFIED", makeConfigMap({ a: "2" })),
      ].join(""))
    ),
  });
  const events = await eventsOf(await ask("GET", `${NAMED}&watch=true&sendInitialEvents=true`));
  assert.deepEqual(events.map((event) => objectOf(event["object"])["data"]), [{ a: "1" }, undefined, {
    a: "2",
  }]);
});

Deno.test("what a kubelet writes goes up as it is, and its answer is judged", async () => {
  const node = {
    kind: "Node",
    apiVersion: "v1",
    metadata: makeMetadata("worker"),
    spec: { x: 1 },
    status: {},
  };
  const path = "/api/v1/nodes/worker/status?timeout=10s";
  const { ask } = makeObjectGate({
    upstream: upstreamOf(async (request) => {
      assert.equal(new URL(request.url).search, "?timeout=10s");
      assert.equal(request.headers.get("content-type"), "application/strategic-merge-patch+json");
      assert.equal(request.headers.get("accept"), "application/json");
      assert.equal(await request.text(), "patch");
      return jsonAnswer(node);
    }),
  });
  const headers = {
    "content-type": "application/strategic-merge-patch+json",
    accept: "application/x-protobuf",
  };
  const response = await ask("PATCH", path, { body: "patch", headers });
  assert.equal(response.status, 200);
  assert.deepEqual(objectOf(await response.json())["spec"], {});
});

Deno.test("a write may be answered with a success alone, and a token request by its own group", async () => {
  const csiNode = "/apis/storage.k8s.io/v1/csinodes/worker";
  const status = { kind: "Status", apiVersion: "v1", metadata: {}, status: "Success", details: { x: 1 } };
  const deleted = makeObjectGate({ upstream: upstreamAnswering(() => jsonAnswer(status)) });
  const answer = objectOf(await (await deleted.ask("DELETE", csiNode)).json());
  assert.deepEqual([answer["status"], answer["details"]], ["Success", undefined]);

  const token = {
    kind: "TokenRequest",
    apiVersion: "authentication.k8s.io/v1",
    metadata: { name: "x", namespace: "ns" },
    status: { token: "a.b.c", expirationTimestamp: "2026-01-01T00:00:00Z" },
  };
  const path = "/api/v1/namespaces/ns/serviceaccounts/x/token";
  const tokens = makeObjectGate({ upstream: upstreamAnswering(() => jsonAnswer(token, { status: 201 })) });
  const response = await tokens.ask("POST", path, { body: "{}" });
  assert.equal(response.status, 201);
  assert.deepEqual(await response.json(), token);
});

Deno.test("refuses answers to writes that are not what they should be", async () => {
  const path = "/api/v1/nodes/worker/status";
  const node = { kind: "Node", apiVersion: "v1", metadata: makeMetadata("worker") };
  const answers: [string, JsonObject | string][] = [
    ["another kind", { ...node, kind: "Pod" }],
    ["a refused object", { ...node, spec: { podCIDR: "x" } }],
    ["no JSON", "{"],
    ["a failure in a success", { kind: "Status", apiVersion: "v1", status: "Failure" }],
  ];
  for (const [name, answer] of answers) {
    const { ask } = makeObjectGate({ upstream: upstreamAnswering(() => jsonAnswer(answer)) });
    assert.equal((await statusOf(await ask("PATCH", path, { body: "{}" }))).code, 502, name);
  }
  const conflict = makeObjectGate({ upstream: upstreamAnswering(() => jsonAnswer({}, { status: 409 })) });
  assert.equal((await conflict.ask("PATCH", path, { body: "{}" })).status, 409);
});

Deno.test("refuses a single object that is too long", async () => {
  const long = () => jsonAnswer(" ".repeat(MAX_OBJECT_BYTES + 1));
  for (
    const [method, path] of [["GET", `${CONFIG_MAPS}/web`], ["GET", NAMED], ["PATCH", "/api/v1/nodes/worker"]]
  ) {
    const { ask } = makeObjectGate({ upstream: upstreamAnswering(long) });
    const init = method === "PATCH" ? { body: "{}" } : {};
    assert.equal((await ask(method ?? "", path ?? "", init)).status, 502, path);
  }
});

Deno.test("refuses more requests for single objects at once than there is room for", async () => {
  const waiting = Promise.withResolvers<void>();
  const { ask } = makeObjectGate({
    upstream: upstreamOf(async () => {
      await waiting.promise;
      return jsonAnswer(makeConfigMap({}));
    }),
  });
  const asked = Array.from({ length: MAX_CONCURRENT_OBJECTS }, () => ask("GET", `${CONFIG_MAPS}/web`));
  assert.equal((await ask("GET", `${CONFIG_MAPS}/web`)).status, 429);
  waiting.resolve();
  assert.ok((await Promise.all(asked)).every(({ status }) => status === 200));
});

Deno.test("in audit writes and single objects come back as they are", async () => {
  const text = JSON.stringify({ ...BAD, x: 1 });
  const { ask, log } = makeObjectGate({ mode: "audit", upstream: upstreamAnswering(() => jsonAnswer(text)) });
  assert.equal(await (await ask("GET", `${CONFIG_MAPS}/web`)).text(), text);
  assert.equal(log.of("object-refused").length, 1);
  assert.equal(await (await ask("PATCH", "/api/v1/nodes/worker", { body: "{}" })).text(), text);
});

/** References that write down what they are told. */
function fakeReferences(judge: (object: JsonObject) => JudgedContent, volumeSecrets: string[] = []) {
  const told: string[] = [];
  const references: PodReferences = {
    reserve: () => Promise.resolve(undefined),
    expect: () => {},
    knows: () => false,
    expects: () => false,
    forget: () => {},
    judge(kind, namespace, name, object, arrival) {
      told.push(`judge ${kind} ${namespace}/${name} ${arrival}`);
      return Promise.resolve(judge(object));
    },
    completed: (kind, namespace, name) => void told.push(`completed ${kind} ${namespace}/${name}`),
    usedByVolume: (namespace, name) => void told.push(`volume ${namespace}/${name}`),
    isUsedByVolume: (namespace, name) => volumeSecrets.includes(`${namespace}/${name}`),
    asked: (kind, namespace, name) => void told.push(`asked ${kind} ${namespace}/${name}`),
    deleted: (kind, namespace, name) => void told.push(`deleted ${kind} ${namespace}/${name}`),
    watching(kind, namespace, name) {
      told.push(`watching ${kind} ${namespace}/${name}`);
      return (left) => void told.push(`ended ${kind} ${left ? "by the kubelet" : "otherwise"}`);
    },
    runtimeClassShown: (name, handler) => void told.push(`class ${name}=${handler}`),
    runtimeClassSent: (name, handler) => void told.push(`sent ${name}=${handler}`),
    runtimeClassesListed: (handlers) => void told.push(`classes ${[...handlers].join(" ")}`),
    handlersOf: () => new Set(),
    setKeys: () => {},
  };
  return { references, told };
}

Deno.test("content is what the pods' owners signed, and the kubelet gets what came of judging it", async () => {
  const { references, told } = fakeReferences(() => ({ ok: true, content: { data: { a: "b" } } }));
  const { ask } = makeObjectGate({
    references,
    upstream: upstreamOf((request) =>
      request.url.includes("watch")
        ? stream(
          eventLine("ADDED", makeConfigMap({ a: "b", c: "d" })) + eventLine("DELETED", makeConfigMap({})),
        )
        : jsonAnswer(listOf("ConfigMap", "v1", [makeConfigMap({ a: "b", c: "d" })]))
    ),
  });
  const list = objectOf(await (await ask("GET", NAMED)).json());
  assert.ok(Array.isArray(list["items"]));
  assert.deepEqual(objectOf(list["items"][0])["data"], { a: "b" });
  const events = await eventsOf(await ask("GET", `${NAMED}&watch=true`));
  assert.deepEqual(events.map((event) => objectOf(event["object"])["data"]), [{ a: "b" }, undefined]);
  assert.deepEqual(told, [
    "watching ConfigMap ns/web",
    "asked ConfigMap ns/web",
    "judge ConfigMap ns/web when-complete",
    "completed ConfigMap ns/web",
    "ended ConfigMap otherwise",
    "asked ConfigMap ns/web",
    "watching ConfigMap ns/web",
    "judge ConfigMap ns/web when-complete",
    "deleted ConfigMap ns/web",
    "completed ConfigMap ns/web",
    "ended ConfigMap otherwise",
  ]);
});

Deno.test("refuses content that owners did not sign, by each key", async () => {
  const { references } = fakeReferences(() => ({
    ok: false,
    differences: [{ path: "data[a]", kind: "changed", found: "content that was not signed" }],
  }));
  const { ask, log } = makeObjectGate({
    references,
    upstream: upstreamAnswering(() => jsonAnswer(makeConfigMap({ a: "secret" }))),
  });
  const { code, message } = await statusOf(await ask("GET", `${CONFIG_MAPS}/web`));
  assert.deepEqual([code, message], [
    403,
    'kubelet-proxy: configmaps "web" is not passed on: data[a] is not what was signed: content that was not signed',
  ]);
  assert.equal(log.of("object-refused").length, 1);
});

Deno.test("a watch that the kubelet leaves is told from one that ends otherwise", async () => {
  const { references, told } = fakeReferences(() => ({ ok: true, content: {} }));
  const { ask } = makeObjectGate({
    references,
    upstream: upstreamAnswering(() =>
      new Response(new ReadableStream(), { headers: { "content-type": "application/json" } })
    ),
  });
  const leaving = new AbortController();
  const response = await ask("GET", `${NAMED}&watch=true`, { signal: leaving.signal });
  leaving.abort();
  assert.equal(await response.text(), "");
  assert.equal(told.at(-1), "ended ConfigMap by the kubelet");
});

Deno.test("the Secret of a volume that may be mounted is free to be asked for by its name", async () => {
  const { references, told } = fakeReferences(() => ({ ok: false, differences: [] }), ["ns/key"]);
  const secret = {
    kind: "Secret",
    apiVersion: "v1",
    metadata: makeMetadata("key", { namespace: "ns" }),
    data: {},
  };
  const volume = {
    kind: "PersistentVolume",
    apiVersion: "v1",
    metadata: makeMetadata("pv"),
    spec: {
      csi: {
        driver: "a.b",
        volumeHandle: "x",
        nodeStageSecretRef: { namespace: "ns", name: "key" },
        volumeAttributes: { name: "x", namespace: "y" },
      },
    },
  };
  const { ask } = makeObjectGate({
    references,
    policy: { allowedVolumes: [{ plugin: "csi", driver: "a.b", mountOptions: new Set() }] },
    upstream: upstreamOf((request) =>
      jsonAnswer(
        request.url.includes("secrets")
          ? (request.url.includes("field") ? listOf("Secret", "v1", [secret]) : secret)
          : volume,
      )
    ),
  });
  assert.equal((await ask("GET", "/api/v1/persistentvolumes/pv")).status, 200);
  assert.ok(told.includes("volume ns/key"));
  assert.equal((await ask("GET", "/api/v1/namespaces/ns/secrets/key")).status, 200);
  const list = "/api/v1/namespaces/ns/secrets?fieldSelector=metadata.name%3Dkey";
  assert.equal((await ask("GET", list)).status, 403, "what pods hold comes by lists and watches");
});

Deno.test("RuntimeClasses that the kubelet is shown are remembered", async () => {
  const { references, told } = fakeReferences(() => ({ ok: true, content: {} }));
  const path = "/apis/node.k8s.io/v1/runtimeclasses";
  const version = "node.k8s.io/v1";
  const found = {
    kind: "RuntimeClass",
    apiVersion: version,
    metadata: makeMetadata("kata"),
    handler: "qemu",
  };
  const { ask } = makeObjectGate({
    references,
    policy: { runtimeClasses: new Map([["kata", "qemu"]]) },
    upstream: upstreamOf((request) =>
      request.url.includes("watch")
        ? stream(
          eventLine("ADDED", found) + bookmarkLine("RuntimeClass", version, "50") +
            bookmarkLine("RuntimeClass", version, "51", true) + eventLine("MODIFIED", found),
          1000,
        )
        : jsonAnswer(listOf("RuntimeClass", version, [found]))
    ),
  });
  const complete = ["class kata=qemu", "classes kata,qemu"];
  await (await ask("GET", path)).text();
  await (await ask("GET", `${path}?watch=true&sendInitialEvents=true`)).text();
  assert.deepEqual(told.filter((line) => !line.startsWith("class ")), [
    "classes kata,qemu",
    "classes kata,qemu",
    "sent kata=qemu",
  ]);
  assert.deepEqual(told.slice(0, 2), complete);
});

Deno.test("what was judged of a watch that is ended meanwhile was not sent", async () => {
  for (const ended of [false, true]) {
    const { promise: judged, resolve: judge } = Promise.withResolvers<void>();
    const { references, told } = fakeReferences(() => ({ ok: true, content: { data: { a: "b" } } }));
    const { ask, gate } = makeObjectGate({
      references: {
        ...references,
        async judge(...content) {
          await judged;
          return await references.judge(...content);
        },
      },
      upstream: upstreamAnswering(() =>
        stream(eventLine("MODIFIED", makeConfigMap({ a: "b" })) + bookmarkLine("ConfigMap", "v1", "51"))
      ),
    });
    const events = eventsOf(await ask("GET", `${NAMED}&watch=true`));
    await settle();
    if (ended) {
      gate.refresh("configmaps", "ns", "web");
    }
    judge();
    assert.deepEqual(
      (await events).map(brief),
      ended ? [] : ["MODIFIED ConfigMap web", "BOOKMARK ConfigMap"],
    );
    await settle();
    assert.ok(told.includes("judge ConfigMap ns/web when-complete"));
    assert.equal(told.includes("completed ConfigMap ns/web"), !ended);
  }
});

Deno.test("pages of a list, and initial events without their end, are not complete", async () => {
  const { references, told } = fakeReferences(() => ({ ok: true, content: {} }));
  const page = { ...listOf("ConfigMap", "v1", [makeConfigMap({})]), metadata: { resourceVersion: "50" } };
  const { ask } = makeObjectGate({
    references,
    upstream: upstreamOf(({ url }) =>
      url.includes("watch")
        ? stream(eventLine("ADDED", makeConfigMap({})) + bookmarkLine("ConfigMap", "v1", "50"))
        : jsonAnswer(
          url.includes("continue") ? page : { ...page, metadata: { ...page.metadata, continue: "abc" } },
        )
    ),
  });
  await (await ask("GET", NAMED)).text();
  await (await ask("GET", `${NAMED}&continue=abc`)).text();
  await (await ask("GET", `${NAMED}&watch=true&sendInitialEvents=true`)).text();
  assert.deepEqual(told.filter((line) => /^(?:judge|completed)/.test(line)), [
    "judge ConfigMap ns/web when-complete",
    "judge ConfigMap ns/web when-complete",
    "judge ConfigMap ns/web when-complete",
  ]);
});

Deno.test("the kubelet is made to ask again: its watch ends, and it cannot resume it", async () => {
  const { ask, gate } = makeObjectGate({
    upstream: upstreamOf((request) =>
      request.url.includes("watch")
        ? new Response(new ReadableStream(), { headers: { "content-type": "application/json" } })
        : jsonAnswer(listOf("ConfigMap", "v1", [makeConfigMap({})]))
    ),
  });
  const resume = () => ask("GET", `${NAMED}&watch=true&resourceVersion=50`);
  await (await ask("GET", NAMED)).text();
  const open = await resume();
  gate.refresh("configmaps", "ns", "other");
  gate.refresh("secrets", "ns", "web");
  assert.equal((await resume()).status, 200, "nobody else's watch is meant");
  gate.refresh("configmaps", "ns", "web");
  assert.equal(await open.text(), "");
  assert.equal((await resume()).status, 410);
  await (await ask("GET", NAMED)).text();
  assert.equal((await resume()).status, 200);
  for (let count = 0; count < MAX_REFRESHED_STREAMS; count++) {
    gate.refresh("configmaps", "ns", `c${count}`);
  }
  assert.equal((await resume()).status, 410, "of more than can be remembered, all are asked for again");
  gate.close();
});

Deno.test("refuses to go on with a watch when an object cannot be judged", async () => {
  const { references } = fakeReferences(() => {
    throw new RangeError("deep");
  });
  const { ask, log } = makeObjectGate({
    references,
    upstream: upstreamAnswering(() => stream(eventLine("ADDED", makeConfigMap({})))),
  });
  assert.deepEqual(await eventsOf(await ask("GET", `${NAMED}&watch=true`)), []);
  assert.equal(log.of("watch-malformed").length, 1);
});

Deno.test("whoever looks at a refused object is told, once for each reason", async () => {
  const told: unknown[] = [];
  const events = { tell: (object: unknown, reason: string) => void told.push([object, reason]) };
  for (const mode of ["enforce", "audit"] as const) {
    const { ask } = makeObjectGate({ mode, events, upstream: upstreamAnswering(() => jsonAnswer(BAD)) });
    await (await ask("GET", `${CONFIG_MAPS}/web`)).text();
    await (await ask("GET", `${CONFIG_MAPS}/web`)).text();
  }
  assert.equal(told.length, 1);
  assert.deepEqual(Object(told[0])[0], {
    apiVersion: "v1",
    kind: "ConfigMap",
    namespace: "ns",
    name: "web",
    uid: uidOf(7),
  });
});
