/**
 * Who is told of the kubelet's requests.
 *
 * @module
 */
import type { Route } from "../route.ts";

/** Where a request went. Few, so that each may have its own count. */
export const REQUEST_ROUTES = [
  "pod-list",
  "pod-watch",
  "pod-get",
  "pod-write",
  "object",
  "object-watch",
  "review",
  "relay",
  "relay-stream",
  "refuse",
  "malformed",
] as const;

/** Where one request went. */
export type RequestRoute = (typeof REQUEST_ROUTES)[number];

/** Is told of each request. */
export interface RequestObserver {
  /** The headers of the answer are ready. */
  answered(route: RequestRoute, code: number, seconds: number): void;
  /**
   * A request runs.
   *
   * @returns called when its answer was sent, or cannot be
   */
  opened(route: RequestRoute): () => void;
}

/** The name of a route. */
export function routeName(route: Route): RequestRoute {
  switch (route.kind) {
    case "relay":
      return route.stream ? "relay-stream" : "relay";
    case "object":
      return route.asked.verb === "watch" ? "object-watch" : "object";
    default:
      return route.kind;
  }
}
