/**
 * The certificates of the way between kubelet and proxy: a small authority of the node's own, and what it issues. Keys are
 * made by WebCrypto. Nothing here can sign for a pod's owner: these keys are the node's, and no pod is judged by them.
 *
 * @module
 */
import { isIP } from "node:net";
import { createPublicKey, X509Certificate } from "node:crypto";
import {
  AuthorityKeyIdentifier,
  BasicConstraints,
  ExtendedKeyUsage,
  GeneralName,
  id_ce_authorityKeyIdentifier as authorityKeyIdentifierId,
  id_ce_basicConstraints as basicConstraintsId,
  id_ce_extKeyUsage as extendedKeyUsageId,
  id_ce_keyUsage as keyUsageId,
  id_ce_subjectAltName as subjectAltNameId,
  id_ce_subjectKeyIdentifier as subjectKeyIdentifierId,
  id_kp_clientAuth as clientAuthId,
  id_kp_serverAuth as serverAuthId,
  KeyIdentifier,
  KeyUsage,
  KeyUsageFlags,
  SubjectAlternativeName,
  SubjectKeyIdentifier,
} from "@peculiar/asn1-x509";
import {
  type CertificateName,
  type CertificateSigner,
  keyIdentifierOf,
  writeCertificate,
} from "@signed-pods/shared/certificate-writing";
import { readPemBlocks, writePem } from "@signed-pods/shared/pem";
import { rawToDer } from "@signed-pods/shared/signature";

/** A key of P-256: what every TLS stack of a node can use. */
const ALGORITHM = "ec-p256";
const CURVE = { name: "ECDSA", namedCurve: "P-256" } as const;
const SIGNATURE = { name: "ECDSA", hash: "SHA-256" } as const;

/** Most characters of a name: that of a node may have 253, and `system:node:` stands before it. */
export const MAX_NODE_USER_LENGTH = 265;

/** A key pair. */
export interface OwnKey extends CertificateSigner {
  /** One `PRIVATE KEY` block (PKCS#8, RFC 5958). */
  pem: string;
  /** DER of the SubjectPublicKeyInfo. */
  spki: Uint8Array<ArrayBuffer>;
}

/** From when to when. */
export interface Validity {
  notBefore: Date;
  notAfter: Date;
}

/** What a certificate is for. */
export type LeafUse =
  | { kind: "serving"; commonName: string; hosts: readonly string[] }
  | { kind: "client"; subject: CertificateName };

/** Who issues. */
export interface Authority {
  key: OwnKey;
  name: CertificateName;
}

/** Makes a key. */
export async function makeOwnKey(): Promise<OwnKey> {
  const { privateKey, publicKey } = await crypto.subtle.generateKey(CURVE, true, ["sign", "verify"]);
  const pkcs8 = new Uint8Array(await crypto.subtle.exportKey("pkcs8", privateKey));
  const spki = new Uint8Array(await crypto.subtle.exportKey("spki", publicKey));
  return ownKey(privateKey, spki, writePem("PRIVATE KEY", pkcs8));
}

/**
 * Reads a key that {@linkcode makeOwnKey} made, among the blocks of a PEM text.
 *
 * @throws {Error} if there is none, or more than one, or one of another kind
 */
export async function readOwnKey(text: string): Promise<OwnKey> {
  const [block, ...others] = readPemBlocks(text).filter(({ label }) => label === "PRIVATE KEY");
  if (block === undefined || others.length > 0) {
    throw new Error("must hold one PRIVATE KEY block");
  }
  let privateKey: CryptoKey;
  try {
    privateKey = await crypto.subtle.importKey("pkcs8", block.bytes, CURVE, false, ["sign"]);
  } catch (cause) {
    throw new Error("holds a private key that is none of P-256", { cause });
  }
  const pem = writePem(block.label, block.bytes);
  const spki = new Uint8Array(createPublicKey(pem).export({ type: "spki", format: "der" }));
  return ownKey(privateKey, spki, pem);
}

function ownKey(privateKey: CryptoKey, spki: Uint8Array<ArrayBuffer>, pem: string): OwnKey {
  return {
    algorithm: ALGORITHM,
    pem,
    spki,
    async sign(bytes) {
      const raw = await crypto.subtle.sign(SIGNATURE, privateKey, new Uint8Array(bytes));
      return rawToDer(new Uint8Array(raw), ALGORITHM);
    },
  };
}

/** The authority's own certificate, which its key signs. It issues certificates, no other authorities. */
export async function makeAuthorityCertificate(
  { key, name }: Authority,
  validity: Validity,
): Promise<string> {
  return await writeCertificate({
    subject: name,
    issuer: name,
    spki: key.spki,
    ...validity,
    extensions: [
      {
        id: basicConstraintsId,
        critical: true,
        value: new BasicConstraints({ cA: true, pathLenConstraint: 0 }),
      },
      {
        id: keyUsageId,
        critical: true,
        value: new KeyUsage(KeyUsageFlags.keyCertSign | KeyUsageFlags.digitalSignature),
      },
      {
        id: subjectKeyIdentifierId,
        critical: false,
        value: new SubjectKeyIdentifier(await keyIdentifierOf(key.spki)),
      },
    ],
  }, key);
}

/** Issues a certificate. */
export async function issueCertificate(
  { key: authorityKey, name }: Authority,
  use: LeafUse,
  spki: Uint8Array,
  validity: Validity,
): Promise<string> {
  const subject = use.kind === "serving" ? { commonName: use.commonName } : use.subject;
  const authorityKeyIdentifier = new AuthorityKeyIdentifier({
    keyIdentifier: new KeyIdentifier(await keyIdentifierOf(authorityKey.spki)),
  });
  return await writeCertificate({
    subject,
    issuer: name,
    spki,
    ...validity,
    maxNameLength: MAX_NODE_USER_LENGTH,
    extensions: [
      { id: basicConstraintsId, critical: true, value: new BasicConstraints({ cA: false }) },
      { id: keyUsageId, critical: true, value: new KeyUsage(KeyUsageFlags.digitalSignature) },
      {
        id: extendedKeyUsageId,
        critical: false,
        value: new ExtendedKeyUsage([use.kind === "serving" ? serverAuthId : clientAuthId]),
      },
      { id: authorityKeyIdentifierId, critical: false, value: authorityKeyIdentifier },
      ...(use.kind === "serving"
        ? [{
          id: subjectAltNameId,
          critical: false,
          value: new SubjectAlternativeName(use.hosts.map(generalName)),
        }]
        : []),
    ],
  }, authorityKey);
}

function generalName(host: string): GeneralName {
  return isIP(host) === 0 ? new GeneralName({ dNSName: host }) : new GeneralName({ iPAddress: host });
}

/** What a certificate of this folder says. */
export interface ReadCertificate extends Validity {
  pem: string;
  /** As node:crypto writes it, one attribute a line. */
  subject: string;
  /** As node:crypto writes it; empty if there is none. */
  hosts: string;
  /** DER of the SubjectPublicKeyInfo. */
  spki: Uint8Array;
}

/**
 * Reads the certificates of a PEM text.
 *
 * @throws {Error} if there is none, or one that cannot be read
 */
export function readCertificatesOf(text: string): ReadCertificate[] {
  const blocks = readPemBlocks(text).filter(({ label }) => label === "CERTIFICATE");
  if (blocks.length === 0) {
    throw new Error("holds no CERTIFICATE block");
  }
  return blocks.map(({ label, bytes }) => {
    const pem = writePem(label, bytes);
    const certificate = new X509Certificate(pem);
    return {
      pem,
      subject: certificate.subject ?? "",
      hosts: certificate.subjectAltName ?? "",
      spki: new Uint8Array(certificate.publicKey.export({ type: "spki", format: "der" })),
      notBefore: new Date(certificate.validFrom),
      notAfter: new Date(certificate.validTo),
    };
  });
}

/** Whether a key signed a certificate. */
export function isSignedBy(pem: string, { pem: keyPem }: OwnKey): boolean {
  return new X509Certificate(pem).verify(createPublicKey(keyPem));
}
