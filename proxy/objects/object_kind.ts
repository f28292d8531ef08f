/**
 * What is known of one kind of object: how it is named, and the rule by which one is judged.
 *
 * @module
 */
import type { Problem } from "@signed-pods/shared/errors";
import { isJsonObject, type JsonObject } from "@signed-pods/shared/json";
import type { ObjectDenyCode } from "./object_deny_code.ts";
import { fit, type Shape } from "./shape.ts";

/** The resources that kubelets read or write as objects, as paths name them. */
export const RESOURCE_NAMES = [
  "services",
  "configmaps",
  "secrets",
  "persistentvolumeclaims",
  "persistentvolumes",
  "volumeattachments",
  "csidrivers",
  "csinodes",
  "runtimeclasses",
  "nodes",
  "serviceaccounts",
  "serviceaccounts/token",
  "resourceclaims",
  "clustertrustbundles",
  "certificatesigningrequests",
  "podcertificaterequests",
] as const;

/** One of them. */
export type ResourceName = (typeof RESOURCE_NAMES)[number];

/** What came of judging one object: the one that is passed on, or what is wrong. */
export type JudgedObject =
  | { ok: true; object: JsonObject }
  | { ok: false; code: ObjectDenyCode; problems: readonly Problem[] };

/**
 * What becomes of a list with an object that is refused. `left-out`: the kubelet gets the others. `refused`: it gets
 * none and keeps what it has, which is the last good content; for lists of one object.
 */
export type InLists = "left-out" | "refused";

/** One kind of object. */
export interface ObjectKind {
  /** For example `RuntimeClass`. */
  readonly kind: string;
  /** Of its objects, if it is not that of the path. */
  readonly apiVersion?: string;
  readonly namespaced: boolean;
  readonly inLists: InLists;
  /** Judges one object. apiVersion and kind are checked already, and added to what comes out. */
  judge(object: JsonObject): JudgedObject;
}

/** A rule that is a shape and no more. */
export function byShape(shape: Shape): (object: JsonObject) => JudgedObject {
  return (object) => {
    const fitted = fit(shape, object);
    return !fitted.ok
      ? { ok: false, code: "object-malformed", problems: fitted.problems }
      : isJsonObject(fitted.value)
      ? { ok: true, object: fitted.value }
      : { ok: false, code: "object-malformed", problems: [{ path: "", message: "is not an object" }] };
  };
}
