import assert from "node:assert/strict";
import fc from "fast-check";
import { stringify } from "yaml";
import type { JsonObject, JsonValue } from "@signed-pods/shared/json";
import {
  type AnnotationChanges,
  annotationEdits,
  AnnotationError,
  applyEdits,
  quoteJson,
  quoteYaml,
} from "./annotate.ts";
import { InputError } from "./input_error.ts";
import { type Path, readManifest, requireNoProblems } from "./manifest.ts";

const SIGNATURE = "kubelet-proxy.io/signature";
const TEMPLATE = "kubelet-proxy.io/signed-template";
const BOTH: AnnotationChanges = [[SIGNATURE, "c2ln"], [TEMPLATE, '{"a":"b"}']];
const SIGNATURE_ONLY: AnnotationChanges = [[SIGNATURE, "c2ln"], [TEMPLATE, undefined]];

function annotate(text: string, path: Path, changes: AnnotationChanges): string {
  const manifest = readManifest(new TextEncoder().encode(text), "m.yaml", { edit: true });
  const root = manifest.documents[0]?.root() ?? null;
  return manifest.byteOrderMark +
    applyEdits(manifest.text, annotationEdits(manifest.text, root, path, changes));
}

function valueOf(text: string): JsonValue {
  const manifest = readManifest(new TextEncoder().encode(text), "m.yaml", { edit: true });
  for (const document of manifest.documents) requireNoProblems(manifest, document);
  assert.equal(manifest.documents.length, 1);
  return manifest.documents[0]?.value ?? null;
}

interface Case {
  name: string;
  path?: Path;
  changes?: AnnotationChanges;
  before: string;
  after: string;
}

const CASES: Case[] = [
  {
    name: "metadata without annotations: below its key, above its first comment",
    before: "kind: Pod\nmetadata: # about\n  # the name\n  name: web # here\nspec: {}\n",
    after: 'kind: Pod\nmetadata: # about\n  annotations:\n    kubelet-proxy.io/signature: "c2ln"\n' +
      '    kubelet-proxy.io/signed-template: \'{"a":"b"}\'\n  # the name\n  name: web # here\nspec: {}\n',
  },
  {
    name: "annotations of the owner stay",
    before: "metadata:\n    annotations:\n        # mine\n        a: b\n    name: web\n",
    after: 'metadata:\n    annotations:\n        kubelet-proxy.io/signature: "c2ln"\n' +
      '        kubelet-proxy.io/signed-template: \'{"a":"b"}\'\n        # mine\n        a: b\n    name: web\n',
  },
  {
    name: "a byte order mark takes no place, also before an indented first line",
    before: "\ufeff  kind: Pod\r\n  spec: {}\r\n",
    after: '\ufeff  metadata:\r\n    annotations:\r\n      kubelet-proxy.io/signature: "c2ln"\r\n' +
      '      kubelet-proxy.io/signed-template: \'{"a":"b"}\'\r\n  kind: Pod\r\n  spec: {}\r\n',
  },
  {
    name: "no metadata in a pod template",
    path: ["spec", "template"],
    before: "spec:\n  template:\n    # the pods\n    spec:\n      a: b\n",
    after:
      'spec:\n  template:\n    metadata:\n      annotations:\n        kubelet-proxy.io/signature: "c2ln"\n' +
      '        kubelet-proxy.io/signed-template: \'{"a":"b"}\'\n    # the pods\n    spec:\n      a: b\n',
  },
  {
    name: "no metadata at the root",
    before: "# comment\nspec:\n  a: b\n",
    after: '# comment\nmetadata:\n  annotations:\n    kubelet-proxy.io/signature: "c2ln"\n' +
      '    kubelet-proxy.io/signed-template: \'{"a":"b"}\'\nspec:\n  a: b\n',
  },
  {
    name: "no metadata in an item of a list",
    path: ["items", 0],
    before: "items:\n- spec:\n    a: b\n",
    after: 'items:\n- metadata:\n    annotations:\n      kubelet-proxy.io/signature: "c2ln"\n' +
      '      kubelet-proxy.io/signed-template: \'{"a":"b"}\'\n  spec:\n    a: b\n',
  },
  {
    name: "metadata first in an item of a list",
    path: ["items", 1],
    before: "items:\n  - {}\n  - metadata:\n      name: web\n    spec: {}\n",
    after: 'items:\n  - {}\n  - metadata:\n      annotations:\n        kubelet-proxy.io/signature: "c2ln"\n' +
      '        kubelet-proxy.io/signed-template: \'{"a":"b"}\'\n      name: web\n    spec: {}\n',
  },
  {
    name: "metadata without a value",
    before: "metadata: # none\nspec: {}\n",
    after: 'metadata: # none\n  annotations:\n    kubelet-proxy.io/signature: "c2ln"\n' +
      '    kubelet-proxy.io/signed-template: \'{"a":"b"}\'\nspec: {}\n',
  },
  {
    name: "annotations that are null",
    before: "metadata:\n  annotations: null # none\n  name: web\n",
    after: 'metadata:\n  annotations: # none\n    kubelet-proxy.io/signature: "c2ln"\n' +
      '    kubelet-proxy.io/signed-template: \'{"a":"b"}\'\n  name: web\n',
  },
  {
    name: "annotations without a value at the end of the text",
    before: "metadata:\n  annotations:",
    after: 'metadata:\n  annotations:\n    kubelet-proxy.io/signature: "c2ln"\n' +
      '    kubelet-proxy.io/signed-template: \'{"a":"b"}\'',
  },
  {
    name: "annotations that are empty",
    before: "metadata:\n  annotations: {} # none yet\n  name: web\n",
    after: 'metadata:\n  annotations: # none yet\n    kubelet-proxy.io/signature: "c2ln"\n' +
      '    kubelet-proxy.io/signed-template: \'{"a":"b"}\'\n  name: web\n',
  },
  {
    name: "empty annotations at the end of the text",
    before: "metadata:\n  annotations: {}",
    after: 'metadata:\n  annotations:\n    kubelet-proxy.io/signature: "c2ln"\n' +
      '    kubelet-proxy.io/signed-template: \'{"a":"b"}\'',
  },
  {
    name: "a signature is replaced where it stands",
    before: "metadata:\n  annotations:\n    a: b\n    kubelet-proxy.io/signature: old # mine\n" +
      "    kubelet-proxy.io/signed-template: |\n      old\n\n    z: y\n",
    after: 'metadata:\n  annotations:\n    a: b\n    kubelet-proxy.io/signature: "c2ln" # mine\n' +
      '    kubelet-proxy.io/signed-template: \'{"a":"b"}\'\n\n    z: y\n',
  },
  {
    name: "a signature without a value gets one",
    before:
      "metadata:\n  annotations:\n    kubelet-proxy.io/signature:\n    kubelet-proxy.io/signed-template: # x\n",
    after: 'metadata:\n  annotations:\n    kubelet-proxy.io/signature: "c2ln"\n' +
      '    kubelet-proxy.io/signed-template: \'{"a":"b"}\' # x\n',
  },
  {
    name: "a template that goes takes its lines with it",
    changes: SIGNATURE_ONLY,
    before: "metadata:\n  annotations:\n    kubelet-proxy.io/signed-template: 'x' # old\n    a: b\n",
    after: 'metadata:\n  annotations:\n    kubelet-proxy.io/signature: "c2ln"\n    a: b\n',
  },
  {
    name: "a template of several lines that goes",
    changes: SIGNATURE_ONLY,
    before:
      "metadata:\n  annotations:\n    kubelet-proxy.io/signature: x\n    kubelet-proxy.io/signed-template: |\n" +
      "      x\n    kubelet-proxy.io/z: y\n",
    after: 'metadata:\n  annotations:\n    kubelet-proxy.io/signature: "c2ln"\n    kubelet-proxy.io/z: y\n',
  },
  {
    name: "line ends of Windows stay",
    before: "metadata:\r\n  name: web\r\nspec: {}\r\n",
    after: 'metadata:\r\n  annotations:\r\n    kubelet-proxy.io/signature: "c2ln"\r\n' +
      '    kubelet-proxy.io/signed-template: \'{"a":"b"}\'\r\n  name: web\r\nspec: {}\r\n',
  },
  {
    name: "flow style on one line",
    before: "{metadata: {name: web}, spec: {}}\n",
    after: '{metadata: {"annotations": {"kubelet-proxy.io/signature": "c2ln", ' +
      '"kubelet-proxy.io/signed-template": "{\\"a\\":\\"b\\"}"}, name: web}, spec: {}}\n',
  },
  {
    name: "flow style within a block",
    before: "metadata: { name: web, annotations: {a: b} } # x\nspec: {}\n",
    after: 'metadata: { name: web, annotations: {"kubelet-proxy.io/signature": "c2ln", ' +
      '"kubelet-proxy.io/signed-template": "{\\"a\\":\\"b\\"}", a: b} } # x\nspec: {}\n',
  },
  {
    name: "flow style over several lines",
    before: "{\n  metadata: {\n    annotations: {}\n  },\n  spec: {}\n}\n",
    after: '{\n  metadata: {\n    annotations: {"kubelet-proxy.io/signature": "c2ln", ' +
      '"kubelet-proxy.io/signed-template": "{\\"a\\":\\"b\\"}"}\n  },\n  spec: {}\n}\n',
  },
  {
    name: "null and nothing in flow style",
    changes: SIGNATURE_ONLY,
    before: "{metadata: {annotations: null}}\n",
    after: '{metadata: {annotations: {"kubelet-proxy.io/signature": "c2ln"}}}\n',
  },
  {
    name: "nothing after a key in flow style",
    changes: SIGNATURE_ONLY,
    before: "{metadata: {annotations: }, spec: {}}\n",
    after: '{metadata: {annotations: {"kubelet-proxy.io/signature": "c2ln"} }, spec: {}}\n',
  },
  {
    name: "a key alone in flow style",
    changes: SIGNATURE_ONLY,
    before: "{metadata, spec: {}}\n",
    after: '{metadata: {"annotations": {"kubelet-proxy.io/signature": "c2ln"}}, spec: {}}\n',
  },
  {
    name: "JSON over several lines",
    before: '{\n\t"metadata": {\n\t\t"name": "web"\n\t},\n\t"spec": {}\n}\n',
    after: '{\n\t"metadata": {\n\t\t"annotations": {"kubelet-proxy.io/signature": "c2ln", ' +
      '"kubelet-proxy.io/signed-template": "{\\"a\\":\\"b\\"}"},\n\t\t"name": "web"\n\t},\n\t"spec": {}\n}\n',
  },
  {
    name: "JSON with annotations over several lines",
    before: '{"metadata": {"annotations": {\n  "a": "b"\n}}}',
    after: '{"metadata": {"annotations": {\n  "kubelet-proxy.io/signature": "c2ln",\n' +
      '  "kubelet-proxy.io/signed-template": "{\\"a\\":\\"b\\"}",\n  "a": "b"\n}}}',
  },
  {
    name: "compact JSON",
    before: '{"metadata":{"annotations":{}},"spec":{}}',
    after: '{"metadata":{"annotations":{"kubelet-proxy.io/signature": "c2ln", ' +
      '"kubelet-proxy.io/signed-template": "{\\"a\\":\\"b\\"}"}},"spec":{}}',
  },
  {
    name: "a template that goes from JSON, alone, first, and last",
    changes: SIGNATURE_ONLY,
    before: '{"metadata":{"annotations":{"kubelet-proxy.io/signed-template":"x"}}}',
    after: '{"metadata":{"annotations":{"kubelet-proxy.io/signature": "c2ln"}}}',
  },
  {
    name: "a template that goes from JSON before others",
    changes: SIGNATURE_ONLY,
    before: '{"metadata":{"annotations":{"kubelet-proxy.io/signed-template":"x","a":"b"}}}',
    after: '{"metadata":{"annotations":{"kubelet-proxy.io/signature": "c2ln", "a":"b"}}}',
  },
  {
    name: "a template that goes from JSON after others",
    changes: SIGNATURE_ONLY,
    before:
      '{"metadata":{"annotations":{"kubelet-proxy.io/signature":"x","a":"b","kubelet-proxy.io/signed-template":"x"}}}',
    after: '{"metadata":{"annotations":{"kubelet-proxy.io/signature":"c2ln","a":"b"}}}',
  },
];

for (const { name, path = [], changes = BOTH, before, after } of CASES) {
  Deno.test(`annotations as text: ${name}`, () => {
    const result = annotate(before, path, changes);
    assert.equal(result, after);
    // What was put in is found again, and putting it in again changes nothing.
    assert.equal(annotate(result, path, changes), after);
  });
}

Deno.test("refuses paths that lead to no mapping", () => {
  assert.throws(() => annotate("spec: [a]\n", ["spec", 0], BOTH), AnnotationError);
  assert.throws(() => annotate("spec: {}\n", ["nothing"], BOTH), AnnotationError);
  assert.throws(() => annotate("metadata: [a]\n", [], BOTH), AnnotationError);
});

Deno.test("refuses edits that overlap", () => {
  const edits = [{ start: 0, end: 3, text: "" }, { start: 2, end: 4, text: "" }];
  assert.throws(() => applyEdits("abcdef", edits), AnnotationError);
});

Deno.test("edits at the same place keep their order", () => {
  assert.equal(applyEdits("ad", [{ start: 1, end: 1, text: "b" }, { start: 1, end: 1, text: "c" }]), "abcd");
});

Deno.test("any text reads back the same from both kinds of quotes, on one line", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 50 }), (text) => {
      fc.pre(text.isWellFormed());
      for (const quoted of [quoteYaml(text), quoteJson(text)]) {
        // deno-lint-ignore no-control-regex
        assert.ok(!/[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]/.test(quoted));
        assert.deepEqual(valueOf(`a: ${quoted}\n`), { a: text });
      }
      assert.equal(JSON.parse(quoteJson(text)), text);
    }),
    { examples: [["'"], ['it\'s "x"'], ["\u2028\u0085\ufeff\x7f\uffff"], ["%"], ["- a"], [" \t "], ["😀"]] },
  );
});

/** Objects with metadata in all the ways that owners have. */
const objects: fc.Arbitrary<JsonObject> = fc.record({
  annotations: fc.option(
    fc.option(
      fc.dictionary(
        fc.constantFrom("a", "example.com/b", SIGNATURE, TEMPLATE, "c d", "y"),
        fc.string({ unit: "grapheme-ascii", maxLength: 120 }),
        { noNullPrototype: true },
      ),
      { nil: null },
    ),
    { nil: undefined },
  ),
  hasMetadata: fc.boolean(),
  name: fc.option(fc.constant("web"), { nil: undefined }),
  last: fc.constantFrom("text\n", "several\nlines\n\n", "", "x: y"),
}).map(({ annotations, hasMetadata, name, last }): JsonObject => ({
  kind: "Pod",
  ...(hasMetadata
    ? {
      metadata: {
        ...(name === undefined ? {} : { name }),
        ...(annotations === undefined ? {} : { annotations }),
        ...(last === "" ? {} : { last }),
      },
    }
    : {}),
  spec: { a: "b" },
}));

function isRefused(text: string): boolean {
  try {
    valueOf(text);
    return false;
  } catch (error) {
    assert.ok(error instanceof InputError);
    return true;
  }
}

Deno.test("whatever the style, only the annotations change", () => {
  const styles = fc.record({
    collectionStyle: fc.constantFrom("any" as const, "block" as const, "flow" as const),
    indent: fc.constantFrom(1, 2, 4),
    indentSeq: fc.boolean(),
    nested: fc.boolean(),
    windows: fc.boolean(),
    json: fc.constantFrom(undefined, undefined, 0, 2, "\t"),
    changes: fc.constantFrom(BOTH, SIGNATURE_ONLY),
  });
  fc.assert(
    fc.property(objects, styles, (object, { nested, windows, json, changes, ...style }) => {
      const document = nested ? { items: [{ kind: "Other" }, object] } : object;
      const path = nested ? ["items", 1] : [];
      const text = json === undefined
        ? stringify(document, { ...style, compat: "yaml-1.1", lineWidth: 60 })
        : JSON.stringify(document, null, json);
      const before = windows ? text.replaceAll("\n", "\r\n") : text;
      // The library prints some texts plain in flow style that kubectl cannot read there.
      fc.pre(!isRefused(before));
      const after = annotate(before, path, changes);
      const metadata = typeof object.metadata === "object" ? { ...object.metadata } : {};
      const { annotations: old = null } = "annotations" in metadata ? metadata : {};
      const annotations = new Map(Object.entries(old ?? {}));
      for (const [key, value] of changes) {
        if (value === undefined) annotations.delete(key);
        else annotations.set(key, value);
      }
      const expected = { ...object, metadata: { ...metadata, annotations: Object.fromEntries(annotations) } };
      assert.deepEqual(valueOf(after), nested ? { items: [{ kind: "Other" }, expected] } : expected, before);
      if (json !== undefined) JSON.parse(after);
      if (windows) assert.ok(!/[^\r]\n/.test(after), after);
      assert.equal(annotate(after, path, changes), after);
    }),
    { numRuns: 500 },
  );
});
