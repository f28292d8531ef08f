/**
 * A stand-in for Kubernetes' controllers and admission: turns a workload into the pods that a real API server would
 * show of it, closely enough for demonstrations and scenarios. tests/cluster has the real ones.
 */
import { type JsonObject, objectAt, objectsAt } from "@signed-pods/shared/json";
import { expand } from "@signed-pods/shared/pod/normal-form";
import { findPodTemplates } from "@signed-pods/shared/pod/workload";
import { formatTime } from "@signed-pods/shared/time";

const ALPHABET = "bcdfghjklmnpqrstvwxz2456789";
const TOKEN_MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount";

/** What the stand-in needs to know of the cluster. */
export interface ClusterFacts {
  nodeName: string;
  /** Namespace of workloads that name none. */
  namespace: string;
  /** How many pods of workloads that do not say it themselves. */
  replicas?: number;
}

function random(length: number): string {
  const bytes = crypto.getRandomValues(new Uint8Array(length));
  return Array.from(bytes, (byte) => ALPHABET[byte % ALPHABET.length]).join("");
}

/** What the service account admission plugin adds. */
function addServiceAccountToken(spec: JsonObject): void {
  if (spec.automountServiceAccountToken === false) return;
  const name = `kube-api-access-${random(5)}`;
  const volume = {
    name,
    projected: {
      defaultMode: 420,
      sources: [
        { serviceAccountToken: { expirationSeconds: 3607, path: "token" } },
        { configMap: { name: "kube-root-ca.crt", items: [{ key: "ca.crt", path: "ca.crt" }] } },
        {
          downwardAPI: {
            items: [{ path: "namespace", fieldRef: { apiVersion: "v1", fieldPath: "metadata.namespace" } }],
          },
        },
      ],
    },
  };
  spec.volumes = [...objectsAt(spec, "volumes"), volume];
  for (const container of [...objectsAt(spec, "initContainers"), ...objectsAt(spec, "containers")]) {
    container.volumeMounts = [
      ...objectsAt(container, "volumeMounts"),
      { name, readOnly: true, mountPath: TOKEN_MOUNT_PATH },
    ];
  }
}

/** What the scheduler and the admission plugins that steer it add. */
function schedule(spec: JsonObject, nodeName: string): void {
  const tolerate = (key: string) => ({
    key: `node.kubernetes.io/${key}`,
    operator: "Exists",
    effect: "NoExecute",
    tolerationSeconds: 300,
  });
  Object.assign(spec, {
    nodeName,
    priority: 0,
    preemptionPolicy: "PreemptLowerPriority",
    schedulerName: "default-scheduler",
    tolerations: [tolerate("not-ready"), tolerate("unreachable")],
  });
}

/**
 * The pods of a workload, bound to the node and Pending, without resourceVersion, which the API server gives them.
 *
 * @param workload a Pod, Deployment, StatefulSet or Job as its owner wrote it
 * @throws {Error} for other kinds
 */
export function podsOf(workload: JsonObject, { nodeName, namespace, replicas }: ClusterFacts): JsonObject[] {
  const [template] = findPodTemplates(workload);
  const name = template?.workload.name;
  if (template === undefined || name === undefined) {
    throw new Error("This workload has no pod template or no name");
  }
  const { kind, namespace: written } = template.workload;
  const workloadSpec = objectAt(workload, "spec");
  const wanted = kind === "Job" ? workloadSpec.completions : workloadSpec.replicas;
  const count = kind === "Pod" ? 1 : typeof wanted === "number" ? wanted : replicas ?? 1;
  const controllerUid = crypto.randomUUID();
  const hash = random(9);

  return Array.from({ length: count }, (_, index) => {
    const spec = structuredClone(expand(template.spec));
    const labels: JsonObject = { ...objectAt(template.metadata, "labels") };
    const annotations: JsonObject = { ...objectAt(template.metadata, "annotations") };
    let podName: string;
    switch (kind) {
      case "Pod":
        podName = name;
        break;
      case "Deployment":
        podName = `${name}-${hash}-${random(5)}`;
        labels["pod-template-hash"] = hash;
        break;
      case "StatefulSet": {
        podName = `${name}-${index}`;
        labels["statefulset.kubernetes.io/pod-name"] = podName;
        labels["apps.kubernetes.io/pod-index"] = String(index);
        labels["controller-revision-hash"] = `${name}-${hash}`;
        spec.hostname = podName;
        if (workloadSpec.serviceName !== undefined) spec.subdomain = workloadSpec.serviceName;
        const claims = objectsAt(workloadSpec, "volumeClaimTemplates").map((claim) => {
          const claimName = String(objectAt(claim, "metadata").name);
          return { name: claimName, persistentVolumeClaim: { claimName: `${claimName}-${podName}` } };
        });
        if (claims.length > 0) spec.volumes = [...claims, ...objectsAt(spec, "volumes")];
        break;
      }
      case "Job": {
        const indexed = workloadSpec.completionMode === "Indexed";
        podName = indexed ? `${name}-${index}-${random(5)}` : `${name}-${random(5)}`;
        for (const prefix of ["", "batch.kubernetes.io/"]) {
          labels[`${prefix}job-name`] = name;
          labels[`${prefix}controller-uid`] = controllerUid;
        }
        if (indexed) {
          const key = "batch.kubernetes.io/job-completion-index";
          labels[key] = String(index);
          annotations[key] = String(index);
          spec.hostname = `${name}-${index}`;
          const fieldPath = `metadata.labels['${key}']`;
          const variable = {
            name: "JOB_COMPLETION_INDEX",
            valueFrom: { fieldRef: { apiVersion: "v1", fieldPath } },
          };
          for (const container of [...objectsAt(spec, "initContainers"), ...objectsAt(spec, "containers")]) {
            container.env = [...objectsAt(container, "env"), structuredClone(variable)];
          }
        }
        break;
      }
      default:
        throw new Error(`No stand-in for the controller of ${kind}`);
    }
    addServiceAccountToken(spec);
    schedule(spec, nodeName);
    return {
      apiVersion: "v1",
      kind: "Pod",
      metadata: {
        name: podName,
        namespace: written ?? namespace,
        uid: crypto.randomUUID(),
        creationTimestamp: formatTime(new Date()),
        labels,
        annotations,
        ...(kind === "Pod" ? {} : {
          ownerReferences: [{
            apiVersion: "v1",
            kind,
            name,
            uid: controllerUid,
            controller: true,
            blockOwnerDeletion: true,
          }],
        }),
      },
      spec,
      status: { phase: "Pending", qosClass: "BestEffort" },
    };
  });
}
