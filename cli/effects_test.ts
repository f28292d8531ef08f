import assert from "node:assert/strict";
import { readInput } from "./effects.ts";
import { fakeEffects } from "./fake_effects_test.ts";

Deno.test("a dash reads standard input, other names are files", async () => {
  const { effects } = fakeEffects({ files: { "a.yaml": "a" }, stdin: "b" });
  const text = (
    { bytes, name }: Awaited<ReturnType<typeof readInput>>,
  ) => [new TextDecoder().decode(bytes), name];
  assert.deepEqual(text(await readInput(effects, "a.yaml")), ["a", "a.yaml"]);
  assert.deepEqual(text(await readInput(effects, "-")), ["b", "standard input"]);
});
