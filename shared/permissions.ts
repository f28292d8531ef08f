/**
 * Permission flags of Deno (docs.deno.com, "Security and permissions"), made from what a command line names. The
 * launchers in bin/ start each program with exactly these.
 *
 * @module
 */
import { formatAddress, formatHost } from "./address.ts";

/** What a program may do, beyond nothing. */
export interface Permissions {
  /** Files and folders. */
  read?: readonly string[];
  /** Files and folders. */
  write?: readonly string[];
  /** `host`, `host:port` or `unix:/path`. */
  net?: readonly string[];
  /** Names of environment variables. */
  env?: readonly string[];
  /** Names of programs. */
  run?: readonly string[];
}

/**
 * One flag per kind of permission that is needed at all. In a list Deno reads `,,` as a comma.
 *
 * An empty value, which would mean everything, is left out.
 *
 * @throws {RangeError} if a value has a line break, which would end it where flags are read line by line
 *
 * @example
 * ```ts
 * import { permissionFlags } from "@signed-pods/shared/permissions";
 * if (permissionFlags({ read: ["/a,b"], net: [] })[0] !== "--allow-read=/a,,b") throw new Error("not so");
 * ```
 */
export function permissionFlags(permissions: Permissions): string[] {
  return (["read", "write", "net", "env", "run"] as const).flatMap((kind) => {
    const values = (permissions[kind] ?? []).filter((value) => value !== "");
    for (const value of values) {
      if (/[\r\n]/.test(value)) {
        throw new RangeError(`${JSON.stringify(value)} cannot be given as --allow-${kind}`);
      }
    }
    const list = [...new Set(values)].map((value) => value.replaceAll(",", ",,")).join(",");
    return list === "" ? [] : [`--allow-${kind}=${list}`];
  });
}

/**
 * What binding an address needs. Port 0 means any port; an empty host and the unspecified addresses mean all
 * interfaces, whichever family the system has.
 *
 * @param hostname a name or address, without brackets
 */
export function listenPermissions(hostname: string, port: number): string[] {
  const hosts = ["", "::", "0.0.0.0"].includes(hostname) ? ["::", "0.0.0.0"] : [hostname];
  return hosts.map((host) => port === 0 ? formatHost(host) : formatAddress(host, port));
}

/** What connecting to a URL needs; nothing if it is none, so that the program reports it. */
export function connectPermissions(url: string): string[] {
  if (!URL.canParse(url)) return [];
  const { hostname, port, protocol } = new URL(url);
  return hostname === "" ? [] : [`${hostname}:${port === "" ? (protocol === "http:" ? "80" : "443") : port}`];
}
