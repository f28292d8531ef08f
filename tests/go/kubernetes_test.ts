/** Compares defaults, image references and the vectors of reviews with Kubernetes' own code. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { isJsonObject, type JsonObject, type JsonValue } from "../../shared/json.ts";
import { defaultPullPolicy, parseImage } from "../../shared/pod/image.ts";
import { expand, minimal, withoutScheduling } from "../../shared/pod/normal_form.ts";
import { decode } from "../../shared/pod/schema.ts";
import { arbitraryPodSpec } from "../arbitraries.ts";
import { readVectors } from "../vectors/read_vectors.ts";
import { ask, numRuns, seed, VERSION } from "./kubernetes_code.ts";

function getOwn(value: JsonValue | undefined, key: string): JsonValue | undefined {
  return isJsonObject(value) && Object.hasOwn(value, key) ? value[key] : undefined;
}

function toSpec(value: unknown): JsonObject {
  const json: JsonValue = JSON.parse(JSON.stringify(value));
  const { value: spec, problems } = decode("PodSpec", json, "spec");
  assert.deepEqual(problems, []);
  return spec;
}

/** Takes away what defaults.ts takes for absent: protocol HTTP1, and resize policies that never restart. */
function dropRedundant(value: JsonValue, ephemeral = false): void {
  if (Array.isArray(value)) value.forEach((item) => dropRedundant(item, ephemeral));
  if (!isJsonObject(value)) return;
  const { httpGet, resizePolicy } = value;
  if (isJsonObject(httpGet) && httpGet.protocol === "HTTP1") delete httpGet.protocol;
  if (Array.isArray(resizePolicy) && !ephemeral) {
    const policies = resizePolicy.map((policy) => isJsonObject(policy) && policy.restartPolicy);
    if (policies.every((policy) => policy === "NotRequired")) delete value.resizePolicy;
  }
  for (const [field, part] of Object.entries(value)) {
    dropRedundant(part, ephemeral || field === "ephemeralContainers");
  }
}

/** Kubernetes' answer, without what defaults.ts leaves out. */
function theirs(answer: unknown): JsonObject {
  const spec = toSpec(answer);
  delete spec.schedulerName;
  dropRedundant(spec);
  return spec;
}

function ours(spec: JsonValue | undefined): JsonObject {
  const expanded = toSpec(expand(spec)); // decoded again, since Kubernetes' zero divisors are left out there
  delete expanded.schedulerName;
  return expanded;
}

Deno.test(`expands random pods as Kubernetes does (PROPERTY_SEED=${seed})`, async () => {
  const specs = fc.sample(arbitraryPodSpec({ version: VERSION }), { seed, numRuns });
  for (const spec of specs) delete spec.resources;
  const answers = await ask("expand", specs);
  for (const [index, spec] of specs.entries()) {
    assert.deepEqual(ours(spec), theirs(answers[index]), JSON.stringify(spec));
  }
});

Deno.test(`Kubernetes makes the same of the minimal form (PROPERTY_SEED=${seed})`, async () => {
  const specs = fc.sample(arbitraryPodSpec({ version: VERSION }), { seed, numRuns });
  for (const spec of specs) delete spec.resources;
  const full = await ask("expand", specs);
  const short = await ask("expand", specs.map(minimal));
  for (const [index, spec] of specs.entries()) {
    assert.deepEqual(
      theirs(short[index]),
      withoutScheduling(theirs(full[index])),
      JSON.stringify(spec),
    );
  }
});

Deno.test("expands the vectors as Kubernetes does", async () => {
  // Not compared: what Kubernetes adds to pod-level resources, and a field that this version no longer has.
  const skipped = ["resources", "workloadRef"];
  const vectors = (await readVectors("defaults.json"))
    .filter(({ input }) => skipped.every((field) => getOwn(input, field) === undefined));
  const answers = await ask("expand", vectors.map(({ input }) => input));
  for (const [index, { name, expected }] of vectors.entries()) {
    assert.deepEqual(ours(getOwn(expected, "expanded")), theirs(answers[index]), name);
  }
  const short = await ask("expand", vectors.map(({ expected }) => getOwn(expected, "minimal")));
  for (const [index, { name }] of vectors.entries()) {
    assert.deepEqual(theirs(short[index]), withoutScheduling(theirs(answers[index])), name);
  }
  assert.ok(vectors.length > 50);
});

Deno.test(`reads image references as Kubernetes does (PROPERTY_SEED=${seed})`, async () => {
  const part = fc.constantFrom(
    ..."a b0 A . .. : / // @ _ __ ___ - -- latest 5000 localhost docker.io index.docker.io [::1] r.test sha256:"
      .split(" "),
    "0123456789abcdef".repeat(4),
    `@sha256:${"0123456789abcdef".repeat(4)}`,
  );
  const random = fc.sample(fc.array(part, { maxLength: 8 }).map((parts) => parts.join("")), {
    seed,
    numRuns,
  });
  const references: string[] = [
    ...random,
    ...(await readVectors("image.json")).map(({ input }) => String(input)),
  ];
  const answers = await ask("image", references);
  let readable = 0;
  for (const [index, reference] of references.entries()) {
    const parsed = parseImage(reference);
    const name = parsed?.name ?? "";
    const digest = parsed?.digest ?? "";
    // Kubernetes writes the implied tag.
    const tag = parsed === undefined ? "" : parsed.tag ?? (digest === "" ? "latest" : "");
    const pullPolicy = defaultPullPolicy(reference);
    assert.deepEqual({ name, tag, digest, pullPolicy }, answers[index], reference);
    if (parsed !== undefined) readable++;
  }
  assert.ok(readable > 30);
});

Deno.test("the vectors of reviews are what Kubernetes sends", async () => {
  const vectors = await readVectors("review_requests.json");
  const answers = await ask("review", vectors.map(({ input }) => input));
  assert.deepEqual(vectors.map(({ expected }) => expected), answers);
});
