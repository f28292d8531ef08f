import assert from "node:assert/strict";
import { readVectors, textOf } from "../tests/vectors/read_vectors.ts";
import { SignedPodsError } from "./errors.ts";
import { getOwn, isJsonObject, type JsonValue } from "./json.ts";
import { findPodTemplates } from "./pod/workload.ts";
import {
  buildSignedTemplate,
  encodeSignedTemplate,
  parseSignedTemplate,
  type SignOptions,
} from "./signed_template.ts";

/** The text that is signed for a vector's manifest. */
function signedText(input: JsonValue): string {
  assert.ok(isJsonObject(input) && input.manifest !== undefined);
  const options: SignOptions = {};
  if (getOwn(input, "namespace") !== undefined) options.namespace = textOf(input, "namespace");
  for (const date of ["notBefore", "notAfter"] as const) {
    if (getOwn(input, date) !== undefined) options[date] = new Date(textOf(input, date));
  }
  if (Array.isArray(input.allow)) options.allow = input.allow.map(String);
  const [location, ...others] = findPodTemplates(input.manifest);
  assert.ok(location !== undefined && others.length === 0);
  return encodeSignedTemplate(buildSignedTemplate(location, options));
}

for (const { name, input, expected, error } of await readVectors("signed_templates.json")) {
  Deno.test(`${error === undefined ? "signs" : "refuses to sign"} ${name}`, () => {
    if (error === undefined) {
      const text = signedText(input);
      assert.equal(text, expected);
      assert.equal(encodeSignedTemplate(parseSignedTemplate(text)), text);
    } else {
      assert.throws(() => signedText(input), (thrown) => {
        assert.ok(thrown instanceof SignedPodsError);
        assert.equal(thrown.code, error);
        return true;
      });
    }
  });
}
