/**
 * Puts annotations into a manifest as text, so that comments, order of keys, quoting and line ends stay as the owner
 * wrote them. Printing the document from its syntax tree would change all of these.
 *
 * @module
 */
import { isMap, isScalar, type Node, Scalar, type YAMLMap } from "yaml";
import { nodeAt, pairOf, type Path } from "./manifest.ts";

/** An insertion, or a replacement of the text from start to end. */
export interface Edit {
  start: number;
  end: number;
  text: string;
}

/** Annotations to set, in order; undefined takes one away. */
export type AnnotationChanges = readonly (readonly [key: string, value: string | undefined])[];

/** What is known of the text around an edit. */
interface Surroundings {
  text: string;
  /** The line end that the text uses. */
  eol: string;
}

/** The nodes between which text is inserted cannot be found; only a defect of this program leads here. */
export class AnnotationError extends Error {}

/**
 * The edits that set annotations of one object.
 *
 * @param text the whole manifest
 * @param root the document's syntax tree, with offsets into the text
 * @param path way to the object whose `metadata.annotations` are meant
 * @param changes annotations to set or take away
 */
export function annotationEdits(
  text: string,
  root: Node | null,
  path: Path,
  changes: AnnotationChanges,
): Edit[] {
  const target = nodeAt(root, path);
  if (!isMap(target)) throw new AnnotationError("the object to annotate is not a mapping");
  const around = { text, eol: /\r?\n/.exec(text)?.[0] ?? "\n" };
  const keyOfTarget = keyNode(root, path);
  return setInMap(around, target, keyOfTarget, ["metadata", "annotations"], changes, false);
}

/** A text with edits applied. They must not overlap. */
export function applyEdits(text: string, edits: readonly Edit[]): string {
  const sorted = edits.map((edit, order) => ({ ...edit, order }))
    .sort((a, b) => a.start - b.start || a.order - b.order);
  let result = "";
  let position = 0;
  for (const { start, end, text: replacement } of sorted) {
    if (start < position || end < start) throw new AnnotationError("two insertions overlap");
    result += text.slice(position, start) + replacement;
    position = end;
  }
  return result + text.slice(position);
}

/**
 * A scalar on one line that readers of YAML 1.1 and 1.2 take for the same text. Single quotes where possible: JSON
 * stays readable in them.
 */
export function quoteYaml(value: string): string {
  return /^[\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\u{10000}-\u{10ffff}]*$/u.test(
      value,
    ) &&
      value.includes('"')
    ? `'${value.replaceAll("'", "''")}'`
    : quoteJson(value);
}

/** A JSON string, which is also a double-quoted scalar to readers of YAML 1.1 and 1.2. */
export function quoteJson(value: string): string {
  return JSON.stringify(value).replace(
    /[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** The key node under which the value at a path stands; undefined for items of lists and for the root. */
function keyNode(root: Node | null, path: Path): unknown {
  const last = path.at(-1);
  if (typeof last !== "string") return undefined;
  const parent = nodeAt(root, path.slice(0, -1));
  return isMap(parent) ? pairOf(parent, last)?.key : undefined;
}

function rangeOf(node: unknown): [start: number, end: number] {
  if ((isMap(node) || isScalar(node)) && node.range) return [node.range[0], node.range[1]];
  throw new AnnotationError("a node has no place in the text");
}

/** Characters before an offset on its line. */
function columnOf(text: string, offset: number): number {
  return offset - (text.lastIndexOf("\n", offset - 1) + 1);
}

/** Offset after the end of the line, and whether the text ends without one. */
function nextLine(text: string, offset: number): { offset: number; open: boolean } {
  const newline = text.indexOf("\n", offset);
  return newline < 0 ? { offset: text.length, open: true } : { offset: newline + 1, open: false };
}

function isNull(node: unknown): boolean {
  return node === null || node === undefined ||
    (isScalar(node) && node.type === Scalar.PLAIN && /^(?:|~|null|Null|NULL)$/.test(node.source ?? ""));
}

/** Sets what lies below a chain of keys, making the mappings that are not there. */
function setInMap(
  around: Surroundings,
  map: YAMLMap,
  keyOfMap: unknown,
  chain: readonly string[],
  changes: AnnotationChanges,
  insideFlow: boolean,
): Edit[] {
  const [key, ...rest] = chain;
  if (key === undefined) return changeEntries(around, map, keyOfMap, changes, insideFlow);
  const pair = pairOf(map, key);
  if (pair === undefined) {
    return insertFirst(
      around,
      map,
      keyOfMap,
      (indent, step) => nestedLines(chain, indent, step, changes),
      () => `${quoteJson(key)}: ${nestedFlow(rest, changes)}`,
    );
  }
  if (isNull(pair.value)) return fillNull(around, map, pair.key, pair.value, rest, changes);
  if (!isMap(pair.value)) throw new AnnotationError(`${key} is not a mapping`);
  return setInMap(around, pair.value, pair.key, rest, changes, map.flow === true);
}

function entries(changes: AnnotationChanges): [string, string][] {
  return changes.flatMap(([key, value]): [string, string][] => value === undefined ? [] : [[key, value]]);
}

/** Lines of a block mapping: the chain of keys, then the annotations. */
function nestedLines(
  chain: readonly string[],
  indent: number,
  step: number,
  changes: AnnotationChanges,
): string[] {
  const heads = chain.map((key, depth) => `${" ".repeat(indent + depth * step)}${key}:`);
  const margin = " ".repeat(indent + chain.length * step);
  return [...heads, ...entries(changes).map(([key, value]) => `${margin}${key}: ${quoteYaml(value)}`)];
}

/** The same in one line of flow style, which is JSON as well. */
function nestedFlow(chain: readonly string[], changes: AnnotationChanges): string {
  const inner = `{${
    entries(changes).map(([key, value]) => `${quoteJson(key)}: ${quoteJson(value)}`).join(", ")
  }}`;
  return chain.reduceRight((value, key) => `{${quoteJson(key)}: ${value}}`, inner);
}

/** Inserts entries in front of a mapping's first. */
function insertFirst(
  around: Surroundings,
  map: YAMLMap,
  keyOfMap: unknown,
  lines: (indent: number, step: number) => string[],
  flow: () => string,
): Edit[] {
  const { text, eol } = around;
  if (map.flow === true) return [insertIntoFlow(around, map, [flow()])];
  const [first] = map.items;
  if (first === undefined) throw new AnnotationError("a mapping has no entry");
  const [firstStart] = rangeOf(first.key);
  const indent = columnOf(text, firstStart);
  const step = stepOf(text, keyOfMap, indent);
  const block = lines(indent, step);
  if (keyOfMap !== undefined) {
    // Right below the mapping's own key, so that comments above its first entry stay with that entry.
    const [, keyEnd] = rangeOf(keyOfMap);
    const { offset } = nextLine(text, keyEnd);
    if (offset <= firstStart) {
      return [{
        start: offset,
        end: offset,
        text: block.map((line) => line + eol).join(""),
      }];
    }
  }
  // The first entry's own line: the margin is there already, perhaps with the dash of a list.
  const inserted = block.join(eol).slice(indent) + eol + " ".repeat(indent);
  return [{ start: firstStart, end: firstStart, text: inserted }];
}

/** How much deeper a mapping's entries stand than its key. */
function stepOf(text: string, keyOfMap: unknown, indent: number): number {
  if (keyOfMap === undefined) return 2;
  const step = indent - columnOf(text, rangeOf(keyOfMap)[0]);
  return step > 0 ? step : 2;
}

/** Inserts entries after the opening brace, one below the other if the mapping's first entry has its own line. */
function insertIntoFlow(around: Surroundings, map: YAMLMap, items: readonly string[]): Edit {
  const { text } = around;
  const start = rangeOf(map)[0] + 1;
  const [first] = map.items;
  if (first === undefined) return { start, end: start, text: items.join(", ") };
  const gap = text.slice(start, rangeOf(first.key)[0]);
  if (/^[ \t]*\r?\n[ \t\r\n]*$/.test(gap)) {
    return { start, end: start, text: items.map((item) => `${gap}${item},`).join("") };
  }
  return {
    start,
    end: start,
    text: `${gap.startsWith(" ") ? " " : ""}${items.join(", ")},${gap === "" ? " " : ""}`,
  };
}

/** Gives a key without value one. */
function fillNull(
  around: Surroundings,
  map: YAMLMap,
  key: unknown,
  value: unknown,
  chain: readonly string[],
  changes: AnnotationChanges,
): Edit[] {
  const { text, eol } = around;
  const [keyStart, keyEnd] = rangeOf(key);
  const written = isScalar(value) && (value.source ?? "") !== "";
  const [valueStart, valueEnd] = written ? rangeOf(value) : [keyEnd, keyEnd];
  if (map.flow === true) {
    if (written) return [{ start: valueStart, end: valueEnd, text: nestedFlow(chain, changes) }];
    const colon = /^\s*:/.exec(text.slice(keyEnd));
    const start = keyEnd + (colon?.[0].length ?? 0);
    return [{ start, end: start, text: `${colon === null ? ":" : ""} ${nestedFlow(chain, changes)}` }];
  }
  const removal = removeNull(text, keyEnd, valueStart, valueEnd);
  const { offset, open } = nextLine(text, valueEnd);
  const indent = columnOf(text, keyStart) + 2;
  const lines = nestedLines(chain, indent, 2, changes);
  const block = open ? lines.map((line) => eol + line).join("") : lines.map((line) => line + eol).join("");
  return [...removal, { start: offset, end: offset, text: block }];
}

/** Takes away a written null or an empty mapping, with the white space before it on its line. */
function removeNull(text: string, keyEnd: number, valueStart: number, valueEnd: number): Edit[] {
  if (valueStart === valueEnd) return [];
  const gap = /[ \t]*$/.exec(text.slice(keyEnd, valueStart))?.[0].length ?? 0;
  return [{ start: valueStart - gap, end: valueEnd, text: "" }];
}

/** Sets and takes away entries of an existing mapping. */
function changeEntries(
  around: Surroundings,
  map: YAMLMap,
  keyOfMap: unknown,
  changes: AnnotationChanges,
  insideFlow: boolean,
): Edit[] {
  const { text } = around;
  const isBlock = map.flow !== true;
  const [mapStart, mapEnd] = rangeOf(map);
  if (
    !isBlock && !insideFlow && keyOfMap !== undefined && /^\{[ \t]*\}$/.test(text.slice(mapStart, mapEnd))
  ) {
    return blockInsteadOfEmpty(around, keyOfMap, mapStart, mapEnd, changes);
  }
  const keys = new Map(changes);
  const others = map.items.filter((pair) => !(isScalar(pair.key) && keys.has(String(pair.key.value))));
  const removed = changes.filter(([key, value]) => value === undefined && pairOf(map, key) !== undefined);
  if (!isBlock && removed.length > 0 && others.length === 0) {
    // Nothing of the owner's is in it, and commas between what goes and what comes need no thought.
    return [{ start: mapStart, end: mapEnd, text: nestedFlow([], changes) }];
  }
  const edits: Edit[] = [];
  const added: [string, string][] = [];
  for (const [key, value] of changes) {
    const pair = pairOf(map, key);
    if (value === undefined) {
      if (pair !== undefined) edits.push(isBlock ? removeLines(text, pair) : removeFromFlow(text, map, key));
    } else if (pair === undefined) added.push([key, value]);
    else edits.push(replaceValue(around, pair, value, isBlock));
  }
  if (added.length === 0) return edits;
  // First, so that an insertion stands before the removal of an entry that begins at the same place.
  if (!isBlock) {
    const items = added.map(([key, value]) => `${quoteJson(key)}: ${quoteJson(value)}`);
    return [insertIntoFlow(around, map, items), ...edits];
  }
  const lines = (indent: number) =>
    added.map(([key, value]) => `${" ".repeat(indent)}${key}: ${quoteYaml(value)}`);
  return [...insertFirst(around, map, keyOfMap, lines, () => ""), ...edits];
}

/** Turns `annotations: {}` into a block. */
function blockInsteadOfEmpty(
  around: Surroundings,
  key: unknown,
  start: number,
  end: number,
  changes: AnnotationChanges,
): Edit[] {
  const { text, eol } = around;
  const [keyStart, keyEnd] = rangeOf(key);
  const { offset, open } = nextLine(text, end);
  const lines = nestedLines([], columnOf(text, keyStart) + 2, 2, changes);
  const block = open ? lines.map((line) => eol + line).join("") : lines.map((line) => line + eol).join("");
  return [...removeNull(text, keyEnd, start, end), { start: offset, end: offset, text: block }];
}

interface AnyPair {
  key: unknown;
  value: unknown;
}

function replaceValue(around: Surroundings, pair: AnyPair, value: string, isBlock: boolean): Edit {
  const { text, eol } = around;
  const quoted = isBlock ? quoteYaml(value) : quoteJson(value);
  const [, keyEnd] = rangeOf(pair.key);
  if (!isScalar(pair.value) || (pair.value.type === Scalar.PLAIN && (pair.value.source ?? "") === "")) {
    const colon = /^\s*:/.exec(text.slice(keyEnd))?.[0] ?? "";
    const start = keyEnd + colon.length;
    return { start, end: start, text: `${colon === "" ? ":" : ""} ${quoted}` };
  }
  const [start, end] = rangeOf(pair.value);
  // A block scalar's range includes the end of its last line.
  const tail = text.slice(start, end).endsWith("\n") ? eol : "";
  return { start, end, text: quoted + tail };
}

/** Takes an entry of a block mapping away, with its whole lines. */
function removeLines(text: string, pair: AnyPair): Edit {
  const [keyStart, keyEnd] = rangeOf(pair.key);
  const end = isScalar(pair.value) || isMap(pair.value) ? Math.max(rangeOf(pair.value)[1], keyEnd) : keyEnd;
  const start = text.lastIndexOf("\n", keyStart - 1) + 1;
  const after = text.slice(0, end).endsWith("\n") ? end : nextLine(text, end).offset;
  return { start, end: after, text: "" };
}

/** Takes an entry of a flow mapping away, with one comma. */
function removeFromFlow(text: string, map: YAMLMap, key: string): Edit {
  const index = map.items.findIndex((pair) => pair === pairOf(map, key));
  const pair = map.items[index];
  const next = map.items[index + 1];
  const previous = map.items[index - 1];
  if (pair === undefined) throw new AnnotationError("the entry to take away is not there");
  const start = rangeOf(pair.key)[0];
  const end = isScalar(pair.value) ? rangeOf(pair.value)[1] : rangeOf(pair.key)[1];
  if (next !== undefined) return { start, end: rangeOf(next.key)[0], text: "" };
  if (previous !== undefined) {
    const previousEnd = isScalar(previous.value) ? rangeOf(previous.value)[1] : rangeOf(previous.key)[1];
    return { start: previousEnd, end, text: "" };
  }
  const comma = /^\s*,/.exec(text.slice(end))?.[0].length ?? 0;
  return { start, end: end + comma, text: "" };
}
