/**
 * Random workloads of every kind, each of which makes pods through its controller.
 *
 * @module
 */
import fc from "fast-check";
import type { JsonObject } from "@signed-pods/shared/json";
import { arbitraryValidSpec, type SpecOptions } from "./valid_pods.ts";

/** The kinds of workloads. */
export const KINDS = [
  "Pod",
  "ReplicationController",
  "ReplicaSet",
  "Deployment",
  "StatefulSet",
  "DaemonSet",
  "Job",
  "indexed Job",
  "CronJob",
] as const;

/** A kind of workload. */
export type Kind = typeof KINDS[number];

/** A workload to create. */
export interface Workload {
  kind: Kind;
  /** The value of its pods' label `workload`. */
  id: string;
  name: string;
  namespace: string;
  /** Path of its collection. */
  collection: string;
  /** How many pods its controller makes. */
  pods: number;
  /** As its owner writes it. */
  manifest: JsonObject;
}

/**
 * The longest names. Pods of some kinds have the name in a label, with a hash or an index, which 63 characters are
 * the most for; a CronJob's name is at least 11 characters shorter than its Jobs'.
 */
const MAX_NAME: Record<Kind, number> = {
  Pod: 253,
  ReplicationController: 253,
  ReplicaSet: 253,
  Deployment: 200,
  StatefulSet: 52,
  DaemonSet: 253,
  Job: 63,
  "indexed Job": 61,
  CronJob: 52,
};

/** Lengths around the 58 characters to which generated names are cut and the 63 of a label. */
const LENGTHS = [8, 20, 46, 47, 48, 51, 52, 56, 57, 58, 59, 61, 62, 63, 64, 100, 200];

const LONG_RUNNING = { restartPolicies: ["Always"], deadline: false, placement: true };
const RUNS_ONCE = { restartPolicies: ["OnFailure", "Never"], deadline: true, placement: true };

const SPECS: Record<Kind, Omit<SpecOptions, "podResources">> = {
  Pod: { restartPolicies: ["Always", "OnFailure", "Never"], deadline: true, placement: true },
  ReplicationController: LONG_RUNNING,
  ReplicaSet: LONG_RUNNING,
  Deployment: LONG_RUNNING,
  StatefulSet: LONG_RUNNING,
  // It makes pods for the nodes that its template may run on.
  DaemonSet: { ...LONG_RUNNING, placement: false },
  Job: RUNS_ONCE,
  "indexed Job": RUNS_ONCE,
  CronJob: RUNS_ONCE,
};

/**
 * A workload.
 *
 * @param kind its kind
 * @param number tells it from all others
 * @param namespace where it is created
 * @param podResources which resources of its own the pod may have there
 */
export function arbitraryWorkload(
  kind: Kind,
  number: number,
  namespace: string,
  podResources: SpecOptions["podResources"],
): fc.Arbitrary<Workload> {
  const lengths = LENGTHS.filter((length) => length <= MAX_NAME[kind]);
  return fc.record({
    spec: arbitraryValidSpec({ ...SPECS[kind], podResources }),
    length: fc.constantFrom(...lengths),
    replicas: fc.constantFrom(1, 2),
    labels: fc.constantFrom<JsonObject>({}, { "app.kubernetes.io/name": "web", tier: "" }),
    annotations: fc.constantFrom<JsonObject>({}, { "example.com/Note": "é\u{1f600} <&>\n", b: "" }),
    claims: fc.subarray(["data", "volume-0", "logs"]),
    service: fc.constantFrom("", "governing"),
    backoff: fc.boolean(),
  }).map(({ spec, length, replicas, labels, annotations, claims, service, backoff }): Workload => {
    const id = `w${number}`;
    const name = `${id}-`.padEnd(length, "abcde.fgh-ij").replace(/[^a-z0-9]$/, "x")
      .replaceAll(".", kind === "Pod" || kind === "ReplicaSet" ? "." : "d");
    const metadata: JsonObject = { name, namespace };
    const selector: JsonObject = { workload: id };
    const template: JsonObject = { metadata: { labels: { ...labels, ...selector }, annotations }, spec };
    const replicated = { replicas, selector: { matchLabels: selector }, template };
    const jobSpec: JsonObject = {
      completions: replicas,
      parallelism: replicas,
      ...(kind === "indexed Job" ? { completionMode: "Indexed" } : {}),
      ...(backoff ? { backoffLimit: 3 } : {}),
      template,
    };
    const workload = (
      api: string,
      resource: string,
      pods: number,
      of: JsonObject,
      written: string = kind,
    ) => ({
      kind,
      id,
      name,
      namespace,
      pods,
      collection: `${api === "v1" ? "/api/v1" : `/apis/${api}`}/namespaces/${namespace}/${resource}`,
      manifest: { apiVersion: api, kind: written, metadata, ...of },
    });
    switch (kind) {
      case "Pod": {
        const { metadata: of = {} } = template;
        return workload("v1", "pods", 1, { metadata: { ...metadata, ...(isObject(of) ? of : {}) }, spec });
      }
      case "ReplicationController":
        return workload("v1", "replicationcontrollers", replicas, { spec: { replicas, selector, template } });
      case "ReplicaSet":
        return workload("apps/v1", "replicasets", replicas, { spec: replicated });
      case "Deployment":
        return workload("apps/v1", "deployments", replicas, { spec: replicated });
      case "StatefulSet":
        return workload("apps/v1", "statefulsets", replicas, {
          spec: {
            ...replicated,
            serviceName: service,
            podManagementPolicy: "Parallel",
            volumeClaimTemplates: claims.map((claim) => ({
              metadata: { name: claim },
              spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } },
            })),
          },
        });
      case "DaemonSet":
        return workload("apps/v1", "daemonsets", 1, {
          spec: { selector: { matchLabels: selector }, template },
        });
      case "Job":
      case "indexed Job":
        return workload("batch/v1", "jobs", replicas, { spec: jobSpec }, "Job");
      case "CronJob":
        return workload("batch/v1", "cronjobs", replicas, {
          spec: { schedule: "* * * * *", jobTemplate: { spec: jobSpec } },
        });
      default: {
        const never: never = kind;
        return never;
      }
    }
  });
}

function isObject(value: JsonObject[string]): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
