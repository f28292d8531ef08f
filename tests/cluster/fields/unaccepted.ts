/**
 * The fields that an API server does not accept, and why. The suite proves each entry: what is accepted after all
 * must not be listed here.
 *
 * @module
 */
import type { JsonObject } from "@signed-pods/shared/json";
import { EPHEMERAL_CONTAINER, NODE_NAME } from "./examples.ts";

/** Fields that the API server takes out or refuses while a feature gate is off. */
export interface Gated {
  /** As `Type.field`. */
  fields: readonly string[];
  gate: string;
  /** The first minor version in which the gate is on by default; absent if there is none yet. */
  onSince?: string;
}

/** Source: `pkg/features/kube_features.go` and `DropDisabledPodFields` in `pkg/api/pod/util.go`. */
export const GATED: readonly Gated[] = [
  { fields: ["Volume.image"], gate: "ImageVolume", onSince: "1.35" },
  { fields: ["Container.restartPolicyRules"], gate: "ContainerRestartRules", onSince: "1.35" },
  { fields: ["EnvVarSource.fileKeyRef"], gate: "EnvFiles", onSince: "1.35" },
  { fields: ["PodSpec.hostnameOverride"], gate: "HostnameOverride", onSince: "1.35" },
  { fields: ["Lifecycle.stopSignal"], gate: "ContainerStopSignals" },
  {
    fields: ["VolumeProjection.clusterTrustBundle"],
    gate: "ClusterTrustBundleProjection",
    onSince: "1.37",
  },
  { fields: ["VolumeProjection.podCertificate"], gate: "PodCertificateRequest", onSince: "1.37" },
  { fields: ["PodSpec.schedulingGroup"], gate: "GenericWorkload" },
  { fields: ["PodSpec.evictionResponders"], gate: "EvictionRequestAPI" },
  { fields: ["EmptyDirVolumeSource.mode"], gate: "EmptyDirVolumeMode" },
  { fields: ["VolumeMount.bindMountOptions"], gate: "VolumeBindMountOptions" },
  { fields: ["HTTPGetAction.protocol"], gate: "H2CContainerProbe" },
  { fields: ["GRPCAction.mode"], gate: "GRPCContainerProbeTLS" },
  {
    fields: [
      "SecretVolumeSource.defaultUser",
      "ConfigMapVolumeSource.defaultUser",
      "DownwardAPIVolumeSource.defaultUser",
      "ProjectedVolumeSource.defaultUser",
      "KeyToPath.user",
      "DownwardAPIVolumeFile.user",
      "ServiceAccountTokenProjection.user",
      "ClusterTrustBundleProjection.user",
      "PodCertificateProjection.user",
    ],
    gate: "AtomicWriteVolumeUserFields",
  },
];

/** Fields that no API server accepts in a new pod. */
export interface Refused {
  /** As `Type.field`; the fields of its parts, if they are nowhere else, go with it. */
  field: string;
  why: string;
  /** A spec that sets it, valid otherwise. */
  spec: JsonObject;
}

/** A pod with one claim template, with these metadata. */
function withClaimMetadata(metadata: JsonObject): JsonObject {
  const spec = { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } };
  return {
    nodeName: NODE_NAME,
    volumes: [{ name: "a", ephemeral: { volumeClaimTemplate: { metadata, spec } } }],
    containers: [{ name: "app", image: "registry.example/app:1" }],
  };
}

const TIME = "2026-01-01T00:00:00Z";

/** What a claim template's metadata may not hold: all but labels and annotations. */
const CLAIM_METADATA: JsonObject = {
  name: "a",
  generateName: "a-",
  namespace: "default",
  selfLink: "/a",
  uid: "00000000-0000-4000-8000-000000000001",
  resourceVersion: "1",
  generation: 1,
  creationTimestamp: TIME,
  deletionTimestamp: TIME,
  deletionGracePeriodSeconds: 1,
  ownerReferences: [{
    apiVersion: "v1",
    kind: "ConfigMap",
    name: "a",
    uid: "00000000-0000-4000-8000-000000000001",
    controller: true,
    blockOwnerDeletion: true,
  }],
  finalizers: ["example.com/a"],
  managedFields: [{
    manager: "a",
    operation: "Update",
    apiVersion: "v1",
    time: TIME,
    fieldsType: "FieldsV1",
    fieldsV1: { "f:a": {} },
    subresource: "status",
  }],
};

export const REFUSED: readonly Refused[] = [
  {
    field: "PodSpec.ephemeralContainers",
    why: "they are added to pods that exist, never created with them (validatePodEphemeralContainers)",
    spec: {
      nodeName: NODE_NAME,
      containers: [{ name: "app", image: "registry.example/app:1" }],
      ephemeralContainers: [EPHEMERAL_CONTAINER],
    },
  },
  ...Object.entries(CLAIM_METADATA).map(([name, value]) => ({
    field: `ObjectMeta.${name}`,
    why: "a claim template has labels and annotations only (ValidatePersistentVolumeClaimTemplate)",
    spec: withClaimMetadata({ [name]: value }),
  })),
];
