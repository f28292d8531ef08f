import assert from "node:assert/strict";
import { parseTarget } from "./request_target.ts";
import { type AllowedPath, createRouter, parseAllowedPath, type Route, ROUTES } from "./route.ts";

function route(method: string, target: string, ...allow: string[]): Route {
  const allowed: AllowedPath[] = allow.map((text) => {
    const parsed = parseAllowedPath(text);
    assert.ok(parsed.ok, text);
    return parsed.allowed;
  });
  const parsed = parseTarget(`https://proxy${target}`);
  assert.ok(parsed.ok, target);
  return createRouter("worker", allowed).route(method, parsed.target);
}

/** Requests of a kubelet 1.36.3, as seen at an API server, without their random parts. */
const SEEN: [string, string, Route["kind"]][] = [
  ["DELETE", "/apis/resource.k8s.io/v1/resourceslices?fieldSelector=spec.nodeName%3Dworker", "relay"],
  [
    "GET",
    "/api/v1/namespaces/default/configmaps?allowWatchBookmarks=true&fieldSelector=metadata.name%3Dkube-root-ca.crt&resourceVersionMatch=NotOlderThan&sendInitialEvents=true&timeout=45m12s&timeoutSeconds=2712&watch=true",
    "object",
  ],
  ["GET", "/api/v1/namespaces/default/pods/p1", "pod-get"],
  ["GET", "/api/v1/nodes/worker", "object"],
  ["GET", "/api/v1/nodes/worker?resourceVersion=0", "object"],
  [
    "GET",
    "/api/v1/nodes?allowWatchBookmarks=true&fieldSelector=metadata.name%3Dworker&resourceVersion=5&timeout=6m0s&timeoutSeconds=360&watch=true",
    "object",
  ],
  [
    "GET",
    "/api/v1/pods?allowWatchBookmarks=true&fieldSelector=spec.nodeName%3Dworker&resourceVersion=5&timeoutSeconds=300&watch=true",
    "pod-watch",
  ],
  [
    "GET",
    "/api/v1/pods?allowWatchBookmarks=true&fieldSelector=spec.nodeName%3Dworker&resourceVersionMatch=NotOlderThan&sendInitialEvents=true&timeoutSeconds=300&watch=true",
    "pod-watch",
  ],
  ["GET", "/api/v1/pods?fieldSelector=spec.nodeName%3Dworker&limit=500&resourceVersion=0", "pod-list"],
  [
    "GET",
    "/api/v1/services?allowWatchBookmarks=true&fieldSelector=spec.clusterIP%21%3DNone&resourceVersion=5&timeout=5m17s&timeoutSeconds=317&watch=true",
    "object",
  ],
  ["GET", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/worker?timeout=10s", "relay"],
  [
    "GET",
    "/apis/node.k8s.io/v1/runtimeclasses?allowWatchBookmarks=true&resourceVersion=5&timeout=5m30s&timeoutSeconds=330&watch=true",
    "object",
  ],
  [
    "GET",
    "/apis/storage.k8s.io/v1/csidrivers?allowWatchBookmarks=true&resourceVersion=5&timeout=6m58s&timeoutSeconds=418&watch=true",
    "object",
  ],
  ["GET", "/apis/storage.k8s.io/v1/csinodes/worker?resourceVersion=0", "object"],
  ["PATCH", "/api/v1/namespaces/default/events/p1.17ab", "relay"],
  ["PATCH", "/api/v1/namespaces/default/pods/p1/status", "pod-write"],
  ["PATCH", "/api/v1/nodes/worker/status?timeout=10s", "object"],
  ["POST", "/api/v1/namespaces/default/events", "relay"],
  ["POST", "/api/v1/namespaces/default/serviceaccounts/default/token", "object"],
  ["POST", "/api/v1/nodes", "object"],
  ["POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", "review"],
  ["POST", "/apis/authentication.k8s.io/v1/tokenreviews", "review"],
  ["PUT", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/worker?timeout=10s", "relay"],
  ["POST", "/api/v1/namespaces/kube-system/pods", "pod-write"],
  ["DELETE", "/api/v1/namespaces/default/pods/p1", "pod-write"],
];

Deno.test("what a kubelet was seen to ask for is known", () => {
  for (const [method, target, kind] of SEEN) {
    assert.equal(route(method, target).kind, kind, `${method} ${target}`);
  }
});

Deno.test("every row of the table is reached by a request", () => {
  const examples: Record<string, string> = { "{node}": "worker", "{namespace}": "ns", "{name}": "x.1" };
  const selectors: Record<string, string> = {
    "this-node-only": "spec.nodeName%3Dworker",
    "this-node": "spec.driver%3Dd%2Cspec.nodeName%3Dworker",
    "named-this-node": "metadata.name%3Dworker",
    named: "metadata.name%3Dsome.name",
  };
  for (const row of ROUTES) {
    const path = row.path.split("/").map((part) =>
      examples[part] ?? (part.startsWith("{") ? part.slice(1, -1).split("|").at(-1) : part)
    ).join("/");
    for (const method of row.methods) {
      const query = row.selector === undefined ? "" : `?fieldSelector=${selectors[row.selector]}`;
      assert.notEqual(route(method, path + query).kind, "refuse", `${method} ${path}`);
      if (row.selector !== undefined) {
        assert.equal(route(method, path).kind, "refuse", `${method} ${path} without a selector`);
      }
    }
  }
});

Deno.test("pod routes carry what the gate needs", () => {
  assert.deepEqual(route("PATCH", "/api/v1/namespaces/a/pods/b/status?fieldManager=x"), {
    kind: "pod-write",
    method: "PATCH",
    namespace: "a",
    name: "b",
    subresource: "status",
  });
  assert.deepEqual(route("POST", "/api/v1/namespaces/a/pods"), {
    kind: "pod-write",
    method: "POST",
    namespace: "a",
  });
  const get = route("GET", "/api/v1/namespaces/a/pods/b?resourceVersion=1");
  assert.ok(get.kind === "pod-get");
  assert.deepEqual([get.namespace, get.name, get.query.get("resourceVersion")], ["a", "b", "1"]);
});

Deno.test("object routes carry what their rules need", () => {
  const brief = (method: string, target: string) => {
    const found = route(method, target);
    assert.ok(found.kind === "object", target);
    const { verb, resource, apiVersion, namespace, name, path } = found.asked;
    assert.equal(target.split("?")[0], path);
    return [verb, resource, apiVersion, namespace, name];
  };
  assert.deepEqual(brief("GET", "/api/v1/services"), ["list", "services", "v1", undefined, undefined]);
  const named = "/api/v1/namespaces/a/configmaps?fieldSelector=metadata.name%3Dx";
  assert.deepEqual(brief("GET", named), ["list", "configmaps", "v1", "a", "x"]);
  assert.deepEqual(brief("GET", `${named}&watch=1`), ["watch", "configmaps", "v1", "a", "x"]);
  assert.deepEqual(brief("GET", "/api/v1/namespaces/a/secrets/x"), ["get", "secrets", "v1", "a", "x"]);
  assert.deepEqual(brief("PATCH", "/api/v1/nodes/worker/status"), [
    "write",
    "nodes",
    "v1",
    undefined,
    "worker",
  ]);
  assert.deepEqual(
    brief("POST", "/api/v1/namespaces/a/serviceaccounts/x/token"),
    ["write", "serviceaccounts/token", "v1", "a", "x"],
  );
  assert.deepEqual(
    brief("GET", "/apis/resource.k8s.io/v1beta1/namespaces/a/resourceclaims/x"),
    ["get", "resourceclaims", "resource.k8s.io/v1beta1", "a", "x"],
  );
  assert.equal(route("GET", "/api/v1/namespaces/a/secrets/x?watch=true").kind, "refuse");
});

Deno.test("refuses to relay what a kubelet reads: every row of a resource has its rule", () => {
  const relayed = ROUTES.filter(({ handling }) => handling === "relay").map(({ methods, path }) =>
    `${methods.join()} ${path}`
  );
  assert.deepEqual(relayed, [
    "POST /apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases",
    "GET,PUT /apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{node}",
    "POST /api/v1/namespaces/{namespace}/events",
    "PATCH /api/v1/namespaces/{namespace}/events/{name}",
    "DELETE /apis/resource.k8s.io/{v1|v1beta1|v1beta2}/resourceslices",
    "GET /api/v1",
    "GET /apis/certificates.k8s.io/{v1|v1beta1|v1alpha1}",
    "GET /healthz",
  ]);
});

Deno.test("watches are told from lists as kube-apiserver does, in spellings that cannot be misread", () => {
  const pods = "/api/v1/pods?fieldSelector=spec.nodeName%3Dworker&watch=";
  assert.equal(route("GET", pods + "1").kind, "pod-watch");
  assert.equal(route("GET", pods + "true").kind, "pod-watch");
  assert.equal(route("GET", pods + "0").kind, "pod-list");
  assert.equal(route("GET", pods + "false").kind, "pod-list");
  for (const value of ["", "t", "True", "yes", "FALSE", "2"]) {
    const refused = route("GET", pods + value);
    assert.ok(refused.kind === "refuse" && refused.code === 400, value);
  }
  const watch = route("GET", "/apis/node.k8s.io/v1/runtimeclasses?watch=true");
  assert.ok(watch.kind === "object" && watch.asked.verb === "watch");
  const list = route("GET", "/apis/node.k8s.io/v1/runtimeclasses");
  assert.ok(list.kind === "object" && list.asked.verb === "list");
});

Deno.test("other parameters go up with pods, and decide nothing", () => {
  const list = route("GET", "/api/v1/pods?fieldSelector=spec.nodeName%3Dworker&pretty=true&Watch=true");
  assert.ok(list.kind === "pod-list");
  assert.equal(list.query.get("pretty"), "true");
  assert.equal(route("DELETE", "/api/v1/namespaces/default/pods/p?gracePeriodSeconds=0").kind, "pod-write");
});

Deno.test("refuses pods of other nodes and in other ways", () => {
  for (
    const [method, target] of [
      ["GET", "/api/v1/pods"],
      ["GET", "/api/v1/pods?fieldSelector=spec.nodeName%3Dother"],
      ["GET", "/api/v1/pods?fieldSelector=spec.nodeName%3Dworker%2Cstatus.phase%3DRunning"],
      ["GET", "/api/v1/namespaces/default/pods"],
      ["GET", "/api/v1/namespaces/default/pods/p/status"],
      ["GET", "/api/v1/namespaces/default/pods/p/log"],
      ["GET", "/api/v1/namespaces/default/pods/p?watch=true"],
      ["GET", "/api/v1/watch/pods"],
      ["GET", "/api/v1/watch/namespaces/default/pods/p"],
      ["PUT", "/api/v1/namespaces/default/pods/p"],
      ["PATCH", "/api/v1/namespaces/default/pods/p"],
      ["PATCH", "/api/v1/namespaces/default/pods/p/ephemeralcontainers"],
      ["POST", "/api/v1/namespaces/default/pods/p/exec"],
      ["POST", "/api/v1/namespaces/default/pods/p/binding"],
      ["DELETE", "/api/v1/namespaces/default/pods"],
      ["GET", "/api/v1/namespaces/Default/pods/p"],
      ["GET", "/api/v1/namespaces/default/pods/-p"],
    ] as const
  ) {
    const refused = route(method, target);
    assert.equal(refused.kind, "refuse", `${method} ${target}`);
    assert.ok(
      refused.kind === "refuse" && refused.advice === undefined,
      `${method} ${target} has no way round`,
    );
  }
});

Deno.test("refuses objects of other nodes and what kubelets do not ask for, and names the flag", () => {
  for (
    const [method, target] of [
      ["GET", "/api/v1/nodes"],
      ["GET", "/api/v1/nodes/other"],
      ["GET", "/api/v1/nodes?fieldSelector=metadata.name%3Dother"],
      ["PATCH", "/api/v1/nodes/other/status"],
      ["PUT", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/other"],
      ["GET", "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/worker"],
      ["DELETE", "/apis/resource.k8s.io/v1/resourceslices"],
      ["DELETE", "/apis/resource.k8s.io/v1/resourceslices?fieldSelector=spec.driver%3Dx"],
      ["GET", "/api/v1/namespaces/default/secrets"],
      ["GET", "/api/v1/namespaces/default/secrets?fieldSelector=type%3Dx"],
      ["GET", "/api/v1/namespaces/default/secrets?fieldSelector=metadata.name%3Da%2Ctype%3Dx"],
      ["GET", "/api/v1/secrets"],
      ["GET", "/apis/apps/v1/deployments"],
      ["DELETE", "/api/v1/nodes/worker"],
      ["GET", "/version"],
      ["GET", "/metrics"],
    ] as const
  ) {
    const refused = route(method, target);
    const [path] = target.split("?");
    assert.ok(refused.kind === "refuse", `${method} ${target}`);
    assert.equal(refused.code, 403);
    assert.equal(refused.advice, `--allow-path=${method}:${path}`);
  }
});

Deno.test("refuses methods that Kubernetes does not use", () => {
  for (const method of ["HEAD", "OPTIONS", "CONNECT", "TRACE", "get", "PROPFIND", "A".repeat(50)]) {
    assert.equal(route(method, "/api/v1/nodes/worker").kind, "refuse", method);
  }
});

Deno.test("a namespace may be called pods", () => {
  assert.equal(route("POST", "/api/v1/namespaces/pods/events").kind, "relay");
  assert.equal(route("GET", "/api/v1/namespaces/pods/configmaps/pods").kind, "object");
  assert.equal(route("GET", "/api/v1/namespaces/pods/pods/pods").kind, "pod-get");
});

Deno.test("--allow-path opens what it names", () => {
  assert.equal(route("GET", "/version", "GET:/version").kind, "relay");
  assert.equal(route("POST", "/version", "GET:/version").kind, "refuse");
  assert.equal(route("GET", "/version/x", "GET:/version").kind, "refuse");
  assert.equal(route("GET", "/apis/example.com/v1/a/b", "GET:/apis/example.com/*").kind, "relay");
  assert.equal(route("GET", "/apis/example.com", "GET:/apis/example.com/*").kind, "refuse");
  assert.equal(route("GET", "/apis/example.community/v1", "GET:/apis/example.com/*").kind, "refuse");
  assert.equal(route("GET", "/api/v1/nodes", "GET:/api/v1/nodes").kind, "relay");
  assert.equal(route("GET", "/api/v1/namespaces/a", "GET:/api/v1/namespaces/a").kind, "relay");
  assert.deepEqual(route("GET", "/apis/a/v1/b?watch=1", "GET:/apis/a/v1/b"), { kind: "relay", stream: true });
});

Deno.test("refuses allowed paths that are not canonical, or that reach pods", () => {
  for (
    const text of [
      "",
      "/version",
      "GET",
      "GET:",
      "GET:version",
      "get:/version",
      "HEAD:/version",
      "*:/version",
      "GET:/*",
      "GET:/a*",
      "GET:/a/*/b",
      "GET:/a//b",
      "GET:/a/../b",
      "GET:/a/%2e",
      "GET:/a?b=c",
      "GET:/api/*",
      "GET:/api/v1/*",
      "GET:/api/v1/pods",
      "GET:/api/v1/pods/*",
      "GET:/api/v1/namespaces/*",
      "GET:/api/v1/namespaces/default/*",
      "GET:/api/v1/namespaces/default/pods/*",
      "POST:/api/v1/namespaces/default/pods/p/exec",
      "GET:/api/v1/watch/*",
    ]
  ) {
    assert.equal(parseAllowedPath(text).ok, false, text);
  }
});
