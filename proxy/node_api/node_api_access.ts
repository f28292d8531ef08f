/**
 * What of the kubelet's own API (port 10250) the cluster may use: the local ceiling that `--node-api-access` sets. The
 * cluster's RBAC decides below it, since RBAC is asked of the API server, which is not trusted.
 *
 * Source: `pkg/kubelet/server/auth.go` of Kubernetes 1.36.3 and 1.37.2; Kubernetes, "Kubelet authentication/authorization".
 *
 * @module
 */
import type { ResourceAttributes } from "./review_request.ts";

/** One word of `--node-api-access`, and what it opens. */
export const NODE_API_WORDS = {
  logs: "what containers print: kubectl logs",
  metrics: "/metrics and what is under it",
  stats: "/stats/summary",
  pods: "/pods and /runningpods; they show the values of environment variables",
  exec: "commands in containers: kubectl exec, cp",
  attach: "the streams of containers: kubectl attach",
  "port-forward": "the ports of pods: kubectl port-forward",
  all: "everything, also what a later kubelet adds",
} as const;

/** One word of `--node-api-access`. */
export type NodeApiWord = keyof typeof NODE_API_WORDS;

/** The words that were given. */
export type NodeApiAccess = ReadonlySet<NodeApiWord>;

/** Tells whether a text is one of the words. */
export function isNodeApiWord(text: string): text is NodeApiWord {
  return Object.hasOwn(NODE_API_WORDS, text);
}

/** Whether a thing is within the ceiling. Health is shown to everyone whom the cluster shows it. */
export function opens(access: NodeApiAccess, needed: NodeApiWord | "healthz"): boolean {
  return needed === "healthz" || access.has("all") || access.has(needed);
}

/** What is said to a client about something beyond the ceiling: what, where, and which flag would open it. */
export function describeRefusal(what: string, needed: NodeApiWord | "healthz", nodeName: string): string {
  return `kubelet-proxy on node "${nodeName}" does not open ${what} to the cluster; --node-api-access=${needed} there would`;
}

/**
 * What an access review of the kubelet asks for, as a word. It names a subresource of this node. The subresource `proxy`
 * stands for logs, exec, attach, port-forward, run and whatever else has no name of its own, and `kubectl exec` asks with
 * the very attributes of `kubectl logs`: so it is opened by `all` alone, and no list of words comes to as much.
 *
 * @param attributes what the review asks about; nothing if it is no resource
 * @param nodeName name of this node
 */
export function neededForReview(
  attributes: ResourceAttributes | undefined,
  nodeName: string,
): NodeApiWord | "healthz" {
  if (
    attributes === undefined || attributes.verb !== "get" || attributes.resource !== "nodes" ||
    attributes.name !== nodeName || attributes.group !== "" || attributes.namespace !== "" ||
    (attributes.version !== "v1" && attributes.version !== "")
  ) {
    return "all";
  }
  switch (attributes.subresource) {
    case "metrics":
    case "stats":
    case "pods":
    case "healthz":
      return attributes.subresource;
    default:
      return "all";
  }
}
