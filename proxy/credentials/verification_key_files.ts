/**
 * The keys that may sign, as files. What a key may do is said by where its file lies, so that nobody, an older version
 * of this program included, can take a restricted key for an unrestricted one:
 *
 * ```text
 * FOLDER/*                  signs for every namespace
 * FOLDER/namespaces/NAME/*  signs for the namespace NAME only; a key may lie in several
 * FOLDER/revoked/*          is trusted no more, wherever else it lies; the pods that it admitted are stopped
 * ```
 *
 * A path that is a file instead of a folder signs for every namespace. Hidden files, such as `..data` of mounted volumes,
 * are passed over; anything else that is not as above is refused.
 *
 * @module
 */
import type { Problem } from "@signed-pods/shared/errors";
import { readVerificationKeys, type VerificationKey } from "@signed-pods/shared/keys";
import { isDnsLabel } from "@signed-pods/shared/pod/grammar";
import type { FileContent, FileContents, FileReader, FileSet, ParsedFiles } from "./file_set.ts";

/** The keys of a node. */
export interface VerificationKeySet {
  trusted: VerificationKey[];
  revoked: VerificationKey[];
}

/** Reads files and folders. */
export interface FolderReader extends FileReader {
  stat(path: string): Promise<{ isDirectory: boolean }>;
  /** Names in a folder. */
  list(path: string): Promise<string[]>;
}

/** The flag that names the paths. */
const FLAG = "--signature-verification-cert";

/** Most files in one folder: a folder of certificates has some tens, a folder that was named by mistake has many. */
export const MAX_FOLDER_ENTRIES = 1000;

const NAMESPACES = "namespaces";
const REVOKED = "revoked";

/** What the keys of a file may do. */
type Scope = { kind: "all" } | { kind: "namespace"; name: string } | { kind: "revoked" };

/** @param paths files and folders, as the flag gave them */
export function verificationKeyFiles(
  paths: readonly string[],
  reader: FolderReader,
): FileSet<VerificationKeySet> {
  const roots = paths.map((path) => path.replace(/(?<=.)\/+$/, ""));
  return {
    name: "verification-keys",
    async read() {
      const walk = new Walk(reader);
      for (const root of roots) {
        await walk.path(root);
      }
      return walk.found;
    },
    parse: (contents) => parse(roots, contents, reader),
  };
}

/** Collects what lies where. */
class Walk {
  readonly found = new Map<string, FileContent>();

  constructor(readonly reader: FolderReader) {}

  async path(root: string): Promise<void> {
    await this.attempt(root, async () => {
      if (!(await this.reader.stat(root)).isDirectory) {
        return await this.file(root);
      }
      for (const path of await this.members(root)) {
        if (!(await this.reader.stat(path)).isDirectory) {
          await this.file(path);
        } else if (path === `${root}/${REVOKED}`) {
          await this.files(path);
        } else if (path === `${root}/${NAMESPACES}`) {
          await this.namespaces(path);
        } else {
          this.refuse(path, `is a folder; only "${NAMESPACES}" and "${REVOKED}" have a meaning here`);
        }
      }
    });
  }

  async namespaces(folder: string): Promise<void> {
    await this.attempt(folder, async () => {
      for (const path of await this.members(folder)) {
        if (!(await this.reader.stat(path)).isDirectory) {
          this.refuse(path, "lies in no namespace's folder; move it into one");
        } else if (!isDnsLabel(path.slice(folder.length + 1))) {
          this.refuse(path, "is not the name of a namespace");
        } else {
          await this.files(path);
        }
      }
    });
  }

  /** A folder of files alone. */
  async files(folder: string): Promise<void> {
    await this.attempt(folder, async () => {
      for (const path of await this.members(folder)) {
        if ((await this.reader.stat(path)).isDirectory) {
          this.refuse(path, "is a folder; put files here");
        } else {
          await this.file(path);
        }
      }
    });
  }

  async file(path: string): Promise<void> {
    await this.attempt(path, async () => {
      this.found.set(path, { kind: "text", text: await this.reader.readText(path) });
    });
  }

  async members(folder: string): Promise<string[]> {
    const names = (await this.reader.list(folder)).filter((name) => !name.startsWith(".")).sort();
    if (names.length > MAX_FOLDER_ENTRIES) {
      throw new Error(`holds more than ${MAX_FOLDER_ENTRIES} files; name a folder of certificates only`);
    }
    return names.map((name) => `${folder}/${name}`);
  }

  refuse(path: string, problem: string): void {
    this.found.set(path, { kind: "unreadable", problem });
  }

  async attempt(path: string, action: () => Promise<void>): Promise<void> {
    try {
      await action();
    } catch (error) {
      this.refuse(path, this.reader.describe(error));
    }
  }
}

async function parse(
  roots: readonly string[],
  contents: FileContents,
  { describe }: FileReader,
): Promise<ParsedFiles<VerificationKeySet>> {
  const problems: Problem[] = [];
  const report = (path: string, problem: string) =>
    void problems.push({ path: FLAG, message: `"${path}": ${problem}` });
  const revoked = new Map<string, VerificationKey>();
  const scoped: { key: VerificationKey; namespace: string | undefined }[] = [];

  for (const root of roots) {
    const inside = [...contents].filter(([path]) => path === root || path.startsWith(`${root}/`));
    if (inside.length === 0) {
      report(root, "is a folder without files; put the certificates there");
    }
    for (const [path, content] of inside) {
      if (content.kind === "unreadable") {
        report(path, content.problem);
        continue;
      }
      try {
        const scope = scopeOf(path === root ? "" : path.slice(root.length + 1));
        for (const key of await readVerificationKeys(content.text, path)) {
          if (scope.kind === "revoked") {
            revoked.set(key.id, key);
          } else {
            scoped.push({ key, namespace: scope.kind === "all" ? undefined : scope.name });
          }
        }
      } catch (error) {
        report(path, describe(error));
      }
    }
  }

  const trusted = new Map<string, VerificationKey>();
  const unrestricted = new Map(
    scoped.flatMap(({ key, namespace }) => namespace === undefined ? [[key.id, key.source] as const] : []),
  );
  for (const { key, namespace } of scoped) {
    if (revoked.has(key.id)) {
      continue;
    }
    const elsewhere = unrestricted.get(key.id);
    if (namespace !== undefined && elsewhere !== undefined) {
      report(key.source, `is for one namespace, but "${elsewhere}" is the same key for all; remove one`);
      continue;
    }
    // The same key with two certificates is kept twice: their dates may differ.
    const identity = `${key.id} ${key.notBefore?.getTime()} ${key.notAfter?.getTime()}`;
    const namespaces = namespace === undefined
      ? undefined
      : [...trusted.get(identity)?.namespaces ?? [], namespace];
    trusted.set(identity, { ...key, ...(namespaces === undefined ? {} : { namespaces }) });
  }
  return problems.length > 0
    ? { ok: false, problems }
    : { ok: true, value: { trusted: [...trusted.values()], revoked: [...revoked.values()] } };
}

/** @param path below the folder that the flag names; empty for a file that it names itself */
function scopeOf(path: string): Scope {
  const [first = "", second = "", ...rest] = path.split("/");
  if (second === "" && rest.length === 0) {
    return { kind: "all" };
  }
  if (first === REVOKED && rest.length === 0) {
    return { kind: "revoked" };
  }
  if (first === NAMESPACES && rest.length === 1) {
    return { kind: "namespace", name: second };
  }
  throw new Error("does not lie where a key has a meaning");
}
