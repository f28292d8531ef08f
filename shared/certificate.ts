/**
 * X.509 certificates (RFC 5280) as carriers of a trusted key. A certificate is trusted because the node's
 * administrator put it there: no chain is built, and its own signature says nothing. What counts is the key,
 * what the key is meant for, and from when to when.
 *
 * @module
 */
import {
  BasicConstraints,
  Certificate,
  type Extension,
  id_ce_basicConstraints as basicConstraintsId,
  id_ce_extKeyUsage as extendedKeyUsageId,
  id_ce_keyUsage as keyUsageId,
  id_ce_subjectAltName as subjectAltNameId,
  KeyUsage,
  KeyUsageFlags,
  type Name,
} from "@peculiar/asn1-x509";
import { HASH } from "./algorithms.ts";
import { readDer, writeDer } from "./der.ts";
import { SignedPodsError } from "./errors.ts";

/** What is read from a certificate. */
export interface CertificateFacts {
  /** DER of the SubjectPublicKeyInfo. */
  spki: Uint8Array<ArrayBuffer>;
  /** The subject, most specific part first, for example `CN=owner,O=Example` (RFC 4514). May be empty. */
  subject: string;
  /** First second of validity. Not judged here. */
  notBefore: Date;
  /** Last second of validity. Not judged here. */
  notAfter: Date;
  /** The serial number in lower-case hexadecimal, as encoded. */
  serialNumber: string;
  /** Whether basicConstraints say that it is an authority. */
  isAuthority: boolean;
}

/** X.509 v3 as it is encoded; extensions came with it. */
const VERSION_3 = 2;

/** Critical extensions that are understood or without meaning here; any other is refused (RFC 5280 section 4.2). */
const UNDERSTOOD_EXTENSIONS: ReadonlySet<string> = new Set([
  keyUsageId,
  basicConstraintsId,
  extendedKeyUsageId,
  subjectAltNameId,
]);

/** Names of attribute types in a subject (RFC 4514 section 3 and the usual email address). */
const ATTRIBUTE_NAMES: Readonly<Record<string, string>> = {
  "2.5.4.3": "CN",
  "2.5.4.6": "C",
  "2.5.4.7": "L",
  "2.5.4.8": "ST",
  "2.5.4.9": "STREET",
  "2.5.4.10": "O",
  "2.5.4.11": "OU",
  "0.9.2342.19200300.100.1.1": "UID",
  "0.9.2342.19200300.100.1.25": "DC",
  "1.2.840.113549.1.9.1": "emailAddress",
};

/**
 * Reads a certificate from DER.
 *
 * @throws {SignedPodsError} `certificate-malformed` if it does not parse, has a keyUsage without
 * digitalSignature, a critical extension that is not understood, or ends before it begins
 */
export function readCertificate(der: Uint8Array): CertificateFacts {
  const { tbsCertificate: tbs } = readDer(der, Certificate, "certificate-malformed", "certificate");
  const extensions = [...(tbs.extensions ?? [])];
  if (extensions.length > 0 && tbs.version !== VERSION_3) throw malformed("extensions need version 3");
  if (new Set(extensions.map((extension) => extension.extnID)).size !== extensions.length) {
    throw malformed("an extension is there twice");
  }
  const unknown = extensions.find(({ critical, extnID }) => critical && !UNDERSTOOD_EXTENSIONS.has(extnID));
  if (unknown !== undefined) {
    throw malformed(
      `the critical extension ${unknown.extnID} is not understood, use a certificate without it`,
    );
  }
  checkKeyUsage(extensions);
  const notBefore = tbs.validity.notBefore.getTime();
  const notAfter = tbs.validity.notAfter.getTime();
  // Comparing dates that are not valid is always false.
  if (!(notBefore <= notAfter)) throw malformed("its validity ends before it begins");
  return {
    spki: writeDer(tbs.subjectPublicKeyInfo),
    subject: formatName(tbs.subject),
    notBefore,
    notAfter,
    serialNumber: new Uint8Array(tbs.serialNumber).toHex(),
    isAuthority: isAuthority(extensions),
  };
}

/**
 * The SHA-256 fingerprint of a certificate as `openssl x509 -fingerprint -sha256` prints it: `AB:CD:…`.
 *
 * @param der the certificate's DER bytes
 */
export async function fingerprint(der: Uint8Array): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest(HASH, new Uint8Array(der)));
  return digest.toHex().toUpperCase().match(/../g)?.join(":") ?? "";
}

function checkKeyUsage(extensions: Extension[]): void {
  const extension = extensions.find(({ extnID }) => extnID === keyUsageId);
  if (extension === undefined) return;
  const usage = readExtension(extension, KeyUsage, "keyUsage").toNumber();
  if ((usage & KeyUsageFlags.digitalSignature) === 0) {
    throw malformed("its keyUsage lacks digitalSignature, it is not meant to verify signatures of pods");
  }
}

function isAuthority(extensions: Extension[]): boolean {
  const extension = extensions.find(({ extnID }) => extnID === basicConstraintsId);
  return extension !== undefined && readExtension(extension, BasicConstraints, "basicConstraints").cA;
}

function readExtension<T>(extension: Extension, schema: new () => T, name: string): T {
  const der = new Uint8Array(extension.extnValue.buffer);
  return readDer(der, schema, "certificate-malformed", `certificate's ${name} extension`);
}

/** A name as RFC 4514 writes it: the last part first, special characters escaped. */
function formatName(name: Name): string {
  return [...name].reverse().map((part) =>
    [...part].map(({ type, value }) => `${ATTRIBUTE_NAMES[type] ?? type}=${escapeValue(value.toString())}`)
      .join("+")
  ).join(",");
}

/** Escapes what RFC 4514 section 2.4 names, and control characters, so that a name stays on its line of a log. */
function escapeValue(value: string): string {
  return value.replace(/[\\,+"<>;=]|^[ #]| $/g, "\\$&")
    // deno-lint-ignore no-control-regex -- control characters are what it looks for
    .replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, (character) => hexadecimalEscape(character));
}

function hexadecimalEscape(character: string): string {
  return new TextEncoder().encode(character).toHex().replace(/../g, "\\$&");
}

function malformed(what: string): SignedPodsError {
  return new SignedPodsError("certificate-malformed", `Certificate refused: ${what}`);
}
