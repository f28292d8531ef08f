/**
 * Laws that hold for all pods, where the parts of judging meet: what is signed, compared and built is one and the same.
 * Those of the normal form alone are in normal_form_test.ts.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { arbitraryObject, arbitraryPodSpec } from "../../tests/arbitraries.ts";
import { isJsonObject, type JsonObject, type JsonValue, objectsAt } from "../json.ts";
import type { AllowVerdict } from "../verdict.ts";
import { compareSpecs } from "./compare.ts";
import { keyPair, livePod, liveSpec, NODE, pod, templateAnnotations, UID } from "./fixture_test.ts";
import type { InjectionContext } from "./injected.ts";
import { expand, minimal, withoutScheduling } from "./normal_form.ts";
import { rebuildPod } from "./rebuild.ts";
import { decode } from "./schema.ts";
import { rebuildPodStatus } from "./status.ts";
import { createVerifier } from "./verify.ts";

const RUNS = { numRuns: 500 };
const TEMPLATE: InjectionContext = { source: "template" };
const POD: InjectionContext = { source: "pod", podName: "web" };

/** Specs whose containers and volumes each have a name of their own: others cannot be signed. */
function arbitrarySpec(): fc.Arbitrary<JsonObject> {
  return arbitraryPodSpec().map((spec) => {
    const named = { ...spec };
    for (const list of ["initContainers", "containers", "volumes"]) {
      const items = spec[list];
      if (Array.isArray(items)) {
        named[list] = items.map((item, index) =>
          isJsonObject(item) ? { ...item, name: `${list.toLowerCase()}-${index}` } : item
        );
      }
    }
    return named;
  });
}

// Comparing

Deno.test("a spec does not differ from itself, and nothing is added to it", () => {
  fc.assert(
    fc.property(arbitrarySpec(), fc.constantFrom(TEMPLATE, POD), (spec, context) => {
      const expanded = expand(spec);
      const { differences, spec: completed, injected } = compareSpecs(expanded, expanded, context);
      assert.deepEqual([differences, injected], [[], []]);
      assert.deepEqual(completed, withoutScheduling(expanded));
    }),
    RUNS,
  );
});

Deno.test("a spec does not differ from its minimal form", () => {
  fc.assert(
    fc.property(arbitrarySpec(), fc.constantFrom(TEMPLATE, POD), (spec, context) => {
      const signed = expand(minimal(spec));
      const live = expand(spec);
      assert.deepEqual(compareSpecs(signed, live, context).differences, []);
      assert.deepEqual(compareSpecs(live, signed, context).differences, []);
    }),
    RUNS,
  );
});

Deno.test("two specs differ if and only if they expand to something else, whichever of them was signed", () => {
  let equal = 0;
  let different = 0;
  fc.assert(
    fc.property(arbitraryPodSpec({ messy: false }), fc.nat(), fc.boolean(), (spec, place, removes) => {
      const one = expand(spec);
      let other: JsonObject;
      try {
        other = expand(altered(spec, place, removes));
      } catch {
        return; // The alteration does not fit the schema.
      }
      const same = JSON.stringify(sorted(one)) === JSON.stringify(sorted(other));
      for (const [signed, live] of [[one, other], [other, one]] as const) {
        const { differences } = compareSpecs(signed, live, TEMPLATE);
        assert.equal(differences.length === 0, same, JSON.stringify([spec, differences]));
      }
      if (same) equal++;
      else different++;
    }),
    { numRuns: 2000 },
  );
  assert.ok(equal > 50 && different > 500, `${equal} equal, ${different} different`);
});

Deno.test("whether two specs are equal is told as a walk tells it, which one more difference makes necessary", () => {
  let equal = 0;
  fc.assert(
    fc.property(
      arbitraryPodSpec({ messy: false }),
      fc.nat(),
      fc.boolean(),
      fc.boolean(),
      (spec, place, removes, alters) => {
        const { hostname: _any, ...one } = expand(spec);
        let { hostname: _other, ...other } = one;
        try {
          if (alters) ({ hostname: _other, ...other } = expand(altered(spec, place, removes)));
        } catch {
          return; // The alteration does not fit the schema.
        }
        const { differences } = compareSpecs(one, other, POD);
        const walked = compareSpecs({ ...one, hostname: "one" }, { ...other, hostname: "other" }, POD);
        assert.deepEqual(
          walked.differences.filter(({ path }) => path !== "spec.hostname"),
          differences,
        );
        if (differences.length === 0) equal++;
      },
    ),
    { numRuns: 1000 },
  );
  assert.ok(equal > 300, `${equal} equal`);
});

Deno.test("what a comparison accepts is completed once: comparing again adds nothing", () => {
  let accepted = 0;
  fc.assert(
    fc.property(arbitrarySpec(), (spec) => {
      // What admission does to an arbitrary pod, as far as it is accepted.
      const live = expand(liveSpec(minimal(spec)));
      const first = compareSpecs(expand(minimal(spec)), live, POD);
      if (first.differences.length > 0) return;
      accepted++;
      const again = compareSpecs(first.spec, live, POD);
      assert.deepEqual(again.differences, []);
      assert.deepEqual(again.injected, []);
      assert.deepEqual(again.spec, first.spec);
    }),
    RUNS,
  );
  assert.ok(accepted > RUNS.numRuns / 2, `${accepted} of ${RUNS.numRuns} were accepted`);
});

/** How many leaves a value has. */
function leaves(value: JsonValue): number {
  if (Array.isArray(value)) return value.reduce<number>((sum, item) => sum + leaves(item), 0);
  if (isJsonObject(value)) return Object.values(value).reduce<number>((sum, item) => sum + leaves(item), 0);
  return 1;
}

/** A copy in which the leaf at this place, counted round, is another value or gone. */
function altered(spec: JsonObject, place: number, removes: boolean): JsonObject {
  let left = place % Math.max(leaves(spec), 1);
  const visit = (value: JsonValue): JsonValue | undefined => {
    if (Array.isArray(value)) {
      return value.flatMap((item) => {
        const changed = visit(item);
        return changed === undefined ? [] : [changed];
      });
    }
    if (isJsonObject(value)) {
      return Object.fromEntries(
        Object.entries(value).flatMap(([key, member]): [string, JsonValue][] => {
          const changed = visit(member);
          return changed === undefined ? [] : [[key, changed]];
        }),
      );
    }
    return left-- === 0 ? (removes ? undefined : otherValue(value)) : value;
  };
  const changed = visit(spec);
  assert.ok(isJsonObject(changed));
  return changed;
}

function otherValue(value: JsonValue): JsonValue {
  switch (typeof value) {
    case "string":
      return /^[0-9]/.test(value) ? `1${value}` : `${value}x`;
    case "number":
      return value + 1;
    default:
      return !value;
  }
}

/** Without what does not count: scheduling fields, the order of volumes and of keys. */
function sorted(spec: JsonObject): JsonValue {
  const bare = withoutScheduling(spec);
  const volumes = objectsAt(bare, "volumes").map((volume) => ordered(volume));
  return ordered({
    ...bare,
    volumes: volumes.toSorted((a, b) => nameOf(a) < nameOf(b) ? -1 : nameOf(a) > nameOf(b) ? 1 : 0),
  });
}

function nameOf(value: JsonValue): string {
  return isJsonObject(value) && typeof value.name === "string" ? value.name : "";
}

function ordered(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(ordered);
  if (!isJsonObject(value)) return value;
  const keys = Object.keys(value).sort();
  return keys.map((key) => [key, ordered(value[key] ?? null)]);
}

// Building

/** A verdict of the engine, of which the spec is then exchanged. */
async function allow(): Promise<AllowVerdict> {
  const { signer, verifier } = await keyPair();
  const engine = createVerifier({
    keys: [verifier],
    acceptForms: new Set(["template"]),
    requireDigests: false,
  });
  const annotations = await templateAnnotations(signer, pod());
  const verdict = await engine.verifyPod(livePod("web", liveSpec(), { annotations }), { now: new Date(0) });
  assert.ok(verdict.decision === "allow");
  return verdict;
}

const VERDICT = await allow();

const scheduling: fc.Arbitrary<JsonObject> = fc.record<JsonObject>({
  nodeName: fc.constant(NODE),
  nodeSelector: fc.constantFrom<JsonValue>({}, { disk: "ssd" }),
  tolerations: fc.constantFrom<JsonValue>([], [{ operator: "Exists" }], [{
    key: "a",
    effect: "NoExecute",
    tolerationSeconds: 0,
  }]),
  priority: fc.constantFrom(-1, 0, 2000001000),
  schedulerName: fc.constant("default-scheduler"),
  affinity: fc.constantFrom<JsonValue>({}, {
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: [{ matchFields: [{ key: "metadata.name", operator: "In", values: [NODE] }] }],
      },
    },
  }),
  overhead: fc.constantFrom<JsonValue>({}, { cpu: "0.25" }),
}, { requiredKeys: ["nodeName"], noNullPrototype: true });

const metadata: fc.Arbitrary<JsonObject> = fc.record<JsonObject>({
  labels: fc.constantFrom<JsonObject>({}, { app: "x", "pod-template-hash": "76bf99c854" }, {
    "controller-uid": UID,
  }),
  annotations: fc.constantFrom<JsonObject>({}, { note: "x" }, {
    "kubectl.kubernetes.io/restartedAt": "2026-11-23T12:58:29+01:00",
  }),
  deletionTimestamp: fc.constant("2026-11-23T13:00:00Z"),
  deletionGracePeriodSeconds: fc.constantFrom(0, 30, 3600),
  managedFields: fc.constant([{ manager: "x" }]),
}, { requiredKeys: [], noNullPrototype: true });

const OPTIONS = { nodeName: NODE, now: new Date("2026-11-23T13:00:00Z"), first: false };

Deno.test("what is built for the kubelet is in the schema's one form, and building it again changes nothing", () => {
  let built = 0;
  fc.assert(
    fc.property(
      arbitraryPodSpec(),
      scheduling,
      metadata,
      arbitraryObject("PodStatus"),
      (spec, live, meta, status) => {
        const verdict: AllowVerdict = { ...VERDICT, spec: withoutScheduling(expand(spec)) };
        const received = { ...livePod("web", { ...live, evil: true }, meta), status };
        const first = rebuildPod(received, verdict, OPTIONS);
        if (!first.ok) return;
        built++;
        const { spec: shown, metadata: identity, status: reported } = first.pod;
        assert.ok(isJsonObject(shown));
        assert.deepEqual(expand(shown), shown);
        // Kubernetes prints zero divisors, and decoding leaves them out.
        const again = decode("PodSpec", shown, "spec");
        assert.deepEqual(again.problems, []);
        assert.deepEqual(expand(again.value), shown);
        assert.deepEqual(decode("ObjectMeta", identity, "metadata").problems, []);
        assert.deepEqual(decode("PodStatus", reported, "status"), { value: reported, problems: [] });
        assert.deepEqual(withoutScheduling(shown), verdict.spec);
        assert.deepEqual(rebuildPod(first.pod, verdict, OPTIONS), first);
      },
    ),
    RUNS,
  );
  assert.ok(built > RUNS.numRuns / 4, `${built} of ${RUNS.numRuns} pods were built`);
});

Deno.test("a status that was built is built the same again", () => {
  let built = 0;
  fc.assert(
    fc.property(arbitraryObject("PodStatus"), (status) => {
      const first = rebuildPodStatus(status);
      if (!first.ok) return;
      built++;
      assert.deepEqual(rebuildPodStatus(first.status), first);
    }),
    RUNS,
  );
  assert.ok(built > RUNS.numRuns / 4, `${built} of ${RUNS.numRuns} statuses were built`);
});
