import assert from "node:assert/strict";
import { loadCredentials, MAX_TOKEN_CHARACTERS, nodeNameInCertificate } from "./credentials.ts";
import { issue, testPki } from "../fixture_test.ts";
import type { Kubeconfig } from "./kubeconfig.ts";

const BASE: Kubeconfig = { context: "c", server: new URL("https://api"), insecureSkipTlsVerify: false };

/** Files in memory; a missing one fails. */
function reader(files: Record<string, string>): (path: string) => Promise<string> {
  return (path) => {
    const text = files[path];
    return text === undefined ? Promise.reject(new Error(`no ${path}`)) : Promise.resolve(text);
  };
}

const describe = (error: unknown) => (error instanceof Error ? error.message : "?");

Deno.test("certificates from files and from data", async () => {
  const { authority, node } = await testPki();
  const { credentials, problems } = await loadCredentials(
    {
      ...BASE,
      certificateAuthority: { kind: "data", text: authority.certificate },
      clientCertificate: { kind: "file", path: "/current.pem" },
      clientKey: { kind: "file", path: "/current.pem" },
    },
    reader({ "/current.pem": node.certificate + node.key }),
    describe,
  );
  assert.deepEqual(problems, []);
  assert.deepEqual(credentials.certificateAuthorities, [authority.certificate]);
  assert.equal(credentials.identity?.key, node.key);
  assert.equal(credentials.token, undefined);
});

Deno.test("a token file wins over a token", async () => {
  const { credentials, problems } = await loadCredentials(
    { ...BASE, token: "fixed", tokenFile: "/token" },
    reader({ "/token": "first\n" }),
    describe,
  );
  assert.deepEqual(problems, []);
  assert.equal(credentials.token, "first");
  const { credentials: fixed } = await loadCredentials({ ...BASE, token: "fixed" }, reader({}), describe);
  assert.equal(fixed.token, "fixed");
});

Deno.test("refuses all files that cannot be used, at once", async () => {
  const { node, server } = await testPki();
  const broken = await loadCredentials(
    {
      ...BASE,
      certificateAuthority: { kind: "data", text: "x" },
      clientCertificate: { kind: "file", path: "/gone" },
      clientKey: { kind: "file", path: "/gone.key" },
      tokenFile: "/two words",
    },
    reader({ "/two words": "canary canary" }),
    describe,
  );
  assert.equal(broken.problems.length, 4);
  assert.doesNotMatch(broken.problems.join(), /canary/);
  const mismatch = await loadCredentials(
    {
      ...BASE,
      clientCertificate: { kind: "data", text: node.certificate },
      clientKey: { kind: "data", text: server.key },
    },
    reader({}),
    describe,
  );
  assert.equal(mismatch.problems.length, 1);
});

Deno.test("the node of a certificate", async () => {
  const { node, server } = await testPki();
  assert.equal(nodeNameInCertificate(node.der), "worker");
  assert.equal(nodeNameInCertificate(server.der), undefined);
  assert.equal(nodeNameInCertificate(new Uint8Array([1])), undefined);
  const forged = nodeNameInCertificate((await issue({ commonName: "system:node:a,CN=system:node:b" })).der);
  assert.ok(forged !== "a" && forged !== "b", forged);
});

Deno.test("refuses a token file over the bound", async () => {
  for (const [length, problems] of [[MAX_TOKEN_CHARACTERS, 0], [MAX_TOKEN_CHARACTERS + 1, 1]] as const) {
    const loaded = await loadCredentials(
      { ...BASE, tokenFile: "/token" },
      reader({ "/token": "x".repeat(length) }),
      describe,
    );
    assert.equal(loaded.problems.length, problems);
  }
});
