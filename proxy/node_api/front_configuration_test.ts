import assert from "node:assert/strict";
import { issue, testPki } from "../fixture_test.ts";
import { readFrontConfiguration } from "./front_configuration.ts";
import type { FrontOptions } from "./front_options.ts";

const { authority, server } = await testPki();
const nodeAuthority = await issue({ commonName: "node authority", authority: true });
const client = await issue({ commonName: "front", issuer: nodeAuthority });

const OPTIONS: FrontOptions = {
  listenAddress: { hostname: "10.0.0.1", port: 10250 },
  tls: { certificateFile: "/s.crt", keyFile: "/s.key", clientCaFile: "/ca" },
  kubelet: {
    host: "127.0.0.1",
    port: 10250,
    certificateAuthorityFile: "/kubelet-ca",
    certificateFile: "/c.crt",
    keyFile: "/c.key",
  },
  kubeletConfigFile: "/etc/kubelet/config.yaml",
};

const kubeletConfig = (clientCAFile: string, more: Record<string, unknown> = {}) =>
  JSON.stringify({
    apiVersion: "kubelet.config.k8s.io/v1beta1",
    kind: "KubeletConfiguration",
    address: "127.0.0.1",
    authentication: { x509: { clientCAFile } },
    ...more,
  });

const FILES: Record<string, string> = {
  "/s.crt": server.certificate,
  "/s.key": server.key,
  "/ca": authority.certificate,
  "/kubelet-ca": nodeAuthority.certificate,
  "/c.crt": client.certificate,
  "/c.key": client.key,
  "/etc/kubelet/config.yaml": kubeletConfig("ca.crt"),
  "/etc/kubelet/ca.crt": nodeAuthority.certificate,
};

async function read(
  files: Record<string, string> = {},
  { nodeName, clusterAuthorities }: { nodeName?: string; clusterAuthorities?: string[] } = {
    nodeName: "worker",
  },
) {
  const reported: [flag: string, message: string][] = [];
  const all: Record<string, string> = { ...FILES, ...files };
  const configuration = await readFrontConfiguration(OPTIONS, {
    nodeName,
    clusterAuthorities: clusterAuthorities ?? [],
    readFile(flag, path, parse) {
      try {
        const text = all[path];
        if (text === undefined) throw new Error("is not there");
        return Promise.resolve(parse(text));
      } catch (error) {
        reported.push([flag, `${path} ${error}`]);
        return Promise.resolve(undefined);
      }
    },
    report: (flag, message) => void reported.push([flag, message]),
  });
  return { configuration, reported, flags: reported.map(([flag]) => flag) };
}

Deno.test("a front as it should be", async () => {
  const { configuration, reported } = await read();
  assert.deepEqual(reported, []);
  assert.ok(configuration);
  assert.deepEqual(configuration.kubelet, {
    host: "127.0.0.1",
    port: 10250,
    serverName: "worker",
    certificateAuthorities: [nodeAuthority.certificate],
    identity: { certificate: client.certificate, key: client.key },
  });
  assert.equal(configuration.identity.username, "front");
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", client.der));
  assert.equal(configuration.identity.fingerprint, digest.toHex());
  assert.deepEqual(configuration.tls.clientAuthorities, [authority.certificate]);
});

Deno.test("refuses files that are not what they should be", async () => {
  const cases: [Record<string, string>, string][] = [
    [{ "/s.crt": "x" }, "--kubelet-api-tls-cert"],
    [{ "/s.key": client.key }, "--kubelet-api-tls-cert"],
    [{ "/ca": "x" }, "--kubelet-api-client-ca"],
    [{ "/ca": server.certificate }, "--kubelet-api-client-ca"],
    [{ "/kubelet-ca": "" }, "--kubelet-certificate-authority"],
    [{ "/c.crt": "x" }, "--kubelet-client-certificate"],
    [{ "/c.key": server.key }, "--kubelet-client-certificate"],
    [{ "/etc/kubelet/config.yaml": "a: b" }, "--kubelet-config"],
    [{ "/etc/kubelet/config.yaml": kubeletConfig("/gone") }, "--kubelet-config"],
    [{ "/etc/kubelet/ca.crt": "x" }, "--kubelet-config"],
  ];
  for (const [files, flag] of cases) {
    const { flags } = await read(files);
    assert.deepEqual(flags, [flag], JSON.stringify(files).slice(0, 60));
  }
  assert.equal((await read({}, {})).configuration, undefined);
});

Deno.test("refuses a client certificate that does not name one", async () => {
  const nameless = await issue({ commonName: "a", commonNames: ["b"], issuer: nodeAuthority });
  const { configuration, flags } = await read({ "/c.crt": nameless.certificate, "/c.key": nameless.key });
  assert.deepEqual([configuration, flags], [undefined, ["--kubelet-client-certificate"]]);
});

Deno.test("refuses a kubelet that trusts the cluster's clients: the same authority, among others, or issued again", async () => {
  const again = await issue({ commonName: "another name", authority: true, keys: authority.keys });
  for (
    const trusted of [
      authority.certificate,
      nodeAuthority.certificate + authority.certificate,
      again.certificate,
    ]
  ) {
    const { flags, reported } = await read({ "/etc/kubelet/ca.crt": trusted });
    assert.deepEqual(flags, ["--kubelet-config"]);
    assert.match(reported[0]?.[1] ?? "", /authority of the cluster/);
  }
  // Also the one by which the API server itself is known.
  const { flags } = await read({}, { nodeName: "worker", clusterAuthorities: [nodeAuthority.certificate] });
  assert.deepEqual(flags, ["--kubelet-config"]);
});

Deno.test("refuses a kubelet whose settings go round the front", async () => {
  const open = { address: "0.0.0.0", readOnlyPort: 10255, authorization: { mode: "AlwaysAllow" } };
  const { reported } = await read({ "/etc/kubelet/config.yaml": kubeletConfig("ca.crt", open) });
  assert.deepEqual(reported.map(([, message]) => /": ([A-Za-z.]+):/.exec(message)?.[1]), [
    "address",
    "readOnlyPort",
    "authorization.mode",
  ]);
});
