/**
 * Prints the permission flags that signing-server needs for the command line given, one a line; the launcher in bin/
 * asks. A command line that cannot be read gets none: signing-server itself then says what is wrong with it.
 *
 * @module
 */
import { parse } from "@optique/core";
import { listenPermissions, permissionFlags } from "@signed-pods/shared/permissions";
import { DEFAULT_LISTEN_ADDRESS, parseListenAddress, SIGNER_PARSER, spellOut } from "./options.ts";

/** The flags for these arguments. */
export function signerPermissions(args: readonly string[]): string[] {
  const result = parse(SIGNER_PARSER, spellOut(args));
  if (!result.success) return [];
  const listen = parseListenAddress(result.value.listenAddr ?? DEFAULT_LISTEN_ADDRESS);
  return permissionFlags({
    read: result.value.tokenFile === undefined ? [] : [result.value.tokenFile],
    net: listen === undefined ? [] : listenPermissions(listen.hostname, listen.port),
  });
}

if (import.meta.main) {
  for (const flag of signerPermissions(Deno.args)) console.log(flag);
}
