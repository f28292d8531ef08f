/**
 * Tells the API server about pods that this node refuses: sets their phase to Failed, records an Event, and finishes
 * their deletion, since a pod that no kubelet knows would stay Terminating for ever.
 *
 * What becomes of a request:
 *
 * ```text
 * taken, or the pod is gone ──> done; not again before REPEAT_PAUSE_MS, however often the pod is seen
 * no answer, 429, 503 ────────> all requests wait, and one tries whether the API server is back
 * other failures ─────────────> tried again, later and later, up to a number of tries
 * refused for good ───────────> given up, and logged
 * ```
 *
 * What is done or given up is begun again when the pod is seen later on and still needs it. Nothing is kept across
 * restarts: whatever is still to be told is found again in the first list.
 *
 * @module
 */
import { messageOf } from "@signed-pods/shared/errors";
import { isJsonObject, type JsonValue } from "@signed-pods/shared/json";
import { decodeUtf8, parseStrictJson } from "@signed-pods/shared/strict-json";
import { readBody } from "../body.ts";
import type { Clock } from "../clock.ts";
import type { Log } from "../log.ts";
import {
  countEventRequest,
  deletionRequest,
  failedStatusRequest,
  newEventRequest,
  readEventRequest,
  type RejectionEvent,
  rejectionMessage,
} from "./rejection.ts";
import { retryDelayMs } from "./retry_delay.ts";
import { createSpacing } from "./spacing.ts";
import { readHeaderSeconds } from "../status.ts";
import type { Upstream, UpstreamRequest } from "../upstream.ts";

/** Requests on their way at once: few, since refusals must not slow down the kubelet's own requests. */
export const MAX_CONCURRENT_REQUESTS = 4;

/** Refused pods that are remembered. More than any node runs; beyond it those that are done with are dropped. */
export const MAX_REFUSED_PODS = 10_000;

/** How long one task's requests may take, in milliseconds; then it counts as failed. */
export const REQUEST_TIMEOUT_MS = 30_000;

/** Tries of a PATCH or DELETE that the API server answers with a failure: about six minutes, longer than roles load. */
export const MAX_TRIES = 12;

/** Tries to record an Event. It is for people, so it is not worth more. */
export const MAX_EVENT_TRIES = 5;

/** Tries of a PATCH or DELETE that is answered with a Conflict other than that of the UID. */
export const MAX_CONFLICT_TRIES = 5;

/**
 * What is done, or given up, is not begun again for the same pod within this, in milliseconds: an API server that
 * repeats an event, or says that a pod which it shows does not exist, causes no stream of requests.
 */
export const REPEAT_PAUSE_MS = 300_000;

/** Most of an answer that is read, in bytes: a Status of a failure, or an Event. */
export const MAX_ANSWER_BYTES = 64 * 1024;

/** Highest count of an Event that is counted on from; a real one stays far below. */
export const MAX_EVENT_COUNT = 1_000_000;

/** A pod that is hidden from the kubelet. */
export interface RefusedPod {
  uid: string;
  namespace: string;
  name: string;
  /** Why, for people. */
  message: string;
  /** UID of the controller that would make another one; none for a bare pod. */
  controller: string | undefined;
  /** Its phase is Failed or Succeeded already. */
  terminal: boolean;
  /** It has a deletionTimestamp. */
  deleting: boolean;
}

/** Works in the background. */
export interface Rejector {
  /** Takes a pod; called again for the same UID, takes what has changed about it. */
  refuse(pod: RefusedPod): void;
  /** Records an Event of a pod whose containers are being stopped; its status is left to the kubelet. */
  announce(pod: RefusedPod): void;
  /** A pod was failed at this time, by this process or one before it. */
  recall(uid: string, controller: string, refusedAt: Date): void;
  /** The pod is gone, or allowed after all. */
  forget(uid: string): void;
  /** The pods that are remembered. */
  uids(): string[];
  /** How many requests are on their way, or wait for their turn. */
  pending(): number;
  /**
   * Starts nothing more and waits for what is on its way.
   *
   * @param deadlineMs longest wait in milliseconds; what is on its way then is broken off
   */
  close(deadlineMs: number): Promise<void>;
}

/** What a rejector is made of. */
export interface RejectorOptions {
  upstream: Upstream;
  log: Log;
  clock: Clock;
  /** A number from 0 up to, but not including, 1. */
  random: () => number;
  nodeName: string;
  /** For tests. */
  maxRefusedPods?: number;
}

/** What is to be done for a pod. */
type Task = "fail" | "event" | "delete";

interface Entry {
  pod: RefusedPod;
  /** Tasks that were begun: they are under way, or may begin again at a time, in milliseconds since the epoch. */
  begun: Map<Task, { active: boolean; againAtMs: number }>;
  /** The queue of its controller, while it stands there. */
  queue: Queue | undefined;
  /** Wait that its Event tells of, in milliseconds. */
  announcedMs: number;
  /** The reason that was counted last, and how many times a reason was new since the Event was written. */
  counted: { message: string; pending: number };
  /** The Event as far as this process knows it. */
  event: { count: number; firstAt: Date } | undefined;
  /** Calls off the next writing of the Event. */
  cancelEvent: (() => void) | undefined;
}

interface Job {
  task: Task;
  entry: Entry;
  failures: number;
  conflicts: number;
  /** How often the API server had failed to answer when the request was sent. */
  outages: number;
}

/** Pods of one controller, in the order in which they will be failed. */
interface Queue {
  controller: string;
  entries: Set<Entry>;
  cancelTimer: (() => void) | undefined;
}

type Outcome =
  | { kind: "done" }
  | { kind: "gone" }
  | { kind: "away"; why: string; leastMs: number }
  | { kind: "retry"; why: string; leastMs: number; conflict: boolean }
  | { kind: "give-up"; why: string };

/** Makes a rejector that has nothing to do yet. */
export function createRejector(options: RejectorOptions): Rejector {
  return new BackgroundRejector(options);
}

class BackgroundRejector implements Rejector {
  readonly #upstream: Upstream;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #nodeName: string;
  readonly #maxRefusedPods: number;
  readonly #entries = new Map<string, Entry>();
  readonly #queues = new Map<string, Queue>();
  readonly #spacing = createSpacing();
  /** Of the Events of one pod. */
  readonly #eventSpacing: ReturnType<typeof createSpacing>;
  readonly #ready: Job[] = [];
  readonly #running = new Map<Job, AbortController>();
  readonly #retries = new Set<() => void>();
  /** Failures to answer in a row, and in all; how the next try is called off while requests wait for it. */
  readonly #outage = { inRow: 0, inAll: 0, cancel: undefined as (() => void) | undefined };
  #closed = false;
  #full = false;
  #whenIdle: (() => void) | undefined;

  constructor(options: RejectorOptions) {
    this.#upstream = options.upstream;
    this.#log = options.log;
    this.#clock = options.clock;
    this.#random = options.random;
    this.#nodeName = options.nodeName;
    this.#maxRefusedPods = options.maxRefusedPods ?? MAX_REFUSED_PODS;
    this.#eventSpacing = createSpacing(this.#maxRefusedPods);
  }

  refuse(pod: RefusedPod): void {
    const entry = this.#entry(pod);
    if (entry === undefined) {
      return;
    }
    if (pod.terminal || pod.deleting) {
      this.#leaveQueue(entry);
    }
    if (pod.deleting) {
      this.#begin(entry, "delete");
      return;
    }
    // A pod that has ended needs nothing: nothing runs, and its owner can delete it.
    if (pod.terminal) {
      return;
    }
    if (pod.controller === undefined) {
      this.#leaveQueue(entry);
      this.#begin(entry, "fail");
    } else if (entry.queue === undefined && this.#mayBegin(entry, "fail")) {
      this.#wait(entry, pod.controller);
    }
    this.#count(entry);
  }

  announce(pod: RefusedPod): void {
    const entry = this.#entry(pod);
    if (entry !== undefined) {
      this.#leaveQueue(entry);
      this.#count(entry);
    }
  }

  recall(uid: string, controller: string, refusedAt: Date): void {
    // What this process has failed is counted already.
    if (this.#closed || this.#entries.has(uid)) {
      return;
    }
    this.#spacing.recall(controller, refusedAt.getTime(), this.#nowMs());
  }

  forget(uid: string): void {
    const entry = this.#entries.get(uid);
    if (entry !== undefined) {
      this.#drop(entry);
    }
  }

  uids(): string[] {
    return [...this.#entries.keys()];
  }

  pending(): number {
    let queued = 0;
    for (const { entries } of this.#queues.values()) {
      queued += entries.size;
    }
    return queued + this.#ready.length + this.#running.size + this.#retries.size;
  }

  async close(deadlineMs: number): Promise<void> {
    this.#closed = true;
    this.#ready.length = 0;
    this.#outage.cancel?.();
    for (const queue of this.#queues.values()) {
      queue.cancelTimer?.();
    }
    this.#queues.clear();
    for (const cancel of this.#retries) {
      cancel();
    }
    this.#retries.clear();
    for (const entry of this.#entries.values()) {
      entry.cancelEvent?.();
    }
    if (this.#running.size === 0) {
      return;
    }
    await new Promise<void>((resolve) => {
      const cancel = this.#clock.after(deadlineMs, () => {
        for (const controller of this.#running.values()) {
          controller.abort();
        }
        resolve();
      });
      this.#whenIdle = () => {
        cancel();
        resolve();
      };
    });
  }

  // -------------------------------------------------------------------------------------------------------------
  // Pods

  #entry(pod: RefusedPod): Entry | undefined {
    if (this.#closed) {
      return undefined;
    }
    const before = this.#entries.get(pod.uid);
    if (before !== undefined) {
      before.pod = pod;
      return before;
    }
    if (this.#entries.size >= this.#maxRefusedPods && !this.#makeRoom()) {
      if (!this.#full) {
        this.#full = true;
        this.#log.error("rejections-full", "too many refused pods; some are hidden without being told so", {
          limit: this.#maxRefusedPods,
        });
      }
      return undefined;
    }
    const entry: Entry = {
      pod,
      begun: new Map(),
      queue: undefined,
      announcedMs: 0,
      counted: { message: "", pending: 0 },
      event: undefined,
      cancelEvent: undefined,
    };
    this.#entries.set(pod.uid, entry);
    return entry;
  }

  /** Drops the oldest entry for which nothing is left to do. */
  #makeRoom(): boolean {
    for (const entry of this.#entries.values()) {
      if (this.#isIdle(entry)) {
        this.#drop(entry);
        return true;
      }
    }
    return false;
  }

  #isIdle(entry: Entry): boolean {
    return entry.queue === undefined && entry.cancelEvent === undefined &&
      ![...entry.begun.values()].some(({ active }) => active);
  }

  #drop(entry: Entry): void {
    this.#leaveQueue(entry);
    entry.cancelEvent?.();
    entry.cancelEvent = undefined;
    this.#entries.delete(entry.pod.uid);
    if (this.#entries.size <= this.#maxRefusedPods / 2) {
      this.#full = false;
    }
  }

  #isCurrent(entry: Entry): boolean {
    return this.#entries.get(entry.pod.uid) === entry;
  }

  // -------------------------------------------------------------------------------------------------------------
  // Pauses between the pods of one controller, and between the Events of one pod

  /** Puts a pod into its controller's queue. */
  #wait(entry: Entry, controller: string): void {
    const queue = this.#queues.get(controller) ??
      { controller, entries: new Set<Entry>(), cancelTimer: undefined };
    this.#queues.set(controller, queue);
    entry.announcedMs = this.#spacing.estimateMs(controller, queue.entries.size, this.#nowMs());
    queue.entries.add(entry);
    entry.queue = queue;
    if (queue.cancelTimer === undefined) {
      this.#advance(queue);
    }
  }

  /** Gone, allowed, ended, or under deletion. */
  #leaveQueue(entry: Entry): void {
    const { queue } = entry;
    if (queue === undefined) {
      return;
    }
    entry.queue = undefined;
    queue.entries.delete(entry);
    if (queue.entries.size === 0) {
      queue.cancelTimer?.();
      this.#queues.delete(queue.controller);
    }
  }

  /** Fails those whose time has come, and sets a timer for the next. */
  #advance(queue: Queue): void {
    queue.cancelTimer = undefined;
    for (const next of queue.entries) {
      const leftMs = this.#spacing.take(queue.controller, this.#nowMs());
      if (leftMs > 0) {
        queue.cancelTimer = this.#clock.after(leftMs, () => this.#advance(queue));
        return;
      }
      this.#leaveQueue(next);
      this.#begin(next, "fail");
    }
  }

  /** Counts a refusal if it says something new, and sees to it that the Event tells of it. */
  #count(entry: Entry): void {
    const { counted, pod } = entry;
    if (counted.message !== pod.message) {
      counted.message = pod.message;
      counted.pending++;
    }
    if (counted.pending > 0 && entry.cancelEvent === undefined && !this.#isActive(entry, "event")) {
      const leftMs = this.#eventSpacing.take(pod.uid, this.#nowMs());
      if (leftMs === 0) {
        this.#begin(entry, "event");
      } else {
        entry.cancelEvent = this.#clock.after(leftMs, () => {
          entry.cancelEvent = undefined;
          this.#count(entry);
        });
      }
    }
  }

  // -------------------------------------------------------------------------------------------------------------
  // Requests

  #isActive(entry: Entry, task: Task): boolean {
    return entry.begun.get(task)?.active === true;
  }

  #mayBegin(entry: Entry, task: Task): boolean {
    const begun = entry.begun.get(task);
    return begun === undefined || (!begun.active && begun.againAtMs <= this.#nowMs());
  }

  #begin(entry: Entry, task: Task): void {
    if (this.#mayBegin(entry, task)) {
      entry.begun.set(task, { active: true, againAtMs: 0 });
      this.#ready.push({ task, entry, failures: 0, conflicts: 0, outages: 0 });
      this.#runReady();
    }
  }

  /** The task is done, or given up. */
  #end({ task, entry }: Job): void {
    // How often an Event is written is a matter of its own pauses.
    const againAtMs = task === "event" ? 0 : this.#nowMs() + REPEAT_PAUSE_MS;
    entry.begun.set(task, { active: false, againAtMs });
  }

  #runReady(): void {
    const most = this.#outage.inRow > 0 ? 1 : MAX_CONCURRENT_REQUESTS;
    while (!this.#closed && this.#outage.cancel === undefined && this.#running.size < most) {
      const job = this.#ready.shift();
      if (job === undefined) {
        return;
      }
      if (this.#isNeeded(job)) {
        const controller = new AbortController();
        job.outages = this.#outage.inAll;
        this.#running.set(job, controller);
        this.#run(job, controller);
      } else {
        job.entry.begun.delete(job.task);
      }
    }
  }

  #isNeeded({ task, entry }: Job): boolean {
    return this.#isCurrent(entry) && (task !== "fail" || (!entry.pod.terminal && !entry.pod.deleting));
  }

  async #run(job: Job, controller: AbortController): Promise<void> {
    const outcome = await this.#try(job, controller);
    this.#running.delete(job);
    this.#settle(job, outcome);
    if (this.#running.size === 0) {
      this.#whenIdle?.();
    }
    this.#runReady();
  }

  async #try({ task, entry }: Job, controller: AbortController): Promise<Outcome> {
    const cancelTimer = this.#clock.after(REQUEST_TIMEOUT_MS, () => controller.abort());
    const send = (request: UpstreamRequest) => this.#upstream.send({ ...request, signal: controller.signal });
    try {
      switch (task) {
        case "fail": {
          const { pod } = entry;
          return await understand(task, await send(failedStatusRequest(pod, pod.message, this.#clock.now())));
        }
        case "event":
          return await this.#recordEvent(entry, send);
        case "delete":
          return await understand(task, await send(deletionRequest(entry.pod)));
        default: {
          const never: never = task;
          return never;
        }
      }
    } catch (error) {
      return { kind: "away", why: messageOf(error), leastMs: 0 };
    } finally {
      cancelTimer();
    }
  }

  /** One Event per pod, which counts: made by the first refusal, patched by the others, also by those of a later process. */
  async #recordEvent(
    entry: Entry,
    send: (request: UpstreamRequest) => Promise<Response>,
  ): Promise<Outcome> {
    const { pending } = entry.counted;
    const now = this.#clock.now();
    let known = entry.event;
    if (known === undefined) {
      const event = this.#event(entry, pending, now, now);
      const created = await send(newEventRequest(event));
      if (created.status !== 409) {
        const outcome = await understand("event", created);
        if (outcome.kind === "done") {
          this.#noteEvent(entry, event, pending);
        }
        return outcome;
      }
      await created.body?.cancel();
      const found = await send(readEventRequest(entry.pod));
      if (!found.ok) {
        return await understand("event", found);
      }
      known = { count: readCount(await readAnswer(found)), firstAt: now };
    }
    const event = this.#event(entry, known.count + pending, known.firstAt, now);
    const counted = await send(countEventRequest(event));
    if (counted.status === 404) {
      // Events are kept for an hour.
      await counted.body?.cancel();
      const outcome = await understand("event", await send(newEventRequest(event)));
      if (outcome.kind === "done") {
        this.#noteEvent(entry, event, pending);
      }
      return outcome;
    }
    const outcome = await understand("event", counted);
    if (outcome.kind === "done") {
      this.#noteEvent(entry, event, pending);
    }
    return outcome;
  }

  #event({ pod, announcedMs }: Entry, count: number, firstAt: Date, lastAt: Date): RejectionEvent {
    const wait = announcedMs === 0
      ? ""
      : `. It stays Pending and will be marked Failed in about ${Math.ceil(announcedMs / 1000)} s, ` +
        "since other pods of its controller were rejected before it";
    const message = rejectionMessage(pod.message, wait);
    return { pod, message, nodeName: this.#nodeName, count, firstAt, lastAt };
  }

  #noteEvent(entry: Entry, { count, firstAt }: RejectionEvent, told: number): void {
    entry.event = { count, firstAt };
    entry.counted.pending -= told;
  }

  #settle(job: Job, outcome: Outcome): void {
    const { entry, task } = job;
    const { uid, namespace, name } = entry.pod;
    const fields = { uid, namespace, name };
    if (outcome.kind === "away") {
      // While the API server answers others, it is this request that it does not answer.
      job.failures += this.#outage.inRow === 0 ? 1 : 0;
      if (job.failures >= MAX_TRIES) {
        this.#giveUp(job, `it keeps failing: ${outcome.why}`);
      } else {
        this.#ready.push(job);
      }
      this.#holdAll(job, outcome.why, outcome.leastMs);
      return;
    }
    if (job.outages === this.#outage.inAll) {
      this.#outage.inRow = 0;
    }
    switch (outcome.kind) {
      case "done":
        this.#end(job);
        this.#log.debug("rejection-written", DONE[task], fields);
        break;
      case "gone":
        this.#end(job);
        this.#log.debug("rejection-gone", "the pod is gone", fields);
        break;
      case "give-up":
        this.#giveUp(job, `the API server does not take it: ${outcome.why}`);
        break;
      case "retry": {
        job.failures++;
        job.conflicts += outcome.conflict ? 1 : 0;
        const maxTries = task === "event" ? MAX_EVENT_TRIES : MAX_TRIES;
        if (job.failures >= maxTries || job.conflicts >= MAX_CONFLICT_TRIES) {
          this.#giveUp(job, `it keeps failing: ${outcome.why}`);
        } else {
          this.#retry(job, outcome.why, outcome.leastMs);
        }
        return;
      }
      default: {
        const never: never = outcome;
        return never;
      }
    }
    // A reason that was new while the Event was on its way.
    if (task === "event" && this.#isCurrent(entry)) {
      if (outcome.kind === "done") {
        this.#count(entry);
      } else if (outcome.kind === "gone") {
        entry.counted.pending = 0;
      }
    }
  }

  #giveUp(job: Job, why: string): void {
    this.#end(job);
    const { uid, namespace, name } = job.entry.pod;
    this.#log.error("rejection-given-up", `${why}; it is tried again when the pod is seen after a while`, {
      uid,
      namespace,
      name,
      task: job.task,
    });
  }

  #retry(job: Job, why: string, leastMs: number): void {
    if (this.#closed) {
      return;
    }
    const { uid, namespace, name } = job.entry.pod;
    const delayMs = retryDelayMs(job.failures, this.#random(), leastMs);
    this.#log.warn("rejection-retry", `it will be tried again: ${why}`, {
      uid,
      namespace,
      name,
      task: job.task,
      delayMs,
    });
    const cancel = this.#clock.after(delayMs, () => {
      this.#retries.delete(cancel);
      this.#ready.push(job);
      this.#runReady();
    });
    this.#retries.add(cancel);
  }

  /**
   * The API server does not answer, or asks for a pause. Were each request tried again by itself, thousands would be
   * sent, and logged, every minute; so one of them tries whether it is back.
   */
  #holdAll(job: Job, why: string, leastMs: number): void {
    // Of those that were on their way together, the first to fail counts.
    if (this.#closed || job.outages !== this.#outage.inAll) {
      return;
    }
    this.#outage.inAll++;
    this.#outage.inRow++;
    const delayMs = retryDelayMs(this.#outage.inRow, this.#random(), leastMs);
    this.#log.warn("rejections-held", `rejections wait for the API server: ${why}`, {
      waiting: this.#ready.length,
      delayMs,
    });
    this.#outage.cancel = this.#clock.after(delayMs, () => {
      this.#outage.cancel = undefined;
      this.#runReady();
    });
  }

  #nowMs(): number {
    return this.#clock.now().getTime();
  }
}

const DONE: Readonly<Record<Task, string>> = {
  fail: "the pod is marked Failed",
  event: "an Event tells why the pod is refused",
  delete: "the deletion of a hidden pod is finished",
};

/** What an answer means for the task. */
async function understand(task: Task, response: Response): Promise<Outcome> {
  const { status } = response;
  if (status === 409 && task !== "event") {
    return await understandConflict(response);
  }
  await response.body?.cancel();
  const why = `status ${status}`;
  if (status >= 200 && status < 300) {
    return { kind: "done" };
  }
  if (status === 404) {
    // An Event's 404 means that the namespace is gone, and the pod with it.
    return { kind: "gone" };
  }
  const leastMs = (readHeaderSeconds(response.headers.get("retry-after")) ?? 0) * 1000;
  if (status === 429 || status === 503) {
    return { kind: "away", why, leastMs };
  }
  // 401 and 403 too: a credential is being rotated, or roles are being loaded.
  if (status >= 500 || status === 408 || status === 409 || status === 401 || status === 403) {
    return { kind: "retry", why, leastMs, conflict: status === 409 };
  }
  return { kind: "give-up", why };
}

/** A Conflict is about the UID, so the pod is gone; or about a write at the same time, so it is worth another try. */
async function understandConflict(response: Response): Promise<Outcome> {
  const body = await readAnswer(response);
  const message = isJsonObject(body) ? body["message"] : undefined;
  return typeof message === "string" && /\buid\b/i.test(message)
    ? { kind: "gone" }
    : { kind: "retry", why: "status 409", leastMs: 0, conflict: true };
}

/** An answer that cannot be read says nothing. */
async function readAnswer(response: Response): Promise<JsonValue | undefined> {
  try {
    return parseStrictJson(decodeUtf8(await readBody(response.body, MAX_ANSWER_BYTES)));
  } catch {
    return undefined;
  }
}

/** How often an Event has counted so far. */
function readCount(event: JsonValue | undefined): number {
  const count = isJsonObject(event) ? event["count"] : undefined;
  return typeof count === "number" && Number.isSafeInteger(count) && count >= 1 && count < MAX_EVENT_COUNT
    ? count
    : 1;
}
