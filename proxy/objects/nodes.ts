/**
 * The node's own object. The kubelet reads it, changes its copy, and sends what differs: so all that it writes itself has
 * to come back to it, or it would write without end.
 *
 * Source: `pkg/kubelet/kubelet_node_status.go`, `pkg/kubelet/nodestatus/setters.go` and
 * `pkg/volume/csi/nodeinfomanager/nodeinfomanager.go` of Kubernetes 1.36.3; fields of 1.37.2.
 *
 * @module
 */
import { isJsonObject } from "@signed-pods/shared/json";
import { isIpAddress, isLabelValue } from "@signed-pods/shared/pod/grammar";
import { parseStrictJson } from "@signed-pods/shared/strict-json";
import { LABELS, metadata, QUALIFIED_NAME } from "./metadata.ts";
import { anyText, BOOLEAN, COUNT, fields, integer, list, type Shape, text, TIME, word } from "./shape.ts";
import { AMOUNTS, CONDITION, LINE } from "./texts.ts";

const NETWORK: Shape = text((found) => {
  const [address = "", bits = "", ...more] = found.split("/");
  return more.length === 0 && isIpAddress(address) && /^(?:0|[1-9][0-9]{0,2})$/.test(bits) &&
    Number(bits) <= 128;
}, "a network (CIDR)");

const WORD: Shape = anyText(1024);
const BYTE_COUNT: Shape = integer(0, Number.MAX_SAFE_INTEGER);
const DEVICE_PATH: Shape = text(
  (found) => found === "" || (/^[A-Za-z0-9_./:-]{1,4096}$/.test(found) && !found.split("/").includes("..")),
  'a path without ".."',
);

/** The annotations that a kubelet reads, each with its grammar. */
const ANNOTATIONS: Shape = fields({
  "node.alpha.kubernetes.io/ttl": text((found) => /^[0-9]{1,5}$/.test(found), "a number of seconds"),
  "volumes.kubernetes.io/controller-managed-attach-detach": word("true", "false"),
  "alpha.kubernetes.io/provided-node-ip": text(
    (found) => found.split(",").every(isIpAddress),
    "IP addresses with commas",
  ),
  "csi.volume.kubernetes.io/nodeid": text(isNodeIds, "a JSON object of texts"),
});

function isNodeIds(found: string): boolean {
  try {
    const value = parseStrictJson(found);
    return isJsonObject(value) && Object.values(value).every((id) => typeof id === "string");
  } catch {
    return false;
  }
}

/** The fields of a Node that a kubelet reads or writes. */
export const NODE: Shape = fields({
  metadata: metadata({ namespaced: false, labels: LABELS, annotations: ANNOTATIONS }),
  spec: fields({
    podCIDR: NETWORK,
    podCIDRs: list(NETWORK),
    providerID: LINE,
    unschedulable: BOOLEAN,
    taints: list(fields({
      key: QUALIFIED_NAME,
      value: text(isLabelValue, "a label's value"),
      effect: word("NoSchedule", "PreferNoSchedule", "NoExecute"),
      timeAdded: TIME,
    }, ["key", "effect"])),
  }),
  status: fields({
    capacity: AMOUNTS,
    allocatable: AMOUNTS,
    phase: WORD,
    conditions: list(CONDITION),
    addresses: list(fields({
      type: word("Hostname", "InternalIP", "ExternalIP", "InternalDNS", "ExternalDNS"),
      address: text((found) => /^[A-Za-z0-9.:_-]{0,253}$/.test(found), "an address or a host"),
    }, ["type", "address"])),
    daemonEndpoints: fields({ kubeletEndpoint: fields({ Port: integer(0, 65535) }) }),
    nodeInfo: fields({
      machineID: WORD,
      systemUUID: WORD,
      bootID: WORD,
      kernelVersion: WORD,
      osImage: WORD,
      containerRuntimeVersion: WORD,
      kubeletVersion: WORD,
      kubeProxyVersion: WORD,
      operatingSystem: WORD,
      architecture: WORD,
      swap: fields({ capacity: BYTE_COUNT }),
      runningInUserNamespace: BOOLEAN,
    }),
    images: list(fields({ names: list(WORD), sizeBytes: BYTE_COUNT })),
    volumesInUse: list(LINE, 10_000),
    volumesAttached: list(fields({ name: LINE, devicePath: DEVICE_PATH }, ["name"]), 10_000),
    runtimeHandlers: list(fields({
      name: WORD,
      features: fields({ recursiveReadOnlyMounts: BOOLEAN, userNamespaces: BOOLEAN }),
    })),
    features: fields({ supplementalGroupsPolicy: BOOLEAN }),
    declaredFeatures: list(WORD),
  }),
}, ["metadata"]);

/** The fields of a CSINode, which a kubelet reads and writes back as a whole. */
export const CSI_NODE_SPEC: Shape = fields({
  drivers: list(fields({
    name: LINE,
    nodeID: LINE,
    topologyKeys: list(QUALIFIED_NAME),
    allocatable: fields({ count: COUNT }),
  }, ["name", "nodeID"])),
});
