/** The SBOM of a program says what deno.lock pins, and nothing that it cannot vouch for. */
import assert from "node:assert/strict";
import type { JsonObject } from "../../shared/json.ts";
import { createSbom, SbomError } from "../../tools/sbom.ts";

/** SHA-512 of no bytes. */
const INTEGRITY =
  "sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg==";
const SHA512 =
  "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e";

function input(changes: { info?: JsonObject; lock?: JsonObject } = {}) {
  return {
    program: "podsign",
    version: "1.2.3",
    denoVersion: "4.5.6",
    info: {
      modules: [
        { specifier: "file:///cli/main.ts" },
        { specifier: "npm:/@scope/one@1.0.0/sub", npmPackage: "@scope/one@1.0.0" },
      ],
      npmPackages: {
        "@scope/one@1.0.0": { name: "@scope/one", version: "1.0.0", dependencies: ["two@2.0.0"] },
        "two@2.0.0": { name: "two", version: "2.0.0", dependencies: [] },
        "unused@3.0.0": { name: "unused", version: "3.0.0", dependencies: [] },
      },
    },
    lock: { npm: { "@scope/one@1.0.0": { integrity: INTEGRITY }, "two@2.0.0": { integrity: INTEGRITY } } },
    ...changes,
  };
}

Deno.test("an SBOM lists Deno and the packages that are imported, directly or not, with their hashes", () => {
  const sbom = createSbom(input());
  const library = (id: string, name: string, version: string, purl: string) => ({
    type: "library",
    "bom-ref": id,
    name,
    version,
    purl,
    hashes: [{ alg: "SHA-512", content: SHA512 }],
  });
  assert.deepEqual(sbom.components, [
    {
      type: "platform",
      "bom-ref": "deno@4.5.6",
      name: "deno",
      version: "4.5.6",
      purl: "pkg:github/denoland/deno@v4.5.6",
    },
    library("@scope/one@1.0.0", "@scope/one", "1.0.0", "pkg:npm/%40scope/one@1.0.0"),
    library("two@2.0.0", "two", "2.0.0", "pkg:npm/two@2.0.0"),
  ]);
  assert.deepEqual(sbom.dependencies, [
    { ref: "podsign@1.2.3", dependsOn: ["deno@4.5.6", "@scope/one@1.0.0"] },
    { ref: "deno@4.5.6", dependsOn: [] },
    { ref: "@scope/one@1.0.0", dependsOn: ["two@2.0.0"] },
    { ref: "two@2.0.0", dependsOn: [] },
  ]);
});

const { info } = input();
const REFUSALS: [code: SbomError["code"], changes: { info?: JsonObject; lock?: JsonObject }][] = [
  ["module-broken", { info: { ...info, modules: [{ specifier: "file:///gone.ts", error: "not found" }] } }],
  ["package-unknown", { info: { ...info, npmPackages: {} } }],
  ["package-not-locked", { lock: { npm: { "@scope/one@1.0.0": { integrity: INTEGRITY } } } }],
  ["integrity-unknown", {
    lock: {
      npm: {
        "@scope/one@1.0.0": { integrity: INTEGRITY },
        "two@2.0.0": { integrity: "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=" },
      },
    },
  }],
];
for (const [code, changes] of REFUSALS) {
  Deno.test(`refuses to describe what it cannot vouch for: ${code}`, () => {
    assert.throws(
      () => createSbom(input(changes)),
      (error) => error instanceof SbomError && error.code === code,
    );
  });
}

for (
  const [program, folder, library] of [
    ["kubelet-proxy", "proxy", "@logtape/logtape"],
    ["signing-server", "signer", "prom-client"],
    ["podsign", "cli", "yaml"],
  ] as const
) {
  Deno.test(`the SBOM of ${program} can be made from this repository`, async () => {
    const script =
      '"$0" info --json --frozen "$2/main.ts" | "$0" run --quiet --frozen --no-prompt --allow-read tools/sbom.ts "$1"';
    const { success, stdout, stderr } = await new Deno.Command("bash", {
      args: ["-euo", "pipefail", "-c", script, Deno.execPath(), program, folder],
      cwd: new URL("../../", import.meta.url),
    }).output();
    assert.ok(success, new TextDecoder().decode(stderr));
    const { bomFormat, components }: { bomFormat: string; components: { name: string }[] } = JSON.parse(
      new TextDecoder().decode(stdout),
    );
    assert.equal(bomFormat, "CycloneDX");
    const names = components.map(({ name }) => name);
    assert.ok(names.includes(library), names.join(" "));
    assert.ok(!names.includes("fast-check"), "a library of the tests alone");
  });
}
