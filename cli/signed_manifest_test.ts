import assert from "node:assert/strict";
import fc from "fast-check";
import { isJsonObject } from "@signed-pods/shared/json";
import { SIGNATURE_ANNOTATION, SIGNED_TEMPLATE_ANNOTATION } from "@signed-pods/shared/verdict";
import { arbitraryYaml } from "../tests/go/yaml_text.ts";
import { annotationEdits, AnnotationError, applyEdits } from "./annotate.ts";
import { InputError } from "./input_error.ts";
import { type Manifest, readManifest } from "./manifest.ts";
import { type AnnotatedPlaces, readSignedManifest } from "./signed_manifest.ts";
import { readYamlValues } from "./yaml_values.ts";

const CHANGES: [string, string][] = [[SIGNATURE_ANNOTATION, "MEUCIQ=="], [
  SIGNED_TEMPLATE_ANNOTATION,
  '{"a":"it\'s \\n"}',
]];

function read(text: string): Manifest {
  return readManifest(new TextEncoder().encode(text), "m.yaml", { edit: true });
}

/** The text with annotations in all of its objects; undefined if it is no manifest. */
function annotated(text: string): { input: Manifest; text: string; places: AnnotatedPlaces } | undefined {
  try {
    const input = read(text);
    if (input.documents.some(({ problems }) => problems.length > 0)) return undefined;
    const objects = input.documents.filter(({ value }) => isJsonObject(value));
    const edits = objects.flatMap((document) => annotationEdits(input.text, document.root(), [], CHANGES));
    return edits.length === 0 ? undefined : {
      input,
      text: input.byteOrderMark + applyEdits(input.text, edits),
      places: new Map(objects.map((document) => [document, [{ path: [] }]])),
    };
  } catch (error) {
    assert.ok(error instanceof InputError || error instanceof AnnotationError, String(error));
    return undefined;
  }
}

const MANIFEST = "\ufeffa: 1 # one\n---\nb: [x]\n---\n# nothing\n";

Deno.test("a signed manifest is the input with annotations, and is read whole where that is asked for", () => {
  const signed = annotated(MANIFEST);
  assert.ok(signed !== undefined);
  const output = readSignedManifest(signed.input, signed.text, signed.places);
  const whole = read(signed.text);
  assert.deepEqual(
    [output.byteOrderMark, output.text, output.format],
    [whole.byteOrderMark, whole.text, "yaml"],
  );
  for (const [index, { value, offset, problems, root }] of output.documents.entries()) {
    const same = whole.documents[index];
    assert.deepEqual([value, offset, problems], [same?.value, same?.offset, same?.problems]);
    assert.deepEqual(root()?.range, same?.root()?.range);
  }
  const json = annotated('{"a": 1}');
  assert.ok(json !== undefined);
  assert.equal(readSignedManifest(json.input, json.text, json.places).format, "json");
});

Deno.test("what only the manifest's own reader reads is read by it", () => {
  const signed = annotated("a: 1\n---\n! \n");
  assert.equal(signed, undefined);
  const input = read("a: 1\n---\nb: &x [c]\nd: *x\n");
  const [first] = input.documents;
  assert.ok(first !== undefined);
  const text = applyEdits(input.text, annotationEdits(input.text, first.root(), [], CHANGES));
  assert.equal(readYamlValues(text), undefined);
  const output = readSignedManifest(input, text, new Map([[first, [{ path: [] }]]]));
  assert.equal(output.documents.length, 2);
});

Deno.test("refuses a text that is the input no more", () => {
  const signed = annotated(MANIFEST);
  assert.ok(signed !== undefined);
  const { input, text, places } = signed;
  const changes: [text: string, places: AnnotatedPlaces, message: RegExp][] = [
    [text.replace("a: 1", "a: 2"), places, /at line 1: nothing was printed/],
    [text.replace("a: 1", "a: '1'"), places, /more than the signatures/],
    [text.replace("[x]", "[x, x]"), places, /more than the signatures/],
    [text.replace("---\n#", "#"), places, /another number of documents/],
    [text.replace("---\nm", "---\n---\nm"), places, /another number of documents/],
    [text, new Map(), /more than the signatures/],
    [text.replace("b:", "&b b:").replace("[x]", "[y]"), places, /more than the signatures/],
  ];
  for (const [changed, of, message] of changes) {
    assert.throws(() => readSignedManifest(input, changed, of), message, JSON.stringify(changed));
  }
  assert.throws(() => readSignedManifest(input, text.replace("[x]", "[x"), places), InputError);
});

Deno.test("the quick reader never finds the input where the manifest's own reader does not", () => {
  let quick = 0;
  const texts = fc.sample(arbitraryYaml(), { numRuns: 2000 }).map((text) => text.toWellFormed());
  for (const [index, original] of texts.entries()) {
    const signed = annotated(original);
    if (signed === undefined) continue;
    // As if podsign had written something else: a piece of another text instead of a piece of this one.
    const other = texts[(index + 1) % texts.length] ?? "";
    const at = (index * 7919) % (signed.text.length + 1);
    const broken = [
      signed.text,
      signed.text.slice(0, at) + signed.text.slice(at + 1),
      signed.text.slice(0, at) + other.slice(0, 3) + signed.text.slice(at),
    ];
    for (const text of broken) {
      let output: Manifest;
      try {
        output = readSignedManifest(signed.input, text, signed.places);
      } catch (error) {
        assert.notEqual(text, signed.text, String(error));
        continue;
      }
      quick += readYamlValues(output.text) === undefined ? 0 : 1;
      const values = (manifest: Manifest) => manifest.documents.map(({ value }) => value);
      assert.deepEqual(values(read(text)), values(output), JSON.stringify([original, text]));
    }
  }
  console.log(`${quick} texts were read by the quick reader`);
  assert.ok(quick > texts.length / 50, `${quick} of ${texts.length}`);
});
