/**
 * What this node has admitted: which UID, under which name, with which signed bytes. It outlives the process in a
 * journal, so that a restarted proxy neither kills running pods whose signature has expired meanwhile, nor lets a UID
 * or a name change hands.
 *
 * The journal is a file of JSON lines, appended to and now and then written anew. It belongs in a folder that is empty
 * after a reboot, as the node then is.
 *
 * @module
 */
import { isJsonObject, type JsonObject, type JsonValue } from "@signed-pods/shared/json";
import { decodeUtf8, parseStrictJson } from "@signed-pods/shared/strict-json";
import type { Log } from "./log.ts";

/**
 * Most pods that are remembered. A node runs some hundreds; beyond this the API server is making them up, and the gate
 * ends the list or watch that would add one more.
 */
export const MAX_LEDGER_ENTRIES = 10_000;

/** The journal is written anew when it holds this many times as many lines as there are entries… */
export const COMPACTION_FACTOR = 4;

/** …and at least this many lines, since a small file costs nothing. */
export const MIN_LINES_BEFORE_COMPACTION = 256;

/** What becomes of an admitted pod: it runs, it is being stopped since it changed, or its containers are gone. */
export type AdmissionState = "admitted" | "stopping" | "stopped";

/** One admitted pod. */
export interface LedgerEntry {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  /** Lower-case hexadecimal SHA-256 of the signed bytes. */
  readonly signedHash: string;
  /** When it was first admitted, RFC 3339. */
  readonly admittedAt: string;
  readonly state: AdmissionState;
  /** JSON text of the last good pod as it was forwarded, without its status. */
  readonly pod: string;
  /** When it began to be stopped, RFC 3339 in whole seconds; absent while it is admitted. */
  readonly stoppingSince?: string;
  /** Why it is stopped, for its status; absent while it is admitted. */
  readonly refusal?: string;
}

/** Where the journal is kept. */
export interface LedgerStore {
  /** The whole journal, or nothing if there is none yet. */
  read(): Promise<Uint8Array | undefined>;
  /** Adds text at the end. When it resolves, the text outlives this process. */
  append(text: string): Promise<void>;
  /** Puts another journal in the place of this one, at once or not at all. */
  replace(text: string): Promise<void>;
  /** Moves a damaged journal out of the way, for whoever wants to know what happened to it. */
  setAside(): Promise<void>;
}

/** The entries. Changes show at once; they are on disk after {@linkcode Ledger.flush}. */
export interface Ledger {
  get(uid: string): LedgerEntry | undefined;
  /** The entry whose pod has this name. */
  holder(namespace: string, name: string): LedgerEntry | undefined;
  entries(): Iterable<LedgerEntry>;
  readonly size: number;
  /**
   * Adds an entry, or puts one in the place of an earlier one with the same UID.
   *
   * @param durable false if the journal need not hold this version, since it only keeps the last good pod fresh
   * @throws LedgerFullError if it would be one too many
   */
  put(entry: LedgerEntry, durable?: boolean): void;
  remove(uid: string): void;
  /** Writes what has changed, all in one append. A failure leaves it to be written by the next call. */
  flush(): Promise<void>;
}

/** More pods than {@linkcode MAX_LEDGER_ENTRIES}. */
export class LedgerFullError extends Error {
  /** @param limit how many entries there may be */
  constructor(limit: number) {
    super(`this node already has ${limit} admitted pods`);
    this.name = "LedgerFullError";
  }
}

/**
 * Reads the journal and writes it anew. A last line that was cut off is dropped; any other damage sets the file aside
 * and starts empty, which costs running pods whose signature has expired, but never admits anything.
 *
 * @param maxEntries for tests
 */
export async function openLedger(
  store: LedgerStore,
  log: Log,
  maxEntries = MAX_LEDGER_ENTRIES,
): Promise<Ledger> {
  const entries = new Map<string, LedgerEntry>();
  const names = new Map<string, string>();

  function insert(entry: LedgerEntry): void {
    const before = entries.get(entry.uid);
    if (before !== undefined) {
      names.delete(podKey(before.namespace, before.name));
    }
    entries.set(entry.uid, entry);
    names.set(podKey(entry.namespace, entry.name), entry.uid);
  }

  function erase(uid: string): boolean {
    const entry = entries.get(uid);
    if (entry === undefined) {
      return false;
    }
    entries.delete(uid);
    const key = podKey(entry.namespace, entry.name);
    if (names.get(key) === uid) {
      names.delete(key);
    }
    return true;
  }

  const bytes = await store.read();
  if (bytes !== undefined && bytes.length > 0) {
    const journal = readJournal(bytes);
    if (journal.damage !== undefined) {
      log.error("ledger-damaged", `the ledger is damaged and was set aside: ${journal.damage}`);
      await store.setAside();
    } else {
      if (journal.torn) {
        log.warn("ledger-torn", "the ledger's last line was cut off and is dropped");
      }
      for (const change of journal.changes) {
        if (change.kind === "put") {
          insert(change.entry);
        } else {
          erase(change.uid);
        }
      }
    }
    await store.replace(writeEntries(entries.values()));
  }

  let lines = entries.size;
  let pending: string[] = [];
  let writing: Promise<void> = Promise.resolve();

  async function write(): Promise<void> {
    if (pending.length === 0) {
      return;
    }
    const taken = pending;
    pending = [];
    try {
      const total = lines + taken.length;
      if (total >= MIN_LINES_BEFORE_COMPACTION && total > entries.size * COMPACTION_FACTOR) {
        const count = entries.size;
        await store.replace(writeEntries(entries.values()));
        lines = count;
      } else {
        await store.append(taken.join(""));
        lines = total;
      }
    } catch (error) {
      // An append may have written a part, and what the next one adds to a torn line would count as damage: so the
      // journal is written anew, as soon as that works.
      pending = [...taken, ...pending];
      lines = Number.POSITIVE_INFINITY;
      throw error;
    }
  }

  return {
    get: (uid) => entries.get(uid),
    holder(namespace, name) {
      const uid = names.get(podKey(namespace, name));
      return uid === undefined ? undefined : entries.get(uid);
    },
    entries: () => entries.values(),
    get size() {
      return entries.size;
    },
    put(entry, durable = true) {
      if (!entries.has(entry.uid) && entries.size >= maxEntries) {
        throw new LedgerFullError(maxEntries);
      }
      insert(entry);
      if (durable) {
        pending.push(writeEntry(entry));
      }
    },
    remove(uid) {
      if (erase(uid)) {
        pending.push(JSON.stringify({ forget: uid }) + "\n");
      }
    },
    flush() {
      writing = writing.then(write, write);
      return writing;
    },
  };
}

/** One key for a namespace and a name; neither can hold a slash. */
export function podKey(namespace: string, name: string): string {
  return `${namespace}/${name}`;
}

/** What a line of the journal says. */
type Change = { kind: "put"; entry: LedgerEntry } | { kind: "remove"; uid: string };

interface Journal {
  changes: Change[];
  /** The last line was cut off. */
  torn: boolean;
  /** What is wrong elsewhere; then the changes mean nothing. */
  damage?: string;
}

function readJournal(bytes: Uint8Array): Journal {
  // A process that dies while it appends leaves a last line without a line feed, perhaps cut within a character.
  const end = bytes.lastIndexOf(0x0a) + 1;
  const torn = end < bytes.length;
  const changes: Change[] = [];
  let number = 0;
  try {
    for (const line of decodeUtf8(bytes.subarray(0, end)).split("\n").slice(0, -1)) {
      number++;
      const change = readChange(parseStrictJson(line));
      if (change === undefined) {
        return { changes, torn, damage: `line ${number} is not an entry` };
      }
      changes.push(change);
    }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { changes, torn, damage: `after line ${number}: ${reason}` };
  }
  return { changes, torn };
}

function readChange(value: JsonValue): Change | undefined {
  if (!isJsonObject(value)) {
    return undefined;
  }
  const forget = value["forget"];
  if (typeof forget === "string") {
    return { kind: "remove", uid: forget };
  }
  const { uid, namespace, name, signedHash, admittedAt, state, stoppingSince, refusal, pod } = value;
  if (
    typeof uid !== "string" || typeof namespace !== "string" || typeof name !== "string" ||
    typeof signedHash !== "string" || typeof admittedAt !== "string" || !isState(state) ||
    !isJsonObject(pod) || (stoppingSince !== undefined && typeof stoppingSince !== "string") ||
    (refusal !== undefined && typeof refusal !== "string")
  ) {
    return undefined;
  }
  return {
    kind: "put",
    entry: {
      uid,
      namespace,
      name,
      signedHash,
      admittedAt,
      state,
      pod: JSON.stringify(pod),
      ...(stoppingSince === undefined ? {} : { stoppingSince }),
      ...(refusal === undefined ? {} : { refusal }),
    },
  };
}

function isState(value: JsonValue | undefined): value is AdmissionState {
  return value === "admitted" || value === "stopping" || value === "stopped";
}

function writeEntry(entry: LedgerEntry): string {
  const { pod, ...rest } = entry;
  const fields: JsonObject = { ...rest };
  return `${JSON.stringify(fields).slice(0, -1)},"pod":${pod}}\n`;
}

function writeEntries(entries: Iterable<LedgerEntry>): string {
  let text = "";
  for (const entry of entries) {
    text += writeEntry(entry);
  }
  return text;
}
