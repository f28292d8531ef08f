/**
 * The changes of a spec that a verdict lets pass, and the one that it names otherwise than by its path. Everything
 * else has to be refused, with its path.
 *
 * @module
 */
import {
  equalJson,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  objectsAt,
} from "@signed-pods/shared/json";
import { hasDigest } from "@signed-pods/shared/pod/image";
import { defaultAt, isRequests, limitAt } from "./defaults.ts";
import { isZero, type Mutation } from "./mutations.ts";
import { fieldName, type Keys, objectAt, valueAt } from "./places.ts";

/** A mutation, and what it starts from. */
export interface Change {
  mutation: Mutation;
  /** The spec as the owner wrote it. */
  signed: JsonObject;
  /** The spec as the API server gave it. */
  live: JsonObject;
}

/** What is expected of a changed spec. */
export interface Rule {
  name: string;
  reason: string;
  /**
   * `same`: it passes, and the pod is built as if nothing had been changed. `put back`: as well, and the API server
   * makes the same of it. `accepted`: it passes as what admission may add, and the verdict notes it under the rule's
   * name. `told otherwise`: it is refused, and named as the reason says.
   */
  outcome: "same" | "put back" | "accepted" | "told otherwise";
  applies(change: Change): boolean;
  /** The first minor version in which anything needs it. */
  since?: string;
  /** For what is told otherwise: a difference that the refusal must name has a path of this form. */
  toldAs?: RegExp;
}

/** Fields that are neither signed nor compared, with the reason. The node goes by the live values. */
export const IGNORED_FIELDS: ReadonlyMap<string, string> = new Map([
  ["nodeName", "written by the scheduler; a pod that is bound to another node is not forwarded"],
  ["nodeSelector", "says where the pod may be scheduled; kubelets only refuse what does not fit"],
  ["affinity", "says where the pod may be scheduled; kubelets only refuse what does not fit"],
  ["tolerations", "DefaultTolerationSeconds and DaemonSets add to them; they keep a pod on a node or not"],
  ["topologySpreadConstraints", "read by the scheduler alone"],
  ["schedulerName", "says which scheduler binds the pod"],
  ["schedulingGates", "says from when on the pod is scheduled"],
  ["priority", "written by admission; says who goes first when there is no room"],
  ["priorityClassName", "admission reads it; on a node it makes a pod critical, not another one"],
  ["preemptionPolicy", "read by the scheduler alone"],
  ["readinessGates", "conditions that others report; they say when the pod is counted as ready"],
  ["overhead", "written by RuntimeClass admission; how much room the runtime itself takes"],
  ["workloadRef", "read by the scheduler alone"],
  ["schedulingGroup", "read by the scheduler alone"],
]);

/** Whether a mutation is in one of the ignored fields. */
export function isIgnored({ place }: Mutation): boolean {
  return IGNORED_FIELDS.has(String(place.keys[0]));
}

const CONTAINER_LISTS: readonly (string | number | undefined)[] = ["containers", "initContainers"];

/** Resources of which LimitRanger may say how much. */
const LIMIT_RANGE_RESOURCES: readonly string[] = ["cpu", "memory", "ephemeral-storage"];

export const RULES: readonly Rule[] = [
  {
    name: "default",
    reason: "a field that has its default may as well be absent",
    outcome: "put back",
    applies: ({ mutation: { effect, place, spec } }) => {
      if (effect !== "removed" || place.role !== "field") return false;
      const value = defaultAt(spec, place);
      return value !== undefined && equalJson(value, place.value);
    },
  },
  {
    name: "zero",
    reason: "a zero or an empty object is as good as none where Go has no pointer",
    outcome: "put back",
    applies: ({ mutation: { effect, place: { role, field, value } } }) => {
      if (effect !== "removed" || role !== "field" || field.shape !== "single" || field.pointer) return false;
      return isZero(field, role, value) || (isJsonObject(value) && Object.keys(value).length === 0);
    },
  },
  {
    name: "service account",
    reason: "serviceAccount is an old name of serviceAccountName; either may be absent, and the new one wins",
    outcome: "put back",
    applies: ({ mutation: { effect, place } }) =>
      (effect === "removed" &&
        ["PodSpec.serviceAccount", "PodSpec.serviceAccountName"].includes(fieldName(place))) ||
      (effect === "altered" && fieldName(place) === "PodSpec.serviceAccount"),
  },
  {
    name: "requests",
    reason: "a container requests what it is limited to, if it does not say otherwise",
    outcome: "put back",
    applies: ({ mutation: { effect, place, spec } }) => {
      if (effect !== "removed") return false;
      const { keys, value } = place;
      if (!isRequests(place) || !isJsonObject(value)) return limitAt(spec, place) === value;
      return Object.entries(value).every(([resource, amount]) =>
        limitAt(spec, { keys: [...keys, resource] }) === amount
      );
    },
  },
  {
    name: "host port",
    reason: "on the node's network a container's port is the node's port",
    outcome: "put back",
    applies: ({ mutation: { effect, place }, live }) =>
      effect === "removed" && fieldName(place) === "ContainerPort.hostPort" && live.hostNetwork === true &&
      objectAt(live, place.keys.slice(0, -1)).containerPort === place.value,
  },
  {
    name: "probe protocol",
    reason: "protocol HTTP1 is as good as none, which is how older versions write it",
    since: "1.37",
    outcome: "put back",
    applies: ({ mutation: { effect, place } }) =>
      effect === "removed" && fieldName(place) === "HTTPGetAction.protocol" && place.value === "HTTP1",
  },
  {
    name: "volume order",
    reason: "volumes have no order; StatefulSets add theirs in any",
    outcome: "same",
    applies: ({ mutation: { effect, place } }) =>
      effect === "reordered" && place.keys.length === 2 && place.keys[0] === "volumes",
  },
  {
    name: "pull policy",
    reason: "pulling an image again that is named by its digest changes nothing; AlwaysPullImages does it",
    outcome: "accepted",
    applies: ({ mutation: { effect, place, spec } }) => {
      if (effect !== "altered" || valueAt(spec, place.keys) !== "Always") return false;
      const around = objectAt(spec, place.keys.slice(0, -1));
      switch (fieldName(place)) {
        case "Container.imagePullPolicy":
          return isDigested(around.image);
        case "ImageVolumeSource.pullPolicy":
          return isDigested(around.reference);
        default:
          return false;
      }
    },
  },
  {
    name: "image pull secrets",
    reason:
      "where the owner names none, those of the service account are added; they only say what may be pulled",
    outcome: "accepted",
    applies: ({ mutation: { place, spec }, signed }) =>
      place.keys[0] === "imagePullSecrets" && signed.imagePullSecrets === undefined && areSecretNames(spec),
  },
  {
    name: "limit range",
    reason: "LimitRanger says how much cpu, memory and ephemeral storage where the owner does not",
    outcome: "accepted",
    applies: ({ mutation: { effect, place: { keys, value, role } }, signed }) => {
      const [list, , resources, amounts, resource] = keys;
      if (!CONTAINER_LISTS.includes(list) || resources !== "resources" || effect === "added") return false;
      const written = (path: Keys) =>
        valueAt(signed, path) !== undefined || limitAt(signed, { keys: path }) !== undefined;
      const free = (path: Keys, names: JsonValue): boolean =>
        isJsonObject(names) &&
        Object.keys(names).every((name) => LIMIT_RANGE_RESOURCES.includes(name) && !written([...path, name]));
      if (resource !== undefined) {
        return role === "entry" && LIMIT_RANGE_RESOURCES.includes(String(resource)) && !written(keys);
      }
      if (effect !== "removed") return false;
      if (amounts !== undefined) return free(keys, value);
      return isJsonObject(value) && Object.keys(value).length > 0 &&
        Object.entries(value).every(([field, names]) => free([...keys, field], names));
    },
  },
  {
    name: "pod resources",
    reason:
      "how much cpu and memory a pod has whose owner does not say follows from its containers, and from the version",
    outcome: "accepted",
    applies: ({ mutation: { effect, place: { keys, value } }, signed }) => {
      const [list, amounts, resource] = keys;
      if (list !== "resources" || amounts === undefined || signed.resources === undefined) return false;
      const isFree = (name: string | number) =>
        valueAt(signed, ["resources", amounts, name]) === undefined &&
        (["cpu", "memory"].includes(String(name)) ||
          // A request of huge pages that is their limit may as well be absent.
          (effect === "removed" && amounts === "requests" && isHugePages(name)));
      if (resource !== undefined) return effect !== "added" && isFree(resource);
      return effect === "removed" && isJsonObject(value) && Object.keys(value).every(isFree);
    },
  },
  {
    name: "huge pages of a pod",
    reason:
      "what follows from the containers is accepted in the one right amount, and the request with the limit",
    outcome: "told otherwise",
    applies: ({ mutation: { effect, place: { keys } }, signed }) =>
      keys[0] === "resources" && keys[2] !== undefined && isHugePages(keys[2]) && effect !== "added" &&
      valueAt(signed, keys) === undefined,
    toldAs: /^spec\.resources\.(limits|requests)\[hugepages-2Mi\]$/,
  },
  {
    name: "service account volume",
    reason:
      "an added volume is accepted whole or not at all, so it is the volume or its mounts that are too many",
    outcome: "told otherwise",
    applies: ({ mutation: { effect, place: { keys } }, live }) => {
      const [list, index] = keys;
      if (list !== "volumes") return false;
      const isAdded = ({ name }: JsonObject) =>
        typeof name === "string" && name.startsWith("kube-api-access-");
      if (index === undefined) return effect === "removed" && objectsAt(live, "volumes").every(isAdded);
      return isAdded(objectAt(live, ["volumes", index]));
    },
    toldAs: /^spec\.(volumes\[|(initContainers|containers)\[[a-z]+\]\.volumeMounts\[)/,
  },
  {
    name: "no image pull secret",
    reason: "added secrets are accepted together or not at all",
    outcome: "told otherwise",
    applies: ({ mutation: { place, spec }, signed }) =>
      place.keys[0] === "imagePullSecrets" && signed.imagePullSecrets === undefined && !areSecretNames(spec),
    toldAs: /^spec\.imagePullSecrets/,
  },
];

function isHugePages(resource: string | number): boolean {
  return String(resource).startsWith("hugepages-");
}

/** Whether all image pull secrets of a spec are names and nothing else. */
function areSecretNames({ imagePullSecrets }: JsonObject): boolean {
  if (imagePullSecrets === undefined) return true;
  return Array.isArray(imagePullSecrets) &&
    imagePullSecrets.every((secret) =>
      isJsonObject(secret) && Object.keys(secret).join() === "name" && typeof secret.name === "string" &&
      secret.name !== ""
    );
}

function isDigested(image: JsonValue | undefined): boolean {
  return typeof image === "string" && hasDigest(image);
}
