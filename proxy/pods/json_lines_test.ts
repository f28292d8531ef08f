import assert from "node:assert/strict";
import { createLineSplitter } from "./json_lines.ts";

const TEXT = '{"a":"é€😀"}\n\n{"b":1}\n{"rest":"ü"}';
const BYTES = new TextEncoder().encode(TEXT);

function split(
  bytes: Uint8Array,
  chunkBytes: number,
  maxLineBytes = 100,
): { lines: string[]; tooLong: boolean } {
  const splitter = createLineSplitter(maxLineBytes);
  const lines: string[] = [];
  let tooLong = false;
  for (let offset = 0; offset < bytes.length; offset += chunkBytes) {
    const completed = splitter.push(bytes.slice(offset, offset + chunkBytes));
    lines.push(...completed.lines.map(decode));
    tooLong = completed.tooLong;
  }
  const rest = splitter.rest();
  return { lines: [...lines, `rest:${decode(rest)}`], tooLong };
}

function decode(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
}

Deno.test("lines are the same at every chunk size, also when UTF-8 is split", () => {
  for (let chunkBytes = 1; chunkBytes <= BYTES.length; chunkBytes++) {
    assert.deepEqual(split(BYTES, chunkBytes), {
      lines: ['{"a":"é€😀"}', "", '{"b":1}', 'rest:{"rest":"ü"}'],
      tooLong: false,
    });
  }
});

Deno.test("the rest is empty after a last line feed", () => {
  assert.deepEqual(split(new TextEncoder().encode("one\n"), 2), { lines: ["one", "rest:"], tooLong: false });
});

Deno.test("a long line is put together from small chunks", () => {
  const long = "x".repeat(20_000);
  for (const chunkBytes of [1, 7, 4096]) {
    assert.deepEqual(split(new TextEncoder().encode(`${long}\n`), chunkBytes, 20_000).lines, [long, "rest:"]);
  }
});

Deno.test("refuses a line over the bound, after the lines before it, at every chunk size", () => {
  const bytes = new TextEncoder().encode("12345\n123456\n1\n");
  for (let chunkBytes = 1; chunkBytes <= bytes.length; chunkBytes++) {
    assert.deepEqual(split(bytes, chunkBytes, 5), { lines: ["12345", "rest:"], tooLong: true });
  }
});
