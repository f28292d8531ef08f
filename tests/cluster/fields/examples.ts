/**
 * Pods that together set every field of a pod's spec to a value that is not its default.
 *
 * A new field is written into the object of its type below, whatever the version or the feature gate that it needs:
 * the suite takes out what an API server does not know (schema.json) or does not accept (unaccepted.ts) before it
 * sends a pod. Values need be no more than valid.
 *
 * @module
 */
import type { JsonObject } from "@signed-pods/shared/json";

/** A pod to create. */
export interface Example {
  /** Name of the pod. */
  name: string;
  /** Namespace, by default `default`. */
  namespace?: string;
  /** A feature gate without which the API server does not take the pod as it is, whatever its fields are called. */
  gate?: string;
  spec: JsonObject;
}

/** An object that a pod refers to and whose absence the API server would not accept. */
export interface Prerequisite {
  /** Path of its collection. */
  path: string;
  object: JsonObject;
}

/** The node that the pods are bound to. */
export const NODE_NAME = "worker";

/** Namespace with a LimitRange. */
export const LIMITED_NAMESPACE = "limited";

const TAGGED = "registry.example/app:1";
const DIGESTED =
  "registry.example/app@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

const serviceAccounts = (namespace: string) => `/api/v1/namespaces/${namespace}/serviceaccounts`;

export const PREREQUISITES: readonly Prerequisite[] = [
  {
    path: serviceAccounts("default"),
    object: { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "runner" } },
  },
  {
    path: serviceAccounts("default"),
    object: {
      apiVersion: "v1",
      kind: "ServiceAccount",
      metadata: { name: "puller" },
      imagePullSecrets: [{ name: "registry-a" }, { name: "registry-b" }],
    },
  },
  {
    path: "/apis/scheduling.k8s.io/v1/priorityclasses",
    object: {
      apiVersion: "scheduling.k8s.io/v1",
      kind: "PriorityClass",
      metadata: { name: "important" },
      value: 1000,
      preemptionPolicy: "Never",
    },
  },
  {
    path: "/apis/node.k8s.io/v1/runtimeclasses",
    object: {
      apiVersion: "node.k8s.io/v1",
      kind: "RuntimeClass",
      metadata: { name: "sandboxed" },
      handler: "sandboxed",
      overhead: { podFixed: { cpu: "100m", memory: "64Mi" } },
    },
  },
  {
    path: "/api/v1/namespaces",
    object: { apiVersion: "v1", kind: "Namespace", metadata: { name: LIMITED_NAMESPACE } },
  },
  {
    path: serviceAccounts(LIMITED_NAMESPACE),
    object: { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "default" } },
  },
  {
    path: `/api/v1/namespaces/${LIMITED_NAMESPACE}/limitranges`,
    object: {
      apiVersion: "v1",
      kind: "LimitRange",
      metadata: { name: "limits" },
      spec: {
        limits: [{
          type: "Container",
          default: { cpu: "500m", memory: "256Mi", "ephemeral-storage": "2Gi" },
          defaultRequest: { cpu: "250m", memory: "128Mi", "ephemeral-storage": "1Gi" },
        }],
      },
    },
  },
];

/** Keys of a ConfigMap or Secret as files in a folder. */
const files = (folder: string): JsonObject[] => [
  { key: "a.conf", path: `${folder}/a`, mode: 0o400, user: 1001 },
  { key: "b.conf", path: `${folder}/b`, mode: 0o440, user: 1002 },
];

const DOWNWARD_FILES: JsonObject[] = [
  { path: "labels", fieldRef: { apiVersion: "v1", fieldPath: "metadata.labels" }, mode: 0o400, user: 1001 },
  {
    path: "cpu",
    resourceFieldRef: { containerName: "app", resource: "limits.cpu", divisor: "1m" },
    mode: 0o440,
    user: 1002,
  },
];

const SELECTOR: JsonObject = {
  matchLabels: { app: "web", tier: "front" },
  matchExpressions: [
    { key: "zone", operator: "In", values: ["a", "b"] },
    { key: "old", operator: "DoesNotExist" },
  ],
};

const NODE_TERM: JsonObject = {
  matchExpressions: [{ key: "kind", operator: "In", values: ["big", "small"] }],
  matchFields: [{ key: "metadata.name", operator: "In", values: [NODE_NAME] }],
};

const POD_TERM: JsonObject = {
  labelSelector: SELECTOR,
  namespaces: ["shop", "stock"],
  topologyKey: "topology.kubernetes.io/zone",
  namespaceSelector: SELECTOR,
  matchLabelKeys: ["revision"],
  mismatchLabelKeys: ["tenant"],
};

const POD_AFFINITY: JsonObject = {
  requiredDuringSchedulingIgnoredDuringExecution: [POD_TERM],
  preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 7, podAffinityTerm: POD_TERM }],
};

const HTTP_GET: JsonObject = {
  path: "/healthz",
  port: 8080,
  host: "127.0.0.1",
  scheme: "HTTPS",
  httpHeaders: [{ name: "X-Token", value: "swordfish-header" }, { name: "Accept", value: "text/plain" }],
};

const PROBE: JsonObject = {
  initialDelaySeconds: 5,
  timeoutSeconds: 2,
  periodSeconds: 20,
  failureThreshold: 5,
};

const SELINUX: JsonObject = { user: "system_u", role: "system_r", type: "container_t", level: "s0:c1,c2" };

const WINDOWS: JsonObject = {
  gmsaCredentialSpecName: "web",
  gmsaCredentialSpec: '{"ActiveDirectoryConfig":{}}',
  runAsUserName: "NT AUTHORITY\\SYSTEM",
  hostProcess: true,
};

/** One volume for each source, and for each of the ways to write one that exclude one another. */
const VOLUMES: JsonObject[] = [
  { name: "host-path", hostPath: { path: "/data", type: "Directory" } },
  { name: "empty-dir", emptyDir: { medium: "Memory", sizeLimit: "1Gi", mode: 0o700 } },
  { name: "gce", gcePersistentDisk: { pdName: "disk", fsType: "xfs", partition: 1, readOnly: true } },
  { name: "ebs", awsElasticBlockStore: { volumeID: "vol-1", fsType: "xfs", partition: 1, readOnly: true } },
  { name: "git", gitRepo: { repository: "https://git.example/a", revision: "main", directory: "a" } },
  {
    name: "secret",
    secret: {
      secretName: "keys",
      items: files("conf"),
      defaultMode: 0o400,
      optional: true,
      defaultUser: 1000,
    },
  },
  { name: "nfs", nfs: { server: "nfs.example", path: "/a", readOnly: true } },
  {
    name: "iscsi",
    iscsi: {
      targetPortal: "10.0.0.1:3260",
      iqn: "iqn.2001-04.com.example:storage.disk1",
      lun: 3,
      iscsiInterface: "iface0",
      fsType: "xfs",
      readOnly: true,
      portals: ["10.0.0.2:3260", "10.0.0.3:3260"],
      chapAuthDiscovery: true,
      chapAuthSession: true,
      secretRef: { name: "chap" },
      initiatorName: "iqn.2001-04.com.example:initiator",
    },
  },
  { name: "glusterfs", glusterfs: { endpoints: "gluster", path: "a", readOnly: true } },
  { name: "claim", persistentVolumeClaim: { claimName: "data", readOnly: true } },
  { name: "block", persistentVolumeClaim: { claimName: "block" } },
  { name: "block-b", persistentVolumeClaim: { claimName: "block-b" } },
  {
    name: "rbd",
    rbd: {
      monitors: ["10.0.0.1:6789", "10.0.0.2:6789"],
      image: "disk",
      fsType: "xfs",
      pool: "fast",
      user: "web",
      keyring: "/etc/ceph/web",
      secretRef: { name: "ceph" },
      readOnly: true,
    },
  },
  {
    name: "flex",
    flexVolume: {
      driver: "example.com/flex",
      fsType: "xfs",
      secretRef: { name: "flex" },
      readOnly: true,
      options: { token: "swordfish-flex", pool: "fast" },
    },
  },
  { name: "cinder", cinder: { volumeID: "v", fsType: "xfs", readOnly: true, secretRef: { name: "cinder" } } },
  {
    name: "cephfs",
    cephfs: {
      monitors: ["10.0.0.1:6789", "10.0.0.2:6789"],
      path: "/a",
      user: "web",
      secretFile: "/etc/ceph/web",
      secretRef: { name: "ceph" },
      readOnly: true,
    },
  },
  { name: "flocker-name", flocker: { datasetName: "set" } },
  { name: "flocker-uuid", flocker: { datasetUUID: "0d0c3a2e-0000-4000-8000-000000000000" } },
  { name: "downward", downwardAPI: { items: DOWNWARD_FILES, defaultMode: 0o400, defaultUser: 1000 } },
  {
    name: "fc-wwn",
    fc: { targetWWNs: ["500a0982991b8dc5", "500a0982991b8dc6"], lun: 2, fsType: "xfs", readOnly: true },
  },
  { name: "fc-wwid", fc: { wwids: ["3600508b400105e21", "3600508b400105e22"] } },
  { name: "azure-file", azureFile: { secretName: "azure", shareName: "share", readOnly: true } },
  {
    name: "config-map",
    configMap: {
      name: "settings",
      items: files("conf"),
      defaultMode: 0o400,
      optional: true,
      defaultUser: 1000,
    },
  },
  {
    name: "vsphere",
    vsphereVolume: {
      volumePath: "[store] a",
      fsType: "xfs",
      storagePolicyName: "fast",
      storagePolicyID: "policy-1",
    },
  },
  {
    name: "quobyte",
    quobyte: {
      registry: "registry.example:7861",
      volume: "a",
      readOnly: true,
      user: "web",
      group: "web",
      tenant: "shop",
    },
  },
  {
    name: "azure-disk",
    azureDisk: {
      diskName: "disk",
      diskURI: "/subscriptions/1/disk",
      cachingMode: "None",
      fsType: "xfs",
      readOnly: true,
      kind: "Managed",
    },
  },
  { name: "photon", photonPersistentDisk: { pdID: "disk", fsType: "xfs" } },
  {
    name: "projected",
    projected: {
      defaultMode: 0o400,
      defaultUser: 1000,
      sources: [
        { secret: { name: "keys", items: files("secrets"), optional: true } },
        { downwardAPI: { items: DOWNWARD_FILES } },
        { configMap: { name: "settings", items: files("conf"), optional: true } },
        { serviceAccountToken: { audience: "vault", expirationSeconds: 7200, path: "token", user: 1001 } },
        { clusterTrustBundle: { name: "anchors", optional: true, path: "named.pem", user: 1001 } },
        {
          clusterTrustBundle: {
            signerName: "example.com/signer",
            labelSelector: SELECTOR,
            optional: true,
            path: "selected.pem",
          },
        },
        {
          podCertificate: {
            signerName: "example.com/signer",
            keyType: "ED25519",
            maxExpirationSeconds: 7200,
            credentialBundlePath: "bundle.pem",
            userAnnotations: { "example.com/role": "web", "example.com/zone": "a" },
            user: 1001,
          },
        },
        {
          podCertificate: {
            signerName: "example.com/signer",
            keyType: "ED25519",
            keyPath: "key.pem",
            certificateChainPath: "chain.pem",
          },
        },
      ],
    },
  },
  { name: "portworx", portworxVolume: { volumeID: "v", fsType: "xfs", readOnly: true } },
  {
    name: "scale-io",
    scaleIO: {
      gateway: "https://scaleio.example",
      system: "s",
      secretRef: { name: "scaleio" },
      sslEnabled: true,
      protectionDomain: "d",
      storagePool: "p",
      storageMode: "ThickProvisioned",
      volumeName: "v",
      fsType: "ext4",
      readOnly: true,
    },
  },
  {
    name: "storage-os",
    storageos: {
      volumeName: "v",
      volumeNamespace: "shop",
      fsType: "xfs",
      readOnly: true,
      secretRef: { name: "storageos" },
    },
  },
  {
    name: "csi",
    csi: {
      driver: "csi.example",
      readOnly: true,
      fsType: "xfs",
      volumeAttributes: { token: "swordfish-csi", pool: "fast" },
      nodePublishSecretRef: { name: "csi" },
    },
  },
  {
    name: "ephemeral",
    ephemeral: {
      volumeClaimTemplate: {
        metadata: {
          labels: { app: "web", tier: "front" },
          annotations: { "example.com/a": "1", "example.com/b": "2" },
        },
        spec: {
          accessModes: ["ReadWriteOnce", "ReadOnlyMany"],
          selector: SELECTOR,
          resources: { limits: { storage: "2Gi" }, requests: { storage: "1Gi" } },
          volumeName: "pv-1",
          storageClassName: "fast",
          volumeMode: "Block",
          dataSource: { apiGroup: "snapshot.storage.k8s.io", kind: "VolumeSnapshot", name: "snap" },
          volumeAttributesClassName: "gold",
        },
      },
    },
  },
  {
    name: "ephemeral-copy",
    ephemeral: {
      volumeClaimTemplate: {
        spec: {
          accessModes: ["ReadWriteOnce"],
          resources: { requests: { storage: "1Gi" } },
          dataSourceRef: {
            apiGroup: "snapshot.storage.k8s.io",
            kind: "VolumeSnapshot",
            name: "snap",
            namespace: "stock",
          },
        },
      },
    },
  },
  { name: "image", image: { reference: TAGGED, pullPolicy: "Always" } },
];

const CONTAINERS: JsonObject[] = [
  {
    name: "app",
    image: DIGESTED,
    command: ["/app", "--verbose"],
    args: ["serve", "--port=8080"],
    workingDir: "/srv",
    ports: [
      { name: "http", hostPort: 8080, containerPort: 8080, protocol: "TCP", hostIP: "10.0.0.1" },
      { name: "dns", containerPort: 53, protocol: "UDP" },
    ],
    envFrom: [
      { prefix: "A_", configMapRef: { name: "settings", optional: true } },
      { prefix: "B_", secretRef: { name: "keys", optional: true } },
    ],
    env: [
      { name: "PLAIN", value: "swordfish-env" },
      { name: "FIELD", valueFrom: { fieldRef: { apiVersion: "v1", fieldPath: "metadata.name" } } },
      {
        name: "RESOURCE",
        valueFrom: { resourceFieldRef: { containerName: "app", resource: "limits.cpu", divisor: "1m" } },
      },
      { name: "CONFIG", valueFrom: { configMapKeyRef: { name: "settings", key: "a", optional: true } } },
      { name: "SECRET", valueFrom: { secretKeyRef: { name: "keys", key: "a", optional: true } } },
      {
        name: "FILE",
        valueFrom: { fileKeyRef: { volumeName: "scratch", path: "env", key: "a", optional: true } },
      },
    ],
    resources: {
      limits: { cpu: "2", memory: "1Gi", "ephemeral-storage": "4Gi", "example.com/gpu": "1" },
      requests: { cpu: "1", memory: "512Mi", "ephemeral-storage": "2Gi", "example.com/gpu": "1" },
      claims: [{ name: "gpu", request: "one" }, { name: "nic" }],
    },
    resizePolicy: [
      { resourceName: "cpu", restartPolicy: "NotRequired" },
      { resourceName: "memory", restartPolicy: "RestartContainer" },
    ],
    volumeMounts: [
      {
        name: "shared",
        readOnly: true,
        recursiveReadOnly: "IfPossible",
        mountPath: "/shared",
        subPath: "a",
        bindMountOptions: ["noexec", "nosuid"],
      },
      {
        name: "shared",
        mountPath: "/expanded",
        subPathExpr: "$(FIELD)",
        mountPropagation: "HostToContainer",
      },
    ],
    volumeDevices: [{ name: "block", devicePath: "/dev/a" }, { name: "block-b", devicePath: "/dev/b" }],
    livenessProbe: { ...PROBE, exec: { command: ["/check", "live"] }, terminationGracePeriodSeconds: 7 },
    readinessProbe: {
      ...PROBE,
      successThreshold: 2,
      httpGet: { path: "/ready", port: 8080, protocol: "HTTP2" },
    },
    startupProbe: { ...PROBE, grpc: { port: 9090, service: "health", mode: "TLS" } },
    lifecycle: {
      postStart: { exec: { command: ["/hook", "start"] } },
      preStop: { httpGet: HTTP_GET },
      stopSignal: "SIGUSR1",
    },
    terminationMessagePath: "/tmp/message",
    terminationMessagePolicy: "FallbackToLogsOnError",
    imagePullPolicy: "Never",
    securityContext: {
      capabilities: { add: ["NET_ADMIN", "SYS_TIME"], drop: ["ALL", "MKNOD"] },
      privileged: false,
      seLinuxOptions: SELINUX,
      runAsUser: 1000,
      runAsGroup: 1000,
      runAsNonRoot: true,
      readOnlyRootFilesystem: true,
      allowPrivilegeEscalation: true,
      seccompProfile: { type: "Localhost", localhostProfile: "web.json" },
      appArmorProfile: { type: "Localhost", localhostProfile: "web" },
    },
    stdin: true,
    stdinOnce: true,
    tty: true,
  },
  {
    name: "second",
    image: TAGGED,
    livenessProbe: { tcpSocket: { port: "http", host: "127.0.0.1" } },
    readinessProbe: { httpGet: { ...HTTP_GET, port: "https" } },
    lifecycle: {
      postStart: { sleep: { seconds: 1 } },
      preStop: { tcpSocket: { port: 1, host: "127.0.0.1" } },
    },
    securityContext: { privileged: true },
  },
];

/** One or more pods for every field. */
export const EXAMPLES: readonly Example[] = [
  {
    name: "containers",
    spec: {
      automountServiceAccountToken: false,
      nodeName: NODE_NAME,
      os: { name: "linux" },
      volumes: [
        { name: "shared", emptyDir: {} },
        { name: "scratch", emptyDir: {} },
        { name: "block", persistentVolumeClaim: { claimName: "block" } },
        { name: "block-b", persistentVolumeClaim: { claimName: "block-b" } },
      ],
      resourceClaims: [
        { name: "gpu", resourceClaimName: "gpu-1" },
        { name: "nic", resourceClaimTemplateName: "nic" },
      ],
      initContainers: [
        { name: "prepare", image: TAGGED, command: ["/prepare"] },
        { name: "sidecar", image: DIGESTED, restartPolicy: "Always" },
      ],
      containers: CONTAINERS,
    },
  },
  {
    name: "volumes",
    spec: {
      automountServiceAccountToken: false,
      nodeName: NODE_NAME,
      volumes: VOLUMES,
      containers: [{ name: "app", image: TAGGED }],
    },
  },
  {
    name: "pod",
    spec: {
      restartPolicy: "Never",
      terminationGracePeriodSeconds: 45,
      activeDeadlineSeconds: 600,
      dnsPolicy: "None",
      nodeSelector: { kind: "big", zone: "a" },
      serviceAccountName: "runner",
      serviceAccount: "runner",
      automountServiceAccountToken: false,
      nodeName: NODE_NAME,
      shareProcessNamespace: true,
      securityContext: {
        seLinuxOptions: SELINUX,
        runAsUser: 1000,
        runAsGroup: 1000,
        runAsNonRoot: true,
        supplementalGroups: [2000, 2001],
        supplementalGroupsPolicy: "Strict",
        fsGroup: 3000,
        sysctls: [
          { name: "net.ipv4.ip_local_port_range", value: "1024 65535" },
          { name: "kernel.shm_rmid_forced", value: "1" },
        ],
        fsGroupChangePolicy: "OnRootMismatch",
        seccompProfile: { type: "Localhost", localhostProfile: "web.json" },
        appArmorProfile: { type: "Localhost", localhostProfile: "web" },
        seLinuxChangePolicy: "Recursive",
      },
      imagePullSecrets: [{ name: "registry-a" }, { name: "registry-b" }],
      hostname: "front",
      subdomain: "shop",
      affinity: {
        nodeAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [NODE_TERM] },
          preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 7, preference: NODE_TERM }],
        },
        podAffinity: POD_AFFINITY,
        podAntiAffinity: POD_AFFINITY,
      },
      schedulerName: "other",
      tolerations: [
        { key: "example.com/a", operator: "Equal", value: "1", effect: "NoExecute", tolerationSeconds: 5 },
        { key: "example.com/b", operator: "Exists" },
      ],
      hostAliases: [
        { ip: "10.0.0.1", hostnames: ["db", "db.shop"] },
        { ip: "10.0.0.2", hostnames: ["cache"] },
      ],
      priorityClassName: "important",
      priority: 1000,
      preemptionPolicy: "Never",
      dnsConfig: {
        nameservers: ["10.0.0.53", "10.0.1.53"],
        searches: ["shop.example", "example"],
        options: [{ name: "ndots", value: "2" }, { name: "edns0" }],
      },
      readinessGates: [{ conditionType: "example.com/ready" }, { conditionType: "example.com/warm" }],
      runtimeClassName: "sandboxed",
      overhead: { cpu: "100m", memory: "64Mi" },
      enableServiceLinks: false,
      topologySpreadConstraints: [{
        maxSkew: 2,
        topologyKey: "topology.kubernetes.io/zone",
        whenUnsatisfiable: "DoNotSchedule",
        labelSelector: SELECTOR,
        minDomains: 3,
        nodeAffinityPolicy: "Ignore",
        nodeTaintsPolicy: "Honor",
        matchLabelKeys: ["revision"],
      }],
      setHostnameAsFQDN: true,
      os: { name: "linux" },
      resources: {
        limits: { cpu: "2", memory: "2Gi" },
        requests: { cpu: "1", memory: "1Gi" },
      },
      evictionResponders: [{ name: "example.com/responder", priority: 1000 }],
      containers: [{ name: "app", image: TAGGED }],
    },
  },
  {
    name: "host",
    spec: {
      automountServiceAccountToken: false,
      nodeName: NODE_NAME,
      dnsPolicy: "ClusterFirstWithHostNet",
      hostNetwork: true,
      hostPID: true,
      hostIPC: true,
      containers: [{ name: "app", image: TAGGED, ports: [{ containerPort: 8080 }, { containerPort: 9090 }] }],
    },
  },
  {
    name: "user-namespace",
    spec: {
      automountServiceAccountToken: false,
      nodeName: NODE_NAME,
      hostUsers: false,
      containers: [{ name: "app", image: TAGGED, securityContext: { procMount: "Unmasked" } }],
    },
  },
  {
    name: "windows",
    spec: {
      automountServiceAccountToken: false,
      nodeName: NODE_NAME,
      os: { name: "windows" },
      hostNetwork: true,
      securityContext: { windowsOptions: WINDOWS },
      containers: [{ name: "app", image: TAGGED, securityContext: { windowsOptions: WINDOWS } }],
    },
  },
  {
    name: "hostname-override",
    spec: {
      automountServiceAccountToken: false,
      nodeName: NODE_NAME,
      hostnameOverride: "front.shop.example",
      containers: [{ name: "app", image: TAGGED }],
    },
  },
  {
    name: "gated",
    spec: {
      automountServiceAccountToken: false,
      schedulingGates: [{ name: "example.com/quota" }, { name: "example.com/licence" }],
      containers: [{ name: "app", image: TAGGED }],
    },
  },
  {
    name: "group",
    spec: {
      automountServiceAccountToken: false,
      schedulingGroup: { podGroupName: "team" },
      containers: [{ name: "app", image: TAGGED }],
    },
  },
  {
    name: "restart-rules",
    gate: "ContainerRestartRules",
    spec: {
      automountServiceAccountToken: false,
      nodeName: NODE_NAME,
      containers: [{
        name: "app",
        image: TAGGED,
        restartPolicy: "Never",
        restartPolicyRules: [
          { action: "Restart", exitCodes: { operator: "In", values: [42, 43] } },
          { action: "Restart", exitCodes: { operator: "In", values: [44] } },
        ],
      }],
    },
  },
  // As little as can be written, so that every default is the API server's.
  {
    name: "defaults",
    spec: {
      automountServiceAccountToken: false,
      nodeName: NODE_NAME,
      volumes: [
        { name: "none" },
        { name: "image", image: { reference: DIGESTED } },
        { name: "secret", secret: { secretName: "keys" } },
        { name: "config-map", configMap: { name: "settings" } },
        {
          name: "downward",
          downwardAPI: { items: [{ path: "a", fieldRef: { fieldPath: "metadata.name" } }] },
        },
        {
          name: "projected",
          projected: {
            sources: [{ serviceAccountToken: { path: "token" } }, { configMap: { name: "settings" } }],
          },
        },
        { name: "host-path", hostPath: { path: "/data" } },
        {
          name: "ephemeral",
          ephemeral: {
            volumeClaimTemplate: {
              spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } },
            },
          },
        },
        { name: "iscsi", iscsi: { targetPortal: "10.0.0.1:3260", iqn: "iqn.2001-04.com.example:a", lun: 0 } },
        { name: "rbd", rbd: { monitors: ["10.0.0.1:6789"], image: "disk" } },
        { name: "azure-disk", azureDisk: { diskName: "disk", diskURI: "https://azure.example/disk.vhd" } },
        {
          name: "scale-io",
          scaleIO: { gateway: "g", system: "s", secretRef: { name: "scaleio" }, volumeName: "v" },
        },
      ],
      initContainers: [{ name: "prepare", image: TAGGED }],
      containers: [
        {
          name: "app",
          image: "registry.example/app",
          ports: [{ containerPort: 8080 }],
          env: [
            { name: "FIELD", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } },
            { name: "RESOURCE", valueFrom: { resourceFieldRef: { resource: "limits.cpu" } } },
            { name: "FILE", valueFrom: { fileKeyRef: { volumeName: "none", path: "env", key: "a" } } },
          ],
          resources: { limits: { cpu: "1", memory: "1.5Gi", "example.com/gpu": 1 } },
          livenessProbe: { httpGet: { port: 8080 } },
          readinessProbe: { grpc: { port: 9090 } },
          lifecycle: { preStop: { httpGet: { port: 8080 } } },
        },
        { name: "digest", image: DIGESTED },
      ],
    },
  },
  // What admission adds.
  {
    name: "service-account",
    spec: {
      nodeName: NODE_NAME,
      serviceAccountName: "puller",
      initContainers: [{ name: "prepare", image: TAGGED }],
      containers: [{ name: "app", image: DIGESTED }],
    },
  },
  {
    name: "limit-range",
    namespace: LIMITED_NAMESPACE,
    spec: {
      automountServiceAccountToken: false,
      nodeName: NODE_NAME,
      initContainers: [{ name: "prepare", image: TAGGED }],
      containers: [
        { name: "app", image: TAGGED },
        {
          name: "signed",
          image: TAGGED,
          resources: { requests: { cpu: "100m", memory: "64Mi", "ephemeral-storage": "512Mi" } },
        },
      ],
    },
  },
  {
    name: "pod-resources",
    spec: {
      automountServiceAccountToken: false,
      nodeName: NODE_NAME,
      resources: { limits: { cpu: "4" } },
      initContainers: [
        {
          name: "prepare",
          image: TAGGED,
          resources: { limits: { cpu: "1", memory: "1Gi", "hugepages-2Mi": "16Mi" } },
        },
        {
          name: "sidecar",
          image: TAGGED,
          restartPolicy: "Always",
          resources: { limits: { cpu: "1", memory: "1Gi", "hugepages-2Mi": "2Mi" } },
        },
      ],
      containers: [
        {
          name: "app",
          image: TAGGED,
          resources: { limits: { cpu: "1", memory: "1Gi", "hugepages-2Mi": "4Mi" } },
        },
        { name: "second", image: TAGGED, resources: { requests: { cpu: "500m", memory: "512Mi" } } },
      ],
    },
  },
];

/** A container with every field that it has; some of them none may have that is added to a running pod. */
export const EPHEMERAL_CONTAINER: JsonObject = {
  ...CONTAINERS[0],
  name: "debug",
  restartPolicy: "Never",
  restartPolicyRules: [{ action: "Restart", exitCodes: { operator: "In", values: [42] } }],
  targetContainerName: "app",
};

/** Containers as `kubectl debug` adds them to a running pod: one with all that they may have, and a bare one. */
export const DEBUG_CONTAINERS: readonly JsonObject[] = [
  {
    ...Object.fromEntries(
      [
        "image",
        "command",
        "args",
        "workingDir",
        "envFrom",
        "env",
        "imagePullPolicy",
        "securityContext",
        "stdin",
      ]
        .map((field) => [field, EPHEMERAL_CONTAINER[field] ?? null]),
    ),
    name: "debug",
    volumeMounts: [{ name: "shared", readOnly: true, mountPath: "/shared" }],
    stdinOnce: true,
    tty: true,
    terminationMessagePath: "/tmp/message",
    terminationMessagePolicy: "FallbackToLogsOnError",
    targetContainerName: "app",
  },
  { name: "bare", image: "registry.example/debug" },
];
