/**
 * Reads a manifest after podsign has put annotations into it.
 *
 * @module
 */
import type { JsonValue } from "@signed-pods/shared/json";
import {
  type Manifest,
  type ManifestDocument,
  type Path,
  positionOf,
  readManifest,
  textProblems,
} from "./manifest.ts";
import { isSameButForSignatures } from "./same_manifest.ts";
import { readYamlValues } from "./yaml_values.ts";

/** Ways to the objects of each document that were given annotations. */
export type AnnotatedPlaces = ReadonlyMap<ManifestDocument, readonly { readonly path: Path }[]>;

/**
 * Reads the text as anybody else will: it must be the input but for the annotations.
 *
 * The quick reader is asked first. If it finds anything else than the input, the input's own reader decides, and says where.
 *
 * @param text with a byte order mark if the input has one
 * @throws {Error} if anything else was changed, which is a defect of podsign
 */
export function readSignedManifest(input: Manifest, text: string, places: AnnotatedPlaces): Manifest {
  const { byteOrderMark } = input;
  const body = text.startsWith(byteOrderMark) ? text.slice(byteOrderMark.length) : undefined;
  const values = input.format === "yaml" && body !== undefined && textProblems(body).length === 0
    ? readYamlValues(body)
    : undefined;
  const read = () => readManifest(new TextEncoder().encode(text), `signed ${input.name}`, { edit: true });
  if (body !== undefined && values !== undefined && firstChange(input, values, places) === undefined) {
    return withValues(input, body, values, read);
  }
  const output = read();
  const changed = firstChange(input, output.documents.map(({ value }) => value), places);
  if (changed === "count") throw defect("has another number of documents");
  if (changed !== undefined) {
    const { line } = positionOf(output.text, output.documents[changed]?.offset ?? 0);
    throw defect(
      `differs from the input in more than the signatures in the document at line ${line}`,
    );
  }
  return output;
}

/** The index of the first document that is another one, or "count" if there are more or fewer. */
function firstChange(
  input: Manifest,
  values: readonly JsonValue[],
  places: AnnotatedPlaces,
): number | "count" | undefined {
  if (values.length !== input.documents.length) return "count";
  const index = input.documents.findIndex((document, index) => {
    const value = values[index];
    const paths = (places.get(document) ?? []).map(({ path }) => path);
    return value === undefined || !isSameButForSignatures(document.value, value, paths);
  });
  return index < 0 ? undefined : index;
}

/** The text with its values; what else is known of documents is found out when it is asked for. */
function withValues(
  { name, byteOrderMark, format }: Manifest,
  text: string,
  values: readonly JsonValue[],
  read: () => Manifest,
): Manifest {
  let whole: Manifest | undefined;
  const documentAt = (index: number): ManifestDocument => {
    whole ??= read();
    const document = whole.documents[index];
    if (document === undefined) throw defect("has another number of documents");
    return document;
  };
  const documents = values.map((value, index): ManifestDocument => ({
    value,
    get offset() {
      return documentAt(index).offset;
    },
    get problems() {
      return documentAt(index).problems;
    },
    root: () => documentAt(index).root(),
  }));
  return { name: `signed ${name}`, byteOrderMark, text, format, documents };
}

/** Says that podsign has written what it should not have. */
export function defect(what: string): Error {
  return new Error(
    `the signed manifest ${what}: nothing was printed; this is a defect of podsign, please report it`,
  );
}
