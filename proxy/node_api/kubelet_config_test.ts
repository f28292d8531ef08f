import assert from "node:assert/strict";
import { clientCaPath, MAX_KUBELET_CONFIG_CHARACTERS, readKubeletConfig } from "./kubelet_config.ts";

const GOOD = {
  apiVersion: "kubelet.config.k8s.io/v1beta1",
  kind: "KubeletConfiguration",
  address: "127.0.0.1",
  authentication: { x509: { clientCAFile: "/etc/node-ca.crt" } },
};

const read = (config: unknown, port = 10250) => readKubeletConfig(JSON.stringify(config), port);
const fields = (config: unknown, port?: number) =>
  read(config, port).problems.map((text) => text.split(":")[0]);

Deno.test("a kubelet that listens on loopback and trusts an authority of the node", () => {
  assert.deepEqual(read(GOOD), { clientCaFile: "/etc/node-ca.crt", problems: [] });
  const spelledOut = {
    ...GOOD,
    address: "::1",
    port: 10260,
    readOnlyPort: 0,
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: "pki/ca.crt" },
    },
    authorization: { mode: "Webhook" },
  };
  assert.deepEqual(read(spelledOut, 10260), { clientCaFile: "pki/ca.crt", problems: [] });
  const yaml = `# a comment
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: 127.0.0.1
authentication:
  x509:
    clientCAFile: /a
`;
  assert.deepEqual(readKubeletConfig(yaml, 10250), { clientCaFile: "/a", problems: [] });
});

Deno.test("refuses an address that the cluster reaches", () => {
  for (const address of [undefined, "", "0.0.0.0", "10.0.0.1", "::", "localhost", 1]) {
    assert.deepEqual(fields({ ...GOOD, address }), ["address"], String(address));
  }
});

Deno.test("refuses another port than the front is told", () => {
  assert.deepEqual(fields(GOOD, 10260), ["port"]);
  assert.deepEqual(fields({ ...GOOD, port: 10260 }), ["port"]);
});

Deno.test("refuses a read-only port", () => {
  for (const readOnlyPort of [10255, "0", true]) {
    assert.deepEqual(fields({ ...GOOD, readOnlyPort }), ["readOnlyPort"]);
  }
});

Deno.test("refuses anonymous clients", () => {
  const { x509 } = GOOD.authentication;
  for (const anonymous of [{ enabled: true }, { enabled: "false" }, [], true]) {
    const authentication = { x509, anonymous };
    assert.deepEqual(fields({ ...GOOD, authentication }), ["authentication.anonymous.enabled"]);
  }
});

Deno.test("refuses every mode of authorization but Webhook", () => {
  for (const authorization of [{ mode: "AlwaysAllow" }, { mode: "" }, { mode: 1 }, [], "Webhook"]) {
    assert.deepEqual(
      fields({ ...GOOD, authorization }),
      ["authorization.mode"],
      JSON.stringify(authorization),
    );
  }
});

Deno.test("refuses a kubelet that trusts no certificate", () => {
  for (const authentication of [undefined, {}, { x509: {} }, { x509: { clientCAFile: "" } }, { x509: [] }]) {
    assert.deepEqual(fields({ ...GOOD, authentication }), ["authentication.x509.clientCAFile"]);
  }
  assert.deepEqual(fields({ ...GOOD, authentication: [] }), [
    "authentication.anonymous.enabled",
    "authentication.x509.clientCAFile",
  ]);
});

Deno.test("refuses what is no kubelet's configuration", () => {
  for (
    const text of [
      "",
      "a: b",
      "[]",
      "a: 1\na: 2",
      JSON.stringify({ ...GOOD, kind: "Other" }),
      JSON.stringify({ ...GOOD, apiVersion: "kubelet.config.k8s.io/v1" }),
      JSON.stringify(GOOD).padEnd(MAX_KUBELET_CONFIG_CHARACTERS + 1),
    ]
  ) {
    assert.equal(readKubeletConfig(text, 10250).problems.length, 1, text.slice(0, 40));
  }
  assert.deepEqual(
    readKubeletConfig(JSON.stringify(GOOD).padEnd(MAX_KUBELET_CONFIG_CHARACTERS), 10250).problems,
    [],
  );
});

Deno.test("where a kubelet finds its clientCAFile", () => {
  assert.equal(clientCaPath("/etc/kubelet/config.yaml", "pki/ca.crt"), "/etc/kubelet/pki/ca.crt");
  assert.equal(clientCaPath("/etc/kubelet/config.yaml", "/ca.crt"), "/ca.crt");
});
