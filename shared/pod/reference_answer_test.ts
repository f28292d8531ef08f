import assert from "node:assert/strict";
import type { JsonObject } from "../json.ts";
import { DIGEST, IMAGE, liveSpec, part, tokenVolume } from "./fixture_test.ts";
import { expand } from "./normal_form.ts";
import { parsePermission, type Permission } from "./permissions.ts";
import {
  type AnsweredReference,
  type OwnerAnswers,
  podReferences,
  signedReferences,
  unansweredText,
} from "./reference_answer.ts";

const HEX = "ab".repeat(32);

function permissions(...texts: string[]): Permission[] {
  return texts.map((text) => {
    const parsed = parsePermission(text);
    assert.ok(parsed.ok, text);
    return parsed.permission;
  });
}

const spec = (volumes: JsonObject[], more: JsonObject = {}): JsonObject =>
  expand({ containers: [{ name: "app", image: IMAGE }], volumes, ...more });

function answers(references: readonly AnsweredReference[]): Record<string, unknown> {
  return Object.fromEntries(
    references.filter(({ reference }) => reference.kind !== "ServiceAccount").map(({ reference, answer }) => [
      reference.path,
      answer.kind === "none-needed" ? answer.kind : answer.kind === "missing" ? answer.remedies : answer,
    ]),
  );
}

const CONFIG = { name: "v", configMap: { name: "web" } };
const SECRET = { name: "v", secret: { secretName: "db" } };
const CLAIM = { name: "v", persistentVolumeClaim: { claimName: "data" } };
const pin = { data: { a: `sha256:${HEX}` } };

const CASES: [name: string, volume: JsonObject, owner: OwnerAnswers, path: string, expected: unknown][] = [
  ["a pin", CONFIG, { allow: [], pins: { configMaps: { web: pin } } }, "configMap", { kind: "pinned", pin }],
  ["its own signature", CONFIG, { allow: permissions("signed-config=web") }, "configMap", {
    kind: "signed",
    permission: "signed-config=web",
  }],
  ["any content", CONFIG, { allow: permissions("mutable-config=web") }, "configMap", {
    kind: "mutable",
    permission: "mutable-config=web",
  }],
  ["a Secret's pin", SECRET, { allow: [], pins: { secrets: { db: pin } } }, "secret", {
    kind: "pinned",
    pin,
  }],
  ["any content of a Secret", SECRET, { allow: permissions("mutable-secret=db") }, "secret", {
    kind: "mutable",
    permission: "mutable-secret=db",
  }],
  ["a claim", CLAIM, { allow: permissions("claim=data") }, "persistentVolumeClaim", {
    kind: "mutable",
    permission: "claim=data",
  }],
  [
    "a claim made for the pod, by its volume",
    {
      name: "v",
      ephemeral: { volumeClaimTemplate: { spec: {} } },
    },
    { allow: permissions("claim=v") },
    "ephemeral",
    { kind: "mutable", permission: "claim=v" },
  ],
  [
    "the cluster's own authority",
    { name: "v", configMap: { name: "kube-root-ca.crt" } },
    { allow: [] },
    "configMap",
    {
      kind: "cluster",
    },
  ],
  [
    "nothing of a ConfigMap",
    CONFIG,
    { allow: permissions("mutable-config=other", "mutable-secret=web", "claim=web") },
    "configMap",
    [
      "have the ConfigMap in the input or in a file of --with-config, which pins its content",
      "--allow signed-config=web",
      "--allow mutable-config=web",
    ],
  ],
  ["nothing of a Secret", SECRET, { allow: permissions("mutable-config=db") }, "secret", [
    "have the Secret in the input or in a file of --with-config, which pins its content",
    "--allow mutable-secret=db",
  ]],
  ["nothing of a claim", CLAIM, { allow: permissions("claim=v") }, "persistentVolumeClaim", [
    "--allow claim=data",
  ]],
  ["nothing of an object without a name", { name: "v", configMap: {} }, { allow: [] }, "configMap", [
    "name the object in the spec",
  ]],
  [
    "a pin that only prototypes have",
    { name: "v", configMap: { name: "constructor" } },
    {
      allow: [],
      pins: { configMaps: {} },
    },
    "configMap",
    [
      "have the ConfigMap in the input or in a file of --with-config, which pins its content",
      "--allow signed-config=constructor",
      "--allow mutable-config=constructor",
    ],
  ],
];

for (const [name, volume, owner, path, expected] of CASES) {
  Deno.test(`answers: ${name}`, () => {
    assert.deepEqual(answers(signedReferences(spec([volume]), owner)), {
      [`spec.volumes[v].${path}`]: expected,
    });
  });
}

Deno.test("answers: devices, bundles and runtime classes", () => {
  const projected = { sources: [{ clusterTrustBundle: { name: "roots", path: "a" } }] };
  const references = (owner: OwnerAnswers) =>
    answers(signedReferences(
      spec([{ name: "v", projected }], {
        runtimeClassName: "kata",
        resourceClaims: [{ name: "gpu", resourceClaimName: "shared" }],
      }),
      owner,
    ));
  assert.deepEqual(
    references({
      allow: permissions("resource-claim=gpu", "trust-bundle=roots"),
      pins: { runtimeClasses: { kata: "kata-qemu" } },
    }),
    {
      "spec.runtimeClassName": { kind: "handler", handler: "kata-qemu" },
      "spec.resourceClaims[gpu]": { kind: "mutable", permission: "resource-claim=gpu" },
      "spec.volumes[v].projected.sources[0].clusterTrustBundle": {
        kind: "mutable",
        permission: "trust-bundle=roots",
      },
    },
  );
  assert.deepEqual(references({ allow: permissions("resource-claim=shared") }), {
    "spec.runtimeClassName": "none-needed",
    "spec.resourceClaims[gpu]": ["--allow resource-claim=gpu"],
    "spec.volumes[v].projected.sources[0].clusterTrustBundle": ["--allow trust-bundle=roots"],
  });
});

Deno.test("answers: registries' credentials, tokens, images and drivers need none", () => {
  const references = answers(signedReferences(
    spec([
      { name: "v", csi: { driver: "csi.example" } },
      { name: "w", image: { reference: IMAGE } },
      { name: "x", projected: { sources: [{ serviceAccountToken: { path: "t" } }] } },
    ], { imagePullSecrets: [{ name: "reg" }] }),
    { allow: [] },
  ));
  assert.deepEqual(new Set(Object.values(references)), new Set(["none-needed"]));
  assert.equal(Object.keys(references).length, 4);
});

Deno.test("answers: what storage systems are authenticated with needs one", () => {
  const csi = { driver: "csi.example", nodePublishSecretRef: { name: "s" } };
  const references = answers(signedReferences(spec([{ name: "v", csi }]), { allow: [] }));
  assert.ok(Array.isArray(references["spec.volumes[v].csi.nodePublishSecretRef"]));
});

Deno.test("a pod refers to what was signed, what Kubernetes adds, and what extra containers bring", () => {
  const owner = {
    allow: permissions("claim=store", `container=proxy@${DIGEST}`),
    pins: { configMaps: { web: pin } },
    statefulSet: { serviceName: "db", volumeClaims: ["store"] },
  };
  const signed = spec([{ ...CONFIG, name: "conf" }]);
  const references = signedReferences(signed, owner);
  const live = structuredClone(liveSpec(signed));
  const volumes = live.volumes;
  assert.ok(Array.isArray(volumes));
  volumes.push(
    { name: "store", persistentVolumeClaim: { claimName: "store-db-0" } },
    { name: "mesh", configMap: { name: "web", defaultMode: 420 } },
    tokenVolume(),
  );
  live.imagePullSecrets = [{ name: "reg" }];
  const names = new Set<unknown>();
  live.volumes = volumes.filter((volume) => {
    const { name } = part({ volume }, "volume");
    const isNew = !names.has(name);
    names.add(name);
    return isNew;
  });
  const found = podReferences({ spec: live, form: "template", references });
  assert.deepEqual(answers(found), {
    "spec.imagePullSecrets[reg]": "none-needed",
    "spec.volumes[conf].configMap": { kind: "pinned", pin },
    "spec.volumes[store].persistentVolumeClaim": { kind: "mutable", permission: "claim=store" },
    "spec.volumes[mesh].configMap": { kind: "extra" },
    "spec.volumes[kube-api-access-ptzbt].projected.sources[0].serviceAccountToken": "none-needed",
    "spec.volumes[kube-api-access-ptzbt].projected.sources[1].configMap": { kind: "cluster" },
  });
});

Deno.test("refuses to take another use of a signed reference for the signed one", () => {
  const signed = spec([{ name: "v", configMap: { name: "web", items: [{ key: "a", path: "a" }] } }]);
  const references = signedReferences(signed, { allow: [], pins: { configMaps: { web: pin } } });
  const other = spec([{ name: "v", configMap: { name: "web" } }]);
  assert.deepEqual(answers(podReferences({ spec: other, form: "template", references })), {
    "spec.volumes[v].configMap": { kind: "extra" },
  });
});

Deno.test("in the spec form nothing is answered", () => {
  const signed = spec([CONFIG]);
  const references = signedReferences(signed, { allow: [] });
  const [answer] = Object.values(answers(podReferences({ spec: signed, form: "spec", references })));
  assert.ok(Array.isArray(answer));
});

Deno.test("the text of a reference without an answer names the object and every remedy", () => {
  const [first] = signedReferences(spec([CLAIM]), { allow: [] }).filter(({ answer }) =>
    answer.kind === "missing"
  );
  assert.ok(first !== undefined && first.answer.kind === "missing");
  assert.equal(
    unansweredText(first.reference, first.answer.remedies),
    "claim data is neither pinned nor allowed by what was signed: --allow claim=data",
  );
});
