import assert from "node:assert/strict";
import { createSlots } from "./slots.ts";
import { MemoryLog } from "../../tests/fakes/log.ts";

Deno.test("refuses work beyond the places, with a line in the log, and takes it when one is free", async () => {
  const log = new MemoryLog();
  const slots = createSlots(1, "lists", log);
  const gate = Promise.withResolvers<Response>();
  const first = slots.run(() => gate.promise);
  assert.equal((await slots.run(() => Promise.resolve(new Response()))).status, 429);
  assert.deepEqual(log.of("request-refused").map(({ level }) => level), ["error"]);
  gate.reject(new Error("failed"));
  await assert.rejects(first, /failed/);
  assert.equal((await slots.run(() => Promise.resolve(new Response()))).status, 200);
});
