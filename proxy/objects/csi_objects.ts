/**
 * CSIDrivers and CSINodes: how drivers want to be called, and which of them run here.
 *
 * Source: `pkg/volume/csi` of Kubernetes 1.36.3.
 *
 * @module
 */
import { ANY_ANNOTATIONS, LABELS, metadata } from "./metadata.ts";
import { CSI_NODE_SPEC } from "./nodes.ts";
import { anyText, BOOLEAN, fields, integer, list, type Shape, word } from "./shape.ts";

/** The fields of a CSIDriver that a kubelet reads. */
export const CSI_DRIVER: Shape = fields({
  metadata: metadata({ namespaced: false }),
  spec: fields({
    attachRequired: BOOLEAN,
    podInfoOnMount: BOOLEAN,
    volumeLifecycleModes: list(word("Persistent", "Ephemeral")),
    storageCapacity: BOOLEAN,
    fsGroupPolicy: word("ReadWriteOnceWithFSType", "File", "None"),
    tokenRequests: list(fields({
      audience: anyText(1024),
      expirationSeconds: integer(0, 2 ** 32),
    })),
    requiresRepublish: BOOLEAN,
    seLinuxMount: BOOLEAN,
    nodeAllocatableUpdatePeriodSeconds: integer(0, 2 ** 32),
    serviceAccountTokenInSecrets: BOOLEAN,
    preventPodSchedulingIfMissing: BOOLEAN,
  }),
}, ["metadata", "spec"]);

/** The fields of a CSINode. Its kubelet writes it back as a whole, so nothing that others wrote may be lost on the way. */
export const CSI_NODE: Shape = fields({
  metadata: metadata({
    namespaced: false,
    labels: LABELS,
    annotations: ANY_ANNOTATIONS,
    owners: true,
    finalizers: true,
  }),
  spec: CSI_NODE_SPEC,
}, ["metadata", "spec"]);
