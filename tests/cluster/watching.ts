/**
 * What those who watch a real node read from kubelet-proxy.
 *
 * @module
 */
import assert from "node:assert/strict";
import { METRICS_PORT } from "./cluster.ts";
import type { Cluster } from "./cluster.ts";
import { done, notYet } from "./wait.ts";
import { ENV_CANARY } from "./workloads.ts";

/** What the tests need of their suite. */
export interface WatchingSuite {
  /** Declares a test that needs the proxy. */
  test: (name: string, body: (cluster: Cluster) => Promise<void>) => void;
  /** A namespace in which all pods are refused, since nobody signed them. */
  refused: string;
  /** A namespace with signed pods. */
  signed: string;
}

interface Decision {
  decision: string;
  namespace: string;
  code?: string;
}

async function read(cluster: Cluster, path: string): Promise<string> {
  const url = `http://127.0.0.1:${METRICS_PORT}${path}`;
  const { code, stdout, stderr } = await cluster.attemptInNetwork(cluster.options.busybox, [
    "wget",
    "-q",
    "-O",
    "-",
    url,
  ]);
  assert.equal(code, 0, `${path}: ${stderr}`);
  return stdout;
}

/** The sum of the proxy's series whose line begins so. */
export async function sum(cluster: Cluster, start: string): Promise<number> {
  const lines = (await read(cluster, "/metrics")).split("\n").filter((line) => line.startsWith(start));
  assert.ok(lines.length > 0, start);
  return lines.reduce((total, line) => total + Number(line.slice(line.lastIndexOf(" "))), 0);
}

/** Declares the tests. */
export function watchingTests({ test, refused, signed }: WatchingSuite): void {
  test("who watches the node sees it ready, with its watches, requests and pods", async (cluster) => {
    await cluster.until("the proxy is ready", async () => {
      const { code, stdout } = await cluster.attemptInNetwork(cluster.options.busybox, [
        "wget",
        "-q",
        "-O",
        "-",
        `http://127.0.0.1:${METRICS_PORT}/readyz`,
      ]);
      return code === 0 && stdout.endsWith("readyz check passed\n") ? done(undefined) : notYet(stdout);
    });
    // Watches end now and then, and begin again.
    await cluster.until("the kubelet watches its pods, and other things", async () => {
      const pods = await sum(cluster, 'kubelet_proxy_requests_open{route="pod-watch"}');
      const others = await sum(cluster, 'kubelet_proxy_requests_open{route="object-watch"}');
      return pods === 1 && others >= 4 ? done(undefined) : notYet(`${pods} and ${others} watches`);
    });
    assert.ok(await sum(cluster, 'kubelet_proxy_pods{state="admitted"}') >= 1);
    assert.ok(await sum(cluster, "kubelet_proxy_requests_total{") > 10);
    assert.equal(await sum(cluster, "kubelet_proxy_unidentified_pods_total"), 0);
    for (const certificate of ["client", "serving", "node-api-serving", "node-api-client"]) {
      const end = await sum(
        cluster,
        `kubelet_proxy_certificate_not_after_timestamp_seconds{certificate="${certificate}"}`,
      );
      assert.ok(end > Date.now() / 1000, certificate);
    }
  });

  test("who watches the node sees each verdict, and no value of a variable", async (cluster) => {
    // The file is written in the background, and outlives a restart of the proxy.
    const { text, written } = await cluster.until("the file ends with what is in memory", async () => {
      const { decisions }: { decisions: Decision[] } = JSON.parse(await read(cluster, "/decisions"));
      const text = await Deno.readTextFile(`${cluster.options.runDir}/proxy/decisions.log`);
      const written: Decision[] = text.slice(0, text.lastIndexOf("\n")).split("\n").map((line) =>
        JSON.parse(line)
      );
      const last = written.slice(-decisions.length).reverse();
      return decisions.length > 0 && JSON.stringify(last) === JSON.stringify(decisions)
        ? done({ text, written })
        : notYet(`${written.length} lines, ${decisions.length} in memory`);
    });
    assert.ok(written.some(({ namespace, decision }) => namespace === signed && decision === "allow"));
    const foreign = written.filter(({ namespace }) => namespace === refused);
    assert.ok(foreign.length > 0);
    assert.deepEqual([...new Set(foreign.map(({ decision, code }) => `${decision} ${code}`))], [
      "refuse unsigned",
    ]);
    assert.ok(!text.includes(ENV_CANARY));
  });
}
