import assert from "node:assert/strict";
import { readCommandLine } from "./command_line.ts";

Deno.test("flags are read, with and without an equals sign", () => {
  const args = [
    "--listen-addr",
    ":1",
    "--key-type=ec-p384",
    "--certificate-days",
    "7",
    "--allow-namespaces=a,b",
    "--insecure-allow-unauthenticated",
  ];
  assert.deepEqual(readCommandLine(args), {
    kind: "serve",
    raw: {
      listenAddr: ":1",
      keyDir: undefined,
      keyType: "ec-p384",
      certificateDays: 7,
      stage: undefined,
      tokenFile: undefined,
      tlsCert: undefined,
      tlsKey: undefined,
      clientCa: undefined,
      templatesOnly: undefined,
      allowNamespaces: new Set(["a", "b"]),
      auditLog: undefined,
      metricsAddr: undefined,
      insecureAllowUnauthenticated: true,
    },
    problems: [],
  });
});

Deno.test("rotate is a command with flags of its own", () => {
  const commandLine = readCommandLine(["rotate", "--key-dir=k", "--stage"]);
  assert.ok(commandLine.kind === "rotate");
  assert.deepEqual(commandLine.problems, []);
  assert.equal(commandLine.raw.keyDir, "k");
  assert.equal(commandLine.raw.stage, true);
});

Deno.test("refuses flags of another command", () => {
  const serve = readCommandLine(["--stage"]);
  assert.ok(serve.kind === "serve");
  assert.deepEqual(serve.problems, ["--stage: is no flag of the server; see signing-server --help"]);
  const rotate = readCommandLine(["rotate", "--token-file=t"]);
  assert.ok(rotate.kind === "rotate");
  assert.deepEqual(rotate.problems, ["--token-file: is no flag of rotate; see signing-server --help"]);
  const late = readCommandLine(["--key-dir=k", "rotate"]);
  assert.ok(late.kind === "serve");
  assert.equal(late.problems.length, 1);
});

Deno.test("help and version are printed wherever they are asked for", () => {
  const lines = ["-h", "--help", "--nonsense -h", "rotate --help", "help", "help rotate", "rotate help"];
  for (const args of lines.map((line) => line.split(" "))) {
    const commandLine = readCommandLine(args);
    assert.ok(commandLine.kind === "print" && commandLine.text.includes("--token-file FILE"), args.join(" "));
  }
  const version = readCommandLine(["--version"]);
  assert.ok(version.kind === "print" && version.text.startsWith("signing-server "));
  assert.deepEqual(readCommandLine(["version"]), version);
  const completion = readCommandLine(["completion", "bash"]);
  assert.ok(completion.kind === "print" && completion.text.includes("complete"));
});

Deno.test("refuses completions for no shell that is known", () => {
  for (const args of [["completion"], ["completion", "nonsense"]]) {
    const commandLine = readCommandLine(args);
    assert.ok(commandLine.kind === "serve" && commandLine.problems.length === 1, JSON.stringify(commandLine));
  }
});

Deno.test("refuses all mistakes at once, each in one line, and reads the rest", () => {
  const commandLine = readCommandLine([
    "--nonsense=1",
    "stray",
    "--key-dri",
    "keys",
    "--key-type=rsa-1024",
    "--insecure-allow-unauthenticated=maybe",
    "--listen-addr=:1",
    "--listen-addr=:2",
    "--token-file",
  ]);
  assert.ok(commandLine.kind === "serve");
  const { problems, raw } = commandLine;
  const mentions = [
    'unknown flag "--nonsense"',
    'unexpected argument "stray"',
    'unknown flag "--key-dri" (did you mean --key-dir?)',
    "--key-type: ",
    "--insecure-allow-unauthenticated: ",
    "--listen-addr: ",
    "--token-file: ",
  ];
  assert.equal(problems.length, mentions.length, problems.join("\n"));
  for (const [index, problem] of problems.entries()) {
    assert.ok(problem.startsWith(mentions[index] ?? "?"), problem);
    assert.ok(problem.endsWith("; see signing-server --help") && !/[\n`]|\.;/.test(problem), problem);
  }
  assert.equal(raw.listenAddr, ":1");
  assert.equal(raw.keyType, undefined);
});
