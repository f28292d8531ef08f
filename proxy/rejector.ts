/**
 * Tells the API server about pods that this node refuses: sets their phase to Failed, records an Event, and finishes
 * their deletion, since a pod that no kubelet knows would stay Terminating for ever.
 *
 * Everything is keyed by UID and says so in the request, so that a successor of the same name is never meant.
 *
 * Source: kubelet status manager (`pkg/kubelet/status/status_manager.go`), whose requests these are modelled on.
 *
 * @module
 */
import { messageOf } from "@signed-pods/shared/errors";
import { isJsonObject, type JsonObject, type JsonValue } from "@signed-pods/shared/json";
import { MAX_DNS_SUBDOMAIN_LENGTH } from "@signed-pods/shared/pod/grammar";
import { decodeUtf8, parseStrictJson } from "@signed-pods/shared/strict-json";
import { formatTime } from "@signed-pods/shared/time";
import { readBody } from "./body.ts";
import type { Clock } from "./clock.ts";
import type { Log } from "./log.ts";
import { retryDelayMs } from "./retry_delay.ts";
import { createSpacing } from "./spacing.ts";
import { readHeaderSeconds } from "./status.ts";
import type { Upstream, UpstreamRequest } from "./upstream.ts";

/** Reason in the status, its condition and the Event. */
export const REJECTION_REASON = "NodeAdmissionRejected";

/** What every message to users begins with. */
export const REJECTION_PREFIX = "Pod rejected by kubelet-proxy: ";

/** Longest message in a status or an Event, in UTF-8 bytes; Events allow 1024. */
export const MAX_MESSAGE_BYTES = 1000;

/** Requests on their way at once: few, since refusals must not slow down the kubelet's own requests. */
export const MAX_CONCURRENT_REQUESTS = 4;

/** Refused pods that are remembered. More than any node runs; beyond it those that are done with are dropped. */
export const MAX_REFUSED_PODS = 10_000;

/** How long a request may take, in milliseconds; then it counts as failed. */
export const REQUEST_TIMEOUT_MS = 30_000;

/** Tries to record an Event. It is for people, so it is not worth more. */
export const MAX_EVENT_TRIES = 5;

/** Tries of a PATCH or DELETE that is answered with a Conflict other than that of the UID. */
export const MAX_CONFLICT_TRIES = 5;

/** Most of an answer that is read, in bytes: only a Status of a failure is. */
const MAX_ANSWER_BYTES = 64 * 1024;

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
  /** The pod is gone, or allowed after all. */
  forget(uid: string): void;
  /** The pods that are remembered. */
  uids(): string[];
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
  /** Tasks that were started once; none is started again. */
  started: Set<Task>;
  /** Tasks that are queued, running or waiting for another try. */
  active: number;
  /** It stands in its controller's queue. */
  waiting: boolean;
  /** Wait that its Event tells of, in milliseconds. */
  announcedMs: number;
}

interface Job {
  task: Task;
  entry: Entry;
  failures: number;
  conflicts: number;
}

/** Pods of one controller, in the order in which they will be failed. */
interface Queue {
  entries: Entry[];
  cancelTimer: (() => void) | undefined;
}

type Outcome =
  | { kind: "done" }
  | { kind: "gone" }
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
  readonly #ready: Job[] = [];
  readonly #running = new Map<Job, AbortController>();
  readonly #retries = new Set<() => void>();
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
  }

  refuse(pod: RefusedPod): void {
    if (this.#closed) {
      return;
    }
    const entry = this.#entry(pod);
    if (entry === undefined) {
      return;
    }
    entry.pod = pod;
    if (pod.deleting) {
      this.#start(entry, "delete");
      return;
    }
    // A pod that has ended needs nothing: nothing runs, and its owner can delete it.
    if (pod.terminal || entry.started.has("fail") || entry.waiting) {
      return;
    }
    if (pod.controller === undefined) {
      this.#start(entry, "fail");
    } else {
      this.#wait(entry, pod.controller);
    }
    this.#start(entry, "event");
  }

  forget(uid: string): void {
    this.#entries.delete(uid);
  }

  uids(): string[] {
    return [...this.#entries.keys()];
  }

  async close(deadlineMs: number): Promise<void> {
    this.#closed = true;
    this.#ready.length = 0;
    for (const queue of this.#queues.values()) {
      queue.cancelTimer?.();
    }
    this.#queues.clear();
    for (const cancel of this.#retries) {
      cancel();
    }
    this.#retries.clear();
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

  #entry(pod: RefusedPod): Entry | undefined {
    const before = this.#entries.get(pod.uid);
    if (before !== undefined) {
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
    this.#full = false;
    const entry: Entry = { pod, started: new Set(), active: 0, waiting: false, announcedMs: 0 };
    this.#entries.set(pod.uid, entry);
    return entry;
  }

  /** Drops the oldest entry for which nothing is left to do. */
  #makeRoom(): boolean {
    for (const [uid, entry] of this.#entries) {
      if (entry.active === 0 && !entry.waiting) {
        this.#entries.delete(uid);
        return true;
      }
    }
    return false;
  }

  #isCurrent(entry: Entry): boolean {
    return this.#entries.get(entry.pod.uid) === entry;
  }

  /** Puts a pod into its controller's queue. */
  #wait(entry: Entry, controller: string): void {
    const queue = this.#queues.get(controller) ?? { entries: [], cancelTimer: undefined };
    this.#queues.set(controller, queue);
    queue.entries = queue.entries.filter((other) => this.#isDue(other));
    entry.waiting = true;
    entry.announcedMs = this.#spacing.estimateMs(
      controller,
      queue.entries.length,
      this.#clock.now().getTime(),
    );
    queue.entries.push(entry);
    this.#advance(controller, queue);
  }

  /** Still to be failed: neither gone, nor allowed, nor ended or deleted by someone else. */
  #isDue(entry: Entry): boolean {
    const due = this.#isCurrent(entry) && !entry.pod.terminal && !entry.pod.deleting;
    entry.waiting = due;
    return due;
  }

  /** Fails those whose time has come, and sets a timer for the next. */
  #advance(controller: string, queue: Queue): void {
    queue.cancelTimer?.();
    queue.cancelTimer = undefined;
    for (;;) {
      const next = queue.entries[0];
      if (next === undefined) {
        this.#queues.delete(controller);
        return;
      }
      if (!this.#isDue(next)) {
        queue.entries.shift();
        continue;
      }
      const leftMs = this.#spacing.take(controller, this.#clock.now().getTime());
      if (leftMs > 0) {
        queue.cancelTimer = this.#clock.after(leftMs, () => this.#advance(controller, queue));
        return;
      }
      queue.entries.shift();
      next.waiting = false;
      this.#start(next, "fail");
    }
  }

  #start(entry: Entry, task: Task): void {
    if (!entry.started.has(task)) {
      entry.started.add(task);
      entry.active++;
      this.#ready.push({ task, entry, failures: 0, conflicts: 0 });
      this.#runReady();
    }
  }

  #runReady(): void {
    while (!this.#closed && this.#running.size < MAX_CONCURRENT_REQUESTS) {
      const job = this.#ready.shift();
      if (job === undefined) {
        return;
      }
      if (this.#isNeeded(job)) {
        const controller = new AbortController();
        this.#running.set(job, controller);
        this.#run(job, controller);
      } else {
        job.entry.active--;
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

  async #try(job: Job, controller: AbortController): Promise<Outcome> {
    const cancelTimer = this.#clock.after(REQUEST_TIMEOUT_MS, () => controller.abort());
    try {
      const request = this.#request(job);
      const response = await this.#upstream.send({ ...request, signal: controller.signal });
      return await understand(job.task, response);
    } catch (error) {
      return { kind: "retry", why: messageOf(error), leastMs: 0, conflict: false };
    } finally {
      cancelTimer();
    }
  }

  #settle(job: Job, outcome: Outcome): void {
    const { entry, task } = job;
    const { uid, namespace, name } = entry.pod;
    const fields = { uid, namespace, name };
    switch (outcome.kind) {
      case "done":
        entry.active--;
        this.#log.debug("rejection-written", DONE[task], fields);
        return;
      case "gone":
        entry.active--;
        if (this.#isCurrent(entry)) {
          this.#entries.delete(uid);
        }
        return;
      case "give-up":
        entry.active--;
        this.#log.error("rejection-given-up", `the API server does not take it: ${outcome.why}`, {
          ...fields,
          task,
        });
        return;
      case "retry": {
        job.failures++;
        job.conflicts += outcome.conflict ? 1 : 0;
        const spent = (task === "event" && job.failures >= MAX_EVENT_TRIES) ||
          job.conflicts >= MAX_CONFLICT_TRIES;
        if (spent) {
          entry.active--;
          this.#log.error("rejection-given-up", `it keeps failing: ${outcome.why}`, { ...fields, task });
          return;
        }
        if (this.#closed) {
          return;
        }
        const delayMs = retryDelayMs(job.failures, this.#random(), outcome.leastMs);
        this.#log.warn("rejection-retry", `it will be tried again: ${outcome.why}`, {
          ...fields,
          task,
          delayMs,
        });
        const cancel = this.#clock.after(delayMs, () => {
          this.#retries.delete(cancel);
          this.#ready.push(job);
          this.#runReady();
        });
        this.#retries.add(cancel);
        return;
      }
      default: {
        const never: never = outcome;
        return never;
      }
    }
  }

  #request({ task, entry }: Job): UpstreamRequest {
    const { uid, namespace, name } = entry.pod;
    const pods = `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(name)}`;
    switch (task) {
      case "fail":
        return {
          method: "PATCH",
          path: `${pods}/status`,
          headers: jsonHeaders("application/strategic-merge-patch+json"),
          body: JSON.stringify(this.#failedStatus(entry.pod)),
        };
      case "event":
        return {
          method: "POST",
          path: `/api/v1/namespaces/${encodeURIComponent(namespace)}/events`,
          headers: jsonHeaders("application/json"),
          body: JSON.stringify(this.#event(entry)),
        };
      case "delete":
        return {
          method: "DELETE",
          path: pods,
          headers: jsonHeaders("application/json"),
          body: JSON.stringify({
            kind: "DeleteOptions",
            apiVersion: "v1",
            gracePeriodSeconds: 0,
            preconditions: { uid },
          }),
        };
      default: {
        const never: never = task;
        return never;
      }
    }
  }

  #failedStatus(pod: RefusedPod): JsonObject {
    const message = rejectionMessage(pod.message);
    return {
      // The UID is a precondition: with another one the API server refuses the patch.
      metadata: { uid: pod.uid },
      status: {
        phase: "Failed",
        reason: REJECTION_REASON,
        message,
        conditions: [{
          type: "Ready",
          status: "False",
          reason: REJECTION_REASON,
          message,
          lastTransitionTime: this.#timestamp(),
        }],
      },
    };
  }

  #event({ pod, announcedMs }: Entry): JsonObject {
    const wait = announcedMs === 0
      ? ""
      : `. It stays Pending and will be marked Failed in about ${Math.ceil(announcedMs / 1000)} s, ` +
        "since other pods of its controller were rejected before it";
    const time = this.#timestamp();
    return {
      kind: "Event",
      apiVersion: "v1",
      metadata: { name: eventName(pod), namespace: pod.namespace },
      involvedObject: {
        kind: "Pod",
        apiVersion: "v1",
        namespace: pod.namespace,
        name: pod.name,
        uid: pod.uid,
      },
      reason: REJECTION_REASON,
      message: rejectionMessage(pod.message, wait),
      type: "Warning",
      source: { component: "kubelet-proxy", host: this.#nodeName },
      reportingComponent: "kubelet-proxy",
      reportingInstance: this.#nodeName,
      firstTimestamp: time,
      lastTimestamp: time,
      count: 1,
    };
  }

  /** The time as metav1.Time is written. */
  #timestamp(): string {
    return formatTime(this.#clock.now());
  }
}

const DONE: Readonly<Record<Task, string>> = {
  fail: "the pod is marked Failed",
  event: "an Event tells why the pod is refused",
  delete: "the deletion of a hidden pod is finished",
};

/** A message to users, with the prefix and an optional ending, in at most {@linkcode MAX_MESSAGE_BYTES}. */
export function rejectionMessage(message: string, ending = ""): string {
  const room = MAX_MESSAGE_BYTES - new TextEncoder().encode(ending).length;
  return cutToBytes(REJECTION_PREFIX + message, room) + ending;
}

/** The longest beginning of a text that fits, never cut inside a character. */
function cutToBytes(text: string, maxBytes: number): string {
  const { read } = new TextEncoder().encodeInto(text, new Uint8Array(maxBytes));
  return text.slice(0, read);
}

/**
 * One name per pod, so that a proxy that was restarted does not record the same Event again: the API server answers
 * that it exists.
 */
function eventName(pod: RefusedPod): string {
  const suffix = `.${pod.uid.replaceAll("-", "")}`;
  return pod.name.slice(0, MAX_DNS_SUBDOMAIN_LENGTH - suffix.length).replace(/[.-]+$/, "") + suffix;
}

function jsonHeaders(contentType: string): Headers {
  return new Headers({
    "accept": "application/json",
    "accept-encoding": "identity",
    "content-type": contentType,
  });
}

/** What an answer means for the task. */
async function understand(task: Task, response: Response): Promise<Outcome> {
  const { status } = response;
  if (status === 409) {
    return await understandConflict(task, response);
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
  // 401 and 403 too: a credential is being rotated, or roles are being loaded.
  if (status >= 500 || status === 429 || status === 408 || status === 401 || status === 403) {
    const leastMs = (readHeaderSeconds(response.headers.get("retry-after")) ?? 0) * 1000;
    return { kind: "retry", why, leastMs, conflict: false };
  }
  return { kind: "give-up", why };
}

/** A Conflict is about the UID, so the pod is gone; or about a write at the same time, so it is worth another try. */
async function understandConflict(task: Task, response: Response): Promise<Outcome> {
  // An answer that cannot be read is a conflict like any other, and so not tried again for ever.
  const bytes = await readBody(response.body, MAX_ANSWER_BYTES).catch(() => new Uint8Array());
  const body = parseAnswer(bytes);
  if (task === "event") {
    return { kind: "done" };
  }
  const message = isJsonObject(body) ? body["message"] : undefined;
  return typeof message === "string" && /\buid\b/i.test(message)
    ? { kind: "gone" }
    : { kind: "retry", why: "status 409", leastMs: 0, conflict: true };
}

function parseAnswer(bytes: Uint8Array): JsonValue | undefined {
  try {
    return parseStrictJson(decodeUtf8(bytes));
  } catch {
    return undefined;
  }
}
