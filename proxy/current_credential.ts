/**
 * The node's credential as it is now.
 *
 * @module
 */
import type { Credentials } from "./credentials.ts";
import type { UpstreamCredential } from "./upstream.ts";

/** A credential that can be replaced by its successor. */
export interface CurrentCredential extends UpstreamCredential {
  /** What is shown and trusted now. */
  readonly value: Credentials;
  replace(next: Credentials): void;
}

/** @param refresh looks whether there is a successor, and replaces the credential if so */
export function createCurrentCredential(
  first: Credentials,
  refresh: () => Promise<unknown>,
): CurrentCredential {
  let value = first;
  let generation = 0;
  return {
    get value() {
      return value;
    },
    get generation() {
      return generation;
    },
    token: () => Promise.resolve(value.token),
    refresh,
    replace(next) {
      value = next;
      generation++;
    },
  };
}
