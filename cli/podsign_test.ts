import assert from "node:assert/strict";
import { runPodsign } from "./fake_effects_test.ts";

Deno.test("what is not the input's fault is thrown, not explained", async () => {
  const failure = new RangeError("a defect");
  const broken = {
    get now(): Date {
      throw failure;
    },
  };
  await assert.rejects(runPodsign(["show", "file"], broken), failure);
});
