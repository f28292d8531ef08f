/**
 * A node laid out as kubeadm leaves it, whose kubelet has nothing but what `kubelet-proxy init` made, while the proxy holds the
 * node's own credential: every certificate is renewed under the running kubelet.
 *
 * @module
 */
import assert from "node:assert/strict";
import {
  issueCertificate,
  type LeafUse,
  makeOwnKey,
  readCertificatesOf,
  readOwnKey,
} from "../../proxy/own_leg/own_leg_certificates.ts";
import {
  API_SERVER,
  type Cluster,
  frontArguments,
  KUBELET_PORT,
  kubeletConfigurationFile,
  NODE_NAME,
  PROXY_PORT,
} from "./cluster.ts";
import { NODE_ADDRESS } from "./network.ts";
import { writeKubeconfig } from "./pki.ts";
import { run } from "./programs.ts";
import { done, notYet } from "./wait.ts";

/** What the tests need of their suite. */
export interface OwnLegSuite {
  /** Declares a test that needs the proxy. */
  test: (name: string, body: (cluster: Cluster) => Promise<void>) => void;
  /** Signs and creates a bare pod, and waits until it is Ready. */
  runSigned: (name: string) => Promise<unknown>;
}

/** Of a certificate that is due: how old it is, and how long it still holds, in milliseconds. */
const AGE_MS = 3_600_000;
const REST_MS = 90_000;

/** Longest wait for a renewal, in milliseconds: a look each minute, the cluster's controllers, and a loaded machine. */
const RENEWAL_TIMEOUT_MS = 120_000;

/** A certificate and its key, two thirds of whose life are over. */
async function makeDue(authorityFile: string, commonName: string, use: LeafUse): Promise<string> {
  const authority = { key: await readOwnKey(await Deno.readTextFile(authorityFile)), name: { commonName } };
  const key = await makeOwnKey();
  const now = Date.now();
  const validity = { notBefore: new Date(now - AGE_MS), notAfter: new Date(now + REST_MS) };
  return await issueCertificate(authority, use, key.spki, validity) + key.pem;
}

/** Declares the tests. They leave the cluster as they found it. */
export function ownLegTests({ test, runSigned }: OwnLegSuite): void {
  const client: LeafUse = {
    kind: "client",
    subject: { organization: "system:nodes", commonName: `system:node:${NODE_NAME}` },
  };

  test("a kubelet with what init made runs pods, while every certificate is renewed", async (cluster) => {
    const { runDir, proxy } = cluster.options;
    assert.ok(proxy);
    const folder = `${runDir}/own-leg`;
    const nodeFolder = `${runDir}/node-credential`;
    const node = `${nodeFolder}/node.pem`;
    const init = [
      "init",
      `--node-name=${NODE_NAME}`,
      `--dir=${folder}`,
      `--listen-addr=127.0.0.1:${PROXY_PORT}`,
    ];
    await run(proxy, init);
    assert.equal(await run(proxy, init), `${folder} is complete; nothing to do\n`);

    // kubeadm's layout: one file with the node's certificate and key, and rotateCertificates in the kubelet's settings.
    await Deno.mkdir(nodeFolder, { mode: 0o700 });
    await writePrivately(node, await makeDue(`${runDir}/pki/cluster-ca.key`, "cluster-ca", client));
    await writeKubeconfig(`${nodeFolder}/upstream.kubeconfig`, {
      server: API_SERVER,
      dir: `${runDir}/pki`,
      authority: "cluster-ca",
      user: "node",
      credentialFile: node,
    });
    const settings = JSON.parse(await Deno.readTextFile(kubeletConfigurationFile(runDir, true)));
    const rotating = `${runDir}/kubelet-rotating.json`;
    // The kubelet lets in who is known to the own leg's authority: the front of its own API.
    const authentication = { ...settings.authentication, x509: { clientCAFile: `${folder}/ca.crt` } };
    await Deno.writeTextFile(
      rotating,
      JSON.stringify({ ...settings, authentication, rotateCertificates: true }),
    );
    await cluster.kubectl([
      ...["create", "clusterrolebinding", "node-certificate-renewal", "--group=system:nodes"],
      "--clusterrole=system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
    ]);

    await cluster.program("kubelet").stop();
    await cluster.program("kubelet-proxy").stop();
    const credentials = [
      `--kubeconfig=${nodeFolder}/upstream.kubeconfig`,
      `--own-leg=${folder}`,
      "--renew-node-certificate",
    ];
    const startProxy = async () => {
      await cluster.startProxy(frontArguments(runDir, rotating), { credentials, front: false });
      await cluster.program("kubelet-proxy").listening(KUBELET_PORT, { address: NODE_ADDRESS });
    };
    /** The API server reads the kubelet's metrics through the front. */
    const metricsAreRead = (when: string) =>
      cluster.until(`the kubelet's metrics are read ${when}`, async () => {
        const path = `/api/v1/nodes/${NODE_NAME}/proxy/metrics`;
        const { code, stdout, stderr } = await cluster.tryKubectl(["get", "--raw", path]);
        return code === 0 && stdout.includes("kubelet_node_name") ? done(undefined) : notYet(stderr);
      });
    await startProxy();
    const kubeletArgs = [
      `--config=${rotating}`,
      `--kubeconfig=${folder}/kubelet.kubeconfig`,
      "--rotate-certificates=false",
    ];
    await cluster.startKubelet({ extraArgs: kubeletArgs });
    await cluster.untilNodeReady(new Date());
    const since = new Date();
    await metricsAreRead("by the certificate of init");

    // What the kubelet has opens nothing at the API server.
    const { stdout: status } = await cluster.attemptInNetwork("curl", [
      ...["--silent", "--output", "/dev/null", "--write-out", "%{http_code}"],
      ...["--cacert", `${runDir}/pki/cluster-ca.crt`, "--cert", `${folder}/kubelet-client.pem`],
      `${API_SERVER}/api/v1/nodes/${NODE_NAME}`,
    ]);
    assert.equal(status, "401");

    // The node's own certificate, which was due from the start: asked for, approved and issued by the cluster, taken over.
    const [renewed] = await untilRenewed(cluster, node);
    assert.equal(renewed?.subject, `O=system:nodes\nCN=system:node:${NODE_NAME}`);
    const requests = await cluster.kubectl([
      "get",
      "csr",
      "-o",
      "jsonpath={range .items[*]}{.spec.username} {end}",
    ]);
    assert.ok(requests.includes(`system:node:${NODE_NAME}`), requests);

    // Both sides of the own leg become due under the running kubelet.
    const authority = `${folder}/ca.pem`;
    const authorityName = (readCertificatesOf(await Deno.readTextFile(authority))[0]?.subject ?? "")
      .replace(/^CN=/, "");
    const serving: LeafUse = {
      kind: "serving",
      commonName: "kubelet-proxy",
      hosts: ["127.0.0.1", "localhost"],
    };
    await writePrivately(`${folder}/serving.pem`, await makeDue(authority, authorityName, serving));
    await writePrivately(`${folder}/kubelet-client.pem`, await makeDue(authority, authorityName, client));
    const front: LeafUse = { kind: "client", subject: { commonName: "kubelet-proxy-front" } };
    await writePrivately(`${folder}/front-client.pem`, await makeDue(authority, authorityName, front));
    const ends = new Date(Date.now() + REST_MS);
    for (const file of ["serving.pem", "kubelet-client.pem", "front-client.pem"]) {
      await untilRenewed(cluster, `${folder}/${file}`);
    }
    await cluster.until("the proxy serves with the renewed certificate", async () => {
      const { stdout } = await cluster.attemptInNetwork("sh", [
        "-c",
        `openssl s_client -connect 127.0.0.1:${PROXY_PORT} -cert ${folder}/kubelet-client.pem </dev/null 2>/dev/null |
           openssl x509 -noout -enddate`,
      ]);
      const [, end] = /^notAfter=(.*)$/m.exec(stdout) ?? [];
      return end !== undefined && new Date(end).getTime() > ends.getTime() + AGE_MS / 4
        ? done(undefined)
        : notYet(stdout);
    });

    // From here on, nothing that was due holds any more; a new connection needs the kubelet's renewed certificate.
    await cluster.until("the replaced certificates have ended", () => {
      return new Date() > ends ? done(undefined) : notYet(`they hold until ${ends.toISOString()}`);
    }, REST_MS + 10_000);
    await metricsAreRead("by the renewed certificate");
    await cluster.program("kubelet-proxy").stop();
    await startProxy();
    await cluster.untilNodeReady(new Date());
    await runSigned("after-renewal");
    const kubeletLog = await Deno.readTextFile(cluster.program("kubelet").logFile);
    assert.match(kubeletLog, /Certificate rotation detected/, "the kubelet took its file's new certificate");
    const lapses = cluster.readinessSince(since).filter(({ status }) => status !== "True");
    assert.deepEqual(lapses, [], "the node was not Ready in between");
    await cluster.program("kubelet").stop();

    // kubeadm's rotateCertificates, not overruled: the kubelet shows the node's own certificate, and is not let in.
    const own = `${runDir}/kubelet-own-certificates`;
    await Deno.mkdir(own, { mode: 0o700 });
    await Deno.copyFile(node, `${own}/kubelet-client-current.pem`);
    const logged = (await Deno.readTextFile(cluster.program("kubelet-proxy").logFile)).length;
    await cluster.startKubelet({ extraArgs: [...kubeletArgs.slice(0, 2), `--cert-dir=${own}`] });
    await cluster.until("the proxy refuses a kubelet that rotates by itself", async () => {
      const text = (await Deno.readTextFile(cluster.program("kubelet-proxy").logFile)).slice(logged);
      const line = /^.*(?:handshake-failed|connection-refused).*$/m.exec(text)?.[0];
      if (line === undefined) return notYet(text);
      console.log(`a kubelet that rotates by itself: ${line}`);
      return done(undefined);
    });
    await cluster.program("kubelet").stop();
    await cluster.program("kubelet-proxy").stop();
    await cluster.startProxy();
    await cluster.startKubelet();
    await cluster.untilNodeReady(new Date());
  });
}

/** Waits until a file's certificate holds longer than those that are due do. */
async function untilRenewed(cluster: Cluster, file: string) {
  const limit = Date.now() + AGE_MS / 4;
  return await cluster.until(`${file} is renewed`, async () => {
    const certificates = readCertificatesOf(await Deno.readTextFile(file));
    const notAfter = certificates[0]?.notAfter;
    return notAfter !== undefined && notAfter.getTime() > limit
      ? done(certificates)
      : notYet(`it holds until ${notAfter?.toISOString()}`);
  }, RENEWAL_TIMEOUT_MS);
}

async function writePrivately(file: string, text: string): Promise<void> {
  await Deno.writeTextFile(`${file}.new`, text, { mode: 0o600 });
  await Deno.rename(`${file}.new`, file);
}
