import assert from "node:assert/strict";
import {
  endsInDoubtfulSpaces,
  hasTabAsIndentation,
  isClosed,
  isExplicitKey,
  isJoinedToValue,
  isKeyOverLines,
  jsonEscapeIn,
  tabsInIndentation,
  type TextRange,
} from "./yaml_layout.ts";

function rangeOf(text: string, part: string): TextRange {
  const start = text.indexOf(part);
  assert.ok(start >= 0);
  return [start, start + part.length];
}

Deno.test("tabs count where indentation stands, not behind keys, in comments and in scalars", () => {
  const tabs = (text: string, ...scalars: string[]) =>
    tabsInIndentation(text, [0, text.length], scalars.map((scalar) => rangeOf(text, scalar)));
  assert.deepEqual(tabs("\ta: 1\n"), [0]);
  assert.deepEqual(tabs("a:\n \t- 1\n"), [4]);
  assert.deepEqual(tabs("-\ta\n- \tb\n"), [1, 6]);
  assert.deepEqual(tabs("a: 1\n\t# note\n"), [5]);
  assert.deepEqual(tabs("a:\t1\t# one\ttwo\n- b:\t2\n"), []);
  assert.deepEqual(tabs("a: |\n  x\n  \ty\n", "a", "|\n  x\n  \ty\n"), []);
  assert.deepEqual(tabs('a: "x\n\ty"\n\tb: 1\n', "a", '"x\n\ty"'), [10]);
});

Deno.test("tabs of other documents are left alone", () => {
  assert.deepEqual(tabsInIndentation("\ta\n---\n\tb\n---\n\tc\n", [7, 10], []), [7]);
});

Deno.test("keys behind question marks are found, and no other question marks", () => {
  const explicit = (text: string) => isExplicitKey(text, text.indexOf("key"));
  for (const text of ["? key", "a:\n  - ? key", "{? key : 1}", "? ? key", "?\n  key"]) {
    assert.equal(explicit(text), true, text);
  }
  for (const text of ["key", "a: b?\nkey: 1", "a: what ?\nkey: 1", "'?'\nkey", "- key: ?", "?key"]) {
    assert.equal(explicit(text), false, text);
  }
});

Deno.test("values that follow the colon at once are found", () => {
  const joined = (text: string) => isJoinedToValue(text, text.indexOf("key") + 3);
  for (const text of ["{key:[1]}", "{key :{}}", "{key:}", "{key:,a: 1}"]) {
    assert.equal(joined(text), true, text);
  }
  for (const text of ["{key: 1}", "{key :\n1}", "{key}", "{key, a:[1]}"]) {
    assert.equal(joined(text), false, text);
  }
});

Deno.test("scalars in single quotes are closed by a quote of their own", () => {
  for (const scalar of ["''", "'a'", "'a''b'", "''''", "'a\n b'''"]) {
    assert.equal(isClosed(scalar), true, scalar);
  }
  for (const scalar of ["'", "'a", "'a''", "'''", "'a'b'"]) assert.equal(isClosed(scalar), false, scalar);
});

Deno.test("keys over more than one line are found", () => {
  for (const key of ["'a\n b'", "a\n"]) {
    assert.equal(isKeyOverLines(`{${key}: 1}`, rangeOf(`{${key}: 1}`, key.trimEnd())), true, key);
  }
  for (const text of ["a\n : 1", "a # note\n : 1", "a\n # note\n\n : 1", "'a'\n: 1", "{a #: 2\n: 1}"]) {
    assert.equal(isKeyOverLines(text, rangeOf(text, /'a'|a/.exec(text)?.[0] ?? "")), true, text);
  }
  for (const text of ["a : 1\n", "a:\n  1", "a: # note\n  1", "{a # : 1\n}"]) {
    assert.equal(isKeyOverLines(text, rangeOf(text, "a")), false, text);
  }
  assert.equal(isKeyOverLines("{a:\n 1}", [1, 2]), false);
  assert.equal(isKeyOverLines("{a\n, b: 1}", [1, 2]), false);
});

Deno.test("tabs that indent a block are found, not those in its content", () => {
  for (
    const block of [
      "|\n\ta\n",
      "|\n \ta\n",
      "|\n \t\n  a\n",
      ">- # b\n  a\n \t\n  c\n",
      "|2\n  a\n \tb\n",
      "|\n \t",
    ]
  ) {
    assert.equal(hasTabAsIndentation(block), true, JSON.stringify(block));
  }
  for (
    const block of ["|", "|\n", "|\n  a:\n  \tb\n", "|\n  a\tb\n\n  c\n", "|2\n  \ta\n", "|-2\n  a\n  \t\n"]
  ) {
    assert.equal(hasTabAsIndentation(block), false, JSON.stringify(block));
  }
});

Deno.test("a block of a million lines is looked at without overflowing the stack", () => {
  assert.equal(hasTabAsIndentation(`|2\n${"  a\n".repeat(1_000_000)}`), false);
  assert.equal(isClosed(`'${"''\n".repeat(1_000_000)}'`), true);
});

Deno.test("lines of spaces that end a block are found where programs differ in them", () => {
  const doubtful = (block: string, rest = "") => endsInDoubtfulSpaces(block + rest, [0, block.length]);
  for (
    const block of ["|\n  \n", ">+ # note\n\n   \n", "|2\n  x\n   \n", "|-1\n  x\n\n ", "|1-\r\n x\r\n  \r\n"]
  ) {
    assert.equal(doubtful(block), true, JSON.stringify(block));
  }
  assert.equal(doubtful("|2\n  x\n", "   \nb: 1\n"), true);
  for (const block of ["|\n", "|+\n\n\n", "|\n  x\n   \n", "|2\n  x  \n", "|2\n  x\n\n", ""]) {
    assert.equal(doubtful(block), false, JSON.stringify(block));
  }
  assert.equal(doubtful("|2\n  x\n", " b: 1\n"), false);
});

Deno.test("escapes that are JSON's alone are found", () => {
  assert.equal(jsonEscapeIn('"a\\ud83d\\ude00"'), "\\ud83d");
  assert.equal(jsonEscapeIn('"a\\/b"'), "\\/");
  assert.equal(jsonEscapeIn('"\\\\\\/"'), "\\/");
  for (const source of ['"\\u00e9\\ud7ff"', '"\\\\ud83d"', '"\\\\/"', '"/"']) {
    assert.equal(jsonEscapeIn(source), undefined, source);
  }
});
