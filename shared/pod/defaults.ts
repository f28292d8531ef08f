/**
 * What the API server adds to a pod's spec or rewrites in it before a kubelet sees it, as one table, in Kubernetes
 * 1.32 to 1.37. Kubelets do no defaulting of their own.
 *
 * Sources are in the repository kubernetes/kubernetes: `SetDefaults_…` and `default…` functions in
 * `pkg/apis/core/v1/defaults.go`, "generated" in `zz_generated.defaults.go` beside it, from `+default` marks in
 * `staging/src/k8s.io/api/core/v1/types.go`.
 *
 * Rows stand for all places where their type occurs: a pod has no place in which Kubernetes treats one of these
 * types otherwise, but for the init containers and containers (type Container) that differ from the ephemeral ones
 * (type EphemeralContainer).
 *
 * Not in the table:
 * - `schedulerName`, which no kubelet reads (it is one of the scheduling fields);
 * - pod-level `resources`: what is added to them depends on the version and its feature gates. What the owner
 *   writes there is taken as it is; an owner who uses them writes out requests and limits of both pod and containers.
 *
 * @module
 */
import { getOwn, isJsonObject, type JsonObject, type JsonValue, objectsAt, setOwn } from "../json.ts";
import { defaultPullPolicy } from "./image.ts";
import { canonicalAmount } from "./quantity.ts";

/** A field that gets a value if it has none. */
export interface DefaultRow {
  /** The type in the schema that has the field. */
  readonly type: string;
  readonly field: string;
  /** The value, or how it follows from the object's other fields; then `undefined` means none. */
  readonly value: JsonValue | ((object: JsonObject) => JsonValue | undefined);
  /** How the value follows from other fields, in words. */
  readonly rule?: string;
  /** Where Kubernetes does it, and since which version if not since the oldest supported. */
  readonly source: string;
}

/** A change that is more than one field with a value. */
export interface RewriteRow {
  /** The type in the schema of the objects that are changed. */
  readonly type: string;
  /** What is done, in short. */
  readonly rule: string;
  /**
   * Changes the object as the API server does. Doing it twice changes nothing more.
   *
   * @param object an object of the type, decoded
   * @param spec the spec of the pod that holds it
   */
  expand(object: JsonObject, spec: JsonObject): void;
  /** Removes from an expanded object what `expand` would put back. */
  shorten?(object: JsonObject, spec: JsonObject): void;
  /** Where Kubernetes does it. */
  readonly source: string;
}

/** Volumes without any source are empty directories. */
function emptyDirIfNoSource(volume: JsonObject): JsonValue | undefined {
  const hasSource = Object.keys(volume).some((field) => field !== "name" && field !== "emptyDir");
  return hasSource ? undefined : {};
}

/** How {@linkcode pullPolicyOf} decides. */
const PULL_POLICY_RULE = "by the image reference, see [Images](#images-and-pull-policy)";

function pullPolicyOf(field: string): (object: JsonObject) => JsonValue {
  return (object) => {
    const image = getOwn(object, field);
    return defaultPullPolicy(typeof image === "string" ? image : "");
  };
}

/** File mode 0644. */
const MODE = 0o644;

/** Every field with a default. */
export const DEFAULT_ROWS: readonly DefaultRow[] = [
  // The pod
  { type: "PodSpec", field: "dnsPolicy", value: "ClusterFirst", source: "SetDefaults_PodSpec" },
  { type: "PodSpec", field: "enableServiceLinks", value: true, source: "SetDefaults_Pod" },
  { type: "PodSpec", field: "restartPolicy", value: "Always", source: "SetDefaults_PodSpec" },
  { type: "PodSpec", field: "securityContext", value: () => ({}), source: "SetDefaults_PodSpec" },
  { type: "PodSpec", field: "terminationGracePeriodSeconds", value: 30, source: "SetDefaults_PodSpec" },

  // Containers
  {
    type: "Container",
    field: "imagePullPolicy",
    value: pullPolicyOf("image"),
    rule: PULL_POLICY_RULE,
    source: "SetDefaults_Container",
  },
  {
    type: "Container",
    field: "terminationMessagePath",
    value: "/dev/termination-log",
    source: "SetDefaults_Container",
  },
  { type: "Container", field: "terminationMessagePolicy", value: "File", source: "SetDefaults_Container" },
  {
    type: "EphemeralContainer",
    field: "imagePullPolicy",
    value: pullPolicyOf("image"),
    rule: PULL_POLICY_RULE,
    source: "SetDefaults_EphemeralContainer",
  },
  {
    type: "EphemeralContainer",
    field: "terminationMessagePath",
    value: "/dev/termination-log",
    source: "SetDefaults_EphemeralContainer",
  },
  {
    type: "EphemeralContainer",
    field: "terminationMessagePolicy",
    value: "File",
    source: "SetDefaults_EphemeralContainer",
  },
  { type: "ContainerPort", field: "protocol", value: "TCP", source: "generated" },
  {
    type: "ObjectFieldSelector",
    field: "apiVersion",
    value: "v1",
    source: "SetDefaults_ObjectFieldSelector",
  },
  { type: "ResourceFieldSelector", field: "divisor", value: "0", source: "Go prints the zero of Quantity" },
  { type: "FileKeySelector", field: "optional", value: false, source: "generated, 1.34" },

  // Probes and hooks
  { type: "Probe", field: "failureThreshold", value: 3, source: "SetDefaults_Probe" },
  { type: "Probe", field: "periodSeconds", value: 10, source: "SetDefaults_Probe" },
  { type: "Probe", field: "successThreshold", value: 1, source: "SetDefaults_Probe" },
  { type: "Probe", field: "timeoutSeconds", value: 1, source: "SetDefaults_Probe" },
  { type: "HTTPGetAction", field: "path", value: "/", source: "SetDefaults_HTTPGetAction" },
  { type: "HTTPGetAction", field: "scheme", value: "HTTP", source: "SetDefaults_HTTPGetAction" },
  { type: "GRPCAction", field: "service", value: "", source: "generated" },

  // Volumes
  {
    type: "Volume",
    field: "emptyDir",
    value: emptyDirIfNoSource,
    rule: "`{}` if the volume has no source at all",
    source: "SetDefaults_Volume",
  },
  {
    type: "ImageVolumeSource",
    field: "pullPolicy",
    value: pullPolicyOf("reference"),
    rule: PULL_POLICY_RULE,
    source: "SetDefaults_Volume; before 1.35 the API server drops image volumes",
  },
  { type: "SecretVolumeSource", field: "defaultMode", value: MODE, source: "SetDefaults_SecretVolumeSource" },
  {
    type: "ConfigMapVolumeSource",
    field: "defaultMode",
    value: MODE,
    source: "SetDefaults_ConfigMapVolumeSource",
  },
  {
    type: "DownwardAPIVolumeSource",
    field: "defaultMode",
    value: MODE,
    source: "SetDefaults_DownwardAPIVolumeSource",
  },
  {
    type: "ProjectedVolumeSource",
    field: "defaultMode",
    value: MODE,
    source: "SetDefaults_ProjectedVolumeSource",
  },
  {
    type: "ServiceAccountTokenProjection",
    field: "expirationSeconds",
    value: 3600,
    source: "SetDefaults_ServiceAccountTokenProjection",
  },
  { type: "HostPathVolumeSource", field: "type", value: "", source: "SetDefaults_HostPathVolumeSource" },
  {
    type: "PersistentVolumeClaimSpec",
    field: "volumeMode",
    value: "Filesystem",
    source: "SetDefaults_PersistentVolumeClaimSpec",
  },
  { type: "ISCSIVolumeSource", field: "iscsiInterface", value: "default", source: "generated" },
  { type: "RBDVolumeSource", field: "keyring", value: "/etc/ceph/keyring", source: "generated" },
  { type: "RBDVolumeSource", field: "pool", value: "rbd", source: "generated" },
  { type: "RBDVolumeSource", field: "user", value: "admin", source: "generated" },
  { type: "AzureDiskVolumeSource", field: "cachingMode", value: "ReadWrite", source: "generated" },
  { type: "AzureDiskVolumeSource", field: "fsType", value: "ext4", source: "generated" },
  { type: "AzureDiskVolumeSource", field: "kind", value: "Shared", source: "generated" },
  { type: "AzureDiskVolumeSource", field: "readOnly", value: false, source: "generated" },
  { type: "ScaleIOVolumeSource", field: "fsType", value: "xfs", source: "generated" },
  { type: "ScaleIOVolumeSource", field: "storageMode", value: "ThinProvisioned", source: "generated" },
];

/** Rounds each amount of a resource list up to thousandths. */
function roundAmounts(...fields: string[]): RewriteRow["expand"] {
  return (object) => {
    for (const field of fields) {
      const amounts = getOwn(object, field);
      if (!isJsonObject(amounts)) continue;
      for (const [resource, amount] of Object.entries(amounts)) {
        if (typeof amount === "string") setOwn(amounts, resource, canonicalAmount(amount));
      }
    }
  };
}

/** The ports of a container that is on the node's network; none otherwise. */
function hostNetworkPorts(container: JsonObject, spec: JsonObject): JsonObject[] {
  return getOwn(spec, "hostNetwork") === true ? objectsAt(container, "ports") : [];
}

const DEFAULT_SERVICE_ACCOUNT = "default";

/** Everything else that is rewritten. Rows of one type are applied in this order, before those of its parts. */
export const REWRITE_ROWS: readonly RewriteRow[] = [
  {
    type: "PodSpec",
    rule: "serviceAccount is an old name of serviceAccountName, which wins; without either it is default",
    expand(spec) {
      const name = getOwn(spec, "serviceAccountName") ?? getOwn(spec, "serviceAccount") ??
        DEFAULT_SERVICE_ACCOUNT;
      spec.serviceAccountName = name;
      spec.serviceAccount = name;
    },
    shorten(spec) {
      delete spec.serviceAccount;
      if (spec.serviceAccountName === DEFAULT_SERVICE_ACCOUNT) delete spec.serviceAccountName;
    },
    source:
      "pkg/apis/core/v1/conversion.go Convert_v1_PodSpec_To_core_PodSpec (1.37: SetDefaults_PodSpec); " +
      "plugin/pkg/admission/serviceaccount/admission.go Admit",
  },
  {
    type: "PodSpec",
    rule: "a negative terminationGracePeriodSeconds is 1",
    expand(spec) {
      const seconds = getOwn(spec, "terminationGracePeriodSeconds");
      if (typeof seconds === "number" && seconds < 0) spec.terminationGracePeriodSeconds = 1;
    },
    source: "pkg/apis/core/v1/conversion.go Convert_v1_Pod_To_core_Pod (1.37: SetDefaults_Pod)",
  },
  {
    type: "PodSpec",
    rule: "overhead is rounded up to thousandths",
    expand: roundAmounts("overhead"),
    source: "SetDefaults_ResourceList",
  },
  {
    type: "ResourceRequirements",
    rule: "amounts are rounded up to thousandths",
    expand: roundAmounts("limits", "requests"),
    source: "SetDefaults_ResourceList",
  },
  {
    type: "VolumeResourceRequirements",
    rule: "amounts are rounded up to thousandths",
    expand: roundAmounts("limits", "requests"),
    source: "SetDefaults_ResourceList",
  },
  {
    type: "Container",
    rule: "a resource with a limit and no request requests its limit",
    expand(container) {
      const resources = getOwn(container, "resources");
      const limits = isJsonObject(resources) ? getOwn(resources, "limits") : undefined;
      if (!isJsonObject(resources) || !isJsonObject(limits)) return;
      const written = getOwn(resources, "requests");
      const requests = isJsonObject(written) ? written : {};
      for (const [resource, limit] of Object.entries(limits)) {
        if (!Object.hasOwn(requests, resource)) setOwn(requests, resource, limit);
      }
      resources.requests = requests;
    },
    shorten(container) {
      const resources = getOwn(container, "resources");
      if (!isJsonObject(resources)) return;
      const { limits, requests } = resources;
      if (!isJsonObject(limits) || !isJsonObject(requests)) return;
      for (const [resource, limit] of Object.entries(limits)) {
        if (getOwn(requests, resource) === limit) delete requests[resource];
      }
      if (Object.keys(requests).length === 0) delete resources.requests;
    },
    source: "SetDefaults_Pod",
  },
  {
    type: "Container",
    rule: "on the node's network a container's port is the node's port",
    expand(container, spec) {
      for (const port of hostNetworkPorts(container, spec)) {
        const number = getOwn(port, "containerPort");
        if (!Object.hasOwn(port, "hostPort") && number !== undefined) port.hostPort = number;
      }
    },
    shorten(container, spec) {
      for (const port of hostNetworkPorts(container, spec)) {
        if (getOwn(port, "hostPort") === getOwn(port, "containerPort")) delete port.hostPort;
      }
    },
    source: "defaultHostNetworkPorts",
  },
  {
    type: "Container",
    rule:
      "a resizePolicy that restarts for nothing is as good as none, which is how Kubernetes 1.33 writes it",
    expand(container) {
      const policies = getOwn(container, "resizePolicy");
      const restarts = (policy: JsonValue) =>
        isJsonObject(policy) && getOwn(policy, "restartPolicy") !== "NotRequired";
      if (Array.isArray(policies) && !policies.some(restarts)) delete container.resizePolicy;
    },
    source: "SetDefaults_Pod of 1.32 with the feature gate InPlacePodVerticalScaling",
  },
  {
    type: "HTTPGetAction",
    rule: "protocol HTTP1 is as good as none, which is how versions and feature gates without it write it",
    expand(action) {
      if (getOwn(action, "protocol") === "HTTP1") delete action.protocol;
    },
    source: "defaultHTTPGetProtocol of 1.37 with the feature gate H2CContainerProbe",
  },
];
