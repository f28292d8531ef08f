import assert from "node:assert/strict";
import { canonicalize } from "@signed-pods/shared/canonical-json";
import type { JsonValue } from "@signed-pods/shared/json";
import { checkPayload, type PayloadPolicy } from "./payload.ts";
import { RequestError, type RequestErrorCode } from "./request_error.ts";

function template(workload: JsonValue): string {
  return canonicalize({
    apiVersion: "kubelet-proxy.io/v1",
    kind: "SignedTemplate",
    workload,
    metadata: { labels: {}, annotations: {} },
    spec: { containers: [{ name: "app", image: "registry.example/app@sha256:" + "ab".repeat(32) }] },
  });
}

const POD = { apiVersion: "v1", kind: "Pod", namespace: "shop", name: "web" };
const ANYWHERE = { apiVersion: "v1", kind: "Pod", name: "web" };
const SHOP: PayloadPolicy = { templatesOnly: false, namespaces: new Set(["shop", "prod"]) };

function assertRefused(payload: string, policy: PayloadPolicy, code: RequestErrorCode): string {
  try {
    checkPayload(payload, policy);
  } catch (error) {
    assert.ok(error instanceof RequestError, String(error));
    assert.equal(error.code, code);
    return error.message;
  }
  assert.fail(`admitted: ${payload}`);
}

Deno.test("without a policy every text is signed, and a template's workload is known", () => {
  const everything = { templatesOnly: false };
  assert.equal(checkPayload("text", everything), undefined);
  assert.equal(checkPayload(JSON.stringify({ spec: 1 }), everything), undefined);
  assert.deepEqual(checkPayload(template(POD), everything), POD);
});

Deno.test("templates are signed where nothing else is, in all namespaces or in those allowed", () => {
  assert.deepEqual(checkPayload(template(POD), { templatesOnly: true }), POD);
  assert.deepEqual(checkPayload(template(ANYWHERE), { templatesOnly: true }), ANYWHERE);
  assert.deepEqual(checkPayload(template(POD), SHOP), POD);
});

const CONFIG_MAP = { apiVersion: "v1", kind: "ConfigMap", namespace: "shop", name: "web" };

function content(object: JsonValue): string {
  return canonicalize({
    apiVersion: "kubelet-proxy.io/v1",
    kind: "SignedContent",
    object,
    content: { data: { "nginx.conf": "sha256:" + "ab".repeat(32) } },
    signedAt: "2026-01-31T12:00:00Z",
  });
}

Deno.test("the content of a ConfigMap is signed where templates are", () => {
  for (const policy of [{ templatesOnly: false }, { templatesOnly: true }, SHOP]) {
    assert.deepEqual(checkPayload(content(CONFIG_MAP), policy), CONFIG_MAP);
  }
});

Deno.test("refuses the content of a ConfigMap of another namespace, or what is none", () => {
  assertRefused(content({ ...CONFIG_MAP, namespace: "bank" }), SHOP, "namespace-not-allowed");
  const secret = content({ ...CONFIG_MAP, kind: "Secret" });
  for (const payload of [secret, ` ${content(CONFIG_MAP)}`]) {
    assertRefused(payload, SHOP, "payload-not-template");
    assertRefused(payload, { templatesOnly: true }, "payload-not-template");
  }
});

Deno.test("refuses what is no signed template, with the flag and the reason", () => {
  const good = template(POD);
  const payloads = [
    "text",
    "{}",
    '{"containers":[]}',
    ` ${good}`,
    good.replace('"Pod"', '"pod"'),
    good.replace("{}", "{ }"),
  ];
  for (const payload of payloads) {
    assert.ok(
      assertRefused(payload, { templatesOnly: true }, "payload-not-template").includes("--templates-only"),
    );
    assert.ok(assertRefused(payload, SHOP, "payload-not-template").includes("--allow-namespaces"));
  }
});

Deno.test("refuses templates of other namespaces, with the namespace and the flag", () => {
  for (const namespace of ["kube-system", "shop2", "sho"]) {
    const message = assertRefused(template({ ...POD, namespace }), SHOP, "namespace-not-allowed");
    assert.ok(
      message.includes(`"${namespace}"`) && message.includes("--allow-namespaces shop,prod"),
      message,
    );
  }
});

Deno.test("refuses templates that may run in any namespace where some are allowed", () => {
  assert.ok(assertRefused(template(ANYWHERE), SHOP, "namespace-not-allowed").includes("--allow-namespaces"));
});

Deno.test("refuses a template that is wrong in many places in a message that stays short", () => {
  const labels = Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`k${index}`, "not a value!"]));
  const payload = template(POD).replace('"labels":{}', `"labels":${canonicalize(labels)}`);
  assert.ok(assertRefused(payload, { templatesOnly: true }, "payload-not-template").length < 600);
});
