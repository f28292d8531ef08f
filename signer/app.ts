/**
 * The signing server's HTTP interface. A request for a signature passes, in this order: the host it was sent to, who
 * asks, how much they ask for, the content type, the size, strict JSON, the shape, what may be signed; then it is signed,
 * written to the audit log, and answered.
 *
 * @module
 */
import { Hono } from "hono";
import { formatAddress } from "@signed-pods/shared/address";
import { encodeBase64 } from "@signed-pods/shared/base64";
import type { JsonValue } from "@signed-pods/shared/json";
import type { AuditLog } from "./audit.ts";
import { BODY_TIMEOUT_MS, readBody, readPayload, requireJson } from "./body.ts";
import { authenticate, type Authentication, type Client, isOpen, type RequestContext } from "./client.ts";
import { type ConcurrencyLimits, createPlaces, SIGNING_CONCURRENCY } from "./concurrency.ts";
import { validCertificates } from "./key_folder.ts";
import type { KeyStore } from "./key_store.ts";
import type { Metrics, SignOutcome } from "./metrics.ts";
import { checkPayload, type PayloadPolicy } from "./payload.ts";
import { createRateLimiter, type Rate, SIGNING_RATE } from "./rate_limit.ts";
import { RequestError } from "./request_error.ts";

/** What the app works with. */
export interface AppOptions {
  keyStore: KeyStore;
  authentication: Authentication;
  policy: PayloadPolicy;
  /**
   * Whether requests must be addressed to a loopback host. A web page can point a name of its own at 127.0.0.1
   * (DNS rebinding) and would then be of the same origin as this server; the Host header shows it.
   */
  requireLoopbackHost: boolean;
  audit: AuditLog;
  metrics: Metrics;
  now: () => Date;
  /** A clock that only goes forward, in milliseconds. */
  elapsedMs: () => number;
  /** Reports an error that is not the client's fault. */
  reportError: (error: unknown) => void;
  bodyTimeoutMs?: number;
  rate?: Rate;
  concurrency?: ConcurrencyLimits;
}

/** Answers HTTP requests. */
export interface App {
  fetch(request: Request, context: RequestContext): Promise<Response>;
}

/** Answers must not be kept by anyone on the way, nor be taken for anything but what they are. */
const COMMON_HEADERS = { "cache-control": "no-store", "x-content-type-options": "nosniff" };

/** Whoever finds all places taken comes again after this long: some hundred signatures later. */
const OVERLOAD_RETRY_SECONDS = 1;

/** A client that leaves is told nothing; the status is nginx's for it, and never sent. */
const CLIENT_GONE = 499;

function json(status: number, body: JsonValue, headers: Record<string, string> = {}): Response {
  return new Response(`${JSON.stringify(body)}\n`, {
    status,
    headers: { "content-type": "application/json", ...COMMON_HEADERS, ...headers },
  });
}

function refusal(error: RequestError): Response {
  return json(error.status, { error: { code: error.code, message: error.message } }, error.headers);
}

function isLoopbackHost(host: string): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?$/i.test(host);
}

/** Whether `?all=1` stands in the URL. Anything else there may be meant to say something that is not done. */
function readAll(url: URL): boolean {
  if (url.search === "") return false;
  if (url.search === "?all=1") return true;
  throw new RequestError(
    "query-malformed",
    "The only query is ?all=1, for the certificates of all keys that are still valid",
  );
}

/** Answers with a route's refusals, so that all servers refuse in the same words. */
function addRefusals(
  app: Hono<{ Bindings: RequestContext }>,
  methods: Record<string, string>,
  reportError: (error: unknown) => void,
): void {
  for (const [path, allow] of Object.entries(methods)) {
    app.all(path, (context) => {
      throw new RequestError(
        "method-not-allowed",
        `${path} does not take ${context.req.method}: use ${allow}`,
        { allow },
      );
    });
  }
  app.notFound(() =>
    refusal(
      new RequestError("not-found", `There is no such path: use one of ${Object.keys(methods).join(", ")}`),
    )
  );
  app.onError((error, { req }) => {
    if (error instanceof RequestError) {
      if (error.cause !== undefined) reportError(error.cause);
      return refusal(error);
    }
    if (req.raw.signal.aborted) return new Response(null, { status: CLIENT_GONE });
    reportError(error);
    return refusal(new RequestError("internal", "The server failed; its log says why"));
  });
}

/**
 * Makes the app: `GET /health`, `GET /signingcert`, `POST /generatekeys`, `POST /sign`. Every refusal is JSON,
 * `{"error": {"code", "message"}}`, with a stable code of `RequestErrorCode`.
 */
export function createApp(options: AppOptions): App {
  const { keyStore, authentication, metrics, now, elapsedMs, reportError } = options;
  const sign = createSigner(options);
  const app = new Hono<{ Bindings: RequestContext }>();

  app.use(async (context, next) => {
    const host = context.req.header("host") ?? "";
    if (options.requireLoopbackHost && !isLoopbackHost(host)) {
      throw new RequestError(
        "host-not-allowed",
        "This server answers requests to localhost only: use its loopback address, or start it with --token-file",
      );
    }
    await next();
  });

  app.get("/health", () => json(200, { status: "ok" }));

  app.get("/signingcert", async (context) => {
    const all = readAll(new URL(context.req.url));
    const ring = await keyStore.ring();
    const certificates = all ? validCertificates(ring, now()) : [ring.current];
    return new Response(certificates.map(({ pem }) => pem).join(""), {
      headers: { "content-type": "application/x-pem-file", ...COMMON_HEADERS },
    });
  });

  app.post("/generatekeys", async (context) => {
    await authenticate(context.req.raw, context.env, authentication);
    const { keyType, keyId, fingerprint, notBefore, notAfter } = (await keyStore.ring()).current;
    return json(200, {
      message: "The keys were made when the server started; GET /signingcert returns the certificate",
      keyType,
      keyId,
      notBefore: notBefore.toISOString(),
      notAfter: notAfter.toISOString(),
      fingerprint,
    });
  });

  app.post("/sign", async (context) => {
    const startedMs = elapsedMs();
    const count = (outcome: SignOutcome) => metrics.signRequest(outcome, (elapsedMs() - startedMs) / 1000);
    const request = context.req.raw;
    try {
      const signature = await sign(request, context.env);
      count("signed");
      return json(200, { signature: encodeBase64(signature) });
    } catch (error) {
      count(error instanceof RequestError ? error.code : request.signal.aborted ? "aborted" : "internal");
      throw error;
    }
  });

  addRefusals(app, {
    "/health": "GET, HEAD",
    "/signingcert": "GET, HEAD",
    "/generatekeys": "POST",
    "/sign": "POST",
  }, reportError);
  return { fetch: async (request, context) => await app.fetch(request, context) };
}

/** Makes the app for whoever watches the server: `GET /metrics` and `GET /health`. */
export function createMetricsApp(
  { metrics, keyStore, reportError }: Pick<AppOptions, "metrics" | "keyStore" | "reportError">,
): App {
  const app = new Hono<{ Bindings: RequestContext }>();
  app.get("/health", () => json(200, { status: "ok" }));
  app.get(
    "/metrics",
    async () =>
      new Response(await metrics.text(await keyStore.ring()), {
        headers: { "content-type": metrics.contentType, ...COMMON_HEADERS },
      }),
  );
  addRefusals(app, { "/health": "GET, HEAD", "/metrics": "GET, HEAD" }, reportError);
  return { fetch: async (request, context) => await app.fetch(request, context) };
}

/** From a request to a signature that is in the audit log. */
function createSigner(
  options: AppOptions,
): (request: Request, context: RequestContext) => Promise<Uint8Array> {
  const { authentication, elapsedMs } = options;
  const limiter = createRateLimiter(options.rate ?? SIGNING_RATE, elapsedMs);
  const places = createPlaces(options.concurrency ?? SIGNING_CONCURRENCY);
  return async (request, context) => {
    const client = await authenticate(request, context, authentication);
    const admission = limiter.take(client.key);
    if (!admission.admitted) {
      throw new RequestError(
        "rate-limited",
        `${nameOf(client)} asks for more signatures than one client may: wait, and send fewer at a time`,
        { "retry-after": String(admission.retryAfterSeconds) },
      );
    }
    const place = places.enter(client.key);
    switch (place.kind) {
      case "taken":
        try {
          return await signOne(options, request, context, client);
        } finally {
          place.leave();
        }
      case "client-full":
        throw new RequestError(
          "rate-limited",
          `${nameOf(client)} has too many requests running at a time: wait for their answers`,
          { "retry-after": String(OVERLOAD_RETRY_SECONDS) },
        );
      case "full":
        throw new RequestError("overloaded", "Too many requests are running: send it again in a moment", {
          "retry-after": String(OVERLOAD_RETRY_SECONDS),
        });
      default: {
        const never: never = place;
        return never;
      }
    }
  };
}

function nameOf({ name }: Client): string {
  return name === undefined ? "This address" : `"${name}"`;
}

async function signOne(
  { keyStore, policy, now, audit, bodyTimeoutMs = BODY_TIMEOUT_MS }: AppOptions,
  request: Request,
  context: RequestContext,
  client: Client,
): Promise<Uint8Array> {
  requireJson(request);
  const payload = readPayload(await readBody(request, bodyTimeoutMs));
  const workload = checkPayload(payload, policy);
  const { current } = await keyStore.ring();
  if (current.notAfter <= now()) {
    throw new RequestError(
      "certificate-expired",
      `The signing certificate ended on ${current.notAfter.toISOString()}, and nodes refuse what it verifies: run ` +
        "signing-server rotate",
    );
  }
  const bytes = new TextEncoder().encode(payload);
  const signature = await current.sign(bytes);
  // Nobody would get the signature, so none is recorded.
  request.signal.throwIfAborted();
  try {
    // Before the answer: a signature that no log knows of must not exist outside.
    await audit.write({
      time: now(),
      ...(client.name === undefined ? {} : { client: client.name }),
      authenticatedBy: client.authenticatedBy,
      peer: formatAddress(context.address, context.port),
      payloadSha256: new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex(),
      payloadBytes: bytes.length,
      ...(workload === undefined ? {} : { workload }),
      keyId: current.keyId,
    });
  } catch (cause) {
    throw new RequestError(
      "audit-failed",
      "The server cannot write its audit log, and gives out no signature without it; its own log says why",
      {},
      { cause },
    );
  }
  return signature;
}

/** Whether pages in a browser must be kept out by the name they use: where nothing else keeps them out. */
export function needsLoopbackHost(loopback: boolean, authentication: Authentication): boolean {
  return loopback && isOpen(authentication);
}
