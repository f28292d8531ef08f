import assert from "node:assert/strict";
import { readCommandLine } from "./command_line.ts";

Deno.test("flags are read, with and without an equals sign", () => {
  const args = ["--listen-addr", ":1", "--key-type=ec-p384", "--insecure-allow-unauthenticated"];
  assert.deepEqual(readCommandLine(args), {
    kind: "run",
    raw: {
      listenAddr: ":1",
      keyType: "ec-p384",
      tokenFile: undefined,
      insecureAllowUnauthenticated: true,
    },
    problems: [],
  });
});

Deno.test("help and version are printed wherever they are asked for", () => {
  for (const args of [["-h"], ["--help"], ["--nonsense", "-h"]]) {
    const commandLine = readCommandLine(args);
    assert.ok(commandLine.kind === "print" && commandLine.text.includes("--token-file FILE"), args.join(" "));
  }
  const version = readCommandLine(["--version"]);
  assert.ok(version.kind === "print" && version.text.startsWith("signing-server "));
});

Deno.test("refuses all mistakes at once, each in one line, and reads the rest", () => {
  const commandLine = readCommandLine([
    "--nonsense=1",
    "stray",
    "--key-type=rsa-1024",
    "--insecure-allow-unauthenticated=maybe",
    "--listen-addr=:1",
    "--listen-addr=:2",
    "--token-file",
  ]);
  assert.ok(commandLine.kind === "run");
  const { problems, raw } = commandLine;
  const mentions = [
    'unknown flag "--nonsense"',
    'unexpected argument "stray"',
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
