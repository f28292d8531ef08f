/**
 * Flags that are spelled alike, for those who misspelt one. On its own, since the library that compares them takes long to load,
 * and a start has no use for it.
 *
 * @module
 */
import { findSimilar } from "@optique/core/suggestion";
import { FLAGS } from "./options.ts";

/** The flags whose names are similar, the most similar first. */
export function similarFlags(name: string): readonly string[] {
  return findSimilar(name, FLAGS.map((flag) => flag.name));
}
