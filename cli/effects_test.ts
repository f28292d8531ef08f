import assert from "node:assert/strict";
import { readInput } from "./effects.ts";
import { fakeEffects } from "./fake_effects_test.ts";
import { InputError } from "./input_error.ts";

Deno.test("a dash reads standard input, other names are files", async () => {
  const { effects } = fakeEffects({ files: { "a.yaml": "a" }, stdin: "b" });
  const text = (
    { bytes, name }: Awaited<ReturnType<typeof readInput>>,
  ) => [new TextDecoder().decode(bytes), name];
  assert.deepEqual(text(await readInput(effects, "a.yaml")), ["a", "a.yaml"]);
  for (const file of ["-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"]) {
    assert.deepEqual(text(await readInput(effects, file)), ["b", "standard input"]);
  }
});

Deno.test("refuses files and standard input that cannot be read", async () => {
  const { effects } = fakeEffects({});
  await assert.rejects(
    readInput(effects, "none.yaml"),
    (error) => error instanceof InputError && error.message.startsWith('"none.yaml" does not exist; '),
  );
  await assert.rejects(
    readInput(effects, "https://example.com/web.yaml"),
    (error) => error instanceof InputError && error.message.includes("is a URL"),
  );
  const broken = { ...effects, readStdin: () => Promise.reject(new Error("Is a directory (os error 21)")) };
  await assert.rejects(
    readInput(broken, "-"),
    (error) => error instanceof InputError && error.message === "cannot read standard input: Is a directory",
  );
});
