/**
 * Texts that several kinds hold.
 *
 * @module
 */
import { decodeBase64 } from "@signed-pods/shared/base64";
import { readPemBlocks } from "@signed-pods/shared/pem";
import { isQualifiedName } from "@signed-pods/shared/pod/grammar";
import { anyText, fields, map, QUANTITY, type Shape, text, TIME, word } from "./shape.ts";

/** Most characters of a text that is one line of settings. */
const MAX_LINE_LENGTH = 4096;

// deno-lint-ignore no-control-regex
const CONTROL_CHARACTER = /[\u0000-\u001f\u007f]/;

/** One line without control characters that is no option of a command line: what ends up in arguments of mount(8). */
export const LINE: Shape = text(
  (found) => found.length <= MAX_LINE_LENGTH && !CONTROL_CHARACTER.test(found) && !found.startsWith("-"),
  'one line of at most 4096 characters that does not begin with "-"',
);

/** A message for people. */
export const MESSAGE: Shape = anyText(32 * 1024);

/** Bytes in base64; the length of the whole answer bounds how many. */
export const BYTES: Shape = text(isBase64, "base64");

function isBase64(found: string): boolean {
  try {
    decodeBase64(found);
    return true;
  } catch {
    return false;
  }
}

/** Certificates in PEM, and no other blocks. Text around them means nothing to readers (RFC 7468 section 2). */
export const CERTIFICATES: Shape = text(isCertificates, "PEM of certificates alone");

/** The same in base64. */
export const ENCODED_CERTIFICATES: Shape = text((found) => {
  try {
    return isCertificates(new TextDecoder("utf-8", { fatal: true }).decode(decodeBase64(found)));
  } catch {
    return false;
  }
}, "base64 of PEM of certificates alone");

function isCertificates(found: string): boolean {
  try {
    return found === "" || readPemBlocks(found).every(({ label }) => label === "CERTIFICATE");
  } catch {
    return false;
  }
}

/** Amounts by resource. */
export const AMOUNTS: Shape = map(isQualifiedName, "a qualified name", QUANTITY);

/** One condition of a status. */
export const CONDITION: Shape = fields({
  type: anyText(316),
  status: word("True", "False", "Unknown"),
  reason: anyText(1024),
  message: MESSAGE,
  lastHeartbeatTime: TIME,
  lastProbeTime: TIME,
  lastUpdateTime: TIME,
  lastTransitionTime: TIME,
}, ["type", "status"]);
