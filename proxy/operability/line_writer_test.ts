import assert from "node:assert/strict";
import { ManualClock, settle } from "../../tests/fakes/clock.ts";
import { createLineWriter, type LineWriter, MAX_WAITING_LOG_CHARACTERS } from "./line_writer.ts";

/** A reader that takes bytes when it is told to. */
function make() {
  const clock = new ManualClock();
  const decoder = new TextDecoder();
  let taken = "";
  const asked: { bytes: Uint8Array; answer: PromiseWithResolvers<number> }[] = [];
  const writer: LineWriter = createLineWriter({
    write(bytes) {
      const answer = Promise.withResolvers<number>();
      asked.push({ bytes, answer });
      return answer.promise;
    },
    clock,
    recovered: (lost) => writer.write(`lost ${lost}\n`),
  });
  return {
    writer,
    clock,
    asked,
    text: () => taken,
    async take(atMost = Infinity) {
      const { bytes, answer } = asked.shift() ?? assert.fail("nothing is written");
      const part = bytes.subarray(0, atMost);
      taken += decoder.decode(part, { stream: true });
      answer.resolve(part.length);
      await settle();
    },
    async fail() {
      const { answer } = asked.shift() ?? assert.fail("nothing is written");
      answer.reject(new Deno.errors.BrokenPipe("broken pipe"));
      await settle();
    },
  };
}

Deno.test("lines are written in order, those that wait at once, also in parts of characters", async () => {
  const { writer, asked, text, take } = make();
  writer.write("one ü\n");
  writer.write("two\n");
  writer.write("three\n");
  // The first line alone, cut within a character.
  for (const bytes of [5, 2, 3]) await take(bytes);
  assert.equal(text(), "one ü\ntwo");
  await take();
  assert.equal(text(), "one ü\ntwo\nthree\n");
  assert.equal(asked.length, 0);
  writer.write("four\n");
  await take();
  assert.equal(text(), "one ü\ntwo\nthree\nfour\n");
  assert.equal(writer.lost, 0);
});

Deno.test("refuses to keep more than the bound for a reader that hangs, counts what is lost, and says so afterwards", async () => {
  const { writer, text, take } = make();
  writer.write("in the pipe\n");
  const line = `${"x".repeat(1023)}\n`;
  const room = MAX_WAITING_LOG_CHARACTERS / line.length;
  for (let count = 0; count < room + 5; count++) writer.write(line);
  assert.equal(writer.lost, 5);
  await take();
  assert.equal(text(), "in the pipe\n");
  await take();
  assert.equal(text().length, "in the pipe\n".length + MAX_WAITING_LOG_CHARACTERS);
  await take();
  assert.ok(text().endsWith("\nlost 5\n"));
  writer.write("after\n");
  await take();
  assert.ok(text().endsWith("\nlost 5\nafter\n"));
  assert.equal(writer.lost, 5);
});

Deno.test("a reader that is gone ends nothing; its lines are counted, and the next one is tried", async () => {
  const { writer, asked, text, take, fail } = make();
  writer.write("one\n");
  writer.write("two\n");
  await fail();
  await fail();
  assert.equal(writer.lost, 2);
  assert.equal(asked.length, 0, "nothing is tried again and again");
  writer.write("three\n");
  await take();
  await take();
  assert.equal(text(), "three\nlost 2\n");
});

Deno.test("at the end, what waits is written, or waited for no longer than the deadline", async () => {
  const { writer, clock, take } = make();
  await writer.flush(1_000);
  writer.write("one\n");
  let flushed = false;
  const end = () => writer.flush(1_000).then(() => flushed = true);
  const first = end();
  await settle();
  assert.ok(!flushed);
  await take();
  await first;
  assert.equal(clock.timers, 0);
  writer.write("two\n");
  flushed = false;
  const second = end();
  await clock.advance(999);
  assert.ok(!flushed);
  await clock.advance(1);
  await second;
});
