import assert from "node:assert/strict";
import { memoryLog, until } from "../fixture_test.ts";
import { systemClock } from "../clock.ts";
import {
  createDecisionLog,
  type DecisionFiles,
  decisionLogPaths,
  MAX_DECISION_LOG_BYTES,
  MAX_WAITING_DECISIONS,
  systemDecisionFiles,
} from "./decision_log.ts";

function make(path: string, files: DecisionFiles, maxBytes?: number) {
  const log = memoryLog();
  const lost: number[] = [];
  const decisions = createDecisionLog({
    path,
    files,
    clock: systemClock,
    log,
    lost: (lines) => void lost.push(lines),
    ...(maxBytes === undefined ? {} : { maxBytes }),
  });
  return { decisions, log, lost, events: () => log.events.map(({ event }) => event) };
}

async function inFolder(test: (path: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await test(`${folder}/decisions.log`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("lines are written in order, for the proxy's user alone, and are there after close", async () => {
  await inFolder(async (path) => {
    const { decisions, lost, log } = make(path, systemDecisionFiles);
    for (const line of ["1", "2", "3"]) decisions.write(line);
    await decisions.close(10_000);
    assert.equal(await Deno.readTextFile(path), "1\n2\n3\n");
    assert.equal(((await Deno.stat(path)).mode ?? 0) & 0o777, 0o600);
    assert.deepEqual([lost, log.events], [[], []]);
  });
});

Deno.test("a file that would become too large is rotated, and the oldest is overwritten", async () => {
  await inFolder(async (path) => {
    const { decisions } = make(path, systemDecisionFiles, 10);
    for (const line of ["aaaaaa", "bbbbbb", "cccccc", "dddddd", "eeeeee", "f"]) {
      decisions.write(line);
      await decisions.close(10_000);
    }
    const texts = await Promise.all(decisionLogPaths(path).map((file) => Deno.readTextFile(file)));
    assert.deepEqual(texts, ["eeeeee\nf\n", "dddddd\n", "cccccc\n", "bbbbbb\n"]);
    assert.ok(MAX_DECISION_LOG_BYTES > MAX_WAITING_DECISIONS * 8_000, "a full queue fits into one file");
  });
});

Deno.test("a line that was cut off is ended before the next one", async () => {
  await inFolder(async (path) => {
    await Deno.writeTextFile(path, '{"time":"2026');
    const { decisions } = make(path, systemDecisionFiles);
    decisions.write("1");
    decisions.write("2");
    await decisions.close(10_000);
    assert.equal(await Deno.readTextFile(path), '{"time":"2026\n1\n2\n');
  });
});

Deno.test("a file that was moved away by hand is made again", async () => {
  await inFolder(async (path) => {
    const { decisions } = make(path, systemDecisionFiles);
    decisions.write("1");
    await decisions.close(10_000);
    await Deno.rename(path, `${path}.old`);
    decisions.write("2");
    await decisions.close(10_000);
    assert.equal(await Deno.readTextFile(path), "2\n");
  });
});

Deno.test("a failure is logged once and counted, and writing goes on afterwards", async () => {
  await inFolder(async (path) => {
    await Deno.mkdir(path);
    const { decisions, lost, events } = make(path, systemDecisionFiles);
    decisions.write("1");
    await decisions.close(10_000);
    decisions.write("2");
    await decisions.close(10_000);
    assert.deepEqual(lost, [1, 1]);
    assert.deepEqual(events(), ["decision-log-failed"]);
    await Deno.remove(path);
    decisions.write("3");
    await decisions.close(10_000);
    assert.equal(await Deno.readTextFile(path), "3\n");
    assert.deepEqual(events(), ["decision-log-failed", "decision-log-recovered"]);
  });
});

Deno.test("refuses to let a disk that hangs fill memory, and does not wait for it", async () => {
  const hung = Promise.withResolvers<undefined>();
  const { decisions, lost, events } = make("/x", {
    size: () => hung.promise,
    byteAt: () => Promise.resolve(undefined),
    append: () => Promise.resolve(),
    rename: () => Promise.resolve(),
  });
  // The first is being written; the others wait.
  for (let line = 0; line < MAX_WAITING_DECISIONS + 3; line++) decisions.write(String(line));
  assert.deepEqual(lost, [1, 1]);
  assert.deepEqual(events(), ["decision-log-failed"]);
  await decisions.close(1);
  hung.resolve(undefined);
  await until(() => events().includes("decision-log-recovered"));
});
