import assert from "node:assert/strict";
import fc from "fast-check";
import { HttpClientError } from "./http_client_error.ts";
import { MAX_RESPONSE_FIELDS, parseResponseHead } from "./response_head.ts";

const parse = (...lines: string[]) => parseResponseHead(lines.join("\r\n"), "GET");

function refuses(lines: string[]): void {
  assert.throws(
    () => parse(...lines),
    (error) => error instanceof HttpClientError && error.code === "head-malformed",
    JSON.stringify(lines),
  );
}

Deno.test("status and fields, whatever the space around values", () => {
  const { status, headers, framing, keepAlive } = parse(
    "HTTP/1.1 200 OK",
    "Content-Type:application/json",
    'Warning: \t299 - "caf\xe9" \t',
    "warning: 299 - b",
    "X-Empty:",
    "Content-Length: 12",
  );
  assert.equal(status, 200);
  assert.deepEqual(headers, [
    ["content-type", "application/json"],
    ["warning", '299 - "caf\xe9"'],
    ["warning", "299 - b"],
    ["x-empty", ""],
    ["content-length", "12"],
  ]);
  assert.deepEqual(framing, { kind: "length", bytes: 12 });
  assert.equal(keepAlive, true);
});

Deno.test("how long the body is", () => {
  assert.deepEqual(parse("HTTP/1.1 200 OK", "Transfer-Encoding: Chunked").framing, { kind: "chunked" });
  assert.deepEqual(parse("HTTP/1.1 200").framing, { kind: "until-close" });
  for (const status of [100, 103, 204, 304]) {
    assert.deepEqual(parse(`HTTP/1.1 ${status} x`, "Content-Length: 7").framing, { kind: "none" });
  }
  assert.deepEqual(parseResponseHead("HTTP/1.1 200 OK\r\nContent-Length: 7", "HEAD").framing, {
    kind: "none",
  });
});

Deno.test("whether the connection lives on", () => {
  const length = "Content-Length: 0";
  assert.equal(parse("HTTP/1.1 200 OK", length, "Connection: x, Close").keepAlive, false);
  assert.equal(parse("HTTP/1.1 200 OK", length, "Connection: x", "Connection: close").keepAlive, false);
  assert.equal(parse("HTTP/1.1 200 OK", length, "Connection: keep-alive").keepAlive, true);
  assert.equal(parse("HTTP/1.0 200 OK", length).keepAlive, false);
  assert.equal(parse("HTTP/1.1 200 OK").keepAlive, false, "the body ends with it");
});

Deno.test("refuses status lines that are not of HTTP/1.1", () => {
  for (
    const line of [
      "",
      "HTTP/1.1",
      "HTTP/1.1 20",
      "HTTP/1.1 2000",
      "HTTP/1.1 099 x",
      "HTTP/1.1 200OK",
      "HTTP/1.1  200 OK",
      "HTTP/2 200 OK",
      "HTTP/1.2 200 OK",
      "http/1.1 200 OK",
      " HTTP/1.1 200 OK",
      "HTTP/1.1 200 O\nK",
      "ICY 200 OK",
    ]
  ) {
    refuses([line]);
  }
});

Deno.test("refuses fields that read in two ways", () => {
  for (
    const line of [
      "",
      "no colon",
      ": no name",
      "spaced : value",
      " folded: value",
      "\tfolded: value",
      "na\x00me: value",
      "name: val\x00ue",
      "name: val\rue",
      "name: val\nue",
      "name: \u0100",
    ]
  ) {
    refuses(["HTTP/1.1 200 OK", line]);
  }
});

Deno.test("refuses bodies whose length reads in two ways", () => {
  for (
    const lines of [
      ["Content-Length: 1", "Content-Length: 1"],
      ["Content-Length: 1, 1"],
      ["Content-Length: +1"],
      ["Content-Length: -1"],
      ["Content-Length: 0x1"],
      ["Content-Length: 1.0"],
      ["Content-Length: "],
      ["Content-Length: 9999999999999999"],
      ["Transfer-Encoding: gzip, chunked"],
      ["Transfer-Encoding: identity"],
      ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
      ["Transfer-Encoding: chunked", "Content-Length: 1"],
      ["Transfer-Encoding: ", "Content-Length: 1"],
    ]
  ) {
    refuses(["HTTP/1.1 200 OK", ...lines]);
    refuses(["HTTP/1.1 204 No Content", ...lines]);
  }
});

Deno.test(`refuses more than ${MAX_RESPONSE_FIELDS} fields`, () => {
  const fields = Array.from({ length: MAX_RESPONSE_FIELDS }, (_, index) => `x-${index}: ${index}`);
  assert.equal(parse("HTTP/1.1 200 OK", ...fields).status, 200);
  refuses(["HTTP/1.1 200 OK", ...fields, "x: y"]);
});

Deno.test("whatever comes is a head or refused by its code", () => {
  const line = fc.oneof(
    fc.string(),
    fc.constantFrom(
      "Content-Length: 5",
      "Transfer-Encoding: chunked",
      "Connection: close",
      "HTTP/1.1 200 OK",
    ),
  );
  fc.assert(fc.property(fc.array(line, { maxLength: 6 }), (lines) => {
    try {
      const { status, framing } = parse("HTTP/1.1 200 OK", ...lines);
      assert.equal(status, 200);
      assert.ok(framing.kind !== "none");
    } catch (error) {
      assert.ok(error instanceof HttpClientError && error.code === "head-malformed");
    }
  }));
});
