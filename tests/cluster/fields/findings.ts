/**
 * What is known to be otherwise than it should be. An entry lets its cases pass until it is mended; then the suite
 * fails, and the entry is removed.
 *
 * @module
 */
import type { Difference } from "@signed-pods/shared/verdict";
import type { Mutation } from "./mutations.ts";

/** A case that should be told otherwise. */
export interface OpenFinding {
  name: string;
  what: string;
  /** Whether a verdict's difference is such a case. */
  applies(mutation: Mutation, difference: Difference): boolean;
}

export const OPEN_FINDINGS: readonly OpenFinding[] = [
  {
    name: "cut values",
    what:
      "values that differ behind the place where they are cut look the same, for example an image's digest",
    applies: (_mutation, { signed, found }) =>
      signed !== undefined && signed === found && signed.endsWith("…"),
  },
];
