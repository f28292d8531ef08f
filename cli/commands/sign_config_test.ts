/** Signing what pods refer to: pins, signatures of ConfigMaps, and what is told of the rest. */
import assert from "node:assert/strict";
import { parseAllDocuments } from "yaml";
import { isJsonObject, type JsonObject, type JsonValue, objectAt } from "@signed-pods/shared/json";
import { SALT_ANNOTATION } from "@signed-pods/shared/pod/pins";
import { SIGNED_CONTENT_ANNOTATION } from "@signed-pods/shared/signed-content";
import { SIGNED_TEMPLATE_ANNOTATION } from "@signed-pods/shared/verdict";
import { fakeServer, makeKey, type Outcome, runPodsign } from "../fake_effects_test.ts";

const SIGNING_PAGE = new URL("../../docs/signing.md", import.meta.url);
const ROOT = new URL("../../", import.meta.url);
const DIGEST = `sha256:${"ab".repeat(32)}`;
const { key, certificate } = await makeKey();
const server = fakeServer(key, certificate);

const CONFIG_MAP = `apiVersion: v1
kind: ConfigMap
metadata:
  name: web # the name
  namespace: shop
data:
  a.conf: |
    on
  LOG: debug
`;

const SECRET = `apiVersion: v1
kind: Secret
metadata: {name: db, namespace: shop}
data: {user: cm9vdA==}
stringData: {password: hunter2}
`;

const pod = (spec: string) =>
  `apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  containers:
  - name: app
    image: registry.example/app@${DIGEST}
${spec}`;

const VOLUME = `  volumes:
  - {name: conf, configMap: {name: web}}
`;

const BOTH = `    envFrom: [{secretRef: {name: db}}]
${VOLUME}`;

async function run(args: string[], stdin: string, files: Record<string, string> = {}): Promise<Outcome> {
  const withCert = { ...files, "cert.pem": certificate };
  return await runPodsign(args, { stdin, files: withCert, fetch: server });
}

async function sign(
  stdin: string,
  args: string[] = [],
  files: Record<string, string> = {},
): Promise<Outcome> {
  return await run(["sign-spec", "-", ...args], stdin, files);
}

async function verify(
  stdin: string,
  args: string[] = [],
  files: Record<string, string> = {},
): Promise<Outcome> {
  return await run(["verify-spec", "-", "--cert=cert.pem", ...args], stdin, files);
}

function output({ code, out, errors }: Outcome): string {
  assert.equal(code, 0, errors);
  return out;
}

function refusal({ code, out, errors }: Outcome): string {
  assert.equal(code, 2, errors);
  assert.equal(out, "");
  return errors;
}

function documents(text: string): JsonObject[] {
  return parseAllDocuments(text).map((document) => {
    const value: JsonValue = document.toJS();
    assert.ok(isJsonObject(value));
    return value;
  });
}

const annotationsOf = (object: JsonObject): JsonObject =>
  objectAt(objectAt(object, "metadata"), "annotations");

/** The template that was signed of the last document, a pod. */
function templateOf(text: string): JsonObject {
  const last = documents(text).at(-1);
  assert.ok(last !== undefined);
  const template: JsonValue = JSON.parse(String(annotationsOf(last)[SIGNED_TEMPLATE_ANNOTATION]));
  assert.ok(isJsonObject(template));
  return template;
}

const join = (...texts: string[]) => texts.join("---\n");

Deno.test("a ConfigMap in the input is pinned, and stays as it is", async () => {
  const outcome = await sign(join(CONFIG_MAP, pod(VOLUME)));
  const signed = output(outcome);
  assert.ok(signed.startsWith(`${CONFIG_MAP}---\n`));
  assert.ok(!outcome.errors.includes("warning"), outcome.errors);
  const pins = objectAt(templateOf(signed), "pins");
  // printf 'on\n' | sha256sum; printf debug | sha256sum
  assert.deepEqual(pins, {
    configMaps: {
      web: {
        data: {
          LOG: "sha256:0b8e9e995d8d77f1e4770f0f79665aee6f3f70247b3735422daba73df4c3096f",
          "a.conf": "sha256:b6ac5bc39377e44ee783dff946f6703a994f5eb31a438e69dc0735b40060d2e8",
        },
      },
    },
  });
  const verified = await verify(signed, ["--references=enforce"]);
  assert.match(output(verified), /OK {3}pod shop\/web .* pinned: ConfigMap web\n/);
});

Deno.test("only the keys that pods use are pinned", async () => {
  const spec = `    env: [{name: L, valueFrom: {configMapKeyRef: {name: web, key: LOG}}}]\n`;
  const pins = objectAt(templateOf(output(await sign(join(CONFIG_MAP, pod(spec))))), "pins");
  assert.deepEqual(Object.keys(objectAt(objectAt(objectAt(pins, "configMaps"), "web"), "data")), ["LOG"]);
});

Deno.test("a file of --with-config is pinned, and not printed", async () => {
  const files = { "config.yaml": join(CONFIG_MAP, CONFIG_MAP.replace("name: web", "name: other")) };
  const signed = output(await sign(pod(VOLUME), ["--with-config=config.yaml"], files));
  assert.equal(documents(signed).length, 1);
  const inInput = output(await sign(join(CONFIG_MAP, pod(VOLUME))));
  assert.deepEqual(templateOf(signed), templateOf(inInput));
  output(await verify(signed, ["--with-config=config.yaml", "--references=enforce"], files));
  const changed = { "config.yaml": files["config.yaml"].replace("debug", "trace") };
  const refused = await verify(signed, ["--with-config=config.yaml"], changed);
  assert.equal(refused.code, 1);
  assert.match(refused.out, /FAIL pod shop\/web {2}reference-not-signed: .*\n.*ConfigMap web: data\[LOG\]/);
});

Deno.test("a Secret gets a salt, keeps it, and is pinned by it", async () => {
  const outcome = await sign(join(SECRET, CONFIG_MAP, pod(BOTH)));
  const signed = output(outcome);
  assert.match(outcome.errors, /Secret db gets a salt/);
  const [secret] = documents(signed);
  assert.ok(secret !== undefined);
  const salt = annotationsOf(secret)[SALT_ANNOTATION];
  assert.equal(typeof salt, "string");
  const template = templateOf(signed);
  const data = objectAt(objectAt(objectAt(objectAt(template, "pins"), "secrets"), "db"), "data");
  assert.deepEqual(Object.keys(data), ["password", "user"]);
  assert.ok(!JSON.stringify(template).includes("hunter2"));
  const again = await sign(signed);
  assert.deepEqual(templateOf(output(again)), template);
  assert.ok(!again.errors.includes("salt"), again.errors);
  output(await verify(signed, ["--references=enforce"]));
  const changed = await verify(signed.replace("hunter2", "hunter3"));
  assert.equal(changed.code, 1);
  assert.ok(!changed.out.includes("hunter"), changed.out);
  const other = await verify(signed.replace(String(salt), `${"A".repeat(43)}=`));
  assert.equal(other.code, 1);
});

Deno.test("refuses to pin a Secret that has no salt and is not part of the input", async () => {
  const files = { "secret.yaml": SECRET };
  const errors = refusal(await sign(pod(BOTH), ["--with-config=secret.yaml"], files));
  assert.match(errors, /secret\.yaml:1:1: Secret db has no salt.*--allow mutable-secret=db/);
  const salted = documents(output(await sign(join(SECRET, pod(BOTH)))))[0];
  const again = { "secret.json": JSON.stringify(salted) };
  output(await sign(pod(BOTH), ["--with-config=secret.json"], again));
});

Deno.test("refuses a salt that is none", async () => {
  const secret = SECRET.replace("{name: db", `{annotations: {${SALT_ANNOTATION}: eA==}, name: db`);
  assert.match(refusal(await sign(join(secret, pod(BOTH)))), /is not 32 bytes/);
});

Deno.test("every reference without an answer is told, once for each object, with how to give one", async () => {
  const spec = `${BOTH}  - {name: more, configMap: {name: web}}
  - {name: data, persistentVolumeClaim: {claimName: disk}}
`;
  const { code, errors } = await sign(pod(spec));
  assert.equal(code, 0);
  const lines = errors.split("\n").filter((line) => line.includes("neither pinned nor allowed"));
  assert.equal(lines.length, 3, errors);
  assert.match(
    errors,
    /spec\.volumes\[conf\]\.configMap: ConfigMap web .*--with-config.*--allow signed-config=web/,
  );
  assert.match(errors, /Secret db .*--allow mutable-secret=db/);
  assert.match(errors, /claim disk .*--allow claim=disk/);
  assert.ok(!(await sign(pod(spec), ["--references=off"])).errors.includes("neither"));
  const refused = refusal(await sign(pod(spec), ["--references=enforce"]));
  assert.match(refused, /^podsign: standard input:1:1: pod shop\/web: spec\..*\(--references=enforce\)$/m);
  const allow = ["web", "db", "disk"].map((name, i) =>
    `--allow=${["mutable-config", "mutable-secret", "claim"][i] ?? ""}=${name}`
  );
  const mutable = await sign(pod(spec), [...allow, "--references=enforce"]);
  const signed = output(mutable);
  assert.match(
    mutable.errors,
    /--allow mutable-config=web: whoever controls the API server writes its content/,
  );
  output(await verify(signed, ["--references=enforce"]));
  assert.equal(Object.hasOwn(templateOf(signed), "pins"), false);
});

Deno.test("refuses references as a node does when verify-spec is told to", async () => {
  const signed = output(await sign(pod(VOLUME)));
  assert.match((await verify(signed)).errors, /warning: .*ConfigMap web is neither pinned nor allowed/);
  assert.equal((await verify(signed, ["--references=off"])).errors, "");
  const refused = await verify(signed, ["--references=enforce"]);
  assert.equal(refused.code, 1);
  assert.match(refused.out, /reference-not-signed/);
});

Deno.test("what may change is not pinned, though it is in the input", async () => {
  const signed = output(await sign(join(CONFIG_MAP, pod(VOLUME)), ["--allow=mutable-config=web"]));
  assert.equal(Object.hasOwn(templateOf(signed), "pins"), false);
});

Deno.test("a ConfigMap gets a signature of its own where the owner says so", async () => {
  const outcome = await sign(join(CONFIG_MAP, pod(VOLUME)), [
    "--allow=signed-config=web",
    "--references=enforce",
  ]);
  const signed = output(outcome);
  const [configMap] = documents(signed);
  assert.ok(configMap !== undefined);
  const text: JsonValue = JSON.parse(String(annotationsOf(configMap)[SIGNED_CONTENT_ANNOTATION]));
  assert.ok(isJsonObject(text));
  assert.equal(text.signedAt, "2024-05-06T07:08:09Z");
  assert.deepEqual(text.object, { apiVersion: "v1", kind: "ConfigMap", name: "web", namespace: "shop" });
  assert.match(output(await verify(signed)), / signed: ConfigMap web\n/);
  assert.equal((await verify(signed.replace("debug", "trace"))).code, 1);
  assert.equal((await verify(signed.replace("2024-05-06", "2025-05-06"))).code, 1);
  // Signed again, it has one signature.
  const again = documents(output(await sign(signed, ["--allow=signed-config=web"])))[0];
  assert.ok(again !== undefined);
  assert.deepEqual(Object.keys(annotationsOf(again)), Object.keys(annotationsOf(configMap)));
});

Deno.test("a ConfigMap is signed alone, when its content has changed", async () => {
  const podsAlone = await sign(pod(VOLUME), ["--allow=signed-config=web", "--references=enforce"]);
  const pods = output(podsAlone);
  assert.match(
    podsAlone.errors,
    /ConfigMap web is not in this input: .*podsign sign-spec --allow signed-config=web/,
  );
  const outcome = await sign(CONFIG_MAP.replace("debug", "trace"), ["--allow=signed-config=web"]);
  const configMap = output(outcome);
  assert.equal(outcome.errors, "");
  output(await verify(join(configMap, pods)));
  const unsigned = await verify(join(CONFIG_MAP, pods));
  assert.equal(unsigned.code, 1);
  assert.match(
    unsigned.out,
    /spec\.volumes\[conf\]\.configMap: ConfigMap web: it carries no signature; sign it with podsign/,
  );
  const list = JSON.stringify({ apiVersion: "v1", kind: "List", items: documents(CONFIG_MAP) });
  output(
    await verify(pods, ["--with-config=c.json"], {
      "c.json": output(await sign(list, ["--allow=signed-config=web"])),
    }),
  );
});

Deno.test("refuses to sign a ConfigMap for no namespace, or for two", async () => {
  const nowhere = CONFIG_MAP.replace("  namespace: shop\n", "");
  assert.match(refusal(await sign(nowhere, ["--allow=signed-config=web"])), /has no namespace/);
  output(await sign(nowhere, ["--allow=signed-config=web", "--namespace=shop"]));
  const other = await sign(CONFIG_MAP, ["--allow=signed-config=web", "--namespace=bank"]);
  assert.match(refusal(other), /has the namespace "shop", but --namespace says "bank"/);
});

Deno.test("a manifest without namespaces is one of any", async () => {
  const nowhere = (text: string) => text.replace(/,? *namespace: shop/, "");
  const signed = output(await sign(join(nowhere(CONFIG_MAP), nowhere(pod(VOLUME))), ["-n", "shop"]));
  assert.ok(Object.hasOwn(templateOf(signed), "pins"));
  output(await verify(signed, ["--references=enforce"]));
});

Deno.test("objects of other namespaces are others", async () => {
  const elsewhere = CONFIG_MAP.replace("namespace: shop", "namespace: bank");
  assert.match(
    (await sign(join(elsewhere, pod(VOLUME)))).errors,
    /ConfigMap web is neither pinned nor allowed/,
  );
});

Deno.test("refuses two objects of one name", async () => {
  const errors = refusal(await sign(join(CONFIG_MAP, CONFIG_MAP, pod(VOLUME))));
  assert.match(errors, /standard input:11:1: ConfigMap web is here and at standard input:1:1/);
});

Deno.test("refuses content that cannot be read, or that readers read differently", async () => {
  const number = CONFIG_MAP.replace("LOG: debug", "LOG: 1");
  assert.match(
    refusal(await sign(join(number, pod(VOLUME)))),
    /standard input:9:3: data\[LOG\] is not a text/,
  );
  const doubtful = CONFIG_MAP.replace("LOG: debug", "LOG: on");
  assert.match(refusal(await sign(join(doubtful, pod(VOLUME)))), /standard input:9:8: /);
  // As long as nobody refers to it, it is passed through.
  output(await sign(join(doubtful, pod(""))));
});

Deno.test("a key that is not there is told", async () => {
  const spec = (optional: boolean) =>
    `    env: [{name: L, valueFrom: {configMapKeyRef: {name: web, key: GONE, optional: ${optional}}}}]\n`;
  assert.match(
    (await sign(join(CONFIG_MAP, pod(spec(false))))).errors,
    /has no key "GONE": the pod will not start/,
  );
  const optional = await sign(join(CONFIG_MAP, pod(spec(true))));
  assert.ok(!optional.errors.includes("GONE"), optional.errors);
  output(await verify(output(optional), ["--references=enforce"]));
});

Deno.test("a RuntimeClass in the input is pinned to its handler", async () => {
  const runtimeClass =
    "apiVersion: node.k8s.io/v1\nkind: RuntimeClass\nmetadata: {name: kata}\nhandler: kata-qemu\n";
  const outcome = await sign(join(runtimeClass, pod("  runtimeClassName: kata\n")));
  const signed = output(outcome);
  assert.match(outcome.errors, /: content is signed with it of RuntimeClass kata\n/);
  assert.deepEqual(objectAt(templateOf(signed), "pins"), { runtimeClasses: { kata: "kata-qemu" } });
  const verified = await verify(signed);
  assert.match(output(verified), / handler: RuntimeClass kata\n/);
  assert.doesNotMatch(verified.errors, /--runtime-class/);
});

Deno.test("of a RuntimeClass whose handler is not signed, the owner is told what nodes need", async () => {
  for (const form of ["template", "spec"]) {
    const signed = await sign(pod("  runtimeClassName: kata\n"), [`--form=${form}`]);
    const told =
      /warning: .* unless they are started with --runtime-class=kata=HANDLER or the handler is signed: /;
    assert.match(signed.errors, told, form);
    const verified = await verify(output(signed));
    output(verified);
    assert.match(verified.errors, told, form);
  }
});

Deno.test("in the spec form nothing is pinned, which is told", async () => {
  const outcome = await sign(join(CONFIG_MAP, pod(VOLUME)), ["--form=spec"]);
  output(outcome);
  assert.match(outcome.errors, /says nothing: use --form template/);
  const file = { "c.yaml": CONFIG_MAP };
  assert.match(
    refusal(await sign(pod(VOLUME), ["--form=spec", "--with-config=c.yaml"], file)),
    /--with-config/,
  );
});

Deno.test("refuses a file of --with-config in which there is nothing to pin", async () => {
  assert.match(
    refusal(await sign(pod(""), ["--with-config=p.yaml"], { "p.yaml": pod("") })),
    /holds no ConfigMap/,
  );
  assert.match(refusal(await sign(pod(""), ["--with-config=gone.yaml"])), /gone\.yaml/);
});

Deno.test("show prints what is pinned, and what is signed of ConfigMaps", async () => {
  const show = async (args: string[]) =>
    await run(["show", "-", ...args], join(SECRET, CONFIG_MAP, pod(BOTH)));
  const pinned = await show([]);
  assert.match(output(pinned), /^\{.*"pins":\{"configMaps":\{"web":.*\}\n$/);
  assert.match(pinned.errors, /Secret db has no salt yet/);
  const signed = output(await show(["--allow=signed-config=web"])).trimEnd().split("\n");
  assert.equal(signed.length, 2);
  assert.match(signed[1] ?? "", /"kind":"SignedContent"/);
});

Deno.test("as JSON, every reference is told with its answer", async () => {
  const signed = output(await sign(join(CONFIG_MAP, pod(VOLUME))));
  const report: JsonValue = JSON.parse(output(await verify(signed, ["-o", "json"])));
  assert.ok(isJsonObject(report) && Array.isArray(report.objects) && isJsonObject(report.objects[0] ?? null));
  const [first] = report.objects;
  assert.ok(isJsonObject(first));
  assert.deepEqual(first.references, [
    { kind: "ServiceAccount", name: "default", path: "spec.serviceAccountName", answer: "none-needed" },
    { kind: "ConfigMap", name: "web", path: "spec.volumes[conf].configMap", answer: "pinned" },
  ]);
});

/** The commands of docs/signing.md's section on references. */
async function documentedCommands(): Promise<string[][]> {
  const page = await Deno.readTextFile(SIGNING_PAGE);
  const start = page.indexOf("## What a pod refers to");
  assert.ok(start > 0);
  const section = page.slice(start, page.indexOf("\n## ", start));
  return [...section.matchAll(/^bin\/podsign (sign-spec .*?)(?: \||$)/gm)].map(([, args = ""]) =>
    args.split(" ")
  );
}

Deno.test("the usual shapes of docs/signing.md are signed by its commands, and a node that enforces references admits them", async () => {
  const commands = await documentedCommands();
  assert.ok(commands.length >= 3);
  for (const args of commands) {
    const files: Record<string, string> = {};
    for (const arg of args.filter((word) => word.startsWith("examples/"))) {
      files[arg] = await Deno.readTextFile(new URL(arg, ROOT));
    }
    assert.ok(Object.keys(files).length > 0, args.join(" "));
    const withoutKey = args.filter((word, index) => word !== "--key" && args[index - 1] !== "--key");
    const signed = output(await run([...withoutKey, "--references=enforce"], "", files));
    output(await verify(signed, ["--references=enforce"]));
  }
});
