import assert from "node:assert/strict";
import type { JsonObject } from "../json.ts";
import { compareSpecs } from "./compare.ts";
import {
  IMAGE,
  indexEnv,
  items,
  liveSpec,
  named,
  ownerSpec,
  part,
  push,
  TOKEN_PATH,
  TOKEN_VOLUME,
  tokenMount,
  tokenVolume,
} from "./fixture_test.ts";
import { beforeAdmission, type InjectionContext } from "./injected.ts";
import { expand, minimal, withoutScheduling } from "./normal_form.ts";
import { parsePermission } from "./permissions.ts";

const POD: InjectionContext = { source: "pod", podName: "web-76bf99c854-x7x7x" };
const STATEFUL: InjectionContext = {
  source: "pod",
  podName: "db-3",
  statefulSet: { serviceName: "db-headless", volumeClaims: ["store", "logs"] },
};
const INDEXED: InjectionContext = {
  source: "pod",
  podName: "sums-2-x7x7x",
  indexedJob: { index: "2", jobName: "sums", isJobName: (name) => name === "sums" },
};

/** What the StatefulSet's controller makes of the owner's spec: claims first, in any order. */
function statefulSpec(): JsonObject {
  const live = liveSpec();
  return {
    ...live,
    hostname: "db-3",
    subdomain: "db-headless",
    volumes: [
      { name: "logs", persistentVolumeClaim: { claimName: "logs-db-3" } },
      { name: "store", persistentVolumeClaim: { claimName: "store-db-3" } },
      ...items(live, "volumes"),
    ],
  };
}

function indexedSpec(): JsonObject {
  const live = { ...liveSpec(), hostname: "sums-2" };
  for (const list of ["initContainers", "containers"]) {
    for (const container of items(live, list)) container.env = [...items(container, "env"), indexEnv()];
  }
  return live;
}

interface Case {
  name: string;
  /** By default the owner's. */
  signed?: (spec: JsonObject) => void;
  /** What admission or a controller did; by default the service account's token only. */
  live: (spec: JsonObject) => void;
  context?: InjectionContext;
  base?: () => JsonObject;
  /** Paths that differ; none for what is accepted. */
  differs: string[];
  /** For what is accepted: lines that must be among the injected ones. */
  injected?: string[];
}

const app = (spec: JsonObject) => named(spec, "containers", "app");
const prepare = (spec: JsonObject) => named(spec, "initContainers", "prepare");
const token = (spec: JsonObject) => named(spec, "volumes", TOKEN_VOLUME);
const mounts = (container: JsonObject) => items(container, "volumeMounts");
const nothing = () => {};

function withoutToken(spec: JsonObject): void {
  spec.volumes = items(spec, "volumes").filter(({ name }) => name !== TOKEN_VOLUME);
  for (const list of ["initContainers", "containers"]) {
    for (const container of items(spec, list)) {
      container.volumeMounts = mounts(container).filter(({ name }) => name !== TOKEN_VOLUME);
    }
  }
}

const tokenPath = `spec.volumes[${TOKEN_VOLUME}]`;
const appMount = `spec.containers[app].volumeMounts[${TOKEN_PATH}]`;
const prepareMount = `spec.initContainers[prepare].volumeMounts[${TOKEN_PATH}]`;
const asUnsigned = [tokenPath, prepareMount, appMount];

const CASES: Case[] = [
  // Service account token
  {
    name: "the service account's token",
    live: nothing,
    differs: [],
    injected: [`${tokenPath}: service account token`],
  },
  { name: "no token at all", live: withoutToken, differs: [] },
  {
    name: "OpenShift's fourth source",
    live: (spec) =>
      push(part(token(spec), "projected"), "sources", {
        configMap: {
          name: "openshift-service-ca.crt",
          items: [{ key: "service-ca.crt", path: "service-ca.crt" }],
        },
      }),
    differs: [],
  },
  {
    name: "the token where a container mounts something of its own there",
    signed: (spec) => push(app(spec), "volumeMounts", { name: "data", mountPath: TOKEN_PATH }),
    live: (spec) => app(spec).volumeMounts = mounts(app(spec)).slice(0, -1),
    differs: [],
  },
  {
    name: "a token volume that no container needs",
    signed: (spec) => {
      for (const container of [app(spec), prepare(spec)]) {
        container.volumeMounts = [{ name: "data", mountPath: TOKEN_PATH }];
      }
    },
    live: (spec) => {
      for (const container of [app(spec), prepare(spec)]) {
        container.volumeMounts = mounts(container).slice(0, -1);
      }
    },
    differs: [tokenPath],
  },
  {
    name: "a token although the owner said no",
    signed: (spec) => spec.automountServiceAccountToken = false,
    live: nothing,
    differs: asUnsigned,
  },
  {
    name: "a token volume with another audience",
    live: (spec) => {
      const [source] = items(part(token(spec), "projected"), "sources");
      if (source !== undefined) part(source, "serviceAccountToken").audience = "vault";
    },
    differs: asUnsigned,
  },
  {
    name: "a token volume with a fourth source of its own",
    live: (spec) => push(part(token(spec), "projected"), "sources", { secret: { name: "stolen" } }),
    differs: asUnsigned,
  },
  {
    name: "a token volume without one source",
    live: (spec) => {
      const projected = part(token(spec), "projected");
      projected.sources = items(projected, "sources").slice(0, -1);
    },
    differs: asUnsigned,
  },
  {
    name: "a token volume with another mode",
    live: (spec) => part(token(spec), "projected").defaultMode = 511,
    differs: asUnsigned,
  },
  {
    name: "a host path under the token volume's name",
    live: (spec) => {
      delete token(spec).projected;
      token(spec).hostPath = { path: "/" };
    },
    differs: asUnsigned,
  },
  {
    name: "a token volume with a name of another form",
    live: (spec) => {
      for (const container of [app(spec), prepare(spec)]) {
        for (const mount of mounts(container)) {
          if (mount.name === TOKEN_VOLUME) mount.name = "kube-api-access-aaaaa";
        }
      }
      token(spec).name = "kube-api-access-aaaaa";
    },
    differs: ["spec.volumes[kube-api-access-aaaaa]", prepareMount, appMount],
  },
  {
    name: "two token volumes",
    live: (spec) =>
      items(spec, "volumes").length > 0 &&
      (spec.volumes = [...items(spec, "volumes"), tokenVolume("kube-api-access-bbbbb")]),
    differs: [tokenPath, "spec.volumes[kube-api-access-bbbbb]", prepareMount, appMount],
  },
  {
    name: "the token volume twice",
    live: (spec) => spec.volumes = [...items(spec, "volumes"), tokenVolume()],
    differs: [tokenPath, tokenPath, prepareMount, appMount],
  },
  {
    name: "the token mounted elsewhere",
    live: (spec) =>
      app(spec).volumeMounts = [...mounts(app(spec)).slice(0, -1), { ...tokenMount(), mountPath: "/bin" }],
    differs: [appMount, "spec.containers[app].volumeMounts[/bin]"],
  },
  {
    name: "the token mounted a second time",
    live: (spec) => app(spec).volumeMounts = [...mounts(app(spec)), { ...tokenMount(), mountPath: "/bin" }],
    differs: ["spec.containers[app].volumeMounts[/bin]"],
  },
  {
    name: "the token mounted writable",
    live: (spec) =>
      mounts(app(spec)).forEach((mount) => mount.name === TOKEN_VOLUME && delete mount.readOnly),
    differs: [`${appMount}.readOnly`],
  },
  {
    name: "the token mounted with a subPath",
    live: (spec) =>
      mounts(app(spec)).forEach((mount) => mount.name === TOKEN_VOLUME && (mount.subPath = "token")),
    differs: [`${appMount}.subPath`],
  },
  {
    name: "another volume mounted at the token's path",
    live: (spec) =>
      mounts(app(spec)).forEach((mount) => mount.name === TOKEN_VOLUME && (mount.name = "data")),
    differs: [`${appMount}.name`],
  },
  {
    name: "the token mounted first",
    live: (spec) => app(spec).volumeMounts = mounts(app(spec)).toReversed(),
    differs: ["spec.containers[app].volumeMounts"],
  },
  {
    name: "the token left out in one container",
    live: (spec) => app(spec).volumeMounts = mounts(app(spec)).slice(0, -1),
    differs: [appMount],
  },
  {
    name: "a token volume whose name the signed spec uses elsewhere",
    signed: (spec) => push(app(spec), "volumeMounts", { name: TOKEN_VOLUME, mountPath: "/etc/token" }),
    live: nothing,
    differs: asUnsigned,
  },
  {
    name: "a token in a workload's template",
    live: nothing,
    context: { source: "template" },
    differs: asUnsigned,
  },

  // Image pull secrets
  {
    name: "the service account's pull secrets",
    live: (spec) => spec.imagePullSecrets = [{ name: "registry" }, { name: "mirror.example" }],
    differs: [],
    injected: ["spec.imagePullSecrets: image pull secrets"],
  },
  {
    name: "a pull secret beside the owner's",
    signed: (spec) => spec.imagePullSecrets = [{ name: "mine" }],
    live: (spec) => spec.imagePullSecrets = [{ name: "mine" }, { name: "other" }],
    differs: ["spec.imagePullSecrets[other]"],
  },
  {
    name: "a pull secret with a name that is none",
    live: (spec) => spec.imagePullSecrets = [{ name: "../x" }],
    differs: ["spec.imagePullSecrets[../x]"],
  },
  {
    name: "a pull secret without name",
    live: (spec) => spec.imagePullSecrets = [{}],
    differs: ["spec.imagePullSecrets[0]"],
  },

  // Pull policy
  {
    name: "pulling always, with a digest",
    live: (spec) => app(spec).imagePullPolicy = "Always",
    differs: [],
    injected: ["spec.containers[app].imagePullPolicy: pull policy"],
  },
  {
    name: "pulling always, with a tag",
    signed: (spec) => app(spec).image = "registry.example/web:1",
    live: (spec) => app(spec).imagePullPolicy = "Always",
    differs: ["spec.containers[app].imagePullPolicy"],
  },
  {
    name: "pulling never",
    live: (spec) => app(spec).imagePullPolicy = "Never",
    differs: ["spec.containers[app].imagePullPolicy"],
  },
  {
    name: "pulling an image volume always, with a digest",
    signed: (spec) =>
      spec.volumes = [...items(spec, "volumes"), { name: "model", image: { reference: IMAGE } }],
    live: (spec) => part(named(spec, "volumes", "model"), "image").pullPolicy = "Always",
    differs: [],
    injected: ["spec.volumes[model].image.pullPolicy: pull policy"],
  },
  {
    name: "pulling an image volume always, with a tag",
    signed: (spec) =>
      spec.volumes = [...items(spec, "volumes"), { name: "model", image: { reference: "m:1" } }],
    live: (spec) => part(named(spec, "volumes", "model"), "image").pullPolicy = "Always",
    differs: ["spec.volumes[model].image.pullPolicy"],
  },

  // Limit range
  {
    name: "amounts of cpu, memory and ephemeral storage where none are signed",
    live: (spec) =>
      app(spec).resources = {
        limits: { cpu: "500m", memory: "512Mi", "ephemeral-storage": "1Gi" },
        requests: { cpu: "100m", memory: "256Mi", "ephemeral-storage": "1Gi" },
      },
    differs: [],
    injected: [
      "spec.containers[app].resources.limits[cpu]: limit range",
      "spec.containers[app].resources.requests[ephemeral-storage]: limit range",
    ],
  },
  {
    name: "a limit beside a signed request",
    signed: (spec) => app(spec).resources = { requests: { cpu: "100m" } },
    live: (spec) => app(spec).resources = { requests: { cpu: "100m" }, limits: { cpu: "1" } },
    differs: [],
  },
  {
    name: "another amount than the signed one",
    signed: (spec) => app(spec).resources = { limits: { memory: "1Gi" } },
    live: (spec) => app(spec).resources = { limits: { memory: "2Gi" }, requests: { memory: "1Gi" } },
    differs: ["spec.containers[app].resources.limits[memory]"],
  },
  {
    name: "a signed amount taken away",
    signed: (spec) => app(spec).resources = { requests: { memory: "1Gi" } },
    live: (spec) => delete app(spec).resources,
    differs: ["spec.containers[app].resources"],
  },
  {
    name: "an extended resource",
    live: (spec) =>
      app(spec).resources = { limits: { "nvidia.com/gpu": "1" }, requests: { "nvidia.com/gpu": "1" } },
    differs: ["spec.containers[app].resources"],
  },
  {
    name: "an extended resource beside amounts of cpu",
    live: (spec) =>
      app(spec).resources = { limits: { cpu: "1", "nvidia.com/gpu": "1" }, requests: { cpu: "1" } },
    differs: [
      "spec.containers[app].resources.limits[nvidia.com/gpu]",
      "spec.containers[app].resources.requests[nvidia.com/gpu]",
    ],
  },
  {
    name: "huge pages",
    live: (spec) =>
      app(spec).resources = { limits: { "hugepages-2Mi": "2Mi" }, requests: { "hugepages-2Mi": "2Mi" } },
    differs: ["spec.containers[app].resources"],
  },
  {
    name: "a resource claim",
    live: (spec) => app(spec).resources = { claims: [{ name: "gpu" }] },
    differs: ["spec.containers[app].resources"],
  },
  {
    name: "a negative amount",
    live: (spec) => app(spec).resources = { requests: { cpu: "-1" } },
    differs: ["spec.containers[app].resources"],
  },

  // Resize policy
  {
    name: "the resize policy of 1.32",
    live: (spec) =>
      app(spec).resizePolicy = [{ resourceName: "cpu", restartPolicy: "NotRequired" }, {
        resourceName: "memory",
        restartPolicy: "NotRequired",
      }],
    differs: [],
  },
  {
    name: "a resize policy that restarts",
    live: (spec) => app(spec).resizePolicy = [{ resourceName: "cpu", restartPolicy: "RestartContainer" }],
    differs: ["spec.containers[app].resizePolicy[0]"],
  },
  {
    name: "a signed resize policy taken away",
    signed: (spec) => app(spec).resizePolicy = [{ resourceName: "cpu", restartPolicy: "RestartContainer" }],
    live: (spec) => app(spec).resizePolicy = [{ resourceName: "cpu", restartPolicy: "NotRequired" }],
    differs: ["spec.containers[app].resizePolicy[0]"],
  },

  // Scheduling
  {
    name: "scheduling fields of any value",
    live: (spec) =>
      Object.assign(spec, {
        nodeName: "elsewhere",
        nodeSelector: { a: "b" },
        affinity: { nodeAffinity: {} },
        tolerations: [{ operator: "Exists" }],
        priority: 2000001000,
        priorityClassName: "system-node-critical",
        overhead: { cpu: "250m" },
        readinessGates: [{ conditionType: "example.com/ready" }],
        topologySpreadConstraints: [],
      }),
    differs: [],
  },
  {
    name: "the old name of the service account",
    live: (spec) => spec.serviceAccount = "default",
    differs: [],
  },
  {
    name: "another service account",
    live: (spec) => Object.assign(spec, { serviceAccount: "admin", serviceAccountName: "admin" }),
    differs: ["spec.serviceAccountName", "spec.serviceAccount"],
  },

  // StatefulSet
  {
    name: "a StatefulSet's volumes, hostname and subdomain",
    base: statefulSpec,
    context: STATEFUL,
    live: nothing,
    differs: [],
    injected: ["spec.volumes[store]: stateful set", "spec.hostname: stateful set"],
  },
  {
    name: "a StatefulSet's hostname and subdomain instead of the template's",
    base: statefulSpec,
    context: STATEFUL,
    signed: (spec) => Object.assign(spec, { hostname: "fixed", subdomain: "fixed" }),
    live: nothing,
    differs: [],
  },
  {
    name: "a StatefulSet without service",
    base: statefulSpec,
    context: { ...STATEFUL, statefulSet: { serviceName: "", volumeClaims: ["store", "logs"] } },
    live: (spec) => delete spec.subdomain,
    differs: [],
  },
  {
    name: "a StatefulSet's pod with another hostname",
    base: statefulSpec,
    context: STATEFUL,
    live: (spec) => spec.hostname = "db-4",
    differs: ["spec.hostname"],
  },
  {
    name: "a StatefulSet's pod without hostname",
    base: statefulSpec,
    context: STATEFUL,
    live: (spec) => delete spec.hostname,
    differs: ["spec.hostname"],
  },
  {
    name: "a StatefulSet's pod with another subdomain",
    base: statefulSpec,
    context: STATEFUL,
    live: (spec) => spec.subdomain = "evil",
    differs: ["spec.subdomain"],
  },
  {
    name: "another pod's claim",
    base: statefulSpec,
    context: STATEFUL,
    live: (spec) => part(named(spec, "volumes", "store"), "persistentVolumeClaim").claimName = "store-db-4",
    differs: ["spec.volumes[store].persistentVolumeClaim.claimName"],
  },
  {
    name: "a claim that is read-only",
    base: statefulSpec,
    context: STATEFUL,
    live: (spec) => part(named(spec, "volumes", "store"), "persistentVolumeClaim").readOnly = true,
    differs: ["spec.volumes[store].persistentVolumeClaim.readOnly"],
  },
  {
    name: "a missing claim",
    base: statefulSpec,
    context: STATEFUL,
    live: (spec) => spec.volumes = items(spec, "volumes").filter(({ name }) => name !== "store"),
    differs: ["spec.volumes[store]"],
  },
  {
    name: "a claim that no template names",
    base: statefulSpec,
    context: STATEFUL,
    live: (spec) =>
      spec.volumes = [...items(spec, "volumes"), {
        name: "more",
        persistentVolumeClaim: { claimName: "more-db-3" },
      }],
    differs: ["spec.volumes[more]"],
  },
  {
    name: "a host path under a claim's name",
    base: statefulSpec,
    context: STATEFUL,
    live: (spec) => {
      delete named(spec, "volumes", "store").persistentVolumeClaim;
      named(spec, "volumes", "store").hostPath = { path: "/", type: "" };
    },
    differs: ["spec.volumes[store].hostPath", "spec.volumes[store].persistentVolumeClaim"],
  },
  {
    name: "a StatefulSet's parts in a Deployment's pod",
    base: statefulSpec,
    live: nothing,
    differs: ["spec.volumes[logs]", "spec.volumes[store]", "spec.hostname", "spec.subdomain"],
  },

  // Indexed Job
  {
    name: "an indexed Job's variable and hostname",
    base: indexedSpec,
    context: INDEXED,
    live: nothing,
    differs: [],
    injected: ["spec.containers[app].env[JOB_COMPLETION_INDEX]: indexed job", "spec.hostname: indexed job"],
  },
  {
    name: "an indexed Job's container with a variable of that name",
    base: indexedSpec,
    context: INDEXED,
    signed: (spec) => app(spec).env = [{ name: "JOB_COMPLETION_INDEX", value: "7" }],
    live: (spec) => app(spec).env = [{ name: "JOB_COMPLETION_INDEX", value: "7" }],
    differs: [],
  },
  {
    name: "the index not as the last variable",
    base: indexedSpec,
    context: INDEXED,
    live: (spec) => app(spec).env = items(app(spec), "env").toReversed(),
    differs: ["spec.containers[app].env"],
  },
  {
    name: "the index with a value",
    base: indexedSpec,
    context: INDEXED,
    live: (spec) =>
      app(spec).env = [...items(app(spec), "env").slice(0, -1), {
        name: "JOB_COMPLETION_INDEX",
        value: "$(x)",
      }],
    differs: [
      "spec.containers[app].env[JOB_COMPLETION_INDEX].value",
      "spec.containers[app].env[JOB_COMPLETION_INDEX].valueFrom",
    ],
  },
  {
    name: "the index from another field",
    base: indexedSpec,
    context: INDEXED,
    live: (spec) => {
      const env = named(app(spec), "env", "JOB_COMPLETION_INDEX");
      part(env, "valueFrom", "fieldRef").fieldPath = "metadata.labels['evil']";
    },
    differs: ["spec.containers[app].env[JOB_COMPLETION_INDEX].valueFrom.fieldRef.fieldPath"],
  },
  {
    name: "the index left out in an init container",
    base: indexedSpec,
    context: INDEXED,
    live: (spec) => delete prepare(spec).env,
    differs: ["spec.initContainers[prepare].env[JOB_COMPLETION_INDEX]"],
  },
  {
    name: "an indexed Job's pod with another hostname",
    base: indexedSpec,
    context: INDEXED,
    live: (spec) => spec.hostname = "sums-3",
    differs: ["spec.hostname"],
  },
  {
    name: "an indexed Job's parts in a Deployment's pod",
    base: indexedSpec,
    live: nothing,
    differs: [
      "spec.initContainers[prepare].env[JOB_COMPLETION_INDEX]",
      "spec.containers[app].env[JOB_COMPLETION_INDEX]",
      "spec.hostname",
    ],
  },
  {
    name: "a hostname that tells a Job's cut name",
    base: indexedSpec,
    context: { ...INDEXED, indexedJob: { index: "2", isJobName: (name) => name === "sums" } },
    live: nothing,
    differs: [],
  },
  {
    name: "a hostname that tells another Job's name",
    base: indexedSpec,
    context: { ...INDEXED, indexedJob: { index: "2", isJobName: () => false } },
    live: nothing,
    differs: ["spec.hostname"],
  },
  {
    name: "a hostname without the index",
    base: indexedSpec,
    context: { ...INDEXED, indexedJob: { index: "2", isJobName: () => true } },
    live: (spec) => spec.hostname = "sums",
    differs: ["spec.hostname"],
  },
];

/** What the owner allows. */
function allowing(...permissions: string[]): InjectionContext {
  const allow = permissions.map((text) => {
    const parsed = parsePermission(text);
    assert.ok(parsed.ok, text);
    return parsed.permission;
  });
  return { ...POD, allow };
}

const podResources = (spec: JsonObject) => part(spec, "resources");
const MESH_IMAGE = `mesh.example/proxy@sha256:${"b".repeat(64)}`;
const MESH = allowing(
  `container=mesh@sha256:${"b".repeat(64)}`,
  `init-container=mesh-init@sha256:${"b".repeat(64)}`,
  "volume=mesh-data",
);

function mesh(spec: JsonObject, list = "containers", more: JsonObject = {}): void {
  const name = list === "containers" ? "mesh" : "mesh-init";
  const securityContext = { allowPrivilegeEscalation: false, runAsNonRoot: true, runAsUser: 1337 };
  push(spec, list, { name, image: MESH_IMAGE, args: ["--mode", "sidecar"], securityContext, ...more });
}

function meshVolume(spec: JsonObject, source: JsonObject = { emptyDir: {} }): void {
  push(spec, "volumes", { name: "mesh-data", ...source });
}

CASES.push(
  // Resources of the pod itself
  {
    name: "amounts of the pod itself where none are signed",
    signed: (spec) => spec.resources = { limits: { cpu: "2" } },
    live: (spec) =>
      spec.resources = { limits: { cpu: "2", memory: "1Gi" }, requests: { cpu: "1", memory: "1Gi" } },
    differs: [],
    injected: [
      "spec.resources.limits[memory]: pod resources",
      "spec.resources.requests[cpu]: pod resources",
      "spec.resources.requests[memory]: pod resources",
    ],
  },
  {
    name: "huge pages of the pod itself, as many as its containers'",
    signed: (spec) => {
      spec.resources = { limits: { cpu: "2" }, requests: { cpu: "2" } };
      app(spec).resources = { limits: { "hugepages-2Mi": "4Mi" } };
      prepare(spec).resources = { limits: { "hugepages-2Mi": "2Mi" } };
      prepare(spec).restartPolicy = "Always";
    },
    live: (spec) =>
      spec.resources = {
        limits: { cpu: "2", "hugepages-2Mi": "6Mi" },
        requests: { cpu: "2", "hugepages-2Mi": "6Mi" },
      },
    differs: [],
    injected: ["spec.resources.limits[hugepages-2Mi]: pod resources"],
  },
  {
    name: "huge pages of an init container that takes more than all others",
    signed: (spec) => {
      spec.resources = { limits: { cpu: "2" }, requests: { cpu: "2" } };
      app(spec).resources = { limits: { "hugepages-2Mi": "2Mi" } };
      prepare(spec).resources = { limits: { "hugepages-2Mi": "8Mi" } };
    },
    live: (spec) => podResources(spec).limits = { cpu: "2", "hugepages-2Mi": "8Mi" },
    differs: [],
  },
  {
    name: "more huge pages of the pod itself than its containers'",
    signed: (spec) => {
      spec.resources = { limits: { cpu: "2" }, requests: { cpu: "2" } };
      app(spec).resources = { limits: { "hugepages-2Mi": "4Mi" } };
    },
    live: (spec) => podResources(spec).limits = { cpu: "2", "hugepages-2Mi": "8Mi" },
    differs: ["spec.resources.limits[hugepages-2Mi]"],
  },
  {
    name: "a request of huge pages without a limit",
    signed: (spec) => spec.resources = { limits: { cpu: "2" }, requests: { cpu: "2" } },
    live: (spec) => podResources(spec).requests = { cpu: "2", "hugepages-2Mi": "2Mi" },
    differs: ["spec.resources.requests[hugepages-2Mi]"],
  },
  {
    name: "another amount of the pod itself than the signed one",
    signed: (spec) => spec.resources = { limits: { cpu: "2" }, requests: { cpu: "2" } },
    live: (spec) => podResources(spec).limits = { cpu: "3" },
    differs: ["spec.resources.limits[cpu]"],
  },
  {
    name: "ephemeral storage of the pod itself",
    signed: (spec) => spec.resources = { limits: { cpu: "2" }, requests: { cpu: "2" } },
    live: (spec) => podResources(spec).limits = { cpu: "2", "ephemeral-storage": "1Gi" },
    differs: ["spec.resources.limits[ephemeral-storage]"],
  },
  {
    name: "resources of the pod itself where none were signed",
    live: (spec) => spec.resources = { limits: { cpu: "2" }, requests: { cpu: "2" } },
    differs: ["spec.resources"],
  },
  {
    name: "huge pages of sizes that nothing signed names, none of them",
    signed: (spec) => spec.resources = { limits: { cpu: "2" }, requests: { cpu: "2" } },
    live: (spec) => podResources(spec).limits = { cpu: "2", "hugepages-\n../x": "0" },
    differs: ['spec.resources.limits["hugepages-\\n../x"]'],
  },
  // Resize
  {
    name: "a resize that the owner allowed, of containers and of the pod itself",
    context: allowing("resize"),
    signed: (spec) => {
      spec.resources = { limits: { cpu: "2" }, requests: { cpu: "2" } };
      app(spec).resources = { limits: { cpu: "1", memory: "1Gi" } };
      prepare(spec).resources = { requests: { memory: "1Gi" } };
    },
    live: (spec) => {
      spec.resources = { limits: { cpu: "4" }, requests: { cpu: "3" } };
      app(spec).resources = {
        limits: { cpu: "2", memory: "512Mi" },
        requests: { cpu: "1", memory: "512Mi" },
      };
      prepare(spec).resources = { requests: { memory: "2Gi" } };
    },
    differs: [],
    injected: [
      "spec.containers[app].resources.limits[cpu]: resize",
      "spec.initContainers[prepare].resources.requests[memory]: resize",
      "spec.resources.limits[cpu]: resize",
    ],
  },
  {
    name: "a resize of ephemeral storage",
    context: allowing("resize"),
    signed: (spec) => app(spec).resources = { limits: { "ephemeral-storage": "1Gi" } },
    live: (spec) => part(app(spec), "resources").limits = { "ephemeral-storage": "2Gi" },
    differs: ["spec.containers[app].resources.limits[ephemeral-storage]"],
  },
  {
    name: "a resize of devices",
    context: allowing("resize"),
    signed: (spec) => app(spec).resources = { limits: { "nvidia.com/gpu": "1" } },
    live: (spec) =>
      app(spec).resources = { limits: { "nvidia.com/gpu": "2" }, requests: { "nvidia.com/gpu": "2" } },
    differs: [
      "spec.containers[app].resources.limits[nvidia.com/gpu]",
      "spec.containers[app].resources.requests[nvidia.com/gpu]",
    ],
  },
  {
    name: "a resize that takes a limit away",
    context: allowing("resize"),
    signed: (spec) => app(spec).resources = { limits: { cpu: "1" }, requests: { cpu: "1" } },
    live: (spec) => delete part(app(spec), "resources").limits,
    differs: ["spec.containers[app].resources.limits"],
  },
  {
    name: "a resize to a negative amount",
    context: allowing("resize"),
    signed: (spec) => app(spec).resources = { requests: { cpu: "1" } },
    live: (spec) => app(spec).resources = { requests: { cpu: "-1" } },
    differs: ["spec.containers[app].resources.requests[cpu]"],
  },
  // Extra containers and volumes
  {
    name: "a container, an init container and a volume that the owner allowed",
    context: MESH,
    live: (spec) => {
      meshVolume(spec);
      mesh(spec, "containers", {
        volumeMounts: [{ name: "mesh-data", mountPath: "/mesh" }, tokenMount()],
        resources: { limits: { cpu: "2" } },
      });
      mesh(spec, "initContainers", { restartPolicy: "Always" });
    },
    differs: [],
    injected: [
      "spec.volumes[mesh-data]: extra volume",
      "spec.initContainers[mesh-init]: extra container",
      "spec.containers[mesh]: extra container",
    ],
  },
  {
    name: "extra containers before those that were signed",
    context: MESH,
    live: (spec) => {
      for (const list of ["containers", "initContainers"]) {
        mesh(spec, list);
        spec[list] = items(spec, list).toReversed();
      }
    },
    differs: [],
  },
  { name: "nothing of what the owner allowed", context: MESH, live: nothing, differs: [] },
  {
    name: "an extra container of another name",
    context: MESH,
    live: (spec) => push(spec, "containers", { name: "other", image: MESH_IMAGE }),
    differs: ["spec.containers[other]"],
  },
  {
    name: "an extra container with another digest",
    context: MESH,
    live: (spec) => mesh(spec, "containers", { image: IMAGE }),
    differs: ["spec.containers[mesh].image", "spec.containers[mesh]"],
  },
  {
    name: "an extra container with a tag",
    context: MESH,
    live: (spec) => mesh(spec, "containers", { image: "mesh.example/proxy:1" }),
    differs: ["spec.containers[mesh].image", "spec.containers[mesh]"],
  },
  {
    name: "an extra container in the other list",
    context: MESH,
    live: (spec) => push(spec, "initContainers", { name: "mesh", image: MESH_IMAGE }),
    differs: ["spec.initContainers[mesh]"],
  },
  {
    name: "an extra container twice",
    context: MESH,
    live: (spec) => {
      mesh(spec);
      mesh(spec);
    },
    differs: ["spec.containers[mesh]"],
  },
  {
    name: "an extra container with a command",
    context: MESH,
    live: (spec) => mesh(spec, "containers", { command: ["sh"] }),
    differs: ["spec.containers[mesh].command", "spec.containers[mesh]"],
  },
  {
    name: "an extra container that mounts a signed volume",
    context: MESH,
    live: (spec) => mesh(spec, "containers", { volumeMounts: [{ name: "data", mountPath: "/data" }] }),
    differs: ["spec.containers[mesh].volumeMounts[data]", "spec.containers[mesh]"],
  },
  {
    name: "an extra container that mounts the token elsewhere",
    context: MESH,
    live: (spec) => mesh(spec, "containers", { volumeMounts: [{ ...tokenMount(), mountPath: "/etc" }] }),
    differs: [`spec.containers[mesh].volumeMounts[${TOKEN_VOLUME}]`, "spec.containers[mesh]"],
  },
  {
    name: "an extra container that mounts a volume which is not there",
    context: MESH,
    live: (spec) => mesh(spec, "containers", { volumeMounts: [{ name: "mesh-data", mountPath: "/mesh" }] }),
    differs: ["spec.containers[mesh].volumeMounts[mesh-data]", "spec.containers[mesh]"],
  },
  {
    name: "an extra container with a token although the owner said no",
    context: MESH,
    signed: (spec) => spec.automountServiceAccountToken = false,
    live: (spec) => {
      withoutToken(spec);
      push(spec, "volumes", tokenVolume());
      mesh(spec, "containers", { volumeMounts: [tokenMount()] });
    },
    differs: [
      `spec.containers[mesh].volumeMounts[${TOKEN_VOLUME}]`,
      tokenPath,
      "spec.containers[mesh]",
    ],
  },
  {
    name: "an extra volume of another source",
    context: MESH,
    live: (spec) => meshVolume(spec, { hostPath: { path: "/" } }),
    differs: ["spec.volumes[mesh-data].hostPath", "spec.volumes[mesh-data]"],
  },
  {
    name: "an extra volume in a signed container",
    context: MESH,
    live: (spec) => {
      meshVolume(spec);
      push(app(spec), "volumeMounts", { name: "mesh-data", mountPath: "/app" });
    },
    differs: ["spec.containers[app].volumeMounts[/app]"],
  },
  {
    name: "an extra volume of another name",
    context: MESH,
    live: (spec) => push(spec, "volumes", { name: "other", emptyDir: {} }),
    differs: ["spec.volumes[other]"],
  },
  {
    name: "an ephemeral container of an allowed name",
    context: MESH,
    live: (spec) => push(spec, "ephemeralContainers", { name: "mesh", image: MESH_IMAGE }),
    differs: ["spec.ephemeralContainers[mesh]"],
  },
  {
    name: "an extra container in a workload's template",
    context: { ...MESH, source: "template" },
    live: (spec) => {
      withoutToken(spec);
      mesh(spec);
    },
    differs: ["spec.containers[mesh]"],
  },
);

Deno.test("the owner's permissions that were made use of are told, each once", () => {
  const live = liveSpec();
  for (const container of [app(live), prepare(live)]) {
    container.resources = { limits: { cpu: "2" }, requests: { cpu: "2" } };
  }
  mesh(live);
  const signed = ownerSpec();
  for (const container of [app(signed), prepare(signed)]) container.resources = { limits: { cpu: "1" } };
  const { differences, permissions } = compareSpecs(expand(signed), expand(live), {
    ...POD,
    allow: [...(MESH.allow ?? []), { kind: "resize" }, { kind: "volume", name: "unused" }],
  });
  assert.deepEqual(differences, []);
  assert.deepEqual(permissions, ["resize", `container=mesh@sha256:${"b".repeat(64)}`]);
});

for (const { name, signed, live, context, base, differs, injected } of CASES) {
  Deno.test(`${differs.length === 0 ? "accepts" : "refuses"} ${name}`, () => {
    const signedSpec = ownerSpec();
    signed?.(signedSpec);
    // What admission does to the owner's spec as it was changed, unless a controller's work is the base.
    const liveInput = base === undefined ? liveSpec(structuredClone(signedSpec)) : base();
    live(liveInput);
    const expandedLive = expand(liveInput);
    const comparison = compareSpecs(expand(minimal(signedSpec)), expandedLive, context ?? POD);
    assert.deepEqual(comparison.differences.map(({ path }) => path), differs);
    if (differs.length === 0) {
      // What is forwarded is equal to the live spec, although nothing of it was copied.
      assert.deepEqual(sortVolumes(comparison.spec), sortVolumes(withoutScheduling(expandedLive)));
    }
    for (const line of injected ?? []) {
      assert.ok(comparison.injected.includes(line), comparison.injected.join("\n"));
    }
  });
}

function sortVolumes(spec: JsonObject): JsonObject {
  const volumes = items(spec, "volumes").toSorted((a, b) => String(a.name) < String(b.name) ? -1 : 1);
  return { ...spec, volumes };
}

Deno.test("beforeAdmission takes the token off, and then the pull secrets", () => {
  const live = expand({ ...liveSpec(), imagePullSecrets: [{ name: "registry" }] });
  const [bare, rest] = beforeAdmission(live);
  assert.deepEqual(minimal(bare), { ...minimal(ownerSpec()), imagePullSecrets: [{ name: "registry" }] });
  assert.deepEqual(minimal(rest), minimal(ownerSpec()));
  assert.deepEqual(beforeAdmission(expand(ownerSpec())), [expand(ownerSpec())]);
});

Deno.test("beforeAdmission leaves a volume that is not exactly the API server's", () => {
  const live = liveSpec();
  part(token(live), "projected").defaultMode = 511;
  const [bare] = beforeAdmission(expand(live));
  assert.deepEqual(bare, expand(live));
});
