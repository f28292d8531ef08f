/**
 * The figures of the bench, what an earlier proxy in Go reached, and what this one must reach and aims at. Most are ratios
 * to the direct connection in the same run, because machines differ.
 *
 * @module
 */

/** What a figure is compared with. */
export type Comparison =
  /** A multiple of the direct connection. */
  | "ratio"
  /** Direct, and a multiple of the time that WebCrypto takes for as many verifications in parallel, alone. */
  | "direct-and-verifications"
  /** The value itself. */
  | "value";

/** One row of the table. */
export interface Figure {
  id: string;
  title: string;
  unit: "ms" | "s" | "MB" | "events/s" | "requests/s" | "% of a core";
  comparison: Comparison;
  better: "lower" | "higher";
  must?: number;
  aim?: number;
  /** The earlier proxy, in the words of the table. */
  earlier?: string;
  /** The same as a number: the worst that is known of it, in the unit of `must` but for `direct-and-verifications`, where it is a ratio. */
  earlierValue?: number;
}

/** In the order of the table. */
export const FIGURES = [
  {
    id: "watch-median",
    title: "watch event latency at 200/s, median",
    unit: "ms",
    comparison: "ratio",
    better: "lower",
    must: 2.4,
    aim: 1.8,
    earlier: "2.5× to 3.1×",
    earlierValue: 3.1,
  },
  {
    id: "watch-p99",
    title: "watch event latency at 200/s, 99th percentile",
    unit: "ms",
    comparison: "ratio",
    better: "lower",
    must: 2.3,
    aim: 1.7,
    earlier: "2.3× to 2.9×",
    earlierValue: 2.9,
  },
  {
    id: "watch-throughput",
    title: "watch throughput, 500 pods, all specs distinct",
    unit: "events/s",
    comparison: "ratio",
    better: "higher",
    must: 0.15,
    aim: 0.3,
    earlier: "0.05× to 0.07×",
    earlierValue: 0.05,
  },
  {
    id: "list-distinct-first",
    title: "list of 500, all distinct, first time",
    unit: "ms",
    comparison: "direct-and-verifications",
    better: "lower",
    must: 1.3,
    aim: 1.1,
    earlier: "196 ms",
    // Where a direct list took 8.6 ms.
    earlierValue: 22.8,
  },
  {
    id: "list-replicas-first",
    title: "list of 500, replicas of 20 signed templates, first time",
    unit: "ms",
    comparison: "ratio",
    better: "lower",
    must: 8,
    aim: 4,
    earlier: "196 ms",
    earlierValue: 22.8,
  },
  {
    id: "list-known",
    title: "list of 500, known pods",
    unit: "ms",
    comparison: "ratio",
    better: "lower",
    must: 3.5,
    aim: 2,
    earlier: "22×",
    earlierValue: 22,
  },
  {
    id: "pass-1",
    title: "pass-through, 1 client, median",
    unit: "ms",
    comparison: "ratio",
    better: "lower",
    must: 2.4,
    aim: 1.8,
    earlier: "2.5× to 2.7×",
    earlierValue: 2.7,
  },
  {
    id: "pass-16",
    title: "pass-through, 16 clients",
    unit: "requests/s",
    comparison: "ratio",
    better: "higher",
    must: 0.4,
    aim: 0.6,
    earlier: "0.09×",
    earlierValue: 0.09,
  },
  {
    id: "memory-idle",
    title: "resident memory, idle",
    unit: "MB",
    comparison: "value",
    better: "lower",
    must: 80,
    aim: 60,
    earlier: "24 MB",
    earlierValue: 24,
  },
  {
    id: "memory-watch",
    title: "resident memory, 250 pods, 200 watch events/s",
    unit: "MB",
    comparison: "value",
    better: "lower",
    must: 120,
    aim: 85,
  },
  {
    id: "memory-list",
    title: "resident memory, peak in a list of 5,000",
    unit: "MB",
    comparison: "value",
    better: "lower",
    must: 300,
    aim: 150,
    earlier: "369 MB",
    earlierValue: 369,
  },
  {
    id: "start",
    title: "start to first answered request",
    unit: "ms",
    comparison: "value",
    better: "lower",
    must: 400,
    aim: 200,
  },
  {
    id: "configmap-median",
    title: "ConfigMap watches of 250 pods, event latency at 200/s, median",
    unit: "ms",
    comparison: "ratio",
    better: "lower",
  },
  {
    id: "configmap-content",
    title: "ConfigMap watches of 250 pods, opened at once, until all have their content",
    unit: "ms",
    comparison: "ratio",
    better: "lower",
  },
  {
    id: "podsign-sign",
    title: "podsign sign-spec, 1,000 workloads in one file",
    unit: "s",
    comparison: "value",
    better: "lower",
    must: 3,
  },
  {
    id: "podsign-verify",
    title: "podsign verify-spec, the same",
    unit: "s",
    comparison: "value",
    better: "lower",
    must: 3,
  },
  {
    id: "signer-1",
    title: "signing-server, 1 client (direct: WebCrypto alone)",
    unit: "requests/s",
    comparison: "ratio",
    better: "higher",
  },
  {
    id: "signer-32",
    title: "signing-server, 32 clients (direct: WebCrypto alone)",
    unit: "requests/s",
    comparison: "ratio",
    better: "higher",
  },
] as const satisfies readonly Figure[];

/** The name of a figure that `make bench` takes. */
export type FigureId = (typeof FIGURES)[number]["id"];

/** Processor time of a node at rest: `make bench-cluster` takes it, on a real kubelet. */
export const REST_FIGURE: Figure = {
  id: "cpu-at-rest",
  title: "processor time at rest, a real kubelet",
  unit: "% of a core",
  comparison: "value",
  better: "lower",
  must: 1,
  aim: 0.3,
};
