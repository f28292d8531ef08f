/**
 * The text of an admitted pod as it is forwarded, built anew or found.
 *
 * @module
 */
import { isDeeplyFrozen } from "@signed-pods/shared/json";
import { type RebuildOptions, rebuildPod } from "@signed-pods/shared/pod/rebuild";
import type { RebuildFailure } from "@signed-pods/shared/pod/rebuild-failure";
import type { AllowVerdict } from "@signed-pods/shared/verdict";
import type { LivePod } from "./live_pod.ts";
import { podText } from "./pod_text.ts";

/** A pod that was built, and of what. */
export interface BuiltPod {
  readonly ok: true;
  /** JSON text of the pod without its status. */
  readonly head: string;
  /** JSON text of its status as the pod's last member, with the brace that closes the pod. */
  readonly tail: string;
  readonly verdict: AllowVerdict;
  readonly nodeName: string;
  readonly builtAt: Date;
}

/**
 * Builds the pod, unless it was built of the same pod and verdict before, in a way that neither the time that has passed nor
 * what the kubelet knows can have changed.
 */
export function buildPod(
  live: LivePod,
  verdict: AllowVerdict,
  options: RebuildOptions,
): BuiltPod | RebuildFailure {
  const { nodeName, now, first } = options;
  const known = live.built;
  if (
    known !== undefined && known.verdict === verdict && known.nodeName === nodeName && !first &&
    known.builtAt <= now
  ) {
    return known;
  }
  const rebuilt = rebuildPod(live.object, verdict, options);
  if (!rebuilt.ok) {
    return rebuilt;
  }
  const { status, ...rest } = rebuilt.pod;
  const built: BuiltPod = {
    ok: true,
    head: podText(rest),
    tail: status === undefined ? "}" : `,${podText({ status }).slice(1)}`,
    verdict,
    nodeName,
    builtAt: now,
  };
  live.built = rebuilt.lasting && isDeeplyFrozen(verdict) ? built : undefined;
  return built;
}

/** JSON text of the whole pod. */
export function builtText({ head, tail }: BuiltPod): string {
  return head.slice(0, -1) + tail;
}
