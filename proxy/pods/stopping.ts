/**
 * The pod that a kubelet is shown so that it stops one: the last good one, under deletion.
 *
 * A kubelet that sees a deletionTimestamp runs the preStop hooks, waits for the grace period and ends the containers. It
 * must see the last good spec, never the changed one: hooks, probes and a container that ends meanwhile are run from
 * what it was told last.
 *
 * @module
 */
import { isJsonObject, type JsonObject, type JsonValue, objectAt } from "@signed-pods/shared/json";
import { isTime } from "@signed-pods/shared/pod/grammar";
import { rebuildPodStatus } from "@signed-pods/shared/pod/status";
import { parseStrictJson } from "@signed-pods/shared/strict-json";
import type { LedgerEntry } from "./ledger.ts";
import { isResourceVersion } from "./served_versions.ts";

/** What pods without a terminationGracePeriodSeconds have (Kubernetes' SetDefaults_PodSpec), in seconds. */
const DEFAULT_GRACE_PERIOD_SECONDS = 30;

/** Whether the pod is shown as one that is being deleted: always, or only if the API server has it so. */
export type Deletion = "shown" | "as-live";

/**
 * Builds the last good pod with the live one's resourceVersion and status.
 *
 * With `shown`, it has a deletionTimestamp even if the live pod has none: this is for lists and watches. With
 * `as-live`, it has the live pod's: this is for GET, by which the kubelet's status manager decides whether to send the
 * final DELETE. A pod that nobody has asked to delete must stay, Failed, for its owner to read why.
 */
export function stoppingPod(
  entry: LedgerEntry,
  live: JsonObject,
  deletion: Deletion,
): JsonObject {
  const good = lastGoodPod(entry);
  const spec = objectAt(good, "spec");
  const liveMetadata = objectAt(live, "metadata");
  const metadata: JsonObject = { ...objectAt(good, "metadata") };
  const version = liveMetadata["resourceVersion"];
  if (isResourceVersion(version)) {
    metadata["resourceVersion"] = version;
  }
  const liveSince = timestampOf(liveMetadata["deletionTimestamp"]);
  const since = liveSince ?? (deletion === "shown" ? entry.stoppingSince : undefined);
  delete metadata["deletionTimestamp"];
  delete metadata["deletionGracePeriodSeconds"];
  if (since !== undefined) {
    metadata["deletionTimestamp"] = since;
    metadata["deletionGracePeriodSeconds"] = gracePeriodSeconds(
      spec["terminationGracePeriodSeconds"],
      liveSince === undefined ? undefined : liveMetadata["deletionGracePeriodSeconds"],
    );
  }
  // A status that is not well-formed is left off: the kubelet knows best how its containers are.
  const status = rebuildPodStatus(live["status"]);
  return { apiVersion: "v1", kind: "Pod", metadata, spec, ...(status.ok ? { status: status.status } : {}) };
}

/** The pod's own grace period; a deletion that someone asked for may only shorten it. */
function gracePeriodSeconds(own: JsonValue | undefined, asked: JsonValue | undefined): number {
  const period = secondsOf(own) ?? DEFAULT_GRACE_PERIOD_SECONDS;
  return Math.min(period, secondsOf(asked) ?? period);
}

function secondsOf(value: JsonValue | undefined): number | undefined {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}

function timestampOf(value: JsonValue | undefined): string | undefined {
  return typeof value === "string" && isTime(value) ? value : undefined;
}

/** The last good pod as it was forwarded, without its status. */
export function lastGoodPod({ pod }: LedgerEntry): JsonObject {
  const value = parseStrictJson(pod);
  return isJsonObject(value) ? value : {};
}
