/** What the documents say of speed comes from the recorded result. */
import assert from "node:assert/strict";
import { drawChart } from "../../bench/chart.ts";
import { FIGURES } from "../../bench/figures.ts";
import { rowOf } from "../../bench/result.ts";
import { CHART, recordedResult } from "../../tools/performance.ts";

const ROOT = new URL("../../", import.meta.url);

Deno.test("the chart in README.md is made from the recorded result", async () => {
  assert.ok((await Deno.readTextFile(new URL("README.md", ROOT))).includes(`](${CHART})`));
  const result = await recordedResult();
  const chart = await Deno.readTextFile(new URL(CHART, ROOT));
  assert.equal(chart, drawChart(result));
  const [id] = FIGURES.flatMap((figure) => figure.comparison === "ratio" ? figure.id : []);
  assert.ok(id !== undefined);
  const slower = (result.figures[id]?.proxied ?? []).map((value) => value * 2);
  const other = {
    ...result,
    figures: { ...result.figures, [id]: { ...result.figures[id], proxied: slower } },
  };
  assert.notEqual(chart, drawChart(other), "another result has another chart");
});

Deno.test("the recorded result has every figure, and says what it was measured on", async () => {
  const result = await recordedResult();
  assert.deepEqual(FIGURES.filter((figure) => rowOf(figure, result) === undefined).map(({ id }) => id), []);
  assert.ok(result.growth.length >= 4);
  for (const part of ["processor", "cores", "memory", "system", "deno", "go", "nginx"]) {
    assert.ok(result.machine[part], part);
  }
});
