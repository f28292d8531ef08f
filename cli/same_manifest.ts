/**
 * Compares a manifest with its signed self.
 *
 * @module
 */
import { equalJson, isJsonObject, type JsonValue } from "@signed-pods/shared/json";
import { SALT_ANNOTATION } from "@signed-pods/shared/pod/pins";
import { SIGNED_CONTENT_ANNOTATION } from "@signed-pods/shared/signed-content";
import { SIGNATURE_ANNOTATION, SIGNED_TEMPLATE_ANNOTATION } from "@signed-pods/shared/verdict";
import type { Path } from "./manifest.ts";

/** What podsign writes, be it into pods, ConfigMaps or Secrets. */
const OUR_ANNOTATIONS = [
  SIGNATURE_ANNOTATION,
  SIGNED_TEMPLATE_ANNOTATION,
  SIGNED_CONTENT_ANNOTATION,
  SALT_ANNOTATION,
];

/**
 * Whether two documents differ in nothing but the annotations that hold signatures, at the given places.
 *
 * @param before a document
 * @param after the document after it was signed
 * @param paths ways to the objects whose metadata may hold signatures or salts
 */
export function isSameButForSignatures(before: JsonValue, after: JsonValue, paths: readonly Path[]): boolean {
  const [left, right] = [structuredClone(before), structuredClone(after)];
  for (const path of paths) {
    removeSignature(left, path);
    removeSignature(right, path);
  }
  return equalJson(left, right);
}

/** Takes our annotations away, and the mappings that then are empty or were never there. */
function removeSignature(root: JsonValue, path: Path): void {
  let target: JsonValue | undefined = root;
  for (const step of path) {
    target = typeof step === "number"
      ? (Array.isArray(target) ? target[step] : undefined)
      : (isJsonObject(target) ? target[step] : undefined);
  }
  if (!isJsonObject(target)) return;
  const metadata = target.metadata ?? null;
  if (isJsonObject(metadata)) {
    const annotations = metadata.annotations ?? null;
    if (isJsonObject(annotations)) {
      for (const annotation of OUR_ANNOTATIONS) delete annotations[annotation];
    }
    if (isEmpty(annotations)) delete metadata.annotations;
  }
  if (isEmpty(metadata)) delete target.metadata;
}

function isEmpty(value: JsonValue): boolean {
  return value === null || (isJsonObject(value) && Object.keys(value).length === 0);
}
