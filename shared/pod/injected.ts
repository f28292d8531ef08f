/**
 * What Kubernetes adds to a pod beyond its template, and under which condition it is accepted.
 *
 * Each rule starts from what was signed and looks at the live spec only to decide whether, and with which suffix or
 * amount, to add its own fixed shape. So the outcome is made of the signed spec and of the shapes written down here,
 * and never of parts of the live spec. Whatever else the live spec holds shows up as a difference afterwards.
 *
 * | rule | adds | source |
 * |---|---|---|
 * | stateful set | claim volumes, hostname, subdomain | `pkg/controller/statefulset/stateful_set_utils.go` |
 * | indexed job | env JOB_COMPLETION_INDEX, hostname | `pkg/controller/job/indexed_job_utils.go`, `job_controller.go` |
 * | service account token | one volume, a mount per container | `plugin/pkg/admission/serviceaccount/admission.go` |
 * | image pull secrets | the service account's, if none is signed | the same |
 * | pull policy | Always, for images with a digest | `plugin/pkg/admission/alwayspullimages/admission.go` |
 * | limit range | cpu, memory, ephemeral-storage where none is signed | `plugin/pkg/admission/limitranger/admission.go` |
 *
 * @module
 */
import { deepFreeze, equalJson, isJsonObject, type JsonObject, type JsonValue, objectsAt } from "../json.ts";
import { isDnsSubdomain } from "./grammar.ts";
import { hasDigest } from "./image.ts";
import { isAmount } from "./quantity.ts";
import { RANDOM_ALPHABET, RANDOM_LENGTH, type StatefulSetShape } from "./workload.ts";

/** What is known about the pod whose live spec is compared. */
export interface InjectionContext {
  /**
   * `pod`: a pod, which admission and a controller may have added to. `template`: a workload's pod template, to which
   * nothing is added.
   */
  source: "pod" | "template";
  /** The pod's name, checked against the signed workload; absent where the API server has yet to make it. */
  podName?: string;
  /** For pods of a StatefulSet, what was signed about it. */
  statefulSet?: StatefulSetShape;
  /** For pods of an indexed Job. */
  indexedJob?: IndexedJob;
}

/** What a pod's name tells about the indexed Job that made it. */
export interface IndexedJob {
  /** The completion index. */
  index: string;
  /** The Job's name, where the pod's name holds it whole. */
  jobName?: string;
  /** Whether a Job of this name has this pod. */
  isJobName: (jobName: string) => boolean;
}

/** Where containers read the API's address and credential (`pkg/serviceaccount`, DefaultAPITokenMountPath). */
const TOKEN_MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount";

const TOKEN_VOLUME_NAME = new RegExp(`^kube-api-access-[${RANDOM_ALPHABET}]{${RANDOM_LENGTH}}$`);

/** The three sources of the service account volume; 3607 is WarnOnlyBoundTokenExpirationSeconds. */
const TOKEN_SOURCES: readonly JsonObject[] = deepFreeze([
  { serviceAccountToken: { expirationSeconds: 3607, path: "token" } },
  { configMap: { name: "kube-root-ca.crt", items: [{ key: "ca.crt", path: "ca.crt" }] } },
  {
    downwardAPI: {
      items: [{ path: "namespace", fieldRef: { apiVersion: "v1", fieldPath: "metadata.namespace" } }],
    },
  },
]);

/** OpenShift's fourth source: the CA that signs certificates of Services. */
const OPENSHIFT_SOURCE: JsonObject = deepFreeze({
  configMap: {
    name: "openshift-service-ca.crt",
    items: [{ key: "service-ca.crt", path: "service-ca.crt" }],
  },
});

const COMPLETION_INDEX_ENV: JsonObject = deepFreeze({
  name: "JOB_COMPLETION_INDEX",
  valueFrom: {
    fieldRef: { apiVersion: "v1", fieldPath: "metadata.labels['batch.kubernetes.io/job-completion-index']" },
  },
});

/** Resources that only decide how much, never what: all others attach devices or pages. */
const LIMIT_RANGE_RESOURCES: readonly string[] = ["cpu", "memory", "ephemeral-storage"];

/** Lists of containers that admission and the Job controller add to: not ephemeral ones. */
const CONTAINER_LISTS = ["initContainers", "containers"] as const;

/** Records what a rule added. */
type Note = (path: string, rule: string) => void;

type Rule = (spec: JsonObject, live: JsonObject, context: InjectionContext, note: Note) => JsonObject;

/** In the order in which Kubernetes applies them: controllers before admission. */
const RULES: readonly Rule[] = [
  statefulSet,
  indexedJob,
  serviceAccountToken,
  imagePullSecrets,
  pullPolicy,
  limitRange,
];

/**
 * The spec that the live one has to equal: the signed one with every addition that applies.
 *
 * @param signed the expanded signed spec; it is not changed
 * @param live the expanded live spec
 * @param context what is known about the pod
 * @returns the spec, and one line (`path: rule`) per addition
 */
export function withInjected(
  signed: JsonObject,
  live: JsonObject,
  context: InjectionContext,
): { spec: JsonObject; injected: string[] } {
  if (context.source === "template") return { spec: signed, injected: [] };
  const injected: string[] = [];
  const note: Note = (path, rule) => injected.push(`${path}: ${rule}`);
  let spec = signed;
  for (const rule of RULES) spec = rule(spec, live, context, note);
  return { spec, injected };
}

/**
 * What a live spec may have been before admission added to it, for signatures over the spec alone: without the
 * service account's volume and mounts; and, if it has image pull secrets, without these too.
 *
 * @param live the expanded live spec; it is not changed
 */
export function beforeAdmission(live: JsonObject): JsonObject[] {
  const volume = tokenVolume(live);
  const bare = volume === undefined ? live : withoutTokenVolume(live, volume.name);
  if (objectsAt(bare, "imagePullSecrets").length === 0) return [bare];
  const { imagePullSecrets: _taken, ...rest } = bare;
  return [bare, rest];
}

/** A StatefulSet's controller sets hostname and subdomain whatever the template says, and replaces volumes by name. */
function statefulSet(spec: JsonObject, _live: JsonObject, context: InjectionContext, note: Note): JsonObject {
  const { statefulSet: shape, podName } = context;
  if (shape === undefined || podName === undefined) return spec;
  const claims = new Set<JsonValue>(shape.volumeClaims);
  const volumes: JsonObject[] = shape.volumeClaims.map((claim) => ({
    name: claim,
    persistentVolumeClaim: { claimName: `${claim}-${podName}` },
  }));
  for (const claim of shape.volumeClaims) note(`spec.volumes[${claim}]`, "stateful set");
  const kept = objectsAt(spec, "volumes").filter(({ name }) => !claims.has(name ?? null));
  note("spec.hostname", "stateful set");
  const { subdomain: _replaced, ...rest } = spec;
  return {
    ...rest,
    hostname: podName,
    ...(shape.serviceName === "" ? {} : { subdomain: shape.serviceName }),
    ...(volumes.length + kept.length === 0 ? {} : { volumes: [...volumes, ...kept] }),
  };
}

/** Hostname `job-index`, and the index as the last variable of every container that has none of that name. */
function indexedJob(spec: JsonObject, live: JsonObject, context: InjectionContext, note: Note): JsonObject {
  const { indexedJob: job, podName } = context;
  if (job === undefined || podName === undefined) return spec;
  note("spec.hostname", "indexed job");
  const named = { ...spec, hostname: indexedHostname(live.hostname, job, podName) };
  return mapContainers(named, live, (container, _liveContainer, path) => {
    const env = objectsAt(container, "env");
    if (env.some(({ name }) => name === COMPLETION_INDEX_ENV.name)) return container;
    note(`${path}.env[JOB_COMPLETION_INDEX]`, "indexed job");
    return { ...container, env: [...env, COMPLETION_INDEX_ENV] };
  });
}

/**
 * The hostname of an indexed Job's pod. Where the pod's name does not tell the Job's name whole, the live hostname
 * does, if a Job of that name has this pod; else only the pod's own name will do, a kubelet's default.
 */
function indexedHostname(
  live: JsonValue | undefined,
  { index, jobName, isJobName }: IndexedJob,
  podName: string,
): string {
  const suffix = `-${index}`;
  if (jobName !== undefined) return `${jobName}${suffix}`;
  if (typeof live !== "string" || !live.endsWith(suffix)) return podName;
  const liveJobName = live.slice(0, -suffix.length);
  return isJobName(liveJobName) ? `${liveJobName}${suffix}` : podName;
}

/**
 * One volume, mounted in every container and init container that mounts nothing at that path, unless the owner said
 * no. Without a container that needs it there is no volume.
 */
function serviceAccountToken(
  spec: JsonObject,
  live: JsonObject,
  _context: InjectionContext,
  note: Note,
): JsonObject {
  if (spec.automountServiceAccountToken === false) return spec;
  const volume = tokenVolume(live);
  if (volume === undefined || mentions(spec, volume.name)) return spec;
  const needy = CONTAINER_LISTS.flatMap((list) => objectsAt(spec, list)).some(needsToken);
  if (!needy) return spec;
  note(`spec.volumes[${volume.name}]`, "service account token");
  const mounted = mapContainers(spec, live, (container) => {
    if (!needsToken(container)) return container;
    return { ...container, volumeMounts: [...objectsAt(container, "volumeMounts"), tokenMount(volume.name)] };
  });
  return { ...mounted, volumes: [...objectsAt(spec, "volumes"), volume.value] };
}

function needsToken(container: JsonObject): boolean {
  return objectsAt(container, "volumeMounts").every(({ mountPath }) => mountPath !== TOKEN_MOUNT_PATH);
}

function tokenMount(name: string): JsonObject {
  return { name, readOnly: true, mountPath: TOKEN_MOUNT_PATH };
}

/** The one service account volume of a live spec, as it is written down here; none if there are two. */
function tokenVolume(live: JsonObject): { name: string; value: JsonObject } | undefined {
  const found: { name: string; value: JsonObject }[] = [];
  for (const volume of objectsAt(live, "volumes")) {
    const { name } = volume;
    if (typeof name !== "string" || !TOKEN_VOLUME_NAME.test(name)) continue;
    for (const sources of [[...TOKEN_SOURCES], [...TOKEN_SOURCES, OPENSHIFT_SOURCE]]) {
      const value: JsonObject = { name, projected: { defaultMode: 420, sources } };
      if (equalJson(volume, value)) found.push({ name, value });
    }
  }
  return found.length === 1 ? found[0] : undefined;
}

function withoutTokenVolume(live: JsonObject, name: string): JsonObject {
  const stripped = mapContainers(live, live, (container) => {
    const mounts = objectsAt(container, "volumeMounts");
    const last = mounts.at(-1);
    if (last === undefined || !equalJson(last, tokenMount(name))) return container;
    return withList(container, "volumeMounts", mounts.slice(0, -1));
  });
  return withList(stripped, "volumes", objectsAt(live, "volumes").filter((volume) => volume.name !== name));
}

/** The service account's pull secrets, only where the owner named none. */
function imagePullSecrets(
  spec: JsonObject,
  live: JsonObject,
  _context: InjectionContext,
  note: Note,
): JsonObject {
  if (objectsAt(spec, "imagePullSecrets").length > 0) return spec;
  const secrets: JsonObject[] = [];
  for (const secret of objectsAt(live, "imagePullSecrets")) {
    const { name } = secret;
    if (typeof name !== "string" || !isDnsSubdomain(name) || !equalJson(secret, { name })) return spec;
    secrets.push({ name });
  }
  if (secrets.length === 0) return spec;
  note("spec.imagePullSecrets", "image pull secrets");
  return { ...spec, imagePullSecrets: secrets };
}

/** `Always` where the bytes of the image are fixed by a digest, so that pulling again changes nothing. */
function pullPolicy(spec: JsonObject, live: JsonObject, _context: InjectionContext, note: Note): JsonObject {
  const pulled = mapContainers(spec, live, (container, liveContainer, path) => {
    const { image, imagePullPolicy } = container;
    if (imagePullPolicy === "Always" || liveContainer.imagePullPolicy !== "Always") return container;
    if (typeof image !== "string" || !hasDigest(image)) return container;
    note(`${path}.imagePullPolicy`, "pull policy");
    return { ...container, imagePullPolicy: "Always" };
  });
  const volumes = objectsAt(pulled, "volumes");
  if (volumes.every(({ image }) => image === undefined)) return pulled;
  return {
    ...pulled,
    volumes: volumes.map((volume) => {
      const { name, image } = volume;
      const liveImage = itemNamed(live, "volumes", name)?.image;
      if (!isJsonObject(image) || !isJsonObject(liveImage)) return volume;
      if (image.pullPolicy === "Always" || liveImage.pullPolicy !== "Always") return volume;
      if (typeof image.reference !== "string" || !hasDigest(image.reference)) return volume;
      note(`spec.volumes[${String(name)}].image.pullPolicy`, "pull policy");
      return { ...volume, image: { ...image, pullPolicy: "Always" } };
    }),
  };
}

/** Amounts of cpu, memory and ephemeral storage where the owner set none of that kind. */
function limitRange(spec: JsonObject, live: JsonObject, _context: InjectionContext, note: Note): JsonObject {
  return mapContainers(spec, live, (container, liveContainer, path) => {
    const liveResources = liveContainer.resources;
    if (!isJsonObject(liveResources)) return container;
    let resources = isJsonObject(container.resources) ? container.resources : {};
    for (const field of ["limits", "requests"]) {
      const signed = resources[field];
      const found = liveResources[field];
      if (!isJsonObject(found)) continue;
      for (const resource of LIMIT_RANGE_RESOURCES) {
        const amount = Object.hasOwn(found, resource) ? found[resource] : undefined;
        if (isJsonObject(signed) && Object.hasOwn(signed, resource)) continue;
        if (typeof amount !== "string" || !isAmount(amount)) continue;
        const amounts = isJsonObject(resources[field]) ? resources[field] : {};
        resources = { ...resources, [field]: { ...amounts, [resource]: amount } };
        note(`${path}.resources.${field}[${resource}]`, "limit range");
      }
    }
    return resources === container.resources || Object.keys(resources).length === 0
      ? container
      : { ...container, resources };
  });
}

// ---------------------------------------------------------------------------------------------------------------

/** Changes each container and init container that the live spec has under the same name in the same list. */
function mapContainers(
  spec: JsonObject,
  live: JsonObject,
  change: (container: JsonObject, liveContainer: JsonObject, path: string) => JsonObject,
): JsonObject {
  let changed = spec;
  for (const list of CONTAINER_LISTS) {
    if (objectsAt(spec, list).length === 0) continue;
    const containers = objectsAt(spec, list).map((container) => {
      const liveContainer = itemNamed(live, list, container.name) ?? {};
      return change(container, liveContainer, `spec.${list}[${String(container.name)}]`);
    });
    changed = { ...changed, [list]: containers };
  }
  return changed;
}

function itemNamed(spec: JsonObject, list: string, name: JsonValue | undefined): JsonObject | undefined {
  return objectsAt(spec, list).find((item) => item.name === name);
}

function withList(object: JsonObject, key: string, list: JsonObject[]): JsonObject {
  const { [key]: _replaced, ...rest } = object;
  return list.length === 0 ? rest : { ...rest, [key]: list };
}

/** Whether a text stands anywhere in a value. */
function mentions(value: JsonValue, text: string): boolean {
  if (typeof value === "string") return value === text;
  if (Array.isArray(value)) return value.some((item) => mentions(item, text));
  return isJsonObject(value) && Object.values(value).some((item) => mentions(item, text));
}
