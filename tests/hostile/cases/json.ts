/** Text that readers may read differently. */
import type { JsonObject } from "@signed-pods/shared/json";
import { objectOf } from "../../fakes/owner.ts";
import { answer } from "../api_server.ts";
import type { Case, CaseGroup } from "../case.ts";
import { EVENT, intruded, LIST, sends } from "./answers.ts";

const EVIL = "registry.example/evil:1";
const EVIL_CONTAINERS = `[{"name":"app","image":"${EVIL}"}]`;

/** Shows a signed pod whose text has been changed. */
function text(name: string, does: string, change: (text: string, pod: JsonObject) => string): Case {
  return {
    name: `5-${name}`,
    does,
    async run(setting) {
      const pod = await setting.signed({ name: "altered" });
      const before = JSON.stringify(pod);
      const after = change(before, pod);
      if (before === after) throw new Error("the text was not changed");
      await setting.showPods([after]);
    },
  };
}

/** The same, with something put right after the opening brace of the object at a key, or of the pod. */
function inserted(name: string, does: string, key: string, members: string): Case {
  const at = key === "" ? "{" : `"${key}":{`;
  return text(name, does, (pod) => pod.replace(at, `${at}${members},`));
}

/** The same, with something put before the closing brace of the pod. */
function appended(name: string, does: string, members: string): Case {
  return text(name, does, (pod) => `${pod.slice(0, -1)},${members}}`);
}

/** A whole list, or the line of an event, changed as text. */
function document(name: string, does: string, change: (text: string) => string): Case {
  return sends(`1-${name}`, does, (request) => answer(change(intruded(request))));
}

/** The same in bytes. */
function bytes(name: string, does: string, change: (bytes: Uint8Array) => Uint8Array): Case {
  return sends(`1-${name}`, does, (request) => {
    const body = change(new TextEncoder().encode(intruded(request)));
    return [
      `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`,
      body,
    ];
  });
}

function replaceBytes(of: Uint8Array, from: string, to: readonly number[]): Uint8Array {
  const latin = new TextDecoder("latin1").decode(of);
  const at = latin.indexOf(from);
  if (at < 0) throw new Error("not found");
  return new Uint8Array([...of.slice(0, at), ...to, ...of.slice(at + from.length)]);
}

function utf16(text: string, littleEndian: boolean): Uint8Array {
  const view = new DataView(new ArrayBuffer(text.length * 2));
  for (let index = 0; index < text.length; index++) {
    view.setUint16(index * 2, text.charCodeAt(index), littleEndian);
  }
  return new Uint8Array(view.buffer);
}

function deep(open: string, close: string, depth: number): string {
  return open.repeat(depth) + close.repeat(depth);
}

function evilSpec(pod: JsonObject): string {
  return JSON.stringify({ ...objectOf(pod.spec), containers: [{ name: "app", image: EVIL }] });
}

export const json: CaseGroup = {
  title: "JSON",
  cases: [
    document("list-that-does-not-parse", "sends a document that is cut off", (body) => body.slice(0, -2)),
    document("trailing-text", "sends something after the document", (body) => `${body.trimEnd()}x`),
    document("two-documents", "sends two documents in one", (body) => body.trimEnd() + body.trimEnd()),
    document(
      "trailing-comma",
      "leaves a comma before a brace",
      (body) => body.replace(/\}\s*\]?\}?\s*$/, (end) => `,${end}`),
    ),
    document("comment", "puts a comment into the document", (body) => body.replace("{", "{/* x */")),
    document("single-quotes", "uses single quotes", (body) => body.replaceAll('"', "'")),
    document("unquoted-keys", "leaves the quotes off keys", (body) => body.replace('"metadata"', "metadata")),
    document("json5", "writes JSON5", (body) => body.replace("{", "{\nlineComment: 1, // x\n")),
    document(
      "yaml",
      "writes YAML where it says JSON",
      () => 'kind: PodList\napiVersion: v1\nmetadata:\n  resourceVersion: "1"\nitems: []\n',
    ),
    document(
      "line-feed-in-string",
      "puts a raw line feed into a string",
      (body) => body.replace("intruder", "intru\nder"),
    ),
    document(
      "tab-in-string",
      "puts a raw tab into a string",
      (body) => body.replace("intruder", "intru\tder"),
    ),
    document(
      "bad-escape",
      "uses an escape that JSON does not have",
      (body) => body.replace("intruder", "\\x69ntruder"),
    ),
    document("half-escape", "uses half a Unicode escape", (body) => body.replace("intruder", "\\u00")),
    document(
      "lone-surrogate-escape",
      "escapes half a surrogate pair",
      (body) => body.replace("intruder", "\\ud800"),
    ),
    document("byte-order-mark", "begins with a byte order mark", (body) => `\ufeff${body}`),
    document("form-feed-between", "separates tokens with form feeds", (body) => body.replace(":{", ":\f{")),
    document(
      "no-break-space-between",
      "separates tokens with no-break spaces",
      (body) => body.replace(":{", ":\u00a0{"),
    ),
    document(
      "nan",
      "uses NaN as a number",
      (body) => body.replace('"metadata":{', '"metadata":{"generation":NaN,'),
    ),
    document(
      "infinity",
      "uses -Infinity as a number",
      (body) => body.replace('"metadata":{', '"metadata":{"generation":-Infinity,'),
    ),
    document(
      "undefined",
      "uses undefined as a value",
      (body) => body.replace('"metadata":{', '"metadata":{"generation":undefined,'),
    ),
    document(
      "python-words",
      "uses True and None",
      (body) => body.replace('"metadata":{', '"metadata":{"a":True,"b":None,'),
    ),
    document(
      "depth-200",
      "nests 200 lists",
      (body) => body.replace('"metadata":{', `"metadata":{"a":${deep("[", "]", 200)},`),
    ),
    document(
      "depth-100000",
      "nests 100,000 lists",
      (body) => body.replace('"metadata":{', `"metadata":{"a":${deep("[", "]", 100_000)},`),
    ),
    document(
      "depth-objects",
      "nests 50,000 objects",
      (body) =>
        body.replace('"metadata":{', `"metadata":{"a":${deep('{"a":', "", 50_000)}1${"}".repeat(50_000)},`),
    ),
    document(
      "number-of-100000-digits",
      "uses a number of 100,000 digits",
      (body) => body.replace('"metadata":{', `"metadata":{"generation":${"9".repeat(100_000)},`),
    ),
    document("only-blanks", "sends blanks", () => "   \n \n"),
    document("null", "sends null", () => "null\n"),
    document("list-of-pods", "sends a bare list", () => `[${JSON.stringify({ a: LIST })}]\n`),
    document("string", "sends the document as a string", (body) => JSON.stringify(body)),
    document("number", "sends a number", () => "200\n"),
    bytes(
      "invalid-utf-8",
      "sends a byte that is not UTF-8",
      (body) => replaceBytes(body, "intruder", [0x69, 0xff, 0x72]),
    ),
    bytes(
      "overlong-utf-8",
      "sends a quote in overlong UTF-8",
      (body) => replaceBytes(body, "intruder", [0xc0, 0xa2]),
    ),
    bytes(
      "surrogate-in-utf-8",
      "sends half a surrogate pair in UTF-8",
      (body) => replaceBytes(body, "intruder", [0xed, 0xa0, 0x80]),
    ),
    bytes(
      "nul-byte",
      "sends a NUL byte in a string",
      (body) => replaceBytes(body, "intruder", [0x69, 0, 0x72]),
    ),
    bytes(
      "cut-character",
      "ends within a character",
      (body) => new Uint8Array([...body.slice(0, -3), 0xe2, 0x82]),
    ),
    bytes("utf-16", "sends UTF-16", (body) => utf16(new TextDecoder().decode(body), true)),
    bytes(
      "utf-16-big-endian",
      "sends UTF-16 in the other byte order",
      (body) => utf16(new TextDecoder().decode(body), false),
    ),
    bytes("utf-32", "sends UTF-32", (body) => new Uint8Array([...body].flatMap((byte) => [byte, 0, 0, 0]))),
    bytes("random", "sends random bytes", () => crypto.getRandomValues(new Uint8Array(3000))),

    inserted(
      "duplicate-spec-first",
      "gives a pod two specs, its own last",
      "",
      `"spec":{"containers":${EVIL_CONTAINERS}}`,
    ),
    text(
      "duplicate-spec-last",
      "gives a pod two specs, its own first",
      (pod, object) => `${pod.slice(0, -1)},"spec":${evilSpec(object)}}`,
    ),
    inserted(
      "duplicate-containers",
      "gives a spec two lists of containers",
      "spec",
      `"containers":${EVIL_CONTAINERS}`,
    ),
    text(
      "duplicate-image",
      "gives a container two images",
      (pod) => pod.replace('"image":', `"image":"${EVIL}","image":`),
    ),
    text(
      "duplicate-image-last",
      "gives a container two images, its own first",
      (pod) =>
        pod.replace('"image":"registry.example/web:1"', `"image":"registry.example/web:1","image":"${EVIL}"`),
    ),
    inserted(
      "duplicate-metadata",
      "gives a pod metadata twice",
      "",
      `"metadata":{"name":"web","namespace":"default"}`,
    ),
    inserted("duplicate-name", "gives a pod two names", "metadata", `"name":"web"`),
    inserted("duplicate-uid", "gives a pod two UIDs", "metadata", `"uid":"../../x"`),
    inserted(
      "duplicate-annotations",
      "gives a pod two maps of annotations",
      "metadata",
      `"annotations":{"a":"b"}`,
    ),
    text(
      "duplicate-signature",
      "gives a pod two signatures",
      (pod) =>
        pod.replace(
          '"kubelet-proxy.io/signature":',
          '"kubelet-proxy.io/signature":"AAAA","kubelet-proxy.io/signature":',
        ),
    ),
    inserted("duplicate-kind", "gives a pod two kinds", "", `"kind":"Secret"`),
    appended("duplicate-status", "gives a pod two statuses", `"status":{"phase":"Running"}`),
    inserted(
      "duplicate-escaped",
      "spells a second spec with an escape",
      "",
      `"\\u0073pec":{"containers":${EVIL_CONTAINERS}}`,
    ),
    appended("key-in-other-case", "adds a Spec with a capital", `"Spec":{"containers":${EVIL_CONTAINERS}}`),
    inserted(
      "image-in-other-case",
      "adds an IMAGE in capitals to the spec",
      "spec",
      `"CONTAINERS":${EVIL_CONTAINERS}`,
    ),
    text(
      "container-key-in-other-case",
      "adds an Image with a capital to a container",
      (pod) => pod.replace('"image":', `"Image":"${EVIL}","image":`),
    ),
    text(
      "only-key-in-other-case",
      "spells image with a capital",
      (pod) => pod.replace('"image":', '"Image":'),
    ),
    appended(
      "key-that-folds",
      "adds a spec with a long s, which Go folds to s",
      `"\u017fpec":{"containers":${EVIL_CONTAINERS}}`,
    ),
    appended(
      "key-with-kelvin-sign",
      "adds a kind with the Kelvin sign, which Go folds to k",
      `"\u212aind":"Secret"`,
    ),
    appended("key-with-nul", "adds a key with a NUL", `"spec\\u0000":{}`),
    appended(
      "key-with-zero-width-space",
      "adds a key with a zero-width space",
      `"spec\u200b":{"containers":${EVIL_CONTAINERS}}`,
    ),
    appended("key-proto", "adds a key __proto__", `"__proto__":{"spec":{"containers":${EVIL_CONTAINERS}}}`),
    inserted(
      "key-proto-in-spec",
      "adds a key __proto__ to the spec",
      "spec",
      `"__proto__":{"hostNetwork":true}`,
    ),
    inserted(
      "key-constructor-in-spec",
      "adds a key constructor to the spec",
      "spec",
      `"constructor":{"prototype":{"hostPID":true}}`,
    ),
    inserted(
      "key-empty-in-spec",
      "adds an empty key to the spec",
      "spec",
      `"":{"containers":${EVIL_CONTAINERS}}`,
    ),
    text(
      "number-as-text",
      "writes a number as text",
      (pod) => pod.replace('"terminationGracePeriodSeconds":30', '"terminationGracePeriodSeconds":"30"'),
    ),
    text(
      "number-with-exponent",
      "writes a number with an exponent",
      (pod) => pod.replace('"terminationGracePeriodSeconds":30', '"terminationGracePeriodSeconds":3e1'),
    ),
    text(
      "number-with-fraction",
      "writes a whole number with a fraction",
      (pod) => pod.replace('"terminationGracePeriodSeconds":30', '"terminationGracePeriodSeconds":30.0'),
    ),
    text(
      "number-rounded",
      "writes a number that readers round",
      (pod) =>
        pod.replace(
          '"terminationGracePeriodSeconds":30',
          '"terminationGracePeriodSeconds":30.0000000000000001',
        ),
    ),
    text(
      "number-beyond-53-bits",
      "writes a number that JavaScript rounds",
      (pod) =>
        pod.replace('"terminationGracePeriodSeconds":30', '"terminationGracePeriodSeconds":9007199254740993'),
    ),
    text(
      "number-beyond-64-bits",
      "writes a number that Go does not hold",
      (pod) =>
        pod.replace(
          '"terminationGracePeriodSeconds":30',
          '"terminationGracePeriodSeconds":18446744073709551646',
        ),
    ),
    text(
      "number-infinite",
      "writes a number beyond all bounds",
      (pod) => pod.replace('"terminationGracePeriodSeconds":30', '"terminationGracePeriodSeconds":1e999'),
    ),
    text(
      "number-minus-zero",
      "writes minus zero",
      (pod) => pod.replace('"terminationGracePeriodSeconds":30', '"terminationGracePeriodSeconds":-0'),
    ),
    text(
      "number-leading-zero",
      "writes a number with a leading zero",
      (pod) => pod.replace('"terminationGracePeriodSeconds":30', '"terminationGracePeriodSeconds":030'),
    ),
    text(
      "number-hexadecimal",
      "writes a hexadecimal number",
      (pod) => pod.replace('"terminationGracePeriodSeconds":30', '"terminationGracePeriodSeconds":0x1e'),
    ),
    text(
      "boolean-as-text",
      "writes false as text",
      (pod) => pod.replace('"automountServiceAccountToken":false', '"automountServiceAccountToken":"false"'),
    ),
    text(
      "boolean-as-number",
      "writes false as 0",
      (pod) => pod.replace('"automountServiceAccountToken":false', '"automountServiceAccountToken":0'),
    ),
    text(
      "boolean-as-null",
      "writes null for false",
      (pod) => pod.replace('"automountServiceAccountToken":false', '"automountServiceAccountToken":null'),
    ),
    text(
      "containers-null",
      "writes null for the containers",
      (pod) => pod.replace(/"containers":\[.*?\}\]/, '"containers":null'),
    ),
    text(
      "container-null",
      "puts null among the containers",
      (pod) => pod.replace('"containers":[', '"containers":[null,'),
    ),
    text(
      "containers-object",
      "writes the containers as an object",
      (pod) => pod.replace(/"containers":\[(.*?\})\]/, '"containers":{"0":$1}'),
    ),
    text(
      "spec-null",
      "writes null for the spec",
      (pod) => pod.replace(/"spec":\{.*"status"/, '"spec":null,"status"'),
    ),
    text(
      "spec-list",
      "writes the spec as a list",
      (pod) => pod.replace('"spec":{', '"spec":[{').replace(',"status"', '],"status"'),
    ),
    text("spec-missing", "leaves the spec out", (pod) => pod.replace(/"spec":\{.*"status"/, '"status"')),
    text(
      "metadata-null",
      "writes null for the metadata",
      (pod) => pod.replace(/"metadata":\{.*?\},"spec"/, '"metadata":null,"spec"'),
    ),
    text(
      "image-list",
      "writes the image as a list",
      (pod) => pod.replace(/"image":("[^"]*")/, '"image":[$1]'),
    ),
    text("image-null", "writes null for the image", (pod) => pod.replace(/"image":"[^"]*"/, '"image":null')),
    text(
      "image-other-unicode-form",
      "writes the image with a composed character",
      (pod) => pod.replace('"image":"registry', '"image":"re\u0301gistry'),
    ),
    text("image-trailing-space", "adds a blank to the image", (pod) => pod.replace('web:1"', 'web:1 "')),
    text(
      "image-escaped",
      "spells the image with escapes, which means the same",
      (pod) => pod.replace('"image":"r', '"image":"\\u0072'),
    ),
    text(
      "slashes-escaped",
      "escapes slashes, which means the same",
      (pod) => pod.replace("registry.example/web", "registry.example\\/web"),
    ),
    text(
      "blanks-between",
      "spreads the text with blanks, which means the same",
      (pod) => pod.replaceAll(/(?<!\\)":/g, '" : '),
    ),
    sends(
      "5-duplicate-items",
      "gives a list two lists of items",
      (request) => answer(request.kind === "list" ? LIST.replace('"items":', '"items":[],"items":') : EVENT),
    ),
    sends(
      "5-duplicate-event-object",
      "gives an event two objects",
      (request) =>
        answer(request.kind === "watch" ? EVENT.replace('"object":', '"object":{},"object":') : LIST),
    ),
    sends(
      "5-duplicate-event-type",
      "gives an event two types",
      (request) =>
        answer(request.kind === "watch" ? EVENT.replace('"type":', '"type":"DELETED","type":') : LIST),
    ),
  ],
};
