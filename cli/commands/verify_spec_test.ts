import assert from "node:assert/strict";
import { parse as parseYaml, stringify } from "yaml";
import { isJsonObject, type JsonObject } from "@signed-pods/shared/json";
import { parseStrictJson } from "@signed-pods/shared/strict-json";
import { fakeServer, makeKey, type Outcome, runPodsign } from "../fake_effects_test.ts";
import { PIECEWISE_LENGTH } from "../manifest.ts";

const DIGEST = `sha256:${"ab".repeat(32)}`;
const { key, certificate } = await makeKey();
const foreign = await makeKey();
const server = fakeServer(key, certificate);

const DEPLOYMENT = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: prod}
spec:
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: app
        image: registry.example/app@${DIGEST}
        env: [{name: PASSWORD, value: hunter2}]
`;

async function signed(manifest: string, args: string[] = []): Promise<string> {
  const { code, out, errors } = await runPodsign(["sign-spec", "-", ...args], {
    stdin: manifest,
    fetch: server,
  });
  assert.equal(code, 0, errors);
  return out;
}

async function verify(stdin: string, args: string[] = ["--cert=cert"]): Promise<Outcome> {
  const files = { cert: certificate, other: foreign.certificate };
  return await runPodsign(["verify-spec", "-", ...args], { stdin, files, fetch: server });
}

/** A pod as the API server would have made it of the deployment. */
async function livePod(): Promise<JsonObject> {
  const json = parseStrictJson(
    (await runPodsign(["sign-spec", "-", "-o", "json"], { stdin: DEPLOYMENT, fetch: server })).out,
  );
  assert.ok(isJsonObject(json) && isJsonObject(json.spec) && isJsonObject(json.spec.template));
  const { metadata, spec } = json.spec.template;
  assert.ok(isJsonObject(metadata) && isJsonObject(spec));
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      ...metadata,
      labels: { app: "web", "pod-template-hash": "5d4f8c7b9" },
      name: "web-5d4f8c7b9-bcdfg",
      namespace: "prod",
      uid: "3f0b1c1e-1111-4222-8333-444455556666",
      generateName: "web-5d4f8c7b9-",
    },
    spec: {
      ...spec,
      restartPolicy: "Always",
      dnsPolicy: "ClusterFirst",
      nodeName: "node-1",
      serviceAccountName: "default",
    },
    status: { phase: "Running" },
  };
}

Deno.test("good manifests are a line each and exit code 0", async () => {
  const { code, out } = await verify(await signed(DEPLOYMENT));
  assert.equal(code, 0);
  assert.match(out, /^OK {3}deployment prod\/web {2}template {2}key [0-9a-f]{16}\n1 good, 0 refused\n$/);
});

Deno.test("refuses changed manifests, each difference with path, signed and found value", async () => {
  const text = (await signed(DEPLOYMENT))
    .replace(`${DIGEST}\n`, `sha256:${"cd".repeat(32)}\n`)
    .replace("value: hunter2", "value: letmein");
  const { code, out } = await verify(text);
  assert.equal(code, 1);
  assert.match(out, /^FAIL deployment prod\/web {2}spec-differs: .* \(standard input:6:5\)\n/m);
  assert.match(out, /^ {7}spec\.containers\[app\]\.image: signed .*abab.*found .*cdcd/m);
  assert.match(out, /^ {7}spec\.containers\[app\]\.env\[PASSWORD\]/m);
  assert.ok(!out.includes("hunter2") && !out.includes("letmein"));
});

Deno.test("refuses unsigned objects, foreign keys and forms that do not count", async () => {
  assert.equal((await verify(DEPLOYMENT)).code, 1);
  const good = await signed(DEPLOYMENT);
  assert.equal((await verify(good, ["--cert=other"])).code, 1);
  assert.equal((await verify(good, ["--cert=other", "--cert=cert"])).code, 0);
  assert.equal((await verify(good, ["--cert=cert", "--accept-forms=spec"])).code, 1);
  assert.equal(
    (await verify(await signed(DEPLOYMENT, ["--form=spec"]), ["--cert=cert", "--accept-forms=spec"])).code,
    0,
  );
});

Deno.test("images without digest are warned about, or refused", async () => {
  const text = await signed(DEPLOYMENT.replace(`@${DIGEST}`, ":1"));
  const warned = await verify(text);
  assert.equal(warned.code, 0);
  assert.match(warned.errors, /^podsign: warning: standard input:6:5: deployment prod\/web: .*digest/);
  const item = (await signed(JSON.stringify(parseYaml(DEPLOYMENT.replace(`@${DIGEST}`, ":1"))))).trim();
  const list = await verify(`{"apiVersion":"v1","kind":"List","items":[\n${item},\n${item}]}`);
  assert.equal(list.errors.match(/standard input:[23]:\d+: deployment prod\/web: .*digest/g)?.length, 2);
  assert.equal((await verify(text, ["--cert=cert", "--require-digests"])).code, 1);
});

Deno.test("live pods are judged in lists as kubectl prints them, other kinds are counted", async () => {
  const pod = await livePod();
  const bad = structuredClone(pod);
  assert.ok(isJsonObject(bad.metadata));
  bad.metadata.namespace = "other";
  const service: JsonObject = { apiVersion: "v1", kind: "Service", metadata: { name: "a" } };
  const list = { apiVersion: "v1", kind: "List", items: [pod, service, bad] };
  for (const text of [JSON.stringify(list), stringify(list)]) {
    const { code, out } = await verify(text, ["--cert=cert", "-o", "json"]);
    assert.equal(code, 1);
    const report: unknown = JSON.parse(out);
    assert.ok(
      typeof report === "object" && report !== null && "objects" in report && Array.isArray(report.objects),
    );
    assert.deepEqual(
      report.objects.map((object: { name: string; code: string | null }) => [object.name, object.code]),
      [["web-5d4f8c7b9-bcdfg", null], ["web-5d4f8c7b9-bcdfg", "wrong-workload"]],
    );
    assert.ok("ignored" in report);
    assert.deepEqual(report.ignored, { Service: 1 });
  }
});

Deno.test("a long list is judged, with progress on a terminal", async () => {
  const pod = await livePod();
  const items = Array.from({ length: 600 }, () => pod);
  const text = stringify({ apiVersion: "v1", items, kind: "List" }, {
    indentSeq: false,
    aliasDuplicateObjects: false,
  });
  assert.ok(text.length > PIECEWISE_LENGTH);
  const { code, out, errors } = await runPodsign(["verify-spec", "-", "--cert=cert"], {
    stdin: text,
    files: { cert: certificate },
    terminal: true,
  });
  assert.equal(code, 0, out.slice(0, 500));
  assert.ok(out.endsWith("600 good, 0 refused\n"));
  assert.ok(errors.includes("judging 600 objects"));
});

Deno.test("without --cert the server's certificate is trusted, and this is said", async () => {
  const { code, errors } = await verify(await signed(DEPLOYMENT), []);
  assert.equal(code, 0);
  assert.ok(errors.includes("http://localhost:8080"));
});

Deno.test("refuses mirrors of static pods like others, and says that nodes do not judge them", async () => {
  const pod = (name: string, annotations: string) =>
    `- {apiVersion: v1, kind: Pod, metadata: {name: ${name}, namespace: a, annotations: ${annotations}}, ` +
    "spec: {containers: [{name: app, image: a}]}}\n";
  const { code, out, errors } = await verify(
    `apiVersion: v1\nkind: List\nitems:\n${pod("web", "{}")}${
      pod("etcd", "{kubernetes.io/config.mirror: x}")
    }`,
  );
  assert.equal(code, 1);
  assert.ok(out.includes("0 good, 2 refused"));
  assert.deepEqual(errors.match(/(?<=pod a\/)\S+(?= mirrors a static pod)/g), ["etcd"]);
});

Deno.test("nothing to judge is good, with a warning", async () => {
  const { code, out, errors } = await verify("apiVersion: v1\nkind: Service\nmetadata: {name: a}\n");
  assert.equal(code, 0);
  assert.ok(out.includes("0 good, 0 refused"));
  assert.ok(errors.includes("holds no pods"));
});

Deno.test("refuses input and flags that cannot be worked with, with exit code 2", async () => {
  const good = await signed(DEPLOYMENT);
  const cases: [string, string[]][] = [
    ["a: [", ["--cert=cert"]],
    ["a: b", ["--cert=cert"]],
    [good.replace("name: app", "name: on"), ["--cert=cert"]],
    [good, ["--cert=missing"]],
    [good, ["--cert=cert", "--key=cert"]],
    [good, ["--cert=cert", "--server=http://x"]],
    ["apiVersion: extensions/v1beta1\nkind: Deployment\nmetadata: {name: a}\n", ["--cert=cert"]],
  ];
  for (const [text, args] of cases) assert.equal((await verify(text, args)).code, 2, args.join(" "));
});
