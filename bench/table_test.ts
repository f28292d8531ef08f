import assert from "node:assert/strict";
import { figureTable, growthTable, printTable } from "./table.ts";
import type { BenchResult } from "./result.ts";

const result: BenchResult = {
  date: "2026-12-01",
  machine: {},
  rounds: 1,
  verificationMs: [200],
  figures: {
    "watch-median": { direct: [0.25], proxied: [0.5] },
    "list-distinct-first": { direct: [10], proxied: [250] },
    "pass-1": { direct: [0.2], proxied: [0.6], nginx: [0.3] },
    "memory-idle": { proxied: [70] },
    "podsign-sign": { proxied: [3.1] },
  },
  growth: [{ pods: 1000, eventMicroseconds: 80.4, listMs: 100, directListMs: 20, residentMb: 90 }],
};

Deno.test("each figure says what is asked of it, what was measured, and how that stands", () => {
  const [, ...rows] = figureTable(result);
  assert.deepEqual(rows.map((row) => row.slice(2)), [
    ["2.4×", "1.8×", "0.25 ms", "0.50 ms", "–", "2.00×", "good enough"],
    ["direct + 1.3 L", "direct + 1.1 L", "10 ms", "250 ms", "–", "direct + 1.20 L", "good enough"],
    ["2.4×", "1.8×", "0.20 ms", "0.60 ms", "0.30 ms, 1.50×", "3.00×", "missed"],
    ["80 MB", "60 MB", "–", "70 MB", "–", "70 MB", "good enough"],
    ["3 s", "–", "–", "3.10 s", "–", "3.10 s", "missed"],
    ["", "", "200 ms", "", "", "", ""],
  ]);
});

Deno.test("a run on a cluster has a row of its own, with the pods that were there", () => {
  const cluster = { date: "", machine: {}, pods: 30, seconds: 300, processorPercent: 0.25, residentMb: 90 };
  const row = figureTable(result, cluster).find(([title]) => title?.includes("30 pods, 5 min"));
  assert.deepEqual(row?.slice(-2), ["0.25 % of a core", "as aimed at"]);
});

Deno.test("growth is shown for each pod, too", () => {
  assert.deepEqual(growthTable(result)[1], ["1,000", "80 µs", "100 ms", "100 µs", "20 ms", "90 MB"]);
});

Deno.test("columns of a printed table stand under each other", () => {
  assert.equal(printTable([["a", "b"], ["long", "1"], ["c", "200"]]), "a       b\nlong    1\nc     200\n");
});
