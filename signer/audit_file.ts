/**
 * The audit log as a file that is rotated by size: `FILE`, `FILE.1` (the newest before it), `FILE.2`, …
 *
 * The file is opened for each line, so that it may also be moved away by hand. A line that could not be written whole is
 * taken back, and one that a power failure cut off is ended before the next one begins.
 *
 * @module
 */
import { type AuditLog, inOrder } from "./audit.ts";

/** A file that would become larger is rotated. A line has about 500 bytes: 30,000 signatures. */
export const AUDIT_FILE_MAX_BYTES: number = 16 * 1024 * 1024;

/** Files that are kept beside the current one: half a million signatures and 256 MiB in all. Older ones are overwritten. */
export const AUDIT_FILES_KEPT = 15;

/** What the log asks of the file system. Every function throws what the system says. */
export interface AuditFiles {
  /** Undefined if there is no such file. */
  size(path: string): Promise<number | undefined>;
  /** The byte at a position. */
  byteAt(path: string, position: number): Promise<number | undefined>;
  /** Appends, makes the file if there is none, and returns when the text is on the disk. */
  append(path: string, text: string): Promise<void>;
  truncate(path: string, size: number): Promise<void>;
  /** Does nothing if there is no such file. */
  rename(from: string, to: string): Promise<void>;
}

/** The files that a log may write, for permissions. */
export function auditFilePaths(path: string): string[] {
  return [path, ...Array.from({ length: AUDIT_FILES_KEPT }, (_, index) => `${path}.${index + 1}`)];
}

/** Opens a log. */
export function createAuditFile(
  path: string,
  files: AuditFiles,
  maxBytes: number = AUDIT_FILE_MAX_BYTES,
): AuditLog {
  const paths = auditFilePaths(path);

  async function rotate(): Promise<void> {
    for (let index = paths.length - 2; index >= 0; index--) {
      await files.rename(paths[index] ?? path, paths[index + 1] ?? path);
    }
  }

  return inOrder(async (line) => {
    let size = await files.size(path) ?? 0;
    if (size > 0 && size + new TextEncoder().encode(line).length > maxBytes) {
      await rotate();
      size = 0;
    }
    const cut = size > 0 && await files.byteAt(path, size - 1) !== NEWLINE;
    try {
      await files.append(path, cut ? `\n${line}` : line);
    } catch (error) {
      // Where this fails too, the next line finds the cut one and ends it.
      await files.truncate(path, size).catch(() => {});
      throw error;
    }
  });
}

const NEWLINE = 0x0a;

/** Only the server's user may read who signs what. */
const FILE_MODE = 0o600;

/** The files of this machine. */
export const systemAuditFiles: AuditFiles = {
  async size(path) {
    try {
      return (await Deno.stat(path)).size;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
  },
  async byteAt(path, position) {
    using file = await Deno.open(path);
    await file.seek(position, Deno.SeekMode.Start);
    const byte = new Uint8Array(1);
    return await file.read(byte) === 1 ? byte[0] : undefined;
  },
  async append(path, text) {
    using file = await Deno.open(path, { append: true, create: true, mode: FILE_MODE });
    const bytes = new TextEncoder().encode(text);
    for (let written = 0; written < bytes.length;) written += await file.write(bytes.subarray(written));
    await file.syncData();
  },
  truncate: (path, size) => Deno.truncate(path, size),
  async rename(from, to) {
    try {
      await Deno.rename(from, to);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  },
};
