import assert from "node:assert/strict";
import { readVectors, textOf } from "../../tests/vectors/read_vectors.ts";
import { getOwn, isJsonObject } from "../json.ts";
import type { WorkloadReference } from "../verdict.ts";
import { podNameMatches } from "./workload.ts";

Deno.test("takes and refuses the vectors of pod names", async () => {
  const vectors = await readVectors("pod_names.json");
  for (const { name, input, expected } of vectors) {
    assert.ok(isJsonObject(input) && isJsonObject(input.workload));
    const workload: WorkloadReference = { apiVersion: "", kind: textOf(input.workload, "kind") };
    for (const field of ["name", "generateName"] as const) {
      if (getOwn(input.workload, field) !== undefined) workload[field] = textOf(input.workload, field);
    }
    const match = podNameMatches(workload, textOf(input, "podName"), { indexed: input.indexed === true });
    const facts = match.ok ? { ordinal: match.ordinal, completionIndex: match.completionIndex } : {};
    const found = Object.entries({ match: match.ok, ...facts }).filter(([, value]) => value !== undefined);
    assert.deepEqual(Object.fromEntries(found), expected, name);
  }
  for (const match of [true, false]) {
    const kinds = vectors.filter(({ expected }) => isJsonObject(expected) && expected.match === match)
      .map(({ input }) => isJsonObject(input) && isJsonObject(input.workload) ? input.workload.kind : "");
    assert.ok(
      new Set(kinds).size >= 9,
      `every kind of workload has a name that ${match ? "fits" : "does not"}`,
    );
  }
});
