/**
 * Writes the parts of the documents that the code defines: `deno task generate`. With `--check` it writes nothing and
 * fails if a part is out of date. A part stands between `<!-- name -->` and `<!-- end -->`.
 *
 * @module
 */
import { ALGORITHMS, SUPPORTED_KEYS } from "../shared/algorithms.ts";
import { encodeBase64 } from "@signed-pods/shared/base64";
import {
  MAX_LIST_DEPTH,
  MAX_SIGNATURE_CHARACTERS,
  MAX_SIGNED_TEMPLATE_BYTES,
} from "@signed-pods/shared/bounds";
import { canonicalize } from "@signed-pods/shared/canonical-json";
import { flagTable } from "@signed-pods/shared/command-line";
import { isJsonObject, type JsonObject, type JsonValue, objectAt, objectsAt } from "@signed-pods/shared/json";
import { admittedFields } from "../shared/pod/confined.ts";
import { DEFAULT_ROWS, type DefaultRow, REWRITE_ROWS } from "../shared/pod/defaults.ts";
import { MAX_IMAGE_LENGTH } from "@signed-pods/shared/pod/image";
import { SCHEDULING_FIELD_REASONS } from "@signed-pods/shared/pod/normal-form";
import {
  MAX_QUANTITY_EXPONENT,
  MAX_QUANTITY_LENGTH,
  MAX_QUANTITY_VALUE,
} from "@signed-pods/shared/pod/quantity";
import { UNSIGNED_ANNOTATIONS, UNSIGNED_LABELS, type UnsignedKey } from "@signed-pods/shared/pod/metadata";
import { PERMISSIONS } from "@signed-pods/shared/pod/permissions";
import { KUBELET_SCHEDULING_FIELDS } from "../shared/pod/scheduling.ts";
import { fieldsOf } from "@signed-pods/shared/pod/schema";
import { createVerifier } from "@signed-pods/shared/pod/verify";
import { generateSigningKey, sign } from "@signed-pods/shared/signing";
import { DEFAULT_MAX_DEPTH, MAX_INTEGER_DIGITS } from "@signed-pods/shared/strict-json";
import {
  DENY_CODES,
  type DenyCode,
  SIGNATURE_ANNOTATION,
  SIGNED_TEMPLATE_ANNOTATION,
} from "@signed-pods/shared/verdict";
import { PODSIGN_FLAGS } from "../cli/options.ts";
import { type MetricDescription, METRICS } from "../proxy/operability/metrics.ts";
import { FLAGS as PROXY_FLAGS } from "../proxy/options.ts";
import { INIT_FLAGS } from "../proxy/own_leg/init_options.ts";
import { SIGNER_FLAGS } from "../signer/options.ts";
import { readVectors } from "../tests/vectors/read_vectors.ts";
import { CHART, performanceParts, recordedChart } from "./performance.ts";

const ROOT = new URL("../", import.meta.url);

const NO_HONEST_API_SERVER =
  "An API server that is in order does not do this: find out what is wrong with it.";

/** What to do about a refusal, by its code. */
const REMEDIES: Readonly<Record<DenyCode, string>> = {
  unsigned:
    "Sign the manifest and apply it again. What a webhook or an operator made has to be signed by its owner, too.",
  "signature-malformed": "Apply the signed manifest again: something cut or changed its annotations.",
  "signature-invalid":
    "Trust the owner's key on the node, or sign with a trusted one. Otherwise what was signed was changed.",
  "key-revoked": "Sign with the new key and apply again.",
  "namespace-not-allowed":
    "Sign with a key of that namespace, or put the key's file into the folder of the namespace as well.",
  "form-not-accepted": "Sign without `--form spec`.",
  "template-malformed": "Sign again with a podsign of the node's version.",
  "wrong-workload":
    "Sign for this name and namespace (`-n`), or apply it where it belongs. Annotations that were copied from another workload do not fit.",
  "not-yet-valid": "Wait, or sign with an earlier `--not-before`. See whether the node's clock is right.",
  expired: "Sign and apply again. See whether the node's clock is right.",
  "certificate-not-valid":
    "Trust a certificate of the key that holds, or sign with another key. See whether the node's clock is right.",
  "spec-differs":
    "The message names the fields. Your own change: sign again. A webhook's: `--allow`, or write it into the manifest. Nobody's: find out who did it.",
  "pod-malformed":
    "Use a kubelet-proxy that knows the fields of this Kubernetes; otherwise as with identity-conflict.",
  "identity-conflict": NO_HONEST_API_SERVER,
  "changed-after-admission": "A pod keeps its signature for life: delete it, and create it with the new one.",
  "reference-not-signed":
    "Neither pinned nor allowed: sign with the ConfigMap or Secret in the same input or in `--with-config`, or with the flag that the message names. Another pod or the kubelet has other content: give changed content a new name, or wait for the next try of the pod's controller; see objects.md.",
  "digest-required": "Write `image@sha256:…`, and sign and apply again.",
  "wrong-node": NO_HONEST_API_SERVER,
};

/** Each document's parts by name. */
const DOCUMENTS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "docs/reference.md": {
    "flags: kubelet-proxy": flagTable(PROXY_FLAGS),
    "flags: signing-server": flagTable(SIGNER_FLAGS),
    "flags: podsign": flagTable(
      PODSIGN_FLAGS.map((flag) => ({
        ...flag,
        description: `${flag.description} (${flag.commands.join(", ")})`,
      })),
    ),
    "deny-codes": table(
      ["code", "meaning", "what to do"],
      denyCodes().map((name) => [code(name), DENY_CODES[name], REMEDIES[name]]),
    ),
  },
  "docs/metrics.md": {
    "metrics": table(
      ["metric", "type", "labels", "meaning"],
      Object.entries(METRICS).map(([name, { type, labels, help }]: [string, MetricDescription]) => [
        code(name),
        type,
        labels.map(code).join(", "),
        help,
      ]),
    ),
  },
  "docs/performance.md": await performanceParts(table),
  "docs/own-leg.md": {
    "flags: kubelet-proxy init": flagTable(INIT_FLAGS),
  },
  "docs/signature-format.md": {
    "algorithms": algorithmTable(),
    "signed template": await templateExample("StatefulSet: service and claims"),
    "permissions": table(
      ["permission", "what it allows", "condition"],
      PERMISSIONS.map(({ form, allows, condition }) => [code(form), allows, condition]),
    ),
    "defaults": defaultTable(),
    "rewrites": table(
      ["type", "held by", "rule", "minimal form", "source"],
      REWRITE_ROWS.map(({ type, rule, shorten, source }) => [
        code(type),
        holders(type),
        rule,
        shorten === undefined ? "the same" : "leaves out what the rule puts back",
        source,
      ]),
    ),
    "scheduling": table(
      ["field", "why it is not signed", "shown to the kubelet"],
      Object.entries(SCHEDULING_FIELD_REASONS).map(([field, reason]) => [code(field), reason, shown(field)]),
    ),
    "shapes: service account token": await shape("service account token", (spec) => [
      ["the volume", objectsAt(spec, "volumes").at(-1)],
      ["the mount", objectsAt(containerOf(spec), "volumeMounts").at(-1)],
    ]),
    "shapes: OpenShift": await shape(
      "service account token: OpenShift's fourth source",
      (spec) => [["the fourth source", sourcesOf(objectsAt(spec, "volumes").at(-1)).at(-1)]],
    ),
    "shapes: stateful set": await shape("stateful set", ({ hostname, subdomain, volumes }) => [
      ["the fields, and the volumes, before those that were signed", { hostname, subdomain, volumes }],
    ]),
    "shapes: indexed job": await shape("indexed job", (spec) => [
      ["the field", { hostname: spec.hostname }],
      ["the variable", objectsAt(containerOf(spec), "env").at(-1)],
    ]),
    "extra containers": fieldList(admittedFields("initContainers")),
    "extra volumes": fieldList(admittedFields("volumes")),
    "labels": keyTable("label", UNSIGNED_LABELS),
    "annotations": keyTable("annotation", UNSIGNED_ANNOTATIONS),
    "bounds": boundTable(),
  },
};

function denyCodes(): DenyCode[] {
  return Object.keys(DENY_CODES).filter((name): name is DenyCode => name in REMEDIES);
}

// Markdown

function code(text: string): string {
  return `\`${text}\``;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |\n`;
  return `${line(head)}|${"---|".repeat(head.length)}\n${rows.map(line).join("")}`;
}

/** Fields, one after the other. */
function fieldList(fields: readonly string[]): string {
  return `${fields.map(code).join(", ")}\n`;
}

// What is signed

function algorithmTable(): string {
  const { rsa, ...curves } = ALGORITHMS;
  return table(["key", "object identifier", "signature over SHA-256"], [
    ...Object.values(curves).map(({ title, oid, scalarBytes }) => [
      title,
      oid,
      `ASN.1 DER sequence of the integers r and s (RFC 3279 section 2.2.3), each below the curve's order of ${scalarBytes} bytes`,
    ]),
    [
      `RSA, ${rsa.minModulusBits} to ${rsa.maxModulusBits} bits, public exponent ${rsa.minPublicExponent} to ` +
      `${rsa.maxPublicExponent}, odd`,
      rsa.oid,
      "PKCS#1 v1.5 (RFC 8017 section 8.2), as long as the modulus",
    ],
  ]);
}

async function vector(file: string, name: string): Promise<{ input: JsonObject; expected: JsonValue }> {
  const found = (await readVectors(file)).find((candidate) => candidate.name === name);
  if (found === undefined || !isJsonObject(found.input) || found.expected === undefined) {
    throw new Error(`tests/vectors/${file} has no vector "${name}"`);
  }
  return { input: found.input, expected: found.expected };
}

/** The signed text of a vector, indented for people. */
async function templateExample(name: string): Promise<string> {
  const { expected } = await vector("signed_templates.json", name);
  const template: unknown = JSON.parse(String(expected));
  return `\`\`\`json\n${JSON.stringify(template, null, 2)}\n\`\`\`\n`;
}

// The normal form

function defaultTable(): string {
  return table(
    ["type", "held by", "field", "default", "source"],
    DEFAULT_ROWS.map((
      row,
    ) => [code(row.type), holders(row.type), code(row.field), defaultOf(row), row.source]),
  );
}

function defaultOf({ value, rule }: DefaultRow): string {
  if (rule !== undefined) return rule;
  return code(JSON.stringify(typeof value === "function" ? value({}) : value));
}

/** The fields that hold objects of a type, in what a pod's spec reaches. */
function holders(wanted: string): string {
  const found: string[] = [];
  const seen = new Set<string>();
  const visit = (type: string) => {
    if (seen.has(type)) return;
    seen.add(type);
    for (const { name, type: part, shape } of fieldsOf(type).values()) {
      if (part === undefined) continue;
      if (part === wanted) found.push(code(`${type}.${name}${shape === "list" ? "[]" : ""}`));
      visit(part);
    }
  };
  visit("PodSpec");
  return found.join(", ");
}

function shown(field: string): string {
  if (field === "nodeName") return "this node's name";
  if (field === "affinity") return "the required node affinity alone";
  return KUBELET_SCHEDULING_FIELDS.includes(field) ? "the live value" : "no";
}

// What Kubernetes adds

/**
 * Shapes as the engine makes them: a vector's pod is signed and judged, and what the verdict holds is what the kubelet
 * would get.
 */
async function shape(
  name: string,
  pick: (spec: JsonObject) => [string, JsonValue | { [key: string]: JsonValue | undefined } | undefined][],
): Promise<string> {
  const { live, podName, ...signed } = (await vector("injected.json", name)).input;
  const text = canonicalize({
    apiVersion: "kubelet-proxy.io/v1",
    kind: "SignedTemplate",
    metadata: { labels: {}, annotations: {} },
    ...signed,
  });
  const key = await generateSigningKey("ec-p256");
  const signature = await sign(key, new TextEncoder().encode(text));
  const verdict = await createVerifier({
    keys: [{ algorithm: key.algorithm, key: key.publicKey, id: key.id, source: "generated" }],
    acceptForms: new Set(["template"]),
    requireDigests: false,
  }).verifyPod({
    metadata: {
      name: podName ?? null,
      namespace: "shop",
      uid: "00000000-0000-4000-8000-000000000000",
      annotations: { [SIGNATURE_ANNOTATION]: encodeBase64(signature), [SIGNED_TEMPLATE_ANNOTATION]: text },
    },
    spec: live ?? null,
  }, { now: new Date(0) });
  if (verdict.decision === "deny") throw new Error(`tests/vectors/injected.json: "${name}" is refused`);
  return pick(verdict.spec).map(([title, value]) =>
    `${title[0]?.toUpperCase()}${title.slice(1)}:\n\n\`\`\`json\n${JSON.stringify(value, null, 2)}\n\`\`\`\n`
  ).join("\n");
}

function containerOf(spec: JsonObject): JsonObject {
  const [container] = objectsAt(spec, "containers");
  if (container === undefined) throw new Error("the vector has no container");
  return container;
}

function sourcesOf(volume: JsonObject | undefined): JsonObject[] {
  return volume === undefined ? [] : objectsAt(objectAt(volume, "projected"), "sources");
}

// What reaches the kubelet unsigned

function keyTable(what: string, keys: ReadonlyMap<string, UnsignedKey>): string {
  return table([what, "values that are let through"], [...keys].map(([key, { form }]) => [code(key), form]));
}

function boundTable(): string {
  return table(["what", "bound"], [
    ["annotation `signed-template`", `${MAX_SIGNED_TEMPLATE_BYTES} bytes of UTF-8`],
    ["annotation `signature`", `${MAX_SIGNATURE_CHARACTERS} characters`],
    ["keys", SUPPORTED_KEYS],
    ["nesting of JSON", `${DEFAULT_MAX_DEPTH} levels`],
    ["digits of an integer in JSON", `${MAX_INTEGER_DIGITS}`],
    ["integers that have canonical JSON", `from -${Number.MAX_SAFE_INTEGER} to ${Number.MAX_SAFE_INTEGER}`],
    ["a quantity", `${MAX_QUANTITY_LENGTH} characters`],
    ["exponent of a quantity", `from -${MAX_QUANTITY_EXPONENT} to ${MAX_QUANTITY_EXPONENT}`],
    ["value of a quantity", `from -${MAX_QUANTITY_VALUE} to ${MAX_QUANTITY_VALUE}`],
    ["an image reference that can have a digest", `${MAX_IMAGE_LENGTH} characters`],
    ["lists within lists in one manifest", `${MAX_LIST_DEPTH} levels`],
  ]);
}

// Writing

let isStale = false;
for (const [path, parts] of Object.entries(DOCUMENTS)) {
  const before = await Deno.readTextFile(new URL(path, ROOT));
  let after = before;
  for (const [name, part] of Object.entries(parts)) {
    const start = `<!-- ${name} -->\n`;
    const [from, to] = [after.indexOf(start), after.indexOf("<!-- end -->", after.indexOf(start))];
    if (from < 0 || to < 0) throw new Error(`${path} has no place for "${name}"`);
    after = after.slice(0, from + start.length) + part + after.slice(to);
  }
  await put(path, before, after);
}
await put(CHART, await Deno.readTextFile(new URL(CHART, ROOT)), await recordedChart());
if (isStale) Deno.exit(1);

async function put(path: string, before: string, after: string): Promise<void> {
  if (before === after) return;
  if (Deno.args.includes("--check")) {
    console.error(`${path}: what is generated in it is out of date; run deno task generate`);
    isStale = true;
  } else {
    await Deno.writeTextFile(new URL(path, ROOT), after);
  }
}
