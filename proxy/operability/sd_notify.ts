/**
 * Tells the service manager how the program does: that it is ready, that it is alive, that it is stopping (sd_notify(3),
 * sd_watchdog_enabled(3)).
 *
 * Files that change are taken over while requests are served, so there is never a reload to announce.
 *
 * @module
 */
import { messageOf } from "@signed-pods/shared/errors";
import type { Clock } from "../clock.ts";
import type { Log } from "../log.ts";

/** Variables in which a service manager says where and how often it wants to hear. */
export const SERVICE_MANAGER_VARIABLES = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"] as const;

/** Socket in the runtime folder that messages to the service manager are sent from. */
export const NOTIFY_SOCKET_NAME = "notify.sock";

/**
 * Longest time between two signs of life, in milliseconds: a watchdog that waits for days is answered each hour, and no
 * timer overflows.
 */
const LONGEST_INTERVAL_MS = 3_600_000;

const MICROSECONDS_PER_MS = 1000;

/** Two signs of life for each time that the service manager waits, as sd_watchdog_enabled(3) recommends. */
const SIGNS_PER_TIMEOUT = 2;

/** What a service manager asks for. */
export interface ServiceManager {
  /** Path of its datagram socket. */
  socket: string;
  /** Time between two signs of life, in milliseconds; undefined if it wants none. */
  intervalMs: number | undefined;
}

/**
 * Where a service manager's socket is, if it can be written to.
 *
 * Abstract sockets (`@name`) are not used: Deno has no flag that names one, so all of the network would have to be allowed.
 * systemd's own socket for services is a path.
 */
export function notifySocket(value: string | undefined): string | undefined {
  return value !== undefined && /^\/[^\0\r\n]+$/.test(value) ? value : undefined;
}

/**
 * Reads the variables of a service manager.
 *
 * @param get a variable's value
 * @param pid this process
 * @returns undefined if there is no service manager; a text if what it says cannot be used
 */
export function readServiceManager(
  get: (name: (typeof SERVICE_MANAGER_VARIABLES)[number]) => string | undefined,
  pid: number,
): ServiceManager | string | undefined {
  const value = get("NOTIFY_SOCKET");
  if (value === undefined || value === "") {
    return undefined;
  }
  const socket = notifySocket(value);
  if (socket === undefined) {
    return `NOTIFY_SOCKET is "${value}", which is no absolute path; abstract sockets are not supported`;
  }
  const microseconds = get("WATCHDOG_USEC") ?? "";
  const wanted = get("WATCHDOG_PID") ?? "";
  if (microseconds === "" || (wanted !== "" && wanted !== String(pid))) {
    return { socket, intervalMs: undefined };
  }
  if (!/^[1-9]\d{0,18}$/.test(microseconds)) {
    return `WATCHDOG_USEC is "${microseconds}", which is no number of microseconds`;
  }
  const intervalMs = Number(microseconds) / MICROSECONDS_PER_MS / SIGNS_PER_TIMEOUT;
  return { socket, intervalMs: Math.min(Math.max(1, Math.floor(intervalMs)), LONGEST_INTERVAL_MS) };
}

/** What a notifier is made of. */
export interface NotifierOptions {
  /** Sends one datagram to the service manager. */
  send: (message: string) => Promise<void>;
  /** Time between two signs of life, in milliseconds; none are given without it. */
  intervalMs: number | undefined;
  /**
   * Whether the program does its work. One that never settles gives no sign of life either, so the service manager ends the
   * program.
   */
  healthy: () => Promise<boolean>;
  clock: Clock;
  log: Log;
}

/** Speaks to the service manager. Nothing that it does fails: a program without a manager works as well. */
export interface Notifier {
  /**
   * The program serves. Signs of life begin.
   *
   * @param status one line for people
   */
  ready(status: string): Promise<void>;
  /** The program has begun to stop, which the manager waits for. Signs of life end. */
  stopping(): Promise<void>;
}

/** Makes the one that speaks to the service manager. */
export function createNotifier({ send, intervalMs, healthy, clock, log }: NotifierOptions): Notifier {
  let cancel = () => {};
  let stopped = false;

  async function tell(message: string): Promise<void> {
    try {
      await send(message);
    } catch (error) {
      log.warn("notify-failed", `the service manager was not told: ${messageOf(error)}`);
    }
  }

  async function giveSign(intervalMs: number): Promise<void> {
    let reason: string | undefined = "it does not answer itself";
    try {
      reason = await healthy() ? undefined : reason;
    } catch (error) {
      reason = messageOf(error);
    }
    if (stopped) {
      return;
    }
    if (reason === undefined) {
      await tell("WATCHDOG=1");
    } else {
      log.error("unhealthy", `the service manager gets no sign of life of this proxy: ${reason}`);
    }
    cancel = clock.after(intervalMs, () => void giveSign(intervalMs));
  }

  return {
    async ready(status) {
      await tell(`READY=1\nSTATUS=${status.replaceAll("\n", " ")}`);
      if (intervalMs !== undefined && !stopped) {
        cancel = clock.after(intervalMs, () => void giveSign(intervalMs));
      }
    },
    async stopping() {
      stopped = true;
      cancel();
      await tell("STOPPING=1");
    },
  };
}
