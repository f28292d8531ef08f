/**
 * The signing server's HTTP interface. A request for a signature passes, in this order: the host it was sent to,
 * the token, the content type, the size, strict JSON, the shape; then it is signed, written to the audit log, and
 * answered.
 *
 * @module
 */
import { Hono } from "hono";
import { encodeBase64 } from "@signed-pods/shared/base64";
import { SignedPodsError } from "@signed-pods/shared/errors";
import { isJsonObject, type JsonValue } from "@signed-pods/shared/json";
import { decodeUtf8, parseStrictJson } from "@signed-pods/shared/strict-json";
import type { KeyStore } from "./key_store.ts";

/** Largest request body: a signed template may fill an annotation, which Kubernetes caps at 256 KiB in all. */
export const MAX_BODY_BYTES: number = 1024 * 1024;

/** How long a client may take to send its body. A megabyte takes a second on a slow line. */
export const BODY_TIMEOUT_MS = 10_000;

/** A request for a signature is `{"payload": "…"}`; deeper nesting is refused before it is looked at. */
const MAX_BODY_DEPTH = 4;

/** What went wrong with a request, as a stable word. */
export type RequestErrorCode =
  | "unauthorized"
  | "host-not-allowed"
  | "not-found"
  | "method-not-allowed"
  | "unsupported-media-type"
  | "body-too-large"
  | "body-timeout"
  | "body-malformed"
  | "payload-missing"
  | "payload-not-string"
  | "payload-empty"
  | "unknown-field"
  | "internal";

/** One signature, for the audit log. */
export interface AuditRecord {
  /** When it was made. */
  time: Date;
  /** Lower-case hexadecimal SHA-256 of the payload's UTF-8 bytes. */
  payloadSha256: string;
  payloadBytes: number;
  /** Address and port of the client. */
  peer: string;
}

/** What the app works with. */
export interface AppOptions {
  keyStore: KeyStore;
  /** Required as a bearer token from those who sign, if there is one. */
  token?: string;
  /**
   * Whether requests must be addressed to a loopback host. A web page can point a name of its own at 127.0.0.1
   * (DNS rebinding) and would then be of the same origin as this server; the Host header shows it.
   */
  requireLoopbackHost: boolean;
  now: () => Date;
  /** Writes one line per signature. If it throws, no signature is given out. */
  audit: (record: AuditRecord) => void;
  /** Reports an error that is not the client's fault. */
  reportError: (error: unknown) => void;
  bodyTimeoutMs?: number;
}

/** What the server knows of a request beyond the request. */
export interface RequestContext {
  /** Address and port of the client. */
  peer: string;
}

/** Answers HTTP requests. */
export interface App {
  fetch(request: Request, context: RequestContext): Promise<Response>;
}

type Status = 400 | 401 | 403 | 404 | 405 | 408 | 413 | 415 | 500;

/** A refusal on its way to the client. */
class RequestError extends Error {
  readonly status: Status;
  readonly code: RequestErrorCode;
  readonly headers: Record<string, string>;

  constructor(status: Status, code: RequestErrorCode, message: string, headers: Record<string, string> = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.headers = headers;
  }
}

/** Answers must not be kept by anyone on the way, nor be taken for anything but what they are. */
const COMMON_HEADERS = { "cache-control": "no-store", "x-content-type-options": "nosniff" };

function json(status: number, body: JsonValue, headers: Record<string, string> = {}): Response {
  return new Response(`${JSON.stringify(body)}\n`, {
    status,
    headers: { "content-type": "application/json", ...COMMON_HEADERS, ...headers },
  });
}

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}

/** Compares digests, so that the time taken says nothing about the token, not even its length. */
async function sameText(left: string, right: string): Promise<boolean> {
  const encoder = new TextEncoder();
  const [a, b] = await Promise.all([sha256(encoder.encode(left)), sha256(encoder.encode(right))]);
  let difference = 0;
  for (const [index, byte] of a.entries()) difference |= byte ^ (b[index] ?? 0xff);
  return difference === 0;
}

function isLoopbackHost(host: string): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?$/i.test(host);
}

async function authorize(request: Request, token: string | undefined): Promise<void> {
  if (token === undefined) return;
  const authorization = request.headers.get("authorization");
  const match = /^Bearer +(\S+)$/i.exec(authorization ?? "");
  if (match !== null && await sameText(match[1] ?? "", token)) return;
  throw new RequestError(
    401,
    "unauthorized",
    `${
      authorization === null
        ? "Signing needs the token of the server's --token-file"
        : "That is not the token of the server's --token-file"
    }: send it as "Authorization: Bearer TOKEN"`,
    { "www-authenticate": 'Bearer realm="signing-server"' },
  );
}

function requireJson(request: Request): void {
  const [type = "", ...parameters] = (request.headers.get("content-type") ?? "").split(";");
  const charsets = parameters.map((parameter) => parameter.trim().toLowerCase()).filter((parameter) =>
    parameter !== ""
  );
  const utf8 = charsets.every((parameter) =>
    parameter === "charset=utf-8" || parameter === 'charset="utf-8"'
  );
  const encoding = request.headers.get("content-encoding") ?? "identity";
  if (type.trim().toLowerCase() === "application/json" && utf8 && encoding === "identity") return;
  throw new RequestError(
    415,
    "unsupported-media-type",
    "The body must be JSON in UTF-8, not compressed: send it with Content-Type: application/json",
  );
}

function tooLarge(): RequestError {
  return new RequestError(
    413,
    "body-too-large",
    `The body is larger than ${MAX_BODY_BYTES} bytes: sign fewer objects at a time`,
    // The rest of the body is not read, so the connection cannot carry another request.
    { connection: "close" },
  );
}

/** Reads a body up to the limit, whatever its Content-Length says, within the time. */
async function readBody(request: Request, timeoutMs: number): Promise<Uint8Array> {
  const declared = request.headers.get("content-length");
  if (declared !== null && Number(declared) > MAX_BODY_BYTES) throw tooLarge();
  if (request.body === null) return new Uint8Array();
  const reader = request.body.getReader();
  const chunks: Uint8Array[] = [];
  let length = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const expired = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(
        new RequestError(
          408,
          "body-timeout",
          `The body did not arrive within ${timeoutMs / 1000} s: send the request again`,
          { connection: "close" },
        ),
      );
    }, timeoutMs);
  });
  try {
    while (true) {
      const { done, value } = await Promise.race([reader.read(), expired]);
      if (done) break;
      length += value.length;
      if (length > MAX_BODY_BYTES) throw tooLarge();
      chunks.push(value);
    }
  } catch (error) {
    // Not awaited: a client that sends nothing would keep the answer back.
    reader.cancel().catch(() => {});
    throw error;
  } finally {
    clearTimeout(timer);
  }
  const body = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    body.set(chunk, offset);
    offset += chunk.length;
  }
  return body;
}

const EXPECTED = 'send {"payload": "the text to sign"}';

/** The text to sign. */
function readPayload(body: Uint8Array): string {
  let value: JsonValue;
  try {
    value = parseStrictJson(decodeUtf8(body), { maxDepth: MAX_BODY_DEPTH });
  } catch (error) {
    if (!(error instanceof SignedPodsError)) throw error;
    throw new RequestError(
      400,
      "body-malformed",
      `The body is not valid JSON: ${error.message}; ${EXPECTED}`,
    );
  }
  if (!isJsonObject(value)) {
    throw new RequestError(400, "body-malformed", `The body is not a JSON object; ${EXPECTED}`);
  }
  const { payload, ...rest } = value;
  if (payload === undefined) {
    throw new RequestError(400, "payload-missing", `The body has no "payload"; ${EXPECTED}`);
  }
  // A client that means something by a field that this server does not know must not get a signature for it.
  const [unknown] = Object.keys(rest);
  if (unknown !== undefined) {
    throw new RequestError(
      400,
      "unknown-field",
      `The body has the unknown field ${JSON.stringify(unknown.slice(0, 64))}; ${EXPECTED}`,
    );
  }
  if (typeof payload !== "string") {
    throw new RequestError(400, "payload-not-string", `"payload" is not a string; ${EXPECTED}`);
  }
  if (payload === "") throw new RequestError(400, "payload-empty", `"payload" is empty; ${EXPECTED}`);
  return payload;
}

/**
 * Makes the app: `GET /health`, `GET /signingcert`, `POST /generatekeys`, `POST /sign`. Every refusal is JSON,
 * `{"error": {"code", "message"}}`, with a stable code of {@linkcode RequestErrorCode}.
 */
export function createApp(options: AppOptions): App {
  const { keyStore, token, now, audit, reportError, bodyTimeoutMs = BODY_TIMEOUT_MS } = options;
  const app = new Hono<{ Bindings: RequestContext }>();

  app.use(async (context, next) => {
    const host = context.req.header("host") ?? "";
    if (options.requireLoopbackHost && !isLoopbackHost(host)) {
      throw new RequestError(
        403,
        "host-not-allowed",
        "This server answers requests to localhost only: use its loopback address, or start it with --token-file",
      );
    }
    await next();
  });

  app.get("/health", () => json(200, { status: "ok" }));

  app.get("/signingcert", () =>
    new Response(keyStore.certificatePem, {
      headers: { "content-type": "application/x-pem-file", ...COMMON_HEADERS },
    }));

  app.post("/generatekeys", async (context) => {
    await authorize(context.req.raw, token);
    return json(200, {
      message: "The keys were made when the server started; GET /signingcert returns the certificate",
      keyType: keyStore.keyType,
      createdAt: keyStore.createdAt.toISOString(),
      notAfter: keyStore.notAfter.toISOString(),
      fingerprint: keyStore.fingerprint,
    });
  });

  app.post("/sign", async (context) => {
    const request = context.req.raw;
    await authorize(request, token);
    requireJson(request);
    const payload = readPayload(await readBody(request, bodyTimeoutMs));
    const bytes = new TextEncoder().encode(payload);
    const signature = await keyStore.sign(bytes);
    // Before the answer: a signature that no log knows of must not exist outside.
    audit({
      time: now(),
      payloadSha256: (await sha256(bytes)).toHex(),
      payloadBytes: bytes.length,
      peer: context.env.peer,
    });
    return json(200, { signature: encodeBase64(signature) });
  });

  const methods: Record<string, string> = {
    "/health": "GET, HEAD",
    "/signingcert": "GET, HEAD",
    "/generatekeys": "POST",
    "/sign": "POST",
  };
  for (const [path, allow] of Object.entries(methods)) {
    app.all(path, (context) => {
      throw new RequestError(
        405,
        "method-not-allowed",
        `${path} does not take ${context.req.method}: use ${allow}`,
        { allow },
      );
    });
  }

  app.notFound(() =>
    refusal(
      new RequestError(
        404,
        "not-found",
        `There is no such path: use one of ${Object.keys(methods).join(", ")}`,
      ),
    )
  );

  app.onError((error) => {
    if (error instanceof RequestError) return refusal(error);
    reportError(error);
    return refusal(new RequestError(500, "internal", "The server failed; its log says why"));
  });

  return { fetch: async (request, context) => await app.fetch(request, context) };
}

function refusal(error: RequestError): Response {
  return json(error.status, { error: { code: error.code, message: error.message } }, error.headers);
}
