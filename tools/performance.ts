/**
 * What docs/performance.md and README.md show of the recorded runs of the bench.
 *
 * @module
 */
import { drawChart } from "../bench/chart.ts";
import { type BenchResult, type ClusterResult, readBenchResult, readClusterResult } from "../bench/result.ts";
import { type Cells, figureTable, growthSentence, growthTable } from "../bench/table.ts";

const RESULTS = new URL("../bench/results/", import.meta.url);

/** Where the chart is. */
export const CHART = "docs/performance.svg";

/** The recorded run of `make bench`. */
export async function recordedResult(): Promise<BenchResult> {
  return readBenchResult(await Deno.readTextFile(new URL("recorded.json", RESULTS)));
}

/** The recorded run of `make bench-cluster`; undefined if there is none. */
async function recordedCluster(): Promise<ClusterResult | undefined> {
  try {
    return readClusterResult(await Deno.readTextFile(new URL("cluster.json", RESULTS)));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** The chart of the recorded run. */
export async function recordedChart(): Promise<string> {
  return drawChart(await recordedResult());
}

/** The parts of docs/performance.md by name. */
export async function performanceParts(
  table: (head: readonly string[], rows: Cells) => string,
): Promise<Record<string, string>> {
  const result = await recordedResult();
  const markdown = ([head = [], ...rows]: Cells) => table(head, rows);
  return {
    "machine": `${describe(result)}\n`,
    "figures": markdown(figureTable(result, await recordedCluster())),
    "growth": `${markdown(growthTable(result))}\n${growthSentence(result)}\n`,
  };
}

function describe({ date, rounds, machine }: BenchResult): string {
  const parts = Object.entries(machine).map(([name, value]) => `${name} ${value}`);
  return `${date}, ${rounds} ${rounds === 1 ? "round" : "rounds"}: ${parts.join(", ")}.`;
}
