/**
 * The command line of `kubelet-proxy init`.
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { runParserSync } from "@optique/core/facade";
import { message, text } from "@optique/core/message";
import { optional, withDefault } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { string } from "@optique/core/valueparser";
import {
  booleanFlags,
  type FlagDescription,
  parseBoolean,
  spellOutBooleans,
} from "@signed-pods/shared/command-line";
import type { Problem } from "@signed-pods/shared/errors";
import { isDnsSubdomain } from "@signed-pods/shared/pod/grammar";
import { VERSION } from "@signed-pods/shared/version";
import { parseListenAddress } from "../address.ts";
import {
  AUTHORITY_LIFETIME_DAYS,
  DAY_MS,
  LEAF_LIFETIME_DAYS,
  type OwnLegLifetimes,
} from "./own_leg_files.ts";

/**
 * State that the proxy itself renews lives under /var/lib (Filesystem Hierarchy Standard 3.0, section 5.8); /etc is for what
 * an administrator writes, and a hardened service cannot write there.
 */
export const OWN_LEG_FOLDER = "/var/lib/kubelet-proxy/pki";

/** Least lifetime of a certificate, in days. A kubelet looks at its file every five minutes only. */
const MIN_DAYS = 1;

/** Most days of a lifetime: a hundred years, so that every date can stand in a certificate. */
export const MAX_OWN_LEG_DAYS = 36_500;

/** Every flag of `kubelet-proxy init`, in the order of the help text. */
export const INIT_FLAGS = [
  {
    name: "--node-name",
    value: "NAME",
    default: "",
    description: "Name of this node, as in the cluster. Required.",
  },
  {
    name: "--dir",
    value: "FOLDER",
    default: OWN_LEG_FOLDER,
    description:
      "Where the files lie; made with mode 0700 if it is not there. The same is given to the proxy as --own-leg.",
  },
  {
    name: "--listen-addr",
    value: "ADDRESS",
    default: "127.0.0.1:6443",
    description: "The proxy's --listen-addr: the kubelet reaches it on loopback.",
  },
  {
    name: "--certificate-days",
    value: "DAYS",
    default: String(LEAF_LIFETIME_DAYS),
    description: "How long new certificates hold. The proxy renews them after two thirds of it.",
  },
  {
    name: "--authority-days",
    value: "DAYS",
    default: String(AUTHORITY_LIFETIME_DAYS),
    description: "How long a new authority holds.",
  },
  {
    name: "--dry-run",
    value: "",
    default: "false",
    description: "Print what would be written, and write nothing.",
  },
] as const satisfies readonly FlagDescription[];

type InitFlagName = (typeof INIT_FLAGS)[number]["name"];

/** What is to be made. */
export interface InitOptions {
  nodeName: string;
  folder: string;
  port: number;
  lifetimes: OwnLegLifetimes;
  dryRun: boolean;
}

/** What a command line asks for. */
export type InitCommandLine =
  | { kind: "run"; options: InitOptions }
  | { kind: "print"; text: string }
  | { kind: "problems"; problems: Problem[] };

const HELP_WIDTH = 100;

const parser = object({
  nodeName: optional(textOption("--node-name")),
  dir: withDefault(textOption("--dir"), defaultOf("--dir")),
  listenAddr: withDefault(textOption("--listen-addr"), defaultOf("--listen-addr")),
  certificateDays: withDefault(textOption("--certificate-days"), defaultOf("--certificate-days")),
  authorityDays: withDefault(textOption("--authority-days"), defaultOf("--authority-days")),
  dryRun: withDefault(textOption("--dry-run"), defaultOf("--dry-run")),
});

function textOption(name: InitFlagName) {
  const flag = INIT_FLAGS.find((candidate) => candidate.name === name);
  return option(name, string({ metavar: flag?.value || "BOOL" }), {
    description: message`${text(flag?.description ?? "")}`,
  });
}

function defaultOf(name: InitFlagName): string {
  return INIT_FLAGS.find((candidate) => candidate.name === name)?.default ?? "";
}

/** Reads a command line, without the word `init`. */
export function parseInitCommandLine(args: readonly string[]): InitCommandLine {
  let printed = "";
  let outcome: "run" | "print" | "error" = "run";
  const flags = runParserSync<typeof parser, void, void>(
    parser,
    "kubelet-proxy init",
    spellOutBooleans(args, booleanFlags(INIT_FLAGS)),
    {
      brief:
        message`Makes the certificates between the kubelet and its proxy, and the kubeconfig that opens nothing else. What is there and holds is left as it is.`,
      help: { option: { names: ["-h", "--help"] }, onShow: () => void (outcome = "print") },
      version: { value: `kubelet-proxy ${VERSION}`, option: true, onShow: () => void (outcome = "print") },
      onError: () => void (outcome = "error"),
      stdout: (line) => printed += `${line}\n`,
      stderr: (line) => printed += `${line}\n`,
      aboveError: "none",
      colors: false,
      maxWidth: HELP_WIDTH,
      termWidth: "auto",
      showDefault: true,
    },
  );
  return conclude(outcome, printed, flags);
}

/** What the parser returns; typed loosely there when it prints, so the outcome decides what it is. */
type Flags = ReturnType<typeof runParserSync<typeof parser>>;

function conclude(outcome: "run" | "print" | "error", printed: string, flags: Flags): InitCommandLine {
  switch (outcome) {
    case "print":
      return { kind: "print", text: printed };
    case "error":
      return {
        kind: "problems",
        problems: [{ path: "init", message: printed.trim().replace(/^Error: /, "") }],
      };
    case "run":
      return validate(flags);
    default: {
      const never: never = outcome;
      return never;
    }
  }
}

function validate(flags: Flags): InitCommandLine {
  const problems: Problem[] = [];
  const report = (path: InitFlagName, problem: string) => void problems.push({ path, message: problem });
  const nodeName = flags.nodeName ?? "";
  if (flags.nodeName === undefined) {
    report("--node-name", "is required; give the node's name in the cluster");
  } else if (!isDnsSubdomain(nodeName)) {
    report("--node-name", `"${nodeName}" is no name of a node (RFC 1123 subdomain)`);
  }
  const folder = flags.dir.replace(/(?<=.)\/+$/, "");
  if (!folder.startsWith("/")) {
    report("--dir", `"${flags.dir}" is not absolute; give the full path`);
  }
  const address = parseListenAddress(flags.listenAddr);
  if (address === undefined) {
    report("--listen-addr", `"${flags.listenAddr}" is no address; write HOST:PORT, [IPv6]:PORT or :PORT`);
  } else if (!REACHED_ON_LOOPBACK.has(address.hostname) || address.port === 0) {
    report(
      "--listen-addr",
      `"${flags.listenAddr}" is not reached at 127.0.0.1; the kubelet of this node is its only client`,
    );
  }
  function days(flag: "--certificate-days" | "--authority-days", value: string): number {
    const number = /^[0-9]{1,5}$/.test(value) ? Number(value) : 0;
    if (number < MIN_DAYS || number > MAX_OWN_LEG_DAYS) {
      report(flag, `"${value}" is no number of days from ${MIN_DAYS} to ${MAX_OWN_LEG_DAYS}`);
    }
    return number * DAY_MS;
  }
  const lifetimes = {
    leafMs: days("--certificate-days", flags.certificateDays),
    authorityMs: days("--authority-days", flags.authorityDays),
  };
  if (problems.length === 0 && lifetimes.leafMs > lifetimes.authorityMs) {
    report("--certificate-days", "are more than --authority-days; nothing outlives its authority");
  }
  const dryRun = parseBoolean(flags.dryRun);
  if (dryRun === undefined) {
    report("--dry-run", `"${flags.dryRun}" is neither true nor false`);
  }
  if (problems.length > 0) {
    return { kind: "problems", problems };
  }
  return {
    kind: "run",
    options: { nodeName, folder, port: address?.port ?? 0, lifetimes, dryRun: dryRun ?? false },
  };
}

/** Where the proxy must listen, as the kubeconfig names 127.0.0.1. */
const REACHED_ON_LOOPBACK: ReadonlySet<string | undefined> = new Set([
  undefined,
  "0.0.0.0",
  "::",
  "localhost",
  "127.0.0.1",
]);
