import assert from "node:assert/strict";
import { followFiles, READING_INTERVAL_MS, SETTLING_MS } from "./file_follower.ts";
import { type FileReader, type FileSet, readFiles, textOf } from "./file_set.ts";
import { ReloadCounts } from "./reload_counts.ts";
import { ManualClock } from "../../tests/fakes/clock.ts";
import { MemoryLog } from "../../tests/fakes/log.ts";

/** A pair of files that must say the same. */
async function follow(files: Record<string, string>) {
  const reader: FileReader = {
    readText(path) {
      const text = files[path];
      return text === undefined ? Promise.reject(new Error("is not there")) : Promise.resolve(text);
    },
    describe: (error) => (error instanceof Error ? error.message : "?"),
  };
  const set: FileSet<string> = {
    name: "pair",
    read: () => readFiles(["/a", "/b", "/a"], reader),
    parse(contents) {
      try {
        const [a, b] = [textOf(contents, "/a"), textOf(contents, "/b")];
        return Promise.resolve(
          a === b
            ? { ok: true, value: a }
            : { ok: false, problems: [{ path: "/a", message: "does not belong to /b" }] },
        );
      } catch (error) {
        return Promise.resolve({ ok: false, problems: [{ path: "", message: reader.describe(error) }] });
      }
    },
  };
  const clock = new ManualClock();
  const log = new MemoryLog();
  const counts = new ReloadCounts();
  const applied: string[] = [];
  const follower = followFiles({
    loaded: { set, contents: await set.read() },
    apply(value) {
      if (value === "unfit") {
        throw new Error("cannot be applied");
      }
      applied.push(value);
    },
    clock,
    log,
    counts,
  });
  const events = () => log.lines.map(({ event }) => event);
  return { follower, clock, log, counts, applied, files, events };
}

const ROUND_MS = READING_INTERVAL_MS + SETTLING_MS;

Deno.test("files that do not change are left alone", async () => {
  const { clock, applied, events, follower } = await follow({ "/a": "1", "/b": "1" });
  await clock.advance(10 * ROUND_MS);
  assert.deepEqual([applied, events()], [[], []]);
  follower.close();
  assert.equal(clock.timers, 0);
});

Deno.test("a change is in force as soon as it has settled, once", async () => {
  const { clock, applied, events, files, counts, follower } = await follow({ "/a": "1", "/b": "1" });
  files["/a"] = "2";
  await clock.advance(READING_INTERVAL_MS);
  // The other file comes while the first settles: nobody needs to hear of it.
  files["/b"] = "2";
  await clock.advance(SETTLING_MS);
  assert.deepEqual(applied, []);
  await clock.advance(ROUND_MS);
  assert.deepEqual([applied, events()], [["2"], ["files-reloaded"]]);
  await clock.advance(10 * ROUND_MS);
  assert.deepEqual(applied, ["2"]);
  assert.deepEqual([...counts.entries()], [["pair", { taken: 1, refused: 0, stale: false }]]);
  follower.close();
});

Deno.test("refuses files that cannot be used: the old ones stay, and each content is reported once", async () => {
  const { clock, applied, events, files, counts, log, follower } = await follow({ "/a": "1", "/b": "1" });
  files["/a"] = "half";
  await clock.advance(10 * ROUND_MS);
  assert.deepEqual(counts.of("pair"), { taken: 0, refused: 1, stale: true });
  delete files["/a"];
  await clock.advance(10 * ROUND_MS);
  assert.deepEqual(events(), ["files-refused", "files-refused"]);
  assert.deepEqual(log.lines.map(({ fields }) => fields["problems"]), [
    ["/a does not belong to /b"],
    [" is not there"],
  ]);
  files["/a"] = "1";
  await clock.advance(10 * ROUND_MS);
  assert.equal(events().at(-1), "files-restored");
  assert.deepEqual(counts.of("pair"), { taken: 0, refused: 2, stale: false });
  files["/a"] = files["/b"] = "unfit";
  await clock.advance(10 * ROUND_MS);
  assert.equal(events().at(-1), "files-refused");
  files["/a"] = files["/b"] = "2";
  await clock.advance(10 * ROUND_MS);
  assert.deepEqual(applied, ["2"]);
  assert.deepEqual(counts.of("pair"), { taken: 1, refused: 3, stale: false });
  follower.close();
});

Deno.test("whoever asks is answered when the change is in force; several who ask are one reading", async () => {
  const { clock, applied, files, follower } = await follow({ "/a": "1", "/b": "1" });
  assert.equal(await follower.refresh(), false);
  files["/a"] = files["/b"] = "2";
  assert.equal(await follower.refresh(), false, "read a moment ago");
  await clock.advance(SETTLING_MS);
  const answers = Promise.all([follower.refresh(), follower.refresh()]);
  await clock.advance(SETTLING_MS);
  assert.deepEqual(await answers, [true, true]);
  assert.deepEqual(applied, ["2"]);
  files["/a"] = files["/b"] = "3";
  await clock.advance(SETTLING_MS);
  const late = follower.refresh();
  await clock.advance(0);
  follower.close();
  assert.equal(await late, false);
  assert.equal(await follower.refresh(), false);
  assert.deepEqual(applied, ["2"]);
  assert.equal(clock.timers, 0);
});
