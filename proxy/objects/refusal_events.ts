/**
 * Events that tell whoever looks at an object that this node does not pass it on: `kubectl describe configmap web`.
 *
 * @module
 */
import { messageOf } from "@signed-pods/shared/errors";
import { isDnsLabel, isDnsSubdomain, isUid, MAX_DNS_SUBDOMAIN_LENGTH } from "@signed-pods/shared/pod/grammar";
import { formatTime } from "@signed-pods/shared/time";
import type { Clock } from "../clock.ts";
import type { Log } from "../log.ts";
import type { Upstream } from "../upstream.ts";

/**
 * Most Events in {@linkcode REFUSAL_EVENTS_PERIOD_MS}; what comes beyond stands in the log alone. A cluster has few bad
 * objects, and an API server that makes up many shall not make the node write to it without end.
 */
export const MAX_REFUSAL_EVENTS = 30;

/** See {@linkcode MAX_REFUSAL_EVENTS}; in milliseconds. */
export const REFUSAL_EVENTS_PERIOD_MS = 60_000;

/** Longest message of an Event, in characters: Kubernetes takes 1024 bytes, and a character has up to three of them. */
const MAX_EVENT_MESSAGE_LENGTH = 340;

/** The reason that the Events carry. */
const REFUSAL_REASON = "NotPassedOnToNode";

/** An object that is refused. */
export interface RefusedObject {
  apiVersion: string;
  kind: string;
  namespace: unknown;
  name: unknown;
  uid: unknown;
}

/** Tells of refused objects. */
export interface RefusalEvents {
  /** Sends one Event, once. An object whose name or UID has no grammar has no Event. */
  tell(object: RefusedObject, reason: string): void;
}

/** Makes the teller of one node. */
export function createRefusalEvents(
  { upstream, nodeName, clock, log }: { upstream: Upstream; nodeName: string; clock: Clock; log: Log },
): RefusalEvents {
  let periodStartedMs = 0;
  let sent = 0;
  let count = 0;

  async function send(path: string, body: string): Promise<void> {
    try {
      const headers = new Headers({ "accept": "application/json", "content-type": "application/json" });
      const answer = await upstream.send({ method: "POST", path, headers, body });
      await answer.body?.cancel();
      if (answer.status >= 300) {
        throw new Error(`status ${answer.status}`);
      }
    } catch (error) {
      log.debug("event-failed", `an Event could not be recorded: ${messageOf(error)}`, { path });
    }
  }

  return {
    tell({ apiVersion, kind, namespace, name, uid }, reason) {
      const place = namespace === undefined || namespace === null || namespace === "" ? "default" : namespace;
      if (
        typeof name !== "string" || !isDnsSubdomain(name) || typeof place !== "string" ||
        !isDnsLabel(place) ||
        typeof uid !== "string" || !isUid(uid)
      ) {
        return;
      }
      const now = clock.now();
      if (now.getTime() >= periodStartedMs + REFUSAL_EVENTS_PERIOD_MS) {
        periodStartedMs = now.getTime();
        sent = 0;
      }
      if (sent >= MAX_REFUSAL_EVENTS) {
        return;
      }
      sent++;
      const suffix = `.${now.getTime().toString(16)}.${(++count).toString(16)}`;
      const head = name.slice(0, MAX_DNS_SUBDOMAIN_LENGTH - suffix.length).replace(/[.-]+$/, "");
      const time = formatTime(now);
      const message = `kubelet-proxy on node "${nodeName}" does not pass it on: ${reason}`;
      void send(
        `/api/v1/namespaces/${place}/events`,
        JSON.stringify({
          kind: "Event",
          apiVersion: "v1",
          metadata: { name: head + suffix, namespace: place },
          involvedObject: {
            kind,
            apiVersion,
            name,
            uid,
            ...(place === namespace ? { namespace: place } : {}),
          },
          reason: REFUSAL_REASON,
          message: message.slice(0, MAX_EVENT_MESSAGE_LENGTH).toWellFormed(),
          type: "Warning",
          source: { component: "kubelet-proxy", host: nodeName },
          reportingComponent: "kubelet-proxy",
          reportingInstance: nodeName,
          firstTimestamp: time,
          lastTimestamp: time,
          count: 1,
        }),
      );
    },
  };
}
