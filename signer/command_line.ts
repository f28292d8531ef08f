/**
 * What a command line asks for: a run, or a text such as help. All mistakes are found at once.
 *
 * @module
 */
import { parse } from "@optique/core";
import { runParserSync } from "@optique/core/facade";
import { formatMessage, message } from "@optique/core/message";
import { findSimilar } from "@optique/core/suggestion";
import { didYouMean, metaWordsToFlags } from "@signed-pods/shared/command-line";
import { VERSION } from "@signed-pods/shared/version";
import {
  type RawSignerOptions,
  SIGNER_FLAGS,
  SIGNER_PARSER,
  type SignerCommand,
  spellOut,
} from "./options.ts";

/** Columns of the help text. Asking the terminal would need a permission. */
const HELP_WIDTH = 100;

/** What to do. */
export type CommandLine =
  /** The flags that could be read, and what is wrong with the others: nothing, if the command may run. */
  | { kind: SignerCommand; raw: RawSignerOptions; problems: string[] }
  /** Print a text to standard output and exit with 0: help, version or completions. */
  | { kind: "print"; text: string };

const SEE_HELP = "; see signing-server --help";

const NAMES: readonly string[] = SIGNER_FLAGS.map(({ name }) => name);

/** Flags that print something, wherever they stand. */
const META_FLAGS: ReadonlySet<string> = new Set(["-h", "--help", "--version", "--completion"]);

/** Words in front of the flags. */
const COMMANDS: ReadonlySet<string> = new Set(["rotate"]);

const NO_OPTIONS: RawSignerOptions = {
  listenAddr: undefined,
  keyDir: undefined,
  keyType: undefined,
  certificateDays: undefined,
  stage: undefined,
  tokenFile: undefined,
  tlsCert: undefined,
  tlsKey: undefined,
  clientCa: undefined,
  templatesOnly: undefined,
  allowNamespaces: undefined,
  auditLog: undefined,
  metricsAddr: undefined,
  insecureAllowUnauthenticated: undefined,
};

/** The command of a command line, and its flags: `rotate` is a word in front of them, the server needs none. */
export function splitCommand(args: readonly string[]): { command: SignerCommand; flags: readonly string[] } {
  const words = metaWordsToFlags(args, COMMANDS);
  const [first, ...rest] = words;
  return first === "rotate" ? { command: "rotate", flags: rest } : { command: "serve", flags: words };
}

/** Reads a command line. Nothing is opened or read. */
export function readCommandLine(args: readonly string[]): CommandLine {
  const { command, flags } = splitCommand(args);
  const spelledOut = spellOut(flags);
  const meta = spelledOut.findIndex((arg) => META_FLAGS.has(arg.split("=", 1)[0] ?? ""));
  if (meta >= 0) {
    // Completion has a value, the name of the shell, and what is to be completed.
    const isCompletion = spelledOut[meta]?.startsWith("--completion") === true;
    const { text, ok } = metaText(spelledOut.slice(meta, isCompletion ? undefined : meta + 1));
    return ok
      ? { kind: "print", text }
      : { kind: command, raw: NO_OPTIONS, problems: [`${text.trim().replace(/^Error: /, "")}${SEE_HELP}`] };
  }
  const { known, problems } = sortOut(spelledOut, command);
  const result = parse(SIGNER_PARSER, known);
  if (result.success) return { kind: command, raw: result.value, problems };
  return {
    kind: command,
    raw: NO_OPTIONS,
    problems: [...problems, `${formatMessage(result.error)}${SEE_HELP}`],
  };
}

/** Help, version or completions. */
function metaText(args: readonly string[]): { text: string; ok: boolean } {
  let text = "";
  let ok = true;
  const print = (line: string) => {
    text += `${line}\n`;
  };
  const onShow = () => {};
  runParserSync<typeof SIGNER_PARSER, void, void>(SIGNER_PARSER, "signing-server", args, {
    brief: message`Signs pod specs and templates over HTTP with a key that it keeps.`,
    description:
      message`${"signing-server rotate --key-dir FOLDER"} replaces the key of a folder. A server that uses it goes on with the new key by itself.`,
    help: { option: { names: ["-h", "--help"] }, onShow },
    version: { value: `signing-server ${VERSION}`, option: true, onShow },
    completion: { option: true, onShow },
    onError: () => void (ok = false),
    aboveError: "none",
    stdout: print,
    stderr: print,
    colors: false,
    maxWidth: HELP_WIDTH,
    termWidth: "auto",
  });
  return { text, ok };
}

/** Reads each flag by itself, so that every mistake is reported and not only the first. */
function sortOut(
  args: readonly string[],
  command: SignerCommand,
): { known: string[]; problems: string[] } {
  const known: string[] = [];
  const problems: string[] = [];
  const seen = new Set<string>();
  for (let index = 0; index < args.length; index++) {
    const arg = args[index] ?? "";
    const equals = arg.indexOf("=");
    const name = equals < 0 ? arg : arg.slice(0, equals);
    const next = args[index + 1];
    const flag = SIGNER_FLAGS.find((candidate) => candidate.name === name);
    if (flag === undefined) {
      problems.push(
        name.startsWith("-")
          ? `unknown flag "${name}"${didYouMean(findSimilar(name, NAMES))}${SEE_HELP}`
          : `unexpected argument "${arg}": every value belongs to a flag; the commands are rotate, help and version${SEE_HELP}`,
      );
      // What stands behind a misspelt flag is its value.
      if (name.startsWith("-") && equals < 0 && next !== undefined && !next.startsWith("-")) index++;
      continue;
    }
    const value = equals < 0 ? next : arg.slice(equals + 1);
    if (equals < 0 && next !== undefined) index++;
    if (value === undefined || value === "") {
      problems.push(`${name}: needs a value${SEE_HELP}`);
      continue;
    }
    if (!flag.commands.includes(command)) {
      problems.push(`${name}: is no flag of ${command === "rotate" ? "rotate" : "the server"}${SEE_HELP}`);
      continue;
    }
    const written = `${name}=${value}`;
    const result = parse(SIGNER_PARSER, [written]);
    if (seen.has(name)) problems.push(`${name}: is given more than once: give it once${SEE_HELP}`);
    else if (result.success) known.push(written);
    else problems.push(`${valueProblem(formatMessage(result.error))}${SEE_HELP}`);
    seen.add(name);
  }
  return { known, problems };
}

/** The parser's message, with the flag's name as in the other messages and without its full stop. */
function valueProblem(text: string): string {
  return text.replace(/^`(--[a-z-]+)`: (.)/, (_, flag, first) => `${flag}: ${String(first).toLowerCase()}`)
    .replace(/\.$/, "").replaceAll("`", '"');
}
