/**
 * Two gates get the same: one that remembers the text of pods, and one that reads, judges and builds everything anew. What
 * they show, log and keep has to be the same, to the byte.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { generateSigningKey } from "@signed-pods/shared/signing";
import { createVerifier } from "@signed-pods/shared/pod/verify";
import { readVerificationKeys } from "@signed-pods/shared/keys";
import { createKnownPods, type KnownPods } from "../../proxy/pods/known_pods.ts";
import { openLedger } from "../../proxy/pods/ledger.ts";
import { createPodGate, type PodGate } from "../../proxy/pods/pod_gate.ts";
import { createReplaceableVerifier } from "../../proxy/credentials/replaceable_verifier.ts";
import type { PodVerifier } from "../../proxy/pods/judge.ts";
import { ManualClock } from "../fakes/clock.ts";
import { MemoryLedgerStore } from "../fakes/ledger.ts";
import { MemoryLog } from "../fakes/log.ts";
import { NODE_NAME } from "../fakes/owner.ts";
import { chunked, upstreamOf } from "../fakes/upstream.ts";
import { type Input, mutate, Random } from "./mutations.ts";
import { readRecordings, type Recording } from "./recording.ts";

const NOTHING_KNOWN: KnownPods = {
  forget: () => {},
  bytes: 0,
  forDocument: () => ({
    maxDepth: -1,
    propose: () => assert.fail("the slow path asks for nothing"),
    learns: () => assert.fail("the slow path learns nothing"),
    learn: () => assert.fail("the slow path learns nothing"),
  }),
};

/** What happens to both gates. */
type Step =
  | { kind: "list" | "watch" | "initial" }
  /** The answers change at random; sometimes from the beginning again. */
  | { kind: "mutate"; seed: number; anew: boolean }
  | { kind: "keys"; of: "owner" | "nobody" | "revoked" | "gone" }
  | { kind: "restart" }
  | { kind: "time"; hours: number };

/** One gate, and all that came of it. */
class Side {
  readonly outcomes: string[] = [];
  readonly #makeKnown: () => KnownPods;
  readonly #store = new MemoryLedgerStore();
  readonly #log = new MemoryLog();
  readonly #clock = new ManualClock(new Date("2026-01-02T00:00:00Z"));
  #verifier: PodVerifier;
  #replaceable: ReturnType<typeof createReplaceableVerifier> | undefined;
  #gate: PodGate | undefined;
  #known: KnownPods | undefined;
  #resourceVersion = "1";

  constructor(makeKnown: () => KnownPods, verifier: PodVerifier) {
    this.#makeKnown = makeKnown;
    this.#verifier = verifier;
  }

  get bytesKnown(): number {
    return this.#known?.bytes ?? 0;
  }

  async start(input: () => Input): Promise<void> {
    await this.#gate?.close(0);
    this.#known = this.#makeKnown();
    this.#replaceable = createReplaceableVerifier(this.#verifier);
    this.#gate = createPodGate({
      upstream: upstreamOf((request) => {
        const { pathname, searchParams } = new URL(request.url);
        if (request.method !== "GET" || pathname !== "/api/v1/pods") {
          return new Response(null, { status: 404 });
        }
        const { list, watch, chunkBytes } = input();
        return new Response(chunked(searchParams.has("watch") ? watch : list, chunkBytes), {
          headers: { "content-type": "application/json" },
        });
      }),
      verifier: this.#replaceable,
      ledger: await openLedger(this.#store, this.#log),
      log: this.#log,
      mode: "enforce",
      nodeName: NODE_NAME,
      clock: this.#clock,
      random: () => 0.5,
      known: this.#known,
    });
  }

  async replaceKeys(verifier: PodVerifier): Promise<void> {
    this.#verifier = verifier;
    this.#replaceable?.replace(verifier);
    await this.#gate?.judgeAgain(new Set());
  }

  async pass(hours: number): Promise<void> {
    await this.#clock.advance(hours * 3_600_000);
  }

  async read(kind: "list" | "watch" | "initial"): Promise<void> {
    const gate = this.#gate;
    assert.ok(gate !== undefined);
    const leaving = new AbortController();
    const query = new URLSearchParams({ fieldSelector: `spec.nodeName=${NODE_NAME}` });
    if (kind !== "list") query.set("watch", "true");
    if (kind === "watch") query.set("resourceVersion", this.#resourceVersion);
    if (kind === "initial") query.set("sendInitialEvents", "true");
    const answer =
      await (kind === "list" ? gate.list(query, leaving.signal) : gate.watch(query, leaving.signal));
    const text = await answer.text();
    const version = /"resourceVersion":"([0-9]+)"/.exec(text)?.[1];
    if (answer.status === 200 && kind === "list" && version !== undefined) this.#resourceVersion = version;
    this.outcomes.push(`${kind} ${answer.status} ${text}`);
    leaving.abort();
  }

  /** Without what the rejector logs, which goes its own way in time. */
  async end(): Promise<void> {
    await this.#gate?.close(0);
    this.outcomes.push(`journal ${this.#store.text}`);
    for (const { level, event, message, fields } of this.#log.lines) {
      if (!event.startsWith("rejection")) {
        this.outcomes.push(`log ${JSON.stringify([level, event, message, fields])}`);
      }
    }
  }
}

async function verifiersOf(recording: Recording): Promise<Record<string, PodVerifier>> {
  const owner = await readVerificationKeys(recording.key, "a recording");
  const other = await generateSigningKey("ec-p256");
  const others = [{ ...other, key: other.publicKey, source: "another" }];
  const common = { acceptForms: new Set(["template", "spec"] as const), requireDigests: false };
  return {
    owner: createVerifier({ keys: owner, ...common }),
    nobody: createVerifier({ keys: [], ...common }),
    revoked: createVerifier({ keys: others, revoked: owner, ...common }),
    gone: createVerifier({ keys: others, ...common }),
  };
}

const STEPS: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.constant<Step>({ kind: "list" }) },
    { weight: 3, arbitrary: fc.constant<Step>({ kind: "watch" }) },
    { weight: 3, arbitrary: fc.constant<Step>({ kind: "initial" }) },
    {
      weight: 6,
      arbitrary: fc.record({ seed: fc.nat(), anew: fc.boolean() }).map<Step>((step) => ({
        kind: "mutate",
        ...step,
      })),
    },
    {
      weight: 1,
      arbitrary: fc.constantFrom("owner", "nobody", "revoked", "gone").map<Step>((of) => ({
        kind: "keys",
        of,
      })),
    },
    { weight: 1, arbitrary: fc.constant<Step>({ kind: "restart" }) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(1, 24 * 400).map<Step>((hours) => ({ kind: "time", hours })),
    },
  ),
  { minLength: 3, maxLength: 14 },
);

async function play(
  recording: Recording,
  steps: readonly Step[],
  makeFast: () => KnownPods,
): Promise<number> {
  const encoder = new TextEncoder();
  const original: Input = {
    list: encoder.encode(recording.list),
    watch: encoder.encode(recording.watch),
    chunkBytes: 1000,
  };
  let input = original;
  const known: number[] = [];
  const sides: Side[] = [];
  for (const makeKnown of [makeFast, () => NOTHING_KNOWN]) {
    // Each has verifiers of its own: these remember too.
    const verifiers = await verifiersOf(recording);
    const owner = verifiers["owner"];
    assert.ok(owner !== undefined);
    const side = new Side(makeKnown, owner);
    sides.push(side);
    input = original;
    await side.start(() => input);
    for (const step of steps) {
      switch (step.kind) {
        case "list":
        case "watch":
        case "initial":
          await side.read(step.kind);
          break;
        case "mutate":
          input = mutate(new Random(step.seed), step.anew ? original : input);
          break;
        case "keys": {
          const verifier = verifiers[step.of];
          assert.ok(verifier !== undefined);
          await side.replaceKeys(verifier);
          break;
        }
        case "restart":
          await side.start(() => input);
          break;
        case "time":
          await side.pass(step.hours);
          break;
        default: {
          const never: never = step;
          return never;
        }
      }
    }
    known.push(side.bytesKnown);
    await side.end();
  }
  const [fast, slow] = sides;
  assert.deepEqual(fast?.outcomes, slow?.outcomes);
  return known[0] ?? 0;
}

const RUNS = Number(Deno.env.get("FAST_PATH_RUNS") ?? 60);

Deno.test("a gate that remembers decides as one that does not, whatever it is sent", async () => {
  for (const recording of await readRecordings()) {
    await fc.assert(
      fc.asyncProperty(STEPS, async (steps) => void await play(recording, steps, createKnownPods)),
      { numRuns: RUNS },
    );
  }
});

Deno.test("it does so too while it has no room, and forgets", async () => {
  for (const recording of await readRecordings()) {
    await fc.assert(
      fc.asyncProperty(
        STEPS,
        fc.integer({ min: 1000, max: 60_000 }),
        async (steps, bytes) => void await play(recording, steps, () => createKnownPods(bytes)),
      ),
      { numRuns: Math.ceil(RUNS / 3) },
    );
  }
});

Deno.test("unchanged, it does so over and over", async () => {
  for (const recording of await readRecordings()) {
    const steps: Step[] = [];
    for (let round = 0; round < 3; round++) {
      steps.push({ kind: "list" }, { kind: "watch" }, { kind: "initial" }, { kind: "list" });
    }
    assert.ok(await play(recording, steps, createKnownPods) > 10_000);
    for (const  of of["nobody", "revoked", "gone"] as const) {
      await play(recording, [
        ...steps,
        { kind: "keys", of },
        ...steps,
        { kind: "keys", of: "owner" },
        ...steps,
      ], createKnownPods);
    }
  }
});
