/**
 * PEM (RFC 7468): the text form in which keys and certificates are kept in files.
 *
 * @module
 */
import { decodeBase64, encodeBase64 } from "./base64.ts";
import { SignedPodsError } from "./errors.ts";

/** One block of a PEM text. */
export interface PemBlock {
  /** What stands behind BEGIN, for example `CERTIFICATE`. */
  label: string;
  /** The decoded content. */
  bytes: Uint8Array<ArrayBuffer>;
  /** Header lines (RFC 1421), for example `Proc-Type: 4,ENCRYPTED`. RFC 7468 has none; old OpenSSL keys do. */
  headers: readonly string[];
}

/** Line length that RFC 7468 section 2 asks writers for. */
const LINE_LENGTH = 64;

/** A boundary line. Labels are printable ASCII; single spaces and hyphens separate words (RFC 7468 section 3). */
const BOUNDARY = /^-----(BEGIN|END) ([!-,.-~]+(?:[ -][!-,.-~]+)*)-----$/;

/**
 * All blocks of a PEM text, in order; at least one. Text before, between and behind blocks is ignored, as
 * RFC 7468 section 2 says. A boundary line with a mistake is refused: nothing that was meant to be read is
 * skipped silently.
 *
 * @throws {SignedPodsError} `pem-malformed`, with the line
 */
export function readPemBlocks(text: string): PemBlock[] {
  const blocks: PemBlock[] = [];
  let open: { label: string; line: number; content: string[] } | undefined;
  for (const [index, raw] of text.split("\n").entries()) {
    const line = raw.trim();
    const number = index + 1;
    const isBoundary = line.startsWith("-----BEGIN") || line.startsWith("-----END");
    if (!isBoundary) {
      open?.content.push(line);
      continue;
    }
    const [, kind, label] = BOUNDARY.exec(line) ?? [];
    if (kind === undefined || label === undefined) {
      throw malformed(number, "a boundary must read -----BEGIN LABEL----- or -----END LABEL-----");
    }
    if (kind === "BEGIN") {
      if (open !== undefined) {
        throw malformed(number, `the block that starts on line ${open.line} has no END line`);
      }
      open = { label, line: number, content: [] };
    } else {
      if (open === undefined) throw malformed(number, "an END line without its BEGIN line");
      if (open.label !== label) throw malformed(number, `END "${label}" closes BEGIN "${open.label}"`);
      blocks.push(readBlock(label, open.content, open.line));
      open = undefined;
    }
  }
  if (open !== undefined) throw malformed(open.line, "the block has no END line, the file may be cut off");
  if (blocks.length === 0) {
    throw new SignedPodsError(
      "pem-malformed",
      "No PEM block found: expected a line such as -----BEGIN CERTIFICATE-----",
    );
  }
  return blocks;
}

/**
 * Bytes as one PEM block, with a newline at its end.
 *
 * @param label for example `CERTIFICATE`
 * @param bytes the content, usually DER
 */
export function writePem(label: string, bytes: Uint8Array): string {
  const lines = encodeBase64(bytes).match(new RegExp(`.{1,${LINE_LENGTH}}`, "g")) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ""].join("\n");
}

function readBlock(label: string, content: string[], line: number): PemBlock {
  let bodyStart = 0;
  if (content[0]?.includes(":")) {
    const blank = content.indexOf("");
    if (blank < 0) throw malformed(line, "headers must end with an empty line");
    bodyStart = blank + 1;
  }
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = decodeBase64(content.slice(bodyStart).join(""));
  } catch (cause) {
    throw malformed(line, `the content of the "${label}" block is not base64`, { cause });
  }
  if (bytes.length === 0) throw malformed(line, `the "${label}" block is empty`);
  return { label, bytes, headers: content.slice(0, Math.max(0, bodyStart - 1)) };
}

function malformed(line: number, what: string, options?: ErrorOptions): SignedPodsError {
  return new SignedPodsError("pem-malformed", `Not PEM, line ${line}: ${what}`, undefined, options);
}
