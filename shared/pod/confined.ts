/**
 * What an extra container or volume may look like that the owner allowed by name (`permissions.ts`). Its text is not
 * signed, so only fields that stand here are admitted, each with its form: what is left out is refused.
 *
 * @module
 */
import type { Problem } from "../errors.ts";
import { equalJson, isJsonObject, type JsonObject, type JsonValue, objectAt, objectsAt } from "../json.ts";
import { isDnsLabel, isDnsSubdomain } from "./grammar.ts";
import { AMOUNT_RESOURCES, isAmount } from "./quantity.ts";
import { fieldSegment, keySegment } from "./schema.ts";

/** What a value may be: a test of it, or of an object's fields, a list's items, a map's values. */
type Form =
  | ((value: JsonValue) => boolean)
  | { readonly fields: Readonly<Record<string, Form>> }
  | { readonly items: Form }
  | { readonly keys: readonly string[]; readonly values: Form };

/** Longest text that an extra container brings, in UTF-16 code units: meshes pass whole configurations as variables. */
export const MAX_EXTRA_TEXT_CHARACTERS: number = 64 * 1024;

/** Longest path in a container (Linux, PATH_MAX). */
export const MAX_PATH_CHARACTERS: number = 4096;

const text: Form = (value) =>
  typeof value === "string" && value.length <= MAX_EXTRA_TEXT_CHARACTERS && value.isWellFormed() &&
  !value.includes("\0");
const within = (least: number, most: number) => (value: JsonValue): boolean =>
  typeof value === "number" && value >= least && value <= most;
const count: Form = within(0, 2 ** 31 - 1);
const portNumber = within(1, 65535);
/** Permissions of a file, without set-user-ID and the like. */
const mode: Form = within(0, 0o777);
const bool: Form = (value) => typeof value === "boolean";
const oneOf = (...words: JsonValue[]): Form => (value) => words.includes(value);
const matches = (pattern: RegExp): Form => (value) => typeof value === "string" && pattern.test(value);
const label: Form = (value) => typeof value === "string" && isDnsLabel(value);
const subdomain: Form = (value) => typeof value === "string" && isDnsSubdomain(value);
const amount: Form = (value) => typeof value === "string" && isAmount(value);

/** `metadata.labels['app']`, `status.podIP`: what the downward API reads (`pkg/apis/core/validation`). */
const FIELD_PATH = /^(?:metadata|spec|status)\.[A-Za-z]{1,64}(?:\['[A-Za-z0-9._/-]{1,317}'\])?$/;
const RESOURCE = /^(?:limits|requests)\.(?:cpu|memory|ephemeral-storage)$/;
const ENV_NAME = /^[A-Za-z_.-][A-Za-z0-9_.-]{0,252}$/;
/** An absolute path without `..`, colons and controls. */
const ABSOLUTE_PATH = /^(?!.*(?:^|\/)\.\.(?:\/|$))\/[^\p{Cc}\p{Zl}\p{Zp}:]*$/su;
/** A path inside a volume. */
const RELATIVE_PATH = /^(?!\/)(?!.*(?:^|\/)\.\.(?:\/|$))[^\p{Cc}\p{Zl}\p{Zp}:]{1,4096}$/su;
const PORT_NAME = /^[0-9a-z](?:[0-9a-z-]{0,13}[0-9a-z])?$/;

const absolutePath: Form = (value) =>
  typeof value === "string" && value.length <= MAX_PATH_CHARACTERS && ABSOLUTE_PATH.test(value);
const port: Form = (value) => portNumber(value) || (typeof value === "string" && PORT_NAME.test(value));

const fieldRef: Form = { fields: { apiVersion: oneOf("v1"), fieldPath: matches(FIELD_PATH) } };
const resourceFieldRef: Form = {
  fields: { containerName: label, resource: matches(RESOURCE), divisor: amount },
};

/** Probes ask over the pod's network. A `host` would send the kubelet elsewhere, and `exec` is a command. */
const probe: Form = {
  fields: {
    httpGet: { fields: { path: text, port, scheme: oneOf("HTTP", "HTTPS") } },
    tcpSocket: { fields: { port } },
    grpc: { fields: { port: portNumber, service: text } },
    initialDelaySeconds: count,
    timeoutSeconds: count,
    periodSeconds: count,
    successThreshold: count,
    failureThreshold: count,
  },
};

const amounts: Form = { keys: AMOUNT_RESOURCES, values: amount };

/** A user or group other than root. */
const notRoot: Form = within(1, 2 ** 31 - 1);

const securityContext: Form = {
  fields: {
    privileged: oneOf(false),
    allowPrivilegeEscalation: oneOf(false),
    readOnlyRootFilesystem: bool,
    runAsNonRoot: oneOf(true),
    runAsUser: notRoot,
    runAsGroup: notRoot,
    capabilities: { fields: { drop: { items: matches(/^[A-Z_]{1,64}$/) } } },
    seccompProfile: { fields: { type: oneOf("RuntimeDefault") } },
  },
};

/** Fields that both lists of containers may have. Name, image and mounts are looked at by whoever calls. */
const CONTAINER_FIELDS: Readonly<Record<string, Form>> = {
  name: label,
  image: text,
  args: { items: text },
  env: {
    items: {
      fields: { name: matches(ENV_NAME), value: text, valueFrom: { fields: { fieldRef, resourceFieldRef } } },
    },
  },
  ports: {
    items: {
      fields: { name: matches(PORT_NAME), containerPort: portNumber, protocol: oneOf("TCP", "UDP", "SCTP") },
    },
  },
  resources: { fields: { limits: amounts, requests: amounts } },
  volumeMounts: { items: { fields: { name: label, mountPath: absolutePath, readOnly: bool } } },
  livenessProbe: probe,
  readinessProbe: probe,
  startupProbe: probe,
  terminationMessagePath: absolutePath,
  terminationMessagePolicy: oneOf("File", "FallbackToLogsOnError"),
  imagePullPolicy: oneOf("Always", "IfNotPresent", "Never"),
  securityContext,
};

const CONTAINER: Form = { fields: CONTAINER_FIELDS };
const INIT_CONTAINER: Form = { fields: { ...CONTAINER_FIELDS, restartPolicy: oneOf("Always") } };

const keyToPath: Form = { fields: { key: text, path: matches(RELATIVE_PATH), mode } };
const downwardItems: Form = {
  items: { fields: { path: matches(RELATIVE_PATH), fieldRef, resourceFieldRef, mode } },
};
const named: Readonly<Record<string, Form>> = {
  name: subdomain,
  items: { items: keyToPath },
  optional: bool,
};

const VOLUME: Form = {
  fields: {
    name: label,
    emptyDir: { fields: { medium: oneOf("Memory"), sizeLimit: amount } },
    configMap: { fields: { ...named, defaultMode: mode } },
    secret: {
      fields: { secretName: subdomain, items: { items: keyToPath }, optional: bool, defaultMode: mode },
    },
    downwardAPI: { fields: { items: downwardItems, defaultMode: mode } },
    projected: {
      fields: {
        defaultMode: mode,
        sources: {
          items: {
            fields: {
              serviceAccountToken: {
                fields: { audience: text, expirationSeconds: count, path: matches(RELATIVE_PATH) },
              },
              configMap: { fields: named },
              secret: { fields: named },
              downwardAPI: { fields: { items: downwardItems } },
            },
          },
        },
      },
    },
  },
};

/**
 * What does not fit in an extra container that the owner allowed; nothing if it does.
 *
 * Containers of a pod share more than the network: /etc/hosts, which root can write, and IPC with /dev/shm, where files
 * belong to users. So an extra container runs as a user of its own, which is named, is not root, cannot become root, and
 * is none that the signed spec names. It cannot loosen what was signed for the whole pod.
 *
 * @param list the list in which it stands
 * @param container the container, decoded and expanded
 * @param path its path in the pod
 * @param signed the signed spec, expanded
 */
export function containerMisfits(
  list: "initContainers" | "containers",
  container: JsonObject,
  path: string,
  signed: JsonObject,
): Problem[] {
  const form = list === "initContainers" ? INIT_CONTAINER : CONTAINER;
  return [...misfits(form, container, path), ...userMisfits(container, `${path}.securityContext`, signed)];
}

function userMisfits(container: JsonObject, path: string, signed: JsonObject): Problem[] {
  const problems: Problem[] = [];
  const context = objectAt(container, "securityContext");
  const podContext = objectAt(signed, "securityContext");
  const need = (field: string, fits: boolean, message: string) => {
    if (!fits) problems.push({ path: `${path}.${field}`, message });
  };
  need(
    "allowPrivilegeEscalation",
    context.allowPrivilegeEscalation === false,
    "has to be false in an extra container",
  );
  need("runAsNonRoot", context.runAsNonRoot === true, "has to be true in an extra container");
  const users = [
    podContext,
    ...["initContainers", "containers"].flatMap((name) => objectsAt(signed, name))
      .map((other) => objectAt(other, "securityContext")),
  ].map(({ runAsUser }) => runAsUser);
  need(
    "runAsUser",
    context.runAsUser !== undefined && !users.includes(context.runAsUser),
    "has to be a user of its own in an extra container, none of those in the signed spec",
  );
  const { seccompProfile } = podContext;
  need(
    "seccompProfile",
    seccompProfile === undefined || context.seccompProfile === undefined ||
      equalJson(seccompProfile, context.seccompProfile),
    "is not the one that was signed for the whole pod",
  );
  return problems;
}

/** What does not fit in an extra volume that the owner allowed; nothing if it does. */
export function volumeMisfits(volume: JsonObject, path: string): Problem[] {
  const sources = Object.keys(volume).filter((field) => field !== "name");
  return sources.length === 1
    ? misfits(VOLUME, volume, path)
    : [{ path, message: "has not exactly one source" }];
}

/**
 * The paths of all fields that an extra container or volume may have, such as `env[].valueFrom.fieldRef.fieldPath`, in
 * this file's order. For the documentation.
 */
export function admittedFields(of: "initContainers" | "containers" | "volumes"): string[] {
  return leavesOf(of === "volumes" ? VOLUME : of === "containers" ? CONTAINER : INIT_CONTAINER, "");
}

function leavesOf(form: Form, path: string): string[] {
  if (typeof form === "function") return [path];
  if ("items" in form) return leavesOf(form.items, `${path}[]`);
  if ("keys" in form) return leavesOf(form.values, `${path}[${form.keys.join(", ")}]`);
  return Object.entries(form.fields).flatMap(([name, member]) =>
    leavesOf(member, path === "" ? name : `${path}.${name}`)
  );
}

function misfits(form: Form, value: JsonValue, path: string): Problem[] {
  if (typeof form === "function") return form(value) ? [] : [misfit(path)];
  if ("items" in form) {
    if (!Array.isArray(value)) return [misfit(path)];
    return value.flatMap((item, index) => misfits(form.items, item, `${path}[${index}]`));
  }
  if (!isJsonObject(value)) return [misfit(path)];
  if ("keys" in form) {
    return Object.entries(value).flatMap(([key, member]) => {
      const at = path + keySegment(key);
      return form.keys.includes(key) ? misfits(form.values, member, at) : [misfit(at)];
    });
  }
  return Object.entries(value).flatMap(([name, member]) => {
    const at = path + fieldSegment(name);
    const known = Object.hasOwn(form.fields, name) ? form.fields[name] : undefined;
    return known === undefined ? [misfit(at)] : misfits(known, member, at);
  });
}

function misfit(path: string): Problem {
  return {
    path,
    message: "is nothing that an extra container or volume may have, though the owner allowed its name",
  };
}
