/**
 * Where the server's keys are: in memory only, or in a folder whose changes are followed.
 *
 * @module
 */
import { follow } from "./followed.ts";
import { type KeyFolderOptions, type KeyRing, openKeyFolder, readRing, readTexts } from "./key_folder.ts";
import { createIdentity, DAY_MS, type NewKey } from "./signing_identity.ts";

/** A certificate's end is warned of this long ahead: the time to bring another one to every node. */
export const EXPIRY_WARNING_DAYS = 30;

/** The keys of a server. */
export interface KeyStore {
  /** The keys as they are now. */
  ring(): Promise<KeyRing>;
}

/** Makes a key that lives as long as the process. */
export async function createMemoryKeyStore(newKey: NewKey): Promise<KeyStore> {
  const ring: KeyRing = { current: await createIdentity(newKey), retired: [] };
  return { ring: () => Promise.resolve(ring) };
}

/** What is said of changes in the folder. */
export interface KeyStoreEvents {
  onChange: (ring: KeyRing) => void;
  /** The keys that were read last stay in use. */
  onFailure: (error: unknown) => void;
}

/**
 * Opens a key folder, and makes folder and key if there are none.
 *
 * @throws {KeyFolderError}
 */
export async function openKeyStore(
  options: KeyFolderOptions,
  newKey: NewKey,
  { onChange, onFailure }: KeyStoreEvents,
): Promise<{ store: KeyStore; made: boolean }> {
  const { made } = await openKeyFolder(options, newKey);
  const text = await readTexts(options);
  const followed = follow({
    readText: () => readTexts(options),
    parse: () => readRing(options),
    first: { text, value: await readRing(options) },
    onChange,
    onFailure,
  });
  return { store: { ring: () => followed.get() }, made };
}

/** What the operator should do about certificates that end soon, or have ended; nothing if none do. */
export function expiryWarnings({ current, staged, retired }: KeyRing, now: Date): string[] {
  const horizon = new Date(now.getTime() + EXPIRY_WARNING_DAYS * DAY_MS);
  const end = ({ notAfter }: { notAfter: Date }) =>
    `${notAfter <= now ? "ended" : "ends"} on ${notAfter.toISOString()}`;
  const warnings: string[] = [];
  if (current.notAfter <= horizon) {
    warnings.push(
      `the signing certificate ${
        end(current)
      }: nodes refuse then what it verifies. Run signing-server rotate, and sign ` +
        "again what shall go on running",
    );
  }
  for (const certificate of [...(staged === undefined ? [] : [staged]), ...retired]) {
    // One that has ended is not served any more, and its pods are refused already.
    if (certificate.notAfter <= now || certificate.notAfter > horizon) continue;
    warnings.push(
      `the certificate ${certificate.fingerprint} of ${
        certificate === staged ? "the staged" : "an earlier"
      } key ` +
        `${end(certificate)}: sign again what was signed with it`,
    );
  }
  return warnings;
}
