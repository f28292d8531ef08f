/**
 * What is remembered of a pod's parts, against the same work done anew: verifying, and building what is forwarded.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { deepFreeze, isDeeplyFrozen, type JsonObject, type JsonValue } from "../json.ts";
import { canonicalize } from "../canonical_json.ts";
import { sha256Hex } from "../algorithms.ts";
import { SIGNATURE_ANNOTATION, SIGNED_TEMPLATE_ANNOTATION, type Verdict } from "../verdict.ts";
import {
  deployment,
  INDEX_KEY,
  job,
  keyPair,
  livePod,
  liveSpec,
  NODE,
  ownerSpec,
  signText,
  templateAnnotations,
} from "./fixture_test.ts";
import { readIdentity } from "./metadata.ts";
import { expand } from "./normal_form.ts";
import { rebuildPod } from "./rebuild.ts";
import { createVerifier, type Verifier } from "./verify.ts";

const PAST = new Date("2026-01-01T00:00:00Z");
const NOW = new Date("2026-11-23T13:00:00Z");
const LATER = new Date("2027-11-23T13:00:00Z");

const { signer, verifier: key } = await keyPair();
const limited = await keyPair({ notAfter: new Date("2027-01-01T00:00:00Z") });
const bound = { ...key, namespaces: ["shop"] };

const allowing = ["label=team", "annotation=note", "resize"];
const SPECS: JsonValue[] = [
  liveSpec(),
  { ...liveSpec(), priority: 7 },
  liveSpec({ ...ownerSpec(), restartPolicy: "Never" }),
  { ...expand({ ...ownerSpec(), restartPolicy: "Never" }), hostname: "sums-2", nodeName: NODE },
  { ...liveSpec(), nodeName: "elsewhere" },
  { ...liveSpec(), containers: [{ name: "app", image: "evil" }] },
  "none",
];
const TEXTS = [
  await templateAnnotations(signer, deployment()),
  await templateAnnotations(signer, deployment(), { allow: allowing }),
  await templateAnnotations(signer, deployment(), { notAfter: new Date("2027-02-01T00:00:00Z") }),
  await templateAnnotations(signer, deployment(), { notBefore: new Date("2026-06-01T00:00:00Z") }),
  await templateAnnotations(limited.signer, deployment()),
  await templateAnnotations(signer, job()),
  { [SIGNATURE_ANNOTATION]: await signText(signer, canonicalize(SPECS[0] ?? null)) },
  { [SIGNATURE_ANNOTATION]: await signText(limited.signer, canonicalize(SPECS[0] ?? null)) },
  { [SIGNATURE_ANNOTATION]: "AAAA" },
];
const ANNOTATIONS: (JsonObject | undefined)[] = [
  ...TEXTS.flatMap((signed) => [{ ...signed }, { ...signed, note: "x", [INDEX_KEY]: "2" }]),
  undefined,
];
const LABELS: (JsonObject | undefined)[] = [
  { app: "web" },
  { app: "web", team: "shop" },
  { "pod-template-hash": "76bf99c854", [INDEX_KEY]: "2" },
  { "topology.kubernetes.io/zone": "a" },
  undefined,
];
const STATUSES: (JsonObject | undefined)[] = [
  undefined,
  { phase: "Running", startTime: "2026-11-23T12:59:00Z", podIP: "10.0.0.1" },
  { phase: "Running", startTime: "2027-01-01T00:00:00Z" },
  { phase: "Pending", qosClass: "Guaranteed", conditions: [{ type: "Ready", status: "False" }] },
  { phase: "Failed", podIP: "not an address" },
  { phase: "Odd" },
];
const HASHES = await Promise.all(
  TEXTS.map(async (signed: Record<string, string>) =>
    await sha256Hex(
      new TextEncoder().encode(signed[SIGNED_TEMPLATE_ANNOTATION] ?? canonicalize(SPECS[0] ?? null)),
    )
  ),
);

const pick = <T>(items: readonly T[]) => fc.constantFrom(...items);
const SIGHTING = fc.record({
  spec: pick(SPECS),
  annotations: pick(ANNOTATIONS),
  labels: pick(LABELS),
  status: pick(STATUSES),
  name: pick(["web-76bf99c854-x7x7x", "web-76bf99c854-abcde", "sums-2-x7x7x", "other"]),
  namespace: pick(["shop", "bank"]),
  nodeName: pick([NODE, NODE, "elsewhere"]),
  first: fc.boolean(),
  now: pick([PAST, NOW, LATER]),
  admitted: pick([
    undefined,
    ...HASHES.flatMap((signedHash) => [
      { signedHash },
      { signedHash, keyId: key.id },
      { signedHash, keyId: "0".repeat(64) },
    ]),
  ]),
});
type Sighting = typeof SIGHTING extends fc.Arbitrary<infer T> ? T : never;

function makeVerifier(): Verifier {
  return createVerifier({
    keys: [bound, limited.verifier],
    acceptForms: new Set(["template", "spec"]),
    requireDigests: false,
  });
}

function podOf({ spec, annotations, labels, status, name, namespace }: Sighting): JsonObject {
  const { metadata, ...rest } = livePod(name, {}, {});
  return {
    ...rest,
    metadata: {
      ...(typeof metadata === "object" && !Array.isArray(metadata) ? metadata : {}),
      namespace,
      annotations: annotations ?? null,
      ...(labels === undefined ? {} : { labels }),
      ...(annotations === undefined ? {} : { annotations }),
    },
    spec,
    ...(status === undefined ? {} : { status }),
  };
}

/** Verdicts that needed no waiting. */
let knownAtOnce = 0;

async function outcome(verifier: Verifier, pod: JsonObject, sighting: Sighting): Promise<[Verdict, string]> {
  const { now, admitted, nodeName, first } = sighting;
  const time = { now, ...(admitted === undefined ? {} : { admitted }) };
  const known = verifier.verifyKnown(pod, readIdentity(pod), time);
  const verdict = await verifier.verifyPod(pod, time);
  if (known !== undefined) {
    knownAtOnce++;
    assert.equal(known, verdict);
  }
  const rebuilt = verdict.decision === "allow"
    ? rebuildPod(pod, verdict, { nodeName, now, first })
    : undefined;
  return [verdict, JSON.stringify([verdict, rebuilt])];
}

for (const part of [...SPECS, ...ANNOTATIONS, ...LABELS, ...STATUSES]) deepFreeze(part);

/** One that is allowed, so that every run has something to remember. */
const GOOD: Sighting = {
  spec: SPECS[0] ?? null,
  annotations: ANNOTATIONS[0],
  labels: LABELS[0],
  status: STATUSES[1],
  name: "web-76bf99c854-x7x7x",
  namespace: "shop",
  nodeName: NODE,
  first: false,
  now: NOW,
  admitted: undefined,
};

Deno.test("pods of known parts are judged and built as if each was new, in any order, at any time", async () => {
  let allowed = 0;
  let again = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(SIGHTING, { minLength: 1, maxLength: 12 }), async (others) => {
      const sightings = [GOOD, ...others];
      const remembering = makeVerifier();
      const seen = new Set<Verdict>();
      // Twice, each but for one thing as it was before: what differs is all that may make a difference.
      const near = sightings.flatMap((sighting, index) => {
        const before = sightings[index - 1] ?? sighting;
        return [
          sighting,
          { ...before, labels: sighting.labels },
          { ...before, annotations: sighting.annotations },
          { ...before, status: sighting.status, first: sighting.first },
          { ...before, now: sighting.now, admitted: sighting.admitted },
          { ...before, name: sighting.name },
          { ...before, namespace: sighting.namespace },
          { ...before, nodeName: sighting.nodeName },
          { ...before, spec: sighting.spec },
        ];
      });
      for (const sighting of [...near, ...near]) {
        const [verdict, text] = await outcome(remembering, podOf(sighting), sighting);
        if (verdict.decision === "allow") allowed++;
        if (seen.has(verdict)) again++;
        seen.add(verdict);
        const [, fresh] = await outcome(FORGETFUL, structuredClone(podOf(sighting)), sighting);
        assert.equal(text, fresh);
      }
    }),
    { numRuns: 20 },
  );
  assert.ok(allowed > 100 && again > 100 && knownAtOnce > 100, `${again}, ${knownAtOnce} of ${allowed}`);
});

/** Of pods that can change nothing is remembered, but which texts verify. */
const FORGETFUL = makeVerifier();

Deno.test("a verdict that is remembered cannot be changed, and is given for frozen parts alone", async () => {
  const sighting = GOOD;
  const verifier = makeVerifier();
  const [one] = await outcome(verifier, podOf(sighting), sighting);
  const [two] = await outcome(verifier, podOf(sighting), sighting);
  assert.equal(one, two);
  assert.ok(one.decision === "allow" && isDeeplyFrozen(one) && isDeeplyFrozen(one.spec));
  const { spec } = one;
  assert.throws(() => spec.hostNetwork = true, TypeError);
  const [three] = await outcome(verifier, structuredClone(podOf(sighting)), sighting);
  assert.notEqual(three, one);
  assert.ok(!Object.isFrozen(three));
});

Deno.test("refuses to know at once a pod without a proper identity", async () => {
  const verifier = makeVerifier();
  const pod = podOf(GOOD);
  await outcome(verifier, pod, GOOD);
  assert.notEqual(verifier.verifyKnown(pod, readIdentity(pod), { now: NOW }), undefined);
  assert.equal(verifier.verifyKnown(pod, readIdentity({}), { now: NOW }), undefined);
});
