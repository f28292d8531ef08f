import assert from "node:assert/strict";

/** The libraries that shared code may use. All run in any browser. */
const LIBRARIES = /^npm:\/?@peculiar\/asn1-(schema|x509|ecc|rsa|pkcs8)@/;

/** What only Deno or Node have. */
const PLATFORM_GLOBALS = /\b(Deno|process|Buffer|require|__dirname|__filename)\b\s*[.(\[]/;

const FOLDER = new URL(".", import.meta.url);
const FILES = await sources(FOLDER);

Deno.test("shared code reaches no module of Deno or Node, and only the libraries it may", async (t) => {
  assert.ok(FILES.length >= 15);
  for (const file of FILES) {
    await t.step(file.pathname.slice(FOLDER.pathname.length), async () => {
      const { dependencies, own } = await graph(file);
      for (const specifier of dependencies) assert.match(specifier, LIBRARIES);
      for (const module of own) {
        assert.ok(module.startsWith(FOLDER.href), `${module} is shared code`);
        const text = withoutComments(await Deno.readTextFile(new URL(module)));
        assert.ok(!PLATFORM_GLOBALS.test(text), `${module} uses the Web platform alone`);
      }
    });
  }
});

Deno.test("code that verifies reaches no code that signs", async () => {
  const verifying = [
    "keys.ts",
    "signature.ts",
    "certificate.ts",
    "canonical_json.ts",
    "strict_json.ts",
    "pem.ts",
  ];
  for (const file of verifying) {
    const { own } = await graph(new URL(file, FOLDER));
    assert.deepEqual(own.filter((module) => /\/(signing|self_signed)\.ts$/.test(module)), []);
  }
});

/** The modules that a file reaches: shared ones, and all others. */
async function graph(file: URL): Promise<{ own: string[]; dependencies: string[] }> {
  const args = ["info", "--json", "--no-lock", file.href];
  const { stdout, success } = await new Deno.Command(Deno.execPath(), { args, stderr: "null" }).output();
  assert.ok(success);
  const info: { modules: { specifier: string; error?: string }[] } = JSON.parse(
    new TextDecoder().decode(stdout),
  );
  const own: string[] = [];
  const dependencies: string[] = [];
  for (const { specifier, error } of info.modules) {
    assert.equal(error, undefined, `${specifier} can be loaded`);
    (specifier.startsWith("file:") ? own : dependencies).push(specifier);
  }
  assert.ok(own.includes(file.href), "the file is in its own graph");
  return { own, dependencies };
}

/** All modules below a folder but tests. */
async function sources(folder: URL): Promise<URL[]> {
  const files: URL[] = [];
  for await (const entry of Deno.readDir(folder)) {
    if (entry.isDirectory) files.push(...await sources(new URL(`${entry.name}/`, folder)));
    else if (entry.name.endsWith(".ts") && !entry.name.endsWith("_test.ts")) {
      files.push(new URL(entry.name, folder));
    }
  }
  return files.sort((a, b) => a.href < b.href ? -1 : 1);
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[^]*?\*\/|^\s*\/\/.*$/gm, "");
}
