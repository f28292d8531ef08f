import assert from "node:assert/strict";
import { deny } from "../verdict.ts";
import { MAX_REMEMBERED, MAX_REMEMBERED_CHARACTERS, VerifiedMemory } from "./verified_memory.ts";

Deno.test("over the bound of texts, the one that was used longest ago is forgotten", async () => {
  const memory = new VerifiedMemory<{ number: number }>();
  const make = (number: number) => memory.get(String(number), "text", () => Promise.resolve({ number }));
  for (let number = 0; number < MAX_REMEMBERED; number++) {
    await make(number);
  }
  await make(0);
  await make(MAX_REMEMBERED);
  assert.deepEqual([0, 1, 2, MAX_REMEMBERED].map((number) => memory.has(String(number), "text")), [
    true,
    false,
    true,
    true,
  ]);
});

Deno.test("over the bound of characters, texts are forgotten too; a refusal pushes nothing out", async () => {
  const memory = new VerifiedMemory<{ number: number }>();
  const half = "x".repeat(MAX_REMEMBERED_CHARACTERS / 2);
  for (const end of ["a", "b"]) {
    await memory.get(end, half + end, () => Promise.resolve({ number: 1 }));
  }
  await memory.get("a signature", "refused", () => Promise.resolve(deny("unsigned", "no")));
  assert.deepEqual(["a", "b"].map((end) => memory.has(end, half + end)), [false, true]);
  assert.equal(memory.has("a signature", "refused"), false);
});

Deno.test("a signature and a text are remembered together, once they have verified", async () => {
  const memory = new VerifiedMemory<{ number: number }>();
  let finish = (_value: { number: number }) => {};
  const first = memory.get("ab", "c", () => new Promise((resolve) => finish = resolve));
  const second = memory.get("ab", "c", () => assert.fail("made twice"));
  assert.deepEqual([memory.hasSignature("ab"), memory.has("ab", "c")], [false, false]);
  finish({ number: 1 });
  assert.deepEqual([await first, await second], [{ number: 1 }, { number: 1 }]);
  assert.deepEqual([memory.hasSignature("ab"), memory.has("ab", "c")], [true, true]);
  assert.deepEqual([memory.hasSignature("a"), memory.has("a", "bc"), memory.has("ab", "d")], [
    false,
    false,
    false,
  ]);
  assert.deepEqual(await memory.get("a", "bc", () => Promise.resolve({ number: 2 })), { number: 2 });
  await memory.get("ab", "d", () => Promise.resolve(deny("unsigned", "no")));
  assert.deepEqual([memory.hasSignature("ab"), memory.has("ab", "c"), memory.has("ab", "d")], [
    true,
    true,
    false,
  ]);
  await assert.rejects(memory.get("e", "f", () => Promise.reject(new TypeError("no"))), TypeError);
  assert.equal(memory.hasSignature("e"), false);
  assert.deepEqual(await memory.get("e", "f", () => Promise.resolve({ number: 3 })), { number: 3 });
});
