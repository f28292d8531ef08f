/**
 * What a credential plugin is told, and what it may answer. Read strictly: a program that answers something else is not
 * one that was made for this.
 *
 * Source: Kubernetes, "Client Authentication (v1)" and "(v1beta1)"; `k8s.io/client-go/pkg/apis/clientauthentication`.
 *
 * @module
 */
import { encodeBase64 } from "@signed-pods/shared/base64";
import { isBearerToken } from "@signed-pods/shared/bearer-token";
import { isJsonObject, type JsonObject, type JsonValue } from "@signed-pods/shared/json";
import { parseStrictJson } from "@signed-pods/shared/strict-json";
import type { ExecApiVersion, ExecPlugin } from "./exec_plugin.ts";
import { readTlsIdentity, type TlsIdentity } from "./tls_identity.ts";

/** The cluster, for a plugin that wants to know. */
export interface ExecCluster {
  server: string;
  insecureSkipTlsVerify: boolean;
  /** PEM. */
  certificateAuthorities: readonly string[];
}

/** What a plugin has answered. */
export interface ExecCredential {
  token?: string;
  identity?: TlsIdentity;
  /** From then on it is not to be used. */
  expiresAt?: Date;
}

/** The variable that tells a plugin what is wanted. */
export const EXEC_INFO_VARIABLE = "KUBERNETES_EXEC_INFO";

/** Longest token, in characters; the same as in a file. */
export const MAX_PLUGIN_TOKEN_CHARACTERS = 64 * 1024;

/** RFC 3339, as Go writes `metav1.Time`. */
const TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$/;

/** The value of {@linkcode EXEC_INFO_VARIABLE}: an ExecCredential without a status. */
export function execInfo(plugin: ExecPlugin, cluster: ExecCluster): string {
  const { apiVersion, provideClusterInfo, clusterConfig } = plugin;
  const bundle = cluster.certificateAuthorities.join("");
  return JSON.stringify({
    kind: "ExecCredential",
    apiVersion,
    spec: {
      interactive: false,
      ...(provideClusterInfo
        ? {
          cluster: {
            server: cluster.server,
            ...(cluster.insecureSkipTlsVerify ? { "insecure-skip-tls-verify": true } : {}),
            ...(bundle === ""
              ? {}
              : { "certificate-authority-data": encodeBase64(new TextEncoder().encode(bundle)) }),
            ...(clusterConfig === undefined ? {} : { config: clusterConfig }),
          },
        }
        : {}),
    },
  });
}

/**
 * Reads what a plugin has printed.
 *
 * @throws {Error} with what is wrong, and never with what was printed
 */
export function readExecCredential(text: string, apiVersion: ExecApiVersion, now: Date): ExecCredential {
  let answer: JsonValue;
  try {
    answer = parseStrictJson(text);
  } catch {
    // The error's text may quote the answer, and so the token.
    throw new Error("it printed no JSON");
  }
  const root = fieldsOf(answer, "its answer", ["kind", "apiVersion", "spec", "status"]);
  if (root["kind"] !== "ExecCredential" || root["apiVersion"] !== apiVersion) {
    throw new Error(`its answer is no ExecCredential of ${apiVersion}`);
  }
  const status = fieldsOf(root["status"], "its answer's status", [
    "expirationTimestamp",
    "token",
    "clientCertificateData",
    "clientKeyData",
  ]);
  const token = textIn(status, "token");
  const certificate = textIn(status, "clientCertificateData");
  const key = textIn(status, "clientKeyData");
  const expires = textIn(status, "expirationTimestamp");
  if ((certificate === undefined) !== (key === undefined)) {
    throw new Error("its answer has a client certificate or a key alone");
  }
  if (token === undefined && certificate === undefined) {
    throw new Error("its answer has neither a token nor a client certificate");
  }
  if (token !== undefined && (token.length > MAX_PLUGIN_TOKEN_CHARACTERS || !isBearerToken(token))) {
    throw new Error("its answer's token is none (RFC 6750 section 2.1)");
  }
  const expiresAt = expires === undefined ? undefined : new Date(TIME.test(expires) ? expires : Number.NaN);
  if (expiresAt !== undefined && !(expiresAt > now)) {
    throw new Error("its answer has expired already, or its expirationTimestamp is no time (RFC 3339)");
  }
  return {
    ...(token === undefined ? {} : { token }),
    ...(certificate === undefined || key === undefined
      ? {}
      : { identity: readTlsIdentity(certificate, key) }),
    ...(expiresAt === undefined ? {} : { expiresAt }),
  };
}

function fieldsOf(value: JsonValue | undefined, place: string, known: readonly string[]): JsonObject {
  if (!isJsonObject(value)) {
    throw new Error(`${place} is no object`);
  }
  if (Object.keys(value).some((field) => !known.includes(field))) {
    throw new Error(`${place} has fields that the API does not know`);
  }
  return value;
}

/** A text; an empty one counts as absent, as in Go. */
function textIn(fields: JsonObject, field: string): string | undefined {
  const value = fields[field] ?? "";
  if (typeof value !== "string") {
    throw new Error(`its answer's ${field} is no text`);
  }
  return value === "" ? undefined : value;
}
