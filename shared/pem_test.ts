import assert from "node:assert/strict";
import fc from "fast-check";
import { SignedPodsError } from "./errors.ts";
import { readPemBlocks, writePem } from "./pem.ts";

const BYTES = new Uint8Array([1, 2, 3, 4]);

Deno.test("what is written is read again, whatever its length", () => {
  fc.assert(fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), (bytes) => {
    const [block, ...others] = readPemBlocks(writePem("PUBLIC KEY", bytes));
    assert.deepEqual([block?.label, [...block?.bytes ?? []], others.length], ["PUBLIC KEY", [...bytes], 0]);
  }));
});

Deno.test("lines have 64 characters and the text ends with a newline", () => {
  const lines = writePem("A", new Uint8Array(100)).split("\n");
  assert.deepEqual(lines.map((line) => line.length), [17, 64, 64, 8, 15, 0]);
});

Deno.test("text around blocks, white space at line ends and Windows line ends do not matter", () => {
  const block = writePem("B C", BYTES);
  const texts = [
    `notes\n${block}more --- notes\n`,
    block.replaceAll("\n", "\r\n"),
    block.replaceAll("\n", " \t\n"),
    `\ufeff${block}`,
    block.trimEnd(),
    block.replaceAll(/^/gm, "  "),
  ];
  for (const text of texts) {
    const blocks = readPemBlocks(text);
    assert.deepEqual(blocks.map(({ label, bytes }) => [label, [...bytes]]), [["B C", [...BYTES]]]);
  }
});

Deno.test("headers are kept apart from the content", () => {
  const text = "-----BEGIN K-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: x\n\nAQID\nBA==\n-----END K-----";
  const [block] = readPemBlocks(text);
  assert.deepEqual(block?.headers, ["Proc-Type: 4,ENCRYPTED", "DEK-Info: x"]);
  assert.deepEqual([...block?.bytes ?? []], [...BYTES]);
  assert.deepEqual(readPemBlocks(writePem("A", BYTES))[0]?.headers, []);
});

Deno.test("refuses broken PEM and names the line", () => {
  const block = writePem("A", BYTES);
  const cases: [string, number][] = [
    [`\n${block.replace(/-----END.*/, "")}`, 2],
    [`${block}-----END A-----`, 4],
    [`${block}${block.replace("END A", "END B")}`, 6],
    [`-----BEGIN A-----\n${block}`, 2],
    ["-----BEGIN A----\n", 1],
    ["-----BEGIN  A-----\n", 1],
    ["-----BEGIN A -----\n", 1],
    ["-----BEGIN \u00e9-----\n", 1],
    ["-----BEGIN A-----\n!!!!\n-----END A-----", 1],
    ["-----BEGIN A-----\nAQ\n-----END A-----", 1],
    ["-----BEGIN A-----\nA: b\nAQID\n-----END A-----", 1],
    ["-----BEGIN A-----\n-----END A-----", 1],
  ];
  for (const [text, line] of cases) {
    assert.throws(() => readPemBlocks(text), (error) => {
      assert.ok(error instanceof SignedPodsError && error.code === "pem-malformed");
      assert.ok(error.message.includes(`line ${line}:`), `${error.message} names line ${line}`);
      return true;
    });
  }
});

Deno.test("refuses a text without blocks", () => {
  for (const text of ["", "\n\n", "hello", "- ----BEGIN A-----"]) {
    assert.throws(() => readPemBlocks(text), { code: "pem-malformed" });
  }
});

Deno.test("a hostile boundary is judged in linear time", () => {
  const line = `-----BEGIN ${"a ".repeat(500_000)}!!`;
  assert.throws(() => readPemBlocks(line), { code: "pem-malformed" });
});
