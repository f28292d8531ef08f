import assert from "node:assert/strict";
import fc from "fast-check";
import { createBodyDecoder, MAX_CHUNK_LINE_BYTES, MAX_TRAILER_BYTES } from "./body_decoder.ts";
import { HttpClientError, type HttpClientFailure } from "./http_client_error.ts";
import type { BodyFraming } from "./response_head.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);

/** Decodes a text in pieces that end at the given places. */
function decode(framing: BodyFraming, text: string, cuts: readonly number[] = []) {
  const decoder = createBodyDecoder(framing);
  const bytes = bytesOf(text);
  let content = "";
  let used = 0;
  let start = 0;
  for (const end of [...new Set(cuts)].sort((a, b) => a - b).concat(bytes.length)) {
    const pushed = decoder.push(bytes.subarray(start, end));
    content += pushed.content.map((piece) => new TextDecoder().decode(piece)).join("");
    used += pushed.used;
    if (used < end) break;
    start = end;
  }
  return { content, done: decoder.done, rest: text.slice(used), end: () => decoder.end() };
}

function refuses(framing: BodyFraming, text: string, code: HttpClientFailure = "body-malformed"): void {
  assert.throws(
    () => decode(framing, text).end(),
    (error) => error instanceof HttpClientError && error.code === code,
    JSON.stringify(text.slice(0, 80)),
  );
}

Deno.test("as long as Content-Length says", () => {
  const { content, done, rest, end } = decode({ kind: "length", bytes: 5 }, "helloHTTP/1.1");
  assert.deepEqual([content, done, rest], ["hello", true, "HTTP/1.1"]);
  end();
  assert.equal(decode({ kind: "length", bytes: 0 }, "x").rest, "x");
  assert.equal(decode({ kind: "none" }, "x").done, true);
  assert.equal(decode({ kind: "length", bytes: 5 }, "hell").done, false);
});

Deno.test("up to the end of the connection", () => {
  const decoder = createBodyDecoder({ kind: "until-close" });
  assert.equal(decoder.push(bytesOf("all")).used, 3);
  assert.equal(decoder.done, false);
  decoder.end();
  assert.equal(decoder.done, true);
});

Deno.test("in chunks, with extensions and a trailer, which nobody gets", () => {
  const { content, done, rest } = decode(
    { kind: "chunked" },
    "5\r\nhello\r\n00a ; name=value\r\n, world\r\n!\r\n0\r\nx-trailer: 1\r\n\r\nnext",
  );
  assert.deepEqual([content, done, rest], ["hello, world\r\n!", true, "next"]);
});

Deno.test("however a chunked body is cut, it is the same", () => {
  fc.assert(fc.property(
    fc.array(fc.string({ minLength: 1 }), { maxLength: 5 }),
    fc.array(fc.nat(200), { maxLength: 20 }),
    (chunks, cuts) => {
      const text = chunks.map((chunk) => `${bytesOf(chunk).length.toString(16)}\r\n${chunk}\r\n`).join("") +
        "0\r\n\r\n";
      const size = bytesOf(text).length;
      const decoder = createBodyDecoder({ kind: "chunked" });
      const bytes = bytesOf(text);
      const got: number[] = [];
      let start = 0;
      for (const end of [...cuts.filter((cut) => cut < size).sort((a, b) => a - b), size]) {
        const { content, used } = decoder.push(bytes.subarray(start, end));
        assert.equal(used, end - start);
        content.forEach((piece) => got.push(...piece));
        start = end;
      }
      assert.equal(decoder.done, true);
      assert.deepEqual(new Uint8Array(got), bytesOf(chunks.join("")));
    },
  ));
});

Deno.test("refuses chunks that read in two ways", () => {
  for (
    const text of [
      "\r\n",
      "x\r\n",
      "-1\r\n",
      "0x5\r\nhello\r\n",
      " 5\r\nhello\r\n",
      "5\nhello\n",
      "5\r\nhelloX\r\n",
      "5\r\nhello\n0\r\n\r\n",
      "5\r\nhello0\r\n\r\n",
      "123456789\r\n",
      "5 6\r\nhello\r\n",
      "5;\x00\r\nhello\r\n",
      "0\r\n\n",
    ]
  ) {
    refuses({ kind: "chunked" }, text);
  }
});

Deno.test("refuses lines and trailers that are too long", () => {
  const line = "0".repeat(7) + "5;" + "x".repeat(MAX_CHUNK_LINE_BYTES - 11) + "\r\n";
  assert.equal(line.length, MAX_CHUNK_LINE_BYTES);
  assert.equal(decode({ kind: "chunked" }, `${line}hello\r\n0\r\n\r\n`).content, "hello");
  refuses({ kind: "chunked" }, `5;${"x".repeat(MAX_CHUNK_LINE_BYTES)}\r\nhello`);
  refuses({ kind: "chunked" }, "0".repeat(MAX_CHUNK_LINE_BYTES + 1));
  const field = `x: ${"y".repeat(MAX_TRAILER_BYTES - 7)}\r\n`;
  assert.equal(decode({ kind: "chunked" }, `0\r\n${field}\r\n`).done, true);
  refuses({ kind: "chunked" }, `0\r\nx${field}\r\n`);
});

Deno.test("refuses a body that is cut", () => {
  refuses({ kind: "length", bytes: 5 }, "hell", "connection-ended");
  for (const text of ["", "5", "5\r\nhel", "5\r\nhello\r\n", "5\r\nhello\r\n0\r\n"]) {
    refuses({ kind: "chunked" }, text, "connection-ended");
  }
});
