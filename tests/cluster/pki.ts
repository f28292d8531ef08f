/**
 * Keys and certificates of the cluster, made by openssl.
 *
 * Two certificate authorities: the cluster's, and the node's own. The node's own signs the proxy's server
 * certificate and the client certificates with which proxy and kubelet meet each other, and the API server knows
 * nothing of it.
 *
 * @module
 */
import { run } from "./programs.ts";

const NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

async function createAuthority(dir: string, name: string): Promise<void> {
  await run("openssl", [
    "req",
    "-x509",
    ...NEW_KEY,
    ...["-days", "30", "-subj", `/CN=${name}`],
    ...["-keyout", `${dir}/${name}.key`, "-out", `${dir}/${name}.crt`],
  ]);
}

interface Leaf {
  name: string;
  authority: "cluster-ca" | "node-ca";
  subject: string;
  usage: "serverAuth" | "clientAuth";
  alternativeNames: string;
}

async function createLeaf(dir: string, leaf: Leaf): Promise<void> {
  const file = `${dir}/${leaf.name}`;
  const request = ["req", ...NEW_KEY, "-subj", leaf.subject, "-keyout", `${file}.key`, "-out", `${file}.csr`];
  await run("openssl", request);
  await Deno.writeTextFile(
    `${file}.ext`,
    `subjectAltName=${leaf.alternativeNames}\nextendedKeyUsage=${leaf.usage}\nkeyUsage=digitalSignature\n`,
  );
  const authority = `${dir}/${leaf.authority}`;
  const serial = crypto.getRandomValues(new Uint8Array(8)).reduce(
    (hex, byte) => hex + (byte | 0x100).toString(16).slice(1),
    "0x01",
  );
  await run("openssl", [
    ...["x509", "-req", "-days", "30", "-set_serial", serial, "-in", `${file}.csr`, "-out", `${file}.crt`],
    ...["-CA", `${authority}.crt`, "-CAkey", `${authority}.key`, "-extfile", `${file}.ext`],
  ]);
}

const client = (name: string, subject: string): Leaf => ({
  name,
  subject,
  authority: "cluster-ca",
  usage: "clientAuth",
  alternativeNames: `DNS:${name}`,
});

/** Makes the keys and certificates of an API server, its administrator and its controllers, in `dir`. */
export async function createControlPlaneCertificates(dir: string): Promise<void> {
  await Promise.all([
    createAuthority(dir, "cluster-ca"),
    run("openssl", [
      "genpkey",
      "-algorithm",
      "RSA",
      "-pkeyopt",
      "rsa_keygen_bits:2048",
      "-out",
      `${dir}/service-accounts.key`,
    ]),
  ]);
  const leaves: Leaf[] = [
    {
      name: "kube-apiserver",
      subject: "/CN=kube-apiserver",
      authority: "cluster-ca",
      usage: "serverAuth",
      alternativeNames: "IP:127.0.0.1,IP:10.96.0.1,DNS:localhost,DNS:kubernetes.default.svc",
    },
    client("admin", "/O=system:masters/CN=admin"),
    client("kube-controller-manager", "/CN=system:kube-controller-manager"),
    client("kube-scheduler", "/CN=system:kube-scheduler"),
  ];
  await Promise.all(leaves.map((leaf) => createLeaf(dir, leaf)));
}

/** Makes every key and certificate that a cluster with a node needs, in `dir`. */
export async function createCertificates(dir: string, nodeName: string, nodeAddress: string): Promise<void> {
  await Promise.all([createControlPlaneCertificates(dir), createAuthority(dir, "node-ca")]);
  const leaves: Leaf[] = [
    client("kube-apiserver-kubelet-client", "/O=system:masters/CN=kube-apiserver-kubelet-client"),
    client("node", `/O=system:nodes/CN=system:node:${nodeName}`),
    {
      name: "kubelet-server",
      subject: `/O=system:nodes/CN=system:node:${nodeName}`,
      authority: "cluster-ca",
      usage: "serverAuth",
      alternativeNames: `IP:${nodeAddress},DNS:${nodeName}`,
    },
    {
      name: "kubelet-proxy",
      subject: "/CN=kubelet-proxy",
      authority: "node-ca",
      usage: "serverAuth",
      alternativeNames: "IP:127.0.0.1,DNS:localhost",
    },
    {
      name: "kubelet-proxy-front",
      subject: "/CN=kubelet-proxy-front",
      authority: "node-ca",
      usage: "clientAuth",
      alternativeNames: "DNS:kubelet-proxy-front",
    },
    {
      name: "kubelet",
      subject: "/CN=kubelet",
      authority: "node-ca",
      usage: "clientAuth",
      alternativeNames: "DNS:kubelet",
    },
  ];
  await Promise.all(leaves.map((leaf) => createLeaf(dir, leaf)));
}

/** What a kubeconfig names; certificate files are those of `dir`, unless one file holds certificate and key. */
interface KubeconfigContent {
  server: string;
  dir: string;
  authority: string;
  user: string;
  credentialFile?: string;
}

/** Writes a kubeconfig. */
export async function writeKubeconfig(
  file: string,
  { server, dir, authority, user, credentialFile }: KubeconfigContent,
): Promise<void> {
  const config = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "cluster", cluster: { server, "certificate-authority": `${dir}/${authority}.crt` } }],
    users: [{
      name: user,
      user: {
        "client-certificate": credentialFile ?? `${dir}/${user}.crt`,
        "client-key": credentialFile ?? `${dir}/${user}.key`,
      },
    }],
    contexts: [{ name: "context", context: { cluster: "cluster", user } }],
    "current-context": "context",
  };
  await Deno.writeTextFile(file, JSON.stringify(config, null, 2));
}
