/**
 * The signing server's flags: as data for help texts and the README, as a parser, and checked as a whole.
 *
 * @module
 */
import { choice, object, option, optional, type Parser, string, type ValueParser } from "@optique/core";
import { message, text } from "@optique/core/message";
import { splitAddress } from "@signed-pods/shared/address";
import { isBearerToken } from "@signed-pods/shared/bearer-token";
import {
  booleanFlags,
  type FlagDescription,
  flagHelp,
  parseBoolean,
  spellOutBooleans,
} from "@signed-pods/shared/command-line";
import { SIGNING_KEY_TYPES, type SigningKeyType } from "@signed-pods/shared/signing";
import { fileProblem } from "@signed-pods/shared/file-error";

/** A shorter token could be guessed by trying: 16 characters of hexadecimal are 64 bits. */
export const MIN_TOKEN_LENGTH = 16;

/** A longer token does not fit the header limits of common HTTP servers and proxies. */
export const MAX_TOKEN_LENGTH = 4096;

/** Loopback only: nobody else can ask for a signature. */
export const DEFAULT_LISTEN_ADDRESS = "127.0.0.1:8080";

/** Every flag of the signing server. */
export const SIGNER_FLAGS: readonly FlagDescription[] = [
  {
    name: "--listen-addr",
    value: "ADDRESS",
    default: DEFAULT_LISTEN_ADDRESS,
    description:
      "Where to listen: host:port, [ipv6]:port, or :port for all interfaces; port 0 takes a free one. " +
      "Beyond loopback a token file or --insecure-allow-unauthenticated is required.",
  },
  {
    name: "--key-type",
    value: "TYPE",
    default: "ec-p256",
    description: "Kind of the key pair that is made at start: ec-p256, ec-p384, ec-p521 or rsa-3072.",
  },
  {
    name: "--token-file",
    value: "FILE",
    default: "",
    description: "File with the bearer token that POST /sign and POST /generatekeys then require, at least " +
      `${MIN_TOKEN_LENGTH} characters.`,
  },
  {
    name: "--insecure-allow-unauthenticated",
    value: "",
    default: "false",
    description: "Let everyone who reaches the address sign. Only where the network itself keeps others out.",
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

/** Options that have been checked together. */
export interface SignerOptions {
  listen: ListenAddress;
  keyType: SigningKeyType;
  /** Required from those who sign, if there is one. */
  token?: string;
  /** What the operator should know. */
  warnings: string[];
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

/** The flags as they stand on the command line, each checked by itself. */
export interface RawSignerOptions {
  readonly listenAddr: string | undefined;
  readonly keyType: SigningKeyType | undefined;
  readonly tokenFile: string | undefined;
  readonly insecureAllowUnauthenticated: boolean | undefined;
}

/** Reads the signing server's flags. Bare boolean flags must have been spelled out by {@linkcode spellOut}. */
export const SIGNER_PARSER: Parser<"sync", RawSignerOptions, unknown> = object({
  listenAddr: optional(option("--listen-addr", string({ metavar: "ADDRESS" }), describe("--listen-addr"))),
  keyType: optional(
    option("--key-type", choice(SIGNING_KEY_TYPES, { metavar: "TYPE" }), describe("--key-type")),
  ),
  tokenFile: optional(option("--token-file", string({ metavar: "FILE" }), describe("--token-file"))),
  insecureAllowUnauthenticated: optional(
    option("--insecure-allow-unauthenticated", goBoolean(), describe("--insecure-allow-unauthenticated")),
  ),
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

async function readToken(
  file: string,
  readTextFile: (path: string) => Promise<string>,
): Promise<{ token: string } | { problem: string }> {
  let content: string;
  try {
    content = await readTextFile(file);
  } catch (error) {
    return { problem: `--token-file: ${fileProblem("signing-server", file, error)}` };
  }
  const token = content.trim();
  if (!isBearerToken(token)) {
    return {
      problem: `--token-file: "${file}" must hold one token of letters, digits and -._~+/; make one with ` +
        "`openssl rand -hex 32`",
    };
  }
  if (token.length < MIN_TOKEN_LENGTH || token.length > MAX_TOKEN_LENGTH) {
    return {
      problem: `--token-file: the token in "${file}" has ${token.length} characters, but must have ` +
        `${MIN_TOKEN_LENGTH} to ${MAX_TOKEN_LENGTH}; make one with \`openssl rand -hex 32\``,
    };
  }
  return { token };
}

/**
 * Checks the flags together and reads the token file.
 *
 * @param raw the flags as read from the command line
 * @param readTextFile reads a file; throws if it cannot
 * @returns the options, or every problem at once
 */
export async function completeOptions(
  raw: RawSignerOptions,
  readTextFile: (path: string) => Promise<string>,
): Promise<SignerOptions | OptionProblems> {
  const problems: string[] = [];
  const warnings: string[] = [];
  const address = raw.listenAddr ?? DEFAULT_LISTEN_ADDRESS;
  const listen = parseListenAddress(address);
  if (listen === undefined) {
    problems.push(
      `--listen-addr: "${address}" is not host:port, [ipv6]:port or :port; write for example 127.0.0.1:8080`,
    );
  }
  const insecure = raw.insecureAllowUnauthenticated ?? false;
  let token: string | undefined;
  if (raw.tokenFile !== undefined) {
    const result = await readToken(raw.tokenFile, readTextFile);
    if ("token" in result) token = result.token;
    else problems.push(result.problem);
    if (insecure) {
      problems.push(
        "--token-file and --insecure-allow-unauthenticated contradict each other: give one of them",
      );
    }
  } else if (listen !== undefined && !listen.loopback) {
    if (insecure) {
      warnings.push(
        `everyone who reaches ${address} can sign: every node that trusts this key runs what they sign`,
      );
    } else {
      problems.push(
        `--listen-addr: "${address}" is reachable from other machines, so that anyone there could sign; give ` +
          "--token-file FILE, or --insecure-allow-unauthenticated if the network keeps others out",
      );
    }
  }
  if (listen === undefined || problems.length > 0) return { problems };
  return { listen, keyType: raw.keyType ?? "ec-p256", ...(token === undefined ? {} : { token }), warnings };
}
