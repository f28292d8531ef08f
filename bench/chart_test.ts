import assert from "node:assert/strict";
import { drawChart } from "./chart.ts";
import type { BenchResult } from "./result.ts";

/** A figure that is `times` the direct connection, one of throughput, one of a first list, and memory. */
function resultOf(times: number, more: Partial<BenchResult> = {}): BenchResult {
  return {
    date: "2026-12-01",
    machine: { processor: 'a <fast> & "quiet" one', cores: "2" },
    rounds: 1,
    verificationMs: [200],
    figures: {
      "watch-median": { direct: [1], proxied: [times] },
      "watch-throughput": { direct: [1000], proxied: [1000 / times] },
      "list-distinct-first": { direct: [10], proxied: [10 * times] },
      "memory-idle": { proxied: [60 * times] },
      // Always the same and the highest, so that the axis is the same.
      "memory-list": { proxied: [900] },
    },
    growth: [],
    ...more,
  };
}

/** Lengths of the bars, without the one in the legend. */
function bars(chart: string): number[] {
  return [...chart.matchAll(/<rect class="bar" [^>]* width="([\d.]+)"/g)].map(([, width]) => Number(width))
    .slice(1);
}

/** Places of the marks of a kind, without the one in the legend. */
function marks(chart: string, kind: "must" | "aim"): number[] {
  return [...chart.matchAll(new RegExp(`class="${kind}" x1="([\\d.]+)"`, "g"))].map(([, x]) => Number(x))
    .slice(1);
}

Deno.test("every figure that was taken has a bar, and a worse one a longer bar", () => {
  const [better, worse] = [bars(drawChart(resultOf(2))), bars(drawChart(resultOf(4)))];
  assert.equal(better.length, 5);
  assert.equal(worse.length, 5);
  assert.equal(better.pop(), worse.pop());
  better.forEach((length, index) => assert.ok(length > 0 && length < (worse[index] ?? 0), `bar ${index}`));
});

Deno.test("throughput is turned round: the same multiple has the same bar", () => {
  const [latency, throughput] = bars(drawChart(resultOf(3)));
  assert.equal(latency, throughput);
});

Deno.test("limits stand where bars of their value end, those of the first list behind its verifications", () => {
  // 2.4 times direct is the limit of the first figure; 27 times direct is direct and 1.3 times 200 ms.
  for (const [times, line] of [[2.4, 0], [27, 2]] as const) {
    const chart = drawChart(resultOf(times));
    const start = Number(/<rect class="bar" x="(3[\d.]+)"/.exec(chart)?.[1]);
    const end = start + (bars(chart)[line] ?? NaN);
    assert.ok(Math.abs(end - (marks(chart, "must")[line] ?? NaN)) < 0.2, `line ${line}`);
  }
});

Deno.test("what the machine says of itself is text, not markup", () => {
  assert.ok(drawChart(resultOf(2)).includes("a &lt;fast> &amp; &quot;quiet&quot; one"));
});
