import assert from "node:assert/strict";
import { ManualClock } from "../../tests/fakes/clock.ts";
import { MemoryLog } from "../../tests/fakes/log.ts";
import { followFiles, READING_INTERVAL_MS, SETTLING_MS } from "../credentials/file_follower.ts";
import { issue, testPki, until } from "../fixture_test.ts";
import type { FrontConfiguration } from "./front_configuration.ts";
import { frontFiles } from "./front_files.ts";
import type { FrontOptions } from "./front_options.ts";
import { ReloadCounts } from "../credentials/reload_counts.ts";

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

const kubeletConfig = (address: string) =>
  JSON.stringify({
    apiVersion: "kubelet.config.k8s.io/v1beta1",
    kind: "KubeletConfiguration",
    address,
    authentication: { x509: { clientCAFile: "ca.crt" } },
  });

const clusterKubeconfig = (cluster: Record<string, string>) =>
  JSON.stringify({
    "current-context": "x",
    contexts: [{ name: "x", context: { cluster: "x", user: "x" } }],
    clusters: [{ name: "x", cluster: { server: "https://10.0.0.2:6443", ...cluster } }],
    users: [{ name: "x", user: { token: "t" } }],
  });

async function follow() {
  const files: Record<string, string> = {
    "/s.crt": server.certificate,
    "/s.key": server.key,
    "/ca": authority.certificate,
    "/kubelet-ca": nodeAuthority.certificate,
    "/c.crt": client.certificate,
    "/c.key": client.key,
    "/etc/kubelet/config.yaml": kubeletConfig("127.0.0.1"),
    "/etc/kubelet/ca.crt": nodeAuthority.certificate,
    "/etc/kubelet.conf": clusterKubeconfig({ "certificate-authority": "cluster-ca.crt" }),
    "/etc/cluster-ca.crt": authority.certificate,
  };
  const kubeconfig = { path: "/etc/kubelet.conf", context: undefined };
  const set = frontFiles(OPTIONS, { nodeName: "worker", kubeconfig }, {
    readText: (path) => {
      const text = files[path];
      return text === undefined ? Promise.reject(new Error("is not there")) : Promise.resolve(text);
    },
    describe: (error) => error instanceof Error ? error.message : "?",
  });
  const clock = new ManualClock();
  const log = new MemoryLog();
  const counts = new ReloadCounts();
  const applied: FrontConfiguration[] = [];
  const contents = await set.read();
  const follower = followFiles({
    loaded: { set, contents },
    apply: (next) => void applied.push(next),
    clock,
    log,
    counts,
  });
  const count = () => counts.of("front-certificates");
  /** Lets a change be read, and waits until it is decided. */
  async function changed(change: Record<string, string>): Promise<void> {
    const { taken, refused } = count();
    Object.assign(files, change);
    await clock.advance(READING_INTERVAL_MS + SETTLING_MS);
    await until(() => count().taken + count().refused > taken + refused);
    await until(() => clock.timers === 1);
  }
  return { set, contents, applied, log, count, changed, follower };
}

Deno.test("the files of the front are all that it runs on", async () => {
  const { set, contents, follower } = await follow();
  assert.deepEqual([...contents.keys()].sort(), [
    "/c.crt",
    "/c.key",
    "/ca",
    "/etc/cluster-ca.crt",
    "/etc/kubelet.conf",
    "/etc/kubelet/ca.crt",
    "/etc/kubelet/config.yaml",
    "/kubelet-ca",
    "/s.crt",
    "/s.key",
  ]);
  const parsed = await set.parse(contents);
  assert.ok(parsed.ok, JSON.stringify(parsed));
  assert.equal(parsed.value.identity.username, "front");
  follower.close();
});

Deno.test("renewed certificates are put in force, with the front's new identity", async () => {
  const { applied, changed, count, follower } = await follow();
  const next = await issue({ commonName: "front", issuer: nodeAuthority });
  await changed({ "/c.crt": next.certificate, "/c.key": next.key });
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", next.der));
  assert.deepEqual(applied.map(({ identity }) => identity.fingerprint), [digest.toHex()]);
  assert.equal(applied[0]?.kubelet.identity.key, next.key);
  assert.deepEqual(count(), { taken: 1, refused: 0, stale: false });
  follower.close();
});

Deno.test("a cluster whose authority changes to another that the kubelet does not trust keeps its front", async () => {
  const { applied, changed, count, follower } = await follow();
  const next = await issue({ commonName: "next", authority: true });
  await changed({ "/etc/cluster-ca.crt": authority.certificate + next.certificate });
  assert.equal(applied.length, 1);
  assert.deepEqual(count(), { taken: 1, refused: 0, stale: false });
  follower.close();
});

Deno.test("refuses files that do not belong together, or that open the kubelet, and counts them", async () => {
  const other = await issue({ commonName: "other", issuer: authority });
  const cases: Record<string, string>[] = [
    { "/s.crt": other.certificate },
    { "/c.key": other.key },
    { "/ca": "x" },
    { "/kubelet-ca": "" },
    { "/etc/kubelet/config.yaml": kubeletConfig("0.0.0.0") },
    { "/etc/kubelet/config.yaml": "[" },
    { "/etc/kubelet/ca.crt": authority.certificate },
    // The authority that the kubelet trusts becomes the cluster's.
    { "/etc/cluster-ca.crt": authority.certificate + nodeAuthority.certificate },
    { "/etc/kubelet.conf": clusterKubeconfig({ "certificate-authority": "kubelet/ca.crt" }) },
    {
      "/etc/kubelet.conf": clusterKubeconfig({
        "certificate-authority-data": btoa(nodeAuthority.certificate),
      }),
    },
    // Without the cluster's authority nobody knows whether the kubelet trusts it.
    { "/etc/cluster-ca.crt": "x" },
    { "/etc/kubelet.conf": "[" },
    { "/etc/kubelet.conf": clusterKubeconfig({ "certificate-authority": "gone" }) },
  ];
  for (const change of cases) {
    const { applied, changed, count, log, follower } = await follow();
    await changed(change);
    assert.deepEqual(applied, [], JSON.stringify(change));
    assert.deepEqual(count(), { taken: 0, refused: 1, stale: true });
    assert.deepEqual(log.events(), ["files-refused"]);
    follower.close();
  }
});
