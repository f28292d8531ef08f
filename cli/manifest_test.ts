import assert from "node:assert/strict";
import { SignedPodsError } from "@signed-pods/shared/errors";
import type { JsonValue } from "@signed-pods/shared/json";
import { InputError } from "./input_error.ts";
import {
  type Manifest,
  nodeAt,
  objectError,
  PIECEWISE_LENGTH,
  podTemplatesOf,
  positionOf,
  readManifest,
  type ReadOptions,
  requireNoProblems,
} from "./manifest.ts";

const POD = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\nspec:\n";

function read(text: string | Uint8Array, options: ReadOptions = { edit: true }): Manifest {
  return readManifest(typeof text === "string" ? new TextEncoder().encode(text) : text, "m.yaml", options);
}

function valuesOf(text: string): JsonValue[] {
  const manifest = read(text);
  for (const document of manifest.documents) requireNoProblems(manifest, document);
  return manifest.documents.map(({ value }) => value);
}

/** The places, `line:column`, at which a manifest with a pod is refused. */
function placesOf(text: string): string[] {
  try {
    const manifest = read(text);
    for (const document of manifest.documents) podTemplatesOf(manifest, document);
  } catch (error) {
    assert.ok(error instanceof InputError, String(error));
    return error.lines.map((line) => {
      const place = /^m\.yaml:(\d+:\d+): \S/.exec(line)?.[1];
      assert.ok(place !== undefined, line);
      return place;
    });
  }
  return [];
}

/** The places of everything in a text that programs may read differently, pods or not. */
function problemsOf(text: string): string[] {
  return read(text).documents.flatMap(({ problems }) => problems).map(({ offset }) => {
    const { line, column } = positionOf(text, offset);
    return `${line}:${column}`;
  });
}

Deno.test("YAML of several documents is read", () => {
  assert.deepEqual(valuesOf("a: 1\n---\nb: [x, 'y', \"z\"]\n---\n# nothing\n---\nc: |\n  on\n  0644\n"), [
    { a: 1 },
    { b: ["x", "y", "z"] },
    null,
    { c: "on\n0644\n" },
  ]);
});

Deno.test("a document may begin with --- and comments, and end with ...", () => {
  assert.deepEqual(valuesOf("# comment\n--- # more\na: 1\n...\n# end\n"), [{ a: 1 }]);
  assert.deepEqual(valuesOf("a: 1\n...\n---\nb: 2\n"), [{ a: 1 }, { b: 2 }]);
});

Deno.test("line ends of Windows, a byte order mark and tabs between tokens are read", () => {
  assert.deepEqual(valuesOf("\ufeffa:\t1\t# one\r\nb: two\r\n"), [{ a: 1, b: "two" }]);
});

Deno.test("quoted and folded texts have their YAML meaning", () => {
  assert.deepEqual(
    valuesOf("a: 'it''s'\nb: \"\\u2028\\x41\\n\"\nc: two\n  lines\nd: >-\n  x\n  y\ne: ''\nf:\n"),
    [
      { a: "it's", b: "\u2028A\n", c: "two lines", d: "x y", e: "", f: null },
    ],
  );
});

Deno.test("keys are own properties, __proto__ too", () => {
  const [value] = valuesOf("__proto__: 1\nconstructor: 2\n");
  assert.deepEqual(Object.entries(value ?? {}), [["__proto__", 1], ["constructor", 2]]);
});

Deno.test("what begins with a brace is JSON, or else YAML", () => {
  const json = read('\n {"a":\t1,\r\n "b": "\\ud83d\\ude00"}');
  assert.equal(json.format, "json");
  assert.deepEqual(json.documents[0]?.value, { a: 1, b: "😀" });
  const yaml = read("{a: 1}\n---\n{b: 2}\n");
  assert.equal(yaml.format, "yaml");
  assert.deepEqual(yaml.documents.map(({ value }) => value), [{ a: 1 }, { b: 2 }]);
});

Deno.test("the syntax tree of JSON has the text's offsets, tabs and all", () => {
  const text = '{\n\t"a":\t{"b": [1,\r\n\t22]}}';
  const node = nodeAt(read(text).documents[0]?.root() ?? null, ["a", "b", 1]);
  assert.ok(typeof node === "object" && node !== null && "range" in node && Array.isArray(node.range));
  assert.equal(text.slice(node.range[0], node.range[1]), "22");
});

Deno.test("positions count lines and columns from 1", () => {
  assert.deepEqual(positionOf("ab\ncd", 0), { line: 1, column: 1 });
  assert.deepEqual(positionOf("ab\ncd", 4), { line: 2, column: 2 });
});

Deno.test("refuses bytes that are not UTF-8, and empty files", () => {
  assert.throws(() => read(new Uint8Array([0x61, 0xff])), InputError);
  assert.throws(() => read(" \n"), InputError);
});

Deno.test("refuses YAML that does not parse, with the place", () => {
  for (
    const text of [
      "a: [1\n",
      "a: b: c\n",
      "\ta: 1\n",
      "a:\n\tb: 1\n",
      "a: 'x\n",
      "{",
      "a: @x\n",
      'k: "\\q"\n',
    ]
  ) {
    assert.throws(
      () => read(text),
      (error) => error instanceof InputError && /^m\.yaml:\d+:\d+: /.test(error.lines[0] ?? ""),
      text,
    );
  }
});

Deno.test("refuses nesting that is too deep, without overflowing the stack", () => {
  assert.throws(() => read("[".repeat(20_000)), InputError);
  const deep = `${POD}  a: ${"[".repeat(200)}${"]".repeat(200)}\n`;
  assert.deepEqual(placesOf(deep), ["6:104"]);
  assert.throws(() => read(`{"a":${"[".repeat(5000)}${"]".repeat(5000)}}`), InputError);
});

Deno.test("refuses plain scalars that programs read differently, all of them with their places", () => {
  const text =
    `${POD}  hostNetwork: on\n  terminationGracePeriodSeconds: 0644\n  hostname: 1:30\n  a: [1_000, "on"]\n`;
  assert.deepEqual(placesOf(text), ["6:16", "7:34", "8:13", "9:7"]);
});

Deno.test("refuses numbers that are too large to be exact", () => {
  assert.deepEqual(placesOf(`${POD}  priority: 9007199254740993\n`), ["6:13"]);
});

Deno.test("refuses duplicate keys, in whatever spelling", () => {
  assert.deepEqual(placesOf(`${POD}  hostname: a\n  "hostname": b\n`), ["7:3"]);
  assert.deepEqual(placesOf(`${POD}  hostname: {a: 1, 'a': 2}\n`), ["6:20"]);
  assert.deepEqual(
    placesOf('{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"spec":{"x":1,"x":2}}'),
    ["1:71"],
  );
});

Deno.test("refuses merge keys, tags, anchors and aliases", () => {
  assert.deepEqual(placesOf(`${POD}  a: &x {b: c}\n  <<: *x\n  d: *x\n  e: !!str 1\n  f: ! g\n`), [
    "6:9",
    "7:3",
    "8:6",
    "9:12",
    "10:8",
  ]);
  assert.deepEqual(placesOf(`${POD}  a: &list [1]\n`), ["6:12"]);
});

Deno.test("refuses keys that are not text", () => {
  const keys = "  80: a\n  true: b\n  null: c\n  y: d\n  ? [a]\n  : e\n  : f\n";
  assert.deepEqual(placesOf(POD + keys), ["6:3", "7:3", "8:3", "9:3", "10:5", "12:1"]);
});

Deno.test("refuses characters that some programs take for line breaks or do not take", () => {
  for (const character of ["\u0085", "\u2028", "\u2029", "\ufeff", "\u0001", "\u007f", "\uffff"]) {
    assert.deepEqual(placesOf(`${POD}  a: 1 # x${character}b: 2\n`), ["6:11"], JSON.stringify(character));
  }
  assert.deepEqual(placesOf(`${POD}  a: "x\ry"\n`), ["6:8"]);
});

Deno.test("refuses separators that kubectl understands differently", () => {
  assert.deepEqual(placesOf(`--- {apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {}}\n`), ["1:1"]);
  assert.deepEqual(placesOf(`${POD}  a: b\n...\nkind: ConfigMap\napiVersion: v1\n`), ["7:1"]);
});

Deno.test("refuses the end of a document where kubectl finds none", () => {
  assert.deepEqual(placesOf(`# nothing\n...\n---\n${POD}  a: b\n`), []);
  assert.deepEqual(problemsOf("# nothing\n...\n---\na: b\n"), ["2:1"]);
  assert.deepEqual(problemsOf("\ufeff...\na: b\n"), ["1:1", "1:1"]);
  assert.deepEqual(problemsOf("{a: b}\n...\n---\nc: d\n"), ["2:1"]);
});

Deno.test("refuses lines that begin with a percent sign, wherever they stand", () => {
  assert.deepEqual(placesOf(`%a: b\n`), ["1:1"]);
  assert.deepEqual(placesOf(`\ufeff%YAML 1.1\n---\n${POD}  a: b\n`), ["1:1"]);
  assert.deepEqual(placesOf(`${POD}  a: "b\n%c"\n`), ["7:1"]);
});

Deno.test("refuses tabs as indentation", () => {
  assert.deepEqual(placesOf(`${POD}  a:\n  -\tb\n\t# note\n  c:\td\t# e\n`), ["7:4", "8:1"]);
  assert.throws(() => read("\t# nothing\n"), InputError);
});

Deno.test("refuses keys behind question marks", () => {
  assert.deepEqual(placesOf(`${POD}  ? a\n  : b\n  c: d ?\n  e: f\n`), ["6:5"]);
});

Deno.test("refuses keys whose colon stands on another line", () => {
  assert.deepEqual(placesOf(`${POD}  a: b\n  c d\n    : e\n  f  : g\n  h\n    :\n    - i\n`), [
    "7:3",
    "10:3",
  ]);
  for (const key of ["c\n  : d", '"c"\n    : d', "c # d\n    : e", "c\n  # d\n    : e"]) {
    assert.deepEqual(placesOf(`${POD}  a: b\n  ${key}\n`), ["7:3"], key);
  }
});

Deno.test("refuses a comment behind JSON that is too short for kubectl", () => {
  const json = '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web"},"spec":{}}';
  for (const end of [" #", " # a", "\n#\n", "\n#\r\n"]) {
    assert.deepEqual(placesOf(json + end), [end.startsWith("\n") ? "2:1" : `1:${json.length + 2}`], end);
  }
  for (const text of [`${json} # note\n`, `${json}\n# note`, `${POD}  a: {} #\n`]) {
    assert.deepEqual(placesOf(text), [], text);
  }
});

Deno.test("refuses quotes that are not closed, also at the end of the text", () => {
  for (const end of ["'b''", "'''", "'''b''", '"b', "'b"]) {
    assert.deepEqual(placesOf(`${POD}  a: ${end}`).map((place) => place.split(":")[0]), ["6"], end);
  }
  assert.deepEqual(placesOf(`${POD}  a: 'b'''`), []);
});

Deno.test("refuses what stands right behind quotes", () => {
  for (const value of ["{'b'!}", "['b'!]", '{"b"!: c}', "{'b': 'c'@}"]) {
    assert.deepEqual(placesOf(`${POD}  a: ${value}\n`).map((place) => place.split(":")[0]), ["6"], value);
  }
  assert.deepEqual(placesOf(`${POD}  a: {'b': ['c','d'],"e":'f'} # g\n`), []);
});

Deno.test("refuses blocks that are indented with tabs", () => {
  for (const block of ["|\n   \tb\n", ">- # c\n   \tb\n"]) {
    assert.deepEqual(placesOf(`${POD}  a: ${block}`).map((place) => place.split(":")[0]), ["6"], block);
  }
  assert.deepEqual(placesOf(`${POD}  a: |\n    all:\n    \techo\n`), []);
});

Deno.test("refuses flow style that kubectl cannot read", () => {
  assert.deepEqual(placesOf(`${POD}  a: {b:[c], d:, "e":[f]}\n`), ["6:7", "6:14"]);
  assert.deepEqual(placesOf(`${POD}  a: [::1, "::1", x?y]\n  b: ::1\n  c: x?y\n`), ["6:7", "6:19"]);
  assert.deepEqual(problemsOf(`{a, 'b\n   c': 1, d\n  : 2,\n e:\n 3}\n`), ["1:5", "2:11"]);
});

Deno.test("refuses escapes that kubectl reads in JSON only", () => {
  assert.deepEqual(placesOf(`${POD}  a: "\\ud83d\\ude00"\n  "b\\/": c\n`), ["6:6", "7:3"]);
  const [value] = valuesOf('{"a": "\\ud83d\\ude00\\/"}');
  assert.deepEqual(value, { a: "\u{1f600}/" });
});

Deno.test("refuses lines of spaces at the end of blocks that programs read differently", () => {
  assert.deepEqual(placesOf(`${POD}  a: |2\n    x\n       \n  b: |\n    \n`), ["6:6", "9:6"]);
  assert.deepEqual(valuesOf("a: |\n  x\n    \nb: 1\n"), [{ a: "x\n  \n", b: 1 }]);
});

Deno.test("refuses directives", () => {
  assert.deepEqual(placesOf(`%YAML 1.1\n---\n${POD}  a: b\n`), ["1:1"]);
  assert.deepEqual(placesOf(`%TAG !e! tag:example.com,2000:\n---\n${POD}  a: b\n`), ["1:1"]);
});

Deno.test("documents without pods are not held to any of this", () => {
  const text = "apiVersion: v1\nkind: ConfigMap\ndata:\n  y: &a on\n  z: *a\n  n: 0644 # \u2028\n";
  assert.deepEqual(placesOf(`${text}---\n${POD}  a: b\n`), []);
});

Deno.test("refuses documents that are no Kubernetes objects", () => {
  assert.deepEqual(placesOf("name: web\n"), ["1:1"]);
  assert.deepEqual(placesOf(`${POD}  a: b\n---\n- a\n`), ["8:1"]);
  assert.deepEqual(placesOf("kind: Pod\napiVersion: v1\nmetadata: {name: Web}\nspec: {}\n"), ["3:12"]);
});

Deno.test("twenty problems are printed, the rest are counted", () => {
  const lines = Array.from({ length: 30 }, (_, index) => `  a${index}: on\n`).join("");
  assert.throws(
    () => {
      const manifest = read(POD + lines);
      for (const document of manifest.documents) podTemplatesOf(manifest, document);
    },
    (error) =>
      error instanceof InputError && error.lines.length === 21 && error.lines[20] === "m.yaml: and 10 more",
  );
});

Deno.test("the place of a problem is that of the field it names", () => {
  const manifest = read(`apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    metadata:
      labels:
        app.kubernetes.io/name: x
        app: y
    spec:
      containers:
        - name: a.b
          image: x
          env:
            - name: FOO
              value: "1"
        - {name: c, image: y, ports: [{containerPort: 80}]}
`);
  const [document] = manifest.documents;
  assert.ok(document !== undefined);
  const place = (path: string) => {
    const error = new SignedPodsError("object-malformed", "x", [{ path, message: "is wrong" }]);
    const [line = ""] = objectError(manifest, document, ["spec", "template"], error).lines;
    return line.slice(0, line.indexOf(" ") - 1);
  };
  const cases: [string, string][] = [
    ["spec", "m.yaml:10:5"],
    ["spec.containers[a.b].env[FOO].value", "m.yaml:16:15"],
    ["spec.containers[c].image", "m.yaml:17:21"],
    ["spec.containers[1].ports[0].containerPort", "m.yaml:17:40"],
    ["spec.containers[c].ports[80]", "m.yaml:17:39"],
    ["metadata.labels[app.kubernetes.io/name]", "m.yaml:8:9"],
    ["metadata.labels.app", "m.yaml:9:9"],
    ["spec.containers[nobody].image", "m.yaml:11:7"],
    ["spec.nothing.here", "m.yaml:10:5"],
    ["elsewhere", "m.yaml:6:5"],
    ["", "m.yaml:6:5"],
  ];
  for (const [path, expected] of cases) assert.equal(place(path), expected, path);
});

/** A list as kubectl prints it. */
function longList(count: number): string {
  const item = (index: number) =>
    `- apiVersion: v1\n  kind: Pod\n  metadata:\n    name: pod-${index}\n    annotations:\n      text: |\n        - not\n` +
    `        ---\n      quoted: 'two\n        - lines'\n  spec:\n    containers:\n    - name: app\n      image: x\n`;
  return `apiVersion: v1\nitems:\n${
    Array.from({ length: count }, (_, index) => item(index)).join("")
  }kind: List\n`;
}

Deno.test("a long list is read piece by piece with the same outcome", () => {
  const text = longList(3000);
  assert.ok(text.length > 2 * PIECEWISE_LENGTH);
  const whole = read(text, { edit: true });
  const pieces = read(text, { edit: false });
  assert.deepEqual(pieces.documents[0]?.value, whole.documents[0]?.value);
  const [document] = pieces.documents;
  assert.ok(document !== undefined);
  assert.equal(podTemplatesOf(pieces, document).length, 3000);
  assert.ok(nodeAt(document.root(), ["items", 2999, "spec"]) !== undefined);
});

Deno.test("a long list read piece by piece has the places of its problems", () => {
  const text = longList(3000).replace("name: pod-2500", "name: on");
  const line = text.slice(0, text.indexOf("name: on")).split("\n").length;
  for (const edit of [true, false]) {
    const manifest = read(text, { edit });
    const [document] = manifest.documents;
    assert.ok(document !== undefined);
    assert.throws(
      () => podTemplatesOf(manifest, document),
      (error) => error instanceof InputError && error.lines[0]?.startsWith(`m.yaml:${line}:11: `) === true,
    );
  }
});

Deno.test("long texts of other forms are read as a whole", () => {
  const list = longList(1500);
  const indented = list.replace(/^(?!apiVersion|items|kind)/gm, "  ");
  const texts = [
    `${list}---\n${list}`,
    list.replace("items:\n", "items: # comment\n"),
    indented,
    list.replace("apiVersion: v1\nitems", "apiVersion: on\nitems"),
    list.replace("items:\n", "items:\n# comment\n"),
  ];
  for (const text of texts) {
    const values = (edit: boolean) => read(text, { edit }).documents.map(({ value }) => value);
    assert.deepEqual(values(false), values(true));
  }
});

Deno.test("refuses a long list with an error in the middle, with its place", () => {
  const text = longList(3000).replace("name: pod-2500", "name: [pod");
  for (const edit of [true, false]) assert.throws(() => read(text, { edit }), InputError);
});
