/**
 * Talks to a signing server. What it answers is not trusted: sizes and shapes are checked here, signatures where they
 * are used.
 *
 * @module
 */
import { decodeBase64 } from "@signed-pods/shared/base64";
import { SignedPodsError } from "@signed-pods/shared/errors";
import { isJsonObject, type JsonValue } from "@signed-pods/shared/json";
import { decodeUtf8, parseStrictJson } from "@signed-pods/shared/strict-json";
import type { ClientIdentity } from "./client_identity.ts";
import { InputError } from "./input_error.ts";
import { networkReason } from "./network_error.ts";

/** Most of a signing server's answer that is read, in bytes: a certificate takes 2 KiB, a signature less. */
export const MAX_ANSWER_BYTES: number = 64 * 1024;

/** How long one request may take: an RSA signature takes milliseconds. */
export const REQUEST_TIMEOUT_MS = 15_000;

/** How often a request is sent again to a server that says when to come again. A busy one says a second or two. */
export const MAX_RETRIES = 8;

/** The longest wait that a server may ask for, in seconds. Who would wait longer should know, and decide. */
export const MAX_RETRY_AFTER_SECONDS = 30;

/** Waits before a request is sent again, and says so. */
export type Wait = (seconds: number) => Promise<void>;

/** What the server asks for before it signs. */
export interface Token {
  readonly value: string;
  /** The file it was read from, for messages. */
  readonly file: string;
}

/** How podsign tells who it is. */
export interface Credentials {
  readonly token?: Token | undefined;
  /** Shown by what makes requests, not by the client; here for messages. */
  readonly identity?: Pick<ClientIdentity, "certificateFile"> | undefined;
}

/** A signing server. */
export interface SigningClient {
  /** The base URL, for messages. */
  readonly url: string;
  /** The certificate of the key that signs, in PEM, as the server sends it. */
  certificate(): Promise<string>;
  /** Those of all keys that are still valid, newest first; of a server that does not know of several, the only one. */
  certificates(): Promise<string>;
  /** Signs a text. */
  sign(payload: string): Promise<Uint8Array>;
}

/**
 * Makes a client.
 *
 * @param server base URL, http or https
 * @param credentials what the server requires of those who sign
 * @param fetch makes a request
 * @param wait is called before a request is sent again to a server that is busy
 * @throws {InputError} if the URL is none
 */
export function createSigningClient(
  server: string,
  credentials: Credentials,
  fetch: (url: string, init: RequestInit) => Promise<Response>,
  wait: Wait,
): SigningClient {
  const base = parseServer(server);
  const { token } = credentials;
  const request = async (path: string, init: RequestInit): Promise<Uint8Array> => {
    const url = `${base}${path}`;
    for (let retries = 0;; retries++) {
      const { response, body } = await send(url, init);
      if (response.status === 200) return body;
      const seconds = retries < MAX_RETRIES ? retryAfterSeconds(response) : undefined;
      if (seconds === undefined) throw refused(url, response.status, body, credentials);
      await wait(seconds);
    }
  };
  const send = async (url: string, init: RequestInit): Promise<{ response: Response; body: Uint8Array }> => {
    let response: Response;
    let body: Uint8Array;
    try {
      // A redirect would carry the token to where nobody meant to send it.
      response = await fetch(url, {
        ...init,
        redirect: "manual",
        signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
      });
      body = await readLimited(response);
    } catch (error) {
      if (error instanceof InputError) throw error;
      throw new InputError([
        `The signing server at ${base} cannot be reached: ${networkReason(base, error)}`,
        "Start signing-server or name another with --server URL; without one, sign-spec takes a key of your own (--key FILE), " +
        "and verify-spec the certificate or public key that nodes trust (--cert FILE)",
      ], { cause: error });
    }
    return { response, body };
  };
  return {
    url: base,
    certificate: async () => textOf(await request("/signingcert", { method: "GET" }), base),
    certificates: async () => textOf(await request("/signingcert?all=1", { method: "GET" }), base),
    sign: async (payload) => {
      const body = await request("/sign", {
        method: "POST",
        headers: {
          "content-type": "application/json",
          ...(token === undefined ? {} : { authorization: `Bearer ${token.value}` }),
        },
        body: JSON.stringify({ payload }),
      });
      const answer = jsonOf(body);
      const signature = isJsonObject(answer) ? answer.signature : undefined;
      if (typeof signature !== "string") throw strange(base, 'its answer has no "signature"');
      try {
        return decodeBase64(signature);
      } catch (error) {
        if (!(error instanceof SignedPodsError)) throw error;
        throw strange(base, `its signature is not base64: ${error.message}`);
      }
    },
  };
}

/** When a server that is busy wants to be asked again (RFC 9110 section 10.2.3, in seconds); undefined if never, or late. */
function retryAfterSeconds({ status, headers }: Response): number | undefined {
  const text = headers.get("retry-after") ?? "";
  if (status !== 429 && status !== 503 || !/^[0-9]{1,4}$/.test(text)) return undefined;
  const seconds = Number(text);
  return seconds <= MAX_RETRY_AFTER_SECONDS ? seconds : undefined;
}

/** Whether what is sent to a URL can be read on the way. */
export function isSentInTheClear(server: string): boolean {
  const url = new URL(server);
  return url.protocol === "http:" && !/^(localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname);
}

function parseServer(server: string): string {
  const url = URL.canParse(server) ? new URL(server) : undefined;
  if (
    url === undefined || !/^https?:$/.test(url.protocol) || url.search !== "" || url.hash !== "" ||
    url.username !== "" || url.password !== ""
  ) {
    throw new InputError([
      `--server or SIGNING_SERVER_URL: "${server}" is no URL of a server: write for example http://localhost:8080`,
    ]);
  }
  return url.href.replace(/\/+$/, "");
}

async function readLimited(response: Response): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  // Leaving the loop early cancels the body.
  for await (const chunk of response.body ?? []) {
    length += chunk.length;
    if (length > MAX_ANSWER_BYTES) {
      throw new InputError([
        `${response.url}: answers more than ${MAX_ANSWER_BYTES} bytes: is it a signing server?`,
      ]);
    }
    chunks.push(chunk);
  }
  return new Uint8Array(await new Blob(chunks.map((chunk) => new Uint8Array(chunk))).arrayBuffer());
}

function jsonOf(body: Uint8Array): JsonValue | undefined {
  try {
    return parseStrictJson(decodeUtf8(body));
  } catch (error) {
    if (error instanceof SignedPodsError) return undefined;
    throw error;
  }
}

function textOf(body: Uint8Array, base: string): string {
  try {
    return decodeUtf8(body);
  } catch (error) {
    if (!(error instanceof SignedPodsError)) throw error;
    throw strange(base, "its certificate is not text");
  }
}

function strange(base: string, what: string): InputError {
  return new InputError([`${base} does not answer like a signing server: ${what}`]);
}

/** Printed text of a server may hold nothing that a terminal obeys. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, "?").slice(0, 500);
}

function refused(
  url: string,
  status: number,
  body: Uint8Array,
  { token, identity }: Credentials,
): InputError {
  const answer = jsonOf(body);
  const error = isJsonObject(answer) ? answer.error : undefined;
  if (isJsonObject(error) && typeof error.code === "string" && typeof error.message === "string") {
    if (error.code === "unauthorized" && token !== undefined) {
      return new InputError([
        `${url}: the server does not take the token in "${token.file}": use the one of its own --token-file`,
      ]);
    }
    if (error.code === "unauthorized" && identity !== undefined) {
      return new InputError([
        `${url}: the server takes no name from the certificate in "${identity.certificateFile}": it must ask for ` +
        "certificates (--client-ca), and this one must be issued by that authority and have one common name",
      ]);
    }
    const hint = error.code === "unauthorized"
      ? [
        "Give the token with --token-file FILE, or a certificate with --client-certificate FILE and --client-key FILE",
      ]
      : [];
    return new InputError([`${url}: ${printable(error.code)}: ${printable(error.message)}`, ...hint]);
  }
  return new InputError([`${url}: answers with status ${status}: is it a signing server?`]);
}
