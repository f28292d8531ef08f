/**
 * Writes docs/bounds.md, the table of all bounds, from the constants and their comments: `deno task generate`. With
 * `--check` it writes nothing and fails if the table is out of date.
 *
 * A bound is an exported constant of proxy/, shared/, signer/ or cli/ with MAX or TIMEOUT_MS in its name. Each needs a reason, which
 * is its comment, and a test: one that names it, or one that is listed here because it sets an option in its place.
 */

const ROOT = new URL("../", import.meta.url);
const PAGE = new URL("docs/bounds.md", ROOT);
const FOLDERS = ["proxy", "shared", "signer", "cli"];

/** Tests that reach a bound through an option, by constant: file, and the title's beginning. */
const BY_OPTION: Record<string, readonly [file: string, title: string]> = {
  "cli/port_forward.ts READY_TIMEOUT_MS": [
    "cli/port_forward_test.ts",
    "refuses when kubectl does not get ready in time, and stops it",
  ],
  "cli/manifest.ts MAX_DEPTH": [
    "cli/manifest_test.ts",
    "refuses nesting that is too deep, without overflowing the stack",
  ],
  "proxy/pods/judge.ts MAX_TRACKED_PODS": [
    "proxy/pods/judge_test.ts",
    "refuses more pods than can be kept track of",
  ],
  "proxy/pods/ledger.ts MAX_LEDGER_ENTRIES": [
    "proxy/pods/ledger_test.ts",
    "refuses one entry too many, but not a change",
  ],
  "proxy/listener.ts MAX_CONNECTIONS": ["proxy/listener_test.ts", "refuses connections over the bound"],
  "proxy/listener.ts MAX_HANDSHAKES": [
    "proxy/listener_test.ts",
    "refuses to let connections without a handshake keep out those with one",
  ],
  "proxy/listener.ts HANDSHAKE_TIMEOUT_MS": [
    "proxy/listener_test.ts",
    "refuses to wait for a handshake that does not come",
  ],
  "proxy/pods/rejector.ts MAX_REFUSED_PODS": [
    "proxy/pods/rejector_test.ts",
    "refuses more pods than the bound",
  ],
  "proxy/pods/retired_uids.ts MAX_RETIRED_UIDS": [
    "proxy/pods/retired_uids_test.ts",
    "refuses more rather than forget what the kubelet may still have",
  ],
  "proxy/pods/spacing.ts MAX_CONTROLLERS": [
    "proxy/pods/spacing_test.ts",
    "the controller that has been quiet for longest is forgotten over the bound",
  ],
  "proxy/upstream.ts RESPONSE_HEADERS_TIMEOUT_MS": ["proxy/upstream_test.ts", "refuses to wait for ever"],
  "proxy/failover.ts PROBE_TIMEOUT_MS": [
    "proxy/failover_test.ts",
    "a server that is ${state} is left within 5 s",
  ],
  "proxy/node_api/kubelet_connection.ts STREAM_IDLE_TIMEOUT_MS": [
    "proxy/node_api/node_api_front_test.ts",
    "refuses to keep a stream that is silent for too long",
  ],
  "proxy/node_api/node_api_front.ts MAX_FRONT_CONNECTIONS": [
    "proxy/node_api/node_api_front_test.ts",
    "refuses connections over the bound",
  ],
  "proxy/node_api/node_api_front.ts FRONT_HANDSHAKE_TIMEOUT_MS": [
    "proxy/node_api/node_api_front_test.ts",
    "refuses to wait: for a first",
  ],
  "proxy/node_api/node_api_front.ts FRONT_IDLE_TIMEOUT_MS": [
    "proxy/node_api/node_api_front_test.ts",
    "refuses to wait: for a first",
  ],
  "proxy/credentials/plugin_credential.ts PLUGIN_TIMEOUT_MS": [
    "proxy/credentials/run_program_test.ts",
    "refuses a program that ${what}",
  ],
  "proxy/credentials/plugin_credential.ts MAX_PLUGIN_OUTPUT_BYTES": [
    "proxy/credentials/run_program_test.ts",
    "refuses a program that prints without end",
  ],
  "proxy/credentials/plugin_credential.ts MAX_PLUGIN_STDERR_BYTES": [
    "proxy/credentials/run_program_test.ts",
    "refuses a program that prints without end",
  ],
  "signer/body.ts BODY_TIMEOUT_MS": ["signer/app_test.ts", "refuses a body that does not arrive in time"],
  "signer/key_folder.ts LOCK_TIMEOUT_MS": [
    "signer/key_folder_test.ts",
    "refuses to write while another process does",
  ],
  "signer/listener.ts HANDSHAKE_TIMEOUT_MS": [
    "signer/listener_test.ts",
    "refuses a client that does not finish its TLS handshake",
  ],
  "signer/listener.ts HEADERS_TIMEOUT_MS": [
    "signer/listener_test.ts",
    "refuses clients that send no headers",
  ],
  "signer/listener.ts REQUEST_TIMEOUT_MS": [
    "signer/listener_test.ts",
    "refuses clients that send no headers",
  ],
  "signer/listener.ts KEEP_ALIVE_TIMEOUT_MS": [
    "signer/listener_test.ts",
    "an idle connection is closed after a time",
  ],
};

const BOUND =
  /\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\nexport const ([A-Z0-9_]*(?:MAX_|TIMEOUT_MS)[A-Z0-9_]*)(?:: [^=]+)? = ([^;]+);/g;
const NAME = /^export const ([A-Z0-9_]*(?:MAX_|TIMEOUT_MS)[A-Z0-9_]*)\b/gm;

/** The page, and what is missing. */
export interface Bounds {
  page: string;
  problems: string[];
}

async function* sources(folder: string): AsyncGenerator<string> {
  const entries = await Array.fromAsync(Deno.readDir(new URL(`${folder}/`, ROOT)));
  for (const { name, isDirectory } of entries.sort((a, b) => a.name < b.name ? -1 : 1)) {
    if (isDirectory) {
      yield* sources(`${folder}/${name}`);
    } else if (name.endsWith(".ts")) {
      yield `${folder}/${name}`;
    }
  }
}

/** Reads all sources and tests. */
export async function readBounds(): Promise<Bounds> {
  const problems: string[] = [];
  const files = new Map<string, string>();
  for (const folder of [...FOLDERS, "tests/scenarios"]) {
    for await (const path of sources(folder)) {
      files.set(path, await Deno.readTextFile(new URL(path, ROOT)));
    }
  }
  const tests = [...files].filter(([path]) => path.endsWith("_test.ts"));
  const rows: string[] = [];
  for (const [path, text] of files) {
    if (path.endsWith("_test.ts") || path.startsWith("tests/")) {
      continue;
    }
    const described = new Set<string>();
    for (const [, comment = "", name = "", value = ""] of text.matchAll(BOUND)) {
      described.add(name);
      const test = testOf(path, name, tests);
      if (test === undefined) {
        problems.push(`${path}: no test reaches ${name}`);
      }
      const reason = comment.replaceAll(/\s*\n \* ?/g, " ").replaceAll(/\{@linkcode (\S+)\}/g, "$1").trim();
      rows.push(
        `| ${path} | \`${name}\` | ${value.trim()} | ${reason.replaceAll("|", "\\|")} | ${test ?? ""} |`,
      );
    }
    for (const [, name = ""] of text.matchAll(NAME)) {
      if (!described.has(name)) {
        problems.push(`${path}: ${name} has no comment that gives its reason`);
      }
    }
  }
  return { page: HEAD + rows.join("\n") + "\n", problems };
}

function testOf(path: string, name: string, tests: readonly [string, string][]): string | undefined {
  const listed = BY_OPTION[`${path} ${name}`];
  if (listed !== undefined) {
    const [file, title] = listed;
    const text = tests.find(([test]) => test === file)?.[1] ?? "";
    return ['Deno.test("', "Deno.test(`", "name: `"].some((before) => text.includes(before + title))
      ? `${file}: ${title}`
      : undefined;
  }
  const word = new RegExp(`\\b${name}\\b`);
  const own = path.replace(/\.ts$/, "_test.ts");
  const found = tests.filter(([, text]) => word.test(text)).map(([test]) => test);
  const near = `${path.split("/", 1)[0] ?? ""}/`;
  // shared/ has its tests in its own folder; of one name in two programs, each is another bound.
  return found.includes(own) ? own : found.find((test) => test.startsWith(near) || test.startsWith("tests/"));
}

const HEAD = `# Bounds

Whatever a peer can make grow, or wait, has a bound. What is over it gets a clear error and, where somebody should know, a line in
the log. This page is written by \`deno task generate\` from the constants; the last column names the test that reaches the bound.

Beside these, node:http bounds the heads of requests on the kubelet's own port, the metrics port and the signing-server. The API server's bodies on
routes without pods stream through and are never held; they end with the client, or with \`ANSWER_TIMEOUT_MS\`.

| file | constant | value | reason | test |
|---|---|---|---|---|
`;

if (import.meta.main) {
  const { page, problems } = await readBounds();
  for (const problem of problems) {
    console.error(`docs/bounds.md: ${problem}`);
  }
  const before = await Deno.readTextFile(PAGE).catch(() => "");
  if (!Deno.args.includes("--check")) {
    await Deno.writeTextFile(PAGE, page);
  } else if (before !== page) {
    console.error("docs/bounds.md is out of date; run deno task generate");
    Deno.exit(1);
  }
  if (problems.length > 0) {
    Deno.exit(1);
  }
}
