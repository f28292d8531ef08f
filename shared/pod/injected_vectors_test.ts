import assert from "node:assert/strict";
import { readVectors, textOf } from "../../tests/vectors/read_vectors.ts";
import { canonicalize } from "../canonical_json.ts";
import { isJsonObject, type JsonObject } from "../json.ts";
import { SIGNATURE_ANNOTATION, SIGNED_TEMPLATE_ANNOTATION } from "../verdict.ts";
import { keyPair, livePod, signText } from "./fixture_test.ts";
import { createVerifier } from "./verify.ts";

const { signer, verifier } = await keyPair();
const engine = createVerifier({
  keys: [verifier],
  acceptForms: new Set(["template"]),
  requireDigests: false,
});

for (const { name, input, expected } of await readVectors("injected.json")) {
  assert.ok(isJsonObject(input) && isJsonObject(expected));
  Deno.test(`${"injected" in expected ? "accepts" : "refuses"} ${name}`, async () => {
    const { live, podName: _name, ...signed } = input;
    assert.ok(isJsonObject(live));
    const text = canonicalize({
      apiVersion: "kubelet-proxy.io/v1",
      kind: "SignedTemplate",
      metadata: { labels: {}, annotations: {} },
      ...signed,
    });
    const annotations: JsonObject = {
      [SIGNATURE_ANNOTATION]: await signText(signer, text),
      [SIGNED_TEMPLATE_ANNOTATION]: text,
    };
    const verdict = await engine.verifyPod(livePod(textOf(input, "podName"), live, { annotations }), {
      now: new Date(0),
    });
    if (verdict.decision === "allow") {
      assert.deepEqual({ injected: verdict.injected }, expected);
    } else {
      assert.equal(verdict.code, "spec-differs", verdict.message);
      assert.deepEqual({ differs: verdict.differences.map(({ path }) => path) }, expected);
    }
  });
}
