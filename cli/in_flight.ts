/**
 * Several things under way at a time: signatures are made and checked beside the thread that runs this program.
 *
 * @module
 */

/** Documents that are judged at a time, so that WebCrypto's threads have work while this one judges. */
export const PARALLEL_VERIFICATIONS = 8;

/**
 * Does something with each item, a few at a time. After a failure nothing more is begun.
 *
 * @param limit most that are under way
 * @returns the results, in the order of the items
 * @throws whatever fails first
 */
export async function mapInFlight<Item, Result>(
  items: readonly Item[],
  limit: number,
  act: (item: Item, index: number) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  const queue = items.entries();
  let failed = false;
  const takeNext = async () => {
    for (const [index, item] of queue) {
      try {
        results[index] = await act(item, index);
      } catch (error) {
        failed = true;
        throw error;
      }
      if (failed) return;
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, takeNext));
  return results;
}
