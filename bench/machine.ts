/** What a result was measured on: without it the numbers mean nothing. Names of hosts and people are not part of it. */
import { nginxVersion } from "./nginx.ts";
import { run } from "./process.ts";

/** Above this many runnable programs for each core, others take part of the time that is measured. */
const QUIET_LOAD_PER_CORE = 0.25;

/** The machine and the versions of what takes part. */
export async function describeMachine(): Promise<Record<string, string>> {
  const model = (await run("cat", ["/proc/cpuinfo"])).match(/^model name\s*:\s*(.*)$/m)?.[1];
  const nginx = await nginxVersion();
  return {
    processor: model ?? Deno.build.arch,
    cores: String(navigator.hardwareConcurrency),
    memory: `${(Deno.systemMemoryInfo().total / 2 ** 30).toFixed(0)} GiB`,
    // Without what its builder added to the version.
    system: `${Deno.build.os} ${Deno.osRelease().split(".").slice(0, 2).join(".")}`,
    deno: Deno.version.deno,
    go: (await run("go", ["env", "GOVERSION"])).trim().replace(/^go/, ""),
    nginx: nginx ?? "not installed",
    "load at the start": (Deno.loadavg()[0] ?? NaN).toFixed(2),
  };
}

/** Says so if others are at work on the machine, which blurs every figure. */
export function warnOfLoad(): void {
  const [load = 0] = Deno.loadavg();
  const quiet = QUIET_LOAD_PER_CORE * navigator.hardwareConcurrency;
  if (load > quiet) {
    console.error(
      `bench: the machine is busy (load ${load.toFixed(2)}, quiet is below ${quiet}): the figures are noisy`,
    );
  }
}
