/**
 * The fields of one head, as they were sent. A `Headers` object does the same, for several times the processor time.
 *
 * @module
 */

/** What is asked of fields; `Headers` can do it, too. */
export type FieldReader = Pick<Headers, "get">;

/** Fields by name. */
export class FieldList implements FieldReader {
  readonly #fields: readonly (readonly [name: string, value: string])[];

  /** @param fields names, in small letters, and values, in order */
  constructor(fields: readonly (readonly [name: string, value: string])[]) {
    this.#fields = fields;
  }

  /**
   * The value of a field; of several, all of them with commas in between (RFC 9110 section 5.2), as in `Headers`.
   *
   * @param name in small letters
   */
  get(name: string): string | null {
    let found: string | null = null;
    for (const [key, value] of this.#fields) {
      if (key === name) {
        found = found === null ? value : `${found}, ${value}`;
      }
    }
    return found;
  }

  /** How many fields have a name, which is in small letters. */
  count(name: string): number {
    return this.#fields.reduce((count, [key]) => key === name ? count + 1 : count, 0);
  }
}
