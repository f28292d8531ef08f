/**
 * How many requests run at a time, in all and of one client.
 *
 * @module
 */

/** Bounds of what runs at a time. */
export interface ConcurrencyLimits {
  total: number;
  perClient: number;
}

/**
 * Each running request may hold a body of a megabyte, some times over while it is parsed: 32 are about 200 MB at worst.
 * podsign sends four at a time; eight for one client let two of it run side by side, and four such clients fill the server.
 */
export const SIGNING_CONCURRENCY: ConcurrencyLimits = { total: 32, perClient: 8 };

/** What became of asking for a place. */
export type Place =
  | { kind: "taken"; leave: () => void }
  /** The client has all the places that one may have. */
  | { kind: "client-full" }
  /** All places are taken. */
  | { kind: "full" };

/** Places in which requests run. */
export interface Places {
  /** Takes a place; `leave` gives it back. */
  enter(client: string): Place;
  /** How many are taken. */
  taken(): number;
}

/** Makes the places. */
export function createPlaces({ total, perClient }: ConcurrencyLimits): Places {
  const clients = new Map<string, number>();
  let taken = 0;
  return {
    taken: () => taken,
    enter(client) {
      const own = clients.get(client) ?? 0;
      if (own >= perClient) return { kind: "client-full" };
      if (taken >= total) return { kind: "full" };
      taken++;
      clients.set(client, own + 1);
      let left = false;
      return {
        kind: "taken",
        leave: () => {
          if (left) return;
          left = true;
          taken--;
          const rest = (clients.get(client) ?? 1) - 1;
          if (rest === 0) clients.delete(client);
          else clients.set(client, rest);
        },
      };
    },
  };
}
