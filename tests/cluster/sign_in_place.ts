/**
 * deploy/kind/sign_workloads.sh on a real cluster: what runs unsigned is signed in place, and the proxy's node runs it.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Cluster } from "./cluster.ts";
import { listAt, parseObject, textAt } from "./json.ts";
import type { Owner } from "./owner.ts";
import { run } from "./programs.ts";
import { done, notYet } from "./wait.ts";
import { daemonSet, deployment, serviceSpec } from "./workloads.ts";

const SCRIPT = new URL("../../deploy/kind/sign_workloads.sh", import.meta.url).pathname;
/** A namespace with workloads of its own; it plays the part of kube-system. */
const NAMESPACE = "system";

/** Creates unsigned workloads, signs them as `make deploy-kind` does, twice, and looks at their pods. */
export async function testSignInPlace(cluster: Cluster, owner: Owner, podsign: string): Promise<void> {
  const { runDir } = cluster.options;
  await cluster.kubectl(["create", "namespace", NAMESPACE]);
  await cluster.kubectl(["wait", "--for=create", "serviceaccount/default", "-n", NAMESPACE, "--timeout=60s"]);
  const spec = serviceSpec(cluster.images.app);
  await cluster.create(daemonSet(NAMESPACE, "network", spec));
  await cluster.create(deployment(NAMESPACE, "dns", 1, spec));
  await cluster.until("the node refuses the workloads as they are", () => {
    // Controllers remove pods that have failed, so that what was is looked at, not what is.
    const refused = cluster.pods.events.map(({ object }) => object).filter((pod) =>
      textAt(pod, "metadata", "namespace") === NAMESPACE &&
      textAt(pod, "status", "reason") === "NodeAdmissionRejected"
    );
    const names = refused.map((pod) => textAt(pod, "metadata", "name") ?? "");
    const both = ["network-", "dns-"].every((prefix) => names.some((name) => name.startsWith(prefix)));
    return both ? done(undefined) : notYet(names.join(" "));
  });

  const [command, args] = cluster.kubectlCommand([]);
  const kubectl = `${runDir}/kubectl-in-the-network`;
  const quoted = [command, ...args].map((word) => `'${word}'`).join(" ");
  await Deno.writeTextFile(kubectl, `#!/bin/sh\nexec ${quoted} "$@"\n`, { mode: 0o700 });
  await Deno.writeTextFile(`${runDir}/sign-in-place.pem`, owner.certificate);
  const env = {
    KUBECTL: kubectl,
    PODSIGN: podsign,
    CERT: `${runDir}/sign-in-place.pem`,
    ROLLOUT_TIMEOUT: "180",
  };
  const sign = () => run(SCRIPT, [NAMESPACE, "--", `--server=${owner.server}`], { env, timeoutMs: 300_000 });
  const workloads = ["daemonset.apps/network", "deployment.apps/dns"];
  const first = await sign();
  for (const workload of workloads) assert.ok(first.includes(`signed: ${NAMESPACE}/${workload}`), first);

  const generations = async () =>
    listAt(
      parseObject(await cluster.kubectl(["get", "daemonsets,deployments", "-n", NAMESPACE, "-o", "json"])),
      "items",
    )
      .map((workload) => [textAt(workload, "metadata", "name"), JSON.stringify(workload)] as const)
      .map(([name, text]) => `${name} ${/"generation":(\d+)/.exec(text)?.[1]}`);
  const before = await generations();
  const second = await sign();
  for (const workload of workloads) {
    assert.ok(second.includes(`signed already: ${NAMESPACE}/${workload}`), second);
  }
  assert.deepEqual(await generations(), before, "what is signed is left alone");
  await cluster.kubectl(["delete", "namespace", NAMESPACE, "--wait=false"]);
}
