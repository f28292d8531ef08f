/**
 * `podsign show`: prints what would be signed.
 *
 * @module
 */
import { printable } from "@signed-pods/shared/pod/printing";
import { type Effects, readInput } from "../effects.ts";
import { ConfigObjects, placeOfObject } from "../config_objects.ts";
import { configMapsToSign } from "../config_maps_to_sign.ts";
import { readManifest } from "../manifest.ts";
import type { ShowOptions } from "../options.ts";
import { EXIT_OK, jsonText, printErrors, printWarnings } from "../report.ts";
import { readChoices, templatesToSign } from "../templates.ts";

/**
 * Prints the text of each pod template, and of each ConfigMap that gets a signature of its own, on a line of its own; the line's end is not part of it. As JSON the text is
 * indented for people, and is then no longer what is signed. A terminal is shown nothing that it would obey or that
 * reads as something else: what is about to be signed may come from somebody else's manifest.
 *
 * @returns the exit code
 */
export async function show(options: ShowOptions, effects: Effects): Promise<number> {
  const now = effects.now();
  const choices = readChoices(options, false, now);
  const { bytes, name } = await readInput(effects, options.file);
  const manifest = readManifest(bytes, name, { edit: false });
  const objects = await ConfigObjects.read(effects, manifest, options.withConfig);
  const templates = await templatesToSign(manifest, choices, objects);
  const configMaps = await configMapsToSign(objects, choices.allow, choices.namespace, now);
  printWarnings(effects, templates.flatMap((template) => template.warnings));
  printErrors(effects, templates.flatMap((template) => template.notes));
  printWarnings(
    effects,
    objects.salted.map(([object]) =>
      `${
        placeOfObject(object)
      }: Secret ${object.name} has no salt yet: sign-spec writes one, and other digests than these`
    ),
  );
  if (templates.length + configMaps.length === 0) {
    printWarnings(effects, [`${name}: holds no pods: nothing would be signed`]);
  }
  for (const { text } of [...templates, ...configMaps]) {
    if (options.output === "json") {
      const parsed: unknown = JSON.parse(text);
      await effects.writeOut(jsonText(parsed));
    } else {
      await effects.writeOut(`${effects.stdoutIsTerminal ? shownText(effects, text) : text}\n`);
    }
  }
  return EXIT_OK;
}

/** The text for a terminal: what does not print as itself is escaped, which in JSON means the same. */
function shownText(effects: Effects, text: string): string {
  const shown = printable(text);
  if (shown !== text) {
    printWarnings(effects, [
      "the text holds characters that a terminal obeys or does not show; they are escaped here: for the exact text that " +
      "is signed, write it to a file",
    ]);
  }
  return shown;
}
