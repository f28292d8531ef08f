import assert from "node:assert/strict";
import { encodeBase64 } from "../base64.ts";
import { MAX_DIFFERENCES, MAX_SIGNATURE_CHARACTERS, MAX_SIGNED_TEMPLATE_BYTES } from "../bounds.ts";
import { type JsonObject, objectAt } from "../json.ts";
import type { VerificationKey } from "../keys.ts";
import { encodeSignedContent, SIGNED_CONTENT_ANNOTATION } from "../signed_content.ts";
import { SIGNATURE_ANNOTATION } from "../verdict.ts";
import {
  CONTENT_DENY_CODES,
  type ContentDenyCode,
  type ContentOptions,
  findConflict,
  judgeContent,
  MAX_SECRET_TYPE_LENGTH,
} from "./content.ts";
import { keyPair, signText } from "./fixture_test.ts";
import { type ContentKind, readContent } from "./object_content.ts";
import { type ContentPin, pinContent, SALT_ANNOTATION, SALT_BYTES } from "./pins.ts";
import type { Answer, AnsweredReference } from "./reference_answer.ts";
import type { Reference } from "./references.ts";

const NOW = new Date("2026-11-23T13:00:00Z");
const owner = await keyPair();
const stranger = await keyPair();
const OPTIONS: ContentOptions = { keys: [owner.verifier], now: NOW };
const SALT = new Uint8Array(SALT_BYTES).fill(7);
const seen = new Set<ContentDenyCode>();

const CONFIG: JsonObject = {
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name: "web", namespace: "shop", uid: "x" },
  data: { "nginx.conf": "events {}", other: "x" },
  binaryData: { logo: "iVBO" },
};

const SECRET: JsonObject = {
  apiVersion: "v1",
  kind: "Secret",
  metadata: { name: "db", namespace: "shop", annotations: { [SALT_ANNOTATION]: encodeBase64(SALT) } },
  type: "Opaque",
  data: { password: "aHVudGVyMg==", user: "cm9vdA==" },
};

function reference(more: Partial<Reference> = {}): Reference {
  return { kind: "ConfigMap", name: "web", path: "spec.volumes[v]", use: "files", optional: false, ...more };
}

const to = (answer: Answer, more: Partial<Reference> = {}): AnsweredReference => ({
  reference: reference(more),
  answer,
});

async function pinOf(kind: ContentKind, object: JsonObject, ...keys: string[]): Promise<ContentPin> {
  const { entries } = readContent(kind, object, { manifest: false });
  return await pinContent(
    [...entries].filter(([key]) => keys.length === 0 || keys.includes(key)),
    kind === "Secret" ? SALT : undefined,
  );
}

const pinned = async (kind: ContentKind, object: JsonObject, ...keys: string[]): Promise<Answer> => ({
  kind: "pinned",
  pin: await pinOf(kind, object, ...keys),
});

const MUTABLE: Answer = { kind: "mutable", permission: "mutable-config=web" };

async function allowed(
  object: JsonObject,
  references: readonly AnsweredReference[],
  options: ContentOptions = OPTIONS,
): Promise<JsonObject> {
  const verdict = await judgeContent(
    object.kind === "Secret" ? "Secret" : "ConfigMap",
    object,
    references,
    options,
  );
  assert.ok(verdict.decision === "allow", JSON.stringify(verdict));
  return verdict.content;
}

async function refused(
  object: JsonObject,
  references: readonly AnsweredReference[],
  code: ContentDenyCode,
  paths?: string[],
  options: ContentOptions = OPTIONS,
): Promise<void> {
  const verdict = await judgeContent(
    object.kind === "Secret" ? "Secret" : "ConfigMap",
    object,
    references,
    options,
  );
  assert.ok(verdict.decision === "deny", JSON.stringify(verdict));
  assert.equal(verdict.code, code, JSON.stringify(verdict));
  seen.add(verdict.code);
  if (paths !== undefined) assert.deepEqual(verdict.differences.map(({ path }) => path), paths);
}

const withData = (data: JsonObject): JsonObject => ({ ...CONFIG, data });

Deno.test("content that is pinned is built from what the pod uses", async () => {
  const all = await pinned("ConfigMap", CONFIG);
  const { data = null, binaryData = null } = CONFIG;
  assert.deepEqual(await allowed({ ...CONFIG, immutable: true }, [to(all)]), { data, binaryData });
  assert.deepEqual(await allowed(CONFIG, [to(all, { keys: ["other"] })]), { data: { other: "x" } });
  assert.deepEqual(await allowed(CONFIG, [to(await pinned("ConfigMap", CONFIG, "logo"))]), { binaryData });
});

Deno.test("a key that was not pinned is left out, whatever it holds", async () => {
  const answer = await pinned("ConfigMap", CONFIG, "nginx.conf");
  const more = withData({ "nginx.conf": "events {}", LD_PRELOAD: "/tmp/x.so", "..": "x", n: "y" });
  assert.deepEqual(await allowed(more, [to(answer, { use: "environment" })]), {
    data: { "nginx.conf": "events {}" },
  });
  // Named by the spec, perhaps as optional, but not there when it was signed.
  assert.deepEqual(await allowed(more, [to(answer, { keys: ["nginx.conf", "n"], optional: true })]), {
    data: { "nginx.conf": "events {}" },
  });
});

Deno.test("refuses pinned content that was changed, taken away or moved", async () => {
  const answer = await pinned("ConfigMap", CONFIG);
  await refused(withData({ "nginx.conf": "events {} ", other: "x" }), [to(answer)], "content-differs", [
    "data[nginx.conf]",
  ]);
  await refused(withData({ other: "x" }), [to(answer)], "content-differs", ["data[nginx.conf]"]);
  await refused(
    { ...CONFIG, data: {}, binaryData: {} },
    [to(answer, { keys: ["other", "logo"] })],
    "content-differs",
    [
      "data[other]",
      "binaryData[logo]",
    ],
  );
  // The same bytes as binaryData would be a file, but no variable.
  await refused(
    {
      ...withData({ "nginx.conf": "events {}" }),
      binaryData: { logo: "iVBO", other: encodeBase64(new TextEncoder().encode("x")) },
    },
    [to(answer)],
    "content-differs",
    ["data[other]"],
  );
});

Deno.test("refuses content without telling its value", async () => {
  const verdict = await judgeContent("ConfigMap", withData({ other: "canary" }), [
    to(await pinned("ConfigMap", CONFIG, "other")),
  ], OPTIONS);
  assert.ok(verdict.decision === "deny" && !JSON.stringify(verdict).includes("canary"));
});

Deno.test("a Secret is compared by its salt", async () => {
  const answer = await pinned("Secret", SECRET);
  const references = [to(answer, { kind: "Secret", name: "db" })];
  assert.deepEqual(await allowed(SECRET, references), { type: "Opaque", data: SECRET.data ?? null });
  const changed = { ...SECRET, data: { password: "aHVudGVyMw==", user: "cm9vdA==" } };
  await refused(changed, references, "content-differs", ["data[password]"]);
  const swapped = { ...SECRET, data: { user: "aHVudGVyMg==", password: "cm9vdA==" } };
  await refused(swapped, references, "content-differs", ["data[password]", "data[user]"]);
});

Deno.test("the longest type of a Secret passes", async () => {
  const type = "a".repeat(MAX_SECRET_TYPE_LENGTH);
  assert.equal(
    (await allowed({ ...SECRET, type }, [to(MUTABLE, { kind: "Secret", name: "db" })])).type,
    type,
  );
});

Deno.test("refuses a pinned Secret without its salt, or with another", async () => {
  const references = [to(await pinned("Secret", SECRET), { kind: "Secret", name: "db" })];
  const salted = (salt: JsonObject) => ({ ...SECRET, metadata: { name: "db", annotations: salt } });
  const path = `metadata.annotations[${SALT_ANNOTATION}]`;
  await refused(salted({}), references, "content-differs", [path]);
  await refused(salted({ [SALT_ANNOTATION]: "eA==" }), references, "content-differs", [path]);
  const other = encodeBase64(new Uint8Array(SALT_BYTES).fill(8));
  await refused(salted({ [SALT_ANNOTATION]: other }), references, "content-differs", [
    "data[password]",
    "data[user]",
  ]);
});

Deno.test("content that may change is what is there, with the keys that pods use", async () => {
  assert.deepEqual(await allowed(CONFIG, [to(MUTABLE, { keys: ["other", "gone"] })]), {
    data: { other: "x" },
  });
  assert.deepEqual(Object.keys(await allowed(CONFIG, [to(MUTABLE)])), ["data", "binaryData"]);
  assert.deepEqual(await allowed(SECRET, [to({ kind: "extra" }, { kind: "Secret", keys: ["user"] })]), {
    type: "Opaque",
    data: { user: "cm9vdA==" },
  });
  assert.deepEqual(
    await allowed(SECRET, [
      to({ kind: "none-needed", reason: "" }, { kind: "Secret", keys: [".dockercfg"] }),
    ]),
    { type: "Opaque" },
  );
});

Deno.test("refuses a variable that is obeyed in content that may change, but not in signed content", async () => {
  const evil = withData({ LD_PRELOAD: "/tmp/x.so", LOG: "x" });
  const environment = { use: "environment" } as const;
  await refused(evil, [to(MUTABLE, environment)], "content-differs", ["data[LD_PRELOAD]"]);
  await refused(evil, [to({ kind: "extra" }, environment)], "content-differs", ["data[LD_PRELOAD]"]);
  await refused(
    withData({ PRELOAD: "x" }),
    [to(MUTABLE, { ...environment, prefix: "LD_" })],
    "content-differs",
    [
      "data[PRELOAD]",
    ],
  );
  await refused(withData({ "a.b": "x" }), [to(MUTABLE, environment)], "content-differs", ["data[a.b]"]);
  assert.deepEqual(await allowed(evil, [to(MUTABLE, { ...environment, prefix: "APP_" })]), {
    data: evil.data ?? null,
    binaryData: CONFIG.binaryData ?? null,
  });
  assert.ok(Object.hasOwn(await allowed(evil, [to(MUTABLE)]), "data"));
  assert.ok(Object.hasOwn(await allowed(evil, [to(await pinned("ConfigMap", evil), environment)]), "data"));
});

Deno.test("refuses what one pod may have and another must not", async () => {
  const one = to(await pinned("ConfigMap", CONFIG, "nginx.conf"));
  await refused(CONFIG, [one, to(MUTABLE, { keys: ["other"] })], "content-differs", ["data[other]"]);
  await refused(CONFIG, [one, to(await pinned("ConfigMap", CONFIG))], "content-differs", [
    "data[other]",
    "binaryData[logo]",
  ]);
  const apart = to(await pinned("ConfigMap", CONFIG), { keys: ["nginx.conf"] });
  assert.deepEqual(await allowed(CONFIG, [apart, to(MUTABLE, { keys: ["other"] })]), {
    data: CONFIG.data ?? null,
  });
});

Deno.test("refuses content for whose change only one of two pods has its owner's word", async () => {
  const changed = withData({ "nginx.conf": "evil", other: "x" });
  await refused(
    changed,
    [to(MUTABLE), to(await pinned("ConfigMap", CONFIG, "nginx.conf"), { keys: ["nginx.conf"] })],
    "content-differs",
    ["data[nginx.conf]"],
  );
});

Deno.test("refuses objects to which no pod refers, or without its owner's word", async () => {
  await refused(CONFIG, [], "content-unused");
  const missing = to({ kind: "missing", remedies: [] });
  await refused(CONFIG, [missing], "content-not-signed");
  await refused(CONFIG, [missing], "content-not-signed", undefined, { ...OPTIONS, missing: "refuse" });
  assert.ok(Object.hasOwn(await allowed(CONFIG, [missing], { ...OPTIONS, missing: "mutable" }), "data"));
  await refused(CONFIG, [to({ kind: "handler", handler: "runc" })], "content-not-signed");
});

Deno.test("the cluster's authority needs no word of an owner", async () => {
  const root = { ...CONFIG, data: { "ca.crt": "PEM", more: "x" } };
  assert.deepEqual(await allowed(root, [to({ kind: "cluster" }, { keys: ["ca.crt"] })]), {
    data: { "ca.crt": "PEM" },
  });
});

const MALFORMED: [name: string, object: JsonObject][] = [
  ["a field more", { ...CONFIG, stringData: {} }],
  ["no metadata", { apiVersion: "v1", kind: "ConfigMap", data: {} }],
  ["bytes in a Secret", { ...SECRET, binaryData: {} }],
  ["a value that is no text", withData({ other: 1 })],
  ["data that is a list", { ...CONFIG, data: [] }],
  ["an immutable that is a text", { ...CONFIG, immutable: "true" }],
  ["a type with a line end", { ...SECRET, type: "Opaque\n" }],
  ["a type without end", { ...SECRET, type: "a".repeat(MAX_SECRET_TYPE_LENGTH + 1) }],
];

for (const [name, object] of MALFORMED) {
  Deno.test(`refuses an object with ${name}`, async () =>
    await refused(object, [to(MUTABLE)], "content-malformed"));
}

Deno.test("refuses more differences than are told", async () => {
  const data = Object.fromEntries(Array.from({ length: MAX_DIFFERENCES + 9 }, (_, i) => [`k${i}`, "x"]));
  const answer = await pinned("ConfigMap", withData(data));
  const verdict = await judgeContent("ConfigMap", withData({}), [to(answer)], OPTIONS);
  assert.ok(verdict.decision === "deny" && verdict.differences.length === MAX_DIFFERENCES);
});

// ---------------------------------------------------------------------------------------------------------------

const SIGNED = [to({ kind: "signed", permission: "signed-config=web" })];
const SIGNED_AT = new Date("2026-06-01T00:00:00Z");

async function signedConfig(
  more: { namespace?: string; name?: string; signedAt?: Date; content?: ContentPin } = {},
  object: JsonObject = CONFIG,
  signer = owner.signer,
): Promise<JsonObject> {
  const text = encodeSignedContent({
    namespace: "shop",
    name: "web",
    content: await pinOf("ConfigMap", object),
    signedAt: SIGNED_AT,
    ...more,
  });
  return withAnnotations({
    [SIGNED_CONTENT_ANNOTATION]: text,
    [SIGNATURE_ANNOTATION]: await signText(signer, text),
  }, object);
}

function withAnnotations(annotations: JsonObject, object: JsonObject = CONFIG): JsonObject {
  return { ...object, metadata: { name: "web", namespace: "shop", annotations } };
}

Deno.test("a ConfigMap with a signature of its own is taken, and what was signed is told", async () => {
  const object = await signedConfig();
  const verdict = await judgeContent("ConfigMap", object, SIGNED, OPTIONS);
  assert.ok(verdict.decision === "allow" && verdict.signed !== undefined, JSON.stringify(verdict));
  assert.deepEqual(verdict.content, { data: CONFIG.data ?? null, binaryData: CONFIG.binaryData ?? null });
  assert.deepEqual([verdict.signed.signedAt, verdict.signed.keyId], [SIGNED_AT, owner.verifier.id]);
  assert.match(verdict.signed.signedHash, /^[0-9a-f]{64}$/);
  // Once taken, it is taken again, also when its certificate has ended; newer content is taken then.
  const ended = { ...owner.verifier, notAfter: new Date("2026-10-01T00:00:00Z") };
  const later = { keys: [ended], now: NOW, lastSigned: verdict.signed };
  await allowed(object, SIGNED, later);
  const newer = await signedConfig({ signedAt: new Date("2026-06-02T00:00:00Z") });
  await allowed(newer, SIGNED, { ...OPTIONS, lastSigned: verdict.signed });
  await refused(newer, SIGNED, "content-not-signed", undefined, later);
});

Deno.test("refuses a ConfigMap whose content is not what its signature is over", async () => {
  const object = await signedConfig();
  await refused({ ...object, data: { "nginx.conf": "evil", other: "x" } }, SIGNED, "content-differs", [
    "data[nginx.conf]",
  ]);
});

Deno.test("refuses content that was signed before that which is in use", async () => {
  const object = await signedConfig();
  const lastSigned = { signedHash: "ab", signedAt: new Date("2026-06-01T00:00:01Z"), keyId: "x" };
  await refused(object, SIGNED, "content-older", undefined, { ...OPTIONS, lastSigned });
  await allowed(object, SIGNED, { ...OPTIONS, lastSigned: { ...lastSigned, signedAt: SIGNED_AT } });
});

const template = await signedConfig();
const annotations = objectAt(objectAt(template, "metadata"), "annotations");
const { [SIGNED_CONTENT_ANNOTATION]: text = "", [SIGNATURE_ANNOTATION]: signature = "" } = annotations;
const templateText = '{"apiVersion":"kubelet-proxy.io/v1","kind":"SignedTemplate"}';

const key = (more: Partial<VerificationKey>): ContentOptions => ({
  ...OPTIONS,
  keys: [{ ...owner.verifier, ...more }],
});

const NOT_SIGNED: [name: string, object: JsonObject, options?: ContentOptions][] = [
  ["without annotations", CONFIG],
  ["without signature", withAnnotations({ [SIGNED_CONTENT_ANNOTATION]: text })],
  ["without the text that was signed", withAnnotations({ [SIGNATURE_ANNOTATION]: signature })],
  ["with a signature that is no text", withAnnotations({ ...annotations, [SIGNATURE_ANNOTATION]: 1 })],
  ["with a signature that is no base64", withAnnotations({ ...annotations, [SIGNATURE_ANNOTATION]: "?" })],
  ["with a signature of another form", withAnnotations({ ...annotations, [SIGNATURE_ANNOTATION]: "eA==" })],
  [
    "with a signature without end",
    withAnnotations({ ...annotations, [SIGNATURE_ANNOTATION]: "A".repeat(MAX_SIGNATURE_CHARACTERS + 1) }),
  ],
  [
    "with a text without end",
    withAnnotations({
      ...annotations,
      [SIGNED_CONTENT_ANNOTATION]: "A".repeat(MAX_SIGNED_TEMPLATE_BYTES + 1),
    }),
  ],
  ["with half a character", withAnnotations({ ...annotations, [SIGNED_CONTENT_ANNOTATION]: "\ud800" })],
  ["signed by a stranger", await signedConfig({}, CONFIG, stranger.signer)],
  ["signed for another name", await signedConfig({ name: "other" })],
  ["signed for another namespace", await signedConfig({ namespace: "bank" })],
  [
    "with another document that the key signed",
    withAnnotations({
      [SIGNED_CONTENT_ANNOTATION]: templateText,
      [SIGNATURE_ANNOTATION]: await signText(owner.signer, templateText),
    }),
  ],
  ["by a key for other namespaces", template, key({ namespaces: ["bank"] })],
  ["by a key whose certificate has ended", template, key({ notAfter: new Date("2026-01-01T00:00:00Z") })],
  [
    "by a key whose certificate is yet to come",
    template,
    key({ notBefore: new Date("2027-01-01T00:00:00Z") }),
  ],
  ["without trusted keys", template, { ...OPTIONS, keys: [] }],
];

for (const [name, object, options] of NOT_SIGNED) {
  Deno.test(`refuses a ConfigMap ${name}`, async () =>
    await refused(object, SIGNED, "content-not-signed", undefined, options));
}

Deno.test("refuses to take a ConfigMap's own signature in place of a pin", async () => {
  const changed = await signedConfig({}, withData({ "nginx.conf": "newer", other: "x" }));
  await refused(changed, [to(await pinned("ConfigMap", CONFIG))], "content-differs", ["data[nginx.conf]"]);
});

Deno.test("two pods that pin different contents of a key are told apart", async () => {
  const other = withData({ "nginx.conf": "newer", other: "x" });
  const one = [to(await pinned("ConfigMap", CONFIG))];
  const two = [to(await pinned("ConfigMap", other))];
  assert.equal(findConflict(one, two), "ConfigMap web, data[nginx.conf]");
  assert.equal(findConflict(one, one), undefined);
  assert.equal(findConflict(one, [to(MUTABLE)]), undefined);
  assert.equal(findConflict([to(await pinned("ConfigMap", CONFIG), { keys: ["other"] })], two), undefined);
  assert.equal(findConflict(one, [to(await pinned("ConfigMap", other), { name: "web2" })]), undefined);
  assert.equal(
    findConflict(one, [to(await pinned("ConfigMap", CONFIG, "other"))]),
    "ConfigMap web, data[nginx.conf]",
  );
});

Deno.test("every code of refusal is produced by some test", () => {
  assert.deepEqual(seen, new Set(Object.keys(CONTENT_DENY_CODES)));
});
