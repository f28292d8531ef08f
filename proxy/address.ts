/**
 * Addresses to listen on, and who counts as local.
 *
 * @module
 */
import { splitAddress } from "@signed-pods/shared/address";

/** Where to listen. */
export interface ListenAddress {
  /** A name or an IP address without brackets; undefined for all interfaces. */
  hostname: string | undefined;
  /** 0 to 65535; 0 lets the system choose. */
  port: number;
}

/** Reads `127.0.0.1:6443`, `:6443`, `[::1]:6443` or `localhost:6443`; undefined if it is none of these. */
export function parseListenAddress(text: string): ListenAddress | undefined {
  const address = splitAddress(text);
  if (address === undefined) {
    return undefined;
  }
  const { host, bracketed, port } = address;
  const fits = bracketed ? host.includes(":") : /^[A-Za-z0-9.-]*$/.test(host);
  return fits ? { hostname: host === "" ? undefined : host, port } : undefined;
}

/** Tells whether nothing can listen on both: one port, of one address or of all. */
export function collide(one: ListenAddress, other: ListenAddress): boolean {
  return one.port !== 0 && one.port === other.port &&
    (one.hostname === other.hostname || one.hostname === undefined || other.hostname === undefined);
}

/** Tells whether an IP address is of this machine's loopback interface (RFC 1122 section 3.2.1.3, RFC 4291 sections 2.5.3 and 2.5.5.2). */
export function isLoopbackAddress(address: string | undefined): boolean {
  if (address === undefined) {
    return false;
  }
  const ipv4 = address.replace(/^::ffff:/i, "");
  return address === "::1" || /^127(?:\.[0-9]{1,3}){3}$/.test(ipv4);
}
