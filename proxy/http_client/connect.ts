/**
 * Connects with an HTTP server by means of the runtime.
 *
 * @module
 */
import type { ByteConnection } from "./connection.ts";

/** What a server is connected with. */
export interface ConnectOptions {
  /** PEM texts that its certificate is checked against. */
  certificateAuthorities: string[];
  /** PEM texts of the client's certificate and its key. */
  identity?: { certificate: string; key: string } | undefined;
}

/** Connects with the host and port of a URL, with TLS if it is https. */
export async function connectServer(server: URL, options: ConnectOptions): Promise<ByteConnection> {
  const { certificateAuthorities, identity } = options;
  const isTls = server.protocol === "https:";
  const address = {
    hostname: server.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: server.port === "" ? (isTls ? 443 : 80) : Number(server.port),
  };
  return isTls
    ? await Deno.connectTls({
      ...address,
      caCerts: certificateAuthorities,
      alpnProtocols: ["http/1.1"],
      ...(identity === undefined ? {} : { cert: identity.certificate, key: identity.key }),
    })
    : await Deno.connect(address);
}
