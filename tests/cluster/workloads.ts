/**
 * The workloads that the tests create.
 *
 * @module
 */
import type { JsonObject } from "@signed-pods/shared/json";
import { FOLDER_DRIVER } from "./volume_plugin.ts";

/** Value of every variable of these workloads; where it is found outside of a spec, something has leaked. */
export const ENV_CANARY = "canary-7f3a9d-value";

/** Runs until it is asked to stop, then ends well within a second and with exit code 0: graceful, and seen to be. */
export const SERVICE_SCRIPT = `trap 'echo stopping; exit 0' TERM
echo started
while :; do sleep 1 & wait $!; done`;

/** A pod's spec with one container, as owners write it: without any default. */
export function serviceSpec(image: string, script = SERVICE_SCRIPT): JsonObject {
  return {
    terminationGracePeriodSeconds: 10,
    containers: [{
      name: "app",
      image,
      command: ["sh"],
      args: ["-c", script],
      env: [{ name: "GREETING", value: ENV_CANARY }],
    }],
  };
}

/** A bare pod. */
export function pod(namespace: string, name: string, spec: JsonObject): JsonObject {
  return { apiVersion: "v1", kind: "Pod", metadata: { name, namespace }, spec };
}

function template(name: string, spec: JsonObject): JsonObject {
  return { metadata: { labels: { app: name } }, spec };
}

/** A Deployment. */
export function deployment(namespace: string, name: string, replicas: number, spec: JsonObject): JsonObject {
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name, namespace },
    spec: { replicas, selector: { matchLabels: { app: name } }, template: template(name, spec) },
  };
}

/** A StatefulSet whose pods each have a claim named `data`, mounted at /data. */
export function statefulSet(namespace: string, name: string, replicas: number, image: string): JsonObject {
  const spec: JsonObject = {
    terminationGracePeriodSeconds: 10,
    containers: [{
      name: "app",
      image,
      command: ["sh", "-c", `hostname > /data/owner && ${SERVICE_SCRIPT}`],
      volumeMounts: [{ name: "data", mountPath: "/data" }],
    }],
  };
  return {
    apiVersion: "apps/v1",
    kind: "StatefulSet",
    metadata: { name, namespace },
    spec: {
      serviceName: name,
      replicas,
      selector: { matchLabels: { app: name } },
      template: template(name, spec),
      volumeClaimTemplates: [{
        metadata: { name: "data" },
        spec: {
          storageClassName: "by-hand",
          accessModes: ["ReadWriteOnce"],
          resources: { requests: { storage: "1Mi" } },
        },
      }],
    },
  };
}

/** A volume in a folder of this machine, by the test node's volume plugin. */
export function persistentVolume(name: string, folder: string): JsonObject {
  return {
    apiVersion: "v1",
    kind: "PersistentVolume",
    metadata: { name },
    spec: {
      storageClassName: "by-hand",
      accessModes: ["ReadWriteOnce"],
      capacity: { storage: "1Mi" },
      flexVolume: { driver: FOLDER_DRIVER, options: { folder } },
    },
  };
}

/** A DaemonSet. */
export function daemonSet(namespace: string, name: string, spec: JsonObject): JsonObject {
  return {
    apiVersion: "apps/v1",
    kind: "DaemonSet",
    metadata: { name, namespace },
    spec: { selector: { matchLabels: { app: name } }, template: template(name, spec) },
  };
}

/** A pod's spec that prints a line and ends. */
export function taskSpec(image: string, command: string): JsonObject {
  return { restartPolicy: "Never", containers: [{ name: "task", image, command: ["sh", "-c", command] }] };
}

/** An indexed Job. */
export function indexedJob(namespace: string, name: string, completions: number, image: string): JsonObject {
  return {
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: { name, namespace },
    spec: {
      completionMode: "Indexed",
      completions,
      parallelism: completions,
      template: { spec: taskSpec(image, "echo index $JOB_COMPLETION_INDEX") },
    },
  };
}

/** A CronJob that runs every minute. */
export function cronJob(namespace: string, name: string, image: string): JsonObject {
  return {
    apiVersion: "batch/v1",
    kind: "CronJob",
    metadata: { name, namespace },
    spec: {
      schedule: "* * * * *",
      jobTemplate: { spec: { template: { spec: taskSpec(image, "echo on time") } } },
    },
  };
}
