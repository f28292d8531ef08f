import assert from "node:assert/strict";
import fc from "fast-check";
import { MAX_REQUEST_FIELDS, parseRequestHead } from "./request_head.ts";

const HOST = "Host: 127.0.0.1:6443";

const parse = (...lines: string[]) => parseRequestHead(lines.join("\r\n"));

function taken(...lines: string[]) {
  const parsed = parse(...lines);
  assert.ok(parsed.ok, JSON.stringify(parsed));
  return parsed.head;
}

function refuses(status: number, ...lines: string[]): void {
  const parsed = parse(...lines);
  assert.equal(parsed.ok ? 200 : parsed.status, status, JSON.stringify(lines));
}

Deno.test("method, path and query as they were sent, and fields whatever the space around values", () => {
  const { method, target, fields, framing, keepAlive, expectsContinue } = taken(
    "GET /api/v1/pods?fieldSelector=spec.nodeName%3Dworker&watch=true HTTP/1.1",
    HOST,
    "User-Agent:kubelet/v1.36.3 \t",
    "ACCEPT: \tapplication/json",
    "accept: text/plain",
  );
  assert.equal(method, "GET");
  assert.equal(target, "/api/v1/pods?fieldSelector=spec.nodeName%3Dworker&watch=true");
  assert.equal(fields.get("user-agent"), "kubelet/v1.36.3");
  assert.equal(fields.get("accept"), "application/json, text/plain");
  assert.deepEqual([framing, keepAlive, expectsContinue], [{ kind: "none" }, true, false]);
});

Deno.test("how long the body is, and whether the connection lives on", () => {
  const post = "POST /a HTTP/1.1";
  assert.deepEqual(taken(post, HOST, "Content-Length: 12").framing, { kind: "length", bytes: 12 });
  assert.deepEqual(taken(post, HOST, "Transfer-Encoding: Chunked").framing, { kind: "chunked" });
  assert.deepEqual(taken(post, HOST).framing, { kind: "none" });
  assert.deepEqual(taken("GET /a HTTP/1.1", HOST, "Content-Length: 0").framing, { kind: "length", bytes: 0 });
  assert.equal(taken(post, HOST, "Connection: x, Close").keepAlive, false);
  assert.equal(taken(post, HOST, "Connection: x", "Connection: close").keepAlive, false);
  assert.equal(taken(post, HOST, "Connection: keep-alive").keepAlive, true);
  const expecting = [post, HOST, "Expect: 100-Continue"];
  assert.equal(taken(...expecting, "Content-Length: 1").expectsContinue, true);
  assert.equal(taken(...expecting).expectsContinue, false, "there is nothing to wait for");
});

Deno.test("refuses request lines that are not a method, a path and HTTP/1.1", () => {
  for (
    const line of [
      "",
      "GET",
      "GET /a",
      "GET /a ",
      "GET  /a HTTP/1.1",
      "GET /a  HTTP/1.1",
      " GET /a HTTP/1.1",
      "GET /a HTTP/1.1 ",
      "GET\t/a\tHTTP/1.1",
      "GET /a b HTTP/1.1",
      "get /a HTTP/1.1",
      "G@T /a HTTP/1.1",
      `${"G".repeat(21)} /a HTTP/1.1`,
      "GET a HTTP/1.1",
      "GET * HTTP/1.1",
      "OPTIONS * HTTP/1.1",
      "GET http://host/a HTTP/1.1",
      "CONNECT host:443 HTTP/1.1",
      "GET /caf\xe9 HTTP/1.1",
      "GET /a\0 HTTP/1.1",
      "GET /a\nX: y HTTP/1.1",
      "GET /a http/1.1",
    ]
  ) {
    refuses(400, line, HOST);
  }
});

Deno.test("refuses other versions of HTTP", () => {
  for (const version of ["0.9", "1.0", "1.2", "1.10", "2", "2.0", "3"]) {
    refuses(505, `GET /a HTTP/${version}`, HOST);
  }
  refuses(505, "PRI * HTTP/2.0");
});

Deno.test("refuses fields that read in two ways", () => {
  for (
    const line of [
      " folded: line",
      "\tfolded",
      "Name : value",
      "Na me: value",
      "Name",
      ": value",
      "N\xe4me: value",
      "Name: a\0b",
      "Name: a\rb",
      "Name: a\nb",
      "Name: \x7f",
      "",
    ]
  ) {
    refuses(400, "GET /a HTTP/1.1", HOST, line);
  }
});

Deno.test("refuses bodies whose length reads in two ways", () => {
  const post = "POST /a HTTP/1.1";
  for (
    const lines of [
      ["Content-Length: 1", "Content-Length: 1"],
      ["Content-Length: 1", "content-length: 2"],
      ["Content-Length: 1", "Transfer-Encoding: chunked"],
      ["Transfer-Encoding: chunked", "Content-Length: 0"],
      ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
      ["Transfer-Encoding: gzip, chunked"],
      ["Transfer-Encoding: chunked, identity"],
      ["Transfer-Encoding: identity"],
      ["Transfer-Encoding: "],
      ["Transfer-Encoding: \x0bchunked"],
      ["Content-Length: "],
      ["Content-Length: -1"],
      ["Content-Length: +1"],
      ["Content-Length: 1, 1"],
      ["Content-Length: 0x1"],
      ["Content-Length: 1 2"],
      [`Content-Length: ${"1".repeat(16)}`],
    ]
  ) {
    refuses(400, post, HOST, ...lines);
  }
});

Deno.test("refuses bodies of methods that have none", () => {
  for (const method of ["GET", "HEAD"]) {
    refuses(400, `${method} /a HTTP/1.1`, HOST, "Content-Length: 1");
    refuses(400, `${method} /a HTTP/1.1`, HOST, "Transfer-Encoding: chunked");
  }
});

Deno.test("refuses requests without a host, or with several", () => {
  refuses(400, "GET /a HTTP/1.1");
  refuses(400, "GET /a HTTP/1.1", HOST, HOST);
});

Deno.test("refuses to be expected anything but a word before the body", () => {
  refuses(417, "POST /a HTTP/1.1", HOST, "Expect: 200-ok", "Content-Length: 1");
  refuses(417, "POST /a HTTP/1.1", HOST, "Expect: 100-continue", "Expect: 100-continue");
});

Deno.test(`refuses more than ${MAX_REQUEST_FIELDS} fields`, () => {
  const lines = Array.from({ length: MAX_REQUEST_FIELDS - 1 }, (_, index) => `x-${index}: y`);
  assert.equal(taken("GET /a HTTP/1.1", HOST, ...lines).fields.get("x-0"), "y");
  refuses(431, "GET /a HTTP/1.1", HOST, ...lines, "x: y");
});

Deno.test("whatever comes is a head that can be written again, or refused", () => {
  const part = fc.constantFrom(
    "GET /a HTTP/1.1",
    HOST,
    "\r\n",
    "\n",
    "\r",
    ":",
    " ",
    "a",
    "Content-Length: 1",
    "\xff",
  );
  fc.assert(fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
    const parsed = parseRequestHead(parts.join(""));
    if (parsed.ok) {
      const { method, target } = parsed.head;
      assert.match(`${method} ${target}`, /^[A-Z]+ \/[\x21-\x7e]*$/);
      assert.equal(parsed.head.fields.count("host"), 1);
    }
  }));
});
