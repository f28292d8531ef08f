/**
 * Files that mean something together, such as a certificate and its key: read together, and taken together or not at all.
 *
 * @module
 */
import type { Problem } from "@signed-pods/shared/errors";

/** What was found at a path. */
export type FileContent =
  | { kind: "text"; text: string }
  /** It cannot be read, and why. */
  | { kind: "unreadable"; problem: string };

/** What was found, by path. */
export type FileContents = ReadonlyMap<string, FileContent>;

/** What the files mean, or all that is wrong with them. */
export type ParsedFiles<T> = { ok: true; value: T } | { ok: false; problems: Problem[] };

/** Files that are taken together or not at all. */
export interface FileSet<T> {
  /** Stable name, for the log and for counts. */
  readonly name: string;
  /** Reads all of them. Never throws: what cannot be read is part of what was found. */
  read(): Promise<FileContents>;
  /** Says what they mean. Reads nothing. */
  parse(contents: FileContents): Promise<ParsedFiles<T>>;
}

/** A set of files as it is in force. */
export interface LoadedFiles<T> {
  set: FileSet<T>;
  contents: FileContents;
}

/** How a file is read, and how it is said why it cannot be. */
export interface FileReader {
  readText(path: string): Promise<string>;
  describe(error: unknown): string;
}

/** Reads files; each path once. */
export async function readFiles(
  paths: readonly string[],
  { readText, describe }: FileReader,
): Promise<Map<string, FileContent>> {
  const contents = new Map<string, FileContent>();
  for (const path of new Set(paths)) {
    try {
      contents.set(path, { kind: "text", text: await readText(path) });
    } catch (error) {
      contents.set(path, { kind: "unreadable", problem: describe(error) });
    }
  }
  return contents;
}

/**
 * The text of a file among what was found.
 *
 * @throws {Error} with why it cannot be read
 */
export function textOf(contents: FileContents, path: string): string {
  const content = contents.get(path);
  if (content?.kind === "text") {
    return content.text;
  }
  throw new Error(content?.problem ?? "was not read");
}
