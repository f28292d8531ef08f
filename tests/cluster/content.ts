/**
 * The content of what signed pods refer to, over time: a pod with one of everything runs, the API server's side changes each
 * of them, and the running container shows what of it reaches its files.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { JsonObject } from "@signed-pods/shared/json";
import type { Cluster } from "./cluster.ts";
import { at, listAt, textAt } from "./json.ts";
import { etcd, untilRefused } from "./objects.ts";
import type { SignOptions } from "./owner.ts";
import { done, notYet } from "./wait.ts";
import { sum } from "./watching.ts";
import { persistentVolume, pod } from "./workloads.ts";

/** How long a kubelet may take to bring a changed ConfigMap into the files, in milliseconds: it looks once a minute. */
const FILES_TIMEOUT_MS = 180_000;

/** Shows the environment of the container's first process, and then its files whenever they change. */
const SHOW_ALL = `trap 'exit 0' TERM
tr '\\0' '\\n' </proc/1/environ | grep -E '^(SALUTE|PASSWORD|LD_PRELOAD)=' | sort
echo claim >/data/owner && echo "data: $(cat /data/owner)"
while :; do
  now="pinned: $(cat /pinned/file) live: $(cat /live/file) secret: $(cat /secret/password)"
  [ "$now" = "$last" ] || echo "$now"
  last=$now
  sleep 0.2
done`;

/** Shows the authority by which a pod knows the API server. */
const SHOW_AUTHORITY = `trap 'exit 0' TERM
cat /var/run/secrets/kubernetes.io/serviceaccount/ca.crt
echo end
while :; do sleep 0.2; done`;

/** What the tests need of their suite. */
export interface ContentSuite {
  namespace: string;
  /** Folder of this run. */
  runDir: string;
  /** Declares a test that needs the proxy. */
  test: (name: string, body: (cluster: Cluster) => Promise<void>) => void;
  /** Signs a manifest. */
  sign: (manifest: JsonObject, options?: SignOptions) => Promise<JsonObject>;
  isReady: (pod: JsonObject) => boolean;
}

/** Declares the tests. They leave nothing behind. */
export function contentTests({ namespace, runDir, test, sign, isReady }: ContentSuite): void {
  const object = (kind: string, name: string, content: JsonObject): JsonObject => ({
    kind,
    apiVersion: "v1",
    metadata: { name, namespace },
    ...content,
  });
  const live = (file: string) => object("ConfigMap", "live", { data: { file } });
  const LIVE = ["signed-config=live"];

  const remove = (cluster: Cluster, ...what: string[]) =>
    cluster.kubectl([
      "delete",
      "-n",
      namespace,
      "--wait=true",
      "--grace-period=1",
      "--ignore-not-found",
      ...what,
    ]);

  const patch = (cluster: Cluster, what: string, change: JsonObject) =>
    cluster.kubectl(["patch", "-n", namespace, what, "--type=merge", `--patch=${JSON.stringify(change)}`]);

  const logOf = (cluster: Cluster, name: string) => cluster.kubectl(["logs", "-n", namespace, name]);

  const containersOf = (found: JsonObject | undefined) =>
    listAt(found, "status", "containerStatuses").map((status) => [
      textAt(status, "containerID"),
      at(status, "restartCount"),
    ]);

  /** A pod that uses one of everything. */
  function usesAll(name: string, image: string): JsonObject {
    const mount = (volume: string) => ({ name: volume, mountPath: `/${volume}` });
    return pod(namespace, name, {
      terminationGracePeriodSeconds: 10,
      runtimeClassName: "everything",
      containers: [{
        name: "app",
        image,
        command: ["sh", "-c", SHOW_ALL],
        envFrom: [{ configMapRef: { name: "variables" } }],
        env: [{ name: "PASSWORD", valueFrom: { secretKeyRef: { name: "key", key: "password" } } }],
        volumeMounts: ["pinned", "live", "secret", "data"].map(mount),
      }],
      volumes: [
        { name: "pinned", configMap: { name: "files" } },
        { name: "live", configMap: { name: "live" } },
        { name: "secret", secret: { secretName: "key" } },
        { name: "data", persistentVolumeClaim: { claimName: "everything" } },
      ],
    });
  }

  const listOf = (...items: JsonObject[]): JsonObject => ({ kind: "List", apiVersion: "v1", items });

  test("a pod with ConfigMaps as variables and files, a Secret, a claim and a RuntimeClass runs; what the API server's side changes stays at the last good content, and a change that the owner signed arrives", async (cluster) => {
    const { app } = cluster.images;
    const content = [
      object("ConfigMap", "variables", { data: { SALUTE: "hello" } }),
      object("ConfigMap", "files", { data: { file: "one" } }),
      live("one"),
      object("Secret", "key", { stringData: { password: "correct" } }),
    ];
    const everything: JsonObject = {
      kind: "RuntimeClass",
      apiVersion: "node.k8s.io/v1",
      metadata: { name: "everything" },
      handler: "runc",
    };
    const claim: JsonObject = object("PersistentVolumeClaim", "everything", {
      spec: {
        storageClassName: "by-hand",
        accessModes: ["ReadWriteOnce"],
        volumeName: "volume-everything",
        resources: { requests: { storage: "1Mi" } },
      },
    });
    const allow = [...LIVE, "claim=everything"];
    await cluster.create(persistentVolume("volume-everything", `${runDir}/volumes/everything`));
    const signed = await sign(listOf(...content, everything, claim, usesAll("uses-all", app)), { allow });
    try {
      for (const item of listAt(signed, "items")) await cluster.create(JSON.stringify(item));
      const first = await cluster.untilPod(namespace, "uses-all", "is Ready", isReady);
      const begun = [
        "PASSWORD=correct",
        "SALUTE=hello",
        "data: claim",
        "pinned: one live: one secret: correct",
      ];
      await cluster.until("the container shows what was signed", async () => {
        const log = await logOf(cluster, "uses-all");
        return log.includes("pinned:") ? done(log) : notYet(log);
      });
      const refusedBefore = await sum(cluster, 'kubelet_proxy_objects_refused_total{resource="configmaps"');

      // Without the owner.
      await patch(cluster, "configmap/variables", {
        data: { SALUTE: "intruder", LD_PRELOAD: "/intruder.so" },
      });
      await patch(cluster, "configmap/files", { data: { file: "intruder" } });
      await patch(cluster, "configmap/live", { data: { file: "intruder" } });
      await patch(cluster, "secret/key", { data: { password: btoa("intruder") } });
      const stored: JsonObject = JSON.parse(
        await cluster.kubectl(["get", "runtimeclass", "everything", "-o", "json"]),
      );
      const key = "/registry/runtimeclasses/everything";
      await etcd(cluster, "put", {
        key: btoa(key),
        value: btoa(JSON.stringify({ ...stored, handler: "intruder" })),
      });
      for (const name of ["variables", "files", "live"]) await untilRefused(cluster, "configmaps", name);
      await untilRefused(cluster, "secrets", "key");
      await untilRefused(cluster, "runtimeclasses", "everything");
      for (const what of ["configmap/live", "secret/key"]) {
        await cluster.until(`an Event tells whoever looks at ${what}`, async () => {
          const events = await cluster.kubectl(["events", "-n", namespace, `--for=${what}`]);
          return events.includes("NotPassedOnToNode") ? done(undefined) : notYet(events);
        });
      }
      // The page is made at most once a second.
      await cluster.until("the refusals are counted", async () => {
        const refused = await sum(cluster, 'kubelet_proxy_objects_refused_total{resource="configmaps"');
        return refused >= refusedBefore + 3 ? done(undefined) : notYet(`${refusedBefore}, then ${refused}`);
      });

      // By the owner: when this has reached the files, the kubelet has looked at all of them since.
      const again = await sign(live("two"), { allow: LIVE });
      await cluster.kubectl(["replace", "-f", "-"], { stdin: JSON.stringify(again) });
      const after = await cluster.until("the signed change reaches the files", async () => {
        const log = await logOf(cluster, "uses-all");
        return log.includes("live: two") ? done(log) : notYet(log);
      }, FILES_TIMEOUT_MS);
      assert.deepEqual(after.trimEnd().split("\n"), [...begun, "pinned: one live: two secret: correct"]);
      assert.deepEqual(containersOf(cluster.pods.find(namespace, "uses-all")), containersOf(first));

      // A pod that starts now gets the last good content, too, and runs by the handler that its owner signed.
      // (Signed with the Secret as it was created: podsign has given it a salt.)
      const created = listAt(signed, "items").filter((item) => textAt(item, "kind") !== "Pod");
      const later = listAt(
        await sign({ ...signed, items: [...created, usesAll("uses-all-later", app)] }, { allow }),
        "items",
      );
      await cluster.create(JSON.stringify(later.find((item) => textAt(item, "kind") === "Pod")));
      await cluster.untilPod(namespace, "uses-all-later", "is Ready", isReady);
      const last = await cluster.until("the later container shows the same", async () => {
        const log = await logOf(cluster, "uses-all-later");
        return log.includes("pinned:") ? done(log) : notYet(log);
      });
      assert.deepEqual(last.trimEnd().split("\n"), [
        ...begun.slice(0, 3),
        "pinned: one live: two secret: correct",
      ]);
    } finally {
      await remove(cluster, "pod/uses-all", "pod/uses-all-later");
      await remove(
        cluster,
        "configmap/variables",
        "configmap/files",
        "configmap/live",
        "secret/key",
        "pvc/everything",
      );
      await cluster.kubectl(["delete", "pv", "volume-everything", "--wait=false", "--ignore-not-found"]);
      await cluster.kubectl(["delete", "runtimeclass", "everything", "--ignore-not-found"]);
    }
  });

  test("the authority that pods are told of is the one that the operator pinned, whatever the API server says", async (cluster) => {
    const authority = await Deno.readTextFile(`${runDir}/pki/cluster-ca.crt`);
    const other = await Deno.readTextFile(`${runDir}/pki/node-ca.crt`);
    const shown = async (name: string): Promise<string> => {
      const spec: JsonObject = {
        terminationGracePeriodSeconds: 10,
        containers: [{ name: "app", image: cluster.images.app, command: ["sh", "-c", SHOW_AUTHORITY] }],
      };
      await cluster.create(await sign(pod(namespace, name, spec)));
      await cluster.untilPod(namespace, name, "is Ready", isReady);
      return await cluster.until(`${name} has shown its authority`, async () => {
        const log = await logOf(cluster, name);
        return log.endsWith("end\n") ? done(log.slice(0, -"end\n".length)) : notYet(log);
      });
    };
    // It would put the ConfigMap right again.
    const manager = cluster.program("kube-controller-manager");
    await manager.stop();
    try {
      assert.equal(await shown("authority-first"), authority);
      await patch(cluster, "configmap/kube-root-ca.crt", { data: { "ca.crt": other } });
      await untilRefused(cluster, "configmaps", "kube-root-ca.crt");
      assert.equal(await shown("authority-second"), authority);
    } finally {
      manager.start();
      await remove(cluster, "pod/authority-first", "pod/authority-second");
      await cluster.until("the ConfigMap is as it was", async () => {
        const found = await cluster.kubectl([
          ...["get", "-n", namespace, "configmap/kube-root-ca.crt", "-o", "jsonpath={.data.ca\\.crt}"],
        ]);
        return found === authority ? done(undefined) : notYet(found);
      });
    }
  });
}
