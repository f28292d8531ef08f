/**
 * Plain YAML scalars, admitted only where all readers agree. kubectl reads YAML with a Go library that follows
 * YAML 1.1 in part, most other programs follow YAML 1.2: `on` is true to one and a word to the other. Whoever signs
 * must not have to know which.
 *
 * Sources: YAML 1.2.2 section 10.3.2 (core schema); YAML 1.1 types bool, int, float, null; go.yaml.in/yaml/v2
 * resolve.go, which sigs.k8s.io/yaml and so kubectl read with.
 *
 * @module
 */

/** What a plain scalar means, or why it is refused. */
export type PlainScalar =
  | { ok: true; value: null | boolean | number | string }
  | { ok: false; message: string };

/** Words that YAML 1.1 reads as booleans and YAML 1.2 as text. */
const YAML_1_1_BOOLEANS: ReadonlySet<string> = new Set(
  ["y", "yes", "on", "n", "no", "off"].flatMap((word) => [
    word,
    word.toUpperCase(),
    `${word.charAt(0).toUpperCase()}${word.slice(1)}`,
  ]),
);

const NULLS: ReadonlySet<string> = new Set(["", "~", "null", "Null", "NULL"]);
const TRUE: ReadonlySet<string> = new Set(["true", "True", "TRUE"]);
const FALSE: ReadonlySet<string> = new Set(["false", "False", "FALSE"]);

/** Integers that all readers take for the same: decimal, without leading zeros or underscores. */
const INTEGER = /^[-+]?(0|[1-9][0-9]*)$/;

/** Fractions that all readers take for the same. */
const FRACTION = /^[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?$/;

/** What at least one reader takes for a number, underscores taken out. */
const NUMBER_TO_SOME = new RegExp(
  [
    "[-+]?0[xX][0-9a-fA-F]+",
    "[-+]?0[oO]?[0-7]+",
    // kubectl's library reads a sign behind 0b, too.
    "[-+]?0[bB][-+]?[01]+",
    "[-+]?(\\.[0-9]+|[0-9]+(\\.[0-9]*)?)([eE][-+]?[0-9]+)?",
    "[-+]?\\.(inf|Inf|INF)",
    "\\.(nan|NaN|NAN)",
    "[-+]?[0-9]+(:[0-5]?[0-9])+(\\.[0-9]*)?",
  ].map((pattern) => `^(${pattern})$`).join("|"),
);

/**
 * Reads a plain scalar in value position.
 *
 * @param source the scalar as it stands in the document
 * @returns its one meaning, or why it has none and what to write instead
 */
export function readPlainScalar(source: string): PlainScalar {
  if (NULLS.has(source)) return { ok: true, value: null };
  if (TRUE.has(source)) return { ok: true, value: true };
  if (FALSE.has(source)) return { ok: true, value: false };
  if (YAML_1_1_BOOLEANS.has(source)) {
    const meaning = /^[yY]|^[oO][nN]$/.test(source) ? "true" : "false";
    return {
      ok: false,
      message:
        `kubectl reads ${source} as ${meaning}, other programs as text: write "${source}" or ${meaning}`,
    };
  }
  if (INTEGER.test(source) || FRACTION.test(source)) {
    const value = Number(source);
    // What a double cannot tell from its neighbours is an integer again as soon as somebody writes it in digits.
    if (!Number.isFinite(value) || Math.abs(value) > Number.MAX_SAFE_INTEGER) {
      return {
        ok: false,
        message:
          `${source} is too large for a number that all programs read alike: if it is text, write "${source}"`,
      };
    }
    // Minus zero is zero in JSON's canonical form and to Kubernetes.
    return { ok: true, value: value === 0 ? 0 : value };
  }
  // Underscores separate digits to readers of YAML 1.1, also from a sign, but only in what begins like a number.
  const digits = /^[-+0-9.]/.test(source) ? source.replaceAll("_", "") : source;
  if (NUMBER_TO_SOME.test(digits)) {
    return {
      ok: false,
      message: `not all programs read ${source} as the same number: write "${source}" if it is text, ` +
        "or a number in plain decimal digits",
    };
  }
  return { ok: true, value: source };
}
