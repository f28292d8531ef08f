import assert from "node:assert/strict";
import { readHelp } from "./help.ts";
import { FLAGS } from "./options.ts";

async function text(...args: string[]): Promise<string> {
  const help = await readHelp(args);
  assert.ok(help.ok, JSON.stringify(help));
  return help.text;
}

Deno.test("the version is printed, whatever else is wrong", async () => {
  assert.equal(await text("--version"), "kubelet-proxy 0.1.0\n");
  assert.equal(await text("--version", "--nope"), "kubelet-proxy 0.1.0\n");
});

Deno.test("help names each flag, with its default", async () => {
  const help = await text("--help");
  assert.equal(await text("-h"), help);
  let from = help.indexOf("\n\n");
  for (const { name, default: preset } of FLAGS) {
    from = help.indexOf(`\n  ${name} `, from);
    assert.ok(from >= 0, `${name} is there, in the order of the table`);
    assert.ok(help.slice(from).replace(/\s+/g, " ").includes(preset), name);
  }
});

Deno.test("completions are a script for the shell", async () => {
  assert.match(await text("--completion", "bash"), /complete .*kubelet-proxy/);
});

Deno.test("refuses what asks for no text that there is", async () => {
  for (const args of [["--help=x"], ["--completion", "nosuchshell"]]) {
    const help = await readHelp(args);
    assert.ok(!help.ok);
    assert.deepEqual(help.problems.map(({ path }) => path), [""]);
  }
});
