import assert from "node:assert/strict";
import { canonicalize } from "./canonical_json.ts";
import { SignedPodsError } from "./errors.ts";
import { isJsonObject, type JsonObject, type JsonValue, objectsAt } from "./json.ts";
import {
  cronJob,
  deployment,
  DIGEST,
  firstTemplate,
  IMAGE,
  job,
  ownerSpec,
  pod,
  statefulSet,
  tokenMount,
  tokenVolume,
} from "./pod/fixture_test.ts";
import { minimal } from "./pod/normal_form.ts";
import { MAX_PERMISSIONS } from "./pod/permissions.ts";
import {
  buildSignedTemplate,
  encodeSignedTemplate,
  parseSignedTemplate,
  type SignOptions,
  templatePermissions,
  templateValidity,
} from "./signed_template.ts";
import { parseStrictJson } from "./strict_json.ts";

function build(document: JsonValue, options?: SignOptions) {
  return buildSignedTemplate(firstTemplate(document), options);
}

/** The parsed text of the Deployment's template, to be spoilt. */
function parsed(document: JsonValue = deployment()): JsonObject {
  const value = parseStrictJson(encodeSignedTemplate(build(document)));
  assert.ok(isJsonObject(value));
  return value;
}

function assertCode(run: () => unknown, code: string, path?: string): void {
  assert.throws(run, (error) => {
    assert.ok(error instanceof SignedPodsError, String(error));
    assert.equal(error.code, code);
    if (path !== undefined) assert.ok(error.problems.some((problem) => problem.path === path), error.message);
    return true;
  });
}

Deno.test("signs what the owner wrote, in minimal form, and nothing of ours", () => {
  const template = build(deployment(ownerSpec(), {
    annotations: {
      team: "shop",
      "kubelet-proxy.io/signature": "x",
      "kubelet-proxy.io/signed-template": "y",
      "kubectl.kubernetes.io/last-applied-configuration": "{}",
    },
  }));
  assert.deepEqual(template, {
    apiVersion: "kubelet-proxy.io/v1",
    kind: "SignedTemplate",
    workload: { apiVersion: "apps/v1", kind: "Deployment", namespace: "shop", name: "web" },
    metadata: { labels: { app: "web" }, annotations: { team: "shop" } },
    spec: minimal(ownerSpec()),
  });
});

Deno.test("reads back what it wrote, for every shape", () => {
  const dates = {
    notBefore: new Date("2026-01-01T00:00:00.900Z"),
    notAfter: new Date("2027-01-01T00:00:00Z"),
  };
  const documents: [JsonValue, SignOptions?][] = [
    [deployment()],
    [statefulSet()],
    [job()],
    [cronJob("nightly")],
    [pod(ownerSpec(), { name: "", generateName: "web-" })],
    [pod(ownerSpec(), { namespace: null }), { namespace: "shop", ...dates }],
  ];
  for (const [document, options] of documents) {
    const template = build(document, options);
    const text = encodeSignedTemplate(template);
    assert.deepEqual(parseSignedTemplate(text), template);
    assert.equal(canonicalize(parseStrictJson(text)), text);
  }
});

Deno.test("dates are whole seconds in UTC", () => {
  const template = build(deployment(), {
    notBefore: new Date("2026-01-01T00:00:00.900Z"),
    notAfter: new Date("2027-01-01T00:00:00Z"),
  });
  assert.equal(template.notBefore, "2026-01-01T00:00:00Z");
  assert.deepEqual(templateValidity(template), {
    notBefore: new Date("2026-01-01T00:00:00Z"),
    notAfter: new Date("2027-01-01T00:00:00Z"),
  });
  assert.deepEqual(templateValidity(build(deployment())), {});
});

Deno.test("leaves out template volumes that a StatefulSet's controller replaces", () => {
  const spec = { ...ownerSpec(), volumes: [{ name: "data", emptyDir: {} }, { name: "store", emptyDir: {} }] };
  const template = build(statefulSet(spec));
  assert.deepEqual(template.spec.volumes, [{ name: "data" }]);
  const all = build(statefulSet({ ...ownerSpec(), volumes: [{ name: "store", emptyDir: {} }] }));
  assert.equal(all.spec.volumes, undefined);
});

// What buildSignedTemplate refuses.

const BAD_DOCUMENTS: [string, JsonValue, string, SignOptions?][] = [
  ["another namespace than the manifest's", deployment(), "metadata.namespace", { namespace: "other" }],
  ["a namespace that is no DNS label", pod(ownerSpec(), { namespace: "" }), "workload.namespace", {
    namespace: "A",
  }],
  ["a date that is none", deployment(), "notAfter", { notAfter: new Date(Number.NaN) }],
  ["dates in the wrong order", deployment(), "notAfter", {
    notBefore: new Date("2027-01-01T00:00:00Z"),
    notAfter: new Date("2026-01-01T00:00:00Z"),
  }],
  ["labels that are no map", deployment(ownerSpec(), { labels: [] }), "metadata.labels"],
  ["a label that is no text", deployment(ownerSpec(), { labels: { a: 1 } }), 'metadata.labels["a"]'],
  ["a label key that is none", deployment(ownerSpec(), { labels: { "a b": "c" } }), "metadata.labels"],
  ["a label value that is none", deployment(ownerSpec(), { labels: { a: "b c" } }), 'metadata.labels["a"]'],
  [
    "an annotation key that is none",
    deployment(ownerSpec(), { annotations: { "a b": "c" } }),
    "metadata.annotations",
  ],
  [
    "the annotation of mirror pods",
    deployment(ownerSpec(), { annotations: { "kubernetes.io/config.mirror": "x" } }),
    'metadata.annotations["kubernetes.io/config.mirror"]',
  ],
  ["a pod without containers", pod({}), "spec.containers"],
  [
    "ephemeral containers",
    pod({ ...ownerSpec(), ephemeralContainers: [{ name: "debug", image: IMAGE }] }),
    "spec.ephemeralContainers",
  ],
  [
    "a container name that is no DNS label",
    pod({ containers: [{ name: "../x", image: IMAGE }] }),
    "spec.containers[0].name",
  ],
  [
    "an init container with a container's name",
    pod({ initContainers: [{ name: "a", image: IMAGE }], containers: [{ name: "a", image: IMAGE }] }),
    "spec.containers[0].name",
  ],
  [
    "a volume name that is no DNS label",
    pod({ ...ownerSpec(), volumes: [{ name: "a/b" }] }),
    "spec.volumes[0].name",
  ],
  [
    "two volumes of one name",
    pod({ ...ownerSpec(), volumes: [{ name: "a" }, { name: "a" }] }),
    "spec.volumes[1].name",
  ],
  [
    "a volume under the API server's prefix",
    pod({ ...ownerSpec(), volumes: [tokenVolume()] }),
    "spec.volumes[0].name",
  ],
  [
    "a mount under the API server's prefix",
    pod({ containers: [{ name: "a", image: IMAGE, volumeMounts: [tokenMount()] }] }),
    "spec.containers[0].volumeMounts[0].name",
  ],
  [
    "a device under the API server's prefix",
    pod({
      containers: [{
        name: "a",
        image: IMAGE,
        volumeDevices: [{ name: "kube-api-access-x", devicePath: "/d" }],
      }],
    }),
    "spec.containers[0].volumeDevices[0].name",
  ],
  [
    "a spec that does not fit the schema",
    pod({ containers: [{ name: "a", imagee: IMAGE }] }),
    "spec.containers[a].imagee",
  ],
  [
    "more than Kubernetes stores",
    pod({ containers: [{ name: "a", image: IMAGE, args: ["x".repeat(256 * 1024)] }] }),
    "",
  ],
];

for (const [name, document, path, options] of BAD_DOCUMENTS) {
  Deno.test(`buildSignedTemplate refuses ${name}`, () => {
    assertCode(() => build(document, options), "object-malformed", path);
  });
}

// What parseSignedTemplate refuses, although it is signed.

const SPOILT: [string, (template: JsonObject) => JsonValue, string?][] = [
  ["what is no object", () => [], ""],
  ["another apiVersion", (t) => ({ ...t, apiVersion: "kubelet-proxy.io/v2" }), "kind"],
  ["another kind", (t) => ({ ...t, kind: "ConfigMap" }), "kind"],
  ["a missing field", ({ workload: _gone, ...rest }) => rest, "workload"],
  ["an unknown field", (t) => ({ ...t, permit: [] }), ""],
  [
    "an unknown field of the workload",
    (t) => ({ ...t, workload: { ...object(t.workload), uid: "x" } }),
    "workload",
  ],
  [
    "an unknown field of the metadata",
    (t) => ({ ...t, metadata: { ...object(t.metadata), name: "x" } }),
    "metadata",
  ],
  ["a workload that is no object", (t) => ({ ...t, workload: "web" }), "workload"],
  [
    "a workload of an unknown kind",
    (t) => ({ ...t, workload: { ...object(t.workload), kind: "Service" } }),
    "workload.kind",
  ],
  [
    "a workload of another apiVersion",
    (t) => ({ ...t, workload: { ...object(t.workload), apiVersion: "v1" } }),
    "workload.kind",
  ],
  [
    "a workload without kind",
    (t) => ({ ...t, workload: { apiVersion: "v1", kind: 7, name: "x" } }),
    "workload.kind",
  ],
  [
    "a workload without name",
    (t) => ({ ...t, workload: { apiVersion: "apps/v1", kind: "Deployment" } }),
    "workload.name",
  ],
  [
    "a workload with two names",
    (t) => ({ ...t, workload: { apiVersion: "v1", kind: "Pod", name: "a", generateName: "a-" } }),
    "workload.generateName",
  ],
  [
    "a Deployment with generateName",
    (t) => ({ ...t, workload: { apiVersion: "apps/v1", kind: "Deployment", generateName: "a-" } }),
    "workload.name",
  ],
  [
    "a namespace that is no text",
    (t) => ({ ...t, workload: { ...object(t.workload), namespace: null } }),
    "workload.namespace",
  ],
  ["a date without zone", (t) => ({ ...t, notAfter: "2026-01-01T00:00:00" }), "notAfter"],
  ["a date with another zone", (t) => ({ ...t, notAfter: "2026-01-01T00:00:00+01:00" }), "notAfter"],
  ["a date that does not exist", (t) => ({ ...t, notAfter: "2026-02-30T00:00:00Z" }), "notAfter"],
  ["a date that is a number", (t) => ({ ...t, notBefore: 1767225600 }), "notBefore"],
  ["a job that is not indexed", (t) => ({ ...t, job: { indexed: false } }), "job.indexed"],
  ["a job in a Deployment", (t) => ({ ...t, job: { indexed: true } }), "job"],
  [
    "a stateful set in a Deployment",
    (t) => ({ ...t, statefulSet: { serviceName: "", volumeClaims: [] } }),
    "statefulSet",
  ],
  ["metadata without labels", (t) => ({ ...t, metadata: { annotations: {} } }), "metadata.labels"],
  [
    "a label that is no text",
    (t) => ({ ...t, metadata: { labels: { a: null }, annotations: {} } }),
    'metadata.labels["a"]',
  ],
  [
    "our own annotation",
    (t) => ({ ...t, metadata: { labels: {}, annotations: { "kubelet-proxy.io/signature": "" } } }),
    'metadata.annotations["kubelet-proxy.io/signature"]',
  ],
  ["permissions that are no list", (t) => ({ ...t, allow: "resize" }), "allow"],
  ["a permission that is no text", (t) => ({ ...t, allow: [1] }), "allow[0]"],
  ["an empty list of permissions", (t) => ({ ...t, allow: [] }), "allow"],
  ["an unknown permission", (t) => ({ ...t, allow: ["everything"] }), 'allow["everything"]'],
  ["permissions that are not sorted", (t) => ({ ...t, allow: ["resize", "label=a"] }), 'allow["label=a"]'],
  ["a permission twice", (t) => ({ ...t, allow: ["resize", "resize"] }), 'allow["resize"]'],
  [
    "too many permissions",
    (t) => ({ ...t, allow: Array.from({ length: MAX_PERMISSIONS + 1 }, (_, i) => `label=a${i}`).sort() }),
    "allow",
  ],
  [
    "a permission for a container that is signed",
    (t) => ({ ...t, allow: [`container=app@${DIGEST}`] }),
    `allow["container=app@${DIGEST.slice(0, 66)}…"]`,
  ],
  ["a permission for one name in both lists", (t) => ({
    ...t,
    allow: [`container=m@${DIGEST}`, `init-container=m@${DIGEST}`],
  }), `allow["init-container=m@${DIGEST.slice(0, 63)}…"]`],
  [
    "a permission for a volume that is signed",
    (t) => ({ ...t, allow: ["volume=data"] }),
    'allow["volume=data"]',
  ],
  [
    "a permission for the API server's volume",
    (t) => ({ ...t, allow: ["volume=kube-api-access-bcdfg"] }),
    'allow["volume=kube-api-access-bcdfg"]',
  ],
  [
    "a permission for a volume that a container uses",
    (t) => {
      const spec = object(t.spec);
      const [container, ...others] = objectsAt(spec, "containers");
      const mounts = [...objectsAt(object(container), "volumeMounts"), { name: "more", mountPath: "/more" }];
      return {
        ...t,
        allow: ["volume=more"],
        spec: { ...spec, containers: [{ ...object(container), volumeMounts: mounts }, ...others] },
      };
    },
    'allow["volume=more"]',
  ],
  [
    "an extra container in a pod for Windows",
    (t) => ({ ...t, allow: [`container=m@${DIGEST}`], spec: { ...object(t.spec), os: { name: "windows" } } }),
    `allow["container=m@${DIGEST.slice(0, 68)}…"]`,
  ],
  [
    "an extra container in a pod with Windows options",
    (t) => ({
      ...t,
      allow: [`container=m@${DIGEST}`],
      spec: { ...object(t.spec), securityContext: { windowsOptions: { hostProcess: true } } },
    }),
    `allow["container=m@${DIGEST.slice(0, 68)}…"]`,
  ],
  ...["hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"].map((
    field,
  ): [string, (t: JsonObject) => JsonObject, string] => [
    `an extra container in a pod with ${field}`,
    (t) => ({ ...t, allow: [`container=m@${DIGEST}`], spec: { ...object(t.spec), [field]: true } }),
    `allow["container=m@${DIGEST.slice(0, 68)}…"]`,
  ]),
  ["a spec that is no object", (t) => ({ ...t, spec: null }), "spec"],
  ["a spec with an unknown field", (t) => ({ ...t, spec: { ...object(t.spec), evil: true } }), "spec.evil"],
  [
    "a spec with the API server's volume",
    (t) => ({ ...t, spec: { ...object(t.spec), volumes: [tokenVolume()] } }),
    "spec.volumes[0].name",
  ],
];

function object(value: JsonValue | undefined): JsonObject {
  assert.ok(isJsonObject(value));
  return value;
}

for (const [name, spoil, path] of SPOILT) {
  Deno.test(`parseSignedTemplate refuses ${name}`, () => {
    assertCode(() => parseSignedTemplate(canonicalize(spoil(parsed()))), "template-malformed", path);
  });
}

Deno.test("permissions are signed sorted, each once, and read back", () => {
  const template = build(deployment(), {
    allow: ["resize", "label=tier", "resize", "annotation=a.example/b"],
  });
  assert.deepEqual(template.allow, ["annotation=a.example/b", "label=tier", "resize"]);
  const read = parseSignedTemplate(encodeSignedTemplate(template));
  assert.deepEqual(read, template);
  assert.deepEqual(templatePermissions(read), [
    { kind: "annotation", key: "a.example/b" },
    { kind: "label", key: "tier" },
    { kind: "resize" },
  ]);
});

Deno.test("refuses to sign a permission that is none", () => {
  assertCode(() => build(deployment(), { allow: ["exec"] }), "object-malformed", 'allow["exec"]');
});

const SPOILT_STATEFUL_SETS: [string, JsonValue, string][] = [
  ["a stateful set that is no object", [], "statefulSet"],
  ["a stateful set without claims", { serviceName: "" }, "statefulSet.volumeClaims"],
  ["a claim that is no text", { serviceName: "", volumeClaims: [1] }, "statefulSet.volumeClaims[0]"],
  ["a service name that is no text", { serviceName: 1, volumeClaims: [] }, "statefulSet.serviceName"],
  ["a claim twice", { serviceName: "", volumeClaims: ["a", "a"] }, "statefulSet.volumeClaims[1]"],
  ["a volume of a claim's name", { serviceName: "", volumeClaims: ["data"] }, "spec.volumes[0].name"],
];

for (const [name, statefulSetPart, path] of SPOILT_STATEFUL_SETS) {
  Deno.test(`parseSignedTemplate refuses ${name}`, () => {
    const text = canonicalize({ ...parsed(statefulSet()), statefulSet: statefulSetPart });
    assertCode(() => parseSignedTemplate(text), "template-malformed", path);
  });
}

Deno.test("parseSignedTemplate refuses a StatefulSet without its shape", () => {
  const { statefulSet: _gone, ...rest } = parsed(statefulSet());
  assertCode(() => parseSignedTemplate(canonicalize(rest)), "template-malformed", "statefulSet");
});

const TEXTS: [string, (text: string) => string][] = [
  ["text that is not canonical", (text) => `${text}\n`],
  ["keys in another order", () => JSON.stringify({ spec: {}, ...parsed() })],
  [
    "a duplicate key",
    (text) => text.replace('"kind":"SignedTemplate"', '"kind":"SignedTemplate","kind":"SignedTemplate"'),
  ],
  ["another spelling of a character", (text) => text.replace("SignedTemplate", "Signed\\u0054emplate")],
  ["what is no JSON", () => "{"],
  ["the empty text", () => ""],
  ["text beyond the bound", (text) => `${text}${" ".repeat(256 * 1024)}`],
  ["bytes beyond the bound", () => JSON.stringify("ü".repeat(200 * 1024))],
];

for (const [name, spoil] of TEXTS) {
  Deno.test(`parseSignedTemplate refuses ${name}`, () => {
    const text = spoil(encodeSignedTemplate(build(deployment())));
    assertCode(() => parseSignedTemplate(text), "template-malformed");
  });
}
