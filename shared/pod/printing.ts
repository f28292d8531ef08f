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
  const json = JSON.stringify(shortened, (_key, member) => typeof member === "bigint" ? `${member}` : member);
  const text = printable(json);
  // Cutting must not leave half a character behind.
  return text.length > maxCharacters
    ? `${text.slice(0, maxCharacters - 1).replace(/[\ud800-\udbff]$/, "")}…`
    : text;
}
