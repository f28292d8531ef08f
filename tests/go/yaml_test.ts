/**
 * Compares how podsign reads YAML with how kubectl does, whose decoder tests/go/kubernetes links: a text that podsign
 * accepts means the same to kubectl, also after podsign has put annotations into it; one that it refuses is refused
 * with its line.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { annotationEdits, AnnotationError, applyEdits } from "../../cli/annotate.ts";
import { InputError } from "../../cli/input_error.ts";
import { type Manifest, readManifest, requireNoProblems } from "../../cli/manifest.ts";
import { SignedPodsError } from "../../shared/errors.ts";
import { isJsonObject, type JsonValue, setOwn } from "../../shared/json.ts";
import { parseStrictJson } from "../../shared/strict_json.ts";
import { ask, numRuns, seed } from "./kubernetes_code.ts";
import { arbitraryYaml, ODD_SCALARS } from "./yaml_text.ts";

/** What podsign makes of a text: the values of its documents, or the lines of a refusal. */
type Reading = { ok: true; manifest: Manifest; values: JsonValue[] } | {
  ok: false;
  lines: readonly string[];
};

function podsign(text: string, edit = true): Reading {
  try {
    const manifest = readManifest(new TextEncoder().encode(text), "m.yaml", { edit });
    for (const document of manifest.documents) {
      requireNoProblems(manifest, document);
      // Nothing else can be a Kubernetes object.
      if (typeof document.value !== "object") return { ok: false, lines: ["m.yaml:1:1: is not a mapping"] };
    }
    return { ok: true, manifest, values: manifest.documents.map(({ value }) => value) };
  } catch (error) {
    assert.ok(error instanceof InputError, String(error));
    return { ok: false, lines: error.lines };
  }
}

/** JSON as kubectl passes it on. A number beyond a double's range, which it does not look at, is text here. */
function readJson(text: string): JsonValue {
  try {
    return parseStrictJson(text, { maxDepth: 20_000 });
  } catch (error) {
    assert.ok(error instanceof SignedPodsError, String(error));
    return text;
  }
}

/** What kubectl makes of texts; undefined for those that it refuses. */
async function kubectl(texts: string[]): Promise<(JsonValue[] | undefined)[]> {
  return (await ask("yaml", texts)).map((answer) => {
    assert.ok(typeof answer === "object" && answer !== null);
    if ("error" in answer) return undefined;
    assert.ok("documents" in answer && Array.isArray(answer.documents));
    return answer.documents.map((document) => readJson(String(document)));
  });
}

/** Minus zero is zero to Kubernetes. */
function withoutMinusZero(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(withoutMinusZero);
  if (value === 0) return 0;
  if (!isJsonObject(value)) return value;
  const copy = {};
  for (const [key, member] of Object.entries(value)) setOwn(copy, key, withoutMinusZero(member));
  return copy;
}

/** kubectl skips documents without content. */
function objects(values: JsonValue[]): JsonValue[] {
  return values.filter((value) => value !== null).map(withoutMinusZero);
}

/** A message without what it is about, so that equal ones can be counted. */
function kindOf(line: string): string {
  return line.replace(/^m\.yaml:\d+:\d+: /, "").replace(/"[^]*"/g, '"…"').replace(/'[^]*'/g, "'…'")
    .replace(/(the key|reads|read|the anchor|character) \S+/g, "$1 …").replace(/^\S+ (stands|is too)/, "… $1")
    .slice(0, 90);
}

interface Tally {
  accepted: number;
  refusedByBoth: number;
  /** By kind of message. */
  refusedHere: Map<string, { count: number; example: string }>;
}

function compare(text: string, theirs: JsonValue[] | undefined, tally: Tally): void {
  const ours = podsign(text);
  if (ours.ok) {
    tally.accepted++;
    assert.ok(theirs !== undefined, `kubectl refuses ${JSON.stringify(text)}`);
    assert.deepEqual(objects(ours.values), theirs.map(withoutMinusZero), JSON.stringify(text));
    return;
  }
  for (const line of ours.lines) {
    assert.match(line, /^m\.yaml:\d+:\d+: \S|^m\.yaml: (is empty|and \d+ more)/, JSON.stringify(text));
  }
  if (theirs === undefined) {
    tally.refusedByBoth++;
    return;
  }
  const [first = ""] = ours.lines;
  const entry = tally.refusedHere.get(kindOf(first)) ?? { count: 0, example: text };
  if (text.length < entry.example.length) entry.example = text;
  entry.count++;
  tally.refusedHere.set(kindOf(first), entry);
}

function report(tally: Tally): void {
  console.log(`${tally.accepted} read alike, ${tally.refusedByBoth} refused by both, refused here alone:`);
  for (const [kind, { count, example }] of tally.refusedHere) {
    console.log(`${String(count).padStart(7)}  ${kind}   ${JSON.stringify(example).slice(0, 100)}`);
  }
}

const newTally = (): Tally => ({ accepted: 0, refusedByBoth: 0, refusedHere: new Map() });

Deno.test("odd scalars mean the same to kubectl wherever they stand", async () => {
  const places: ((scalar: string) => string)[] = [
    (scalar) => `a: ${scalar}\n`,
    (scalar) => `${scalar}: a\n`,
    (scalar) => `- ${scalar}\n- ${scalar}\n`,
    (scalar) => `a: [${scalar}]\n`,
    (scalar) => `a: {${scalar}: b}\n`,
    (scalar) => `a: {b: ${scalar}}\n`,
    (scalar) => `a: '${scalar.replaceAll("'", "''")}'\n`,
    (scalar) => `a: ${JSON.stringify(scalar)}\n`,
    (scalar) => `${JSON.stringify(scalar)}: a\n`,
    (scalar) => `{"a": ${scalar}}\n`,
    (scalar) => `a: |\n  ${scalar}\n`,
    (scalar) => `a: >-\n  ${scalar}\nb: 1\n`,
    (scalar) => `a: ${scalar} # note\n`,
    (scalar) => `a:\t${scalar}\r\n`,
    (scalar) => `a: !!str ${scalar}\n`,
    (scalar) => `a: &x ${scalar}\n`,
    (scalar) => `a: b\n  ${scalar}\n`,
    (scalar) => `? ${scalar}\n: a\n`,
    (scalar) => `${scalar}\n`,
  ];
  const texts = places.flatMap((place) => ODD_SCALARS.map(place));
  const answers = await kubectl(texts);
  const tally = newTally();
  for (const [index, text] of texts.entries()) compare(text, answers[index], tally);
  report(tally);
  assert.ok(tally.accepted > 1000);
});

Deno.test(`what podsign reads means the same to kubectl (PROPERTY_SEED=${seed})`, async () => {
  // kubectl cannot read JSON or YAML of less than four bytes that begins with a brace.
  const texts = fc.sample(arbitraryYaml(), { seed, numRuns }).filter((text) => text.length >= 4);
  const answers = await kubectl(texts);
  const tally = newTally();
  for (const [index, text] of texts.entries()) compare(text, answers[index], tally);
  report(tally);
  assert.ok(tally.accepted > numRuns / 10);
});

Deno.test(`annotations that podsign inserts are all that kubectl finds changed (PROPERTY_SEED=${seed})`, async () => {
  const texts = fc.sample(arbitraryYaml(), { seed: seed + 1, numRuns });
  const changes: [string, string][] = [["x.test/signature", "MEUCIQ=="], [
    "x.test/template",
    '{"a":"it\'s \\n"}',
  ]];
  const changed: { text: string; expected: JsonValue[]; original: string }[] = [];
  for (const original of texts) {
    const reading = podsign(original);
    if (!reading.ok) continue;
    const values = structuredClone(reading.values);
    try {
      const edits = reading.manifest.documents.flatMap((document, index) => {
        const value = values[index];
        if (!isJsonObject(value)) return [];
        const metadata = isJsonObject(value.metadata) ? value.metadata : {};
        const annotations = isJsonObject(metadata.annotations) ? metadata.annotations : {};
        value.metadata = { ...metadata, annotations: { ...annotations, ...Object.fromEntries(changes) } };
        return annotationEdits(reading.manifest.text, document.root(), [], changes);
      });
      const text = reading.manifest.byteOrderMark + applyEdits(reading.manifest.text, edits);
      if (edits.length > 0) changed.push({ text, expected: values, original });
    } catch (error) {
      // Metadata or annotations that are no mapping, which no Kubernetes object has.
      assert.ok(
        error instanceof AnnotationError && /is not a mapping/.test(error.message),
        JSON.stringify(original),
      );
    }
  }
  const answers = await kubectl(changed.map(({ text }) => text));
  for (const [index, { text, expected, original }] of changed.entries()) {
    const message = `${JSON.stringify(original)} became ${JSON.stringify(text)}`;
    const reading = podsign(text);
    assert.ok(reading.ok, message);
    assert.deepEqual(objects(reading.values), objects(expected), message);
    assert.deepEqual(answers[index]?.map(withoutMinusZero), objects(expected), message);
  }
  assert.ok(changed.length > numRuns / 20);
});
