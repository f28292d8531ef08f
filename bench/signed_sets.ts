/**
 * Lists that racer's API server serves beside the pods that it makes itself: pods in template form, signed as podsign
 * signs, with what the API server and a Deployment's controller add to them.
 *
 * @module
 */
import { encodeBase64 } from "@signed-pods/shared/base64";
import { isJsonObject, type JsonObject, type JsonValue, objectAt, objectsAt } from "@signed-pods/shared/json";
import { contentDigest, type Pins } from "@signed-pods/shared/pod/pins";
import { createVerifier } from "@signed-pods/shared/pod/verify";
import { findPodTemplates } from "@signed-pods/shared/pod/workload";
import { buildSignedTemplate, encodeSignedTemplate } from "@signed-pods/shared/signed-template";
import { readSigningKey, sign, type SigningKey } from "@signed-pods/shared/signing";
import { SIGNATURE_ANNOTATION, SIGNED_TEMPLATE_ANNOTATION } from "@signed-pods/shared/verdict";
import type { Racer } from "./racer.ts";

/** Templates and pods in the list `replicas`. */
const TEMPLATES = 20;
const REPLICAS = 25;

/** Pods in the list `config-pods`, each with a ConfigMap of its own: what a node of this size has at most. */
export const CONFIG_PODS = 250;

/** Content of a ConfigMap: about the size of a program's configuration file. */
const CONFIG_BYTES = 2_000;

const encoder = new TextEncoder();

/** Writes `replicas`, `config-pods` and `configmaps` into racer's folder. */
export async function writeSignedSets({ folder }: Racer): Promise<void> {
  const key = await readSigningKey(await Deno.readTextFile(`${folder}/run/signing.key`));
  const seen: JsonValue = JSON.parse(await Deno.readTextFile(`${folder}/pod.json`));
  if (!isJsonObject(seen)) throw new TypeError("pod.json holds no pod");
  const pods: JsonObject[] = [];
  for (let template = 0; template < TEMPLATES; template++) {
    const replica = await deploy(seen, key, `web-${template}`, {}, {});
    for (let index = 0; index < REPLICAS; index++) pods.push(replica(template * REPLICAS + index));
  }
  const configPods: JsonObject[] = [];
  const configMaps: JsonObject[] = [];
  for (let index = 0; index < CONFIG_PODS; index++) {
    const content = `server ${index}\n`.repeat(CONFIG_BYTES).slice(0, CONFIG_BYTES);
    const name = `config-${index}`;
    configMaps.push({
      kind: "ConfigMap",
      apiVersion: "v1",
      metadata: {
        name,
        namespace: "default",
        uid: uidOf(2_000_000 + index),
        resourceVersion: "1000",
        creationTimestamp: "2026-11-23T12:58:29Z",
      },
      data: { "server.conf": content },
    });
    const pins = {
      configMaps: { [name]: { data: { "server.conf": await contentDigest(encoder.encode(content)) } } },
    };
    const replica = await deploy(seen, key, `configured-${index}`, {
      volumes: [{ name: "config", configMap: { name } }],
    }, pins);
    configPods.push(replica(1_000_000 + index));
  }
  await checkAdmitted(key, [...pods, ...configPods]);
  const write = async (name: string, value: JsonObject | JsonObject[]) =>
    await Deno.writeTextFile(`${folder}/sets/${name}.json`, JSON.stringify(value));
  await write("replicas", listOf(pods));
  await write("config-pods", listOf(configPods));
  await write("configmaps", configMaps);
}

function listOf(items: JsonObject[]): JsonObject {
  return { kind: "PodList", apiVersion: "v1", metadata: { resourceVersion: "99999" }, items };
}

function uidOf(number: number): string {
  return `aaaaaaaa-0000-4000-8000-${String(number).padStart(12, "0")}`;
}

/**
 * Signs a Deployment, and makes its pods.
 *
 * @param seen a pod as the API server shows it, from which the pods have what was added to them
 * @param more fields of the pod's spec
 */
async function deploy(
  seen: JsonObject,
  key: SigningKey,
  name: string,
  more: JsonObject,
  pins: Pins,
): Promise<(number: number) => JsonObject> {
  const live = objectAt(seen, "spec");
  const [container = {}] = objectsAt(live, "containers");
  const { image = null, command = null, resources = null } = container;
  const containers = [{ name: "main", image, command, args: ["--name", name], resources }];
  const labels = { app: name };
  const [location] = findPodTemplates({
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name, namespace: "default" },
    spec: {
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers, terminationGracePeriodSeconds: 1, ...more } },
    },
  });
  if (location === undefined) throw new TypeError("the Deployment has no pod template");
  const text = encodeSignedTemplate(buildSignedTemplate(location, { pins }));
  const annotations = {
    [SIGNATURE_ANNOTATION]: encodeBase64(await sign(key, encoder.encode(text))),
    [SIGNED_TEMPLATE_ANNOTATION]: text,
  };
  const spec = {
    ...live,
    containers: [{ ...container, args: ["--name", name] }],
    volumes: [
      ...objectsAt(more, "volumes").map((volume) =>
        "configMap" in volume
          ? { ...volume, configMap: { defaultMode: 420, ...objectAt(volume, "configMap") } }
          : volume
      ),
      ...objectsAt(live, "volumes"),
    ],
  };
  return (number) => ({
    metadata: {
      name: `${name}-6d4b75cb6d-${suffixOf(number)}`,
      generateName: `${name}-6d4b75cb6d-`,
      namespace: "default",
      uid: uidOf(number + 3_000_000),
      resourceVersion: String(1000 + number),
      generation: 1,
      creationTimestamp: "2026-11-23T12:58:29Z",
      labels: { ...labels, "pod-template-hash": "6d4b75cb6d" },
      annotations,
      ownerReferences: [{
        apiVersion: "apps/v1",
        kind: "ReplicaSet",
        name: `${name}-6d4b75cb6d`,
        uid: uidOf(4_000_000 + number),
        controller: true,
        blockOwnerDeletion: true,
      }],
    },
    spec,
    status: objectAt(seen, "status"),
  });
}

/** A number as the random end of a pod's name. */
function suffixOf(number: number): string {
  const alphabet = "bcdfghjklmnpqrstvwxz2456789";
  let rest = number;
  let text = "";
  while (text.length < 5) {
    text += alphabet[rest % alphabet.length];
    rest = Math.floor(rest / alphabet.length);
  }
  return text;
}

/** A bench of refusals would look fast. */
async function checkAdmitted(key: SigningKey, pods: readonly JsonObject[]): Promise<void> {
  const verifier = createVerifier({
    keys: [{ algorithm: key.algorithm, key: key.publicKey, id: key.id, source: "racer" }],
    acceptForms: new Set(["template"]),
    requireDigests: false,
    references: "enforce",
  });
  for (const pod of pods) {
    const verdict = await verifier.verifyPod(pod, { now: new Date() });
    if (verdict.decision === "deny") {
      throw new Error(`a pod of the bench is refused: ${JSON.stringify(verdict)}`);
    }
  }
}
