import assert from "node:assert/strict";
import { parseDate } from "./dates.ts";
import { InputError } from "./input_error.ts";

const NOW = new Date("2024-02-28T12:00:00.750Z");

Deno.test("dates and durations become points in time with whole seconds", () => {
  const cases: [string, string][] = [
    ["2030-01-02T03:04:05Z", "2030-01-02T03:04:05.000Z"],
    ["2030-01-02t03:04:05z", "2030-01-02T03:04:05.000Z"],
    ["2030-01-02T03:04:05.999Z", "2030-01-02T03:04:05.000Z"],
    ["2030-01-02T03:04:05+02:00", "2030-01-02T01:04:05.000Z"],
    ["2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000Z"],
    ["2030-01-02", "2030-01-02T00:00:00.000Z"],
    ["1w", "2024-03-06T12:00:00.000Z"],
    ["1w1d", "2024-03-07T12:00:00.000Z"],
    ["720h", "2024-03-29T12:00:00.000Z"],
    ["30d", "2024-03-29T12:00:00.000Z"],
    ["1d12h", "2024-03-01T00:00:00.000Z"],
    ["90m", "2024-02-28T13:30:00.000Z"],
    ["15s", "2024-02-28T12:00:15.000Z"],
    ["0s", "2024-02-28T12:00:00.000Z"],
  ];
  for (const [text, expected] of cases) {
    assert.equal(parseDate(text, "--x", NOW).toISOString(), expected, text);
  }
});

Deno.test("refuses what is neither a date nor a duration", () => {
  const texts = [
    "",
    "tomorrow",
    "30",
    "-30d",
    "1.5h",
    "30y",
    "2030-1-2",
    "2030-01-02T03:04:05",
    "2030-01-02 03:04:05Z",
  ];
  const impossible = [
    "2023-02-29T00:00:00Z",
    "2023-02-29",
    "2030-13-01T00:00:00Z",
    "2030-01-01T24:00:00Z",
    "2030-01-01T00:60:00Z",
  ];
  for (const text of [...texts, ...impossible, "99999999d", "999999d999999d999999d999999d"]) {
    assert.throws(() => parseDate(text, "--x", NOW), InputError, text);
  }
});
