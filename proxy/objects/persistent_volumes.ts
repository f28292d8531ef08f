/**
 * Claims, the volumes that they lead to, and how these are attached. A claim leads wherever the API server says; only
 * the UID of the claim is compared by the kubelet.
 *
 * Source: `pkg/kubelet/volumemanager/populator/desired_state_of_world_populator.go`, `pkg/volume/util/util.go`
 * MountOptionFromSpec and `pkg/volume/csi` of Kubernetes 1.36.3.
 *
 * @module
 */
import type { Problem } from "@signed-pods/shared/errors";
import { getOwn, type JsonObject, objectAt } from "@signed-pods/shared/json";
import { isDnsSubdomain, isQualifiedName } from "@signed-pods/shared/pod/grammar";
import {
  type AllowedVolume,
  isDriverName,
  takesDriver,
  VOLUME_PLUGINS,
  type VolumePlugin,
} from "./allowed_volumes.ts";
import { LABEL, metadata, QUALIFIED_NAME, SUBDOMAIN, UID } from "./metadata.ts";
import { byShape, type JudgedObject } from "./object_kind.ts";
import {
  anyText,
  BOOLEAN,
  COUNT,
  fields,
  integer,
  list,
  map,
  type Shape,
  text,
  TIME,
  word,
} from "./shape.ts";
import { AMOUNTS, CONDITION, LINE, MESSAGE } from "./texts.ts";

const ACCESS_MODES: Shape = list(word("ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"));
const VOLUME_MODE: Shape = word("Filesystem", "Block");
/** Empty where there is no class, or no volume yet. */
const NAME_OR_EMPTY: Shape = text((found) => found === "" || isDnsSubdomain(found), "a DNS subdomain");

/** The fields of a PersistentVolumeClaim that a kubelet reads. */
export const PERSISTENT_VOLUME_CLAIM: Shape = fields({
  metadata: metadata({
    namespaced: true,
    // The pod that owns the claim of a generic ephemeral volume.
    owners: true,
    annotations: fields({ "volume.kubernetes.io/storage-resizer": SUBDOMAIN }),
  }),
  spec: fields({
    accessModes: ACCESS_MODES,
    resources: fields({ requests: AMOUNTS, limits: AMOUNTS }),
    volumeName: NAME_OR_EMPTY,
    storageClassName: NAME_OR_EMPTY,
    volumeMode: VOLUME_MODE,
    volumeAttributesClassName: NAME_OR_EMPTY,
  }),
  status: fields({
    phase: word("Pending", "Bound", "Lost"),
    accessModes: ACCESS_MODES,
    capacity: AMOUNTS,
    conditions: list(CONDITION),
    allocatedResources: AMOUNTS,
    allocatedResourceStatuses: map(isQualifiedName, "a qualified name", anyText(100)),
    currentVolumeAttributesClassName: NAME_OR_EMPTY,
    modifyVolumeStatus: fields({ targetVolumeAttributesClassName: NAME_OR_EMPTY, status: anyText(100) }),
  }),
}, ["metadata", "spec"]);

const SECRET_REFERENCE: Shape = fields({ name: NAME_OR_EMPTY, namespace: LABEL });
const LOCAL_SECRET_REFERENCE: Shape = fields({ name: NAME_OR_EMPTY });
/** A type of file system becomes an argument of mount and mkfs, and part of that command's name. */
const FS_TYPE: Shape = text(
  (found) => /^[A-Za-z0-9._-]{0,64}$/.test(found) && !found.startsWith("-"),
  "a file system",
);
const ABSOLUTE_PATH: Shape = text(
  (found) => /^\/[\x20-\x7e]{0,4095}$/.test(found) && !found.split("/").includes(".."),
  'an absolute path without ".."',
);
const HOST: Shape = text((found) => /^[A-Za-z0-9[][A-Za-z0-9.:_%[\]-]{0,252}$/.test(found), "a host");
/** A part of a path below /dev/disk/by-path, which the kubelet puts together of these. */
const DEVICE_WORD: Shape = text(
  (found) => /^[A-Za-z0-9][A-Za-z0-9.:_-]{0,252}$/.test(found),
  "a name of a device",
);
const WORLD_WIDE_NAME: Shape = text((found) => /^[A-Za-z0-9]{1,64}$/.test(found), "a world wide name");
const PARTITION: Shape = integer(0, 256);

/** The source of a volume, by plugin. */
const SOURCES: Readonly<Record<VolumePlugin, Shape>> = {
  awsElasticBlockStore: fields({ volumeID: LINE, fsType: FS_TYPE, partition: PARTITION, readOnly: BOOLEAN }),
  azureDisk: fields({
    diskName: LINE,
    diskURI: LINE,
    cachingMode: word("None", "ReadOnly", "ReadWrite"),
    fsType: FS_TYPE,
    readOnly: BOOLEAN,
    kind: word("Shared", "Dedicated", "Managed"),
  }),
  azureFile: fields({
    secretName: NAME_OR_EMPTY,
    secretNamespace: LABEL,
    shareName: LINE,
    readOnly: BOOLEAN,
  }),
  cinder: fields({ volumeID: LINE, fsType: FS_TYPE, readOnly: BOOLEAN, secretRef: LOCAL_SECRET_REFERENCE }),
  csi: fields({
    driver: text((found) => isDriverName("csi", found), "the name of a CSI driver"),
    volumeHandle: LINE,
    readOnly: BOOLEAN,
    fsType: FS_TYPE,
    volumeAttributes: map((key) => key.length <= 253, "at most 253 characters", anyText(64 * 1024)),
    controllerPublishSecretRef: SECRET_REFERENCE,
    nodeStageSecretRef: SECRET_REFERENCE,
    nodePublishSecretRef: SECRET_REFERENCE,
    controllerExpandSecretRef: SECRET_REFERENCE,
    nodeExpandSecretRef: SECRET_REFERENCE,
  }, ["driver", "volumeHandle"]),
  fc: fields({
    targetWWNs: list(WORLD_WIDE_NAME),
    lun: COUNT,
    fsType: FS_TYPE,
    readOnly: BOOLEAN,
    wwids: list(DEVICE_WORD),
  }),
  flexVolume: fields({
    driver: text((found) => isDriverName("flexVolume", found), "the name of a FlexVolume driver"),
    fsType: FS_TYPE,
    secretRef: SECRET_REFERENCE,
    readOnly: BOOLEAN,
    options: map(isQualifiedName, "a qualified name", anyText(64 * 1024)),
  }, ["driver"]),
  gcePersistentDisk: fields({
    pdName: DEVICE_WORD,
    fsType: FS_TYPE,
    partition: PARTITION,
    readOnly: BOOLEAN,
  }),
  iscsi: fields({
    targetPortal: HOST,
    iqn: DEVICE_WORD,
    lun: COUNT,
    iscsiInterface: DEVICE_WORD,
    fsType: FS_TYPE,
    readOnly: BOOLEAN,
    portals: list(HOST),
    chapAuthDiscovery: BOOLEAN,
    chapAuthSession: BOOLEAN,
    secretRef: SECRET_REFERENCE,
    initiatorName: DEVICE_WORD,
  }),
  nfs: fields({ server: HOST, path: ABSOLUTE_PATH, readOnly: BOOLEAN }, ["server", "path"]),
  portworxVolume: fields({ volumeID: LINE, fsType: FS_TYPE, readOnly: BOOLEAN }),
  vsphereVolume: fields({
    volumePath: LINE,
    fsType: FS_TYPE,
    storagePolicyName: LINE,
    storagePolicyID: LINE,
  }),
};

const REQUIREMENTS: Shape = list(fields({
  key: QUALIFIED_NAME,
  operator: word("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"),
  values: list(text((found) => /^[A-Za-z0-9._-]{0,253}$/.test(found), "a label's value")),
}, ["key", "operator"]));

/** Terms by which nodes are chosen. */
const NODE_SELECTOR: Shape = fields({
  nodeSelectorTerms: list(fields({ matchExpressions: REQUIREMENTS, matchFields: REQUIREMENTS })),
});

/** Mount options once stood in an annotation, which still wins over the field. */
const MOUNT_OPTIONS_ANNOTATION = "volume.beta.kubernetes.io/mount-options";

const PERSISTENT_VOLUME: Shape = fields({
  metadata: metadata({
    namespaced: false,
    annotations: fields({
      "pv.beta.kubernetes.io/gid": text(
        (found) => /^[1-9][0-9]{0,9}$/.test(found) && Number(found) < 2 ** 31,
        "a group ID from 1",
      ),
      [MOUNT_OPTIONS_ANNOTATION]: text(() => false, "allowed; use spec.mountOptions"),
    }),
  }),
  spec: fields({
    ...SOURCES,
    capacity: AMOUNTS,
    accessModes: ACCESS_MODES,
    claimRef: fields({
      apiVersion: anyText(100),
      kind: anyText(100),
      namespace: LABEL,
      name: SUBDOMAIN,
      uid: UID,
    }),
    persistentVolumeReclaimPolicy: word("Retain", "Delete", "Recycle"),
    storageClassName: NAME_OR_EMPTY,
    mountOptions: list(LINE),
    volumeMode: VOLUME_MODE,
    nodeAffinity: fields({ required: NODE_SELECTOR }),
    volumeAttributesClassName: NAME_OR_EMPTY,
  }),
  status: fields({ phase: word("Pending", "Available", "Bound", "Released", "Failed") }),
}, ["metadata", "spec"]);

/** The fields of a volume's spec that do not say where it is. Every other field counts as a source, also one of a plugin that is not known here. */
const OTHER_FIELDS: ReadonlySet<string> = new Set([
  "capacity",
  "accessModes",
  "claimRef",
  "persistentVolumeReclaimPolicy",
  "storageClassName",
  "mountOptions",
  "volumeMode",
  "nodeAffinity",
  "volumeAttributesClassName",
]);

/** The rule of PersistentVolumes: one source, of a plugin and driver that are allowed, with allowed mount options. */
export function judgePersistentVolume(
  object: JsonObject,
  allowed: readonly AllowedVolume[],
): JudgedObject {
  const problem = sourceProblem(objectAt(object, "spec"), allowed);
  if (problem !== undefined) {
    return { ok: false, code: "object-not-allowed", problems: [problem] };
  }
  return byShape(PERSISTENT_VOLUME)(object);
}

function sourceProblem(spec: JsonObject, allowed: readonly AllowedVolume[]): Problem | undefined {
  const sources = Object.keys(spec).filter((key) => !OTHER_FIELDS.has(key) && spec[key] !== null);
  const [source] = sources;
  if (source === undefined || sources.length > 1) {
    return { path: "spec", message: "has not exactly one source that is known" };
  }
  const path = `spec.${/^[A-Za-z]{1,40}$/.test(source) ? source : "(source)"}`;
  const plugin = VOLUME_PLUGINS.find((known) => known === source);
  if (plugin === undefined) {
    return { path, message: "is a volume that cannot be allowed on this node" };
  }
  const driver = getOwn(objectAt(spec, plugin), "driver");
  const names = allowed.filter((one) =>
    one.plugin === plugin && (!takesDriver(plugin) || one.driver === driver)
  );
  const flag = takesDriver(plugin) && typeof driver === "string" && isDriverName(plugin, driver)
    ? `${plugin}/${driver}`
    : plugin;
  if (names.length === 0) {
    return {
      path,
      message: `is not allowed on this node; to allow it, start kubelet-proxy with --allow-volume=${flag}`,
    };
  }
  const options = getOwn(spec, "mountOptions") ?? [];
  const good = Array.isArray(options) &&
    options.every((option) =>
      typeof option === "string" && names.some((one) => one.mountOptions.has(option))
    );
  return good ? undefined : {
    path: "spec.mountOptions",
    message:
      `holds an option that is not allowed; to allow some, start kubelet-proxy with --allow-volume=${flag}:OPTION,…`,
  };
}

const VOLUME_ERROR: Shape = fields({ time: TIME, message: MESSAGE, errorCode: COUNT });

const VOLUME_ATTACHMENT: Shape = fields({
  metadata: metadata({ namespaced: false }),
  spec: fields({
    attacher: SUBDOMAIN,
    source: fields({ persistentVolumeName: SUBDOMAIN }),
    nodeName: SUBDOMAIN,
  }, ["attacher", "nodeName"]),
  status: fields({
    attached: BOOLEAN,
    attachmentMetadata: map((key) => /^[A-Za-z0-9][A-Za-z0-9._/-]{0,252}$/.test(key), "a name", LINE),
    attachError: VOLUME_ERROR,
    detachError: VOLUME_ERROR,
  }),
}, ["metadata", "spec"]);

/** The rule of VolumeAttachments: of this node, by a CSI driver that is allowed. */
export function judgeVolumeAttachment(
  object: JsonObject,
  allowed: readonly AllowedVolume[],
  nodeName: string,
): JudgedObject {
  const judged = byShape(VOLUME_ATTACHMENT)(object);
  if (!judged.ok) {
    return judged;
  }
  const { attacher, nodeName: found } = objectAt(judged.object, "spec");
  if (found !== nodeName) {
    const problems = [{ path: "spec.nodeName", message: "is another node" }];
    return { ok: false, code: "object-misplaced", problems };
  }
  if (!allowed.some(({ plugin, driver }) => plugin === "csi" && driver === attacher)) {
    const message = `is not allowed on this node; to allow it, start kubelet-proxy with --allow-volume=csi/${
      String(attacher)
    }`;
    return { ok: false, code: "object-not-allowed", problems: [{ path: "spec.attacher", message }] };
  }
  return judged;
}
