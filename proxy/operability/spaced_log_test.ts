import assert from "node:assert/strict";
import { ManualClock } from "../../tests/fakes/clock.ts";
import { memoryLog } from "../fixture_test.ts";
import { LINE_SPACING_MS, spacedWarning } from "./spaced_log.ts";

Deno.test("one line in a second, with how many were left out before it", async () => {
  const clock = new ManualClock();
  const log = memoryLog();
  const warn = spacedWarning(log, clock, "event");
  const other = spacedWarning(log, clock, "other");
  for (const message of ["a", "b", "c"]) warn(message, { peer: message });
  other("d", {});
  await clock.advance(LINE_SPACING_MS - 1);
  warn("e", {});
  await clock.advance(1);
  warn("f", { peer: "f" });
  await clock.advance(LINE_SPACING_MS);
  warn("g", {});
  assert.deepEqual(log.events.map(({ event, message, fields }) => [event, message, fields]), [
    ["event", "a", { peer: "a" }],
    ["other", "d", {}],
    ["event", "f", { peer: "f", omitted: 3 }],
    ["event", "g", {}],
  ]);
});

Deno.test("a clock that is set back keeps no line back", () => {
  const log = memoryLog();
  let nowMs = 1_000_000;
  const warn = spacedWarning(log, { now: () => new Date(nowMs), after: () => () => {} }, "event");
  warn("before", {});
  nowMs -= 500_000;
  warn("after", {});
  assert.deepEqual(log.events.map(({ message }) => message), ["before", "after"]);
});
