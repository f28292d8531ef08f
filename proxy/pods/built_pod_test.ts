/** What is remembered of a pod that was built, against the same pod built anew. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { deepFreeze, type JsonObject } from "@signed-pods/shared/json";
import type { AllowVerdict } from "@signed-pods/shared/verdict";
import { makePod, NODE_NAME, Owner, withMetadata, withStatus } from "../../tests/fakes/owner.ts";
import { buildPod, builtText } from "./built_pod.ts";
import { readLivePod } from "./live_pod.ts";

const EARLY = new Date("2026-01-01T00:00:00Z");
const LATE = new Date("2026-01-03T00:00:00Z");
const STATUSES: JsonObject[] = [
  { phase: "Pending" },
  { phase: "Running", startTime: "2026-01-02T00:00:00Z" },
  { phase: "Running" },
  { phase: "Failed", podIP: "none" },
];

const owner = await Owner.create();
const SIGNED = await owner.sign(makePod());
const PODS: JsonObject[] = STATUSES.flatMap((status) => [
  withStatus(SIGNED, status),
  withStatus(withMetadata(SIGNED, { resourceVersion: "77" }), status),
]);

async function verdictOf(pod: JsonObject): Promise<AllowVerdict> {
  const verdict = await owner.verifier.verifyPod(pod, { now: EARLY });
  assert.ok(verdict.decision === "allow");
  return { ...verdict };
}

const VERDICTS = [
  deepFreeze(await verdictOf(SIGNED)),
  deepFreeze({ ...await verdictOf(SIGNED), labels: { other: "label" } }),
  await verdictOf(SIGNED),
];

function textOf(pod: JsonObject, verdict: AllowVerdict, options: Parameters<typeof buildPod>[2]): string {
  const built = buildPod(readLivePod(pod), verdict, options);
  return built.ok ? builtText(built) : JSON.stringify(built);
}

const BUILD = fc.record({
  pod: fc.nat(PODS.length - 1),
  verdict: fc.nat(VERDICTS.length - 1),
  nodeName: fc.constantFrom(NODE_NAME, NODE_NAME, NODE_NAME, "elsewhere"),
  now: fc.constantFrom(EARLY, LATE),
  first: fc.boolean(),
});

Deno.test("a pod that is built again is as if it was built anew, whatever was built before", () => {
  fc.assert(
    fc.property(fc.array(BUILD, { minLength: 2, maxLength: 40 }), (builds) => {
      const pods = PODS.map((pod) => deepFreeze(structuredClone(pod)));
      for (const { pod, verdict, ...options } of [...builds, ...builds]) {
        const [live, judged] = [pods[pod], VERDICTS[verdict]];
        assert.ok(live !== undefined && judged !== undefined);
        assert.equal(textOf(live, judged, options), textOf(structuredClone(live), judged, options));
      }
    }),
    { numRuns: 200 },
  );
});

Deno.test("a pod that cannot change is read and built once, and one that can each time", () => {
  const [verdict] = VERDICTS;
  assert.ok(verdict !== undefined);
  const options = { nodeName: NODE_NAME, now: LATE, first: false };
  const pod = deepFreeze(structuredClone(PODS[2] ?? {}));
  const built = buildPod(readLivePod(pod), verdict, options);
  assert.ok(built.ok);
  assert.equal(buildPod(readLivePod(pod), verdict, options), built);
  const changing = structuredClone(PODS[2] ?? {});
  const first = readLivePod(changing);
  changing.metadata = { ...first.object, name: "other" };
  assert.notEqual(readLivePod(changing), first);
});
