/**
 * @module
 */

/** Input or a command line that podsign cannot work with; the message says where and what to do. */
export class InputError extends Error {
  /** One line each. */
  readonly lines: readonly string[];

  /** @param lines what is wrong, one line each; at least one */
  constructor(lines: readonly string[], options?: ErrorOptions) {
    super(lines.join("\n"), options);
    this.name = "InputError";
    this.lines = lines;
  }
}
