import assert from "node:assert/strict";
import { deepFreeze, type JsonObject } from "../json.ts";
import { canonicalize } from "../canonical_json.ts";
import {
  buildSignedTemplate,
  encodeSignedTemplate,
  parseSignedTemplate,
  type SignOptions,
} from "../signed_template.ts";
import { SIGNATURE_ANNOTATION, type Verdict } from "../verdict.ts";
import {
  deployment,
  firstTemplate,
  IMAGE,
  keyPair,
  livePod,
  liveSpec,
  signText,
  templateAnnotations,
} from "./fixture_test.ts";
import { minimal } from "./normal_form.ts";
import { podReferences } from "./reference_answer.ts";
import { createVerifier, type JudgementTime, type ReferencesMode } from "./verify.ts";

const NOW = new Date("2026-11-23T13:00:00Z");
const POD_NAME = "web-76bf99c854-x7x7x";
const HEX = "ab".repeat(32);
const owner = await keyPair();

const SPEC: JsonObject = {
  containers: [{
    name: "app",
    image: IMAGE,
    envFrom: [{ configMapRef: { name: "web" } }],
    volumeMounts: [{ name: "data", mountPath: "/data" }],
  }],
  volumes: [{ name: "data", persistentVolumeClaim: { claimName: "data" } }],
};

const PINS = { configMaps: { web: { data: { LOG: `sha256:${HEX}` } } } };

async function judge(
  references: ReferencesMode | undefined,
  options: SignOptions = {},
  time: JudgementTime = { now: NOW },
): Promise<Verdict> {
  const annotations = await templateAnnotations(owner.signer, deployment(SPEC), options);
  const verifier = createVerifier({
    keys: [owner.verifier],
    acceptForms: new Set(["template", "spec"]),
    requireDigests: false,
    ...(references === undefined ? {} : { references }),
  });
  return await verifier.verifyPod(livePod(POD_NAME, liveSpec(SPEC), { annotations }), time);
}

const PATHS = ["spec.volumes[data].persistentVolumeClaim", "spec.containers[app].envFrom[0].configMapRef"];

Deno.test("refuses a pod with references that are neither pinned nor allowed, and names each", async () => {
  const verdict = await judge("enforce");
  assert.ok(verdict.decision === "deny", JSON.stringify(verdict));
  assert.equal(verdict.code, "reference-not-signed");
  assert.deepEqual(verdict.differences.map(({ path }) => path), PATHS);
  assert.match(verdict.differences[0]?.detail ?? "", /--allow claim=data/);
});

Deno.test("refuses a pod for the one reference that is left", async () => {
  const verdict = await judge("enforce", { pins: PINS });
  assert.ok(verdict.decision === "deny");
  assert.deepEqual(verdict.differences.map(({ path }) => path), PATHS.slice(0, 1));
});

Deno.test("a pod whose references are pinned and allowed runs, and tells what it refers to", async () => {
  const verdict = await judge("enforce", { pins: PINS, allow: ["claim=data"] });
  assert.ok(verdict.decision === "allow", JSON.stringify(verdict));
  assert.deepEqual(verdict.warnings, []);
  assert.deepEqual(verdict.permissions, ["claim=data"]);
  assert.deepEqual(
    podReferences(verdict).map(({ reference: { kind, name }, answer }) => [kind, name, answer.kind]),
    [
      ["ServiceAccount", "default", "none-needed"],
      ["PersistentVolumeClaim", "data", "mutable"],
      ["ServiceAccountToken", "", "none-needed"],
      ["ConfigMap", "kube-root-ca.crt", "cluster"],
      ["ConfigMap", "web", "pinned"],
    ],
  );
});

Deno.test("under warn a pod runs, and each reference is told; under off and without a mode it runs", async () => {
  const warned = await judge("warn");
  assert.ok(warned.decision === "allow");
  assert.deepEqual(warned.warnings.map((line) => line.split(": ")[0]), PATHS);
  for (const mode of ["off", undefined] as const) {
    const verdict = await judge(mode);
    assert.ok(verdict.decision === "allow" && verdict.warnings.length === 0);
  }
});

Deno.test("a pod that was admitted under a milder mode keeps running", async () => {
  const first = await judge("warn");
  assert.ok(first.decision === "allow");
  const { signedHash, keyId } = first;
  const verdict = await judge("enforce", {}, { now: NOW, admitted: { signedHash, keyId } });
  assert.ok(verdict.decision === "allow", JSON.stringify(verdict));
  assert.equal(verdict.warnings.length, PATHS.length);
});

Deno.test("refuses a pod of the very parts of one that keeps running, but was not admitted itself", async () => {
  // Verdicts are remembered of parts that cannot change.
  const annotations = deepFreeze(await templateAnnotations(owner.signer, deployment(SPEC)));
  const verifier = createVerifier({
    keys: [owner.verifier],
    acceptForms: new Set(["template"]),
    requireDigests: false,
    references: "enforce",
  });
  const pod = livePod(POD_NAME, deepFreeze(liveSpec(SPEC)), { annotations });
  const milder = await judge("warn");
  assert.ok(milder.decision === "allow");
  const { signedHash, keyId } = milder;
  const admitted = await verifier.verifyPod(pod, { now: NOW, admitted: { signedHash, keyId } });
  assert.equal(admitted.decision, "allow");
  const verdict = await verifier.verifyPod(pod, { now: NOW });
  assert.ok(verdict.decision === "deny", JSON.stringify(verdict));
  assert.equal(verdict.code, "reference-not-signed");
});

Deno.test("refuses references in the spec form, which says nothing of them", async () => {
  const verifier = createVerifier({
    keys: [owner.verifier],
    acceptForms: new Set(["spec"]),
    requireDigests: false,
    references: "enforce",
  });
  const annotations = { [SIGNATURE_ANNOTATION]: await signText(owner.signer, canonicalize(minimal(SPEC))) };
  const verdict = await verifier.verifyPod(livePod("web", liveSpec(SPEC), { annotations }), { now: NOW });
  assert.ok(verdict.decision === "deny", JSON.stringify(verdict));
  assert.deepEqual([verdict.code, verdict.differences.map(({ path }) => path)], [
    "reference-not-signed",
    PATHS,
  ]);
});

Deno.test("a template holds its pins as they were given", () => {
  const pins = {
    configMaps: { b: {}, a: { binaryData: { x: `sha256:${HEX}` } } },
    secrets: { db: { data: { y: `hmac-sha256:${HEX}` } } },
    runtimeClasses: { kata: "kata-qemu" },
  };
  const text = encodeSignedTemplate(buildSignedTemplate(firstTemplate(deployment(SPEC)), { pins }));
  assert.deepEqual(parseSignedTemplate(text).pins, pins);
  assert.ok(text.includes('"pins":{"configMaps":{"a":'));
});

Deno.test("without pins a template is the same text as ever", () => {
  const build = (options: SignOptions) =>
    encodeSignedTemplate(buildSignedTemplate(firstTemplate(deployment(SPEC)), options));
  assert.equal(build({ pins: {} }), build({}));
  assert.ok(!build({}).includes("pins"));
});

const BAD: [name: string, options: SignOptions][] = [
  ["pins that are no digests", { pins: { configMaps: { web: { data: { a: "x" } } } } }],
  ["a pin of what may change", { pins: PINS, allow: ["mutable-config=web"] }],
  ["a pin of what has a signature of its own", { pins: PINS, allow: ["signed-config=web"] }],
  ["a Secret's pin of what may change", {
    pins: { secrets: { db: { data: { a: `hmac-sha256:${HEX}` } } } },
    allow: ["mutable-secret=db"],
  }],
  ["two permissions for one ConfigMap", { allow: ["mutable-config=web", "signed-config=web"] }],
];

for (const [name, options] of BAD) {
  Deno.test(`refuses to sign ${name}`, () => {
    assert.throws(() => buildSignedTemplate(firstTemplate(deployment(SPEC)), options), {
      code: "object-malformed",
    });
    // A Secret may have the name of a ConfigMap.
    buildSignedTemplate(firstTemplate(deployment(SPEC)), { pins: PINS, allow: ["mutable-secret=web"] });
  });
}

Deno.test("refuses a signed template with pins of an unknown kind", () => {
  const text = encodeSignedTemplate(buildSignedTemplate(firstTemplate(deployment(SPEC)), { pins: PINS }));
  assert.throws(() => parseSignedTemplate(text.replace('"configMaps"', '"services"')), {
    code: "template-malformed",
  });
});
