/**
 * What is remembered of the text of pods, so that the parts of a pod that have not changed since it was last read need not
 * be read, judged and built again. A pod is read in these parts:
 *
 * ```text
 * metadata ─┬─ labels, annotations, ownerReferences     each whole
 *           └─ managedFields                            entry by entry
 * spec, status                                          each whole
 * ```
 *
 * A part whose text is the same, to the last character, is the same object again, which nobody can change. Everything that
 * follows from it alone may then be remembered by its identity (`shared/pod/verify.ts`, `shared/pod/rebuild.ts`). Which
 * parts are tried is a guess by UID; a wrong one costs time and decides nothing.
 *
 * @module
 */
import { type JsonObject, type JsonValue, objectAt } from "@signed-pods/shared/json";
import type { KnownValue, KnownValues } from "@signed-pods/shared/strict-json";

/**
 * Most that the remembered parts of all pods may take together, in bytes as they are estimated: some 1,500 pods of 20 KiB.
 * A kubelet runs 110 unless it is told otherwise. Pods beyond it are read anew each time.
 */
export const MAX_KNOWN_BYTES: number = 32 * 1024 * 1024;

/** Most entries of managed fields that are remembered of one pod: there is one for each client that has written to it. */
export const MAX_KNOWN_MANAGED_FIELDS = 16;

/** Places before a pod's end where its UID is looked for. In alphabetical order it comes after those of its owners. */
const MAX_UID_PLACES = 4;

const UID_KEY = '"uid":"';
const UID_LENGTH = 36;

/** Parts of a pod, and of its metadata, that are remembered whole. */
const POD_PARTS: ReadonlySet<string> = new Set(["spec", "status"]);
const METADATA_PARTS: ReadonlySet<string> = new Set(["labels", "annotations", "ownerReferences"]);
const MANAGED_FIELDS = "managedFields";

const NONE: readonly KnownValue[] = [];

/** The parts of one pod. */
interface KnownPod {
  /** By the key that they are under. */
  whole: Map<string, KnownValue>;
  managedFields: KnownValue[];
  bytes: number;
}

/** Remembers pods between documents. */
export interface KnownPods {
  /**
   * For reading one document.
   *
   * @param podDepth objects and arrays around each pod: 1 in an event of a watch, 2 in a list
   */
  forDocument(podDepth: number): KnownValues;
  /** The pod is gone, so that its parts will not be read again. */
  forget(uid: string): void;
  /** What the remembered parts take, in bytes as they are estimated. */
  readonly bytes: number;
}

/** @param maxBytes for tests */
export function createKnownPods(maxBytes: number = MAX_KNOWN_BYTES): KnownPods {
  // By UID, those first that have not been read for longest.
  const pods = new Map<string, KnownPod>();
  let bytes = 0;

  function touch(uid: string): KnownPod | undefined {
    const pod = pods.get(uid);
    if (pod !== undefined) {
      pods.delete(uid);
      pods.set(uid, pod);
    }
    return pod;
  }

  function forget(uid: string): void {
    bytes -= pods.get(uid)?.bytes ?? 0;
    pods.delete(uid);
  }

  function remember(uid: string, learnt: readonly Learnt[]): void {
    const pod: KnownPod = pods.get(uid) ?? { whole: new Map(), managedFields: [], bytes: 0 };
    forget(uid);
    for (const { key, known } of learnt) {
      if (key === undefined) {
        pod.managedFields.unshift(known);
        pod.bytes += known.bytes;
        for (const dropped of pod.managedFields.splice(MAX_KNOWN_MANAGED_FIELDS)) pod.bytes -= dropped.bytes;
      } else {
        pod.bytes += known.bytes - (pod.whole.get(key)?.bytes ?? 0);
        pod.whole.set(key, known);
      }
    }
    if (pod.bytes > maxBytes) {
      return;
    }
    pods.set(uid, pod);
    bytes += pod.bytes;
    for (const oldest of pods.keys()) {
      if (bytes <= maxBytes) {
        break;
      }
      forget(oldest);
    }
  }

  return {
    forDocument: (podDepth) => new PodDocument(podDepth, (uid) => pods.get(uid), touch, remember),
    forget,
    get bytes() {
      return bytes;
    },
  };
}

/** A part that was read; without a key it is an entry of the managed fields. */
interface Learnt {
  key: string | undefined;
  known: KnownValue;
}

class PodDocument implements KnownValues {
  readonly maxDepth: number;
  readonly #podDepth: number;
  readonly #find: (uid: string) => KnownPod | undefined;
  readonly #touch: (uid: string) => KnownPod | undefined;
  readonly #remember: (uid: string, learnt: readonly Learnt[]) => void;
  /** What is known of the pod that is being read. */
  #pod: KnownPod | undefined;
  #learnt: Learnt[] = [];
  /** Where UIDs stand behind the beginning of the latest pod, as far as the text has been searched. */
  #places: number[] = [];
  #searched = 0;
  /** The pod that one of them is of. */
  #guess: KnownPod | undefined;

  constructor(
    podDepth: number,
    find: (uid: string) => KnownPod | undefined,
    touch: (uid: string) => KnownPod | undefined,
    remember: (uid: string, learnt: readonly Learnt[]) => void,
  ) {
    this.#podDepth = podDepth;
    this.maxDepth = podDepth + 3;
    this.#find = find;
    this.#touch = touch;
    this.#remember = remember;
  }

  propose(
    text: string,
    position: number,
    depth: number,
    key: string,
    parentKey: string,
  ): Iterable<KnownValue> {
    if (depth === this.#podDepth) {
      this.#pod = this.#podAt(text, position);
      this.#learnt = [];
      return NONE;
    }
    if (this.#pod === undefined) {
      return NONE;
    }
    if (this.#isWhole(depth, key, parentKey)) {
      const known = this.#pod.whole.get(key);
      return known === undefined ? NONE : [known];
    }
    return this.#isManagedFields(depth, parentKey) ? this.#pod.managedFields : NONE;
  }

  learns(depth: number, key: string, parentKey: string): boolean {
    return this.#isWhole(depth, key, parentKey) || this.#isManagedFields(depth, parentKey);
  }

  learn(known: KnownValue, depth: number, key: string): void {
    this.#learnt.push({ key: depth === this.maxDepth ? undefined : key, known });
  }

  completed(value: JsonObject | JsonValue[], depth: number): void {
    if (depth !== this.#podDepth || Array.isArray(value)) {
      return;
    }
    const { uid } = objectAt(value, "metadata");
    if (typeof uid === "string" && uid.length === UID_LENGTH) {
      if (this.#learnt.length > 0) {
        this.#remember(uid, this.#learnt);
      } else {
        this.#touch(uid);
      }
    }
    this.#learnt = [];
    this.#pod = undefined;
  }

  /** A part's parent at the pod's depth is under no particular key; in the metadata it is under `metadata`. */
  #isWhole(depth: number, key: string, parentKey: string): boolean {
    return depth === this.#podDepth + 1
      ? POD_PARTS.has(key)
      : depth === this.#podDepth + 2 && parentKey === "metadata" && METADATA_PARTS.has(key);
  }

  #isManagedFields(depth: number, parentKey: string): boolean {
    return depth === this.maxDepth && parentKey === MANAGED_FIELDS;
  }

  /** The pod that is likely to begin at a position. Positions never go back, so no text is searched twice. */
  #podAt(text: string, position: number): KnownPod | undefined {
    const [first] = this.#places;
    if (first !== undefined && first >= position) {
      return this.#guess;
    }
    this.#places = this.#places.filter((place) => place >= position);
    while (this.#places.length < MAX_UID_PLACES && this.#searched < text.length) {
      const place = text.indexOf(UID_KEY, Math.max(this.#searched, position));
      this.#searched = place < 0 ? text.length : place + UID_KEY.length;
      if (place >= 0) {
        this.#places.push(place);
      }
    }
    this.#guess = undefined;
    for (const place of this.#places) {
      const start = place + UID_KEY.length;
      this.#guess ??= this.#find(text.slice(start, start + UID_LENGTH));
    }
    return this.#guess;
  }
}
