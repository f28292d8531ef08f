/** Results as tables: for the terminal and for documents. */
import { type Figure, FIGURES, REST_FIGURE } from "./figures.ts";
import {
  type BenchResult,
  type ClusterResult,
  memorySlopeKb,
  type Row,
  rowOf,
  type Verdict,
  verdictOf,
} from "./result.ts";

/** Cells of a table; the first line is its head. */
export type Cells = readonly (readonly string[])[];

const VERDICTS: Readonly<Record<Verdict, string>> = {
  aim: "as aimed at",
  must: "good enough",
  missed: "missed",
  none: "",
};

/** Every figure that was taken: what the earlier proxy reached, what must be, what is aimed at, and what is. */
export function figureTable(result: BenchResult, cluster?: ClusterResult): Cells {
  const rows = FIGURES.flatMap((figure) => rowOf(figure, result) ?? []);
  const limit = rows.find(({ figure }) => figure.comparison === "direct-and-verifications");
  return [
    ["figure", "earlier Go proxy", "must", "aim", "direct", "proxied", "nginx", "measured", "verdict"],
    ...rows.map(cellsOf),
    ...(cluster === undefined ? [] : [restCells(cluster)]),
    ...(limit?.direct === undefined ? [] : [[
      "L: 500 P-256 verifications in parallel, WebCrypto alone",
      "",
      "",
      "",
      amount((limit.proxied - limit.direct) / limit.measured, "ms"),
      "",
      "",
      "",
      "",
    ]]),
  ];
}

function cellsOf({ figure, direct, proxied, nginx, measured, verdict }: Row): string[] {
  const { unit, earlier = "–", must, aim } = figure;
  return [
    figure.title,
    earlier,
    must === undefined ? "–" : compared(figure, must, String(must)),
    aim === undefined ? "–" : compared(figure, aim, String(aim)),
    direct === undefined ? "–" : amount(direct, unit),
    amount(proxied, unit),
    nginx === undefined || direct === undefined
      ? "–"
      : `${amount(nginx, unit)}, ${compared(figure, nginx / direct)}`,
    compared(figure, measured),
    VERDICTS[verdict],
  ];
}

function restCells({ pods, seconds, processorPercent }: ClusterResult): string[] {
  const { title, unit, must = NaN, aim = NaN } = REST_FIGURE;
  return [
    `${title}, ${pods} pods, ${Math.round(seconds / 60)} min`,
    "–",
    amount(must, unit),
    amount(aim, unit),
    "–",
    amount(processorPercent, unit),
    "–",
    amount(processorPercent, unit),
    VERDICTS[verdictOf(REST_FIGURE, processorPercent)],
  ];
}

/** What each size of a node costs, and the slope of the memory. */
export function growthTable({ growth }: BenchResult): Cells {
  return [
    [
      "pods on the node",
      "processor time per event",
      "list, known pods",
      "per pod",
      "direct list",
      "resident memory",
    ],
    ...growth.map(({ pods, eventMicroseconds, listMs, directListMs, residentMb }) => [
      pods.toLocaleString("en"),
      `${eventMicroseconds.toFixed(0)} µs`,
      amount(listMs, "ms"),
      `${(1000 * listMs / pods).toFixed(0)} µs`,
      amount(directListMs, "ms"),
      amount(residentMb, "MB"),
    ]),
  ];
}

/** What else there is to say of growth. */
export function growthSentence({ growth }: BenchResult): string {
  return `Each further pod takes ${memorySlopeKb(growth).toFixed(1)} kB of resident memory.`;
}

/** A number that is compared with a limit, in the words of the figure. */
function compared({ comparison, unit }: Figure, value: number, number: string = value.toFixed(2)): string {
  switch (comparison) {
    case "ratio":
      return `${number}×`;
    case "direct-and-verifications":
      return `direct + ${number} L`;
    case "value":
      return amount(value, unit);
    default: {
      const never: never = comparison;
      return never;
    }
  }
}

function amount(value: number, unit: Figure["unit"]): string {
  const digits = Number.isInteger(value) || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  const number = value >= 1000 ? Math.round(value).toLocaleString("en") : value.toFixed(digits);
  return `${number} ${unit}`;
}

/** A table for the terminal. */
export function printTable(cells: Cells): string {
  const widths = (cells[0] ?? []).map((_, column) =>
    Math.max(...cells.map((line) => (line[column] ?? "").length))
  );
  return cells.map((line) =>
    line.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)
    )
      .join("  ").trimEnd() + "\n"
  ).join("");
}
