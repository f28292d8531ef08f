import assert from "node:assert/strict";
import { until } from "../fixture_test.ts";
import { type ProgramRun, runProgram } from "./run_program.ts";
import { ManualClock } from "../../tests/fakes/clock.ts";

const RUN: ProgramRun = {
  command: "/bin/sh",
  args: [],
  env: {},
  timeoutMs: 30_000,
  maxStdoutBytes: 1000,
  maxStderrBytes: 10,
};

const shell = (script: string, over: Partial<ProgramRun> = {}, clock = new ManualClock()) =>
  runProgram({ ...RUN, args: ["-c", script], ...over }, clock);

Deno.test("a program gets its arguments, this environment and no other, and nothing to read", async () => {
  const { problem, stdout, stderr } = await shell('cat; echo "$A${HOME-}$1"; echo abcdefghijklmnop >&2', {
    env: { A: "a" },
  });
  assert.deepEqual([problem, stdout, stderr], [undefined, "a\n", "abcdefghij"]);
});

Deno.test("refuses a program that fails, is killed, or is not there", async () => {
  const problems = [
    await shell("exit 3"),
    await shell("kill -9 $$"),
    await shell("", { command: "/nowhere/at/all" }),
    await shell("", { command: "/etc/hostname" }),
  ].map(({ problem }) => problem);
  assert.deepEqual(problems.map((problem) => problem !== undefined), [true, true, true, true]);
  assert.match(problems[0] ?? "", /status 3/);
  assert.match(problems[1] ?? "", /SIGKILL/);
});

Deno.test("refuses a program that prints without end", async () => {
  const { problem, stdout } = await shell("while :; do echo 0123456789; done");
  assert.match(problem ?? "", /more than 1000 bytes/);
  assert.equal(stdout.length, 1000);
});

for (
  const [what, script] of [
    ["hangs", "exec sleep 600"],
    ["leaves something behind that holds its output", "sleep 5 & exit 0"],
  ] as const
) {
  Deno.test({
    name: `refuses a program that ${what}`,
    async fn() {
      const clock = new ManualClock();
      const result = shell(script, {}, clock);
      await until(() => clock.timers === 1);
      await clock.advance(RUN.timeoutMs);
      assert.match((await result).problem ?? "", /did not end/);
      assert.equal(clock.timers, 0);
    },
  });
}
