/**
 * The owner of the workloads: signing-server and podsign, outside the cluster's network namespace.
 *
 * @module
 */
import type { JsonObject } from "@signed-pods/shared/json";
import { parseObject } from "./json.ts";
import { freePort, Program, run } from "./programs.ts";
import { done, notYet, until } from "./wait.ts";

/** Where the owner's programs are. */
export interface OwnerOptions {
  /** The folder of this run. */
  runDir: string;
  /** The podsign program. */
  podsign: string;
  /** The signing-server program. */
  signingServer: string;
}

/** How to sign; see `podsign sign-spec --help`. */
export interface SignOptions {
  namespace?: string;
  notAfter?: Date;
  /** A private key file instead of the signing server. */
  key?: string;
  form?: "template" | "spec";
  /** Permissions, as --allow takes them. */
  allow?: readonly string[];
  /** Objects whose content is signed with the manifest. */
  withConfig?: readonly JsonObject[];
}

/** Somebody who signs workloads. Made by {@linkcode startOwner}. */
export class Owner {
  readonly #options: OwnerOptions;
  /** Address of the signing server. */
  readonly server: string;
  /** PEM of the certificate that nodes verify with. */
  readonly certificate: string;

  constructor(options: OwnerOptions, server: string, certificate: string) {
    this.#options = options;
    this.server = server;
    this.certificate = certificate;
  }

  /** Runs podsign and returns what it prints. */
  podsign(args: string[], stdin?: string): Promise<string> {
    return run(this.#options.podsign, args, stdin === undefined ? {} : { stdin });
  }

  /** Signs one manifest and returns it as podsign prints it. */
  async sign(
    manifest: JsonObject,
    { namespace, notAfter, key, form, allow = [], withConfig = [] }: SignOptions = {},
  ): Promise<JsonObject> {
    const args = ["sign-spec", "--output=json"];
    args.push(key === undefined ? `--server=${this.server}` : `--key=${key}`);
    if (namespace !== undefined) args.push(`--namespace=${namespace}`);
    if (notAfter !== undefined) args.push(`--not-after=${formatTime(notAfter)}`);
    if (form !== undefined) args.push(`--form=${form}`);
    args.push(...allow.map((permission) => `--allow=${permission}`));
    if (withConfig.length > 0) {
      const file = `${this.#options.runDir}/with-config.json`;
      await Deno.writeTextFile(
        file,
        JSON.stringify({ kind: "List", apiVersion: "v1", items: [...withConfig] }),
      );
      args.push(`--with-config=${file}`);
    }
    return parseObject(await this.podsign([...args, "-"], JSON.stringify(manifest)));
  }
}

/** A time in RFC 3339 with whole seconds. */
export function formatTime(time: Date): string {
  return time.toISOString().replace(/\.\d+Z$/, "Z");
}

/** Starts the signing server and fetches its certificate. */
export async function startOwner(options: OwnerOptions): Promise<Owner> {
  const { runDir, signingServer } = options;
  for (const folder of ["log", "pid"]) await Deno.mkdir(`${runDir}/${folder}`, { recursive: true });
  const address = `127.0.0.1:${freePort()}`;
  const program = new Program({
    name: "signing-server",
    command: signingServer,
    args: [`--listen-addr=${address}`],
    runDir,
  });
  program.start();
  const server = `http://${address}`;
  const certificate = await until("the signing server gives its certificate", async () => {
    program.assertRunning();
    const response = await fetch(`${server}/signingcert`);
    const text = await response.text();
    return response.ok ? done(text) : notYet(`${response.status} ${text}`);
  });
  return new Owner(options, server, certificate);
}
