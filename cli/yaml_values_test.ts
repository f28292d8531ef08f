import assert from "node:assert/strict";
import fc from "fast-check";
import type { JsonValue } from "@signed-pods/shared/json";
import { arbitraryYaml, ODD_SCALARS } from "../tests/go/yaml_text.ts";
import { InputError } from "./input_error.ts";
import { readManifest } from "./manifest.ts";
import { readYamlValues } from "./yaml_values.ts";

/** What the manifest's own reader makes of a text, and whether it finds nothing wrong with it. */
function exact(text: string): { values: JsonValue[]; good: boolean } | undefined {
  try {
    const { documents } = readManifest(new TextEncoder().encode(text), "m.yaml", { edit: true });
    return {
      values: documents.map(({ value }) => value),
      good: documents.every(({ problems }) => problems.length === 0),
    };
  } catch (error) {
    assert.ok(error instanceof InputError, String(error));
    return undefined;
  }
}

Deno.test("reads documents, and scalars as the manifest's reader does", () => {
  const text =
    "a: 1\nb: [true, ~, on, 0x1F, -0.0, '1', \"\\n\", '']\n__proto__: {c: }\n---\nd: |\n  x\n---\n";
  const proto: unknown = JSON.parse(
    '{"a":1,"b":[true,null,"on","0x1F",0,"1","\\n",""],"__proto__":{"c":null}}',
  );
  assert.deepEqual(readYamlValues(text), [proto, { d: "x\n" }, null]);
  for (const scalar of ODD_SCALARS) {
    const inMap = `a: ${scalar}\n`;
    const quick = readYamlValues(inMap);
    if (quick !== undefined) assert.deepEqual(quick, exact(inMap)?.values, inMap);
  }
});

Deno.test("refuses to guess: what is out of the ordinary is left to the other reader", () => {
  const texts = [
    "%YAML 1.2\n---\na: 1\n",
    "a: &x 1\nb: *x\n",
    "a: !!int 1\n",
    "1: a\n",
    "true: a\n",
    "? [a]\n: b\n",
    "a: 1\na: 2\n",
    "- a\n",
    "a\n",
    // Libraries differ in how far such a block is indented.
    "|1\n   a\n",
    "a: [\n",
    "a: 'b\n",
    "\tb: 1\n",
    `${"[".repeat(1000)}${"]".repeat(1000)}\n`,
  ];
  for (const text of texts) assert.equal(readYamlValues(text), undefined, text);
});

Deno.test("random texts with which nothing is wrong mean the same to both readers", () => {
  let alike = 0;
  const texts = fc.sample(arbitraryYaml(), { numRuns: 2000 }).map((text) => text.toWellFormed());
  for (const text of texts) {
    const ours = exact(text);
    const quick = ours?.good === true ? readYamlValues(text) : undefined;
    if (quick === undefined) continue;
    alike += 1;
    assert.deepEqual(quick, ours?.values, JSON.stringify(text));
  }
  console.log(`${alike} of ${texts.length} random texts were read by both`);
  assert.ok(alike > texts.length / 50, `${alike} of ${texts.length}`);
});
