/**
 * The dashboard and the alerts of deploy/, against a real Prometheus that scrapes a real kubelet-proxy. Needs Debian's
 * package `prometheus`; without it, the tests that need the program say so and are skipped.
 */
import assert from "node:assert/strict";
import { parse } from "yaml";
import { METRICS } from "../../proxy/operability/metrics.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "@signed-pods/shared/json";
import { parseStrictJson } from "@signed-pods/shared/strict-json";
import { CANARY } from "../fakes/canary.ts";
import { ObservedNode } from "../fakes/observed_node.ts";
import { listOf, makeService } from "../fakes/objects.ts";
import { makePod, uidOf, withImage } from "../fakes/owner.ts";
import { jsonAnswer } from "../fakes/upstream.ts";
import { isInstalled, Prometheus, type Sample } from "./prometheus_process.ts";

const ROOT = new URL("../../", import.meta.url);

const installed = await isInstalled("prometheus") && await isInstalled("promtool");
if (!installed) {
  console.log("skipped: prometheus and promtool are not installed (Debian package: prometheus)");
}

function objectsOf(value: JsonValue | undefined): JsonObject[] {
  return Array.isArray(value) ? value.filter(isJsonObject) : [];
}

interface Query {
  title: string;
  expression: string;
}

const dashboard = parseStrictJson(
  await Deno.readTextFile(new URL("deploy/grafana/kubelet-proxy.json", ROOT)),
);
assert.ok(isJsonObject(dashboard));
/** What Grafana would send, with all nodes, and a range that fits a scrape every second. */
const queries: Query[] = objectsOf(dashboard.panels).flatMap(({ title, targets }) =>
  objectsOf(targets).map(({ expr }) => ({
    title: String(title),
    expression: String(expr).replaceAll("$instance", ".+").replaceAll("$__rate_interval", "15s"),
  }))
);

const rules: { groups: { rules: { alert: string; expr: string }[] }[] } = parse(
  await Deno.readTextFile(new URL("deploy/prometheus/rules.yaml", ROOT)),
);
const alerts = rules.groups.flatMap((group) => group.rules);

/** Names in an expression that look like those of metrics. */
function metricsOf(expression: string): string[] {
  const withoutLabels = expression.replace(/\{[^}]*\}/g, "");
  return withoutLabels.match(/\b(?:kubelet_proxy|process)_\w+|\bup\b/g) ?? [];
}

Deno.test("the dashboard and the alerts use metrics that there are, and the dashboard all of them", () => {
  const known = new Set<string>(Object.keys(METRICS));
  assert.ok(queries.length > 20 && alerts.length > 15);
  const expressions = [
    ...queries,
    ...alerts.map(({ alert, expr }) => ({ title: alert, expression: expr })),
  ];
  for (const { title, expression } of expressions) {
    const names = metricsOf(expression).filter((name) => name !== "up");
    assert.ok(names.length > 0 || expression.startsWith("up{"), title);
    for (const name of names) {
      assert.ok(known.has(name.replace(/_bucket$/, "")), `${title}: there is no metric ${name}`);
    }
    assert.doesNotMatch(expression, /\$/, title);
  }
  const shown = new Set(queries.flatMap(({ expression }) => metricsOf(expression)));
  for (const name of known) {
    assert.ok(shown.has(name) || shown.has(`${name}_bucket`), `no panel shows ${name}`);
  }
});

Deno.test("every alert has a test in which it fires and one in which it does not", async () => {
  const { tests }: { tests: { alert_rule_test: { alertname: string; exp_alerts?: unknown[] }[] }[] } = parse(
    await Deno.readTextFile(new URL("alerts.yaml", import.meta.url)),
  );
  const cases = tests.flatMap(({ alert_rule_test }) => alert_rule_test);
  for (const { alert } of alerts) {
    const own = cases.filter(({ alertname }) => alertname === alert);
    assert.ok(own.some(({ exp_alerts = [] }) => exp_alerts.length > 0), `${alert} never fires in a test`);
    assert.ok(
      own.some(({ exp_alerts = [] }) => exp_alerts.length === 0),
      `${alert} is never silent in a test`,
    );
  }
});

Deno.test({
  name: "each alert fires when it should: promtool's own tests",
  ignore: !installed,
  async fn() {
    const { success, stdout, stderr } = await new Deno.Command("promtool", {
      args: ["test", "rules", new URL("alerts.yaml", import.meta.url).pathname],
    }).output();
    assert.ok(success, new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr));
  },
});

Deno.test({
  name: "a real Prometheus has data for every panel and every alert, and refused and stopped pods fire",
  ignore: !installed,
  async fn() {
    const node = await ObservedNode.start((folder) => [`--decision-log=${folder}/decisions.log`]);
    const { api, owner, kubelet } = node;
    let prometheus: Prometheus | undefined;
    const talking = new AbortController();
    let talk = Promise.resolve();
    try {
      prometheus = await Prometheus.start(node.folder, new URL(node.url).host);
      const asked = prometheus;
      const valueOf = async (expression: string) => (await asked.query(expression))[0]?.value;
      // Counters must be seen before they count.
      await asked.until("it has scraped", async () => await valueOf('up{job="kubelet-proxy"}') === 1);

      api.put(await owner.signedPod());
      kubelet.run();
      await kubelet.until("the signed pod is there", () => kubelet.pod("web") !== undefined);
      api.put(makePod({ name: "rogue", uid: uidOf(2) }));
      const services = listOf("Service", "v1", [makeService("bash_env=a")]);
      api.intercept = ({ url }) =>
        new URL(url).pathname === "/api/v1/services" ? jsonAnswer(services) : undefined;
      await (await node.ask("/api/v1/services")).body?.cancel();
      api.change("default", "web", (pod) => withImage(pod, "registry.example/evil:1"));
      // A node is never silent: reads and reports, some that fail, and pods that are judged.
      talk = (async () => {
        for (let number = 3; !talking.signal.aborted; number++) {
          api.put(await owner.signedPod({ name: `web-${number}`, uid: uidOf(number) }));
          await (await kubelet.report("web", { phase: "Running" })).body?.cancel();
          await (await kubelet.report("nothing", { phase: "Running" })).body?.cancel();
          await new Promise((resolve) => setTimeout(resolve, 200));
        }
      })();

      const isData = (samples: Sample[]) =>
        samples.length > 0 && samples.every(({ value }) => Number.isFinite(value));
      for (const { title, expression } of queries) {
        await asked.until(
          `the panel "${title}" has data: ${expression}`,
          async () => isData(await asked.query(expression)),
        );
      }
      // Without its condition, an alert is silent for want of data only if something is wrong with it.
      for (const { alert, expr } of alerts) {
        const operand = expr.trim().replace(/\s*(?:==|>|<)[^=<>{}]*$/, "").replace(/\{mode="audit"\}/, "");
        assert.notEqual(operand, expr.trim(), alert);
        await asked.until(
          `the alert ${alert} has data: ${operand}`,
          async () => isData(await asked.query(operand)),
        );
      }
      const firing = ["KubeletProxyObjectRefused", "KubeletProxyPodRefused", "KubeletProxyPodStopped"];
      await asked.until(`${firing} fire`, async () => {
        const now = await asked.firing();
        return firing.every((name) => now.includes(name));
      });
      assert.deepEqual(await asked.firing(), firing, "and no others");
      for (const { name, health, lastError } of await asked.rules()) {
        assert.equal(health, "ok", `${name}: ${lastError}`);
      }
      assert.equal(
        await valueOf('kubelet_proxy_verdicts_total{decision="refuse",code="unsigned"}'),
        1,
      );
      assert.equal(
        await valueOf('kubelet_proxy_objects_refused_total{resource="services",code="object-malformed"}'),
        1,
      );
      const { text } = await node.read("/metrics");
      assert.ok(!text.includes(CANARY));
      talking.abort();
      await talk;
    } finally {
      talking.abort();
      await talk.catch(() => {});
      await prometheus?.stop();
      await node.close();
    }
  },
});
