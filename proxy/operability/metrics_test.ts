import assert from "node:assert/strict";
import { deny, DENY_CODES } from "@signed-pods/shared/verdict";
import { createMetrics, METRICS, type Snapshot } from "./metrics.ts";
import { REQUEST_ROUTES } from "./request_observer.ts";

const STARTED = new Date("2026-01-01T00:00:00Z");

const SNAPSHOT: Snapshot = {
  pods: { admitted: 3, mirror: 2, refused: 1, stopping: 0, stopped: 0 },
  pendingRejections: 4,
  missing: new Map([["pod-list", "why"]]),
  certificates: [{ name: "client", notAfter: new Date("2026-02-01T00:00:00Z") }],
  keys: [{ id: "aa", notAfter: new Date("2026-03-01T00:00:00Z") }, { id: "bb" }],
  reloads: [["verification-keys", { taken: 2, refused: 1, stale: true }]],
  logLinesLost: 7,
  cpuSeconds: 1.5,
  memory: { rss: 100, heapUsed: 50 },
};

/** Values by series, as Prometheus reads them. */
function parse(text: string): Map<string, number> {
  return new Map(
    text.split("\n").filter((line) => line !== "" && !line.startsWith("#")).map((line) => {
      const space = line.lastIndexOf(" ");
      return [line.slice(0, space), Number(line.slice(space + 1))];
    }),
  );
}

Deno.test("every series is there before anything happens", async () => {
  const series = parse(await createMetrics("enforce", STARTED).text(SNAPSHOT));
  const at = (name: string) => series.get(name);
  for (const code of Object.keys(DENY_CODES)) {
    assert.equal(at(`kubelet_proxy_verdicts_total{decision="refuse",code="${code}"}`), 0, code);
    assert.equal(at(`kubelet_proxy_verdicts_total{decision="stop",code="${code}"}`), 0, code);
  }
  assert.equal(at('kubelet_proxy_verdicts_total{decision="allow",code="none"}'), 0);
  for (const outcome of ["2xx", "5xx", "unreachable", "timeout", "no-credential", "failed"]) {
    assert.equal(at(`kubelet_proxy_upstream_requests_total{outcome="${outcome}"}`), 0, outcome);
  }
  for (const route of REQUEST_ROUTES) {
    assert.equal(at(`kubelet_proxy_requests_open{route="${route}"}`), 0, route);
    assert.ok([...series.keys()].some((name) => name.includes(`requests_total{route="${route}",`)), route);
  }
  assert.equal(at('kubelet_proxy_log_lines_total{level="error"}'), 0);
  assert.equal(at("kubelet_proxy_decision_log_lost_total"), 0);
  assert.equal(at("kubelet_proxy_unidentified_pods_total"), 0);
});

Deno.test("what is described is what there is, with these labels", async () => {
  const text = await createMetrics("audit", STARTED).text(SNAPSHOT);
  const types = new Map([...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => [name, type]));
  assert.deepEqual(types, new Map(Object.entries(METRICS).map(([name, { type }]) => [name, type])));
  const all: [string, { labels: readonly string[] }][] = Object.entries(METRICS);
  for (const name of parse(text).keys()) {
    const [, family = "", labels = ""] = /^(\w+?)(?:_bucket|_sum|_count)?(?:\{(.*)\})?$/.exec(name) ?? [];
    const described = all.find(([known]) => known === family);
    assert.ok(described !== undefined, name);
    const found = [...labels.matchAll(/(\w+)="/g)].map(([, label]) => label);
    assert.deepEqual(found.filter((label) => label !== "le").sort(), [...described[1].labels].sort(), name);
  }
});

Deno.test("the end of the token is there while there is one", async () => {
  const metrics = createMetrics("enforce", STARTED);
  const end = async (tokenNotAfter?: Date) =>
    parse(await metrics.text({ ...SNAPSHOT, tokenNotAfter }))
      .get("kubelet_proxy_token_not_after_timestamp_seconds");
  assert.equal(await end(), undefined);
  assert.equal(await end(new Date("2026-02-01T00:00:00Z")), 1_769_904_000);
  assert.equal(await end(), undefined);
});

Deno.test("what is looked up is as it is now, and nothing of before stays", async () => {
  const metrics = createMetrics("enforce", STARTED);
  await metrics.text(SNAPSHOT);
  const series = parse(await metrics.text(SNAPSHOT));
  assert.equal(series.get('kubelet_proxy_pods{state="admitted"}'), 3);
  assert.equal(series.get("kubelet_proxy_rejections_pending"), 4);
  assert.equal(series.get('kubelet_proxy_ready{check="pod-list"}'), 0);
  assert.equal(series.get('kubelet_proxy_ready{check="upstream"}'), 1);
  assert.equal(series.get("kubelet_proxy_verification_keys"), 2);
  assert.equal(series.get('kubelet_proxy_reloads_total{files="verification-keys",result="taken"}'), 2);
  assert.equal(series.get('kubelet_proxy_reload_stale{files="verification-keys"}'), 1);
  assert.equal(series.get("process_cpu_seconds_total"), 1.5);
  assert.equal(series.get("process_start_time_seconds"), STARTED.getTime() / 1000);
  const client = 'kubelet_proxy_certificate_not_after_timestamp_seconds{certificate="client"}';
  const key = 'kubelet_proxy_verification_key_not_after_timestamp_seconds{key_id="aa"}';
  assert.equal(series.get(client), Date.parse("2026-02-01T00:00:00Z") / 1000);
  assert.equal(series.get(key), Date.parse("2026-03-01T00:00:00Z") / 1000);
  const later = parse(await metrics.text({ ...SNAPSHOT, certificates: [], keys: [] }));
  assert.equal(later.has(client) || later.has(key), false);
});

Deno.test("requests, answers and verdicts are counted", async () => {
  const metrics = createMetrics("enforce", STARTED);
  metrics.requests.answered("pod-list", 200, 0.002);
  const first = metrics.requests.opened("pod-watch");
  metrics.requests.opened("pod-watch");
  first();
  metrics.upstream.answered(404, 0.2);
  metrics.upstream.failed("timeout", "why");
  metrics.judged(0.003);
  metrics.nodeApiDecided("passed");
  metrics.nodeApiDecided(401);
  metrics.unidentified();
  metrics.logged("warn");
  metrics.decisionsLost(7);
  metrics.verdict({
    kind: "stop",
    mode: "enforce",
    namespace: "n",
    name: "p",
    uid: "u",
    verdict: deny("spec-differs", "why"),
  });
  const series = parse(await metrics.text(SNAPSHOT));
  assert.equal(series.get('kubelet_proxy_requests_total{route="pod-list",code="200"}'), 1);
  assert.equal(series.get('kubelet_proxy_request_duration_seconds_bucket{le="0.0025"}'), 1);
  assert.equal(series.get('kubelet_proxy_requests_open{route="pod-watch"}'), 1);
  assert.equal(series.get('kubelet_proxy_upstream_requests_total{outcome="4xx"}'), 1);
  assert.equal(series.get('kubelet_proxy_upstream_requests_total{outcome="timeout"}'), 1);
  assert.equal(series.get("kubelet_proxy_upstream_duration_seconds_count"), 1);
  assert.equal(series.get("kubelet_proxy_judge_duration_seconds_count"), 1);
  assert.equal(series.get("kubelet_proxy_unidentified_pods_total"), 1);
  assert.equal(series.get('kubelet_proxy_node_api_requests_total{outcome="passed"}'), 1);
  assert.equal(series.get('kubelet_proxy_node_api_requests_total{outcome="401"}'), 1);
  assert.equal(series.get('kubelet_proxy_log_lines_total{level="warn"}'), 1);
  assert.equal(series.get("kubelet_proxy_decision_log_lost_total"), 7);
  assert.equal(series.get('kubelet_proxy_verdicts_total{decision="stop",code="spec-differs"}'), 1);
});

Deno.test("refuses to let the API server make up series", async () => {
  const metrics = createMetrics("enforce", STARTED);
  for (let status = 0; status < 1000; status++) {
    for (const route of REQUEST_ROUTES) {
      metrics.requests.answered(route, status, 0.001);
    }
    metrics.upstream.answered(status, 0.001);
  }
  const series = parse(await metrics.text(SNAPSHOT));
  assert.equal(series.get('kubelet_proxy_requests_total{route="relay",code="other"}'), 1000 - 21);
  assert.ok(series.size < 500, `${series.size} series`);
});
