import assert from "node:assert/strict";
import { readVectors } from "../../tests/vectors/read_vectors.ts";
import { isJsonObject } from "../json.ts";
import { defaultPullPolicy, hasDigest, MAX_IMAGE_LENGTH, parseImage } from "./image.ts";

Deno.test("reads image references as Kubernetes does", async () => {
  const vectors = await readVectors("image.json");
  let readable = 0;
  for (const { name, input, expected } of vectors) {
    assert.ok(typeof input === "string" && isJsonObject(expected));
    const { reference } = expected;
    assert.deepEqual(parseImage(input) ?? null, reference, name);
    assert.equal(defaultPullPolicy(input), expected.pullPolicy, name);
    assert.equal(hasDigest(input), isJsonObject(reference) && reference.digest !== undefined, name);
    if (reference !== null) readable++;
  }
  assert.ok(readable >= 30);
  assert.ok(vectors.length - readable >= 30);
});

Deno.test("refuses references that are too long, at once", () => {
  const started = performance.now();
  assert.equal(parseImage("a".repeat(MAX_IMAGE_LENGTH + 1)), undefined);
  assert.equal(parseImage("a-".repeat(5_000_000)), undefined);
  assert.ok(performance.now() - started < 1000);
});
