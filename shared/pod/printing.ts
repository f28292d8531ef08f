/**
 * How unsigned data is shown to people: on one line, bounded, and with nothing in it that a terminal obeys.
 *
 * @module
 */
import { MAX_PRINTED_CHARACTERS } from "../bounds.ts";
import type { JsonValue } from "../json.ts";

/** Characters that a terminal or a reader may take for something else: controls, directions, halves, unassigned. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/gu;

/** A text in which every character that does not print as itself is escaped as in JSON. */
export function printable(text: string): string {
  return text.replaceAll(UNPRINTABLE, (character) => {
    let escaped = "";
    for (let index = 0; index < character.length; index++) {
      escaped += `\\u${character.charCodeAt(index).toString(16).padStart(4, "0")}`;
    }
    return escaped;
  });
}

/**
 * A value as JSON on one line, shortened, with every character escaped that does not print as itself. Unsigned data
 * is shown in this form only.
 *
 * @param value what to show
 * @param maxCharacters the longest text
 */
export function printValue(value: JsonValue, maxCharacters: number = MAX_PRINTED_CHARACTERS): string {
  // A long text is cut before it is escaped, so that the work is bounded too.
  const shortened = typeof value === "string" && value.length > maxCharacters
    ? `${value.slice(0, maxCharacters)}…`
    : value;
  return cut(printable(jsonOf(shortened)), maxCharacters);
}

/** How much of what two long values have in common is shown before the place where they differ, in characters. */
const SHOWN_BEFORE_DIFFERENCE = 20;

/**
 * Two different values as {@linkcode printValue} shows them; where that would show the same twice, because they differ
 * behind the place where they are cut, from shortly before the difference on.
 */
export function printPair(
  a: JsonValue,
  b: JsonValue,
  maxCharacters: number = MAX_PRINTED_CHARACTERS,
): [string, string] {
  const shown: [string, string] = [printValue(a, maxCharacters), printValue(b, maxCharacters)];
  if (shown[0] !== shown[1]) return shown;
  const [first, second] = [jsonOf(a), jsonOf(b)];
  let same = 0;
  while (same < first.length && first[same] === second[same]) same++;
  const from = Math.max(0, same - SHOWN_BEFORE_DIFFERENCE);
  // Characters are escaped to six at most, and cutting must not begin with half of one.
  const tail = (text: string) => {
    const part = text.slice(from, from + maxCharacters).replace(/^[\udc00-\udfff]/, "");
    const more = from + maxCharacters < text.length ? "…" : "";
    return cut(`…${printable(part)}${more}`, maxCharacters);
  };
  return [tail(first), tail(second)];
}

function jsonOf(value: JsonValue): string {
  return JSON.stringify(value, (_key, member) => typeof member === "bigint" ? `${member}` : member);
}

/** Cutting must not leave half a character behind. */
function cut(text: string, maxCharacters: number): string {
  return text.length > maxCharacters
    ? `${text.slice(0, maxCharacters - 1).replace(/[\ud800-\udbff]$/, "")}…`
    : text;
}
