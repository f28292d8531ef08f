/**
 * The metadata of objects other than pods, as it is passed on.
 *
 * @module
 */
import {
  isDnsLabel,
  isDnsSubdomain,
  isLabelValue,
  isQualifiedName,
  isResourceVersion,
  isUid,
} from "@signed-pods/shared/pod/grammar";
import { anyText, BOOLEAN, fields, integer, list, map, type Shape, text, TIME } from "./shape.ts";

/** A name that is a DNS subdomain, as most objects' is. */
export const SUBDOMAIN: Shape = text(isDnsSubdomain, "a DNS subdomain");

/** A name that is a DNS label (RFC 1123). */
export const LABEL: Shape = text(isDnsLabel, "a DNS label");

/** A UUID in lower case. */
export const UID: Shape = text(isUid, "a UUID in lower case");

/** The keys of labels and annotations. */
export const QUALIFIED_NAME: Shape = text(isQualifiedName, "a qualified name");

/** Labels. */
export const LABELS: Shape = map(
  isQualifiedName,
  "a qualified name",
  text(isLabelValue, "a label's value"),
);

/** Annotations whose values nothing on the node obeys. */
export const ANY_ANNOTATIONS: Shape = map(isQualifiedName, "a qualified name", anyText(256 * 1024));

/** Who owns an object. */
const OWNERS: Shape = list(fields({
  apiVersion: anyText(300),
  kind: anyText(100),
  name: anyText(253),
  uid: UID,
  controller: BOOLEAN,
  blockOwnerDeletion: BOOLEAN,
}, ["apiVersion", "kind", "name", "uid"]));

/** What of the metadata differs from kind to kind. */
export interface MetadataShape {
  /** Default: {@linkcode SUBDOMAIN}. */
  name?: Shape;
  /** Whether objects of the kind have a namespace. */
  namespaced: boolean;
  /** Left out unless given. */
  labels?: Shape;
  /** Left out unless given. */
  annotations?: Shape;
  /** Whether owners are passed on. */
  owners?: boolean;
  /** Whether finalizers are passed on. */
  finalizers?: boolean;
}

/** The shape of an object's metadata. */
export function metadata(of: MetadataShape): Shape {
  return fields({
    name: of.name ?? SUBDOMAIN,
    ...(of.namespaced ? { namespace: LABEL } : {}),
    uid: UID,
    resourceVersion: text(isResourceVersion, "a decimal number"),
    generation: integer(0, Number.MAX_SAFE_INTEGER),
    creationTimestamp: TIME,
    deletionTimestamp: TIME,
    deletionGracePeriodSeconds: integer(0, Number.MAX_SAFE_INTEGER),
    ...(of.labels === undefined ? {} : { labels: of.labels }),
    ...(of.annotations === undefined ? {} : { annotations: of.annotations }),
    ...(of.owners ? { ownerReferences: OWNERS } : {}),
    ...(of.finalizers ? { finalizers: list(anyText(300)) } : {}),
  }, ["name", "uid", "resourceVersion", ...(of.namespaced ? ["namespace"] : [])]);
}
