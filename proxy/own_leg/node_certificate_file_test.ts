import assert from "node:assert/strict";
import { parseKubeconfig } from "../credentials/kubeconfig.ts";
import { fileNameOf, nodeCertificateFile } from "./node_certificate_file.ts";

function fileOf(user: Record<string, unknown>): string | undefined {
  const parsed = parseKubeconfig(
    JSON.stringify({
      "current-context": "x",
      contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
      clusters: [{ name: "c", cluster: { server: "https://api:6443", "certificate-authority": "/ca" } }],
      users: [{ name: "u", user }],
    }),
    "/node",
    undefined,
  );
  assert.ok(parsed.ok, JSON.stringify(parsed));
  return nodeCertificateFile(parsed.kubeconfig);
}

Deno.test("a certificate is renewed where one file holds it and its key", () => {
  assert.equal(fileOf({ "client-certificate": "a.pem", "client-key": "/node/a.pem" }), "/node/a.pem");
  assert.equal(fileNameOf("/node/a.pem"), "a.pem");
});

Deno.test("refuses two files, none, and what the kubeconfig holds itself", () => {
  assert.equal(fileOf({ "client-certificate": "a.crt", "client-key": "a.key" }), undefined);
  assert.equal(fileOf({ token: "t" }), undefined);
  const data = btoa("x");
  assert.equal(fileOf({ "client-certificate-data": data, "client-key-data": data }), undefined);
});
