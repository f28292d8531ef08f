/**
 * What the command lines of all programs have in common: flags described as data, and Go's way to write boolean
 * flags.
 *
 * @module
 */

/** One flag, as help texts and the tables of docs/reference.md show it. */
export interface FlagDescription {
  /** With its dashes, for example `--listen-addr`. */
  name: string;
  /** What its value stands for, in capitals; empty for a boolean flag. */
  value: string;
  /** The default as it would be written on the command line; empty if there is none. */
  default: string;
  /** One or two sentences. */
  description: string;
}

/** The spellings that Go's strconv.ParseBool reads. */
const BOOLEANS: ReadonlyMap<string, boolean> = new Map([
  ...["1", "t", "T", "TRUE", "true", "True"].map((word): [string, boolean] => [word, true]),
  ...["0", "f", "F", "FALSE", "false", "False"].map((word): [string, boolean] => [word, false]),
]);

/**
 * Reads the value of a boolean flag as Go programs do.
 *
 * @returns undefined if the text is neither a yes nor a no
 */
export function parseBoolean(text: string): boolean | undefined {
  return BOOLEANS.get(text);
}

/**
 * Writes every bare boolean flag with its value, so that `--flag` and `--flag=false` can both be read by a parser
 * of options with values. As in Go, the value of a boolean flag never stands in the next argument. What follows
 * `--` is left alone.
 *
 * @example
 * ```ts
 * import { spellOutBooleans } from "@signed-pods/shared/command-line";
 * if (spellOutBooleans(["--quiet", "x"], new Set(["--quiet"])).join(" ") !== "--quiet=true x") throw new Error("not so");
 * ```
 */
export function spellOutBooleans(args: readonly string[], booleanFlags: ReadonlySet<string>): string[] {
  const end = args.indexOf("--");
  return args.map((arg, index) => (end < 0 || index < end) && booleanFlags.has(arg) ? `${arg}=true` : arg);
}

/** The boolean flags of a table: those whose value has no name. */
export function booleanFlags(flags: readonly FlagDescription[]): Set<string> {
  return new Set(flags.filter((flag) => flag.value === "").map((flag) => flag.name));
}

/**
 * What to put behind the name of an unknown flag.
 *
 * @param similar flags with similar names, the most similar first
 */
export function didYouMean([first]: readonly string[]): string {
  return first === undefined ? "" : ` (did you mean ${first}?)`;
}

/** A flag's description and default, as help texts show them; empty if the table has no such flag. */
export function flagHelp(flags: readonly FlagDescription[], name: string): string {
  const flag = flags.find((candidate) => candidate.name === name);
  if (flag === undefined) return "";
  return flag.default === "" ? flag.description : `${flag.description} Default: ${flag.default}.`;
}

/** A table of flags in Markdown, as docs/reference.md shows it. */
export function flagTable(flags: readonly FlagDescription[]): string {
  const rows = flags.map((flag) => {
    const name = flag.value === "" ? flag.name : `${flag.name} ${flag.value}`;
    const standard = flag.default === "" ? "" : `\`${flag.default}\``;
    return `| \`${name}\` | ${standard} | ${flag.description.replaceAll("|", "\\|")} |`;
  });
  return ["| flag | default | meaning |", "|---|---|---|", ...rows].join("\n") + "\n";
}

/**
 * Understands the words that users of kubectl try: `help`, `help COMMAND`, `COMMAND help`, `version` and `completion SHELL`
 * become the flags that do the same. With a word in front, nothing but a text is printed.
 *
 * @param commands the program's own commands
 */
export function metaWordsToFlags(args: readonly string[], commands: ReadonlySet<string>): readonly string[] {
  const [first = "", ...rest] = args;
  if (first === "help") return [...rest.filter((arg) => arg !== "--help"), "--help"];
  if (first === "version" && rest.length === 0) return ["--version"];
  if (first === "completion") return ["--completion", ...rest];
  return commands.has(first) && rest[0] === "help" && rest.length === 1 ? [first, "--help"] : args;
}
