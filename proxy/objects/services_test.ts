import assert from "node:assert/strict";
import type { JsonObject } from "@signed-pods/shared/json";
import { makePolicy, makeService } from "../../tests/fakes/objects.ts";
import { uidOf } from "../../tests/fakes/owner.ts";
import { createObjectKinds } from "./object_kinds.ts";

const { judge } = createObjectKinds(makePolicy()).services;

function problemsOf(service: JsonObject): string[] {
  const judged = judge(service);
  return judged.ok ? [] : judged.problems.map(({ path }) => path);
}

Deno.test("of a Service the kubelet gets what it makes variables of, and no more", () => {
  assert.deepEqual(judge(makeService("web")), {
    ok: true,
    object: {
      metadata: {
        name: "web",
        namespace: "default",
        uid: uidOf(7),
        resourceVersion: "41",
        creationTimestamp: "2026-01-01T00:00:00Z",
      },
      spec: { clusterIP: "10.96.0.7", ports: [{ name: "http", protocol: "TCP", port: 80 }] },
    },
  });
});

Deno.test("Services of all types are good", () => {
  for (
    const spec of [
      { clusterIP: "None", ports: [] },
      { clusterIP: "None", ports: null },
      { clusterIP: "", ports: [{ port: 1 }], externalName: "x.example" },
      { clusterIP: "fd00::a", ports: [{ port: 65535, name: "" }] },
      {
        clusterIP: "10.0.0.1",
        ports: [{ port: 53, protocol: "UDP", name: "dns" }, { port: 9, protocol: "SCTP", name: "s" }],
      },
    ]
  ) {
    assert.deepEqual(problemsOf(makeService("web", spec)), [], JSON.stringify(spec));
  }
});

Deno.test("refuses Services whose names would be other variables than theirs", () => {
  for (
    const name of [
      "bash_env=a",
      "ld_preload=x",
      "BASH",
      "1web",
      "a.b",
      "a b",
      "a\n",
      "-a",
      "a-",
      "",
      "a".repeat(64),
      "é",
    ]
  ) {
    assert.deepEqual(problemsOf(makeService(name)), ["metadata.name"], JSON.stringify(name));
  }
  assert.deepEqual(problemsOf(makeService("web", {}, { namespace: "a/b" })), ["metadata.namespace"]);
});

Deno.test("refuses addresses that are no addresses", () => {
  for (
    const clusterIP of [
      "$(id)",
      "10.0.0.1 x",
      "10.0.0",
      "localhost",
      "none",
      "010.0.0.1",
      "fe80::1%eth0",
      "::1\n",
      7,
    ]
  ) {
    assert.deepEqual(problemsOf(makeService("web", { clusterIP })), ["spec.clusterIP"], String(clusterIP));
  }
});

Deno.test("refuses ports that are no ports", () => {
  const refused: [JsonObject, string][] = [
    [{ port: 0 }, "port"],
    [{ port: 65536 }, "port"],
    [{ port: 1.5 }, "port"],
    [{ port: "80" }, "port"],
    [{ port: null }, "port"],
    [{ port: 80, name: "a=b" }, "name"],
    [{ port: 80, name: "A_B" }, "name"],
    [{ port: 80, name: "$(x)" }, "name"],
    [{ port: 80, protocol: "tcp://x" }, "protocol"],
    [{ port: 80, protocol: "" }, "protocol"],
  ];
  for (const [port, field] of refused) {
    assert.deepEqual(problemsOf(makeService("web", { ports: [port] })), [`spec.ports[0].${field}`]);
  }
});

Deno.test("refuses a Service with an address and no ports, which would end the kubelet", () => {
  assert.deepEqual(problemsOf(makeService("web", { ports: [] })), ["spec.ports"]);
  assert.deepEqual(problemsOf(makeService("web", { ports: null })), ["spec.ports"]);
});
