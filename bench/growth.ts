/** What a node pays as it grows: for one event, for a list, and in memory. */
import { memoryOf, processorMs } from "./process.ts";
import { startProxy } from "./proxy.ts";
import { type Racer, valueOf } from "./racer.ts";
import type { GrowthPoint } from "./result.ts";

/** Pods on the node. */
const SIZES: readonly number[] = [10, 100, 1_000, 5_000];

/** Events of each size, so that a hundredth of a second of processor time is a small part of what is measured. */
const EVENTS = 5_000;

const LISTS = "3";

/** Measures all sizes, each in a proxy of its own. */
export async function measureGrowth(racer: Racer): Promise<GrowthPoint[]> {
  const points: GrowthPoint[] = [];
  for (const pods of SIZES) {
    const proxy = await startProxy(racer);
    const shape = ["-n", String(pods), "-distinct", "1"];
    const known = ["list", ...shape, "-times", LISTS];
    // The first list is that of pods that are not known yet, and the first events warm the compiler up in small nodes, too.
    await racer.race(proxy.port, ["list", ...shape, "-times", "1"]);
    const rounds = String(Math.ceil(EVENTS / pods));
    const watch = ["watch", ...shape, "-fresh", "0", "-rounds", rounds];
    await racer.race(proxy.port, watch);
    const before = await processorMs(proxy.pid);
    const { n = NaN } = await racer.race(proxy.port, watch);
    const spent = await processorMs(proxy.pid) - before;
    const listMs = valueOf(await racer.race(proxy.port, known), "p50");
    const directListMs = valueOf(await racer.race(racer.port, known), "p50");
    const { residentMb } = await memoryOf(proxy.pid);
    await proxy.stop();
    points.push({ pods, eventMicroseconds: 1000 * spent / n, listMs, directListMs, residentMb });
  }
  return points;
}
