/**
 * What a command line asks for: a run, a text such as help, or a message that says what is wrong with it.
 *
 * @module
 */
import { runParserSync } from "@optique/core/facade";
import { message } from "@optique/core/message";
import { findSimilar } from "@optique/core/suggestion";
import { didYouMean } from "@signed-pods/shared/command-line";
import { VERSION } from "@signed-pods/shared/version";
import {
  PODSIGN_FLAGS,
  PODSIGN_PARSER,
  type PodsignOptions,
  SHORT_FLAGS,
  spellOut,
  VALUE_FLAGS,
} from "./options.ts";

/** Columns of the help text. Asking the terminal would need a permission. */
const HELP_WIDTH = 100;

/** What to do. */
export type CommandLine =
  | { kind: "run"; options: PodsignOptions }
  /** Print a text to standard output and exit with 0: help, version, completions. */
  | { kind: "print"; text: string }
  /** Print a text to standard error as it is; nothing was asked for. */
  | { kind: "nothing"; text: string }
  /** What is wrong, one line. */
  | { kind: "problem"; problem: string };

/** What podsign prints when it is called without anything. */
const SHORT_HELP = `podsign signs and verifies Kubernetes manifests:

  podsign sign-spec FILE    print a manifest with signatures in place
  podsign verify-spec FILE  judge manifests and live objects as a node does
  podsign get-cert          print the signing server's certificate
  podsign show FILE         print what would be signed

See podsign --help, or podsign COMMAND --help for the flags.
`;

/** Subcommands with a FILE, and those without. */
const COMMANDS: ReadonlyMap<string, boolean> = new Map([
  ["sign-spec", true],
  ["verify-spec", true],
  ["get-cert", false],
  ["show", true],
]);

/** What kubectl's users write in front of a file's name. */
const FILE_FLAG = /^(-f|--file|--filename)(=|$)/;

/** Flags that every subcommand has. */
const META_FLAGS: ReadonlySet<string> = new Set(["-h", "--help", "--version", "--completion"]);

/** Reads a command line. Nothing is opened or read. */
export function readCommandLine(args: readonly string[]): CommandLine {
  if (args.length === 0) return { kind: "nothing", text: SHORT_HELP };
  let outcome: "run" | "print" | "error" = "run";
  let printed = "";
  const print = (text: string) => {
    printed += `${text}\n`;
  };
  const onShow = () => {
    outcome = "print";
  };
  const options = runParserSync<typeof PODSIGN_PARSER, void, void>(
    PODSIGN_PARSER,
    "podsign",
    spellOut(args),
    {
      brief:
        message`Signs and verifies Kubernetes manifests, so that nodes run only what their owner signed.`,
      help: { command: true, option: { names: ["-h", "--help"] }, onShow },
      version: { value: `podsign ${VERSION}`, command: true, option: true, onShow },
      completion: { command: true, option: true, onShow },
      onError: () => {
        outcome = "error";
      },
      stdout: print,
      stderr: print,
      // The usage of all subcommands together is longer than the message is worth.
      aboveError: "none",
      colors: false,
      maxWidth: HELP_WIDTH,
      termWidth: "auto",
    },
  );
  return conclude(outcome, printed, options, args);
}

/** What the parser returns means something only if it printed nothing. */
function conclude(
  outcome: "run" | "print" | "error",
  printed: string,
  options: PodsignOptions,
  args: readonly string[],
): CommandLine {
  switch (outcome) {
    case "run":
      return { kind: "run", options };
    case "print":
      return { kind: "print", text: printed };
    case "error": {
      const [command = ""] = args;
      const help = COMMANDS.has(command) ? `podsign ${command} --help` : "podsign --help";
      return {
        kind: "problem",
        problem: `${fileMistake(args) ?? unknownFlag(args) ?? oneLine(printed)}; see ${help}`,
      };
    }
    default: {
      const never: never = outcome;
      return never;
    }
  }
}

/** What is wrong with the files of a command line that the parser refuses; undefined if it is something else. */
function fileMistake([command = "", ...rest]: readonly string[]): string | undefined {
  const takesFile = COMMANDS.get(command);
  if (takesFile === undefined) return undefined;
  const { files, flags } = sortOut(rest);
  const flag = flags.find((arg) => FILE_FLAG.test(arg))?.split("=", 1)[0];
  if (takesFile && flag !== undefined) {
    return `${flag}: name the file without a flag: podsign ${command} FILE`;
  }
  if (flags.some((arg) => arg.startsWith("-") && !isKnown(arg, command))) return undefined;
  const [first, second] = files;
  if (!takesFile) return first === undefined ? undefined : `${command} takes no FILE, but got "${first}"`;
  if (first === undefined) return "FILE is missing: name a manifest, or - for standard input";
  return second === undefined ? undefined : `one FILE at a time, but got "${first}" and "${second}"`;
}

function isKnown(arg: string, command: string): boolean {
  const [name = ""] = arg.split("=", 1);
  return SHORT_FLAGS.has(name) || META_FLAGS.has(name) ||
    PODSIGN_FLAGS.some((flag) => flag.name === name && flag.commands.includes(command));
}

/** What is wrong with the first flag that a subcommand does not have; undefined if it has them all. */
function unknownFlag([command = "", ...rest]: readonly string[]): string | undefined {
  if (!COMMANDS.has(command)) return undefined;
  const unknown = sortOut(rest).flags.find((arg) => !isKnown(arg, command));
  if (unknown === undefined) return undefined;
  const [name = ""] = unknown.split("=", 1);
  const elsewhere = PODSIGN_FLAGS.find((flag) => flag.name === name)?.commands;
  if (elsewhere !== undefined) {
    return `"${name}" is no flag of ${command}, but of ${elsewhere.join(" and ")}`;
  }
  const own = PODSIGN_FLAGS.filter(({ commands }) => commands.includes(command)).map((flag) => flag.name);
  return `unknown flag "${name}"${didYouMean(findSimilar(name, own))}`;
}

/** Files and flags of a subcommand's arguments, without the values of flags. */
function sortOut(args: readonly string[]): { files: string[]; flags: string[] } {
  const files: string[] = [];
  const flags: string[] = [];
  for (let index = 0; index < args.length; index++) {
    const arg = args[index] ?? "";
    if (arg === "--") return { files: [...files, ...args.slice(index + 1)], flags };
    if (arg === "-" || !arg.startsWith("-")) {
      files.push(arg);
      continue;
    }
    flags.push(arg);
    if (VALUE_FLAGS.has(arg)) index++;
  }
  return { files, flags };
}

/** The parser's message in one line, quoted as podsign's own are. */
function oneLine(printed: string): string {
  return printed.trim().replace(/^Error: /, "").replace(/^`(-[^`]*)`/, "$1").replaceAll("`", '"')
    .replace(/\s*\n\s*Did you mean ([^\n]*)\?$/, " (did you mean $1?)")
    .replace(/\.(?= \(did|$)/, "").replace(/\s*\n\s*/g, " ");
}
