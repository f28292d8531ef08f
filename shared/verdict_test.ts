import assert from "node:assert/strict";
import { deny, type Difference, formatDenial, formatDifference } from "./verdict.ts";

const DIFFERENCES: Difference[] = [
  { path: "spec.containers[app].image", kind: "changed", signed: '"a"', found: '"b"' },
  { path: "spec.hostPID", kind: "unexpected", found: "true" },
  { path: "spec.volumes[data]", kind: "missing", signed: '{"name":"data"}' },
  { path: "metadata.name", kind: "invalid", detail: "is not a DNS subdomain" },
];
const LINES = [
  'spec.containers[app].image: signed "a", found "b"',
  "spec.hostPID: not signed, found true",
  'spec.volumes[data]: signed {"name":"data"}, found nothing',
  "metadata.name: is not a DNS subdomain",
];

Deno.test("a difference is told with what was signed and what was found", () => {
  assert.deepEqual(DIFFERENCES.map(formatDifference), LINES);
});

Deno.test("refuses to show values that a difference does not hold", () => {
  const path = "spec.containers[app].env[A].value";
  assert.equal(formatDifference({ path, kind: "changed" }), `${path}: signed (not shown), found (not shown)`);
  assert.equal(formatDifference({ path, kind: "missing" }), `${path}: signed (not shown), found nothing`);
  assert.equal(formatDifference({ path, kind: "unexpected" }), `${path}: not signed, found (not shown)`);
  assert.equal(formatDifference({ path, kind: "invalid" }), `${path}: not valid`);
  assert.equal(formatDifference({ path: "", kind: "invalid", detail: "it is no pod" }), "it is no pod");
  assert.equal(formatDifference({ path: "", kind: "invalid" }), "not valid");
});

Deno.test("a refusal tells all its differences if they fit", () => {
  const text = `the pod is not what was signed: ${LINES.join("; ")}`;
  const verdict = deny("spec-differs", "the pod is not what was signed", DIFFERENCES);
  assert.equal(formatDenial(verdict, text.length), text);
  assert.equal(formatDenial(deny("unsigned", "it is not signed"), 100), "it is not signed");
});

Deno.test("a refusal that is too long says how many differences are not told, at every length", () => {
  const message = "the pod is not what was signed";
  const verdict = deny("spec-differs", message, DIFFERENCES);
  const whole = formatDenial(verdict, 10_000);
  for (let maxLength = message.length + " (and 4 more)".length; maxLength < whole.length; maxLength++) {
    const text = formatDenial(verdict, maxLength);
    assert.ok(text.length <= maxLength, text);
    const [, told = "", more] = /^the pod is not what was signed(?:: (.*))? \(and (\d) more\)$/.exec(text) ??
      [];
    const lines = told === "" ? [] : told.split("; ");
    assert.deepEqual(lines, LINES.slice(0, lines.length));
    assert.equal(Number(more), LINES.length - lines.length, text);
  }
  assert.equal(formatDenial(verdict, 10), "the pod is");
});

Deno.test("a refusal is never cut inside a character", () => {
  const verdict = deny("spec-differs", "😀😀😀", DIFFERENCES);
  for (let maxLength = 0; maxLength < 40; maxLength++) {
    assert.ok(formatDenial(verdict, maxLength).isWellFormed(), `${maxLength}`);
    assert.ok(formatDenial(deny("unsigned", "😀😀😀"), maxLength).isWellFormed(), `${maxLength}`);
  }
});
