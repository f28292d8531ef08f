/**
 * What the pods of this node refer to, and what the kubelet holds of it: where the pods' gate and the objects' gate meet.
 *
 * The kubelet keeps one ConfigMap or Secret for all pods that refer to it, and reads it when it starts a container. So
 * what is passed on must satisfy every admitted pod; and a pod is admitted only if what the kubelet holds already
 * satisfies it, too, since nothing takes that back in time.
 *
 * @module
 */
import type { JsonObject } from "@signed-pods/shared/json";
import {
  type ContentDenyCode,
  type ContentVerdict,
  findConflict,
  judgeContent,
  type SignedContentFacts,
} from "@signed-pods/shared/pod/content";
import type { ContentKind } from "@signed-pods/shared/pod/object-content";
import {
  type AnsweredReference,
  podReferences,
  ROOT_CA_CONFIG_MAP,
} from "@signed-pods/shared/pod/reference-answer";
import type { ReferencesMode } from "@signed-pods/shared/pod/verify";
import { referencesOf } from "@signed-pods/shared/pod/references";
import type { VerificationKey } from "@signed-pods/shared/keys";
import { type AllowVerdict, deny, type DenyVerdict, type Difference } from "@signed-pods/shared/verdict";
import type { Clock } from "../clock.ts";
import { isRootCa, pinRootCa, type RootCa } from "./root_ca.ts";

/** How long the kubelet is taken to hold an object after its watch has ended because the kubelet left, in milliseconds. */
export const HELD_AFTER_LEAVE_MS = 5_000;

/**
 * How long the kubelet is taken to hold an object after any other sign of interest in it, in milliseconds. A reflector
 * that fails asks again after 30 s at the latest, twice as long with jitter (client-go `reflector.go`).
 */
export const HELD_AFTER_REQUEST_MS = 120_000;

/**
 * Most objects of which is remembered what the kubelet holds. Beyond it a pod that refers to one more is refused; a node
 * has some hundred.
 */
export const MAX_HELD_OBJECTS = 10_000;

/** How often content is judged anew because pods came or went meanwhile, before it is refused for now. */
export const MAX_REJUDGEMENTS = 20;

/** A pod that refers to something. */
export interface ReferringPod {
  uid: string;
  namespace: string;
  name: string;
}

/**
 * When the kubelet takes in what it is passed. `when-complete`: when all of what it is part of has been sent, be it a chunk
 * of a watch, its initial events, or a list. `on-its-own`: it is the answer for one object, beside the others.
 */
export type Arrival = "when-complete" | "on-its-own";

/** What comes of content. */
export type JudgedContent =
  | { ok: true; content: JsonObject }
  | { ok: false; code: ContentDenyCode; differences: readonly Difference[] };

/** The references of one node's pods. */
export interface PodReferences {
  /**
   * Asks whether a pod can be admitted, and remembers its references if so.
   *
   * @param running the pod was admitted before, so that it is too late to refuse it
   */
  reserve(pod: ReferringPod, verdict: AllowVerdict, running: boolean): Promise<DenyVerdict | undefined>;
  /**
   * An earlier process admitted the pod, and it may run. Until it is seen nobody knows what its owner says of what it refers
   * to; until content is passed on anew nobody knows what the kubelet holds, only that it was good for this pod.
   *
   * @param pod with {@linkcode AllowVerdict.signedHash} of then
   * @param spec its last good spec
   */
  expect(pod: ReferringPod & { signedHash: string }, spec: JsonObject): void;
  /** Whether a pod that does not run yet could be admitted; changes nothing. */
  check(pod: ReferringPod, verdict: AllowVerdict): Promise<DenyVerdict | undefined>;
  /** Whether the pod's references are known. */
  knows(uid: string): boolean;
  /** Whether the pod was admitted by an earlier process, and has been neither seen nor forgotten. */
  expects(uid: string): boolean;
  /** The pod is gone, or was not admitted after all. */
  forget(uid: string): void;
  /**
   * Judges an object that is about to be passed on; if it is good, the kubelet holds it from now on.
   *
   * @param object the whole object, parsed strictly; its namespace and name have their grammar
   */
  judge(
    kind: ContentKind,
    namespace: string,
    name: string,
    object: JsonObject,
    arrival: Arrival,
  ): Promise<JudgedContent>;
  /** What an object's content was part of is complete, and sent. */
  completed(kind: ContentKind, namespace: string, name: string): void;
  /** All pods of the node have been judged once since this process began. */
  podsListed(): void;
  /** A volume that may be mounted names this Secret for its driver. */
  usedByVolume(namespace: string, name: string): void;
  /** Whether one does, and no pod refers to it; nobody knows before all pods are known. */
  isUsedByVolume(namespace: string, name: string): boolean;
  /** The kubelet asked for an object. */
  asked(kind: ContentKind, namespace: string, name: string): void;
  /** The API server said that an object is gone, and the kubelet was told. */
  deleted(kind: ContentKind, namespace: string, name: string): void;
  /** A watch of an object has begun. The function that comes back ends it. */
  watching(kind: ContentKind, namespace: string, name: string): (left: boolean) => void;
  /** The kubelet is about to be told of a RuntimeClass: this is its handler. */
  runtimeClassShown(name: string, handler: string): void;
  /** It has been told, in an event: it knows no other any more. */
  runtimeClassSent(name: string, handler: string): void;
  /** A list of RuntimeClasses, or the initial events, is complete: what it does not hold, the kubelet does not know. */
  runtimeClassesListed(handlers: ReadonlyMap<string, string>): void;
  /** The handlers that owners signed for a RuntimeClass. */
  handlersOf(runtimeClass: string): ReadonlySet<string>;
  /** The keys that may have signed ConfigMaps are others from now on. */
  setKeys(keys: readonly VerificationKey[]): void;
  /** kube-root-ca.crt may hold other certificates from now on: makes the kubelet ask for it again. */
  setRootCa(rootCa: RootCa): void;
}

/** What the references are made of. */
export interface PodReferencesOptions {
  mode: ReferencesMode;
  keys: readonly VerificationKey[];
  /** The certificates that kube-root-ca.crt may hold; without them any. */
  rootCa?: RootCa;
  /** Handlers that the operator pinned. */
  runtimeClasses: ReadonlyMap<string, string>;
  clock: Clock;
  /** What the kubelet holds of an object is not enough for a new pod: makes it ask again. */
  refresh: (kind: ContentKind, namespace: string, name: string) => void;
  /** A RuntimeClass has become known by what an owner signed: makes the kubelet ask again. */
  refreshRuntimeClasses: () => void;
  /** In the mode `warn`: content is passed on that would be refused. */
  warn: (kind: ContentKind, namespace: string, name: string, differences: readonly Difference[]) => void;
}

interface RememberedPod extends ReferringPod {
  references: readonly AnsweredReference[];
}

/** How a new pod fits what there is. */
interface Fitting {
  problem: Difference | undefined;
  /** What the kubelet has to ask for again if the pod is judged for good. */
  refreshes: readonly (() => void)[];
}

const FITS: Fitting = { problem: undefined, refreshes: [] };

/** What is known of one ConfigMap or Secret. */
interface HeldObject {
  /** Pods that refer to it, by UID. */
  readonly pods: Map<string, readonly AnsweredReference[]>;
  /** Changes whenever pods come or go, or other content is passed on. */
  version: number;
  watches: number;
  heldUntilMs: number;
  /** What it took in last, and what was passed on last, by when it takes that in. It may hold any of these. */
  readonly passed: Map<"taken" | Arrival, PassedContent>;
  /** Pods that refer to it and have not been seen since the process began. */
  readonly expected: Set<string>;
  /** What pods were signed with for which an earlier process judged what the kubelet holds; empty when that is the past. */
  readonly earlier: Set<string>;
  signed: SignedContentFacts | undefined;
}

/** Content that was passed on. */
interface PassedContent {
  /** As it came. */
  readonly object: JsonObject;
  /** Of what was built. */
  readonly text: string;
}

/** Makes the memory of one node. */
export function createPodReferences(options: PodReferencesOptions): PodReferences {
  const { mode, clock, runtimeClasses, refresh, refreshRuntimeClasses, warn } = options;
  let { keys, rootCa } = options;
  const pods = new Map<string, RememberedPod>();
  const objects = new Map<string, HeldObject>();
  const handlers = new Map<string, Map<string, string>>();
  /** By the names of RuntimeClasses that the kubelet knows. */
  let shownHandlers = new Map<string, Set<string>>();
  const volumeSecrets = new Set<string>();
  /** By UID, what they refer to. */
  const expectedPods = new Map<string, readonly HeldObject[]>();
  /** The kubelet may know handlers that an earlier process showed it. */
  let earlierHandlers = false;
  let listed = false;

  const keyOf = (kind: ContentKind, namespace: string, name: string) => `${kind}/${namespace}/${name}`;
  const nowMs = () => clock.now().getTime();

  function heldObject(key: string): HeldObject {
    const known = objects.get(key);
    if (known !== undefined) {
      return known;
    }
    if (objects.size >= MAX_HELD_OBJECTS) {
      for (const [other, { pods: users, expected, watches, heldUntilMs }] of objects) {
        if (users.size === 0 && expected.size === 0 && watches === 0 && heldUntilMs <= nowMs()) {
          objects.delete(other);
        }
      }
    }
    const fresh: HeldObject = {
      pods: new Map(),
      version: 0,
      watches: 0,
      heldUntilMs: 0,
      passed: new Map(),
      expected: new Set(),
      earlier: new Set(),
      signed: undefined,
    };
    objects.set(key, fresh);
    return fresh;
  }

  /** All that the kubelet may still hold. */
  function held(one: HeldObject): PassedContent[] {
    if (one.pods.size === 0 && one.watches === 0 && one.heldUntilMs <= nowMs()) {
      one.passed.clear();
    }
    return [...one.passed.values()];
  }

  function mayHoldEarlier({ earlier, watches, heldUntilMs }: HeldObject): boolean {
    return earlier.size > 0 && (watches > 0 || heldUntilMs > nowMs());
  }

  /** Whether what was judged for pods of an earlier process does for this pod, too: it is one of theirs, or asks for no more. */
  function isGoodForEarlier(
    { earlier, pods: users }: HeldObject,
    own: readonly AnsweredReference[],
    signedHash: string,
  ): boolean {
    const known = new Set([...users.values()].flat().map(demandText));
    return earlier.has(signedHash) || own.every((one) => !isDemanding(one) || known.has(demandText(one)));
  }

  /** By the rules of `--references`: in `warn` what would be refused is passed on, in `off` nothing is compared. */
  async function judgeBy(
    kind: ContentKind,
    object: JsonObject,
    references: readonly AnsweredReference[],
    lastSigned: SignedContentFacts | undefined,
  ): Promise<{ verdict: ContentVerdict; warned: readonly Difference[] }> {
    if (references.length === 0 && mode !== "enforce") {
      references = [anyUse(kind)];
    }
    if (rootCa !== undefined && kind === "ConfigMap" && isRootCa(object)) {
      const pinned = pinRootCa(object, rootCa);
      if (!pinned.ok) {
        const verdict = {
          decision: "deny" as const,
          code: "content-differs" as const,
          differences: [pinned.difference],
        };
        return { verdict, warned: [] };
      }
      object = pinned.object;
    }
    const unpinned = mode === "off" ? references.map(asMutable) : references;
    const settings = {
      keys,
      now: clock.now(),
      missing: mode === "enforce" ? "refuse" as const : "mutable" as const,
      ...(lastSigned === undefined ? {} : { lastSigned }),
    };
    const verdict = await judgeContent(kind, object, unpinned, settings);
    if (mode !== "warn" || verdict.decision === "allow") {
      return { verdict, warned: [] };
    }
    const milder = await judgeContent(kind, object, references.map(asMutable), settings);
    return { verdict: milder, warned: milder.decision === "allow" ? verdict.differences : [] };
  }

  return {
    expect(pod, spec) {
      if (mode !== "enforce") {
        return;
      }
      earlierHandlers = true;
      const keys = new Set(
        referencesOf(spec).flatMap(({ kind, name }) =>
          kind === "ConfigMap" || kind === "Secret" ? [keyOf(kind, pod.namespace, name)] : []
        ),
      );
      const referred = [...keys].map(heldObject);
      for (const one of referred) {
        one.expected.add(pod.uid);
        one.earlier.add(pod.signedHash);
        one.heldUntilMs = nowMs() + HELD_AFTER_REQUEST_MS;
      }
      expectedPods.set(pod.uid, referred);
    },
    expects: (uid) => expectedPods.has(uid),
    async reserve(pod, verdict, running) {
      const references = podReferences(verdict);
      const fitting = running ? FITS : await fit(pod, references, verdict.signedHash);
      fitting.refreshes.forEach((ask) => ask());
      if (fitting.problem !== undefined) {
        return denyReference(fitting.problem);
      }
      remember({ ...pod, references });
      return undefined;
    },
    async check(pod, verdict) {
      const { problem } = await fit(pod, podReferences(verdict), verdict.signedHash);
      return problem === undefined ? undefined : denyReference(problem);
    },
    knows: (uid) => pods.has(uid),
    forget,
    async judge(kind, namespace, name, object, arrival) {
      const one = heldObject(keyOf(kind, namespace, name));
      if (one.expected.size > 0) {
        return {
          ok: false,
          code: "content-differs",
          differences: [{ path: "", kind: "invalid", detail: NOT_ALL_SEEN }],
        };
      }
      for (let count = 0; count < MAX_REJUDGEMENTS; count++) {
        const { version } = one;
        const references = [...one.pods.values()].flat();
        const { verdict, warned } = await judgeBy(kind, object, references, one.signed);
        if (one.version !== version) {
          continue;
        }
        if (verdict.decision === "deny") {
          return { ok: false, code: verdict.code, differences: verdict.differences };
        }
        if (warned.length > 0) {
          warn(kind, namespace, name, warned);
        }
        one.version++;
        one.passed.set(arrival, { object, text: JSON.stringify(verdict.content) });
        one.signed = verdict.signed ?? one.signed;
        return { ok: true, content: verdict.content };
      }
      return { ok: false, code: "content-differs", differences: [CHANGES_TOO_OFTEN] };
    },
    podsListed() {
      listed = true;
    },
    completed(kind, namespace, name) {
      const one = objects.get(keyOf(kind, namespace, name));
      const passed = one?.passed.get("when-complete");
      if (one !== undefined && passed !== undefined) {
        one.version++;
        one.passed.clear();
        one.earlier.clear();
        one.passed.set("taken", passed);
      }
    },
    usedByVolume(namespace, name) {
      const key = `${namespace}/${name}`;
      volumeSecrets.delete(key);
      volumeSecrets.add(key);
      for (const oldest of volumeSecrets) {
        if (volumeSecrets.size <= MAX_HELD_OBJECTS) {
          break;
        }
        volumeSecrets.delete(oldest);
      }
    },
    isUsedByVolume(namespace, name) {
      const one = objects.get(keyOf("Secret", namespace, name));
      return listed && volumeSecrets.has(`${namespace}/${name}`) &&
        (one === undefined || one.pods.size + one.expected.size === 0);
    },
    asked(kind, namespace, name) {
      const one = heldObject(keyOf(kind, namespace, name));
      one.heldUntilMs = Math.max(one.heldUntilMs, nowMs() + HELD_AFTER_REQUEST_MS);
    },
    deleted(kind, namespace, name) {
      const one = objects.get(keyOf(kind, namespace, name));
      if (one !== undefined) {
        // The event may not have arrived: the object is kept as long as any other that is not watched.
        one.heldUntilMs = Math.max(one.heldUntilMs, nowMs() + HELD_AFTER_LEAVE_MS);
      }
    },
    watching(kind, namespace, name) {
      const one = heldObject(keyOf(kind, namespace, name));
      one.watches++;
      let ended = false;
      return (left) => {
        if (!ended) {
          ended = true;
          one.watches--;
          // The kubelet leaves when no pod refers to the object any more. Whatever else ends a watch, it comes back.
          one.heldUntilMs = nowMs() + (left ? HELD_AFTER_LEAVE_MS : HELD_AFTER_REQUEST_MS);
        }
      };
    },
    runtimeClassShown: (name, handler) =>
      void shownHandlers.set(name, new Set([...shownHandlers.get(name) ?? [], handler])),
    runtimeClassSent: (name, handler) => void shownHandlers.set(name, new Set([handler])),
    runtimeClassesListed(listed) {
      earlierHandlers = false;
      shownHandlers = new Map([...listed].map(([name, handler]) => [name, new Set([handler])]));
    },
    handlersOf: (runtimeClass) => new Set(handlers.get(runtimeClass)?.values() ?? []),
    setKeys(next) {
      keys = next;
    },
    setRootCa(next) {
      rootCa = next;
      for (const [key, one] of objects) {
        const [kind, namespace, name] = key.split("/");
        if (kind === "ConfigMap" && namespace !== undefined && name === ROOT_CA_CONFIG_MAP) {
          one.version++;
          refresh(kind, namespace, name);
        }
      }
    },
  };

  function remember(pod: RememberedPod): void {
    forget(pod.uid);
    pods.set(pod.uid, pod);
    for (const [key, { references }] of contentOf(pod.namespace, pod.references)) {
      const one = heldObject(key);
      one.pods.set(pod.uid, references);
      one.version++;
    }
    let isNew = false;
    for (const { reference: { kind, name }, answer } of pod.references) {
      if (kind === "RuntimeClass" && answer.kind === "handler") {
        const users = handlers.get(name) ?? new Map<string, string>();
        isNew ||= users.size === 0;
        users.set(pod.uid, answer.handler);
        handlers.set(name, users);
      }
    }
    if (isNew) {
      refreshRuntimeClasses();
    }
  }

  function forget(uid: string): void {
    for (const one of expectedPods.get(uid) ?? []) {
      one.expected.delete(uid);
    }
    expectedPods.delete(uid);
    const pod = pods.get(uid);
    if (pod === undefined) {
      return;
    }
    pods.delete(uid);
    for (const key of contentOf(pod.namespace, pod.references).keys()) {
      const one = objects.get(key);
      if (one?.pods.delete(uid)) {
        one.version++;
        one.heldUntilMs = Math.max(one.heldUntilMs, nowMs() + HELD_AFTER_LEAVE_MS);
      }
    }
    for (const [name, users] of handlers) {
      users.delete(uid);
      if (users.size === 0) {
        handlers.delete(name);
      }
    }
  }

  /** Whether a new pod fits what there is. */
  async function fit(
    pod: ReferringPod,
    references: readonly AnsweredReference[],
    signedHash: string,
  ): Promise<Fitting> {
    const problem = handlerProblem(references);
    return problem === undefined
      ? await fitContent(pod, references, signedHash)
      // What the kubelet knows may be of pods that have gone.
      : { problem, refreshes: [refreshRuntimeClasses] };
  }

  /** One class has one handler for all pods of the node, and somebody has to say which. */
  function handlerProblem(references: readonly AnsweredReference[]): Difference | undefined {
    for (const { reference: { kind, name, path }, answer } of references) {
      const pinned = runtimeClasses.get(name);
      if (
        kind === "RuntimeClass" && answer.kind !== "handler" && pinned === undefined && mode === "enforce"
      ) {
        // It would run by whatever handler the owner of some other pod signed.
        const detail =
          `the handler of RuntimeClass ${name} is pinned neither by what was signed nor on this node: have the RuntimeClass in podsign's input, or start kubelet-proxy with --runtime-class=${name}=HANDLER`;
        return { path, kind: "invalid", detail };
      }
      if (kind === "RuntimeClass" && answer.kind === "handler") {
        const known = [
          ...(pinned === undefined ? [] : [pinned]),
          ...(handlers.get(name)?.values() ?? []),
          ...(shownHandlers.get(name) ?? []),
        ];
        if (earlierHandlers && known.length === 0) {
          return {
            path,
            kind: "invalid",
            detail: `the kubelet has not yet asked anew what RuntimeClass ${name} means`,
          };
        }
        const other = known.find((handler) => handler !== answer.handler);
        if (other !== undefined) {
          return {
            path,
            kind: "invalid",
            detail: `RuntimeClass ${name} means "${other}" on this node, and not "${answer.handler}"`,
          };
        }
      }
    }
    return undefined;
  }

  async function fitContent(
    pod: ReferringPod,
    references: readonly AnsweredReference[],
    signedHash: string,
  ): Promise<Fitting> {
    const contents = contentOf(pod.namespace, references);
    if (mode !== "enforce") {
      // Variables are looked at in every mode; what differs from a pin is told when the content is passed on.
      for (const content of contents.values()) {
        content.references = content.references.map(asMutable);
      }
    }
    for (let count = 0; count < MAX_REJUDGEMENTS; count++) {
      const versions = new Map<string, number>();
      const refreshes: (() => void)[] = [];
      for (const [key, { kind, name, references: own }] of contents) {
        const one = objects.get(key);
        if (one === undefined && objects.size >= MAX_HELD_OBJECTS) {
          return misfit({ path: own[0]?.reference.path ?? "", kind: "invalid", detail: TOO_MANY_OBJECTS });
        }
        if (one === undefined) {
          continue;
        }
        versions.set(key, one.version);
        const passed = held(one);
        // Mostly there is nothing to compare them with, and every pod refers to kube-root-ca.crt.
        const others = passed.length > 0 || own.some(isPinned) ? demandsOfOthers(one, pod.uid) : [];
        const conflict = mode === "enforce" ? findConflict(own, others) : undefined;
        if (conflict !== undefined) {
          const detail = `another pod on this node was signed with other content of ${conflict}`;
          return misfit({ path: own[0]?.reference.path ?? "", kind: "invalid", detail });
        }
        if (mode === "enforce" && mayHoldEarlier(one) && !isGoodForEarlier(one, own, signedHash)) {
          const detail = `the kubelet may hold content of ${kind} ${name} that an earlier process passed on`;
          return misfit({ path: own[0]?.reference.path ?? "", kind: "invalid", detail });
        }
        for (const { object, text } of passed) {
          const { verdict } = await judgeBy(kind, object, [...others, ...own], one.signed);
          if (verdict.decision === "deny") {
            const [difference] = verdict.differences;
            const path = own[0]?.reference.path ?? "";
            const where = difference === undefined
              ? ""
              : `${difference.path}: ${difference.detail ?? difference.kind}`;
            return misfit({
              path,
              kind: "invalid",
              detail: `${kind} ${name} as the kubelet holds it does not fit: ${where}`,
            });
          }
          if (JSON.stringify(verdict.content) !== text) {
            refreshes.push(() => refresh(kind, pod.namespace, name));
          }
        }
      }
      if ([...versions].every(([key, version]) => objects.get(key)?.version === version)) {
        return { problem: undefined, refreshes };
      }
    }
    return misfit(CHANGES_TOO_OFTEN);
  }

  /** The ConfigMaps and Secrets among references, each with all that refer to it. */
  function contentOf(
    namespace: string,
    references: readonly AnsweredReference[],
  ): Map<string, { kind: ContentKind; name: string; references: AnsweredReference[] }> {
    const contents = new Map<string, { kind: ContentKind; name: string; references: AnsweredReference[] }>();
    for (const answered of references) {
      const { kind, name } = answered.reference;
      if (kind !== "ConfigMap" && kind !== "Secret") {
        continue;
      }
      const key = keyOf(kind, namespace, name);
      const content = contents.get(key) ?? { kind, name, references: [] };
      content.references.push(answered);
      contents.set(key, content);
    }
    return contents;
  }
}

const TOO_MANY_OBJECTS =
  `the pods of this node refer to more than ${MAX_HELD_OBJECTS} ConfigMaps and Secrets`;

const NOT_ALL_SEEN = "pods that refer to it were admitted by an earlier process and have not been seen since";

/** What other pods ask of an object. Replicas, whose references are the same ones, count once. */
function demandsOfOthers({ pods: users }: HeldObject, uid: string): AnsweredReference[] {
  const demands = new Set<AnsweredReference>();
  for (const [other, theirs] of users) {
    if (other !== uid) {
      theirs.forEach((one) => demands.add(one));
    }
  }
  return [...demands];
}

function isPinned({ answer: { kind } }: AnsweredReference): boolean {
  return kind === "pinned";
}

/** Whether not any content will do. */
function isDemanding({ reference: { use }, answer: { kind } }: AnsweredReference): boolean {
  return use === "environment" || kind === "pinned" || kind === "signed";
}

/** Two references with the same text are satisfied by the same content of an object. */
function demandText({ reference: { use, keys, prefix }, answer }: AnsweredReference): string {
  return JSON.stringify([use === "environment", keys ?? null, prefix ?? "", answer]);
}

const CHANGES_TOO_OFTEN: Difference = {
  path: "",
  kind: "invalid",
  detail: "the pods that refer to it change faster than it can be judged",
};

function misfit(problem: Difference): Fitting {
  return { problem, refreshes: [] };
}

function denyReference(problem: Difference): DenyVerdict {
  return deny("reference-not-signed", "what the pod refers to cannot be had on this node as it was signed", [
    problem,
  ]);
}

function asMutable({ reference }: AnsweredReference): AnsweredReference {
  return { reference, answer: { kind: "mutable", permission: "--references" } };
}

/** All of an object's content. */
function anyUse(kind: ContentKind): AnsweredReference {
  return asMutable({
    reference: { kind, name: "", path: "", use: "other", optional: true },
    answer: { kind: "extra" },
  });
}
