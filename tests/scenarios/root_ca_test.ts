/** `--pin-root-ca` in the program as it is: the file is in force at the start, and followed. */
import assert from "node:assert/strict";
import { expand } from "@signed-pods/shared/pod/normal-form";
import { issue } from "../../proxy/fixture_test.ts";
import { listOf, makeMetadata } from "../fakes/objects.ts";
import { ObservedNode } from "../fakes/observed_node.ts";
import { makePod, withSpec } from "../fakes/owner.ts";
import { jsonAnswer } from "../fakes/upstream.ts";
import { done, notYet, until } from "../cluster/wait.ts";

const PATH = "/api/v1/namespaces/default/configmaps";
const NAMED = `${PATH}?fieldSelector=metadata.name%3Dkube-root-ca.crt`;

Deno.test("refuses another authority in kube-root-ca.crt until the file of --pin-root-ca holds it", async () => {
  const [old, next] = [await issue({ commonName: "old" }), await issue({ commonName: "next" })];
  let file = "";
  const node = await ObservedNode.start((folder) => {
    file = `${folder}/root-ca.pem`;
    Deno.writeTextFileSync(file, old.certificate);
    return [`--pin-root-ca=${file}`];
  });
  try {
    const { api, kubelet, owner } = node;
    let served = old.certificate;
    api.intercept = ({ url }) =>
      new URL(url).pathname === PATH
        ? jsonAnswer(listOf("ConfigMap", "v1", [{
          metadata: makeMetadata("kube-root-ca.crt", { namespace: "default" }),
          data: { "ca.crt": served },
        }]))
        : undefined;
    const spec = expand({
      automountServiceAccountToken: false,
      containers: [{ name: "app", image: "registry.example/web:1" }],
      volumes: [{ name: "ca", configMap: { name: "kube-root-ca.crt" } }],
    });
    api.put(await owner.sign(withSpec(makePod(), spec)));
    kubelet.run();
    await kubelet.until("the pod is there", () => kubelet.pod("web") !== undefined);
    const ask = async () => {
      const response = await node.ask(NAMED);
      return { status: response.status, text: await response.text() };
    };
    assert.equal((await ask()).status, 200);
    served = next.certificate;
    const refused = await ask();
    assert.equal(refused.status, 403);
    assert.match(refused.text, /not in the file of --pin-root-ca/);
    await Deno.writeTextFile(file, old.certificate + next.certificate);
    const taken = await until("the changed file is in force", async () => {
      const answer = await ask();
      return answer.status === 200 ? done(answer.text) : notYet(answer.text);
    }, { timeoutMs: 60_000 });
    assert.ok(taken.includes(JSON.stringify(next.certificate).slice(1, -1)));
    // A file that holds nothing leaves what was in force.
    await Deno.writeTextFile(file, "");
    await until("the file is refused", async () => {
      const { text } = await node.read("/metrics");
      return /reload_stale\{files="root-ca"\} 1/.test(text) ? done(undefined) : notYet(text.slice(-200));
    }, { timeoutMs: 60_000 });
    assert.equal((await ask()).status, 200);
  } finally {
    await node.close();
  }
});
