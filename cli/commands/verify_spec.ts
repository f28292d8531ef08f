/**
 * `podsign verify-spec`: judges manifests and live objects with the engine that nodes use.
 *
 * @module
 */
import { SignedPodsError } from "@signed-pods/shared/errors";
import { isJsonObject } from "@signed-pods/shared/json";
import type { VerificationKey } from "@signed-pods/shared/keys";
import { createVerifier } from "@signed-pods/shared/pod/verify";
import { type Effects, readInput } from "../effects.ts";
import { countIgnored } from "../ignored.ts";
import { InputError } from "../input_error.ts";
import { readCertificates, withKeySource } from "../key_source.ts";
import { nodeAt, objectError, placeOf, podTemplatesOf, readManifest } from "../manifest.ts";
import type { VerifySpecOptions } from "../options.ts";
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

/** Places of refused objects are looked up in inputs up to this length; beyond it takes seconds. */
const MAX_PLACED_LENGTH: number = 1024 * 1024;

async function trustedKeys(
  options: VerifySpecOptions,
  effects: Effects,
): Promise<readonly VerificationKey[]> {
  if (options.cert.length > 0) {
    const others = [options.key, options.server, options.tokenFile, options.portForward];
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
  const verifier = createVerifier({
    keys: await trustedKeys(options, effects),
    acceptForms: options.acceptForms ?? new Set(["template", "spec"]),
    requireDigests: options.requireDigests ?? false,
  });
  const now = effects.now();
  const verdicts: PlacedVerdict[] = [];
  const ignored = new Map<string, number>();
  for (const document of manifest.documents) {
    const locations = podTemplatesOf(manifest, document);
    countIgnored(document.value, locations, ignored);
    if (locations.length === 0 || !isJsonObject(document.value)) continue;
    progress.show(`judging ${locations.length} objects`);
    try {
      for (const result of await verifier.verifyObject(document.value, { now })) {
        const isPlaced = result.verdict.decision === "deny" && manifest.text.length <= MAX_PLACED_LENGTH;
        const node = isPlaced ? nodeAt(document.root(), result.path) : undefined;
        verdicts.push(
          isPlaced ? { ...result, place: placeOf(manifest, startOf(node) ?? document.offset) } : result,
        );
      }
    } catch (error) {
      if (error instanceof SignedPodsError) throw objectError(manifest, document, [], error);
      throw error;
    } finally {
      progress.clear();
    }
  }
  const report = { verdicts, ignored };
  for (const { verdict } of verdicts) {
    if (verdict.decision === "allow") printWarnings(effects, verdict.warnings);
  }
  if (verdicts.length === 0) printWarnings(effects, [`${name}: holds no pods: nothing was judged`]);
  await effects.writeOut(options.output === "json" ? jsonReport(report) : textReport(report));
  return countRefused(report) === 0 ? EXIT_OK : EXIT_REFUSED;
}

function startOf(node: unknown): number | undefined {
  const range = typeof node === "object" && node !== null && "range" in node ? node.range : undefined;
  const start: unknown = Array.isArray(range) ? range[0] : undefined;
  return typeof start === "number" ? start : undefined;
}
