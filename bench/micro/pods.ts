/** Pods for the micro-benchmarks: racer's pod, signed in spec form over the exact spec as racer signs it. */
import { encodeBase64 } from "@signed-pods/shared/base64";
import { canonicalize } from "@signed-pods/shared/canonical-json";
import { type JsonObject, objectAt } from "@signed-pods/shared/json";
import type { VerificationKey } from "@signed-pods/shared/keys";
import { createVerifier, type Verifier } from "@signed-pods/shared/pod/verify";
import { generateSigningKey, sign } from "@signed-pods/shared/signing";
import { SIGNATURE_ANNOTATION } from "@signed-pods/shared/verdict";
import { uidOf } from "../../tests/fakes/owner.ts";

const template: JsonObject = JSON.parse(
  await Deno.readTextFile(new URL("../racer/pod.json", import.meta.url)),
);
const key = await generateSigningKey("ec-p256");

/** What the pods verify with. */
export const VERIFICATION_KEY: VerificationKey = {
  algorithm: key.algorithm,
  key: key.publicKey,
  id: key.id,
  source: "bench",
};

/** Makes a verifier that has seen nothing. */
export function newVerifier(): Verifier {
  return createVerifier({
    keys: [VERIFICATION_KEY],
    acceptForms: new Set(["template", "spec"]),
    requireDigests: false,
  });
}

/** Makes one; no two numbers have the same spec. Fields stand in the order in which Go writes them. */
export async function makePod(number: number): Promise<JsonObject> {
  const pod = structuredClone(template);
  const metadata = objectAt(pod, "metadata");
  const spec = objectAt(pod, "spec");
  spec["hostname"] = `pod-${number}`;
  const signature = encodeBase64(await sign(key, new TextEncoder().encode(canonicalize(spec))));
  const { name: _name, uid: _uid, resourceVersion: _version, annotations: _annotations, ...rest } = metadata;
  pod["metadata"] = {
    name: `pod-${number}`,
    uid: uidOf(number),
    resourceVersion: String(1000 + number),
    ...rest,
    annotations: { ...objectAt(metadata, "annotations"), [SIGNATURE_ANNOTATION]: signature },
  };
  return pod;
}
