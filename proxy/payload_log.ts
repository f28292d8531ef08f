/**
 * Logs the specs of the pods that are judged, for those who ask for it.
 *
 * @module
 */
import { isJsonObject, type JsonObject, type JsonValue, objectAt } from "@signed-pods/shared/json";
import type { PodVerifier } from "./pods/judge.ts";
import type { Log } from "./log.ts";

/** Lists of containers in a pod spec. */
const CONTAINER_LISTS: readonly string[] = ["containers", "initContainers", "ephemeralContainers"];

/** The same verifier, which logs each pod's spec with its verdict. Values of environment variables are left out. */
export function withPayloadLog(verifier: PodVerifier, log: Log): PodVerifier {
  // Without verifyKnown, so that no pod passes unlogged.
  return {
    async verifyPod(pod, time) {
      const verdict = await verifier.verifyPod(pod, time);
      const metadata = objectAt(pod, "metadata");
      log.info("pod-payload", "judged", {
        namespace: textOf(metadata["namespace"]),
        name: textOf(metadata["name"]),
        uid: textOf(metadata["uid"]),
        decision: verdict.decision,
        spec: print(hideEnvironment(pod["spec"])),
      });
      return verdict;
    },
  };
}

/** The spec without what stands in `env[].value`. What is not of the known form is left out as a whole. */
function hideEnvironment(spec: JsonValue | undefined): JsonValue {
  if (!isJsonObject(spec)) {
    return "(no object)";
  }
  const shown: JsonObject = { ...spec };
  for (const list of CONTAINER_LISTS) {
    const containers = shown[list];
    if (containers !== undefined) {
      shown[list] = Array.isArray(containers) ? containers.map(hideContainer) : "(no list)";
    }
  }
  return shown;
}

function hideContainer(container: JsonValue): JsonValue {
  if (!isJsonObject(container)) {
    return "(no object)";
  }
  if (container["env"] === undefined) {
    return container;
  }
  const env = Array.isArray(container["env"]) ? container["env"] : [];
  return {
    ...container,
    env: env.map((entry) => (isJsonObject(entry) ? { name: textOf(entry["name"]) ?? "" } : "(no object)")),
  };
}

function textOf(value: JsonValue | undefined): string | undefined {
  return typeof value === "string" ? value : undefined;
}

/** JSON for people; integers beyond 2^53 - 1 as texts. */
function print(value: JsonValue): string {
  return JSON.stringify(value, (_key, inner: unknown) => (typeof inner === "bigint" ? String(inner) : inner));
}
