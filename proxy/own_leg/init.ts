/**
 * `kubelet-proxy init`: makes what the way between kubelet and proxy needs, and leaves what is there and holds.
 *
 * @module
 */
import { messageOf, type Problem } from "@signed-pods/shared/errors";
import { formatTime } from "@signed-pods/shared/time";
import type { InitOptions } from "./init_options.ts";
import type { OwnLegFile } from "./own_leg_files.ts";
import { planOwnLeg } from "./own_leg_plan.ts";
import type { PrivateFolder } from "./private_folder.ts";

/** What came of it: lines to print, or all that is wrong. */
export type InitResult = { ok: true; lines: string[] } | { ok: false; problems: Problem[] };

/** Plans, and writes unless it is a dry run. Either nothing is wrong, or nothing is written. */
export async function initOwnLeg(
  options: InitOptions,
  folder: PrivateFolder<OwnLegFile>,
  now: Date,
): Promise<InitResult> {
  const { folder: path, dryRun } = options;
  try {
    const plan = await planOwnLeg(await folder.read(), options, now);
    if (!plan.ok) {
      return plan;
    }
    const lines: string[] = [];
    for (const { file, text, reason, notAfter } of plan.writes) {
      if (!dryRun) {
        await folder.write(file, text);
      }
      const until = notAfter === undefined ? "" : `, holds until ${formatTime(notAfter)}`;
      lines.push(`${dryRun ? "would write" : "wrote"} ${path}/${file} (${reason})${until}`);
    }
    return { ok: true, lines: lines.length > 0 ? lines : [`${path} is complete; nothing to do`] };
  } catch (error) {
    return { ok: false, problems: [{ path: "--dir", message: messageOf(error) }] };
  }
}
