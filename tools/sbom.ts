/**
 * Prints what a program is made of as a CycloneDX 1.6 document (ECMA-424): the npm packages that its modules import, each with the
 * SHA-512 that deno.lock pins, and Deno itself. The same sources give the same bytes: there is no time and no serial number.
 *
 * ```sh
 * deno info --json proxy/main.ts | deno run --allow-read=deno.lock tools/sbom.ts kubelet-proxy
 * ```
 *
 * @module
 */
import { isJsonObject, type JsonObject, type JsonValue } from "../shared/json.ts";
import { VERSION } from "../shared/version.ts";

const ROOT = new URL("../", import.meta.url);

/** The licence of this repository. */
const LICENCE = "MIT";

/** What the document is made from. */
export interface SbomInput {
  /** Name of the program, for example `kubelet-proxy`. */
  program: string;
  version: string;
  /** Version of Deno, which runs the program and is a part of the compiled one. */
  denoVersion: string;
  /** What `deno info --json` prints of the program's main module. */
  info: JsonObject;
  /** deno.lock. */
  lock: JsonObject;
}

/** Thrown if the lock file or the module graph cannot vouch for a package. */
export class SbomError extends Error {
  override readonly name = "SbomError";
  constructor(
    readonly code: "module-broken" | "package-unknown" | "package-not-locked" | "integrity-unknown",
    message: string,
  ) {
    super(message);
  }
}

function objectOf(value: JsonValue | undefined): JsonObject {
  return value !== undefined && isJsonObject(value) ? value : {};
}

function textsOf(value: JsonValue | undefined): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];
}

/** Package URL: the at sign of a scope is written as %40 (purl specification, npm). */
function packageUrl(name: string, version: string): string {
  return `pkg:npm/${name.replace(/^@/, "%40")}@${version}`;
}

/** Hexadecimal SHA-512 of a `sha512-` integrity (Subresource Integrity). */
function sha512Of(id: string, integrity: JsonValue | undefined): string {
  const match = typeof integrity === "string" ? /^sha512-([A-Za-z0-9+/]{86}==)$/.exec(integrity) : null;
  if (match?.[1] === undefined) {
    throw new SbomError(
      "integrity-unknown",
      `deno.lock has no SHA-512 of ${id}; run deno install and commit the lock file`,
    );
  }
  return Array.from(atob(match[1]), (character) => character.charCodeAt(0).toString(16).padStart(2, "0"))
    .join("");
}

/**
 * The document.
 *
 * @throws {SbomError} if a module cannot be loaded, or a package is not in the lock file with its hash
 */
export function createSbom({ program, version, denoVersion, info, lock }: SbomInput): JsonObject {
  const packages = objectOf(info.npmPackages);
  const locked = objectOf(lock.npm);
  const roots = new Set<string>();
  for (const module of Array.isArray(info.modules) ? info.modules : []) {
    const { error, specifier, npmPackage } = objectOf(module);
    if (error !== undefined) throw new SbomError("module-broken", `${String(specifier)}: ${String(error)}`);
    if (typeof npmPackage === "string") roots.add(npmPackage);
  }
  const found = new Map<string, { component: JsonObject; dependencies: string[] }>();
  const rest = [...roots];
  for (let id = rest.pop(); id !== undefined; id = rest.pop()) {
    if (found.has(id)) continue;
    const { name, version, dependencies } = objectOf(packages[id]);
    if (typeof name !== "string" || typeof version !== "string") {
      throw new SbomError("package-unknown", `deno info does not describe ${id}`);
    }
    if (!Object.hasOwn(locked, id)) {
      throw new SbomError("package-not-locked", `${id} is not in deno.lock; run deno install`);
    }
    const component = {
      type: "library",
      "bom-ref": id,
      name,
      version,
      purl: packageUrl(name, version),
      hashes: [{ alg: "SHA-512", content: sha512Of(id, objectOf(locked[id]).integrity) }],
    };
    found.set(id, { component, dependencies: textsOf(dependencies) });
    rest.push(...textsOf(dependencies));
  }
  const ids = [...found.keys()].sort();
  const reference = `${program}@${version}`;
  const deno = `deno@${denoVersion}`;
  return {
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    version: 1,
    metadata: {
      component: {
        type: "application",
        "bom-ref": reference,
        name: program,
        version,
        licenses: [{ license: { id: LICENCE } }],
      },
    },
    components: [
      {
        type: "platform",
        "bom-ref": deno,
        name: "deno",
        version: denoVersion,
        purl: `pkg:github/denoland/deno@v${denoVersion}`,
      },
      ...ids.flatMap((id) => found.get(id)?.component ?? []),
    ],
    dependencies: [
      { ref: reference, dependsOn: [deno, ...[...roots].sort()] },
      { ref: deno, dependsOn: [] },
      ...ids.map((ref) => ({ ref, dependsOn: found.get(ref)?.dependencies.toSorted() ?? [] })),
    ],
  };
}

async function main(args: readonly string[]): Promise<void> {
  const [program] = args;
  if (program === undefined) {
    console.error("Usage: deno info --json FOLDER/main.ts | sbom.ts PROGRAM");
    Deno.exit(2);
  }
  const sbom = createSbom({
    program,
    version: VERSION,
    denoVersion: Deno.version.deno,
    info: JSON.parse(await new Response(Deno.stdin.readable).text()),
    lock: JSON.parse(await Deno.readTextFile(new URL("deno.lock", ROOT))),
  });
  console.log(JSON.stringify(sbom, null, 2));
}

if (import.meta.main) await main(Deno.args);
