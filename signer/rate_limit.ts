/**
 * How much one client may ask for. Each has a token bucket: it fills at a steady rate up to a burst, and a request takes
 * one out.
 *
 * @module
 */

/** A rate, and how far it may be exceeded for a moment. */
export interface Rate {
  perSecond: number;
  burst: number;
}

/**
 * Signatures of one client. Signing a repository of manifests is a burst of hundreds; twenty a second go on for good.
 * A P-256 signature takes a fraction of a millisecond, one of RSA some, so that many clients at this rate leave the
 * processor idle.
 */
export const SIGNING_RATE: Rate = { perSecond: 20, burst: 300 };

/** Most clients that are told apart; one takes about 100 bytes. */
export const MAX_TRACKED_CLIENTS = 10_000;

/** Whom a client counts as where there are more than that. */
const EVERYBODY_ELSE = "";

/** Whether a request is within the limit. */
export type Admission = { admitted: true } | { admitted: false; retryAfterSeconds: number };

/** Limits the rate of each client. */
export interface RateLimiter {
  /** Takes one request into account if it is within the limit. */
  take(client: string): Admission;
}

interface Bucket {
  level: number;
  updatedMs: number;
}

/**
 * Makes a limiter.
 *
 * @param elapsedMs a clock that only goes forward, in milliseconds
 */
export function createRateLimiter(
  { perSecond, burst }: Rate,
  elapsedMs: () => number,
  maxClients: number = MAX_TRACKED_CLIENTS,
): RateLimiter {
  const buckets = new Map<string, Bucket>();
  const levelAt = (bucket: Bucket, nowMs: number) =>
    Math.min(burst, bucket.level + (nowMs - bucket.updatedMs) * perSecond / 1000);

  /** A full bucket says the same as none. */
  function dropFull(nowMs: number): void {
    for (const [client, bucket] of buckets) {
      if (levelAt(bucket, nowMs) >= burst) buckets.delete(client);
    }
  }

  function find(client: string, nowMs: number): { key: string; level: number } {
    if (!buckets.has(client) && buckets.size >= maxClients) dropFull(nowMs);
    // The shared bucket comes on top of the bound.
    const key = buckets.has(client) || buckets.size < maxClients ? client : EVERYBODY_ELSE;
    const bucket = buckets.get(key);
    return { key, level: bucket === undefined ? burst : levelAt(bucket, nowMs) };
  }

  function admission(level: number): Admission {
    if (level >= 1) return { admitted: true };
    return { admitted: false, retryAfterSeconds: Math.max(1, Math.ceil((1 - level) / perSecond)) };
  }

  return {
    take(client) {
      const nowMs = elapsedMs();
      const { key, level } = find(client, nowMs);
      const result = admission(level);
      if (result.admitted) buckets.set(key, { level: level - 1, updatedMs: nowMs });
      return result;
    },
  };
}
