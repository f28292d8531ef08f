/**
 * The file in which the node's own client certificate is renewed.
 *
 * @module
 */
import type { Kubeconfig } from "../credentials/kubeconfig.ts";

/**
 * The one file that holds certificate and key, so that they change together; undefined if the kubeconfig names two, or
 * holds them itself.
 */
export function nodeCertificateFile({ clientCertificate, clientKey }: Kubeconfig): string | undefined {
  return clientCertificate?.kind === "file" && clientKey?.kind === "file" &&
      clientCertificate.path === clientKey.path
    ? clientCertificate.path
    : undefined;
}

/** The name of a file in its folder. */
export function fileNameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
