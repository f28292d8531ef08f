/**
 * The table of all cases in docs/threat-model.md: what the API server does, what the kubelet saw, what the operator sees.
 * The suite compares it with what came of its run.
 *
 * @module
 */
import { attackOf, ATTACKS } from "./attacks.ts";
import type { Case, Outcome } from "./case.ts";

/** The page. */
export const PAGE = new URL("../../docs/threat-model.md", import.meta.url);

const BEGIN = "<!-- cases -->";
const END = "<!-- end -->";

/** The page with the table of an outcome in the place of its own. */
export function withTable(page: string, cases: readonly Case[], outcomes: readonly Outcome[]): string {
  const from = page.indexOf(BEGIN);
  const to = page.indexOf(END, from);
  if (from < 0 || to < 0) {
    throw new Error(`docs/threat-model.md has no place for the table between ${BEGIN} and ${END}`);
  }
  return `${page.slice(0, from)}${BEGIN}\n${table(cases, outcomes)}${page.slice(to)}`;
}

function table(cases: readonly Case[], outcomes: readonly Outcome[]): string {
  const byName = new Map(outcomes.map((outcome) => [outcome.name, outcome]));
  const parts = ATTACKS.map((attack) => {
    const heading = `### ${attack.number}. ${attack.title}\n\n`;
    if (attack.elsewhere !== undefined) {
      return `${heading}${attack.elsewhere}\n`;
    }
    const rows = cases.filter(({ name }) => attackOf(name) === attack).map(({ name, does }) => {
      const outcome = byName.get(name);
      return `| ${
        [`\`${name}\``, does, outcome?.kubelet ?? "", outcome?.operator ?? ""].map(cell).join(" | ")
      } |\n`;
    });
    return `${heading}| case | the API server | the kubelet saw | the operator sees |\n|---|---|---|---|\n${
      rows.join("")
    }`;
  });
  return parts.join("\n");
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("\n", " ");
}
