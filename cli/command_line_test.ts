import assert from "node:assert/strict";
import { readCommandLine } from "./command_line.ts";

function problemOf(args: string): string {
  const commandLine = readCommandLine(args.split(" "));
  assert.equal(commandLine.kind, "problem", args);
  return commandLine.kind === "problem" ? commandLine.problem : "";
}

Deno.test("a command line is a run, with its options", () => {
  const commandLine = readCommandLine(["verify-spec", "file", "--require-digests"]);
  assert.ok(commandLine.kind === "run" && commandLine.options.command === "verify-spec");
  assert.equal(commandLine.options.requireDigests, true);
});

Deno.test("-ojson is -o json, as for kubectl, and nothing is taken for it that is a value or a file", () => {
  const commandLine = readCommandLine(["sign-spec", "-nshop", "--key", "-ojson", "-ojson", "--", "-nofile"]);
  assert.ok(commandLine.kind === "run" && commandLine.options.command === "sign-spec");
  const { namespace, key, output, file } = commandLine.options;
  assert.deepEqual({ namespace, key, output, file }, {
    namespace: "shop",
    key: "-ojson",
    output: "json",
    file: "-nofile",
  });
});

Deno.test("help is printed for -h, --help and help, of everything and of a subcommand", () => {
  for (const args of ["-h", "--help", "help"]) {
    const commandLine = readCommandLine([args]);
    assert.ok(commandLine.kind === "print" && commandLine.text.includes("verify-spec"), args);
  }
  for (const args of [["sign-spec", "-h"], ["sign-spec", "--help"], ["sign-spec", "file", "-h"]]) {
    const commandLine = readCommandLine(args);
    assert.ok(commandLine.kind === "print" && commandLine.text.includes("--not-after"), args.join(" "));
  }
});

Deno.test("nothing at all is answered with the subcommands", () => {
  const commandLine = readCommandLine([]);
  assert.ok(commandLine.kind === "nothing" && commandLine.text.includes("podsign sign-spec FILE"));
});

Deno.test("refuses each mistake in one line that ends with where to read more", () => {
  const cases: [args: string, help: string, mentions: string][] = [
    ["sing-spec a", "podsign --help", "sign-spec"],
    ["--bogus", "podsign --help", '"--bogus"'],
    ["sign-spec", "podsign sign-spec --help", "FILE is missing"],
    ["sign-spec -n prod", "podsign sign-spec --help", "FILE is missing"],
    ["sign-spec -f a", "podsign sign-spec --help", "-f: name the file without a flag"],
    ["verify-spec --filename=a", "podsign verify-spec --help", "--filename: name the file without a flag"],
    ["sign-spec a -n prod b", "podsign sign-spec --help", 'one FILE at a time, but got "a" and "b"'],
    ["show a -- b", "podsign show --help", "one FILE at a time"],
    ["get-cert a", "podsign get-cert --help", "takes no FILE"],
    ["get-cert -f a", "podsign get-cert --help", '"-f"'],
    ["sign-spec --nonsense", "podsign sign-spec --help", 'unknown flag "--nonsense"'],
    ["sign-spec --kye k a", "podsign sign-spec --help", 'unknown flag "--kye" (did you mean --key?)'],
    [
      "verify-spec a --certs=c",
      "podsign verify-spec --help",
      'unknown flag "--certs" (did you mean --cert?)',
    ],
    [
      "get-cert --key k",
      "podsign get-cert --help",
      '"--key" is no flag of get-cert, but of sign-spec and verify',
    ],
    ["sign-spec a --nonsense b", "podsign sign-spec --help", '"--nonsense"'],
    ["show a --key k", "podsign show --help", '"--key"'],
    ["sign-spec a --form=x", "podsign sign-spec --help", "--form: "],
    ["sign-spec a --key", "podsign sign-spec --help", "--key requires"],
    ["sign-spec a -n x -n y", "podsign sign-spec --help", "-n cannot"],
  ];
  for (const [args, help, mentions] of cases) {
    const problem = problemOf(args);
    assert.ok(problem.endsWith(`; see ${help}`), problem);
    assert.ok(problem.includes(mentions), problem);
    assert.ok(!/[\n`]|\.;|^Error/.test(problem), problem);
  }
});
