/**
 * Ways to lay out YAML that kubectl's library (go.yaml.in/yaml/v2, after libyaml) reads otherwise than YAML 1.2 says,
 * or does not read at all: found in the text, since a syntax tree does not tell them.
 *
 * @module
 */

/** A part of a text, from the first offset to before the second. */
export type TextRange = readonly [start: number, end: number];

/** White space and block indicators alone, up to a tab: there it is indentation, for which YAML has spaces only. */
const INDENTATION = /^[ \t]*(?:[-?:](?:[ \t]+|$))*$/;

/**
 * Tabs that stand where indentation does: at the beginning of a line, or between a dash and its item. YAML 1.2 admits
 * some of them.
 *
 * @param text YAML
 * @param part the part of the text to look at
 * @param scalars where the part's scalars are, in order: a tab within them is text
 */
export function tabsInIndentation(text: string, part: TextRange, scalars: readonly TextRange[]): number[] {
  const [start, end] = part;
  const found: number[] = [];
  let next = 0;
  for (const { index } of text.slice(start, end).matchAll(/\t/g)) {
    const tab = start + index;
    while (next < scalars.length && (scalars[next]?.[1] ?? 0) <= tab) next += 1;
    if ((scalars[next]?.[0] ?? end) <= tab) continue;
    const line = text.lastIndexOf("\n", tab - 1) + 1;
    if (INDENTATION.test(text.slice(line, tab))) found.push(tab);
  }
  return found;
}

/** Whether a key is written behind a question mark, `? key`, with its value behind a colon on a line of its own. */
export function isExplicitKey(text: string, keyStart: number): boolean {
  let at = keyStart - 1;
  while (at >= 0 && /\s/.test(text.charAt(at))) at -= 1;
  if (at < 0 || at === keyStart - 1 || text[at] !== "?") return false;
  do at -= 1; while (at >= 0 && /[ \t-]/.test(text.charAt(at)));
  return at < 0 || /[\n?:,[{]/.test(text.charAt(at));
}

/** Whether the value of a plain key of a flow mapping follows the colon without white space, `{key:[value]}`. */
export function isJoinedToValue(text: string, keyEnd: number): boolean {
  const colon = afterSpace(text, keyEnd);
  return text[colon] === ":" && /\S/.test(text.charAt(colon + 1));
}

/** Whether a scalar in single quotes has the quote that ends it: two of them are one of its characters. */
export function isClosed(singleQuoted: string): boolean {
  return /^'(?:[^']|'')*'$/.test(singleQuoted);
}

/** Whether a key without `?` goes over more than one line, or its colon stands on another one. */
export function isKeyOverLines(text: string, [start, end]: TextRange): boolean {
  const colon = afterComments(text, end);
  return text.slice(start, text[colon] === ":" ? colon : end).includes("\n");
}

/** Where the next token begins. */
function afterComments(text: string, offset: number): number {
  let at = afterSpace(text, offset);
  while (text[at] === "#" && at > offset) {
    const end = text.indexOf("\n", at);
    if (end < 0) return text.length;
    at = afterSpace(text, end);
  }
  return at;
}

function afterSpace(text: string, offset: number): number {
  let at = offset;
  while (/\s/.test(text.charAt(at))) at += 1;
  return at;
}

/** The header of a block scalar that says how far it is indented. */
const SAYS_INDENTATION = /^[|>][+-]?[1-9]/;

/**
 * Whether a tab stands where a line of a block scalar must be indented, which kubectl's library does not read: before
 * the first content, or left of its column.
 *
 * @param block from its `|` or `>` to the end of its last line
 */
export function hasTabAsIndentation(block: string): boolean {
  const [header = "", ...lines] = block.split("\n");
  const columns = lines.map((line) => line.search(/[^ ]|$/));
  // A column that the header gives is counted from the parent's: no line of content is left of it.
  const ofText = columns.filter((column, index) => /\S/.test(lines[index]?.charAt(column) ?? ""));
  let indentation = SAYS_INDENTATION.test(header)
    ? (ofText.length > 0 ? ofText : columns).reduce((least, column) => Math.min(least, column), Infinity)
    : undefined;
  for (const [index, line] of lines.entries()) {
    const column = columns[index] ?? 0;
    if (line[column] === "\t" && (indentation === undefined || column < indentation)) return true;
    if (line.trim() !== "") indentation ??= column;
  }
  return false;
}

/**
 * Whether programs differ in the lines of spaces that end a block scalar: where it has nothing else, and where it says
 * how far it is indented.
 *
 * @param text YAML
 * @param block the block scalar, from its `|` or `>` to the end of its last line
 */
export function endsInDoubtfulSpaces(text: string, [start, end]: TextRange): boolean {
  const block = text.slice(start, end);
  const content = block.trimEnd().length;
  if (block.indexOf("\n") < content && !SAYS_INDENTATION.test(block)) return false;
  return /^[^\n]*\n(?:\r?\n)*[ \t]+(?:\r?\n|$)/.test(text.slice(start + content));
}

/** What JSON admits in double quotes and kubectl's library does not: half a character, `\ud83d`, and `\/`. */
const JSON_ESCAPE = /(?<!\\)(?:\\\\)*(\\u[dD][89a-fA-F][0-9a-fA-F]{2}|\\\/)/;

/**
 * The first escape of a double-quoted scalar that kubectl's library knows in JSON only.
 *
 * @param source the scalar as it stands in the text
 */
export function jsonEscapeIn(source: string): string | undefined {
  return JSON_ESCAPE.exec(source)?.[1];
}
