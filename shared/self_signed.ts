/**
 * Makes the certificate by which nodes learn to trust a signing key.
 *
 * @module
 */
import {
  BasicConstraints,
  id_ce_basicConstraints as basicConstraintsId,
  id_ce_keyUsage as keyUsageId,
  id_ce_subjectKeyIdentifier as subjectKeyIdentifierId,
  KeyUsage,
  KeyUsageFlags,
  SubjectKeyIdentifier,
} from "@peculiar/asn1-x509";
import { keyIdentifierOf, writeCertificate } from "./certificate_writing.ts";
import { sign, type SigningKey } from "./signing.ts";

/** What a certificate says. */
export interface SelfSignedCertificateOptions {
  /** The key that it is for, and that signs it. */
  key: SigningKey;
  /** The subject's and issuer's common name, 1 to 64 characters. */
  commonName: string;
  /** First second of validity; parts of a second are dropped. */
  notBefore: Date;
  /** Last second of validity; parts of a second are dropped. */
  notAfter: Date;
}

/**
 * A certificate that its own key signed: X.509 v3, random serial number, not an authority, and meant for
 * digital signatures alone. It serves as a trust anchor, so nothing above it exists.
 *
 * @returns one PEM block
 * @throws {SignedPodsError} `certificate-malformed` if the name or the dates cannot stand in a certificate
 */
export async function createSelfSignedCertificate(options: SelfSignedCertificateOptions): Promise<string> {
  const { key, commonName, notBefore, notAfter } = options;
  const spki = new Uint8Array(await crypto.subtle.exportKey("spki", key.publicKey));
  const name = { commonName };
  return await writeCertificate({
    subject: name,
    issuer: name,
    spki,
    notBefore,
    notAfter,
    extensions: [
      { id: basicConstraintsId, critical: true, value: new BasicConstraints({ cA: false }) },
      { id: keyUsageId, critical: true, value: new KeyUsage(KeyUsageFlags.digitalSignature) },
      {
        id: subjectKeyIdentifierId,
        critical: false,
        value: new SubjectKeyIdentifier(await keyIdentifierOf(spki)),
      },
    ],
  }, { algorithm: key.algorithm, sign: (bytes) => sign(key, bytes) });
}
