import assert from "node:assert/strict";
import { canonicalize } from "@signed-pods/shared/canonical-json";
import { isJsonObject } from "@signed-pods/shared/json";
import { parseStrictJson } from "@signed-pods/shared/strict-json";
import { type Outcome, runPodsign } from "../fake_effects_test.ts";

const SPEC = `{"containers":[{"image":"x@sha256:${"ab".repeat(32)}","name":"app"}]}`;
const POD = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web","namespace":"prod"},"spec":${SPEC}}`;

async function show(stdin: string, args: string[] = []): Promise<Outcome> {
  return await runPodsign(["show", "-", ...args], { stdin });
}

Deno.test("the template form is canonical JSON on one line", async () => {
  const { code, out, errors } = await show(POD);
  assert.equal(code, 0);
  assert.equal(errors, "");
  const text = out.slice(0, -1);
  assert.ok(out.endsWith("\n") && !text.includes("\n"));
  const template = parseStrictJson(text);
  assert.equal(canonicalize(template), text);
  assert.ok(isJsonObject(template));
  assert.deepEqual(template.workload, { apiVersion: "v1", kind: "Pod", name: "web", namespace: "prod" });
});

Deno.test("the spec form of a plain manifest is its spec, as jq would print it sorted", async () => {
  assert.equal((await show(POD, ["--form", "spec"])).out, `${SPEC}\n`);
});

Deno.test("several objects are a line each", async () => {
  assert.equal((await show(`---\n${POD}\n---\n${POD}\n`)).out.trim().split("\n").length, 2);
});

Deno.test("as JSON the text is indented for people", async () => {
  const { out } = await show(POD, ["-o", "json"]);
  assert.ok(out.includes('\n  "kind": "SignedTemplate"'));
  assert.equal(canonicalize(parseStrictJson(out)), (await show(POD)).out.trim());
});

/** C1 controls, a right-to-left override, an isolate, a zero-width space, DEL, and tags beyond the BMP. */
const ODD = "\u009b31m\u0085\u202etxt.\u2066\u200b\u007f\u{e0041}";

Deno.test("a terminal is shown nothing that it obeys, and the text means the same", async () => {
  const manifest = POD.replace('"name":"app"', `"args":["${ODD}"],"name":"app"`);
  const exact = await show(manifest);
  assert.ok(exact.out.includes(ODD), "into a file or a pipe goes what is signed");
  assert.equal(exact.errors, "");
  const shown = await runPodsign(["show", "-"], { stdin: manifest, outputTerminal: true });
  const indented = await show(manifest, ["-o", "json"]);
  for (const { out } of [shown, indented]) {
    assert.match(out, /^[ -~\n]*$/);
    assert.deepEqual(JSON.parse(out), JSON.parse(exact.out));
  }
  assert.match(shown.errors, /warning: the text holds characters that a terminal obeys/);
  const plain = await runPodsign(["show", "-"], { stdin: POD, outputTerminal: true });
  assert.deepEqual([plain.out, plain.errors], [(await show(POD)).out, ""]);
});

Deno.test("nothing to sign prints nothing but a warning", async () => {
  const { code, out, errors } = await show("apiVersion: v1\nkind: Service\nmetadata: {name: a}\n");
  assert.deepEqual([code, out], [0, ""]);
  assert.ok(errors.includes("holds no pods"));
});

Deno.test("refuses what cannot be signed", async () => {
  assert.equal((await show(POD.replace('"image"', '"imagine"'))).code, 2);
  assert.equal((await show("apiVersion: v1\nkind: Pod\n")).code, 2);
});
