import assert from "node:assert/strict";
import { MAX_LIST_DEPTH } from "../bounds.ts";
import { SignedPodsError } from "../errors.ts";
import type { JsonObject, JsonValue } from "../json.ts";
import type { WorkloadReference } from "../verdict.ts";
import { cronJob, deployment, firstTemplate, job, ownerSpec, pod, statefulSet } from "./fixture_test.ts";
import {
  findPodTemplates,
  isIndex,
  isMadeBy,
  isTemplateHash,
  jobNameFits,
  podNameMatches,
} from "./workload.ts";

const workload = (kind: string, name: string): WorkloadReference => ({ apiVersion: "", kind, name });

function refuses(name: string, document: () => JsonValue, code: string, path?: string): void {
  Deno.test(`findPodTemplates refuses ${name}`, () => {
    assert.throws(() => findPodTemplates(document()), (error) => {
      assert.ok(error instanceof SignedPodsError);
      assert.equal(error.code, code);
      if (path !== undefined) assert.deepEqual(error.problems.map((problem) => problem.path), [path]);
      return true;
    });
  });
}

Deno.test("finds the pod template of every kind, with its path", () => {
  const template = { metadata: { labels: { app: "a" } }, spec: ownerSpec() };
  const cases: [string, string, JsonObject, (string | number)[]][] = [
    ["v1", "Pod", { metadata: { name: "a", labels: { app: "a" } }, spec: ownerSpec() }, []],
    ["v1", "PodTemplate", { metadata: { name: "a" }, template }, ["template"]],
    ["v1", "ReplicationController", { metadata: { name: "a" }, spec: { template } }, ["spec", "template"]],
    ["apps/v1", "ReplicaSet", { metadata: { name: "a" }, spec: { template } }, ["spec", "template"]],
    ["apps/v1", "Deployment", { metadata: { name: "a" }, spec: { template } }, ["spec", "template"]],
    ["apps/v1", "DaemonSet", { metadata: { name: "a" }, spec: { template } }, ["spec", "template"]],
    ["apps/v1", "StatefulSet", { metadata: { name: "a" }, spec: { template } }, ["spec", "template"]],
    ["batch/v1", "Job", { metadata: { name: "a" }, spec: { template } }, ["spec", "template"]],
    ["batch/v1", "CronJob", { metadata: { name: "a" }, spec: { jobTemplate: { spec: { template } } } }, [
      "spec",
      "jobTemplate",
      "spec",
      "template",
    ]],
  ];
  for (const [apiVersion, kind, rest, path] of cases) {
    const found = findPodTemplates({ apiVersion, kind, ...rest });
    assert.equal(found.length, 1, kind);
    assert.deepEqual(found[0]?.workload, { apiVersion, kind, name: "a" });
    assert.deepEqual(found[0]?.path, path);
    assert.deepEqual(found[0]?.metadata.labels, { app: "a" });
    assert.deepEqual(found[0]?.spec, ownerSpec());
  }
});

Deno.test("takes what a StatefulSet and an indexed Job add", () => {
  assert.deepEqual(firstTemplate(statefulSet()).statefulSet, {
    serviceName: "db-headless",
    volumeClaims: ["store"],
  });
  assert.deepEqual(
    firstTemplate(statefulSet(ownerSpec(), { serviceName: null, volumeClaimTemplates: null })).statefulSet,
    {
      serviceName: "",
      volumeClaims: [],
    },
  );
  assert.deepEqual(firstTemplate(job()).job, { indexed: true });
  assert.equal(firstTemplate(job(ownerSpec(), { completionMode: "NonIndexed" })).job, undefined);
  assert.deepEqual(firstTemplate(cronJob("nightly", { completionMode: "Indexed" })).job, { indexed: true });
  assert.equal(firstTemplate(deployment()).job, undefined);
});

Deno.test("takes generateName where there is no name", () => {
  const found = firstTemplate(pod(ownerSpec(), { name: null, generateName: "web-" }));
  assert.deepEqual(found.workload, {
    apiVersion: "v1",
    kind: "Pod",
    namespace: "shop",
    generateName: "web-",
  });
  const both = firstTemplate(pod(ownerSpec(), { generateName: "web-" }));
  assert.deepEqual(both.workload, { apiVersion: "v1", kind: "Pod", namespace: "shop", name: "web" });
});

Deno.test("looks into lists, typed and nested, with paths", () => {
  const { apiVersion: _version, kind: _kind, ...bare } = pod();
  const found = findPodTemplates({
    apiVersion: "v1",
    kind: "List",
    items: [
      { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "c" } },
      deployment(),
      { apiVersion: "v1", kind: "PodList", items: [bare] },
    ],
  });
  assert.deepEqual(found.map(({ workload: { kind }, path }) => [kind, path]), [
    ["Deployment", ["items", 1, "spec", "template"]],
    ["Pod", ["items", 2, "items", 0]],
  ]);
});

Deno.test("passes other kinds and empty documents", () => {
  assert.deepEqual(findPodTemplates(null), []);
  assert.deepEqual(findPodTemplates({ apiVersion: "v1", kind: "Service", metadata: { name: "s" } }), []);
  assert.deepEqual(findPodTemplates({ apiVersion: "example.com/v1", kind: "Deployment", spec: {} }), []);
});

refuses("a document that is no object", () => [1], "object-malformed", "");
refuses("an object without kind", () => ({ apiVersion: "v1" }), "object-malformed", "kind");
refuses("an object without apiVersion", () => ({ kind: "Pod" }), "object-malformed", "apiVersion");
refuses(
  "a workload in an apiVersion of the past",
  () => ({ ...deployment(), apiVersion: "extensions/v1beta1" }),
  "kind-unsupported",
  "apiVersion",
);
refuses(
  "a core kind in another version",
  () => ({ ...pod(), apiVersion: "v2" }),
  "kind-unsupported",
  "apiVersion",
);
refuses(
  "a workload without template",
  () => ({ ...deployment(), spec: {} }),
  "object-malformed",
  "spec.template",
);
refuses("a pod without spec", () => ({ ...pod(), spec: null }), "object-malformed", "spec");
refuses("metadata that is no object", () => ({ ...pod(), metadata: "x" }), "object-malformed", "metadata");
refuses("a name that is no text", () => pod(ownerSpec(), { name: 7 }), "object-malformed", "metadata.name");
refuses(
  "a name that is no DNS name",
  () => pod(ownerSpec(), { name: "A_b" }),
  "object-malformed",
  "metadata.name",
);
refuses("no name at all", () => pod(ownerSpec(), { name: "" }), "object-malformed", "metadata.name");
refuses(
  "a namespace that is no DNS label",
  () => pod(ownerSpec(), { namespace: "a.b" }),
  "object-malformed",
  "metadata.namespace",
);
refuses(
  "a generateName that is no beginning of a name",
  () => pod(ownerSpec(), { name: "", generateName: "Web_" }),
  "object-malformed",
  "metadata.generateName",
);
refuses(
  "a Deployment with generateName only",
  () => ({ ...deployment(), metadata: { generateName: "web-" } }),
  "object-malformed",
  "metadata.name",
);
refuses(
  "volume claim templates that are no list",
  () => statefulSet(ownerSpec(), { volumeClaimTemplates: {} }),
  "object-malformed",
  "spec.volumeClaimTemplates",
);
refuses(
  "a volume claim template that is no object",
  () => statefulSet(ownerSpec(), { volumeClaimTemplates: ["store"] }),
  "object-malformed",
  "spec.volumeClaimTemplates[0]",
);
refuses(
  "a volume claim template without name",
  () => statefulSet(ownerSpec(), { volumeClaimTemplates: [{}] }),
  "object-malformed",
  "spec.volumeClaimTemplates[0]",
);
refuses(
  "two volume claim templates of one name",
  () =>
    statefulSet(ownerSpec(), {
      volumeClaimTemplates: [{ metadata: { name: "a" } }, { metadata: { name: "a" } }],
    }),
  "object-malformed",
  "spec.volumeClaimTemplates[1]",
);
refuses(
  "a service name that is no DNS name",
  () => statefulSet(ownerSpec(), { serviceName: "A b" }),
  "object-malformed",
  "spec.serviceName",
);
refuses("lists without end", () => {
  let list: JsonObject = { apiVersion: "v1", kind: "List", items: [] };
  for (let depth = 0; depth < MAX_LIST_DEPTH + 1; depth++) {
    list = { apiVersion: "v1", kind: "List", items: [list] };
  }
  return list;
}, "object-malformed");

// Names. Real ones where a source is given, else made by the rule in the name of the test.

const LONG = "a-deployment-with-a-very-long-name-that-gets-truncated-somewhere";

const MATCHES: [string, WorkloadReference, string, boolean, { indexed?: boolean }?][] = [
  ["a pod's own name", workload("Pod", "web"), "web", true],
  ["another pod's name", workload("Pod", "web"), "web2", false],
  ["a pod's name as a prefix", workload("Pod", "web"), "web-x7x7x", false],
  ["a generated pod name", { apiVersion: "v1", kind: "Pod", generateName: "web-" }, "web-bcdfg", true],
  [
    "a generated name with a vowel",
    { apiVersion: "v1", kind: "Pod", generateName: "web-" },
    "web-bcdfa",
    false,
  ],
  [
    "a generated name that is too long",
    { apiVersion: "v1", kind: "Pod", generateName: "web-" },
    "web-bcdfgh",
    false,
  ],
  ["a ReplicaSet's pod", workload("ReplicaSet", "web"), "web-x7x7x", true],
  ["a ReplicationController's pod", workload("ReplicationController", "web"), "web-x7x7x", true],
  ["a DaemonSet's pod", workload("DaemonSet", "web"), "web-x7x7x", true],
  ["a PodTemplate's pod", workload("PodTemplate", "web"), "web-x7x7x", true],
  ["a pod of a ReplicaSet of the same beginning", workload("ReplicaSet", "web"), "web-api-x7x7x", false],
  ["a ReplicaSet's pod without dash", workload("ReplicaSet", "web"), "webx7x7x", false],
  ["a Deployment's pod (1.36.3)", workload("Deployment", "web"), "web-76bf99c854-x7x7x", true],
  ["a Deployment's pod with a hash of one character", workload("Deployment", "web"), "web-6-x7x7x", true],
  ["a Deployment's pod with a hash of eleven", workload("Deployment", "web"), "web-76bf99c8544-x7x7x", false],
  ["a Deployment's pod without hash", workload("Deployment", "web"), "web--x7x7x", false],
  [
    "a Deployment's pod with a vowel in the hash",
    workload("Deployment", "web"),
    "web-76af99c854-x7x7x",
    false,
  ],
  ["a Deployment's pod as its ReplicaSet's", workload("Deployment", "web"), "web-x7x7x", false],
  ["another Deployment's pod", workload("Deployment", "web"), "web-api-76bf99c854-x7x7x", false],
  [
    "a Deployment's pod with its name cut (1.36.3)",
    workload("Deployment", LONG),
    "a-deployment-with-a-very-long-name-that-gets-truncated-somj99lt",
    true,
  ],
  ["the same with a shorter cut", workload("Deployment", LONG), `${LONG.slice(0, 57)}j99lt`, false],
  ["the same without cut", workload("Deployment", LONG), `${LONG}-76bf99c854-j99lt`, false],
  ["a cut in the hash", workload("Deployment", "d".repeat(50)), `${"d".repeat(50)}-76bf99cj99lt`, true],
  [
    "a cut right behind the hash",
    workload("Deployment", "d".repeat(47)),
    `${"d".repeat(47)}-76bf99c854j99lt`,
    true,
  ],
  ["a whole name of 58", workload("Deployment", "d".repeat(46)), `${"d".repeat(46)}-76bf99c854-j99lt`, true],
  ["a cut before the dash", workload("Deployment", "d".repeat(58)), `${"d".repeat(58)}j99lt`, true],
  ["a cut right behind the dash", workload("Deployment", "d".repeat(57)), `${"d".repeat(57)}-j99lt`, true],
  [
    "a cut in a hash that is none",
    workload("Deployment", "d".repeat(50)),
    `${"d".repeat(50)}-76bf9-cj99lt`,
    false,
  ],
  ["a cut in a short hash", workload("Deployment", "d".repeat(50)), `${"d".repeat(50)}-76bf99-j99lt`, true],
  ["a StatefulSet's first pod", workload("StatefulSet", "db"), "db-0", true],
  ["a StatefulSet's last pod", workload("StatefulSet", "db"), "db-2147483647", true],
  ["an ordinal beyond int32", workload("StatefulSet", "db"), "db-2147483648", false],
  ["an ordinal with a leading zero", workload("StatefulSet", "db"), "db-00", false],
  ["an ordinal that is none", workload("StatefulSet", "db"), "db-x", false],
  ["a StatefulSet's pod without ordinal", workload("StatefulSet", "db"), "db-", false],
  ["another StatefulSet's pod", workload("StatefulSet", "db"), "db-a-0", false],
  ["an ordinal with a line end", workload("StatefulSet", "db"), "db-0\n", false],
  ["a Job's pod", workload("Job", "sums"), "sums-x7x7x", true],
  ["a Job's pod with its name cut", workload("Job", "j".repeat(63)), `${"j".repeat(58)}x7x7x`, true],
  ["a Job's pod with an index", workload("Job", "sums"), "sums-0-x7x7x", false],
  ["an indexed Job's pod (1.36.3)", workload("Job", "indexed"), "indexed-0-x7x7x", true, { indexed: true }],
  ["an indexed Job's pod without index", workload("Job", "indexed"), "indexed-x7x7x", false, {
    indexed: true,
  }],
  ["an index with a leading zero", workload("Job", "indexed"), "indexed-01-x7x7x", false, { indexed: true }],
  ["an index beyond int32", workload("Job", "indexed"), "indexed-2147483648-x7x7x", false, { indexed: true }],
  ["an indexed Job's cut name", workload("Job", "j".repeat(60)), `${"j".repeat(54)}-12-x7x7x`, true, {
    indexed: true,
  }],
  ["a cut that leaves too much", workload("Job", "j".repeat(60)), `${"j".repeat(55)}-12-x7x7x`, false, {
    indexed: true,
  }],
  ["another indexed Job's pod", workload("Job", "indexed"), "other-0-x7x7x", false, { indexed: true }],
  ["a generated Job's pod", { apiVersion: "", kind: "Job", generateName: "sums-" }, "sums-bcdfg-x7x7x", true],
  [
    "a generated Job's pod, not so",
    { apiVersion: "", kind: "Job", generateName: "sums-" },
    "sums-bcdfa-x7x7x",
    false,
  ],
  ["a CronJob's pod", workload("CronJob", "nightly"), "nightly-29645280-x7x7x", true],
  ["a CronJob's pod with a leading zero", workload("CronJob", "nightly"), "nightly-09645280-x7x7x", false],
  [
    "a pod of a Job made by hand from a CronJob",
    workload("CronJob", "nightly"),
    "nightly-manual-x7x7x",
    false,
  ],
  ["a CronJob's cut name", workload("CronJob", "c".repeat(52)), `${"c".repeat(52)}-29645x7x7x`, true],
  ["an indexed CronJob's pod", workload("CronJob", "nightly"), "nightly-29645280-3-x7x7x", true, {
    indexed: true,
  }],
  [
    "an indexed CronJob's cut name",
    workload("CronJob", "c".repeat(52)),
    `${"c".repeat(52)}-29-3-x7x7x`,
    true,
    {
      indexed: true,
    },
  ],
  ["a kind without pods", workload("Service", "web"), "web", false],
];

for (const [name, reference, podName, ok, shape] of MATCHES) {
  Deno.test(`podNameMatches ${ok ? "takes" : "refuses"} ${name}`, () => {
    assert.equal(podNameMatches(reference, podName, shape).ok, ok);
  });
}

for (const kind of ["Pod", "Deployment", "StatefulSet", "ReplicaSet", "Job", "CronJob"]) {
  Deno.test(`podNameMatches refuses a ${kind} without name`, () => {
    assert.equal(podNameMatches({ apiVersion: "", kind }, "web-0-x7x7x", { indexed: true }).ok, false);
    assert.equal(podNameMatches({ apiVersion: "", kind }, "").ok, false);
  });
}

Deno.test("podNameMatches tells ordinal, completion index and Job name", () => {
  assert.deepEqual(podNameMatches(workload("StatefulSet", "db"), "db-12"), { ok: true, ordinal: "12" });
  assert.deepEqual(podNameMatches(workload("Job", "sums"), "sums-x7x7x"), { ok: true, jobName: "sums" });
  assert.deepEqual(podNameMatches(workload("CronJob", "n"), "n-29645280-3-x7x7x", { indexed: true }), {
    ok: true,
    completionIndex: "3",
    jobName: "n-29645280",
  });
  // Cut names do not tell the whole Job name.
  assert.deepEqual(podNameMatches(workload("CronJob", "c".repeat(52)), `${"c".repeat(52)}-29645x7x7x`), {
    ok: true,
  });
  assert.deepEqual(
    podNameMatches(workload("Job", "j".repeat(60)), `${"j".repeat(54)}-12-x7x7x`, { indexed: true }),
    {
      ok: true,
      completionIndex: "12",
      jobName: "j".repeat(60),
    },
  );
});

Deno.test("jobNameFits holds a Job's name against workload and pod", () => {
  const cron = workload("CronJob", "c".repeat(52));
  const podName = `${"c".repeat(52)}-29-3-x7x7x`;
  assert.equal(jobNameFits(cron, `${"c".repeat(52)}-29645280`, podName, "3"), true);
  assert.equal(jobNameFits(cron, `${"c".repeat(52)}-39645280`, podName, "3"), false);
  assert.equal(jobNameFits(cron, `${"c".repeat(52)}-29x`, podName, "3"), false);
  assert.equal(jobNameFits(workload("Job", "sums"), "sums", "sums-x7x7x"), true);
  assert.equal(jobNameFits(workload("Deployment", "sums"), "sums", "sums-x7x7x"), false);
});

Deno.test("isMadeBy knows ReplicaSets of Deployments and Jobs of CronJobs", () => {
  const cases: [string, string, string, string, boolean][] = [
    ["Deployment", "web", "ReplicaSet", "web-76bf99c854", true],
    ["Deployment", "web", "ReplicaSet", "web", false],
    ["Deployment", "web", "ReplicaSet", "web-api-76bf99c854", false],
    ["Deployment", "web", "Job", "web-76bf99c854", false],
    ["CronJob", "nightly", "Job", "nightly-29645280", true],
    ["CronJob", "nightly", "Job", "nightly-manual", false],
    ["StatefulSet", "db", "ReplicaSet", "db-76bf99c854", false],
  ];
  for (const [kind, name, madeKind, madeName, expected] of cases) {
    assert.equal(
      isMadeBy(workload(kind, name), workload(madeKind, madeName)),
      expected,
      `${name} ${madeName}`,
    );
  }
  assert.equal(isMadeBy({ apiVersion: "", kind: "Deployment" }, workload("ReplicaSet", "web-76")), false);
});

Deno.test("hashes and indices are what Kubernetes writes", () => {
  assert.deepEqual(["76bf99c854", "", "76bf99c8544", "76AF"].map(isTemplateHash), [
    true,
    false,
    false,
    false,
  ]);
  assert.deepEqual(["0", "10", "", "01", "-1", "2147483648"].map(isIndex), [
    true,
    true,
    false,
    false,
    false,
    false,
  ]);
});
