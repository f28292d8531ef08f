import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { readClientAuthorities } from "../credentials/client_certificate.ts";
import { folderOf, parseKubeconfig } from "../credentials/kubeconfig.ts";
import { readTlsIdentity } from "../credentials/tls_identity.ts";
import {
  AUTHORITIES_FILE,
  AUTHORITY_FILE,
  CLIENT_FILE,
  DAY_MS,
  FRONT_CLIENT_FILE,
  KUBECONFIG_FILE,
  OWN_LEG_FILES,
  OWN_LEG_LIFETIMES,
  type OwnLegFile,
  SERVING_FILE,
} from "./own_leg_files.ts";
import { isOld, type OwnLegWishes, planOwnLeg } from "./own_leg_plan.ts";
import { issueCertificate, makeOwnKey, readCertificatesOf } from "./own_leg_certificates.ts";

const NOW = new Date("2026-06-01T00:00:00Z");
const FOLDER = "/var/lib/kubelet-proxy/pki";
const WISHES: OwnLegWishes = {
  nodeName: "worker",
  folder: FOLDER,
  port: 6443,
  lifetimes: OWN_LEG_LIFETIMES,
};
const later = (days: number) => new Date(NOW.getTime() + days * DAY_MS);

/** Plans and writes; the names of what was written. */
async function carryOut(
  files: Map<OwnLegFile, string>,
  now = NOW,
  wishes: Partial<OwnLegWishes> = {},
): Promise<OwnLegFile[]> {
  const plan = await planOwnLeg(files, { ...WISHES, ...wishes }, now);
  assert.ok(plan.ok, JSON.stringify(plan));
  for (const { file, text } of plan.writes) files.set(file, text);
  return plan.writes.map(({ file }) => file);
}

async function problemsOf(files: Map<OwnLegFile, string>): Promise<string[]> {
  const plan = await planOwnLeg(files, WISHES, NOW);
  assert.ok(!plan.ok);
  return plan.problems.map(({ path }) => path);
}

async function made(): Promise<Map<OwnLegFile, string>> {
  const files = new Map<OwnLegFile, string>();
  await carryOut(files);
  return files;
}

const textOf = (files: Map<OwnLegFile, string>, file: OwnLegFile) => files.get(file) ?? assert.fail(file);

function identityOf(files: Map<OwnLegFile, string>, file: OwnLegFile) {
  return readTlsIdentity(textOf(files, file), textOf(files, file));
}

/** Whether TLS would find the certificate good on both sides. */
function holds(files: Map<OwnLegFile, string>, bundle: string, now: Date): boolean {
  const authorities = readCertificatesOf(bundle);
  const client = readClientAuthorities(authorities.map(({ pem }) => pem));
  const serving = new X509Certificate(identityOf(files, SERVING_FILE).certificate);
  return ([CLIENT_FILE, FRONT_CLIENT_FILE] as const).every((file) =>
    client.issued(identityOf(files, file).der, now)
  ) &&
    authorities.some(({ pem, notAfter }) => {
      const authority = new X509Certificate(pem);
      return notAfter > now && serving.checkIssued(authority) && serving.verify(authority.publicKey);
    }) && new Date(serving.validTo) > now;
}

Deno.test("an empty folder gets everything, in an order in which each file needs only those before it", async () => {
  const files = new Map<OwnLegFile, string>();
  assert.deepEqual(await carryOut(files), [...OWN_LEG_FILES]);
  assert.ok(holds(files, textOf(files, AUTHORITIES_FILE), NOW));
  const serving = new X509Certificate(identityOf(files, SERVING_FILE).certificate);
  assert.ok(serving.checkIP("127.0.0.1") && serving.checkIP("::1") && serving.checkHost("localhost"));
  const [client] = readCertificatesOf(textOf(files, CLIENT_FILE));
  assert.equal(client?.subject, "O=system:nodes\nCN=system:node:worker");
  const [front] = readCertificatesOf(textOf(files, FRONT_CLIENT_FILE));
  assert.equal(front?.subject, "CN=kubelet-proxy-front");
  assert.ok(!textOf(files, AUTHORITIES_FILE).includes("PRIVATE KEY"));
});

Deno.test("a serving certificate is none of a client's", async () => {
  const files = await made();
  const authorities = readClientAuthorities([textOf(files, AUTHORITIES_FILE)]);
  assert.equal(authorities.issued(identityOf(files, SERVING_FILE).der, NOW), false);
});

Deno.test("the kubeconfig names the proxy, its authority and the kubelet's certificate, and nothing else", async () => {
  const path = `${FOLDER}/${KUBECONFIG_FILE}`;
  const parsed = parseKubeconfig(textOf(await made(), KUBECONFIG_FILE), folderOf(path), undefined);
  assert.ok(parsed.ok, JSON.stringify(parsed));
  const { server, certificateAuthority, clientCertificate, clientKey, token, exec } = parsed.kubeconfig;
  const credential = { kind: "file", path: `${FOLDER}/kubelet-client.pem` };
  assert.deepEqual(
    [server.href, certificateAuthority, clientCertificate, clientKey, token, exec],
    [
      "https://127.0.0.1:6443/",
      { kind: "file", path: `${FOLDER}/ca.crt` },
      credential,
      credential,
      undefined,
      undefined,
    ],
  );
});

Deno.test("what is there and holds is left alone, and what is missing is made", async () => {
  const files = await made();
  assert.deepEqual(await carryOut(files), []);
  for (const file of OWN_LEG_FILES) {
    if (file === AUTHORITY_FILE) continue;
    files.delete(file);
    assert.deepEqual(await carryOut(files), [file]);
  }
  assert.ok(holds(files, textOf(files, AUTHORITIES_FILE), NOW));
});

Deno.test("another node or another port makes anew what names them", async () => {
  const files = await made();
  assert.deepEqual(await carryOut(files, NOW, { nodeName: "other" }), [CLIENT_FILE]);
  assert.deepEqual(await carryOut(files, NOW, { nodeName: "other", port: 7443 }), [KUBECONFIG_FILE]);
});

Deno.test("the longest name of a node stands in its certificate", async () => {
  const nodeName = Array(4).fill("a".repeat(63)).join(".").slice(0, 253);
  const files = new Map<OwnLegFile, string>();
  await carryOut(files, NOW, { nodeName });
  assert.deepEqual(await carryOut(files, NOW, { nodeName }), []);
});

Deno.test("certificates are renewed after two thirds of their life, with another key and the same lifetime", async () => {
  const files = await made();
  const before = identityOf(files, CLIENT_FILE);
  assert.deepEqual(await carryOut(files, later(59)), []);
  assert.deepEqual(await carryOut(files, later(61)), [SERVING_FILE, CLIENT_FILE, FRONT_CLIENT_FILE]);
  assert.notEqual(identityOf(files, CLIENT_FILE).key, before.key);
  const [client] = readCertificatesOf(textOf(files, CLIENT_FILE));
  assert.ok(client);
  assert.equal(client.notAfter.getTime() - client.notBefore.getTime(), 90 * DAY_MS);
  assert.deepEqual(await carryOut(files, later(61)), []);
  // A clock that was set back.
  assert.deepEqual(await carryOut(files, later(-30)), [
    AUTHORITY_FILE,
    AUTHORITIES_FILE,
    SERVING_FILE,
    CLIENT_FILE,
    FRONT_CLIENT_FILE,
  ]);
});

Deno.test("the authority is renewed under its key: a kubelet that knows either certificate trusts the other's", async () => {
  const files = await made();
  const first = textOf(files, AUTHORITIES_FILE);
  const due = later(3650 * 2 / 3);
  assert.deepEqual(await carryOut(files, due), [
    AUTHORITY_FILE,
    AUTHORITIES_FILE,
    SERVING_FILE,
    CLIENT_FILE,
    FRONT_CLIENT_FILE,
  ]);
  assert.equal(readCertificatesOf(textOf(files, AUTHORITIES_FILE)).length, 2);
  assert.ok(holds(files, textOf(files, AUTHORITIES_FILE), due));
  assert.ok(holds(files, first, due), "by the old certificate alone");
  const ended = later(3651);
  await carryOut(files, ended);
  assert.equal(readCertificatesOf(textOf(files, AUTHORITIES_FILE)).length, 1, "what has ended is left out");
  assert.ok(holds(files, textOf(files, AUTHORITIES_FILE), ended));
});

Deno.test("nothing outlives its authority", async () => {
  const files = new Map<OwnLegFile, string>();
  await carryOut(files, NOW, { lifetimes: { leafMs: 3 * DAY_MS, authorityMs: 3 * DAY_MS } });
  files.delete(CLIENT_FILE);
  await carryOut(files, later(1), { lifetimes: { leafMs: 3 * DAY_MS, authorityMs: 3 * DAY_MS } });
  const [client] = readCertificatesOf(textOf(files, CLIENT_FILE));
  const [authority] = readCertificatesOf(textOf(files, AUTHORITY_FILE));
  assert.deepEqual(client?.notAfter, authority?.notAfter);
});

Deno.test("refuses to write over what it did not make", async () => {
  const other = await made();
  for (const file of OWN_LEG_FILES) {
    const files = await made();
    files.set(file, "somebody's\n");
    assert.ok((await problemsOf(files)).includes(`${FOLDER}/${file}`), file);
  }
  for (const file of [SERVING_FILE, CLIENT_FILE, FRONT_CLIENT_FILE, AUTHORITIES_FILE] as const) {
    const files = await made();
    files.set(file, textOf(other, file));
    assert.deepEqual(await problemsOf(files), [`${FOLDER}/${file}`], `${file} of another authority`);
  }
});

Deno.test("refuses files whose authority is gone, and an authority that is another's", async () => {
  const files = await made();
  const authority = textOf(files, AUTHORITY_FILE);
  files.delete(AUTHORITY_FILE);
  assert.deepEqual(
    await problemsOf(files),
    [AUTHORITIES_FILE, SERVING_FILE, CLIENT_FILE, FRONT_CLIENT_FILE].map((file) => `${FOLDER}/${file}`),
  );
  // The certificate of one key with another key.
  const [certificate] = readCertificatesOf(authority);
  assert.ok(certificate);
  files.set(AUTHORITY_FILE, certificate.pem + (await makeOwnKey()).pem);
  assert.deepEqual(await problemsOf(files), [`${FOLDER}/${AUTHORITY_FILE}`]);
  // An authority by another name.
  const key = await makeOwnKey();
  const foreign = await issueCertificate(
    { key, name: { commonName: "other" } },
    { kind: "client", subject: { commonName: "other" } },
    key.spki,
    { notBefore: NOW, notAfter: later(1) },
  );
  assert.deepEqual(await problemsOf(new Map([[AUTHORITY_FILE, foreign + key.pem]])), [
    `${FOLDER}/${AUTHORITY_FILE}`,
  ]);
});

Deno.test("a certificate is old when two thirds of its life are over", () => {
  const validity = { notBefore: NOW, notAfter: later(3) };
  const cases: [days: number, old: boolean][] = [[-1, false], [0, false], [1.9, false], [2, true], [4, true]];
  for (const [days, old] of cases) assert.equal(isOld(validity, later(days)), old, String(days));
});
