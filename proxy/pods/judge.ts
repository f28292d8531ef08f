/**
 * Decides what the kubelet sees of each pod, and remembers what it has seen.
 *
 * One pod, in order: identity, node, mirror pods, names and UIDs, signature and template (the verifier), the ledger,
 * the pod that is forwarded. Every sighting goes through all of it, whatever the pod's phase. What becomes of a pod:
 *
 * ```text
 * (unknown) ── allowed ──> admitted ── denied, or signed otherwise ──> stopping ── the kubelet reports its end ──> stopped
 *     └─────── denied ───> hidden, handed to the rejector; admitted as soon as it is allowed
 * ```
 *
 * @module
 */
import { messageOf } from "@signed-pods/shared/errors";
import { type JsonObject, objectAt } from "@signed-pods/shared/json";
import type { Identity as PodIdentity } from "@signed-pods/shared/pod/metadata";
import { rebuildDeleted, rebuildMirror } from "@signed-pods/shared/pod/rebuild";
import type { RebuildFailure } from "@signed-pods/shared/pod/rebuild-failure";
import type { Admission, JudgementTime } from "@signed-pods/shared/pod/verify";
import {
  type AllowVerdict,
  deny,
  type DenyVerdict,
  formatDenial,
  formatDifference,
  type Verdict,
} from "@signed-pods/shared/verdict";
import { formatTime } from "@signed-pods/shared/time";
import type { Clock } from "../clock.ts";
import { buildPod, type BuiltPod, builtText } from "./built_pod.ts";
import { type Ledger, type LedgerEntry, podKey } from "./ledger.ts";
import { type LivePod, readLivePod } from "./live_pod.ts";
import type { Log, LogFields } from "../log.ts";
import type { Mode } from "../mode.ts";
import type { PodReferences } from "../objects/pod_references.ts";
import type { JudgedDecision, JudgeObserver, MirrorDecision } from "../operability/pod_decision.ts";
import type { RefusedPod, Rejector } from "./rejector.ts";
import type { RetiredUid } from "./retired_uids.ts";
import { lastGoodPod, stoppingPod } from "./stopping.ts";

/**
 * Most pods of which something is remembered, admitted or not. Beyond it what is known of hidden pods is dropped, the
 * oldest first; that costs repeated log lines, and never admits anything.
 */
export const MAX_TRACKED_PODS = 20_000;

/**
 * Pods that are verified at the same time. Signatures are checked beside this thread, which meanwhile compares, judges and
 * builds what has been checked: more at once would only take its turns away.
 */
export const MAX_CONCURRENT_VERIFICATIONS = 8;

/** Pods whose verdicts are in memory at the same time: more than a node runs, few in a list of the longest kind. */
const PODS_AT_ONCE = 256;

/** Longest reason kept and shown for a pod that is stopped, in UTF-16 code units. */
const MAX_REFUSAL_LENGTH = 900;

/** How many differences a log line names. */
const MAX_LOGGED_DIFFERENCES = 5;

/** As much of a verdict as is kept to tell whether it changed, in UTF-16 code units. */
const MAX_VERDICT_KEY_LENGTH = 200;

/**
 * Most verdicts that are remembered of pods whose UID is, or has become, another pod's. What falls out is told again when it is
 * seen again.
 */
export const MAX_VERDICTS_ASIDE = 1_000;

/** Judges one pod by its signature, without any memory of others. */
export interface PodVerifier {
  /**
   * @param pod a v1 Pod as the API server sent it
   * @param time now, and what is remembered of an admitted pod, for which no date counts any more
   */
  verifyPod(pod: JsonObject, time: JudgementTime): Promise<Verdict>;
  /**
   * What it would answer, at once, if nothing has to be found out for it; nothing otherwise.
   *
   * @param identity what `readIdentity` says of this pod
   */
  verifyKnown?(pod: JsonObject, identity: PodIdentity, time: JudgementTime): AllowVerdict | undefined;
}

/** A pod that the API server told of. */
export interface Sighting {
  /** `deleted` if it said that the pod is gone. */
  kind: "present" | "deleted";
  /** The pod as it was sent; apiVersion and kind are checked already. */
  object: JsonObject;
}

/** What the kubelet is told. */
export type Showing =
  /** The pod; `known` tells whether the kubelet has it already. */
  | { kind: "show"; text: string; known: boolean; resourceVersion: string | undefined }
  /** That there is no such pod (any more). */
  | { kind: "remove"; text: string; resourceVersion: string | undefined }
  /** Nothing. */
  | { kind: "hide" };

/** A full list, or the initial events of a watch, while it is read. */
export interface Snapshot {
  /** Count of sightings when it began: what was seen since then is there, or was there later. */
  readonly startedAt: number;
  /** Refuses pods that share a UID or a name with another of the same snapshot; a watch may repeat a pod. */
  readonly unique: boolean;
  readonly uids: Set<string>;
  readonly keys: Set<string>;
}

/** The judge of one node. */
export interface Judge {
  /**
   * Judges pods in order. Admissions are on disk when it resolves.
   *
   * @param sightings are taken out, so that of a long list no more is in memory than is judged
   * @param leaving is brought up to date with these events of a watch, if it does not fail; see {@linkcode Judge.sent}
   * @throws LedgerFullError or what the ledger's store throws; then nothing may be forwarded
   */
  judge(sightings: Sighting[], snapshot?: Snapshot, leaving?: Set<string>): Promise<Showing[]>;
  /**
   * Judges a pod of a watch at once, if nothing has to be waited for: an admitted pod that stays admitted. Then it is what
   * {@linkcode Judge.judge} would have said; otherwise nothing is said, and nothing has been done.
   *
   * @throws what {@linkcode Judge.judge} throws
   */
  judgeAtOnce(sighting: Sighting, snapshot?: Snapshot, leaving?: Set<string>): Showing | undefined;
  /** What GET shows of a pod; remembers nothing. */
  preview(object: JsonObject): Promise<Showing>;
  /** Begins a full list (`unique`) or the initial events of a watch. Call it before the request goes up. */
  beginSnapshot(unique: boolean): Snapshot;
  /**
   * All pods of the snapshot were judged: what it did not hold is gone, and forgotten.
   *
   * @param leaving gets the pods that are gone by the end of a watch's initial events, which has yet to be sent; without it
   * what they refer to is forgotten at once
   * @throws what the ledger's store throws; then that the snapshot is complete may not be forwarded
   */
  completeSnapshot(snapshot: Snapshot, leaving?: Set<string>): Promise<void>;
  /**
   * What was judged of a watch's events is on its way to the kubelet.
   *
   * @param leaving UIDs of the pods that are gone, or ended, by these events: what they refer to is forgotten. It is emptied
   */
  sent(leaving: Set<string>): void;
  /**
   * A watch resumes: what was sent last may not have arrived, so removals are repeated when their pods are seen.
   *
   * @param moment of the resourceVersion at which it resumes: the kubelet knows all that was sent until then
   */
  resumeWatch(moment: number): void;
  /** Count of what has been seen and retired so far. It never goes back. */
  readonly moment: number;
  /** Makes a moment that is later than all that were given out, for when the verifier's keys have changed. */
  nextMoment(): number;
  /**
   * Stops the admitted pods that were last seen signed with one of these keys. The ledger knows them, so nothing is asked
   * of the API server. In audit nothing is stopped.
   *
   * @param keyIds ids of revoked keys
   * @throws what the ledger's store throws; the pods are being stopped all the same
   */
  stopSignedBy(keyIds: ReadonlySet<string>): Promise<void>;
  /** The admitted pods that are being stopped, and whose containers have not all ended. */
  stoppingEntries(): LedgerEntry[];
  /** The admitted pod of this name that is being, or has been, stopped. */
  stoppingEntry(namespace: string, name: string): LedgerEntry | undefined;
  /**
   * The kubelet reports that all containers of a pod have ended: what the pod refers to counts no more when the API server
   * shows that it has ended.
   */
  noteEnded(uid: string): void;
  /** The kubelet's report that all containers ended is on its way up, or failed to get there. */
  setFinishing(uid: string, finishing: boolean): void;
  /** How many pods there are in each state; walks all of them. */
  counts(): PodCounts;
  /** The API server has taken the report: from now on the pod is gone for the kubelet. */
  markStopped(uid: string): Promise<void>;
}

/** Pods by what the kubelet is shown of them. */
export interface PodCounts {
  admitted: number;
  /** Static pods, as the API server shows them. */
  mirror: number;
  /** Hidden; in audit those that would be. */
  refused: number;
  stopping: number;
  stopped: number;
}

/** What a judge is made of. */
export interface JudgeOptions {
  verifier: PodVerifier;
  ledger: Ledger;
  /** Takes hidden pods; without one (audit) nothing is done about them. */
  rejector: Rejector | undefined;
  log: Log;
  /** What pods refer to; without it references are not looked at. */
  references?: PodReferences;
  /** Is told of each pod that is gone. */
  gone?: (uid: string) => void;
  /** In audit nothing is ever stopped: refusals are logged, and the pod stays admitted. */
  mode: Mode;
  nodeName: string;
  clock: Clock;
  /** Is told what is decided; nothing depends on it. */
  observer?: JudgeObserver;
  /** For tests. */
  maxTrackedPods?: number;
}

/** More pods that the kubelet holds than can be kept track of. */
export class TooManyPodsError extends Error {
  /** @param limit how many there may be */
  constructor(limit: number) {
    super(`more than ${limit} pods are bound to this node`);
    this.name = "TooManyPodsError";
  }
}

interface Identity {
  uid: string;
  namespace: string;
  name: string;
}

/** What is remembered of a pod while the process lives. */
interface TrackedPod extends Identity {
  mirror: boolean;
  /** The kubelet has it. */
  shown: boolean;
  /** Count of sightings when it was seen last. */
  seenAt: number;
  /** What was logged of it last. */
  verdict: string;
  /** Its UID belongs to another pod, so that it is not kept; its verdict is remembered aside. */
  aside?: true;
}

/** A pod that is to be judged, or whose deletion is. */
interface SeenPod {
  kind: Sighting["kind"];
  live: LivePod;
}

/** A pod on its way through the judge. */
interface Candidate {
  live: LivePod;
  identity: Identity;
  /** Its name, as a key. */
  key: string;
  /** What is wrong before its signature matters. */
  refusal: Refusal | undefined;
  /** The verifier was told that dates do not count any more. */
  datesSkipped: boolean;
  verdict: Verdict | undefined;
  /** Its signature is being checked, or waits for that: the verdict is there when this resolves. It never rejects. */
  verified: Promise<void> | undefined;
}

interface Refusal {
  verdict: DenyVerdict;
  /** Whether the rejector is told. */
  reject: boolean;
}

type Decision =
  | { kind: "mirror"; text: string; replaces: string | undefined }
  | { kind: "admit"; built: BuiltPod; replaces: string | undefined }
  | { kind: "stop"; entry: LedgerEntry; verdict: DenyVerdict }
  | { kind: "stopping"; entry: LedgerEntry }
  | { kind: "stopped"; entry: LedgerEntry }
  | { kind: "refuse"; refusal: Refusal };

/** Makes a judge that knows what the ledger holds. */
export function createJudge(options: JudgeOptions): Judge {
  return new NodeJudge(options);
}

class NodeJudge implements Judge {
  readonly #verifier: PodVerifier;
  readonly #ledger: Ledger;
  readonly #rejector: Rejector | undefined;
  readonly #references: PodReferences | undefined;
  readonly #gone: ((uid: string) => void) | undefined;
  readonly #log: Log;
  readonly #enforce: boolean;
  readonly #nodeName: string;
  readonly #clock: Clock;
  readonly #mode: Mode;
  readonly #observer: JudgeObserver | undefined;
  readonly #maxTrackedPods: number;
  readonly #tracked = new Map<string, TrackedPod>();
  readonly #mirrorNames = new Map<string, string>();
  readonly #finishing = new Set<string>();
  /** Pods that are gone, or ended, of which the kubelet has not been told: the next complete list, or initial events, will. */
  readonly #departing = new Set<string>();
  /** Those among them that the events say which are being judged. */
  readonly #leaving = new Set<string>();
  /** What was logged last of pods that are not tracked, since another one has their UID. */
  readonly #verdictsAside = new Map<string, string>();
  /** Pods that the kubelet itself has reported to have ended, of those whose references are known. */
  readonly #ended = new Set<string>();
  #sightings = 0;
  #turn: Promise<unknown> = Promise.resolve();
  /** Pieces of work that wait for their turn, or have it. */
  #turns = 0;

  constructor(options: JudgeOptions) {
    this.#verifier = options.verifier;
    this.#ledger = options.ledger;
    this.#rejector = options.rejector;
    this.#references = options.references;
    this.#gone = options.gone;
    this.#log = options.log;
    this.#enforce = options.mode === "enforce";
    this.#nodeName = options.nodeName;
    this.#clock = options.clock;
    this.#mode = options.mode;
    this.#observer = options.observer;
    this.#maxTrackedPods = options.maxTrackedPods ?? MAX_TRACKED_PODS;
    for (const entry of this.#enforce ? this.#ledger.entries() : []) {
      if (entry.state !== "stopped") {
        this.#references?.expect(entry, objectAt(lastGoodPod(entry), "spec"));
      }
    }
  }

  judge(sightings: Sighting[], snapshot?: Snapshot, leaving?: Set<string>): Promise<Showing[]> {
    return this.#inTurn(async () => {
      this.#leaving.clear();
      const seen = sightings.splice(0).map(({ kind, object }) => ({ kind, live: readLivePod(object) }));
      const twins = snapshot?.unique ? findTwins(seen, snapshot) : undefined;
      this.#recallRefusals(seen);
      const showings: Showing[] = [];
      while (seen.length > 0) {
        await this.#judgeSome(seen.splice(0, PODS_AT_ONCE), twins, snapshot, showings);
      }
      await this.#ledger.flush();
      this.#noteLeaving(leaving);
      return showings;
    });
  }

  async #judgeSome(
    seen: readonly SeenPod[],
    twins: Twins | undefined,
    snapshot: Snapshot | undefined,
    showings: Showing[],
  ): Promise<void> {
    const candidates = seen.map((pod) => this.#prepare(pod, twins));
    const stop = this.#beginVerifying(candidates);
    try {
      for (const [index, { kind, live }] of seen.entries()) {
        const candidate = candidates[index];
        if (kind === "deleted") {
          showings.push(this.#delete(live, snapshot));
        } else if (candidate === undefined) {
          showings.push({ kind: "hide" });
        } else {
          // One after the other and in order, while the signatures of those behind it are checked.
          if (candidate.verified !== undefined) {
            await candidate.verified;
          }
          if (this.#hasLostAdmission(candidate)) {
            candidate.datesSkipped = false;
            candidate.verdict = await this.#verify(candidate);
          }
          const toReserve = this.#referencesToReserve(candidate);
          const reserved = toReserve !== undefined && await this.#reserveReferences(candidate, toReserve);
          const decision = this.#decide(candidate, snapshot);
          if (reserved && decision.kind !== "admit") {
            this.#references?.forget(candidate.identity.uid);
          }
          this.#noteReferences(candidate, decision, snapshot);
          showings.push(this.#apply(candidate, decision, snapshot));
        }
      }
    } finally {
      stop();
    }
  }

  judgeAtOnce(
    { kind, object }: Sighting,
    snapshot?: Snapshot,
    leaving?: Set<string>,
  ): Showing | undefined {
    if (kind === "deleted" || this.#turns > 0 || !this.#ledger.flushed) {
      return undefined;
    }
    const seen: SeenPod = { kind, live: readLivePod(object) };
    const { identity, mirror } = seen.live;
    const entry = identity.ok ? this.#ledger.get(identity.uid) : undefined;
    if (!identity.ok || mirror || entry?.state !== "admitted") {
      return undefined;
    }
    const candidate = this.#prepare(seen, undefined);
    if (candidate === undefined || candidate.refusal !== undefined) {
      return undefined;
    }
    const verdict = this.#verifier.verifyKnown?.(object, identity, this.#timeOf(candidate));
    candidate.verdict = verdict;
    if (verdict === undefined || verdict.keyId !== entry.keyId || this.#referencesToReserve(candidate)) {
      return undefined;
    }
    const decision = this.#decide(candidate, snapshot);
    if (decision.kind !== "admit" || decision.replaces !== undefined) {
      return undefined;
    }
    this.#recallRefusals([seen]);
    this.#leaving.clear();
    this.#noteReferences(candidate, decision, snapshot);
    const showing = this.#apply(candidate, decision, snapshot);
    this.#noteLeaving(leaving);
    return showing;
  }

  preview(object: JsonObject): Promise<Showing> {
    return this.#inTurn(async () => {
      const candidate = this.#prepare({ kind: "present", live: readLivePod(object) }, undefined);
      if (candidate === undefined) {
        return { kind: "hide" };
      }
      this.#beginVerifying([candidate]);
      await candidate.verified;
      await this.#checkReferences(candidate);
      const decision = this.#decide(candidate, undefined);
      const { resourceVersion } = candidate.live;
      switch (decision.kind) {
        case "mirror":
          return { kind: "show", text: decision.text, known: true, resourceVersion };
        case "admit":
          return { kind: "show", text: builtText(decision.built), known: true, resourceVersion };
        case "stop":
        case "stopping": {
          const pod = stoppingPod(decision.entry, object, "as-live");
          return { kind: "show", text: JSON.stringify(pod), known: true, resourceVersion };
        }
        case "stopped":
        case "refuse":
          return { kind: "hide" };
        default:
          return unreachable(decision);
      }
    });
  }

  beginSnapshot(unique: boolean): Snapshot {
    return { startedAt: this.#sightings, unique, uids: new Set(), keys: new Set() };
  }

  completeSnapshot(snapshot: Snapshot, leaving?: Set<string>): Promise<void> {
    return this.#inTurn(async () => {
      const gone = (uid: string) => (this.#tracked.get(uid)?.seenAt ?? -1) <= snapshot.startedAt;
      // Copied, since forgetting changes what is walked.
      const known = [
        ...[...this.#ledger.entries()].map((entry) => entry.uid),
        ...this.#tracked.keys(),
        ...(this.#rejector?.uids() ?? []),
      ];
      for (const uid of known) {
        if (gone(uid)) {
          this.#forget(uid, undefined);
        }
      }
      // If it fails, the kubelet is not told that this was all.
      await this.#ledger.flush();
      if (leaving === undefined) {
        this.#forgetDeparted(this.#departing);
      } else {
        this.#departing.forEach((uid) => leaving.add(uid));
      }
      this.#references?.podsListed();
      this.#observer?.listed();
    });
  }

  get moment(): number {
    return this.#sightings;
  }

  sent(leaving: Set<string>): void {
    this.#forgetDeparted(leaving);
    leaving.clear();
  }

  nextMoment(): number {
    return ++this.#sightings;
  }

  resumeWatch(moment: number): void {
    this.#ledger.settle(moment);
    for (const entry of this.#ledger.entries()) {
      const tracked = this.#tracked.get(entry.uid);
      if (entry.state === "stopped" && tracked !== undefined) {
        tracked.shown = true;
      }
    }
  }

  stopSignedBy(keyIds: ReadonlySet<string>): Promise<void> {
    return this.#inTurn(async () => {
      if (!this.#enforce) {
        return;
      }
      const verdict = deny(
        "key-revoked",
        "the key that signed is revoked; sign the workload again with another key",
      );
      // Copied, since stopping changes what is walked.
      for (const entry of [...this.#ledger.entries()]) {
        if (entry.state === "admitted" && entry.keyId !== undefined && keyIds.has(entry.keyId)) {
          const { uid, namespace, name } = entry;
          // Of a pod that this process has not seen yet nothing is noted: being stopped is not being there.
          const tracked = this.#tracked.get(uid) ??
            { uid, namespace, name, mirror: false, shown: false, seenAt: -1, verdict: "" };
          this.#stop(entry, lastGoodPod(entry), tracked, verdict);
        }
      }
      await this.#ledger.flush();
    });
  }

  stoppingEntries(): LedgerEntry[] {
    return [...this.#ledger.entries()].filter(({ state }) => this.#enforce && state === "stopping");
  }

  stoppingEntry(namespace: string, name: string): LedgerEntry | undefined {
    const entry = this.#ledger.holder(podKey(namespace, name));
    return entry === undefined || entry.state === "admitted" ? undefined : entry;
  }

  noteEnded(uid: string): void {
    if (this.#references?.knows(uid)) {
      this.#ended.add(uid);
    }
  }

  setFinishing(uid: string, finishing: boolean): void {
    if (finishing) {
      this.#finishing.add(uid);
    } else {
      this.#finishing.delete(uid);
    }
  }

  counts(): PodCounts {
    const counts: PodCounts = { admitted: 0, mirror: 0, refused: 0, stopping: 0, stopped: 0 };
    for (const { uid, mirror, shown } of this.#tracked.values()) {
      const state = this.#ledger.get(uid)?.state;
      counts[
        state === "stopping" || state === "stopped"
          ? state
          : mirror
          ? "mirror"
          : shown
          ? "admitted"
          : "refused"
      ]++;
    }
    return counts;
  }

  markStopped(uid: string): Promise<void> {
    return this.#inTurn(async () => {
      this.#finishing.delete(uid);
      const entry = this.#ledger.get(uid);
      if (entry !== undefined && entry.state === "stopping") {
        this.#stopped(entry);
      }
      await this.#ledger.flush();
    });
  }

  /**
   * Runs one piece of work after the other, so that a decision and what it is based on never drift apart while a
   * signature is checked or the journal is written.
   */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    this.#turns++;
    const result = this.#turn.then(work, work);
    const done = () => void this.#turns--;
    this.#turn = result.then(done, done);
    return result;
  }

  /** Reads what must hold before a signature matters. */
  #prepare({ kind, live }: SeenPod, twins: Twins | undefined): Candidate | undefined {
    if (kind === "deleted") {
      return undefined;
    }
    const read = live.identity;
    if (!read.ok) {
      const problem = read.problems[0];
      this.#observer?.unidentified();
      const what = this.#enforce ? "is hidden" : "would be hidden in enforce mode";
      this.#log.warn("pod-refused", `a pod without a proper identity ${what}`, {
        code: "identity-conflict",
        ...(problem === undefined ? {} : { problem: `${problem.path}: ${problem.message}` }),
      });
      return undefined;
    }
    const identity: Identity = { uid: read.uid, namespace: read.namespace, name: read.name };
    return {
      live,
      identity,
      key: live.key,
      refusal: this.#refuseEarly(live, identity, twins),
      datesSkipped: this.#ledger.get(identity.uid) !== undefined,
      verdict: undefined,
      verified: undefined,
    };
  }

  /**
   * Has the signatures checked that matter, several at the same time and in order.
   *
   * @returns what ends it, before its time if not all are judged; the promises of those that were left out never resolve
   */
  #beginVerifying(candidates: readonly (Candidate | undefined)[]): () => void {
    const unknown: { candidate: Candidate; done: () => void }[] = [];
    for (const candidate of candidates) {
      if (candidate === undefined || candidate.refusal !== undefined || candidate.live.mirror) {
        continue;
      }
      const entry = this.#ledger.get(candidate.identity.uid);
      if (entry !== undefined && entry.state !== "admitted" && this.#enforce) {
        // The signature of a pod that is stopping, or has stopped, cannot change anything any more.
        continue;
      }
      const { object, identity } = candidate.live;
      candidate.verdict = this.#verifier.verifyKnown?.(object, identity, this.#timeOf(candidate));
      if (candidate.verdict === undefined) {
        const { promise, resolve } = Promise.withResolvers<void>();
        candidate.verified = promise;
        unknown.push({ candidate, done: resolve });
      }
    }
    let next = 0;
    const verifyNext = async () => {
      for (let one = unknown[next++]; one !== undefined; one = unknown[next++]) {
        one.candidate.verdict = await this.#verify(one.candidate);
        one.done();
      }
    };
    for (let count = 0; count < MAX_CONCURRENT_VERIFICATIONS && count < unknown.length; count++) {
      void verifyNext();
    }
    return () => {
      next = unknown.length;
    };
  }

  #refuseEarly(live: LivePod, identity: Identity, twins: Twins | undefined): Refusal | undefined {
    if (live.nodeName !== this.#nodeName) {
      const verdict = deny("wrong-node", "the pod is not bound to this node");
      return { verdict, reject: false };
    }
    if (twins?.uids.has(identity.uid)) {
      const verdict = deny("identity-conflict", "two pods of one list have the same UID");
      return { verdict, reject: true };
    }
    if (twins?.keys.has(live.key)) {
      const verdict = deny("identity-conflict", "two pods of one list have the same name");
      return { verdict, reject: true };
    }
    return undefined;
  }

  #timeOf({ identity, datesSkipped }: Candidate): JudgementTime {
    const entry = datesSkipped ? this.#ledger.get(identity.uid) : undefined;
    const now = this.#clock.now();
    return entry === undefined ? { now } : { now, admitted: admissionOf(entry) };
  }

  async #verify(candidate: Candidate): Promise<Verdict> {
    try {
      return await this.#verifier.verifyPod(candidate.live.object, this.#timeOf(candidate));
    } catch (error) {
      // A pod that cannot be judged is not known to be good.
      this.#log.error("judge-failed", "a pod could not be judged and is refused", {
        ...candidate.identity,
        reason: messageOf(error),
      });
      return deny("pod-malformed", "the pod cannot be judged");
    }
  }

  /** An earlier sighting of the same batch may have ended the admission for whose sake dates were skipped. */
  #hasLostAdmission({ datesSkipped, refusal, live, identity }: Candidate): boolean {
    return datesSkipped && refusal === undefined && !live.mirror &&
      this.#ledger.get(identity.uid) === undefined;
  }

  /** Where a pod's references are still to be remembered, and for which verdict. */
  #referencesToReserve(
    { identity, verdict, refusal, live }: Candidate,
  ): { references: PodReferences; verdict: AllowVerdict } | undefined {
    const references = this.#references;
    return references === undefined || live.terminal || this.#ended.has(identity.uid) ||
        refusal !== undefined ||
        verdict?.decision !== "allow" ||
        references.knows(identity.uid)
      ? undefined
      : { references, verdict };
  }

  /**
   * Refuses a pod whose references do not fit what the kubelet holds; one that runs already is only remembered.
   *
   * @returns whether its references are remembered since now
   */
  async #reserveReferences(
    candidate: Candidate,
    { references, verdict }: { references: PodReferences; verdict: AllowVerdict },
  ): Promise<boolean> {
    const { identity } = candidate;
    const denied = await references.reserve(identity, verdict, this.#isRunning(identity));
    if (denied !== undefined) {
      candidate.verdict = denied;
    }
    return denied === undefined;
  }

  /** The same decision about a pod that is only looked at. */
  async #checkReferences(candidate: Candidate): Promise<void> {
    const { identity } = candidate;
    const asking = this.#referencesToReserve(candidate);
    if (asking !== undefined && !this.#isRunning(identity)) {
      candidate.verdict = await asking.references.check(identity, asking.verdict) ?? candidate.verdict;
    }
  }

  /** It is too late to refuse it for what it refers to. */
  #isRunning({ uid }: Identity): boolean {
    return !this.#enforce || this.#ledger.get(uid) !== undefined;
  }

  /**
   * A pod refers to nothing any more when the kubelet itself has reported its end. That a pod which runs has ended, the API
   * server alone may say: its containers have what is left of their grace period, and files. One that had ended before
   * this process saw it refers to nothing.
   */
  #noteReferences({ live, identity }: Candidate, decision: Decision, snapshot: Snapshot | undefined): void {
    if (decision.kind !== "admit" && decision.kind !== "stopped") {
      // Whatever else comes under its UID is not shown, and says nothing of it.
      return;
    }
    const { uid } = identity;
    const isNew = !this.#enforce || this.#references?.knows(uid) !== true;
    if (this.#ended.has(uid) || (live.terminal && isNew)) {
      this.#forgetReferences(uid, snapshot);
    } else {
      this.#departing.delete(uid);
      this.#leaving.delete(uid);
    }
  }

  #forgetDeparted(uids: Iterable<string>): void {
    for (const uid of uids) {
      if (this.#departing.delete(uid)) {
        this.#references?.forget(uid);
      }
    }
  }

  /** Events were judged without a failure: those of these pods may be sent. A pod that is back is leaving no more. */
  #noteLeaving(leaving: Set<string> | undefined): void {
    for (const uid of leaving ?? []) {
      if (!this.#departing.has(uid)) {
        leaving?.delete(uid);
      }
    }
    for (const uid of this.#leaving) {
      leaving?.add(uid);
    }
  }

  /**
   * What is judged may never be sent; and while a list or the initial events go on, the kubelet goes by what it knew before.
   * Until then it runs pods of which it has yet to be told that they are gone.
   */
  #forgetReferences(uid: string, snapshot: Snapshot | undefined): void {
    if (this.#references?.knows(uid) === true || this.#references?.expects(uid) === true) {
      this.#departing.add(uid);
      if (snapshot === undefined) {
        this.#leaving.add(uid);
      }
    }
  }

  /** Before any pod is refused: those that an earlier process refused make the next one of their controller wait. */
  #recallRefusals(seen: readonly SeenPod[]): void {
    for (const { kind, live: { identity, refusedAt, controller } } of seen) {
      if (kind === "present" && identity.ok && refusedAt !== undefined && controller !== undefined) {
        this.#rejector?.recall(identity.uid, controller, refusedAt);
      }
    }
  }

  /** Looks, and changes nothing. */
  #decide(candidate: Candidate, snapshot: Snapshot | undefined): Decision {
    const { live, identity, key } = candidate;
    const entry = this.#ledger.get(identity.uid);
    const owner = this.#ownerOf(identity.uid);
    if (owner !== undefined && !haveSameName(owner, identity)) {
      // The rejector is not told: it works by UID, and this UID belongs to a pod that may well be good.
      const verdict = deny("identity-conflict", `the UID belongs to the pod ${keyOf(owner)}`);
      return { kind: "refuse", refusal: { verdict, reject: false } };
    }
    if (entry !== undefined && this.#enforce) {
      // Never back to admitted, even if the API server shows the good spec again: the kubelet is ending the containers,
      // its store holds the pod as deleted, and a deletion cannot be taken back. A new pod gets a new UID.
      if (entry.state === "stopped") {
        return { kind: "stopped", entry };
      }
      if (entry.state === "stopping") {
        const finished = this.#finishing.has(entry.uid) && live.terminal;
        return { kind: finished ? "stopped" : "stopping", entry };
      }
    }
    if (candidate.refusal !== undefined) {
      return this.#refuseOrStop(entry, candidate.refusal);
    }
    const reused = entry === undefined ? this.#refuseReuse(candidate) : undefined;
    if (reused !== undefined) {
      return { kind: "refuse", refusal: reused };
    }
    if (live.mirror && entry !== undefined) {
      const verdict = deny("identity-conflict", "an admitted pod has turned into a mirror pod");
      return this.#refuseOrStop(entry, { verdict, reject: true });
    }
    const tracked = this.#tracked.get(identity.uid);
    if (!live.mirror && tracked?.mirror === true) {
      const verdict = deny("identity-conflict", "the UID belongs to a mirror pod");
      return { kind: "refuse", refusal: { verdict, reject: false } };
    }
    const holder = this.#holderOf(identity.uid, key);
    // Within a snapshot a name has one pod: whoever had it before, and has not been seen in the snapshot, is gone.
    const replaces = holder !== undefined && this.#isUnseen(holder, snapshot) ? holder : undefined;
    if (holder !== undefined && replaces === undefined) {
      const verdict = deny(
        "identity-conflict",
        "the name belongs to another pod on this node that is still there",
      );
      return this.#refuseOrStop(entry, { verdict, reject: true });
    }
    if (live.mirror) {
      // Mirrors need no signature, so the API server can make up as many as it likes, and their UIDs are retired too.
      if (this.#ledger.retiredFull && tracked?.mirror !== true) {
        const verdict = deny(
          "identity-conflict",
          "too many pods have come and gone to tell this mirror pod apart",
        );
        return { kind: "refuse", refusal: { verdict, reject: false } };
      }
      const mirror = rebuildMirror(live.object, { nodeName: this.#nodeName });
      return mirror.ok
        ? { kind: "mirror", text: JSON.stringify(mirror.pod), replaces }
        : { kind: "refuse", refusal: { verdict: denyRebuild(mirror), reject: false } };
    }
    return this.#decideByVerdict(candidate, entry, replaces);
  }

  /** A UID that has had its pod comes back, if at all, as that pod. */
  #refuseReuse({ identity, live: { mirror } }: Candidate): Refusal | undefined {
    const retired = this.#ledger.retired(identity.uid);
    if (retired === undefined) {
      return undefined;
    }
    if (!haveSameName(retired, identity)) {
      return {
        verdict: deny("identity-conflict", `the UID belonged to the pod ${keyOf(retired)}`),
        reject: false,
      };
    }
    if (mirror !== (retired.signedHash === undefined)) {
      const verdict = deny("identity-conflict", "the UID belonged to a pod of another kind, mirror or not");
      return { verdict, reject: false };
    }
    return retired.stopped
      ? {
        verdict: deny("changed-after-admission", "the pod was stopped, and does not come back"),
        reject: true,
      }
      : undefined;
  }

  #decideByVerdict(
    candidate: Candidate,
    entry: LedgerEntry | undefined,
    replaces: string | undefined,
  ): Decision {
    // Without a verdict there is nothing to let the pod pass for.
    const verdict = candidate.verdict ?? deny("pod-malformed", "the pod was not judged");
    if (verdict.decision === "deny") {
      return this.#refuseOrStop(entry, { verdict, reject: true });
    }
    const admittedHash = (entry ?? this.#ledger.retired(candidate.identity.uid))?.signedHash;
    if (admittedHash !== undefined && admittedHash !== verdict.signedHash) {
      const changed = deny("changed-after-admission", "the pod was admitted with other signed bytes");
      return this.#refuseOrStop(entry, { verdict: changed, reject: true });
    }
    const built = buildPod(candidate.live, verdict, {
      nodeName: this.#nodeName,
      now: this.#clock.now(),
      first: entry === undefined,
      identity: candidate.live.identity,
    });
    return built.ok
      ? { kind: "admit", built, replaces }
      : this.#refuseOrStop(entry, { verdict: denyRebuild(built), reject: true });
  }

  #refuseOrStop(entry: LedgerEntry | undefined, refusal: Refusal): Decision {
    return entry === undefined || !this.#enforce
      ? { kind: "refuse", refusal }
      : { kind: "stop", entry, verdict: refusal.verdict };
  }

  #apply(candidate: Candidate, decision: Decision, snapshot: Snapshot | undefined): Showing {
    const { live, identity, key } = candidate;
    if ((decision.kind === "mirror" || decision.kind === "admit") && decision.replaces !== undefined) {
      this.#forget(decision.replaces, snapshot);
    }
    const tracked = this.#track(identity);
    const { resourceVersion } = live;
    const seen = snapshot?.uids.has(identity.uid) ?? true;
    const known = tracked.shown && seen;
    const repeated = snapshot?.unique === true && seen;
    if (snapshot !== undefined) {
      if (snapshot.uids.size >= this.#maxTrackedPods && !seen) {
        throw new TooManyPodsError(this.#maxTrackedPods);
      }
      snapshot.uids.add(identity.uid);
      snapshot.keys.add(key);
    }
    switch (decision.kind) {
      case "mirror":
        tracked.mirror = true;
        tracked.shown = true;
        this.#mirrorNames.set(key, identity.uid);
        this.#rejector?.forget(identity.uid);
        this.#noteVerdict(tracked, "mirror", { kind: "mirror" }, () => {
          this.#log.info("mirror-pod-passed", "the mirror of a static pod passes; it is not judged", {
            ...identity,
          });
        });
        return { kind: "show", text: decision.text, known, resourceVersion };
      case "admit": {
        this.#admit(identity, tracked, decision.built);
        return { kind: "show", text: builtText(decision.built), known, resourceVersion };
      }
      case "stop":
      case "stopping": {
        const entry = decision.kind === "stop"
          ? this.#stop(decision.entry, live.object, tracked, decision.verdict)
          : decision.entry;
        // One list holds one pod once, even if the API server says otherwise.
        return repeated ? { kind: "hide" } : this.#showStopping(live, tracked, entry, known);
      }
      case "stopped":
        return this.#hideStopped(live, tracked, decision.entry);
      case "refuse":
        return this.#refuse(live, tracked, decision.refusal);
      default:
        return unreachable(decision);
    }
  }

  /** Notes the admission. */
  #admit(identity: Identity, tracked: TrackedPod, { verdict, head }: BuiltPod): void {
    const entry = this.#ledger.get(identity.uid);
    if (entry === undefined) {
      this.#ledger.put({
        ...identity,
        signedHash: verdict.signedHash,
        keyId: verdict.keyId,
        admittedAt: this.#clock.now().toISOString(),
        state: "admitted",
        pod: head,
      });
    } else if (entry.keyId !== verdict.keyId) {
      // Signed again: from now on it is for this key to be revoked.
      this.#ledger.put({ ...entry, keyId: verdict.keyId, pod: head });
    } else if (entry.pod !== head) {
      // The journal keeps the first version: it holds the same signed spec, and a write for every event would cost more
      // than the few metadata it would keep fresh.
      this.#ledger.put({ ...entry, pod: head }, false);
    }
    tracked.shown = true;
    this.#rejector?.forget(identity.uid);
    if (tracked.verdict === "allow") {
      return;
    }
    this.#noteVerdict(tracked, "allow", { kind: "allow", verdict }, () => {
      this.#log.info("pod-admitted", "the pod may run", {
        ...identity,
        form: verdict.form,
        keyId: verdict.keyId,
        ...(verdict.injected.length === 0 ? {} : { injected: verdict.injected }),
        ...(verdict.permissions.length === 0 ? {} : { permissions: verdict.permissions }),
        ...(verdict.warnings.length === 0 ? {} : { warnings: verdict.warnings }),
      });
    });
  }

  #stop(entry: LedgerEntry, object: JsonObject, tracked: TrackedPod, verdict: DenyVerdict): LedgerEntry {
    const stopping: LedgerEntry = {
      ...entry,
      state: "stopping",
      stoppingSince: formatTime(this.#clock.now()),
      refusal: formatDenial(verdict, MAX_REFUSAL_LENGTH),
    };
    this.#ledger.put(stopping);
    this.#rejector?.announce(
      this.#hidden(
        readLivePod(object),
        tracked,
        `${stopping.refusal}. Its containers are being stopped`,
      ),
    );
    this.#noteVerdict(tracked, "stopping", { kind: "stop", verdict }, () => {
      this.#log.warn(
        "pod-stopping",
        "an admitted pod may run no longer and is being stopped",
        denialFields(tracked, verdict),
      );
    });
    return stopping;
  }

  #showStopping(live: LivePod, tracked: TrackedPod, entry: LedgerEntry, known: boolean): Showing {
    tracked.shown = true;
    const text = JSON.stringify(stoppingPod(entry, live.object, "shown"));
    return { kind: "show", text, known, resourceVersion: live.resourceVersion };
  }

  #stopped(entry: LedgerEntry): LedgerEntry {
    const stopped: LedgerEntry = { ...entry, state: "stopped" };
    this.#ledger.put(stopped);
    const { uid, namespace, name } = entry;
    this.#log.info("pod-stopped", "all containers of a pod that was being stopped have ended", {
      uid,
      namespace,
      name,
    });
    return stopped;
  }

  #hideStopped(live: LivePod, tracked: TrackedPod, entry: LedgerEntry): Showing {
    if (entry.state !== "stopped") {
      this.#stopped(entry);
    }
    if (live.deleting) {
      this.#rejector?.refuse(this.#hidden(live, tracked, entry.refusal ?? ""));
    }
    return this.#removeIfShown(live, tracked);
  }

  #refuse(live: LivePod, tracked: TrackedPod, refusal: Refusal): Showing {
    const { verdict, reject } = refusal;
    if (reject) {
      this.#rejector?.refuse(this.#hidden(live, tracked, formatDenial(verdict, MAX_REFUSAL_LENGTH)));
    }
    const key = `${verdict.code} ${formatDenial(verdict, MAX_VERDICT_KEY_LENGTH)}`;
    this.#noteVerdict(tracked, key, { kind: "refuse", verdict }, () => {
      const message = this.#enforce
        ? "the pod must not run and is hidden"
        : "the pod would be refused in enforce mode; in audit it runs";
      this.#log.warn("pod-refused", message, denialFields(tracked, verdict));
    });
    return this.#removeIfShown(live, tracked);
  }

  #hidden(live: LivePod, identity: Identity, message: string): RefusedPod {
    return {
      uid: identity.uid,
      namespace: identity.namespace,
      name: identity.name,
      message,
      controller: live.controller,
      terminal: live.terminal,
      deleting: live.deleting,
    };
  }

  #removeIfShown({ object, resourceVersion }: LivePod, tracked: TrackedPod): Showing {
    if (!tracked.shown) {
      return { kind: "hide" };
    }
    tracked.shown = false;
    const gone = rebuildDeleted(object);
    return gone.ok ? { kind: "remove", text: JSON.stringify(gone.pod), resourceVersion } : { kind: "hide" };
  }

  #delete({ object, identity, key, resourceVersion }: LivePod, snapshot: Snapshot | undefined): Showing {
    const gone = rebuildDeleted(object);
    if (!identity.ok || !gone.ok) {
      this.#log.warn("deletion-hidden", "the deletion of a pod without a proper identity is hidden");
      return { kind: "hide" };
    }
    const entry = this.#ledger.get(identity.uid);
    const tracked = this.#tracked.get(identity.uid);
    const known = entry ?? tracked;
    const holder = this.#holderOf(identity.uid, key);
    // The kubelet's store goes by name: a deletion under another pod's name would remove that one.
    if ((known !== undefined && !haveSameName(known, identity)) || holder !== undefined) {
      this.#log.warn("deletion-hidden", "the deletion of a pod under another pod's name is hidden", {
        uid: identity.uid,
        namespace: identity.namespace,
        name: identity.name,
      });
      return { kind: "hide" };
    }
    this.#forget(identity.uid, snapshot);
    return { kind: "remove", text: JSON.stringify(gone.pod), resourceVersion };
  }

  /** The pod is gone, but its UID stays its own: see `retired_uids.ts`. */
  #forget(uid: string, snapshot: Snapshot | undefined): void {
    const retired = this.#retiredFrom(uid);
    const tracked = this.#tracked.get(uid);
    if (tracked !== undefined) {
      this.#untrack(tracked);
    }
    if (retired !== undefined) {
      this.#ledger.retire(retired, ++this.#sightings);
    }
    this.#finishing.delete(uid);
    this.#ended.delete(uid);
    this.#forgetReferences(uid, snapshot);
    this.#gone?.(uid);
    this.#rejector?.forget(uid);
  }

  /** What is remembered of a UID that the kubelet was shown; nothing of one that was hidden from it. */
  #retiredFrom(uid: string): RetiredUid | undefined {
    const entry = this.#ledger.get(uid);
    if (entry !== undefined) {
      const { namespace, name, signedHash, state } = entry;
      return { uid, namespace, name, signedHash, stopped: state !== "admitted" };
    }
    const tracked = this.#tracked.get(uid);
    return tracked?.mirror === true
      ? { uid, namespace: tracked.namespace, name: tracked.name, stopped: false }
      : undefined;
  }

  /** The admitted pod, or mirror pod, that a UID belongs to. */
  #ownerOf(uid: string): Identity | undefined {
    const tracked = this.#tracked.get(uid);
    return this.#ledger.get(uid) ?? (tracked?.mirror === true ? tracked : undefined);
  }

  /** The admitted pod, or mirror pod, that another UID's name belongs to. */
  #holderOf(uid: string, key: string): string | undefined {
    const holder = this.#ledger.holder(key)?.uid ?? this.#mirrorNames.get(key);
    return holder === uid ? undefined : holder;
  }

  #isUnseen(uid: string, snapshot: Snapshot | undefined): boolean {
    return snapshot !== undefined && (this.#tracked.get(uid)?.seenAt ?? -1) <= snapshot.startedAt;
  }

  #track(identity: Identity): TrackedPod {
    const seenAt = ++this.#sightings;
    const before = this.#tracked.get(identity.uid);
    const owner = this.#ownerOf(identity.uid);
    if (owner !== undefined && !haveSameName(owner, identity)) {
      // Another pod under an admitted pod's, or a mirror's, UID leaves the record of that UID alone.
      const verdict = this.#verdictsAside.get(asideKey(identity)) ?? "";
      return { ...identity, mirror: false, shown: false, seenAt, verdict, aside: true };
    }
    if (before !== undefined && haveSameName(before, identity)) {
      before.seenAt = seenAt;
      return before;
    }
    if (before !== undefined) {
      this.#setAside(before);
      this.#untrack(before);
    } else if (this.#tracked.size >= this.#maxTrackedPods) {
      this.#makeRoom();
    }
    const verdict = this.#verdictsAside.get(asideKey(identity)) ?? "";
    this.#verdictsAside.delete(asideKey(identity));
    const tracked: TrackedPod = { ...identity, mirror: false, shown: false, seenAt, verdict };
    this.#tracked.set(identity.uid, tracked);
    return tracked;
  }

  /** Remembers what was logged of a pod that is not tracked. */
  #setAside(pod: TrackedPod): void {
    const key = asideKey(pod);
    this.#verdictsAside.delete(key);
    this.#verdictsAside.set(key, pod.verdict);
    const [oldest] = this.#verdictsAside.keys();
    if (this.#verdictsAside.size > MAX_VERDICTS_ASIDE && oldest !== undefined) {
      this.#verdictsAside.delete(oldest);
    }
  }

  #untrack(tracked: TrackedPod): void {
    this.#tracked.delete(tracked.uid);
    if (this.#mirrorNames.get(keyOf(tracked)) === tracked.uid) {
      this.#mirrorNames.delete(keyOf(tracked));
    }
  }

  /** Drops the oldest pod that the kubelet does not hold. */
  #makeRoom(): void {
    for (const tracked of this.#tracked.values()) {
      if (!tracked.shown && this.#ledger.get(tracked.uid) === undefined) {
        this.#untrack(tracked);
        return;
      }
    }
    throw new TooManyPodsError(this.#maxTrackedPods);
  }

  /** Tells of a verdict if it is not the one before. */
  #noteVerdict(
    tracked: TrackedPod,
    key: string,
    decided: JudgedDecision | MirrorDecision,
    write: () => void,
  ): void {
    if (tracked.verdict !== key) {
      tracked.verdict = key;
      if (tracked.aside) {
        this.#setAside(tracked);
      }
      write();
      const { namespace, name, uid } = tracked;
      this.#observer?.decided({ ...decided, mode: this.#mode, namespace, name, uid });
    }
  }
}

function admissionOf({ signedHash, keyId }: LedgerEntry): Admission {
  return { signedHash, ...(keyId === undefined ? {} : { keyId }) };
}

/** UIDs and names that several pods of one list have. */
interface Twins {
  uids: Set<string>;
  keys: Set<string>;
}

function findTwins(seen: readonly SeenPod[], snapshot: Snapshot): Twins {
  const twins: Twins = { uids: new Set(), keys: new Set() };
  // Earlier pages of the same list count too.
  const uids = new Set(snapshot.uids);
  const keys = new Set(snapshot.keys);
  for (const { live: { identity, key } } of seen) {
    if (identity.ok) {
      if (uids.has(identity.uid)) {
        twins.uids.add(identity.uid);
      }
      if (keys.has(key)) {
        twins.keys.add(key);
      }
      uids.add(identity.uid);
      keys.add(key);
    }
  }
  return twins;
}

function denyRebuild({ code, problems }: RebuildFailure): DenyVerdict {
  return deny(
    code,
    "the pod is not one that can be forwarded",
    problems.map(({ path, message }) => ({ path, kind: "invalid", detail: message })),
  );
}

function denialFields(identity: Identity, verdict: DenyVerdict): LogFields {
  const { uid, namespace, name } = identity;
  const differences = verdict.differences.slice(0, MAX_LOGGED_DIFFERENCES).map(formatDifference);
  return {
    code: verdict.code,
    namespace,
    name,
    uid,
    reason: verdict.message,
    ...(differences.length === 0 ? {} : { differences }),
  };
}

/** Whether two pods have the same name in the same namespace. */
function haveSameName(
  a: { namespace: string; name: string },
  b: { namespace: string; name: string },
): boolean {
  return a.name === b.name && a.namespace === b.namespace;
}

function keyOf(identity: { namespace: string; name: string }): string {
  return podKey(identity.namespace, identity.name);
}

function asideKey(identity: Identity): string {
  return `${identity.uid} ${keyOf(identity)}`;
}

function unreachable(value: never): never {
  throw new TypeError(`unexpected decision: ${JSON.stringify(value)}`);
}
