import assert from "node:assert/strict";
import { issue, testPki } from "../fixture_test.ts";
import { servingFiles } from "./serving_files.ts";
import { checkUnchanged, upstreamFiles, type UpstreamSettings } from "./upstream_files.ts";

function reader(files: Record<string, string>) {
  return {
    readText: (path: string) => Promise.resolve(files[path] ?? assert.fail(`${path} is not there`)),
    describe: (error: unknown) => (error instanceof Error ? error.message : "?"),
  };
}

function kubeconfig(user: Record<string, unknown>, cluster: Record<string, unknown> = {}): string {
  return JSON.stringify({
    "current-context": "x",
    contexts: [{ name: "x", context: { cluster: "x", user: "x" } }],
    clusters: [{
      name: "x",
      cluster: { server: "https://api:6443", "certificate-authority": "ca.pem", ...cluster },
    }],
    users: [{ name: "x", user }],
  });
}

const { authority, node, server, stranger } = await testPki();
const FILES = {
  "/k/config": kubeconfig({ "client-certificate": "node.pem", "client-key": "node.pem", tokenFile: "token" }),
  "/k/ca.pem": authority.certificate,
  "/k/node.pem": node.certificate + node.key,
  "/k/token": "first\n",
};

async function read(files: Record<string, string>) {
  const set = upstreamFiles("/k/config", undefined, reader(files));
  const contents = await set.read();
  return { contents, parsed: await set.parse(contents) };
}

async function settings(files: Record<string, string>): Promise<UpstreamSettings> {
  const { parsed } = await read(files);
  assert.ok(parsed.ok, JSON.stringify(parsed));
  return parsed.value;
}

Deno.test("the kubeconfig and the files that it names are read together", async () => {
  const { contents } = await read(FILES);
  assert.deepEqual([...contents.keys()], Object.keys(FILES));
  const { credentials } = await settings(FILES);
  assert.deepEqual([credentials.token, credentials.identity?.key], ["first", node.key]);
});

Deno.test("refuses a kubeconfig or files that cannot be used", async () => {
  for (
    const broken of [
      { "/k/config": "" },
      { "/k/config": "{" },
      { "/k/ca.pem": "" },
      { "/k/node.pem": node.certificate + stranger.key },
      { "/k/node.pem": node.certificate },
      { "/k/token": "" },
    ]
  ) {
    const { parsed } = await read({ ...FILES, ...broken });
    assert.ok(!parsed.ok, JSON.stringify(broken));
  }
  const { parsed } = await read({});
  assert.ok(!parsed.ok);
});

Deno.test("refuses another API server or another node without a restart", async () => {
  const before = await settings(FILES);
  const check = async (change: Record<string, string>) =>
    checkUnchanged(before.kubeconfig, "worker", await settings({ ...FILES, ...change }));
  await check({ "/k/token": "second" });
  await check({ "/k/config": kubeconfig({ token: "third" }) });
  await assert.rejects(check({ "/k/config": kubeconfig({ token: "x" }, { server: "https://evil:6443" }) }));
  await assert.rejects(
    check({
      "/k/config": kubeconfig({ token: "x" }, {
        "certificate-authority": "",
        "insecure-skip-tls-verify": true,
      }),
    }),
  );
  await assert.rejects(check({ "/k/config": kubeconfig({ token: "x" }, { "certificate-authority": "" }) }));
  const other = await issue({ commonName: "system:node:other", issuer: authority });
  await assert.rejects(check({ "/k/node.pem": other.certificate + other.key }));
});

Deno.test("refuses serving files that do not belong together, or are not whole", async () => {
  const files = { "/crt": server.certificate, "/key": server.key, "/ca": authority.certificate };
  const parse = async (change: Record<string, string>) => {
    const paths = { certificateFile: "/crt", keyFile: "/key", clientCaFile: "/ca" };
    const set = servingFiles(paths, reader({ ...files, ...change }));
    const parsed = await set.parse(await set.read());
    return parsed.ok ? [] : parsed.problems.map(({ path }) => path);
  };
  assert.deepEqual(await parse({}), []);
  assert.deepEqual(await parse({ "/key": node.key }), ["--tls-cert"]);
  assert.deepEqual(await parse({ "/crt": "", "/ca": "" }), ["--client-ca", "--tls-cert"]);
  assert.deepEqual(await parse({ "/ca": node.certificate }), ["--client-ca"]);
  assert.deepEqual(await parse({ "/crt": server.certificate.slice(0, 99) }), ["--tls-cert"]);
});
