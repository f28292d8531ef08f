/**
 * The way to an API server whose certificate is not to be checked (`insecure-skip-tls-verify`). Deno checks always,
 * unless the whole program is started with a flag that turns it off for everything; so plain HTTP goes through a Unix
 * socket to a TLS connection that checks nothing, and the client certificate, if there is one, goes along.
 *
 * @module
 */
import net from "node:net";
import tls from "node:tls";
import type { TlsIdentity } from "./tls_identity.ts";

/** What a tunnel is made of. */
export interface TunnelOptions {
  /** The API server. */
  server: URL;
  /** The client certificate of this moment; new connections present it. */
  identity: () => TlsIdentity | undefined;
  /** Path of the Unix socket; its folder must be closed to others. */
  socketPath: string;
}

/** A running tunnel. */
export interface Tunnel {
  /** Cuts everything that goes through it. */
  close(): Promise<void>;
}

/** Opens the tunnel. */
export async function openInsecureTunnel({ server, identity, socketPath }: TunnelOptions): Promise<Tunnel> {
  const host = server.hostname.replace(/^\[|\]$/g, "");
  const open = new Set<net.Socket>();
  const listener = net.createServer((inner) => {
    const shown = identity();
    const outer = tls.connect({
      host,
      port: server.port === "" ? 443 : Number(server.port),
      ...(net.isIP(host) === 0 ? { servername: host } : {}),
      rejectUnauthorized: false,
      ALPNProtocols: ["http/1.1"],
      ...(shown === undefined ? {} : { cert: shown.certificate, key: shown.key }),
    });
    open.add(inner);
    inner.pipe(outer);
    outer.pipe(inner);
    inner.on("error", () => outer.destroy());
    outer.on("error", () => inner.destroy());
    outer.on("close", () => inner.destroy());
    inner.on("close", () => {
      open.delete(inner);
      outer.destroy();
    });
  });
  await new Promise<void>((resolve, reject) => {
    listener.once("error", reject);
    listener.listen(socketPath, resolve);
  });
  return {
    close() {
      const closed = new Promise<void>((resolve) => listener.close(() => resolve()));
      for (const socket of open) {
        socket.destroy();
      }
      return closed;
    },
  };
}
