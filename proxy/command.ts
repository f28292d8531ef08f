/**
 * The commands of kubelet-proxy: `init` is a word in front of the flags, the proxy itself needs none.
 *
 * @module
 */
import { metaWordsToFlags } from "@signed-pods/shared/command-line";

const COMMANDS: ReadonlySet<string> = new Set(["init"]);

/** What is to be run, and the flags that are left. */
export interface ProxyCommand {
  command: "serve" | "init";
  flags: readonly string[];
}

/** Splits a command line. */
export function splitCommand(args: readonly string[]): ProxyCommand {
  const [first, ...rest] = metaWordsToFlags(args, COMMANDS);
  return first === "init"
    ? { command: "init", flags: rest }
    : { command: "serve", flags: first === undefined ? [] : [first, ...rest] };
}
