/**
 * From the options of the front of the kubelet's API to what it runs on: reads every file, checks that the cluster cannot
 * go round it, and reports all that is wrong at once.
 *
 * @module
 */
import { X509Certificate } from "node:crypto";
import type { ListenAddress } from "../address.ts";
import { readClientAuthorities } from "../credentials/client_certificate.ts";
import type { FrontFlagName, FrontOptions } from "./front_options.ts";
import { clientCaPath, readKubeletConfig } from "./kubelet_config.ts";
import type { KubeletAddress } from "./kubelet_connection.ts";
import { userOfCertificate } from "./node_api_authenticator.ts";
import type { FrontIdentity } from "./review_gate.ts";
import {
  readCertificateAuthorities,
  readTlsIdentity,
  type TlsIdentity,
} from "../credentials/tls_identity.ts";

/** What the front runs on. */
export interface FrontConfiguration {
  address: ListenAddress;
  /** PEM texts. */
  tls: { certificate: string; key: string; clientAuthorities: string[] };
  kubelet: KubeletAddress;
  /** As whom the kubelet knows the front. */
  identity: FrontIdentity;
}

/** How files are read: a file that cannot be read, or does not parse, is reported and gives nothing. */
export type ReadFile = <T>(
  flag: FrontFlagName,
  path: string,
  parse: (text: string) => T,
) => Promise<T | undefined>;

/** What is around the front. */
export interface FrontSurroundings {
  /** Undefined if it is not known, which was reported. */
  nodeName: string | undefined;
  /** PEM texts of the authorities that the API server is checked against. */
  clusterAuthorities: readonly string[];
  readFile: ReadFile;
  report: (flag: FrontFlagName, message: string) => void;
}

/** Reads everything that the options name. */
export async function readFrontConfiguration(
  options: FrontOptions,
  { nodeName, clusterAuthorities, readFile, report }: FrontSurroundings,
): Promise<FrontConfiguration | undefined> {
  const { tls, kubelet } = options;

  async function readIdentity(
    certificateFlag: FrontFlagName,
    certificateFile: string,
    keyFlag: FrontFlagName,
    keyFile: string,
  ): Promise<TlsIdentity | undefined> {
    const certificate = await readFile(certificateFlag, certificateFile, (text) => text);
    const key = await readFile(keyFlag, keyFile, (text) => text);
    return certificate === undefined || key === undefined
      ? undefined
      : await readFile(certificateFlag, certificateFile, () => readTlsIdentity(certificate, key));
  }

  const serving = await readIdentity(
    "--kubelet-api-tls-cert",
    tls.certificateFile,
    "--kubelet-api-tls-key",
    tls.keyFile,
  );
  const client = await readIdentity(
    "--kubelet-client-certificate",
    kubelet.certificateFile,
    "--kubelet-client-key",
    kubelet.keyFile,
  );
  const clientAuthorities = await readFile("--kubelet-api-client-ca", tls.clientCaFile, (text) => {
    const authorities = readCertificateAuthorities(text);
    readClientAuthorities(authorities);
    return authorities;
  });
  const certificateAuthorities = await readFile(
    "--kubelet-certificate-authority",
    kubelet.certificateAuthorityFile,
    readCertificateAuthorities,
  );
  const foreign = [...clientAuthorities ?? [], ...clusterAuthorities];
  if (options.kubeletConfigFile !== undefined) {
    await checkKubelet(options.kubeletConfigFile, kubelet.port, foreign, { readFile, report });
  }
  const identity = client === undefined ? undefined : await readFrontIdentity(client, report);
  return serving === undefined || client === undefined || clientAuthorities === undefined ||
      certificateAuthorities === undefined || identity === undefined || nodeName === undefined
    ? undefined
    : {
      address: options.listenAddress,
      tls: { certificate: serving.certificate, key: serving.key, clientAuthorities },
      kubelet: {
        host: kubelet.host,
        port: kubelet.port,
        serverName: nodeName,
        certificateAuthorities,
        identity: { certificate: client.certificate, key: client.key },
      },
      identity,
    };
}

async function readFrontIdentity(
  { der }: TlsIdentity,
  report: FrontSurroundings["report"],
): Promise<FrontIdentity | undefined> {
  const username = (await userOfCertificate(der))?.username;
  if (username === undefined) {
    report(
      "--kubelet-client-certificate",
      "has no common name, or several, so the kubelet would not know whose it is",
    );
    return undefined;
  }
  const digest = await crypto.subtle.digest("SHA-256", der);
  return { username, fingerprint: new Uint8Array(digest).toHex() };
}

/** Checks the kubelet's own settings. */
async function checkKubelet(
  file: string,
  port: number,
  foreign: readonly string[],
  { readFile, report }: Pick<FrontSurroundings, "readFile" | "report">,
): Promise<void> {
  const flag = "--kubelet-config";
  const config = await readFile(flag, file, (text) => readKubeletConfig(text, port));
  for (const problem of config?.problems ?? []) {
    report(flag, `"${file}": ${problem}`);
  }
  if (config?.clientCaFile === undefined) return;
  const path = clientCaPath(file, config.clientCaFile);
  const trusted = await readFile(flag, path, readCertificateAuthorities);
  const keys = new Set(foreign.map(keyOf));
  if (trusted?.some((pem) => keys.has(keyOf(pem)))) {
    report(
      flag,
      `"${file}": authentication.x509.clientCAFile "${path}" holds an authority of the cluster, whose clients the kubelet would let in without the front; name one of the node's own`,
    );
  }
}

/** An authority is its key: a certificate that was issued again is the same authority. */
function keyOf(pem: string): string {
  return new X509Certificate(pem).publicKey.export({ type: "spki", format: "der" }).toString("hex");
}
