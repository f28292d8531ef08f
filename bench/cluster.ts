/**
 * What the proxy costs a node at rest: `make bench-cluster`, as root, on the node of tests/cluster. BENCH_PODS (110, what a
 * kubelet runs by default at most) signed pods run and do nothing for BENCH_SECONDS (300); the proxy's processor time in
 * that time is what the kubelet's own errands cost: leases, node status, watches that are renewed. Run by
 * `tests/cluster/run bench`. Writes bench/results/cluster.json.
 *
 * @module
 */
import { type Cluster, kubeletConfigurationFile, startCluster } from "../tests/cluster/cluster.ts";
import { parseObject, textAt } from "../tests/cluster/json.ts";
import { type Owner, startOwner } from "../tests/cluster/owner.ts";
import { done, notYet } from "../tests/cluster/wait.ts";
import { deployment } from "../tests/cluster/workloads.ts";
import { REST_FIGURE } from "./figures.ts";
import { describeMachine, warnOfLoad } from "./machine.ts";
import { memoryOf, processorMs } from "./process.ts";
import { type ClusterResult, verdictOf } from "./result.ts";

const PODS = Number(Deno.env.get("BENCH_PODS") ?? "110");
const SECONDS = Number(Deno.env.get("BENCH_SECONDS") ?? "300");
const REPLICAS = 10;
const NAMESPACE = "rest";

/** How long the machine has to start all pods: containers start one after the other. */
const START_TIMEOUT_MS = 30 * 60_000;

/** What kubelets do at their default: the lease is renewed every ten seconds, where that of the tests is every three. */
const LEASE_SECONDS = 40;

/** After the last pod is ready, its last events are still under way. */
const SETTLING_MS = 60_000;

function environment(name: string): string {
  const value = Deno.env.get(name);
  if (value === undefined || value === "") throw new Error(`${name} is not set; use tests/cluster/run bench`);
  return value;
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

async function useDefaultLease(cluster: Cluster): Promise<void> {
  await cluster.program("kubelet").stop();
  const file = kubeletConfigurationFile(cluster.options.runDir, true);
  const configuration = parseObject(await Deno.readTextFile(file));
  await Deno.writeTextFile(
    file,
    JSON.stringify({ ...configuration, nodeLeaseDurationSeconds: LEASE_SECONDS }),
  );
  await cluster.startKubelet();
  await cluster.untilNodeReady();
}

async function runPods(cluster: Cluster, owner: Owner): Promise<void> {
  await cluster.kubectl(["create", "namespace", NAMESPACE]);
  for (let made = 0; made < PODS; made += REPLICAS) {
    const spec = {
      terminationGracePeriodSeconds: 1,
      containers: [{ name: "app", image: cluster.images.app, command: ["sleep", "1000000"] }],
    };
    const manifest = deployment(NAMESPACE, `idle-${made}`, Math.min(REPLICAS, PODS - made), spec);
    await cluster.create(await owner.sign(manifest, { namespace: NAMESPACE }));
  }
  let shown = 0;
  await cluster.until(`${PODS} pods are Running`, () => {
    const running = cluster.pods.all().filter((object) =>
      textAt(object, "status", "phase") === "Running"
    ).length;
    if (running >= shown + REPLICAS) {
      shown = running;
      console.error(`bench: ${running} of ${PODS} pods run`);
    }
    return running === PODS ? done(undefined) : notYet(`${running} pods are Running`);
  }, START_TIMEOUT_MS);
}

async function measure(cluster: Cluster): Promise<ClusterResult> {
  const machine = await describeMachine();
  const { pid } = cluster.program("kubelet-proxy");
  await pause(SETTLING_MS);
  warnOfLoad();
  const start = performance.now();
  const before = await processorMs(pid);
  await pause(SECONDS * 1000);
  const milliseconds = performance.now() - start;
  const spent = await processorMs(pid) - before;
  return {
    date: new Date().toISOString().slice(0, 10),
    machine,
    pods: PODS,
    seconds: Math.round(milliseconds / 1000),
    processorPercent: Math.round(10_000 * spent / milliseconds) / 100,
    residentMb: Math.round((await memoryOf(pid)).residentMb),
  };
}

const runDir = environment("CLUSTER_RUN_DIR");
const bin = environment("CLUSTER_BIN_DIR");
const owner = await startOwner({ runDir, podsign: `${bin}/podsign`, signingServer: `${bin}/signing-server` });
const cluster = await startCluster(
  {
    runDir,
    kubernetesDir: environment("CLUSTER_KUBERNETES_DIR"),
    proxy: `${bin}/kubelet-proxy`,
    busybox: environment("CLUSTER_BUSYBOX"),
  },
  owner.certificate,
  (line) => console.error(`bench: ${line}`),
);
try {
  await useDefaultLease(cluster);
  await runPods(cluster, owner);
  const result = await measure(cluster);
  await Deno.writeTextFile(
    new URL("results/cluster.json", import.meta.url),
    `${JSON.stringify(result, null, 1)}\n`,
  );
  const { must, aim } = REST_FIGURE;
  console.log(
    `${result.pods} pods at rest for ${result.seconds} s: ${result.processorPercent} % of a core ` +
      `(must ${must} %, aim ${aim} %: ${
        verdictOf(REST_FIGURE, result.processorPercent)
      }), ${result.residentMb} MB`,
  );
} finally {
  await cluster.close();
}
