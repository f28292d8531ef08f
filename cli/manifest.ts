/**
 * Reads manifests: YAML of one or more documents, or JSON. A document means what kubectl takes it for, or it is
 * refused with file, line and column: what two readers read differently is not signed.
 *
 * @module
 */
import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  type Node,
  type Pair,
  Scalar,
  type YAMLMap,
} from "yaml";
import { type Problem, SignedPodsError } from "@signed-pods/shared/errors";
import { isJsonObject, type JsonObject, type JsonValue, setOwn } from "@signed-pods/shared/json";
import { findPodTemplates, type PodTemplateLocation } from "@signed-pods/shared/pod/workload";
import { decodeUtf8, parseStrictJson } from "@signed-pods/shared/strict-json";
import { InputError } from "./input_error.ts";
import { parseYamlDocuments } from "./yaml_parser.ts";
import {
  endsInDoubtfulSpaces,
  hasTabAsIndentation,
  isClosed,
  isExplicitKey,
  isJoinedToValue,
  isKeyOverLines,
  jsonEscapeIn,
  tabsInIndentation,
  type TextRange,
} from "./yaml_layout.ts";
import { readPlainScalar } from "./yaml_scalar.ts";

/** Nesting that is admitted: a pod's schema is about 12 levels deep, and recursion must end before the stack does. */
export const MAX_DEPTH = 100;

/** Problems that are printed of one document; the rest are counted. */
const MAX_PRINTED_PROBLEMS = 20;

/**
 * A list of objects in a longer text is parsed piece by piece when nothing is to be inserted into it: the syntax
 * tree takes a hundred times the memory of the text.
 */
export const PIECEWISE_LENGTH: number = 256 * 1024;

/** Length of a piece, in UTF-16 code units. */
const PIECE_LENGTH: number = 128 * 1024;

/** A way from a document's root to a value: keys of mappings and indices of lists. */
export type Path = readonly (string | number)[];

/** Where something stands in a text. Both count from 1; columns count UTF-16 code units. */
export interface Position {
  line: number;
  column: number;
}

/** Something that is wrong at an offset of the text. */
interface OffsetProblem {
  offset: number;
  message: string;
}

/** One document of a manifest. */
export interface ManifestDocument {
  /** What it means. Where it has problems, a guess. */
  readonly value: JsonValue;
  /** Offset in the text at which it begins. */
  readonly offset: number;
  /** The syntax tree with offsets into the text, made when first asked for. */
  readonly root: () => Node | null;
  /** What readers may read differently. Of interest only if the document is signed or judged. */
  readonly problems: readonly OffsetProblem[];
}

/** A text with its documents. */
export interface Manifest {
  /** The file's name, for messages. */
  readonly name: string;
  /** What stands before the text: a byte order mark, or nothing. Offsets and columns do not count it. */
  readonly byteOrderMark: string;
  readonly text: string;
  readonly format: "yaml" | "json";
  readonly documents: readonly ManifestDocument[];
}

/** How a manifest is going to be used. */
export interface ReadOptions {
  /** Whether text is going to be inserted, so that the syntax tree is needed. */
  edit: boolean;
}

/**
 * Reads a manifest.
 *
 * @param bytes the file's content, UTF-8; a byte order mark is admitted in YAML
 * @param name the file's name, for messages
 * @throws {InputError} if the text is neither JSON nor YAML
 */
export function readManifest(bytes: Uint8Array, name: string, options: ReadOptions): Manifest {
  let decoded: string;
  try {
    decoded = decodeUtf8(bytes);
  } catch (error) {
    throw new InputError([`${name}: is not UTF-8: convert the file, for example with iconv`], {
      cause: error,
    });
  }
  if (decoded.trim() === "") throw new InputError([`${name}: is empty: give it a Kubernetes object`]);
  const byteOrderMark = decoded.startsWith("\ufeff") ? "\ufeff" : "";
  const text = decoded.slice(byteOrderMark.length);
  // kubectl too takes what begins with a brace for JSON, and for YAML if that fails or a mark stands before it.
  if (byteOrderMark === "" && /^\s*\{/.test(text)) {
    const document = readJson(text);
    if (document !== undefined) return { name, byteOrderMark, text, format: "json", documents: [document] };
  }
  const documents = (options.edit ? undefined : readPiecewise(name, text)) ?? readYaml(name, text);
  return { name, byteOrderMark, text, format: "yaml", documents };
}

/** The text that was asked about last, and where its lines begin: one text is asked about thousands of times. */
let lines: { text: string; starts: readonly number[] } = { text: "", starts: [0] };

function lineStartsOf(text: string): readonly number[] {
  if (lines.text !== text) {
    const starts = [0];
    for (let index = text.indexOf("\n"); index >= 0; index = text.indexOf("\n", index + 1)) {
      starts.push(index + 1);
    }
    lines = { text, starts };
  }
  return lines.starts;
}

/** The position of an offset in a text. */
export function positionOf(text: string, offset: number): Position {
  const starts = lineStartsOf(text);
  let line = 0;
  for (let beyond = starts.length; beyond - line > 1;) {
    const middle = (line + beyond) >> 1;
    if ((starts[middle] ?? 0) <= offset) line = middle;
    else beyond = middle;
  }
  return { line: line + 1, column: offset - (starts[line] ?? 0) + 1 };
}

/** `file:line:column` of an offset. */
export function placeOf(manifest: Pick<Manifest, "name" | "text">, offset: number): string {
  const { line, column } = positionOf(manifest.text, offset);
  return `${manifest.name}:${line}:${column}`;
}

/**
 * The pod templates of a document.
 *
 * @returns none for kinds that have no pods, however they are written
 * @throws {InputError} if the document is no Kubernetes object, or holds pods and what readers read differently
 */
export function podTemplatesOf(manifest: Manifest, document: ManifestDocument): PodTemplateLocation[] {
  let locations: PodTemplateLocation[];
  try {
    locations = findPodTemplates(document.value);
  } catch (error) {
    if (!(error instanceof SignedPodsError)) throw error;
    requireNoProblems(manifest, document);
    throw objectError(manifest, document, [], error);
  }
  if (locations.length > 0) requireNoProblems(manifest, document);
  return locations;
}

/** @throws {InputError} if the document holds anything that readers may read differently */
export function requireNoProblems(manifest: Manifest, document: ManifestDocument): void {
  if (document.problems.length > 0) throw inputError(manifest, document.problems);
}

/**
 * What is wrong with an object, with the place of each problem in the manifest.
 *
 * @param base path of the object that the problems' own paths begin at
 */
export function objectError(
  manifest: Manifest,
  document: ManifestDocument,
  base: Path,
  error: SignedPodsError,
): InputError {
  const lines = error.problems.slice(0, MAX_PRINTED_PROBLEMS).map((problem) => {
    const place = placeOf(manifest, locate(manifest, document, base, problem.path));
    return `${place}: ${problem.path === "" ? "the object" : problem.path}${
      joint(problem)
    }${problem.message}`;
  });
  const rest = error.problems.length - lines.length;
  return new InputError(rest > 0 ? [...lines, `${manifest.name}: and ${rest} more`] : lines, {
    cause: error,
  });
}

/** Problems are either predicates ("is missing") or sentences of their own. */
function joint(problem: Problem): string {
  return /^(is|are|has|have|stands|must|does|cannot|may)\b/.test(problem.message) ? " " : ": ";
}

// --------------------------------------------------------------------------------------------------------------
// JSON

function readJson(text: string): ManifestDocument | undefined {
  let value: JsonValue;
  try {
    value = parseStrictJson(text, { maxDepth: MAX_DEPTH });
  } catch (error) {
    if (!(error instanceof SignedPodsError)) throw error;
    return undefined;
  }
  let root: Node | null | undefined;
  return {
    value,
    offset: 0,
    problems: [],
    root: () => {
      // In JSON a tab or a carriage return is always white space between tokens; YAML is particular about both.
      root ??= parseYamlDocuments(text.replace(/[\t\r]/g, " "))[0]?.contents ?? null;
      return root;
    },
  };
}

// --------------------------------------------------------------------------------------------------------------
// YAML

/** Characters that YAML 1.1 takes for line breaks or refuses, or that readers skip (YAML 1.1 sections 4.1, 4.2). */
// deno-lint-ignore no-control-regex
const AMBIGUOUS_CHARACTERS = /[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]|\r(?!\n)/g;

function characterProblem(character: string): string {
  const code = (character.codePointAt(0) ?? 0).toString(16).padStart(4, "0");
  return `the character U+${code.toUpperCase()} is a line break or an error to some programs: ` +
    `write "\\u${code}" in double quotes, or leave it out`;
}

/** Places where kubectl, which cuts a text into documents at lines that begin with ---, sees other documents. */
function separatorProblems(text: string): OffsetProblem[] {
  const problems: OffsetProblem[] = [];
  for (const match of text.matchAll(/^---(?![ \t]*(?:\r?\n|$)|[ \t]+#)/gm)) {
    problems.push({
      offset: match.index,
      message: text.startsWith("-----BEGIN ", match.index)
        ? "this is PEM, a key or certificate: give the manifest here, and the key with --key or the certificate with --cert"
        : "kubectl ignores what stands on the line of ---: begin the document on the next line",
    });
  }
  let documentStart = 0;
  const mightBeJson = /^\s*\{/.test(text);
  for (const match of text.matchAll(/^(?:---|\.\.\.)(?=\s|$)/gm)) {
    const isEmpty = mightBeJson ||
      !/^[ \t]*[^#\s]/m.test(text.slice(documentStart, match.index));
    documentStart = match.index + match[0].length;
    if (match[0].endsWith("---")) continue;
    if (isEmpty) problems.push({ offset: match.index, message: "... ends nothing here: leave it out" });
    const rest = text.slice(documentStart).replace(/^---[^]*/m, "");
    if (/^[ \t]*[^#\s]/m.test(rest)) {
      problems.push({
        offset: match.index,
        message: "kubectl ignores what follows ...: begin the next document with a line of ---",
      });
    }
  }
  return problems;
}

/**
 * A comment that ends a text which begins as JSON: to see that YAML follows JSON, kubectl needs four bytes of it
 * (YAMLOrJSONDecoder.consumeWhitespace in k8s.io/apimachinery, pkg/util/yaml/decoder.go).
 */
function shortCommentProblems(text: string): OffsetProblem[] {
  const comment = /^\s*\{/.test(text) ? text.search(/(?<!\S)#[^\n]{0,2}\n?$/) : -1;
  if (comment < 0) return [];
  return [{
    offset: comment,
    message: "kubectl cannot read a comment as short as this behind JSON: leave it out",
  }];
}

/** What readers may read differently, whatever the text means: separators of documents, and characters. */
export function textProblems(text: string): OffsetProblem[] {
  const problems = [...separatorProblems(text), ...shortCommentProblems(text)];
  for (const match of text.matchAll(AMBIGUOUS_CHARACTERS)) {
    problems.push({ offset: match.index, message: characterProblem(match[0]) });
    if (problems.length > MAX_PRINTED_PROBLEMS) break;
  }
  return problems;
}

function readYaml(name: string, text: string): ManifestDocument[] {
  const manifest = { name, text };
  // Some programs take every line that begins like this for a directive, others only those before a document.
  const directive = text.search(/^%/m);
  if (directive >= 0) {
    throw inputError(manifest, [{
      offset: directive,
      message: "directives, lines that begin with %, change what YAML means: leave this line out",
    }]);
  }
  const parsed = parseYamlDocuments(text);
  const generalProblems = textProblems(text);
  if (parsed.length === 0) {
    const problems = [...generalProblems, ...tabProblems(text, [0, text.length], [])];
    if (problems.length > 0) throw inputError(manifest, problems);
  }
  return parsed.map((document, index) => {
    requireWellFormed(manifest, document);
    const offset = index === 0 ? 0 : document.range[0];
    const end = parsed[index + 1]?.range[0] ?? text.length;
    const problems = generalProblems.filter((problem) => problem.offset >= offset && problem.offset < end);
    const value = toJson(text, document.contents, problems, [offset, end]);
    problems.sort((a, b) => a.offset - b.offset);
    return { value, offset: contentOffset(document), problems, root: () => document.contents };
  });
}

function contentOffset(document: Document.Parsed): number {
  return document.contents?.range?.[0] ?? document.range[0];
}

function requireWellFormed(manifest: Pick<Manifest, "name" | "text">, document: Document.Parsed): void {
  const errors = document.errors.map((error) => ({ offset: error.pos[0], message: error.message }));
  if (errors.length > 0) throw inputError(manifest, errors);
}

function inputError(
  manifest: Pick<Manifest, "name" | "text">,
  problems: readonly OffsetProblem[],
): InputError {
  const lines = problems.slice(0, MAX_PRINTED_PROBLEMS).map(({ offset, message }) =>
    `${placeOf(manifest, offset)}: ${message}`
  );
  const rest = problems.length - lines.length;
  return new InputError(rest > 0 ? [...lines, `${manifest.name}: and ${rest} more`] : lines);
}

/**
 * The value of a node. What readers may read differently becomes a problem, and a guess in the value.
 *
 * @param text the text that the node's offsets are of
 * @param part the node's document in it
 */
function toJson(text: string, root: Node | null, problems: OffsetProblem[], part: TextRange): JsonValue {
  const scalars: TextRange[] = [];
  const report = (node: unknown, message: string) => {
    problems.push({ offset: offsetOf(node), message });
  };
  const visit = (node: unknown, depth: number, inFlow: boolean): JsonValue => {
    if (node === null || node === undefined) return null;
    if (depth > MAX_DEPTH) {
      report(node, `nested deeper than ${MAX_DEPTH} levels: no Kubernetes object is`);
      return null;
    }
    if (isAlias(node)) {
      report(node, `*${node.source} stands for a value elsewhere: write the value itself`);
      return null;
    }
    if (isMap(node)) {
      reportProperties(node);
      return visitMap(node, depth);
    }
    if (isSeq(node)) {
      reportProperties(node);
      return node.items.map((item) => visit(item, depth + 1, node.flow === true));
    }
    if (!isScalar(node)) return null;
    reportProperties(node);
    reportLayout(node, inFlow);
    return visitScalar(node);
  };
  const reportProperties = (node: { anchor?: string; tag?: string }) => {
    if (node.anchor !== undefined) {
      report(node, `the anchor &${node.anchor} is not needed without aliases: leave it out`);
    }
    if (node.tag !== undefined) {
      report(node, "a tag changes how programs read a value: leave it out, or write text in quotes");
    }
  };
  const reportLayout = (node: Scalar, inFlow: boolean) => {
    const [start, end] = node.range ?? [0, 0];
    scalars.push([start, end]);
    const problem = layoutProblem(node, inFlow, text, [start, end]);
    if (problem !== undefined) report(node, problem);
  };
  const visitScalar = (node: Scalar): JsonValue => {
    if (node.type !== Scalar.PLAIN) return typeof node.value === "string" ? node.value : "";
    const result = readPlainScalar(node.source ?? "");
    if (result.ok) return result.value;
    report(node, result.message);
    return node.source ?? "";
  };
  const visitMap = (map: YAMLMap, depth: number): JsonObject => {
    const object: JsonObject = {};
    const inFlow = map.flow === true;
    for (const pair of map.items) {
      const key = visitKey(pair, inFlow);
      if (key === undefined) continue;
      if (Object.hasOwn(object, key)) {
        report(
          pair.key,
          `the key ${JSON.stringify(key)} is there twice, and programs differ in which one they keep: ` +
            "leave one out",
        );
      }
      const value = visit(pair.value, depth + 1, inFlow);
      setOwn(object, key, value);
    }
    return object;
  };
  const visitKey = (pair: Pair, inFlow: boolean): string | undefined => {
    const node = pair.key;
    if (!isScalar(node)) {
      report(
        node ?? pair.value,
        isMap(node)
          ? "a key must be text, and this one is a mapping: of a template such as Helm's, sign what it renders to (helm template)"
          : 'a key must be text: write it as "key": value',
      );
      return undefined;
    }
    reportProperties(node);
    reportLayout(node, inFlow);
    const [start, end] = node.range ?? [0, 0];
    if (isExplicitKey(text, start)) report(node, "? before a key is not needed: write key: value");
    else if (isKeyOverLines(text, [start, end])) {
      report(node, "a key and its colon stand on one line: write key: value");
    }
    if (node.type !== Scalar.PLAIN) return typeof node.value === "string" ? node.value : undefined;
    if (inFlow && isJoinedToValue(text, end)) {
      report(node, "kubectl needs a space after the colon: write key: value");
    }
    const source = node.source ?? "";
    if (source === "<<") {
      report(node, "<< merges another mapping into this one: write its keys here");
      return undefined;
    }
    const result = readPlainScalar(source);
    if (!result.ok || typeof result.value !== "string") {
      report(node, `the key ${source || "without text"} is not text to all programs: write "${source}"`);
    }
    return source;
  };
  const value = visit(root, 1, false);
  problems.push(...tabProblems(text, part, scalars));
  return value;
}

function tabProblems(text: string, part: TextRange, scalars: readonly TextRange[]): OffsetProblem[] {
  return tabsInIndentation(text, part, scalars).map((offset) => ({
    offset,
    message: "a tab is no indentation: write spaces",
  }));
}

/** Why kubectl or others cannot read a scalar as it is written. */
function layoutProblem(
  node: Scalar,
  inFlow: boolean,
  text: string,
  range: TextRange,
): string | undefined {
  const source = text.slice(...range);
  switch (node.type) {
    case Scalar.QUOTE_SINGLE:
      if (!isClosed(source)) return "the quote that ends this is missing: write '…'";
      return quotesProblem(text.charAt(range[1]));
    case Scalar.QUOTE_DOUBLE: {
      const escape = jsonEscapeIn(source);
      if (escape !== undefined) return `kubectl cannot read ${escape} in YAML: write the character itself`;
      return quotesProblem(text.charAt(range[1]));
    }
    case Scalar.BLOCK_LITERAL:
    case Scalar.BLOCK_FOLDED:
      if (hasTabAsIndentation(source)) {
        return "kubectl reads no tab where this block is indented: indent it with spaces";
      }
      return endsInDoubtfulSpaces(text, range)
        ? "programs differ in lines of spaces at the end of this block: leave the spaces out"
        : undefined;
    default:
      return inFlow && /^:|\?/.test(source)
        ? `kubectl cannot read ${source} in brackets or braces: write it in quotes`
        : undefined;
  }
}

/** What stands right behind quotes, if it is more than punctuation. */
function quotesProblem(behind: string): string | undefined {
  return /[^\s:,\]}]/.test(behind)
    ? `kubectl cannot read ${behind} right behind quotes: put a space there, or write it into the quotes`
    : undefined;
}

function offsetOf(node: unknown): number {
  if (isScalar(node) || isMap(node) || isSeq(node) || isAlias(node)) return node.range?.[0] ?? 0;
  return 0;
}

// --------------------------------------------------------------------------------------------------------------
// Long lists

/**
 * Reads a long list as kubectl prints it, `items:` with entries that begin with a dash in the first column, piece by
 * piece. Such a line cannot be part of anything else: what belongs to an entry is indented.
 *
 * @returns undefined if the text is short or not of this form
 */
function readPiecewise(name: string, text: string): ManifestDocument[] | undefined {
  if (text.length < PIECEWISE_LENGTH) return undefined;
  const start = /^items:[ \t]*\r?\n(?=- )/m.exec(text);
  if (start === null || /^(---|\.\.\.|%)/m.test(text)) return undefined;
  const listStart = start.index + start[0].length;
  // The first line of the first column that is neither an entry, a comment nor blank ends the list.
  const end = /^[^\s#-]/m.exec(text.slice(listStart));
  const listEnd = end === null ? text.length : listStart + end.index;
  const frame = `${text.slice(0, start.index)}items: []\n${text.slice(listEnd)}`;
  const [head, ...others] = readYaml(name, frame);
  if (head === undefined || others.length > 0 || !isJsonObject(head.value) || head.problems.length > 0) {
    return undefined;
  }
  const items: JsonValue[] = [];
  const problems: OffsetProblem[] = [];
  for (const [from, to] of pieces(text, listStart, listEnd)) {
    const piece = text.slice(from, to);
    const [document, ...rest] = parseYamlDocuments(piece);
    // Whatever is odd is left to the whole parser, which knows the place of it.
    if (document === undefined || rest.length > 0 || document.errors.length > 0) return undefined;
    const pieceProblems = textProblems(piece);
    const value = toJson(piece, document.contents, pieceProblems, [0, piece.length]);
    if (!Array.isArray(value)) return undefined;
    for (const item of value) items.push(item);
    for (const problem of pieceProblems) problems.push({ ...problem, offset: problem.offset + from });
  }
  let root: Node | null | undefined;
  return [{
    value: { ...head.value, items },
    offset: 0,
    problems,
    root: () => {
      root ??= parseYamlDocuments(text)[0]?.contents ?? null;
      return root;
    },
  }];
}

/** Cuts a list before lines that begin with a dash. */
function* pieces(text: string, listStart: number, listEnd: number): Generator<[number, number]> {
  let from = listStart;
  while (from < listEnd) {
    const next = from + PIECE_LENGTH >= listEnd ? -1 : text.indexOf("\n- ", from + PIECE_LENGTH);
    const to = next < 0 || next >= listEnd ? listEnd : next + 1;
    yield [from, to];
    from = to;
  }
}

// --------------------------------------------------------------------------------------------------------------
// Places

/** The node at a path, or undefined. */
export function nodeAt(root: Node | null, path: Path): unknown {
  let node: unknown = root;
  for (const step of path) {
    if (typeof step === "number" && isSeq(node)) node = node.items[step];
    else if (isMap(node)) node = pairOf(node, String(step))?.value;
    else return undefined;
  }
  return node;
}

/** Where the value at a path begins in the text; where the document does if the path leads nowhere. */
export function offsetAt(document: ManifestDocument, path: Path): number {
  const node = nodeAt(document.root(), path);
  return (isNode(node) ? node.range?.[0] : undefined) ?? document.offset;
}

/** The pair with a key of a mapping, or undefined. */
export function pairOf(map: YAMLMap, key: string): Pair | undefined {
  return map.items.find((pair) => keyText(pair) === key);
}

function keyText(pair: Pair): string | undefined {
  if (!isScalar(pair.key)) return undefined;
  return pair.key.type === Scalar.PLAIN ? pair.key.source ?? "" : String(pair.key.value);
}

/** Fields by which entries of lists are named in paths. */
const NAME_FIELDS = ["name", "key", "mountPath", "devicePath", "containerPort", "ip", "topologyKey"];

/**
 * The offset of what a problem's path names, or of the nearest thing around it.
 *
 * @param base where the path begins
 * @param path for example `spec.containers[app].image`
 */
function locate(manifest: Manifest, document: ManifestDocument, base: Path, path: string): number {
  let node = nodeAt(document.root(), base);
  let offset = isMap(node) || isSeq(node) ? offsetOf(node) : document.offset;
  let rest = path;
  while (rest !== "") {
    const step = nextStep(node, rest.replace(/^\./, ""));
    if (step === undefined) break;
    ({ node, rest } = step);
    offset = step.offset;
  }
  return Math.min(offset, manifest.text.length);
}

function nextStep(node: unknown, path: string): { node: unknown; offset: number; rest: string } | undefined {
  if (isMap(node)) {
    let best: { node: unknown; offset: number; rest: string } | undefined;
    for (const pair of node.items) {
      const key = keyText(pair);
      if (key === undefined) continue;
      // Keys of labels hold dots themselves and stand in brackets or after a dot; the longest that fits is meant.
      for (const written of [key, `[${key}]`, `["${key}"]`]) {
        if (!path.startsWith(written) || !/^(?:$|[.[])/.test(path.slice(written.length))) continue;
        const rest = path.slice(written.length);
        if (best === undefined || rest.length < best.rest.length) {
          best = { node: pair.value, offset: offsetOf(pair.key), rest };
        }
      }
    }
    return best;
  }
  if (isSeq(node)) {
    const bracket = /^\[([^\]]*)\]/.exec(path);
    if (bracket === null) return undefined;
    const label = bracket[1] ?? "";
    const named = node.items.find((item) => NAME_FIELDS.some((field) => scalarText(item, field) === label));
    const item = named ?? (/^\d+$/.test(label) ? node.items[Number(label)] : undefined);
    return item === undefined
      ? undefined
      : { node: item, offset: offsetOf(item), rest: path.slice(bracket[0].length) };
  }
  return undefined;
}

function scalarText(item: unknown, field: string): string | undefined {
  if (!isMap(item)) return undefined;
  const value = pairOf(item, field)?.value;
  return isScalar(value) ? value.source ?? String(value.value) : undefined;
}
