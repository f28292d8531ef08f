import assert from "node:assert/strict";
import { encodeBase64 } from "../base64.ts";
import { MAX_SIGNED_TEMPLATE_BYTES } from "../bounds.ts";
import { MAX_SIGNATURE_CHARACTERS } from "../bounds.ts";
import { canonicalize } from "../canonical_json.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../json.ts";
import { buildSignedTemplate, encodeSignedTemplate, type SignOptions } from "../signed_template.ts";
import { parseStrictJson } from "../strict_json.ts";
import {
  type AllowVerdict,
  type DenyCode,
  type DenyVerdict,
  SIGNATURE_ANNOTATION,
  SIGNED_TEMPLATE_ANNOTATION,
  type Verdict,
} from "../verdict.ts";
import {
  cronJob,
  deployment,
  firstTemplate,
  IMAGE,
  INDEX_KEY,
  indexEnv,
  items,
  job,
  keyPair,
  livePod,
  liveSpec,
  named,
  NODE,
  ownerSpec,
  part,
  pod,
  push,
  signText,
  statefulSet,
  templateAnnotations,
} from "./fixture_test.ts";
import { MAX_UNSIGNED_ANNOTATION_CHARACTERS } from "./metadata.ts";
import { minimal } from "./normal_form.ts";
import { rebuildPod } from "./rebuild.ts";
import { type Admission, createVerifier, type Verifier, type VerifierOptions } from "./verify.ts";

const NOW = new Date("2026-11-23T13:00:00Z");
const POD_NAME = "web-76bf99c854-x7x7x";
const owner = await keyPair();
const stranger = await keyPair();
const expiredKey = await keyPair({ notAfter: new Date("2026-01-01T00:00:00Z") });
const futureKey = await keyPair({ notBefore: new Date("2027-01-01T00:00:00Z") });

const both = new Set(["template", "spec"] as const);
const verifier = createVerifier({ keys: [owner.verifier], acceptForms: both, requireDigests: false });

function allowed(verdict: Verdict | undefined): AllowVerdict {
  assert.ok(verdict !== undefined);
  assert.equal(verdict.decision, "allow", JSON.stringify(verdict));
  assert.ok(verdict.decision === "allow");
  return verdict;
}

function denied(verdict: Verdict | undefined, code: DenyCode): DenyVerdict {
  assert.ok(verdict !== undefined);
  assert.ok(verdict.decision === "deny", JSON.stringify(verdict));
  assert.equal(verdict.code, code, verdict.message);
  return verdict;
}

/** A pod of the signed Deployment, as the API server serves it. */
async function webPod(
  options: { signOptions?: SignOptions; document?: JsonObject; key?: typeof owner; name?: string } = {},
): Promise<JsonObject> {
  const { document = deployment(), key = owner, name = POD_NAME, signOptions } = options;
  const spec = firstTemplate(document).spec;
  return livePod(name, liveSpec(spec), {
    labels: { app: "web", "pod-template-hash": "76bf99c854" },
    annotations: await templateAnnotations(key.signer, document, signOptions),
  });
}

async function signSpec(spec: JsonValue, key = owner): Promise<Record<string, string>> {
  return { [SIGNATURE_ANNOTATION]: await signText(key.signer, canonicalize(spec)) };
}

const judge = async (pod: JsonObject, by: Verifier = verifier) => await by.verifyPod(pod, { now: NOW });

// The template form

Deno.test("allows a Deployment's pod, as it was signed", async () => {
  const live = await webPod();
  const verdict = allowed(await judge(live));
  assert.equal(verdict.form, "template");
  assert.equal(verdict.keyId, owner.verifier.id);
  assert.match(verdict.signedHash, /^[0-9a-f]{64}$/);
  assert.deepEqual(verdict.workload, {
    apiVersion: "apps/v1",
    kind: "Deployment",
    namespace: "shop",
    name: "web",
  });
  assert.deepEqual(verdict.labels, { app: "web" });
  assert.deepEqual(verdict.annotations, {});
  assert.deepEqual(verdict.warnings, []);
  assert.equal(Object.hasOwn(verdict.spec, "nodeName"), false);
  const rebuilt = rebuildPod(live, verdict, { nodeName: NODE, now: NOW, first: true });
  assert.ok(rebuilt.ok);
  assert.deepEqual(part(rebuilt.pod, "metadata").labels, { app: "web", "pod-template-hash": "76bf99c854" });
});

Deno.test("allows pods of every other kind in the shape that its controller gives", async () => {
  const cases: [JsonObject, string, (spec: JsonObject) => void, Partial<AllowVerdict>, JsonObject][] = [
    [pod(), "web", () => {}, {}, {}],
    [pod(ownerSpec(), { name: null, generateName: "web-" }), "web-bcdfg", () => {}, {}, {}],
    [
      statefulSet(),
      "db-3",
      (spec) => {
        spec.volumes = [
          { name: "store", persistentVolumeClaim: { claimName: "store-db-3" } },
          ...items(spec, "volumes"),
        ];
        Object.assign(spec, { hostname: "db-3", subdomain: "db-headless" });
      },
      { ordinal: "3" },
      {},
    ],
    [
      job(),
      "sums-2-x7x7x",
      (spec) => {
        spec.hostname = "sums-2";
        for (const list of ["initContainers", "containers"]) {
          for (const container of items(spec, list)) push(container, "env", indexEnv());
        }
      },
      { completionIndex: "2" },
      { [INDEX_KEY]: "2" },
    ],
    [job(ownerSpec(), {}), "sums-x7x7x", () => {}, {}, {}],
    [cronJob("nightly"), "nightly-29645280-x7x7x", () => {}, {}, {}],
    [
      cronJob("c".repeat(52), { completionMode: "Indexed" }),
      `${"c".repeat(52)}-29-0-x7x7x`,
      (spec) => {
        spec.hostname = `${"c".repeat(52)}-29645280-0`;
        for (const list of ["initContainers", "containers"]) {
          for (const container of items(spec, list)) push(container, "env", indexEnv());
        }
      },
      { completionIndex: "0" },
      { [INDEX_KEY]: "0" },
    ],
  ];
  for (const [document, name, control, facts, index] of cases) {
    const spec = liveSpec(firstTemplate(document).spec);
    control(spec);
    const annotations = { ...await templateAnnotations(owner.signer, document), ...index };
    const live = livePod(name, spec, { annotations, labels: index });
    const verdict = allowed(await judge(live));
    assert.equal(verdict.ordinal, facts.ordinal);
    assert.equal(verdict.completionIndex, facts.completionIndex);
    assert.ok(rebuildPod(live, verdict, { nodeName: NODE, now: NOW, first: true }).ok, name);
  }
});

Deno.test("allows a pod in any namespace if the template names none", async () => {
  const document = pod(ownerSpec(), { namespace: null });
  const live = await webPod({ document, name: "web" });
  allowed(await judge(live));
  part(live, "metadata").namespace = "elsewhere";
  allowed(await judge(live));
});

// Refusals, one for each code. Every pod is good but for one thing.

const REFUSALS: [string, DenyCode, (live: JsonObject) => unknown][] = [
  ["a pod without annotations", "unsigned", (p) => delete part(p, "metadata").annotations],
  ["a pod without signature", "unsigned", (p) => delete annotations(p)[SIGNATURE_ANNOTATION]],
  [
    "annotations that are no map",
    "unsigned",
    (p) => part(p, "metadata").annotations = [SIGNATURE_ANNOTATION],
  ],
  ["a signature that is no text", "signature-malformed", (p) => annotations(p)[SIGNATURE_ANNOTATION] = 1],
  [
    "a signature that is too long",
    "signature-malformed",
    (p) => annotations(p)[SIGNATURE_ANNOTATION] = "A".repeat(MAX_SIGNATURE_CHARACTERS + 4),
  ],
  [
    "a signature that is not base64",
    "signature-malformed",
    (p) => annotations(p)[SIGNATURE_ANNOTATION] = "@@@@",
  ],
  ["a signature with a line end", "signature-malformed", (p) => annotations(p)[SIGNATURE_ANNOTATION] += "\n"],
  ["a signature that is no DER", "signature-malformed", (p) => annotations(p)[SIGNATURE_ANNOTATION] = "AAAA"],
  ["an empty signature", "signature-malformed", (p) => annotations(p)[SIGNATURE_ANNOTATION] = ""],
  [
    "a template that is no text",
    "signature-malformed",
    (p) => annotations(p)[SIGNED_TEMPLATE_ANNOTATION] = {},
  ],
  [
    "a template that is null",
    "signature-malformed",
    (p) => annotations(p)[SIGNED_TEMPLATE_ANNOTATION] = null,
  ],
  [
    "a template that is too long",
    "signature-malformed",
    (p) => annotations(p)[SIGNED_TEMPLATE_ANNOTATION] = "x".repeat(MAX_SIGNED_TEMPLATE_BYTES + 1),
  ],
  [
    "a template with too many bytes",
    "signature-malformed",
    (p) => annotations(p)[SIGNED_TEMPLATE_ANNOTATION] = "ü".repeat(200 * 1024),
  ],
  [
    "a template with half a character",
    "signature-malformed",
    (p) => annotations(p)[SIGNED_TEMPLATE_ANNOTATION] += "\ud800",
  ],
  ["an altered template", "signature-invalid", (p) => annotations(p)[SIGNED_TEMPLATE_ANNOTATION] += " "],
  ["an empty template", "signature-invalid", (p) => annotations(p)[SIGNED_TEMPLATE_ANNOTATION] = ""],
  [
    "a signature of another key",
    "signature-invalid",
    async (p) => Object.assign(annotations(p), await templateAnnotations(stranger.signer, deployment())),
  ],
  [
    "another workload's signature",
    "signature-invalid",
    async (p) => {
      const other = await templateAnnotations(owner.signer, statefulSet());
      annotations(p)[SIGNATURE_ANNOTATION] = other[SIGNATURE_ANNOTATION] ?? "";
    },
  ],
  [
    "another workload's template",
    "wrong-workload",
    async (p) => Object.assign(annotations(p), await templateAnnotations(owner.signer, statefulSet())),
  ],
  [
    "a bare pod's template of the same spec",
    "wrong-workload",
    async (p) => Object.assign(annotations(p), await templateAnnotations(owner.signer, pod())),
  ],
  ["another namespace", "wrong-workload", (p) => part(p, "metadata").namespace = "other"],
  ["another name", "wrong-workload", (p) => part(p, "metadata").name = "web2-76bf99c854-x7x7x"],
  [
    "a name that only begins like the workload's",
    "wrong-workload",
    (p) => part(p, "metadata").name = `${POD_NAME}-x`,
  ],
  [
    "a template for a generateName",
    "wrong-workload",
    async (p) => {
      const document = pod(ownerSpec(), { name: null, generateName: "other-" });
      Object.assign(annotations(p), await templateAnnotations(owner.signer, document));
    },
  ],
  ["a UID that is a path", "identity-conflict", (p) => part(p, "metadata").uid = "../../x"],
  ["a name that is a path", "identity-conflict", (p) => part(p, "metadata").name = "../x"],
  ["a namespace that is none", "identity-conflict", (p) => part(p, "metadata").namespace = null],
  ["no metadata", "identity-conflict", (p) => delete p.metadata],
  ["another image", "spec-differs", (p) => named(part(p, "spec"), "containers", "app").image = "evil:1"],
  [
    "an ephemeral container",
    "spec-differs",
    (p) => part(p, "spec").ephemeralContainers = [{ name: "debug", image: "sh" }],
  ],
  [
    "a hook in a pod that says it has ended",
    "spec-differs",
    (p) => {
      p.status = { phase: "Succeeded" };
      named(part(p, "spec"), "containers", "app").lifecycle = { preStop: { exec: { command: ["evil"] } } };
    },
  ],
  ["no spec", "pod-malformed", (p) => delete p.spec],
  ["an unknown field in the spec", "pod-malformed", (p) => part(p, "spec").evil = true],
  ["a field in another case", "pod-malformed", (p) => part(p, "spec").HostNetwork = true],
  ["a wrong type in the spec", "pod-malformed", (p) => part(p, "spec").hostNetwork = "true"],
  ["an integer beyond 2^53", "pod-malformed", (p) => part(p, "spec").activeDeadlineSeconds = 2n ** 60n],
  ["a null in a list", "pod-malformed", (p) => part(p, "spec").volumes = [null]],
  [
    "a quantity that is none",
    "pod-malformed",
    (p) => named(part(p, "spec"), "containers", "app").resources = { limits: { cpu: "much" } },
  ],
];

function annotations(live: JsonObject): JsonObject {
  return part(live, "metadata", "annotations");
}

for (const [name, code, spoil] of REFUSALS) {
  Deno.test(`refuses ${name} (${code})`, async () => {
    const live = await webPod();
    await spoil(live);
    denied(await judge(live), code);
  });
}

Deno.test("refuses signed text that is no signed template", async () => {
  const good = encodeSignedTemplate(buildSignedTemplate(firstTemplate(deployment())));
  const object = parseStrictJson(good);
  assert.ok(isJsonObject(object));
  const texts = [
    "hello",
    `${good}\n`,
    canonicalize({ ...object, allow: [] }),
    canonicalize(minimal(ownerSpec())), // a signature over a spec alone, put into the other form
  ];
  for (const text of texts) {
    const live = await webPod();
    Object.assign(annotations(live), {
      [SIGNATURE_ANNOTATION]: await signText(owner.signer, text),
      [SIGNED_TEMPLATE_ANNOTATION]: text,
    });
    denied(await judge(live), "template-malformed");
  }
});

Deno.test("allows a template that another version of podsign left longer than this one would", async () => {
  const object = parseStrictJson(encodeSignedTemplate(buildSignedTemplate(firstTemplate(deployment()))));
  assert.ok(isJsonObject(object));
  const spec = { ...minimal(ownerSpec()), dnsPolicy: "ClusterFirst", schedulerName: "another" };
  const text = canonicalize({ ...object, spec });
  const live = await webPod();
  Object.assign(annotations(live), {
    [SIGNATURE_ANNOTATION]: await signText(owner.signer, text),
    [SIGNED_TEMPLATE_ANNOTATION]: text,
  });
  assert.equal((await judge(live)).decision, "allow");
});

Deno.test("names the fields that differ, with signed and found values", async () => {
  const live = await webPod();
  named(part(live, "spec"), "containers", "app").image = "evil:1";
  push(part(live, "spec"), "containers", { name: "evil", image: "evil:2" });
  const { differences } = denied(await judge(live), "spec-differs");
  assert.deepEqual(
    differences.map(({ path, found }) => [path, found]),
    [
      ["spec.containers[app].image", '"evil:1"'],
      ["spec.containers[app].imagePullPolicy", undefined],
      ["spec.containers[evil]", '{"name":"evil","image":"evil:2"}'],
    ].filter(([path]) => path !== "spec.containers[app].imagePullPolicy"),
  );
});

Deno.test("a refusal shows unsigned names shortened and escaped", async () => {
  const live = await webPod();
  part(live, "metadata").name = `${"x".repeat(250)}`;
  assert.ok(denied(await judge(live), "wrong-workload").message.length < 300);
});

Deno.test("a refusal shows no character that a terminal obeys", async () => {
  const unknown = await webPod();
  part(unknown, "spec")["evil\u202e\u009b31m"] = 1;
  const differing = await webPod();
  part(differing, "spec").securityContext = { sysctls: [{ name: "a\u202e\u009b", value: "\u009b" }] };
  const amount = await webPod();
  named(part(amount, "spec"), "containers", "app").resources = { limits: { "a\u202eb": "1\u009b" } };
  for (const live of [unknown, differing, amount]) {
    const verdict = await judge(live);
    assert.ok(verdict.decision === "deny" && verdict.differences.length > 0);
    assert.doesNotMatch(JSON.stringify(verdict), /[\u0080-\u009f\u202e]/);
  }
});

// Dates

const DAY = 24 * 60 * 60 * 1000;
const BEFORE = new Date(NOW.getTime() - DAY);
const AFTER = new Date(NOW.getTime() + DAY);
const ADMITTED: Admission = { signedHash: "that of the pod does not matter while its key is there" };

const DATES: [string, SignOptions, Date, DenyCode | undefined][] = [
  ["between its dates", { notBefore: BEFORE, notAfter: AFTER }, NOW, undefined],
  ["at its first moment", { notBefore: NOW }, NOW, undefined],
  ["at its last moment", { notAfter: NOW }, NOW, undefined],
  ["before its first moment", { notBefore: NOW }, new Date(NOW.getTime() - 1), "not-yet-valid"],
  ["after its last moment", { notAfter: NOW }, new Date(NOW.getTime() + 1), "expired"],
  ["at no time, with notBefore", { notBefore: BEFORE }, new Date(Number.NaN), "not-yet-valid"],
  ["at no time, with notAfter", { notAfter: AFTER }, new Date(Number.NaN), "expired"],
];

for (const [name, signOptions, now, code] of DATES) {
  Deno.test(`${code === undefined ? "allows" : "refuses"} a template ${name}`, async () => {
    const live = await webPod({ signOptions });
    const verdict = await verifier.verifyPod(live, { now });
    if (code === undefined) allowed(verdict);
    else denied(verdict, code);
    allowed(await verifier.verifyPod(live, { now, admitted: ADMITTED }));
  });
}

Deno.test("remembers no verdict over time", async () => {
  const live = await webPod({ signOptions: { notAfter: NOW } });
  const fresh = createVerifier({ keys: [owner.verifier], acceptForms: both, requireDigests: false });
  allowed(await fresh.verifyPod(live, { now: NOW }));
  denied(await fresh.verifyPod(live, { now: AFTER }), "expired");
  allowed(await fresh.verifyPod(live, { now: AFTER, admitted: ADMITTED }));
  denied(await fresh.verifyPod(live, { now: AFTER }), "expired");
});

for (const [name, key] of [["an expired", expiredKey], ["a future", futureKey]] as const) {
  Deno.test(`refuses ${name} certificate, except for pods that run already`, async () => {
    const by = createVerifier({
      keys: [owner.verifier, key.verifier],
      acceptForms: both,
      requireDigests: false,
    });
    const live = await webPod({ key });
    denied(await judge(live, by), "certificate-not-valid");
    allowed(await by.verifyPod(live, { now: NOW, admitted: ADMITTED }));
    denied(await by.verifyPod(live, { now: new Date(Number.NaN) }), "certificate-not-valid");
    const specPod = livePod("any", liveSpec(), { annotations: await signSpec(minimal(ownerSpec()), key) });
    denied(await judge(specPod, by), "certificate-not-valid");
  });
}

// Keys that are taken away, revoked, or for some namespaces only

const trusting = (options: Partial<VerifierOptions>): Verifier =>
  createVerifier({ keys: [stranger.verifier], acceptForms: both, requireDigests: false, ...options });

const specPod = async (key = owner): Promise<JsonObject> =>
  livePod("any", liveSpec(), { annotations: await signSpec(minimal(ownerSpec()), key) });

async function admissionOf(live: JsonObject): Promise<Admission> {
  const { signedHash, keyId } = allowed(await judge(live));
  return { signedHash, keyId };
}

for (const [form, make] of [["template", webPod], ["spec", specPod]] as const) {
  Deno.test(`allows a pod that runs although its key is gone, in the ${form} form`, async () => {
    const live = await make();
    const admitted = await admissionOf(live);
    const without = trusting({});
    for (let time = 0; time < 2; time++) {
      const verdict = allowed(await without.verifyPod(live, { now: NOW, admitted }));
      assert.deepEqual([verdict.signedHash, verdict.keyId], [admitted.signedHash, admitted.keyId]);
    }
    // Its signature cannot be checked any more, and does not matter either: the bytes are those that were.
    const other = part(part(await make(), "metadata"), "annotations");
    part(part(live, "metadata"), "annotations")[SIGNATURE_ANNOTATION] = other[SIGNATURE_ANNOTATION] ?? "";
    allowed(await without.verifyPod(live, { now: NOW, admitted }));
  });

  Deno.test(`refuses new pods of a key that is gone, in the ${form} form`, async () => {
    const live = await make();
    const { signedHash } = await admissionOf(live);
    denied(await judge(live, trusting({})), "signature-invalid");
    denied(await trusting({}).verifyPod(live, { now: NOW, admitted: { signedHash } }), "signature-invalid");
    denied(
      await trusting({ keys: [] }).verifyPod(live, {
        now: NOW,
        admitted: { signedHash: "00", keyId: owner.verifier.id },
      }),
      "signature-invalid",
    );
  });

  Deno.test(`refuses a pod of a revoked key, running or not, in the ${form} form`, async () => {
    const live = await make();
    const admitted = await admissionOf(live);
    const revoking = trusting({ revoked: [expiredKey.verifier, owner.verifier] });
    denied(await judge(live, revoking), "key-revoked");
    denied(await revoking.verifyPod(live, { now: NOW, admitted }), "key-revoked");
    part(part(live, "metadata"), "annotations")[SIGNATURE_ANNOTATION] = "AAAA";
    const unsigned = await revoking.verifyPod(live, { now: NOW, admitted });
    assert.equal(unsigned.decision, "deny");
  });

  Deno.test(`refuses a pod outside of its key's namespaces, in the ${form} form`, async () => {
    const live = await make();
    const restricted = (...namespaces: string[]) =>
      trusting({ keys: [stranger.verifier, { ...owner.verifier, namespaces }] });
    allowed(await judge(live, restricted("other", "shop")));
    denied(await judge(live, restricted("other")), "namespace-not-allowed");
    denied(await judge(live, restricted()), "namespace-not-allowed");
    // Once it runs, it runs.
    allowed(await restricted("other").verifyPod(live, { now: NOW, admitted: await admissionOf(live) }));
  });
}

Deno.test("refuses an altered pod whose key is gone", async () => {
  const live = await webPod();
  const admitted = await admissionOf(live);
  const altered = await webPod();
  part(part(altered, "spec"), "securityContext").runAsUser = 0;
  denied(await trusting({}).verifyPod(altered, { now: NOW, admitted }), "spec-differs");
  const otherTemplate = await webPod({ signOptions: { notAfter: AFTER } });
  denied(await trusting({}).verifyPod(otherTemplate, { now: NOW, admitted }), "signature-invalid");
});

Deno.test("a pod that was signed again with a trusted key is that key's", async () => {
  const admitted = await admissionOf(await webPod());
  const resigned = await webPod({ key: stranger });
  const verdict = await trusting({ revoked: [owner.verifier] }).verifyPod(resigned, { now: NOW, admitted });
  assert.equal(allowed(verdict).keyId, stranger.verifier.id);
});

Deno.test("refuses a manifest outside of its key's namespaces, or without any", async () => {
  const restricted = trusting({ keys: [{ ...owner.verifier, namespaces: ["shop"] }] });
  const document = deployment();
  const template = firstTemplate(document);
  template.metadata.annotations = await templateAnnotations(owner.signer, document);
  allowed((await restricted.verifyObject(document, { now: NOW }))[0]?.verdict);
  const manifest = pod(ownerSpec(), { namespace: null });
  part(manifest, "metadata").annotations = await signSpec(minimal(ownerSpec()));
  allowed((await verifier.verifyObject(manifest, { now: NOW }))[0]?.verdict);
  denied((await restricted.verifyObject(manifest, { now: NOW }))[0]?.verdict, "namespace-not-allowed");
});

Deno.test("takes any key that verifies and is valid, also the same key in a newer certificate", async () => {
  const renewed = { ...expiredKey.verifier, notAfter: AFTER };
  const by = createVerifier({
    keys: [stranger.verifier, expiredKey.verifier, renewed],
    acceptForms: both,
    requireDigests: false,
  });
  assert.equal(allowed(await judge(await webPod({ key: expiredKey }), by)).keyId, renewed.id);
});

Deno.test("refuses everything without keys", async () => {
  const none = createVerifier({ keys: [], acceptForms: both, requireDigests: false });
  denied(await judge(await webPod(), none), "signature-invalid");
  const specPod = livePod("any", liveSpec(), { annotations: await signSpec(minimal(ownerSpec())) });
  denied(await judge(specPod, none), "signature-invalid");
});

Deno.test("a key that cannot be used refuses instead of throwing", async () => {
  const { privateKey } = owner.signer;
  const unusable = createVerifier({
    keys: [{ ...owner.verifier, key: privateKey }],
    acceptForms: both,
    requireDigests: false,
  });
  denied(await judge(await webPod(), unusable), "pod-malformed");
  const [found] = await unusable.verifyObject(await webPod(), { now: NOW });
  denied(found?.verdict, "pod-malformed");
});

// Forms

Deno.test("refuses forms that are not accepted", async () => {
  const templateOnly = createVerifier({
    keys: [owner.verifier],
    acceptForms: new Set(["template"] as const),
    requireDigests: false,
  });
  const specOnly = createVerifier({
    keys: [owner.verifier],
    acceptForms: new Set(["spec"] as const),
    requireDigests: false,
  });
  const templatePod = await webPod();
  const specPod = livePod("any", liveSpec(), { annotations: await signSpec(minimal(ownerSpec())) });
  allowed(await judge(templatePod, templateOnly));
  allowed(await judge(specPod, specOnly));
  denied(await judge(specPod, templateOnly), "form-not-accepted");
  denied(await judge(templatePod, specOnly), "form-not-accepted");
});

Deno.test("refuses a template that does not verify even if the spec alone would", async () => {
  const live = livePod("any", liveSpec(), {
    annotations: { ...await signSpec(minimal(ownerSpec())), [SIGNED_TEMPLATE_ANNOTATION]: "" },
  });
  denied(await judge(live), "signature-invalid");
});

Deno.test("allows a pod by its spec: the minimal form, with what admission adds", async () => {
  const live = livePod("any", liveSpec(), {
    labels: { app: "unsigned" },
    annotations: { ...await signSpec(minimal(ownerSpec())), team: "unsigned" },
  });
  const verdict = allowed(await judge(live));
  assert.equal(verdict.form, "spec");
  assert.deepEqual([verdict.labels, verdict.annotations, verdict.workload], [{}, {}, undefined]);
  assert.ok(verdict.injected.some((line) => line.endsWith("service account token")));
  const withSecrets = structuredClone(live);
  part(withSecrets, "spec").imagePullSecrets = [{ name: "registry" }];
  allowed(await judge(withSecrets));
});

Deno.test("allows replicas that are judged at the same time, and again when they are known", async () => {
  const live = livePod("any", liveSpec(), { annotations: await signSpec(minimal(ownerSpec())) });
  const verifier = createVerifier({
    keys: [owner.verifier],
    acceptForms: new Set(["spec"]),
    requireDigests: false,
  });
  for (const _round of ["first time", "known"]) {
    const verdicts = await Promise.all(
      Array.from({ length: 8 }, () => verifier.verifyPod(live, { now: NOW })),
    );
    for (const verdict of verdicts) allowed(verdict);
  }
});

Deno.test("allows a pod by a signature with curl and jq over a manifest without defaults", async () => {
  const plain: JsonObject = { containers: [{ name: "app", image: IMAGE, args: ["<&>"] }] };
  assert.deepEqual(minimal(plain), plain);
  allowed(await judge(livePod("any", liveSpec(plain), { annotations: await signSpec(plain) })));
});

Deno.test("allows a pod whose live spec was signed exactly as it is", async () => {
  const spec = liveSpec();
  const live = livePod("any", spec, { annotations: await signSpec(spec) });
  const verdict = allowed(await judge(live));
  assert.equal(verdict.spec.nodeName, undefined);
  assert.deepEqual(verdict.injected, []);
  part(live, "spec").tolerations = [];
  denied(await judge(live), "signature-invalid");
});

const SPEC_REFUSALS: [string, DenyCode, (spec: JsonObject) => void][] = [
  ["another image", "signature-invalid", (s) => named(s, "containers", "app").image = "evil:1"],
  [
    "an extra container",
    "signature-invalid",
    (s) => push(s, "containers", { name: "evil", image: "evil:1" }),
  ],
  [
    "an ephemeral container",
    "pod-malformed",
    (s) => s.ephemeralContainers = [{ name: "debug", image: "sh" }],
  ],
  ["a token volume with other contents", "pod-malformed", (s) => {
    part(named(s, "volumes", "kube-api-access-ptzbt"), "projected").defaultMode = 511;
  }],
  ["a StatefulSet's hostname", "signature-invalid", (s) => s.hostname = "db-0"],
  [
    "amounts that a limit range added",
    "signature-invalid",
    (s) => named(s, "containers", "app").resources = { limits: { cpu: "1" } },
  ],
  ["an unknown field", "pod-malformed", (s) => s.evil = 1],
  ["half a character", "pod-malformed", (s) => named(s, "containers", "app").args = ["\ud800"]],
];

for (const [name, code, spoil] of SPEC_REFUSALS) {
  Deno.test(`refuses, in the spec form, ${name} (${code})`, async () => {
    const spec = liveSpec();
    spoil(spec);
    denied(await judge(livePod("any", spec, { annotations: await signSpec(minimal(ownerSpec())) })), code);
  });
}

Deno.test("refuses, in the spec form, a token although the owner said no", async () => {
  const spec = { ...ownerSpec(), automountServiceAccountToken: false };
  const live = livePod("any", liveSpec(spec), { annotations: await signSpec(minimal(spec)) });
  denied(await judge(live), "spec-differs");
});

Deno.test("refuses, in the spec form, a signature over another kind of document", async () => {
  const template = parseStrictJson(encodeSignedTemplate(buildSignedTemplate(firstTemplate(deployment()))));
  assert.ok(isJsonObject(template));
  denied(await judge(livePod("any", template, { annotations: await signSpec(template) })), "pod-malformed");
});

Deno.test("refuses a signature that no trusted key could have made, also over a spec", async () => {
  const live = livePod("any", liveSpec(), {
    annotations: { [SIGNATURE_ANNOTATION]: encodeBase64(new Uint8Array(71)) },
  });
  denied(await judge(live), "signature-malformed");
});

// Digests

Deno.test("refuses images without a digest where digests are required, and warns elsewhere", async () => {
  const strict = createVerifier({ keys: [owner.verifier], acceptForms: both, requireDigests: true });
  allowed(await judge(await webPod(), strict));
  const document = deployment({
    initContainers: [{ name: "init", image: "busybox:1" }],
    containers: [{ name: "app", image: "registry.example/web:1" }],
    volumes: [{ name: "model", image: { reference: "model:1" } }],
  });
  const live = await webPod({ document });
  const paths = [
    "spec.initContainers[init].image",
    "spec.containers[app].image",
    "spec.volumes[model].image.reference",
  ];
  assert.deepEqual(
    denied(await judge(live, strict), "digest-required").differences.map(({ path }) => path),
    paths,
  );
  const { warnings } = allowed(await judge(live));
  assert.deepEqual(warnings.map((warning) => warning.slice(0, warning.indexOf(": "))), paths);
  const specPod = livePod("any", liveSpec({ containers: [{ name: "app", image: "a:1" }] }), {
    annotations: await signSpec({ containers: [{ name: "app", image: "a:1" }] }),
  });
  denied(await judge(specPod, strict), "digest-required");
});

// Any input

Deno.test("gives a verdict for any input", async () => {
  const good = await webPod();
  const inputs: JsonObject[] = [
    {},
    { metadata: null },
    { metadata: { annotations: null } },
    { ...good, spec: null },
    { ...good, spec: [] },
    { ...good, spec: { containers: "x" } },
    JSON.parse('{"metadata":{"__proto__":{"uid":"x"}}}'),
  ];
  for (const input of inputs) assert.equal((await judge(input)).decision, "deny");
});

// Memory

Deno.test("verifies a text once for many pods, and forgets the least recent", async () => {
  const original = crypto.subtle.verify;
  let calls = 0;
  crypto.subtle.verify = (...args: Parameters<typeof original>) => {
    calls++;
    return original.apply(crypto.subtle, args);
  };
  try {
    const fresh = createVerifier({ keys: [owner.verifier], acceptForms: both, requireDigests: false });
    const live = await webPod();
    const verdicts = await Promise.all(Array.from({ length: 50 }, () => judge(live, fresh)));
    verdicts.forEach(allowed);
    allowed(await judge(live, fresh));
    assert.equal(calls, 1);
    // A refusal is not remembered.
    const bad = await webPod({ key: stranger });
    denied(await judge(bad, fresh), "signature-invalid");
    denied(await judge(bad, fresh), "signature-invalid");
    assert.equal(calls, 3);
    // More than the bound of characters pushes the first out.
    for (let index = 0; index < 70; index++) {
      const big = deployment({
        containers: [{ name: "app", image: IMAGE, args: ["x".repeat(250_000), `${index}`] }],
      });
      allowed(await judge(await webPod({ document: big }), fresh));
    }
    calls = 0;
    allowed(await judge(live, fresh));
    assert.equal(calls, 1);
  } finally {
    crypto.subtle.verify = original;
  }
});

Deno.test("what a verdict shares with the memory cannot be changed", async () => {
  const live = await webPod();
  const { spec } = allowed(await judge(live));
  assert.throws(() => named(spec, "volumes", "data").hostPath = { path: "/" }, TypeError);
  allowed(await judge(live));
});

// Documents

/** A document with the signature in its pod template's annotations. */
async function signedDocument(document: JsonObject, options: SignOptions = {}): Promise<JsonObject> {
  const copy = structuredClone(document);
  let template = copy;
  for (const key of firstTemplate(document).path) template = part(template, String(key));
  const metadata = isJsonObject(template.metadata) ? template.metadata : {};
  const existing = isJsonObject(metadata.annotations) ? metadata.annotations : {};
  template.metadata = {
    ...metadata,
    annotations: { ...existing, ...await templateAnnotations(owner.signer, document, options) },
  };
  return copy;
}

Deno.test("judges manifests of every kind, and lists item by item", async () => {
  const documents = [
    deployment(),
    statefulSet(),
    job(),
    cronJob("nightly"),
    pod(),
    pod(ownerSpec(), { name: null, generateName: "web-" }),
  ];
  const signed = await Promise.all(documents.map((document) => signedDocument(document)));
  for (const document of signed) {
    const [found, ...more] = await verifier.verifyObject(document, { now: NOW });
    assert.equal(more.length, 0);
    allowed(found?.verdict);
  }
  const list = { apiVersion: "v1", kind: "List", items: [...signed, pod(), await webPod()] };
  const found = await verifier.verifyObject(list, { now: NOW });
  assert.deepEqual(found.map(({ verdict }) => verdict.decision), [
    ...signed.map(() => "allow"),
    "deny",
    "allow",
  ]);
  assert.deepEqual(found[0]?.path, ["items", 0, "spec", "template"]);
  assert.deepEqual(await verifier.verifyObject({ apiVersion: "v1", kind: "Service" }, { now: NOW }), []);
});

Deno.test("judges a workload as the API server gives it back, with its defaults", async () => {
  const document = await signedDocument(statefulSet({
    ...ownerSpec(),
    volumes: [...items(ownerSpec(), "volumes"), { name: "store", emptyDir: {} }],
  }));
  const template = part(document, "spec", "template");
  Object.assign(part(template, "spec"), {
    restartPolicy: "Always",
    dnsPolicy: "ClusterFirst",
    schedulerName: "default-scheduler",
    securityContext: {},
    terminationGracePeriodSeconds: 30,
  });
  const [found] = await verifier.verifyObject(document, { now: NOW });
  allowed(found?.verdict);
});

Deno.test("judges a ReplicaSet and a Job by the template of the workload that made them", async () => {
  const web = await signedDocument(deployment());
  const replicaSet = { ...web, kind: "ReplicaSet", metadata: { name: "web-76bf99c854", namespace: "shop" } };
  const nightly = await signedDocument(cronJob("nightly", { completionMode: "Indexed" }));
  const made = {
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: { name: "nightly-29645280", namespace: "shop" },
    spec: part(nightly, "spec", "jobTemplate", "spec"),
  };
  for (const document of [replicaSet, made]) {
    const [found] = await verifier.verifyObject(document, { now: NOW });
    allowed(found?.verdict);
  }
  delete made.spec.completionMode;
  const [found] = await verifier.verifyObject(made, { now: NOW });
  denied(found?.verdict, "wrong-workload");
});

Deno.test("judges manifests signed over the spec alone", async () => {
  const annotations = await signSpec(minimal(ownerSpec()));
  for (const document of [deployment(ownerSpec(), { annotations }), pod(ownerSpec(), { annotations })]) {
    const [found] = await verifier.verifyObject(document, { now: NOW });
    assert.equal(allowed(found?.verdict).form, "spec");
  }
});

Deno.test("warns of labels and annotations that are not the signed ones", async () => {
  const document = await signedDocument(deployment(ownerSpec(), { annotations: { team: "shop" } }));
  const metadata = part(document, "spec", "template", "metadata");
  part(metadata, "labels").app = "other";
  delete part(metadata, "annotations").team;
  const [found] = await verifier.verifyObject(document, { now: NOW });
  assert.equal(allowed(found?.verdict).warnings.length, 2);
});

const DOCUMENT_REFUSALS: [string, JsonObject, DenyCode, (document: JsonObject) => void][] = [
  [
    "an altered image",
    deployment(),
    "spec-differs",
    (d) => named(part(d, "spec", "template", "spec"), "containers", "app").image = "evil:1",
  ],
  ["another name", deployment(), "wrong-workload", (d) => part(d, "metadata").name = "other"],
  ["another namespace", deployment(), "wrong-workload", (d) => part(d, "metadata").namespace = "other"],
  ["another kind", deployment(), "wrong-workload", (d) => d.kind = "ReplicaSet"],
  ["another service", statefulSet(), "wrong-workload", (d) => part(d, "spec").serviceName = "other"],
  ["another claim", statefulSet(), "wrong-workload", (d) => part(d, "spec").volumeClaimTemplates = []],
  ["another completion mode", job(), "wrong-workload", (d) => delete part(d, "spec").completionMode],
  ["another pod name", pod(), "wrong-workload", (d) => part(d, "metadata").name = "other"],
  [
    "a generateName instead of the name",
    pod(),
    "wrong-workload",
    (d) => Object.assign(part(d, "metadata"), { name: null, generateName: "web-" }),
  ],
  [
    "another generateName",
    pod(ownerSpec(), { name: null, generateName: "web-" }),
    "wrong-workload",
    (d) => part(d, "metadata").generateName = "other-",
  ],
  ["a spec out of form", deployment(), "pod-malformed", (d) => part(d, "spec", "template", "spec").evil = 1],
];

for (const [name, document, code, spoil] of DOCUMENT_REFUSALS) {
  Deno.test(`refuses a manifest with ${name} (${code})`, async () => {
    const signed = await signedDocument(document);
    spoil(signed);
    const [found] = await verifier.verifyObject(signed, { now: NOW });
    denied(found?.verdict, code);
  });
}

Deno.test("takes a manifest without namespace for one in the signed namespace", async () => {
  for (const document of [deployment(), pod()]) {
    const signed = await signedDocument(document);
    delete part(signed, "metadata").namespace;
    const [found] = await verifier.verifyObject(signed, { now: NOW });
    allowed(found?.verdict);
  }
});

// The owner's permissions

const ALLOWING: SignOptions = {
  allow: ["label=tier", "annotation=mesh.example/status", "annotation=team", "annotation=kept", "resize"],
};

Deno.test("forwards unsigned labels and annotations of the keys that the owner allowed, and tells which", async () => {
  const document = deployment(ownerSpec(), { annotations: { team: "shop" } });
  const live = await webPod({ document, signOptions: ALLOWING });
  Object.assign(part(live, "metadata", "labels"), { tier: "front", other: "x" });
  Object.assign(part(live, "metadata", "annotations"), {
    "mesh.example/status": '{"version": 1}\n',
    team: "other",
    "container.apparmor.security.beta.kubernetes.io/app": "unconfined",
  });
  const verdict = allowed(await judge(live));
  assert.deepEqual(verdict.permissions, ["annotation=mesh.example/status", "label=tier"]);
  const rebuilt = rebuildPod(live, verdict, { nodeName: NODE, now: NOW, first: true });
  assert.ok(rebuilt.ok);
  const { labels, annotations } = part(rebuilt.pod, "metadata");
  assert.deepEqual(labels, { app: "web", "pod-template-hash": "76bf99c854", tier: "front" });
  assert.deepEqual(annotations, { "mesh.example/status": '{"version": 1}\n', team: "shop" });
});

Deno.test("refuses to forward values of allowed keys that have no proper form: they are left out", async () => {
  for (
    const [map, key, value] of [
      ["labels", "tier", "a b"],
      ["annotations", "mesh.example/status", "a\u001b[2J"],
      ["annotations", "mesh.example/status", "\ud800"],
      ["annotations", "mesh.example/status", "x".repeat(MAX_UNSIGNED_ANNOTATION_CHARACTERS + 1)],
      ["annotations", "mesh.example/status", 1],
    ] as const
  ) {
    const live = await webPod({ signOptions: ALLOWING });
    part(live, "metadata", map)[key] = value;
    const verdict = allowed(await judge(live));
    assert.deepEqual([verdict.extraLabels, verdict.extraAnnotations, verdict.permissions], [{}, {}, []]);
  }
});

Deno.test("refuses other amounts unless the owner allowed resize", async () => {
  const spec = ownerSpec();
  named(spec, "containers", "app").resources = { limits: { cpu: "1" } };
  const document = deployment(spec);
  const resized = (live: JsonObject) => {
    named(part(live, "spec"), "containers", "app").resources = {
      limits: { cpu: "2" },
      requests: { cpu: "2" },
    };
    return live;
  };
  denied(await judge(resized(await webPod({ document }))), "spec-differs");
  const verdict = allowed(await judge(resized(await webPod({ document, signOptions: ALLOWING }))));
  assert.deepEqual(verdict.permissions, ["resize"]);
});
