/**
 * What Kubernetes adds to a pod beyond its template, and under which condition it is accepted.
 *
 * Each rule starts from what was signed and looks at the live spec only to decide whether, and with which suffix or
 * amount, to add its own fixed shape. So the outcome is made of the signed spec and of the shapes written down here. Two
 * rules take over parts of the live spec: extra volumes and containers, which the owner allowed by name, field by field in
 * the forms of `confined.ts`; and amounts, which have a grammar. Whatever else the live spec holds shows up as a difference
 * afterwards.
 *
 * | rule | adds | source |
 * |---|---|---|
 * | stateful set | claim volumes, hostname, subdomain | `pkg/controller/statefulset/stateful_set_utils.go` |
 * | indexed job | env JOB_COMPLETION_INDEX, hostname | `pkg/controller/job/indexed_job_utils.go`, `job_controller.go` |
 * | service account token | one volume, a mount per container | `plugin/pkg/admission/serviceaccount/admission.go` |
 * | image pull secrets | the service account's, if none is signed | the same |
 * | pull policy | Always, for images with a digest | `plugin/pkg/admission/alwayspullimages/admission.go` |
 * | limit range | cpu, memory, ephemeral-storage where none is signed | `plugin/pkg/admission/limitranger/admission.go` |
 * | pod resources | of a pod with resources of its own: cpu and memory where none is signed, huge pages of its containers | `pkg/apis/core/v1/defaults.go` defaultPodRequests, defaultHugePagePodLimits; 1.37: `pkg/api/pod/util.go` DefaultPodLevelResources |
 * | resize | other amounts of cpu and memory, if the owner allowed it | `pkg/registry/core/pod/strategy.go` podResizeStrategy |
 * | extra volume, extra container | those that the owner allowed, confined | webhooks, for example of service meshes |
 *
 * @module
 */
import type { Problem } from "../errors.ts";
import {
  deepFreeze,
  equalJson,
  getOwn,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  objectAt,
  objectsAt,
} from "../json.ts";
import { containerMisfits, volumeMisfits } from "./confined.ts";
import { isDnsSubdomain } from "./grammar.ts";
import { hasDigest, parseImage } from "./image.ts";
import { formatPermission, type Permission } from "./permissions.ts";
import { addQuantities, AMOUNT_RESOURCES, compareQuantities, isAmount } from "./quantity.ts";
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
  /** What the owner allows beyond the template. */
  allow?: readonly Permission[];
}

/** What was added to a signed spec. */
export interface Injected {
  /** The signed spec with the additions; it shares parts with the signed and the live one. */
  spec: JsonObject;
  /** One line (`path: rule`) per addition. */
  injected: string[];
  /** The owner's permissions that were made use of, each once. */
  permissions: string[];
  /** Why something of an allowed name was not added. */
  misfits: Problem[];
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

/** The service account volume's content with these. */
const TOKEN_CONTENT: JsonObject = deepFreeze({ defaultMode: 420, sources: [...TOKEN_SOURCES] });

/** OpenShift's fourth source: the CA that signs certificates of Services. */
const OPENSHIFT_SOURCE: JsonObject = deepFreeze({
  configMap: {
    name: "openshift-service-ca.crt",
    items: [{ key: "service-ca.crt", path: "service-ca.crt" }],
  },
});

const OPENSHIFT_CONTENT: JsonObject = deepFreeze({
  defaultMode: 420,
  sources: [...TOKEN_SOURCES, OPENSHIFT_SOURCE],
});

const COMPLETION_INDEX_ENV: JsonObject = deepFreeze({
  name: "JOB_COMPLETION_INDEX",
  valueFrom: {
    fieldRef: { apiVersion: "v1", fieldPath: "metadata.labels['batch.kubernetes.io/job-completion-index']" },
  },
});

/** Lists of containers that admission and the Job controller add to: not ephemeral ones. */
const CONTAINER_LISTS = ["initContainers", "containers"] as const;

/** Resources whose amounts an in-place resize may change (`pkg/apis/core/validation`, ValidatePodResize). */
const RESIZABLE_RESOURCES: readonly string[] = ["cpu", "memory"];

/** Pages that hugepages-… resources attach: only as many as the containers were signed with. */
const HUGE_PAGES_PREFIX = "hugepages-";

/** Records what a rule added, and by which permission if it took one. */
type Note = (path: string, rule: string, permission?: Permission) => void;

type Rule = (
  spec: JsonObject,
  live: JsonObject,
  context: InjectionContext,
  note: Note,
  misfits: Problem[],
) => JsonObject;

/** In the order in which Kubernetes applies them: controllers before admission. */
const RULES: readonly Rule[] = [
  statefulSet,
  indexedJob,
  serviceAccountToken,
  imagePullSecrets,
  pullPolicy,
  limitRange,
  podResources,
  resize,
  extraVolumes,
  extraContainers,
];

/**
 * The spec that the live one has to equal: the signed one with every addition that applies.
 *
 * @param signed the expanded signed spec; it is not changed
 * @param live the expanded live spec
 * @param context what is known about the pod
 * @returns the spec and what was added
 */
export function withInjected(signed: JsonObject, live: JsonObject, context: InjectionContext): Injected {
  const result: Injected = { spec: signed, injected: [], permissions: [], misfits: [] };
  if (context.source === "template") return result;
  const used = new Set<string>();
  const note: Note = (path, rule, permission) => {
    result.injected.push(`${path}: ${rule}`);
    if (permission !== undefined) used.add(formatPermission(permission));
  };
  for (const rule of RULES) result.spec = rule(result.spec, live, context, note, result.misfits);
  result.permissions.push(...used);
  return result;
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
    for (const projected of [TOKEN_CONTENT, OPENSHIFT_CONTENT]) {
      const value: JsonObject = { name, projected };
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
      for (const resource of AMOUNT_RESOURCES) {
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

/**
 * What follows from the containers' amounts where a pod has resources of its own. Which amounts of cpu and memory the
 * API server writes depends on its version and feature gates; they only decide how much. Huge pages have to be exact.
 */
function podResources(
  spec: JsonObject,
  live: JsonObject,
  _context: InjectionContext,
  note: Note,
): JsonObject {
  const { resources } = spec;
  const found = live.resources;
  if (!isJsonObject(resources) || Object.keys(resources).length === 0 || !isJsonObject(found)) return spec;
  const completed: JsonObject = { ...resources };
  for (const field of ["limits", "requests"]) {
    const foundAmounts = found[field];
    if (!isJsonObject(foundAmounts)) continue;
    for (const resource of [...RESIZABLE_RESOURCES, ...hugePageNames(spec)]) {
      const amount = getOwn(foundAmounts, resource);
      const amounts = isJsonObject(completed[field]) ? completed[field] : {};
      if (Object.hasOwn(amounts, resource) || typeof amount !== "string" || !isAmount(amount)) continue;
      const pages = resource.startsWith(HUGE_PAGES_PREFIX)
        ? hugePages(spec, completed, field, resource)
        : undefined;
      const fits = RESIZABLE_RESOURCES.includes(resource) ||
        (pages !== undefined && compareQuantities(pages, amount) === 0);
      if (!fits) continue;
      completed[field] = { ...amounts, [resource]: amount };
      note(`spec.resources.${field}[${resource}]`, "pod resources");
    }
  }
  return { ...spec, resources: completed };
}

/** The sizes of huge pages that something signed names. */
function hugePageNames(spec: JsonObject): Set<string> {
  const holders = [spec, ...CONTAINER_LISTS.flatMap((list) => objectsAt(spec, list))];
  const names = holders.flatMap((holder) => Object.keys(objectAt(objectAt(holder, "resources"), "limits")));
  return new Set(names.filter((name) => name.startsWith(HUGE_PAGES_PREFIX)));
}

/** A pod's own amount of huge pages: the limit is what its containers need, the request is the limit. */
function hugePages(
  spec: JsonObject,
  resources: JsonObject,
  field: string,
  resource: string,
): string | undefined {
  if (field === "requests") {
    const limit = isJsonObject(resources.limits) ? getOwn(resources.limits, resource) : undefined;
    return typeof limit === "string" ? limit : undefined;
  }
  const limitOf = (container: JsonObject): string => {
    const limits = isJsonObject(container.resources) ? container.resources.limits : undefined;
    const limit = isJsonObject(limits) ? getOwn(limits, resource) : undefined;
    return typeof limit === "string" ? limit : "0";
  };
  // As component-helpers `resource/helpers.go`, AggregateContainerLimits: sidecars stay, other init containers come one
  // after the other, beside the sidecars before them.
  let sum = objectsAt(spec, "containers").map(limitOf).reduce(addQuantities, "0");
  let sidecars = "0";
  let most = "0";
  for (const container of objectsAt(spec, "initContainers")) {
    const together = addQuantities(sidecars, limitOf(container));
    if (container.restartPolicy === "Always") {
      sum = addQuantities(sum, limitOf(container));
      sidecars = together;
    }
    if (compareQuantities(together, most) > 0) most = together;
  }
  return compareQuantities(most, sum) > 0 ? most : sum;
}

/** Amounts of cpu and memory that were changed in place: only where the owner allowed it, and none taken away. */
function resize(
  spec: JsonObject,
  live: JsonObject,
  { allow = [] }: InjectionContext,
  note: Note,
): JsonObject {
  const permission = allow.find(({ kind }) => kind === "resize");
  if (permission === undefined) return spec;
  const resized = (holder: JsonObject, liveHolder: JsonObject, path: string): JsonObject => {
    let { resources } = holder;
    const found = liveHolder.resources;
    if (!isJsonObject(resources) || !isJsonObject(found)) return holder;
    for (const field of ["limits", "requests"]) {
      for (const resource of RESIZABLE_RESOURCES) {
        const amounts: JsonValue | undefined = resources[field];
        const foundAmounts = found[field];
        if (!isJsonObject(amounts) || !isJsonObject(foundAmounts)) continue;
        const signed = getOwn(amounts, resource);
        const amount = getOwn(foundAmounts, resource);
        if (typeof signed !== "string" || typeof amount !== "string" || !isAmount(amount)) continue;
        if (compareQuantities(signed, amount) === 0) continue;
        resources = { ...resources, [field]: { ...amounts, [resource]: amount } };
        note(`${path}.resources.${field}[${resource}]`, "resize", permission);
      }
    }
    return { ...holder, resources };
  };
  return resized(mapContainers(spec, live, resized), live, "spec");
}

/** Volumes that the owner allowed by name, in one of the forms of `confined.ts`. */
function extraVolumes(
  spec: JsonObject,
  live: JsonObject,
  { allow = [] }: InjectionContext,
  note: Note,
  misfits: Problem[],
): JsonObject {
  let extended = spec;
  for (const permission of allow) {
    if (permission.kind !== "volume" || itemNamed(extended, "volumes", permission.name) !== undefined) {
      continue;
    }
    const volume = itemNamed(live, "volumes", permission.name);
    if (volume === undefined) continue;
    const path = `spec.volumes[${permission.name}]`;
    const problems = volumeMisfits(volume, path);
    misfits.push(...problems);
    if (problems.length > 0) continue;
    note(path, "extra volume", permission);
    extended = { ...extended, volumes: [...objectsAt(extended, "volumes"), volume] };
  }
  return extended;
}

/**
 * Containers that the owner allowed by name and digest, confined: what they mount is either the service account's
 * volume or one of the extra ones. Each comes behind the container that it follows in the live spec.
 */
function extraContainers(
  spec: JsonObject,
  live: JsonObject,
  { allow = [] }: InjectionContext,
  note: Note,
  misfits: Problem[],
): JsonObject {
  const mountable = new Set<JsonValue>(
    allow.flatMap((permission) => permission.kind === "volume" ? [permission.name] : []),
  );
  let extended = spec;
  for (const list of CONTAINER_LISTS) {
    const kind = list === "containers" ? "container" : "init-container";
    const containers = [...objectsAt(spec, list)];
    let place = 0;
    for (const container of objectsAt(live, list)) {
      const { name } = container;
      const known = containers.findIndex((other) => other.name === name);
      if (known >= 0) {
        place = known + 1;
        continue;
      }
      const permission = allow.find((one) => one.kind === kind && one.name === name);
      if (permission?.kind !== kind) continue;
      const path = `spec.${list}[${permission.name}]`;
      const problems = containerMisfits(list, container, path, spec);
      const { image } = container;
      if (typeof image !== "string" || parseImage(image)?.digest !== permission.digest) {
        problems.push({ path: `${path}.image`, message: `has not the digest that the owner allowed` });
      }
      for (const mount of objectsAt(container, "volumeMounts")) {
        const { name: volume } = mount;
        const isToken = typeof volume === "string" && TOKEN_VOLUME_NAME.test(volume) &&
          equalJson(mount, tokenMount(volume));
        const isThere = itemNamed(extended, "volumes", volume) !== undefined;
        if (isThere && (isToken || mountable.has(volume ?? null))) continue;
        problems.push({
          path: `${path}.volumeMounts[${String(volume)}]`,
          message: "mounts a volume that the owner did not allow with volume=",
        });
      }
      misfits.push(...problems);
      if (problems.length > 0) continue;
      note(path, "extra container", permission);
      containers.splice(place, 0, container);
      place++;
    }
    if (containers.length > objectsAt(spec, list).length) extended = { ...extended, [list]: containers };
  }
  return extended;
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
