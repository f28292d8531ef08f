/**
 * Prints the permission flags that podsign needs for the command line given, one a line; the launcher in bin/ asks. A
 * command line that cannot be read gets none: podsign itself then says what is wrong with it.
 *
 * @module
 */
import { parse } from "@optique/core";
import { connectPermissions, permissionFlags } from "@signed-pods/shared/permissions";
import { isStandardInput } from "./effects.ts";
import { DEFAULT_SERVER, SERVER_VARIABLE } from "./key_source.ts";
import { PODSIGN_PARSER, spellOut } from "./options.ts";

/** Programs behind this address are reached through kubectl, on a port that the system chooses. */
const LOOPBACK = "127.0.0.1";

/**
 * The flags for these arguments.
 *
 * @param serverFromEnv the value of SIGNING_SERVER_URL
 */
export function podsignPermissions(args: readonly string[], serverFromEnv: string | undefined): string[] {
  const result = parse(PODSIGN_PARSER, spellOut(args));
  if (!result.success) return [];
  const options = result.value;
  const files = [
    ..."file" in options && !isStandardInput(options.file) ? [options.file] : [],
    ..."key" in options && options.key !== undefined ? [options.key] : [],
    ..."cert" in options ? options.cert : [],
    ..."withConfig" in options ? options.withConfig.filter((file) => !isStandardInput(file)) : [],
  ];
  if (options.command === "show") return permissionFlags({ read: files });
  const { server, tokenFile, clientCertificate, clientKey, portForward } = options;
  files.push(...[tokenFile, clientCertificate, clientKey].filter((file) => file !== undefined));
  return permissionFlags({
    read: files,
    net: portForward === undefined
      ? connectPermissions(server ?? (serverFromEnv || DEFAULT_SERVER))
      : [LOOPBACK],
    env: [SERVER_VARIABLE],
    run: portForward === undefined ? [] : ["kubectl"],
  });
}

if (import.meta.main) {
  for (const flag of podsignPermissions(Deno.args, Deno.env.get(SERVER_VARIABLE))) console.log(flag);
}
