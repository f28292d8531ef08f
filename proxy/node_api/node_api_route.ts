/**
 * What a request to the kubelet's own API (port 10250) is: which word of `--node-api-access` it needs, and as what the
 * kubelet would have it authorised. Only paths that are known to the letter get a word; everything else needs `all`.
 *
 * Source: `pkg/kubelet/server/server.go` and `auth.go` of Kubernetes 1.32.13 to 1.37.2. The fine-grained subresources
 * are those of 1.33 and later (KubeletFineGrainedAuthz), each with `proxy` behind it, as there.
 *
 * @module
 */
import { isDnsLabel, isDnsSubdomain, isUid } from "@signed-pods/shared/pod/grammar";
import type { NodeApiWord } from "./node_api_access.ts";
import type { RequestTarget, TargetRules } from "../request_target.ts";

/**
 * Longest path and query, in characters: `kubectl exec` puts the command there, each argument as a parameter. Linux
 * itself admits 128 KiB for one argument; a script of half of that has been read in full.
 */
export const MAX_NODE_API_TARGET_CHARACTERS = 64 * 1024;

/** Most parameters of a query: the arguments of a command. */
export const MAX_NODE_API_PARAMETERS = 1024;

/** How paths and queries of the kubelet's API are read. */
export const NODE_API_TARGET_RULES: TargetRules = {
  repeatable: new Set(["command", "port"]),
  maxParameters: MAX_NODE_API_PARAMETERS,
  maxCharacters: MAX_NODE_API_TARGET_CHARACTERS,
  trailingSlash: true,
};

/** What a request is. */
export interface NodeApiRoute {
  needed: NodeApiWord | "healthz";
  /** Verb of the access review; empty for methods that have none. */
  verb: string;
  /** Subresources of the node; one that is allowed is enough. */
  subresources: readonly string[];
  /** Whether the connection becomes a stream. With `all` that is the client's choice. */
  upgrade: "always" | "never" | "any";
}

const VERBS: ReadonlyMap<string, string> = new Map([
  ["GET", "get"],
  ["POST", "create"],
  ["PUT", "update"],
  ["PATCH", "patch"],
  ["DELETE", "delete"],
]);

/** Paths that are read by GET and end by themselves. */
const READ_PATHS: ReadonlyMap<string, NodeApiWord | "healthz"> = new Map([
  ["metrics", "metrics"],
  ["metrics/cadvisor", "metrics"],
  ["metrics/probes", "metrics"],
  ["metrics/resource", "metrics"],
  ["metrics/slis", "metrics"],
  ["stats/summary", "stats"],
  ["pods", "pods"],
  ["runningpods", "pods"],
  ["allocatedPods", "pods"],
  ["healthz", "healthz"],
  ["healthz/log", "healthz"],
  ["healthz/ping", "healthz"],
  ["healthz/syncloop", "healthz"],
]);

/** First segments of the paths whose connections become streams. */
const STREAM_PATHS: ReadonlyMap<string, { needed: NodeApiWord; container: boolean }> = new Map([
  ["exec", { needed: "exec", container: true }],
  ["attach", { needed: "attach", container: true }],
  ["portForward", { needed: "port-forward", container: false }],
]);

/** First segments with a subresource of their own that is asked for first, and those with one instead of `proxy`. */
const FINE_GRAINED: ReadonlyMap<string, string> = new Map([
  ["pods", "pods"],
  ["runningpods", "pods"],
  ["allocatedPods", "pods"],
  ["healthz", "healthz"],
  ["configz", "configz"],
]);
const OWN: ReadonlyMap<string, string> = new Map([
  ["stats", "stats"],
  ["metrics", "metrics"],
  ["logs", "log"],
  ["checkpoint", "checkpoint"],
  ["statusz", "statusz"],
  ["flagz", "configz"],
]);

/** Finds out what a request is. */
export function routeNodeApi(method: string, { segments }: RequestTarget): NodeApiRoute {
  const [first = ""] = segments;
  const fine = FINE_GRAINED.get(first);
  return {
    ...classify(method, segments),
    verb: VERBS.get(method) ?? "",
    subresources: [...(fine === undefined ? [] : [fine]), OWN.get(first) ?? "proxy"],
  };
}

function classify(method: string, segments: readonly string[]): Pick<NodeApiRoute, "needed" | "upgrade"> {
  const [first = "", namespace = "", pod = "", ...rest] = segments;
  const read = READ_PATHS.get(segments.join("/"));
  if (method === "GET" && read !== undefined) {
    return { needed: read, upgrade: "never" };
  }
  const isPod = isDnsLabel(namespace) && isDnsSubdomain(pod);
  const [container = ""] = rest;
  if (method === "GET" && first === "containerLogs" && isPod && rest.length === 1 && isDnsLabel(container)) {
    return { needed: "logs", upgrade: "never" };
  }
  const stream = STREAM_PATHS.get(first);
  if (
    stream !== undefined && (method === "GET" || method === "POST") && isPod && fits(rest, stream.container)
  ) {
    return { needed: stream.needed, upgrade: "always" };
  }
  return { needed: "all", upgrade: "any" };
}

/** Behind the pod: its UID, if the client wishes, and for some the container. */
function fits(rest: readonly string[], container: boolean): boolean {
  const names = container ? rest.slice(0, -1) : rest;
  const last = container ? rest.at(-1) : undefined;
  return names.length <= 1 && names.every(isUid) && (!container || (last !== undefined && isDnsLabel(last)));
}
