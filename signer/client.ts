/**
 * Who asks: told by a bearer token (RFC 6750), by a client certificate, or, where neither is required, by nothing but the
 * address.
 *
 * @module
 */
import { RequestError } from "./request_error.ts";
import type { Tokens } from "./tokens.ts";

/** What the server knows of a request beyond the request. */
export interface RequestContext {
  /** IP address of the client. */
  address: string;
  /** Its port. */
  port: number;
  /** The common name of the client's certificate, if TLS has verified one. */
  certificateName?: string;
}

/** Who asks. */
export interface Client {
  /** For the audit log; absent where nobody has to say who they are. */
  name?: string;
  authenticatedBy: "token" | "certificate" | "nothing";
  /** What limits are counted by: the name if there is one, else the address. */
  key: string;
}

/** What is required of those who sign. */
export interface Authentication {
  /** Either a token of these counts… */
  tokens?: () => Promise<Tokens>;
  /** …or a certificate that TLS has verified. */
  certificates: boolean;
}

/** Whether anybody who reaches the server may sign. */
export function isOpen({ tokens, certificates }: Authentication): boolean {
  return tokens === undefined && !certificates;
}

/**
 * Finds out who asks.
 *
 * @throws {RequestError} `unauthorized`
 */
export async function authenticate(
  request: Request,
  context: RequestContext,
  { tokens, certificates }: Authentication,
): Promise<Client> {
  if (tokens === undefined && !certificates) {
    return { authenticatedBy: "nothing", key: `address ${networkOf(context.address)}` };
  }
  const { certificateName } = context;
  if (certificates && certificateName !== undefined) {
    return { name: certificateName, authenticatedBy: "certificate", key: `certificate ${certificateName}` };
  }
  const authorization = request.headers.get("authorization");
  const [, token] = /^Bearer +(\S+)$/i.exec(authorization ?? "") ?? [];
  const name = token === undefined ? undefined : await (await tokens?.())?.clientOf(token);
  if (name !== undefined) return { name, authenticatedBy: "token", key: `token ${name}` };
  throw new RequestError(
    "unauthorized",
    refusal(authorization !== null, tokens !== undefined, certificates),
    tokens === undefined ? {} : { "www-authenticate": 'Bearer realm="signing-server"' },
  );
}

function refusal(sent: boolean, tokens: boolean, certificates: boolean): string {
  if (!tokens) {
    return "Signing needs a client certificate with a common name, issued by the server's --client-ca";
  }
  const how = 'send it as "Authorization: Bearer TOKEN"' +
    (certificates ? ", or a client certificate issued by its --client-ca" : "");
  return sent
    ? `That is not a token of the server's --token-file: ${how}`
    : `Signing needs a token of the server's --token-file: ${how}`;
}

/**
 * What one subscriber has: an IPv4 address, or the /64 network of an IPv6 address (RFC 4291 section 2.5.4), in which a
 * single machine takes as many addresses as it likes.
 */
export function networkOf(address: string): string {
  const mapped = /^::ffff:([0-9.]+)$/i.exec(address);
  if (mapped !== null) return mapped[1] ?? address;
  if (!address.includes(":")) return address;
  const [head = "", tail] = (address.split("%")[0] ?? "").split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const groups = tail === undefined
    ? left
    : [...left, ...Array(Math.max(0, 8 - left.length - right.length)).fill("0"), ...right];
  return `${groups.slice(0, 4).map((group) => Number.parseInt(group, 16).toString(16)).join(":")}::/64`;
}
