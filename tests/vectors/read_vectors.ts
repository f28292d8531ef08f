/**
 * Reads files of test vectors, and sees to it that none is lost or there twice.
 *
 * @module
 */
import assert from "node:assert/strict";
import { isJsonObject, type JsonValue } from "../../shared/json.ts";

/** One case: an input, and what must come out of it or with which code it must be refused. */
export interface Vector {
  name: string;
  source: string;
  input: JsonValue;
  expected?: JsonValue;
  error?: string;
}

/**
 * The vectors of a file in this folder. The file says how many it holds; names are unique; each vector has
 * either an expected value or an error code.
 *
 * @param file for example `canonical_json.json`
 */
export async function readVectors(file: string): Promise<Vector[]> {
  const document: JsonValue = JSON.parse(await Deno.readTextFile(new URL(file, import.meta.url)));
  assert.ok(isJsonObject(document) && Array.isArray(document.vectors));
  assert.equal(typeof document.license, "string");
  const vectors = document.vectors.map(readVector);
  assert.equal(vectors.length, document.count, `${file} holds as many vectors as it says`);
  assert.equal(new Set(vectors.map(({ name }) => name)).size, vectors.length, `${file} has unique names`);
  return vectors;
}

function readVector(value: JsonValue): Vector {
  assert.ok(isJsonObject(value));
  const { name, source, input, expected, error } = value;
  assert.ok(typeof name === "string" && typeof source === "string" && input !== undefined);
  if (typeof error === "string") return { name, source, input, error };
  assert.ok(expected !== undefined, `${name} has an expected value or an error`);
  return { name, source, input, expected };
}

/** A text member of a vector's input or expected value. */
export function textOf(value: JsonValue | undefined, member: string): string {
  assert.ok(isJsonObject(value));
  const text = value[member];
  assert.ok(typeof text === "string", `${member} is a text`);
  return text;
}
