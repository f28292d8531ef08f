/**
 * Looks in a kubelet's configuration file for settings by which the cluster would go round the front of its API. What the
 * kubelet's own flags and drop-in files (`--config-dir`) change cannot be seen here.
 *
 * Source: `k8s.io/kubelet/config/v1beta1/types.go`; defaults in `pkg/kubelet/apis/config/v1beta1/defaults.go`, of
 * Kubernetes 1.32.13 to 1.37.2.
 *
 * @module
 */
import { isLoopbackAddress } from "../address.ts";
import { folderOf } from "../credentials/kubeconfig.ts";
import { type Fields, isFields, parseStrictYaml } from "../credentials/strict_yaml.ts";

/** Longest file, in characters; with every field set, one has about 10,000. */
export const MAX_KUBELET_CONFIG_CHARACTERS = 1024 * 1024;

/** The kubelet's port if its configuration names none. */
const DEFAULT_PORT = 10250;

/** What a kubelet's configuration says that matters here. */
export interface KubeletConfig {
  /** As in the file; relative to its folder. Nothing if there is none. */
  clientCaFile?: string;
  /** What is wrong with it. */
  problems: string[];
}

/**
 * Reads a configuration.
 *
 * @param text YAML or JSON
 * @param port of the kubelet, as the front is told
 */
export function readKubeletConfig(text: string, port: number): KubeletConfig {
  if (text.length > MAX_KUBELET_CONFIG_CHARACTERS) {
    return { problems: [`longer than ${MAX_KUBELET_CONFIG_CHARACTERS} characters`] };
  }
  const parsed = parseStrictYaml(text);
  if (!parsed.ok) return { problems: parsed.problems };
  const root = parsed.value;
  if (
    !isFields(root) || root["kind"] !== "KubeletConfiguration" ||
    root["apiVersion"] !== "kubelet.config.k8s.io/v1beta1"
  ) {
    return { problems: ["not a KubeletConfiguration of kubelet.config.k8s.io/v1beta1"] };
  }
  const problems: string[] = [];
  const address = root["address"] ?? "";
  if (typeof address !== "string" || !isLoopbackAddress(address)) {
    problems.push(
      'address: the kubelet listens where the cluster reaches it (0.0.0.0 if nothing is set); write address: "127.0.0.1"',
    );
  }
  if ((root["port"] ?? DEFAULT_PORT) !== port) {
    problems.push(`port: is not ${port}, which --kubelet-api-server says; make them the same`);
  }
  if ((root["readOnlyPort"] ?? 0) !== 0) {
    problems.push("readOnlyPort: serves pods and metrics to everyone; set it to 0");
  }
  if (at(root, "authorization", "mode", "Webhook") !== "Webhook") {
    problems.push("authorization.mode: must be Webhook; with any other, the front is not asked");
  }
  if (at(root, "authentication", "anonymous", {}, "enabled", false) !== false) {
    problems.push("authentication.anonymous.enabled: lets everyone in; set it to false");
  }
  const clientCaFile = at(root, "authentication", "x509", {}, "clientCAFile", "");
  if (typeof clientCaFile !== "string" || clientCaFile === "") {
    problems.push(
      "authentication.x509.clientCAFile: is not set, so the kubelet would not know the front; name the authority of --kubelet-client-certificate",
    );
    return { problems };
  }
  return { clientCaFile, problems };
}

/** A value below a map, and below a map in that; the default where there is none. */
function at(
  root: Fields,
  outer: string,
  inner: string,
  absent: unknown,
  field?: string,
  absentField?: unknown,
): unknown {
  const first = root[outer] ?? {};
  if (!isFields(first)) return undefined;
  const second = first[inner] ?? absent;
  if (field === undefined) return second;
  return isFields(second) ? second[field] ?? absentField : undefined;
}

/** Where the kubelet finds its clientCAFile: relative paths are relative to its configuration file. */
export function clientCaPath(configFile: string, clientCaFile: string): string {
  return clientCaFile.startsWith("/") ? clientCaFile : `${folderOf(configFile)}/${clientCaFile}`;
}
