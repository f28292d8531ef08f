/**
 * Whether a client's certificate was issued by an authority of ours, checked once more after TLS has done so.
 *
 * A server that lets clients without a certificate in must also let those in whose certificate does not verify, and look
 * at `authorized` later. In Deno that word is wrong for resumed sessions: whoever once connected with a certificate of
 * anybody resumes that session, and is "authorized" (measured with Deno 2.9.5, TLS 1.2 and 1.3). So the signature is
 * checked here, for each request. Whether the client has the key was checked in the handshake of either.
 *
 * The authority that signed must be among those given: chains are not built. Whoever has intermediate authorities adds
 * them to the file.
 *
 * @module
 */
import { X509Certificate } from "node:crypto";
import { AsnConvert } from "@peculiar/asn1-schema";
import { Certificate, ExtendedKeyUsage, id_ce_extKeyUsage as extendedKeyUsageId } from "@peculiar/asn1-x509";
import { messageOf } from "@signed-pods/shared/errors";

/** id-kp-clientAuth and anyExtendedKeyUsage (RFC 5280 section 4.2.1.12). */
const CLIENT_USAGES: ReadonlySet<string> = new Set(["1.3.6.1.5.5.7.3.2", "2.5.29.37.0"]);

/** Authorities that issue client certificates. */
export interface ClientAuthorities {
  /** Whether one of them issued the certificate, for clients, and its dates hold now. */
  issued(der: Uint8Array, now: Date): boolean;
}

/**
 * Reads authorities.
 *
 * @param certificates PEM texts, one certificate each
 * @throws {Error} if one is none, or has a key with which nothing can be checked here
 */
export function readClientAuthorities(certificates: readonly string[]): ClientAuthorities {
  const authorities = certificates.map((pem) => {
    const authority = new X509Certificate(pem);
    if (!authority.ca) {
      throw new Error("holds a certificate that is no authority's (basicConstraints); leave it out");
    }
    try {
      authority.verify(authority.publicKey);
    } catch (cause) {
      throw new Error(
        `holds an authority whose signatures cannot be checked here (${
          messageOf(cause)
        }); use P-256, P-384, RSA or Ed25519`,
        { cause },
      );
    }
    return authority;
  });

  return {
    issued(der, now) {
      try {
        return isForClients(der, now) && hasIssuer(new X509Certificate(der), authorities);
      } catch {
        // What cannot be read was not issued by anyone.
        return false;
      }
    },
  };
}

function hasIssuer(certificate: X509Certificate, authorities: readonly X509Certificate[]): boolean {
  return authorities.some((authority) => {
    try {
      return certificate.checkIssued(authority) && certificate.verify(authority.publicKey);
    } catch {
      // A signature that does not even fit the authority's key.
      return false;
    }
  });
}

function isForClients(der: Uint8Array, now: Date): boolean {
  const { validity, extensions } = AsnConvert.parse(new Uint8Array(der), Certificate).tbsCertificate;
  if (now < validity.notBefore.getTime() || now > validity.notAfter.getTime()) return false;
  const usages = (extensions ?? []).filter(({ extnID }) => extnID === extendedKeyUsageId);
  return usages.every(({ extnValue }) =>
    AsnConvert.parse(extnValue, ExtendedKeyUsage).some((usage) => CLIENT_USAGES.has(usage))
  );
}
