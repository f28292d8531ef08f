import assert from "node:assert/strict";
import { execInfo, MAX_PLUGIN_TOKEN_CHARACTERS, readExecCredential } from "./exec_credential.ts";
import { EXEC_API_VERSIONS, type ExecPlugin } from "./exec_plugin.ts";
import { testPki } from "../fixture_test.ts";

const [V1, V1BETA1] = EXEC_API_VERSIONS;
const NOW = new Date("2026-01-01T00:00:00Z");
const { node, stranger } = await testPki();

function answer(status: Record<string, unknown>, root: Record<string, unknown> = {}): string {
  return JSON.stringify({ kind: "ExecCredential", apiVersion: V1, status, ...root });
}

const read = (text: string) => readExecCredential(text, V1, NOW);

Deno.test("a plugin is told what is wanted, and of the cluster only if it asks", () => {
  const plugin: ExecPlugin = {
    apiVersion: V1BETA1,
    command: "/x",
    args: [],
    env: {},
    provideClusterInfo: false,
  };
  const cluster = { server: "https://api", insecureSkipTlsVerify: false, certificateAuthorities: ["pem"] };
  assert.deepEqual(JSON.parse(execInfo(plugin, cluster)), {
    kind: "ExecCredential",
    apiVersion: V1BETA1,
    spec: { interactive: false },
  });
  const told = execInfo({ ...plugin, provideClusterInfo: true, clusterConfig: { a: 1 } }, cluster);
  assert.deepEqual(JSON.parse(told).spec.cluster, {
    server: "https://api",
    "certificate-authority-data": btoa("pem"),
    config: { a: 1 },
  });
  const insecure = { server: "https://api", insecureSkipTlsVerify: true, certificateAuthorities: [] };
  assert.deepEqual(JSON.parse(execInfo({ ...plugin, provideClusterInfo: true }, insecure)).spec.cluster, {
    server: "https://api",
    "insecure-skip-tls-verify": true,
  });
});

Deno.test("a token, a client certificate, both, and when they expire", () => {
  assert.deepEqual(read(answer({ token: "t" })), { token: "t" });
  assert.deepEqual(read(answer({ token: "t" }, { spec: {} })), { token: "t" });
  const both = read(answer({
    token: "t",
    clientCertificateData: node.certificate,
    clientKeyData: node.key,
    expirationTimestamp: "2026-01-01T02:00:00+01:00",
  }));
  assert.equal(both.identity?.key, node.key);
  assert.equal(both.expiresAt?.toISOString(), "2026-01-01T01:00:00.000Z");
});

for (
  const [what, text] of [
    ["nothing", ""],
    ["garbage", "garbage canary"],
    ["a list", "[]"],
    ["two documents", `${answer({ token: "canary" })}${answer({ token: "canary" })}`],
    [
      "a field twice",
      `{"kind":"ExecCredential","apiVersion":"${V1}","status":{"token":"canary","token":"b"}}`,
    ],
    ["another kind", answer({ token: "canary" }, { kind: "TokenReview" })],
    ["another version", answer({ token: "canary" }, { apiVersion: V1BETA1 })],
    ["an unknown field", answer({ token: "canary" }, { extra: 1 })],
    ["an unknown status field", answer({ token: "canary", username: "x" })],
    ["no status", JSON.stringify({ kind: "ExecCredential", apiVersion: V1 })],
    ["no credential", answer({})],
    ["empty credentials", answer({ token: "", clientCertificateData: "", clientKeyData: "" })],
    ["a token that is none", answer({ token: "canary\nX-Evil: 1" })],
    ["a token that is a number", answer({ token: 1 })],
    ["a token without end", answer({ token: "c".repeat(MAX_PLUGIN_TOKEN_CHARACTERS + 1) })],
    ["a certificate alone", answer({ clientCertificateData: node.certificate })],
    ["a key alone", answer({ token: "canary", clientKeyData: node.key })],
    ["a key of another", answer({ clientCertificateData: node.certificate, clientKeyData: stranger.key })],
    ["what has expired", answer({ token: "canary", expirationTimestamp: "2026-01-01T00:00:00Z" })],
    ["an end that is no time", answer({ token: "canary", expirationTimestamp: "tomorrow" })],
  ] as const
) {
  Deno.test(`refuses a plugin that answers ${what}, without quoting it`, () => {
    assert.throws(
      () => read(text),
      (error) =>
        error instanceof Error && !error.message.includes("canary") && !error.message.includes("KEY-"),
    );
  });
}
