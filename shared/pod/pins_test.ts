import assert from "node:assert/strict";
import type { Problem } from "../errors.ts";
import type { JsonValue } from "../json.ts";
import { encodeBase64 } from "../base64.ts";
import {
  contentDigest,
  pinContent,
  pinsAsJson,
  readPins,
  readSalt,
  SALT_BYTES,
  saltedDigest,
} from "./pins.ts";
import { readContent } from "./object_content.ts";

const HEX = "ab".repeat(32);

Deno.test("the digest of a ConfigMap's content is what sha256sum prints", async () => {
  // FIPS 180-4, the example "abc".
  assert.equal(
    await contentDigest(new TextEncoder().encode("abc")),
    "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
  );
});

Deno.test("a Secret's digest depends on salt, key and content", async () => {
  const salt = (fill: number) => new Uint8Array(SALT_BYTES).fill(fill);
  const bytes = (text: string) => new TextEncoder().encode(text);
  const digests = await Promise.all([
    saltedDigest(salt(1), "key", bytes("x")),
    saltedDigest(salt(2), "key", bytes("x")),
    saltedDigest(salt(1), "kez", bytes("x")),
    saltedDigest(salt(1), "key", bytes("y")),
    saltedDigest(salt(1), "ke", bytes("y\0x")),
    saltedDigest(salt(1), "k", bytes("ey\0x")),
  ]);
  assert.equal(new Set(digests).size, digests.length);
});

Deno.test("pins hold texts and bytes apart", async () => {
  const { entries } = readContent("ConfigMap", { data: { a: "x" }, binaryData: { b: "eA==" } }, {
    manifest: true,
  });
  const pin = await pinContent(entries);
  assert.deepEqual(Object.keys(pin.data ?? {}), ["a"]);
  assert.deepEqual(Object.keys(pin.binaryData ?? {}), ["b"]);
  assert.equal(pin.data?.a, pin.binaryData?.b);
  assert.deepEqual(await pinContent([]), {});
});

Deno.test("a salt is 32 bytes in base64", () => {
  const salt = new Uint8Array(SALT_BYTES).fill(7);
  assert.deepEqual(readSalt(encodeBase64(salt)), salt);
});

for (
  const value of [
    undefined,
    null,
    1,
    "",
    "x",
    encodeBase64(new Uint8Array(31)),
    encodeBase64(new Uint8Array(33)),
  ]
) {
  Deno.test(`refuses the salt ${JSON.stringify(value)}`, () => assert.equal(readSalt(value), undefined));
}

function read(value: JsonValue): [JsonValue, string[]] {
  const problems: Problem[] = [];
  return [pinsAsJson(readPins(value, problems)), problems.map(({ path }) => path)];
}

Deno.test("pins are read and written", () => {
  const pins = {
    configMaps: { web: { data: { a: `sha256:${HEX}` }, binaryData: { b: `sha256:${HEX}` } }, none: {} },
    secrets: { db: { data: { c: `hmac-sha256:${HEX}` } } },
    runtimeClasses: { kata: "kata-qemu" },
  };
  assert.deepEqual(read(pins), [pins, []]);
});

const BAD: [name: string, pins: JsonValue, path: string][] = [
  ["no mapping", [], "pins"],
  ["none", {}, "pins"],
  ["of a kind that is not pinned", { services: {} }, "pins"],
  ["of no ConfigMap", { configMaps: {} }, "pins.configMaps"],
  ["ConfigMaps that are a list", { configMaps: [] }, "pins.configMaps"],
  ["under no name", { configMaps: { "A b": {} } }, 'pins.configMaps["A b"]'],
  ["of no key", { configMaps: { a: { data: {} } } }, "pins.configMaps[a].data"],
  ["with another field", { configMaps: { a: { immutable: {} } } }, "pins.configMaps[a]"],
  ["of bytes in a Secret", { secrets: { a: { binaryData: {} } } }, "pins.secrets[a]"],
  ["under no key", { configMaps: { a: { data: { "..": `sha256:${HEX}` } } } }, "pins.configMaps[a].data[..]"],
  [
    "in capitals",
    { configMaps: { a: { data: { b: `sha256:${HEX.toUpperCase()}` } } } },
    "pins.configMaps[a].data[b]",
  ],
  [
    "without salt in a Secret",
    { secrets: { a: { data: { b: `sha256:${HEX}` } } } },
    "pins.secrets[a].data[b]",
  ],
  [
    "with salt in a ConfigMap",
    { configMaps: { a: { data: { b: `hmac-sha256:${HEX}` } } } },
    "pins.configMaps[a].data[b]",
  ],
  [
    "that are no text",
    { configMaps: { a: { data: { b: 1, c: `sha256:${HEX}` } } } },
    'pins.configMaps[a].data["b"]',
  ],
  ["of a key in both fields", {
    configMaps: { a: { data: { b: `sha256:${HEX}` }, binaryData: { b: `sha256:${HEX}` } } },
  }, "pins.configMaps[a].binaryData[b]"],
  ["of no handler", { runtimeClasses: { kata: "../runc" } }, "pins.runtimeClasses[kata]"],
];

for (const [name, pins, path] of BAD) {
  Deno.test(`refuses pins ${name}`, () => assert.deepEqual(read(pins)[1], [path]));
}
