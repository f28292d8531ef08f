/**
 * What signed pods refer to: Services, volumes, runtime classes. The API server's side changes them, where its own
 * validation would not let it by writing into etcd, and the node shows what reached the containers.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { JsonObject } from "@signed-pods/shared/json";
import type { Cluster } from "./cluster.ts";
import { listAt, objectAt, textAt } from "./json.ts";
import type { SignOptions } from "./owner.ts";
import { done, notYet } from "./wait.ts";
import { persistentVolume, pod, serviceSpec } from "./workloads.ts";

/** Shows the environment that the kernel gave to the container's first process. */
const SHOW_ENVIRONMENT = `trap 'exit 0' TERM
tr '\\0' '\\n' </proc/1/environ
echo end
while :; do sleep 0.2; done`;

/** What the tests need of their suite. */
export interface ObjectSuite {
  namespace: string;
  /** Folder of this run. */
  runDir: string;
  /** Declares a test that needs the proxy. */
  test: (name: string, body: (cluster: Cluster) => Promise<void>) => void;
  /** Signs and creates a manifest. */
  create: (manifest: JsonObject, options?: SignOptions) => Promise<JsonObject>;
  isReady: (pod: JsonObject) => boolean;
}

/** Declares the tests. They leave nothing behind. */
export function objectTests({ namespace, runDir, test, create, isReady }: ObjectSuite): void {
  const remove = (cluster: Cluster, ...what: string[]) =>
    cluster.kubectl(["delete", "-n", namespace, "--wait=true", "--grace-period=1", ...what]);

  /** Runs a pod and reads what it shows of its environment. */
  async function environmentOf(
    cluster: Cluster,
    name: string,
    container: JsonObject = {},
    options: SignOptions = {},
  ): Promise<string> {
    const spec = serviceSpec(cluster.images.app, SHOW_ENVIRONMENT);
    const [first] = listAt(spec, "containers");
    await create(
      pod(namespace, name, { ...spec, containers: [{ ...Object(first), ...container }] }),
      options,
    );
    await cluster.untilPod(namespace, name, "is Ready", isReady);
    return await cluster.until(`${name} has shown its environment`, async () => {
      const log = await cluster.kubectl(["logs", "-n", namespace, name]);
      return log.endsWith("end\n") ? done(log) : notYet(log);
    });
  }

  const configMap = (name: string, data: JsonObject): JsonObject => ({
    kind: "ConfigMap",
    apiVersion: "v1",
    metadata: { name, namespace },
    data,
  });

  const change = (cluster: Cluster, name: string, data: JsonObject) =>
    cluster.kubectl([
      "patch",
      "configmap",
      "-n",
      namespace,
      name,
      "--type=merge",
      `--patch=${JSON.stringify({ data })}`,
    ]);

  test("a ConfigMap whose content is signed with the pod stays at that content", async (cluster) => {
    const signed = configMap("pinned", { SALUTE: "hello" });
    await cluster.create(signed);
    const container = { envFrom: [{ configMapRef: { name: "pinned" } }] };
    try {
      const options = { withConfig: [signed] };
      assert.match(await environmentOf(cluster, "pinned-first", container, options), /^SALUTE=hello$/m);
      await change(cluster, "pinned", { SALUTE: "intruder", LD_PRELOAD: "/tmp/intruder.so" });
      await untilRefused(cluster, "configmaps", "pinned");
      await cluster.until("an Event tells whoever looks at the ConfigMap", async () => {
        const events = await cluster.kubectl(["events", "-n", namespace, "--for=configmap/pinned"]);
        return events.includes("NotPassedOnToNode") ? done(undefined) : notYet(events);
      });
      const second = await environmentOf(cluster, "pinned-second", container, options);
      assert.match(second, /^SALUTE=hello$/m);
      assert.doesNotMatch(second, /intruder/);
    } finally {
      await remove(
        cluster,
        "configmap/pinned",
        "pod/pinned-first",
        "pod/pinned-second",
        "--ignore-not-found",
      );
    }
  });

  test("LD_PRELOAD by envFrom never, not even where the owner lets the content change", async (cluster) => {
    await cluster.create(configMap("changing", { SALUTE: "hello" }));
    const container = { envFrom: [{ configMapRef: { name: "changing" } }] };
    try {
      const options = { allow: ["mutable-config=changing"] };
      assert.match(await environmentOf(cluster, "changing-first", container, options), /^SALUTE=hello$/m);
      await change(cluster, "changing", { SALUTE: "other", LD_PRELOAD: "/tmp/intruder.so" });
      await untilRefused(cluster, "configmaps", "changing");
      const second = await environmentOf(cluster, "changing-second", container, options);
      assert.match(second, /^SALUTE=hello$/m);
      assert.doesNotMatch(second, /LD_PRELOAD|intruder/);
    } finally {
      await remove(
        cluster,
        "configmap/changing",
        "pod/changing-first",
        "pod/changing-second",
        "--ignore-not-found",
      );
    }
  });

  test("a pod whose owner said nothing of its ConfigMap is refused, and says how to say it", async (cluster) => {
    const spec = serviceSpec(cluster.images.app);
    const [first] = listAt(spec, "containers");
    const container = { ...Object(first), envFrom: [{ configMapRef: { name: "silent" } }] };
    await create(pod(namespace, "silent", { ...spec, containers: [container] }));
    try {
      const failed = await cluster.untilPod(
        namespace,
        "silent",
        "has failed",
        (found) => textAt(found, "status", "phase") === "Failed",
      );
      assert.match(
        textAt(failed, "status", "message") ?? "",
        /envFrom.*ConfigMap silent.*--allow mutable-config=silent/,
      );
    } finally {
      await remove(cluster, "pod/silent", "--ignore-not-found");
    }
  });

  test("a Service that would be another variable never reaches a container's environment", async (cluster) => {
    const name = "bash_env=a";
    const key = `/registry/services/specs/${namespace}/${name}`;
    const service = (called: string, clusterIP: string): JsonObject => ({
      kind: "Service",
      apiVersion: "v1",
      metadata: {
        name: called,
        namespace,
        uid: crypto.randomUUID(),
        creationTimestamp: "2026-01-01T00:00:00Z",
      },
      spec: {
        clusterIP,
        clusterIPs: [clusterIP],
        type: "ClusterIP",
        ports: [{ port: 80, protocol: "TCP", targetPort: 80 }],
      },
    });
    await cluster.create({
      kind: "Service",
      apiVersion: "v1",
      metadata: { name: "honest", namespace },
      spec: { ports: [{ port: 80 }], selector: { app: "nobody" } },
    });
    await etcd(cluster, "put", {
      key: btoa(key),
      value: btoa(JSON.stringify(service(name, "$(id >/tmp/evil)"))),
    });
    try {
      await untilRefused(cluster, "services", name);
      const environment = await environmentOf(cluster, "service-reader");
      assert.match(environment, /^KUBERNETES_SERVICE_HOST=[0-9.]+$/m);
      assert.match(environment, /^HONEST_SERVICE_HOST=[0-9.]+$/m);
      assert.doesNotMatch(environment, /BASH_ENV|evil/i);
    } finally {
      await etcd(cluster, "deleterange", { key: btoa(key) });
      await remove(cluster, "service/honest", "pod/service-reader", "--ignore-not-found");
    }
  });

  const claim = (name: string): JsonObject => ({
    kind: "PersistentVolumeClaim",
    apiVersion: "v1",
    metadata: { name, namespace },
    spec: {
      storageClassName: "by-hand",
      accessModes: ["ReadWriteOnce"],
      volumeName: `volume-${name}`,
      resources: { requests: { storage: "1Mi" } },
    },
  });

  const claimingPod = (name: string, claimName: string, image: string): JsonObject => {
    const spec = serviceSpec(image);
    const [container] = Array.isArray(spec["containers"]) ? spec["containers"] : [];
    return pod(namespace, name, {
      ...spec,
      containers: [{ ...Object(container), volumeMounts: [{ name: "data", mountPath: "/data" }] }],
      volumes: [{ name: "data", persistentVolumeClaim: { claimName } }],
    });
  };

  test("a claim leads to an allowed volume, and never to one that was switched to hostPath", async (cluster) => {
    await cluster.create(persistentVolume("volume-switched", `${runDir}/volumes/switched`));
    await cluster.create(claim("switched"));
    const allow = ["claim=switched"];
    await create(claimingPod("claim-first", "switched", cluster.images.app), { allow });
    const first = await cluster.untilPod(namespace, "claim-first", "is Ready", isReady);

    const volume = JSON.parse(await cluster.kubectl(["get", "pv", "volume-switched", "-o", "json"]));
    assert.equal(textAt(volume, "status", "phase"), "Bound");
    delete volume.spec.flexVolume;
    volume.spec.hostPath = { path: "/", type: "" };
    const key = "/registry/persistentvolumes/volume-switched";
    await etcd(cluster, "put", { key: btoa(key), value: btoa(JSON.stringify(volume)) });
    await create(claimingPod("claim-second", "switched", cluster.images.app), { allow });
    try {
      await untilRefused(cluster, "persistentvolumes", "volume-switched");
      const message = await cluster.until("the second pod says why it waits", async () => {
        const events = await cluster.kubectl(["get", "events", "-n", namespace, "-o", "json"]);
        return events.includes("kubelet-proxy: persistentvolumes")
          ? done(events)
          : notYet(events.slice(-300));
      });
      assert.match(message, /spec\.hostPath is a volume that cannot be allowed/);
      const second = await cluster.untilPod(
        namespace,
        "claim-second",
        "is bound to the node",
        (found) => textAt(found, "spec", "nodeName") !== undefined,
      );
      const containers = await cluster.containers.ofPod(textAt(objectAt(second, "metadata"), "uid") ?? "");
      assert.deepEqual(containers, [], "nothing of the second pod ever ran");
      assert.ok(isReady(cluster.pods.find(namespace, "claim-first") ?? {}), "the first pod is still there");
      assert.equal(
        textAt(first, "metadata", "uid"),
        textAt(cluster.pods.find(namespace, "claim-first") ?? {}, "metadata", "uid"),
      );
    } finally {
      await remove(cluster, "pod/claim-first", "pod/claim-second", "--ignore-not-found");
      await remove(cluster, "pvc/switched");
      await cluster.kubectl(["delete", "pv", "volume-switched", "--wait=false"]);
    }
  });

  const classOf = (name: string): JsonObject => ({
    kind: "RuntimeClass",
    apiVersion: "node.k8s.io/v1",
    metadata: { name },
    handler: "runc",
  });

  const isFailed = (object: JsonObject) => textAt(object, "status", "phase") === "Failed";

  test("a RuntimeClass runs pods if the operator pinned its handler; refuses them, and is unknown, if nobody did", async (cluster) => {
    await cluster.create(classOf("pinned"));
    await cluster.create(classOf("strange"));
    try {
      for (const name of ["pinned", "strange"]) {
        const spec = { ...serviceSpec(cluster.images.app), runtimeClassName: name };
        await create(pod(namespace, `class-${name}`, spec));
      }
      await cluster.untilPod(namespace, "class-pinned", "is Ready", isReady);
      await untilRefused(cluster, "runtimeclasses", "strange");
      const strange = await cluster.untilPod(namespace, "class-strange", "is Failed", isFailed);
      assert.match(textAt(strange, "status", "message") ?? "", /RuntimeClass strange is pinned neither/);
      const containers = await cluster.containers.ofPod(textAt(strange, "metadata", "uid") ?? "");
      assert.deepEqual(containers, []);
    } finally {
      await remove(cluster, "pod/class-pinned", "pod/class-strange", "--ignore-not-found");
      await cluster.kubectl(["delete", "runtimeclass", "pinned", "strange"]);
    }
  });
}

/** Waits until the proxy says that it does not pass an object on. */
async function untilRefused(cluster: Cluster, resource: string, name: string): Promise<void> {
  await cluster.until(`${resource} "${name}" is refused`, async () => {
    const lines = (await Deno.readTextFile(cluster.program("kubelet-proxy").logFile)).split("\n");
    const found = lines.some((line) =>
      line.includes("object-refused") && line.includes(resource) && line.includes(name)
    );
    return found ? done(undefined) : notYet(`${lines.length} lines of its log`);
  });
}

/** Speaks to etcd as whoever owns the control plane can: through its JSON gateway. */
async function etcd(cluster: Cluster, call: "put" | "deleterange", body: JsonObject): Promise<void> {
  const { code, stderr, stdout } = await cluster.attemptInNetwork("curl", [
    "--silent",
    "--show-error",
    "--fail",
    "--data-binary",
    JSON.stringify(body),
    `http://127.0.0.1:2379/v3/kv/${call}`,
  ]);
  assert.equal(code, 0, `${stderr}${stdout}`);
}
