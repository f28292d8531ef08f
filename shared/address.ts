/**
 * Network addresses with a port, as command lines and logs write them.
 *
 * @module
 */

/** An address, cut into its parts. */
export interface HostAndPort {
  /** A name or an IPv4 address, or what stood in brackets; may be empty. Which names and addresses count is not judged. */
  host: string;
  /** Whether the host stood in brackets, as IPv6 addresses do. */
  bracketed: boolean;
  /** 0 to 65535. */
  port: number;
}

/** Cuts `127.0.0.1:6443`, `:6443`, `[::1]:6443` or `localhost:6443` in two; nothing if it is none of these. */
export function splitAddress(text: string): HostAndPort | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]]*)):([0-9]{1,5})$/.exec(text);
  if (match === null) return undefined;
  const [, ipv6, name = "", digits] = match;
  const port = Number(digits);
  if (port > 65535) return undefined;
  return { host: ipv6 ?? name, bracketed: ipv6 !== undefined, port };
}

/**
 * Writes an address with its port, IPv6 in brackets.
 *
 * @param host a name or an address without brackets
 */
export function formatAddress(host: string, port: number): string {
  return `${formatHost(host)}:${port}`;
}

/** Writes a name or an address as it stands before a port: IPv6 in brackets. */
export function formatHost(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}
