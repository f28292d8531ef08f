/**
 * The ledger's journal as a file.
 *
 * @module
 */
import type { LedgerStore } from "./ledger.ts";

/** Only the proxy's user may read what runs on the node. */
const FILE_MODE = 0o600;

/**
 * Keeps the journal in a folder that exists.
 *
 * Nothing is forced to the disk: the journal has to outlive the process, not the machine, whose reboot ends all pods.
 *
 * @param folder path of the runtime folder
 */
export function ledgerFile(folder: string): LedgerStore {
  const path = `${folder}/ledger.jsonl`;
  return {
    async read() {
      try {
        return await Deno.readFile(path);
      } catch (error) {
        if (error instanceof Deno.errors.NotFound) {
          return undefined;
        }
        throw error;
      }
    },
    async append(text) {
      await Deno.writeTextFile(path, text, { append: true, mode: FILE_MODE });
    },
    async replace(text) {
      // Renaming is atomic (rename(2)): a reader finds the old journal or the new one.
      await Deno.writeTextFile(`${path}.new`, text, { mode: FILE_MODE });
      await Deno.rename(`${path}.new`, path);
    },
    async setAside() {
      await Deno.rename(path, `${path}.damaged`);
    },
  };
}
