/**
 * Proves the normal form against a real API server: every field that a pod's spec can have is signed, sent through it
 * and judged, and then everything that came back is changed, one thing at a time. Twice: with the feature gates at
 * their defaults, and with all of them on. Run by `tests/cluster/run api-server`.
 */
import assert from "node:assert/strict";
import { equalJson, type JsonObject } from "@signed-pods/shared/json";
import { expand, SCHEDULING_FIELDS, withoutScheduling } from "@signed-pods/shared/pod/normal-form";
import { rebuildPod } from "@signed-pods/shared/pod/rebuild";
import type { AllowVerdict, Difference, Verdict } from "@signed-pods/shared/verdict";
import { DEFAULT_ROWS } from "../../../shared/pod/defaults.ts";
import { objectOf, Owner } from "../../fakes/owner.ts";
import { type Answer, type ControlPlane, startControlPlane } from "../control_plane.ts";
import { objectAt, textAt } from "../json.ts";
import {
  defaultsSet,
  fieldsIn,
  fieldsKept,
  isInVersion,
  reachableFields,
  withoutFields,
} from "./coverage.ts";
import { DEBUG_CONTAINERS, type Example, EXAMPLES, NODE_NAME, PREREQUISITES } from "./examples.ts";
import {
  type Expected,
  type Mutation,
  MUTATION_KINDS,
  type MutationKind,
  mutationsOf,
  NOT_SHOWN,
} from "./mutations.ts";
import { type Change, IGNORED_FIELDS, isIgnored, type Rule, RULES } from "./rules.ts";
import { GATED, REFUSED } from "./unaccepted.ts";

const NOW = new Date("2026-06-01T00:00:00Z");

/** What stands in values that no verdict may show. */
const SECRET = "swordfish";

/** Failures that are shown; one cause may have thousands. */
const MAX_SHOWN_FAILURES = 40;

/** How many mutations had which outcome. */
type Counts = Record<string, Record<MutationKind, number>>;

/** What one API server has shown. */
interface Pass {
  version: string;
  covered: Set<string>;
  defaults: Set<string>;
  /** Fields that are not accepted, with the reason. */
  reasons: Map<string, string>;
  counts: Counts;
  /** How many changes the API server has itself put back. */
  putBack: number;
  /** Fields that the API server dropped from a pod, which was refused then. */
  dropped: Set<string>;
}

function environment(name: string): string {
  const value = Deno.env.get(name);
  if (value === undefined) {
    throw new Error(`${name} is not set; start the tests with tests/cluster/run api-server`);
  }
  return value;
}

Deno.test("every field of a pod's spec verifies, and every change of it is refused with its path", async (t) => {
  const owner = await Owner.create();
  const passes: Pass[] = [];
  for (const gates of [undefined, "AllAlpha=true,AllBeta=true"]) {
    const name = gates === undefined ? "feature gates at their defaults" : "all feature gates on";
    await t.step(name, async (t) => {
      const controlPlane = await startControlPlane({
        runDir: `${environment("CLUSTER_RUN_DIR")}/fields-${gates === undefined ? "default" : "all"}`,
        kubernetesDir: environment("CLUSTER_KUBERNETES_DIR"),
        ...(gates === undefined ? {} : { featureGates: gates }),
      });
      try {
        passes.push(await new Prover(controlPlane, owner, gates !== undefined).run(t));
      } finally {
        await controlPlane.stop();
      }
    });
  }
  await t.step("no field is skipped", () => conclude(passes));
});

class Prover {
  readonly #api: ControlPlane;
  readonly #owner: Owner;
  readonly #version: string;
  /** Fields of other versions, with the reason. */
  readonly #unknown = new Map<string, string>();
  /** Fields whose gate is off, with the reason. */
  readonly #gated = new Map<string, string>();
  /** Feature gates that are off. */
  readonly #gatesOff = new Set<string>();
  readonly #pass: Pass;

  constructor(api: ControlPlane, owner: Owner, allGates: boolean) {
    this.#api = api;
    this.#owner = owner;
    this.#version = api.version.split(".").slice(0, 2).join(".");
    for (const [name, field] of reachableFields()) {
      if (!isInVersion(field, this.#version)) this.#unknown.set(name, `not in Kubernetes ${this.#version}`);
    }
    for (const { fields, gate, onSince } of GATED) {
      const isOn = allGates ||
        (onSince !== undefined && isInVersion({ since: onSince }, this.#version));
      if (!isOn) this.#gatesOff.add(gate);
      for (const field of fields) {
        if (!isOn && !this.#unknown.has(field)) this.#gated.set(field, `the feature gate ${gate} is off`);
      }
    }
    this.#pass = {
      version: api.version,
      covered: new Set(),
      defaults: new Set(),
      reasons: new Map(),
      counts: {},
      putBack: 0,
      dropped: new Set(),
    };
  }

  async run(t: Deno.TestContext): Promise<Pass> {
    for (const { path, object } of PREREQUISITES) await this.#api.create(path, object);
    for (const example of EXAMPLES) {
      await t.step(`pod ${example.name}`, () => this.#prove(example));
    }
    await t.step("containers that are added to a running pod", () => this.#debug());
    await t.step("what is not accepted is dropped or refused", () => this.#checkReasons());
    return this.#pass;
  }

  /** Sends a signed pod to be created. */
  async #create({ name, namespace = "default" }: Example, spec: JsonObject, query = ""): Promise<Answer> {
    const pod = { apiVersion: "v1", kind: "Pod", metadata: { name, namespace }, spec };
    return await this.#send(namespace, await this.#owner.sign(pod), query);
  }

  #send(namespace: string, pod: JsonObject, query: string): Promise<Answer> {
    const path = `/api/v1/namespaces/${namespace}/pods?fieldValidation=Strict${query}`;
    return this.#api.request("POST", path, pod);
  }

  /** Creates a pod, judges it as it comes back, then with each change; and deletes it. */
  async #prove(example: Example): Promise<void> {
    const left = new Set([...this.#unknown.keys(), ...this.#gated.keys()]);
    const written = withoutFields(example.spec, left);
    const answer = await this.#create(example, written);
    const { name, namespace = "default" } = example;
    const isGated = example.gate !== undefined && this.#gatesOff.has(example.gate);
    if (isGated && answer.status === 422) return;
    assert.equal(answer.status, 201, `${name}: ${textAt(answer.body, "message")}`);
    const path = `/api/v1/namespaces/${namespace}/pods/${name}`;
    const { body: live } = await this.#api.request("GET", path);
    try {
      if (isGated) await this.#refuseChanged(live);
      else await this.#judge(example, written, live);
    } finally {
      await this.#api.request("DELETE", `${path}?gracePeriodSeconds=0`);
    }
  }

  /** Without its gate the API server has taken something out of the pod, so it is not what was signed. */
  async #refuseChanged(live: JsonObject): Promise<void> {
    const verdict = await this.#owner.verifier.verifyPod(live, { now: NOW });
    assert.ok(verdict.decision === "deny" && verdict.code === "spec-differs", describe(verdict));
  }

  async #judge(example: Example, written: JsonObject, live: JsonObject): Promise<void> {
    const spec = objectAt(live, "spec");
    const verdict = await this.#owner.verifier.verifyPod(live, { now: NOW });
    assert.ok(verdict.decision === "allow", `${example.name}: ${describe(verdict)}`);
    const built = build(live, verdict);
    assert.ok(
      equalJson(withoutScheduling(built), withoutScheduling(expand(spec))),
      `${example.name}: rebuilt`,
    );
    for (const field of fieldsKept(written, spec)) this.#pass.covered.add(field);
    for (const field of defaultsSet(written, spec)) this.#pass.defaults.add(field);

    const failures: string[] = [];
    for (const mutation of mutationsOf(spec)) {
      const change = { mutation, signed: written, live: spec };
      const rule = isIgnored(mutation) ? undefined : RULES.find((rule) => rule.applies(change));
      const problem = await this.#check(live, verdict, change, rule, example);
      const { kind, place: { path } } = mutation;
      if (problem !== undefined) failures.push(`${path} ${kind}: ${problem}`);
      this.#count(isIgnored(mutation) ? `ignored: ${mutation.place.keys[0]}` : rule?.name ?? "refused", kind);
    }
    const shown = failures.slice(0, MAX_SHOWN_FAILURES).join("\n");
    assert.equal(failures.length, 0, `${failures.length} changes of pod ${example.name}:\n${shown}`);
  }

  #count(outcome: string, kind: MutationKind): void {
    const row = this.#pass.counts[outcome] ??= {
      altered: 0,
      removed: 0,
      duplicated: 0,
      reordered: 0,
      added: 0,
    };
    row[kind]++;
  }

  /** Judges a changed pod; says what is wrong with the verdict, if anything is. */
  async #check(
    live: JsonObject,
    original: AllowVerdict,
    { mutation, live: liveSpec }: Change,
    rule: Rule | undefined,
    example: Example,
  ): Promise<string | undefined> {
    const verdict = await this.#owner.verifier.verifyPod({ ...live, spec: mutation.spec }, { now: NOW });
    const shown = describe(verdict);
    if (verdict.decision === "deny" && JSON.stringify(verdict).includes(SECRET)) {
      return `shows a secret: ${shown}`;
    }
    if (rule === undefined && !isIgnored(mutation)) {
      return refusalProblem(verdict, mutation.expected) ?? this.#sameTextProblem(verdict);
    }
    if (rule?.outcome === "told otherwise") {
      if (verdict.decision === "allow") return "passes";
      const told = verdict.differences.some(({ path }) => rule.toldAs?.test(path));
      return verdict.code === "spec-differs" && told ? undefined : shown;
    }
    if (verdict.decision !== "allow") return `is refused (${rule?.name ?? "ignored"}): ${shown}`;
    if (rule?.outcome === "accepted") {
      const isNoted = verdict.injected.some((line) => line.endsWith(`: ${rule.name}`));
      return isNoted || mutation.effect === "removed" ? undefined : "is not noted as an addition";
    }
    if (mutation.effect === "altered" && mutation.place.path === "spec.nodeName") {
      return elsewhereProblem(live, mutation, verdict);
    }
    if (!equalJson(verdict.spec, original.spec)) return `changes the pod (${rule?.name ?? "ignored"})`;
    if (rule?.outcome === "put back") return await this.#putBackProblem(example, mutation, liveSpec);
    return undefined;
  }

  /** Whoever reads a refusal should see what differs. */
  #sameTextProblem(verdict: Verdict): string | undefined {
    const differences = verdict.decision === "allow" ? [] : verdict.differences;
    const alike = differences.find(({ kind, signed, found }) =>
      kind === "changed" && signed === found && signed !== NOT_SHOWN
    );
    return alike === undefined ? undefined : `shows the same as signed and found: ${JSON.stringify(alike)}`;
  }

  /** The API server itself says whether the change makes no difference. */
  async #putBackProblem(
    { namespace = "default" }: Example,
    { spec }: Mutation,
    live: JsonObject,
  ): Promise<string | undefined> {
    const pod = { apiVersion: "v1", kind: "Pod", metadata: { name: "put-back" }, spec };
    const { status, body } = await this.#send(namespace, pod, "&dryRun=All");
    if (status !== 201) return `the API server refuses it: ${textAt(body, "message")}`;
    this.#pass.putBack++;
    return equalJson(objectAt(body, "spec"), live) ? undefined : "the API server makes another pod of it";
  }

  /** Containers that are added to a running pod cannot be signed; they are refused, and expanded like the API server does. */
  async #debug(): Promise<void> {
    const left = new Set([...this.#unknown.keys(), ...this.#gated.keys()]);
    const example = EXAMPLES.find(({ name }) => name === "containers");
    assert.ok(example !== undefined);
    const answer = await this.#create(example, withoutFields(example.spec, left));
    assert.equal(answer.status, 201, textAt(answer.body, "message"));
    const path = `/api/v1/namespaces/default/pods/${example.name}`;
    const { ephemeralContainers } = withoutFields({ ephemeralContainers: [...DEBUG_CONTAINERS] }, left);
    try {
      const added = {
        ...answer.body,
        spec: { ...objectOf(answer.body.spec), ephemeralContainers: ephemeralContainers ?? null },
      };
      const { status, body: live } = await this.#api.request("PUT", `${path}/ephemeralcontainers`, added);
      assert.equal(status, 200, textAt(live, "message"));
      const spec = objectAt(live, "spec");
      assert.ok(equalJson(expand(spec), expand(added.spec)), "ephemeral containers have other defaults");
      for (const field of defaultsSet(added.spec, spec)) this.#pass.defaults.add(field);
      const verdict = await this.#owner.verifier.verifyPod(live, { now: NOW });
      const expected = ["bare", "debug"].map((name): Expected => ({
        path: `spec.ephemeralContainers[${name}]`,
        kind: "unexpected",
      }));
      assert.equal(refusalProblem(verdict, expected), undefined);
    } finally {
      await this.#api.request("DELETE", `${path}?gracePeriodSeconds=0`);
    }
  }

  /** Every reason is tried: a field that is accepted after all has no reason. */
  async #checkReasons(): Promise<void> {
    const stale: string[] = [];
    const all = new Map([...this.#unknown, ...this.#gated]);
    for (const [field, reason] of all) {
      const left = new Set(all.keys());
      left.delete(field);
      const example = EXAMPLES.find(({ spec }) => fieldsIn(withoutFields(spec, left)).has(field));
      // A field in an object that is not accepted itself goes with it.
      const inside = example === undefined && EXAMPLES.some(({ spec }) => fieldsIn(spec).has(field));
      if (example === undefined && !inside && !this.#unknown.has(field)) {
        stale.push(`${field} is in no example`);
      }
      if (
        example !== undefined && await this.#isAccepted(example, withoutFields(example.spec, left), field)
      ) {
        stale.push(`${field} is accepted, but is listed with the reason: ${reason}`);
      }
      this.#pass.reasons.set(field, reason);
    }
    for (const { spec } of EXAMPLES) {
      const missing = fieldsIn(spec).difference(fieldsIn(withoutFields(spec, new Set(all.keys()))));
      for (const field of missing) {
        if (!this.#pass.reasons.has(field)) {
          this.#pass.reasons.set(field, "inside a field that is not accepted");
        }
      }
    }
    for (const { field, why, spec } of REFUSED) {
      const kept = withoutFields(spec, new Set(all.keys()));
      // Much of this podsign does not sign either.
      const pod = { apiVersion: "v1", kind: "Pod", metadata: { name: "refused" }, spec: kept };
      const { status, body } = await this.#send("default", pod, "&dryRun=All");
      if (status === 201 && fieldsKept(kept, objectAt(body, "spec")).has(field)) {
        stale.push(`${field} is accepted, but is listed with the reason: ${why}`);
      }
      this.#pass.reasons.set(field, why);
      const covered = this.#pass.covered;
      for (const inner of fieldsIn(spec)) {
        if (!covered.has(inner) && !this.#pass.reasons.has(inner)) {
          this.#pass.reasons.set(inner, `inside ${field}`);
        }
      }
    }
    assert.deepEqual(stale, []);
  }

  /**
   * Whether a pod is created and has the field. A pod from which the API server drops the field is not what was signed,
   * and must be refused.
   */
  async #isAccepted(example: Example, spec: JsonObject, field: string): Promise<boolean> {
    const answer = await this.#create({ ...example, name: `${example.name}-tried` }, spec, "&dryRun=All");
    if (answer.status !== 201) return false;
    const found = objectAt(answer.body, "spec");
    if (fieldsKept(spec, found).has(field)) return true;
    if (SCHEDULING_FIELDS.has(field.replace("PodSpec.", ""))) return false;
    const verdict = await this.#owner.verifier.verifyPod(answer.body, { now: NOW });
    assert.equal(verdict.decision, "deny", `${field} was dropped from a signed pod, which passes`);
    this.#pass.dropped.add(field);
    return false;
  }
}

/** What the kubelet would get. */
function build(live: JsonObject, verdict: AllowVerdict): JsonObject {
  // A pod with scheduling gates cannot have been bound yet.
  const bound = { ...live, spec: { ...objectOf(live.spec), nodeName: NODE_NAME } };
  const rebuilt = rebuildPod(bound, verdict, { nodeName: NODE_NAME, now: NOW, first: true });
  assert.ok(rebuilt.ok, JSON.stringify(rebuilt));
  return objectOf(rebuilt.pod.spec);
}

/** A pod that is bound to another node is not compared in this field, but not shown to the kubelet either. */
function elsewhereProblem(live: JsonObject, { spec }: Mutation, verdict: AllowVerdict): string | undefined {
  const rebuilt = rebuildPod({ ...live, spec }, verdict, { nodeName: NODE_NAME, now: NOW, first: true });
  return !rebuilt.ok && rebuilt.code === "wrong-node" ? undefined : "is forwarded";
}

/** What is wrong with a verdict that should refuse a pod for these differences, if anything is. */
function refusalProblem(verdict: Verdict, expected: Expected[]): string | undefined {
  if (verdict.decision === "allow") return "passes";
  const shown = describe(verdict);
  if (verdict.code !== "spec-differs") return `is refused otherwise: ${shown}`;
  const missing = expected.filter((wanted) => !verdict.differences.some((found) => isTold(wanted, found)));
  return missing.length === 0 ? undefined : `${JSON.stringify(missing)} is not told: ${shown}`;
}

function isTold(wanted: Expected, found: Difference): boolean {
  if (wanted.below === true) return found.path.startsWith(`${wanted.path}.`);
  return found.path === wanted.path && found.kind === wanted.kind &&
    (wanted.signed === undefined || (found.signed === wanted.signed && found.found === wanted.found));
}

function describe(verdict: Verdict): string {
  if (verdict.decision === "allow") return "allowed";
  return `${verdict.code}: ${verdict.message}: ${JSON.stringify(verdict.differences)}`;
}

/** Prints what was seen, and fails if a field has neither been seen nor a reason. */
function conclude(passes: readonly Pass[]): void {
  assert.deepEqual([...IGNORED_FIELDS.keys()].sort(), [...SCHEDULING_FIELDS].sort());
  assert.equal(passes.length, 2, "a pass has failed");
  const covered = passes.reduce((all, pass) => all.union(pass.covered), new Set<string>());
  const reasons = new Map<string, string>();
  for (const pass of passes) for (const [field, reason] of pass.reasons) reasons.set(field, reason);
  const fields = [...reachableFields().keys()];
  const uncovered = fields.filter((field) => !covered.has(field));
  const unexplained = uncovered.filter((field) => !reasons.has(field));

  const lines = [`Kubernetes ${passes[0]?.version}: ${fields.length} fields, ${covered.size} with a case`];
  lines.push(`Not accepted, ${uncovered.length}:`);
  const byReason = Map.groupBy(uncovered, (field) => reasons.get(field) ?? "without a reason");
  for (const [reason, names] of byReason) lines.push(`  ${names.length} ${reason}: ${names.join(", ")}`);
  for (const [index, pass] of passes.entries()) {
    lines.push(`${index === 0 ? "Gates at their defaults" : "All gates on"}: changes, one at a time`);
    lines.push(table(pass.counts));
    lines.push(`  ${pass.putBack} of those that pass were put back by the API server itself`);
    lines.push(`  ${pass.dropped.size} fields were dropped from signed pods, which were refused then`);
  }
  lines.push("Ignored on the node:");
  for (const [field, reason] of IGNORED_FIELDS) lines.push(`  spec.${field}: ${reason}`);
  lines.push("Passing or told otherwise, by rule:");
  for (const { name, outcome, reason } of RULES) lines.push(`  ${name} (${outcome}): ${reason}`);
  console.log(lines.join("\n"));

  assert.deepEqual(unexplained, [], "fields of the schema with neither a case nor a reason");
  const version = passes[0]?.version ?? "";
  const unused = RULES.filter(({ name, since }) =>
    isInVersion(since === undefined ? {} : { since }, version) &&
    passes.every(({ counts }) => counts[name] === undefined)
  );
  assert.deepEqual(unused.map(({ name }) => name), [], "rules that nothing has needed");
  const seen = passes.reduce((all, pass) => all.union(pass.defaults), new Set<string>());
  const rows = DEFAULT_ROWS.map(({ type, field }) => `${type}.${field}`);
  assert.deepEqual(rows.filter((row) => !seen.has(row) && !reasons.has(row)), [], "defaults never seen");
}

function table(counts: Counts): string {
  const heading = ["", ...MUTATION_KINDS].map((cell, index) =>
    index === 0 ? cell.padEnd(36) : cell.padStart(11)
  );
  const total = Object.fromEntries(
    MUTATION_KINDS.map((kind) => [kind, Object.values(counts).reduce((sum, row) => sum + row[kind], 0)]),
  );
  const rows = [...Object.entries(counts), ["all", total] as const].sort(([a], [b]) => a < b ? -1 : 1).map((
    [outcome, row],
  ) => `  ${outcome.padEnd(34)}${MUTATION_KINDS.map((kind) => String(row[kind]).padStart(11)).join("")}`);
  return [heading.join(""), ...rows].join("\n");
}
