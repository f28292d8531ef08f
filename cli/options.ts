/**
 * podsign's command line: flags as data for help texts and docs/reference.md, and the parser.
 *
 * @module
 */
import {
  argument,
  choice,
  command,
  constant,
  multiple,
  object,
  option,
  optional,
  type OptionName,
  or,
  type Parser,
  string,
  type ValueParser,
} from "@optique/core";
import { type Message, message, text } from "@optique/core/message";
import {
  booleanFlags,
  type FlagDescription,
  flagHelp,
  parseBoolean,
  spellOutBooleans,
} from "@signed-pods/shared/command-line";
import { PERMISSIONS } from "@signed-pods/shared/pod/permissions";
import type { ReferencesMode } from "@signed-pods/shared/pod/verify";
import type { SignatureForm } from "@signed-pods/shared/verdict";
import { DEFAULT_SERVER, type KeyOptions, SERVER_VARIABLE } from "./key_source.ts";

/** A flag of podsign, with the subcommands that take it. */
export interface CommandFlag extends FlagDescription {
  commands: readonly string[];
}

const SIGNING = ["sign-spec", "show"];
const REMOTE = ["sign-spec", "verify-spec", "get-cert"];

/** Every flag of podsign. */
export const PODSIGN_FLAGS: readonly CommandFlag[] = [
  {
    name: "--key",
    value: "FILE",
    default: "",
    description: "Private key (PEM) to sign with; no server is asked then. verify-spec uses its public half.",
    commands: ["sign-spec", "verify-spec"],
  },
  {
    name: "--server",
    value: "URL",
    default: DEFAULT_SERVER,
    description: `Signing server; also from the environment variable ${SERVER_VARIABLE}.`,
    commands: REMOTE,
  },
  {
    name: "--token-file",
    value: "FILE",
    default: "",
    description: "File with the bearer token that the signing server requires.",
    commands: REMOTE,
  },
  {
    name: "--client-certificate",
    value: "FILE",
    default: "",
    description:
      "Certificate for client authentication (PEM) to show to a signing server that asks for one, in place of a token or " +
      "beside it. Needs --client-key.",
    commands: REMOTE,
  },
  {
    name: "--client-key",
    value: "FILE",
    default: "",
    description: "Private key of --client-certificate (PEM, not encrypted); one file may hold both.",
    commands: REMOTE,
  },
  {
    name: "--port-forward",
    value: "NAMESPACE/SERVICE",
    default: "",
    description:
      "Reach the signing server through kubectl port-forward. This crosses the API server: whoever controls it reads the " +
      "token and can have anything signed. get-cert is safe if you compare the fingerprint. SERVICE:PORT names a port " +
      "other than 8080.",
    commands: REMOTE,
  },
  {
    name: "--cert",
    value: "FILE",
    default: "",
    description:
      "Certificate or public key (PEM) that nodes trust; repeatable. sign-spec then refuses to print a " +
      "signature that none of them verifies. Without it the key's or the server's is used.",
    commands: ["sign-spec", "verify-spec"],
  },
  {
    name: "--all",
    value: "",
    default: "false",
    description:
      "Print the certificates of all the server's keys that are still valid, newest first: during a rotation nodes need " +
      "more than one.",
    commands: ["get-cert"],
  },
  {
    name: "--form",
    value: "FORM",
    default: "template",
    description:
      "What is signed: template (the workload's name, namespace, labels, annotations, dates and spec) or " +
      "spec (the spec alone).",
    commands: SIGNING,
  },
  {
    name: "--namespace",
    value: "NAMESPACE",
    default: "",
    description:
      "Namespace for manifests that name none, as with kubectl; another one in a manifest is an error. " +
      "Without either, pods may run in any namespace. Also -n.",
    commands: SIGNING,
  },
  {
    name: "--not-before",
    value: "TIME",
    default: "",
    description:
      "Nodes admit no pod before: a date (RFC 3339; a day alone begins at 00:00 UTC) or a duration from now, for " +
      "example 12h.",
    commands: SIGNING,
  },
  {
    name: "--not-after",
    value: "TIME",
    default: "",
    description:
      "Nodes admit no pod after: a date (RFC 3339; a day alone means 00:00 UTC, when it begins) or a duration " +
      "from now, for example 720h, 30d or 2w. " +
      "Pods that run by then keep running.",
    commands: SIGNING,
  },
  {
    name: "--allow",
    value: "PERMISSION",
    default: "",
    description:
      "Let something be added to the pods that is not in the manifest, such as a service mesh's container, or let " +
      "something change that they refer to: " +
      `${PERMISSIONS.map(({ form }) => form).join(", ")}. Repeatable; it is signed with the template.`,
    commands: SIGNING,
  },
  {
    name: "--with-config",
    value: "FILE",
    default: "",
    description:
      "File with ConfigMaps, Secrets or RuntimeClasses that the pods refer to, beside those in the manifest itself; " +
      "repeatable. Their content is signed with the pods (pinned); verify-spec compares it.",
    commands: [...SIGNING, "verify-spec"],
  },
  {
    name: "--references",
    value: "MODE",
    default: "warn",
    description:
      "What becomes of pods that refer to a ConfigMap, Secret or claim which is neither pinned nor allowed, as the " +
      "node's flag of the same name: enforce (refused), warn or off.",
    commands: [...SIGNING, "verify-spec"],
  },
  {
    name: "--require-digests",
    value: "",
    default: "false",
    description: "Refuse images that are named without a digest.",
    commands: ["sign-spec", "verify-spec"],
  },
  {
    name: "--accept-forms",
    value: "FORMS",
    default: "template,spec",
    description: "Forms of signature that count, as the node's flag of the same name.",
    commands: ["verify-spec"],
  },
  {
    name: "--output",
    value: "FORMAT",
    default: "",
    description:
      "sign-spec: yaml (the text as it was, with signatures; JSON stays JSON) or json. verify-spec, show " +
      "and get-cert: text or json. Also -o.",
    commands: ["sign-spec", "verify-spec", "show", "get-cert"],
  },
];

/** Flags of one letter. Each has a value. */
export const SHORT_FLAGS: ReadonlySet<string> = new Set(["-n", "-o"]);

/** Flags whose value stands in the next argument unless it is written with an equals sign. */
export const VALUE_FLAGS: ReadonlySet<string> = new Set([
  ...SHORT_FLAGS,
  ...PODSIGN_FLAGS.filter(({ value }) => value !== "").map(({ name }) => name),
]);

/** `podsign sign-spec`. */
export interface SignSpecOptions extends KeyOptions, TemplateOptions {
  readonly command: "sign-spec";
  readonly file: string;
  readonly cert: readonly string[];
  readonly requireDigests: boolean | undefined;
  readonly output: "yaml" | "json" | undefined;
}

/** What is to be signed. */
export interface TemplateOptions {
  readonly form: SignatureForm | undefined;
  readonly namespace: string | undefined;
  readonly notBefore: string | undefined;
  readonly notAfter: string | undefined;
  readonly allow: readonly string[];
  readonly withConfig: readonly string[];
  readonly references: ReferencesMode | undefined;
}

/** `podsign verify-spec`. */
export interface VerifySpecOptions extends KeyOptions {
  readonly command: "verify-spec";
  readonly file: string;
  readonly cert: readonly string[];
  readonly requireDigests: boolean | undefined;
  readonly acceptForms: ReadonlySet<SignatureForm> | undefined;
  readonly withConfig: readonly string[];
  readonly references: ReferencesMode | undefined;
  readonly output: "text" | "json" | undefined;
}

/** `podsign get-cert`. */
export interface GetCertOptions extends Omit<KeyOptions, "key"> {
  readonly command: "get-cert";
  readonly all: boolean | undefined;
  readonly output: "text" | "json" | undefined;
}

/** `podsign show`. */
export interface ShowOptions extends TemplateOptions {
  readonly command: "show";
  readonly file: string;
  readonly output: "text" | "json" | undefined;
}

/** A command line, read. */
export type PodsignOptions = SignSpecOptions | VerifySpecOptions | GetCertOptions | ShowOptions;

const FORMS: readonly SignatureForm[] = ["template", "spec"];

const REFERENCES_MODES: readonly ReferencesMode[] = ["enforce", "warn", "off"];

function isForm(word: string): word is SignatureForm {
  return FORMS.some((form) => form === word);
}

function describe(name: string): { description: Message } {
  return { description: message`${text(flagHelp(PODSIGN_FLAGS, name))}` };
}

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

/** Reads a list of forms, separated by commas. */
function forms(): ValueParser<"sync", ReadonlySet<SignatureForm>> {
  return {
    mode: "sync",
    metavar: "FORMS",
    placeholder: new Set(FORMS),
    parse(input) {
      const words = input.split(",");
      const known = words.filter(isForm);
      return known.length === words.length ? { success: true, value: new Set(known) } : {
        success: false,
        error: message`Expected ${"template"}, ${"spec"} or both with a comma, but got ${input}.`,
      };
    },
    format: (value) => [...value].join(","),
  };
}

const file = argument(string({ metavar: "FILE" }), {
  description: message`Manifest, YAML or JSON; ${"-"} reads standard input.`,
});

const textOption = (name: OptionName, metavar: "FILE" | "URL" | "NAMESPACE/SERVICE" | "TIME") =>
  optional(option(name, string({ metavar }), describe(name)));

const remoteOptions = {
  server: textOption("--server", "URL"),
  tokenFile: textOption("--token-file", "FILE"),
  clientCertificate: textOption("--client-certificate", "FILE"),
  clientKey: textOption("--client-key", "FILE"),
  portForward: textOption("--port-forward", "NAMESPACE/SERVICE"),
};

const keyOptions = { key: textOption("--key", "FILE"), ...remoteOptions };

const cert = multiple(option("--cert", string({ metavar: "FILE" }), describe("--cert")));

const requireDigests = optional(option("--require-digests", goBoolean(), describe("--require-digests")));

const referenceOptions = {
  withConfig: multiple(option("--with-config", string({ metavar: "FILE" }), describe("--with-config"))),
  references: optional(
    option("--references", choice(REFERENCES_MODES, { metavar: "MODE" }), describe("--references")),
  ),
};

const templateOptions = {
  form: optional(option("--form", choice(FORMS, { metavar: "FORM" }), describe("--form"))),
  namespace: optional(option("-n", "--namespace", string({ metavar: "NAMESPACE" }), describe("--namespace"))),
  notBefore: textOption("--not-before", "TIME"),
  notAfter: textOption("--not-after", "TIME"),
  allow: multiple(option("--allow", string({ metavar: "PERMISSION" }), describe("--allow"))),
  ...referenceOptions,
};

const reportOutput = optional(
  option("-o", "--output", choice(["text", "json"], { metavar: "FORMAT" }), describe("--output")),
);

/** Reads podsign's command line. Bare boolean flags must have been spelled out by {@linkcode spellOut}. */
export const PODSIGN_PARSER: Parser<"sync", PodsignOptions, unknown> = or(
  command(
    "sign-spec",
    object({
      command: constant("sign-spec"),
      file,
      ...keyOptions,
      cert,
      ...templateOptions,
      requireDigests,
      output: optional(
        option("-o", "--output", choice(["yaml", "json"], { metavar: "FORMAT" }), describe("--output")),
      ),
    }),
    { description: message`Print a manifest with signatures in place; comments and order stay as they are.` },
  ),
  command(
    "verify-spec",
    object({
      command: constant("verify-spec"),
      file,
      cert,
      ...keyOptions,
      acceptForms: optional(option("--accept-forms", forms(), describe("--accept-forms"))),
      requireDigests,
      ...referenceOptions,
      output: reportOutput,
    }),
    {
      description:
        message`Judge manifests and live objects as a node does. Exit code 0: all good; 1: something refused; 2: usage or input error.`,
    },
  ),
  command(
    "get-cert",
    object({
      command: constant("get-cert"),
      ...remoteOptions,
      all: optional(option("--all", goBoolean(), describe("--all"))),
      output: reportOutput,
    }),
    { description: message`Print the signing server's certificate, and its fingerprint on standard error.` },
  ),
  command(
    "show",
    object({ command: constant("show"), file, ...templateOptions, output: reportOutput }),
    { description: message`Print what would be signed: canonical JSON, one line for each pod template.` },
  ),
);

/** Arguments with every bare boolean flag written as `--flag=true`, and `-ojson` as `-o json`. */
export function spellOut(args: readonly string[]): string[] {
  return spellOutBooleans(splitShortFlags(args), booleanFlags(PODSIGN_FLAGS));
}

/** Arguments with `-ojson`, as kubectl's users write it, as `-o json`. Values of flags are left alone. */
function splitShortFlags(args: readonly string[]): string[] {
  const end = args.indexOf("--");
  return args.flatMap((arg, index) => {
    const isValue = (end >= 0 && index > end) || VALUE_FLAGS.has(args[index - 1] ?? "");
    const flag = arg.slice(0, 2);
    return isValue || arg.length === 2 || arg[2] === "=" || !SHORT_FLAGS.has(flag)
      ? [arg]
      : [flag, arg.slice(2)];
  });
}
