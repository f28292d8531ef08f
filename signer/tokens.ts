/**
 * The token file: who may sign. Either one token, or a line `NAME: TOKEN` for each; empty lines and lines that begin with
 * `#` are skipped. A name may have several tokens, so that one can be replaced without a gap.
 *
 * @module
 */
import { isBearerToken } from "@signed-pods/shared/bearer-token";

/** A shorter token could be guessed by trying: 16 characters of hexadecimal are 64 bits. */
export const MIN_TOKEN_LENGTH = 16;

/** A longer token does not fit the header limits of common HTTP servers and proxies. */
export const MAX_TOKEN_LENGTH = 4096;

/** Most tokens of a file. Each request is compared with all of them, whichever fits. */
export const MAX_TOKENS = 256;

/** What a client with the only token of a file without names is called in the audit log. */
export const UNNAMED_CLIENT = "token";

/** Names stand in log lines and metrics, and people tell them apart. */
const NAME = /^[A-Za-z0-9](?:[A-Za-z0-9._@-]{0,62}[A-Za-z0-9])?$/;

const MAKE_ONE = "make one with `openssl rand -hex 32`";

/** Names of clients by their tokens. */
export interface Tokens {
  /** How many there are. */
  readonly count: number;
  /** Whose token it is; undefined if it is nobody's. The time taken says nothing about the tokens. */
  clientOf(token: string): Promise<string | undefined>;
}

/** A token file that cannot be used. The message goes on from the file's name. */
export class TokenFileError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "TokenFileError";
  }
}

interface Entry {
  name: string;
  digest: Uint8Array;
}

/**
 * Reads the text of a token file.
 *
 * @throws {TokenFileError}
 */
export async function parseTokens(text: string): Promise<Tokens> {
  const lines = text.split(/\r?\n/).map((line, index) => ({ line: line.trim(), number: index + 1 }))
    .filter(({ line }) => line !== "" && !line.startsWith("#"));
  if (lines.length === 0) throw new TokenFileError(`holds no token; ${MAKE_ONE}`);
  if (lines.length > MAX_TOKENS) throw new TokenFileError(`holds more than ${MAX_TOKENS} tokens`);
  const entries: Entry[] = [];
  const names = new Map<string, string>();
  for (const { line, number } of lines) {
    const { name, token } = parseLine(line, number, lines.length === 1);
    const digest = await sha256(token);
    const other = names.get(digest.toHex());
    if (other !== undefined) throw new TokenFileError(`line ${number}: has the same token as "${other}"`);
    names.set(digest.toHex(), name);
    entries.push({ name, digest });
  }
  return { count: entries.length, clientOf: async (token) => find(entries, await sha256(token)) };
}

function parseLine(line: string, number: number, only: boolean): { name: string; token: string } {
  const colon = line.indexOf(":");
  const name = colon < 0 ? UNNAMED_CLIENT : line.slice(0, colon).trimEnd();
  const token = line.slice(colon + 1).trimStart();
  const place = `line ${number}`;
  if (colon < 0 && !only) {
    throw new TokenFileError(`${place}: has no name; where there are several tokens, write NAME: TOKEN`);
  }
  if (!NAME.test(name)) {
    throw new TokenFileError(`${place}: a name has 1 to 64 letters, digits and ._@- before the colon`);
  }
  if (!isBearerToken(token)) {
    throw new TokenFileError(`${place}: a token has letters, digits and -._~+/ only; ${MAKE_ONE}`);
  }
  if (token.length < MIN_TOKEN_LENGTH || token.length > MAX_TOKEN_LENGTH) {
    throw new TokenFileError(
      `${place}: the token has ${token.length} characters, but must have ${MIN_TOKEN_LENGTH} to ${MAX_TOKEN_LENGTH}; ` +
        MAKE_ONE,
    );
  }
  return { name, token };
}

/** Compares digests, all of them and to their ends, so that the time taken tells nothing, not even a token's length. */
function find(entries: readonly Entry[], digest: Uint8Array): string | undefined {
  let found: string | undefined;
  for (const entry of entries) {
    let difference = 0;
    for (const [index, byte] of entry.digest.entries()) difference |= byte ^ (digest[index] ?? 0xff);
    if (difference === 0) found = entry.name;
  }
  return found;
}

async function sha256(text: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
}
