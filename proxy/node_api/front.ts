/**
 * Puts together what stands before the kubelet's own API.
 *
 * @module
 */
import { formatAddress } from "@signed-pods/shared/address";
import type { Clock } from "../clock.ts";
import type { FrontConfiguration } from "./front_configuration.ts";
import { openKubeletConnection } from "./kubelet_connection.ts";
import type { Log } from "../log.ts";
import type { Mode } from "../mode.ts";
import type { NodeApiAccess } from "./node_api_access.ts";
import { createNodeApiAuthenticator } from "./node_api_authenticator.ts";
import { createNodeApiAuthorizer } from "./node_api_authorizer.ts";
import { type NodeApiFront, openNodeApiFront } from "./node_api_front.ts";
import type { NodeApiOutcome } from "./node_api_outcome.ts";
import type { ReviewClient } from "./review_client.ts";

/** A front that runs. */
export interface RunningFront extends Pick<NodeApiFront, "address" | "close"> {
  /** Puts renewed certificates in force. */
  reload(next: Pick<FrontConfiguration, "tls" | "kubelet">): void;
}

/** What the front is started with, beside its own configuration. */
export interface FrontSetting {
  nodeName: string;
  access: NodeApiAccess;
  mode: Mode;
  logRequests: boolean;
  reviews: ReviewClient;
  log: Log;
  clock: Clock;
  decided: (outcome: NodeApiOutcome) => void;
}

/**
 * Starts to stand before the kubelet's own API.
 *
 * @throws {Error} if the address cannot be used
 */
export async function startFront(
  { address, tls, kubelet }: FrontConfiguration,
  { nodeName, access, mode, logRequests, reviews, log, clock, decided }: FrontSetting,
): Promise<RunningFront> {
  const connection = openKubeletConnection(
    kubelet,
    (error) => log.error("kubelet-unreachable", error.message),
  );
  const front = await openNodeApiFront({
    address,
    tls,
    nodeName,
    access,
    mode,
    authenticator: createNodeApiAuthenticator(reviews, clock),
    authorizer: createNodeApiAuthorizer(reviews, nodeName, clock),
    kubelet: connection,
    log,
    logRequests,
    clock,
    decided,
  });
  log.info("node-api-listening", "kubelet-proxy stands before the kubelet's own API", {
    address: `https://${formatAddress(front.address.hostname, front.address.port)}`,
    kubelet: `https://${formatAddress(kubelet.host, kubelet.port)}`,
    access: [...access],
  });
  return {
    address: front.address,
    close: (deadlineMs) => front.close(deadlineMs),
    reload(next) {
      front.reload(next.tls);
      connection.reload(next.kubelet);
    },
  };
}
