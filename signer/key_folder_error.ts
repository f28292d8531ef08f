/**
 * What can be wrong with the key folder. The code is the contract; the text is for people.
 *
 * @module
 */

/** What is wrong, as a stable word. */
export type KeyFolderErrorCode =
  /** The folder, or the one that it is to be made in, does not exist. */
  | "folder-missing"
  /** The path is a symbolic link, which somebody else may turn. */
  | "symlink"
  /** The path is neither what a folder nor what a file of ours is. */
  | "wrong-kind"
  /** Others may read or write it. */
  | "not-private"
  /** It belongs to another user, who may open it again at any time. */
  | "foreign-owner"
  /** A file is larger than any that is written here. */
  | "too-large"
  /** A file does not hold what it should. */
  | "key-malformed"
  /** A certificate belongs to another key. */
  | "key-mismatch"
  /** There are certificates of earlier keys, and no key: it was not this program that took it away. */
  | "key-missing"
  /** There is no key yet, so that none can be replaced. */
  | "no-key-yet"
  /** Another process holds the folder's lock. */
  | "locked"
  /** As many certificates as are kept are still valid. */
  | "too-many-certificates"
  /** A key waits already for its turn. */
  | "already-staged"
  /** The system refuses to read or write. */
  | "io";

/** An error of the key folder. The message says what is wrong and what to do. */
export class KeyFolderError extends Error {
  readonly code: KeyFolderErrorCode;

  constructor(code: KeyFolderErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "KeyFolderError";
    this.code = code;
  }
}
