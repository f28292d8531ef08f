import assert from "node:assert/strict";
import type { Figure } from "./figures.ts";
import {
  type BenchResult,
  memorySlopeKb,
  readBenchResult,
  readClusterResult,
  rowOf,
  verdictOf,
} from "./result.ts";

const figure: Figure = {
  id: "latency",
  title: "latency",
  unit: "ms",
  comparison: "ratio",
  better: "lower",
  must: 2.4,
  aim: 1.8,
};

function resultOf(figures: BenchResult["figures"]): BenchResult {
  return { date: "2026-12-01", machine: {}, rounds: 3, verificationMs: [190, 200, 210], figures, growth: [] };
}

Deno.test("a figure reaches its aim, what must be, or neither, up to the limit itself", () => {
  assert.equal(verdictOf(figure, 1.8), "aim");
  assert.equal(verdictOf(figure, 1.81), "must");
  assert.equal(verdictOf(figure, 2.4), "must");
  assert.equal(verdictOf(figure, 2.41), "missed");
  const throughput: Figure = { ...figure, better: "higher", must: 0.15, aim: 0.3 };
  assert.equal(verdictOf(throughput, 0.3), "aim");
  assert.equal(verdictOf(throughput, 0.29), "must");
  assert.equal(verdictOf(throughput, 0.14), "missed");
  const { must: _must, aim: _aim, ...free } = figure;
  assert.equal(verdictOf(free, 100), "none");
});

Deno.test("the medians of the rounds are compared, not single rounds", () => {
  const row = rowOf(
    figure,
    resultOf({ latency: { direct: [1, 2, 90], proxied: [3, 4, 5], nginx: [3, 3, 3] } }),
  );
  assert.deepEqual(
    row,
    { figure, direct: 2, proxied: 4, nginx: 3, ratio: 2, measured: 2, verdict: "must" },
  );
});

Deno.test("what comes on top of direct is counted in verifications", () => {
  const first: Figure = { ...figure, comparison: "direct-and-verifications", must: 1.3, aim: 1.1 };
  const row = rowOf(first, resultOf({ latency: { direct: [10], proxied: [250] } }));
  assert.equal(row?.measured, 1.2);
  assert.equal(row?.verdict, "must");
});

Deno.test("a figure that was not taken has no row, and one without a direct connection no ratio", () => {
  assert.equal(rowOf(figure, resultOf({})), undefined);
  assert.throws(() => rowOf(figure, resultOf({ latency: { proxied: [1] } })), TypeError);
  const memory = rowOf(
    { ...figure, comparison: "value", must: 80, aim: 60 },
    resultOf({ latency: { proxied: [70] } }),
  );
  assert.equal(memory?.ratio, undefined);
  assert.equal(memory?.verdict, "must");
});

Deno.test("the slope of the memory is that of the line through the sizes", () => {
  const point = { eventMicroseconds: 0, listMs: 0, directListMs: 0 };
  const growth = [10, 100, 1000].map((pods) => ({ ...point, pods, residentMb: 80 + pods * 0.025 }));
  assert.ok(Math.abs(memorySlopeKb(growth) - 25) < 1e-9);
});

Deno.test("a result is read as it was written", () => {
  const result: BenchResult = {
    ...resultOf({ latency: { direct: [1], proxied: [2] }, memory: { proxied: [80] } }),
    machine: { cores: "2" },
    growth: [{ pods: 10, eventMicroseconds: 50, listMs: 1, directListMs: 0.5, residentMb: 80 }],
  };
  assert.deepEqual(readBenchResult(JSON.stringify(result)), result);
  const cluster = {
    date: "2026-12-01",
    machine: {},
    pods: 30,
    seconds: 180,
    processorPercent: 0.2,
    residentMb: 80,
  };
  assert.deepEqual(readClusterResult(JSON.stringify(cluster)), cluster);
});

Deno.test("refuses a result that is none", () => {
  const good = resultOf({ latency: { proxied: [2] } });
  for (
    const wrong of [
      [],
      { ...good, date: 1 },
      { ...good, rounds: "3" },
      { ...good, verificationMs: [] },
      { ...good, verificationMs: ["1"] },
      { ...good, figures: { latency: [] } },
      { ...good, figures: { latency: {} } },
      { ...good, growth: undefined },
      { ...good, growth: [{ pods: 10 }] },
    ]
  ) {
    assert.throws(() => readBenchResult(JSON.stringify(wrong)), TypeError);
  }
  assert.throws(() => readClusterResult('{"date": "2026-12-01", "machine": {}, "pods": "30"}'), TypeError);
});
