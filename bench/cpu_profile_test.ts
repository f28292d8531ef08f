import assert from "node:assert/strict";
import { selfTimes } from "./cpu_profile.ts";

Deno.test("a profile tells which functions the time was spent in, without idleness", () => {
  const frame = (id: number, functionName: string, url: string) => ({ id, callFrame: { functionName, url } });
  const profile = {
    nodes: [
      frame(1, "parse", "file:///x/shared/strict_json.ts"),
      frame(2, "", "file:///x/proxy/main.ts"),
      frame(3, "(idle)", ""),
      frame(4, "parse", "file:///x/shared/strict_json.ts"),
    ],
    samples: [1, 2, 3, 4, 1],
    timeDeltas: [500, 1000, 2000, 8000, 3000],
  };
  assert.deepEqual(selfTimes(JSON.stringify(profile)), [
    { name: "parse shared/strict_json.ts", milliseconds: 4 },
    { name: "(anonymous) proxy/main.ts", milliseconds: 2 },
  ]);
});

Deno.test("refuses what is no profile", () => {
  assert.throws(() => selfTimes("[]"), TypeError);
  assert.throws(() => selfTimes('{"nodes": [], "samples": []}'), TypeError);
});
