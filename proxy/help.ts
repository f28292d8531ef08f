/**
 * What kubelet-proxy says about itself: help, version, completions for a shell. On its own, since the library that makes them takes
 * longer to load than the rest of a start.
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { runParserAsync } from "@optique/core/facade";
import { message, text } from "@optique/core/message";
import { multiple, optional, withDefault } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { string } from "@optique/core/valueparser";
import type { Problem } from "@signed-pods/shared/errors";
import { VERSION } from "@signed-pods/shared/version";
import { FLAGS, REPEATABLE } from "./options.ts";

/** Widest line of the help text, in characters. */
const HELP_WIDTH = 100;

/** A text for stdout, or what is wrong with the question for it. */
export type Help = { ok: true; text: string } | { ok: false; problems: Problem[] };

/**
 * Answers a command line that asks for a text.
 *
 * @param args with one of `-h`, `--help`, `--version` and `--completion`; booleans spelled out
 */
export async function readHelp(args: readonly string[]): Promise<Help> {
  let printed = "";
  let ok = true;
  const print = (line: string) => void (printed += `${line}\n`);
  const parser = object(Object.fromEntries(FLAGS.map((flag) => [flag.name, describe(flag)])));
  await runParserAsync<typeof parser, void, void>(parser, "kubelet-proxy", args, {
    brief:
      message`Stands between the kubelet and the API server; the kubelet sees only pods that are signed.`,
    help: { option: { names: ["-h", "--help"] }, onShow: () => {} },
    version: { value: `kubelet-proxy ${VERSION}`, option: true, onShow: () => {} },
    completion: { option: true, onShow: () => {} },
    onError: () => void (ok = false),
    stdout: print,
    stderr: print,
    aboveError: "none",
    colors: false,
    maxWidth: HELP_WIDTH,
    termWidth: "auto",
    showDefault: true,
  });
  return ok
    ? { ok, text: printed }
    : { ok, problems: [{ path: "", message: printed.trim().replace(/^Error: /, "") }] };
}

function describe({ name, value, default: preset, description }: (typeof FLAGS)[number]) {
  const described = option(name, string({ metavar: value === "" ? "BOOL" : value }), {
    description: [text(description.replaceAll("`", ""))],
  });
  if (REPEATABLE.has(name)) return multiple(described);
  return preset === "" ? optional(described) : withDefault(described, preset);
}
