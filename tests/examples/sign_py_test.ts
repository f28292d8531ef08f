/**
 * examples/sign.py, a signer written from docs/signature-format.md, against the vectors, the engine and the proxy's
 * gate. Needs python3 and openssl.
 */
import assert from "node:assert/strict";
import { isJsonObject, type JsonObject, type JsonValue } from "@signed-pods/shared/json";
import { readVerificationKeys } from "@signed-pods/shared/keys";
import { expand } from "@signed-pods/shared/pod/normal-form";
import { createVerifier, type Verifier } from "@signed-pods/shared/pod/verify";
import { findPodTemplates } from "@signed-pods/shared/pod/workload";
import { SIGNED_TEMPLATE_ANNOTATION } from "@signed-pods/shared/verdict";
import { FakeApiServer } from "../fakes/api_server.ts";
import { makeGate } from "../fakes/gate.ts";
import { FakeKubelet } from "../fakes/kubelet.ts";
import { NODE_NAME, objectOf, uidOf, withImage } from "../fakes/owner.ts";
import { readVectors } from "../vectors/read_vectors.ts";

const SIGNER = new URL("../../examples/sign.py", import.meta.url).pathname;
const IMAGE = `registry.example/shop/web@sha256:${"ab".repeat(32)}`;

/** Programs that are not there. */
const missing: string[] = [];
for (const [program, argument] of [["python3", "--version"], ["openssl", "version"]] as const) {
  try {
    await new Deno.Command(program, { args: [argument], stdout: "null", stderr: "null" }).output();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    missing.push(program);
  }
}
const skipped = missing.length === 0 ? "" : ` (skipped: ${missing.join(" and ")} not installed)`;
if (skipped !== "") console.warn(`tests/examples/sign_py_test.ts${skipped}`);

/** A test that is given the path of a new private key, and a verifier that trusts it. */
function test(name: string, run: (key: string, verifier: Verifier) => Promise<void>): void {
  Deno.test({
    name: `sign.py ${name}${skipped}`,
    ignore: skipped !== "",
    fn: async () => {
      const folder = await Deno.makeTempDir();
      try {
        const key = `${folder}/signing.key`;
        await openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key);
        const keys = await readVerificationKeys(await openssl("pkey", "-in", key, "-pubout"), "test");
        await run(
          key,
          createVerifier({ keys, acceptForms: new Set(["template"]), requireDigests: true }),
        );
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    },
  });
}

async function openssl(...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("openssl", { args }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

/** The signed manifest; what it says on standard error if it refuses. */
async function sign(key: string, manifest: JsonValue): Promise<JsonObject | string> {
  return await signText(key, JSON.stringify(manifest));
}

async function signText(key: string, text: string): Promise<JsonObject | string> {
  const child = new Deno.Command(SIGNER, { args: [key], stdin: "piped", stdout: "piped", stderr: "piped" })
    .spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(text));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  if (code !== 0) return new TextDecoder().decode(stderr);
  const signed: JsonValue = JSON.parse(new TextDecoder().decode(stdout));
  assert.ok(isJsonObject(signed));
  return signed;
}

async function signed(key: string, manifest: JsonValue): Promise<JsonObject> {
  const result = await sign(key, manifest);
  assert.ok(typeof result === "object", JSON.stringify(result));
  return result;
}

const SPEC: JsonObject = {
  automountServiceAccountToken: false,
  containers: [{
    name: "app",
    image: IMAGE,
    command: ["/bin/serve", ""],
    env: [{ name: "GREETING", value: 'é \u{1f600} <&> "quoted" \u2028' }],
    ports: [{ name: "http", containerPort: 8080 }],
    resources: { limits: { cpu: "500m", memory: "1Gi" } },
    volumeMounts: [{ name: "data", mountPath: "/data" }],
  }],
  volumes: [{ name: "data" }],
};

const POD: JsonObject = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "web", namespace: "shop", labels: { app: "web" }, annotations: { note: "kept" } },
  spec: SPEC,
};

/** A pod as the API server serves it. */
function served(name: string, template: JsonObject): JsonObject {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      ...objectOf(template.metadata),
      name,
      namespace: "shop",
      uid: uidOf(1),
      resourceVersion: "1",
      creationTimestamp: "2026-01-01T00:00:00Z",
    },
    spec: { ...expand(template.spec), nodeName: NODE_NAME, schedulerName: "default-scheduler", priority: 0 },
    status: { phase: "Pending" },
  };
}

test("signs what it handles as the vectors say, and refuses all else", async (key) => {
  // Dates and other namespaces are chosen on podsign's command line.
  const vectors = (await readVectors("signed_templates.json")).flatMap(({ input, ...vector }) =>
    isJsonObject(input) && Object.keys(input).length === 1
      ? [{ ...vector, manifest: input.manifest ?? null }]
      : []
  );
  const results = await Promise.all(vectors.map(({ manifest }) => sign(key, manifest)));
  let handled = 0;
  for (const [index, { name, expected, error }] of vectors.entries()) {
    const result = results[index] ?? "";
    if (typeof result === "string") {
      assert.match(result, /^sign\.py: .*; use podsign\n$/, name);
      continue;
    }
    assert.equal(error, undefined, `${name} is refused`);
    const [template] = findPodTemplates(result);
    assert.equal(objectOf(template?.metadata.annotations)[SIGNED_TEMPLATE_ANNOTATION], expected, name);
    handled++;
  }
  assert.ok(handled >= 10);
});

const NOT_MINIMAL: [string, JsonObject][] = [
  ["a default that is spelled out", { ...SPEC, restartPolicy: "Always" }],
  ["a scheduling field", { ...SPEC, nodeName: NODE_NAME }],
  ["an empty list", { ...SPEC, volumes: [] }],
  ["a zero", { ...SPEC, hostNetwork: false }],
  ["a null", { ...SPEC, volumes: null }],
  ["a quantity in another form", {
    containers: [{ name: "app", image: IMAGE, resources: { limits: { memory: "1024Mi" } } }],
  }],
  ["a volume whose source is the default", { ...SPEC, volumes: [{ name: "data", emptyDir: {} }] }],
  ["an image without digest", { containers: [{ name: "app", image: "app:1" }] }],
];
for (const [name, spec] of NOT_MINIMAL) {
  test(`refuses ${name}`, async (key) => {
    assert.match(String(await sign(key, { ...POD, spec })), /^sign\.py: spec\..*use podsign\n$/);
  });
}

test("refuses a member that is there twice, and text that is not Unicode", async (key) => {
  assert.match(String(await signText(key, '{"kind":"Pod","kind":"Pod"}')), /there twice; use podsign\n$/);
  assert.ok(
    typeof await sign(key, { ...POD, metadata: { name: "web", annotations: { a: "\ud800" } } }) === "string",
  );
});

test("makes signatures that the engine accepts, and refuses over anything else", async (key, verifier) => {
  const deployment = await signed(key, {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "web", namespace: "shop" },
    spec: {
      replicas: 2,
      selector: { matchLabels: { app: "web" } },
      template: { metadata: { labels: { app: "web" } }, spec: SPEC },
    },
  });
  const time = { now: new Date(0) };
  const [judged] = await verifier.verifyObject(deployment, time);
  assert.equal(judged?.verdict.decision, "allow", JSON.stringify(judged?.verdict));
  const pod = served("web-76bf99c854-x7x7x", objectOf(objectOf(deployment.spec).template));
  const verdict = await verifier.verifyPod(pod, time);
  assert.ok(verdict.decision === "allow", JSON.stringify(verdict));
  assert.deepEqual(verdict.warnings, []);

  const altered = await verifier.verifyPod(withImage(pod, `evil@sha256:${"cd".repeat(32)}`), time);
  assert.ok(altered.decision === "deny");
  assert.deepEqual(altered.differences.map(({ path }) => path), ["spec.containers[app].image"]);
  const elsewhere = await verifier.verifyPod(
    { ...pod, metadata: { ...objectOf(pod.metadata), name: "other-76bf99c854-x7x7x" } },
    time,
  );
  assert.ok(elsewhere.decision === "deny" && elsewhere.code === "wrong-workload");
});

test("makes a pod that the proxy shows to the kubelet, and refuses altered", async (key, verifier) => {
  const manifest = await signed(key, POD);
  const api = new FakeApiServer();
  const { fetch, gate } = await makeGate({ upstream: api.upstream, owner: { verifier } });
  const kubelet = new FakeKubelet({ fetch, start: "watch-list" });
  kubelet.run();
  try {
    api.put(served("web", manifest));
    await kubelet.until("the pod is there", () => kubelet.pod("web", "shop") !== undefined);
    assert.deepEqual(objectOf(kubelet.pod("web", "shop")?.metadata).annotations, { note: "kept" });

    const successor = withImage(served("web", manifest), "evil:1");
    api.remove("shop", "web");
    await kubelet.until("the pod is gone", () => kubelet.pod("web", "shop") === undefined);
    api.put({ ...successor, metadata: { ...objectOf(successor.metadata), uid: uidOf(2) } });
    const status = () => objectOf(api.pod("shop", "web")?.status);
    await kubelet.until("the altered one has failed", () => status().phase === "Failed");
    assert.match(String(status().message), /spec\.containers\[app\]\.image: signed ".*, found "evil:1"/);
    assert.equal(kubelet.pod("web", "shop"), undefined);
  } finally {
    await kubelet.stop();
    await gate.close(0);
  }
});
