/** The steps of judging one pod, each alone. */
import { decodeBase64 } from "@signed-pods/shared/base64";
import { canonicalize } from "@signed-pods/shared/canonical-json";
import { objectAt } from "@signed-pods/shared/json";
import { compareSpecs } from "@signed-pods/shared/pod/compare";
import { expand, minimal } from "@signed-pods/shared/pod/normal-form";
import { rebuildPod } from "@signed-pods/shared/pod/rebuild";
import { verifySignature } from "@signed-pods/shared/signature";
import { SIGNATURE_ANNOTATION } from "@signed-pods/shared/verdict";
import { makePod, newVerifier, VERIFICATION_KEY } from "./pods.ts";

const now = new Date("2026-12-01T00:00:00Z");
const pod = await makePod(1);
const spec = objectAt(pod, "spec");
const signed = new TextEncoder().encode(canonicalize(spec));
const signature = decodeBase64(
  String(objectAt(objectAt(pod, "metadata"), "annotations")[SIGNATURE_ANNOTATION]),
);
const expanded = expand(spec);
const known = newVerifier();
const verdict = await known.verifyPod(pod, { now });
if (verdict.decision === "deny") throw new Error("the pod is refused");
if (!await verifySignature(VERIFICATION_KEY, signature, signed)) {
  throw new Error("the signature does not verify");
}

Deno.bench("expand", () => void expand(spec));
Deno.bench("minimal", () => void minimal(spec));
Deno.bench("compare", () => void compareSpecs(expanded, expanded, { source: "pod", podName: "pod-1" }));
Deno.bench("rebuild", () => void rebuildPod(pod, verdict, { nodeName: "worker", now, first: false }));
Deno.bench("verify a signature, P-256", async () => {
  await verifySignature(VERIFICATION_KEY, signature, signed);
});
Deno.bench("judge a pod, first time", async () => {
  await newVerifier().verifyPod(pod, { now });
});
Deno.bench("judge a pod, known", async () => {
  await known.verifyPod(pod, { now });
});
