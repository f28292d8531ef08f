import assert from "node:assert/strict";
import { formatPermission, parsePermission, PERMISSIONS } from "./permissions.ts";

const HEX = "ab".repeat(32);

const READABLE = [
  "annotation=sidecar.istio.io/status",
  "annotation=Prometheus.io/scrape",
  "annotation=plain",
  "label=service.istio.io/canonical-name",
  `container=istio-proxy@sha256:${HEX}`,
  `init-container=istio-init@sha256:${HEX}`,
  "volume=istio-envoy",
  "resize",
  "mutable-config=web.conf",
  "signed-config=web",
  "mutable-secret=db",
  "claim=data",
  "resource-claim=gpu",
  "trust-bundle=example.com:roots:1",
  "trust-bundle=example.com/roots",
];

Deno.test("every permission is read, and written as it was", () => {
  for (const text of READABLE) {
    const parsed = parsePermission(text);
    assert.ok(parsed.ok, text);
    assert.equal(formatPermission(parsed.permission), text);
  }
  const kinds = new Set(READABLE.map((text) => text.split("=")[0]));
  assert.deepEqual(kinds, new Set(PERMISSIONS.map(({ kind }) => kind)));
});

const UNREADABLE = [
  "",
  "everything",
  "Resize",
  "resize=1",
  "resize=",
  "annotation",
  "annotation=",
  "annotation=a b",
  "annotation=-a",
  "annotation=kubernetes.io/config.mirror",
  "annotation=Kubernetes.io/Config.mirror",
  "annotation=kubelet-proxy.io/signature",
  "annotation=kubelet-proxy.io/anything",
  "annotation=container.apparmor.security.beta.kubernetes.io/app",
  "annotation=Container.AppArmor.security.beta.kubernetes.io/app",
  "label=pod-template-hash",
  "label=batch.kubernetes.io/job-completion-index",
  "label=",
  "label=Example.com/a",
  "label=a=b",
  "container=proxy",
  `container=@sha256:${HEX}`,
  `container=Proxy@sha256:${HEX}`,
  `container=proxy@sha256:${HEX.slice(1)}`,
  `container=proxy@sha256:${HEX.toUpperCase()}`,
  `container=proxy@sha512:${HEX}${HEX}`,
  `container=proxy@sha256:${HEX} `,
  `init-container=../x@sha256:${HEX}`,
  "volume=",
  "volume=a.b",
  "volume=*",
  "mutable-config",
  "mutable-config=",
  "mutable-config=Web",
  "mutable-config=a/b",
  "signed-config=*",
  "mutable-secret=a b",
  "claim=a=b",
  "claim=../x",
  "resource-claim=a.b",
  "trust-bundle=",
  "trust-bundle=example.com/",
  "trust-bundle=Example",
  `trust-bundle=${"a".repeat(508)}`,
  `claim=${"a".repeat(254)}`,
];

for (const text of UNREADABLE) {
  Deno.test(`refuses the permission ${JSON.stringify(text)}`, () => {
    assert.equal(parsePermission(text).ok, false);
  });
}
