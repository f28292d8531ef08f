import assert from "node:assert/strict";
import { createLog, type LogFormat, MAX_LOGGED_CHARACTERS, MAX_LOGGED_ENTRIES, redact } from "./telemetry.ts";

function capture(format: LogFormat, debug = false) {
  const lines: string[] = [];
  const log = createLog({ format, write: (line) => lines.push(line), now: () => new Date(0), debug });
  return { lines, log };
}

Deno.test("text: one line per event, fields as name=value", () => {
  const { lines, log } = capture("text");
  log.info("request", "answered", {
    code: 200,
    ok: true,
    path: "/api/v1",
    name: "two words",
    gone: undefined,
    list: ["a", "b c"],
  });
  assert.deepEqual(lines, [
    '1970-01-01T00:00:00.000Z INFO  request: answered code=200 ok=true path=/api/v1 name="two words" list=[a, "b c"]\n',
  ]);
});

Deno.test("json: one object per event, own names first", () => {
  const { lines, log } = capture("json");
  log.warn("request-refused", "no", { code: 403, list: ["a"], gone: undefined });
  assert.deepEqual(lines.map((line) => JSON.parse(line)), [
    {
      time: "1970-01-01T00:00:00.000Z",
      level: "warn",
      event: "request-refused",
      message: "no",
      code: 403,
      list: ["a"],
    },
  ]);
});

Deno.test("refuses fields that would take the place of time, level, event or message", () => {
  const { lines, log } = capture("json");
  log.error("real", "real", { event: "forged", level: "info", message: "forged", time: "never" });
  assert.deepEqual(JSON.parse(lines.join("")), {
    time: "1970-01-01T00:00:00.000Z",
    level: "error",
    event: "real",
    message: "real",
  });
});

Deno.test("levels: debug only when asked for", () => {
  const quiet = capture("text");
  quiet.log.debug("e", "m");
  assert.equal(quiet.lines.length, 0);
  const loud = capture("text", true);
  loud.log.debug("e", "m");
  loud.log.error("e", "m");
  assert.deepEqual(loud.lines.map((line) => line.split(" ")[1]), ["DEBUG", "ERROR"]);
});

Deno.test("refuses to let a text break its line or write into the terminal", () => {
  for (const format of ["text", "json"] as const) {
    const { lines, log } = capture(format);
    log.info("e", "a\nb\r\u2028\u001b[31m\u202e", { field: "x\ny\u0000\u009b{name} event=forged" });
    const text = lines.join("");
    assert.equal(text.indexOf("\n"), text.length - 1);
    // deno-lint-ignore no-control-regex
    assert.doesNotMatch(text.slice(0, -1), /[\u0000-\u001f\u007f-\u009f\u2028\u202e]/);
  }
});

Deno.test("a message is never read as a template", () => {
  const { lines, log } = capture("text");
  log.info("e", "{event} {fields}");
  assert.match(lines.join(""), /e: \{event\} \{fields\}\n$/);
});

Deno.test("refuses credentials, wherever they stand", () => {
  const token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl";
  const texts = [
    "Authorization: Bearer abc.def",
    "basic dXNlcjpwYXNz",
    `token is ${token}`,
    "-----BEGIN EC PRIVATE KEY-----\nabc\n-----END EC PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\nabc",
  ];
  for (const text of texts) {
    const safe = redact(text);
    assert.match(safe, /\[redacted\]/);
    assert.doesNotMatch(safe, /abc|dXNlcjpwYXNz|eyJ/);
  }
  const { lines, log } = capture("json");
  log.info("e", `m ${token}`, { one: token, many: [token] });
  assert.doesNotMatch(lines.join(""), /eyJ/);
});

Deno.test("refuses to write more than the bounds", () => {
  const { lines, log } = capture("json");
  log.info("e", "m", {
    long: "a".repeat(MAX_LOGGED_CHARACTERS + 1),
    many: Array(MAX_LOGGED_ENTRIES + 1).fill("a"),
  });
  const { long, many } = JSON.parse(lines.join(""));
  assert.equal(long, `${"a".repeat(MAX_LOGGED_CHARACTERS)}… (${MAX_LOGGED_CHARACTERS + 1} characters)`);
  assert.equal(many.length, MAX_LOGGED_ENTRIES + 1);
  assert.equal(many.at(-1), `(${MAX_LOGGED_ENTRIES + 1} in all)`);
});
