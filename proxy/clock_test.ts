import assert from "node:assert/strict";
import { systemClock } from "./clock.ts";

Deno.test("the system's clock runs, and calls back once unless it is called off", async () => {
  assert.ok(Math.abs(systemClock.now().getTime() - Date.now()) < 60_000);
  const called: string[] = [];
  const cancel = systemClock.after(0, () => called.push("cancelled"));
  cancel();
  await new Promise<void>((resolve) => {
    systemClock.after(-5, () => {
      called.push("late");
      resolve();
    });
  });
  assert.deepEqual(called, ["late"]);
});
