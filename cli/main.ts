/**
 * podsign: signs and verifies Kubernetes manifests on the owner's machine.
 *
 * ```sh
 * deno run --allow-read --allow-net --allow-env=SIGNING_SERVER_URL jsr:@signed-pods/podsign \
 *   sign-spec --key owner.pem --namespace prod deployment.yaml | kubectl apply -n prod -f -
 * ```
 *
 * `--port-forward` also needs `--allow-run=kubectl`.
 *
 * @module
 */
import type { ClientIdentity } from "./client_identity.ts";
import { readCommandLine } from "./command_line.ts";
import type { ChildProcess, Effects } from "./effects.ts";
import { podsign } from "./podsign.ts";
import { EXIT_OK, EXIT_USAGE, printErrors } from "./report.ts";

/** Exit code after a defect of podsign itself, as sysexits(3) EX_SOFTWARE. */
const EXIT_INTERNAL = 70;

async function writeAll(text: string): Promise<void> {
  const bytes = new TextEncoder().encode(text);
  let written = 0;
  while (written < bytes.length) written += await Deno.stdout.write(bytes.subarray(written));
}

function spawn(program: string, args: readonly string[]): ChildProcess {
  const child = new Deno.Command(program, {
    args: [...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  })
    .spawn();
  let running = true;
  const ended = child.status.then(() => {
    running = false;
  });
  return {
    stdout: child.stdout,
    stderr: child.stderr,
    ended,
    stop: () => {
      // A process that has just ended has no handle any more.
      if (running) child.kill("SIGTERM");
    },
  };
}

function env(name: string): string | undefined {
  // Without the permission the variable counts as not set: it only names a default.
  if (Deno.permissions.querySync({ name: "env", variable: name }).state !== "granted") return undefined;
  const value = Deno.env.get(name);
  return value === "" ? undefined : value;
}

async function fetchAs(url: string, init: RequestInit, identity?: ClientIdentity): Promise<Response> {
  if (identity === undefined) return await fetch(url, init);
  // A client that lives on would resume its TLS session. What has begun goes on after it is closed.
  using client = Deno.createHttpClient({ cert: identity.certificate, key: identity.key });
  return await fetch(url, { ...init, client });
}

const effects: Effects = {
  readFile: (path) => Deno.readFile(path),
  readStdin: async () => new Uint8Array(await new Response(Deno.stdin.readable).arrayBuffer()),
  writeOut: writeAll,
  writeError: (text) => Deno.stderr.writeSync(new TextEncoder().encode(text)),
  get stdoutIsTerminal() {
    return Deno.stdout.isTerminal();
  },
  get stderrIsTerminal() {
    return Deno.stderr.isTerminal();
  },
  now: () => new Date(),
  randomBytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
  sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  env,
  fetch: fetchAs,
  spawn,
};

async function main(args: readonly string[]): Promise<number> {
  const commandLine = readCommandLine(args);
  switch (commandLine.kind) {
    case "run":
      return await podsign(commandLine.options, effects);
    case "print":
      await effects.writeOut(commandLine.text);
      return EXIT_OK;
    case "nothing":
      effects.writeError(commandLine.text);
      return EXIT_USAGE;
    case "problem":
      printErrors(effects, [commandLine.problem]);
      return EXIT_USAGE;
    default: {
      const never: never = commandLine;
      return never;
    }
  }
}

if (import.meta.main) {
  try {
    Deno.exit(await main(Deno.args));
  } catch (error) {
    // The reader of a pipe that goes away is no defect.
    if (error instanceof Deno.errors.BrokenPipe) Deno.exit(EXIT_USAGE);
    console.error("podsign: internal error:", error);
    Deno.exit(EXIT_INTERNAL);
  }
}
