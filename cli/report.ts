/**
 * What podsign says about verdicts, for people and as JSON.
 *
 * @module
 */
import type { ObjectVerdict } from "@signed-pods/shared/pod/verify";
import { printable } from "@signed-pods/shared/pod/printing";
import { type Difference, formatDifference } from "@signed-pods/shared/verdict";
import type { Effects } from "./effects.ts";
import { pinnedNames } from "./pinned_content.ts";
import { workloadName } from "./templates.ts";

/** Everything is good. */
export const EXIT_OK = 0;

/** Something was judged and refused. */
export const EXIT_REFUSED = 1;

/** The command line or the input cannot be worked with. */
export const EXIT_USAGE = 2;

/** Digits of a key's identifier that are shown: enough to tell keys apart. */
const SHOWN_KEY_DIGITS = 16;

/** A verdict, and where its object begins if something is to be said about it. */
export interface PlacedVerdict extends ObjectVerdict {
  /** `file:line:column`; absent where finding it would take too long. */
  place?: string;
}

/** Everything that was judged in one run. */
export interface Report {
  verdicts: readonly PlacedVerdict[];
  /** Kinds without pods, and how many objects of each. */
  ignored: ReadonlyMap<string, number>;
}

/** A value as indented JSON with nothing in it that a terminal obeys: escaped, it means the same. */
export function jsonText(value: unknown): string {
  return `${JSON.stringify(value, null, 2).split("\n").map(printable).join("\n")}\n`;
}

/** What people are told of references: what was signed of them. */
const ANSWERS_TOLD = ["pinned", "signed", "handler"] as const;

/** One object as lines: the verdict, then each difference, indented. */
function verdictLines({ workload, verdict, place }: PlacedVerdict): string[] {
  const name = workloadName(workload);
  if (verdict.decision === "allow") {
    const key = verdict.keyId.slice(0, SHOWN_KEY_DIGITS);
    const used = verdict.permissions.length === 0 ? "" : `  allowed: ${verdict.permissions.join(", ")}`;
    const signed = ANSWERS_TOLD.map((kind) => [kind, pinnedNames(verdict.references, kind)] as const)
      .filter(([, names]) => names.length > 0).map(([kind, names]) => `  ${kind}: ${names.join(", ")}`).join(
        "",
      );
    return [`OK   ${name}  ${verdict.form}  key ${key}${used}${signed}`].map(printable);
  }
  const where = place === undefined ? "" : `  (${place})`;
  return [
    `FAIL ${name}  ${verdict.code}: ${verdict.message}${where}`,
    ...verdict.differences.map((difference) => `       ${formatDifference(difference)}`),
  ].map(printable);
}

/** Kinds and how many there are of each, for example `2 Service, 1 ConfigMap`. */
export function kindCounts(kinds: ReadonlyMap<string, number>): string {
  return printable([...kinds].map(([kind, count]) => `${count} ${kind}`).join(", "));
}

/** How many objects were refused. */
export function countRefused({ verdicts }: Report): number {
  return verdicts.filter(({ verdict }) => verdict.decision === "deny").length;
}

/** The report for people: a line per object, then a summary. */
export function textReport(report: Report): string {
  const refused = countRefused(report);
  const summary = `${report.verdicts.length - refused} good, ${refused} refused`;
  const ignored = report.ignored.size === 0
    ? ""
    : `; ignored, because they hold no pods: ${kindCounts(report.ignored)}`;
  const lines = [...report.verdicts.flatMap(verdictLines), `${summary}${ignored}`];
  return `${lines.join("\n")}\n`;
}

/** One reference as `podsign verify-spec -o json` prints it. */
interface JsonReference {
  kind: string;
  name: string;
  path: string;
  answer: string;
}

/** One verdict as `podsign verify-spec -o json` prints it. */
interface JsonVerdict {
  apiVersion: string;
  kind: string;
  namespace: string | null;
  name: string | null;
  generateName: string | null;
  path: (string | number)[];
  place: string | null;
  decision: "allow" | "deny";
  form: string | null;
  keyId: string | null;
  signedHash: string | null;
  injected: string[];
  permissions: string[];
  references: JsonReference[];
  warnings: string[];
  code: string | null;
  message: string | null;
  differences: Difference[];
}

/** The report as JSON: `{"good", "refused", "ignored", "objects"}`. Fields that do not apply are null or empty. */
export function jsonReport(report: Report): string {
  const refused = countRefused(report);
  const objects = report.verdicts.map(({ workload, path, place, verdict }): JsonVerdict => {
    const object = {
      apiVersion: workload.apiVersion,
      kind: workload.kind,
      namespace: workload.namespace ?? null,
      name: workload.name ?? null,
      generateName: workload.generateName ?? null,
      path,
      place: place ?? null,
      decision: verdict.decision,
    };
    return verdict.decision === "allow"
      ? {
        ...object,
        form: verdict.form,
        keyId: verdict.keyId,
        signedHash: verdict.signedHash,
        injected: verdict.injected,
        permissions: verdict.permissions,
        references: verdict.references.map(({ reference: { kind, name, path }, answer }) => ({
          kind,
          name,
          path,
          answer: answer.kind,
        })),
        warnings: verdict.warnings,
        code: null,
        message: null,
        differences: [],
      }
      : {
        ...object,
        form: null,
        keyId: null,
        signedHash: null,
        injected: [],
        permissions: [],
        references: [],
        warnings: [],
        code: verdict.code,
        message: verdict.message,
        differences: verdict.differences,
      };
  });
  const ignored = Object.fromEntries(report.ignored);
  return jsonText({ good: report.verdicts.length - refused, refused, ignored, objects });
}

/** Prints warnings, one line each. */
export function printWarnings(effects: Pick<Effects, "writeError">, warnings: readonly string[]): void {
  for (const warning of warnings) effects.writeError(`podsign: warning: ${printable(warning)}\n`);
}

/** Prints errors, one line each. */
export function printErrors(effects: Pick<Effects, "writeError">, lines: readonly string[]): void {
  for (const line of lines) effects.writeError(`podsign: ${printable(line)}\n`);
}

/** Shows what is going on while a person waits; does nothing if nobody watches. */
export interface Progress {
  show(text: string): void;
  /** Takes the line away. */
  clear(): void;
}

/** Makes a progress line on standard error. */
export function createProgress(effects: Pick<Effects, "writeError" | "stderrIsTerminal">): Progress {
  let shown = false;
  // ECMA-48 "erase in line": the rest of the line, from the first column.
  const erase = "\r\x1b[K";
  return {
    show: (text) => {
      if (!effects.stderrIsTerminal) return;
      effects.writeError(`${erase}podsign: ${text}`);
      shown = true;
    },
    clear: () => {
      if (shown) effects.writeError(erase);
      shown = false;
    },
  };
}
