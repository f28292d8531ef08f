/** What record.ts has recorded. */
import type { JsonObject } from "@signed-pods/shared/json";

export interface Recording {
  /** Where it comes from, and its licence. */
  source: string;
  /** PEM of the key whose signatures are trusted. */
  key: string;
  /** What was signed, pod by pod, with the defaults that the API server set. */
  grants: {
    namespace: string;
    name: string;
    /** A regular expression: what a pod with this signature may be called. */
    names: string;
    spec: JsonObject;
    labels: JsonObject;
    annotations: JsonObject;
  }[];
  /** Body of the answer to a list. */
  list: string;
  /** Body of the answer to a watch with initial events, and what happened then. */
  watch: string;
}

const FOLDER = new URL("recordings/", import.meta.url);

/** All recordings. */
export async function readRecordings(): Promise<Recording[]> {
  const recordings: Recording[] = [];
  for await (const { name } of Deno.readDir(FOLDER)) {
    recordings.push(JSON.parse(await Deno.readTextFile(new URL(name, FOLDER))));
  }
  return recordings;
}
