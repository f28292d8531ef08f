import assert from "node:assert/strict";
import type { JsonObject } from "@signed-pods/shared/json";
import { fieldsIn, fieldsKept, isInVersion, reachableFields, withoutFields } from "./coverage.ts";
import { EXAMPLES } from "./examples.ts";
import { type MutationKind, mutationsOf } from "./mutations.ts";
import { placesIn } from "./places.ts";

// What the proof of every field stands on. None of this needs an API server.

const SPEC: JsonObject = {
  restartPolicy: "Never",
  volumes: [{ name: "data", emptyDir: {} }, { name: "more", emptyDir: {} }],
  containers: [{
    name: "app",
    image: "a:1",
    command: ["run", "fast"],
    env: [{ name: "A", value: "1" }],
    resources: { limits: { cpu: "1" }, requests: { cpu: "500m" } },
  }],
};

/** What a refusal must name when one thing is changed, by kind and path. */
function expectations(kind: MutationKind, path: string): string[] {
  return [...mutationsOf(SPEC)].filter((mutation) => mutation.kind === kind && mutation.place.path === path)
    .flatMap(({ expected }) =>
      expected.map(({ kind, path, signed, found }) =>
        [kind, path, signed, found].filter((part) => part !== undefined).join(" ")
      )
    );
}

Deno.test("every value of a spec is removed, and every scalar altered", () => {
  const mutations = [...mutationsOf(SPEC)];
  for (const place of placesIn(SPEC)) {
    const kinds = new Set(
      mutations.filter(({ place: { keys } }) => `${keys}` === `${place.keys}`).map(({ kind }) => kind),
    );
    assert.ok(kinds.has("removed"), place.path);
    if (typeof place.value !== "object") assert.ok(kinds.has("altered"), place.path);
  }
});

Deno.test("every absent field of every object is added", () => {
  const added = [...mutationsOf(SPEC)].filter(({ kind }) => kind === "added").map(({ place: { path } }) =>
    path
  );
  for (
    const path of ["spec.hostNetwork", "spec.volumes[data].hostPath", "spec.containers[app].env[A].valueFrom"]
  ) {
    assert.ok(added.includes(path), path);
  }
  assert.ok(added.includes("spec.containers[app].resources.limits[added]"));
});

Deno.test("a change is told by its path, with what was signed and found", () => {
  assert.deepEqual(expectations("altered", "spec.containers[app].image"), [
    'changed spec.containers[app].image "a:1" "a:1-other"',
    "missing spec.containers[app].image",
  ]);
  assert.deepEqual(expectations("altered", "spec.containers[app].name"), [
    "missing spec.containers[app]",
    "unexpected spec.containers[app-other]",
    "missing spec.containers[app]",
    "unexpected spec.containers[0]",
  ]);
  assert.deepEqual(expectations("reordered", "spec.containers[app].command[0]"), [
    "changed spec.containers[app].command[0]",
  ]);
  assert.deepEqual(expectations("duplicated", "spec.containers[app].command[0]"), [
    "unexpected spec.containers[app].command[2]",
  ]);
});

Deno.test("what is gone with its last part is told as a whole, and what has a default as changed", () => {
  assert.deepEqual(expectations("removed", "spec.containers[app].command[0]"), [
    "missing spec.containers[app].command[1]",
  ]);
  assert.deepEqual(expectations("removed", "spec.containers[app].env[A]"), [
    "missing spec.containers[app].env[A]",
  ]);
  assert.deepEqual(expectations("removed", "spec.containers[app].resources.limits[cpu]"), [
    "missing spec.containers[app].resources.limits",
  ]);
  assert.deepEqual(expectations("removed", "spec.containers[app].resources.requests[cpu]"), [
    'changed spec.containers[app].resources.requests[cpu] "500m" "1"',
  ]);
  assert.deepEqual(expectations("removed", "spec.restartPolicy"), [
    'changed spec.restartPolicy "Never" "Always"',
  ]);
});

Deno.test("values that may be secret are never expected to be shown", () => {
  assert.deepEqual(expectations("altered", "spec.containers[app].env[A].value"), [
    "changed spec.containers[app].env[A].value (not shown) (not shown)",
    "missing spec.containers[app].env[A].value",
  ]);
});

Deno.test("a field counts if it came back as it was written, and is not its default", () => {
  const written: JsonObject = {
    restartPolicy: "Never",
    dnsPolicy: "ClusterFirst",
    hostname: "a",
    subdomain: "b",
  };
  const kept = fieldsKept(written, { restartPolicy: "Never", dnsPolicy: "ClusterFirst", hostname: "other" });
  assert.deepEqual([...kept], ["PodSpec.restartPolicy"]);
});

Deno.test("fields are taken out with the objects that were nothing else", () => {
  const spec: JsonObject = {
    containers: [{ name: "a", env: [{ name: "A", valueFrom: { fileKeyRef: { key: "a" } } }] }],
  };
  const left = withoutFields(spec, new Set(["EnvVarSource.fileKeyRef"]));
  assert.deepEqual(left, { containers: [{ name: "a", env: [{ name: "A" }] }] });
  assert.ok(!fieldsIn(left).has("EnvVar.valueFrom"));
});

Deno.test("versions are compared as numbers", () => {
  assert.ok(isInVersion({ since: "1.34", until: "1.36" }, "1.36"));
  assert.ok(!isInVersion({ since: "1.34" }, "1.9"));
  assert.ok(!isInVersion({ until: "1.35" }, "1.36"));
});

Deno.test("the examples have fields of the schema only", () => {
  const known = reachableFields();
  for (const { spec } of EXAMPLES) for (const field of fieldsIn(spec)) assert.ok(known.has(field), field);
});
