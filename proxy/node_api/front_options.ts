/**
 * The flags of the front of the kubelet's API: as data, and read into typed options. All mistakes are found at once.
 *
 * @module
 */
import type { FlagDescription } from "@signed-pods/shared/command-line";
import { isLoopbackAddress, type ListenAddress, parseListenAddress } from "../address.ts";

/** The flags, in the order of the help text. */
export const FRONT_FLAGS = [
  {
    name: "--kubelet-api-listen",
    value: "ADDRESS",
    default: "",
    description:
      "Stand before the kubelet's own API as well: where the cluster reaches it, the node's address and port 10250. The kubelet must then listen on loopback and trust this proxy's client certificate alone.",
  },
  {
    name: "--kubelet-api-tls-cert",
    value: "FILE",
    default: "",
    description: "Serving certificate chain (PEM) of --kubelet-api-listen: the kubelet's, or one of its own.",
  },
  {
    name: "--kubelet-api-tls-key",
    value: "FILE",
    default: "",
    description: "Private key of --kubelet-api-tls-cert (PEM).",
  },
  {
    name: "--kubelet-api-client-ca",
    value: "FILE",
    default: "",
    description:
      "Authorities (PEM) that issue the cluster's client certificates, intermediate ones included; on kubeadm nodes /etc/kubernetes/pki/ca.crt.",
  },
  {
    name: "--kubelet-api-server",
    value: "URL",
    default: "https://127.0.0.1:10250",
    description: "Where the kubelet listens, on loopback.",
  },
  {
    name: "--kubelet-certificate-authority",
    value: "FILE",
    default: "",
    description: "Authority (PEM) of the kubelet's serving certificate, which must name the node.",
  },
  {
    name: "--kubelet-client-certificate",
    value: "FILE",
    default: "",
    description:
      "Client certificate (PEM) of the proxy towards the kubelet, issued by the authority in the kubelet's clientCAFile, which must not be the cluster's. With --own-leg its `front-client.pem` by default; clientCAFile is then its `ca.crt`.",
  },
  {
    name: "--kubelet-client-key",
    value: "FILE",
    default: "",
    description:
      "Private key of --kubelet-client-certificate (PEM). With --own-leg its `front-client.pem` by default.",
  },
  {
    name: "--kubelet-config",
    value: "FILE",
    default: "",
    description:
      "The kubelet's configuration file. The proxy then refuses to start if a setting in it lets the cluster go round --kubelet-api-listen.",
  },
] as const satisfies readonly FlagDescription[];

/** Name of one of the flags. */
export type FrontFlagName = (typeof FRONT_FLAGS)[number]["name"];

/** The flags as they were given. */
export interface FrontFlags {
  listen: string | undefined;
  tlsCert: string | undefined;
  tlsKey: string | undefined;
  clientCa: string | undefined;
  server: string;
  certificateAuthority: string | undefined;
  clientCertificate: string | undefined;
  clientKey: string | undefined;
  config: string | undefined;
}

/** What the front is told; paths of files. */
export interface FrontOptions {
  listenAddress: ListenAddress;
  tls: { certificateFile: string; keyFile: string; clientCaFile: string };
  kubelet: {
    /** A loopback address, without brackets. */
    host: string;
    port: number;
    certificateAuthorityFile: string;
    certificateFile: string;
    keyFile: string;
  };
  kubeletConfigFile?: string;
}

/**
 * Reads the flags.
 *
 * @param ownClientFile certificate and key of the own leg towards the kubelet, if there are
 * @param report is told what is wrong
 * @returns undefined if there is to be no front, or if what it needs is not all there
 */
export function readFrontOptions(
  given: FrontFlags,
  ownClientFile: string | undefined,
  report: (flag: FrontFlagName, problem: string) => void,
): FrontOptions | undefined {
  const ownClient = given.listen !== undefined && given.clientCertificate === undefined &&
      given.clientKey === undefined
    ? ownClientFile
    : undefined;
  const flags = ownClient === undefined
    ? given
    : { ...given, clientCertificate: ownClient, clientKey: ownClient };
  const files = {
    "--kubelet-api-tls-cert": flags.tlsCert,
    "--kubelet-api-tls-key": flags.tlsKey,
    "--kubelet-api-client-ca": flags.clientCa,
    "--kubelet-certificate-authority": flags.certificateAuthority,
    "--kubelet-client-certificate": flags.clientCertificate,
    "--kubelet-client-key": flags.clientKey,
    "--kubelet-config": flags.config,
  };
  for (const { name } of FRONT_FLAGS) {
    const isFile = name in files && name !== "--kubelet-config";
    const given = Object.entries(files).some(([flag, file]) => flag === name && file !== undefined);
    if (flags.listen === undefined && given) report(name, "needs --kubelet-api-listen");
    if (flags.listen !== undefined && isFile && !given) report(name, "is required with --kubelet-api-listen");
  }
  const kubelet = readServer(flags.server);
  if (typeof kubelet === "string") report("--kubelet-api-server", kubelet);
  if (flags.listen === undefined) return undefined;
  const listenAddress = parseListenAddress(flags.listen);
  if (listenAddress === undefined) {
    report("--kubelet-api-listen", `"${flags.listen}" is no address; write HOST:PORT, [IPv6]:PORT or :PORT`);
  }
  const { tlsCert, tlsKey, clientCa, certificateAuthority, clientCertificate, clientKey, config } = flags;
  if (
    listenAddress === undefined || typeof kubelet === "string" || tlsCert === undefined ||
    tlsKey === undefined ||
    clientCa === undefined || certificateAuthority === undefined || clientCertificate === undefined ||
    clientKey === undefined
  ) {
    return undefined;
  }
  if (
    listenAddress.port === kubelet.port &&
    [undefined, "0.0.0.0", "::", kubelet.host].includes(listenAddress.hostname)
  ) {
    report(
      "--kubelet-api-listen",
      `"${flags.listen}" takes the kubelet's own address; name the node's address, not all of them`,
    );
  }
  return {
    listenAddress,
    tls: { certificateFile: tlsCert, keyFile: tlsKey, clientCaFile: clientCa },
    kubelet: {
      ...kubelet,
      certificateAuthorityFile: certificateAuthority,
      certificateFile: clientCertificate,
      keyFile: clientKey,
    },
    ...(config === undefined ? {} : { kubeletConfigFile: config }),
  };
}

/** Host and port of the kubelet; a text says what is wrong. */
function readServer(text: string): { host: string; port: number } | string {
  const url = URL.parse(text);
  if (
    url === null || url.protocol !== "https:" || url.port === "" || url.pathname !== "/" ||
    url.search !== "" ||
    url.hash !== "" || url.username !== "" || url.password !== ""
  ) {
    return `"${text}" is not of the form https://127.0.0.1:10250`;
  }
  const host = url.hostname.replace(/^\[|\]$/g, "");
  return isLoopbackAddress(host)
    ? { host, port: Number(url.port) }
    : `"${text}" is not on loopback; where the proxy reaches the kubelet from elsewhere, the cluster does too`;
}
