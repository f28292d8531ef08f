import assert from "node:assert/strict";
import { formatTime } from "./time.ts";

Deno.test("times have whole seconds, in UTC", () => {
  assert.equal(formatTime(new Date("2026-01-31T12:00:00.999+01:00")), "2026-01-31T11:00:00Z");
  assert.equal(formatTime(new Date(0)), "1970-01-01T00:00:00Z");
});

Deno.test("refuses a date that is none", () => {
  assert.throws(() => formatTime(new Date(Number.NaN)), RangeError);
});
