import assert from "node:assert/strict";
import { deny } from "@signed-pods/shared/verdict";
import { systemClock } from "../clock.ts";
import { memoryLog, testPki } from "../fixture_test.ts";
import { UpstreamError } from "../upstream.ts";
import { createOperability, type OperabilitySources } from "./operability.ts";

const NO_CERTIFICATES: OperabilitySources["certificates"] = {
  client: undefined,
  serving: undefined,
  "node-api-serving": undefined,
  "node-api-client": undefined,
};

const SOURCES: OperabilitySources = {
  certificates: NO_CERTIFICATES,
  pods: { admitted: 0, mirror: 0, refused: 0, stopping: 0, stopped: 0 },
  pendingRejections: 0,
  keys: [],
  reloads: [],
  logLinesLost: 0,
  cpuSeconds: 0,
  memory: { rss: 0, heapUsed: 0 },
};

function make() {
  const log = memoryLog();
  // Each reading is fresh.
  let now = 0;
  const operability = createOperability({
    mode: "enforce",
    log,
    clock: systemClock,
    elapsedMs: () => now += 2_000,
  });
  return { operability, log };
}

async function listen(
  { operability, log }: ReturnType<typeof make>,
  sources: OperabilitySources,
): Promise<(path: string) => Promise<string>> {
  await operability.listen({ hostname: "127.0.0.1", port: 0 }, () => sources);
  const url = log.events.find(({ event }) => event === "operability-listening")?.fields["address"];
  return async (path) => await (await fetch(`${url}${path}`)).text();
}

Deno.test("a proxy without certificates has metrics, and one with some has their ends", async () => {
  const pki = await testPki();
  for (
    const certificates of [
      NO_CERTIFICATES,
      { ...NO_CERTIFICATES, serving: pki.server.certificate + pki.authority.certificate },
    ]
  ) {
    const made = make();
    const read = await listen(made, { ...SOURCES, certificates });
    try {
      const ends = (await read("/metrics")).match(/^kubelet_proxy_certificate_not_after\w+\{.*$/gm) ?? [];
      assert.deepEqual(
        ends.map((line) => line.split(" ")[0]),
        certificates.serving === undefined
          ? []
          : ['kubelet_proxy_certificate_not_after_timestamp_seconds{certificate="serving"}'],
      );
    } finally {
      await made.operability.close();
    }
  }
});

Deno.test("verdicts, judging, answers and log lines come together in what is read", async () => {
  const made = make();
  const { operability, log } = made;
  const read = await listen(made, SOURCES);
  try {
    const fails: { now: Error | undefined } = { now: undefined };
    const upstream = operability.upstream({
      send: () => fails.now === undefined ? Promise.resolve(new Response("ok")) : Promise.reject(fails.now),
    });
    assert.match(await read("/readyz"), /^\[\+\]upstream ok\n\[-\]pod-list failed/);
    operability.judge.listed();
    assert.match(await read("/readyz"), /readyz check passed/);
    for (const [code, ready] of [["aborted", true], ["path-not-canonical", true]] as const) {
      fails.now = new UpstreamError(code, "why");
      await assert.rejects(upstream.send({ method: "GET", path: "/" }));
      assert.equal((await read("/readyz")).includes("passed"), ready, code);
    }
    fails.now = new UpstreamError("no-credential", "the token is gone");
    await assert.rejects(upstream.send({ method: "GET", path: "/" }));
    assert.match(await read("/readyz"), /^\[-\]upstream failed: the token is gone$/m);

    const verdict = deny("unsigned", "why");
    const verifier = operability.verifier({ verifyPod: () => Promise.resolve(verdict) });
    assert.equal(await verifier.verifyPod({}, { now: new Date() }), verdict);
    operability.judge.decided({
      kind: "refuse",
      mode: "enforce",
      namespace: "n",
      name: "p",
      uid: "u",
      verdict,
    });
    operability.nodeApiDecided(403);
    operability.log.warn("x", "y");
    const text = await read("/metrics");
    for (
      const line of [
        'kubelet_proxy_verdicts_total{decision="refuse",code="unsigned"} 1',
        "kubelet_proxy_judge_duration_seconds_count 1",
        'kubelet_proxy_upstream_requests_total{outcome="aborted"} 1',
        'kubelet_proxy_node_api_requests_total{outcome="403"} 1',
        'kubelet_proxy_log_lines_total{level="warn"} 1',
        'kubelet_proxy_ready{check="upstream"} 0',
        'kubelet_proxy_ready{check="pod-list"} 1',
      ]
    ) {
      assert.ok(text.split("\n").includes(line), line);
    }
    assert.equal(JSON.parse(await read("/decisions")).total, 1);
    assert.ok(log.events.some(({ event, level }) => event === "x" && level === "warn"));
  } finally {
    await operability.close();
  }
  await operability.close();
});
