/**
 * What is to be done in the folder of the own leg: from what lies there, what is wanted and the time, to the files that are
 * to be written. The same for `kubelet-proxy init`, which begins with nothing, and for the running proxy, which renews.
 *
 * The authority's key stays. Its certificate is renewed under the same name and key, and the old one stays in `ca.crt`
 * until it ends: a kubelet that knows the old one only still finds what it needs, whatever was issued since.
 *
 * @module
 */
import { messageOf, type Problem } from "@signed-pods/shared/errors";
import {
  type Authority,
  isSignedBy,
  issueCertificate,
  type LeafUse,
  makeAuthorityCertificate,
  makeOwnKey,
  type ReadCertificate,
  readCertificatesOf,
  readOwnKey,
  type Validity,
} from "./own_leg_certificates.ts";
import {
  AUTHORITIES_FILE,
  AUTHORITY_FILE,
  CLIENT_FILE,
  FRONT_CLIENT_FILE,
  KUBECONFIG_FILE,
  OWN_LEG_FILES,
  type OwnLegFile,
  type OwnLegLifetimes,
  SERVING_FILE,
} from "./own_leg_files.ts";

/** What lies in the folder: texts by name. A file that is not there is not in it. */
export type OwnLegContents = ReadonlyMap<OwnLegFile, string>;

/** What is wanted. */
export interface OwnLegWishes {
  nodeName: string;
  /** Full path of the folder. */
  folder: string;
  /** The proxy's port on loopback. Without it, the kubeconfig is left as it is. */
  port?: number;
  /** Lifetimes of what is made for the first time, in milliseconds. What is renewed keeps its own. */
  lifetimes: OwnLegLifetimes;
}

/** A file to be written. */
export interface OwnLegWrite {
  file: OwnLegFile;
  text: string;
  /** Why, in a few words. */
  reason: string;
  /** Until when what is in it holds. */
  notAfter?: Date;
}

/** What is to be done, in this order, or why nothing is. */
export type OwnLegPlan = { ok: true; writes: OwnLegWrite[] } | { ok: false; problems: Problem[] };

/** What is renewed has this part of its life behind it. */
const RENEWAL_PART = 2 / 3;

/** Most of its life by which a certificate may begin before it is made: clocks are set back when a machine starts. */
const MAX_BACKDATING_MS = 5 * 60 * 1000;
const BACKDATING_PART = 0.1;

/** Names by which a kubelet of the same machine reaches the proxy. */
const LOOPBACK_HOSTS = ["127.0.0.1", "::1", "localhost"];

const AUTHORITY_NAME_PREFIX = "kubelet-proxy own leg of ";

/** Longest part of a node's name in the authority's: 64 characters are what RFC 5280 admits. */
const MAX_AUTHORITY_NODE_LENGTH = 64 - AUTHORITY_NAME_PREFIX.length;

const KUBECONFIG_MARK =
  "# Made by kubelet-proxy init: opens the kubelet-proxy of this node, and nothing else.";

/** Finds out what is to be done. Reads and writes nothing. */
export async function planOwnLeg(
  found: OwnLegContents,
  wishes: OwnLegWishes,
  now: Date,
): Promise<OwnLegPlan> {
  const problems: Problem[] = [];
  const report = (file: OwnLegFile, message: string) =>
    void problems.push({ path: `${wishes.folder}/${file}`, message });
  const writes: OwnLegWrite[] = [];
  const authority = await planAuthority(found, wishes, now, writes, report);
  if (authority !== undefined) {
    await planLeaf(SERVING_FILE, servingUse(), authority);
    await planLeaf(CLIENT_FILE, clientUse(wishes), authority);
    await planLeaf(FRONT_CLIENT_FILE, FRONT_CLIENT_USE, authority);
  }
  planKubeconfig();
  return problems.length > 0 ? { ok: false, problems } : { ok: true, writes };

  async function planLeaf(file: OwnLegFile, use: LeafUse, { issuer, notAfter: end }: PlannedAuthority) {
    const old = readLeaf(found.get(file), issuer, (message) => report(file, message));
    if (old === "foreign") return;
    const reason = old === undefined ? "is not there" : whyRenew(old, use, now);
    if (reason === undefined) return;
    const lifetimeMs = old === undefined ? wishes.lifetimes.leafMs : lifetimeOf(old);
    const validity = validityFrom(now, lifetimeMs);
    // Nothing outlives who issued it.
    const notAfter = validity.notAfter > end ? end : validity.notAfter;
    const key = await makeOwnKey();
    const certificate = await issueCertificate(issuer, use, key.spki, { ...validity, notAfter });
    writes.push({ file, text: certificate + key.pem, reason, notAfter });
  }

  function planKubeconfig(): void {
    const old = found.get(KUBECONFIG_FILE);
    if (old !== undefined && !old.startsWith(KUBECONFIG_MARK)) {
      report(KUBECONFIG_FILE, FOREIGN);
      return;
    }
    if (wishes.port === undefined) return;
    const text = kubeconfigText(wishes.folder, wishes.port);
    if (text !== old) {
      const reason = old === undefined ? "is not there" : "names another port or folder";
      writes.push({ file: KUBECONFIG_FILE, text, reason });
    }
  }
}

const FOREIGN = "is not a file of kubelet-proxy init; move it away, or name another folder";

interface PlannedAuthority {
  issuer: Authority;
  /** Until when it can issue. */
  notAfter: Date;
}

async function planAuthority(
  found: OwnLegContents,
  { nodeName, lifetimes }: OwnLegWishes,
  now: Date,
  writes: OwnLegWrite[],
  report: (file: OwnLegFile, message: string) => void,
): Promise<PlannedAuthority | undefined> {
  const text = found.get(AUTHORITY_FILE);
  if (text === undefined) {
    const orphans = OWN_LEG_FILES.filter((file) => file !== KUBECONFIG_FILE && found.has(file));
    for (const file of orphans) {
      report(file, `is there without ${AUTHORITY_FILE}, which would have made it; move it away`);
    }
    if (orphans.length > 0) return undefined;
    const name = { commonName: `${AUTHORITY_NAME_PREFIX}${nodeName.slice(0, MAX_AUTHORITY_NODE_LENGTH)}` };
    const issuer = { key: await makeOwnKey(), name };
    const validity = validityFrom(now, lifetimes.authorityMs);
    const certificate = await makeAuthorityCertificate(issuer, validity);
    const reason = "is not there";
    writes.push({ file: AUTHORITY_FILE, text: certificate + issuer.key.pem, reason, ...validity });
    writes.push({ file: AUTHORITIES_FILE, text: certificate, reason });
    return { issuer, notAfter: validity.notAfter };
  }
  const old = await readAuthority(text);
  if (typeof old === "string") {
    report(AUTHORITY_FILE, old);
    return undefined;
  }
  const { issuer, certificate } = old;
  const bundle = readBundle(found.get(AUTHORITIES_FILE), issuer);
  if (bundle === undefined) {
    report(AUTHORITIES_FILE, FOREIGN);
    return undefined;
  }
  let newest = certificate;
  if (isDue(certificate, now)) {
    const validity = validityFrom(now, lifetimeOf(certificate));
    newest = { ...certificate, ...validity, pem: await makeAuthorityCertificate(issuer, validity) };
    writes.push({
      file: AUTHORITY_FILE,
      text: newest.pem + issuer.key.pem,
      reason: "has lived two thirds of its life",
      notAfter: validity.notAfter,
    });
  }
  const pems = new Set([
    newest.pem,
    ...[certificate, ...bundle].filter(({ notAfter }) => notAfter > now).map(({ pem }) => pem),
  ]);
  const wanted = [...pems].join("");
  if (wanted !== found.get(AUTHORITIES_FILE)) {
    writes.push({
      file: AUTHORITIES_FILE,
      text: wanted,
      reason: "does not hold the authority's certificates",
    });
  }
  return { issuer, notAfter: newest.notAfter };
}

/** An authority as it lies there, or what is wrong with it. */
async function readAuthority(
  text: string,
): Promise<{ issuer: Authority; certificate: ReadCertificate } | string> {
  try {
    const key = await readOwnKey(text);
    const [certificate, ...others] = readCertificatesOf(text);
    const commonName = certificate?.subject.replace(/^CN=/, "") ?? "";
    if (
      certificate === undefined || others.length > 0 || !commonName.startsWith(AUTHORITY_NAME_PREFIX) ||
      !isSignedBy(certificate.pem, key)
    ) {
      return FOREIGN;
    }
    return { issuer: { key, name: { commonName } }, certificate };
  } catch (error) {
    return `${FOREIGN} (${messageOf(error)})`;
  }
}

/** The certificates of the bundle; undefined if one is not the authority's. */
function readBundle(text: string | undefined, { key }: Authority): ReadCertificate[] | undefined {
  if (text === undefined) return [];
  try {
    const certificates = readCertificatesOf(text);
    return certificates.every(({ pem, spki }) => sameBytes(spki, key.spki) && isSignedBy(pem, key))
      ? certificates
      : undefined;
  } catch {
    return undefined;
  }
}

function readLeaf(
  text: string | undefined,
  { key }: Authority,
  report: (message: string) => void,
): ReadCertificate | undefined | "foreign" {
  if (text === undefined) return undefined;
  try {
    const [certificate, ...others] = readCertificatesOf(text);
    if (certificate !== undefined && others.length === 0 && isSignedBy(certificate.pem, key)) {
      return certificate;
    }
    report(FOREIGN);
  } catch (error) {
    report(`${FOREIGN} (${messageOf(error)})`);
  }
  return "foreign";
}

function servingUse(): LeafUse {
  return { kind: "serving", commonName: "kubelet-proxy", hosts: LOOPBACK_HOSTS };
}

/** The kubelet is known by the name that the cluster knows it by; who reads a log need not translate. */
function clientUse({ nodeName }: OwnLegWishes): LeafUse {
  return {
    kind: "client",
    subject: { commonName: `system:node:${nodeName}`, organization: "system:nodes" },
  };
}

/** Of no group: what the front may do the proxy itself answers, when the kubelet asks. */
const FRONT_CLIENT_USE: LeafUse = { kind: "client", subject: { commonName: "kubelet-proxy-front" } };

function whyRenew(old: ReadCertificate, use: LeafUse, now: Date): string | undefined {
  if (use.kind === "client") {
    const { commonName, organization } = use.subject;
    const subject = [...organization === undefined ? [] : [`O=${organization}`], `CN=${commonName}`];
    if (old.subject !== subject.join("\n")) return "is for another node";
  }
  return isDue(old, now) ? "has lived two thirds of its life" : undefined;
}

/** Whether two thirds of its life are over. */
export function isOld({ notBefore, notAfter }: Validity, now: Date): boolean {
  return now.getTime() >= notBefore.getTime() + (notAfter.getTime() - notBefore.getTime()) * RENEWAL_PART;
}

/** Whether to make another one: it is old, or has not begun, because the clock was set back. */
function isDue(validity: Validity, now: Date): boolean {
  return isOld(validity, now) || now < validity.notBefore;
}

function lifetimeOf({ notBefore, notAfter }: Validity): number {
  return notAfter.getTime() - notBefore.getTime();
}

function validityFrom(now: Date, lifetimeMs: number): Validity {
  const notBefore = now.getTime() - Math.min(MAX_BACKDATING_MS, lifetimeMs * BACKDATING_PART);
  return { notBefore: new Date(notBefore), notAfter: new Date(notBefore + lifetimeMs) };
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

/** The kubelet's kubeconfig. JSON is YAML, and needs no quoting of our own. */
function kubeconfigText(folder: string, port: number): string {
  const config = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{
      name: "kubelet-proxy",
      cluster: {
        server: `https://127.0.0.1:${port}`,
        "certificate-authority": `${folder}/${AUTHORITIES_FILE}`,
      },
    }],
    users: [{
      name: "kubelet",
      user: { "client-certificate": `${folder}/${CLIENT_FILE}`, "client-key": `${folder}/${CLIENT_FILE}` },
    }],
    contexts: [{ name: "kubelet", context: { cluster: "kubelet-proxy", user: "kubelet" } }],
    "current-context": "kubelet",
  };
  return `${KUBECONFIG_MARK}\n${JSON.stringify(config, null, 2)}\n`;
}
