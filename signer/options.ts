/**
 * The signing server's flags: as data for help texts and docs/reference.md, as a parser, and checked as a whole.
 *
 * @module
 */
import {
  choice,
  object,
  option,
  optional,
  type OptionName,
  type Parser,
  string,
  type ValueParser,
} from "@optique/core";
import { message, text } from "@optique/core/message";
import { splitAddress } from "@signed-pods/shared/address";
import {
  booleanFlags,
  type FlagDescription,
  flagHelp,
  parseBoolean,
  spellOutBooleans,
} from "@signed-pods/shared/command-line";
import { SignedPodsError } from "@signed-pods/shared/errors";
import { fileProblem } from "@signed-pods/shared/file-error";
import { readPemBlocks } from "@signed-pods/shared/pem";
import { isDnsLabel } from "@signed-pods/shared/pod/grammar";
import { SIGNING_KEY_TYPES, type SigningKeyType } from "@signed-pods/shared/signing";
import { AUDIT_FILE_MAX_BYTES, AUDIT_FILES_KEPT } from "./audit_file.ts";
import type { ServingTls } from "./listener.ts";
import type { PayloadPolicy } from "./payload.ts";
import { CERTIFICATE_LIFETIME_DAYS, MAX_CERTIFICATE_LIFETIME_DAYS } from "./signing_identity.ts";
import { MIN_TOKEN_LENGTH, parseTokens, TokenFileError, type Tokens } from "./tokens.ts";

/** Loopback only: nobody else can ask for a signature. */
export const DEFAULT_LISTEN_ADDRESS = "127.0.0.1:8080";

/** What the program can be asked to do. */
export type SignerCommand = "serve" | "rotate";

/** A flag, with the commands that take it. */
export interface SignerFlag extends FlagDescription {
  commands: readonly SignerCommand[];
}

const SERVE: readonly SignerCommand[] = ["serve"];
const BOTH: readonly SignerCommand[] = ["serve", "rotate"];

/** Every flag of the signing server. */
export const SIGNER_FLAGS: readonly SignerFlag[] = [
  {
    name: "--listen-addr",
    value: "ADDRESS",
    default: DEFAULT_LISTEN_ADDRESS,
    description:
      "Where to listen: host:port, [ipv6]:port, or :port for all interfaces; port 0 takes a free one. " +
      "Beyond loopback --token-file, --client-ca or --insecure-allow-unauthenticated is required.",
    commands: SERVE,
  },
  {
    name: "--key-dir",
    value: "FOLDER",
    default: "",
    description:
      "Folder of the signing key and its certificate; made with mode 0700 if it is not there, and the key in it. " +
      "Without it the key is in memory only, and every restart makes another. Also of rotate.",
    commands: BOTH,
  },
  {
    name: "--key-type",
    value: "TYPE",
    default: "ec-p256",
    description: "Kind of a key that is made: ec-p256, ec-p384, ec-p521 or rsa-3072. Also of rotate.",
    commands: BOTH,
  },
  {
    name: "--certificate-days",
    value: "DAYS",
    default: String(CERTIFICATE_LIFETIME_DAYS),
    description:
      "How long the certificate of a key that is made holds. Pods signed with the key are refused from then on, so " +
      "that they have to be signed again before. Also of rotate.",
    commands: BOTH,
  },
  {
    name: "--stage",
    value: "",
    default: "false",
    description:
      "Of rotate: only make the next key, so that GET /signingcert?all=1 gives its certificate before it signs. The " +
      "next rotate takes it into use.",
    commands: ["rotate"],
  },
  {
    name: "--token-file",
    value: "FILE",
    default: "",
    description: "File with the bearer token that POST /sign and POST /generatekeys then require, at least " +
      `${MIN_TOKEN_LENGTH} characters, or with a line NAME: TOKEN for each client. Read again when it changes.`,
    commands: SERVE,
  },
  {
    name: "--tls-cert",
    value: "FILE",
    default: "",
    description: "Serving certificate chain (PEM). Without it, plain HTTP is served.",
    commands: SERVE,
  },
  {
    name: "--tls-key",
    value: "FILE",
    default: "",
    description: "Private key of the serving certificate (PEM).",
    commands: SERVE,
  },
  {
    name: "--client-ca",
    value: "FILE",
    default: "",
    description:
      "Clients with a certificate for client authentication that is signed by one of these (PEM) may sign, too; its " +
      "common name is who they are.",
    commands: SERVE,
  },
  {
    name: "--templates-only",
    value: "",
    default: "false",
    description:
      "Sign nothing but signed templates and contents of ConfigMaps as podsign makes them, which are bound to a workload " +
      "or a ConfigMap.",
    commands: SERVE,
  },
  {
    name: "--allow-namespaces",
    value: "NAMES",
    default: "",
    description:
      "Sign nothing but signed templates and contents of ConfigMaps of these namespaces, separated by commas. Those that " +
      "name none are refused.",
    commands: SERVE,
  },
  {
    name: "--audit-log",
    value: "FILE",
    default: "",
    description:
      "Write a JSON line for each signature to this file instead of standard output. It is rotated by size: " +
      `${
        AUDIT_FILE_MAX_BYTES / 1024 / 1024
      } MiB, ${AUDIT_FILES_KEPT} older files FILE.1, FILE.2, … are kept.`,
    commands: SERVE,
  },
  {
    name: "--metrics-addr",
    value: "ADDRESS",
    default: "",
    description:
      "Where to serve GET /metrics (Prometheus) and GET /health, to everyone who reaches it. Not served without it.",
    commands: SERVE,
  },
  {
    name: "--insecure-allow-unauthenticated",
    value: "",
    default: "false",
    description: "Let everyone who reaches the address sign. Only where the network itself keeps others out.",
    commands: SERVE,
  },
];

/** Where to listen. */
export interface ListenAddress {
  /** A host name or address without brackets. */
  hostname: string;
  /** 0 for any free port. */
  port: number;
  /** Whether only programs on this machine can connect. */
  loopback: boolean;
}

/** What keys are made. */
export interface KeyFlags {
  keyType: SigningKeyType;
  certificateLifetimeDays: number;
}

/** Options of a server that have been checked together. */
export interface SignerOptions extends KeyFlags {
  listen: ListenAddress;
  /** Without it, the key is in memory only. */
  keyDir?: string;
  /** Whose tokens are required from those who sign. */
  tokenFile?: { path: string; text: string; tokens: Tokens };
  tls?: ServingTls;
  policy: PayloadPolicy;
  /** Without it, audit lines go to standard output. */
  auditLog?: string;
  metricsListen?: ListenAddress;
  /** What the operator should know. */
  warnings: string[];
}

/** Options of `signing-server rotate`. */
export interface RotateOptions extends KeyFlags {
  keyDir: string;
  stage: boolean;
}

function describe(name: string): { description: ReturnType<typeof message> } {
  return { description: message`${text(flagHelp(SIGNER_FLAGS, name))}` };
}

/** Reads a boolean as Go does. */
function goBoolean(): ValueParser<"sync", boolean> {
  return {
    mode: "sync",
    metavar: "TRUE|FALSE",
    placeholder: false,
    parse(input) {
      const value = parseBoolean(input);
      return value === undefined
        ? { success: false, error: message`Expected ${"true"} or ${"false"}, but got ${input}.` }
        : { success: true, value };
    },
    format: String,
  };
}

/** Reads a number of days. */
function days(): ValueParser<"sync", number> {
  return {
    mode: "sync",
    metavar: "DAYS",
    placeholder: CERTIFICATE_LIFETIME_DAYS,
    parse(input) {
      const value = /^[0-9]{1,5}$/.test(input) ? Number(input) : 0;
      return value >= 1 && value <= MAX_CERTIFICATE_LIFETIME_DAYS ? { success: true, value } : {
        success: false,
        error: message`Expected a number from 1 to ${
          String(MAX_CERTIFICATE_LIFETIME_DAYS)
        }, but got ${input}.`,
      };
    },
    format: String,
  };
}

/** Reads names of namespaces, separated by commas. */
function namespaces(): ValueParser<"sync", ReadonlySet<string>> {
  return {
    mode: "sync",
    metavar: "NAMES",
    placeholder: new Set(),
    parse(input) {
      const names = input.split(",");
      const wrong = names.find((name) => !isDnsLabel(name));
      return wrong === undefined ? { success: true, value: new Set(names) } : {
        success: false,
        error: message`Expected names of namespaces, separated by commas, but got ${wrong}.`,
      };
    },
    format: (value) => [...value].join(","),
  };
}

/** The flags as they stand on the command line, each checked by itself. */
export interface RawSignerOptions {
  readonly listenAddr: string | undefined;
  readonly keyDir: string | undefined;
  readonly keyType: SigningKeyType | undefined;
  readonly certificateDays: number | undefined;
  readonly stage: boolean | undefined;
  readonly tokenFile: string | undefined;
  readonly tlsCert: string | undefined;
  readonly tlsKey: string | undefined;
  readonly clientCa: string | undefined;
  readonly templatesOnly: boolean | undefined;
  readonly allowNamespaces: ReadonlySet<string> | undefined;
  readonly auditLog: string | undefined;
  readonly metricsAddr: string | undefined;
  readonly insecureAllowUnauthenticated: boolean | undefined;
}

const textOption = (name: OptionName, metavar: "ADDRESS" | "FILE" | "FOLDER") =>
  optional(option(name, string({ metavar }), describe(name)));

const booleanOption = (name: OptionName) => optional(option(name, goBoolean(), describe(name)));

/** Reads the signing server's flags. Bare boolean flags must have been spelled out by {@linkcode spellOut}. */
export const SIGNER_PARSER: Parser<"sync", RawSignerOptions, unknown> = object({
  listenAddr: textOption("--listen-addr", "ADDRESS"),
  keyDir: textOption("--key-dir", "FOLDER"),
  keyType: optional(
    option("--key-type", choice(SIGNING_KEY_TYPES, { metavar: "TYPE" }), describe("--key-type")),
  ),
  certificateDays: optional(option("--certificate-days", days(), describe("--certificate-days"))),
  stage: booleanOption("--stage"),
  tokenFile: textOption("--token-file", "FILE"),
  tlsCert: textOption("--tls-cert", "FILE"),
  tlsKey: textOption("--tls-key", "FILE"),
  clientCa: textOption("--client-ca", "FILE"),
  templatesOnly: booleanOption("--templates-only"),
  allowNamespaces: optional(option("--allow-namespaces", namespaces(), describe("--allow-namespaces"))),
  auditLog: textOption("--audit-log", "FILE"),
  metricsAddr: textOption("--metrics-addr", "ADDRESS"),
  insecureAllowUnauthenticated: booleanOption("--insecure-allow-unauthenticated"),
});

/** Arguments with every bare boolean flag written as `--flag=true`. */
export function spellOut(args: readonly string[]): string[] {
  return spellOutBooleans(args, booleanFlags(SIGNER_FLAGS));
}

/** What is wrong with the options, all of it; each text says what to do. */
export interface OptionProblems {
  problems: string[];
}

function isLoopback(hostname: string): boolean {
  // Names other than localhost may resolve to anything, and ::ffff:127.0.0.1 depends on the system's settings.
  return hostname === "localhost" || hostname === "::1" || /^127(\.\d{1,3}){3}$/.test(hostname);
}

function isHostname(text: string): boolean {
  if (/^[\d.]+$/.test(text)) {
    const parts = text.split(".");
    return parts.length === 4 &&
      parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255);
  }
  return /^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/.test(text);
}

/**
 * Reads `host:port`, `[ipv6]:port` or `:port`, as Go's net.Listen does.
 *
 * @returns undefined if the text is none of these
 */
export function parseListenAddress(address: string): ListenAddress | undefined {
  const parts = splitAddress(address);
  if (parts === undefined) return undefined;
  const { host, bracketed, port } = parts;
  // An IPv6 socket on the unspecified address takes IPv4 connections too.
  if (host === "") return { hostname: "::", port, loopback: false };
  const fits = bracketed ? URL.canParse(`http://[${host}]/`) : isHostname(host);
  return fits ? { hostname: host, port, loopback: isLoopback(host) } : undefined;
}

/** A folder's path as it is used: with a slash at its end, a symbolic link would be followed. */
export function folderPath(path: string): string {
  return path.replace(/(?<=.)\/+$/, "");
}

/** Reads files for the options. */
export interface OptionFiles {
  /** Throws if it cannot; undefined if nothing is to be said about the file. */
  readText(path: string): Promise<string | undefined>;
}

/** Checks the flags of `signing-server rotate` together. */
export function completeRotateOptions(raw: RawSignerOptions): RotateOptions | OptionProblems {
  if (raw.keyDir === undefined) {
    return { problems: ["--key-dir: is missing: rotate replaces the key of a folder"] };
  }
  return { ...keyFlags(raw), keyDir: folderPath(raw.keyDir), stage: raw.stage ?? false };
}

function keyFlags({ keyType, certificateDays }: RawSignerOptions): KeyFlags {
  return {
    keyType: keyType ?? "ec-p256",
    certificateLifetimeDays: certificateDays ?? CERTIFICATE_LIFETIME_DAYS,
  };
}

/**
 * Checks the flags of a server together and reads the files that they name, but for the key folder.
 *
 * @param raw the flags as read from the command line
 * @returns the options, or every problem at once
 */
export async function completeOptions(
  raw: RawSignerOptions,
  files: OptionFiles,
): Promise<SignerOptions | OptionProblems> {
  const problems: string[] = [];
  const warnings: string[] = [];
  const listen = readAddress("--listen-addr", raw.listenAddr ?? DEFAULT_LISTEN_ADDRESS, problems);
  const metricsListen = raw.metricsAddr === undefined
    ? undefined
    : readAddress("--metrics-addr", raw.metricsAddr, problems);
  const tokenFile = raw.tokenFile === undefined
    ? undefined
    : await readTokens(raw.tokenFile, files, problems);
  const tls = await readTls(raw, files, problems);
  checkAccess(raw, listen, problems, warnings);
  if (raw.keyDir === undefined) {
    warnings.push(
      "the key is in memory only: after a restart another key signs, and nodes refuse what it signs until they get its " +
        "certificate; give --key-dir FOLDER to keep it",
    );
  }
  if (listen === undefined || problems.length > 0) return { problems };
  return {
    listen,
    ...keyFlags(raw),
    ...(raw.keyDir === undefined ? {} : { keyDir: folderPath(raw.keyDir) }),
    ...(tokenFile === undefined ? {} : { tokenFile }),
    ...(tls === undefined ? {} : { tls }),
    policy: {
      templatesOnly: raw.templatesOnly ?? false,
      ...(raw.allowNamespaces === undefined ? {} : { namespaces: raw.allowNamespaces }),
    },
    ...(raw.auditLog === undefined ? {} : { auditLog: raw.auditLog }),
    ...(metricsListen === undefined ? {} : { metricsListen }),
    warnings,
  };
}

function readAddress(flag: string, address: string, problems: string[]): ListenAddress | undefined {
  const listen = parseListenAddress(address);
  if (listen === undefined) {
    problems.push(
      `${flag}: "${address}" is not host:port, [ipv6]:port or :port; write for example ${DEFAULT_LISTEN_ADDRESS}`,
    );
  }
  return listen;
}

/** Who may reach the server, and who may sign there. */
function checkAccess(
  { listenAddr = DEFAULT_LISTEN_ADDRESS, tokenFile, tlsCert, clientCa, insecureAllowUnauthenticated }:
    RawSignerOptions,
  listen: ListenAddress | undefined,
  problems: string[],
  warnings: string[],
): void {
  const insecure = insecureAllowUnauthenticated ?? false;
  for (const [flag, value] of [["--token-file", tokenFile], ["--client-ca", clientCa]]) {
    if (value === undefined || !insecure) continue;
    problems.push(`${flag} and --insecure-allow-unauthenticated contradict each other: give one of them`);
  }
  if (listen === undefined || listen.loopback) return;
  if (tokenFile !== undefined || clientCa !== undefined) {
    if (tokenFile === undefined || tlsCert !== undefined) return;
    warnings.push(
      `tokens on their way to ${listenAddr} can be read and used by others: give --tls-cert and --tls-key, unless ` +
        "something in front of the server speaks TLS",
    );
  } else if (insecure) {
    warnings.push(
      `everyone who reaches ${listenAddr} can sign: every node that trusts this key runs what they sign`,
    );
  } else {
    problems.push(
      `--listen-addr: "${listenAddr}" is reachable from other machines, so that anyone there could sign; give ` +
        "--token-file FILE, --client-ca FILE, or --insecure-allow-unauthenticated if the network keeps others out",
    );
  }
}

async function readFile(
  flag: string,
  path: string,
  files: OptionFiles,
  problems: string[],
): Promise<string | undefined> {
  try {
    return await files.readText(path);
  } catch (error) {
    problems.push(`${flag}: ${fileProblem("signing-server", path, error)}`);
    return undefined;
  }
}

async function readTokens(
  path: string,
  files: OptionFiles,
  problems: string[],
): Promise<SignerOptions["tokenFile"]> {
  const text = await readFile("--token-file", path, files, problems);
  if (text === undefined) return undefined;
  try {
    return { path, text, tokens: await parseTokens(text) };
  } catch (error) {
    if (!(error instanceof TokenFileError)) throw error;
    problems.push(`--token-file: "${path}" ${error.message}`);
    return undefined;
  }
}

async function readTls(
  { tlsCert, tlsKey, clientCa }: RawSignerOptions,
  files: OptionFiles,
  problems: string[],
): Promise<ServingTls | undefined> {
  if ((tlsCert === undefined) !== (tlsKey === undefined)) {
    problems.push("--tls-cert and --tls-key belong together: give both");
  }
  if (clientCa !== undefined && tlsCert === undefined) {
    problems.push("--client-ca: client certificates come with TLS: give --tls-cert and --tls-key, too");
  }
  const certificate = await readPem("--tls-cert", tlsCert, /^CERTIFICATE$/, files, problems);
  const key = await readPem("--tls-key", tlsKey, /^(RSA |EC )?PRIVATE KEY$/, files, problems);
  const authorities = await readPem("--client-ca", clientCa, /^CERTIFICATE$/, files, problems);
  if (certificate === undefined || key === undefined) return undefined;
  return { certificate, key, ...(authorities === undefined ? {} : { clientCa: authorities }) };
}

/** Reads a PEM file that has a block of the right kind; whether it can be used is seen when TLS is set up. */
async function readPem(
  flag: string,
  path: string | undefined,
  label: RegExp,
  files: OptionFiles,
  problems: string[],
): Promise<string | undefined> {
  const text = path === undefined ? undefined : await readFile(flag, path, files, problems);
  if (text === undefined) return undefined;
  try {
    if (readPemBlocks(text).some((block) => label.test(block.label))) return text;
    problems.push(`${flag}: "${path}" has no block that belongs there: see whether it is the right file`);
  } catch (error) {
    if (!(error instanceof SignedPodsError)) throw error;
    problems.push(`${flag}: "${path}": ${error.message}`);
  }
  return undefined;
}
