/**
 * The table of kinds: every object that a kubelet reads has its rule here. What has none is not read through the proxy.
 *
 * @module
 */
import type { JsonObject } from "@signed-pods/shared/json";
import type { AllowedVolume } from "./allowed_volumes.ts";
import { CLUSTER_TRUST_BUNDLE, POD_CERTIFICATE_REQUEST, SIGNING_REQUEST } from "./certificates.ts";
import { CONFIG_MAP, SECRET } from "./config_maps.ts";
import { CSI_DRIVER, CSI_NODE } from "./csi_objects.ts";
import { NODE } from "./nodes.ts";
import {
  byShape,
  type InLists,
  type JudgedObject,
  type ObjectKind,
  type ResourceName,
} from "./object_kind.ts";
import {
  judgePersistentVolume,
  judgeVolumeAttachment,
  PERSISTENT_VOLUME_CLAIM,
} from "./persistent_volumes.ts";
import { judgeResourceClaim } from "./resource_claims.ts";
import { judgeRuntimeClass } from "./runtime_classes.ts";
import { SERVICE_ACCOUNT, TOKEN_REQUEST } from "./service_accounts.ts";
import { SERVICE } from "./services.ts";

/** The rules of one node. */
export type ObjectKinds = Readonly<Record<ResourceName, ObjectKind>>;

/** What the node's operator decided. */
export interface ObjectPolicy {
  /** Name of the Node object. */
  nodeName: string;
  /** Volumes that a claim may lead to. */
  allowedVolumes: readonly AllowedVolume[];
  /** Handlers by the names of RuntimeClasses. */
  runtimeClasses: ReadonlyMap<string, string>;
  /** Handlers that owners of pods on this node signed for a RuntimeClass. */
  signedHandlers?: (runtimeClass: string) => ReadonlySet<string>;
  /** Drivers whose devices a ResourceClaim may have. */
  deviceDrivers: ReadonlySet<string>;
}

/** Makes the table. */
export function createObjectKinds(policy: ObjectPolicy): ObjectKinds {
  const { nodeName, allowedVolumes, runtimeClasses, deviceDrivers, signedHandlers = () => new Set() } =
    policy;
  return {
    services: namespaced("Service", byShape(SERVICE)),
    configmaps: namespaced("ConfigMap", byShape(CONFIG_MAP), "refused"),
    secrets: namespaced("Secret", byShape(SECRET), "refused"),
    persistentvolumeclaims: namespaced("PersistentVolumeClaim", byShape(PERSISTENT_VOLUME_CLAIM)),
    persistentvolumes: clusterWide(
      "PersistentVolume",
      (object) => judgePersistentVolume(object, allowedVolumes),
    ),
    volumeattachments: clusterWide(
      "VolumeAttachment",
      (object) => judgeVolumeAttachment(object, allowedVolumes, nodeName),
    ),
    csidrivers: clusterWide("CSIDriver", byShape(CSI_DRIVER)),
    csinodes: clusterWide("CSINode", byShape(CSI_NODE)),
    runtimeclasses: clusterWide(
      "RuntimeClass",
      (object) => judgeRuntimeClass(object, runtimeClasses, signedHandlers),
    ),
    nodes: clusterWide("Node", byShape(NODE), "refused"),
    serviceaccounts: namespaced("ServiceAccount", byShape(SERVICE_ACCOUNT)),
    "serviceaccounts/token": {
      ...namespaced("TokenRequest", byShape(TOKEN_REQUEST)),
      apiVersion: "authentication.k8s.io/v1",
    },
    resourceclaims: namespaced("ResourceClaim", (object) => judgeResourceClaim(object, deviceDrivers)),
    clustertrustbundles: clusterWide("ClusterTrustBundle", byShape(CLUSTER_TRUST_BUNDLE)),
    certificatesigningrequests: clusterWide("CertificateSigningRequest", byShape(SIGNING_REQUEST), "refused"),
    podcertificaterequests: namespaced("PodCertificateRequest", byShape(POD_CERTIFICATE_REQUEST)),
  };
}

function namespaced(
  kind: string,
  judge: (object: JsonObject) => JudgedObject,
  inLists: InLists = "left-out",
): ObjectKind {
  return { kind, namespaced: true, inLists, judge };
}

function clusterWide(
  kind: string,
  judge: (object: JsonObject) => JudgedObject,
  inLists: InLists = "left-out",
): ObjectKind {
  return { kind, namespaced: false, inLists, judge };
}
