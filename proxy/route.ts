/**
 * What may be asked for: a table of the requests that kubelets 1.32 to 1.37 make. Everything else is refused, unless
 * `--allow-path` names it; pods are reached through the rows of this table and in no other way.
 *
 * Source: `pkg/kubelet`, `pkg/volume` and `cmd/kubelet` of Kubernetes 1.32.13, 1.33.13, 1.34.9, 1.35.6, 1.36.3 and
 * 1.37.2, and `NodeRules` in `plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go`.
 *
 * @module
 */
import { isDnsLabel } from "@signed-pods/shared/pod/grammar";
import type { ObjectRequest } from "./objects/object_gate.ts";
import type { ResourceName } from "./objects/object_kind.ts";
import type { RequestTarget } from "./request_target.ts";

/** The methods that Kubernetes resources have. */
export type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

const METHODS: ReadonlySet<string> = new Set(["GET", "POST", "PUT", "PATCH", "DELETE"]);

/**
 * How a row is handled. `pod-read` is a list or a watch, as its query says; `object` is a list, a watch, a get or a
 * write, as method, path and query say; `relay` decides nothing, and nothing that the node does hangs on the answer.
 */
export type Handling =
  | "pod-read"
  | "pod-get"
  | "pod-write"
  | "object"
  | "token-review"
  | "access-review"
  | "relay";

/** What a row demands of the query's fieldSelector. */
export type SelectorRule =
  /** Exactly `spec.nodeName=<this node>`. */
  | "this-node-only"
  /** Terms of which one is `spec.nodeName=<this node>`. */
  | "this-node"
  /** Exactly `metadata.name=<this node>`. */
  | "named-this-node"
  /** Exactly `metadata.name=<some name>`. */
  | "named";

/** One row of the table. */
export interface RouteRow {
  methods: readonly Method[];
  /**
   * Path pattern. `{node}` is this node's name, `{namespace}` a DNS label, `{name}` an object's name; words between
   * braces with bars are alternatives.
   */
  path: string;
  handling: Handling;
  /** With `object`: whose rule the answer is judged by. */
  resource?: ResourceName;
  /** If given, the request must have such a fieldSelector. */
  selector?: SelectorRule;
  /** Part of the kubelet that asks. */
  who: string;
}

/** The requests of kubelets 1.32 to 1.37. */
export const ROUTES: readonly RouteRow[] = [
  // Pods. The list and the watch are the only source of what a kubelet runs.
  row(["GET"], "/api/v1/pods", "pod source", { handling: "pod-read", selector: "this-node-only" }),
  row(["GET"], "/api/v1/namespaces/{namespace}/pods/{name}", "status manager", { handling: "pod-get" }),
  row(["POST"], "/api/v1/namespaces/{namespace}/pods", "mirror pods", { handling: "pod-write" }),
  row(["DELETE"], "/api/v1/namespaces/{namespace}/pods/{name}", "status manager, mirror pods", {
    handling: "pod-write",
  }),
  row(["PATCH"], "/api/v1/namespaces/{namespace}/pods/{name}/status", "status manager", {
    handling: "pod-write",
  }),

  // The node itself.
  row(["GET"], "/api/v1/nodes", "node informer", { selector: "named-this-node", resource: "nodes" }),
  row(["POST"], "/api/v1/nodes", "registration", { resource: "nodes" }),
  row(["GET", "PATCH"], "/api/v1/nodes/{node}", "node status, volume manager", { resource: "nodes" }),
  row(["PATCH"], "/api/v1/nodes/{node}/status", "node status, CSI", { resource: "nodes" }),
  row(
    ["POST"],
    "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases",
    "node lease",
  ),
  row(
    ["GET", "PUT"],
    "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{node}",
    "node lease",
  ),
  row(["POST"], "/api/v1/namespaces/{namespace}/events", "event recorder"),
  row(["PATCH"], "/api/v1/namespaces/{namespace}/events/{name}", "event recorder"),

  // What pods refer to.
  row(["GET"], "/api/v1/namespaces/{namespace}/configmaps", "per-object informers", {
    selector: "named",
    resource: "configmaps",
  }),
  row(["GET"], "/api/v1/namespaces/{namespace}/configmaps/{name}", "volumes, environment", {
    resource: "configmaps",
  }),
  row(["GET"], "/api/v1/namespaces/{namespace}/secrets", "per-object informers", {
    selector: "named",
    resource: "secrets",
  }),
  row(["GET"], "/api/v1/namespaces/{namespace}/secrets/{name}", "volumes, environment", {
    resource: "secrets",
  }),
  row(["GET"], "/api/v1/services", "service environment", { resource: "services" }),
  row(["GET"], "/api/v1/namespaces/{namespace}/serviceaccounts/{name}", "credential providers", {
    resource: "serviceaccounts",
  }),
  row(["POST"], "/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token", "token manager", {
    resource: "serviceaccounts/token",
  }),
  row(["GET"], "/apis/node.k8s.io/v1/runtimeclasses", "runtime classes", { resource: "runtimeclasses" }),

  // Storage.
  row(["GET"], "/api/v1/namespaces/{namespace}/persistentvolumeclaims/{name}", "volume manager", {
    resource: "persistentvolumeclaims",
  }),
  row(["PATCH"], "/api/v1/namespaces/{namespace}/persistentvolumeclaims/{name}/status", "volume expansion", {
    resource: "persistentvolumeclaims",
  }),
  row(["GET"], "/api/v1/persistentvolumes/{name}", "volume manager", { resource: "persistentvolumes" }),
  row(["GET"], "/apis/storage.k8s.io/v1/volumeattachments/{name}", "CSI", { resource: "volumeattachments" }),
  row(["GET"], "/apis/storage.k8s.io/v1/csidrivers", "CSI", { resource: "csidrivers" }),
  row(["POST"], "/apis/storage.k8s.io/v1/csinodes", "CSI", { resource: "csinodes" }),
  row(["GET", "PUT", "DELETE"], "/apis/storage.k8s.io/v1/csinodes/{node}", "CSI", { resource: "csinodes" }),
  // 1.37 and later.
  row(["PUT"], "/apis/storage.k8s.io/v1/csinodes/{node}/status", "CSI", { resource: "csinodes" }),

  // Dynamic resource allocation; v1beta1 in 1.32 and 1.33, v1 in 1.34 and later.
  row(
    ["GET"],
    "/apis/resource.k8s.io/{v1|v1beta1|v1beta2}/namespaces/{namespace}/resourceclaims/{name}",
    "resource claims",
    { resource: "resourceclaims" },
  ),
  row(["DELETE"], "/apis/resource.k8s.io/{v1|v1beta1|v1beta2}/resourceslices", "device plugins", {
    selector: "this-node",
  }),

  // Certificates: the kubelet's own, and projected volumes.
  row(["POST"], "/apis/certificates.k8s.io/v1/certificatesigningrequests", "certificate rotation", {
    resource: "certificatesigningrequests",
  }),
  row(["GET"], "/apis/certificates.k8s.io/v1/certificatesigningrequests", "certificate rotation", {
    selector: "named",
    resource: "certificatesigningrequests",
  }),
  row(["GET"], "/apis/certificates.k8s.io/v1/certificatesigningrequests/{name}", "certificate rotation", {
    resource: "certificatesigningrequests",
  }),
  row(
    ["GET"],
    "/apis/certificates.k8s.io/{v1|v1beta1|v1alpha1}/clustertrustbundles",
    "clusterTrustBundle volumes",
    { resource: "clustertrustbundles" },
  ),
  row(
    ["GET"],
    "/apis/certificates.k8s.io/{v1|v1beta1|v1alpha1}/podcertificaterequests",
    "podCertificate volumes",
    { selector: "this-node", resource: "podcertificaterequests" },
  ),
  row(
    ["POST"],
    "/apis/certificates.k8s.io/{v1|v1beta1|v1alpha1}/namespaces/{namespace}/podcertificaterequests",
    "podCertificate volumes",
    { resource: "podcertificaterequests" },
  ),

  // Discovery: asked for when an API is missing, to say so.
  row(["GET"], "/api/v1", "token manager"),
  row(["GET"], "/apis/certificates.k8s.io/{v1|v1beta1|v1alpha1}", "clusterTrustBundle volumes"),
  // Certificate bootstrap: whether the API server is alive.
  row(["GET"], "/healthz", "certificate bootstrap"),

  // Whether a client of the kubelet's own port is known, and what it may do.
  row(["POST"], "/apis/authentication.k8s.io/v1/tokenreviews", "port 10250", { handling: "token-review" }),
  row(["POST"], "/apis/authorization.k8s.io/v1/subjectaccessreviews", "port 10250", {
    handling: "access-review",
  }),
];

/** What a request is taken for. */
export type Route =
  | { kind: "pod-list"; query: URLSearchParams }
  | { kind: "pod-watch"; query: URLSearchParams }
  | { kind: "pod-get"; namespace: string; name: string; query: URLSearchParams }
  | {
    kind: "pod-write";
    method: "POST" | "DELETE" | "PATCH";
    namespace: string;
    name?: string;
    subresource?: string;
  }
  /** Anything that is judged by the rule of its kind. */
  | { kind: "object"; asked: ObjectRequest }
  /** Asks who a client of the kubelet is (TokenReview) or what it may do (SubjectAccessReview). */
  | { kind: "review"; review: "token" | "access" }
  /** Goes up and comes back as it is. `stream` if the answer may go on for hours. */
  | { kind: "relay"; stream: boolean }
  /** Goes no further. */
  | { kind: "refuse"; code: 400 | 403; message: string; advice?: string };

/** A path that `--allow-path` opens. */
export interface AllowedPath {
  method: Method;
  /** Canonical path; with `prefix`, it ends in a slash. */
  path: string;
  /** Whether everything under the path is meant. */
  prefix: boolean;
}

/** What came out of reading one value of `--allow-path`. */
export type ParsedAllowedPath = { ok: true; allowed: AllowedPath } | { ok: false; message: string };

/**
 * Reads a value of `--allow-path`: `METHOD:/exact/path` or `METHOD:/path/below/*`.
 *
 * @example
 * ```ts ignore
 * parseAllowedPath("GET:/apis/example.com/v1/*");
 * ```
 */
export function parseAllowedPath(text: string): ParsedAllowedPath {
  const colon = text.indexOf(":");
  const method = text.slice(0, Math.max(colon, 0));
  const path = text.slice(colon + 1);
  if (!isMethod(method)) {
    return unreadable(`"${text}" does not begin with GET:, POST:, PUT:, PATCH: or DELETE:`);
  }
  if (!/^(?:\/[A-Za-z0-9._~:-]+)+(?:\/\*)?$/.test(path)) {
    return unreadable(`"${text}" holds no canonical path`);
  }
  const segments = path.slice(1).split("/");
  if (segments.includes(".") || segments.includes("..")) {
    return unreadable(`"${text}" holds a dot segment`);
  }
  const prefix = segments.at(-1) === "*";
  if (reachesPods(prefix ? segments.slice(0, -1) : segments, prefix)) {
    return {
      ok: false,
      message: `"${text}" would open a way to pods that goes round the verification; no flag can do that`,
    };
  }
  return { ok: true, allowed: { method, path: prefix ? path.slice(0, -1) : path, prefix } };

  function unreadable(problem: string): ParsedAllowedPath {
    return {
      ok: false,
      message: `${problem}; write METHOD:/path, or METHOD:/path/* for everything under it`,
    };
  }
}

/** Finds what requests are. */
export interface Router {
  route(method: string, target: RequestTarget): Route;
}

/**
 * Makes the router of one node.
 *
 * @param nodeName name of the Node object
 * @param allowedPaths what `--allow-path` opens beyond the table
 */
export function createRouter(nodeName: string, allowedPaths: readonly AllowedPath[]): Router {
  const rows = ROUTES.map((row) => ({ row, pattern: row.path.slice(1).split("/").map(compileSegment) }));

  return {
    route(method, target) {
      if (!isMethod(method)) {
        return refuse(
          403,
          `the method ${
            /^[A-Z]{1,20}$/.test(method) ? method : "of this request"
          } is not one that kubelets use`,
        );
      }
      const watch = readWatch(target.query);
      if (watch === undefined) {
        return refuse(400, 'the parameter watch must be "true", "1", "false" or "0"');
      }
      let selectorProblem: Route | undefined;
      for (const { row, pattern } of rows) {
        const names = row.methods.includes(method) ? match(pattern, target.segments) : undefined;
        if (names === undefined) {
          continue;
        }
        const problem = checkSelector(row, target.query.get("fieldSelector"));
        if (problem === undefined) {
          return resolve(row, method, names, target, watch);
        }
        selectorProblem = refuse(403, problem);
      }
      if (reachesPods(target.segments, false)) {
        return selectorProblem ?? refuse(403, "kubelets do not ask for pods in this way");
      }
      if (allowedPaths.some((allowed) => allows(allowed, method, target.path))) {
        return { kind: "relay", stream: watch };
      }
      return {
        ...(selectorProblem ?? refuse(403, "kubelets do not ask for this")),
        advice: `--allow-path=${method}:${target.path}`,
      };
    },
  };

  function compileSegment(pattern: string): (segment: string) => boolean {
    switch (pattern) {
      case "{node}":
        return (segment) => segment === nodeName;
      case "{namespace}":
        return isDnsLabel;
      case "{name}":
        return isObjectName;
    }
    if (pattern.startsWith("{")) {
      const words = new Set(pattern.slice(1, -1).split("|"));
      return (segment) => words.has(segment);
    }
    return (segment) => segment === pattern;
  }

  /** The segments, if all of them match. */
  function match(pattern: readonly ((segment: string) => boolean)[], segments: string[]) {
    return pattern.length === segments.length && pattern.every((test, index) => test(segments[index] ?? ""))
      ? segments
      : undefined;
  }

  /** What is wrong with the fieldSelector; undefined if nothing is. */
  function checkSelector(row: RouteRow, selector: string | null): string | undefined {
    switch (row.selector) {
      case undefined:
        return undefined;
      case "this-node-only":
        return selector === `spec.nodeName=${nodeName}`
          ? undefined
          : `pods are served with the fieldSelector "spec.nodeName=${nodeName}" only`;
      case "this-node":
        return (selector ?? "").split(",").includes(`spec.nodeName=${nodeName}`)
          ? undefined
          : `the fieldSelector must hold "spec.nodeName=${nodeName}"`;
      case "named-this-node":
        return selector === `metadata.name=${nodeName}`
          ? undefined
          : `the fieldSelector must be "metadata.name=${nodeName}"`;
      case "named":
        return selector?.startsWith("metadata.name=") && isObjectName(selector.slice("metadata.name=".length))
          ? undefined
          : 'the fieldSelector must be "metadata.name=" and one name';
      default: {
        const never: never = row.selector;
        return never;
      }
    }
  }
}

/** Other parameters than those that decide here go up as they are: what comes back is judged whatever was asked. */
function resolve(
  row: RouteRow,
  method: Method,
  segments: string[],
  target: RequestTarget,
  watch: boolean,
): Route {
  const { query } = target;
  switch (row.handling) {
    case "relay":
      return { kind: "relay", stream: watch };
    case "token-review":
      return { kind: "review", review: "token" };
    case "access-review":
      return { kind: "review", review: "access" };
    case "object":
      return resolveObject(row, method, segments, target, watch);
    case "pod-read":
      return { kind: watch ? "pod-watch" : "pod-list", query };
    case "pod-get":
    case "pod-write":
      break;
    default: {
      const never: never = row.handling;
      return never;
    }
  }
  // /api/v1/namespaces/{namespace}/pods[/{name}[/{subresource}]]
  const [, , , namespace = "", , name, subresource] = segments;
  if (watch) {
    return refuse(400, "kubelets do not watch single pods");
  }
  if (row.handling === "pod-get" && name !== undefined) {
    return { kind: "pod-get", namespace, name, query };
  }
  if (method === "GET" || method === "PUT") {
    return refuse(403, "kubelets do not ask for pods in this way");
  }
  return {
    kind: "pod-write",
    method,
    namespace,
    ...(name === undefined ? {} : { name }),
    ...(subresource === undefined ? {} : { subresource }),
  };
}

/** `/api/v1/…` or `/apis/{group}/{version}/…`, then `[namespaces/{namespace}/]{resource}[/{name}[/{subresource}]]`. */
function resolveObject(
  { resource }: RouteRow,
  method: Method,
  segments: readonly string[],
  { path, query }: RequestTarget,
  watch: boolean,
): Route {
  if (resource === undefined) {
    return refuse(403, "no rule is known for this kind of object");
  }
  const [api, group = "", version = ""] = segments;
  const apiVersion = api === "api" ? group : `${group}/${version}`;
  const rest = segments.slice(api === "api" ? 2 : 3);
  const namespace = rest[0] === "namespaces" ? rest[1] : undefined;
  const named = rest[namespace === undefined ? 1 : 3];
  const selected = /^metadata\.name=(.*)$/.exec(query.get("fieldSelector") ?? "")?.[1];
  const name = named ?? selected;
  if (named !== undefined && watch) {
    return refuse(400, "kubelets do not watch single objects by their path");
  }
  return {
    kind: "object",
    asked: {
      verb: method !== "GET" ? "write" : named !== undefined ? "get" : watch ? "watch" : "list",
      resource,
      apiVersion,
      path,
      query,
      ...(namespace === undefined ? {} : { namespace }),
      ...(name === undefined ? {} : { name }),
    },
  };
}

/**
 * Whether a watch is asked for. kube-apiserver takes everything but "0" and "false" for a yes
 * (`Convert_Slice_string_To_bool`); only the spellings that clients use and that cannot be misread are admitted.
 */
function readWatch(query: URLSearchParams): boolean | undefined {
  switch (query.get("watch")) {
    case null:
    case "false":
    case "0":
      return false;
    case "true":
    case "1":
      return true;
    default:
      return undefined;
  }
}

/**
 * Tells whether a path leads to pods: the resource itself with all that is under it, and the old form of watches.
 *
 * @param prefix whether everything under the path is meant; then what stands above pods leads to them too
 */
function reachesPods(segments: readonly string[], prefix: boolean): boolean {
  const [api, , first, , resource] = segments;
  if (api !== "api") {
    return false;
  }
  switch (first) {
    case undefined:
      return prefix;
    case "pods":
    case "watch":
      return true;
    case "namespaces":
      return resource === undefined ? prefix : resource === "pods";
    default:
      return false;
  }
}

function allows(allowed: AllowedPath, method: Method, path: string): boolean {
  return allowed.method === method &&
    (allowed.prefix ? path.startsWith(allowed.path) : path === allowed.path);
}

function isMethod(method: string): method is Method {
  return METHODS.has(method);
}

/**
 * A name that may stand in a path. Most are DNS subdomains; events, trust bundles and roles have more characters
 * (`IsValidPathSegmentName` demands only that there is no "/" and no "%").
 */
function isObjectName(text: string): boolean {
  return text.length <= 253 && /^[A-Za-z0-9](?:[A-Za-z0-9._:-]*[A-Za-z0-9])?$/.test(text);
}

function refuse(code: 400 | 403, message: string): { kind: "refuse"; code: 400 | 403; message: string } {
  return { kind: "refuse", code, message };
}

function row(
  methods: readonly Method[],
  path: string,
  who: string,
  more: { handling?: Handling; selector?: SelectorRule; resource?: ResourceName } = {},
): RouteRow {
  return {
    methods,
    path,
    handling: more.handling ?? (more.resource === undefined ? "relay" : "object"),
    who,
    ...(more.resource === undefined ? {} : { resource: more.resource }),
    ...(more.selector === undefined ? {} : { selector: more.selector }),
  };
}
