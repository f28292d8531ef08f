/**
 * The certificate by which podsign tells a signing server who asks.
 *
 * @module
 */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { type PemBlock, readPemBlocks, writePem } from "@signed-pods/shared/pem";
import { InputError } from "./input_error.ts";

/** What is shown in a TLS handshake: PEM texts, and the files that they are of, for messages. */
export interface ClientIdentity {
  /** The certificate, and those between it and its authority. */
  readonly certificate: string;
  /** Its private key. */
  readonly key: string;
  readonly certificateFile: string;
  readonly keyFile: string;
}

/** A file's name and what is in it. */
export interface TextFile {
  readonly name: string;
  readonly text: string;
}

const CERTIFICATE = /^CERTIFICATE$/;
const PRIVATE_KEY = /^(RSA |EC |ENCRYPTED )?PRIVATE KEY$/;

/**
 * Takes certificates from one file and the key from another, or from the same.
 *
 * @throws {InputError} if one of them is missing or cannot be read, or they do not belong together
 * @throws {SignedPodsError} `pem-malformed`
 */
export function readClientIdentity(certificates: TextFile, keys: TextFile): ClientIdentity {
  const wrong = (flag: string, file: TextFile, problem: string, cause?: unknown) =>
    new InputError([`${flag}: "${file.name}" ${problem}`], { cause });
  const chain = blocksOf(certificates, CERTIFICATE).map(toPem);
  const [leaf] = chain;
  if (leaf === undefined) {
    throw wrong("--client-certificate", certificates, "holds no certificate: expected a block CERTIFICATE");
  }
  const [block, another] = blocksOf(keys, PRIVATE_KEY);
  if (block === undefined) {
    throw wrong("--client-key", keys, "holds no private key: expected a block PRIVATE KEY");
  }
  if (another !== undefined) {
    throw wrong("--client-key", keys, "holds several private keys: leave that of the certificate");
  }
  if (block.label.startsWith("ENCRYPTED") || block.headers.length > 0) {
    throw wrong(
      "--client-key",
      keys,
      `is encrypted: decrypt it with openssl pkey -in ${keys.name} -out KEY.pem`,
    );
  }
  const key = toPem(block);
  let certificate: X509Certificate;
  let privateKey: KeyObject;
  try {
    certificate = new X509Certificate(leaf);
  } catch (cause) {
    throw wrong("--client-certificate", certificates, "holds something else as its certificate", cause);
  }
  try {
    privateKey = createPrivateKey(key);
  } catch (cause) {
    throw wrong("--client-key", keys, "holds something else as its private key", cause);
  }
  if (!certificate.checkPrivateKey(privateKey)) {
    throw wrong(
      "--client-key",
      keys,
      `holds another key than that of the certificate in "${certificates.name}"`,
    );
  }
  return { certificate: chain.join(""), key, certificateFile: certificates.name, keyFile: keys.name };
}

function blocksOf({ text }: TextFile, label: RegExp): PemBlock[] {
  return readPemBlocks(text).filter((block) => label.test(block.label));
}

function toPem({ label, bytes }: PemBlock): string {
  return writePem(label, bytes);
}
