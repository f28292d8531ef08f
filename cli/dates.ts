/**
 * Points in time on the command line: a date, or a duration from now.
 *
 * @module
 */
import { InputError } from "./input_error.ts";

/** RFC 3339 with a time zone, and fractions that are cut off. */
const RFC_3339 = /^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:[Zz]|[+-]\d{2}:\d{2})$/;

/** A day alone, RFC 3339 full-date. */
const DAY = /^\d{4}-\d{2}-\d{2}$/;

/** Go's durations, and weeks and days. */
const DURATION = /^(?:\d{1,6}[wdhms])+$/;

const UNIT_MS: Readonly<Record<string, number>> = {
  w: 7 * 24 * 60 * 60 * 1000,
  d: 24 * 60 * 60 * 1000,
  h: 60 * 60 * 1000,
  m: 60 * 1000,
  s: 1000,
};

/**
 * Reads a date such as `2030-01-02T03:04:05Z`, or a duration from now such as `720h`, `30d`, `2w`
 * or `1d12h`. A day alone, `2030-01-02`, means its beginning in UTC.
 *
 * @param text what was written
 * @param flag the flag it was given to, for the message
 * @param now what durations count from
 * @returns the date, with whole seconds
 * @throws {InputError} if the text is neither
 */
export function parseDate(text: string, flag: string, now: Date): Date {
  const time = DURATION.test(text)
    ? now.getTime() + durationMs(text)
    : DAY.test(text)
    ? dateMs(`${text}T00:00:00Z`)
    : RFC_3339.test(text)
    ? dateMs(text)
    : NaN;
  const date = new Date(Math.floor(time / 1000) * 1000);
  // Four digits of a year are all that RFC 3339 has.
  if (Number.isNaN(date.getTime()) || date.getUTCFullYear() > 9999) {
    throw new InputError([
      `${flag}: "${text}" is neither a date nor a duration: write for example 2030-01-02 (from 00:00 UTC), ` +
      "2030-01-02T03:04:05Z, 720h, 30d or 2w",
    ]);
  }
  return date;
}

function durationMs(text: string): number {
  let sum = 0;
  for (const [, count, unit] of text.matchAll(/(\d+)([wdhms])/g)) {
    sum += Number(count) * (UNIT_MS[unit ?? ""] ?? NaN);
  }
  return sum;
}

/** Refuses days and hours that do not exist, which Date would carry over. */
function dateMs(text: string): number {
  const time = Date.parse(text.toUpperCase());
  const [, year, month, day, hour] = /^(\d{4})-(\d{2})-(\d{2})[Tt](\d{2})/.exec(text) ?? [];
  const calendar = new Date(Date.UTC(Number(year), Number(month) - 1, Number(day)));
  const exists = calendar.getUTCMonth() === Number(month) - 1 && calendar.getUTCDate() === Number(day);
  return exists && Number(hour) < 24 ? time : NaN;
}
