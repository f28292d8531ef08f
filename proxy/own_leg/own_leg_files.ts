/**
 * The files of the own leg, and how long what is in them holds.
 *
 * @module
 */

/** The authority: its key and its newest certificate. Nobody but the proxy reads it. */
export const AUTHORITY_FILE = "ca.pem";
/** The authority's certificates that hold, the newest first: what proxy and kubelet check each other with. */
export const AUTHORITIES_FILE = "ca.crt";
/** The listener's certificate and key, in one file, so that they change together. */
export const SERVING_FILE = "serving.pem";
/** The kubelet's certificate and key. */
export const CLIENT_FILE = "kubelet-client.pem";
/** The certificate and key by which the kubelet knows the front of its own API (`--kubelet-api-listen`). */
export const FRONT_CLIENT_FILE = "front-client.pem";
/** What the kubelet is started with. */
export const KUBECONFIG_FILE = "kubelet.kubeconfig";

/** All files, in the order in which they are written: each needs only those before it. */
export const OWN_LEG_FILES = [
  AUTHORITY_FILE,
  AUTHORITIES_FILE,
  SERVING_FILE,
  CLIENT_FILE,
  FRONT_CLIENT_FILE,
  KUBECONFIG_FILE,
] as const;

/** One of {@linkcode OWN_LEG_FILES}. */
export type OwnLegFile = (typeof OWN_LEG_FILES)[number];

/** The files of a folder that the listener serves with. */
export function ownLegTls(
  folder: string,
): { certificateFile: string; keyFile: string; clientCaFile: string } {
  const serving = `${folder}/${SERVING_FILE}`;
  return { certificateFile: serving, keyFile: serving, clientCaFile: `${folder}/${AUTHORITIES_FILE}` };
}

/** The file of a folder that the front of the kubelet's API shows to the kubelet. */
export function ownLegFrontClient(folder: string): string {
  return `${folder}/${FRONT_CLIENT_FILE}`;
}

/** Lifetimes in milliseconds. */
export interface OwnLegLifetimes {
  leafMs: number;
  authorityMs: number;
}

/** Whole days, in milliseconds. */
export const DAY_MS: number = 24 * 60 * 60 * 1000;

/** The certificates that are used hold for 90 days and are renewed after 60: a node that was off for a month comes back as it was. */
export const LEAF_LIFETIME_DAYS = 90;

/** The authority holds for ten years, as kubeadm's do, and is renewed after two thirds of them. */
export const AUTHORITY_LIFETIME_DAYS = 3650;

/** Both, in milliseconds. */
export const OWN_LEG_LIFETIMES: OwnLegLifetimes = {
  leafMs: LEAF_LIFETIME_DAYS * DAY_MS,
  authorityMs: AUTHORITY_LIFETIME_DAYS * DAY_MS,
};
