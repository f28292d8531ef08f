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
import { messageOf } from "@signed-pods/shared/errors";
import { isJsonObject, type JsonObject, type JsonValue } from "@signed-pods/shared/json";
import { decodeUtf8, parseStrictJson } from "@signed-pods/shared/strict-json";
import type { Log } from "../log.ts";
import { createRetiredUids, MAX_RETIRED_UIDS, type RetiredUid } from "./retired_uids.ts";

/**
 * Most pods that are remembered. A node runs some hundreds; beyond this the API server is making them up, and the gate
 * ends the list or watch that would add one more.
 */
export const MAX_LEDGER_ENTRIES = 10_000;

/**
 * Most that the remembered pods may have together, in UTF-16 code units: 256 KiB for each of 512 pods. One signed template,
 * which may have 256 KiB, is good for as many pods as the API server likes to make.
 */
export const MAX_LEDGER_CHARACTERS: number = 128 * 1024 * 1024;

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
  /** Of the key that signed, lower-case hexadecimal SHA-256; absent in a journal of a version that did not keep it. */
  readonly keyId?: string;
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
  /** The entry whose pod has this name; see {@linkcode podKey}. */
  holder(key: string): LedgerEntry | undefined;
  entries(): Iterable<LedgerEntry>;
  readonly size: number;
  /**
   * Adds an entry, or puts one in the place of an earlier one with the same UID.
   *
   * @param durable false if the journal need not hold this version, since it only keeps the last good pod fresh
   * @throws LedgerFullError if it would be one too many, or one more UID to remember for ever
   */
  put(entry: LedgerEntry, durable?: boolean): void;
  /**
   * Removes the entry of a UID, if it has one, and remembers whose it was.
   *
   * @param moment when, on the judge's count
   */
  retire(pod: RetiredUid, moment: number): void;
  /** Whose a UID was that has no entry any more. */
  retired(uid: string): RetiredUid | undefined;
  /** No more UIDs can be retired without forgetting what must not be forgotten; nothing new may be shown then. */
  readonly retiredFull: boolean;
  /** The kubelet knows all that was sent until then; see `retired_uids.ts`. */
  settle(moment: number): void;
  /** Everything is on disk; {@linkcode Ledger.flush} would have nothing to do. */
  readonly flushed: boolean;
  /** Writes what has changed, all in one append. A failure leaves it to be written by the next call. */
  flush(): Promise<void>;
}

/** There is no room for another pod: too many are admitted, or too many retired UIDs must not be forgotten yet. */
export class LedgerFullError extends Error {
  /** @param message which of the two, and what ends it */
  constructor(message: string) {
    super(message);
    this.name = "LedgerFullError";
  }
}

/**
 * Reads the journal and writes it anew. A last line that was cut off is dropped; any other damage sets the file aside
 * and starts empty, which costs running pods whose signature has expired, but never admits anything.
 *
 * @param maxEntries for tests
 * @param maxRetired for tests
 * @param maxCharacters for tests
 */
export async function openLedger(
  store: LedgerStore,
  log: Log,
  maxEntries = MAX_LEDGER_ENTRIES,
  maxRetired = MAX_RETIRED_UIDS,
  maxCharacters = MAX_LEDGER_CHARACTERS,
): Promise<Ledger> {
  const entries = new Map<string, LedgerEntry>();
  const names = new Map<string, string>();
  const retired = createRetiredUids(maxRetired);
  let characters = 0;

  function insert(entry: LedgerEntry): void {
    const { uid, namespace, name, pod } = entry;
    const before = entries.get(uid);
    characters += pod.length - (before?.pod.length ?? 0);
    entries.set(uid, entry);
    if (before !== undefined && (before.name !== name || before.namespace !== namespace)) {
      names.delete(podKey(before.namespace, before.name));
    }
    names.set(podKey(namespace, name), uid);
  }

  function erase(uid: string): void {
    const entry = entries.get(uid);
    if (entry === undefined) {
      return;
    }
    entries.delete(uid);
    characters -= entry.pod.length;
    const key = podKey(entry.namespace, entry.name);
    if (names.get(key) === uid) {
      names.delete(key);
    }
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
          retired.delete(change.entry.uid);
          insert(change.entry);
        } else {
          erase(change.retired.uid);
          // Of what an earlier process sent, nothing is known to have arrived until a watch resumes in this one.
          retired.add(change.retired, 0);
        }
      }
    }
    await store.replace(writeJournal(entries.values(), retired.values()));
  }

  let lines = entries.size + retired.size;
  let pending: string[] = [];
  let writing: Promise<void> = Promise.resolve();
  let flushes = 0;

  async function write(): Promise<void> {
    if (pending.length === 0) {
      return;
    }
    const taken = pending;
    pending = [];
    try {
      const total = lines + taken.length;
      const count = entries.size + retired.size;
      if (total >= MIN_LINES_BEFORE_COMPACTION && total > count * COMPACTION_FACTOR) {
        await store.replace(writeJournal(entries.values(), retired.values()));
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
    holder(key) {
      const uid = names.get(key);
      return uid === undefined ? undefined : entries.get(uid);
    },
    entries: () => entries.values(),
    get size() {
      return entries.size;
    },
    put(entry, durable = true) {
      const before = entries.get(entry.uid);
      const growth = entry.pod.length - (before?.pod.length ?? 0);
      if (growth > 0 && characters + growth > maxCharacters) {
        throw new LedgerFullError(
          `the admitted pods of this node would have more than ${maxCharacters} characters; use fewer or smaller ones`,
        );
      }
      if (before === undefined) {
        if (entries.size >= maxEntries) {
          throw new LedgerFullError(`this node already has ${maxEntries} admitted pods`);
        }
        if (retired.full) {
          throw new LedgerFullError(
            "too many pods have come and gone since the kubelet last resumed its watch; it may admit more after that",
          );
        }
      }
      retired.delete(entry.uid);
      insert(entry);
      if (durable) {
        pending.push(writeEntry(entry));
      }
    },
    retire(pod, moment) {
      erase(pod.uid);
      retired.add(pod, moment);
      pending.push(writeRetired(pod));
    },
    retired: (uid) => retired.get(uid),
    get retiredFull() {
      return retired.full;
    },
    settle: (moment) => retired.settle(moment),
    get flushed() {
      return flushes === 0 && pending.length === 0;
    },
    flush() {
      flushes++;
      const done = () => void flushes--;
      writing = writing.then(write, write);
      writing.then(done, done);
      return writing;
    },
  };
}

/** One key for a namespace and a name; neither can hold a slash. */
export function podKey(namespace: string, name: string): string {
  return `${namespace}/${name}`;
}

/** What a line of the journal says. */
type Change = { kind: "put"; entry: LedgerEntry } | { kind: "retire"; retired: RetiredUid };

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
    return { changes, torn, damage: `after line ${number}: ${messageOf(error)}` };
  }
  return { changes, torn };
}

function readChange(value: JsonValue): Change | undefined {
  if (!isJsonObject(value)) {
    return undefined;
  }
  if (isJsonObject(value["retired"])) {
    return readRetired(value["retired"]);
  }
  const { uid, namespace, name, signedHash, keyId, admittedAt, state, stoppingSince, refusal, pod } = value;
  if (
    typeof uid !== "string" || typeof namespace !== "string" || typeof name !== "string" ||
    typeof signedHash !== "string" || (keyId !== undefined && typeof keyId !== "string") ||
    typeof admittedAt !== "string" || !isState(state) ||
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
      ...(keyId === undefined ? {} : { keyId }),
      admittedAt,
      state,
      pod: JSON.stringify(pod),
      ...(stoppingSince === undefined ? {} : { stoppingSince }),
      ...(refusal === undefined ? {} : { refusal }),
    },
  };
}

function readRetired({ uid, namespace, name, signedHash, stopped }: JsonObject): Change | undefined {
  if (
    typeof uid !== "string" || typeof namespace !== "string" || typeof name !== "string" ||
    typeof stopped !== "boolean" || (signedHash !== undefined && typeof signedHash !== "string")
  ) {
    return undefined;
  }
  return {
    kind: "retire",
    retired: { uid, namespace, name, stopped, ...(signedHash === undefined ? {} : { signedHash }) },
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

function writeRetired(retired: RetiredUid): string {
  return JSON.stringify({ retired }) + "\n";
}

function writeJournal(entries: Iterable<LedgerEntry>, retired: Iterable<RetiredUid>): string {
  let text = "";
  for (const pod of retired) {
    text += writeRetired(pod);
  }
  for (const entry of entries) {
    text += writeEntry(entry);
  }
  return text;
}
