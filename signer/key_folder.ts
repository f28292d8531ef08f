/**
 * The key folder: the signing key and its certificate on disk, and the certificates of the keys before it.
 *
 * | file | content |
 * |---|---|
 * | `current.pem` | the private key that signs, and its certificate |
 * | `next.pem` | the key that is to sign after the next rotation, and its certificate; usually not there |
 * | `retired.pem` | certificates of earlier keys, newest first; their private keys are gone |
 * | `lock` | held by whoever writes |
 *
 * Key and certificate stand in one file, as in the kubelet's `kubelet-client-current.pem`, so that one rename(2) replaces
 * both. A rotation makes `next.pem`, writes the present certificate into `retired.pem`, and renames `next.pem` to
 * `current.pem`. Each step leaves a folder that says the same as before or after it: there is no half state to repair.
 *
 * @module
 */
import { SignedPodsError } from "@signed-pods/shared/errors";
import { systemReason } from "@signed-pods/shared/file-error";
import type { KeyFiles } from "./key_files.ts";
import { KeyFolderError, type KeyFolderErrorCode } from "./key_folder_error.ts";
import {
  type Certificate,
  createKeyFile,
  type NewKey,
  readCertificates,
  readKeyFile,
  type SigningIdentity,
} from "./signing_identity.ts";

/**
 * Most certificates of earlier keys that are kept. All of them are one answer of `GET /signingcert?all=1`, and podsign
 * reads answers up to 64 KiB; a certificate of an RSA key takes 1.6 KB.
 */
export const MAX_RETIRED_CERTIFICATES = 30;

/** Largest file that is read: more than {@linkcode MAX_RETIRED_CERTIFICATES} certificates take. */
export const MAX_KEY_FILE_BYTES: number = 128 * 1024;

/** How long a lock is waited for: whoever writes is done within a second, unless it makes an RSA key on a slow machine. */
export const LOCK_TIMEOUT_MS = 10_000;

/** How often a lock is tried. */
const LOCK_INTERVAL_MS = 50;

const CURRENT = "current.pem";
const NEXT = "next.pem";
const RETIRED = "retired.pem";
const LOCK = "lock";

/** Files that are being written; what is left of them was never used. */
const TEMPORARY_PREFIX = ".new-";

/** All bits that let others than the owner do anything. */
const OTHERS = 0o077;

/** The keys of a server. */
export interface KeyRing {
  /** Signs. */
  current: SigningIdentity;
  /** Is to sign after the next rotation. */
  staged?: Certificate;
  /** Of earlier keys, newest first. */
  retired: readonly Certificate[];
}

/** A folder, and the effects on it. */
export interface KeyFolderOptions {
  folder: string;
  files: KeyFiles;
  /** Waits; tests do not. */
  sleep: (ms: number) => Promise<void>;
  lockTimeoutMs?: number;
}

/** What opening a folder did. */
export interface OpenedKeyFolder {
  ring: KeyRing;
  /** Whether a key was made, because there was none. */
  made: boolean;
}

/**
 * Opens the folder, and makes folder and key if there are none.
 *
 * @throws {KeyFolderError}
 */
export async function openKeyFolder(options: KeyFolderOptions, newKey: NewKey): Promise<OpenedKeyFolder> {
  const { folder, files } = options;
  return await locked(options, true, async () => {
    let made = false;
    if (await files.facts(`${folder}/${CURRENT}`) === undefined) {
      if (await files.facts(`${folder}/${RETIRED}`) !== undefined) {
        throw problem(
          "key-missing",
          folder,
          `holds certificates of earlier keys, but no ${CURRENT}: bring it back, or name another folder`,
        );
      }
      await replace(options, CURRENT, await createKeyFile(newKey));
      made = true;
    }
    return { ring: await readRing(options), made };
  });
}

/** What a rotation did. */
export type Rotation =
  /** The next key waits; the same one signs as before. */
  | { kind: "staged"; staged: Certificate }
  /** Another key signs now. */
  | { kind: "rotated"; current: Certificate; previous: Certificate };

/**
 * Replaces the key: by the staged one, or if there is none by a new one.
 *
 * @param stage only makes the next key, so that nodes can be told of its certificate before it signs
 * @throws {KeyFolderError}
 */
export async function rotateKey(
  options: KeyFolderOptions,
  newKey: NewKey,
  { stage }: { stage: boolean },
): Promise<Rotation> {
  const { folder, files } = options;
  return await locked(options, false, async () => {
    if (await files.facts(`${folder}/${CURRENT}`) === undefined) {
      throw problem("no-key-yet", folder, `holds no ${CURRENT}: start signing-server with it first`);
    }
    const { current, staged, retired } = await readRing(options);
    if (stage && staged !== undefined) {
      throw problem(
        "already-staged",
        folder,
        "has a staged key already: bring its certificate to the nodes, then run rotate without --stage",
      );
    }
    const kept = [current, ...retired].filter(({ notAfter }) => notAfter > newKey.now);
    if (kept.length > MAX_RETIRED_CERTIFICATES) {
      throw problem(
        "too-many-certificates",
        folder,
        `holds ${MAX_RETIRED_CERTIFICATES} certificates of earlier keys that are still valid: remove from ${RETIRED} ` +
          "those by which no pod runs any more",
      );
    }
    if (staged === undefined) await replace(options, NEXT, await createKeyFile(newKey));
    const next = staged ?? await readIdentity(options, NEXT);
    if (stage) return { kind: "staged", staged: next };
    await replace(options, RETIRED, kept.map(({ pem }) => pem).join(""));
    await files.rename(`${folder}/${NEXT}`, `${folder}/${CURRENT}`);
    await files.syncFolder(folder);
    return { kind: "rotated", current: next, previous: current };
  });
}

/** The texts of all files: equal texts mean an equal ring. */
export async function readTexts({ folder, files }: KeyFolderOptions): Promise<string> {
  const texts = await Promise.all([CURRENT, NEXT, RETIRED].map((name) => files.read(`${folder}/${name}`)));
  return JSON.stringify(texts.map((text) => text ?? null));
}

/**
 * Reads the folder.
 *
 * @throws {KeyFolderError}
 */
export async function readRing(options: KeyFolderOptions): Promise<KeyRing> {
  const { folder, files } = options;
  const owner = await checkFolder(options);
  for (const name of [CURRENT, NEXT, RETIRED]) {
    const path = `${folder}/${name}`;
    const facts = await files.facts(path);
    if (facts === undefined) continue;
    if (facts.isSymlink) throw problem("symlink", path, "is a symbolic link: put the file itself there");
    if (!facts.isFile) throw problem("wrong-kind", path, "is no file: move it away");
    checkOwner(path, facts.uid, owner);
    checkMode(path, facts.mode, "chmod 600");
    if (facts.size > MAX_KEY_FILE_BYTES) {
      throw problem(
        "too-large",
        path,
        `has more than ${MAX_KEY_FILE_BYTES} bytes: is it a file of signing-server?`,
      );
    }
  }
  const current = await readIdentity(options, CURRENT);
  const staged = await readOptional(options, NEXT, readKeyFile);
  const retired = await readOptional(options, RETIRED, readCertificates) ?? [];
  const ring: KeyRing = {
    current,
    // Between two steps of a rotation a certificate stands in two files.
    retired: retired.filter(({ keyId }) => keyId !== current.keyId && keyId !== staged?.keyId),
  };
  return staged === undefined || staged.keyId === current.keyId
    ? ring
    : { ...ring, staged: withoutKey(staged) };
}

/** Certificates that nodes are to trust at a time, newest first: of the staged key, the current one, and earlier ones. */
export function validCertificates({ staged, current, retired }: KeyRing, now: Date): Certificate[] {
  return [...(staged === undefined ? [] : [staged]), current, ...retired].filter(({ notAfter }) =>
    notAfter > now
  );
}

function withoutKey(
  { pem, fingerprint, keyId, serialNumber, notBefore, notAfter }: Certificate,
): Certificate {
  return { pem, fingerprint, keyId, serialNumber, notBefore, notAfter };
}

// ---------------------------------------------------------------------------------------------------------------
// Files

async function readIdentity(options: KeyFolderOptions, name: string): Promise<SigningIdentity> {
  const identity = await readOptional(options, name, readKeyFile);
  if (identity === undefined) throw problem("key-missing", `${options.folder}/${name}`, "is gone");
  return identity;
}

async function readOptional<T>(
  { folder, files }: KeyFolderOptions,
  name: string,
  parse: (text: string) => Promise<T>,
): Promise<T | undefined> {
  const path = `${folder}/${name}`;
  const text = await files.read(path);
  if (text === undefined) return undefined;
  try {
    return await parse(text);
  } catch (error) {
    if (error instanceof KeyFolderError) throw problem(error.code, path, error.message);
    if (error instanceof SignedPodsError) {
      throw problem("key-malformed", path, `cannot be read: ${error.message}`, { cause: error });
    }
    throw error;
  }
}

/** Writes a file beside the old one, and puts it in its place when it is on the disk. */
async function replace({ folder, files }: KeyFolderOptions, name: string, text: string): Promise<void> {
  const temporary = temporaryName(folder);
  try {
    await files.create(temporary, text);
    await files.rename(temporary, `${folder}/${name}`);
  } catch (error) {
    await files.remove(temporary).catch(() => {});
    throw error;
  }
  await files.syncFolder(folder);
}

/** Runs with the folder checked and its lock held. */
async function locked<T>(options: KeyFolderOptions, make: boolean, run: () => Promise<T>): Promise<T> {
  const { folder, files, sleep, lockTimeoutMs = LOCK_TIMEOUT_MS } = options;
  try {
    if (await files.facts(folder) === undefined) {
      if (!make) throw problem("folder-missing", folder, "does not exist; see whether the path is right");
      await makeFolder(options);
    }
    await checkFolder(options);
    let lock = await files.lock(`${folder}/${LOCK}`);
    for (let waitedMs = 0; lock === undefined; waitedMs += LOCK_INTERVAL_MS) {
      if (waitedMs >= lockTimeoutMs) {
        throw problem("locked", folder, "is being written by another signing-server: wait until it is done");
      }
      await sleep(LOCK_INTERVAL_MS);
      lock = await files.lock(`${folder}/${LOCK}`);
    }
    try {
      for (const name of await files.list(folder)) {
        if (name.startsWith(TEMPORARY_PREFIX)) await files.remove(`${folder}/${name}`);
      }
      await checkOwnFolder(options);
      return await run();
    } finally {
      lock.release();
    }
  } catch (error) {
    if (error instanceof KeyFolderError || error instanceof Error && error.name === "NotCapable") throw error;
    throw problem("io", folder, `cannot be used: ${systemReason(error)}`, { cause: error });
  }
}

async function makeFolder({ folder, files }: KeyFolderOptions): Promise<void> {
  try {
    await files.makeFolder(folder);
  } catch (error) {
    const name = error instanceof Error ? error.name : "";
    // Another server may have been faster.
    if (name === "AlreadyExists") return;
    if (name !== "NotFound") throw error;
    throw problem("folder-missing", folder, "cannot be made: the folder above it does not exist", {
      cause: error,
    });
  }
}

/** Checks the folder itself, and returns whose it is. */
async function checkFolder({ folder, files }: KeyFolderOptions): Promise<number | null> {
  const facts = await files.facts(folder);
  if (facts === undefined) {
    throw problem("folder-missing", folder, "does not exist; see whether the path is right");
  }
  if (facts.isSymlink) throw problem("symlink", folder, "is a symbolic link: name the folder that it means");
  if (!facts.isDirectory) throw problem("wrong-kind", folder, "is no folder: name a folder");
  checkMode(folder, facts.mode, "chmod 700");
  return facts.uid;
}

/**
 * Checks that the folder belongs to the user who runs this: whom a new file in it belongs to. root could use the folder of
 * anybody, who could then read what root wrote; and would leave files that the folder's owner cannot read.
 */
async function checkOwnFolder({ folder, files }: KeyFolderOptions): Promise<void> {
  const probe = temporaryName(folder);
  await files.create(probe, "");
  const [own, its] = await Promise.all([files.facts(probe), files.facts(folder)]);
  await files.remove(probe);
  if (own === undefined || its === undefined || own.uid !== its.uid) {
    throw problem("foreign-owner", folder, "belongs to another user: run signing-server as that user");
  }
}

function temporaryName(folder: string): string {
  return `${folder}/${TEMPORARY_PREFIX}${crypto.randomUUID()}`;
}

function checkMode(path: string, mode: number | null, fix: string): void {
  if (mode === null || (mode & OTHERS) === 0) return;
  const bits = (mode & 0o777).toString(8).padStart(3, "0");
  throw problem("not-private", path, `can be read or written by others (mode ${bits}): run ${fix} on it`);
}

function checkOwner(path: string, uid: number | null, owner: number | null): void {
  if (uid === owner) return;
  throw problem("foreign-owner", path, "does not belong to the user whose folder it is in: run chown on it");
}

function problem(
  code: KeyFolderErrorCode,
  path: string,
  what: string,
  options?: ErrorOptions,
): KeyFolderError {
  return new KeyFolderError(code, `"${path}" ${what}`, options);
}
