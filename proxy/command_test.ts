import assert from "node:assert/strict";
import { splitCommand } from "./command.ts";

Deno.test("init is a command, everything else belongs to the proxy, and the words for help are flags", () => {
  const cases: [args: string[], command: "serve" | "init", flags: string[]][] = [
    [[], "serve", []],
    [["--kubeconfig", "init"], "serve", ["--kubeconfig", "init"]],
    [["init", "--node-name=a"], "init", ["--node-name=a"]],
    [["help"], "serve", ["--help"]],
    [["help", "init"], "init", ["--help"]],
    [["init", "help"], "init", ["--help"]],
    [["version"], "serve", ["--version"]],
  ];
  for (const [args, command, flags] of cases) {
    assert.deepEqual(splitCommand(args), { command, flags }, args.join(" "));
  }
});
