import assert from "node:assert/strict";
import { UpstreamError } from "../upstream.ts";
import { observeUpstream } from "./observed_upstream.ts";

Deno.test("answers and failures are told of, and come out as they were", async () => {
  const told: unknown[] = [];
  let now = 0;
  let outcome: () => Response = () => new Response("x", { status: 404 });
  const upstream = observeUpstream(
    {
      send: () => {
        now += 1500;
        return Promise.resolve().then(outcome);
      },
    },
    {
      answered: (status, seconds) => told.push([status, seconds]),
      failed: (code, reason) => told.push([code, reason]),
    },
    () => now,
  );
  const request = { method: "GET", path: "/" };
  assert.equal((await upstream.send(request)).status, 404);
  const failure = new UpstreamError("timeout", "no answer");
  outcome = () => {
    throw failure;
  };
  await assert.rejects(upstream.send(request), (error) => error === failure);
  outcome = () => {
    throw new TypeError("secret");
  };
  await assert.rejects(upstream.send(request), TypeError);
  assert.deepEqual(told, [[404, 1.5], ["timeout", "no answer"], ["failed", "a defect; see the log"]]);
});
