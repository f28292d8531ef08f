/**
 * CPU profiles of the proxy, one for each load: `make bench-profile`. They open in the performance panel of Chrome's
 * developer tools and in speedscope. Deno writes them when the program ends.
 *
 * @module
 */
import { proxyPermissions } from "../proxy/permissions.ts";
import { selfTimes } from "./cpu_profile.ts";
import { stopAll } from "./process.ts";
import { type Launch, type Proxy, startProxy } from "./proxy.ts";
import { Racer } from "./racer.ts";
import { writeSignedSets } from "./signed_sets.ts";

const ROOT = new URL("..", import.meta.url).pathname;
const FOLDER = `${ROOT}build/profiles`;

/** Functions of each profile that are printed. */
const SHOWN = 12;

/** Time between two samples, in microseconds. */
const INTERVAL_MICROSECONDS = 200;

const KNOWN = ["-n", "500", "-distinct", "1"];

/** Loads by the names of their files: the start of the program is in all of them. */
const LOADS: Readonly<Record<string, readonly (readonly string[])[]>> = {
  "start": [["list", "-n", "1", "-times", "1"]],
  "list-first": [["list", ...KNOWN, "-times", "1"]],
  "list-replicas-first": [["list", "-set", "replicas", "-times", "1"]],
  "list-known": [["list", ...KNOWN, "-times", "50"]],
  "watch-at-200": [["watch", "-n", "100", "-rounds", "20", "-rate", "200"]],
  "watch-throughput": [["watch", ...KNOWN, "-rounds", "20"]],
  "pass-1": [["pass", "-c", "1", "-secs", "5"]],
  "pass-16": [["pass", "-c", "16", "-secs", "5"]],
  "configmaps": [
    ["list", "-set", "config-pods", "-times", "1"],
    ["configmaps", "-n", "250", "-rounds", "4", "-rate", "200"],
  ],
};

/** The program as its launcher starts it, with the profiler. */
function profiled(name: string): Launch {
  return async (flags) => [
    Deno.execPath(),
    "run",
    "--quiet",
    "--frozen",
    "--cached-only",
    "--no-prompt",
    `--config=${ROOT}deno.json`,
    "--ignore-env",
    "--allow-env=NOTIFY_SOCKET,WATCHDOG_USEC,WATCHDOG_PID",
    "--unstable-net",
    `--cpu-prof-dir=${FOLDER}`,
    `--cpu-prof-name=${name}.cpuprofile`,
    `--cpu-prof-interval=${INTERVAL_MICROSECONDS}`,
    ...await proxyPermissions([...flags], (path) => Deno.readTextFile(path)),
    `${ROOT}proxy/main.ts`,
    ...flags,
  ];
}

async function profile(racer: Racer, name: string, requests: readonly (readonly string[])[]): Promise<void> {
  const file = `${FOLDER}/${name}.cpuprofile`;
  await Deno.remove(file).catch(() => {});
  const proxy: Proxy = await startProxy(racer, profiled(name));
  for (const request of requests) await racer.race(proxy.port, request);
  await proxy.stop();
  const times = selfTimes(await Deno.readTextFile(file));
  const all = times.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
  console.log(`${file}: ${all.toFixed(0)} ms at work, of these`);
  for (const { name, milliseconds } of times.slice(0, SHOWN)) {
    console.log(`${(100 * milliseconds / all).toFixed(1).padStart(6)} %  ${name}`);
  }
}

const folder = await Deno.makeTempDir({ prefix: "signed-pods-profile-" });
try {
  await Deno.mkdir(FOLDER, { recursive: true });
  const racer = await Racer.build(folder);
  await writeSignedSets(racer);
  const server = await racer.serve();
  for (const [name, requests] of Object.entries(LOADS)) {
    if (Deno.args.length === 0 || Deno.args.includes(name)) await profile(racer, name, requests);
  }
  await server.stop();
  console.log(
    "Open them in Chrome (developer tools, Performance, Load profile) or at https://www.speedscope.app",
  );
} finally {
  await stopAll();
  await Deno.remove(folder, { recursive: true });
}
