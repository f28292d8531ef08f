/**
 * A value that is read from files, and read again when they change. There is no timer and no watch that could be missed:
 * whoever needs the value compares the text, which takes less time than one signature.
 *
 * @module
 */

/** A value that follows its files. */
export interface Followed<T> {
  /** The value of the files as they are now, or the last good one if they cannot be read. */
  get(): Promise<T>;
}

/** Where a value comes from. */
export interface FollowedOptions<T> {
  /** All that the value depends on, as one text. */
  readText: () => Promise<string>;
  /** Makes the value. */
  parse: (text: string) => T | Promise<T>;
  /** The text and the value at the start. */
  first: { text: string; value: T };
  /** Called when another value is in use. */
  onChange: (value: T) => void;
  /** Called when the last good value stays in use: once for each new text or error. */
  onFailure: (error: unknown) => void;
}

/** Follows files. */
export function follow<T>(options: FollowedOptions<T>): Followed<T> {
  const { readText, parse, onChange, onFailure } = options;
  let { text: seen, value } = options.first;
  let unreadable: string | undefined;
  let running: Promise<T> | undefined;

  const fail = (error: unknown) => {
    const text = String(error);
    if (text !== unreadable) onFailure(error);
    unreadable = text;
  };

  const refresh = async (): Promise<T> => {
    let text: string;
    try {
      text = await readText();
    } catch (error) {
      fail(error);
      return value;
    }
    if (text === seen && unreadable === undefined) return value;
    try {
      const next = await parse(text);
      const changed = text !== seen;
      seen = text;
      unreadable = undefined;
      if (changed) {
        value = next;
        onChange(value);
      }
    } catch (error) {
      fail(error);
    }
    return value;
  };

  return {
    // A request that comes while files are read must not miss a change after the first byte was read: it reads itself.
    get: async () => {
      while (running !== undefined) await running;
      running = refresh();
      try {
        return await running;
      } finally {
        running = undefined;
      }
    },
  };
}
