/** Documents: what they point to is there, and what the vectors say has a place in the text. */
import assert from "node:assert/strict";
import { isJsonObject } from "../../shared/json.ts";
import { readVectors } from "../vectors/read_vectors.ts";

const ROOT = new URL("../../", import.meta.url);

const DOCUMENTS = [
  "README.md",
  "CONTRIBUTING.md",
  "SECURITY.md",
  "CHANGELOG.md",
  "docs/kubelet-port.md",
  "docs/metrics.md",
  "docs/objects.md",
  "docs/own-leg.md",
  "docs/signature-format.md",
  "docs/operations.md",
  "docs/performance.md",
  "docs/reference.md",
  "docs/signing-server.md",
  "docs/signing.md",
  "tests/vectors/README.md",
  "tests/cluster/README.md",
];

/** The text without code, in which brackets are no links. */
async function readText(path: string): Promise<string> {
  const text = await Deno.readTextFile(new URL(path, ROOT));
  return text.replace(/^```[^]*?^```$/gm, "").replace(/`[^`\n]*`/g, (span) => span.replace(/[[\]()]/g, ""));
}

/** The anchors that GitHub gives a document's headings. */
function anchorsOf(text: string): Set<string> {
  return new Set(
    [...text.matchAll(/^#{1,6} (.*)$/gm)].map(([, heading = ""]) =>
      heading.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-")
    ),
  );
}

Deno.test("links within the repository lead to files and headings that are there", async () => {
  const broken: string[] = [];
  let links = 0;
  for (const path of DOCUMENTS) {
    for (const [, target = ""] of (await readText(path)).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      links++;
      const [file = "", anchor] = target.split("#");
      const url = file === "" ? new URL(path, ROOT) : new URL(file, new URL(path, ROOT));
      const stat = await Deno.stat(url).catch(() => undefined);
      const known = stat !== undefined &&
        (anchor === undefined || anchorsOf(await Deno.readTextFile(url)).has(anchor));
      if (!known) broken.push(`${path}: ${target}`);
    }
  }
  assert.deepEqual(broken, []);
  assert.ok(links > 30);
});

Deno.test("every rule by which Kubernetes adds to pods is described, and has vectors of both kinds", async () => {
  const text = await Deno.readTextFile(new URL("docs/signature-format.md", ROOT));
  const described = text.slice(
    text.indexOf("## What Kubernetes adds"),
    text.indexOf("## What reaches the kubelet unsigned"),
  );
  const headings = [...described.matchAll(/^### (.*)$/gm)].map(([, heading = ""]) => heading.toLowerCase());
  const vectors = await readVectors("injected.json");
  const accepted = new Set<string>();
  for (const { expected } of vectors) {
    if (!isJsonObject(expected) || !Array.isArray(expected.injected)) continue;
    for (const line of expected.injected) accepted.add(String(line).split(": ").at(-1) ?? "");
  }
  assert.deepEqual([...accepted].sort(), headings.toSorted());
  for (const rule of headings) {
    assert.ok(
      vectors.some(({ name, expected }) =>
        name.startsWith(rule) && isJsonObject(expected) && expected.differs !== undefined
      ),
      rule,
    );
  }
});

Deno.test("every file of vectors is listed and its fields are described", async () => {
  const text = await Deno.readTextFile(new URL("tests/vectors/README.md", ROOT));
  const files: string[] = [];
  for await (const { name } of Deno.readDir(new URL("tests/vectors/", ROOT))) {
    if (name.endsWith(".json")) files.push(name);
  }
  assert.ok(files.length >= 10);
  for (const file of files) {
    assert.ok(text.includes(`| \`${file}\` |`), `${file} is in the table`);
    assert.ok(text.includes(`**\`${file}\`**`), `the fields of ${file} are described`);
  }
});
