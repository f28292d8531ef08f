/**
 * Prints the permission flags that signing-server needs for the command line given, one a line; the launcher in bin/
 * asks. A command line that cannot be read gets none: signing-server itself then says what is wrong with it.
 *
 * @module
 */
import { parse } from "@optique/core";
import { listenPermissions, permissionFlags } from "@signed-pods/shared/permissions";
import { auditFilePaths } from "./audit_file.ts";
import { splitCommand } from "./command_line.ts";
import {
  DEFAULT_LISTEN_ADDRESS,
  folderPath,
  parseListenAddress,
  SIGNER_PARSER,
  spellOut,
} from "./options.ts";

/** The flags for these arguments. */
export function signerPermissions(args: readonly string[]): string[] {
  const { command, flags } = splitCommand(args);
  const result = parse(SIGNER_PARSER, spellOut(flags));
  if (!result.success) return [];
  const { listenAddr, metricsAddr, keyDir, tokenFile, tlsCert, tlsKey, clientCa, auditLog } = result.value;
  const keyFolder = keyDir === undefined ? [] : [folderPath(keyDir)];
  if (command === "rotate") return permissionFlags({ read: keyFolder, write: keyFolder });
  const auditFiles = auditLog === undefined ? [] : auditFilePaths(auditLog);
  return permissionFlags({
    read: [
      ...[tokenFile, tlsCert, tlsKey, clientCa].filter((file) => file !== undefined),
      ...keyFolder,
      ...auditFiles,
    ],
    write: [...keyFolder, ...auditFiles],
    net: [listenAddr ?? DEFAULT_LISTEN_ADDRESS, metricsAddr].flatMap((address) => {
      const listen = address === undefined ? undefined : parseListenAddress(address);
      return listen === undefined ? [] : listenPermissions(listen.hostname, listen.port);
    }),
  });
}

if (import.meta.main) {
  for (const flag of signerPermissions(Deno.args)) console.log(flag);
}
