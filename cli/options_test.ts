import assert from "node:assert/strict";
import { parse } from "@optique/core";
import { PODSIGN_FLAGS, PODSIGN_PARSER, type PodsignOptions, spellOut } from "./options.ts";

function accepted(args: string[]): PodsignOptions {
  const result = parse(PODSIGN_PARSER, spellOut(args));
  assert.ok(result.success, args.join(" "));
  return result.value;
}

function isAccepted(args: string[]): boolean {
  return parse(PODSIGN_PARSER, spellOut(args)).success;
}

Deno.test("a file may be named before or after the flags, and - is a file", () => {
  for (const args of [["sign-spec", "-n", "prod", "-"], ["sign-spec", "-", "--namespace=prod"]]) {
    const options = accepted(args);
    assert.ok(options.command === "sign-spec");
    assert.equal(options.file, "-");
    assert.equal(options.namespace, "prod");
    assert.equal(options.requireDigests, undefined);
  }
});

Deno.test("booleans are written as in Go", () => {
  for (const [flag, expected] of [["", true], ["=true", true], ["=false", false], ["=0", false]] as const) {
    const options = accepted(["verify-spec", `--require-digests${flag}`, "file"]);
    assert.ok(options.command === "verify-spec");
    assert.equal(options.requireDigests, expected);
  }
});

Deno.test("--cert is repeatable, --accept-forms is a list", () => {
  const options = accepted([
    "verify-spec",
    "--cert",
    "a",
    "--cert=b",
    "--accept-forms=spec,template",
    "file",
  ]);
  assert.ok(options.command === "verify-spec");
  assert.deepEqual(options.cert, ["a", "b"]);
  assert.deepEqual(options.acceptForms, new Set(["spec", "template"]));
});

Deno.test("each subcommand takes exactly the flags that the table gives it", () => {
  const values: Record<string, string> = {
    FORM: "spec",
    FORMS: "spec",
    FORMAT: "json",
    MODE: "warn",
    "": "true",
  };
  for (const command of ["sign-spec", "verify-spec", "get-cert", "show"]) {
    const file = command === "get-cert" ? [] : ["file"];
    for (const flag of PODSIGN_FLAGS) {
      const args = [command, `${flag.name}=${values[flag.value] ?? "x"}`, ...file];
      assert.equal(isAccepted(args), flag.commands.includes(command), args.join(" "));
    }
  }
});

Deno.test("refuses wrong values, unknown flags, missing and surplus files", () => {
  const lines = [
    [],
    ["sign"],
    ["sign-spec"],
    ["sign-spec", "a", "b"],
    ["sign-spec", "a", "--form=both"],
    ["sign-spec", "a", "-o", "text"],
    ["verify-spec", "a", "-o", "yaml"],
    ["verify-spec", "a", "--accept-forms=template,"],
    ["verify-spec", "a", "--require-digests=maybe"],
    ["get-cert", "a"],
    ["show", "a", "--key", "k"],
  ];
  for (const args of lines) assert.equal(isAccepted(args), false, args.join(" "));
});
