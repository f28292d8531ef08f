/**
 * The YAML library, without its look at the environment.
 *
 * @module
 */
import process from "node:process";
import {
  type Document,
  type DocumentOptions,
  parseAllDocuments,
  type ParseOptions,
  type SchemaOptions,
} from "yaml";

const OPTIONS: ParseOptions & DocumentOptions & SchemaOptions = {
  // What plain scalars mean is decided elsewhere: here they are text.
  schema: "failsafe",
  // Searches all keys of a mapping for every key; duplicates are found elsewhere, in one pass and with a path.
  uniqueKeys: false,
  prettyErrors: false,
  merge: false,
  logLevel: "silent",
};

/**
 * Parses every document of a text. Errors are in the documents, they are not thrown.
 *
 * The library asks `process.env` for its debugging switches at every token. That needs a permission and takes most
 * of the time, so it is shown an empty environment meanwhile.
 *
 * @param text YAML
 */
export function parseYamlDocuments(text: string): Document.Parsed[] {
  const env = process.env;
  process.env = {};
  try {
    const documents = parseAllDocuments(text, OPTIONS);
    return Array.isArray(documents) ? documents : [];
  } finally {
    process.env = env;
  }
}
