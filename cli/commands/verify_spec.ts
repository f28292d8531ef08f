/**
 * `podsign verify-spec`: judges manifests and live objects with the engine that nodes use.
 *
 * @module
 */
import { SignedPodsError } from "@signed-pods/shared/errors";
import { getOwn, isJsonObject, type JsonObject, type JsonValue } from "@signed-pods/shared/json";
import type { VerificationKey } from "@signed-pods/shared/keys";
import { isMirrorPod } from "@signed-pods/shared/pod/metadata";
import { createVerifier, type ObjectVerdict } from "@signed-pods/shared/pod/verify";
import { ConfigObjects } from "../config_objects.ts";
import { type Effects, readInput } from "../effects.ts";
import { countIgnored } from "../ignored.ts";
import { mapInFlight, PARALLEL_VERIFICATIONS } from "../in_flight.ts";
import { InputError } from "../input_error.ts";
import { readCertificates, withKeySource } from "../key_source.ts";
import {
  type ManifestDocument,
  objectError,
  offsetAt,
  placeOf,
  podTemplatesOf,
  readManifest,
} from "../manifest.ts";
import type { VerifySpecOptions } from "../options.ts";
import { judgeWithContent } from "../pinned_content.ts";
import { unsignedHandlers } from "../pinning.ts";
import {
  countRefused,
  createProgress,
  EXIT_OK,
  EXIT_REFUSED,
  jsonReport,
  type PlacedVerdict,
  printWarnings,
  textReport,
} from "../report.ts";
import { missingNamespace, workloadName } from "../templates.ts";

/** Places of objects are looked up in inputs up to this length; beyond it takes seconds. */
const MAX_PLACED_LENGTH: number = 1024 * 1024;

/** What is said of one pod or workload. */
interface JudgedObject {
  readonly verdict: PlacedVerdict;
  readonly warnings: readonly string[];
}

async function trustedKeys(
  options: VerifySpecOptions,
  effects: Effects,
): Promise<readonly VerificationKey[]> {
  if (options.cert.length > 0) {
    const { key, server, tokenFile, clientCertificate, clientKey, portForward } = options;
    const others = [key, server, tokenFile, clientCertificate, clientKey, portForward];
    if (others.some((value) => value !== undefined)) {
      throw new InputError(["--cert says which keys are trusted: leave --key and --server out"]);
    }
    return await readCertificates(effects, options.cert);
  }
  return await withKeySource(effects, options, ({ keys, description }) => {
    if (options.key === undefined) {
      effects.writeError(`podsign: trusting the certificate of ${description}; --cert FILE names another\n`);
    }
    return Promise.resolve(keys);
  });
}

/**
 * Judges every pod and workload of a file, and prints a line for each.
 *
 * @returns the exit code: 0 all good, 1 something refused
 */
export async function verifySpec(options: VerifySpecOptions, effects: Effects): Promise<number> {
  const progress = createProgress(effects);
  const { bytes, name } = await readInput(effects, options.file);
  progress.show(`reading ${Math.ceil(bytes.length / 1024)} KiB`);
  const manifest = readManifest(bytes, name, { edit: false });
  progress.clear();
  const keys = await trustedKeys(options, effects);
  const verifier = createVerifier({
    keys,
    acceptForms: options.acceptForms ?? new Set(["template", "spec"]),
    requireDigests: options.requireDigests ?? false,
    references: options.references ?? "warn",
  });
  const objects = await ConfigObjects.read(effects, manifest, options.withConfig);
  const now = effects.now();
  const ignored = new Map<string, number>();
  const toJudge: ManifestDocument[] = [];
  let count = 0;
  for (const document of manifest.documents) {
    const locations = podTemplatesOf(manifest, document);
    countIgnored(document.value, locations, ignored);
    if (locations.length > 0) toJudge.push(document);
    count += locations.length;
  }
  const judge = async (document: ManifestDocument) => {
    try {
      const { value } = document;
      if (!isJsonObject(value)) return [];
      const judged: JudgedObject[] = [];
      for (const object of await verifier.verifyObject(value, { now })) {
        const { verdict, workload } = object;
        const namespace = workload.namespace ??
          (verdict.decision === "allow" ? verdict.workload?.namespace : undefined);
        const result = verdict.decision === "deny" ? object : {
          ...object,
          verdict: await judgeWithContent(verdict, namespace, objects, keys, now),
        };
        const advice = [...adviceOf(result), ...mirrorAdvice(value, result)];
        const isPlaced = (result.verdict.decision === "deny" || advice.length > 0) &&
          manifest.text.length <= MAX_PLACED_LENGTH;
        const place = isPlaced ? placeOf(manifest, offsetAt(document, result.path)) : undefined;
        judged.push({
          verdict: place === undefined ? result : { ...result, place },
          warnings: advice.map((line) => `${place ?? name}: ${workloadName(workload)}${line}`),
        });
      }
      return judged;
    } catch (error) {
      if (error instanceof SignedPodsError) throw objectError(manifest, document, [], error);
      throw error;
    }
  };
  progress.show(`judging ${count} objects`);
  const judged = (await mapInFlight(toJudge, PARALLEL_VERIFICATIONS, judge).finally(progress.clear)).flat();
  const verdicts = judged.map(({ verdict }) => verdict);
  printWarnings(effects, judged.flatMap(({ warnings }) => warnings));
  const report = { verdicts, ignored };
  if (verdicts.length === 0) printWarnings(effects, [`${name}: holds no pods: nothing was judged`]);
  await effects.writeOut(options.output === "json" ? jsonReport(report) : textReport(report));
  return countRefused(report) === 0 ? EXIT_OK : EXIT_REFUSED;
}

/** What the owner should know of a refused pod that a kubelet made itself, to stand behind its name. */
function mirrorAdvice(document: JsonObject, { path, verdict }: ObjectVerdict): string[] {
  if (verdict.decision === "allow") return [];
  let object: JsonValue | undefined = document;
  for (const step of path) {
    if (Array.isArray(object)) object = object[Number(step)];
    else object = isJsonObject(object) ? getOwn(object, String(step)) : undefined;
  }
  return isJsonObject(object) && isMirrorPod(object)
    ? [" mirrors a static pod, from a file on its node: nodes do not judge such pods, it need not be signed"]
    : [];
}

/** What the owner should know of an object that is good, to stand behind its name. */
function adviceOf({ workload, verdict }: ObjectVerdict): string[] {
  if (verdict.decision === "deny") return [];
  const signed = verdict.workload?.namespace;
  const hasNone = signed !== undefined && workload.namespace === undefined;
  return [
    ...[...verdict.warnings, ...unsignedHandlers(verdict.references)].map((warning) => `: ${warning}`),
    ...(hasNone ? [` ${missingNamespace(signed)}`] : []),
  ];
}
