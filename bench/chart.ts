/**
 * The chart of a result, as SVG: how many times the direct connection each figure is, and memory. Colours fit light and
 * dark pages.
 *
 * @module
 */
import { type Figure, FIGURES } from "./figures.ts";
import { type BenchResult, type Row, rowOf } from "./result.ts";

const WIDTH = 900;
const LABEL_WIDTH = 356;
const RIGHT_MARGIN = 70;
const ROW_HEIGHT = 26;
const HEAD_HEIGHT = 46;
const PANEL_GAP = 22;
const LEGEND_HEIGHT = 34;
const BAR_HEIGHT = 12;

/** One line of a panel: a bar, and marks on its axis. */
interface Line {
  label: string;
  value: number;
  shown: string;
  must?: number;
  aim?: number;
  earlier?: number;
  nginx?: number;
}

/** Lines that share an axis. */
interface Panel {
  title: string;
  /** From 0 to 1 along the axis. */
  place: (value: number) => number;
  ticks: readonly { value: number; shown: string }[];
  lines: readonly Line[];
}

/** Draws the chart. The same result gives the same text. */
export function drawChart(result: BenchResult): string {
  const rows = FIGURES.flatMap((figure) => rowOf(figure, result) ?? []);
  const ratios = rows.filter(({ figure, ratio }) => ratio !== undefined && "must" in figure).map(ratioLine);
  const memory = rows.filter(({ figure: { unit } }) => unit === "MB").map(memoryLine);
  const highest = (lines: readonly Line[]) =>
    Math.max(...lines.flatMap(({ value, must, earlier }) => [value, must ?? 0, earlier ?? 0]));
  const panels: Panel[] = [
    {
      title: "Times the direct connection (logarithmic; less is better; throughput is turned round)",
      place: logarithmic(highest(ratios)),
      ticks: [1, 2, 5, 10, 20, 50, 100].filter((value) => value <= highest(ratios) * 1.2)
        .map((value) => ({ value, shown: `${value}×` })),
      lines: ratios,
    },
    {
      title: "Resident memory in MB (less is better)",
      place: (value) => value / (highest(memory) * 1.1),
      ticks: [0, 100, 200, 300, 400, 500].filter((value) => value <= highest(memory) * 1.1)
        .map((value) => ({ value, shown: String(value) })),
      lines: memory,
    },
  ];
  let y = LEGEND_HEIGHT;
  const parts: string[] = [];
  for (const panel of panels) {
    parts.push(drawPanel(panel, y));
    y += HEAD_HEIGHT + panel.lines.length * ROW_HEIGHT + PANEL_GAP;
  }
  const { machine: { processor = "", cores = "" }, date } = result;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" role="img" aria-labelledby="title">
<title id="title">kubelet-proxy against the direct connection, ${escape(date)}, ${escape(processor)}, ${
    escape(cores)
  } cores</title>
<style>
text { font: 12px system-ui, sans-serif; fill: #1f2328; }
.head { font-weight: 600; }
.faint { fill: #59636e; }
.grid { stroke: #d1d9e0; }
.bar { fill: #80b3f0; }
.must { stroke: #bc4c00; stroke-width: 2; }
.aim { stroke: #1a7f37; stroke-width: 2; }
.earlier { fill: none; stroke: #1f2328; stroke-width: 2; }
.nginx { fill: #8250df; }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc; }
  .faint { fill: #9198a1; }
  .grid { stroke: #3d444d; }
  .bar { fill: #1f5ba8; }
  .must { stroke: #f0883e; }
  .aim { stroke: #3fb950; }
  .earlier { stroke: #f0f6fc; }
  .nginx { fill: #ab7df8; }
}
</style>
${drawLegend()}${parts.join("")}</svg>
`;
}

/** A figure with a direct connection, as a multiple of it, whichever way is better. */
function ratioLine({ figure, ratio = NaN, direct = NaN, proxied, nginx, measured }: Row): Line {
  const { title, better, must, aim, earlierValue }: Figure = figure;
  const turn = (value: number) => better === "lower" ? value : 1 / value;
  const verificationMs = (proxied - direct) / measured;
  const limit = (value: number) =>
    figure.comparison === "direct-and-verifications" ? 1 + value * verificationMs / direct : turn(value);
  return {
    label: title,
    value: turn(ratio),
    shown: `${turn(ratio).toFixed(1)}×`,
    ...(must === undefined ? {} : { must: limit(must) }),
    ...(aim === undefined ? {} : { aim: limit(aim) }),
    ...(earlierValue === undefined ? {} : { earlier: turn(earlierValue) }),
    ...(nginx === undefined ? {} : { nginx: turn(nginx / direct) }),
  };
}

function memoryLine({ figure, proxied }: Row): Line {
  const { title, must, aim, earlierValue } = figure;
  return {
    label: title.replace(/^resident memory, /, ""),
    value: proxied,
    shown: proxied.toFixed(0),
    ...(must === undefined ? {} : { must }),
    ...(aim === undefined ? {} : { aim }),
    ...(earlierValue === undefined ? {} : { earlier: earlierValue }),
  };
}

/** An axis from somewhat below 1 to somewhat above the highest value. */
function logarithmic(highest: number): (value: number) => number {
  const [low, high] = [Math.log(0.9), Math.log(highest * 1.2)];
  return (value) => (Math.log(Math.max(value, 0.9)) - low) / (high - low);
}

function drawPanel({ title, place, ticks, lines }: Panel, top: number): string {
  const x = (value: number) => (LABEL_WIDTH + place(value) * (WIDTH - LABEL_WIDTH - RIGHT_MARGIN)).toFixed(1);
  const bottom = top + HEAD_HEIGHT + lines.length * ROW_HEIGHT;
  const grid = ticks.map(({ value, shown }) =>
    `<line class="grid" x1="${x(value)}" x2="${x(value)}" y1="${top + HEAD_HEIGHT - 6}" y2="${bottom}"/>
<text class="faint" x="${x(value)}" y="${top + HEAD_HEIGHT - 10}" text-anchor="middle">${shown}</text>
`
  );
  const start = ticks[0]?.value ?? 0;
  const drawn = lines.map(({ label, value, shown, must, aim, earlier, nginx }, index) => {
    const middle = top + HEAD_HEIGHT + (index + 0.5) * ROW_HEIGHT;
    const left = Math.min(Number(x(start)), Number(x(value)));
    const width = Math.abs(Number(x(value)) - Number(x(start)));
    return `<text x="${LABEL_WIDTH - 12}" y="${middle + 4}" text-anchor="end">${escape(label)}</text>
<rect class="bar" x="${left.toFixed(1)}" y="${middle - BAR_HEIGHT / 2}" width="${
      width.toFixed(1)
    }" height="${BAR_HEIGHT}" rx="2"/>
${must === undefined ? "" : drawLimit("must", Number(x(must)), middle)}${
      aim === undefined ? "" : drawLimit("aim", Number(x(aim)), middle)
    }${earlier === undefined ? "" : drawEarlier(Number(x(earlier)), middle)}${
      nginx === undefined ? "" : drawNginx(Number(x(nginx)), middle)
    }<text class="head" x="${WIDTH - 4}" y="${middle + 4}" text-anchor="end">${shown}</text>
`;
  });
  return `<text class="head" x="0" y="${top + 14}">${escape(title)}</text>
${grid.join("")}${drawn.join("")}`;
}

function drawLimit(kind: "must" | "aim", x: number, middle: number): string {
  return `<line class="${kind}" x1="${x}" x2="${x}" y1="${middle - 10}" y2="${middle + 10}"/>
`;
}

function drawEarlier(x: number, middle: number): string {
  return `<circle class="earlier" cx="${x}" cy="${middle}" r="5"/>
`;
}

function drawNginx(x: number, middle: number): string {
  return `<path class="nginx" d="M ${x} ${middle - 6} l 6 6 l -6 6 l -6 -6 z"/>
`;
}

function drawLegend(): string {
  const middle = 12;
  const entry = (x: number, mark: string, text: string) =>
    `${mark}<text x="${x}" y="${middle + 4}">${text}</text>
`;
  return [
    entry(
      26,
      `<rect class="bar" x="0" y="${middle - 6}" width="20" height="12" rx="2"/>
`,
      "kubelet-proxy",
    ),
    entry(142, drawLimit("aim", 134, middle), "aim"),
    entry(192, drawLimit("must", 184, middle), "must"),
    entry(248, drawEarlier(236, middle), "earlier proxy in Go"),
    entry(386, drawNginx(374, middle), "nginx"),
  ].join("");
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}
