/**
 * Workloads: where their pod templates are, and which names their controllers give to pods.
 *
 * The names are the only thing that ties a pod to the workload whose template was signed, so each form is matched
 * as a whole, character by character, and with the truncation that the controller applies.
 *
 * @module
 */
import { MAX_LIST_DEPTH } from "../bounds.ts";
import { type Problem, SignedPodsError } from "../errors.ts";
import { getOwn, isJsonObject, type JsonObject, type JsonValue } from "../json.ts";
import type { WorkloadReference } from "../verdict.ts";
import { isDnsLabel, isDnsSubdomain, MAX_DNS_SUBDOMAIN_LENGTH } from "./grammar.ts";

/** What a StatefulSet's controller puts into its pods beyond the template. */
export interface StatefulSetShape {
  /** The governing service's name, which becomes `spec.subdomain`; empty if there is none. */
  serviceName: string;
  /** Names of the volume claim templates, in the manifest's order. */
  volumeClaims: string[];
}

/** Marks a Job whose `completionMode` is `Indexed`. */
export interface IndexedJobShape {
  indexed: true;
}

/** A pod template, and where in the document it stands. */
export interface PodTemplateLocation {
  /** The workload that the template belongs to. */
  workload: WorkloadReference;
  /** Keys and list indices from the document's root to the object whose `metadata` and `spec` are the template's. */
  path: (string | number)[];
  /** The template's metadata; empty if the manifest has none. */
  metadata: JsonObject;
  /** The template's pod spec, as written. */
  spec: JsonObject;
  /** StatefulSets only. */
  statefulSet?: StatefulSetShape;
  /** Indexed Jobs, and CronJobs that make them, only. */
  job?: IndexedJobShape;
}

/** Where a kind keeps its pod template, and under which apiVersion. */
interface WorkloadKind {
  apiVersion: string;
  template: readonly string[];
  /** Whether `metadata.generateName` may stand in for a name: only where the name is chosen at every creation. */
  generateName: boolean;
}

/** Every kind that holds a pod template, as Kubernetes 1.32 to 1.37 serves them. */
const WORKLOAD_KINDS: ReadonlyMap<string, WorkloadKind> = new Map([
  ["Pod", { apiVersion: "v1", template: [], generateName: true }],
  ["PodTemplate", { apiVersion: "v1", template: ["template"], generateName: false }],
  ["ReplicationController", { apiVersion: "v1", template: ["spec", "template"], generateName: false }],
  ["ReplicaSet", { apiVersion: "apps/v1", template: ["spec", "template"], generateName: false }],
  ["Deployment", { apiVersion: "apps/v1", template: ["spec", "template"], generateName: false }],
  ["DaemonSet", { apiVersion: "apps/v1", template: ["spec", "template"], generateName: false }],
  ["StatefulSet", { apiVersion: "apps/v1", template: ["spec", "template"], generateName: false }],
  ["Job", { apiVersion: "batch/v1", template: ["spec", "template"], generateName: true }],
  ["CronJob", {
    apiVersion: "batch/v1",
    template: ["spec", "jobTemplate", "spec", "template"],
    generateName: false,
  }],
]);

/** API groups whose old versions hold the same kinds; other groups' kinds of the same name are not ours. */
const BUILT_IN_GROUPS: ReadonlySet<string> = new Set(["", "apps", "batch", "extensions"]);

/** The characters of generated names and hashes (apimachinery `pkg/util/rand/rand.go`, alphanums). */
export const RANDOM_ALPHABET = "bcdfghjklmnpqrstvwxz2456789";

/** How many random characters the API server appends to generateName (apiserver `pkg/storage/names/generate.go`). */
export const RANDOM_LENGTH = 5;

/** The longest prefix that is kept before the random characters (the same file, MaxGeneratedNameLength). */
const MAX_GENERATED_PREFIX = 58;

/** A template hash is a 32-bit number in decimal, each digit mapped into the alphabet: at most ten characters. */
const MAX_HASH_LENGTH = 10;

/** Minutes since 1970 stay below eleven digits for the next 19,000 years. */
const MAX_MINUTES_DIGITS = 10;

/** Ordinals and completion indices are Go's int32. */
const MAX_INT32 = 2147483647;

const DIGITS = "0123456789";

/**
 * Tells whether a text is a hash as controllers write it into names and labels: 1 to 10 characters of the alphabet
 * of generated names (`pkg/controller/controller_utils.go`, ComputeHash).
 */
export function isTemplateHash(text: string): boolean {
  return text.length >= 1 && text.length <= MAX_HASH_LENGTH && consistsOf(text, RANDOM_ALPHABET);
}

/** Tells whether a text is a decimal number from 0 to 2^31 - 1 without sign or leading zeros. */
export function isIndex(text: string): boolean {
  return /^(?:0|[1-9][0-9]{0,9})$/.test(text) && Number(text) <= MAX_INT32;
}

function consistsOf(text: string, characters: string): boolean {
  for (const character of text) {
    if (!characters.includes(character)) return false;
  }
  return true;
}

/**
 * Finds every pod template in a document: in a Pod, Deployment, ReplicaSet, ReplicationController, StatefulSet,
 * DaemonSet, Job, CronJob or PodTemplate, and in the items of any List, nested ones too.
 *
 * @param document one parsed document; `null` (an empty YAML document) holds none
 * @returns the templates in document order; none for other kinds, which callers pass through as they are
 * @throws {SignedPodsError} `object-malformed` if the document is no Kubernetes object or its workload lacks a part;
 *   `kind-unsupported` for a workload in an apiVersion that Kubernetes no longer serves
 */
export function findPodTemplates(document: JsonValue): PodTemplateLocation[] {
  if (document === null) return [];
  return templatesIn(document, [], 0, undefined);
}

/** The kind that items of a typed list have when they do not say so themselves. */
interface ImpliedKind {
  apiVersion: JsonValue | undefined;
  kind: string;
}

function templatesIn(
  value: JsonValue,
  path: (string | number)[],
  depth: number,
  implied: ImpliedKind | undefined,
): PodTemplateLocation[] {
  if (!isJsonObject(value)) {
    throw malformed(path, "is not a Kubernetes object; expected a mapping with apiVersion and kind");
  }
  const kind = getOwn(value, "kind") ?? implied?.kind;
  const apiVersion = getOwn(value, "apiVersion") ?? implied?.apiVersion;
  if (typeof kind !== "string" || kind === "") {
    throw malformed([...path, "kind"], "is missing or not a text; every object needs apiVersion and kind");
  }
  if (typeof apiVersion !== "string" || apiVersion === "") {
    throw malformed(
      [...path, "apiVersion"],
      "is missing or not a text; every object needs apiVersion and kind",
    );
  }
  const items = getOwn(value, "items");
  if (kind.endsWith("List") && Array.isArray(items)) {
    if (depth >= MAX_LIST_DEPTH) {
      throw malformed(
        path,
        `lists are nested more than ${MAX_LIST_DEPTH} deep; write them one after the other`,
      );
    }
    const itemKind = kind.slice(0, -"List".length);
    const impliedKind = itemKind === "" ? undefined : { apiVersion, kind: itemKind };
    return items.flatMap((item, index) =>
      templatesIn(item, [...path, "items", index], depth + 1, impliedKind)
    );
  }
  const workloadKind = WORKLOAD_KINDS.get(kind);
  if (workloadKind === undefined) return [];
  if (apiVersion !== workloadKind.apiVersion) {
    const group = apiVersion.includes("/") ? apiVersion.slice(0, apiVersion.indexOf("/")) : "";
    if (!BUILT_IN_GROUPS.has(group)) return [];
    throw new SignedPodsError(
      "kind-unsupported",
      `Kind ${kind} in apiVersion ${
        JSON.stringify(apiVersion)
      } is not served by Kubernetes 1.32 and later; ` +
        `use apiVersion ${JSON.stringify(workloadKind.apiVersion)}`,
      [{
        path: pathText([...path, "apiVersion"]),
        message: `is not served by Kubernetes 1.32 and later; use ${JSON.stringify(workloadKind.apiVersion)}`,
      }],
    );
  }
  return [templateOf(value, path, kind, workloadKind)];
}

function templateOf(
  object: JsonObject,
  path: (string | number)[],
  kind: string,
  workloadKind: WorkloadKind,
): PodTemplateLocation {
  const workload = workloadOf(object, path, kind, workloadKind);
  let template = object;
  const templatePath = [...path];
  for (const key of workloadKind.template) {
    template = requireObject(template, key, templatePath);
    templatePath.push(key);
  }
  const location: PodTemplateLocation = {
    workload,
    path: templatePath,
    metadata: optionalObject(template, "metadata", templatePath),
    spec: requireObject(template, "spec", templatePath),
  };
  if (kind === "StatefulSet") {
    location.statefulSet = statefulSetShape(requireObject(object, "spec", path), [...path, "spec"]);
  }
  const jobSpec = kind === "Job"
    ? requireObject(object, "spec", path)
    : kind === "CronJob"
    ? requireObject(requireObject(requireObject(object, "spec", path), "jobTemplate", path), "spec", path)
    : undefined;
  if (jobSpec !== undefined && getOwn(jobSpec, "completionMode") === "Indexed") {
    location.job = { indexed: true };
  }
  return location;
}

function workloadOf(
  object: JsonObject,
  path: (string | number)[],
  kind: string,
  workloadKind: WorkloadKind,
): WorkloadReference {
  const metadataPath = [...path, "metadata"];
  const metadata = optionalObject(object, "metadata", path);
  const namespace = optionalText(metadata, "namespace", metadataPath);
  const name = optionalText(metadata, "name", metadataPath);
  const generateName = optionalText(metadata, "generateName", metadataPath);
  const workload: WorkloadReference = { apiVersion: workloadKind.apiVersion, kind };
  if (namespace !== "") workload.namespace = namespace;
  if (name !== "") workload.name = name;
  else if (generateName !== "") workload.generateName = generateName;
  const problems = workloadProblems(workload, pathText(metadataPath));
  if (problems.length > 0) throw fromProblems(problems);
  return workload;
}

/**
 * Checks the parts of a workload reference: a known kind in its apiVersion, a namespace that is a DNS label, and a
 * name or, for Pods and Jobs, a generateName.
 *
 * @param workload the reference
 * @param path where its names stand, for the problems
 */
export function workloadProblems(workload: WorkloadReference, path: string): Problem[] {
  const { apiVersion, kind, namespace, name, generateName } = workload;
  const problems: Problem[] = [];
  const at = (field: string) => path === "" ? field : `${path}.${field}`;
  const workloadKind = WORKLOAD_KINDS.get(kind);
  if (workloadKind === undefined || workloadKind.apiVersion !== apiVersion) {
    problems.push({ path: at("kind"), message: "is not a kind of workload that has a pod template" });
  }
  if (namespace !== undefined && !isDnsLabel(namespace)) {
    problems.push({
      path: at("namespace"),
      message: "is not a DNS label (lower-case letters, digits and '-')",
    });
  }
  if (name !== undefined && generateName !== undefined) {
    problems.push({
      path: at("generateName"),
      message: "stands beside a name; only one of them may be there",
    });
  } else if (name !== undefined) {
    if (!isDnsSubdomain(name)) {
      problems.push({
        path: at("name"),
        message: "is not a DNS subdomain (lower-case letters, digits, '-', '.')",
      });
    }
  } else if (generateName === undefined) {
    problems.push({ path: at("name"), message: "is missing; a workload needs a name to be bound to it" });
  } else if (workloadKind?.generateName === false) {
    problems.push({
      path: at("name"),
      message: `is missing; only Pods and Jobs may have a generateName instead`,
    });
  } else if (!isNamePrefix(generateName)) {
    problems.push({ path: at("generateName"), message: "is not the beginning of a DNS subdomain" });
  }
  return problems;
}

/** What Kubernetes accepts as generateName: with one more character it would be a name. */
function isNamePrefix(text: string): boolean {
  return text.length < MAX_DNS_SUBDOMAIN_LENGTH && isDnsSubdomain(`${text}a`);
}

function statefulSetShape(spec: JsonObject, path: (string | number)[]): StatefulSetShape {
  const serviceName = optionalText(spec, "serviceName", path);
  const templates = getOwn(spec, "volumeClaimTemplates") ?? [];
  const listPath = [...path, "volumeClaimTemplates"];
  if (!Array.isArray(templates)) throw malformed(listPath, "is not a list");
  const volumeClaims = templates.map((template, index) => {
    const itemPath = [...listPath, index];
    if (!isJsonObject(template)) throw malformed(itemPath, "is not a mapping");
    return optionalText(optionalObject(template, "metadata", itemPath), "name", [...itemPath, "metadata"]);
  });
  const shape = { serviceName, volumeClaims };
  const problems = statefulSetProblems(shape, pathText([...path, "serviceName"]), pathText(listPath));
  if (problems.length > 0) throw fromProblems(problems);
  return shape;
}

/** Checks a StatefulSet's shape: names that are DNS names, and no claim twice. */
export function statefulSetProblems(
  shape: StatefulSetShape,
  servicePath: string,
  claimsPath: string,
): Problem[] {
  const problems: Problem[] = [];
  if (shape.serviceName !== "" && !isDnsSubdomain(shape.serviceName)) {
    problems.push({ path: servicePath, message: "is not a DNS subdomain" });
  }
  const seen = new Set<string>();
  for (const [index, claim] of shape.volumeClaims.entries()) {
    if (!isDnsLabel(claim)) {
      problems.push({ path: `${claimsPath}[${index}]`, message: "its name is not a DNS label" });
    }
    if (seen.has(claim)) {
      problems.push({ path: `${claimsPath}[${index}]`, message: "its name is there twice" });
    }
    seen.add(claim);
  }
  return problems;
}

// ---------------------------------------------------------------------------------------------------------------
// Names

/**
 * A form that names have, as one set of allowed characters per position. Truncation is then a slice, and a name that
 * is cut in the middle of a hash needs no rule of its own.
 */
type NameForm = readonly string[];

const literally = (text: string): NameForm => text.split("");
const RANDOM_SUFFIX: NameForm = Array<string>(RANDOM_LENGTH).fill(RANDOM_ALPHABET);

/** What the API server makes of a generateName. */
function generated(prefix: NameForm): NameForm {
  return [...prefix.slice(0, MAX_GENERATED_PREFIX), ...RANDOM_SUFFIX];
}

function fits(name: string, form: NameForm): boolean {
  return name.length === form.length &&
    form.every((characters, index) => characters.includes(name.charAt(index)));
}

/** The names of a Deployment's ReplicaSets, one form for each length of the hash. */
function replicaSetNames(
  deployment: string,
  hashLengths: readonly number[] = lengths(MAX_HASH_LENGTH),
): NameForm[] {
  return hashLengths.map((length) => [
    ...literally(`${deployment}-`),
    ...Array<string>(length).fill(RANDOM_ALPHABET),
  ]);
}

/** The names of the Jobs that a workload of kind Job is or a CronJob makes. */
function jobNames(workload: WorkloadReference): NameForm[] {
  const { kind, name, generateName } = workload;
  if (kind === "CronJob") {
    if (name === undefined) return [];
    return lengths(MAX_MINUTES_DIGITS).map((length) => [
      ...literally(`${name}-`),
      DIGITS.slice(1),
      ...Array<string>(length - 1).fill(DIGITS),
    ]);
  }
  if (name !== undefined) return [literally(name)];
  return generateName === undefined ? [] : [generated(literally(generateName))];
}

const lengths = (longest: number): number[] => Array.from({ length: longest }, (_, index) => index + 1);

/**
 * The form of an indexed Job's pods: here it is the Job's name that is cut, so that the index stays whole
 * (`pkg/controller/job/indexed_job_utils.go`, podGenerateNameWithIndex).
 */
function indexedPodName(job: NameForm, index: string): NameForm {
  const suffix = literally(`-${index}-`);
  return [...job.slice(0, MAX_GENERATED_PREFIX - suffix.length), ...suffix, ...RANDOM_SUFFIX];
}

const INDEXED_POD_NAME = new RegExp(`-([0-9]+)-[${RANDOM_ALPHABET}]{${RANDOM_LENGTH}}$`);

/** That a pod's name is one that the workload's controller makes, with what it says, or is not. */
export type PodNameMatch =
  | {
    ok: true;
    /** StatefulSets: the pod's ordinal. */
    ordinal?: string;
    /** Indexed Jobs: the completion index. */
    completionIndex?: string;
    /** Jobs: the Job's name, where the pod's name tells it whole. */
    jobName?: string;
  }
  | {
    ok: false;
    /** The form that names of this workload's pods have, for people. */
    expected: string;
  };

/**
 * Judges whether a pod's name is one that this workload's controller gives.
 *
 * | kind | name |
 * |---|---|
 * | Pod | the name itself, or generateName cut to 58 characters and 5 random ones |
 * | ReplicaSet, ReplicationController, DaemonSet, PodTemplate, Job | `name-` cut to 58, 5 random |
 * | Deployment | `name-hash-` cut to 58, 5 random |
 * | StatefulSet | `name-ordinal` |
 * | indexed Job | `name` cut so that `name-index-` has at most 58, 5 random |
 * | CronJob | as the Job named `name-minutes` |
 *
 * Sources: apiserver `pkg/storage/names/generate.go`; in `pkg/controller`: `controller_utils.go` GetPodFromTemplate,
 * `deployment/sync.go` generateReplicaSetName, `statefulset/stateful_set_utils.go` getPodName,
 * `job/indexed_job_utils.go` podGenerateNameWithIndex, `cronjob/cronjob_controllerv2.go` getJobName.
 *
 * @param workload the workload whose template was signed
 * @param podName the pod's name
 * @param shape whether the workload is an indexed Job
 */
export function podNameMatches(
  workload: WorkloadReference,
  podName: string,
  shape: { indexed?: boolean } = {},
): PodNameMatch {
  const { kind, name, generateName } = workload;
  switch (kind) {
    case "Pod":
      if (name !== undefined) {
        return podName === name ? { ok: true } : { ok: false, expected: JSON.stringify(name) };
      }
      if (generateName === undefined) return { ok: false, expected: "a name" };
      return matchAny(
        podName,
        [generated(literally(generateName))],
        `${generateName}<${RANDOM_LENGTH} random>`,
      );
    case "ReplicaSet":
    case "ReplicationController":
    case "DaemonSet":
    case "PodTemplate":
      if (name === undefined) return { ok: false, expected: "a name" };
      return matchAny(podName, [generated(literally(`${name}-`))], `${name}-<${RANDOM_LENGTH} random>`);
    case "Deployment":
      if (name === undefined) return { ok: false, expected: "a name" };
      return matchAny(
        podName,
        replicaSetNames(
          name,
          lengths(MAX_HASH_LENGTH).filter((length) =>
            // Of the others no name of this length can be.
            Math.min(name.length + length + 2, MAX_GENERATED_PREFIX) + RANDOM_LENGTH === podName.length
          ),
        ).map((replicaSet) => generated([...replicaSet, "-"])),
        `${name}-<hash>-<${RANDOM_LENGTH} random>`,
      );
    case "StatefulSet": {
      if (name === undefined) return { ok: false, expected: "a name" };
      const ordinal = podName.startsWith(`${name}-`) ? podName.slice(name.length + 1) : "";
      return isIndex(ordinal) ? { ok: true, ordinal } : { ok: false, expected: `"${name}-<ordinal>"` };
    }
    case "Job":
    case "CronJob":
      return jobPodNameMatches(workload, podName, shape.indexed === true);
    default:
      return { ok: false, expected: "a kind of workload that has pods" };
  }
}

function matchAny(podName: string, forms: NameForm[], expected: string): PodNameMatch {
  const ok = forms.some((form) => fits(podName, form));
  if (ok) return { ok };
  const cut = expected.length > MAX_GENERATED_PREFIX ? ", cut to 58 characters before the random ones" : "";
  return { ok, expected: `${JSON.stringify(expected)}${cut}` };
}

function jobPodNameMatches(workload: WorkloadReference, podName: string, indexed: boolean): PodNameMatch {
  const job = workload.name ?? `${workload.generateName ?? ""}<${RANDOM_LENGTH} random>`;
  const jobText = workload.kind === "CronJob" ? `${job}-<minutes>` : job;
  const jobForms = jobNames(workload);
  if (!indexed) {
    const match = matchAny(
      podName,
      jobForms.map((form) => generated([...form, "-"])),
      `${jobText}-<5 random>`,
    );
    return match.ok ? withJobName(workload, podName, podName.slice(0, -RANDOM_LENGTH - 1), undefined) : match;
  }
  const index = INDEXED_POD_NAME.exec(podName)?.[1];
  const expected = `${jobText}-<index>-<5 random>`;
  if (index === undefined || !isIndex(index)) return matchAny(podName, [], expected);
  const match = matchAny(podName, jobForms.map((form) => indexedPodName(form, index)), expected);
  if (!match.ok) return match;
  return withJobName(workload, podName, podName.slice(0, -RANDOM_LENGTH - index.length - 2), index);
}

/** Adds the Job's name: the workload's own, or what stands before the suffix if it was not cut. */
function withJobName(
  workload: WorkloadReference,
  podName: string,
  beginning: string,
  completionIndex: string | undefined,
): PodNameMatch {
  const candidate = workload.kind === "Job" && workload.name !== undefined ? workload.name : beginning;
  // A name that was cut at 58 characters may look whole; only one that cannot have been cut is told.
  const whole = candidate === workload.name ||
    (podName.length < MAX_GENERATED_PREFIX + RANDOM_LENGTH &&
      jobNameFits(workload, candidate, podName, completionIndex));
  return {
    ok: true,
    ...(completionIndex === undefined ? {} : { completionIndex }),
    ...(whole ? { jobName: candidate } : {}),
  };
}

/**
 * Judges whether a Job of this name belongs to the workload and gives its pod this name. Where a long Job name is
 * cut in the pod's name, other sources of it (a label, the hostname) are held against both.
 *
 * @param workload a Job or CronJob
 * @param jobName the Job's name as the other source has it
 * @param podName the pod's name
 * @param completionIndex for indexed Jobs, the completion index
 */
export function jobNameFits(
  workload: WorkloadReference,
  jobName: string,
  podName: string,
  completionIndex?: string,
): boolean {
  if (workload.kind !== "Job" && workload.kind !== "CronJob") return false;
  if (!jobNames(workload).some((form) => fits(jobName, form))) return false;
  const form = completionIndex === undefined
    ? generated(literally(`${jobName}-`))
    : indexedPodName(literally(jobName), completionIndex);
  return fits(podName, form);
}

/**
 * Judges whether a workload is one that another one's controller makes: a ReplicaSet of a Deployment, a Job of a
 * CronJob. Their pods are then named as the owner's.
 *
 * @param owner the workload that was signed
 * @param made the workload that was found
 */
export function isMadeBy(owner: WorkloadReference, made: WorkloadReference): boolean {
  const { name } = made;
  if (name === undefined || owner.name === undefined) return false;
  const forms = owner.kind === "Deployment" && made.kind === "ReplicaSet"
    ? replicaSetNames(owner.name)
    : owner.kind === "CronJob" && made.kind === "Job"
    ? jobNames(owner)
    : [];
  return forms.some((form) => fits(name, form));
}

// ---------------------------------------------------------------------------------------------------------------
// Reading documents

function requireObject(object: JsonObject, key: string, path: (string | number)[]): JsonObject {
  const value = getOwn(object, key);
  if (!isJsonObject(value)) throw malformed([...path, key], "is missing or not a mapping");
  return value;
}

function optionalObject(object: JsonObject, key: string, path: (string | number)[]): JsonObject {
  const value = getOwn(object, key) ?? null;
  if (value === null) return {};
  if (!isJsonObject(value)) throw malformed([...path, key], "is not a mapping");
  return value;
}

function optionalText(object: JsonObject, key: string, path: (string | number)[]): string {
  const value = getOwn(object, key) ?? null;
  if (value === null) return "";
  if (typeof value !== "string") throw malformed([...path, key], "is not a text");
  return value;
}

function pathText(path: (string | number)[]): string {
  return path.map((part, index) => typeof part === "number" ? `[${part}]` : index === 0 ? part : `.${part}`)
    .join("");
}

function malformed(path: (string | number)[], message: string): SignedPodsError {
  return fromProblems([{ path: pathText(path), message }]);
}

function fromProblems(problems: Problem[]): SignedPodsError {
  const text = problems.map(({ path, message }) =>
    path === "" ? `The document ${message}` : `${path} ${message}`
  );
  return new SignedPodsError("object-malformed", text.join("; "), problems);
}
