/**
 * `podsign sign-spec`: prints a manifest with signatures in place.
 *
 * @module
 */
import { encodeBase64 } from "@signed-pods/shared/base64";
import { isJsonObject, type JsonObject } from "@signed-pods/shared/json";
import type { VerificationKey } from "@signed-pods/shared/keys";
import { createVerifier } from "@signed-pods/shared/pod/verify";
import { judgeContent } from "@signed-pods/shared/pod/content";
import { SALT_ANNOTATION } from "@signed-pods/shared/pod/pins";
import { SIGNED_CONTENT_ANNOTATION } from "@signed-pods/shared/signed-content";
import {
  formatDenial,
  formatDifference,
  SIGNATURE_ANNOTATION,
  SIGNED_TEMPLATE_ANNOTATION,
} from "@signed-pods/shared/verdict";
import { type AnnotationChanges, annotationEdits, applyEdits } from "../annotate.ts";
import { configMapsToSign, type ConfigMapToSign } from "../config_maps_to_sign.ts";
import {
  asServed,
  type ConfigObject,
  ConfigObjects,
  findConfigObjects,
  placeOfObject,
} from "../config_objects.ts";
import { type Effects, readInput } from "../effects.ts";
import { countIgnored, type IgnoredObject } from "../ignored.ts";
import { mapInFlight, PARALLEL_VERIFICATIONS } from "../in_flight.ts";
import { InputError } from "../input_error.ts";
import { type KeySource, readCertificates, withKeySource } from "../key_source.ts";
import {
  type Manifest,
  type ManifestDocument,
  offsetAt,
  type Path,
  placeOf,
  readManifest,
  requireNoProblems,
} from "../manifest.ts";
import { type AnnotatedPlaces, defect, readSignedManifest } from "../signed_manifest.ts";
import { podSpecIn } from "../unknown_workloads.ts";
import type { SignSpecOptions } from "../options.ts";
import { createProgress, EXIT_OK, kindCounts, printErrors, printWarnings } from "../report.ts";
import {
  readChoices,
  type SigningChoices,
  templatesToSign,
  type TemplateToSign,
  workloadName,
} from "../templates.ts";

/** Signatures, or requests for them to a signing server, that are under way at a time. */
const PARALLEL_SIGNATURES = 4;

/** Length of a refusal in a message, in UTF-16 code units. */
const MAX_DENIAL_LENGTH = 1000;

/**
 * Signs every pod template of a file and prints the file with the annotations put in. What is printed was parsed
 * again and verified: if it is not the input with valid signatures, nothing is printed.
 *
 * @returns the exit code
 */
export async function signSpec(options: SignSpecOptions, effects: Effects): Promise<number> {
  const now = effects.now();
  const choices = readChoices(options, options.requireDigests ?? false, now);
  const { bytes, name } = await readInput(effects, options.file);
  const manifest = readManifest(bytes, name, { edit: true });
  const objects = await ConfigObjects.read(effects, manifest, options.withConfig);
  const templates = await templatesToSign(manifest, choices, objects);
  const configMaps = await configMapsToSign(objects, choices.allow, choices.namespace, now);
  if (options.output === "json") {
    for (const document of manifest.documents) requireNoProblems(manifest, document);
  }
  const toSign: ToSign = { templates, configMaps, salts: objects.salted };
  const ignored = reportInput(effects, manifest, toSign);
  const trusted = options.cert.length === 0 ? undefined : await readCertificates(effects, options.cert);
  if (templates.length + configMaps.length === 0) {
    return await printResult(
      effects,
      options.output === "json" ? asJson(manifest) : asYaml(manifest),
      ignored,
    );
  }
  const signed = await withKeySource(effects, options, async (source) => {
    const signatures = await signAll(effects, source, [...templates, ...configMaps]);
    const text = insert(manifest, toSign, signatures);
    const keys = trusted ?? source.keys;
    const origin = trusted === undefined ? source.description : "the keys of --cert";
    return await checkSigned(manifest, text, toSign, choices, keys, origin, now);
  });
  return await printResult(effects, options.output === "json" ? asJson(signed) : asYaml(signed), ignored);
}

/** Everything that is written into a manifest. */
export interface ToSign {
  readonly templates: readonly TemplateToSign[];
  readonly configMaps: readonly ConfigMapToSign[];
  /** Secrets that get a salt. */
  readonly salts: readonly (readonly [object: ConfigObject, salt: string])[];
}

/** Where something is written, by document. */
function annotatedPlaces({ templates, configMaps, salts }: ToSign): AnnotatedPlaces {
  const places = [
    ...templates.map(({ document, location: { path } }) => ({ document, path })),
    ...configMaps.map(({ object: { document, path } }) => ({ document, path })),
    ...salts.map(([{ document, path }]) => ({ document, path })),
  ];
  return Map.groupBy(places, ({ document }) => document);
}

/**
 * Says what the owner should know of what will be signed, and of what will not.
 *
 * @returns the kinds that will not be signed, and how many there are of each
 */
function reportInput(
  effects: Effects,
  manifest: Manifest,
  toSign: ToSign,
): ReadonlyMap<string, number> {
  const { templates, configMaps, salts } = toSign;
  printWarnings(effects, templates.flatMap(({ warnings }) => warnings));
  printErrors(effects, templates.flatMap(({ notes }) => notes));
  const ignored = new Map<string, number>();
  const places = annotatedPlaces(toSign);
  for (const document of manifest.documents) {
    if (document.value === null) continue;
    const objects = countIgnored(document.value, places.get(document) ?? [], ignored);
    printWarnings(effects, objects.flatMap((object) => unknownWorkload(manifest, document, object)));
  }
  for (const [object] of salts) {
    printErrors(effects, [
      `${placeOfObject(object)}: Secret ${object.name} gets a salt: apply it with the pods`,
    ]);
  }
  if (templates.length + configMaps.length === 0) {
    printWarnings(effects, [`${manifest.name}: holds no pods: nothing was signed`]);
  }
  return ignored;
}

/** Prints the result, and says what is in it as it was. */
async function printResult(
  effects: Effects,
  text: string,
  ignored: ReadonlyMap<string, number>,
): Promise<number> {
  await effects.writeOut(text);
  if (ignored.size > 0) {
    printErrors(effects, [`passed through as they are, without pods: ${kindCounts(ignored)}`]);
  }
  return EXIT_OK;
}

/** What the owner should know of an object that makes pods, although podsign does not know its kind. */
function unknownWorkload(
  manifest: Manifest,
  document: ManifestDocument,
  { object: { apiVersion, kind, ...rest }, path }: IgnoredObject,
): string[] {
  const found = podSpecIn(rest);
  if (found === undefined) return [];
  const place = placeOf(manifest, offsetAt(document, [...path, ...found]));
  return [
    `${place}: holds containers, but kind ${JSON.stringify(kind)} of ${
      JSON.stringify(apiVersion)
    } is none that podsign ` +
    "signs: if it makes pods, nodes refuse them; see docs/signing.md, Other kinds",
  ];
}

/** Signs all texts, a few at a time. */
async function signAll(
  effects: Effects,
  source: KeySource,
  templates: readonly { readonly text: string }[],
): Promise<string[]> {
  const progress = createProgress(effects);
  try {
    return await mapInFlight(templates, PARALLEL_SIGNATURES, async ({ text }, index) => {
      if (templates.length > PARALLEL_SIGNATURES) {
        progress.show(`signing ${index + 1} of ${templates.length}`);
      }
      return encodeBase64(await source.sign(text));
    });
  } finally {
    progress.clear();
  }
}

/** The manifest's text with annotations. */
function insert(
  manifest: Manifest,
  { templates, configMaps, salts }: ToSign,
  signatures: readonly string[],
): string {
  const podEdits = templates.flatMap(({ document, location, form, text }, index) =>
    annotationEdits(manifest.text, document.root(), location.path, [
      [SIGNATURE_ANNOTATION, signatures[index]],
      // A pod that carries a template is never judged by its spec, so an old one must go.
      [SIGNED_TEMPLATE_ANNOTATION, form === "template" ? text : undefined],
    ])
  );
  const edit = ({ document, path }: ConfigObject, changes: AnnotationChanges) =>
    annotationEdits(manifest.text, document.root(), path, changes);
  const configMapEdits = configMaps.flatMap(({ object, text }, index) =>
    edit(object, [
      [SIGNATURE_ANNOTATION, signatures[templates.length + index]],
      [SIGNED_CONTENT_ANNOTATION, text],
    ])
  );
  const saltEdits = salts.flatMap(([object, salt]) => edit(object, [[SALT_ANNOTATION, salt]]));
  return manifest.byteOrderMark + applyEdits(manifest.text, [...podEdits, ...configMapEdits, ...saltEdits]);
}

/**
 * Reads the output as anybody else will: it must be the input but for the annotations, and every signature must
 * verify.
 *
 * @throws {InputError} if a signature does not verify
 * @throws {Error} if anything else was changed, which is a defect of podsign
 */
export async function checkSigned(
  input: Manifest,
  text: string,
  toSign: ToSign,
  choices: SigningChoices,
  keys: readonly VerificationKey[],
  origin: string,
  now: Date,
): Promise<Manifest> {
  const verifier = createVerifier({
    keys,
    acceptForms: new Set([choices.form]),
    requireDigests: choices.requireDigests,
  });
  const time = choices.notBefore !== undefined && choices.notBefore > now ? choices.notBefore : now;
  const output = readSignedManifest(input, text, annotatedPlaces(toSign));
  const templatesOf = Map.groupBy(toSign.templates, ({ document }) => document);
  const toVerify = output.documents.flatMap(({ value }, index) => {
    const before = input.documents[index];
    const count = before === undefined ? 0 : templatesOf.get(before)?.length ?? 0;
    return count > 0 && isJsonObject(value) ? [{ value, count }] : [];
  });
  const verdicts = await mapInFlight(
    toVerify,
    PARALLEL_VERIFICATIONS,
    ({ value }) => verifier.verifyObject(value, { now: time }),
  );
  for (const [index, { count }] of toVerify.entries()) {
    const ofDocument = verdicts[index] ?? [];
    if (ofDocument.length !== count) throw defect("holds another number of pod templates");
    for (const { workload, verdict } of ofDocument) {
      if (verdict.decision === "allow") continue;
      throw new InputError([
        `${input.name}: ${workloadName(workload)}: the signature does not verify with ${origin}: ` +
        `${verdict.code}: ${formatDenial(verdict, MAX_DENIAL_LENGTH)}`,
      ]);
    }
  }
  await checkConfigMaps(findConfigObjects(output, true), toSign.configMaps, keys, origin, time);
  return output;
}

/** Judges ConfigMaps as a node will for a pod that uses all of them. */
async function checkConfigMaps(
  objects: readonly ConfigObject[],
  configMaps: readonly ConfigMapToSign[],
  keys: readonly VerificationKey[],
  origin: string,
  now: Date,
): Promise<void> {
  for (const { object: { name, path }, namespace } of configMaps) {
    const object = objects.find((candidate) =>
      candidate.kind === "ConfigMap" && candidate.name === name && equalPath(candidate.path, path) &&
      (candidate.namespace ?? namespace) === namespace
    );
    if (object === undefined) throw defect(`holds no ConfigMap ${name} any more`);
    const reference = { kind: "ConfigMap", name, path: "", use: "files", optional: false } as const;
    const verdict = await judgeContent("ConfigMap", asServed(object, namespace), [{
      reference,
      answer: { kind: "signed", permission: `signed-config=${name}` },
    }], { keys, now });
    if (verdict.decision === "allow") continue;
    throw new InputError([
      `${
        placeOfObject(object)
      }: ConfigMap ${name}: the signature does not verify with ${origin}: ${verdict.code}: ` +
      verdict.differences.map(formatDifference).join("; "),
    ]);
  }
}

function equalPath(a: Path, b: Path): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** The manifest as it came, byte order mark included. */
function asYaml({ byteOrderMark, text }: Manifest): string {
  return byteOrderMark + text;
}

/** The manifest as JSON: one object, or a List of several. */
function asJson(manifest: Manifest): string {
  if (manifest.format === "json") return manifest.text.endsWith("\n") ? manifest.text : `${manifest.text}\n`;
  const objects: JsonObject[] = manifest.documents.map(({ value }) => value).filter(isJsonObject);
  const [only, ...others] = objects;
  const root = only !== undefined && others.length === 0
    ? only
    : { apiVersion: "v1", kind: "List", items: objects };
  return `${JSON.stringify(root, null, 2)}\n`;
}
