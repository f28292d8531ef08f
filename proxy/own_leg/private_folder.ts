/**
 * A folder that one user alone can enter, with files that change whole or not at all.
 *
 * @module
 */
import { messageOf } from "@signed-pods/shared/errors";

const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;
const OTHERS = 0o077;

/** A folder for private files. */
export interface PrivateFolder<Name extends string> {
  /** What is in the files that are there. */
  read(): Promise<Map<Name, string>>;
  /** Writes a file: whoever reads it finds the old text or the new one. */
  write(name: Name, text: string): Promise<void>;
}

/** What one file or folder is. */
type Found = "absent" | { mode: number; uid: number | null };

/**
 * Opens a folder.
 *
 * @param path full path; it need not be there
 * @param names of the files in it that matter; what else is there is left alone
 */
export function openPrivateFolder<Name extends string>(
  path: string,
  names: readonly Name[],
): PrivateFolder<Name> {
  return {
    async read() {
      const texts = new Map<Name, string>();
      const folder = await look(path, "isDirectory");
      if (folder === "absent") return texts;
      for (const name of names) {
        const file = `${path}/${name}`;
        if (await look(file, "isFile") !== "absent") texts.set(name, await Deno.readTextFile(file));
      }
      return texts;
    },
    async write(name, text) {
      await Deno.mkdir(path, { recursive: true, mode: FOLDER_MODE });
      const folder = await look(path, "isDirectory");
      // A name of its own: two that write at a time do not write into each other's file.
      const temporary = `${path}/.${name}.${crypto.randomUUID()}`;
      const file = await Deno.open(temporary, { write: true, createNew: true, mode: FILE_MODE });
      try {
        try {
          const { uid } = await file.stat();
          if (folder === "absent" || uid !== folder.uid) {
            throw new Error(
              `"${path}" belongs to another user (${
                folder === "absent" ? "" : folder.uid
              }); run this as its owner, whose proxy must be able to read it`,
            );
          }
          await writeAll(file, new TextEncoder().encode(text));
          await file.sync();
        } finally {
          file.close();
        }
        await Deno.rename(temporary, `${path}/${name}`);
      } catch (error) {
        await Deno.remove(temporary).catch(() => {});
        throw error;
      }
    },
  };
}

async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let rest = bytes; rest.length > 0;) {
    rest = rest.subarray(await file.write(rest));
  }
}

/** Looks at a file or folder itself, not at where a link leads. */
async function look(path: string, kind: "isFile" | "isDirectory"): Promise<Found> {
  let info: Deno.FileInfo;
  try {
    info = await Deno.lstat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "absent";
    throw new Error(`"${path}": ${messageOf(error)}`, { cause: error });
  }
  if (!info[kind]) {
    throw new Error(`"${path}" is no ${kind === "isFile" ? "file" : "folder"}; move it away`);
  }
  const mode = info.mode ?? 0;
  if ((mode & OTHERS) !== 0) {
    const octal = (mode & 0o777).toString(8);
    throw new Error(
      `"${path}" is open to others (mode ${octal}), who may have read it; if nobody has, chmod go= it, else remove it`,
    );
  }
  return { mode, uid: info.uid };
}
