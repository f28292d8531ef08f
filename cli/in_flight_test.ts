import assert from "node:assert/strict";
import { mapInFlight } from "./in_flight.ts";

Deno.test("results are in the order of the items, and no more than the limit is under way", async () => {
  const finish: (() => void)[] = [];
  let begun = 0;
  const all = mapInFlight(["a", "b", "c", "d", "e"], 3, async (item, index) => {
    begun += 1;
    await new Promise<void>((resolve) => finish[index] = resolve);
    return item.toUpperCase();
  });
  assert.equal(begun, 3);
  const end = async (index: number) => {
    finish[index]?.();
    // Whoever waits for it goes on before the next task.
    await new Promise((resolve) => setTimeout(resolve));
  };
  await end(2);
  assert.equal(begun, 4);
  await end(3);
  assert.equal(begun, 5);
  for (const index of [4, 1, 0]) await end(index);
  assert.deepEqual(await all, ["A", "B", "C", "D", "E"]);
  assert.deepEqual(await mapInFlight([], 3, () => Promise.resolve(1)), []);
});

Deno.test("refuses to begin anything after a failure", async () => {
  const begun: number[] = [];
  const act = (item: number) => {
    begun.push(item);
    return item === 1 ? Promise.reject(new Error("no")) : Promise.resolve();
  };
  await assert.rejects(mapInFlight([0, 1, 2, 3, 4, 5, 6, 7], 2, act), /^Error: no$/);
  await new Promise((resolve) => setTimeout(resolve));
  assert.ok(begun.length <= 4, begun.join());
});
