/**
 * What a verifier has concluded about pods that are read again with the very same parts.
 *
 * @module
 */
import { deepFreeze, getOwn, isDeeplyFrozen, type JsonObject, type JsonValue } from "../json.ts";
import type { AllowVerdict } from "../verdict.ts";

/** All of a pod that its judgement depends on, beside the time and what its verifier trusts. */
export interface JudgedPod {
  namespace: string;
  name: string;
  metadata: JsonObject;
  spec: JsonValue | undefined;
}

/** The parts that a conclusion was drawn from, and the conclusion. */
interface Judged<T> {
  namespace: string;
  name: string;
  labels: JsonValue | undefined;
  annotations: JsonValue | undefined;
  conclusion: T;
}

/**
 * Remembers by identity, and only of parts that cannot change: the same spec, labels and annotations lead the same way. It
 * holds on to nothing: what is concluded goes when the spec goes.
 */
export class JudgedPods<T extends { verdict: AllowVerdict }> {
  readonly #judged = new WeakMap<object, Judged<T>>();

  get({ namespace, name, metadata, spec }: JudgedPod): T | undefined {
    if (typeof spec !== "object" || spec === null) return undefined;
    const judged = this.#judged.get(spec);
    return judged !== undefined && judged.namespace === namespace && judged.name === name &&
        judged.labels === getOwn(metadata, "labels") && judged.annotations === getOwn(metadata, "annotations")
      ? judged.conclusion
      : undefined;
  }

  /** Keeps a conclusion, and makes its verdict unchangeable, if nothing that it was drawn from can change. */
  set({ namespace, name, metadata, spec }: JudgedPod, conclusion: T): void {
    const labels = getOwn(metadata, "labels");
    const annotations = getOwn(metadata, "annotations");
    if (typeof spec !== "object" || spec === null || !isDeeplyFrozen(spec)) return;
    if (!isDeeplyFrozen(annotations) || (labels !== undefined && !isDeeplyFrozen(labels))) return;
    deepFreeze(conclusion.verdict.spec);
    deepFreeze(conclusion.verdict);
    this.#judged.set(spec, { namespace, name, labels, annotations, conclusion });
  }
}
