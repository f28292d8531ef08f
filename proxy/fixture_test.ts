/**
 * What several tests use: certificates that are made on the spot, a log that remembers, and waiting for conditions.
 *
 * @module
 */
import { AsnConvert, OctetString } from "@peculiar/asn1-schema";
import {
  AlgorithmIdentifier,
  AttributeTypeAndValue,
  AttributeValue,
  BasicConstraints,
  Certificate,
  ExtendedKeyUsage,
  Extension,
  Extensions,
  GeneralName,
  id_ce_basicConstraints as basicConstraintsId,
  id_ce_extKeyUsage as extendedKeyUsageId,
  id_ce_subjectAltName as subjectAltNameId,
  Name,
  RelativeDistinguishedName,
  SubjectAlternativeName,
  SubjectPublicKeyInfo,
  TBSCertificate,
  Validity,
  Version,
} from "@peculiar/asn1-x509";
import { writePem } from "@signed-pods/shared/pem";
import { rawToDer } from "@signed-pods/shared/signature";
import type { Log, LogFields } from "./log.ts";

const EC = { name: "ECDSA", namedCurve: "P-256" } as const;

/** ecdsa-with-SHA256 (RFC 5758 section 3.2). */
const ECDSA_WITH_SHA256 = "1.2.840.10045.4.3.2";

/** A certificate and its key, as PEM, and what is needed to issue others. */
export interface Issued {
  certificate: string;
  key: string;
  der: Uint8Array<ArrayBuffer>;
  subject: Name;
  keys: CryptoKeyPair;
}

/** What a certificate is issued for. */
export interface Request {
  commonName: string;
  /** Further parts of the subject: organizations, and more common names. */
  organizations?: string[];
  commonNames?: string[];
  /** Issued by itself without it. */
  issuer?: Issued;
  /** By default new ones. */
  keys?: CryptoKeyPair;
  /** Object identifiers of extended key usages. */
  usages?: string[];
  /** From when to when it is valid, in milliseconds from now; by default from an hour ago for a day. */
  validMs?: [from: number, to: number];
  /** IP addresses in bytes. */
  addresses?: number[][];
  names?: string[];
  authority?: boolean;
  /** 2 is version 3. */
  version?: Version;
}

/** Issues a certificate that is valid for a day. */
export async function issue(request: Request): Promise<Issued> {
  const keys = request.keys ?? await crypto.subtle.generateKey(EC, true, ["sign", "verify"]);
  const part = (type: string) => (text: string) =>
    new RelativeDistinguishedName([
      new AttributeTypeAndValue({ type, value: new AttributeValue({ utf8String: text }) }),
    ]);
  const subject = new Name([
    ...(request.organizations ?? []).map(part("2.5.4.10")),
    ...[request.commonName, ...request.commonNames ?? []].map(part("2.5.4.3")),
  ]);
  const alternatives = [
    ...(request.addresses ?? []).map((address) => new GeneralName({ iPAddress: address.join(".") })),
    ...(request.names ?? []).map((dNSName) => new GeneralName({ dNSName })),
  ];
  const extensions = [
    new Extension({
      extnID: basicConstraintsId,
      critical: true,
      extnValue: new OctetString(
        AsnConvert.serialize(new BasicConstraints({ cA: request.authority === true })),
      ),
    }),
    ...(request.usages === undefined ? [] : [
      new Extension({
        extnID: extendedKeyUsageId,
        extnValue: new OctetString(AsnConvert.serialize(new ExtendedKeyUsage(request.usages))),
      }),
    ]),
    ...(alternatives.length === 0 ? [] : [
      new Extension({
        extnID: subjectAltNameId,
        extnValue: new OctetString(AsnConvert.serialize(new SubjectAlternativeName(alternatives))),
      }),
    ]),
  ];
  const version = request.version ?? Version.v3;
  const algorithm = new AlgorithmIdentifier({ algorithm: ECDSA_WITH_SHA256 });
  const now = Date.now();
  const [validFrom, validTo] = request.validMs ?? [-3_600_000, 86_400_000];
  const tbsCertificate = new TBSCertificate({
    version,
    serialNumber: Uint8Array.from([1, ...crypto.getRandomValues(new Uint8Array(8))]).buffer,
    signature: algorithm,
    issuer: request.issuer?.subject ?? subject,
    validity: new Validity({ notBefore: new Date(now + validFrom), notAfter: new Date(now + validTo) }),
    subject,
    subjectPublicKeyInfo: AsnConvert.parse(
      await crypto.subtle.exportKey("spki", keys.publicKey),
      SubjectPublicKeyInfo,
    ),
    ...(version === Version.v3 ? { extensions: new Extensions(extensions) } : {}),
  });
  const raw = await crypto.subtle.sign(
    { name: "ECDSA", hash: "SHA-256" },
    (request.issuer?.keys ?? keys).privateKey,
    AsnConvert.serialize(tbsCertificate),
  );
  const der = new Uint8Array(AsnConvert.serialize(
    new Certificate({
      tbsCertificate,
      signatureAlgorithm: algorithm,
      signatureValue: new Uint8Array(rawToDer(new Uint8Array(raw), "ec-p256")).buffer,
    }),
  ));
  return {
    certificate: writePem("CERTIFICATE", der),
    key: writePem("PRIVATE KEY", new Uint8Array(await crypto.subtle.exportKey("pkcs8", keys.privateKey))),
    der,
    subject,
    keys,
  };
}

/** An authority, a server on loopback, a node's client, and a client of somebody else. */
export interface TestPki {
  authority: Issued;
  server: Issued;
  node: Issued;
  stranger: Issued;
}

let pki: Promise<TestPki> | undefined;

/** The same certificates for all tests of a file. */
export function testPki(): Promise<TestPki> {
  pki ??= (async () => {
    const authority = await issue({ commonName: "test authority", authority: true });
    const other = await issue({ commonName: "other authority", authority: true });
    return {
      authority,
      server: await issue({
        commonName: "server",
        issuer: authority,
        addresses: [[127, 0, 0, 1]],
        names: ["localhost"],
      }),
      node: await issue({ commonName: "system:node:worker", issuer: authority }),
      stranger: await issue({ commonName: "system:node:worker", issuer: other }),
    };
  })();
  return pki;
}

/** One line of a log. */
export interface LoggedEvent {
  level: keyof Log;
  event: string;
  message: string;
  fields: LogFields;
}

/** A log that remembers. */
export function memoryLog(): Log & { events: LoggedEvent[] } {
  const events: LoggedEvent[] = [];
  const write = (level: keyof Log) => (event: string, message: string, fields: LogFields = {}) =>
    void events.push({ level, event, message, fields });
  return { events, debug: write("debug"), info: write("info"), warn: write("warn"), error: write("error") };
}

/** Waits until something is so; fails after ten seconds, or as long as is said. */
export async function until(condition: () => boolean, timeoutMs = 10_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!condition()) {
    if (Date.now() > deadline) {
      throw new Error(`this never became true: ${condition}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
