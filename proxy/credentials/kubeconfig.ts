/**
 * Reads a kubeconfig: which API server, which certificates to trust, and with what credential. Read strictly, since
 * a setting that is passed over in silence would weaken what its author believes to have.
 *
 * Source: `k8s.io/client-go/tools/clientcmd/api/v1/types.go`; Kubernetes, "Organizing Cluster Access Using kubeconfig
 * Files".
 *
 * @module
 */
import { decodeBase64 } from "@signed-pods/shared/base64";
import { isBearerToken } from "@signed-pods/shared/bearer-token";
import { EXEC_API_VERSIONS, type ExecPlugin } from "./exec_plugin.ts";
import { type Fields, isFields, parseStrictYaml } from "./strict_yaml.ts";

/** A PEM text in the kubeconfig, or the path of a file that holds one. */
export type PemSource = { kind: "file"; path: string } | { kind: "data"; text: string };

/** What a kubeconfig says about one context. */
export interface Kubeconfig {
  /** Name of the context that was read. */
  context: string;
  server: URL;
  certificateAuthority?: PemSource;
  insecureSkipTlsVerify: boolean;
  clientCertificate?: PemSource;
  clientKey?: PemSource;
  token?: string;
  /** Takes precedence over `token`, as in client-go. */
  tokenFile?: string;
  /** A program that gives the credential; then nothing else does. */
  exec?: ExecPlugin;
}

/** What came out of reading a kubeconfig. */
export type ParsedKubeconfig = { ok: true; kubeconfig: Kubeconfig } | { ok: false; problems: string[] };

/** Longest kubeconfig, in characters. One with ten clusters and all certificates inside has about 80,000. */
export const MAX_KUBECONFIG_CHARACTERS = 1024 * 1024;

/** Settings of a cluster that are read, or that change nothing here. */
const CLUSTER_FIELDS: ReadonlySet<string> = new Set([
  "server",
  "certificate-authority",
  "certificate-authority-data",
  "insecure-skip-tls-verify",
  // Answers are never asked for in compressed form.
  "disable-compression",
  "extensions",
]);

const USER_FIELDS: ReadonlySet<string> = new Set([
  "client-certificate",
  "client-certificate-data",
  "client-key",
  "client-key-data",
  "token",
  "tokenFile",
  "exec",
  "extensions",
]);

/** Settings of a credential plugin that are read, or that change nothing here. */
const EXEC_FIELDS: ReadonlySet<string> = new Set([
  "apiVersion",
  "command",
  "args",
  "env",
  "provideClusterInfo",
  "interactiveMode",
  "installHint",
]);

/** Where a cluster says something to credential plugins. */
const EXEC_EXTENSION = "client.authentication.k8s.io/exec";

/** Variables by which the loader of programs is told to load others; Deno lets nobody set them. */
const LOADER_VARIABLE = /^(LD|DYLD)_/;

/** Settings that exist and cannot be obeyed, and what to do instead. */
const REFUSED_FIELDS: ReadonlyMap<string, string> = new Map([
  ["proxy-url", "the API server is reached directly; take it out"],
  [
    "tls-server-name",
    "the name in the server's URL is checked; use a server URL whose name is in the certificate",
  ],
  [
    "auth-provider",
    "authentication providers are gone from Kubernetes; use a client certificate or a tokenFile",
  ],
  ["username", "kube-apiserver has no basic authentication; use a client certificate or a tokenFile"],
  ["password", "kube-apiserver has no basic authentication; use a client certificate or a tokenFile"],
  ...["as", "as-uid", "as-groups", "as-user-extra"].map((field): [string, string] => [
    field,
    "a node acts as itself; take impersonation out",
  ]),
]);

/** The files that a kubeconfig names. */
export function filesOf(kubeconfig: Kubeconfig): string[] {
  const { certificateAuthority, clientCertificate, clientKey, tokenFile } = kubeconfig;
  return [
    ...[certificateAuthority, clientCertificate, clientKey].flatMap((source) =>
      source?.kind === "file" ? [source.path] : []
    ),
    ...(tokenFile === undefined ? [] : [tokenFile]),
  ];
}

/** The folder that a kubeconfig lies in, to which relative paths in it are relative. */
export function folderOf(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash < 0 ? "." : path.slice(0, slash);
}

/**
 * Reads a kubeconfig.
 *
 * @param text YAML or JSON
 * @param directory folder of the file; relative paths in it are relative to that folder
 * @param context name of a context; by default the current context
 */
export function parseKubeconfig(text: string, directory: string, context?: string): ParsedKubeconfig {
  if (text.length > MAX_KUBECONFIG_CHARACTERS) {
    return { ok: false, problems: [`longer than ${MAX_KUBECONFIG_CHARACTERS} characters`] };
  }
  const parsed = parseStrictYaml(text);
  if (!parsed.ok) {
    return parsed;
  }
  const root = parsed.value;
  if (!isFields(root) || (root["kind"] ?? "Config") !== "Config" || (root["apiVersion"] ?? "v1") !== "v1") {
    return {
      ok: false,
      problems: ['not a kubeconfig: it must be a map with apiVersion "v1" and kind "Config"'],
    };
  }
  return new Reader(directory).read(root, context);
}

/** Reads the URL of an API server; a text says what is wrong with it. */
export function parseServer(text: string): URL | string {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== "https:" && url.protocol !== "http:")) {
    return `"${text}" is not an http or https URL`;
  }
  return url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== ""
    ? "must be a URL without credentials, query and fragment"
    : url;
}

/** Collects problems while it reads. */
class Reader {
  readonly problems: string[] = [];

  constructor(readonly directory: string) {}

  read(root: Fields, wanted: string | undefined): ParsedKubeconfig {
    const name = wanted ?? this.text(root, "current-context", "");
    if (name === undefined) {
      this.problems.push("there is no current-context; set one, or name one with --context");
      return { ok: false, problems: this.problems };
    }
    const context = this.entry(root, "contexts", name, "context");
    if (context === undefined) {
      return { ok: false, problems: this.problems };
    }
    const place = `context "${name}"`;
    const clusterName = this.required(context, "cluster", place);
    const userName = this.required(context, "user", place);
    const cluster = clusterName === undefined
      ? undefined
      : this.entry(root, "clusters", clusterName, "cluster");
    const user = userName === undefined ? undefined : this.entry(root, "users", userName, "user");
    const fromCluster = cluster === undefined ? undefined : this.cluster(cluster, `cluster "${clusterName}"`);
    const fromUser = user === undefined ? undefined : this.user(user, cluster, `user "${userName}"`);
    return this.problems.length > 0 || fromCluster === undefined || fromUser === undefined
      ? { ok: false, problems: this.problems }
      : { ok: true, kubeconfig: { context: name, ...fromCluster, ...fromUser } };
  }

  private cluster(
    cluster: Fields,
    place: string,
  ): Pick<Kubeconfig, "server" | "certificateAuthority" | "insecureSkipTlsVerify"> | undefined {
    this.known(cluster, CLUSTER_FIELDS, place);
    const server = this.server(this.required(cluster, "server", place), place);
    const certificateAuthority = this.pem(cluster, "certificate-authority", place);
    const insecure = cluster["insecure-skip-tls-verify"] ?? false;
    if (typeof insecure !== "boolean") {
      this.problems.push(`${place}: insecure-skip-tls-verify must be true or false`);
    } else if (insecure && certificateAuthority !== undefined) {
      this.problems.push(`${place}: both insecure-skip-tls-verify and a certificate authority; leave one`);
    }
    return server === undefined ? undefined : {
      server,
      ...(certificateAuthority === undefined ? {} : { certificateAuthority }),
      insecureSkipTlsVerify: insecure === true,
    };
  }

  private user(
    user: Fields,
    cluster: Fields | undefined,
    place: string,
  ): Pick<Kubeconfig, "clientCertificate" | "clientKey" | "token" | "tokenFile" | "exec"> {
    this.known(user, USER_FIELDS, place);
    const clientCertificate = this.pem(user, "client-certificate", place);
    const clientKey = this.pem(user, "client-key", place);
    if ((clientCertificate === undefined) !== (clientKey === undefined)) {
      this.problems.push(`${place}: a client certificate and its key must both be given`);
    }
    const token = this.text(user, "token", place);
    const tokenFile = this.text(user, "tokenFile", place);
    if (token !== undefined && !isBearerToken(token)) {
      this.problems.push(`${place}: token holds characters that no token has (RFC 6750 section 2.1)`);
    }
    const given = user["exec"] ?? undefined;
    const exec = given === undefined ? undefined : this.exec(given, cluster, `${place}: exec`);
    if (
      given !== undefined &&
      [clientCertificate, clientKey, token, tokenFile].some((other) => other !== undefined)
    ) {
      this.problems.push(`${place}: exec and another credential; leave one`);
    }
    return {
      ...(exec === undefined ? {} : { exec }),
      ...(clientCertificate === undefined ? {} : { clientCertificate }),
      ...(clientKey === undefined ? {} : { clientKey }),
      ...(token === undefined ? {} : { token }),
      ...(tokenFile === undefined ? {} : { tokenFile: this.path(tokenFile) }),
    };
  }

  private exec(exec: unknown, cluster: Fields | undefined, place: string): ExecPlugin | undefined {
    if (!isFields(exec)) {
      this.problems.push(`${place} must be a map`);
      return undefined;
    }
    this.known(exec, EXEC_FIELDS, place);
    const version = this.required(exec, "apiVersion", place);
    const apiVersion = EXEC_API_VERSIONS.find((known) => known === version);
    if (version !== undefined && apiVersion === undefined) {
      this.problems.push(
        `${place}: apiVersion "${version}" is not spoken; use ${EXEC_API_VERSIONS.join(" or ")}`,
      );
    }
    const command = this.required(exec, "command", place);
    if (command !== undefined && !command.includes("/")) {
      // A name would be looked for on a path that somebody else may have set.
      this.problems.push(`${place}: command "${command}" is a name; write the program's full path`);
    }
    const mode = this.text(exec, "interactiveMode", place);
    if (mode === undefined ? apiVersion === EXEC_API_VERSIONS[0] : !["Never", "IfAvailable"].includes(mode)) {
      this.problems.push(`${place}: interactiveMode must be Never or IfAvailable; there is no terminal`);
    }
    const provideClusterInfo = exec["provideClusterInfo"] ?? false;
    if (typeof provideClusterInfo !== "boolean") {
      this.problems.push(`${place}: provideClusterInfo must be true or false`);
    }
    const args = exec["args"] ?? [];
    if (!Array.isArray(args) || !args.every((arg) => typeof arg === "string")) {
      this.problems.push(`${place}: args must be a list of texts; write numbers in quotes`);
      return undefined;
    }
    const env = this.env(exec["env"] ?? [], place);
    if (apiVersion === undefined || command === undefined || env === undefined) {
      return undefined;
    }
    const clusterConfig = extensionOf(cluster);
    return {
      apiVersion,
      command: this.path(command),
      args,
      env,
      provideClusterInfo: provideClusterInfo === true,
      ...(clusterConfig === undefined ? {} : { clusterConfig }),
    };
  }

  private env(entries: unknown, place: string): Record<string, string> | undefined {
    const env = new Map<string, string>();
    for (const entry of Array.isArray(entries) ? entries : [undefined]) {
      const { name, value = "" } = isFields(entry) ? entry : {};
      if (
        typeof name !== "string" || !/^[^=\0]+$/.test(name) || typeof value !== "string" ||
        value.includes("\0")
      ) {
        this.problems.push(`${place}: env must be a list of maps with name and value, both texts`);
        return undefined;
      }
      if (LOADER_VARIABLE.test(name) || env.has(name)) {
        this.problems.push(`${place}: env "${name}" cannot be set, or is there twice; take it out`);
        return undefined;
      }
      env.set(name, value);
    }
    return Object.fromEntries(env);
  }

  private server(text: string | undefined, place: string): URL | undefined {
    if (text === undefined) {
      return undefined;
    }
    const parsed = parseServer(text);
    if (typeof parsed === "string") {
      this.problems.push(`${place}: server ${parsed}`);
      return undefined;
    }
    return parsed;
  }

  /** The named entry of one of the three lists. */
  private entry(root: Fields, list: string, name: string, field: string): Fields | undefined {
    const entries = root[list];
    const found = Array.isArray(entries)
      ? entries.filter((entry) => isFields(entry) && entry["name"] === name)
      : [];
    const [first] = found;
    const value = isFields(first) ? first[field] : undefined;
    if (found.length > 1) {
      this.problems.push(`${list}: "${name}" is there ${found.length} times; leave one`);
    } else if (found.length === 0) {
      this.problems.push(`${list}: there is no "${name}"`);
    } else if (!isFields(value)) {
      this.problems.push(`${list}: "${name}" has no ${field}`);
    } else {
      return value;
    }
    return undefined;
  }

  /** Data wins over a file, as in client-go. */
  private pem(fields: Fields, field: string, place: string): PemSource | undefined {
    const data = this.text(fields, `${field}-data`, place);
    const file = this.text(fields, field, place);
    if (data === undefined) {
      return file === undefined ? undefined : { kind: "file", path: this.path(file) };
    }
    try {
      // Line breaks are what other tools write into base64; the rest is read strictly.
      const bytes = decodeBase64(data.replace(/[ \r\n]/g, ""));
      return { kind: "data", text: new TextDecoder("utf-8", { fatal: true }).decode(bytes) };
    } catch {
      this.problems.push(`${place}: ${field}-data is not base64 of a PEM text`);
      return undefined;
    }
  }

  private known(fields: Fields, known: ReadonlySet<string>, place: string): void {
    for (const [field, value] of Object.entries(fields)) {
      if (known.has(field) || value === null || value === "") {
        continue;
      }
      const advice = REFUSED_FIELDS.get(field);
      this.problems.push(
        advice === undefined
          ? `${place}: "${field}" is not known, so it cannot be obeyed; take it out`
          : `${place}: ${field} is not supported: ${advice}`,
      );
    }
  }

  private required(fields: Fields, field: string, place: string): string | undefined {
    const before = this.problems.length;
    const value = this.text(fields, field, place);
    if (value === undefined && this.problems.length === before) {
      this.problems.push(`${place}: ${field} is missing`);
    }
    return value;
  }

  /** A text that is not empty; an empty one counts as absent, as in Go. */
  private text(fields: Fields, field: string, place: string): string | undefined {
    const value = fields[field] ?? "";
    if (typeof value !== "string") {
      this.problems.push(`${place === "" ? "" : `${place}: `}${field} must be a text; write it in quotes`);
      return undefined;
    }
    return value === "" ? undefined : value;
  }

  private path(path: string): string {
    return path.startsWith("/") ? path : `${this.directory}/${path}`;
  }
}

function extensionOf(cluster: Fields | undefined): unknown {
  const extensions = cluster?.["extensions"];
  const found: unknown = Array.isArray(extensions)
    ? extensions.find((extension) => isFields(extension) && extension["name"] === EXEC_EXTENSION)
    : undefined;
  return isFields(found) ? found["extension"] : undefined;
}
