import assert from "node:assert/strict";
import { ManualClock, settle } from "../../tests/fakes/clock.ts";
import { MemoryLog } from "../../tests/fakes/log.ts";
import { objectOf, uidOf } from "../../tests/fakes/owner.ts";
import { upstreamOf } from "../../tests/fakes/upstream.ts";
import {
  createRefusalEvents,
  MAX_REFUSAL_EVENTS,
  REFUSAL_EVENTS_PERIOD_MS,
  type RefusedObject,
} from "./refusal_events.ts";

const WEB: RefusedObject = {
  apiVersion: "v1",
  kind: "ConfigMap",
  namespace: "ns",
  name: "web",
  uid: uidOf(1),
};

function setUp(answer = () => Promise.resolve(new Response("{}", { status: 201 }))) {
  const sent: { path: string; body: string }[] = [];
  const log = new MemoryLog();
  const clock = new ManualClock();
  const upstream = upstreamOf(async (request) => {
    assert.equal(request.method, "POST");
    sent.push({ path: new URL(request.url).pathname, body: await request.text() });
    return await answer();
  });
  return { events: createRefusalEvents({ upstream, nodeName: "worker", clock, log }), sent, log, clock };
}

Deno.test("an Event names the object, the node and the reason", async () => {
  const { events, sent } = setUp();
  events.tell(WEB, "data[a] is not what was signed");
  events.tell({ ...WEB, kind: "PersistentVolume", namespace: undefined, name: "pv" }, "spec.hostPath");
  await settle();
  const [first, second] = sent.map(({ path, body }) => ({ path, event: objectOf(JSON.parse(body)) }));
  assert.equal(first?.path, "/api/v1/namespaces/ns/events");
  assert.deepEqual(first.event["involvedObject"], {
    kind: "ConfigMap",
    apiVersion: "v1",
    name: "web",
    uid: uidOf(1),
    namespace: "ns",
  });
  assert.equal(
    first.event["message"],
    'kubelet-proxy on node "worker" does not pass it on: data[a] is not what was signed',
  );
  assert.match(String(objectOf(first.event["metadata"])["name"]), /^web\.[0-9a-f]+\.1$/);
  assert.equal(second?.path, "/api/v1/namespaces/default/events", "where Events of the whole cluster are");
});

Deno.test("messages and names have the length that Kubernetes takes", async () => {
  const { events, sent } = setUp();
  events.tell({ ...WEB, name: "a".repeat(253) }, "€".repeat(2000));
  await settle();
  const event = objectOf(JSON.parse(sent[0]?.body ?? ""));
  assert.ok(new TextEncoder().encode(String(event["message"])).length <= 1024);
  assert.equal(String(objectOf(event["metadata"])["name"]).length, 253);
});

Deno.test("refuses to make paths and names of what is none", async () => {
  const { events, sent } = setUp();
  for (
    const more of [{ name: "a/b" }, { namespace: "../x" }, { uid: "x" }, { name: undefined }, {
      namespace: 1,
    }]
  ) {
    events.tell({ ...WEB, ...more }, "x");
  }
  await settle();
  assert.deepEqual(sent, []);
});

Deno.test("Events are bounded in number", async () => {
  const { events, sent, clock } = setUp();
  const many = async () => {
    for (let count = 0; count <= MAX_REFUSAL_EVENTS; count++) {
      events.tell(WEB, "x");
    }
    await settle();
  };
  await many();
  assert.equal(sent.length, MAX_REFUSAL_EVENTS);
  await clock.advance(REFUSAL_EVENTS_PERIOD_MS);
  await many();
  assert.equal(sent.length, 2 * MAX_REFUSAL_EVENTS);
});

Deno.test("an Event that is not taken is not sent again", async () => {
  for (
    const answer of [
      () => Promise.resolve(new Response("", { status: 403 })),
      () => Promise.reject(new Error("x")),
    ]
  ) {
    const { events, sent, log } = setUp(answer);
    events.tell(WEB, "x");
    await settle();
    assert.equal(sent.length, 1);
    assert.equal(log.of("event-failed").length, 1);
  }
});
