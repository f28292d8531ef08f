import assert from "node:assert/strict";
import { readVectors, textOf } from "../tests/vectors/read_vectors.ts";
import { SignedPodsError } from "./errors.ts";
import { getOwn, isJsonObject, type JsonValue, objectAt } from "./json.ts";
import { readContent } from "./pod/object_content.ts";
import { pinContent } from "./pod/pins.ts";
import { encodeSignedContent, parseSignedContent } from "./signed_content.ts";

async function signedText(input: JsonValue): Promise<string> {
  assert.ok(isJsonObject(input));
  if (getOwn(input, "text") !== undefined) return textOf(input, "text");
  const object = objectAt(input, "object");
  const metadata = objectAt(object, "metadata");
  const { entries, problems } = readContent("ConfigMap", object, { manifest: true });
  assert.deepEqual(problems, []);
  return encodeSignedContent({
    namespace: textOf(metadata, "namespace"),
    name: textOf(metadata, "name"),
    content: await pinContent(entries),
    signedAt: new Date(textOf(input, "signedAt")),
  });
}

for (const { name, input, expected, error } of await readVectors("signed_contents.json")) {
  Deno.test(`${error === undefined ? "signs" : "refuses"} the content of a ConfigMap: ${name}`, async () => {
    const text = await signedText(input);
    if (error === undefined) {
      assert.equal(text, expected);
      assert.equal(encodeSignedContent(parseSignedContent(text)), text);
    } else {
      assert.throws(() => parseSignedContent(text), (thrown) => {
        assert.ok(thrown instanceof SignedPodsError);
        assert.equal(thrown.code, error);
        return true;
      });
    }
  });
}
