import assert from "node:assert/strict";
import { ManualClock } from "../../tests/fakes/clock.ts";
import { MemoryLog } from "../../tests/fakes/log.ts";
import { until } from "../fixture_test.ts";
import { ReloadCounts } from "../credentials/reload_counts.ts";
import { readCertificatesOf } from "./own_leg_certificates.ts";
import { DAY_MS, OWN_LEG_LIFETIMES, type OwnLegFile } from "./own_leg_files.ts";
import { planOwnLeg } from "./own_leg_plan.ts";
import { RENEWAL_INTERVAL_MS, renewOwnLeg } from "./own_leg_renewal.ts";

const WISHES = { nodeName: "worker", folder: "/leg", lifetimes: OWN_LEG_LIFETIMES };

/** Starts with a folder that was made some days ago. */
async function start(ageDays: number, change = (_: Map<OwnLegFile, string>) => {}, problem?: string) {
  const clock = new ManualClock();
  const log = new MemoryLog();
  const counts = new ReloadCounts();
  const files = new Map<OwnLegFile, string>();
  const plan = await planOwnLeg(
    files,
    { ...WISHES, port: 6443 },
    new Date(clock.now().getTime() - ageDays * DAY_MS),
  );
  assert.ok(plan.ok);
  for (const { file, text } of plan.writes) files.set(file, text);
  change(files);
  const disk: { problem: string | undefined } = { problem };
  const renewal = renewOwnLeg({
    folder: {
      read: () => Promise.resolve(new Map(files)),
      write(name, text) {
        if (disk.problem !== undefined) return Promise.reject(new Error(disk.problem));
        files.set(name, text);
        return Promise.resolve();
      },
    },
    wishes: WISHES,
    clock,
    log,
    counts,
  });
  /** Lets time pass up to the next look, and waits until it is over. */
  async function look(): Promise<void> {
    await clock.advance(RENEWAL_INTERVAL_MS);
    await until(() => clock.timers === 1);
  }
  await until(() => clock.timers === 1);
  return { clock, log, counts, files, disk, renewal, look };
}

Deno.test("certificates that are not due are left alone", async () => {
  const { clock, files, log, renewal, look } = await start(59);
  const before = new Map(files);
  await look();
  assert.deepEqual([files, log.events()], [before, []]);
  renewal.close();
  assert.equal(clock.timers, 0);
});

Deno.test("certificates that are due are renewed at once, and not again", async () => {
  const { clock, log, counts, files, renewal, look } = await start(61);
  const renewed = new Map(files);
  await look();
  assert.deepEqual(files, renewed);
  assert.deepEqual(log.events(), Array(3).fill("own-leg-renewed"));
  assert.deepEqual(counts.of("own-leg"), { taken: 3, refused: 0, stale: false });
  const [client] = readCertificatesOf(files.get("kubelet-client.pem") ?? "");
  assert.ok(client && client.notAfter.getTime() > clock.now().getTime() + 80 * DAY_MS);
  renewal.close();
});

Deno.test("a folder that cannot be written is told once for each problem, and tried again", async () => {
  const { log, counts, disk, renewal, look } = await start(61, undefined, "disk full");
  await look();
  await look();
  assert.deepEqual(log.events(), ["own-leg-not-renewed"]);
  assert.deepEqual(counts.of("own-leg"), { taken: 0, refused: 1, stale: true });
  disk.problem = undefined;
  await look();
  assert.deepEqual(log.events().slice(1), Array(3).fill("own-leg-renewed"));
  assert.equal(counts.of("own-leg").stale, false);
  renewal.close();
});

Deno.test("refuses to write over a file that is somebody else's", async () => {
  const { log, files, renewal } = await start(61, (files) => files.set("serving.pem", "somebody's"));
  assert.deepEqual(log.events(), ["own-leg-not-renewed"]);
  assert.equal(files.get("serving.pem"), "somebody's");
  renewal.close();
});
