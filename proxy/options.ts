/**
 * The command line: flags as data, read into typed options. All mistakes are found at once, and nothing is opened or
 * read here.
 *
 * @module
 */
import {
  booleanFlags,
  didYouMean,
  type FlagDescription,
  parseBoolean,
  spellOutBooleans,
} from "@signed-pods/shared/command-line";
import type { Problem } from "@signed-pods/shared/errors";
import { isDnsSubdomain } from "@signed-pods/shared/pod/grammar";
import type { SignatureForm } from "@signed-pods/shared/verdict";
import { collide, type ListenAddress, parseListenAddress } from "./address.ts";
import { FRONT_FLAGS, type FrontOptions, readFrontOptions } from "./node_api/front_options.ts";
import { parseServer } from "./credentials/kubeconfig.ts";
import type { Mode } from "./mode.ts";
import {
  isNodeApiWord,
  NODE_API_WORDS,
  type NodeApiAccess,
  type NodeApiWord,
} from "./node_api/node_api_access.ts";
import { OBJECT_FLAGS, type ObjectOptions, readObjectOptions } from "./objects/object_options.ts";
import {
  OPERABILITY_FLAGS,
  type OperabilityOptions,
  readOperabilityOptions,
} from "./operability/operability_options.ts";
import { ownLegFrontClient, ownLegTls } from "./own_leg/own_leg_files.ts";
import { type AllowedPath, parseAllowedPath } from "./route.ts";
import type { LogFormat } from "./telemetry.ts";

/** Every flag of kubelet-proxy, in the order of the help text. */
export const FLAGS = [
  {
    name: "--kubeconfig",
    value: "FILE",
    default: "",
    description: "The node's kubeconfig: API server, certificate authority and credential. Required.",
  },
  {
    name: "--context",
    value: "NAME",
    default: "",
    description: "Context of the kubeconfig to use instead of its current context.",
  },
  {
    name: "--server",
    value: "URL",
    default: "",
    description:
      "Another API server of the same cluster, asked when those before it are not healthy; the kubeconfig's is the first. Repeatable.",
  },
  {
    name: "--listen-addr",
    value: "ADDRESS",
    default: "127.0.0.1:6443",
    description: "Where the kubelet reaches the proxy. `:6443` means all interfaces.",
  },
  {
    name: "--tls-cert",
    value: "FILE",
    default: "",
    description: "Serving certificate chain (PEM). Without it, plain HTTP is served to loopback peers only.",
  },
  {
    name: "--tls-key",
    value: "FILE",
    default: "",
    description: "Private key of the serving certificate (PEM).",
  },
  {
    name: "--client-ca",
    value: "FILE",
    default: "",
    description:
      "Clients must present a certificate signed by one of these authorities (PEM), intermediate ones included. Without it, only loopback peers are served.",
  },
  {
    name: "--own-leg",
    value: "FOLDER",
    default: "",
    description:
      "Folder that `kubelet-proxy init` made: its certificates are used instead of --tls-cert, --tls-key and --client-ca, and renewed.",
  },
  {
    name: "--renew-node-certificate",
    value: "",
    default: "false",
    description:
      "Renew the node's own client certificate, in the one file that the kubeconfig names for it and its key.",
  },
  {
    name: "--signature-verification-cert",
    value: "PATH",
    default: "",
    description:
      "Certificates or public keys (PEM) whose signatures are trusted: a file, or a folder of files. Repeatable. Required in enforce mode.",
  },
  {
    name: "--mode",
    value: "MODE",
    default: "enforce",
    description: "`enforce` refuses what does not verify; `audit` decides and logs, and changes nothing.",
  },
  {
    name: "--node-name",
    value: "NAME",
    default: "",
    description: "Name of this node. By default that of the client certificate, `system:node:NAME`.",
  },
  {
    name: "--accept-forms",
    value: "FORMS",
    default: "template,spec",
    description: "Forms of signatures that are accepted, separated by commas: `template`, `spec`.",
  },
  {
    name: "--require-digests",
    value: "",
    default: "false",
    description: "Refuse pods that name an image without a digest.",
  },
  {
    name: "--allow-path",
    value: "METHOD:/PATH",
    default: "",
    description:
      "Let a request through that kubelets are not known to make; `/*` at the end means everything under the path. Never opens pods. Repeatable.",
  },
  ...OBJECT_FLAGS,
  {
    name: "--node-api-access",
    value: "WORDS",
    default: "logs,metrics,stats",
    description:
      "What the cluster may use of the kubelet's own API, below its RBAC, separated by commas: `logs`, `metrics`, `stats`, `pods`, `exec`, `attach`, `port-forward`, `all`. Without --kubelet-api-listen, logs, exec, attach and port-forward cannot be told apart: they need `all`.",
  },
  ...FRONT_FLAGS,
  {
    name: "--runtime-dir",
    value: "FOLDER",
    default: "/run/kubelet-proxy",
    description:
      "Folder for the ledger of admitted pods and the socket; made with mode 0700 if it is not there, refused if others can write in it.",
  },
  ...OPERABILITY_FLAGS,
  {
    name: "--log-requests",
    value: "",
    default: "true",
    description: "Log one line per request: method, path, route, code and milliseconds.",
  },
  {
    name: "--log-pod-payloads",
    value: "",
    default: "false",
    description: "Log the specs of judged pods; values of environment variables are never among them.",
  },
  {
    name: "--log-format",
    value: "FORMAT",
    default: "text",
    description: "`text` or `json`, one line per event.",
  },
] as const satisfies readonly FlagDescription[];

type FlagName = (typeof FLAGS)[number]["name"];

/** What the program is told to do. */
export interface Options {
  kubeconfig: string;
  context?: string;
  /** API servers beside the kubeconfig's, in order of preference. */
  servers: readonly URL[];
  listenAddress: ListenAddress;
  /** Serving certificate and key. */
  tls?: { certificateFile: string; keyFile: string; clientCaFile?: string };
  /** The folder of the own leg, whose files `tls` names; they are renewed there. */
  ownLegFolder?: string;
  /** Whether the node's own client certificate is renewed. */
  renewNodeCertificate: boolean;
  /** Files and folders. */
  verificationCerts: readonly string[];
  mode: Mode;
  nodeName?: string;
  acceptForms: ReadonlySet<SignatureForm>;
  requireDigests: boolean;
  allowedPaths: readonly AllowedPath[];
  /** What objects other than pods may be. */
  objects: ObjectOptions;
  /** Local ceiling for the kubelet's own API. */
  nodeApiAccess: NodeApiAccess;
  /** Not given if nothing is to stand before the kubelet's own API. */
  front?: FrontOptions;
  runtimeDir: string;
  operability: OperabilityOptions;
  logRequests: boolean;
  logPodPayloads: boolean;
  logFormat: LogFormat;
}

/** What a command line asks for. */
export type CommandLine =
  | { kind: "run"; options: Options }
  /** Help, the version or completions: what help.ts makes of the arguments is printed. */
  | { kind: "print"; args: readonly string[] }
  /** All that is wrong. `options` holds what could be read, so that files can be checked as well. */
  | { kind: "problems"; problems: Problem[]; options: Options };

/** Flags that ask for a text. They take effect wherever they stand. */
const META_FLAGS: ReadonlySet<string> = new Set(["-h", "--help", "--version", "--completion"]);

/** Flags that may be given more than once. */
export const REPEATABLE: ReadonlySet<string> = new Set([
  "--signature-verification-cert",
  "--allow-path",
  "--server",
  "--allow-volume",
  "--runtime-class",
  "--allow-device-driver",
]);

const BOOLEANS = booleanFlags(FLAGS);

const NAMES: ReadonlySet<string> = new Set(FLAGS.map(({ name }) => name));

/** The values of each flag that was given, in their order. */
type Given = ReadonlyMap<string, readonly string[]>;

/** The values, not read yet: so all mistakes are found at once. */
function readFlags(given: Given) {
  const all = (name: FlagName) => given.get(name) ?? [];
  const first = (name: FlagName) => all(name)[0];
  const orDefault = (name: FlagName) => first(name) ?? defaultOf(name);
  return {
    kubeconfig: first("--kubeconfig"),
    context: first("--context"),
    servers: all("--server"),
    listenAddr: orDefault("--listen-addr"),
    tlsCert: first("--tls-cert"),
    tlsKey: first("--tls-key"),
    clientCa: first("--client-ca"),
    ownLeg: first("--own-leg"),
    renewNodeCertificate: orDefault("--renew-node-certificate"),
    verificationCerts: all("--signature-verification-cert"),
    mode: orDefault("--mode"),
    nodeName: first("--node-name"),
    acceptForms: orDefault("--accept-forms"),
    requireDigests: orDefault("--require-digests"),
    allowPaths: all("--allow-path"),
    objects: {
      allowVolumes: all("--allow-volume"),
      runtimeClasses: all("--runtime-class"),
      deviceDrivers: all("--allow-device-driver"),
      rootCa: first("--pin-root-ca"),
      references: orDefault("--references"),
    },
    nodeApiAccess: orDefault("--node-api-access"),
    front: {
      listen: first("--kubelet-api-listen"),
      tlsCert: first("--kubelet-api-tls-cert"),
      tlsKey: first("--kubelet-api-tls-key"),
      clientCa: first("--kubelet-api-client-ca"),
      server: orDefault("--kubelet-api-server"),
      certificateAuthority: first("--kubelet-certificate-authority"),
      clientCertificate: first("--kubelet-client-certificate"),
      clientKey: first("--kubelet-client-key"),
      config: first("--kubelet-config"),
    },
    runtimeDir: orDefault("--runtime-dir"),
    operability: {
      metricsAddr: first("--metrics-addr"),
      decisionLog: first("--decision-log"),
    },
    logRequests: orDefault("--log-requests"),
    logPodPayloads: orDefault("--log-pod-payloads"),
    logFormat: orDefault("--log-format"),
  };
}

type Flags = ReturnType<typeof readFlags>;

/**
 * Reads a command line.
 *
 * @param similarTo the flags whose names are similar to an unknown one; see `similar_flags.ts`
 */
export function parseCommandLine(
  args: readonly string[],
  similarTo: (name: string) => readonly string[] = () => [],
): CommandLine {
  const spelledOut = spellOutBooleans(args, BOOLEANS);
  if (spelledOut.some((arg) => META_FLAGS.has(arg.split("=", 1)[0] ?? ""))) {
    return { kind: "print", args: spelledOut };
  }
  const { given, problems } = sortOut(spelledOut, similarTo);
  const options = validate(readFlags(given), problems);
  return problems.length === 0 ? { kind: "run", options } : { kind: "problems", problems, options };
}

/** Takes out what is no flag with a value, so that all of it is reported and the rest is read. */
function sortOut(
  args: readonly string[],
  similarTo: (name: string) => readonly string[],
): { given: Given; problems: Problem[] } {
  const given = new Map<string, string[]>();
  const problems: Problem[] = [];
  for (let index = 0; index < args.length; index++) {
    const arg = args[index] ?? "";
    const equals = arg.indexOf("=");
    const name = equals < 0 ? arg : arg.slice(0, equals);
    const next = args[index + 1];
    if (!NAMES.has(name)) {
      problems.push({
        path: "",
        message: name.startsWith("-")
          ? `unknown flag "${name}"${didYouMean(similarTo(name))}; see kubelet-proxy --help`
          : `unexpected argument "${arg}"; every value belongs to a flag; the commands are init, help and version`,
      });
      // What stands behind a misspelt flag is its value.
      if (name.startsWith("-") && equals < 0 && next !== undefined && !next.startsWith("-")) index++;
      continue;
    }
    // A flag is no value: its own value is missing then, and so is that of the one before it.
    const takesNext = equals < 0 && next !== undefined && !NAMES.has(next.split("=", 1)[0] ?? "");
    const value = equals < 0 ? (takesNext ? next : undefined) : arg.slice(equals + 1);
    if (takesNext) {
      index++;
    }
    if (value === undefined || value === "") {
      problems.push({ path: name, message: "needs a value" });
    } else if (given.has(name) && !REPEATABLE.has(name)) {
      problems.push({ path: name, message: "is given more than once; give it once" });
    } else {
      given.set(name, [...given.get(name) ?? [], value]);
    }
  }
  return { given, problems };
}

/** Reads the values; what cannot be read is reported and replaced by the default. */
function validate(flags: Flags, problems: Problem[]): Options {
  function report(path: FlagName, problem: string): void {
    problems.push({ path, message: problem });
  }
  function boolean(path: FlagName, value: string): boolean {
    const parsed = parseBoolean(value);
    if (parsed === undefined) {
      report(path, `"${value}" is neither true nor false`);
    }
    return parsed ?? defaultOf(path) === "true";
  }

  const reported = new Set(problems.map(({ path }) => path));
  if (flags.kubeconfig === undefined && !reported.has("--kubeconfig")) {
    report("--kubeconfig", "is required; give the path of the node's kubeconfig");
  }
  const servers: URL[] = [];
  for (const server of flags.servers) {
    const parsed = parseServer(server);
    if (typeof parsed === "string") {
      report("--server", parsed);
    } else {
      servers.push(parsed);
    }
  }
  const listenAddress = parseListenAddress(flags.listenAddr);
  if (listenAddress === undefined) {
    report("--listen-addr", `"${flags.listenAddr}" is no address; write HOST:PORT, [IPv6]:PORT or :PORT`);
  }
  if (flags.tlsCert !== undefined && flags.tlsKey === undefined && !reported.has("--tls-key")) {
    report("--tls-key", "is required with --tls-cert");
  }
  if (flags.tlsKey !== undefined && flags.tlsCert === undefined && !reported.has("--tls-cert")) {
    report("--tls-cert", "is required with --tls-key");
  }
  if (flags.clientCa !== undefined && flags.tlsCert === undefined && flags.tlsKey === undefined) {
    report("--client-ca", "needs --tls-cert and --tls-key: clients show certificates in TLS only");
  }
  const ownLegFolder = flags.ownLeg?.replace(/(?<=.)\/+$/, "");
  if (ownLegFolder !== undefined && !ownLegFolder.startsWith("/")) {
    report("--own-leg", `"${ownLegFolder}" is not absolute; give the full path`);
  }
  if (
    ownLegFolder !== undefined &&
    [flags.tlsCert, flags.tlsKey, flags.clientCa].some((value) => value !== undefined)
  ) {
    report("--own-leg", "stands for --tls-cert, --tls-key and --client-ca; leave those out");
  }
  if (flags.mode !== "enforce" && flags.mode !== "audit") {
    report("--mode", `"${flags.mode}" is no mode; use enforce or audit`);
  }
  const mode = flags.mode === "audit" ? "audit" : "enforce";
  if (
    mode === "enforce" && flags.verificationCerts.length === 0 &&
    !reported.has("--signature-verification-cert")
  ) {
    report(
      "--signature-verification-cert",
      "is required in enforce mode: without a trusted key nothing could run; get the certificate with podsign get-cert",
    );
  }
  if (flags.nodeName !== undefined && !isDnsSubdomain(flags.nodeName)) {
    report("--node-name", `"${flags.nodeName}" is no name of a node (RFC 1123 subdomain)`);
  }
  const acceptForms = readForms(flags.acceptForms, (problem) => report("--accept-forms", problem));
  const nodeApiAccess = readAccess(
    flags.nodeApiAccess,
    (problem) => report("--node-api-access", problem),
  );
  const ownClient = ownLegFolder === undefined ? undefined : ownLegFrontClient(ownLegFolder);
  const front = readFrontOptions(flags.front, ownClient, (flag, problem) => {
    if (!reported.has(flag)) report(flag, problem);
  });
  if (listenAddress !== undefined && front !== undefined && collide(listenAddress, front.listenAddress)) {
    report("--kubelet-api-listen", "has the port of --listen-addr; give each its own");
  }
  const objects = readObjectOptions(flags.objects, report);
  const allowedPaths: AllowedPath[] = [];
  for (const path of flags.allowPaths) {
    const parsed = parseAllowedPath(path);
    if (parsed.ok) {
      allowedPaths.push(parsed.allowed);
    } else {
      report("--allow-path", parsed.message);
    }
  }
  if (!flags.runtimeDir.startsWith("/")) {
    report("--runtime-dir", `"${flags.runtimeDir}" is not absolute; give the full path`);
  }
  if (flags.logFormat !== "text" && flags.logFormat !== "json") {
    report("--log-format", `"${flags.logFormat}" is no format; use text or json`);
  }
  return {
    kubeconfig: flags.kubeconfig ?? "",
    ...(flags.context === undefined ? {} : { context: flags.context }),
    servers,
    listenAddress: listenAddress ?? { hostname: "127.0.0.1", port: 0 },
    ...(flags.tlsCert === undefined || flags.tlsKey === undefined ? {} : {
      tls: {
        certificateFile: flags.tlsCert,
        keyFile: flags.tlsKey,
        ...(flags.clientCa === undefined ? {} : { clientCaFile: flags.clientCa }),
      },
    }),
    ...(ownLegFolder === undefined ? {} : { tls: ownLegTls(ownLegFolder), ownLegFolder }),
    renewNodeCertificate: boolean("--renew-node-certificate", flags.renewNodeCertificate),
    verificationCerts: flags.verificationCerts,
    mode,
    ...(flags.nodeName === undefined ? {} : { nodeName: flags.nodeName }),
    acceptForms,
    requireDigests: boolean("--require-digests", flags.requireDigests),
    allowedPaths,
    objects,
    nodeApiAccess,
    ...(front === undefined ? {} : { front }),
    runtimeDir: flags.runtimeDir.replace(/(?<=.)\/+$/, ""),
    operability: readOperabilityOptions(flags.operability, (flag, problem) => {
      if (!reported.has(flag)) report(flag, problem);
    }),
    logRequests: boolean("--log-requests", flags.logRequests),
    logPodPayloads: boolean("--log-pod-payloads", flags.logPodPayloads),
    logFormat: flags.logFormat === "json" ? "json" : "text",
  };
}

function readForms(text: string, report: (problem: string) => void): Set<SignatureForm> {
  const forms = new Set<SignatureForm>();
  for (const word of text.split(",").map((part) => part.trim())) {
    if (word === "template" || word === "spec") {
      forms.add(word);
    } else {
      report(`"${word}" is no form; use template, spec or both with a comma`);
    }
  }
  return forms;
}

function readAccess(text: string, report: (problem: string) => void): Set<NodeApiWord> {
  const access = new Set<NodeApiWord>();
  for (const word of text.split(",").map((part) => part.trim())) {
    if (isNodeApiWord(word)) {
      access.add(word);
    } else {
      report(`"${word}" is no part of the kubelet's API; use ${Object.keys(NODE_API_WORDS).join(", ")}`);
    }
  }
  return access;
}

function describe(name: FlagName): (typeof FLAGS)[number] {
  const flag = FLAGS.find((candidate) => candidate.name === name);
  if (flag === undefined) {
    throw new Error(`there is no flag ${name}`);
  }
  return flag;
}

function defaultOf(name: FlagName): string {
  return describe(name).default;
}
