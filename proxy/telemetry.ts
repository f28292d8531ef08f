/**
 * The log: one line per event on stderr, for people (text) or for machines (JSON).
 *
 * What peers send may stand in a line. So a line stays a line whatever is in it, and what looks like a credential is
 * blotted out, although nobody should have put it there.
 *
 * @module
 */
import { configureSync, getLogger, type LogLevel, type LogRecord } from "@logtape/logtape";
import type { Log, LogFields } from "./log.ts";

/** How lines are written. */
export type LogFormat = "text" | "json";

/** Longest text of one field or message, in characters: a large pod spec. No peer can fill the disk with one request. */
export const MAX_LOGGED_CHARACTERS = 16_000;

/** Most entries of one list that are written. */
export const MAX_LOGGED_ENTRIES = 20;

/** What a log is made of. */
export interface TelemetryOptions {
  format: LogFormat;
  /** Writes a whole line, line feed included. */
  write: (line: string) => void;
  now: () => Date;
  /** Whether debug events are written. Default: no. */
  debug?: boolean;
}

const LEVEL_NAMES: Readonly<Record<LogLevel, string>> = {
  trace: "trace",
  debug: "debug",
  info: "info",
  warning: "warn",
  error: "error",
  fatal: "error",
};

const CATEGORY = ["kubelet-proxy"];

/** Credentials that may have come in with a text: HTTP credentials, JSON Web Tokens, private keys. */
const CREDENTIALS: readonly (readonly [RegExp, string])[] = [
  [/\b(Bearer|Basic)\s+[A-Za-z0-9+/=._~-]+/gi, "$1 [redacted]"],
  [/\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*/g, "[redacted]"],
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g, "[redacted]"],
];

/** What each of these begins with: most texts hold none, and one look tells. */
const MAY_BE_CREDENTIAL = /bearer|basic|eyJ|PRIVATE KEY-/i;

/** Characters that move the cursor, break lines or turn the direction of text. */
const UNSAFE =
  // deno-lint-ignore no-control-regex
  /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]/g;

/** Makes the log of this process; it replaces one that was made before. */
export function createLog(options: TelemetryOptions): Log {
  const format = options.format === "json" ? formatJson : formatText;
  configureSync({
    reset: true,
    sinks: { lines: (record) => options.write(format(record)) },
    loggers: [
      { category: CATEGORY, sinks: ["lines"], lowestLevel: options.debug === true ? "debug" : "info" },
      // LogTape's word about itself.
      { category: ["logtape", "meta"], sinks: [] },
    ],
  });
  const logger = getLogger(CATEGORY);

  function emit(level: LogLevel, event: string, message: string, fields: LogFields = {}): void {
    // As a record: a message goes out as it is and is never read as a template.
    logger.emit({
      level,
      message: [message],
      rawMessage: message,
      timestamp: options.now().getTime(),
      properties: { event, fields },
    });
  }

  return {
    debug: (event, message, fields) => emit("debug", event, message, fields),
    info: (event, message, fields) => emit("info", event, message, fields),
    warn: (event, message, fields) => emit("warning", event, message, fields),
    error: (event, message, fields) => emit("error", event, message, fields),
  };
}

/** Blots out credentials and cuts what is too long. Control characters stay; the formats escape them. */
export function redact(text: string): string {
  // Cut first: the patterns then see a bounded text, and a secret that is cut in two is still recognised by its start.
  let safe = text.slice(0, MAX_LOGGED_CHARACTERS).toWellFormed();
  if (MAY_BE_CREDENTIAL.test(safe)) {
    for (const [pattern, replacement] of CREDENTIALS) {
      safe = safe.replace(pattern, replacement);
    }
  }
  return text.length > MAX_LOGGED_CHARACTERS ? `${safe}… (${text.length} characters)` : safe;
}

type Value = string | number | boolean | string[];

interface Line {
  time: string;
  level: string;
  event: string;
  message: string;
  fields: [string, Value][];
}

function readRecord(record: LogRecord): Line {
  const { event, fields } = record.properties;
  const entries: [string, Value][] = [];
  if (typeof fields === "object" && fields !== null) {
    for (const [name, value] of Object.entries(fields)) {
      const safe = readValue(value);
      if (safe !== undefined) {
        entries.push([name, safe]);
      }
    }
  }
  return {
    time: new Date(record.timestamp).toISOString(),
    level: LEVEL_NAMES[record.level],
    event: String(event),
    message: redact(record.message.map(String).join("")),
    fields: entries,
  };
}

function readValue(value: unknown): Value | undefined {
  switch (typeof value) {
    case "string":
      return redact(value);
    case "number":
    case "boolean":
      return value;
    default: {
      if (!Array.isArray(value)) {
        return undefined;
      }
      const shown = value.slice(0, MAX_LOGGED_ENTRIES).map((entry) => redact(String(entry)));
      return value.length > MAX_LOGGED_ENTRIES ? [...shown, `(${value.length} in all)`] : shown;
    }
  }
}

function formatJson(record: LogRecord): string {
  const { time, level, event, message, fields } = readRecord(record);
  // Fields cannot take the place of the own names.
  const own = { time, level, event, message };
  const others = fields.filter(([name]) => !Object.hasOwn(own, name));
  return escapeUnsafe(JSON.stringify(Object.fromEntries([...Object.entries(own), ...others]))) + "\n";
}

function formatText(record: LogRecord): string {
  const { time, level, event, message, fields } = readRecord(record);
  const words = fields.map(([name, value]) =>
    `${name}=${Array.isArray(value) ? `[${value.map(quote).join(", ")}]` : quote(String(value))}`
  );
  return [time, level.toUpperCase().padEnd(5), event + ":", escapeUnsafe(message), ...words].join(" ") + "\n";
}

/** A value that cannot be taken for two, or for a name with its value. */
function quote(text: string): string {
  return /^[A-Za-z0-9_./:@+%*-]+$/.test(text) ? text : escapeUnsafe(JSON.stringify(text));
}

/** Escapes characters that move the cursor, break lines or turn the direction of text. */
export function escapeUnsafe(text: string): string {
  return text.replace(UNSAFE, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
