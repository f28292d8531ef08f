/**
 * Writes tests/vectors/review_requests.json again: what a kubelet sends for each of the reviews below, encoded by
 * Kubernetes' own code (tests/go/kubernetes). `deno run -A tests/go/generate_reviews.ts`; needs Go.
 */
import type { JsonObject } from "../../shared/json.ts";
import { ask } from "./kubernetes_code.ts";

const SOURCE = "k8s.io/kubernetes 1.36.3, by tests/go/kubernetes";

function access(spec: JsonObject): JsonObject {
  return { apiVersion: "authorization.k8s.io/v1", kind: "SubjectAccessReview", spec };
}

function token(spec: JsonObject): JsonObject {
  return { apiVersion: "authentication.k8s.io/v1", kind: "TokenReview", spec };
}

const node = { verb: "get", version: "v1", resource: "nodes", name: "worker" };

const reviews: [name: string, object: JsonObject][] = [
  [
    "access to metrics, by a certificate",
    access({
      user: "kube-apiserver-kubelet-client",
      groups: ["system:masters", "system:authenticated"],
      extra: { "authentication.kubernetes.io/credential-id": ["X509SHA256=" + "0123456789abcdef".repeat(4)] },
      resourceAttributes: { ...node, subresource: "metrics" },
    }),
  ],
  [
    "access to logs or exec, by a service account",
    access({
      user: "system:serviceaccount:kube-system:metrics-server",
      uid: "5f1e0c5e-7a52-4c0f-9c1a-0d9b1e2f3a4b",
      groups: ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"],
      extra: {
        "authentication.kubernetes.io/node-name": ["worker"],
        "authentication.kubernetes.io/pod-name": ["metrics-server-0"],
        several: ["one", "two", ""],
        none: [],
      },
      resourceAttributes: { ...node, verb: "create", subresource: "proxy" },
    }),
  ],
  [
    "access to no resource",
    access({ user: "jane", nonResourceAttributes: { verb: "get", path: "/metrics" } }),
  ],
  [
    "access with every attribute",
    access({
      user: "Jäne \u{1f511}",
      resourceAttributes: {
        namespace: "shop",
        verb: "delete",
        group: "apps",
        version: "v2",
        resource: "deployments",
        subresource: "scale",
        name: "web",
      },
    }),
  ],
  ["access with nothing set", access({ resourceAttributes: {} })],
  ["a token", token({ token: "eyJhbGciOiJFUzI1NiJ9.e30.c2lnbmF0dXJl" })],
  [
    "a token for audiences",
    token({ token: "opaque/token==", audiences: ["https://kubernetes.default.svc", "b"] }),
  ],
];

const encoded = await ask("review", reviews.map(([, object]) => object));
const document = {
  description:
    "Reviews that a kubelet asks for: input is the object in JSON, expected is base64 of the same in protobuf.",
  license: "MIT",
  count: reviews.length,
  vectors: reviews.map(([name, input], index) => ({ name, source: SOURCE, input, expected: encoded[index] })),
};
const path = new URL("../vectors/review_requests.json", import.meta.url);
await Deno.writeTextFile(path, JSON.stringify(document, null, 2) + "\n");
