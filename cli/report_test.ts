import assert from "node:assert/strict";
import { type AllowVerdict, deny } from "@signed-pods/shared/verdict";
import { fakeEffects } from "./fake_effects_test.ts";
import {
  createProgress,
  jsonReport,
  type PlacedVerdict,
  printErrors,
  printWarnings,
  textReport,
} from "./report.ts";

const ALLOW: AllowVerdict = {
  decision: "allow",
  form: "template",
  keyId: "ab12".repeat(16),
  signedHash: "cd34".repeat(16),
  spec: {},
  labels: {},
  annotations: {},
  extraLabels: {},
  extraAnnotations: {},
  injected: ["spec.volumes[kube-api-access-abcde]: service account"],
  permissions: [],
  references: [],
  warnings: ["w"],
};

const GOOD: PlacedVerdict = {
  workload: { apiVersion: "v1", kind: "Pod", namespace: "default", name: "web" },
  path: [],
  verdict: ALLOW,
};

const BAD: PlacedVerdict = {
  workload: { apiVersion: "batch/v1", kind: "Job", generateName: "run-" },
  path: ["items", 1],
  place: "m.yaml:3:1",
  verdict: deny("spec-differs", "the pod is not what was signed", [
    { path: "spec.containers[app].image", kind: "changed", signed: '"a"', found: '"b"' },
    { path: "spec.containers[app].args", kind: "unexpected", found: '"\u001b[2J\u202e"' },
  ]),
};

Deno.test("people get a line per object, then its differences, then a summary", () => {
  assert.equal(
    textReport({ verdicts: [GOOD, BAD], ignored: new Map([["Service", 2], ["Config\u001bMap", 1]]) }),
    [
      "OK   pod default/web  template  key ab12ab12ab12ab12",
      "FAIL job run-*  spec-differs: the pod is not what was signed  (m.yaml:3:1)",
      '       spec.containers[app].image: signed "a", found "b"',
      '       spec.containers[app].args: not signed, found "\\u001b[2J\\u202e"',
      "1 good, 1 refused; ignored, because they hold no pods: 2 Service, 1 Config\\u001bMap",
      "",
    ].join("\n"),
  );
});

Deno.test("people read which of the owner's permissions were made use of", () => {
  const used = { ...ALLOW, permissions: ["label=tier", "resize"] };
  const report = { verdicts: [{ ...GOOD, verdict: used }], ignored: new Map<string, number>() };
  assert.match(textReport(report), /key ab12ab12ab12ab12 {2}allowed: label=tier, resize\n/);
  assert.match(jsonReport(report), /"permissions": \[\s*"label=tier",\s*"resize"\s*\]/);
});

Deno.test("nothing judged is a summary only", () => {
  assert.equal(textReport({ verdicts: [], ignored: new Map() }), "0 good, 0 refused\n");
});

Deno.test("programs get every field of every object", () => {
  const report: unknown = JSON.parse(
    jsonReport({ verdicts: [GOOD, BAD], ignored: new Map([["Service", 2]]) }),
  );
  const none = {
    form: null,
    keyId: null,
    signedHash: null,
    injected: [],
    permissions: [],
    references: [],
    warnings: [],
  };
  assert.deepEqual(report, {
    good: 1,
    refused: 1,
    ignored: { Service: 2 },
    objects: [
      {
        apiVersion: "v1",
        kind: "Pod",
        namespace: "default",
        name: "web",
        generateName: null,
        path: [],
        place: null,
        decision: "allow",
        form: "template",
        keyId: ALLOW.keyId,
        signedHash: ALLOW.signedHash,
        injected: ALLOW.injected,
        permissions: [],
        references: [],
        warnings: ["w"],
        code: null,
        message: null,
        differences: [],
      },
      {
        apiVersion: "batch/v1",
        kind: "Job",
        namespace: null,
        name: null,
        generateName: "run-",
        path: ["items", 1],
        place: "m.yaml:3:1",
        decision: "deny",
        ...none,
        code: "spec-differs",
        message: "the pod is not what was signed",
        differences: BAD.verdict.decision === "deny" ? BAD.verdict.differences : [],
      },
    ],
  });
});

Deno.test("warnings and errors are lines of their own, safe to print", () => {
  const { effects, outcome } = fakeEffects({});
  printWarnings(effects, ["a\nb", "c"]);
  printErrors(effects, ["d\u0007"]);
  assert.equal(outcome.errors, "podsign: warning: a\\u000ab\npodsign: warning: c\npodsign: d\\u0007\n");
});

Deno.test("progress is shown on a terminal only, and taken away", () => {
  for (const terminal of [true, false]) {
    const { effects, outcome } = fakeEffects({ terminal });
    const progress = createProgress(effects);
    progress.clear();
    assert.equal(outcome.errors, "");
    progress.show("working");
    progress.clear();
    progress.clear();
    assert.equal(outcome.errors, terminal ? "\r\x1b[Kpodsign: working\r\x1b[K" : "");
  }
});
