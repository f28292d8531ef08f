/**
 * What becomes of requests for the kubelet's own API.
 *
 * @module
 */

/** Statuses with which the front itself refuses. */
export const NODE_API_REFUSAL_CODES = [400, 401, 403, 500, 503, 504] as const;

/** One of them. */
export type NodeApiRefusalCode = (typeof NODE_API_REFUSAL_CODES)[number];

/** What became of a request: it went to the kubelet, or was refused with a status. */
export type NodeApiOutcome = "passed" | NodeApiRefusalCode;
