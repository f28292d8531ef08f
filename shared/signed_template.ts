/**
 * The signed template: the document over which the owner's signature is made (template form).
 *
 * It is canonical JSON (RFC 8785) and travels in the annotation `kubelet-proxy.io/signed-template`. Its fields:
 *
 * | field | meaning |
 * |---|---|
 * | `apiVersion`, `kind` | `kubelet-proxy.io/v1`, `SignedTemplate`: no other signed text can be taken for one |
 * | `workload` | `apiVersion`, `kind`, `namespace` (optional), `name` or (Pods and Jobs) `generateName` |
 * | `statefulSet` | StatefulSets only: `serviceName`, `volumeClaims` |
 * | `job` | indexed Jobs only: `{"indexed": true}` |
 * | `allow` | optional: the owner's permissions (`pod/permissions.ts`), each once and sorted by UTF-16 code units |
 * | `pins` | optional: digests of what the pod refers to (`pod/pins.ts`) |
 * | `notBefore`, `notAfter` | optional, RFC 3339 in UTC with whole seconds: when pods may be admitted, both inclusive |
 * | `metadata` | `labels` and `annotations` of the template, without the two annotations of ours |
 * | `spec` | the template's pod spec in its minimal form |
 *
 * @module
 */
import { MAX_SIGNED_TEMPLATE_BYTES } from "./bounds.ts";
import { canonicalize } from "./canonical_json.ts";
import { type Problem, SignedPodsError } from "./errors.ts";
import { quote, readFields, readText, readTextMap, readTexts } from "./fields.ts";
import { isJsonObject, type JsonObject, type JsonValue, objectAt, objectsAt } from "./json.ts";
import { isDnsLabel, isLabelValue, isQualifiedName } from "./pod/grammar.ts";
import { expand, minimal } from "./pod/normal_form.ts";
import { type Pins, pinsAsJson, readPins } from "./pod/pins.ts";
import { MAX_PERMISSIONS, parsePermission, type Permission } from "./pod/permissions.ts";
import {
  type IndexedJobShape,
  type PodTemplateLocation,
  statefulSetProblems,
  type StatefulSetShape,
  workloadProblems,
} from "./pod/workload.ts";
import { parseStrictJson } from "./strict_json.ts";
import { formatTime } from "./time.ts";
import { SIGNATURE_ANNOTATION, SIGNED_TEMPLATE_ANNOTATION, type WorkloadReference } from "./verdict.ts";

/** `apiVersion` of every signed template. */
export const SIGNED_TEMPLATE_API_VERSION = "kubelet-proxy.io/v1";

/** `kind` of every signed template. */
export const SIGNED_TEMPLATE_KIND = "SignedTemplate";

/** What the owner signs. */
export interface SignedTemplate {
  apiVersion: typeof SIGNED_TEMPLATE_API_VERSION;
  kind: typeof SIGNED_TEMPLATE_KIND;
  workload: WorkloadReference;
  statefulSet?: StatefulSetShape;
  job?: IndexedJobShape;
  /** The owner's permissions, sorted, each once; never empty. {@linkcode templatePermissions} reads them. */
  allow?: string[];
  /** What is signed of the objects that the spec refers to. */
  pins?: Pins;
  /** RFC 3339, UTC, whole seconds. */
  notBefore?: string;
  /** RFC 3339, UTC, whole seconds. */
  notAfter?: string;
  metadata: { labels: Record<string, string>; annotations: Record<string, string> };
  /** In minimal form when podsign writes it. */
  spec: JsonObject;
}

/** The prefix that the API server gives its own service account volumes, and by which it finds them again. */
export const SERVICE_ACCOUNT_VOLUME_PREFIX = "kube-api-access-";

/**
 * Annotations that are never signed: ours, which hold the signature itself, and kubectl's copy of the whole manifest,
 * which holds ours in turn.
 */
const NEVER_SIGNED_ANNOTATIONS: ReadonlySet<string> = new Set([
  SIGNATURE_ANNOTATION,
  SIGNED_TEMPLATE_ANNOTATION,
  "kubectl.kubernetes.io/last-applied-configuration",
]);

/** By these annotations the kubelet knows mirror pods and where a pod came from; no owner may set them. */
const KUBELET_ANNOTATION_PREFIX = "kubernetes.io/config.";

/** What the owner chooses when signing. */
export interface SignOptions {
  /** Namespace to bind to where the manifest names none. It must not contradict the manifest. */
  namespace?: string;
  /** No pod is admitted before. */
  notBefore?: Date;
  /** No pod is admitted after. */
  notAfter?: Date;
  /** What may be added to the pods, as `parsePermission` reads it; in any order. */
  allow?: readonly string[];
  /** What is signed of the objects that the spec refers to. */
  pins?: Pins;
}

/**
 * Makes what is to be signed for one pod template.
 *
 * @param location the template, as `findPodTemplates` found it
 * @param options what the owner chose
 * @returns the template, complete and valid: `parseSignedTemplate(encodeSignedTemplate(t))` gives it back
 * @throws {SignedPodsError} `object-malformed` with every reason why it cannot be signed
 */
export function buildSignedTemplate(
  location: PodTemplateLocation,
  options: SignOptions = {},
): SignedTemplate {
  const { namespace, notBefore, notAfter, pins = {} } = options;
  // Array.prototype.sort compares UTF-16 code units, as RFC 8785 does with keys.
  const allow = [...new Set(options.allow ?? [])].sort();
  const problems: Problem[] = [];
  const workload: WorkloadReference = { ...location.workload };
  if (namespace !== undefined) {
    if (workload.namespace !== undefined && workload.namespace !== namespace) {
      problems.push({
        path: "metadata.namespace",
        message: `is ${JSON.stringify(workload.namespace)}, but ${JSON.stringify(namespace)} was asked for`,
      });
    }
    workload.namespace = namespace;
  }
  if (Object.keys(pins).length > 0) readPins(pinsAsJson(pins), problems);
  const labels = readTextMap(location.metadata, "labels", "metadata.labels", problems);
  const annotations = readTextMap(location.metadata, "annotations", "metadata.annotations", problems);
  const template: SignedTemplate = {
    apiVersion: SIGNED_TEMPLATE_API_VERSION,
    kind: SIGNED_TEMPLATE_KIND,
    workload,
    ...(location.statefulSet === undefined ? {} : { statefulSet: location.statefulSet }),
    ...(location.job === undefined ? {} : { job: location.job }),
    ...(allow.length === 0 ? {} : { allow }),
    ...(Object.keys(pins).length === 0 ? {} : { pins }),
    ...(notBefore === undefined ? {} : { notBefore: formatDate(notBefore, "notBefore", problems) }),
    ...(notAfter === undefined ? {} : { notAfter: formatDate(notAfter, "notAfter", problems) }),
    metadata: {
      labels,
      annotations: Object.fromEntries(
        Object.entries(annotations).filter(([key]) => !NEVER_SIGNED_ANNOTATIONS.has(key)),
      ),
    },
    spec: minimal(withoutClaimVolumes(location.spec, location.statefulSet)),
  };
  problems.push(...templateProblems(template));
  if (problems.length === 0) {
    const bytes = utf8Length(encodeSignedTemplate(template));
    if (bytes > MAX_SIGNED_TEMPLATE_BYTES) {
      problems.push({
        path: "",
        message:
          `is ${bytes} bytes long when signed, more than the ${MAX_SIGNED_TEMPLATE_BYTES} bytes that ` +
          `Kubernetes allows for all annotations of an object`,
      });
    }
  }
  if (problems.length > 0) throw malformed("object-malformed", "The pod template cannot be signed", problems);
  return template;
}

/** The exact text to sign and to put into the annotation: canonical JSON (RFC 8785). */
export function encodeSignedTemplate(template: SignedTemplate): string {
  const { apiVersion, kind, workload, statefulSet, job, allow, pins, notBefore, notAfter, metadata, spec } =
    template;
  return canonicalize({
    apiVersion,
    kind,
    workload: { ...workload },
    ...(statefulSet === undefined ? {} : { statefulSet: { ...statefulSet } }),
    ...(job === undefined ? {} : { job: { ...job } }),
    ...(allow === undefined ? {} : { allow: [...allow] }),
    ...(pins === undefined ? {} : { pins: pinsAsJson(pins) }),
    ...(notBefore === undefined ? {} : { notBefore }),
    ...(notAfter === undefined ? {} : { notAfter }),
    metadata: { labels: { ...metadata.labels }, annotations: { ...metadata.annotations } },
    spec,
  });
}

/**
 * Reads a signed template. To be called with text whose signature has been verified, never before.
 *
 * @param text the annotation's value
 * @returns the template
 * @throws {SignedPodsError} `template-malformed` unless the text is strict JSON of known fields only, in canonical
 *   form, with a spec that fits the schema: as `encodeSignedTemplate` writes it
 */
export function parseSignedTemplate(text: string): SignedTemplate {
  // A UTF-16 code unit is at least one byte, so the cheap test bounds the exact one.
  if (text.length > MAX_SIGNED_TEMPLATE_BYTES || utf8Length(text) > MAX_SIGNED_TEMPLATE_BYTES) {
    throw malformed("template-malformed", "The signed template is not valid", [
      { path: "", message: `is longer than ${MAX_SIGNED_TEMPLATE_BYTES} bytes` },
    ]);
  }
  let document: JsonValue;
  try {
    document = parseStrictJson(text);
  } catch (error) {
    throw notATemplate(error);
  }
  const problems: Problem[] = [];
  const template = readTemplate(document, problems);
  if (template === undefined) {
    throw malformed("template-malformed", "The signed template is not valid", problems);
  }
  problems.push(...templateProblems(template));
  try {
    if (encodeSignedTemplate(template) !== text) {
      problems.push({ path: "", message: "is not in canonical form" });
    }
    // Minimal form is how podsign writes; a node does not insist on it, since what is minimal changes with the defaults
    // that a version knows, and what an owner signed must stay valid. Both sides are expanded before they are compared.
    expand(template.spec);
  } catch (error) {
    throw notATemplate(error);
  }
  if (problems.length > 0) {
    throw malformed("template-malformed", "The signed template is not valid", problems);
  }
  return template;
}

/** The dates between which pods of a template are admitted. */
export function templateValidity(template: SignedTemplate): { notBefore?: Date; notAfter?: Date } {
  const { notBefore, notAfter } = template;
  return {
    ...(notBefore === undefined ? {} : { notBefore: new Date(notBefore) }),
    ...(notAfter === undefined ? {} : { notAfter: new Date(notAfter) }),
  };
}

/** The owner's permissions in a template, which must be a valid one. */
export function templatePermissions({ allow = [] }: SignedTemplate): Permission[] {
  return allow.flatMap((text) => {
    const parsed = parsePermission(text);
    return parsed.ok ? [parsed.permission] : [];
  });
}

/**
 * Leaves out the volumes of a StatefulSet's template that have a claim template's name: the controller replaces them
 * (`pkg/controller/statefulset/stateful_set_utils.go`, updateStorage).
 */
export function withoutClaimVolumes(spec: JsonObject, statefulSet: StatefulSetShape | undefined): JsonObject {
  const volumes = spec.volumes;
  if (statefulSet === undefined || !Array.isArray(volumes)) return spec;
  const claims = new Set<JsonValue>(statefulSet.volumeClaims);
  return {
    ...spec,
    volumes: volumes.filter((volume) => !isJsonObject(volume) || !claims.has(volume.name ?? null)),
  };
}

/**
 * What makes a spec impossible to bind to a pod unambiguously: names that are no DNS labels or are there twice,
 * ephemeral containers, and anything under the name of the API server's own service account volume.
 *
 * @param spec a decoded pod spec
 */
export function specProblems(spec: JsonObject): Problem[] {
  const problems: Problem[] = [];
  if (objectsAt(spec, "containers").length === 0) {
    problems.push({ path: "spec.containers", message: "is empty; a pod needs at least one container" });
  }
  if (objectsAt(spec, "ephemeralContainers").length > 0) {
    problems.push({
      path: "spec.ephemeralContainers",
      message: "cannot be signed; they are added to running pods only",
    });
  }
  const containers = new Set<JsonValue>();
  for (const list of ["initContainers", "containers"]) {
    for (const [index, container] of objectsAt(spec, list).entries()) {
      checkName(container, containers, `spec.${list}[${index}].name`, problems);
      for (const use of ["volumeMounts", "volumeDevices"]) {
        for (const [useIndex, { name }] of objectsAt(container, use).entries()) {
          if (isServiceAccountVolumeName(name)) {
            problems.push(reservedVolume(`spec.${list}[${index}].${use}[${useIndex}].name`));
          }
        }
      }
    }
  }
  const volumes = new Set<JsonValue>();
  for (const [index, volume] of objectsAt(spec, "volumes").entries()) {
    checkName(volume, volumes, `spec.volumes[${index}].name`, problems);
    if (isServiceAccountVolumeName(volume.name)) problems.push(reservedVolume(`spec.volumes[${index}].name`));
  }
  return problems;
}

function checkName(item: JsonObject, seen: Set<JsonValue>, path: string, problems: Problem[]): void {
  const name = item.name ?? null;
  if (typeof name !== "string" || !isDnsLabel(name)) {
    problems.push({ path, message: "is not a DNS label (lower-case letters, digits and '-')" });
  }
  if (seen.has(name)) problems.push({ path, message: "is there twice" });
  seen.add(name);
}

function isServiceAccountVolumeName(name: JsonValue | undefined): boolean {
  return typeof name === "string" && name.startsWith(SERVICE_ACCOUNT_VOLUME_PREFIX);
}

function reservedVolume(path: string): Problem {
  return {
    path,
    message:
      `begins with "${SERVICE_ACCOUNT_VOLUME_PREFIX}", which is the API server's own; leave this volume and ` +
      `its mounts out, the API server adds them (or give the volume another name)`,
  };
}

/** What is wrong with a template that has all its fields with the right types. */
function templateProblems(template: SignedTemplate): Problem[] {
  const { workload, statefulSet, job, notBefore, notAfter, metadata, spec } = template;
  const problems = workloadProblems(workload, "workload");
  if ((statefulSet !== undefined) !== (workload.kind === "StatefulSet")) {
    problems.push({ path: "statefulSet", message: "belongs to a StatefulSet, and every StatefulSet has it" });
  }
  if (statefulSet !== undefined) {
    problems.push(...statefulSetProblems(statefulSet, "statefulSet.serviceName", "statefulSet.volumeClaims"));
    const claims = new Set<JsonValue>(statefulSet.volumeClaims);
    for (const [index, { name }] of objectsAt(spec, "volumes").entries()) {
      if (claims.has(name ?? null)) {
        problems.push({
          path: `spec.volumes[${index}].name`,
          message: "is the name of a volume claim template",
        });
      }
    }
  }
  if (job !== undefined && workload.kind !== "Job" && workload.kind !== "CronJob") {
    problems.push({ path: "job", message: "belongs to a Job or CronJob only" });
  }
  const from = checkDate(notBefore, "notBefore", problems);
  const to = checkDate(notAfter, "notAfter", problems);
  if (from !== undefined && to !== undefined && from > to) {
    problems.push({ path: "notAfter", message: "is before notBefore" });
  }
  for (const [key, value] of Object.entries(metadata.labels)) {
    if (!isQualifiedName(key)) {
      problems.push({ path: "metadata.labels", message: `${quote(key)} is not a label key` });
    }
    if (!isLabelValue(value)) {
      problems.push({ path: `metadata.labels[${quote(key)}]`, message: "is not a label value" });
    }
  }
  for (const key of Object.keys(metadata.annotations)) {
    if (!isQualifiedName(key.toLowerCase())) {
      problems.push({ path: "metadata.annotations", message: `${quote(key)} is not an annotation key` });
    }
    if (NEVER_SIGNED_ANNOTATIONS.has(key) || key.startsWith(KUBELET_ANNOTATION_PREFIX)) {
      problems.push({
        path: `metadata.annotations[${quote(key)}]`,
        message: "cannot be signed; leave it out",
      });
    }
  }
  problems.push(...specProblems(spec));
  if (template.allow !== undefined) problems.push(...permissionProblems(template.allow, template));
  return problems;
}

/** Namespaces that all containers of a pod would share with an extra one, and through which it would reach them. */
const SHARED_NAMESPACES = ["hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"] as const;

/** What is wrong with a template's permissions: their form, their order, and what they cannot be combined with. */
function permissionProblems(
  allow: readonly string[],
  { spec, statefulSet, pins = {} }: SignedTemplate,
): Problem[] {
  const problems: Problem[] = [];
  if (allow.length === 0) problems.push({ path: "allow", message: "is empty; leave it out" });
  if (allow.length > MAX_PERMISSIONS) {
    problems.push({ path: "allow", message: `holds more than ${MAX_PERMISSIONS} permissions` });
    return problems;
  }
  const names = (list: string) => objectsAt(spec, list).map(({ name }) => name ?? null);
  const used = usedVolumes(spec);
  const containers = new Set<JsonValue>([...names("containers"), ...names("initContainers")]);
  const volumes = new Set<JsonValue>([...names("volumes"), ...(statefulSet?.volumeClaims ?? [])]);
  const configMaps = new Set(Object.keys(pins.configMaps ?? {}));
  const secrets = new Set(Object.keys(pins.secrets ?? {}));
  for (const [index, text] of allow.entries()) {
    const path = `allow[${quote(text)}]`;
    const previous = allow[index - 1];
    if (previous !== undefined && !(previous < text)) {
      problems.push({ path, message: "is not in its place: permissions are sorted, and each is there once" });
    }
    const parsed = parsePermission(text);
    if (!parsed.ok) {
      problems.push({ path, message: parsed.message });
      continue;
    }
    const { permission } = parsed;
    if (permission.kind === "container" || permission.kind === "init-container") {
      for (const field of SHARED_NAMESPACES) {
        if (spec[field] !== true) continue;
        problems.push({
          path,
          message: `cannot be allowed in a pod with ${field}, in which it would not be confined`,
        });
      }
      if (isForWindows(spec)) {
        problems.push({
          path,
          message: "cannot be allowed in a pod for Windows, where it would not be confined",
        });
      }
      // A second container of the name, in either list, would be another permission for the same one.
      if (containers.has(permission.name)) {
        problems.push({ path, message: "has the name of another container of the pod" });
      }
      containers.add(permission.name);
    }
    if (permission.kind === "volume") {
      if (isServiceAccountVolumeName(permission.name)) problems.push(reservedVolume(path));
      if (volumes.has(permission.name)) {
        problems.push({ path, message: "has the name of another volume of the pod" });
      }
      if (used.has(permission.name)) {
        problems.push({ path, message: "has the name of a volume that a container of the pod uses" });
      }
      volumes.add(permission.name);
    }
    // What is pinned may not change, and what has to be signed may not be anything.
    const answered = permission.kind === "mutable-config" || permission.kind === "signed-config"
      ? configMaps
      : permission.kind === "mutable-secret"
      ? secrets
      : undefined;
    if (answered !== undefined && "name" in permission) {
      if (answered.has(permission.name)) {
        problems.push({ path, message: "contradicts a pin or another permission for the same object" });
      }
      answered.add(permission.name);
    }
  }
  return problems;
}

/** The names of all volumes that signed containers use. */
function usedVolumes(spec: JsonObject): Set<JsonValue> {
  const containers = ["initContainers", "containers"].flatMap((list) => objectsAt(spec, list));
  return new Set(containers.flatMap((container) => [
    ...["volumeMounts", "volumeDevices"].flatMap((use) => objectsAt(container, use)).map(({ name }) =>
      name ?? null
    ),
    ...objectsAt(container, "env").map(({ valueFrom }) =>
      isJsonObject(valueFrom) ? objectAt(valueFrom, "fileKeyRef").volumeName ?? null : null
    ),
  ]));
}

/** On Windows users and privileges are others than those by which extra containers are confined. */
function isForWindows(spec: JsonObject): boolean {
  return objectAt(spec, "os").name === "windows" ||
    [spec, ...["initContainers", "containers"].flatMap((list) => objectsAt(spec, list))].some((holder) =>
      Object.hasOwn(objectAt(holder, "securityContext"), "windowsOptions")
    );
}

// ---------------------------------------------------------------------------------------------------------------
// Dates

const DATE = /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$/;

/** The milliseconds of a date in the one form that templates have; undefined, with a problem, for other texts. */
function checkDate(text: string | undefined, path: string, problems: Problem[]): number | undefined {
  if (text === undefined) return undefined;
  const time = DATE.test(text) ? Date.parse(text) : Number.NaN;
  // Engines read 30 February as 2 March: only a date that prints as it was written is one.
  if (!Number.isNaN(time) && formatTime(new Date(time)) === text) return time;
  problems.push({ path, message: "is not a date like 2030-01-31T12:00:00Z (RFC 3339, UTC, whole seconds)" });
  return undefined;
}

function formatDate(date: Date, path: string, problems: Problem[]): string {
  if (!Number.isNaN(date.getTime())) return formatTime(date);
  problems.push({ path, message: "is not a date" });
  return "1970-01-01T00:00:00Z";
}

// ---------------------------------------------------------------------------------------------------------------
// Reading

/** Reads the document into a template; problems tell what is missing, of a wrong type or not known. */
function readTemplate(document: JsonValue, problems: Problem[]): SignedTemplate | undefined {
  const found = problems.length;
  const root = readFields(document, "", ["apiVersion", "kind", "workload", "metadata", "spec"], [
    "statefulSet",
    "job",
    "allow",
    "pins",
    "notBefore",
    "notAfter",
  ], problems);
  if (root === undefined) return undefined;
  if (root.apiVersion !== SIGNED_TEMPLATE_API_VERSION || root.kind !== SIGNED_TEMPLATE_KIND) {
    problems.push({
      path: "kind",
      message: `is not ${SIGNED_TEMPLATE_KIND} in apiVersion ${quote(SIGNED_TEMPLATE_API_VERSION)}`,
    });
    return undefined;
  }
  const workload = readWorkload(root.workload, problems);
  const statefulSet = root.statefulSet === undefined
    ? undefined
    : readStatefulSet(root.statefulSet, problems);
  const job = root.job === undefined ? undefined : readFields(root.job, "job", ["indexed"], [], problems);
  if (job !== undefined && job.indexed !== true) {
    problems.push({ path: "job.indexed", message: "is not true" });
  }
  const metadata = readFields(root.metadata, "metadata", ["labels", "annotations"], [], problems) ?? {};
  const labels = readTextMap(metadata, "labels", "metadata.labels", problems);
  const annotations = readTextMap(metadata, "annotations", "metadata.annotations", problems);
  const allow = root.allow === undefined ? undefined : readTexts(root.allow, "allow", problems);
  const pins = root.pins === undefined ? undefined : readPins(root.pins, problems);
  const notBefore = readText(root, "notBefore", "", problems);
  const notAfter = readText(root, "notAfter", "", problems);
  const spec = root.spec;
  if (!isJsonObject(spec)) problems.push({ path: "spec", message: "is not an object" });
  if (problems.length > found || workload === undefined || !isJsonObject(spec)) return undefined;
  return {
    apiVersion: SIGNED_TEMPLATE_API_VERSION,
    kind: SIGNED_TEMPLATE_KIND,
    workload,
    ...(statefulSet === undefined ? {} : { statefulSet }),
    ...(job === undefined ? {} : { job: { indexed: true } }),
    ...(allow === undefined ? {} : { allow }),
    ...(pins === undefined ? {} : { pins }),
    ...(notBefore === undefined ? {} : { notBefore }),
    ...(notAfter === undefined ? {} : { notAfter }),
    metadata: { labels, annotations },
    spec,
  };
}

function readWorkload(value: JsonValue | undefined, problems: Problem[]): WorkloadReference | undefined {
  const fields = readFields(
    value,
    "workload",
    ["apiVersion", "kind"],
    ["namespace", "name", "generateName"],
    problems,
  );
  if (fields === undefined) return undefined;
  const apiVersion = readText(fields, "apiVersion", "workload", problems);
  const kind = readText(fields, "kind", "workload", problems);
  const namespace = readText(fields, "namespace", "workload", problems);
  const name = readText(fields, "name", "workload", problems);
  const generateName = readText(fields, "generateName", "workload", problems);
  if (apiVersion === undefined || kind === undefined) return undefined;
  return {
    apiVersion,
    kind,
    ...(namespace === undefined ? {} : { namespace }),
    ...(name === undefined ? {} : { name }),
    ...(generateName === undefined ? {} : { generateName }),
  };
}

function readStatefulSet(value: JsonValue, problems: Problem[]): StatefulSetShape | undefined {
  const fields = readFields(value, "statefulSet", ["serviceName", "volumeClaims"], [], problems);
  if (fields === undefined) return undefined;
  const serviceName = readText(fields, "serviceName", "statefulSet", problems);
  const volumeClaims = readTexts(fields.volumeClaims, "statefulSet.volumeClaims", problems);
  return serviceName === undefined || volumeClaims === undefined ? undefined : { serviceName, volumeClaims };
}

function utf8Length(text: string): number {
  return new TextEncoder().encode(text).length;
}

function malformed(
  code: "object-malformed" | "template-malformed",
  what: string,
  problems: Problem[],
): SignedPodsError {
  const list = problems.map(({ path, message }) => `${path === "" ? "it" : path} ${message}`).join("; ");
  return new SignedPodsError(code, `${what}: ${list}`, problems);
}

/** The same problems, as problems of a template. */
function notATemplate(error: unknown): SignedPodsError {
  const problems = error instanceof SignedPodsError
    ? [...error.problems]
    : [{ path: "", message: "cannot be read" }];
  const list = problems.map(({ path, message }) => `${path} ${message}`.trim()).join("; ");
  return new SignedPodsError("template-malformed", `The signed template is not valid: ${list}`, problems, {
    cause: error,
  });
}
