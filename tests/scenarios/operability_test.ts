/** What those who watch a node see, from a real process with the permissions of its launcher. */
import assert from "node:assert/strict";
import { assertNoCanary, CANARY } from "../fakes/canary.ts";
import { ObservedNode } from "../fakes/observed_node.ts";
import { makePod, objectOf, uidOf, withImage } from "../fakes/owner.ts";

interface Seen {
  decision: string;
  name: string;
  code?: string;
  differences?: { path: string; found?: string }[];
}

async function decisionsOf(node: ObservedNode): Promise<{ total: number; decisions: Seen[] }> {
  return JSON.parse((await node.read("/decisions")).text);
}

async function untilTotal(node: ObservedNode, total: number): Promise<Seen[]> {
  await node.until(`there are ${total} verdicts`, async () => (await decisionsOf(node)).total >= total);
  const seen = await decisionsOf(node);
  assert.equal(seen.total, total);
  return seen.decisions;
}

Deno.test("a node is observed: not ready, ready, verdicts once each, without secrets, an API server that is away", async () => {
  const node = await ObservedNode.start((folder) => [`--decision-log=${folder}/decisions.log`]);
  const { api, owner, kubelet } = node;
  try {
    assert.deepEqual(await node.read("/healthz"), { status: 200, text: "ok\n" });
    const unready = await node.read("/readyz");
    assert.equal(unready.status, 503);
    assert.match(unready.text, /^\[\+\]upstream ok\n\[-\]pod-list failed/);

    api.put(await owner.signedPod());
    kubelet.run();
    await kubelet.until("the signed pod is there", () => kubelet.pod("web") !== undefined);
    await node.until("it is ready", async () => (await node.read("/readyz")).status === 200);
    await untilTotal(node, 1);

    const secretPod = makePod({ name: "rogue", uid: uidOf(2) });
    const [container] = Array.isArray(objectOf(secretPod.spec).containers)
      ? [objectOf(secretPod.spec).containers].flat()
      : [];
    api.put({
      ...secretPod,
      spec: {
        ...objectOf(secretPod.spec),
        containers: [{ ...objectOf(container), env: [{ name: "PASSWORD", value: CANARY }] }],
      },
    });
    await untilTotal(node, 2);
    // Seen again, with nothing new to say.
    api.change("default", "web", (pod) => ({ ...pod, status: { phase: "Running" } }));
    api.bookmark();
    await node.until(
      "the change is judged",
      () => Promise.resolve(kubelet.types("web").includes("MODIFIED")),
    );
    api.change("default", "web", (pod) => {
      const evil = withImage(pod, "registry.example/evil:1");
      const spec = objectOf(evil.spec);
      const [app] = [spec.containers].flat();
      return {
        ...evil,
        spec: { ...spec, containers: [{ ...objectOf(app), env: [{ name: "TOKEN", value: CANARY }] }] },
      };
    });
    const [stopped, refused, admitted] = await untilTotal(node, 3);
    assert.deepEqual([stopped?.decision, stopped?.name, stopped?.code], ["stop", "web", "spec-differs"]);
    assert.deepEqual([refused?.decision, refused?.name, refused?.code], ["refuse", "rogue", "unsigned"]);
    assert.deepEqual([admitted?.decision, admitted?.name], ["allow", "web"]);
    const image = stopped?.differences?.find(({ path }) => path.endsWith(".image"));
    assert.match(image?.found ?? "", /evil/);
    assert.ok(stopped?.differences?.some(({ path }) => path.includes("env")), "the variable is named");

    const log = `${node.folder}/decisions.log`;
    await node.until("the decision log holds all of it", async () => {
      const text = await Deno.readTextFile(log);
      return text.split("\n").length === 4;
    });
    const written = (await Deno.readTextFile(log)).trimEnd().split("\n").map((line) => JSON.parse(line));
    assert.deepEqual(written.reverse(), [stopped, refused, admitted]);
    const { text: decisions } = await node.read("/decisions");
    const { text: metrics } = await node.read("/metrics");
    for (const [what, text] of Object.entries({ decisions, metrics, log: node.proxy.lines.join("\n") })) {
      assertNoCanary(what, text);
    }
    for (const event of ["pod-admitted", "pod-refused", "pod-stopping"]) {
      assert.equal(node.proxy.lines.filter((line) => line.includes(`"event":"${event}"`)).length, 1, event);
    }

    assert.equal(await node.metric('kubelet_proxy_verdicts_total{decision="allow",code="none"}'), 1);
    assert.equal(await node.metric('kubelet_proxy_verdicts_total{decision="stop",code="spec-differs"}'), 1);
    await node.until(
      "the pods are counted",
      async () =>
        await node.metric('kubelet_proxy_pods{state="stopping"}') === 1 &&
        await node.metric('kubelet_proxy_pods{state="refused"}') === 1 &&
        await node.metric('kubelet_proxy_requests_open{route="pod-watch"}') === 1 &&
        await node.metric("kubelet_proxy_rejections_pending") === 0,
    );

    // Shut without a word, as a host that is switched off would be, but sooner.
    await kubelet.stop();
    await node.closeApi();
    await node.until("it is not ready", async () => (await node.read("/readyz")).status === 503);
    assert.match((await node.read("/readyz")).text, /^\[-\]upstream failed: .+\n\[\+\]pod-list ok\n/);
    assert.equal(await node.metric('kubelet_proxy_ready{check="upstream"}'), 0);
  } finally {
    await node.close();
  }
});

Deno.test("a decision log that cannot be written costs its lines and nothing else", async () => {
  const node = await ObservedNode.start((folder) => [`--decision-log=${folder}/missing/decisions.log`]);
  const { api, owner, kubelet } = node;
  try {
    api.put(await owner.signedPod());
    api.put(makePod({ name: "rogue", uid: uidOf(2) }));
    kubelet.run();
    await kubelet.until("the signed pod is there", () => kubelet.pod("web") !== undefined);
    await node.until(
      "both verdicts are lost",
      async () => await node.metric("kubelet_proxy_decision_log_lost_total") === 2,
    );
    assert.equal(kubelet.pod("rogue"), undefined);
    const lines = node.proxy.lines.filter((line) => line.includes('"event":"decision-log-failed"'));
    assert.equal(lines.length, 1);
    assert.equal((await decisionsOf(node)).total, 2);
  } finally {
    await node.close();
  }
});
