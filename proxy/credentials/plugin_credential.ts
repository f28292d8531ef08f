/**
 * The credential that a plugin gives: asked for when there is none, shortly before it expires, and when the API server
 * does not take it. The plugin runs once at a time, and not more often than now and then, whatever the API server says.
 *
 * @module
 */
import { messageOf } from "@signed-pods/shared/errors";
import type { Clock } from "../clock.ts";
import type { ExecCredential } from "./exec_credential.ts";
import type { Log } from "../log.ts";
import type { ProgramResult } from "./run_program.ts";

/** Longest run of a plugin, in milliseconds: most ask one server in the network. */
export const PLUGIN_TIMEOUT_MS = 30_000;

/** Most bytes that a plugin may print: a certificate chain, a key and a token have some 10,000. */
export const MAX_PLUGIN_OUTPUT_BYTES = 256 * 1024;

/** How much of what a plugin says on stderr goes to the log, in bytes. */
export const MAX_PLUGIN_STDERR_BYTES = 4 * 1024;

/** Shortest time between the starts of two runs, in milliseconds, unless the credential has expired meanwhile. */
export const PLUGIN_INTERVAL_MS = 10_000;

/** How long before it expires a credential is renewed, in milliseconds. */
export const RENEW_AHEAD_MS = 60_000;

/** What this is made of. */
export interface PluginCredentialOptions {
  /** Full path of the program, for the log. */
  command: string;
  run: () => Promise<ProgramResult>;
  /** Reads what it printed; throws with what is wrong with it. */
  read: (stdout: string, now: Date) => ExecCredential;
  /** Puts a credential in force; throws if it cannot be used. */
  apply: (credential: ExecCredential) => void;
  clock: Clock;
  log: Log;
}

/** Keeps a credential in force. */
export interface PluginCredential {
  /**
   * Waits until a credential is in force that has not expired.
   *
   * @throws {Error} with why the plugin gave none
   */
  ensure(): Promise<void>;
  /** The API server does not take it: runs the plugin, unless it ran a moment ago. Never throws. */
  refresh(): Promise<void>;
}

/** Makes it; nothing is run yet. */
export function createPluginCredential(options: PluginCredentialOptions): PluginCredential {
  const { command, run, read, apply, clock, log } = options;
  let current: ExecCredential | undefined;
  let failure: Error | undefined;
  let startedAtMs = Number.NEGATIVE_INFINITY;
  let running: Promise<void> | undefined;

  const nowMs = () => clock.now().getTime();
  const leftMs = () =>
    current === undefined ? 0 : (current.expiresAt?.getTime() ?? Number.POSITIVE_INFINITY) - nowMs();
  const ranJustNow = () => Math.abs(nowMs() - startedAtMs) < PLUGIN_INTERVAL_MS;

  function renew(): Promise<void> {
    running ??= renewOnce().finally(() => running = undefined);
    return running;
  }

  async function renewOnce(): Promise<void> {
    startedAtMs = nowMs();
    const { problem, stdout, stderr } = await run();
    let next: ExecCredential | undefined;
    try {
      if (problem !== undefined) {
        throw new Error(problem);
      }
      next = read(stdout, clock.now());
      apply(next);
      current = next;
      failure = undefined;
      log.info("credential-renewed", "the credential plugin has given a credential", {
        command,
        expires: next.expiresAt?.toISOString(),
      });
    } catch (error) {
      failure = new Error(`the credential plugin "${command}" failed: ${messageOf(error)}`);
      log.error("credential-plugin-failed", failure.message);
      throw failure;
    } finally {
      if (stderr !== "") {
        log.warn("credential-plugin-stderr", withoutSecrets(stderr, next), { command });
      }
    }
  }

  return {
    async ensure() {
      if (leftMs() > 0) {
        if (leftMs() < RENEW_AHEAD_MS && !ranJustNow()) {
          renew().catch(() => {});
        }
        return;
      }
      if (running === undefined && failure !== undefined && ranJustNow()) {
        throw failure;
      }
      await renew();
    },
    async refresh() {
      if (running !== undefined || !ranJustNow()) {
        await renew().catch(() => {});
      }
    },
  };
}

function withoutSecrets(text: string, credential: ExecCredential | undefined): string {
  const secrets = [credential?.token, credential?.identity?.key];
  return secrets.reduce<string>(
    (safe, secret) => secret === undefined ? safe : safe.replaceAll(secret.trim(), "[redacted]"),
    text,
  );
}
