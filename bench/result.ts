/**
 * What a run of the bench has measured, as it stands in bench/results/, and what it means: medians, ratios and verdicts are
 * worked out from the rounds whenever they are shown.
 *
 * @module
 */
import { isJsonObject, type JsonObject, type JsonValue, objectAt } from "@signed-pods/shared/json";
import type { Figure } from "./figures.ts";
import { median } from "./median.ts";

/** The rounds of one figure. */
export interface Samples {
  direct?: readonly number[];
  proxied: readonly number[];
  nginx?: readonly number[];
}

/** What one size of a node costs. */
export interface GrowthPoint {
  pods: number;
  /** Processor time of the proxy for one event of a watch, in microseconds. */
  eventMicroseconds: number;
  /** A list of known pods, in milliseconds. */
  listMs: number;
  /** The same, direct. */
  directListMs: number;
  /** Resident memory afterwards, in MB of 10^6 bytes. */
  residentMb: number;
}

/** A run. */
export interface BenchResult {
  /** The day, as `2026-12-31`. */
  date: string;
  /** What it ran on, by what it is: never a name. */
  machine: Readonly<Record<string, string>>;
  rounds: number;
  /** 500 P-256 verifications in parallel in WebCrypto, in milliseconds. */
  verificationMs: readonly number[];
  /** By the figures' ids. */
  figures: Readonly<Record<string, Samples>>;
  growth: readonly GrowthPoint[];
}

/** A run of `make bench-cluster`. */
export interface ClusterResult {
  date: string;
  machine: Readonly<Record<string, string>>;
  /** Pods that ran. */
  pods: number;
  /** How long was measured, in seconds. */
  seconds: number;
  /** Processor time of the proxy in that time, in percent of a core. */
  processorPercent: number;
  /** Resident memory of the proxy at the end, in MB of 10^6 bytes. */
  residentMb: number;
}

/** How a figure stands to what was asked of it. */
export type Verdict = "aim" | "must" | "missed" | "none";

/** A figure, worked out. */
export interface Row {
  figure: Figure;
  direct?: number;
  proxied: number;
  nginx?: number;
  /** What is compared with `must` and `aim`: a ratio, a multiple of the verifications, or the value itself. */
  measured: number;
  /** `proxied` to `direct`, where there is a direct connection. */
  ratio?: number;
  verdict: Verdict;
}

/** Works a figure out; undefined if the run has not taken it. */
export function rowOf(figure: Figure, result: BenchResult): Row | undefined {
  const samples = result.figures[figure.id];
  if (samples === undefined) return undefined;
  const proxied = median(samples.proxied);
  const direct = samples.direct === undefined ? undefined : median(samples.direct);
  const nginx = samples.nginx === undefined ? undefined : median(samples.nginx);
  const measured = measure(figure, proxied, direct, median(result.verificationMs));
  return {
    figure,
    ...(direct === undefined ? {} : { direct, ratio: proxied / direct }),
    proxied,
    ...(nginx === undefined ? {} : { nginx }),
    measured,
    verdict: verdictOf(figure, measured),
  };
}

function measure(
  { id, comparison }: Figure,
  proxied: number,
  direct: number | undefined,
  verificationMs: number,
): number {
  if (comparison === "value") return proxied;
  if (direct === undefined) throw new TypeError(`the figure ${id} has no direct connection to compare with`);
  return comparison === "ratio" ? proxied / direct : (proxied - direct) / verificationMs;
}

/** Judges a number by what was asked of the figure. */
export function verdictOf({ must, aim, better }: Figure, measured: number): Verdict {
  const reaches = (limit: number) => better === "lower" ? measured <= limit : measured >= limit;
  if (aim !== undefined && reaches(aim)) return "aim";
  if (must === undefined) return "none";
  return reaches(must) ? "must" : "missed";
}

/** Memory that each further pod takes, in kB, by least squares. */
export function memorySlopeKb(growth: readonly GrowthPoint[]): number {
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [pods, memory] = [growth.map((point) => point.pods), growth.map((point) => point.residentMb)];
  const [meanPods, meanMemory] = [mean(pods), mean(memory)];
  let above = 0;
  let below = 0;
  for (const { pods, residentMb } of growth) {
    above += (pods - meanPods) * (residentMb - meanMemory);
    below += (pods - meanPods) ** 2;
  }
  return 1000 * above / below;
}

// Reading

/**
 * Reads the result of a run.
 *
 * @throws {TypeError} if it is not one
 */
export function readBenchResult(text: string): BenchResult {
  const result = readObject(JSON.parse(text));
  const growth = result["growth"];
  if (!Array.isArray(growth)) throw new TypeError("the result has no growth");
  return {
    ...readHead(result),
    rounds: readNumber(result, "rounds"),
    verificationMs: readNumbers(result, "verificationMs"),
    figures: Object.fromEntries(
      Object.entries(objectAt(result, "figures")).map(([id, value]) => {
        const samples = readObject(value);
        return [id, {
          ...("direct" in samples ? { direct: readNumbers(samples, "direct") } : {}),
          proxied: readNumbers(samples, "proxied"),
          ...("nginx" in samples ? { nginx: readNumbers(samples, "nginx") } : {}),
        }];
      }),
    ),
    growth: growth.map((value) => {
      const point = readObject(value);
      return {
        pods: readNumber(point, "pods"),
        eventMicroseconds: readNumber(point, "eventMicroseconds"),
        listMs: readNumber(point, "listMs"),
        directListMs: readNumber(point, "directListMs"),
        residentMb: readNumber(point, "residentMb"),
      };
    }),
  };
}

/**
 * Reads the result of a run on a cluster.
 *
 * @throws {TypeError} if it is not one
 */
export function readClusterResult(text: string): ClusterResult {
  const result = readObject(JSON.parse(text));
  return {
    ...readHead(result),
    pods: readNumber(result, "pods"),
    seconds: readNumber(result, "seconds"),
    processorPercent: readNumber(result, "processorPercent"),
    residentMb: readNumber(result, "residentMb"),
  };
}

function readHead(result: JsonObject): { date: string; machine: Record<string, string> } {
  const { date } = result;
  if (typeof date !== "string") throw new TypeError("the result has no date");
  const machine = Object.entries(objectAt(result, "machine")).map(([name, value]) => [name, String(value)]);
  return { date, machine: Object.fromEntries(machine) };
}

function readObject(value: JsonValue): JsonObject {
  if (!isJsonObject(value)) throw new TypeError(`not an object: ${JSON.stringify(value)}`);
  return value;
}

function readNumber(object: JsonObject, name: string): number {
  const value = object[name];
  if (typeof value !== "number") throw new TypeError(`"${name}" is no number`);
  return value;
}

function readNumbers(object: JsonObject, name: string): number[] {
  const value = object[name];
  if (!Array.isArray(value) || value.length === 0) throw new TypeError(`"${name}" is no list of numbers`);
  return value.map((item) => {
    if (typeof item !== "number") throw new TypeError(`"${name}" holds ${JSON.stringify(item)}`);
    return item;
  });
}
