/**
 * Why a server cannot be reached, in plain words.
 *
 * @module
 */
import { messageOf } from "@signed-pods/shared/errors";
import { systemReason } from "@signed-pods/shared/file-error";

/** Causes that are followed of an error. Deno has one; the bound is for errors that cause themselves. */
const MAX_CAUSES = 5;

/** What Deno's HTTP client says, and what it means. The first that fits is taken. */
const REASONS: readonly (readonly [pattern: RegExp, reason: (match: RegExpExecArray) => string])[] = [
  [
    /connection refused/i,
    () => "connection refused: no program listens there; see whether it runs and the port is right",
  ],
  [/dns error|failed to lookup/i, () => "no such host; see whether the name is spelled right"],
  [
    /invalid peer certificate: ([^]*)/,
    ([, detail = ""]) => `its TLS certificate is not trusted: ${certificateReason(detail)}`,
  ],
  [
    /corrupt message|InvalidContentType/,
    () => "it does not speak TLS: write http:// instead of https://, or name the port that has TLS",
  ],
  [
    /invalid HTTP version|invalid http/i,
    () => "it does not speak HTTP: write https:// instead of http:// if it has TLS, or name another port",
  ],
  [/connection reset|broken pipe|connection closed/i, () => "it closed the connection without an answer"],
  [
    /network is unreachable|no route to host/i,
    () => "the network has no way to it; see whether the address is right",
  ],
  [
    /timed out|timeout/i,
    () => "it does not answer in time; see whether the address is right and a firewall is between",
  ],
  [
    /requests? to port \d+ (is|are) blocked/i,
    () => "that port belongs to another protocol; name the server's own",
  ],
];

/**
 * Why a request failed, and what to do.
 *
 * @param base the server's URL
 * @param error what fetch threw
 * @returns words to stand behind "cannot be reached: ", without a full stop
 */
export function networkReason(base: string, error: unknown): string {
  if (error instanceof Error && error.name === "NotCapable") {
    return `podsign was started without permission to connect; start it by bin/podsign, or with ` +
      `--allow-net=${new URL(base).host}`;
  }
  const texts = messages(error);
  const text = texts.join(": ");
  for (const [pattern, reason] of REASONS) {
    const match = pattern.exec(text);
    if (match !== null) return reason(match);
  }
  // What is left of "error sending request for url (…): client error (Connect): …" is the system's word for it.
  return systemReason(texts.at(-1) ?? "").replace(/^error sending request [^]*?client error \(\w+\): /, "");
}

function messages(error: unknown): string[] {
  const texts: string[] = [];
  for (let cause = error; cause !== undefined && texts.length < MAX_CAUSES;) {
    texts.push(messageOf(cause));
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  return texts;
}

/** What is wrong with a certificate, from rustls' words. */
function certificateReason(detail: string): string {
  if (detail.includes("UnknownIssuer")) {
    return "this machine does not know who issued it; set DENO_CERT to the file of its authority's certificate (PEM)";
  }
  if (/not valid for name|NotValidForName/.test(detail)) {
    return "it is for another name; write the name in --server that is in the certificate";
  }
  if (/expired/i.test(detail)) return "it has expired; renew it on the server";
  if (/not valid yet|NotValidYet/i.test(detail)) {
    return "it is not valid yet; see whether this machine's clock is right";
  }
  if (detail.includes("CaUsedAsEndEntity")) {
    return "it is an authority's own; give the server a certificate that an authority issued for it";
  }
  return detail.replace(/ \(os error \d+\)/g, "");
}
