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
import { message } from "@optique/core/message";
import { run } from "@optique/run";
import { VERSION } from "@signed-pods/shared/version";
import type { ChildProcess, Effects } from "./effects.ts";
import { InputError } from "./input_error.ts";
import { PODSIGN_PARSER, type PodsignOptions, spellOut } from "./options.ts";
import { podsign } from "./podsign.ts";
import { EXIT_USAGE } from "./report.ts";

/** Exit code after a defect of podsign itself, as sysexits(3) EX_SOFTWARE. */
const EXIT_INTERNAL = 70;

/** Columns of the help text. Asking the terminal would need a permission. */
const HELP_WIDTH = 100;

function parseArguments(args: readonly string[]): PodsignOptions {
  return run(PODSIGN_PARSER, {
    programName: "podsign",
    args: spellOut(args),
    help: "both",
    version: { value: `podsign ${VERSION}`, command: true, option: true },
    completion: "both",
    brief: message`Signs and verifies Kubernetes manifests, so that nodes run only what their owner signed.`,
    colors: false,
    maxWidth: HELP_WIDTH,
    stdout: (text) => console.log(text),
    stderr: (text) => console.error(text),
    // The usage of all subcommands together is longer than the message is worth.
    aboveError: "none",
    errorExitCode: EXIT_USAGE,
    onExit: (code) => Deno.exit(code),
  });
}

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

async function readFile(path: string): Promise<Uint8Array> {
  try {
    return await Deno.readFile(path);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new InputError([`cannot read "${path}": ${reason}`], { cause: error });
  }
}

const effects: Effects = {
  readFile,
  readStdin: async () => new Uint8Array(await new Response(Deno.stdin.readable).arrayBuffer()),
  writeOut: writeAll,
  writeError: (text) => Deno.stderr.writeSync(new TextEncoder().encode(text)),
  get stderrIsTerminal() {
    return Deno.stderr.isTerminal();
  },
  now: () => new Date(),
  env,
  fetch: (url, init) => fetch(url, init),
  spawn,
};

if (import.meta.main) {
  try {
    Deno.exit(await podsign(parseArguments(Deno.args), effects));
  } catch (error) {
    // The reader of a pipe that goes away is no defect.
    if (error instanceof Deno.errors.BrokenPipe) Deno.exit(EXIT_USAGE);
    console.error("podsign: internal error:", error);
    Deno.exit(EXIT_INTERNAL);
  }
}
