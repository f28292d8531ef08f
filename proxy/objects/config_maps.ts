/**
 * ConfigMaps and Secrets. Their keys become names of files and of environment variables.
 *
 * Source: `IsConfigMapKey` of apimachinery's `validation.go`; `pkg/kubelet/kubelet_pods.go` makeEnvironmentVariables and
 * `pkg/volume/util/atomic_writer.go` of Kubernetes 1.36.3.
 *
 * @module
 */
import { getOwn, isJsonObject, type JsonObject } from "@signed-pods/shared/json";
import { MAX_SECRET_TYPE_LENGTH } from "@signed-pods/shared/pod/content";
import { isConfigMapKey } from "@signed-pods/shared/pod/grammar";
import { metadata } from "./metadata.ts";
import { anyText, BOOLEAN, checked, fields, map, type Shape, showKey } from "./shape.ts";
import { BYTES } from "./texts.ts";

/** Longest value, in characters: an object has at most 1 MiB (`MaxSecretSize`), and etcd takes 1.5 MiB. */
const MAX_VALUE_LENGTH = 2 * 1024 * 1024;

/** Most keys: more do not fit into an object. */
const MAX_KEYS = 100_000;

const KEY_FORM = 'of letters, digits, "-", "_" and "." that does not begin with ".."';

const BINARY: Shape = map(isConfigMapKey, KEY_FORM, BYTES, MAX_KEYS);

/** The fields of a ConfigMap that a kubelet reads. */
export const CONFIG_MAP: Shape = checked(
  fields({
    metadata: metadata({ namespaced: true }),
    immutable: BOOLEAN,
    data: map(isConfigMapKey, KEY_FORM, anyText(MAX_VALUE_LENGTH), MAX_KEYS),
    binaryData: BINARY,
  }, ["metadata"]),
  ({ data, binaryData }) => {
    const both = isJsonObject(data) && isJsonObject(binaryData) ? commonKey(data, binaryData) : undefined;
    return both === undefined
      ? undefined
      : { path: `binaryData[${showKey(both)}]`, message: "is a key of data, too" };
  },
);

/** The fields of a Secret that a kubelet reads. */
export const SECRET: Shape = fields({
  metadata: metadata({ namespaced: true }),
  immutable: BOOLEAN,
  type: anyText(MAX_SECRET_TYPE_LENGTH),
  data: BINARY,
}, ["metadata"]);

function commonKey(a: JsonObject, b: JsonObject): string | undefined {
  return Object.keys(a).find((key) => getOwn(b, key) !== undefined);
}
