/**
 * `podsign show`: prints what would be signed.
 *
 * @module
 */
import { type Effects, readInput } from "../effects.ts";
import { readManifest } from "../manifest.ts";
import type { ShowOptions } from "../options.ts";
import { EXIT_OK, printErrors, printWarnings } from "../report.ts";
import { readChoices, templatesToSign } from "../templates.ts";

/**
 * Prints the text of each pod template on a line of its own; the line's end is not part of it. As JSON the text is
 * indented for people, and is then no longer what is signed.
 *
 * @returns the exit code
 */
export async function show(options: ShowOptions, effects: Effects): Promise<number> {
  const choices = readChoices(options, false, effects.now());
  const { bytes, name } = await readInput(effects, options.file);
  const manifest = readManifest(bytes, name, { edit: false });
  const templates = templatesToSign(manifest, choices);
  printWarnings(effects, templates.flatMap((template) => template.warnings));
  printErrors(effects, templates.flatMap((template) => template.notes));
  if (templates.length === 0) printWarnings(effects, [`${name}: holds no pods: nothing would be signed`]);
  for (const { text } of templates) {
    const parsed: unknown = options.output === "json" ? JSON.parse(text) : undefined;
    await effects.writeOut(`${options.output === "json" ? JSON.stringify(parsed, null, 2) : text}\n`);
  }
  return EXIT_OK;
}
