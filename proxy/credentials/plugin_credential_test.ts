import assert from "node:assert/strict";
import type { ExecCredential } from "./exec_credential.ts";
import { createPluginCredential, PLUGIN_INTERVAL_MS, RENEW_AHEAD_MS } from "./plugin_credential.ts";
import type { ProgramResult } from "./run_program.ts";
import { ManualClock, settle } from "../../tests/fakes/clock.ts";
import { MemoryLog } from "../../tests/fakes/log.ts";

const HOUR_MS = 3_600_000;

/** A plugin whose answers the test gives: each run takes the next one. */
function setUp() {
  const clock = new ManualClock();
  const log = new MemoryLog();
  const waiting: ((result: ProgramResult) => void)[] = [];
  const applied: ExecCredential[] = [];
  let runs = 0;
  const plugin = createPluginCredential({
    command: "/usr/bin/login",
    run() {
      runs++;
      return new Promise((resolve) => waiting.push(resolve));
    },
    read(stdout, now) {
      if (!stdout.startsWith("token")) {
        throw new Error("it printed garbage");
      }
      return { token: stdout, expiresAt: new Date(now.getTime() + HOUR_MS) };
    },
    apply(credential) {
      if (credential.token === "token of another node") {
        throw new Error("is another node's");
      }
      applied.push(credential);
    },
    clock,
    log,
  });
  const finish = async (result: Partial<ProgramResult>) => {
    await settle();
    waiting.shift()?.({ stdout: "", stderr: "", ...result });
    await settle();
  };
  return { clock, log, plugin, applied, finish, runs: () => runs };
}

Deno.test("all who wait are served by one run, and nobody waits while the credential holds", async () => {
  const { plugin, applied, finish, runs, clock, log } = setUp();
  const waiting = Promise.all([plugin.ensure(), plugin.ensure(), plugin.refresh()]);
  await finish({ stdout: "token 1" });
  await waiting;
  await clock.advance(HOUR_MS / 2);
  await plugin.ensure();
  assert.deepEqual([runs(), applied.map(({ token }) => token)], [1, ["token 1"]]);
  assert.deepEqual(log.events(), ["credential-renewed"]);
});

Deno.test("a credential is renewed before it expires, without anybody waiting", async () => {
  const { plugin, applied, finish, clock, runs } = setUp();
  const first = plugin.ensure();
  await finish({ stdout: "token 1" });
  await first;
  await clock.advance(HOUR_MS - RENEW_AHEAD_MS / 2);
  await plugin.ensure();
  await plugin.ensure();
  assert.equal(runs(), 2);
  await finish({ stdout: "token 2" });
  assert.deepEqual(applied.map(({ token }) => token), ["token 1", "token 2"]);
});

for (
  const [what, result] of [
    ["hangs", { problem: "it did not end within 30 s" }],
    ["exits non-zero", { problem: "it exited with status 1", stdout: "token 1" }],
    ["prints garbage", { stdout: "garbage" }],
    ["answers for another node", { stdout: "token of another node" }],
  ] as const
) {
  Deno.test(`refuses a plugin that ${what}; it is asked again later`, async () => {
    const { plugin, applied, finish, clock, log, runs } = setUp();
    const failing = plugin.ensure();
    failing.catch(() => {});
    await finish(result);
    await assert.rejects(failing);
    await assert.rejects(plugin.ensure());
    await plugin.refresh();
    assert.deepEqual([runs(), applied], [1, []], "not run again at once");
    assert.deepEqual(log.events(), ["credential-plugin-failed"]);
    await clock.advance(PLUGIN_INTERVAL_MS);
    const again = plugin.ensure();
    await finish({ stdout: "token 2" });
    await again;
    assert.equal(applied.length, 1);
  });
}

Deno.test("while a renewal fails, the credential of before is used until it expires", async () => {
  const { plugin, finish, clock } = setUp();
  const first = plugin.ensure();
  await finish({ stdout: "token 1" });
  await first;
  await clock.advance(HOUR_MS - 30_000);
  await plugin.ensure();
  await finish({ stdout: "garbage" });
  await plugin.ensure();
  await clock.advance(30_000);
  const last = plugin.ensure();
  last.catch(() => {});
  await finish({ stdout: "garbage" });
  await assert.rejects(last);
});

Deno.test("a refused credential runs the plugin, but an API server that refuses all does not keep it running", async () => {
  const { plugin, finish, clock, runs } = setUp();
  const first = plugin.ensure();
  await finish({ stdout: "token 1" });
  await first;
  await plugin.refresh();
  assert.equal(runs(), 1);
  await clock.advance(PLUGIN_INTERVAL_MS);
  const refreshed = plugin.refresh();
  await finish({ stdout: "token 2" });
  await refreshed;
  for (let time = 0; time < 10; time++) {
    await plugin.refresh();
  }
  assert.equal(runs(), 2);
});

Deno.test("what the plugin says on stderr is logged without the token", async () => {
  const { plugin, finish, log } = setUp();
  const first = plugin.ensure();
  await finish({ stdout: "token-canary", stderr: "got token-canary!" });
  await first;
  assert.deepEqual(log.of("credential-plugin-stderr").map(({ message }) => message), ["got [redacted]!"]);
});
