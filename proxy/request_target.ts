/**
 * Reads a request's path and query, once and strictly. Whoever reads them later (the API server, a load balancer, a
 * log) must read the same, so only the one canonical spelling is admitted.
 *
 * Source: RFC 3986 sections 3.3, 3.4 and 6.2.2; `net/url` of Go, which clients and kube-apiserver use.
 *
 * @module
 */

/**
 * Longest path and query together, in characters. The longest that a kubelet asks for, a watch with a field selector
 * on names of 253 characters, stays under 2,000.
 */
export const MAX_TARGET_CHARACTERS = 8192;

/** Most parameters in a query. A kubelet sends up to eight. */
export const MAX_QUERY_PARAMETERS = 32;

/** A canonical path with its query. */
export interface RequestTarget {
  /** Begins with a slash; no empty, dot or encoded segments. */
  path: string;
  /** The path's segments, without slashes. */
  segments: string[];
  /** The query's parameters, each at most once, unless the rules say otherwise. */
  query: URLSearchParams;
  /** Path and query as they were received and go on. */
  target: string;
}

/** What is admitted beyond the one spelling that API servers are asked with. */
export interface TargetRules {
  /** Parameters that may be there several times. */
  repeatable?: ReadonlySet<string>;
  /** Default: {@linkcode MAX_QUERY_PARAMETERS}. */
  maxParameters?: number;
  /** Default: {@linkcode MAX_TARGET_CHARACTERS}. */
  maxCharacters?: number;
  /** Whether the path may end in a slash, and be one; no segment stands for it. */
  trailingSlash?: boolean;
}

/** What came out of reading a request target. */
export type ParsedTarget = { ok: true; target: RequestTarget } | { ok: false; message: string };

/** RFC 3986 pchar without percent-encoding and without ";", which some servers take for a separator. */
const SEGMENT = /^[A-Za-z0-9._~!$&'()*+,=:@-]+$/;

/** RFC 3986 query without ";" (Go drops such a query) and with complete percent-encodings only. */
const QUERY = /^(?:[A-Za-z0-9._~!$'()*+,=:@/?&-]|%[0-9A-Fa-f]{2})*$/;

/**
 * Reads the URL of a request as the listener gives it: the request target as it was sent, behind a scheme and an
 * authority; the URL class would normalise it first and hide what was sent.
 */
export function parseTarget(url: string, rules: TargetRules = {}): ParsedTarget {
  const match = /^[a-z+]+:\/\/[^/?#]*(.*)$/s.exec(url);
  const target = match?.[1];
  if (target === undefined || !target.startsWith("/")) {
    return refuse("the path must begin with a slash");
  }
  const maxCharacters = rules.maxCharacters ?? MAX_TARGET_CHARACTERS;
  if (target.length > maxCharacters) {
    return refuse(`path and query are longer than ${maxCharacters} characters`);
  }
  const mark = target.indexOf("?");
  const path = mark < 0 ? target : target.slice(0, mark);
  const segments = path.slice(1).split("/");
  if (rules.trailingSlash === true && segments.at(-1) === "") {
    segments.pop();
  }
  for (const segment of segments) {
    if (segment === "" || segment === "." || segment === "..") {
      return refuse("the path has an empty or a dot segment");
    }
    if (!SEGMENT.test(segment)) {
      return refuse('the path holds a percent-encoding, ";" or a character that must not stand in a path');
    }
  }
  const query = parseQuery(mark < 0 ? "" : target.slice(mark + 1), rules);
  return typeof query === "string" ? refuse(query) : { ok: true, target: { path, segments, query, target } };
}

/** Reads a query; a text says what is wrong with it. */
function parseQuery(text: string, rules: TargetRules): URLSearchParams | string {
  if (!QUERY.test(text)) {
    return 'the query holds ";", an incomplete percent-encoding or a character that must not stand in a query';
  }
  const parts = text === "" ? [] : text.split("&");
  const maxParameters = rules.maxParameters ?? MAX_QUERY_PARAMETERS;
  if (parts.length > maxParameters) {
    return `the query has more than ${maxParameters} parameters`;
  }
  const query = new URLSearchParams();
  for (const part of parts) {
    const equals = part.indexOf("=");
    const key = decode(equals < 0 ? part : part.slice(0, equals));
    const value = decode(equals < 0 ? "" : part.slice(equals + 1));
    if (key === undefined || value === undefined) {
      return "the query holds a percent-encoding that is not UTF-8";
    }
    if (!/^[A-Za-z0-9_.-]+$/.test(key)) {
      return "the query has a parameter whose name is empty or holds other than letters, digits, and . _ -";
    }
    if (query.has(key) && rules.repeatable?.has(key) !== true) {
      return `the query has the parameter "${key}" more than once`;
    }
    query.append(key, value);
  }
  return query;
}

/** Decodes as Go's QueryUnescape does; undefined if the bytes are not UTF-8. */
function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    return undefined;
  }
}

function refuse(message: string): ParsedTarget {
  return { ok: false, message };
}
