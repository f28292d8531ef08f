/**
 * Turns what a kubeconfig says into what TLS and HTTP need: certificates, a key, a token.
 *
 * @module
 */
import { isBearerToken } from "@signed-pods/shared/bearer-token";
import { readCertificate } from "@signed-pods/shared/certificate";
import type { Kubeconfig, PemSource } from "./kubeconfig.ts";
import { readCertificateAuthorities, readTlsIdentity, type TlsIdentity } from "./tls_identity.ts";

/** Longest token that is read from a file, in characters. Those of service accounts have about 1,000. */
export const MAX_TOKEN_CHARACTERS = 64 * 1024;

/** What the proxy shows and trusts towards the API server. */
export interface Credentials {
  /** PEM texts; empty if the kubeconfig names no certificate authority. */
  certificateAuthorities: string[];
  identity?: TlsIdentity;
  token?: string;
}

/** Reads a text file. */
export type ReadText = (path: string) => Promise<string>;

/** What came out of reading the credentials. */
export type LoadedCredentials = { credentials: Credentials; problems: string[] };

/**
 * Reads all files that a kubeconfig names.
 *
 * @param describe says what is wrong with a file that cannot be read, and what to do
 * @returns usable credentials if there are no problems
 */
export async function loadCredentials(
  kubeconfig: Kubeconfig,
  readText: ReadText,
  describe: (error: unknown) => string,
): Promise<LoadedCredentials> {
  const problems: string[] = [];

  async function attempt<T>(
    field: string,
    source: PemSource,
    read: (text: string) => T,
  ): Promise<T | undefined> {
    const place = source.kind === "file" ? `${field} "${source.path}"` : `${field}-data`;
    try {
      return read(source.kind === "file" ? await readText(source.path) : source.text);
    } catch (error) {
      problems.push(`${place}: ${describe(error)}`);
      return undefined;
    }
  }

  const { certificateAuthority, clientCertificate, clientKey } = kubeconfig;
  const certificateAuthorities = certificateAuthority === undefined
    ? []
    : await attempt("certificate-authority", certificateAuthority, readCertificateAuthorities) ?? [];
  const certificate = clientCertificate === undefined
    ? undefined
    : await attempt("client-certificate", clientCertificate, (text) => text);
  const key = clientKey === undefined ? undefined : await attempt("client-key", clientKey, (text) => text);
  let identity: TlsIdentity | undefined;
  if (certificate !== undefined && key !== undefined) {
    try {
      identity = readTlsIdentity(certificate, key);
    } catch (error) {
      problems.push(`client-certificate and client-key: ${describe(error)}`);
    }
  }
  let token: string | undefined;
  try {
    token = await readToken(kubeconfig, readText);
  } catch (error) {
    problems.push(`tokenFile "${kubeconfig.tokenFile}": ${describe(error)}`);
  }
  return {
    credentials: {
      certificateAuthorities,
      ...(identity === undefined ? {} : { identity }),
      ...(token === undefined ? {} : { token }),
    },
    problems,
  };
}

/** The token file wins. */
async function readToken(kubeconfig: Kubeconfig, readText: ReadText): Promise<string | undefined> {
  const { token, tokenFile } = kubeconfig;
  if (tokenFile === undefined) {
    return token;
  }
  const text = (await readText(tokenFile)).trim();
  if (text.length > MAX_TOKEN_CHARACTERS || !isBearerToken(text)) {
    // Never with the text: it may be a token with a stray character.
    throw new Error("holds no token (RFC 6750 section 2.1)");
  }
  return text;
}

/**
 * The node that a client certificate belongs to: kubelets are `system:node:NAME` (Kubernetes, "Using Node
 * Authorization").
 *
 * @returns undefined if it is no node's certificate
 */
export function nodeNameInCertificate(der: Uint8Array): string | undefined {
  let subject: string;
  try {
    subject = readCertificate(der).subject;
  } catch {
    return undefined;
  }
  // A comma within a value is escaped (RFC 4514 section 2.4).
  const names = subject.split(/(?<!\\),/).filter((part) => part.startsWith("CN=system:node:"));
  const [name] = names;
  return names.length === 1 && name !== undefined ? name.slice("CN=system:node:".length) : undefined;
}
