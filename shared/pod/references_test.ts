import assert from "node:assert/strict";
import { expand } from "./normal_form.ts";
import { REFERENCE_FIELDS, referencesOf } from "./references.ts";
import { fieldsOf } from "./schema.ts";

const IMAGE = `registry.example/app@sha256:${"ab".repeat(32)}`;

/** Why a field with a text in it names nothing that the kubelet asks the API server for: by type, then by field. */
const NO_REFERENCES: Record<string, string | Record<string, string>> = {
  AWSElasticBlockStoreVolumeSource: "A storage system's own identifiers, which are signed.",
  AppArmorProfile: "A profile on the node.",
  AzureDiskVolumeSource: "A storage system's own identifiers, which are signed.",
  AzureFileVolumeSource: { shareName: "A share of the storage account." },
  CSIVolumeSource: { fsType: "A file system.", volumeAttributes: "Given to the driver as signed." },
  Capabilities: "The kernel's.",
  CephFSVolumeSource: "A storage system's own identifiers; the file is on the node.",
  CinderVolumeSource: "A storage system's own identifiers, which are signed.",
  ClusterTrustBundleProjection: { path: "A file in the volume." },
  ConfigMapKeySelector: { key: "Part of the reference." },
  Container: "The image is signed, with a digest so is its content; the rest are settings of the container.",
  ContainerPort: "Of the container.",
  ContainerResizePolicy: "Of the container.",
  ContainerRestartRule: "Of the container.",
  ContainerRestartRuleOnExitCodes: "Of the container.",
  DownwardAPIVolumeFile: "A file in the volume.",
  EmptyDirVolumeSource: "The node's memory or disk.",
  EnvFromSource: { prefix: "Of the variables." },
  EnvVar: "The variable itself.",
  EphemeralContainer: "Cannot be signed.",
  EvictionResponder: "Read by whoever evicts pods.",
  ExecAction: "A command in the container.",
  FCVolumeSource: "A storage system's own identifiers, which are signed.",
  FileKeySelector: "A file in a volume of the pod.",
  FlexVolumeSource: "A program on the node, and what it is given.",
  FlockerVolumeSource: "A storage system's own identifiers, which are signed.",
  GCEPersistentDiskVolumeSource: "A storage system's own identifiers, which are signed.",
  GRPCAction: "A service in the container.",
  GitRepoVolumeSource: "A repository, which is not the API server's.",
  GlusterfsVolumeSource: "Endpoints; no supported kubelet has the volume plugin any more.",
  HTTPGetAction: "A request to the container.",
  HTTPHeader: "Of a request to the container.",
  HostAlias: "A line of /etc/hosts.",
  HostPathVolumeSource: "A path on the node.",
  ISCSIVolumeSource: "A storage system's own identifiers, which are signed.",
  ImageVolumeSource: { pullPolicy: "When the image is pulled." },
  KeyToPath: "Part of the reference to a ConfigMap or Secret.",
  LabelSelector: "Chooses bundles of a signer, claims' volumes, or pods for the scheduler.",
  LabelSelectorRequirement: "As LabelSelector.",
  Lifecycle: "A signal.",
  ManagedFieldsEntry: "Metadata of a claim that is made for the pod.",
  NFSVolumeSource: "A server and its path, which are signed.",
  NodeSelectorRequirement: "Read by the scheduler.",
  ObjectFieldSelector: "A field of the pod.",
  ObjectMeta: "Metadata of a claim that is made for the pod.",
  OwnerReference: "Metadata of a claim that is made for the pod.",
  PersistentVolumeClaimSpec: "The claim that is made for the pod; the node reads the claim itself.",
  PhotonPersistentDiskVolumeSource: "A storage system's own identifiers, which are signed.",
  PodAffinityTerm: "Read by the scheduler.",
  PodCertificateProjection: {
    keyType: "Of the key.",
    credentialBundlePath: "A file in the volume.",
    keyPath: "A file in the volume.",
    certificateChainPath: "A file in the volume.",
    userAnnotations: "Given to the signer as signed.",
  },
  PodDNSConfig: "Lines of /etc/resolv.conf.",
  PodDNSConfigOption: "A line of /etc/resolv.conf.",
  PodOS: "The operating system.",
  PodReadinessGate: "A condition of the pod.",
  PodResourceClaim: { name: "The claim's name in the pod." },
  PodSchedulingGate: "Read by the scheduler.",
  PodSchedulingGroup: "Read by the scheduler.",
  PodSecurityContext: "Settings of the pod.",
  PodSpec: {
    restartPolicy: "A setting of the pod.",
    dnsPolicy: "A setting of the pod.",
    nodeSelector: "Read by the scheduler.",
    serviceAccount: "The old name of serviceAccountName.",
    nodeName: "This node.",
    hostname: "A setting of the pod.",
    subdomain: "Part of the pod's host name.",
    schedulerName: "Read by the scheduler.",
    priorityClassName: "Read by admission, which writes the priority.",
    preemptionPolicy: "Read by the scheduler.",
    hostnameOverride: "A setting of the pod.",
  },
  PortworxVolumeSource: "A storage system's own identifiers, which are signed.",
  QuobyteVolumeSource: "A storage system's own identifiers, which are signed.",
  RBDVolumeSource: "A storage system's own identifiers; the key ring is on the node.",
  ResourceClaim: "A claim of the pod (resourceClaims).",
  ResourceFieldSelector: "A container of the pod.",
  SELinuxOptions: "Settings of the container.",
  ScaleIOVolumeSource: "A storage system's own identifiers, which are signed.",
  SeccompProfile: "A profile on the node.",
  SecretKeySelector: { key: "Part of the reference." },
  SecurityContext: "A setting of the container.",
  ServiceAccountTokenProjection: { path: "A file in the volume." },
  StorageOSVolumeSource: "A storage system's own identifiers, which are signed.",
  Sysctl: "The kernel's.",
  TCPSocketAction: "A connection to the container.",
  Toleration: "Read by the scheduler.",
  TopologySpreadConstraint: "Read by the scheduler.",
  TypedLocalObjectReference:
    "What a claim that is made for the pod is filled from; the node does not read it.",
  TypedObjectReference: "What a claim that is made for the pod is filled from; the node does not read it.",
  Volume: "The volume's name in the pod.",
  VolumeDevice: "A volume of the pod.",
  VolumeMount: "A volume of the pod.",
  VsphereVirtualDiskVolumeSource: "A storage system's own identifiers, which are signed.",
  WindowsSecurityContextOptions:
    "Admission writes the GMSA specification itself into the spec, where it is signed.",
  WorkloadReference: "Read by the scheduler.",
};

/** Every type that a pod spec can hold. */
function reachableTypes(): Set<string> {
  const types = new Set<string>();
  const visit = (type: string) => {
    if (types.has(type)) return;
    types.add(type);
    for (const { type: next } of fieldsOf(type).values()) if (next !== undefined) visit(next);
  };
  visit("PodSpec");
  return types;
}

Deno.test("every text that a pod spec can hold is a reference, or has a reason why it is none", () => {
  const unexplained: string[] = [];
  const explained = new Set<string>();
  for (const type of reachableTypes()) {
    for (const [name, { scalar }] of fieldsOf(type)) {
      if (scalar !== "string" && scalar !== "any" || REFERENCE_FIELDS.has(`${type}.${name}`)) continue;
      const reasons = NO_REFERENCES[type];
      const reason = typeof reasons === "string" ? reasons : reasons?.[name];
      if (reason === undefined) unexplained.push(`${type}.${name}`);
      else explained.add(typeof reasons === "string" ? type : `${type}.${name}`);
    }
  }
  assert.deepEqual(unexplained, []);
  const known = Object.entries(NO_REFERENCES).flatMap(([type, reasons]) =>
    typeof reasons === "string" ? [type] : Object.keys(reasons).map((field) => `${type}.${field}`)
  );
  assert.deepEqual(new Set(known), explained, "no reason stands for a field that is gone, or is a reference");
});

Deno.test("every field that a reference is read from is in the schema", () => {
  for (const name of REFERENCE_FIELDS) {
    const [type = "", field = ""] = name.split(".");
    assert.ok(fieldsOf(type).has(field), name);
  }
});

const container = (more: Record<string, unknown>) => ({ name: "app", image: IMAGE, ...more });

/** Each shape of reference: the spec, and what is found beside the service account. */
const SHAPES: [name: string, spec: Record<string, unknown>, found: Record<string, unknown>[]][] = [
  ["envFrom", {
    containers: [container({
      envFrom: [{ configMapRef: { name: "a" }, prefix: "A_" }, { secretRef: { name: "b", optional: true } }],
    })],
  }, [
    {
      kind: "ConfigMap",
      name: "a",
      path: "spec.containers[app].envFrom[0].configMapRef",
      use: "environment",
      prefix: "A_",
      optional: false,
    },
    {
      kind: "Secret",
      name: "b",
      path: "spec.containers[app].envFrom[1].secretRef",
      use: "environment",
      optional: true,
    },
  ]],
  ["env valueFrom, in init containers as well", {
    initContainers: [{
      name: "init",
      image: IMAGE,
      env: [{ name: "X", valueFrom: { configMapKeyRef: { name: "a", key: "k" } } }],
    }],
    containers: [container({
      env: [{ name: "Y", valueFrom: { secretKeyRef: { name: "b", key: "l", optional: true } } }],
    })],
  }, [
    {
      kind: "Secret",
      name: "b",
      path: "spec.containers[app].env[Y].valueFrom.secretKeyRef",
      use: "variable",
      keys: ["l"],
      optional: true,
    },
    {
      kind: "ConfigMap",
      name: "a",
      path: "spec.initContainers[init].env[X].valueFrom.configMapKeyRef",
      use: "variable",
      keys: ["k"],
      optional: false,
    },
  ]],
  ["volumes, whole and in parts", {
    containers: [container({})],
    volumes: [
      { name: "v", configMap: { name: "a" } },
      {
        name: "w",
        secret: {
          secretName: "b",
          items: [{ key: "k", path: "x" }, { key: "k", path: "y" }],
          optional: true,
        },
      },
    ],
  }, [
    {
      kind: "ConfigMap",
      name: "a",
      path: "spec.volumes[v].configMap",
      use: "files",
      optional: false,
      volume: "v",
    },
    {
      kind: "Secret",
      name: "b",
      path: "spec.volumes[w].secret",
      use: "files",
      keys: ["k"],
      optional: true,
      volume: "w",
    },
  ]],
  [
    "every projected source",
    {
      containers: [container({})],
      volumes: [{
        name: "v",
        projected: {
          sources: [
            { configMap: { name: "a", items: [{ key: "k", path: "k" }] } },
            { secret: { name: "b" } },
            { serviceAccountToken: { audience: "vault", path: "t" } },
            { clusterTrustBundle: { name: "roots", path: "c" } },
            { clusterTrustBundle: { signerName: "example.com/ca", path: "d", optional: true } },
            {
              podCertificate: {
                signerName: "example.com/pods",
                keyType: "ED25519",
                credentialBundlePath: "e",
              },
            },
            { downwardAPI: { items: [{ path: "n", fieldRef: { fieldPath: "metadata.name" } }] } },
          ],
        },
      }],
    },
    [
      { kind: "ConfigMap", name: "a", use: "files", keys: ["k"], at: "[0].configMap" },
      { kind: "Secret", name: "b", use: "files", at: "[1].secret" },
      { kind: "ServiceAccountToken", name: "vault", use: "files", at: "[2].serviceAccountToken" },
      { kind: "ClusterTrustBundle", name: "roots", use: "files", at: "[3].clusterTrustBundle" },
      {
        kind: "ClusterTrustBundle",
        name: "example.com/ca",
        use: "files",
        optional: true,
        at: "[4].clusterTrustBundle",
      },
      { kind: "PodCertificate", name: "example.com/pods", use: "files", at: "[5].podCertificate" },
    ].map(({ at, ...reference }) => ({
      path: `spec.volumes[v].projected.sources${at}`,
      optional: false,
      volume: "v",
      ...reference,
    })),
  ],
  ["claims, and those that are made for the pod", {
    containers: [container({})],
    volumes: [
      { name: "v", persistentVolumeClaim: { claimName: "data" } },
      { name: "w", ephemeral: { volumeClaimTemplate: { spec: { accessModes: ["ReadWriteOnce"] } } } },
    ],
  }, [
    {
      kind: "PersistentVolumeClaim",
      name: "data",
      path: "spec.volumes[v].persistentVolumeClaim",
      use: "other",
      optional: false,
      volume: "v",
    },
    {
      kind: "PersistentVolumeClaim",
      name: "",
      alias: "w",
      path: "spec.volumes[w].ephemeral",
      use: "other",
      optional: false,
      volume: "w",
    },
  ]],
  ["what volume plugins authenticate with", {
    containers: [container({})],
    volumes: [
      { name: "v", csi: { driver: "csi.example", nodePublishSecretRef: { name: "s" } } },
      { name: "w", azureFile: { secretName: "t", shareName: "x" } },
      { name: "x", iscsi: { targetPortal: "192.0.2.1", iqn: "iqn.a", lun: 0, secretRef: { name: "u" } } },
    ],
  }, [
    {
      kind: "CSIDriver",
      name: "csi.example",
      path: "spec.volumes[v].csi",
      use: "other",
      optional: false,
      volume: "v",
    },
    {
      kind: "Secret",
      name: "s",
      path: "spec.volumes[v].csi.nodePublishSecretRef",
      use: "credentials",
      optional: false,
      volume: "v",
    },
    {
      kind: "Secret",
      name: "t",
      path: "spec.volumes[w].azureFile",
      use: "credentials",
      optional: false,
      volume: "w",
    },
    {
      kind: "Secret",
      name: "u",
      path: "spec.volumes[x].iscsi.secretRef",
      use: "credentials",
      optional: false,
      volume: "x",
    },
  ]],
  ["images, runtime class, registries, devices", {
    runtimeClassName: "kata",
    imagePullSecrets: [{ name: "reg" }],
    resourceClaims: [
      { name: "gpu", resourceClaimName: "shared" },
      { name: "nic", resourceClaimTemplateName: "t" },
    ],
    containers: [container({})],
    volumes: [{ name: "v", image: { reference: IMAGE } }],
  }, [
    { kind: "RuntimeClass", name: "kata", path: "spec.runtimeClassName", use: "other", optional: false },
    {
      kind: "Secret",
      name: "reg",
      path: "spec.imagePullSecrets[reg]",
      use: "image-pull",
      keys: [".dockerconfigjson", ".dockercfg"],
      optional: false,
    },
    {
      kind: "ResourceClaim",
      name: "shared",
      alias: "gpu",
      path: "spec.resourceClaims[gpu]",
      use: "other",
      optional: false,
    },
    {
      kind: "ResourceClaimTemplate",
      name: "t",
      alias: "nic",
      path: "spec.resourceClaims[nic]",
      use: "other",
      optional: false,
    },
    { kind: "Image", name: IMAGE, path: "spec.volumes[v].image", use: "files", optional: false, volume: "v" },
  ]],
];

const byPath = (a: { path?: unknown }, b: { path?: unknown }) => String(a.path) < String(b.path) ? -1 : 1;

for (const [name, spec, expected] of SHAPES) {
  Deno.test(`references: ${name}`, () => {
    const found = referencesOf(expand(JSON.parse(JSON.stringify(spec))))
      .filter(({ kind }) => kind !== "ServiceAccount");
    assert.deepEqual(found.sort(byPath), [...expected].sort(byPath));
  });
}

Deno.test("references: the service account that every pod has", () => {
  const [account] = referencesOf(expand({ containers: [{ name: "app", image: IMAGE }] }));
  assert.deepEqual(account, {
    kind: "ServiceAccount",
    name: "default",
    path: "spec.serviceAccountName",
    use: "other",
    optional: false,
  });
});
