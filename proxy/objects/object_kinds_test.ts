/** Every kind: what passes, built again, and what its rule refuses. */
import assert from "node:assert/strict";
import { encodeBase64 } from "@signed-pods/shared/base64";
import type { JsonObject, JsonValue } from "@signed-pods/shared/json";
import { MAX_SECRET_TYPE_LENGTH } from "@signed-pods/shared/pod/content";
import { makeMetadata, makePolicy } from "../../tests/fakes/objects.ts";
import { NODE_NAME, uidOf } from "../../tests/fakes/owner.ts";
import type { ResourceName } from "./object_kind.ts";
import { createObjectKinds } from "./object_kinds.ts";

const kinds = createObjectKinds(makePolicy({
  allowedVolumes: [
    { plugin: "nfs", mountOptions: new Set(["hard"]) },
    { plugin: "iscsi", mountOptions: new Set() },
    { plugin: "csi", driver: "csi.example.com", mountOptions: new Set() },
    { plugin: "flexVolume", driver: "example.com/dir", mountOptions: new Set() },
  ],
  runtimeClasses: new Map([["kata", "kata-qemu"]]),
  deviceDrivers: new Set(["gpu.example.com"]),
}));

function problemsOf(resource: ResourceName, object: JsonObject): string[] {
  const judged = kinds[resource].judge(object);
  return judged.ok ? [] : judged.problems.map(({ path }) => path);
}

/** Passes as it is, and its rule names all its fields: nothing else is let through. */
function passes(resource: ResourceName, object: JsonObject, metadata: JsonObject = {}): void {
  const { managedFields: _, ...rest } = makeMetadata("x");
  const namespace: JsonObject = kinds[resource].namespaced ? { namespace: "ns" } : {};
  const full = { ...object, metadata: makeMetadata("x", { ...namespace, ...metadata, selfLink: "/x" }) };
  const judged = kinds[resource].judge({ ...full, kind: "y", extra: { a: 1 } });
  assert.deepEqual(judged, {
    ok: true,
    object: { metadata: { ...rest, ...namespace, ...metadata }, ...object },
  });
}

/** Sets the value at a path of an object. */
function at(path: string, value: JsonValue): JsonObject {
  const [first = "", ...rest] = path.split(".");
  return { [first]: rest.length === 0 ? value : at(rest.join("."), value) };
}

function refuses(resource: ResourceName, object: JsonObject, path: string, metadata: JsonObject = {}): void {
  const namespace: JsonObject = kinds[resource].namespaced ? { namespace: "ns" } : {};
  const full = { metadata: makeMetadata("x", { ...namespace, ...metadata }), ...object };
  const problems = problemsOf(resource, full);
  assert.ok(problems.includes(path), `${JSON.stringify(object).slice(0, 200)}: ${problems}`);
}

const PEM = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";

Deno.test("refuses objects without proper metadata, of every kind but token requests", () => {
  for (const resource of Object.keys(kinds).filter((name): name is ResourceName => name in kinds)) {
    if (resource === "serviceaccounts/token") {
      continue;
    }
    // What a volume is made of is judged before its metadata.
    const rest: JsonObject = resource === "persistentvolumes" ? { spec: { nfs: NFS } } : {};
    for (
      const [path, value] of [["name", "A/../b"], ["uid", "../x"], ["resourceVersion", "x"]] as const
    ) {
      refuses(resource, rest, `metadata.${path}`, { [path]: value });
    }
    assert.ok(problemsOf(resource, rest).includes("metadata"), resource);
  }
});

Deno.test("ConfigMaps and Secrets", () => {
  const more = { immutable: true };
  passes("configmaps", {
    ...more,
    data: { "nginx.conf": "a\nb", _A: "" },
    binaryData: { "logo.png": "AAEC" },
  });
  passes("configmaps", {});
  passes("secrets", { ...more, type: "Opaque", data: { password: "c2VjcmV0", ".hidden": "" } });
  passes("secrets", { type: `${"a".repeat(253)}/${"b".repeat(63)}` });
});

Deno.test("refuses ConfigMaps and Secrets whose keys are no names of files, or whose bytes are none", () => {
  for (const key of ["", ".", "..", "../x", "..data", "a/b", "a b", "a=b", "a\n", "é", "x".repeat(254)]) {
    const shown = JSON.stringify(key.slice(0, 64)).slice(1, -1);
    refuses("configmaps", { data: { [key]: "x" } }, `data[${shown}]`);
    refuses("configmaps", { binaryData: { [key]: "AA==" } }, `binaryData[${shown}]`);
    refuses("secrets", { data: { [key]: "AA==" } }, `data[${shown}]`);
  }
  refuses("configmaps", { data: { a: 1 } }, "data[a]");
  refuses("configmaps", { data: { a: null } }, "data[a]");
  refuses("configmaps", { data: { a: "x" }, binaryData: { a: "AA==" } }, "binaryData[a]");
  refuses("configmaps", { binaryData: { a: "?" } }, "binaryData[a]");
  refuses("secrets", { data: { a: "x=" } }, "data[a]");
  refuses("secrets", { data: [] }, "data");
  const problems = kinds.secrets.judge({
    metadata: makeMetadata("x", { namespace: "ns" }),
    data: { a: "hunter2!" },
  });
  assert.ok(!problems.ok && !JSON.stringify(problems).includes("hunter2"), "no value is ever shown");
});

Deno.test("refuses a Secret whose type is too long", () => {
  refuses("secrets", { type: "a".repeat(MAX_SECRET_TYPE_LENGTH + 1) }, "type");
});

Deno.test("claims", () => {
  passes("persistentvolumeclaims", {
    spec: {
      accessModes: ["ReadWriteOnce"],
      resources: { requests: { storage: "1Gi" } },
      volumeName: "pv-1",
      storageClassName: "",
      volumeMode: "Filesystem",
    },
    status: {
      phase: "Bound",
      capacity: { storage: "1Gi" },
      conditions: [{ type: "Resizing", status: "True" }],
    },
  }, { ownerReferences: [{ apiVersion: "v1", kind: "Pod", name: "p", uid: uidOf(3), controller: true }] });
});

Deno.test("refuses claims that lead to no name of a volume", () => {
  refuses("persistentvolumeclaims", at("spec.volumeName", "../../x"), "spec.volumeName");
  refuses("persistentvolumeclaims", at("spec.volumeMode", "Raw"), "spec.volumeMode");
  refuses("persistentvolumeclaims", { spec: {}, ...at("status.phase", "bound") }, "status.phase");
  refuses("persistentvolumeclaims", {}, "spec");
});

const NFS = { server: "10.0.0.9", path: "/exports/a", readOnly: true };

Deno.test("volumes of plugins, drivers and options that the operator allowed", () => {
  const spec = {
    capacity: { storage: "1Gi" },
    accessModes: ["ReadWriteOnce"],
    claimRef: { apiVersion: "v1", kind: "PersistentVolumeClaim", namespace: "ns", name: "c", uid: uidOf(4) },
    persistentVolumeReclaimPolicy: "Retain",
    storageClassName: "slow",
    nodeAffinity: {
      required: {
        nodeSelectorTerms: [{ matchExpressions: [{ key: "a/b", operator: "In", values: ["c"] }] }],
      },
    },
  };
  passes("persistentvolumes", {
    spec: { nfs: NFS, ...spec, mountOptions: ["hard"] },
    status: { phase: "Bound" },
  }, {
    annotations: { "pv.beta.kubernetes.io/gid": "1000" },
  });
  passes("persistentvolumes", {
    spec: { csi: { driver: "csi.example.com", volumeHandle: "vol-1", volumeAttributes: { a: "b" } } },
  });
  passes("persistentvolumes", {
    spec: { iscsi: { targetPortal: "10.0.0.1:3260", iqn: "iqn.2001-04.com.example:a", lun: 0 } },
  });
  passes("persistentvolumes", {
    spec: { flexVolume: { driver: "example.com/dir", options: { folder: "/x" } } },
  });
});

Deno.test("refuses volumes of the node itself, of what is not allowed, and of several sources", () => {
  const sources: [JsonObject, string][] = [
    [{ hostPath: { path: "/" } }, "spec.hostPath"],
    [{ local: { path: "/" } }, "spec.local"],
    [{ rbd: {} }, "spec.rbd"],
    [{ fc: { lun: 1 } }, "spec.fc"],
    [{ "ev/il": {} }, "spec.(source)"],
    [{}, "spec"],
    [{ nfs: NFS, hostPath: { path: "/" } }, "spec"],
    [{ nfs: NFS, future: 1 }, "spec"],
    [{ csi: { driver: "evil.example.com", volumeHandle: "x" } }, "spec.csi"],
    [{ csi: { driver: ["csi.example.com"], volumeHandle: "x" } }, "spec.csi"],
    [{ flexVolume: { driver: "example.com/evil" } }, "spec.flexVolume"],
    [{ nfs: NFS, mountOptions: ["hard", "exec"] }, "spec.mountOptions"],
    [{ nfs: NFS, mountOptions: "hard" }, "spec.mountOptions"],
    [{ csi: { driver: "csi.example.com", volumeHandle: "x" }, mountOptions: ["hard"] }, "spec.mountOptions"],
    [{ csi: { driver: "csi.example.com" } }, "spec.csi.volumeHandle"],
    [{ csi: { driver: "csi.example.com", volumeHandle: "-x" } }, "spec.csi.volumeHandle"],
    [{ csi: { driver: "csi.example.com", volumeHandle: "x", fsType: "../x" } }, "spec.csi.fsType"],
    [{ nfs: { ...NFS, path: "/a/../../b" } }, "spec.nfs.path"],
    [{ nfs: { ...NFS, server: "-o" } }, "spec.nfs.server"],
    [{ iscsi: { targetPortal: "a", iqn: "../x", lun: 0 } }, "spec.iscsi.iqn"],
    [{ nfs: NFS, claimRef: { uid: "x" } }, "spec.claimRef.uid"],
    [
      {
        nfs: NFS,
        nodeAffinity: {
          required: { nodeSelectorTerms: [{ matchFields: [{ key: "a b", operator: "In" }] }] },
        },
      },
      "spec.nodeAffinity.required.nodeSelectorTerms[0].matchFields[0].key",
    ],
  ];
  for (const [spec, path] of sources) {
    refuses("persistentvolumes", { spec }, path);
  }
  const spec = { nfs: NFS };
  for (const gid of ["0", "-1", "1,0", "2147483648", " 5"]) {
    const annotations = { "pv.beta.kubernetes.io/gid": gid };
    refuses("persistentvolumes", { spec }, "metadata.annotations.pv.beta.kubernetes.io/gid", { annotations });
  }
  const annotations = { "volume.beta.kubernetes.io/mount-options": "hard" };
  const path = "metadata.annotations.volume.beta.kubernetes.io/mount-options";
  refuses("persistentvolumes", { spec }, path, { annotations });
  refuses("persistentvolumes", { spec }, "metadata.name", { name: "../x" });
});

Deno.test("what is not allowed names the flag that allows it", () => {
  const judged = kinds.persistentvolumes.judge({
    metadata: makeMetadata("x"),
    spec: { csi: { driver: "ebs.example.com", volumeHandle: "x" } },
  });
  assert.ok(!judged.ok);
  assert.match(String(judged.problems[0]?.message), /--allow-volume=csi\/ebs\.example\.com$/);
});

const ATTACHMENT = {
  spec: { attacher: "csi.example.com", source: { persistentVolumeName: "pv" }, nodeName: NODE_NAME },
  status: { attached: true, attachmentMetadata: { "devicePath": "/dev/sdb" } },
};

Deno.test("attachments", () => {
  passes("volumeattachments", ATTACHMENT);
});

Deno.test("refuses attachments of other nodes and drivers, and odd metadata", () => {
  const { spec } = ATTACHMENT;
  refuses("volumeattachments", { spec: { ...spec, nodeName: "other" } }, "spec.nodeName");
  refuses("volumeattachments", { spec: { ...spec, attacher: "evil.example.com" } }, "spec.attacher");
  const status = (metadata: JsonObject) => ({
    spec,
    status: { attached: true, attachmentMetadata: metadata },
  });
  refuses("volumeattachments", status({ "a b": "x" }), "status.attachmentMetadata[a b]");
  refuses("volumeattachments", status({ a: "x\ny" }), "status.attachmentMetadata[a]");
  refuses("volumeattachments", { spec, status: { attached: "yes" } }, "status.attached");
});

Deno.test("CSIDrivers and CSINodes", () => {
  passes("csidrivers", {
    spec: {
      attachRequired: false,
      podInfoOnMount: true,
      volumeLifecycleModes: ["Ephemeral"],
      fsGroupPolicy: "File",
      tokenRequests: [{ audience: "a", expirationSeconds: 600 }],
    },
  });
  passes("csinodes", {
    spec: { drivers: [{ name: "a.b", nodeID: "n", topologyKeys: ["a/b"], allocatable: { count: 3 } }] },
  }, {
    annotations: { "storage.alpha.kubernetes.io/migrated-plugins": "kubernetes.io/cinder" },
    labels: { a: "b" },
    ownerReferences: [{ apiVersion: "v1", kind: "Node", name: NODE_NAME, uid: uidOf(9) }],
  });
});

Deno.test("refuses CSIDrivers and CSINodes with other words", () => {
  refuses("csidrivers", at("spec.fsGroupPolicy", "Any"), "spec.fsGroupPolicy");
  refuses("csidrivers", at("spec.podInfoOnMount", "true"), "spec.podInfoOnMount");
  refuses("csinodes", at("spec.drivers", [{ name: "a\n", nodeID: "n" }]), "spec.drivers[0].name");
});

Deno.test("RuntimeClasses whose handler is pinned", () => {
  const judged = kinds.runtimeclasses.judge({
    metadata: makeMetadata("kata"),
    handler: "kata-qemu",
    overhead: { podFixed: {} },
  });
  assert.ok(judged.ok);
  assert.deepEqual(Object.keys(judged.object), ["metadata", "handler"]);
});

Deno.test("refuses RuntimeClasses that are not pinned, or have another handler", () => {
  refuses("runtimeclasses", { handler: "runc" }, "handler", { name: "kata" });
  refuses("runtimeclasses", { handler: "kata-qemu" }, "handler", { name: "other" });
  refuses("runtimeclasses", { handler: "../x" }, "handler", { name: "kata" });
  refuses("runtimeclasses", {}, "handler", { name: "kata" });
});

const NODE: JsonObject = {
  spec: {
    podCIDR: "10.1.0.0/24",
    podCIDRs: ["10.1.0.0/24", "fd00::/64"],
    providerID: "aws:///a/i-1",
    unschedulable: true,
    taints: [{ key: "a/b", value: "c", effect: "NoSchedule", timeAdded: "2026-01-01T00:00:00Z" }],
  },
  status: {
    capacity: { cpu: "4", "hugepages-2Mi": "0" },
    allocatable: { cpu: "4" },
    conditions: [{
      type: "Ready",
      status: "True",
      reason: "KubeletReady",
      message: "kubelet is posting ready status",
      lastHeartbeatTime: "2026-01-01T00:00:00Z",
      lastTransitionTime: "2026-01-01T00:00:00Z",
    }],
    addresses: [{ type: "InternalIP", address: "10.0.0.1" }],
    daemonEndpoints: { kubeletEndpoint: { Port: 10250 } },
    nodeInfo: { machineID: "a", kubeletVersion: "v1.36.3", swap: { capacity: 1 } },
    images: [{ names: ["a@sha256:b"], sizeBytes: 3 }],
    volumesInUse: ["kubernetes.io/csi/a^b"],
    volumesAttached: [{ name: "kubernetes.io/csi/a^b", devicePath: "" }],
    runtimeHandlers: [{ name: "", features: { recursiveReadOnlyMounts: true, userNamespaces: true } }],
    features: { supplementalGroupsPolicy: true },
    declaredFeatures: ["X"],
  },
};

Deno.test("nodes keep all that their kubelet writes itself", () => {
  passes("nodes", NODE, {
    labels: { "kubernetes.io/hostname": "worker" },
    annotations: {
      "node.alpha.kubernetes.io/ttl": "0",
      "volumes.kubernetes.io/controller-managed-attach-detach": "true",
      "csi.volume.kubernetes.io/nodeid": '{"a.b":"worker"}',
      "alpha.kubernetes.io/provided-node-ip": "10.0.0.1,fd00::1",
    },
  });
});

Deno.test("refuses nodes whose fields are none", () => {
  refuses("nodes", at("spec.podCIDR", "10.0.0.0"), "spec.podCIDR");
  refuses("nodes", at("spec.podCIDR", "10.0.0.0/8/8"), "spec.podCIDR");
  refuses("nodes", at("spec.taints", [{ key: "a", effect: "Evict" }]), "spec.taints[0].effect");
  refuses(
    "nodes",
    at("status.volumesAttached", [{ name: "a", devicePath: "/dev/../x" }]),
    "status.volumesAttached[0].devicePath",
  );
  refuses("nodes", at("status.capacity", { cpu: "many" }), "status.capacity[cpu]");
  refuses(
    "nodes",
    at("status.addresses", [{ type: "InternalIP", address: "a b" }]),
    "status.addresses[0].address",
  );
  refuses("nodes", {}, "metadata.labels[a]", { labels: { a: "b c" } });
  for (
    const [key, value] of [
      ["node.alpha.kubernetes.io/ttl", "-1"],
      ["csi.volume.kubernetes.io/nodeid", "{"],
      ["csi.volume.kubernetes.io/nodeid", '{"a":1}'],
      ["alpha.kubernetes.io/provided-node-ip", "x"],
      ["volumes.kubernetes.io/controller-managed-attach-detach", "maybe"],
    ] as const
  ) {
    refuses("nodes", {}, `metadata.annotations.${key}`, { annotations: { [key]: value } });
  }
});

Deno.test("service accounts and their tokens", () => {
  passes("serviceaccounts", {}, { annotations: { "eks.example.com/role": "arn:x" } });
  const token = {
    metadata: { name: "x", namespace: "ns", creationTimestamp: "2026-01-01T00:00:00Z" },
    spec: {
      audiences: ["api"],
      expirationSeconds: 3607,
      boundObjectRef: { kind: "Pod", apiVersion: "v1", name: "p", uid: uidOf(1) },
    },
    status: { token: "aaa.bbb.ccc", expirationTimestamp: "2026-01-01T01:00:00Z" },
  };
  assert.deepEqual(kinds["serviceaccounts/token"].judge({ ...token, x: 1 }), { ok: true, object: token });
});

Deno.test("refuses answers to token requests that hold no token", () => {
  const status = { token: "a", expirationTimestamp: "2026-01-01T01:00:00Z" };
  refuses("serviceaccounts/token", {}, "status");
  refuses("serviceaccounts/token", { status: { ...status, token: "a\nb" } }, "status.token");
  refuses(
    "serviceaccounts/token",
    { status: { ...status, expirationTimestamp: "soon" } },
    "status.expirationTimestamp",
  );
});

const RESULT = { request: "gpu", driver: "gpu.example.com", pool: "worker", device: "gpu-0" };

Deno.test("resource claims of drivers that the operator allowed", () => {
  passes("resourceclaims", {
    status: {
      reservedFor: [{ resource: "pods", name: "p", uid: uidOf(1) }],
      allocation: { devices: { results: [{ ...RESULT, adminAccess: false, shareID: uidOf(2) }] } },
    },
  });
});

Deno.test("refuses resource claims of other drivers", () => {
  const claim = (result: JsonObject) => at("status.allocation.devices.results", [result]);
  const path = "status.allocation.devices.results[0]";
  refuses("resourceclaims", claim({ ...RESULT, driver: "evil.example.com" }), `${path}.driver`);
  refuses("resourceclaims", claim({ ...RESULT, pool: "../x" }), `${path}.pool`);
  refuses("resourceclaims", claim({ ...RESULT, device: "a/b" }), `${path}.device`);
});

Deno.test("certificates", () => {
  const encoded = encodeBase64(new TextEncoder().encode(PEM));
  passes("clustertrustbundles", { spec: { signerName: "example.com/a", trustBundle: PEM + PEM } }, {
    labels: { a: "b" },
    name: "example.com:a:b",
  });
  passes("certificatesigningrequests", {
    spec: {
      request: "AA==",
      signerName: "kubernetes.io/kube-apiserver-client-kubelet",
      usages: ["client auth"],
    },
    status: { conditions: [{ type: "Approved", status: "True" }], certificate: encoded },
  });
  passes("podcertificaterequests", {
    spec: { signerName: "example.com/a", podName: "p", podUID: uidOf(1), nodeName: NODE_NAME },
    status: {
      conditions: [{ type: "Issued", status: "True", observedGeneration: 1 }],
      certificateChain: PEM,
      notAfter: "2026-01-01T00:00:00Z",
    },
  });
});

Deno.test("refuses certificates that are something else", () => {
  const key = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
  refuses("clustertrustbundles", at("spec.trustBundle", key), "spec.trustBundle");
  refuses("clustertrustbundles", at("spec.trustBundle", "x"), "spec.trustBundle");
  refuses("clustertrustbundles", { spec: { signerName: "../x", trustBundle: PEM } }, "spec.signerName");
  refuses("certificatesigningrequests", at("status.certificate", "AA=="), "status.certificate");
  refuses("certificatesigningrequests", at("spec.request", "?"), "spec.request");
  refuses("podcertificaterequests", at("status.certificateChain", key), "status.certificateChain");
});
