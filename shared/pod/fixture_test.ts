/**
 * Pods for tests, in the shapes that an API server 1.36.3 stores and serves: what the owner wrote, and what comes back.
 */
import { encodeBase64 } from "../base64.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../json.ts";
import type { VerificationKey } from "../keys.ts";
import { buildSignedTemplate, encodeSignedTemplate, type SignOptions } from "../signed_template.ts";
import { generateSigningKey, sign, type SigningKey } from "../signing.ts";
import { SIGNATURE_ANNOTATION, SIGNED_TEMPLATE_ANNOTATION } from "../verdict.ts";
import { expand } from "./normal_form.ts";
import { MAX_STATUS_PROSE_CHARACTERS, MAX_STATUS_TEXT_CHARACTERS } from "./status.ts";
import { findPodTemplates, type PodTemplateLocation } from "./workload.ts";

export const DIGEST = `sha256:${"a".repeat(64)}`;
export const IMAGE = `registry.example/shop/web@${DIGEST}`;
export const UID = "9e4a7bc6-e0b0-45bc-9fe5-0a5fae6d9107";
export const NODE = "worker";
export const TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount";
export const TOKEN_VOLUME = "kube-api-access-ptzbt";
export const INDEX_KEY = "batch.kubernetes.io/job-completion-index";

/** A spec as an owner writes it. */
export function ownerSpec(): JsonObject {
  return {
    initContainers: [{ name: "prepare", image: IMAGE, command: ["/bin/prepare"] }],
    containers: [{
      name: "app",
      image: IMAGE,
      command: ["/bin/serve"],
      args: ["--port", "8080"],
      env: [{ name: "MODE", value: "canary-secret" }],
      ports: [{ containerPort: 8080 }],
      volumeMounts: [{ name: "data", mountPath: "/data" }],
    }],
    volumes: [{ name: "data", emptyDir: {} }],
  };
}

export function tokenVolume(name: string = TOKEN_VOLUME): JsonObject {
  return {
    name,
    projected: {
      defaultMode: 420,
      sources: [
        { serviceAccountToken: { expirationSeconds: 3607, path: "token" } },
        { configMap: { name: "kube-root-ca.crt", items: [{ key: "ca.crt", path: "ca.crt" }] } },
        {
          downwardAPI: {
            items: [{ path: "namespace", fieldRef: { apiVersion: "v1", fieldPath: "metadata.namespace" } }],
          },
        },
      ],
    },
  };
}

export function tokenMount(name: string = TOKEN_VOLUME): JsonObject {
  return { name, readOnly: true, mountPath: TOKEN_PATH };
}

export function indexEnv(): JsonObject {
  return {
    name: "JOB_COMPLETION_INDEX",
    valueFrom: { fieldRef: { apiVersion: "v1", fieldPath: `metadata.labels['${INDEX_KEY}']` } },
  };
}

/** A spec as the API server serves it for a scheduled pod: defaults, scheduling fields, the service account's token. */
export function liveSpec(spec: JsonObject = ownerSpec()): JsonObject {
  const live = expand(spec);
  for (const list of ["initContainers", "containers"]) {
    for (const container of items(live, list)) {
      container.volumeMounts = [...items(container, "volumeMounts"), tokenMount()];
    }
  }
  return {
    ...live,
    volumes: [...items(live, "volumes"), tokenVolume()],
    nodeName: NODE,
    schedulerName: "default-scheduler",
    priority: 0,
    preemptionPolicy: "PreemptLowerPriority",
    tolerations: ["not-ready", "unreachable"].map((taint) => ({
      effect: "NoExecute",
      key: `node.kubernetes.io/${taint}`,
      operator: "Exists",
      tolerationSeconds: 300,
    })),
  };
}

/** The objects of a list, to be changed in place. */
export function items(object: JsonObject, key: string): JsonObject[] {
  const value = object[key];
  return Array.isArray(value) ? value.filter(isJsonObject) : [];
}

/** Adds an item to a list. */
export function push(object: JsonObject, key: string, item: JsonObject): void {
  object[key] = [...items(object, key), item];
}

/** An item of a list by its name, to be changed in place. */
export function named(object: JsonObject, key: string, name: string): JsonObject {
  const item = items(object, key).find((candidate) => candidate.name === name);
  if (item === undefined) throw new Error(`the fixture has no ${key}[${name}]`);
  return item;
}

export function part(object: JsonObject, ...path: string[]): JsonObject {
  let found = object;
  for (const key of path) {
    const next = found[key];
    if (!isJsonObject(next)) throw new Error(`the fixture has no ${path.join(".")}`);
    found = next;
  }
  return found;
}

export function deployment(spec: JsonObject = ownerSpec(), metadata: JsonObject = {}): JsonObject {
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "web", namespace: "shop" },
    spec: {
      replicas: 2,
      selector: { matchLabels: { app: "web" } },
      template: { metadata: { labels: { app: "web" }, ...metadata }, spec },
    },
  };
}

export function statefulSet(spec: JsonObject = ownerSpec(), more: JsonObject = {}): JsonObject {
  return {
    apiVersion: "apps/v1",
    kind: "StatefulSet",
    metadata: { name: "db", namespace: "shop" },
    spec: {
      serviceName: "db-headless",
      template: { metadata: { labels: { app: "db" } }, spec },
      volumeClaimTemplates: [{ metadata: { name: "store" }, spec: { accessModes: ["ReadWriteOnce"] } }],
      ...more,
    },
  };
}

export function job(
  spec: JsonObject = ownerSpec(),
  more: JsonObject = { completionMode: "Indexed" },
): JsonObject {
  return {
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: { name: "sums", namespace: "shop" },
    spec: { completions: 3, template: { spec: { restartPolicy: "Never", ...spec } }, ...more },
  };
}

export function cronJob(name: string, more: JsonObject = {}): JsonObject {
  return {
    apiVersion: "batch/v1",
    kind: "CronJob",
    metadata: { name, namespace: "shop" },
    spec: {
      schedule: "* * * * *",
      jobTemplate: { spec: { template: { spec: { restartPolicy: "Never", ...ownerSpec() } }, ...more } },
    },
  };
}

export function pod(spec: JsonObject = ownerSpec(), metadata: JsonObject = {}): JsonObject {
  return { apiVersion: "v1", kind: "Pod", metadata: { name: "web", namespace: "shop", ...metadata }, spec };
}

/** A pod as the API server serves it. */
export function livePod(
  name: string,
  spec: JsonObject,
  metadata: { labels?: JsonObject; annotations?: JsonObject; [key: string]: JsonValue } = {},
): JsonObject {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name,
      namespace: "shop",
      uid: UID,
      resourceVersion: "284",
      generation: 1,
      creationTimestamp: "2026-11-23T12:58:29Z",
      ...metadata,
    },
    spec,
    status: { phase: "Pending", qosClass: "BestEffort" },
  };
}

export function firstTemplate(document: JsonValue): PodTemplateLocation {
  const [location] = findPodTemplates(document);
  if (location === undefined) throw new Error("the fixture has no pod template");
  return location;
}

/** A new key pair, as signers and verifiers hold it. */
export async function keyPair(
  dates: { notBefore?: Date; notAfter?: Date } = {},
): Promise<{ signer: SigningKey; verifier: VerificationKey }> {
  const signer = await generateSigningKey("ec-p256");
  const { algorithm, publicKey, id } = signer;
  return { signer, verifier: { algorithm, key: publicKey, id, source: "test", ...dates } };
}

export async function signText(signer: SigningKey, text: string): Promise<string> {
  return encodeBase64(await sign(signer, new TextEncoder().encode(text)));
}

/** The annotations that the template form puts into a pod template. */
export async function templateAnnotations(
  signer: SigningKey,
  document: JsonValue,
  options: SignOptions = {},
): Promise<Record<string, string>> {
  const text = encodeSignedTemplate(buildSignedTemplate(firstTemplate(document), options));
  return { [SIGNATURE_ANNOTATION]: await signText(signer, text), [SIGNED_TEMPLATE_ANNOTATION]: text };
}

/** Statuses that are not forwarded, with what is wrong with each. */
export const BAD_STATUSES: [string, JsonValue][] = [
  ["a status that is no object", []],
  ["an unknown phase", { phase: "Dancing" }],
  ["a phase of another type", { phase: 1 }],
  ["conditions of another type", { conditions: {} }],
  ["a condition with a control character", { conditions: [{ type: "Ready\u0000", status: "True" }] }],
  ["a reason that is too long", { reason: "x".repeat(MAX_STATUS_TEXT_CHARACTERS + 1) }],
  ["a message that is too long", { message: "x".repeat(MAX_STATUS_PROSE_CHARACTERS + 1) }],
  ["a container ID that is a path", {
    containerStatuses: [{ name: "a", containerID: "containerd://../../x" }],
  }],
  ["a resource's name with a control character", { allocatedResources: { "a\nb": "1" } }],
  ["a pod IP that is a name", { podIP: "metadata.google.internal" }],
  ["a pod IP with a command", { podIPs: [{ ip: "10.0.0.1" }, { ip: "$(reboot)" }] }],
  ["a host IP with a port", { hostIP: "10.0.0.1:80" }],
  ["a host IP with a zone", { hostIPs: [{ ip: "fe80::1%eth0" }] }],
];
