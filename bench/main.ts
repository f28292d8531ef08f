/**
 * Measures kubelet-proxy against the direct connection: `make bench`. racer (bench/racer, Go) is an API server and a kubelet;
 * each figure is taken direct, through the real program and, where something is passed through, through nginx, one after
 * the other in each round. The medians of the rounds count, and most figures are ratios, because machines differ.
 *
 * Prints the tables, and writes what was measured to bench/results/latest.json, or with `--record` to
 * bench/results/recorded.json, which docs/performance.md and the chart show after `deno task generate`.
 *
 * @module
 */
import type { FigureId } from "./figures.ts";
import { measureGrowth } from "./growth.ts";
import { describeMachine, warnOfLoad } from "./machine.ts";
import { nginxVersion, startNginx } from "./nginx.ts";
import { measurePodsign } from "./podsign.ts";
import { memoryOf, stopAll } from "./process.ts";
import { startProxy } from "./proxy.ts";
import { Racer, valueOf } from "./racer.ts";
import { type BenchResult, readBenchResult } from "./result.ts";
import { CONFIG_PODS, writeSignedSets } from "./signed_sets.ts";
import { type SigningBench, startSigningBench } from "./signing_server.ts";
import { measureStart } from "./start.ts";
import { figureTable, growthSentence, growthTable, printTable } from "./table.ts";
import { createVerificationLimit } from "./verification_limit.ts";

/** Rounds whose medians count. */
const ROUNDS = Number(Deno.env.get("BENCH_ROUNDS") ?? "5");

/**
 * Rounds of podsign and the signing-server, and of memory, which take long and are hardly noisy. Growth, which is processor
 * time, is measured once.
 */
const OWNER_ROUNDS = 3;
const MEMORY_ROUNDS = 3;

/** Pods of the lists, and of the node under load. */
const LIST_PODS = "500";
const NODE_PODS = "250";
const LARGE_LIST_PODS = "5000";

/** What is measured; `BENCH_PARTS=speed,start` leaves the rest out. */
const PARTS = ["speed", "sets", "memory", "start", "growth", "owner"];
const parts = new Set((Deno.env.get("BENCH_PARTS") ?? PARTS.join()).split(","));

const RESULTS = new URL("results/", import.meta.url);
const record = Deno.args.includes("--record");

/** Seconds that each part has taken. */
const seconds = new Map<string, number>();

/** Measures one part, unless it is to be left out. */
async function measurePart<T>(part: string, act: () => Promise<T>): Promise<T | undefined> {
  if (!parts.has(part)) return undefined;
  const start = performance.now();
  const result = await act();
  seconds.set(part, (seconds.get(part) ?? 0) + (performance.now() - start) / 1000);
  return result;
}

const figures = new Map<FigureId, { direct?: number[]; proxied: number[]; nginx?: number[] }>();

function note(id: FigureId, values: { direct?: number; proxied: number; nginx?: number }): void {
  const samples = figures.get(id) ?? { proxied: [] };
  figures.set(id, samples);
  samples.proxied.push(values.proxied);
  if (values.direct !== undefined) (samples.direct ??= []).push(values.direct);
  if (values.nginx !== undefined) (samples.nginx ??= []).push(values.nginx);
}

/** The ports where a figure is taken beside the direct one. */
interface Ways {
  proxied: number;
  nginx?: number;
}

/** Takes one reading each way, and notes some of its numbers by name. */
async function race(
  racer: Racer,
  ways: Ways,
  args: readonly string[],
  numbers: readonly (readonly [FigureId, string])[],
): Promise<void> {
  const direct = await racer.race(racer.port, args);
  const proxied = await racer.race(ways.proxied, args);
  const nginx = ways.nginx === undefined ? undefined : await racer.race(ways.nginx, args);
  for (const [id, name] of numbers) {
    note(id, {
      direct: valueOf(direct, name),
      proxied: valueOf(proxied, name),
      ...(nginx === undefined ? {} : { nginx: valueOf(nginx, name) }),
    });
  }
}

/** Has the API server make its lists, which it does once: no figure waits for that. */
async function makeLists(racer: Racer): Promise<void> {
  for (const pods of [LIST_PODS, NODE_PODS, LARGE_LIST_PODS]) {
    for (const distinct of ["0", "1"]) {
      await racer.race(racer.port, ["list", "-n", pods, "-distinct", distinct, "-times", "1"]);
    }
  }
  await racer.race(racer.port, ["configmaps", "-n", String(CONFIG_PODS), "-rounds", "1", "-rate", "1000"]);
}

/** What a kubelet notices, in a proxy that remembers more and more. */
async function measureSpeed(racer: Racer, nginx: number | undefined): Promise<void> {
  const proxy = await startProxy(racer);
  const ways = { proxied: proxy.port };
  const distinct = ["-n", LIST_PODS, "-distinct", "1"];
  await race(racer, ways, ["list", ...distinct, "-times", "1"], [["list-distinct-first", "first"]]);
  await race(racer, ways, ["list", "-n", LIST_PODS, "-times", "10"], [["list-known", "p50"]]);
  await race(racer, ways, ["watch", "-n", "100", "-rounds", "20", "-rate", "200"], [
    ["watch-median", "p50"],
    ["watch-p99", "p99"],
  ]);
  await race(racer, ways, ["watch", ...distinct, "-rounds", "10"], [["watch-throughput", "events/s"]]);
  const both = { ...ways, ...(nginx === undefined ? {} : { nginx }) };
  await race(racer, both, ["pass", "-c", "1", "-secs", "2"], [["pass-1", "p50"]]);
  await race(racer, both, ["pass", "-c", "16", "-secs", "2"], [["pass-16", "requests/s"]]);
  await proxy.stop();
}

/** Workloads as podsign signs them: replicas, and pods that refer to ConfigMaps. */
async function measureSignedSets(racer: Racer): Promise<void> {
  const proxy = await startProxy(racer);
  const ways = { proxied: proxy.port };
  await race(racer, ways, ["list", "-set", "replicas", "-times", "1"], [["list-replicas-first", "first"]]);
  await racer.race(proxy.port, ["list", "-set", "config-pods", "-times", "1"]);
  await race(racer, ways, ["configmaps", "-n", String(CONFIG_PODS), "-rounds", "2", "-rate", "200"], [
    ["configmap-median", "p50"],
    ["configmap-content", "content"],
  ]);
  await proxy.stop();
}

async function measureMemory(racer: Racer): Promise<void> {
  const node = await startProxy(racer);
  await racer.race(node.port, ["pass", "-c", "1", "-secs", "1"]);
  note("memory-idle", { proxied: (await memoryOf(node.pid)).residentMb });
  await racer.race(node.port, ["list", "-n", NODE_PODS, "-distinct", "1", "-times", "1"]);
  let highest = 0;
  let watching = true;
  const watch = racer.race(node.port, [
    "watch",
    "-n",
    NODE_PODS,
    "-distinct",
    "1",
    "-rounds",
    "6",
    "-rate",
    "200",
  ])
    .finally(() => watching = false);
  while (watching) {
    highest = Math.max(highest, (await memoryOf(node.pid)).residentMb);
    await Promise.race([watch, new Promise((resolve) => setTimeout(resolve, 200))]);
  }
  note("memory-watch", { proxied: highest });
  await node.stop();

  const large = await startProxy(racer);
  await racer.race(large.port, ["list", "-n", LARGE_LIST_PODS, "-distinct", "1", "-times", "3"]);
  note("memory-list", { proxied: (await memoryOf(large.pid)).peakMb });
  await large.stop();
}

async function measureOwner(racer: Racer, signing: SigningBench): Promise<void> {
  const { signSeconds, verifySeconds } = await measurePodsign(racer);
  note("podsign-sign", { proxied: signSeconds });
  note("podsign-verify", { proxied: verifySeconds });
  for (const [id, clients] of [["signer-1", 1], ["signer-32", 32]] as const) {
    const { direct, served } = await signing.measure(clients);
    note(id, { direct, proxied: served });
  }
}

async function measure(racer: Racer): Promise<BenchResult> {
  warnOfLoad();
  const machine = await describeMachine();
  const verify = await createVerificationLimit(Number(LIST_PODS));
  await writeSignedSets(racer);
  await racer.serve();
  const nginx = await nginxVersion() === undefined ? undefined : await startNginx(racer);
  if (nginx === undefined) {
    console.error(
      "bench: nginx is not installed (Debian: apt-get install nginx-light), so its column stays empty",
    );
  }
  const signing = await startSigningBench(racer);
  await makeLists(racer);
  const verificationMs: number[] = [];
  const growth = await measurePart("growth", () => measureGrowth(racer)) ?? [];
  for (let round = 1; round <= ROUNDS; round++) {
    verificationMs.push(await verify());
    await measurePart("speed", () => measureSpeed(racer, nginx?.port));
    await measurePart("sets", () => measureSignedSets(racer));
    if (round <= MEMORY_ROUNDS) await measurePart("memory", () => measureMemory(racer));
    await measurePart("start", async () => note("start", { proxied: (await measureStart(1)).wallMs }));
    if (round <= OWNER_ROUNDS) await measurePart("owner", () => measureOwner(racer, signing));
    console.error(`bench: round ${round} of ${ROUNDS} done after ${Math.round(performance.now() / 1000)} s`);
  }
  const times = [...seconds].map(([part, spent]) => `${part} ${Math.round(spent)} s`);
  console.error(`bench: the parts took ${times.join(", ")}`);
  return {
    date: new Date().toISOString().slice(0, 10),
    machine,
    rounds: ROUNDS,
    verificationMs,
    figures: Object.fromEntries(figures),
    growth,
  };
}

for (const part of parts) {
  if (!PARTS.includes(part)) {
    throw new Error(`BENCH_PARTS names "${part}", which is none of ${PARTS.join(", ")}`);
  }
}
if (!(ROUNDS >= 1)) throw new Error("BENCH_ROUNDS must be a number from 1 on");
if (Deno.build.os !== "linux") {
  throw new Error("the bench reads memory and processor time as Linux tells them");
}
const folder = await Deno.makeTempDir({ prefix: "signed-pods-bench-" });
async function cleanUp(): Promise<void> {
  await stopAll();
  await Deno.remove(folder, { recursive: true });
}
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.addSignalListener(signal, () => void cleanUp().finally(() => Deno.exit(1)));
}
try {
  const result = await measure(await Racer.build(folder));
  // One number to a line would make the file longer than the code.
  const text = JSON.stringify(result, null, 1).replace(
    /\[[-\d.,e\s]+\]/g,
    (list) => list.replace(/\s+/g, " "),
  );
  await Deno.mkdir(RESULTS, { recursive: true });
  const file = new URL(record ? "recorded.json" : "latest.json", RESULTS);
  await Deno.writeTextFile(file, `${text}\n`);
  const written = readBenchResult(text);
  console.log(printTable(figureTable(written)));
  if (written.growth.length > 0) {
    console.log(printTable(growthTable(written)) + growthSentence(written));
  }
  warnOfLoad();
} finally {
  await cleanUp();
}
// The listeners for signals would keep the program alive.
Deno.exit();
