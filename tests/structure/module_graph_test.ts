/** What each program is made of: its own folder and shared/, and for the node neither signing code nor a needless library. */
import assert from "node:assert/strict";

const ROOT = new URL("../../", import.meta.url);

/** Libraries of each program, by npm name; those that these bring along are in deno.lock. */
const PROGRAMS: Record<string, string[]> = {
  proxy: [
    "@bufbuild/protobuf",
    "@logtape/logtape",
    "@optique/core",
    "@peculiar/asn1-csr",
    "@peculiar/asn1-ecc",
    "@peculiar/asn1-rsa",
    "@peculiar/asn1-schema",
    "@peculiar/asn1-x509",
    "prom-client",
    "yaml",
  ],
  signer: [
    "@hono/node-server",
    "@optique/core",
    "@peculiar/asn1-ecc",
    "@peculiar/asn1-pkcs8",
    "@peculiar/asn1-rsa",
    "@peculiar/asn1-schema",
    "@peculiar/asn1-x509",
    "hono",
    "prom-client",
  ],
  cli: [
    "@optique/core",
    "@peculiar/asn1-ecc",
    "@peculiar/asn1-pkcs8",
    "@peculiar/asn1-rsa",
    "@peculiar/asn1-schema",
    "@peculiar/asn1-x509",
    "js-yaml",
    "yaml",
  ],
};

/** Parts of libraries that a start of kubelet-proxy loads, and so waits for: the program, and what its launcher asks before. */
const STARTS: Record<string, string[]> = {
  "proxy/main.ts": [
    "@bufbuild/protobuf/wire",
    "@logtape/logtape",
    "@peculiar/asn1-csr",
    "@peculiar/asn1-ecc",
    "@peculiar/asn1-schema",
    "@peculiar/asn1-x509",
    "prom-client/lib/counter.js",
    "prom-client/lib/gauge.js",
    "prom-client/lib/histogram.js",
    "prom-client/lib/registry.js",
    "yaml",
  ],
  "proxy/permissions.ts": ["yaml"],
};

/** Modules that make keys or signatures. */
const SIGNING = ["shared/signing.ts", "shared/self_signed.ts"];

interface Graph {
  files: string[];
  libraries: string[];
}

/** One module of `deno info`. Imports of types alone have no code. */
interface Module {
  specifier: string;
  error?: string;
  dependencies?: { code?: { specifier: string }; isDynamic?: boolean }[];
}

async function modulesOf(entry: string): Promise<Module[]> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", entry],
    cwd: ROOT,
  }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  const { modules }: { modules: Module[] } = JSON.parse(new TextDecoder().decode(stdout));
  return modules;
}

async function graphOf(program: string): Promise<Graph> {
  const modules = await modulesOf(`${program}/main.ts`);
  const specifiers = modules.map(({ specifier, error }) => {
    assert.equal(error, undefined, specifier);
    return specifier;
  });
  const library = /^npm:\/?((?:@[^/]+\/)?[^/@]+)@/;
  return {
    files: specifiers.filter((specifier) => specifier.startsWith("file:")).map((specifier) =>
      specifier.slice(ROOT.href.length)
    ),
    libraries: [...new Set(specifiers.flatMap((specifier) => library.exec(specifier)?.[1] ?? []))].sort(),
  };
}

for (const [program, libraries] of Object.entries(PROGRAMS)) {
  Deno.test(`${program} is made of its own folder, shared/ and its libraries`, async () => {
    const graph = await graphOf(program);
    assert.ok(graph.files.length > 10);
    const foreign = graph.files.filter((file) =>
      !file.startsWith(`${program}/`) && !file.startsWith("shared/")
    );
    assert.deepEqual(foreign, []);
    assert.deepEqual(graph.libraries, libraries);
    const tests = graph.files.filter((file) => file.endsWith("_test.ts"));
    assert.deepEqual(tests, []);
  });
}

Deno.test("the proxy holds no code that signs; the others do", async () => {
  const proxy = await graphOf("proxy");
  assert.deepEqual(proxy.files.filter((file) => SIGNING.includes(file)), []);
  const signer = await graphOf("signer");
  assert.deepEqual(signer.files.filter((file) => SIGNING.includes(file)).sort(), [...SIGNING].sort());
});

for (const [entry, libraries] of Object.entries(STARTS)) {
  Deno.test(`a start of ${entry} loads these parts of libraries and no others`, async () => {
    const modules = new Map((await modulesOf(entry)).map((module) => [module.specifier, module]));
    const loaded = new Set([new URL(entry, ROOT).href]);
    for (const specifier of loaded) {
      for (const { code, isDynamic } of modules.get(specifier)?.dependencies ?? []) {
        if (code !== undefined && isDynamic !== true) loaded.add(code.specifier);
      }
    }
    assert.ok(loaded.size > 10);
    const part = /^npm:\/?((?:@[^/]+\/)?[^/@]+)@[^/]+(.*)$/;
    const parts = [...loaded].flatMap((specifier) => {
      const [, name, path] = part.exec(specifier) ?? [];
      return name === undefined ? [] : [`${name}${path}`];
    });
    assert.deepEqual(parts.sort(), libraries);
  });
}
