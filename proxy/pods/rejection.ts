/**
 * What is written to the API server about a pod that this node refuses: its status, an Event, its deletion. Everything
 * names the pod's UID, so that a successor of the same name is never meant.
 *
 * Source: kubelet status manager (`pkg/kubelet/status/status_manager.go`) and client-go's Event recorder
 * (`tools/record/events_cache.go`), whose requests these are modelled on.
 *
 * @module
 */
import type { JsonObject } from "@signed-pods/shared/json";
import { MAX_DNS_SUBDOMAIN_LENGTH } from "@signed-pods/shared/pod/grammar";
import { formatTime } from "@signed-pods/shared/time";
import type { UpstreamRequest } from "../upstream.ts";

/** Reason in the status, its condition and the Event. */
export const REJECTION_REASON = "NodeAdmissionRejected";

/** What every message to users begins with. */
export const REJECTION_PREFIX = "Pod rejected by kubelet-proxy: ";

/** Longest message in a status or an Event, in UTF-8 bytes; Events allow 1024. */
export const MAX_MESSAGE_BYTES = 1000;

/** The pod that is written about. */
export interface RejectedPod {
  uid: string;
  namespace: string;
  name: string;
}

/** An Event that tells of one pod, however often it is refused. */
export interface RejectionEvent {
  pod: RejectedPod;
  /** Why, for people. */
  message: string;
  /** The node's name. */
  nodeName: string;
  /** How often the pod was refused. */
  count: number;
  firstAt: Date;
  lastAt: Date;
}

/** Sets the pod's phase to Failed. With another UID the API server refuses the patch. */
export function failedStatusRequest(pod: RejectedPod, text: string, now: Date): UpstreamRequest {
  const message = rejectionMessage(text);
  return {
    method: "PATCH",
    path: `${podPath(pod)}/status`,
    headers: jsonHeaders(STRATEGIC_MERGE_PATCH),
    body: JSON.stringify({
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
          lastTransitionTime: formatTime(now),
        }],
      },
    }),
  };
}

/** Ends a deletion that waits for a kubelet. */
export function deletionRequest(pod: RejectedPod): UpstreamRequest {
  return {
    method: "DELETE",
    path: podPath(pod),
    headers: jsonHeaders("application/json"),
    body: JSON.stringify({
      kind: "DeleteOptions",
      apiVersion: "v1",
      gracePeriodSeconds: 0,
      preconditions: { uid: pod.uid },
    }),
  };
}

/** Records an Event that is not there yet. */
export function newEventRequest(event: RejectionEvent): UpstreamRequest {
  const { pod, message, nodeName, count, firstAt, lastAt } = event;
  const { uid, namespace, name } = pod;
  return {
    method: "POST",
    path: eventsPath(pod),
    headers: jsonHeaders("application/json"),
    body: JSON.stringify({
      kind: "Event",
      apiVersion: "v1",
      metadata: { name: eventName(pod), namespace },
      involvedObject: { kind: "Pod", apiVersion: "v1", namespace, name, uid },
      reason: REJECTION_REASON,
      message,
      type: "Warning",
      source: { component: "kubelet-proxy", host: nodeName },
      reportingComponent: "kubelet-proxy",
      reportingInstance: nodeName,
      firstTimestamp: formatTime(firstAt),
      lastTimestamp: formatTime(lastAt),
      count,
    }),
  };
}

/** Counts another refusal in an Event that is there. */
export function countEventRequest({ pod, message, count, lastAt }: RejectionEvent): UpstreamRequest {
  return patchEvent(pod, { message, lastTimestamp: formatTime(lastAt), count });
}

/**
 * Asks how an Event counts by changing nothing. A node may write Events and not read them (`NodeRules` of
 * `plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go`), but a patch is answered with the object.
 */
export function readEventRequest(pod: RejectedPod): UpstreamRequest {
  return patchEvent(pod, {});
}

function patchEvent(pod: RejectedPod, patch: JsonObject): UpstreamRequest {
  return {
    method: "PATCH",
    path: `${eventsPath(pod)}/${encodeURIComponent(eventName(pod))}`,
    headers: jsonHeaders(STRATEGIC_MERGE_PATCH),
    body: JSON.stringify(patch),
  };
}

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

const STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json";

function podPath({ namespace, name }: RejectedPod): string {
  return `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(name)}`;
}

function eventsPath({ namespace }: RejectedPod): string {
  return `/api/v1/namespaces/${encodeURIComponent(namespace)}/events`;
}

/** One name per pod, so that a proxy that was restarted finds the Event that it recorded, and counts on. */
function eventName(pod: RejectedPod): string {
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
