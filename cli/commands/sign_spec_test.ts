import assert from "node:assert/strict";
import { parse, parseAllDocuments } from "yaml";
import { writePem } from "@signed-pods/shared/pem";
import { createVerifier } from "@signed-pods/shared/pod/verify";
import { readVerificationKeys } from "@signed-pods/shared/keys";
import { isJsonObject } from "@signed-pods/shared/json";
import { parseStrictJson } from "@signed-pods/shared/strict-json";
import { readManifest } from "../manifest.ts";
import { type SigningChoices, templatesToSign } from "../templates.ts";
import { ConfigObjects } from "../config_objects.ts";
import { checkSigned } from "./sign_spec.ts";
import { fakeServer, type FakeWorld, makeKey, NOW, type Outcome, runPodsign } from "../fake_effects_test.ts";

const EXAMPLES = new URL("../../examples/", import.meta.url);
const DIGEST = `sha256:${"ab".repeat(32)}`;
const { key, certificate } = await makeKey();
const foreign = await makeKey();
const KEY_PEM = await makePem();

async function makePem(): Promise<string> {
  const pair = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, [
    "sign",
    "verify",
  ]);
  return writePem("PRIVATE KEY", new Uint8Array(await crypto.subtle.exportKey("pkcs8", pair.privateKey)));
}

const POD = `# a pod
apiVersion: v1
kind: Pod
metadata:
  name: web # its name
  namespace: prod
spec:
  containers:
  - name: app
    image: registry.example/app@${DIGEST}
    env:
    - {name: "Q", value: 'it''s "<>&" \\ '}
`;

async function sign(manifest: string, args: string[] = [], world: FakeWorld = {}): Promise<Outcome> {
  const files = { "m.yaml": manifest, "key.pem": KEY_PEM, ...world.files };
  return await runPodsign(["sign-spec", "m.yaml", ...args], { ...world, files });
}

async function withKey(manifest: string, args: string[] = []): Promise<Outcome> {
  return await sign(manifest, ["--key", "key.pem", ...args]);
}

/** The output of a run that went well. */
function output({ code, out, errors }: Outcome): string {
  assert.equal(code, 0, errors);
  return out;
}

/** The error lines of a run that printed nothing. */
function refusal({ code, out, errors }: Outcome): string {
  assert.equal(code, 2, errors);
  assert.equal(out, "");
  return errors;
}

async function verify(manifest: string, args: string[] = []): Promise<Outcome> {
  return await runPodsign(["verify-spec", "m.yaml", "--key", "key.pem", ...args], {
    files: { "m.yaml": manifest, "key.pem": KEY_PEM },
  });
}

/** The lines of a text that are in the other too, in order. */
function withoutAnnotations(text: string): string {
  return text.split("\n").filter((line) => !/^\s+(kubelet-proxy\.io\/sign|annotations:\s*$)/.test(line)).join(
    "\n",
  );
}

Deno.test("a pod is signed with a key file, nothing else of the text changes", async () => {
  const signed = output(await withKey(POD));
  assert.equal(withoutAnnotations(signed), POD);
  assert.equal((await verify(signed)).code, 0);
});

Deno.test("signing again replaces the signature", async () => {
  const once = output(await withKey(POD));
  const twice = output(await withKey(once));
  const blank = (text: string) => text.replace(/(signature: ).*/, "$1");
  assert.equal(blank(twice), blank(once));
  const spec = output(await withKey(twice, ["--form=spec"]));
  assert.ok(!spec.includes("signed-template"));
  assert.equal((await verify(spec)).code, 0);
  assert.equal((await verify(output(await withKey(spec)))).code, 0);
});

for await (const { name } of Deno.readDir(EXAMPLES)) {
  if (!name.endsWith(".yaml")) continue;
  Deno.test(`examples/${name} is signed and verifies, in both forms where both are possible`, async () => {
    const text = await Deno.readTextFile(new URL(name, EXAMPLES));
    const signed = output(await withKey(text));
    assert.equal((await verify(signed, ["--accept-forms=template"])).code, 0);
    const bySpec = await withKey(text, ["--form=spec"]);
    if (/kind: StatefulSet|completionMode: Indexed/.test(text)) refusal(bySpec);
    else assert.equal((await verify(output(bySpec), ["--accept-forms=spec"])).code, 0);
    const json = output(await withKey(text, ["-o", "json"]));
    assert.equal((await verify(json)).code, 0);
    for (const windows of [false, true]) {
      const changed = signed.replace(/(image: .*)/, "$1x").replaceAll("\n", windows ? "\r\n" : "\n");
      assert.equal((await verify(changed)).code, 1);
    }
  });
}

Deno.test("documents of other kinds pass through byte for byte", async () => {
  const other =
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  y: &a  on\n  z: *a   # odd, but not ours\n";
  const { out, errors, code } = await withKey(`${other}---\n${POD}---\n${other}`);
  assert.equal(code, 0);
  assert.ok(out.startsWith(`${other}---\n`));
  assert.ok(out.endsWith(`---\n${other}`));
  assert.ok(errors.includes("2 ConfigMap"));
});

Deno.test("a manifest without pods passes through with a warning", async () => {
  const text = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n";
  const { code, out, errors } = await withKey(text);
  assert.equal(code, 0);
  assert.equal(out, text);
  assert.ok(errors.includes("holds no pods"));
});

Deno.test("kinds that podsign does not sign, but that seem to make pods, are warned of with their place", async () => {
  const pod = `{containers: [{name: app, image: registry.example/app@${DIGEST}}]}`;
  const manifest = `apiVersion: v1
kind: List
items:
- {apiVersion: argoproj.io/v1alpha1, kind: Rollout, metadata: {name: web}, spec: {template: {spec: ${pod}}}}
- {apiVersion: apps/v1, kind: deployment, metadata: {name: web}, spec: {template: {spec: ${pod}}}}
- {apiVersion: batch.example/v1, kind: Job, metadata: {name: web}, spec: {tasks: [{}, {template: {spec: ${pod}}}]}}
- {apiVersion: v1, kind: ConfigMap, metadata: {name: web}, data: {containers: image}}
- {apiVersion: example/v1, kind: Ship, metadata: {name: web}, spec: {containers: [{name: steel}]}}
- {apiVersion: v1, kind: Pod, metadata: {name: web, namespace: prod}, spec: ${pod}}
`;
  const outcome = await withKey(manifest);
  output(outcome);
  const warnings = outcome.errors.split("\n").filter((line) => line.includes("holds containers"));
  assert.deepEqual(warnings.map((line) => /m\.yaml:(\d+):\d+: .*kind "(\w+)"/.exec(line)?.slice(1)), [
    ["4", "Rollout"],
    ["5", "deployment"],
    ["6", "Job"],
  ]);
});

Deno.test("a List with pods among others is signed in place", async () => {
  const text = `apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Service
  metadata: {name: a}
- apiVersion: v1
  kind: Pod
  metadata: {name: a, namespace: b}
  spec: {containers: [{name: c, image: "x@${DIGEST}"}]}
- kind: ReplicaSet
  apiVersion: apps/v1
  metadata:
    name: rs
    namespace: b
  spec:
    template:
      spec: {containers: [{name: c, image: "x@${DIGEST}"}]}
`;
  const signed = output(await withKey(text));
  const report = await verify(signed, ["-o", "json"]);
  assert.equal(report.code, 0);
  const parsed: unknown = JSON.parse(report.out);
  assert.ok(typeof parsed === "object" && parsed !== null && "good" in parsed && "ignored" in parsed);
  assert.equal(parsed.good, 2);
  assert.deepEqual(parsed.ignored, { Service: 1 });
});

Deno.test("JSON stays JSON", async () => {
  const object: unknown = parse(POD);
  for (const space of [0, 2, "\t"]) {
    const signed = output(await withKey(JSON.stringify(object, null, space)));
    JSON.parse(signed);
    assert.equal((await verify(signed)).code, 0);
    assert.match(output(await withKey(signed, ["-o", "json"])), /^\{[^]*\}\n$/);
  }
});

Deno.test("several documents as JSON become a List", async () => {
  const text = output(
    await withKey(`${POD}---\n${POD.replace("name: web", "name: web2")}---\n`, ["-o", "json"]),
  );
  const list = parseStrictJson(text);
  assert.ok(isJsonObject(list) && Array.isArray(list.items));
  assert.equal(list.kind, "List");
  assert.equal(list.items.length, 2);
  assert.equal((await verify(text)).code, 0);
});

Deno.test("text in any script survives, in YAML and JSON", async () => {
  const value = "ä€😀\u2028\u2029\u0085\ufeff\u007f\u0000'\"\\\n\t";
  const pod = POD.replace(
    `'it''s "<>&" \\ '`,
    JSON.stringify(value).replace(/[\u007f-\uffff]/g, (c) => {
      return `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`;
    }).replace("\\ud83d\\ude00", "\\U0001f600"),
  );
  const signed = output(await withKey(pod));
  assert.equal((await verify(signed)).code, 0);
  assert.equal((await verify(output(await withKey(pod, ["-o", "json"])))).code, 0);
});

Deno.test("the signing server signs, its signatures are verified first", async () => {
  const urls: string[] = [];
  const server = fakeServer(key, certificate);
  const world: FakeWorld = {
    fetch: async (url, init) => {
      urls.push(url);
      return await server(url, init);
    },
  };
  const signed = output(await sign(POD, [], world));
  assert.deepEqual(urls, ["http://localhost:8080/signingcert?all=1", "http://localhost:8080/sign"]);
  const [object] = parseAllDocuments(signed).map((document): unknown => document.toJS());
  const verifier = createVerifier({
    keys: await readVerificationKeys(certificate, "certificate"),
    acceptForms: new Set(["template"]),
    requireDigests: true,
  });
  const json = parseStrictJson(JSON.stringify(object));
  assert.ok(isJsonObject(json));
  const [result] = await verifier.verifyObject(json, { now: NOW });
  assert.equal(result?.verdict.decision, "allow");
});

Deno.test("the environment names the server, a flag wins, a token is sent", async () => {
  const hosts = new Set<string>();
  const server = fakeServer(key, certificate, "secret");
  const world: FakeWorld = {
    env: { SIGNING_SERVER_URL: "http://127.0.0.1:1" },
    files: { token: "secret\n" },
    fetch: async (url, init) => {
      hosts.add(new URL(url).host);
      return await server(url, init);
    },
  };
  output(await sign(POD, ["--token-file=token"], world));
  output(await sign(POD, ["--token-file=token", "--server=http://signer:2"], world));
  assert.deepEqual([...hosts], ["127.0.0.1:1", "signer:2"]);
  refusal(await sign(POD, [], world));
  const wrong = { ...world, files: { token: "another" } };
  assert.ok(refusal(await sign(POD, ["--token-file=token"], wrong)).includes('the token in "token"'));
  const odd = { ...world, files: { token: "two words" } };
  assert.ok(refusal(await sign(POD, ["--token-file=token"], odd)).startsWith("podsign: --token-file: "));
});

Deno.test("refuses to print what a server signed with another key than its certificate's", async () => {
  const errors = refusal(await sign(POD, [], { fetch: fakeServer(foreign.key, certificate) }));
  assert.ok(errors.includes("signature-invalid"));
});

Deno.test("refuses to print what the keys of --cert do not verify", async () => {
  const files = { mine: certificate, other: foreign.certificate };
  const fetch = fakeServer(key, certificate);
  output(await sign(POD, ["--cert=mine"], { files, fetch }));
  output(await sign(POD, ["--cert=other", "--cert=mine"], { files, fetch }));
  refusal(await sign(POD, ["--cert=other"], { files, fetch }));
});

Deno.test("refuses when the server's certificate is expired", async () => {
  const errors = refusal(
    await sign(POD, [], { fetch: fakeServer(key, certificate), now: new Date("2035-01-01T00:00:00Z") }),
  );
  assert.ok(errors.includes("certificate-not-valid"));
});

Deno.test("a namespace from the command line is signed, and must not contradict the manifest", async () => {
  const bare = POD.replace("  namespace: prod\n", "");
  const warned = await withKey(bare);
  output(warned);
  assert.ok(warned.errors.includes("has no namespace"));
  const given = await withKey(bare, ["-n", "prod"]);
  assert.ok(output(given).includes('"namespace":"prod"'));
  assert.match(
    given.errors,
    /^podsign: m\.yaml:2:1: pod web is signed for namespace "prod", but names none: .*kubectl apply -n prod\n$/,
  );
  assert.match(
    (await verify(given.out)).errors,
    /^podsign: warning: m\.yaml:2:1: pod web is signed for .*-n prod\n$/,
  );
  assert.equal((await verify(given.out.replace("name: web", "namespace: other\n  name: web"))).code, 1);
  assert.equal((await withKey(POD, ["--namespace=prod"])).errors, "");
  assert.match(refusal(await withKey(POD, ["--namespace=test"])), /^podsign: m\.yaml:2:1: .*--namespace/);
  refusal(await withKey(bare, ["--namespace=Not_A_Name"]));
});

Deno.test("dates are signed, in UTC", async () => {
  const signed = output(await withKey(POD, ["--not-before=12h", "--not-after=2030-01-01T00:00:00+01:00"]));
  assert.ok(signed.includes('"notAfter":"2029-12-31T23:00:00Z","notBefore":"2024-05-06T19:08:09Z"'));
  assert.equal((await verify(signed)).code, 1);
});

Deno.test("refuses dates that no node would admit a pod at", async () => {
  for (
    const args of [["--not-after=2024-01-01T00:00:00Z"], ["--not-before=2d", "--not-after=1d"], [
      "--not-after=x",
    ]]
  ) {
    refusal(await withKey(POD, args));
  }
  refusal(await withKey(POD, ["--not-after=0s"]));
});

Deno.test("permissions are signed; those for whole containers are warned about", async () => {
  const mesh = `container=mesh@${DIGEST}`;
  const outcome = await withKey(POD, ["--allow=resize", "--allow", mesh]);
  const signed = output(outcome);
  assert.ok(signed.includes(`"allow":["${mesh}","resize"]`));
  assert.match(outcome.errors, /warning: m\.yaml:2:1: .*--allow container=mesh@/);
  assert.equal((await verify(signed)).code, 0);
});

Deno.test("refuses permissions that are none, all of them at once", async () => {
  const errors = refusal(await withKey(POD, ["--allow=exec", "--allow=label=a b", "--allow=resize"]));
  assert.equal(errors.trim().split("\n").length, 2);
  refusal(await withKey(POD, [`--allow=container=app@${DIGEST}`]));
});

Deno.test("refuses what the spec form cannot hold", async () => {
  const errors = refusal(
    await withKey(POD, [
      "--form=spec",
      "--namespace=prod",
      "--not-after=1d",
      "--not-before=1h",
      "--allow=resize",
    ]),
  );
  assert.equal(errors.trim().split("\n").length, 4);
});

Deno.test("resource claims from templates are warned about: nodes do not start such pods yet", async () => {
  for (
    const [claim, warned] of [["resourceClaimTemplateName", true], ["resourceClaimName", false]] as const
  ) {
    const outcome = await withKey(POD + `  resourceClaims: [{ name: gpu, ${claim}: gpu }]\n`);
    output(outcome);
    assert.equal(outcome.errors.includes("claims made from a template"), warned, outcome.errors);
  }
});

Deno.test("images without digest are warned about, or refused", async () => {
  const pod = POD.replace(`@${DIGEST}`, ":1.2");
  const { code, errors } = await withKey(pod);
  assert.equal(code, 0);
  assert.equal(errors.match(/has no digest/g)?.length, 1);
  refusal(await withKey(pod, ["--require-digests"]));
  output(await withKey(pod, ["--require-digests=false"]));
  output(await withKey(POD, ["--require-digests"]));
});

Deno.test("a StatefulSet's volume that a claim takes the place of is warned about", async () => {
  const text = (await Deno.readTextFile(new URL("statefulset.yaml", EXAMPLES)))
    .replace(
      "      containers:\n",
      "      volumes:\n        - {name: data, emptyDir: {}}\n      containers:\n",
    );
  const outcome = await withKey(text);
  output(outcome);
  assert.ok(outcome.errors.includes('volume "data"'));
});

Deno.test("refuses specs that cannot be signed, with the place of each problem, of all documents at once", async () => {
  const text = `${POD}  unknownField: 1
  volumes:
  - name: kube-api-access-abcde
    emptyDir: {}
---
apiVersion: v1
kind: Pod
metadata: {name: b}
spec:
  containers: [{name: a, image: x, stdin: "yes"}]
`;
  const lines = refusal(await withKey(text)).trim().split("\n");
  assert.ok(lines.every((line) => /^podsign: m\.yaml:\d+:\d+: /.test(line)), lines.join("\n"));
  assert.ok(lines.some((line) => line.includes("m.yaml:13:3: ")), lines.join("\n"));
  assert.ok(lines.some((line) => line.includes("m.yaml:22:36: ")), lines.join("\n"));
  const reserved = POD + "  volumes:\n  - name: kube-api-access-abcde\n    emptyDir: {}\n";
  assert.match(refusal(await withKey(reserved)), /m\.yaml:1[34]:/);
});

Deno.test("refuses YAML that programs read differently", async () => {
  assert.match(refusal(await withKey(`${POD}  hostNetwork: on\n`)), /m\.yaml:13:16: /);
  const configMap = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {y: on}\n";
  refusal(await withKey(`${POD}---\n${configMap}`, ["-o", "json"]));
});

Deno.test("refuses files and keys that cannot be read", async () => {
  const world = { files: { "m.yaml": POD, "key.pem": KEY_PEM, cert: certificate, empty: "" } };
  const lines = [
    ["sign-spec", "m.yaml", "--key=missing"],
    ["sign-spec", "m.yaml", "--key=cert"],
    ["sign-spec", "m.yaml", "--key=m.yaml"],
    ["sign-spec", "empty", "--key=key.pem"],
    ["sign-spec", "m.yaml", "--key=key.pem", "--cert=key.pem"],
    ["sign-spec", "m.yaml", "--key=key.pem", "--cert=missing"],
    ["sign-spec", "m.yaml", "--token-file=missing"],
    ["sign-spec", "m.yaml", "--key=key.pem", "--server=http://x", "--port-forward=a/b", "--token-file=t"],
    ["sign-spec", "m.yaml", "--server=http://x", "--port-forward=a/b"],
    ["sign-spec", "m.yaml", "--key=key.pem", "--client-certificate=cert", "--client-key=key.pem"],
    ["sign-spec", "m.yaml", "--server=x"],
    ["sign-spec", "m.yaml"],
  ];
  for (const args of lines) refusal(await runPodsign(args, world));
});

Deno.test("refuses what is no private key in PEM, and says what is expected", async () => {
  const spki = new Uint8Array(await crypto.subtle.exportKey("spki", key.publicKey));
  const files = {
    text: POD,
    der: Uint8Array.from([0x30, 3, 2, 1, 0]),
    long: Uint8Array.from([0x30, 0x82, 0, 3, 2, 1, 0]),
    public: writePem("PUBLIC KEY", spki),
  };
  const cases: [args: string[], expected: RegExp][] = [
    [["--key=text"], /^podsign: --key: "text" holds no PEM: .*PRIVATE KEY/],
    [["--key=der"], /^podsign: --key: "der" is DER, .*openssl pkey -inform DER -in der/],
    [["--key=long"], /^podsign: --key: "long" is DER, /],
    [["--key=public"], /^podsign: --key: "public" holds a public key: give the private key/],
    [["--key=cert"], /^podsign: --key: "cert" holds a certificate: give the private key/],
    [["--key=missing"], /^podsign: --key: "missing" does not exist; [^:]*\n$/],
    [["--key=key.pem", "--cert=text"], /^podsign: --cert: "text" holds no PEM: .*CERTIFICATE or PUBLIC KEY/],
    [["--key=key.pem", "--cert=der"], /^podsign: --cert: "der" is DER, .*openssl x509/],
  ];
  for (const [args, expected] of cases) {
    assert.match(refusal(await sign(POD, args, { files: { ...files, cert: certificate } })), expected);
  }
});

Deno.test("standard input is read", async () => {
  const outcome = await runPodsign(["sign-spec", "-", "--key", "k"], { stdin: POD, files: { k: KEY_PEM } });
  assert.equal(withoutAnnotations(output(outcome)), POD);
  const wrong = await runPodsign(["sign-spec", "-", "--key", "k"], { stdin: "a: [", files: { k: KEY_PEM } });
  assert.match(refusal(wrong), /^podsign: standard input:1:/);
});

Deno.test("many objects are signed with progress on a terminal", async () => {
  const text = Array.from({ length: 9 }, (_, index) => POD.replace("name: web", `name: web-${index}`)).join(
    "---\n",
  );
  const outcome = await sign(text, [], { fetch: fakeServer(key, certificate), terminal: true });
  assert.equal(output(outcome).match(/kubelet-proxy\.io\/signature/g)?.length, 9);
  assert.ok(outcome.errors.includes("signing 5 of 9"));
});

Deno.test("a port forward is announced, used and ended", async () => {
  let stopped = 0;
  const fetch = fakeServer(key, certificate);
  const world: FakeWorld = {
    fetch: (url, init) => {
      assert.ok(url.startsWith("http://127.0.0.1:41234/"));
      assert.equal(stopped, 0);
      return fetch(url, init);
    },
    spawn: () => {
      const ended = Promise.withResolvers<void>();
      return {
        stdout: new Blob(["Forwarding from 127.0.0.1:41234 -> 8080\n"]).stream(),
        stderr: new Blob([]).stream(),
        ended: ended.promise,
        stop: () => {
          stopped += 1;
          ended.resolve();
        },
      };
    },
  };
  const outcome = await sign(POD, ["--port-forward=signing/server"], world);
  output(outcome);
  assert.ok(outcome.errors.includes("crosses the API server"));
  assert.equal(stopped, 1);
  const wrong = fakeServer(foreign.key, certificate);
  refusal(
    await sign(POD, ["--port-forward=signing/server"], { ...world, fetch: (url, init) => wrong(url, init) }),
  );
  assert.equal(stopped, 2);
});

Deno.test("refuses to print a manifest that a defect has changed", async () => {
  const input = readManifest(new TextEncoder().encode(POD), "pod.yaml", { edit: true });
  const choices: SigningChoices = {
    form: "template",
    allow: [],
    requireDigests: false,
    references: "warn",
  };
  const templates = await templatesToSign(input, choices, new ConfigObjects([], () => new Uint8Array()));
  const check = (text: string, of = templates) =>
    checkSigned(input, text, { templates: of, configMaps: [], salts: [] }, choices, [], "a key", NOW);
  const defects: [text: string, of: typeof templates, message: RegExp][] = [
    [`${POD}---\n${POD}`, templates, /another number of documents.*defect of podsign/],
    [
      POD.replace("name: web", "name: evil"),
      templates,
      /differs from the input.*line \d+.*defect of podsign/,
    ],
    [POD, [...templates, ...templates], /another number of pod templates.*defect of podsign/],
  ];
  for (const [text, of, message] of defects) {
    await assert.rejects(check(text, of), message);
  }
  await assert.rejects(check(POD), { name: "InputError" });
});
