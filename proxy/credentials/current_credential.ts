/**
 * The node's credential as it is now.
 *
 * @module
 */
import type { Credentials } from "./credentials.ts";
import type { UpstreamCredential } from "../upstream.ts";

/** A credential that can be replaced by its successor. */
export interface CurrentCredential extends UpstreamCredential {
  /** What is shown and trusted now. */
  readonly value: Credentials;
  replace(next: Credentials): void;
}

/** Where successors come from. */
export interface CredentialSource {
  /** Makes sure that what is in force can be used now. */
  ensure(): Promise<void>;
  /** Looks whether there is a successor, and replaces the credential if so. */
  refresh(): Promise<unknown>;
}

/** Makes the credential that is in force until it is replaced. */
export function createCurrentCredential(first: Credentials, source: CredentialSource): CurrentCredential {
  let value = first;
  let generation = 0;
  return {
    get value() {
      return value;
    },
    get generation() {
      return generation;
    },
    async token() {
      await source.ensure();
      return value.token;
    },
    refresh: () => source.refresh(),
    replace(next) {
      value = next;
      generation++;
    },
  };
}
