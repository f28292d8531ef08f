import assert from "node:assert/strict";
import { ManualClock } from "../../tests/fakes/clock.ts";
import { type Upstream, UpstreamError } from "../upstream.ts";
import {
  ANSWER_COUNTS_MS,
  ASK_INTERVAL_MS,
  ASK_TIMEOUT_MS,
  createReadiness,
  describeReadiness,
} from "./readiness.ts";

type State = "up" | "down" | "silent";

function bench() {
  const clock = new ManualClock();
  const asked: string[] = [];
  const state = { now: "up" as State };
  const upstream: Upstream = {
    async send({ method, path, signal }) {
      asked.push(`${method} ${path}`);
      if (state.now === "silent") {
        await new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason)));
      }
      if (state.now === "down") {
        readiness.failed("connection refused");
        throw new UpstreamError("unreachable", "connection refused");
      }
      readiness.answered();
      return new Response("ok");
    },
  };
  const readiness = createReadiness(clock, () => upstream);
  return { clock, asked, state, readiness };
}

Deno.test("it is ready when the API server answers and all pods were judged; the answer says what is missing", async () => {
  const { readiness } = bench();
  assert.deepEqual([...readiness.missing().keys()], ["upstream", "pod-list"]);
  assert.deepEqual([...(await readiness.check()).keys()], ["pod-list"]);
  assert.equal(
    describeReadiness(await readiness.check()),
    "[+]upstream ok\n[-]pod-list failed: the kubelet has not got a complete list of its pods yet\nreadyz check failed\n",
  );
  readiness.listed();
  assert.deepEqual([...await readiness.check()], []);
  assert.equal(describeReadiness(new Map()), "[+]upstream ok\n[+]pod-list ok\nreadyz check passed\n");
});

Deno.test("the API server is asked only if it has not answered of late", async () => {
  const { clock, asked, readiness } = bench();
  readiness.answered();
  await clock.advance(ANSWER_COUNTS_MS);
  await readiness.check();
  assert.deepEqual(asked, []);
  await clock.advance(1);
  await readiness.check();
  assert.deepEqual(asked, ["GET /readyz"]);
});

Deno.test("refuses to be ready while the API server is away, and notices its return without the kubelet", async () => {
  const { clock, asked, state, readiness } = bench();
  readiness.listed();
  state.now = "down";
  for (let time = 0; time < 5; time++) {
    assert.deepEqual([...await readiness.check()], [["upstream", "connection refused"]]);
  }
  assert.equal(asked.length, 1, "however often readiness is asked for");
  state.now = "up";
  await clock.advance(ASK_INTERVAL_MS);
  assert.deepEqual([...await readiness.check()], []);
});

Deno.test("refuses to wait for an API server that is silent", async () => {
  const { clock, state, readiness } = bench();
  readiness.listed();
  state.now = "silent";
  const missing = readiness.check();
  await clock.advance(ASK_TIMEOUT_MS);
  assert.deepEqual([...(await missing)], [["upstream", "no answer in 2 s"]]);
});
