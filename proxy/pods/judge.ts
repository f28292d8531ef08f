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
import type { JsonObject } from "@signed-pods/shared/json";
import { isMirrorPod, readIdentity } from "@signed-pods/shared/pod/metadata";
import { rebuildDeleted, rebuildMirror, rebuildPod } from "@signed-pods/shared/pod/rebuild";
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
import { type Ledger, type LedgerEntry, podKey } from "./ledger.ts";
import {
  controllerOf,
  hasTerminalPhase,
  isBeingDeleted,
  nodeNameOf,
  rejectedAt,
  resourceVersionOf,
} from "./live_pod.ts";
import type { Log, LogFields } from "../log.ts";
import type { Mode } from "../mode.ts";
import type { PodReferences } from "../objects/pod_references.ts";
import type { DecisionKind, JudgeObserver } from "../operability/pod_decision.ts";
import { podText } from "./pod_text.ts";
import type { RefusedPod, Rejector } from "./rejector.ts";
import type { RetiredUid } from "./retired_uids.ts";
import { lastGoodPod, stoppingPod } from "./stopping.ts";

/**
 * Most pods of which something is remembered, admitted or not. Beyond it what is known of hidden pods is dropped, the
 * oldest first; that costs repeated log lines, and never admits anything.
 */
export const MAX_TRACKED_PODS = 20_000;

/** Longest reason kept and shown for a pod that is stopped, in UTF-16 code units. */
const MAX_REFUSAL_LENGTH = 900;

/** How many differences a log line names. */
const MAX_LOGGED_DIFFERENCES = 5;

/** As much of a verdict as is kept to tell whether it changed, in UTF-16 code units. */
const MAX_VERDICT_KEY_LENGTH = 200;

/** Judges one pod by its signature, without any memory of others. */
export interface PodVerifier {
  /**
   * @param pod a v1 Pod as the API server sent it
   * @param time now, and what is remembered of an admitted pod, for which no date counts any more
   */
  verifyPod(pod: JsonObject, time: JudgementTime): Promise<Verdict>;
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
   * @throws LedgerFullError or what the ledger's store throws; then nothing may be forwarded
   */
  judge(sightings: readonly Sighting[], snapshot?: Snapshot): Promise<Showing[]>;
  /** What GET shows of a pod; changes nothing. */
  preview(object: JsonObject): Promise<Showing>;
  /** Begins a full list (`unique`) or the initial events of a watch. Call it before the request goes up. */
  beginSnapshot(unique: boolean): Snapshot;
  /** All pods of the snapshot were judged: what it did not hold is gone, and forgotten. */
  completeSnapshot(snapshot: Snapshot): Promise<void>;
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
}

/** A pod on its way through the judge. */
interface Candidate {
  object: JsonObject;
  identity: Identity;
  mirror: boolean;
  /** What is wrong before its signature matters. */
  refusal: Refusal | undefined;
  /** The verifier was told that dates do not count any more. */
  datesSkipped: boolean;
  verdict: Verdict | undefined;
}

interface Refusal {
  verdict: DenyVerdict;
  /** Whether the rejector is told. */
  reject: boolean;
}

type Decision =
  | { kind: "mirror"; text: string; replaces: string | undefined }
  | { kind: "admit"; verdict: AllowVerdict; pod: JsonObject; replaces: string | undefined }
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
  /** Pods that the kubelet itself has reported to have ended, of those whose references are known. */
  readonly #ended = new Set<string>();
  #sightings = 0;
  #turn: Promise<unknown> = Promise.resolve();

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
  }

  judge(sightings: readonly Sighting[], snapshot?: Snapshot): Promise<Showing[]> {
    return this.#inTurn(async () => {
      const twins = snapshot?.unique ? findTwins(sightings, snapshot) : undefined;
      const candidates = await Promise.all(sightings.map((sighting) => this.#prepare(sighting, twins)));
      this.#recallRefusals(candidates);
      const showings: Showing[] = [];
      for (const [index, sighting] of sightings.entries()) {
        const candidate = candidates[index];
        if (sighting.kind === "deleted") {
          showings.push(this.#delete(sighting.object));
        } else if (candidate === undefined) {
          showings.push({ kind: "hide" });
        } else {
          await this.#verifyAgain(candidate);
          const reserved = await this.#reserveReferences(candidate);
          const decision = this.#decide(candidate, snapshot);
          if (reserved && decision.kind !== "admit") {
            this.#references?.forget(candidate.identity.uid);
          }
          showings.push(this.#apply(candidate, decision, snapshot));
        }
      }
      await this.#ledger.flush();
      return showings;
    });
  }

  preview(object: JsonObject): Promise<Showing> {
    return this.#inTurn(async () => {
      const candidate = await this.#prepare({ kind: "present", object }, undefined);
      if (candidate === undefined) {
        return { kind: "hide" };
      }
      await this.#checkReferences(candidate);
      const decision = this.#decide(candidate, undefined);
      const resourceVersion = this.#resourceVersion(object);
      switch (decision.kind) {
        case "mirror":
          return { kind: "show", text: decision.text, known: true, resourceVersion };
        case "admit":
          return { kind: "show", text: JSON.stringify(decision.pod), known: true, resourceVersion };
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

  completeSnapshot(snapshot: Snapshot): Promise<void> {
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
          this.#forget(uid);
        }
      }
      await this.#ledger.flush();
      this.#references?.podsListed();
      this.#observer?.listed();
    });
  }

  get moment(): number {
    return this.#sightings;
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
    const entry = this.#ledger.holder(namespace, name);
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
    const result = this.#turn.then(work, work);
    this.#turn = result.catch(() => {});
    return result;
  }

  /** Reads what must hold before a signature matters, and has the signature checked if it matters. */
  async #prepare(sighting: Sighting, twins: Twins | undefined): Promise<Candidate | undefined> {
    if (sighting.kind === "deleted") {
      return undefined;
    }
    const { object } = sighting;
    const read = readIdentity(object);
    if (!read.ok) {
      const problem = read.problems[0];
      this.#observer?.unidentified();
      this.#log.warn("pod-refused", "a pod without a proper identity is hidden", {
        code: "identity-conflict",
        ...(problem === undefined ? {} : { problem: `${problem.path}: ${problem.message}` }),
      });
      return undefined;
    }
    const identity: Identity = { uid: read.uid, namespace: read.namespace, name: read.name };
    const entry = this.#ledger.get(identity.uid);
    const candidate: Candidate = {
      object,
      identity,
      mirror: isMirrorPod(object),
      refusal: this.#refuseEarly(object, identity, twins),
      datesSkipped: entry !== undefined,
      verdict: undefined,
    };
    // The signature of a pod that is stopping, or has stopped, cannot change anything any more.
    const decided = entry !== undefined && entry.state !== "admitted" && this.#enforce;
    if (candidate.refusal === undefined && !candidate.mirror && !decided) {
      candidate.verdict = await this.#verify(candidate);
    }
    return candidate;
  }

  #refuseEarly(object: JsonObject, identity: Identity, twins: Twins | undefined): Refusal | undefined {
    if (nodeNameOf(object) !== this.#nodeName) {
      const verdict = deny("wrong-node", "the pod is not bound to this node");
      return { verdict, reject: false };
    }
    if (twins?.uids.has(identity.uid)) {
      const verdict = deny("identity-conflict", "two pods of one list have the same UID");
      return { verdict, reject: true };
    }
    if (twins?.keys.has(podKey(identity.namespace, identity.name))) {
      const verdict = deny("identity-conflict", "two pods of one list have the same name");
      return { verdict, reject: true };
    }
    return undefined;
  }

  async #verify(candidate: Candidate): Promise<Verdict> {
    const entry = candidate.datesSkipped ? this.#ledger.get(candidate.identity.uid) : undefined;
    try {
      return await this.#verifier.verifyPod(candidate.object, {
        now: this.#clock.now(),
        ...(entry === undefined ? {} : { admitted: admissionOf(entry) }),
      });
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
  async #verifyAgain(candidate: Candidate): Promise<void> {
    if (
      candidate.datesSkipped && candidate.refusal === undefined && !candidate.mirror &&
      this.#ledger.get(candidate.identity.uid) === undefined
    ) {
      candidate.datesSkipped = false;
      candidate.verdict = await this.#verify(candidate);
    }
  }

  /**
   * Refuses a pod whose references do not fit what the kubelet holds; one that runs already is only remembered.
   *
   * @returns whether its references are remembered since now
   */
  async #reserveReferences(candidate: Candidate): Promise<boolean> {
    const { identity, object } = candidate;
    if (this.#ended.has(identity.uid)) {
      // The kubelet starts no container of it any more, whatever is said of it.
      this.#references?.forget(identity.uid);
      return false;
    }
    if (hasTerminalPhase(object)) {
      // Of a pod that runs, that is the API server's word alone: its containers have what is left of their grace period, and
      // files. One that had ended before this process saw it refers to nothing.
      if (!this.#enforce) {
        this.#references?.forget(identity.uid);
      }
      return false;
    }
    const asking = this.#askingAbout(candidate);
    if (asking === undefined) {
      return false;
    }
    const denied = await asking.references.reserve(identity, asking.verdict, this.#isRunning(identity));
    if (denied !== undefined) {
      candidate.verdict = denied;
    }
    return denied === undefined;
  }

  /** The same decision about a pod that is only looked at. */
  async #checkReferences(candidate: Candidate): Promise<void> {
    const { identity, object } = candidate;
    const asking = hasTerminalPhase(object) ? undefined : this.#askingAbout(candidate);
    if (asking !== undefined && !this.#isRunning(identity)) {
      candidate.verdict = await asking.references.check(identity, asking.verdict) ?? candidate.verdict;
    }
  }

  /** What has to be asked about the references of a good pod that nobody has asked about yet. */
  #askingAbout(
    { identity, verdict, refusal }: Candidate,
  ): { references: PodReferences; verdict: AllowVerdict } | undefined {
    const references = this.#references;
    return references === undefined || refusal !== undefined || verdict?.decision !== "allow" ||
        references.knows(identity.uid)
      ? undefined
      : { references, verdict };
  }

  /** It is too late to refuse it for what it refers to. */
  #isRunning({ uid }: Identity): boolean {
    return !this.#enforce || this.#ledger.get(uid) !== undefined;
  }

  /** Before any pod is refused: those that an earlier process refused make the next one of their controller wait. */
  #recallRefusals(candidates: readonly (Candidate | undefined)[]): void {
    for (const candidate of candidates) {
      const refusedAt = candidate === undefined ? undefined : rejectedAt(candidate.object);
      const controller = candidate === undefined ? undefined : controllerOf(candidate.object);
      if (candidate !== undefined && refusedAt !== undefined && controller !== undefined) {
        this.#rejector?.recall(candidate.identity.uid, controller, refusedAt);
      }
    }
  }

  /** Looks, and changes nothing. */
  #decide(candidate: Candidate, snapshot: Snapshot | undefined): Decision {
    const { object, identity } = candidate;
    const entry = this.#ledger.get(identity.uid);
    const owner = this.#ownerOf(identity.uid);
    if (owner !== undefined && keyOf(owner) !== keyOf(identity)) {
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
        const finished = this.#finishing.has(entry.uid) && hasTerminalPhase(object);
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
    if (candidate.mirror && entry !== undefined) {
      const verdict = deny("identity-conflict", "an admitted pod has turned into a mirror pod");
      return this.#refuseOrStop(entry, { verdict, reject: true });
    }
    const tracked = this.#tracked.get(identity.uid);
    if (!candidate.mirror && tracked?.mirror === true) {
      const verdict = deny("identity-conflict", "the UID belongs to a mirror pod");
      return { kind: "refuse", refusal: { verdict, reject: false } };
    }
    const holder = this.#holderOf(identity);
    // Within a snapshot a name has one pod: whoever had it before, and has not been seen in the snapshot, is gone.
    const replaces = holder !== undefined && this.#isUnseen(holder, snapshot) ? holder : undefined;
    if (holder !== undefined && replaces === undefined) {
      const verdict = deny(
        "identity-conflict",
        "the name belongs to another pod on this node that is still there",
      );
      return this.#refuseOrStop(entry, { verdict, reject: true });
    }
    if (candidate.mirror) {
      // Mirrors need no signature, so the API server can make up as many as it likes, and their UIDs are retired too.
      if (this.#ledger.retiredFull && tracked?.mirror !== true) {
        const verdict = deny(
          "identity-conflict",
          "too many pods have come and gone to tell this mirror pod apart",
        );
        return { kind: "refuse", refusal: { verdict, reject: false } };
      }
      const mirror = rebuildMirror(object, { nodeName: this.#nodeName });
      return mirror.ok
        ? { kind: "mirror", text: JSON.stringify(mirror.pod), replaces }
        : { kind: "refuse", refusal: { verdict: denyRebuild(mirror), reject: false } };
    }
    return this.#decideByVerdict(candidate, entry, replaces);
  }

  /** A UID that has had its pod comes back, if at all, as that pod. */
  #refuseReuse({ identity, mirror }: Candidate): Refusal | undefined {
    const retired = this.#ledger.retired(identity.uid);
    if (retired === undefined) {
      return undefined;
    }
    if (keyOf(retired) !== keyOf(identity)) {
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
        verdict: deny("changed-after-admission", "the pod was stopped, since it had changed"),
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
    const rebuilt = rebuildPod(candidate.object, verdict, {
      nodeName: this.#nodeName,
      now: this.#clock.now(),
      first: entry === undefined,
    });
    return rebuilt.ok
      ? { kind: "admit", verdict, pod: rebuilt.pod, replaces }
      : this.#refuseOrStop(entry, { verdict: denyRebuild(rebuilt), reject: true });
  }

  #refuseOrStop(entry: LedgerEntry | undefined, refusal: Refusal): Decision {
    return entry === undefined || !this.#enforce
      ? { kind: "refuse", refusal }
      : { kind: "stop", entry, verdict: refusal.verdict };
  }

  #apply(candidate: Candidate, decision: Decision, snapshot: Snapshot | undefined): Showing {
    const { object, identity } = candidate;
    if ((decision.kind === "mirror" || decision.kind === "admit") && decision.replaces !== undefined) {
      this.#forget(decision.replaces);
    }
    const tracked = this.#track(identity);
    const known = tracked.shown && (snapshot === undefined || snapshot.uids.has(identity.uid));
    const resourceVersion = this.#resourceVersion(object);
    const repeated = snapshot?.unique === true && snapshot.uids.has(identity.uid);
    if (
      snapshot !== undefined && snapshot.uids.size >= this.#maxTrackedPods && !snapshot.uids.has(identity.uid)
    ) {
      throw new TooManyPodsError(this.#maxTrackedPods);
    }
    snapshot?.uids.add(identity.uid);
    snapshot?.keys.add(keyOf(identity));
    switch (decision.kind) {
      case "mirror":
        tracked.mirror = true;
        tracked.shown = true;
        this.#mirrorNames.set(keyOf(identity), identity.uid);
        this.#rejector?.forget(identity.uid);
        return { kind: "show", text: decision.text, known, resourceVersion };
      case "admit": {
        const text = this.#admit(candidate, tracked, decision.verdict, decision.pod);
        return { kind: "show", text, known, resourceVersion };
      }
      case "stop":
      case "stopping": {
        const entry = decision.kind === "stop"
          ? this.#stop(decision.entry, object, tracked, decision.verdict)
          : decision.entry;
        // One list holds one pod once, even if the API server says otherwise.
        return repeated ? { kind: "hide" } : this.#showStopping(object, tracked, entry, known);
      }
      case "stopped":
        return this.#hideStopped(object, tracked, decision.entry);
      case "refuse":
        return this.#refuse(object, tracked, decision.refusal);
      default:
        return unreachable(decision);
    }
  }

  /** Notes the admission, and returns the text to forward. */
  #admit(candidate: Candidate, tracked: TrackedPod, verdict: AllowVerdict, pod: JsonObject): string {
    const { identity } = candidate;
    const { status, ...rest } = pod;
    const head = podText(rest);
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
    return status === undefined ? head : `${head.slice(0, -1)},${podText({ status }).slice(1)}`;
  }

  #stop(entry: LedgerEntry, live: JsonObject, tracked: TrackedPod, verdict: DenyVerdict): LedgerEntry {
    const stopping: LedgerEntry = {
      ...entry,
      state: "stopping",
      stoppingSince: formatTime(this.#clock.now()),
      refusal: formatDenial(verdict, MAX_REFUSAL_LENGTH),
    };
    this.#ledger.put(stopping);
    this.#rejector?.announce(
      this.#hidden(live, tracked, `${stopping.refusal}. Its containers are being stopped`),
    );
    this.#noteVerdict(tracked, "stopping", { kind: "stop", verdict }, () => {
      this.#log.warn(
        "pod-stopping",
        "an admitted pod is not what was signed any more and is being stopped",
        denialFields(tracked, verdict),
      );
    });
    return stopping;
  }

  #showStopping(live: JsonObject, tracked: TrackedPod, entry: LedgerEntry, known: boolean): Showing {
    tracked.shown = true;
    const text = JSON.stringify(stoppingPod(entry, live, "shown"));
    return { kind: "show", text, known, resourceVersion: this.#resourceVersion(live) };
  }

  #stopped(entry: LedgerEntry): LedgerEntry {
    const stopped: LedgerEntry = { ...entry, state: "stopped" };
    this.#ledger.put(stopped);
    const { uid, namespace, name } = entry;
    this.#log.info("pod-stopped", "all containers of a pod that changed have ended", {
      uid,
      namespace,
      name,
    });
    return stopped;
  }

  #hideStopped(live: JsonObject, tracked: TrackedPod, entry: LedgerEntry): Showing {
    if (entry.state !== "stopped") {
      this.#stopped(entry);
    }
    if (isBeingDeleted(live)) {
      this.#rejector?.refuse(this.#hidden(live, tracked, entry.refusal ?? ""));
    }
    return this.#removeIfShown(live, tracked);
  }

  #refuse(object: JsonObject, tracked: TrackedPod, refusal: Refusal): Showing {
    const { verdict, reject } = refusal;
    if (reject) {
      this.#rejector?.refuse(this.#hidden(object, tracked, formatDenial(verdict, MAX_REFUSAL_LENGTH)));
    }
    const key = `${verdict.code} ${formatDenial(verdict, MAX_VERDICT_KEY_LENGTH)}`;
    this.#noteVerdict(tracked, key, { kind: "refuse", verdict }, () => {
      this.#log.warn("pod-refused", "the pod must not run and is hidden", denialFields(tracked, verdict));
    });
    return this.#removeIfShown(object, tracked);
  }

  #hidden(object: JsonObject, identity: Identity, message: string): RefusedPod {
    return {
      uid: identity.uid,
      namespace: identity.namespace,
      name: identity.name,
      message,
      controller: controllerOf(object),
      terminal: hasTerminalPhase(object),
      deleting: isBeingDeleted(object),
    };
  }

  #removeIfShown(object: JsonObject, tracked: TrackedPod): Showing {
    if (!tracked.shown) {
      return { kind: "hide" };
    }
    tracked.shown = false;
    const gone = rebuildDeleted(object);
    return gone.ok
      ? { kind: "remove", text: JSON.stringify(gone.pod), resourceVersion: this.#resourceVersion(object) }
      : { kind: "hide" };
  }

  #delete(object: JsonObject): Showing {
    const identity = readIdentity(object);
    const gone = rebuildDeleted(object);
    if (!identity.ok || !gone.ok) {
      this.#log.warn("deletion-hidden", "the deletion of a pod without a proper identity is hidden");
      return { kind: "hide" };
    }
    const key = keyOf(identity);
    const entry = this.#ledger.get(identity.uid);
    const tracked = this.#tracked.get(identity.uid);
    const known = entry ?? tracked;
    const holder = this.#holderOf(identity);
    // The kubelet's store goes by name: a deletion under another pod's name would remove that one.
    if ((known !== undefined && keyOf(known) !== key) || holder !== undefined) {
      this.#log.warn("deletion-hidden", "the deletion of a pod under another pod's name is hidden", {
        uid: identity.uid,
        namespace: identity.namespace,
        name: identity.name,
      });
      return { kind: "hide" };
    }
    this.#forget(identity.uid);
    return { kind: "remove", text: JSON.stringify(gone.pod), resourceVersion: this.#resourceVersion(object) };
  }

  /** The pod is gone, but its UID stays its own: see `retired_uids.ts`. */
  #forget(uid: string): void {
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
    this.#references?.forget(uid);
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
  #holderOf(identity: Identity): string | undefined {
    const holder = this.#ledger.holder(identity.namespace, identity.name)?.uid ??
      this.#mirrorNames.get(keyOf(identity));
    return holder === identity.uid ? undefined : holder;
  }

  #isUnseen(uid: string, snapshot: Snapshot | undefined): boolean {
    return snapshot !== undefined && (this.#tracked.get(uid)?.seenAt ?? -1) <= snapshot.startedAt;
  }

  #track(identity: Identity): TrackedPod {
    const seenAt = ++this.#sightings;
    const before = this.#tracked.get(identity.uid);
    const owner = this.#ownerOf(identity.uid);
    if (owner !== undefined && keyOf(owner) !== keyOf(identity)) {
      // Another pod under an admitted pod's, or a mirror's, UID leaves the record of that UID alone.
      return { ...identity, mirror: false, shown: false, seenAt, verdict: before?.verdict ?? "" };
    }
    if (before !== undefined && keyOf(before) === keyOf(identity)) {
      before.seenAt = seenAt;
      return before;
    }
    if (before !== undefined) {
      this.#untrack(before);
    } else if (this.#tracked.size >= this.#maxTrackedPods) {
      this.#makeRoom();
    }
    const tracked: TrackedPod = { ...identity, mirror: false, shown: false, seenAt, verdict: "" };
    this.#tracked.set(identity.uid, tracked);
    return tracked;
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
    decided: { kind: DecisionKind; verdict: Verdict },
    write: () => void,
  ): void {
    if (tracked.verdict !== key) {
      tracked.verdict = key;
      write();
      const { namespace, name, uid } = tracked;
      this.#observer?.decided({ ...decided, mode: this.#mode, namespace, name, uid });
    }
  }

  #resourceVersion(object: JsonObject): string | undefined {
    const version = resourceVersionOf(object);
    return typeof version === "string" ? version : undefined;
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

function findTwins(sightings: readonly Sighting[], snapshot: Snapshot): Twins {
  const twins: Twins = { uids: new Set(), keys: new Set() };
  // Earlier pages of the same list count too.
  const uids = new Set(snapshot.uids);
  const keys = new Set(snapshot.keys);
  for (const { object } of sightings) {
    const identity = readIdentity(object);
    if (identity.ok) {
      const key = keyOf(identity);
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

function keyOf(identity: { namespace: string; name: string }): string {
  return podKey(identity.namespace, identity.name);
}

function unreachable(value: never): never {
  throw new TypeError(`unexpected decision: ${JSON.stringify(value)}`);
}
