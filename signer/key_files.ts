/**
 * What the key folder asks of the file system, and the real one.
 *
 * @module
 */

/** What is looked at before a file or folder is trusted. Symbolic links are not followed. */
export interface FileFacts {
  isDirectory: boolean;
  isFile: boolean;
  isSymlink: boolean;
  /** The bits of chmod(1); null where the system has none. */
  mode: number | null;
  /** The owner; null where the system has none. */
  uid: number | null;
  size: number;
}

/** Files of the key folder. Every function throws what the system says. */
export interface KeyFiles {
  /** Undefined if there is nothing. */
  facts(path: string): Promise<FileFacts | undefined>;
  /** Makes one folder, for this user only. */
  makeFolder(path: string): Promise<void>;
  /** Names in a folder. */
  list(path: string): Promise<string[]>;
  /** Undefined if there is no such file. */
  read(path: string): Promise<string | undefined>;
  /** Makes a file, for this user only, and returns when its content is on the disk. Fails if there is one. */
  create(path: string, text: string): Promise<void>;
  /** Puts a file into the place of another, at once. */
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  /** Returns when the names of a folder are on the disk. */
  syncFolder(path: string): Promise<void>;
  /** Takes a lock that ends with the process; undefined if another process has it. */
  lock(path: string): Promise<{ release(): void } | undefined>;
}

/** Only the server's user may enter. */
const FOLDER_MODE = 0o700;

/** Only the server's user may read or write. */
const FILE_MODE = 0o600;

async function unlessMissing<T>(operation: Promise<T>): Promise<T | undefined> {
  try {
    return await operation;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** The files of this machine. */
export const systemKeyFiles: KeyFiles = {
  facts: (path) => unlessMissing(Deno.lstat(path)),
  makeFolder: (path) => Deno.mkdir(path, { mode: FOLDER_MODE }),
  list: async (path) => (await Array.fromAsync(Deno.readDir(path))).map(({ name }) => name),
  read: (path) => unlessMissing(Deno.readTextFile(path)),
  async create(path, text) {
    using file = await Deno.open(path, { write: true, createNew: true, mode: FILE_MODE });
    const bytes = new TextEncoder().encode(text);
    for (let written = 0; written < bytes.length;) written += await file.write(bytes.subarray(written));
    await file.sync();
  },
  rename: (from, to) => Deno.rename(from, to),
  remove: (path) => Deno.remove(path),
  async syncFolder(path) {
    using folder = await Deno.open(path);
    await folder.sync();
  },
  async lock(path) {
    const file = await Deno.open(path, { write: true, create: true, mode: FILE_MODE });
    if (await file.tryLock(true)) return { release: () => file.close() };
    file.close();
    return undefined;
  },
};
