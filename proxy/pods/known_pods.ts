/**
 * What is remembered of the text of pods, so that what has not changed since it was last read need not be read, judged and
 * built again. A pod is known as a whole, and in these parts:
 *
 * ```text
 * metadata ─┬─ labels, annotations, ownerReferences     each whole
 *           └─ managedFields                            entry by entry
 * spec, status                                          each whole
 * ```
 *
 * What has the same text, to the last character, is the same object again, which nobody can change. Everything that follows
 * from it alone may then be remembered by its identity (`shared/pod/verify.ts`, `shared/pod/rebuild.ts`). What is tried is a
 * guess: by UID, or in a list the pod that came after the one before. A wrong one costs time and decides nothing.
 *
 * @module
 */
import { isJsonObject, objectAt } from "@signed-pods/shared/json";
import type { KnownValue, KnownValues } from "@signed-pods/shared/strict-json";

/**
 * Most that the remembered pods may take together, in bytes as they are estimated: some 1,500 of 20 KiB. A kubelet runs 110
 * unless it is told otherwise. Pods beyond it are read anew each time.
 */
export const MAX_KNOWN_BYTES: number = 32 * 1024 * 1024;

/** Most entries of managed fields that are remembered of one pod: there is one for each client that has written to it. */
export const MAX_KNOWN_MANAGED_FIELDS = 16;

/** Places before a pod's end where its UID is looked for. In alphabetical order it comes after those of its owners. */
const MAX_UID_PLACES = 4;

/** Where there is no room, so many of the oldest pods are looked at for one that is not read any more. */
const MAX_EVICTIONS = 2;

const UID_KEY = '"uid":"';
const UID_LENGTH = 36;

/** In a list, pods have the list and its items around them. */
const LIST_POD_DEPTH = 2;

/** Parts of a pod, and of its metadata, that are remembered whole. */
const POD_PARTS: ReadonlySet<string> = new Set(["spec", "status"]);
const METADATA_PARTS: ReadonlySet<string> = new Set(["labels", "annotations", "ownerReferences"]);
const MANAGED_FIELDS = "managedFields";

const NONE: readonly KnownValue[] = [];

/** One pod as it was read last. All its parts are parts of its text. */
interface KnownPod {
  readonly uid: string;
  /** The pod, alone. */
  readonly whole: readonly KnownValue[];
  /** Parts by the key that they are under, each alone; managed fields are many. */
  readonly parts: ReadonlyMap<string, readonly KnownValue[]>;
  readonly bytes: number;
  /** Where its UID stands in its text. */
  readonly uidAt: number;
  /** UID of the pod that came after it in the latest list. */
  next: string;
  /** Count of pods when it was read last. */
  readAt: number;
}

/** A part that was read or stepped over, and where it begins in the document. */
interface MetPart {
  key: string;
  known: KnownValue;
  position: number;
}

/** Remembers pods between documents. */
export interface KnownPods {
  /**
   * For reading one document.
   *
   * @param podDepth objects and arrays around each pod: 1 in an event of a watch, 2 in a list
   */
  forDocument(podDepth: number): KnownValues;
  /** The pod is gone, so that it will not be read again. */
  forget(uid: string): void;
  /** What the remembered pods take, in bytes as they are estimated. */
  readonly bytes: number;
}

/** @param maxBytes for tests */
export function createKnownPods(maxBytes: number = MAX_KNOWN_BYTES): KnownPods {
  return new PodMemory(maxBytes);
}

class PodMemory implements KnownPods {
  readonly #maxBytes: number;
  /** By UID, in the order in which they were remembered or last kept. */
  readonly #pods = new Map<string, KnownPod>();
  #bytes = 0;
  #reads = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  forDocument(podDepth: number): KnownValues {
    return new PodDocument(podDepth, this);
  }

  forget(uid: string): void {
    this.#bytes -= this.#pods.get(uid)?.bytes ?? 0;
    this.#pods.delete(uid);
  }

  find(uid: string): KnownPod | undefined {
    return this.#pods.get(uid);
  }

  /** The pod was read again, and is as it was. */
  touch(pod: KnownPod): void {
    pod.readAt = ++this.#reads;
  }

  /** The pod was read, and is not as it was; the parts are of the document that it was read from, as it is. */
  remember(uid: string, read: KnownValue, position: number, parts: readonly MetPart[]): KnownPod | undefined {
    const { next = "" } = this.#pods.get(uid) ?? {};
    this.forget(uid);
    const readAt = ++this.#reads;
    const { bytes } = read;
    if (!this.#makeRoom(bytes)) {
      return undefined;
    }
    const whole = read.detached();
    const kept = new Map<string, KnownValue[]>();
    for (const part of parts) {
      const known = part.known.within(whole, part.position - position);
      const same = kept.get(part.key);
      if (known === undefined || (same !== undefined && same.length >= MAX_KNOWN_MANAGED_FIELDS)) {
        continue;
      }
      if (same === undefined) {
        kept.set(part.key, [known]);
      } else {
        same.push(known);
      }
    }
    const uidAt = whole.text.indexOf(uid);
    const pod: KnownPod = { uid, whole: [whole], parts: kept, bytes, uidAt, next, readAt };
    this.#pods.set(uid, pod);
    this.#bytes += bytes;
    return pod;
  }

  /**
   * Makes room if there are pods that are not read any more: while they were not, all others could have been, twice. So a
   * list of more pods than there is room for does not push out those that are remembered of it.
   */
  #makeRoom(bytes: number): boolean {
    for (let count = 0; count < MAX_EVICTIONS && this.#bytes + bytes > this.#maxBytes; count++) {
      for (const [uid, pod] of this.#pods) {
        this.forget(uid);
        if (this.#reads - pod.readAt <= 2 * this.#pods.size + 2) {
          this.#pods.set(uid, pod);
          this.#bytes += pod.bytes;
        }
        break;
      }
    }
    return this.#bytes + bytes <= this.#maxBytes;
  }
}

class PodDocument implements KnownValues {
  readonly maxDepth: number;
  readonly #podDepth: number;
  readonly #memory: PodMemory;
  /** What is known of the pod that is being read. */
  #pod: KnownPod | undefined;
  /** What was met of it. */
  #parts: MetPart[] = [];
  #changed = false;
  /** The pod before it in this list, if it is known. */
  #previous: KnownPod | undefined;
  /** Where UIDs stand behind the beginning of the latest pod, as far as the text has been searched. */
  #places: number[] = [];
  #searched = 0;

  constructor(podDepth: number, memory: PodMemory) {
    this.#podDepth = podDepth;
    this.maxDepth = podDepth + 3;
    this.#memory = memory;
  }

  propose(
    text: string,
    position: number,
    depth: number,
    key: string,
    parentKey: string,
  ): readonly KnownValue[] {
    if (depth === this.#podDepth) {
      this.#parts = [];
      this.#changed = false;
      this.#pod = this.#podAfter(text, position) ?? this.#podAt(text, position);
      return this.#pod?.whole ?? NONE;
    }
    return this.#pod === undefined ? NONE : this.#pod.parts.get(this.#nameOf(depth, key, parentKey)) ?? NONE;
  }

  learns(depth: number, key: string, parentKey: string): boolean {
    // An event in which no more has changed than a version is not worth remembering.
    return depth === this.#podDepth
      ? this.#changed || depth === LIST_POD_DEPTH
      : this.#nameOf(depth, key, parentKey) !== "";
  }

  learn(known: KnownValue, isNew: boolean, position: number, depth: number, key: string): void {
    if (depth === this.#podDepth) {
      this.#completed(known, isNew, position);
    } else {
      this.#changed ||= isNew;
      this.#parts.push({ key: depth === this.maxDepth ? MANAGED_FIELDS : key, known, position });
    }
  }

  #completed(known: KnownValue, isNew: boolean, position: number): void {
    let pod = this.#pod;
    if (isNew) {
      const { uid } = isJsonObject(known.value) ? objectAt(known.value, "metadata") : {};
      pod = typeof uid === "string" && uid.length === UID_LENGTH
        ? this.#memory.remember(uid, known, position, this.#parts)
        : undefined;
    } else if (pod !== undefined) {
      this.#memory.touch(pod);
    }
    if (this.#previous !== undefined && pod !== undefined) {
      this.#previous.next = pod.uid;
    }
    this.#previous = this.#podDepth === LIST_POD_DEPTH ? pod : undefined;
  }

  /**
   * The name of a part that is remembered; empty for all else. A part's parent at the pod's depth is under no particular key;
   * in the metadata it is under `metadata`.
   */
  #nameOf(depth: number, key: string, parentKey: string): string {
    switch (depth - this.#podDepth) {
      case 1:
        return POD_PARTS.has(key) ? key : "";
      case 2:
        return parentKey === "metadata" && METADATA_PARTS.has(key) ? key : "";
      case 3:
        return parentKey === MANAGED_FIELDS ? MANAGED_FIELDS : "";
      default:
        return "";
    }
  }

  /** The pod that came after the one before when they were read last, if its UID stands where it stood. */
  #podAfter(text: string, position: number): KnownPod | undefined {
    const pod = this.#previous === undefined ? undefined : this.#memory.find(this.#previous.next);
    const start = position + (pod?.uidAt ?? 0);
    return pod !== undefined && text.slice(start, start + UID_LENGTH) === pod.uid ? pod : undefined;
  }

  /** The pod that is likely to begin at a position. Positions never go back, so no text is searched twice. */
  #podAt(text: string, position: number): KnownPod | undefined {
    this.#places = this.#places.filter((place) => place >= position);
    for (let count = 0; count < MAX_UID_PLACES; count++) {
      const place = this.#places[count] ?? this.#nextPlace(text, position);
      const start = (place ?? text.length) + UID_KEY.length;
      const pod = this.#memory.find(text.slice(start, start + UID_LENGTH));
      if (pod !== undefined || place === undefined) {
        return pod;
      }
    }
    return undefined;
  }

  /** The next place where a UID stands, as far as the text has not been searched. */
  #nextPlace(text: string, position: number): number | undefined {
    const place = text.indexOf(UID_KEY, Math.max(this.#searched, position));
    this.#searched = place < 0 ? text.length : place + UID_KEY.length;
    if (place < 0) {
      return undefined;
    }
    this.#places.push(place);
    return place;
  }
}
