/**
 * Addresses to listen on, and who counts as local.
 *
 * @module
 */

/** Where to listen. */
export interface ListenAddress {
  /** A name or an IP address without brackets; undefined for all interfaces. */
  hostname: string | undefined;
  /** 0 to 65535; 0 lets the system choose. */
  port: number;
}

/** Reads `127.0.0.1:6443`, `:6443`, `[::1]:6443` or `localhost:6443`; undefined if it is none of these. */
export function parseListenAddress(text: string): ListenAddress | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]*)):([0-9]{1,5})$/.exec(text);
  if (match === null) {
    return undefined;
  }
  const [, ipv6, host, digits] = match;
  const port = Number(digits);
  const hostname = ipv6 ?? host;
  if (port > 65535 || (ipv6 !== undefined && !ipv6.includes(":"))) {
    return undefined;
  }
  return { hostname: hostname === "" ? undefined : hostname, port };
}

/** Writes an address with its port, IPv6 in brackets. */
export function formatAddress(hostname: string, port: number): string {
  return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}

/** Tells whether an IP address is of this machine's loopback interface (RFC 1122, RFC 4291, RFC 4291 2.5.5.2). */
export function isLoopbackAddress(address: string | undefined): boolean {
  if (address === undefined) {
    return false;
  }
  const ipv4 = address.replace(/^::ffff:/i, "");
  return address === "::1" || /^127(?:\.[0-9]{1,3}){3}$/.test(ipv4);
}
