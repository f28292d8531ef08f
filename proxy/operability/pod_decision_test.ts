import assert from "node:assert/strict";
import { type AllowVerdict, deny, type Difference } from "@signed-pods/shared/verdict";
import {
  formatDecision,
  MAX_DECISION_ENTRIES,
  MAX_DECISION_LIST_CHARACTERS,
  MAX_DECISION_TEXT_CHARACTERS,
  type PodDecision,
} from "./pod_decision.ts";

const NOW = new Date("2026-02-03T04:05:06.007Z");
const POD = { mode: "enforce", namespace: "shop", name: "web-1", uid: "u-1" } as const;

function refusal(differences: Difference[], message = "the spec differs"): PodDecision {
  return { ...POD, kind: "refuse", verdict: deny("spec-differs", message, differences) };
}

const ALLOWED: AllowVerdict = {
  decision: "allow",
  form: "template",
  keyId: "aa",
  signedHash: "bb",
  spec: { containers: [{ name: "app", env: [{ name: "PASSWORD", value: "hunter2" }] }] },
  labels: { app: "web" },
  annotations: { note: "hunter2" },
  extraLabels: {},
  extraAnnotations: {},
  injected: ["spec.volumes[token]: service account token"],
  permissions: [],
  references: [],
  warnings: ["spec.containers[app].image has no digest"],
};

Deno.test("a refusal is one line with its code and its differences", () => {
  const difference: Difference = {
    path: "spec.containers[app].image",
    kind: "changed",
    signed: '"web:1"',
    found: '"evil:1"',
  };
  assert.deepEqual(JSON.parse(formatDecision(refusal([difference]), NOW)), {
    time: "2026-02-03T04:05:06.007Z",
    decision: "refuse",
    ...POD,
    code: "spec-differs",
    message: "the spec differs",
    differences: [difference],
  });
});

Deno.test("a mirror pod is one line without reasons: it is not judged", () => {
  assert.deepEqual(JSON.parse(formatDecision({ ...POD, kind: "mirror" }, NOW)), {
    time: "2026-02-03T04:05:06.007Z",
    decision: "mirror",
    ...POD,
  });
});

Deno.test("an admission tells who signed and what was let through, and nothing of the spec", () => {
  const line = formatDecision({ ...POD, kind: "allow", verdict: ALLOWED }, NOW);
  assert.deepEqual(JSON.parse(line), {
    time: "2026-02-03T04:05:06.007Z",
    decision: "allow",
    ...POD,
    form: "template",
    keyId: "aa",
    signedHash: "bb",
    injected: ALLOWED.injected,
    warnings: ALLOWED.warnings,
  });
});

Deno.test("what looks like a credential is blotted out, and what would turn or break a line is escaped", () => {
  const line = formatDecision(
    refusal([{ path: "a\n\u202eb", kind: "unexpected", found: "Bearer abc.def" }], "x\u2028y"),
    NOW,
  );
  assert.match(line, /^[\x20-\x7e]+$/);
  assert.equal(JSON.parse(line).differences[0].found, "Bearer [redacted]");
  assert.equal(JSON.parse(line).differences[0].path, "a\n\u202eb");
});

Deno.test("refuses to let a pod make a line longer than the bounds", () => {
  const many = Array.from(
    { length: 1000 },
    (_, index): Difference => ({ path: `p${index}`, kind: "missing" }),
  );
  const few = JSON.parse(formatDecision(refusal(many), NOW));
  assert.equal(few.differences.length, MAX_DECISION_ENTRIES);
  assert.equal(few.differencesLeftOut, 1000 - MAX_DECISION_ENTRIES);

  const long = "\u202e".repeat(100_000);
  const line = formatDecision(
    refusal(many.map(() => ({ path: long, kind: "changed", signed: long, found: long })), long),
    NOW,
  );
  assert.ok(line.length < MAX_DECISION_LIST_CHARACTERS + 6 * MAX_DECISION_TEXT_CHARACTERS + 500);
  const parsed = JSON.parse(line);
  assert.equal(parsed.message.length, MAX_DECISION_TEXT_CHARACTERS + 1);
  assert.equal(parsed.differences.length + parsed.differencesLeftOut, 1000);
});
