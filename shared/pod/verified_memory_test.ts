import assert from "node:assert/strict";
import { deny } from "../verdict.ts";
import { MAX_REMEMBERED, MAX_REMEMBERED_CHARACTERS, VerifiedMemory } from "./verified_memory.ts";

Deno.test("over the bound of texts, the one that was used longest ago is forgotten", async () => {
  const memory = new VerifiedMemory<{ number: number }>();
  const make = (number: number) => memory.get(String(number), () => Promise.resolve({ number }));
  for (let number = 0; number < MAX_REMEMBERED; number++) {
    await make(number);
  }
  await make(0);
  await make(MAX_REMEMBERED);
  assert.deepEqual([0, 1, 2, MAX_REMEMBERED].map((number) => memory.has(String(number))), [
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
    await memory.get(half + end, () => Promise.resolve({ number: 1 }));
  }
  await memory.get("refused", () => Promise.resolve(deny("unsigned", "no")));
  assert.deepEqual(["a", "b"].map((end) => memory.has(half + end)), [false, true]);
  assert.equal(memory.has("refused"), false);
});
