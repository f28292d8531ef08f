import assert from "node:assert/strict";
import { deepFreeze, type JsonObject } from "@signed-pods/shared/json";
import { createVerifier, type VerifierOptions } from "@signed-pods/shared/pod/verify";
import {
  createJudge,
  type Judge,
  MAX_CONCURRENT_VERIFICATIONS,
  MAX_VERDICTS_ASIDE,
  type PodVerifier,
  type Showing,
  TooManyPodsError,
} from "./judge.ts";
import { type Ledger, LedgerFullError, openLedger } from "./ledger.ts";
import type { PodReferences } from "../objects/pod_references.ts";
import type { RefusedPod } from "./rejector.ts";
import { ManualClock } from "../../tests/fakes/clock.ts";
import { MemoryLedgerStore } from "../../tests/fakes/ledger.ts";
import { MemoryLog } from "../../tests/fakes/log.ts";
import {
  makeMirror,
  makePod,
  NODE_NAME,
  objectOf,
  Owner,
  uidOf,
  withImage,
  withMetadata,
  withSpec,
  withStatus,
} from "../../tests/fakes/owner.ts";
import { makeReferences } from "../../tests/fakes/references.ts";

const owner = await Owner.create();
const stranger = await Owner.create();

interface Bench {
  /** UIDs of pods that are gone. */
  forgotten: string[];
  judge: Judge;
  ledger: Ledger;
  store: MemoryLedgerStore;
  log: MemoryLog;
  clock: ManualClock;
  /** What the rejector was told, by UID. */
  refused: Map<string, RefusedPod>;
  /** Which Events of stopping pods it was told of. */
  announced: RefusedPod[];
  /** Refusals of earlier processes. */
  recalled: [uid: string, controller: string, at: Date][];
  /** What the observer was told, in words. */
  told: string[];
  see(...pods: JsonObject[]): Promise<Showing[]>;
  /** What becomes of one pod, in a word. */
  fate(pod: JsonObject): Promise<string>;
  gone(pod: JsonObject): Promise<string>;
}

interface BenchOptions {
  mode?: "enforce" | "audit";
  store?: MemoryLedgerStore;
  verifier?: PodVerifier;
  maxTrackedPods?: number;
  maxEntries?: number;
  maxRetired?: number;
  clock?: ManualClock;
  references?: PodReferences;
}

async function makeBench(options: BenchOptions = {}): Promise<Bench> {
  const { mode = "enforce", store = new MemoryLedgerStore(), verifier = owner.verifier } = options;
  const { maxTrackedPods, references } = options;
  const log = new MemoryLog();
  const clock = options.clock ?? new ManualClock();
  const ledger = await openLedger(store, log, options.maxEntries, options.maxRetired);
  const refused = new Map<string, RefusedPod>();
  const announced: RefusedPod[] = [];
  const recalled: [string, string, Date][] = [];
  const told: string[] = [];
  const rejector = {
    refuse: (pod: RefusedPod) => void refused.set(pod.uid, pod),
    announce: (pod: RefusedPod) => void announced.push(pod),
    recall: (uid: string, controller: string, at: Date) => void recalled.push([uid, controller, at]),
    forget: (uid: string) => void refused.delete(uid),
    uids: () => [...refused.keys()],
    pending: () => 0,
    close: () => Promise.resolve(),
  };
  const forgotten: string[] = [];
  const judge = createJudge({
    verifier,
    ledger,
    rejector: mode === "enforce" ? rejector : undefined,
    log,
    mode,
    nodeName: NODE_NAME,
    clock,
    gone: (uid) => void forgotten.push(uid),
    observer: {
      decided(decision) {
        const { kind, mode, name } = decision;
        const code = decision.kind !== "mirror" && decision.verdict.decision === "deny"
          ? [decision.verdict.code]
          : [];
        told.push([kind, mode, name, ...code].join(" "));
      },
      unidentified: () => void told.push("unidentified"),
      listed: () => void told.push("listed"),
    },
    ...(maxTrackedPods === undefined ? {} : { maxTrackedPods }),
    ...(references === undefined ? {} : { references }),
  });
  const see = (...pods: JsonObject[]) => judge.judge(pods.map((object) => ({ kind: "present", object })));
  return {
    judge,
    forgotten,
    ledger,
    store,
    log,
    clock,
    refused,
    announced,
    recalled,
    told,
    see,
    fate: async (pod) => fateOf((await see(pod))[0]),
    gone: async (pod) => fateOf((await judge.judge([{ kind: "deleted", object: pod }]))[0]),
  };
}

function fateOf(showing: Showing | undefined): string {
  assert.ok(showing !== undefined);
  if (showing.kind !== "show") {
    return showing.kind;
  }
  const pod = objectOf(JSON.parse(showing.text));
  const stopping = objectOf(pod["metadata"])["deletionTimestamp"] !== undefined;
  return `${showing.known ? "known" : "new"}${stopping ? ", stopping" : ""}`;
}

function podOf(showing: Showing | undefined): JsonObject {
  assert.ok(showing !== undefined && showing.kind !== "hide");
  return objectOf(JSON.parse(showing.text));
}

function codes(log: MemoryLog): unknown[] {
  return log.lines.filter(({ event }) => event === "pod-refused" || event === "pod-stopping").map((
    { fields },
  ) => fields["code"]);
}

const GOOD = await owner.signedPod();
const EVIL = withImage(GOOD, "registry.example/evil:1");

Deno.test("an allowed pod is admitted before it is shown", async () => {
  const bench = await makeBench();
  const [showing] = await bench.see(GOOD);
  assert.equal(fateOf(showing), "new");
  assert.match(bench.store.text ?? "", new RegExp(uidOf(1)));
  assert.deepEqual(podOf(showing)["status"], { phase: "Pending" });
  const entry = bench.ledger.get(uidOf(1));
  assert.equal(entry?.state, "admitted");
  assert.equal(entry?.admittedAt, "2026-01-01T00:00:00.000Z");
  assert.equal("status" in objectOf(JSON.parse(entry?.pod ?? "")), false);
  assert.equal(await bench.fate(withStatus(GOOD, { phase: "Running" })), "known");
  assert.equal(bench.log.of("pod-admitted").length, 1, "a verdict is logged once");
});

/** A pod as it is read again, with the parts that the verifier knows it by; another version, and what else is other. */
function again(pod: JsonObject, change: JsonObject = {}): JsonObject {
  const metadata = objectOf(pod["metadata"]);
  for (const part of [pod["spec"], metadata["annotations"], metadata["labels"]]) deepFreeze(part);
  return { ...pod, metadata: { ...metadata, resourceVersion: "7" }, ...change };
}

const SEEN = await owner.signedPod();

Deno.test("an admitted pod that stays admitted is judged at once, as it is judged in turn", async () => {
  const [bench, other] = [await makeBench(), await makeBench()];
  await bench.see(again(SEEN));
  await other.see(again(SEEN));
  const object = again(SEEN, { status: { phase: "Running" } });
  const showing = bench.judge.judgeAtOnce({ kind: "present", object });
  assert.ok(showing !== undefined);
  assert.deepEqual([showing], await other.see(object));
  assert.deepEqual([...bench.ledger.entries()], [...other.ledger.entries()]);
  assert.equal(bench.store.appends, 1, "nothing more is written");
});

Deno.test("refuses to judge at once what has to be found out, written or refused", async () => {
  const unknown = await makeBench();
  assert.equal(unknown.judge.judgeAtOnce({ kind: "present", object: again(SEEN) }), undefined);
  assert.equal(unknown.ledger.size, 0);

  const bench = await makeBench();
  await bench.see(again(SEEN));
  const metadata = objectOf(again(SEEN)["metadata"]);
  for (
    const [what, object] of [
      ["another spec", withImage(SEEN, "registry.example/evil:1")],
      ["another node", withSpec(SEEN, { nodeName: "elsewhere" })],
      ["other annotations", again(SEEN, { metadata: { ...metadata, annotations: {} } })],
      ["another pod's name", again(SEEN, { metadata: { ...metadata, name: "other" } })],
      ["a mirror", makeMirror({ uid: uidOf(1) })],
      ["no identity", again(SEEN, { metadata: { name: "web" } })],
      ["a status that is none", again(SEEN, { status: { phase: "Sleeping" } })],
    ] as const
  ) {
    assert.equal(bench.judge.judgeAtOnce({ kind: "present", object }), undefined, what);
  }
  assert.equal(bench.judge.judgeAtOnce({ kind: "deleted", object: again(SEEN) }), undefined);
  assert.deepEqual([bench.told, bench.refused.size, bench.ledger.get(uidOf(1))?.state], [
    ["allow enforce web"],
    0,
    "admitted",
  ]);
});

Deno.test("refuses to judge at once while others have their turn", async () => {
  const bench = await makeBench();
  await bench.see(again(SEEN));
  const turn = bench.see(again(SEEN));
  assert.equal(bench.judge.judgeAtOnce({ kind: "present", object: again(SEEN) }), undefined);
  await turn;
  assert.ok(bench.judge.judgeAtOnce({ kind: "present", object: again(SEEN) }));
});

Deno.test("refuses to judge at once while the ledger is not written", async () => {
  const bench = await makeBench();
  bench.store.failure = new Error("no space left on device");
  await assert.rejects(bench.see(again(SEEN)), /no space/);
  assert.equal(bench.judge.judgeAtOnce({ kind: "present", object: again(SEEN) }), undefined);
  bench.store.failure = undefined;
  await bench.see(again(SEEN));
  assert.ok(bench.judge.judgeAtOnce({ kind: "present", object: again(SEEN) }));
});

Deno.test("refuses to judge at once a pod that is being stopped", async () => {
  const bench = await makeBench();
  await bench.see(again(SEEN));
  await bench.see(withImage(SEEN, "registry.example/evil:1"));
  assert.equal(bench.ledger.get(uidOf(1))?.state, "stopping");
  assert.equal(bench.judge.judgeAtOnce({ kind: "present", object: again(SEEN) }), undefined);
});

Deno.test("refuses to judge at once a pod whose references are not remembered yet", async () => {
  const before = await makeBench();
  await before.see(again(SEEN));
  const references = makeReferences();
  const bench = await makeBench({ store: before.store, references });
  assert.equal(bench.judge.judgeAtOnce({ kind: "present", object: again(SEEN) }), undefined);
  assert.equal(references.expects(uidOf(1)), true, "it is still to be seen");
  await bench.see(again(SEEN));
  assert.equal(references.knows(uidOf(1)), true);
  assert.ok(bench.judge.judgeAtOnce({ kind: "present", object: again(SEEN) }));
});

Deno.test("refuses to judge at once a pod that is signed again with another key", async () => {
  const keys = [owner.verificationKey, stranger.verificationKey];
  const verifier = createVerifier({ keys, acceptForms: new Set(["template"]), requireDigests: false });
  const bench = await makeBench({ verifier });
  await bench.see(again(SEEN));
  const resigned = await stranger.signedPod();
  assert.equal(fateOf(await bench.judge.preview(again(resigned))), "known", "the verifier knows it");
  assert.equal(bench.judge.judgeAtOnce({ kind: "present", object: again(resigned) }), undefined);
  assert.equal(bench.ledger.get(uidOf(1))?.keyId, owner.verificationKey.id);
  await bench.see(again(resigned));
  assert.equal(bench.ledger.get(uidOf(1))?.keyId, stranger.verificationKey.id);
  assert.ok(bench.judge.judgeAtOnce({ kind: "present", object: again(resigned) }));
});

Deno.test("refuses to judge at once a pod in whose place the ledger has another that is gone", async () => {
  const bench = await makeBench();
  await bench.see(again(SEEN));
  const entry = bench.ledger.get(uidOf(1));
  assert.ok(entry !== undefined);
  bench.ledger.put({ ...entry, uid: uidOf(2) });
  await bench.ledger.flush();
  const snapshot = bench.judge.beginSnapshot(false);
  const sighting = { kind: "present" as const, object: again(SEEN) };
  assert.equal(bench.judge.judgeAtOnce(sighting, snapshot), undefined);
  assert.ok(bench.ledger.get(uidOf(2)), "nothing has been done");
  await bench.judge.judge([sighting], snapshot);
  assert.equal(bench.ledger.get(uidOf(2)), undefined);
});

Deno.test("a batch is one append", async () => {
  const bench = await makeBench();
  const pods = await Promise.all([1, 2, 3].map((n) => owner.signedPod({ uid: uidOf(n), name: `web-${n}` })));
  await bench.see(...pods);
  assert.equal(bench.store.appends, 1);
});

Deno.test("nothing is shown while the ledger cannot be written", async () => {
  const bench = await makeBench();
  bench.store.failure = new Error("no space left on device");
  await assert.rejects(bench.see(GOOD), /no space/);
  bench.store.failure = undefined;
  await bench.see(GOOD);
  const next = await makeBench({ store: bench.store });
  assert.equal(next.ledger.size, 1);
});

for (
  const [what, pod, code] of [
    ["without a signature", makePod(), "unsigned"],
    ["signed by someone else", await stranger.signedPod(), "signature-invalid"],
    ["with another image than signed", EVIL, "spec-differs"],
    [
      "with a terminal phase and another spec than signed",
      withStatus(EVIL, { phase: "Failed" }),
      "spec-differs",
    ],
    ["of another name than signed", withMetadata(GOOD, { name: "other" }), "wrong-workload"],
    ["with a malformed resourceVersion", withMetadata(GOOD, { resourceVersion: "x" }), "pod-malformed"],
    ["with a malformed status", { ...GOOD, status: { phase: "Evil" } }, "pod-malformed"],
  ] as const
) {
  Deno.test(`refuses a pod ${what}: hidden, and handed to the rejector`, async () => {
    const bench = await makeBench();
    assert.equal(await bench.fate(pod), "hide");
    assert.deepEqual(codes(bench.log), [code]);
    assert.equal(bench.refused.has(uidOf(1)), true);
    assert.equal(bench.ledger.size, 0);
    assert.equal(await bench.fate(pod), "hide");
    assert.equal(bench.log.of("pod-refused").length, 1, "a verdict is logged once");
    assert.equal(fateOf(await bench.judge.preview(pod)), "hide");
  });
}

for (
  const [what, pod] of [
    ["whose UID is a path", withMetadata(GOOD, { uid: "../../x" })],
    ["whose UID is in upper case", withMetadata(GOOD, { uid: uidOf(0xabcdef).toUpperCase() })],
    ["whose name is no DNS name", withMetadata(GOOD, { name: "a_b" })],
    ["without a namespace", withMetadata(GOOD, { namespace: null })],
    ["without metadata", { ...GOOD, metadata: null }],
  ] as const
) {
  Deno.test(`refuses a pod ${what}: hidden, and nothing is asked of the API server`, async () => {
    const bench = await makeBench();
    assert.equal(await bench.fate(pod), "hide");
    assert.equal(fateOf(await bench.judge.preview(pod)), "hide");
    assert.equal(await bench.gone(pod), "hide");
    assert.deepEqual(new Set(codes(bench.log)), new Set(["identity-conflict"]));
    assert.equal(bench.refused.size, 0);
  });
}

Deno.test("refuses a pod of another node, without touching it", async () => {
  for (const nodeName of ["other", null, `${NODE_NAME}\n`]) {
    const bench = await makeBench();
    assert.equal(await bench.fate(withSpec(GOOD, { nodeName })), "hide");
    assert.deepEqual(codes(bench.log), ["wrong-node"]);
    assert.equal(bench.refused.size, 0);
  }
});

Deno.test("refuses a pod that the verifier chokes on", async () => {
  const verifier = { verifyPod: () => Promise.reject(new RangeError("Maximum call stack size exceeded")) };
  const bench = await makeBench({ verifier });
  assert.equal(await bench.fate(GOOD), "hide");
  assert.deepEqual(codes(bench.log), ["pod-malformed"]);
  assert.equal(bench.log.of("judge-failed").length, 1);
});

Deno.test("a verdict that changes is logged, with the first differences", async () => {
  const bench = await makeBench();
  await bench.see(makePod());
  await bench.see(EVIL);
  await bench.see(GOOD);
  assert.deepEqual(bench.log.events().filter((event) => event.startsWith("pod-")), [
    "pod-refused",
    "pod-refused",
    "pod-admitted",
  ]);
  assert.match(
    String(bench.log.of("pod-refused")[1]?.fields["differences"]),
    /spec\.containers\[app\]\.image/,
  );
  assert.equal(bench.refused.size, 0, "an allowed pod is not rejected any more");
});

Deno.test("a controller, a phase and a deletion are told to the rejector", async () => {
  const bench = await makeBench();
  const pod = makePod({ controller: uidOf(900) });
  await bench.see(
    withMetadata(withStatus(pod, { phase: "Succeeded" }), { deletionTimestamp: "2026-01-01T00:00:00Z" }),
  );
  const { controller, terminal, deleting, message } = bench.refused.get(uidOf(1)) ?? {};
  assert.deepEqual({ controller, terminal, deleting }, {
    controller: uidOf(900),
    terminal: true,
    deleting: true,
  });
  assert.ok(message);
});

Deno.test("refusals of an earlier process are told to the rejector before the first pod is refused", async () => {
  const bench = await makeBench();
  const failed = withStatus(makePod({ name: "before", uid: uidOf(2), controller: uidOf(900) }), {
    phase: "Failed",
    reason: "NodeAdmissionRejected",
    conditions: [{ type: "Ready", status: "False", lastTransitionTime: "2026-01-01T00:00:00Z" }],
  });
  const bare = withStatus(makePod({ name: "bare", uid: uidOf(3) }), objectOf(failed.status));
  await bench.see(makePod({ controller: uidOf(900) }), failed, bare);
  assert.deepEqual(bench.recalled, [[uidOf(2), uidOf(900), new Date("2026-01-01T00:00:00Z")]]);
});

Deno.test("a pod that is being stopped has an Event that says why, once", async () => {
  const bench = await makeBench();
  await bench.see(GOOD);
  await bench.see(EVIL);
  await bench.see(EVIL);
  const [announced, ...more] = bench.announced;
  assert.match(announced?.message ?? "", /spec\.containers\[app\]\.image.*containers are being stopped$/);
  assert.deepEqual(more, []);
});

Deno.test("DELETED passes with metadata alone, and the pod is forgotten", async () => {
  const bench = await makeBench();
  await bench.see(GOOD);
  const [showing] = await bench.judge.judge([{ kind: "deleted", object: EVIL }]);
  assert.equal(showing?.kind, "remove");
  assert.deepEqual(Object.keys(podOf(showing)), ["apiVersion", "kind", "metadata"]);
  assert.equal(bench.ledger.size, 0);
  assert.deepEqual(bench.forgotten, [uidOf(1)]);
  await bench.see(makePod());
  assert.equal(bench.refused.size, 1);
  assert.equal(await bench.gone(makePod()), "remove");
  assert.equal(bench.refused.size, 0);
});

Deno.test("refuses a DELETED that would remove another pod by its name, or by its UID", async () => {
  const bench = await makeBench();
  await bench.see(GOOD);
  assert.equal(await bench.gone(withMetadata(GOOD, { uid: uidOf(2) })), "hide");
  assert.equal(await bench.gone(withMetadata(GOOD, { name: "other" })), "hide");
  assert.equal(bench.ledger.size, 1);
  assert.equal(bench.log.of("deletion-hidden").length, 2);
});

Deno.test("refuses a UID under a second name, and leaves the first alone", async () => {
  const bench = await makeBench();
  const twin = await owner.signedPod({ name: "twin" });
  const [first, second] = await bench.see(GOOD, twin);
  assert.equal(fateOf(first), "new");
  assert.equal(fateOf(second), "hide");
  assert.deepEqual(codes(bench.log), ["identity-conflict"]);
  assert.equal(bench.refused.size, 0, "the rejector works by UID");
  assert.equal(await bench.fate(GOOD), "known");
});

Deno.test("refuses a UID under a second name after a restart, and keeps track of the first", async () => {
  const before = await makeBench();
  await before.see(GOOD);
  const bench = await makeBench({ store: before.store });
  assert.equal(await bench.fate(await owner.signedPod({ name: "twin" })), "hide");
  assert.equal(await bench.fate(GOOD), "new");
  assert.equal(await bench.fate(GOOD), "known");
});

Deno.test("refuses a second pod of a name while the first is there, and takes it afterwards", async () => {
  const bench = await makeBench();
  await bench.see(GOOD);
  const successor = await owner.signedPod({ uid: uidOf(2) });
  assert.equal(await bench.fate(successor), "hide");
  assert.deepEqual(codes(bench.log), ["identity-conflict"]);
  assert.equal(bench.refused.has(uidOf(2)), true);
  await bench.gone(GOOD);
  assert.equal(await bench.fate(successor), "new");
});

Deno.test("a refused pod does not keep its name from a good one", async () => {
  const bench = await makeBench();
  await bench.see(makePod());
  assert.equal(await bench.fate(await owner.signedPod({ uid: uidOf(2) })), "new");
});

for (
  const [what, pod, code] of [
    ["another image", EVIL, "spec-differs"],
    ["no signature", makePod(), "unsigned"],
    [
      "other signed bytes",
      await owner.signedPod({ image: "registry.example/web:2" }),
      "changed-after-admission",
    ],
    [
      "an ephemeral container",
      withSpec(GOOD, { ephemeralContainers: [{ name: "debug", image: "x" }] }),
      undefined,
    ],
    [
      "a mirror annotation",
      makeMirror({ name: "web", namespace: "default", uid: uidOf(1) }),
      "identity-conflict",
    ],
    ["another node", withSpec(GOOD, { nodeName: "other" }), "wrong-node"],
    ["a phase that there is not", withStatus(GOOD, { phase: "Evil" }), "pod-malformed"],
    [
      "a terminal phase and a hook",
      withStatus(withImage(GOOD, "evil"), { phase: "Succeeded" }),
      "spec-differs",
    ],
  ] as const
) {
  Deno.test(`refuses an admitted pod that comes with ${what}: stopped, with its last good spec`, async () => {
    const bench = await makeBench();
    const [good] = await bench.see(withStatus(GOOD, { phase: "Running" }));
    await bench.clock.advance(1500);
    const [bad] = await bench.see(withMetadata(pod, { resourceVersion: "77" }));
    assert.equal(fateOf(bad), "known, stopping");
    const metadata = objectOf(podOf(bad)["metadata"]);
    assert.deepEqual(podOf(bad)["spec"], podOf(good)["spec"]);
    assert.equal(metadata["resourceVersion"], "77");
    assert.equal(metadata["deletionTimestamp"], "2026-01-01T00:00:01Z");
    assert.equal(metadata["deletionGracePeriodSeconds"], 30);
    if (code !== undefined) {
      assert.deepEqual(codes(bench.log), [code]);
    }
    assert.equal(bench.log.of("pod-stopping").length, 1);
    assert.equal(bench.refused.size, 0, "the kubelet ends it, not the rejector");
    assert.equal(bench.ledger.get(uidOf(1))?.state, "stopping");
    assert.ok(bench.ledger.get(uidOf(1))?.refusal);

    await bench.clock.advance(60_000);
    const [again] = await bench.see(GOOD);
    assert.equal(fateOf(again), "known, stopping", "never admitted again");
    assert.equal(objectOf(podOf(again)["metadata"])["deletionTimestamp"], "2026-01-01T00:00:01Z");

    const next = await makeBench({ store: bench.store });
    assert.equal(await next.fate(GOOD), "new, stopping", "nor by the next process");
  });
}

Deno.test("GET of a pod that is being stopped shows no deletion that nobody asked for", async () => {
  const bench = await makeBench();
  await bench.see(GOOD);
  assert.equal(fateOf(await bench.judge.preview(EVIL)), "known", "also before the watch has told of it");
  assert.equal(bench.ledger.get(uidOf(1))?.state, "admitted", "GET changes nothing");
  await bench.see(EVIL);
  const shown = await bench.judge.preview(EVIL);
  assert.equal(fateOf(shown), "known");
  assert.equal(JSON.stringify(podOf(shown)).includes("evil"), false);
  assert.equal(fateOf(await bench.judge.preview(makeMirror({ uid: uidOf(5) }))), "known");
  assert.equal(
    fateOf(await bench.judge.preview(await owner.signedPod({ name: "new", uid: uidOf(6) }))),
    "known",
  );
  assert.equal(bench.ledger.get(uidOf(6)), undefined);
});

Deno.test("a stopped pod is removed once, hidden from then on, and removed again when a watch resumes", async () => {
  const bench = await makeBench();
  await bench.see(GOOD);
  await bench.see(EVIL);
  assert.equal(bench.judge.stoppingEntry("default", "web")?.uid, uidOf(1));
  await bench.judge.markStopped(uidOf(1));
  assert.equal(bench.judge.stoppingEntry("default", "web")?.state, "stopped");
  assert.equal(fateOf(await bench.judge.preview(EVIL)), "hide");
  assert.equal(await bench.fate(EVIL), "remove");
  assert.equal(await bench.fate(GOOD), "hide");
  bench.judge.resumeWatch(bench.judge.moment);
  assert.equal(await bench.fate(GOOD), "remove");
  assert.equal(await bench.fate(GOOD), "hide");
  assert.equal(bench.refused.size, 0);
  await bench.see(withMetadata(GOOD, { deletionTimestamp: "2026-01-01T00:00:00Z" }));
  assert.equal(bench.refused.get(uidOf(1))?.deleting, true, "no kubelet would finish its deletion");
  const next = await makeBench({ store: bench.store });
  assert.equal(await next.fate(GOOD), "hide");
  assert.equal(bench.log.of("pod-stopped").length, 1);
});

Deno.test("the event that the kubelet's report causes removes the pod, even before the report is answered", async () => {
  const bench = await makeBench();
  await bench.see(GOOD);
  await bench.see(EVIL);
  const failed = withStatus(EVIL, { phase: "Failed" });
  assert.equal(
    await bench.fate(failed),
    "known, stopping",
    "a phase that the kubelet did not report means nothing",
  );
  bench.judge.setFinishing(uidOf(1), true);
  assert.equal(await bench.fate(EVIL), "known, stopping");
  assert.equal(await bench.fate(failed), "remove");
  await bench.judge.markStopped(uidOf(1));
  assert.equal(bench.log.of("pod-stopped").length, 1);
});

Deno.test("a report that failed leaves the pod as it was", async () => {
  const bench = await makeBench();
  await bench.see(GOOD);
  await bench.see(EVIL);
  bench.judge.setFinishing(uidOf(1), true);
  bench.judge.setFinishing(uidOf(1), false);
  assert.equal(await bench.fate(withStatus(EVIL, { phase: "Failed" })), "known, stopping");
});

Deno.test("marking a pod that is not being stopped changes nothing", async () => {
  const bench = await makeBench();
  await bench.see(GOOD);
  await bench.judge.markStopped(uidOf(1));
  await bench.judge.markStopped(uidOf(2));
  assert.equal(bench.ledger.get(uidOf(1))?.state, "admitted");
  assert.equal(bench.judge.stoppingEntry("default", "web"), undefined);
});

Deno.test("dates gate the first admission only", async () => {
  const notAfter = new Date("2026-01-01T01:00:00Z");
  const pod = await owner.signedPod({}, { notAfter });
  const bench = await makeBench();
  await bench.see(pod);
  await bench.clock.advance(2 * 3_600_000);
  assert.equal(await bench.fate(pod), "known");
  assert.equal(
    await bench.fate(await owner.signedPod({ name: "late", uid: uidOf(2) }, { notAfter })),
    "hide",
  );
  assert.deepEqual(codes(bench.log), ["expired"]);
});

Deno.test("a key gates the first admission only, until it is revoked", async () => {
  const by = (options: Partial<VerifierOptions>): PodVerifier =>
    createVerifier({ keys: [], acceptForms: new Set(["template"]), requireDigests: false, ...options });
  const store = new MemoryLedgerStore();
  const { fate } = await makeBench({
    store,
    verifier: by({ keys: [owner.verificationKey, stranger.verificationKey] }),
  });
  assert.equal(await fate(GOOD), "new");
  const other = makePod({ name: "other", uid: uidOf(2) });
  assert.equal(await fate(await owner.sign(other)), "new");
  // The same bytes, signed with the next key: from now on the pod is that one's.
  assert.equal(await fate(await stranger.sign(other)), "known");

  const later = await makeBench({ store, verifier: by({ keys: [stranger.verificationKey] }) });
  assert.equal(await later.fate(GOOD), "new", "runs on without its key");
  assert.equal(await later.fate(await owner.signedPod({ name: "late", uid: uidOf(3) })), "hide");

  const revoking = await makeBench({
    store,
    verifier: by({ keys: [stranger.verificationKey], revoked: [owner.verificationKey] }),
  });
  assert.equal(await revoking.fate(GOOD), "new, stopping");
  assert.equal(await revoking.fate(await stranger.sign(other)), "new");
  assert.deepEqual(codes(revoking.log), ["key-revoked"]);
});

Deno.test("refuses to let pods of a revoked key run on, whether or not they are seen again", async () => {
  const both = createVerifier({
    keys: [owner.verificationKey, stranger.verificationKey],
    acceptForms: new Set(["template"]),
    requireDigests: false,
  });
  const bench = await makeBench({ verifier: both });
  const other = makePod({ name: "other", uid: uidOf(2) });
  await bench.see(GOOD, await stranger.sign(other));
  await bench.judge.stopSignedBy(new Set([owner.verificationKey.id]));
  assert.deepEqual(bench.judge.stoppingEntries().map(({ name }) => name), ["web"]);
  assert.deepEqual(codes(bench.log), ["key-revoked"]);
  const [line] = bench.log.of("pod-stopping");
  assert.match(String(line?.fields["reason"]), /key that signed is revoked/);
  assert.deepEqual(bench.announced.map(({ uid }) => uid), [uidOf(1)]);
  assert.equal(await bench.fate(GOOD), "known, stopping", "a pod does not come back");
  assert.equal(await bench.fate(await stranger.sign(other)), "known");

  const next = await makeBench({ store: bench.store });
  assert.deepEqual(next.judge.stoppingEntries().map(({ name }) => name), ["web"], "it was written");
  await next.judge.stopSignedBy(new Set([stranger.verificationKey.id]));
  assert.equal(next.judge.stoppingEntries().length, 2, "also what this process has not seen");
});

Deno.test("audit stops no pods of a revoked key", async () => {
  const bench = await makeBench({ mode: "audit" });
  await bench.see(GOOD);
  await bench.judge.stopSignedBy(new Set([owner.verificationKey.id]));
  assert.deepEqual(bench.judge.stoppingEntries(), []);
  assert.equal(await bench.fate(GOOD), "known");
});

Deno.test("refuses an expired pod that was deleted in the same breath", async () => {
  const pod = await owner.signedPod({}, { notAfter: new Date("2026-01-01T01:00:00Z") });
  const bench = await makeBench();
  await bench.see(pod);
  await bench.clock.advance(2 * 3_600_000);
  const showings = await bench.judge.judge([{ kind: "deleted", object: pod }, {
    kind: "present",
    object: pod,
  }]);
  assert.deepEqual(showings.map(fateOf), ["remove", "hide"]);
  assert.deepEqual(codes(bench.log), ["expired"]);
});

Deno.test("mirror pods pass without containers", async () => {
  const bench = await makeBench();
  const [showing] = await bench.see(makeMirror({ uid: uidOf(5) }));
  assert.deepEqual(objectOf(podOf(showing)["spec"])["containers"], []);
  assert.equal(await bench.fate(makeMirror({ uid: uidOf(5) })), "known");
  assert.equal(bench.ledger.size, 0);
});

Deno.test("a mirror pod is told of once, and again after another verdict", async () => {
  const bench = await makeBench();
  const mirror = makeMirror({ uid: uidOf(5) });
  const elsewhere = makeMirror({ uid: uidOf(5), nodeName: "other" });
  for (const pod of [mirror, mirror, elsewhere, elsewhere, mirror]) await bench.see(pod);
  assert.deepEqual(bench.log.events(), ["mirror-pod-passed", "pod-refused", "mirror-pod-passed"]);
  const { name } = objectOf(mirror["metadata"]);
  assert.deepEqual(bench.told, [
    `mirror enforce ${name}`,
    `refuse enforce ${name} wrong-node`,
    `mirror enforce ${name}`,
  ]);
});

Deno.test("pods that share a UID are each told of once, and again when their verdict changes", async () => {
  const bench = await makeBench();
  const twin = await owner.signedPod({ name: "twin" });
  for (let count = 0; count < 3; count++) await bench.see(GOOD, twin, makePod({ name: "third" }));
  assert.deepEqual(bench.told, [
    "allow enforce web",
    "refuse enforce twin identity-conflict",
    "refuse enforce third identity-conflict",
  ]);
  await bench.see(EVIL, twin, GOOD);
  assert.deepEqual(bench.told.slice(3), ["stop enforce web spec-differs"]);
  // Also where none of them is admitted, so that each takes the other's place.
  const hidden = await makeBench();
  for (let count = 0; count < 3; count++) {
    const snapshot = hidden.judge.beginSnapshot(true);
    await hidden.judge.judge([GOOD, twin].map((object) => ({ kind: "present", object })), snapshot);
  }
  assert.deepEqual(hidden.told, [
    "refuse enforce web identity-conflict",
    "refuse enforce twin identity-conflict",
  ]);
  assert.equal(await hidden.fate(GOOD), "new");
  assert.deepEqual(hidden.told.slice(2), ["allow enforce web"]);
});

Deno.test("of more pods with one UID than are remembered, the oldest are told of again", async () => {
  const bench = await makeBench();
  await bench.see(GOOD);
  const twin = (index: number) => makePod({ name: `twin-${index}` });
  await bench.see(...Array.from({ length: MAX_VERDICTS_ASIDE + 1 }, (_, index) => twin(index)));
  assert.equal(bench.told.length, MAX_VERDICTS_ASIDE + 2);
  await bench.see(twin(MAX_VERDICTS_ASIDE), twin(1));
  assert.equal(bench.told.length, MAX_VERDICTS_ASIDE + 2);
  await bench.see(twin(0));
  assert.equal(bench.told.length, MAX_VERDICTS_ASIDE + 3);
});

for (
  const [what, mirror] of [
    ["another pod's name", makeMirror({ name: "web", namespace: "default", uid: uidOf(5) })],
    ["another node", makeMirror({ uid: uidOf(5), nodeName: "other" })],
    [
      "a malformed hash",
      withMetadata(makeMirror({ uid: uidOf(5) }), { annotations: { "kubernetes.io/config.mirror": "../x" } }),
    ],
  ] as const
) {
  Deno.test(`refuses a mirror pod with ${what}`, async () => {
    const bench = await makeBench();
    await bench.see(GOOD);
    assert.equal(await bench.fate(mirror), "hide");
    assert.equal(await bench.fate(GOOD), "known");
  });
}

Deno.test("refuses a pod with a mirror's name or UID", async () => {
  const bench = await makeBench();
  await bench.see(makeMirror({ name: "web", namespace: "default", uid: uidOf(5) }));
  assert.equal(await bench.fate(GOOD), "hide");
  assert.equal(
    await bench.fate(await owner.signedPod({ uid: uidOf(5) })),
    "remove",
    "the mirror is not shown any more",
  );
  assert.deepEqual(codes(bench.log), ["identity-conflict", "identity-conflict"]);
  assert.equal(await bench.gone(makeMirror({ name: "web", namespace: "default", uid: uidOf(5) })), "remove");
  assert.equal(await bench.fate(GOOD), "new");
});

Deno.test("refuses a mirror's UID to any other name, and leaves the mirror its own", async () => {
  const bench = await makeBench();
  const mirror = makeMirror({ name: "web", namespace: "default", uid: uidOf(5) });
  await bench.see(mirror);
  for (
    const pod of [
      withMetadata(mirror, { name: "web2" }),
      await owner.signedPod({ name: "web2", uid: uidOf(5) }),
    ]
  ) {
    assert.equal(await bench.fate(pod), "hide");
    assert.equal(await bench.fate(pod), "hide");
    assert.equal(await bench.gone(pod), "hide");
  }
  assert.equal(await bench.fate(GOOD), "hide");
  assert.equal(await bench.fate(mirror), "known");
  assert.equal(bench.refused.has(uidOf(5)), false, "the rejector works by UID");
});

Deno.test("a full list is the truth: what it does not hold is forgotten", async () => {
  const before = await makeBench();
  await before.see(GOOD, await owner.signedPod({ name: "other", uid: uidOf(2) }));
  const bench = await makeBench({ store: before.store });
  await bench.see(makePod({ name: "rogue", uid: uidOf(3) }));
  const snapshot = bench.judge.beginSnapshot(true);
  await bench.judge.judge([{ kind: "present", object: GOOD }], snapshot);
  await bench.judge.completeSnapshot(snapshot);
  assert.deepEqual([...bench.ledger.entries()].map(({ uid }) => uid), [uidOf(1)]);
  assert.equal(bench.refused.size, 0);
  const next = await makeBench({ store: bench.store });
  assert.equal(next.ledger.size, 1);
});

Deno.test("what was seen while a list was on its way is not forgotten by it", async () => {
  const bench = await makeBench();
  const snapshot = bench.judge.beginSnapshot(true);
  await bench.see(GOOD);
  await bench.judge.judge([], snapshot);
  await bench.judge.completeSnapshot(snapshot);
  assert.equal(bench.ledger.size, 1);
});

Deno.test("in a snapshot, a name that has passed to another UID means that the first is gone", async () => {
  const before = await makeBench();
  await before.see(GOOD);
  for (const unique of [true, false]) {
    const bench = await makeBench({ store: new MemoryLedgerStore(before.store.text) });
    const snapshot = bench.judge.beginSnapshot(unique);
    const successor = await owner.signedPod({ uid: uidOf(2) });
    const showings = await bench.judge.judge([{ kind: "present", object: successor }], snapshot);
    assert.deepEqual(showings.map(fateOf), ["new"]);
    await bench.judge.completeSnapshot(snapshot);
    assert.deepEqual([...bench.ledger.entries()].map(({ uid }) => uid), [uidOf(2)]);
  }
});

Deno.test("refuses a second pod of a name within one snapshot of a watch", async () => {
  const bench = await makeBench();
  const snapshot = bench.judge.beginSnapshot(false);
  const pods = [GOOD, await owner.signedPod({ uid: uidOf(2) }), GOOD];
  const showings = await bench.judge.judge(pods.map((object) => ({ kind: "present", object })), snapshot);
  assert.deepEqual(showings.map(fateOf), ["new", "hide", "known"]);
});

Deno.test("refuses both of two pods in one list that share a UID or a name", async () => {
  for (
    const twin of [await owner.signedPod({ name: "twin" }), await owner.signedPod({ uid: uidOf(2) }), GOOD]
  ) {
    const bench = await makeBench();
    const snapshot = bench.judge.beginSnapshot(true);
    const showings = await bench.judge.judge(
      [GOOD, twin].map((object) => ({ kind: "present", object })),
      snapshot,
    );
    assert.deepEqual(showings.map(fateOf), ["hide", "hide"]);
    assert.ok(codes(bench.log).every((code) => code === "identity-conflict"));
    assert.equal(bench.ledger.size, 0);
  }
});

Deno.test("refuses a twin on a later page of the same list", async () => {
  const bench = await makeBench();
  const snapshot = bench.judge.beginSnapshot(true);
  await bench.judge.judge([{ kind: "present", object: GOOD }], snapshot);
  const twin = await owner.signedPod({ uid: uidOf(2) });
  const showings = await bench.judge.judge([{ kind: "present", object: twin }], snapshot);
  assert.deepEqual(showings.map(fateOf), ["hide"]);
});

Deno.test("refuses a twin of a refused pod on a later page too", async () => {
  for (const twin of [await owner.signedPod({ name: "twin" }), await owner.signedPod({ uid: uidOf(2) })]) {
    const bench = await makeBench();
    const snapshot = bench.judge.beginSnapshot(true);
    await bench.judge.judge([{ kind: "present", object: makePod() }], snapshot);
    const showings = await bench.judge.judge([{ kind: "present", object: twin }], snapshot);
    assert.deepEqual(showings.map(fateOf), ["hide"]);
  }
});

Deno.test("refuses an admitted pod that a list holds twice: stopped, and shown once", async () => {
  const bench = await makeBench();
  await bench.see(GOOD);
  const snapshot = bench.judge.beginSnapshot(true);
  const showings = await bench.judge.judge(
    [GOOD, EVIL].map((object) => ({ kind: "present", object })),
    snapshot,
  );
  assert.deepEqual(showings.map(fateOf), ["new, stopping", "hide"]);
});

Deno.test("in audit, refusals are logged, nothing is stopped, and nothing is asked of the API server", async () => {
  const bench = await makeBench({ mode: "audit" });
  await bench.see(GOOD);
  await bench.see(EVIL);
  assert.deepEqual(codes(bench.log), ["spec-differs"]);
  assert.equal(bench.ledger.get(uidOf(1))?.state, "admitted");
  assert.equal(bench.refused.size, 0);
  const enforcing = await makeBench({ store: bench.store });
  assert.equal(await enforcing.fate(GOOD), "new");
  assert.deepEqual(bench.log.of("pod-refused").map(({ message }) => /in audit it runs/.test(message)), [
    true,
  ]);
});

Deno.test("in audit, what an enforcing process has stopped is judged like the rest", async () => {
  const enforcing = await makeBench();
  await enforcing.see(GOOD);
  await enforcing.see(EVIL);
  const bench = await makeBench({ mode: "audit", store: enforcing.store });
  await bench.see(GOOD);
  assert.deepEqual(codes(bench.log), []);
});

Deno.test("over the bound, what is known of hidden pods is dropped first", async () => {
  const bench = await makeBench({ maxTrackedPods: 2 });
  await bench.see(GOOD);
  for (let number = 2; number < 6; number++) {
    assert.equal(await bench.fate(makePod({ name: `rogue-${number}`, uid: uidOf(number) })), "hide");
  }
  assert.equal(await bench.fate(GOOD), "known");
});

Deno.test("refuses more pods than can be kept track of", async () => {
  const bench = await makeBench({ maxTrackedPods: 1 });
  await bench.see(GOOD);
  await assert.rejects(bench.see(makePod({ name: "rogue", uid: uidOf(2) })), TooManyPodsError);
});

Deno.test("refuses more admissions than the ledger holds", async () => {
  const bench = await makeBench({ maxEntries: 1 });
  await bench.see(GOOD);
  await assert.rejects(bench.see(await owner.signedPod({ name: "other", uid: uidOf(2) })), LedgerFullError);
});

Deno.test("refuses a UID that comes back under another name, with other signed bytes, or after it was stopped", async () => {
  const elsewhere = await owner.signedPod({ name: "other", uid: uidOf(1) });
  const resigned = await owner.signedPod({ uid: uidOf(1), image: "registry.example/other:2" });
  for (const again of [elsewhere, resigned]) {
    const bench = await makeBench();
    await bench.see(GOOD);
    assert.equal(await bench.gone(GOOD), "remove");
    assert.equal(await bench.fate(again), "hide");
    assert.equal(bench.ledger.size, 0);
    const next = await makeBench({ store: bench.store });
    assert.equal(await next.fate(again), "hide", "also after a restart");
    assert.equal(
      await bench.fate(GOOD),
      "new",
      "the pod itself may come back: a list may have been out of date",
    );
  }
  const bench = await makeBench();
  await bench.see(GOOD);
  await bench.see(EVIL);
  await bench.gone(EVIL);
  assert.equal(await bench.fate(GOOD), "hide", "it was being stopped");
});

Deno.test("refuses an expired pod that comes back after it was gone", async () => {
  const bench = await makeBench();
  const expiring = await owner.signedPod({}, { notAfter: new Date(bench.clock.now().getTime() + 1000) });
  assert.equal(await bench.fate(expiring), "new");
  assert.equal(await bench.gone(expiring), "remove");
  await bench.clock.advance(5000);
  assert.equal(await bench.fate(expiring), "hide");
});

Deno.test("refuses a mirror's UID to a pod, and a pod's to a mirror, after they are gone", async () => {
  const bench = await makeBench();
  const mirror = makeMirror({ uid: uidOf(1) });
  await bench.see(mirror);
  await bench.gone(mirror);
  assert.equal(await bench.fate(GOOD), "hide");
  const other = await makeBench();
  await other.see(GOOD);
  await other.gone(GOOD);
  assert.equal(await other.fate(makeMirror({ uid: uidOf(1) })), "hide");
});

Deno.test("refuses new pods and mirror pods while no retired UID may be forgotten, until a watch resumes", async () => {
  const bench = await makeBench({ maxRetired: 1 });
  const mirror = makeMirror({ uid: uidOf(5) });
  assert.equal(await bench.fate(mirror), "new");
  await bench.see(GOOD);
  await bench.gone(GOOD);
  const { moment } = bench.judge;
  const next = await owner.signedPod({ name: "next", uid: uidOf(2) });
  assert.equal(await bench.fate(makeMirror({ name: "another", uid: uidOf(6) })), "hide");
  await assert.rejects(bench.see(next), LedgerFullError);
  assert.equal(await bench.fate(mirror), "known", "the kubelet has it already");
  bench.judge.resumeWatch(moment);
  assert.equal(await bench.fate(next), "new");
});

Deno.test("refuses to read initial events without end", async () => {
  const bench = await makeBench({ maxTrackedPods: 2 });
  const snapshot = bench.judge.beginSnapshot(false);
  const see = (number: number) =>
    bench.judge.judge(
      [{ kind: "present", object: makePod({ name: `u-${number}`, uid: uidOf(number) }) }],
      snapshot,
    );
  await see(1);
  await see(2);
  await see(2);
  await assert.rejects(see(3), TooManyPodsError);
});

Deno.test("the observer is told of each verdict when it changes, and once", async () => {
  const bench = await makeBench();
  const rogue = makePod({ name: "rogue", uid: uidOf(2) });
  await bench.see(GOOD, rogue);
  await bench.see(withStatus(GOOD, { phase: "Running" }), rogue);
  assert.deepEqual(bench.told, ["allow enforce web", "refuse enforce rogue unsigned"]);
  await bench.see(await owner.signedPod({ name: "rogue", uid: uidOf(2) }), EVIL, EVIL);
  assert.deepEqual(bench.told.slice(2), ["allow enforce rogue", "stop enforce web spec-differs"]);
  const nameless = withMetadata(GOOD, { uid: "" });
  await bench.see(nameless, nameless);
  assert.deepEqual(bench.told.slice(4), ["unidentified", "unidentified"]);
  await bench.judge.completeSnapshot(bench.judge.beginSnapshot(true));
  assert.deepEqual(bench.told.slice(6), ["listed"]);
});

Deno.test("in audit the observer is told what would be, and that it is audit", async () => {
  const bench = await makeBench({ mode: "audit" });
  await bench.see(GOOD, makePod({ name: "rogue", uid: uidOf(2) }));
  await bench.see(EVIL);
  assert.deepEqual(bench.told, [
    "allow audit web",
    "refuse audit rogue unsigned",
    "refuse audit web spec-differs",
  ]);
  assert.deepEqual(bench.judge.counts(), { admitted: 0, mirror: 0, refused: 2, stopping: 0, stopped: 0 });
});

Deno.test("pods are counted by what the kubelet is shown of them", async () => {
  const bench = await makeBench();
  const other = await owner.signedPod({ name: "other", uid: uidOf(2) });
  await bench.see(GOOD, other, makeMirror({ uid: uidOf(3) }), makePod({ name: "rogue", uid: uidOf(4) }));
  assert.deepEqual(bench.judge.counts(), { admitted: 2, mirror: 1, refused: 1, stopping: 0, stopped: 0 });
  await bench.see(EVIL, withImage(other, "registry.example/evil:1"));
  await bench.judge.markStopped(uidOf(2));
  assert.deepEqual(bench.judge.counts(), { admitted: 0, mirror: 1, refused: 1, stopping: 1, stopped: 1 });
  await bench.gone(EVIL);
  assert.equal(bench.judge.counts().stopping, 0);
});

Deno.test("pods of a list are verified several at a time, all of them, and shown in order", async () => {
  let running = 0;
  let most = 0;
  const bench = await makeBench({
    verifier: {
      async verifyPod(pod, time) {
        most = Math.max(most, ++running);
        const verdict = await owner.verifier.verifyPod(pod, time);
        running--;
        return verdict;
      },
    },
  });
  const signed = await Promise.all(
    Array.from(
      { length: 300 },
      (_, index) => owner.sign(makePod({ name: `web-${index}`, uid: uidOf(index + 1) })),
    ),
  );
  const sightings = signed.map((object) => ({ kind: "present" as const, object }));
  const showings = await bench.judge.judge(sightings, bench.judge.beginSnapshot(true));
  assert.equal(most, MAX_CONCURRENT_VERIFICATIONS);
  assert.deepEqual(
    showings.map((showing) =>
      showing.kind === "show" ? objectOf(objectOf(JSON.parse(showing.text)).metadata).name : showing.kind
    ),
    signed.map((_, index) => `web-${index}`),
  );
  assert.equal(sightings.length, 0, "they are taken out");
});
