import assert from "node:assert/strict";
import { readVectors } from "../../tests/vectors/read_vectors.ts";
import { isJsonObject } from "../json.ts";
import { SIGNATURE_ANNOTATION } from "../verdict.ts";
import { keyPair, livePod, signText } from "./fixture_test.ts";
import { createVerifier } from "./verify.ts";

const { signer, verifier } = await keyPair();
const engine = createVerifier({ keys: [verifier], acceptForms: new Set(["spec"]), requireDigests: false });

for (const { name, input, expected } of await readVectors("spec_form.json")) {
  assert.ok(isJsonObject(input) && isJsonObject(expected));
  for (const list of ["accepted", "refused"] as const) {
    const texts = expected[list];
    assert.ok(Array.isArray(texts));
    for (const [index, text] of texts.entries()) {
      assert.ok(typeof text === "string");
      Deno.test(`${list === "accepted" ? "accepts" : "refuses"} text ${index + 1}: ${name}`, async () => {
        const annotations = { [SIGNATURE_ANNOTATION]: await signText(signer, text) };
        const verdict = await engine.verifyPod(livePod("web", input, { annotations }), { now: new Date(0) });
        assert.equal(verdict.decision, list === "accepted" ? "allow" : "deny", JSON.stringify(verdict));
      });
    }
  }
}
