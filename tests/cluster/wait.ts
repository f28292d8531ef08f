/**
 * Waiting for a condition with a deadline. Nothing in these tests waits for a number of seconds.
 *
 * @module
 */

/** What a probe says: it is done and this is the value, or not yet and this is how things stand. */
export type Progress<T> = { done: true; value: T } | { done: false; state: string };

/** The condition holds. */
export function done<T>(value: T): Progress<T> {
  return { done: true, value };
}

/** The condition does not hold yet; `state` is shown if it never does. */
export function notYet(state: string): Progress<never> {
  return { done: false, state };
}

/** How long to wait, and what to show when it was in vain. */
export interface WaitOptions {
  /** Deadline in milliseconds, by default 60,000. */
  timeoutMs?: number;
  /** Pause between two looks in milliseconds, by default 100. */
  intervalMs?: number;
  /** More to show in the error, for example the ends of the log files. If it fails, its own error is shown. */
  explain?: () => string | Promise<string>;
}

/** A condition that did not come true in time. */
export class DeadlineError extends Error {
  override name = "DeadlineError";
}

/**
 * Looks again and again until the probe is done.
 *
 * A probe that throws counts as not yet, with its error as the state: programs that are just starting refuse
 * connections.
 *
 * @param what the awaited condition, as it reads after "waiting until"
 * @throws {DeadlineError} with the last state, when the deadline passes
 */
export async function until<T>(
  what: string,
  probe: () => Progress<T> | Promise<Progress<T>>,
  { timeoutMs = 60_000, intervalMs = 100, explain }: WaitOptions = {},
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  let state = "nothing seen yet";
  while (true) {
    try {
      const progress = await probe();
      if (progress.done) return progress.value;
      state = progress.state;
    } catch (error) {
      state = error instanceof Error ? error.message : String(error);
    }
    if (Date.now() >= deadline) {
      const more = explain === undefined ? "" : `\n${await explanation(explain)}`;
      throw new DeadlineError(
        `Gave up after ${timeoutMs / 1000} s of waiting until ${what}\nLast state: ${state}${more}`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, intervalMs));
  }
}

async function explanation(explain: () => string | Promise<string>): Promise<string> {
  try {
    return await explain();
  } catch (error) {
    return `No explanation: ${error instanceof Error ? error.message : String(error)}`;
  }
}
