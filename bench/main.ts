/**
 * Measures kubelet-proxy against the direct connection: `make bench`. racer (bench/racer, Go) makes up an API server
 * and a kubelet; each figure is taken direct and through the real proxy, alternating, and the medians' ratio is what
 * counts, because machines differ and are noisy.
 *
 * Prints a table and writes bench/results/latest.json.
 */
import { writeKubeconfig } from "./kubeconfig.ts";

const ROUNDS = Number(Deno.args[0] ?? "3");
const ROOT = new URL("..", import.meta.url).pathname.replace(/\/$/, "");
const DIRECT_PORT = 18443;
const PROXY_PORT = 18444;

/** One figure: how racer is called, and which number of its output line is taken. */
interface Figure {
  name: string;
  unit: string;
  args: string[];
  pattern: RegExp;
  /** Whether a higher number is better. */
  higherIsBetter?: true;
  /** Taken once per proxy process, right after its start: what is not remembered yet. */
  cold?: true;
}

const p50 = /p50=\s*([\d.]+)/;
const figures: readonly Figure[] = [
  {
    name: "list of 500, all distinct, first time",
    unit: "ms",
    args: ["list", "-n", "500", "-distinct", "1", "-times", "1"],
    pattern: /first=([\d.]+)/,
    cold: true,
  },
  { name: "list of 500, known pods", unit: "ms", args: ["list", "-n", "500", "-times", "10"], pattern: p50 },
  {
    name: "watch event latency at 200/s, median",
    unit: "ms",
    args: ["watch", "-n", "100", "-rounds", "10", "-rate", "200"],
    pattern: p50,
  },
  {
    name: "watch event latency at 200/s, 99th percentile",
    unit: "ms",
    args: ["watch", "-n", "100", "-rounds", "10", "-rate", "200"],
    pattern: /p99=\s*([\d.]+)/,
  },
  {
    name: "watch throughput, 500 pods, all specs distinct",
    unit: "events/s",
    args: ["watch", "-n", "500", "-rounds", "10", "-distinct", "1"],
    pattern: /([\d.]+) ev\/s/,
    higherIsBetter: true,
  },
  {
    name: "pass-through, 1 client, median",
    unit: "ms",
    args: ["pass", "-c", "1", "-secs", "2"],
    pattern: p50,
  },
  {
    name: "pass-through, 16 clients",
    unit: "requests/s",
    args: ["pass", "-c", "16", "-secs", "3"],
    pattern: /([\d.]+) req\/s/,
    higherIsBetter: true,
  },
];

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? NaN;
}

async function output(command: string, args: string[], cwd: string): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, {
    args,
    cwd,
    stdout: "piped",
    stderr: "piped",
  })
    .output();
  const text = new TextDecoder().decode(stdout);
  if (!success) {
    throw new Error(`${command} ${args.join(" ")} failed: ${new TextDecoder().decode(stderr)}${text}`);
  }
  return text;
}

/** Waits until something accepts connections on the loopback port. */
async function waitForPort(port: number, child: Deno.ChildProcess, what: string): Promise<void> {
  let ended = false;
  child.status.then(() => ended = true);
  const deadline = Date.now() + 20_000;
  while (Date.now() < deadline && !ended) {
    try {
      (await Deno.connect({ hostname: "127.0.0.1", port })).close();
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
  throw new Error(`${what} ${ended ? "ended at its start" : `does not listen on port ${port} after 20 s`}`);
}

/** Resident memory of a process, in MB. */
async function residentMb(pid: number): Promise<number> {
  return Number(await output("ps", ["-o", "rss=", "-p", String(pid)], ROOT)) / 1024;
}

const folder = await Deno.makeTempDir({ prefix: "signed-pods-bench-" });
const children: Deno.ChildProcess[] = [];
try {
  const racer = `${folder}/racer`;
  await output("go", ["build", "-o", racer, "."], `${ROOT}/bench/racer`);
  await output(racer, ["init"], folder);
  await writeKubeconfig(folder, `https://127.0.0.1:${DIRECT_PORT}`);
  await Deno.copyFile(`${ROOT}/bench/racer/pod.json`, `${folder}/pod.json`);

  const server = new Deno.Command(racer, { args: ["serve", "-port", String(DIRECT_PORT)], cwd: folder })
    .spawn();
  children.push(server);
  await waitForPort(DIRECT_PORT, server, "racer");

  const startProxy = async (): Promise<Deno.ChildProcess> => {
    const proxy = new Deno.Command(`${ROOT}/bin/kubelet-proxy`, {
      args: [
        `--kubeconfig=${folder}/kubeconfig`,
        `--listen-addr=127.0.0.1:${PROXY_PORT}`,
        `--tls-cert=${folder}/run/proxy.crt`,
        `--tls-key=${folder}/run/proxy.key`,
        `--client-ca=${folder}/run/ca.crt`,
        `--signature-verification-cert=${folder}/run/signing.crt`,
        `--runtime-dir=${folder}/runtime`,
        "--log-requests=false",
      ],
      stdout: "null",
      stderr: "null",
    }).spawn();
    children.push(proxy);
    await waitForPort(PROXY_PORT, proxy, "kubelet-proxy");
    return proxy;
  };

  const race = async (figure: Figure, port: number): Promise<number> => {
    const text = await output(racer, [...figure.args, "-base", `https://127.0.0.1:${port}`], folder);
    const found = figure.pattern.exec(text)?.[1];
    if (found === undefined) throw new Error(`racer ${figure.args.join(" ")} printed no figure: ${text}`);
    return Number(found);
  };

  const direct = new Map<string, number[]>(figures.map(({ name }) => [name, []]));
  const proxied = new Map<string, number[]>(figures.map(({ name }) => [name, []]));
  const idle: number[] = [];
  const loaded: number[] = [];
  for (let round = 1; round <= ROUNDS; round++) {
    const proxy = await startProxy();
    idle.push(await residentMb(proxy.pid));
    for (const figure of figures) {
      direct.get(figure.name)?.push(await race(figure, DIRECT_PORT));
      proxied.get(figure.name)?.push(await race(figure, PROXY_PORT));
    }
    loaded.push(await residentMb(proxy.pid));
    proxy.kill("SIGTERM");
    await proxy.status;
    console.error(`bench: round ${round} of ${ROUNDS} done`);
  }

  const rows = figures.map(({ name, unit }) => {
    const [d, p] = [median(direct.get(name) ?? []), median(proxied.get(name) ?? [])];
    return { name, unit, direct: d, proxied: p, ratio: p / d };
  });
  console.log(
    `${"figure".padEnd(50)}${"direct".padStart(12)}${"proxied".padStart(12)}${"ratio".padStart(9)}`,
  );
  for (const { name, unit, direct: d, proxied: p, ratio } of rows) {
    const label = `${name} (${unit})`.padEnd(50);
    console.log(
      `${label}${d.toFixed(2).padStart(12)}${p.toFixed(2).padStart(12)}${`${ratio.toFixed(2)}×`.padStart(9)}`,
    );
  }
  const memory = { idleMb: median(idle), afterLoadMb: median(loaded) };
  console.log(
    `resident memory: idle ${memory.idleMb.toFixed(0)} MB, after the load ${
      memory.afterLoadMb.toFixed(0)
    } MB`,
  );
  await Deno.mkdir(`${ROOT}/bench/results`, { recursive: true });
  await Deno.writeTextFile(
    `${ROOT}/bench/results/latest.json`,
    `${JSON.stringify({ rounds: ROUNDS, rows, memory }, null, 1)}\n`,
  );
} finally {
  for (const child of children) {
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
  }
  await Deno.remove(folder, { recursive: true });
}
