/** What is admitted and passed on, when the kubelet has one object for all pods. */
import assert from "node:assert/strict";
import type { JsonObject } from "@signed-pods/shared/json";
import { signedReferences } from "@signed-pods/shared/pod/reference-answer";
import type { Permission } from "@signed-pods/shared/pod/permissions";
import { contentDigest } from "@signed-pods/shared/pod/pins";
import type { ReferencesMode } from "@signed-pods/shared/pod/verify";
import type { AllowVerdict, Difference } from "@signed-pods/shared/verdict";
import { ManualClock } from "../../tests/fakes/clock.ts";
import { makeMetadata } from "../../tests/fakes/objects.ts";
import { uidOf } from "../../tests/fakes/owner.ts";
import {
  type Arrival,
  createPodReferences,
  HELD_AFTER_LEAVE_MS,
  HELD_AFTER_REQUEST_MS,
  MAX_HELD_OBJECTS,
  MAX_REJUDGEMENTS,
  type PodReferences,
} from "./pod_references.ts";

const OLD: JsonObject = { GREETING: "hello" };
const NEW: JsonObject = { GREETING: "servus" };

function setUp(mode: ReferencesMode = "enforce", runtimeClasses = new Map<string, string>()) {
  const clock = new ManualClock();
  const refreshed: string[] = [];
  const warned: Difference[] = [];
  const references = createPodReferences({
    mode,
    keys: [],
    runtimeClasses,
    clock,
    refresh: (kind, namespace, name) => void refreshed.push(`${kind}/${namespace}/${name}`),
    refreshRuntimeClasses: () => void refreshed.push("classes"),
    warn: (_kind, _namespace, _name, differences) => void warned.push(...differences),
  });
  const reserve = async (number: number, verdict: AllowVerdict, running = false) => {
    const pod = { uid: uidOf(number), namespace: "ns", name: `p${number}` };
    const denied = await references.reserve(pod, verdict, running);
    assert.ok(denied === undefined || denied.code === "reference-not-signed");
    return denied?.differences.map(({ path, detail }) => `${path}: ${detail}`);
  };
  const pass = async (data: JsonObject, name = "web", arrival: Arrival = "when-complete") => {
    const object = {
      kind: "ConfigMap",
      apiVersion: "v1",
      metadata: makeMetadata(name, { namespace: "ns" }),
      data,
    };
    const judged = await references.judge("ConfigMap", "ns", name, object, arrival);
    return judged.ok ? judged.content : judged.differences.map(({ path }) => path);
  };
  /** Judges content, and has the kubelet take it in if it is good. */
  const judge = async (data: JsonObject, name = "web") => {
    const outcome = await pass(data, name);
    if (!Array.isArray(outcome)) {
      references.completed("ConfigMap", "ns", name);
    }
    return outcome;
  };
  return { references, reserve, pass, judge, clock, refreshed, warned };
}

function verdictOf(
  spec: JsonObject,
  allow: Permission[],
  pins: Parameters<typeof signedReferences>[1]["pins"],
): AllowVerdict {
  return {
    decision: "allow",
    form: "template",
    keyId: "k",
    signedHash: "h",
    spec,
    labels: {},
    annotations: {},
    extraLabels: {},
    extraAnnotations: {},
    injected: [],
    permissions: [],
    warnings: [],
    references: signedReferences(spec, { allow, pins }),
  };
}

function envFrom(name = "web", prefix?: string): JsonObject {
  const source = { configMapRef: { name }, ...(prefix === undefined ? {} : { prefix }) };
  return { containers: [{ name: "app", image: "x", envFrom: [source] }] };
}

async function pinned(data: JsonObject, name = "web"): Promise<AllowVerdict> {
  const digests = await Promise.all(
    Object.entries(data).map(async ([key, value]) =>
      [key, await contentDigest(new TextEncoder().encode(String(value)))] as const
    ),
  );
  return verdictOf(envFrom(name), [], { configMaps: { [name]: { data: Object.fromEntries(digests) } } });
}

const mutable = (name = "web", prefix?: string) =>
  verdictOf(envFrom(name, prefix), [{ kind: "mutable-config", name }], undefined);

/** A pod that uses one key alone. */
const oneKey = (key: string) =>
  verdictOf(
    {
      containers: [{
        name: "app",
        image: "x",
        env: [{ name: "X", valueFrom: { configMapKeyRef: { name: "web", key } } }],
      }],
    },
    [{ kind: "mutable-config", name: "web" }],
    undefined,
  );

function classOf(handler: string): AllowVerdict {
  const spec = { runtimeClassName: "kata", containers: [{ name: "app", image: "x" }] };
  return verdictOf(spec, [], { runtimeClasses: { kata: handler } });
}

Deno.test("refuses content that no pod refers to, until one does", async () => {
  const { judge, reserve } = setUp();
  assert.deepEqual(await judge(OLD), [""]);
  assert.equal(await reserve(1, mutable()), undefined);
  assert.deepEqual(await judge(OLD), { data: OLD });
});

Deno.test("content is what was signed, and only the keys that pods use", async () => {
  const { judge, reserve, references } = setUp();
  await reserve(1, await pinned(OLD));
  assert.deepEqual(await judge({ ...OLD, LD_PRELOAD: "evil" }), { data: OLD });
  assert.deepEqual(await judge(NEW), ["data[GREETING]"]);
  references.forget(uidOf(1));
  assert.deepEqual(await judge(OLD), [""]);
});

Deno.test("refuses variables that loaders and shells obey, in every mode, also when a prefix makes them", async () => {
  for (const mode of ["enforce", "warn", "off"] as const) {
    const { judge, reserve } = setUp(mode);
    await reserve(1, mutable());
    await reserve(2, mutable("half", "LD_"));
    for (const key of ["LD_PRELOAD", "BASH_ENV", "NODE_OPTIONS", "a.b"]) {
      assert.deepEqual(await judge({ [key]: "x" }), [`data[${key}]`], mode);
    }
    assert.deepEqual(await judge({ PRELOAD: "x" }, "half"), ["data[PRELOAD]"]);
  }
});

Deno.test("refuses a pod for which the kubelet holds content with such a variable already", async () => {
  const { judge, reserve, references } = setUp();
  await reserve(1, oneKey("LD_PRELOAD"));
  references.watching("ConfigMap", "ns", "web");
  assert.deepEqual(await judge({ LD_PRELOAD: "x" }), { data: { LD_PRELOAD: "x" } });
  const [problem] = await reserve(2, mutable()) ?? [];
  assert.match(
    problem ?? "",
    /envFrom.*ConfigMap web as the kubelet holds it does not fit: data\[LD_PRELOAD\]/,
  );
  assert.equal(references.knows(uidOf(2)), false);
});

Deno.test("refuses a pod that pins what the kubelet does not hold", async () => {
  const { judge, reserve, references } = setUp();
  await reserve(1, mutable());
  references.watching("ConfigMap", "ns", "web");
  await judge(OLD);
  assert.match(String(await reserve(2, await pinned(NEW))), /as the kubelet holds it does not fit/);
  assert.equal(await reserve(3, await pinned(OLD)), undefined);
});

Deno.test("refuses a pod that pins other content than another pod, whatever the kubelet holds", async () => {
  const { reserve } = setUp();
  await reserve(1, await pinned(OLD));
  assert.match(String(await reserve(2, await pinned(NEW))), /another pod .* ConfigMap web, data\[GREETING\]/);
});

Deno.test("a pod that runs already is not refused", async () => {
  const { reserve, references } = setUp();
  await reserve(1, await pinned(OLD));
  assert.equal(await reserve(2, await pinned(NEW), true), undefined);
  assert.ok(references.knows(uidOf(2)));
});

Deno.test("what the kubelet may still hold counts until its watch has been left for a while", async () => {
  const { reserve, references, judge, clock } = setUp();
  await reserve(1, await pinned(OLD));
  const end = references.watching("ConfigMap", "ns", "web");
  await judge(OLD);
  references.forget(uidOf(1));
  await clock.advance(HELD_AFTER_REQUEST_MS);
  assert.notEqual(await reserve(2, await pinned(NEW)), undefined, "it is still watched");
  end(true);
  end(true);
  await clock.advance(HELD_AFTER_LEAVE_MS - 1);
  assert.notEqual(await reserve(2, await pinned(NEW)), undefined, "it was left just now");
  await clock.advance(1);
  assert.equal(await reserve(2, await pinned(NEW)), undefined);
});

Deno.test("a watch that ends otherwise, and a request, count longer", async () => {
  for (const way of ["ended", "asked"] as const) {
    const { reserve, references, judge, clock } = setUp();
    await reserve(1, await pinned(OLD));
    const end = references.watching("ConfigMap", "ns", "web");
    await judge(OLD);
    references.forget(uidOf(1));
    end(way === "asked");
    if (way === "asked") {
      references.asked("ConfigMap", "ns", "web");
    }
    await clock.advance(HELD_AFTER_REQUEST_MS - 1);
    assert.notEqual(await reserve(2, await pinned(NEW)), undefined, way);
    await clock.advance(1);
    assert.equal(await reserve(2, await pinned(NEW)), undefined, way);
  }
});

Deno.test("refuses a pod for what the kubelet holds until what comes in its place is complete, and sent", async () => {
  for (const arrival of ["when-complete", "on-its-own"] as const) {
    const { reserve, references, pass, judge } = setUp();
    await reserve(1, mutable());
    await judge(OLD);
    await pass(NEW, "web", arrival);
    assert.match(String(await reserve(2, await pinned(NEW))), /as the kubelet holds it/, arrival);
    assert.match(String(await reserve(2, await pinned(OLD))), /as the kubelet holds it/, arrival);
    references.completed("ConfigMap", "ns", "web");
    assert.equal(await reserve(2, await pinned(NEW)) === undefined, arrival === "when-complete");
  }
});

Deno.test("what the kubelet takes in takes the place of all that it held", async () => {
  const { reserve, pass, judge } = setUp();
  await reserve(1, mutable());
  await judge(OLD);
  await pass(OLD, "web", "on-its-own");
  await pass(OLD);
  await judge(NEW);
  assert.equal(await reserve(2, await pinned(NEW)), undefined);
});

Deno.test("what the kubelet held once, and holds no more, is not held against pods that come later", async () => {
  const { reserve, references, judge, clock } = setUp();
  await reserve(1, mutable());
  await judge(OLD);
  references.forget(uidOf(1));
  await clock.advance(HELD_AFTER_LEAVE_MS);
  assert.equal(await reserve(2, await pinned(NEW)), undefined);
  assert.equal(await reserve(3, await pinned(NEW)), undefined);
});

Deno.test("refuses content until all pods of an earlier process that refer to it have been seen, or are gone", async () => {
  const { references, judge, reserve } = setUp();
  for (const number of [1, 2]) {
    references.expect(
      { uid: uidOf(number), namespace: "ns", name: `p${number}`, signedHash: "h" },
      envFrom(),
    );
    assert.ok(references.expects(uidOf(number)));
  }
  await reserve(3, mutable());
  assert.deepEqual(await judge(NEW), [""], "nobody knows what the others pinned");
  await reserve(1, await pinned(OLD), true);
  assert.deepEqual(await judge(OLD), [""]);
  references.forget(uidOf(2));
  assert.equal(references.expects(uidOf(2)), false);
  assert.deepEqual(await judge(NEW), ["data[GREETING]"]);
  assert.deepEqual(await judge(OLD), { data: OLD });
});

Deno.test("refuses a pod while the kubelet may hold what an earlier process passed on for others", async () => {
  const earlier = (references: PodReferences) =>
    references.expect({ uid: uidOf(1), namespace: "ns", name: "p1", signedHash: "earlier" }, envFrom());
  const late = setUp();
  earlier(late.references);
  assert.match(String(await late.reserve(2, await pinned(NEW))), /an earlier process passed on/);
  assert.match(
    String(await late.reserve(2, mutable())),
    /an earlier process/,
    "nobody looked at its variables",
  );
  assert.equal(await late.reserve(2, oneKey("A")), undefined, "any content will do");
  assert.equal(
    await late.reserve(3, { ...await pinned(NEW), signedHash: "earlier" }),
    undefined,
    "it is a replica",
  );
  late.references.forget(uidOf(3));
  await late.reserve(1, await pinned(OLD), true);
  assert.equal(await late.reserve(4, await pinned(OLD)), undefined, "it asks for what another one had");
  const end = late.references.watching("ConfigMap", "ns", "web");
  await late.clock.advance(2 * HELD_AFTER_REQUEST_MS);
  assert.match(String(await late.reserve(5, mutable())), /an earlier process/, "it is still being asked for");
  end(false);
  await late.clock.advance(HELD_AFTER_REQUEST_MS);
  assert.equal(await late.reserve(5, mutable()), undefined);

  const soon = setUp();
  earlier(soon.references);
  await soon.reserve(1, mutable(), true);
  await soon.pass(NEW);
  assert.match(String(await soon.reserve(2, await pinned(NEW))), /an earlier process/);
  soon.references.completed("ConfigMap", "ns", "web");
  assert.equal(await soon.reserve(2, await pinned(NEW)), undefined, "now it is known");
});

Deno.test("refuses a pod's handler while the kubelet may know one of an earlier process", async () => {
  const { references, reserve } = setUp();
  references.expect({ uid: uidOf(1), namespace: "ns", name: "p1", signedHash: "h" }, classOf("runc").spec);
  assert.match(String(await reserve(2, classOf("runc"))), /has not yet asked anew/);
  references.runtimeClassesListed(new Map());
  assert.equal(await reserve(2, classOf("runc")), undefined);
  const replica = setUp();
  replica.references.expect({ uid: uidOf(1), namespace: "ns", name: "p1", signedHash: "h" }, {});
  await replica.reserve(1, classOf("runc"), true);
  assert.equal(await replica.reserve(2, classOf("runc")), undefined, "another pod has it");
});

Deno.test("pods of an earlier process matter only where references are enforced", async () => {
  const { references, judge } = setUp("warn");
  references.expect({ uid: uidOf(1), namespace: "ns", name: "p1", signedHash: "h" }, envFrom());
  assert.equal(references.expects(uidOf(1)), false);
  assert.deepEqual(await judge(OLD), { data: OLD });
});

Deno.test("refuses a pod's handler while the kubelet may still know another one", async () => {
  const { reserve, references } = setUp();
  references.runtimeClassShown("kata", "runc");
  references.runtimeClassShown("kata", "kata-qemu");
  assert.match(String(await reserve(1, classOf("kata-qemu"))), /means "runc"/);
  references.runtimeClassesListed(new Map([["kata", "kata-qemu"]]));
  assert.equal(await reserve(1, classOf("kata-qemu")), undefined);
  references.forget(uidOf(1));
  references.runtimeClassSent("kata", "runc");
  assert.equal(await reserve(2, classOf("runc")), undefined, "an event takes the place of what was there");
});

Deno.test("a pod that uses more keys makes the kubelet ask again", async () => {
  const { reserve, references, judge, refreshed } = setUp();
  await reserve(1, oneKey("A"));
  references.watching("ConfigMap", "ns", "web");
  assert.deepEqual(await judge({ A: "1", B: "2" }), { data: { A: "1" } });
  assert.equal(await reserve(2, oneKey("A")), undefined);
  assert.deepEqual(refreshed, []);
  assert.equal(await reserve(3, oneKey("B")), undefined);
  assert.deepEqual(refreshed, ["ConfigMap/ns/web"]);
  assert.deepEqual(await judge({ A: "1", B: "2" }), { data: { A: "1", B: "2" } });
});

Deno.test("in the mode warn other content than the signed is told and passed on; in off it is not looked at", async () => {
  const warn = setUp("warn");
  await warn.reserve(1, await pinned(OLD));
  assert.deepEqual(await warn.judge(NEW), { data: NEW });
  assert.deepEqual(warn.warned.map(({ path }) => path), ["data[GREETING]"]);
  assert.equal(await warn.reserve(2, await pinned(OLD)), undefined);
  const off = setUp("off");
  await off.reserve(1, await pinned(OLD));
  assert.deepEqual(await off.judge(NEW), { data: NEW });
  assert.deepEqual(off.warned, []);
  assert.deepEqual(await off.judge(NEW, "nobody"), { data: NEW });
});

Deno.test("handlers are those that owners signed, while their pods are here", async () => {
  const { reserve, references, refreshed } = setUp();
  assert.deepEqual(references.handlersOf("kata"), new Set());
  await reserve(1, classOf("kata-qemu"));
  assert.deepEqual(references.handlersOf("kata"), new Set(["kata-qemu"]));
  assert.deepEqual(refreshed, ["classes"]);
  await reserve(2, classOf("kata-qemu"));
  references.forget(uidOf(1));
  assert.deepEqual(references.handlersOf("kata"), new Set(["kata-qemu"]));
  references.forget(uidOf(2));
  assert.deepEqual(references.handlersOf("kata"), new Set());
});

Deno.test("refuses a pod for whose RuntimeClass neither its owner nor the operator named a handler", async () => {
  const spec = { runtimeClassName: "kata", containers: [{ name: "app", image: "x" }] };
  const unsigned = verdictOf(spec, [], undefined);
  const { reserve } = setUp();
  await reserve(1, classOf("runc"));
  assert.match(String(await reserve(2, unsigned)), /pinned neither by what was signed nor on this node/);
  const byOperator = setUp("enforce", new Map([["kata", "kata-qemu"]]));
  assert.equal(await byOperator.reserve(2, unsigned), undefined);
  assert.equal(await setUp("warn").reserve(2, unsigned), undefined);
});

Deno.test("refuses a pod whose handler is not the operator's, another pod's or the one that the kubelet knows", async () => {
  const byOperator = setUp("enforce", new Map([["kata", "runc"]]));
  assert.match(String(await byOperator.reserve(1, classOf("kata-qemu"))), /means "runc" on this node/);
  const byPod = setUp();
  await byPod.reserve(1, classOf("runc"));
  assert.match(String(await byPod.reserve(2, classOf("kata-qemu"))), /means "runc"/);
  const byKubelet = setUp();
  byKubelet.references.runtimeClassShown("kata", "runc");
  assert.match(String(await byKubelet.reserve(1, classOf("kata-qemu"))), /means "runc"/);
  assert.deepEqual(byKubelet.refreshed, ["classes"], "it may be that of a pod that has gone");
  byKubelet.references.runtimeClassesListed(new Map());
  assert.equal(await byKubelet.reserve(1, classOf("kata-qemu")), undefined);
});

Deno.test("a volume's Secret is free to be asked for unless a pod refers to it", async () => {
  const { references, reserve } = setUp();
  assert.equal(references.isUsedByVolume("ns", "key"), false);
  references.usedByVolume("ns", "key");
  assert.equal(references.isUsedByVolume("ns", "key"), true);
  const spec = { containers: [{ name: "app", image: "x", envFrom: [{ secretRef: { name: "key" } }] }] };
  references.expect({ uid: uidOf(9), namespace: "ns", name: "p9", signedHash: "h" }, spec);
  assert.equal(references.isUsedByVolume("ns", "key"), false, "a pod that has not been seen yet does");
  references.forget(uidOf(9));
  await reserve(1, verdictOf(spec, [{ kind: "mutable-secret", name: "key" }], undefined));
  assert.equal(references.isUsedByVolume("ns", "key"), false);
  for (let count = 0; count < MAX_HELD_OBJECTS; count++) {
    references.usedByVolume("other", `s${count}`);
  }
  references.forget(uidOf(1));
  assert.equal(references.isUsedByVolume("ns", "key"), false, "the oldest are forgotten");
});

Deno.test("refuses a pod that refers to one object more than can be remembered, until others are not held", async () => {
  const { references, reserve, clock } = setUp();
  for (let count = 0; count < MAX_HELD_OBJECTS; count++) {
    references.asked("ConfigMap", "ns", `c${count}`);
  }
  assert.match(String(await reserve(1, mutable())), /refer to more than/);
  await clock.advance(HELD_AFTER_REQUEST_MS);
  references.asked("ConfigMap", "ns", "one-more");
  assert.equal(await reserve(1, mutable()), undefined);
});

Deno.test("refuses content for now while pods come and go faster than it is judged", async () => {
  const { references, reserve } = setUp();
  await reserve(1, mutable());
  let turns = 0;
  const object = {
    kind: "ConfigMap",
    apiVersion: "v1",
    metadata: makeMetadata("web", { namespace: "ns" }),
    // Whenever the content is looked at, another pod has come.
    get data(): JsonObject {
      void reserve(2, mutable(), true);
      turns++;
      return OLD;
    },
  };
  const judged = await references.judge("ConfigMap", "ns", "web", object, "when-complete");
  assert.ok(!judged.ok && /change faster/.test(judged.differences[0]?.detail ?? ""));
  assert.ok(turns >= MAX_REJUDGEMENTS);
});
